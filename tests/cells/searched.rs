//! Values are found while a column is being filled, and while its key is changed: by an index, and by
//! statements that were prepared before.

use std::thread;
use std::time::{Duration, Instant};

use super::client::{Answer, Client};
use super::stage::{Proxy, Stage};

const COLUMN: &str = "s.people.email";
const FILLING: &str = "s.people.email: {key: k, backfill: true}";
const WHOLE: &str = "s.people.email: k";

const PEOPLE: &str = "
CREATE TABLE s.people (id int PRIMARY KEY, email text);
INSERT INTO s.people SELECT n, 'p' || n || '@example.com' FROM generate_series(1, 3000) n;
CREATE UNIQUE INDEX people_email ON s.people (email);
ANALYZE s.people;";

/// The same session finds each of these rows, whatever form its value has.
#[track_caller]
fn finds(client: &mut Client) {
    for id in [1, 2, 3, 7, 8, 9, 2998, 2999, 3000] {
        let value = format!("p{id}@example.com");
        for sql in [
            format!("EXECUTE one ('{value}')"),
            format!("EXECUTE listed ('nobody', '{value}')"),
            format!("EXECUTE several ('{{x,{value}}}')"),
            format!("SELECT id FROM s.people WHERE email = '{value}'"),
            format!("SELECT id FROM s.people WHERE email IN ('nobody', '{value}')"),
        ] {
            let answer = client.simple(&sql);
            let found = matches!(&answer, Answer::Rows(rows, _) if *rows == [id.to_string()]);
            assert!(found, "{sql}: {answer:?}");
        }
        let others = format!("SELECT count(*) FROM s.people WHERE email <> '{value}'");
        let answer = client.simple(&others);
        assert!(
            matches!(&answer, Answer::Rows(rows, _) if *rows == ["2999"]),
            "{others}: {answer:?}"
        );
    }
}

/// Waits until the proxy has taken a change of what `sql` says.
#[track_caller]
fn until(proxy: &Proxy, stage: &Stage, sql: &str, refused: bool) {
    proxy.hang_up();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = proxy.connect(stage).simple(sql);
        if matches!(answer, Answer::Error(..)) == refused {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_value_is_found_in_every_form_by_the_index() {
    let stage = Stage::new("searched", PEOPLE, FILLING);
    let proxy = stage.serve();
    let mut client = proxy.connect(&stage);
    for (name, condition) in [
        ("one (text)", "email = $1"),
        ("listed (text, text)", "email IN ($1, $2)"),
        ("several (text[])", "email = ANY ($1)"),
    ] {
        let sql = format!("PREPARE {name} AS SELECT id FROM s.people WHERE {condition}");
        let answer = client.simple(&sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
    }
    // Values only.
    finds(&mut client);
    stage.works(&["encrypt", COLUMN]);
    // Cells only; what is grouped tells when the proxy knows.
    finds(&mut client);
    stage.say(WHOLE);
    let grouped = "SELECT email FROM s.people GROUP BY email LIMIT 1";
    until(&proxy, &stage, grouped, false);
    finds(&mut client);
    // Cells of two keys, and values that somebody writes past the proxy.
    stage.rotate();
    stage.say(FILLING);
    until(&proxy, &stage, grouped, true);
    finds(&mut client);
    stage.sql("UPDATE s.people SET email = 'p' || id || '@example.com' WHERE id % 3 = 0");
    for id in [1, 7, 2998] {
        let sql = format!(
            "UPDATE s.people SET email = 'p{id}@example.com' WHERE email = 'p{id}@example.com'"
        );
        let answer = client.simple(&sql);
        assert!(
            matches!(&answer, Answer::Rows(_, tags) if *tags == ["UPDATE 1"]),
            "{answer:?}"
        );
    }
    let forms = "SELECT count(DISTINCT left(email, 8)) FILTER (WHERE email ~ '^enc_'), \
                 count(*) FILTER (WHERE email !~ '^enc_') FROM s.people";
    assert_eq!(stage.sql(forms), "2|1000");
    finds(&mut client);
    // By the index, and by nothing else: a session says what it has counted at the end of a statement,
    // once in a second.
    let counts = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'people'";
    let counted = |client: &mut Client| {
        thread::sleep(Duration::from_millis(1_100));
        client.simple("SELECT 1");
        stage.sql(counts)
    };
    let before = counted(&mut client);
    for sql in [
        "EXECUTE one ('p3@example.com')",
        "EXECUTE several ('{p3@example.com,x}')",
        "EXECUTE listed ('p1@example.com', 'p2@example.com')",
        "SELECT id FROM s.people WHERE email = 'p7@example.com'",
    ] {
        let answer = client.simple(sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
    }
    assert_eq!(counted(&mut client), before, "the whole table was read");
    // Until all are of the newest.
    stage.works(&["encrypt", COLUMN]);
    finds(&mut client);
}
