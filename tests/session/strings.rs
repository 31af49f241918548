//! Several statements in one string: PostgreSQL reads the whole string first, and analyzes each statement
//! when those before it are done.

use super::client::Client;
use super::stage::{PASSWORD, Stage};
use super::wire::{Sent, agree};

/// Each string for itself, and all of them in one session.
fn agree_on(strings: &[&str]) {
    let ended: Vec<String> = strings.iter().map(|sql| format!("{sql}\0")).collect();
    let sent: Vec<[Sent<'_>; 1]> = ended.iter().map(|s| [(b'Q', s.as_bytes())]).collect();
    let conversations: Vec<&[Sent<'_>]> = sent.iter().map(|s| &s[..]).collect();
    agree(&conversations);
}

#[test]
fn a_statement_means_what_those_before_it_made_of_it() {
    agree_on(&[
        "CREATE TEMP TABLE t AS SELECT id, city FROM people; SELECT * FROM t ORDER BY id",
        "DROP TABLE t; CREATE TEMP TABLE t (x int); INSERT INTO t VALUES (1); SELECT x FROM t",
        "BEGIN; SET search_path = nowhere; SHOW search_path; ROLLBACK; SELECT count(*) FROM people",
        "PREPARE p AS SELECT city FROM people WHERE id = $1; EXECUTE p(2); DEALLOCATE p",
        "BEGIN; DECLARE c CURSOR FOR SELECT x FROM t; FETCH c; CLOSE c; COMMIT",
        "BEGIN; CREATE TEMP TABLE u ON COMMIT DROP AS SELECT 1 AS y; SELECT y FROM u; COMMIT",
    ]);
}

#[test]
fn a_statement_that_cannot_be_analyzed_fails_at_its_turn() {
    agree_on(&[
        "SELECT 1; SELECT nothing; SELECT 3",
        "SELECT 1; SELECT * FROM nowhere",
        "SELECT 1; EXECUTE nothing",
        "SELECT 1; FETCH nothing",
        "PREPARE p AS SELECT 1; PREPARE p AS SELECT 2",
        "EXECUTE p",
        // PostgreSQL keeps what was prepared, whatever became of the string.
        "DEALLOCATE p; PREPARE q AS SELECT 1; SELECT nothing",
        "EXECUTE q; EXECUTE p",
        // The implicit transaction is undone, and what a COMMIT has ended is not.
        "CREATE TEMP TABLE a (x int); SELECT nothing",
        "SELECT * FROM a",
        "CREATE TEMP TABLE a (x int); COMMIT; INSERT INTO a VALUES (1); SELECT nothing",
        "SELECT * FROM a; SELECT nothing",
        "BEGIN; INSERT INTO a VALUES (2); COMMIT; SET search_path = b; SELECT nothing",
        "SHOW search_path; SELECT count(*) FROM a; DROP TABLE a; SELECT * FROM a",
        "SELECT count(*) FROM a",
        "BEGIN; INSERT INTO a VALUES (3); ROLLBACK; SELECT nothing",
        "SELECT count(*) FROM a",
        // What cannot be read runs nothing.
        "DROP TABLE a; SELEC 1",
        "SELECT count(*) FROM a",
        // In a block it aborts it.
        "BEGIN; SELECT 1; SELECT nothing",
        "SELECT 1; SELECT nothing",
        "ROLLBACK; SELECT 2",
        "BEGIN; SELECT nothing",
        "COMMIT; SELECT nothing",
        "SELECT 4",
        "BEGIN; SAVEPOINT s; SELECT nothing",
        "ROLLBACK TO s; SELECT 5; SELECT nothing",
        "ROLLBACK TO s; CREATE TEMP TABLE people (n text); SELECT * FROM people; SELECT nothing",
        "ROLLBACK TO s; SELECT count(*) FROM people; COMMIT",
        "BEGIN; DECLARE c CURSOR FOR SELECT 6; FETCH c; COMMIT; FETCH c",
        "SELECT 7",
    ]);
}

#[test]
fn commit_of_an_aborted_block_leaves_nothing_of_it() {
    for end in ["COMMIT", "END", "ROLLBACK"] {
        agree_on(&[
            "BEGIN; CREATE TEMP TABLE people AS SELECT 'x' AS city; SELECT city FROM people",
            "SELECT 1/0",
            &format!("{end}; SELECT city FROM people WHERE id = 1"),
            "SELECT city FROM people WHERE id = 2",
        ]);
    }
}

#[test]
fn temporary_tables_are_searched_where_the_path_says() {
    agree_on(&[
        "CREATE TEMP TABLE people (x int); CREATE TEMP TABLE pg_class (x int); SELECT x FROM pg_class",
        "SET search_path = public, pg_temp; SELECT count(*) FROM people",
        "SELECT to_regclass('people') = 'public.people'::regclass, 'people'::regclass = 'public.people'::regclass",
        "SELECT to_regclass(n::text) = 'public.people'::regclass FROM (VALUES ('peo' || 'ple')) AS v (n)",
        "SELECT count(relname) > 0 FROM pg_class",
        "SET search_path = pg_temp, public; SELECT x FROM people",
        "SELECT to_regclass(n::text) = 'pg_temp.people'::regclass FROM (VALUES ('peo' || 'ple')) AS v (n)",
        "SELECT count(relname) > 0 FROM pg_class",
        "SET search_path = public; SELECT x FROM people",
        "SELECT x FROM pg_class",
        "DROP TABLE people; SELECT count(*) FROM people",
        "DROP TABLE pg_temp.pg_class; SELECT count(*) > 0 FROM pg_class",
    ]);
    // It is not the temporary one.
    let mut support = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    for sql in ["DROP TABLE people", "TRUNCATE people"] {
        let before = "CREATE TEMP TABLE people (x int); SET search_path = public, pg_temp";
        let answer = support.simple(&format!("BEGIN; {before}; {sql}"));
        assert!(format!("{answer:?}").contains("42501"), "{answer:?}");
        let answer = support.simple("ROLLBACK");
        assert!(!format!("{answer:?}").contains("42501"), "{answer:?}");
    }
}

#[test]
fn what_the_proxy_alone_refuses_is_refused_at_its_turn_too() {
    let mut support = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    let mut told = |sql: &str| {
        support.send(b'Q', format!("{sql}\0").as_bytes());
        let all = support.until_ready();
        let places = all.iter().filter(|m| m.kind == b'E').map(|m| {
            let mut fields = m.body.split(|b| *b == 0);
            let place = fields.find_map(|f| f.strip_prefix(b"P"));
            let place = place.map(|p| String::from_utf8_lossy(p).into_owned());
            (m.error()[0].clone(), place)
        });
        let kinds: String = all.iter().map(|m| char::from(m.kind)).collect();
        (kinds, places.collect::<Vec<_>>())
    };
    let refused = |code: &str, place: Option<&str>| (code.to_owned(), place.map(str::to_owned));
    let sql =
        "CREATE TEMP TABLE kept (n int); COMMIT; INSERT INTO kept VALUES (1); DELETE FROM people";
    let (kinds, errors) = told(sql);
    assert_eq!(kinds.replace('N', ""), "CCCEZ");
    assert_eq!(errors[0].0, "42501");
    let (kinds, errors) = told("SELECT n FROM kept; SELECT 'é', nothing; SELECT 1");
    assert_eq!(kinds, "TCEZ");
    // In characters, of the whole string.
    assert_eq!(errors, [refused("42703", Some("33"))]);
    // The one before it fails first: it is not come to.
    let (kinds, errors) = told("SELECT 1/0; DELETE FROM people");
    assert_eq!(kinds, "EZ");
    assert_eq!(errors, [refused("22012", None)]);
}
