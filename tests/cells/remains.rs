//! What a superuser finds afterwards, in the table, in the files, in the WAL and in the server's log.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::stage::Stage;

const COLUMN: &str = "s.people.email";
const FILLING: &str = "s.people.email: {key: k, backfill: true}";

/// Values are indexed, and frequent enough for PostgreSQL's statistics to keep some. `SECRET` is a piece
/// of each that no other test writes: the WAL and the log are of all of them.
const PEOPLE: &str = "
CREATE TABLE s.people (id int PRIMARY KEY, email text, n int DEFAULT 0);
CREATE INDEX ON s.people (email) WHERE length(n::text) < 9;
CREATE INDEX ON s.people USING hash (email);
ALTER TABLE s.people ALTER email SET STORAGE EXTERNAL;
ALTER TABLE s.people ALTER email SET STATISTICS 5;
INSERT INTO s.people SELECT n, 'SECRET.' || n % 500 || '@example.com' FROM generate_series(1, 5000) n;
CREATE STATISTICS s.both (mcv) ON id, email FROM s.people;
ANALYZE s.people;";

/// A value beside the table: too long for an index, so in one without.
const LONG: &str = "
CREATE TABLE s.long (id int PRIMARY KEY, email text);
ALTER TABLE s.long ALTER email SET STORAGE EXTERNAL;
INSERT INTO s.long SELECT n, repeat('SECRET.', 500) || n FROM generate_series(1, 20) n;
ANALYZE s.long;";

fn with(database: &str, schema: &str) -> Stage {
    Stage::new(
        database,
        &schema.replace("SECRET", &format!("ada.{database}")),
        FILLING,
    )
}

fn data(stage: &Stage) -> PathBuf {
    stage.cluster.socket_folder().join("data")
}

/// Files of the database that hold the secret.
fn files(stage: &Stage) -> Vec<String> {
    stage.sql("CHECKPOINT");
    let oid = stage.sql("SELECT oid FROM pg_database WHERE datname = current_database()");
    let mut found = Vec::new();
    for entry in fs::read_dir(data(stage).join("base").join(oid)).unwrap() {
        let path = entry.unwrap().path();
        if holds(stage, &fs::read(&path).unwrap_or_default()) {
            let node = path.file_name().unwrap().to_str().unwrap();
            let node = node.split('.').next().unwrap().to_owned();
            let name = format!("SELECT oid::regclass FROM pg_class WHERE relfilenode = {node}");
            found.push(format!("{} ({node})", stage.sql(&name)));
        }
    }
    found
}

fn holds(stage: &Stage, bytes: &[u8]) -> bool {
    let secret = format!("ada.{}", stage.database);
    (bytes.windows(secret.len())).any(|window| window == secret.as_bytes())
}

/// A place in the WAL, in bytes from its beginning.
fn lsn(stage: &Stage) -> u64 {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
    stage.sql(sql).parse().unwrap()
}

/// What was written to the WAL between two places.
fn wal(stage: &Stage, from: u64, to: u64) -> Vec<u8> {
    const SEGMENT: u64 = 16 * 1024 * 1024;
    stage.sql("CHECKPOINT");
    let folder = data(stage).join("pg_wal");
    let mut bytes = Vec::new();
    for number in from / SEGMENT..=(to - 1) / SEGMENT {
        let (high, low) = (number / 256, number % 256);
        let file = folder.join(format!("00000001{high:08X}{low:08X}"));
        let content = fs::read(&file).unwrap();
        let at = |place: u64| usize::try_from(place.saturating_sub(number * SEGMENT).min(SEGMENT));
        bytes.extend_from_slice(&content[at(from).unwrap()..at(to).unwrap()]);
    }
    bytes
}

/// Makes PostgreSQL write whole pages of the table and its indexes into the WAL, and gives that.
fn touched(stage: &Stage, table: &str) -> Vec<u8> {
    // The checkpoint makes the next change of a page write all of it.
    stage.sql("CHECKPOINT");
    let from = lsn(stage);
    stage.sql(&format!("UPDATE {table} SET id = -id"));
    stage.sql(&format!("UPDATE {table} SET id = -id; ANALYZE {table}"));
    let written = wal(stage, from, lsn(stage));
    // Without the empty middle of each page that is little for a small table.
    assert!(written.len() > 4_096, "{}", written.len());
    written
}

#[test]
fn after_the_procedure_a_superuser_finds_no_value() {
    let stage = with("remains", &format!("{PEOPLE}{LONG}"));
    // The needle is found where it is.
    let before = files(&stage);
    for place in [
        "s.people ",
        "s.people_email_idx",
        "pg_toast.pg_toast_",
        "pg_statistic ",
    ] {
        assert!(
            before.iter().any(|file| file.starts_with(place)),
            "{before:?}"
        );
    }
    assert!(
        holds(&stage, &touched(&stage, "s.people")) && holds(&stage, &touched(&stage, "s.long"))
    );
    let log = fs::metadata(stage.cluster.socket_folder().join("log"))
        .unwrap()
        .len();

    stage.say("s.people.email: {key: k, backfill: true}, s.long.email: {key: k, backfill: true}");
    for column in ["s.people.email", "s.long.email"] {
        let done = stage.run(&["encrypt", column, "--vacuum", "full"]);
        assert!(done.worked && !done.said.contains("warning"), "{done:?}");
    }
    // As the owner of the database: its own statistics too. Nothing but what is asked for is logged.
    let text = fs::read(stage.cluster.socket_folder().join("log")).unwrap();
    let text = &text[usize::try_from(log).unwrap()..];
    assert!(
        !holds(&stage, text)
            && String::from_utf8_lossy(text).contains("UPDATE ONLY \"s\".\"people\"")
    );

    assert_eq!(files(&stage), Vec::<String>::new());
    let stats = "SELECT count(*) FROM pg_stats WHERE schemaname = 's'
        AND concat(most_common_vals, histogram_bounds) LIKE '%ada.%'";
    assert_eq!(stage.sql(stats), "0");
    assert!(!holds(&stage, &touched(&stage, "s.people")));
    assert!(!holds(&stage, &touched(&stage, "s.long")));
}

#[test]
fn without_a_lock_only_free_space_keeps_bytes() {
    let stage = with("plain", PEOPLE);
    assert!(holds(&stage, &touched(&stage, "s.people")));
    let done = stage.run(&["encrypt", COLUMN]);
    let why = "bytes of old versions stay in the free space of the table's pages";
    assert!(done.worked && done.said.contains(why), "{done:?}");
    // Pages are written to the WAL without their free space.
    assert!(!holds(&stage, &touched(&stage, "s.people")));
    let left = files(&stage);
    let expected =
        |file: &String| file.starts_with("s.people (") || file.starts_with("pg_statistic");
    assert!(left.iter().all(expected), "{left:?}");
    stage.works(&["encrypt", COLUMN, "--vacuum", "full"]);
    assert_eq!(files(&stage), Vec::<String>::new());
}

#[test]
fn who_may_still_see_old_versions_is_waited_for_and_named() {
    let stage = with("snapshots", PEOPLE);
    let mut other = stage.connect();
    other.simple("BEGIN ISOLATION LEVEL REPEATABLE READ");
    other.simple("SELECT count(*) FROM s.people");
    let mut child = stage.start(&["encrypt", COLUMN, "--vacuum", "full"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while stage.sql("SELECT count(*) FROM s.people WHERE email !~ '^enc_'") != "0" {
        assert!(Instant::now() < deadline);
    }
    std::thread::sleep(Duration::from_secs(2));
    // VACUUM FULL now would copy what the other one may see.
    assert!(child.try_wait().unwrap().is_none());
    other.simple("COMMIT");
    assert!(child.wait().unwrap().success());
    assert_eq!(files(&stage), Vec::<String>::new());

    // One that does not end is named, and the run says that it is not done.
    stage.sql("UPDATE s.people SET email = 'ada.snapshots' WHERE id = 1");
    other.simple("BEGIN ISOLATION LEVEL REPEATABLE READ");
    other.simple("SELECT count(*) FROM s.people");
    let done = stage.run(&["encrypt", COLUMN]);
    assert!(!done.worked, "{done:?}");
    for why in ["could not be removed, because of", "(keeper, tests)"] {
        assert!(done.said.contains(why), "{done:?}");
    }
    assert!(done.out.contains("100 % of 5000 are cells"), "{done:?}");
    drop(other);
    stage.works(&["encrypt", COLUMN, "--vacuum", "full"]);
    assert_eq!(files(&stage), Vec::<String>::new());
}
