//! What happens meanwhile: the command is killed, rows are locked, written and moved.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::stage::Stage;

const COLUMN: &str = "s.people.email";
const FILLING: &str = "s.people.email: {key: k, backfill: true}";
const ROWS: u64 = 50_000;

fn people(rows: u64) -> String {
    format!(
        "CREATE TABLE s.people (id int PRIMARY KEY, email text, n int);
         CREATE INDEX ON s.people (email);
         INSERT INTO s.people SELECT n, 'p' || n || '@example.com', 0
           FROM generate_series(1, {rows}) n;"
    )
}

/// Runs a command and kills it when so many rows look like cells, or no longer do.
fn kill_halfway(stage: &Stage, command: &str, is_half: &str) {
    // It cannot end before it is killed: one row is somebody else's.
    let mut other = stage.connect();
    other.simple("BEGIN");
    other.simple(&format!(
        "SELECT FROM s.people WHERE id = {ROWS} FOR UPDATE"
    ));
    let mut child = stage.start(&[command, COLUMN]);
    let deadline = Instant::now() + Duration::from_secs(120);
    let sql = format!("SELECT {is_half} FROM s.people");
    while stage.sql(&sql) != "t" {
        assert!(Instant::now() < deadline, "{command} does nothing");
        assert!(child.try_wait().unwrap().is_none(), "{command} has ended");
    }
    // SIGKILL.
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_killed_run_is_begun_again_and_nothing_is_lost_or_done_twice() {
    let stage = Stage::new("killed", &people(ROWS), FILLING);
    let content =
        "SELECT count(*), md5(string_agg(concat(id, email), ',' ORDER BY id)) FROM s.people";
    let before = stage.sql(content);
    let cells = "count(*) FILTER (WHERE email LIKE 'enc\\_%')";
    for _ in 0..2 {
        let done: u64 = stage
            .sql(&format!("SELECT {cells} FROM s.people"))
            .parse()
            .unwrap();
        let more = format!("{cells} > {}", done + ROWS / 3);
        kill_halfway(&stage, "encrypt", &more);
        let (plain, current, older, broken, _) = stage.status();
        assert!(plain > 0 && current > done + ROWS / 3, "{plain} {current}");
        assert_eq!((plain + current, older, broken), (ROWS, 0, 0));
    }
    let half = stage.status().1;
    let said = stage.works(&["encrypt", COLUMN]);
    // What was a cell was left as it was.
    assert!(
        said.contains(&format!("encrypted {} values", ROWS - half)),
        "{said}"
    );
    assert_eq!(stage.status(), (0, ROWS, 0, 0, 100.0));

    kill_halfway(&stage, "decrypt", &format!("{cells} < {}", ROWS / 2));
    let (plain, current, older, broken, _) = stage.status();
    assert!(plain > 0 && current > 0, "{plain} {current}");
    assert_eq!((plain + current, older, broken), (ROWS, 0, 0));
    stage.works(&["decrypt", COLUMN]);
    // Encrypted twice it would be a cell still.
    assert_eq!(stage.sql(content), before);
}

#[test]
fn what_others_write_meanwhile_stays_as_they_wrote_it() {
    let rows = 20_000;
    let stage = Stage::new("beside", &people(rows), FILLING);
    let stop = AtomicBool::new(false);
    // Each thread has its own rows, and remembers what it wrote last.
    let written: Vec<HashMap<u64, (String, u64)>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|mine| {
                let (stage, stop) = (&stage, &stop);
                scope.spawn(move || {
                    let mut client = stage.connect();
                    let mut last = HashMap::new();
                    let mut turn = mine;
                    while !stop.load(Ordering::Relaxed) || last.len() < 50 {
                        turn += 1;
                        let id = 1 + (turn * 7_919 % (rows / 3)) * 3 + mine;
                        let before: Option<&(String, u64)> = last.get(&id);
                        let count = before.map_or(0, |(_, n)| *n) + 1;
                        let known = before.map(|(email, _)| email.clone());
                        // Every second one leaves the column as it is, cell or not.
                        let (set, email) = if turn % 2 == 0 {
                            let email = format!("new{turn}.{mine}@example.com");
                            (format!(", email = '{email}'"), email)
                        } else {
                            (String::new(), known.unwrap_or(format!("p{id}@example.com")))
                        };
                        let sql = format!("UPDATE s.people SET n = n + 1{set} WHERE id = {id}");
                        let answer = format!("{:?}", client.simple(&sql));
                        assert!(answer.contains("UPDATE 1"), "{answer}");
                        last.insert(id, (email, count));
                    }
                    last
                })
            })
            .collect();
        let mut child = stage.start(&["encrypt", COLUMN, "--vacuum", "none"]);
        // It never ends while somebody writes values, but it may: both are right here.
        thread::sleep(Duration::from_secs(6));
        stop.store(true, Ordering::Relaxed);
        let written = writers.into_iter().map(|w| w.join().unwrap()).collect();
        child.wait().unwrap();
        written
    });
    stage.works(&["encrypt", COLUMN]);
    assert_eq!(stage.status(), (0, rows, 0, 0, 100.0));
    stage.works(&["decrypt", COLUMN]);
    let mut expected: HashMap<u64, (String, u64)> = (1..=rows)
        .map(|id| (id, (format!("p{id}@example.com"), 0)))
        .collect();
    let count: usize = written.iter().map(HashMap::len).sum();
    assert!(count > 100, "{count}");
    expected.extend(written.into_iter().flatten());
    let found = stage.sql("SELECT id, n, email FROM s.people");
    assert_eq!(found.lines().count(), expected.len());
    for line in found.lines() {
        let fields: Vec<&str> = line.splitn(3, '|').collect();
        let (email, n) = &expected[&fields[0].parse().unwrap()];
        assert_eq!(
            (fields[1], fields[2]),
            (&*n.to_string(), &**email),
            "{line}"
        );
    }
}

#[test]
fn a_row_that_somebody_has_locked_comes_later_and_holds_nobody_up() {
    let stage = Stage::new("locked", &people(3_000), FILLING);
    let mut other = stage.connect();
    other.simple("BEGIN");
    other.simple("SELECT FROM s.people WHERE id = 1500 FOR UPDATE");
    let mut child = stage.start(&["encrypt", COLUMN, "--vacuum", "none"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let left = "SELECT string_agg(id::text, ',') FROM s.people WHERE email NOT LIKE 'enc\\_%'";
    while stage.sql(left) != "1500" {
        assert!(Instant::now() < deadline, "{}", stage.sql(left));
    }
    // No lock is held while it waits for the one row.
    stage.sql("SET lock_timeout = '1s'; UPDATE s.people SET n = 1 WHERE id <> 1500");
    other.simple("UPDATE s.people SET email = 'mine' WHERE id = 1500");
    assert!(child.try_wait().unwrap().is_none());
    other.simple("COMMIT");
    assert!(child.wait().unwrap().success());
    assert_eq!(stage.status(), (0, 3_000, 0, 0, 100.0));
    stage.works(&["decrypt", COLUMN]);
    assert_eq!(
        stage.sql("SELECT email FROM s.people WHERE id = 1500"),
        "mine"
    );
}

#[test]
fn two_runs_on_a_table_do_not_meet() {
    let stage = Stage::new("alone", &people(10), FILLING);
    let mut other = stage.connect();
    // What a run holds.
    let lock =
        "SELECT pg_advisory_lock((x'70677665'::int8 << 32) | 's.people'::regclass::oid::int8)";
    other.simple(lock);
    let started = Instant::now();
    stage.fails(
        &["encrypt", COLUMN],
        "another pgveil encrypt or decrypt works on s.people",
    );
    // It waits a while, in case the other was killed and its statement has not ended.
    assert!(started.elapsed() > Duration::from_secs(20));
    assert_eq!(stage.status().0, 10);
    drop(other);
    stage.works(&["encrypt", COLUMN]);
}

#[test]
fn the_proxy_serves_meanwhile_and_compares_afterwards() {
    let rows = 10_000;
    let stage = Stage::new("served", &people(rows), FILLING);
    let proxy = stage.serve();
    let mut client = proxy.connect(&stage);
    let find = "SELECT count(*) FROM s.people WHERE email = 'new20@example.com'";
    let grouped = "SELECT count(*) FROM s.people WHERE email = 'new20@example.com' GROUP BY email";
    let refused = format!("{:?}", client.simple(grouped));
    assert!(refused.starts_with("Error(\"42501\""), "{refused}");
    let none = format!("{:?}", client.simple(find));
    assert!(none.starts_with("Rows([\"0\"]"), "{none}");
    let mut child = stage.start(&["encrypt", COLUMN, "--vacuum", "none"]);
    let mut turn = 0;
    while child.try_wait().unwrap().is_none() {
        turn += 1;
        let id = 1 + turn * 7_919 % rows;
        let read = format!("SELECT email FROM s.people WHERE id = {id}");
        // A cell or a value: nobody sees which.
        let before = format!("Rows([\"p{id}@example.com\"]");
        let answer = format!("{:?}", client.simple(&read));
        assert!(turn > rows || answer.starts_with(&before), "{answer}");
        // By the value it has, which is turned into a cell at this moment, perhaps.
        let write = format!(
            "UPDATE s.people SET email = 'new{id}@example.com' \
             WHERE email IN ('p{id}@example.com', 'new{id}@example.com')"
        );
        let answer = format!("{:?}", client.simple(&write));
        assert!(answer.contains("UPDATE 1"), "{answer}");
        let after = format!("Rows([\"new{id}@example.com\"]");
        let answer = format!("{:?}", client.simple(&read));
        assert!(answer.starts_with(&after), "{answer}");
        let found = format!("SELECT id FROM s.people WHERE email = 'new{id}@example.com'");
        let answer = format!("{:?}", client.simple(&found));
        assert!(answer.starts_with(&format!("Rows([\"{id}\"]")), "{answer}");
    }
    assert!(child.wait().unwrap().success() && turn > 10, "{turn}");
    assert_eq!(stage.status(), (0, rows, 0, 0, 100.0));
    client.simple("UPDATE s.people SET email = 'new20@example.com' WHERE id = 20");
    stage.say("s.people.email: k");
    proxy.hang_up();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = format!("{:?}", client.simple(grouped));
        if answer.starts_with("Rows([\"1\"]") {
            break;
        }
        assert!(Instant::now() < deadline, "{answer}");
        thread::sleep(Duration::from_millis(50));
    }
    let all = "SELECT count(*) FROM s.people WHERE email IS NOT NULL AND email !~ '^(p|new)'";
    assert_eq!(stage.sql(all), rows.to_string());
}
