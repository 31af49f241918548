//! Keys: which one makes cells, what a rotation leaves behind, and when a run may begin.

use super::stage::Stage;

const COLUMN: &str = "s.people.email";
const FILLING: &str = "s.people.email: {key: k, backfill: true}";
const WHOLE: &str = "s.people.email: k";

const PEOPLE: &str = "
CREATE TABLE s.people (id int, email text);
INSERT INTO s.people SELECT n, 'p' || n || '@example.com' FROM generate_series(1, 2000) n;";

#[test]
fn a_rotated_key_is_followed_and_the_old_one_can_go() {
    let stage = Stage::new("rotated", PEOPLE, FILLING);
    let content = "SELECT md5(string_agg(concat(id, email), ',' ORDER BY id)) FROM s.people";
    let before = stage.sql(content);
    stage.works(&["encrypt", COLUMN]);
    stage.say(WHOLE);
    let key = |id| {
        stage.sql(&format!(
            "SELECT substr(email, 5, 4) FROM s.people WHERE id = {id}"
        ))
    };
    let first = key(1);
    let second = stage.rotate();
    // Until the policy says that there are several, nothing changes.
    assert_eq!(stage.status(), (0, 2000, 0, 0, 100.0));
    assert!(
        stage
            .works(&["encrypt", COLUMN])
            .contains("encrypted 0 values")
    );
    stage.say(FILLING);
    assert_eq!(stage.status(), (0, 0, 2000, 0, 0.0));
    let said = stage.works(&["encrypt", COLUMN]);
    assert!(said.contains("encrypted 2000 values"), "{said}");
    let next =
        format!("next: pgveil keys retire {first}; then take `backfill: true` away, and RELOAD\n");
    assert!(said.ends_with(&next), "{said}");
    assert_eq!((key(1), key(2000)), (second.clone(), second.clone()));
    assert_eq!(stage.status(), (0, 2000, 0, 0, 100.0));

    // Too early: without `backfill` the oldest key makes cells, and there are none of it.
    stage.say(WHOLE);
    assert_eq!(stage.status(), (0, 0, 2000, 0, 0.0));
    let why = format!(
        "pgveil: {COLUMN}: 2000 of 2000 values are cells of another key than {first}, and the policy does \
         not say so: the proxy would compare what cannot be compared. Write this, RELOAD, and begin \
         again:\nencrypt:\n  {COLUMN}: {{key: k, backfill: true}}\n"
    );
    stage.fails(&["encrypt", COLUMN], &why);
    stage.retire(&first);
    assert_eq!(stage.status(), (0, 2000, 0, 0, 100.0));
    assert!(
        stage
            .works(&["encrypt", COLUMN])
            .ends_with("\nnothing is left to do\n")
    );
    stage.say(FILLING);
    stage.works(&["decrypt", COLUMN]);
    assert_eq!(stage.sql(content), before);
}

#[test]
fn cells_of_a_retired_key_are_broken_and_stay() {
    let stage = Stage::new("retired", PEOPLE, FILLING);
    stage.works(&["encrypt", COLUMN]);
    let first = stage.sql("SELECT substr(email, 5, 4) FROM s.people WHERE id = 1");
    stage.rotate();
    stage.retire(&first);
    assert_eq!(stage.status(), (0, 0, 0, 2000, 0.0));
    let content = "SELECT md5(string_agg(email, ',' ORDER BY id)) FROM s.people";
    let before = stage.sql(content);
    let why = "what is stored begins with enc_ and does not open: its key is retired";
    stage.fails(&["encrypt", COLUMN], why);
    stage.fails(&["decrypt", COLUMN], why);
    assert_eq!(stage.sql(content), before);
}

#[test]
fn a_run_the_policy_does_not_speak_of_does_not_begin() {
    let stage = Stage::new("begun", PEOPLE, WHOLE);
    let backfill = "\nencrypt:\n  s.people.email: {key: k, backfill: true}";
    for (command, why) in [
        ("encrypt", "none of 2000 values is a cell"),
        ("decrypt", "cells and values will stand side by side"),
    ] {
        // Nothing to decrypt: that is done.
        if command == "decrypt" {
            stage.works(&[command, COLUMN]);
            stage.say(FILLING);
            stage.works(&["encrypt", COLUMN]);
            stage.say(WHOLE);
        }
        let done = stage.run(&[command, COLUMN]);
        assert!(!done.worked && done.said.contains(why), "{done:?}");
        assert!(done.said.contains(backfill), "{done:?}");
    }
    // Values that somebody wrote past the proxy, among cells: they are found by no comparison.
    stage.sql("UPDATE s.people SET email = 'stray' WHERE id % 10 = 0");
    assert_eq!(stage.status(), (200, 1800, 0, 0, 90.0));
    let said = stage.works(&["encrypt", COLUMN]);
    assert!(said.contains("encrypted 200 values"), "{said}");
    assert_eq!(stage.status(), (0, 2000, 0, 0, 100.0));

    for (args, why) in [
        (
            &["encrypt", "s.people.emial"][..],
            "does not name s.people.emial: did you mean s.people.email?",
        ),
        (&["encrypt", "people"], "does not name people"),
        (
            &["encrypt", COLUMN, "-d", "other"],
            "the policy is not for database other",
        ),
        (
            &["encrypt", COLUMN, "--dsn", "postgresql://db"],
            "--dsn: it names no user",
        ),
        (&["encrypt"], "required"),
        (&["encrypt", COLUMN, "--json"], "--status"),
    ] {
        stage.fails(args, why);
    }
    stage.say("s.people.email: {key: other, backfill: true}");
    stage.fails(
        &["encrypt", COLUMN],
        "s.people.email: the key ring has no key `other`",
    );
    stage.say("s.people.phone: {key: k, backfill: true}");
    stage.fails(
        &["encrypt", "s.people.phone"],
        "the database has no such table or column",
    );
}

#[test]
fn a_login_of_ones_own_works_where_the_url_says() {
    let stage = Stage::new("dsn", PEOPLE, FILLING);
    stage.sql("CREATE ROLE reader LOGIN PASSWORD 'stage'");
    let url = |user: &str| format!("postgresql://{user}:stage@{}/dsn", stage.cluster.address());
    let reader = url("reader");
    let why = "permission denied for schema s";
    stage.fails(&["encrypt", COLUMN, "--dsn", &reader], why);
    stage.sql(
        "ALTER TABLE s.people ENABLE ROW LEVEL SECURITY;
        GRANT USAGE ON SCHEMA s TO reader; GRANT SELECT, UPDATE ON s.people TO reader",
    );
    // It would see none of the rows, and find all of them encrypted.
    let why = "query would be affected by row-level security policy";
    stage.fails(&["encrypt", COLUMN, "--dsn", &reader], why);
    stage.fails(&["encrypt", "--status", COLUMN, "--dsn", &reader], why);
    // Who may write the table and does not own it leaves the rest to somebody else.
    stage.sql("ALTER ROLE reader BYPASSRLS");
    let done = stage.run(&["encrypt", COLUMN, "--dsn", &reader]);
    let why = "this login does not own s.people: begin again as somebody who does";
    assert!(!done.worked && done.said.contains(why), "{done:?}");
    assert_eq!(stage.status(), (0, 2000, 0, 0, 100.0));
    let keeper = url("keeper");
    stage.works(&["encrypt", COLUMN, "--dsn", &keeper]);
    stage.works(&["encrypt", "--status", COLUMN, "--dsn", &keeper]);
}
