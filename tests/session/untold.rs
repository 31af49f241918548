//! Results with a character that the client's encoding lacks: PostgreSQL's error, and what is left of the
//! transaction.

use std::net::SocketAddr;

use super::client::{Answer, Client};
use super::encodings::told;
use super::stage::{PASSWORD, Stage};
use super::wire::{SYNC, Sent, lending};

fn connect(addr: SocketAddr, user: &str) -> Client {
    let start = [("client_encoding", "LATIN1")];
    Client::connect_with(addr, user, PASSWORD, "stage", &start).unwrap()
}

/// Sends everything, and reads up to the ReadyForQuery of each Query and Sync.
fn answers(client: &mut Client, sent: &[Sent<'_>]) -> Vec<String> {
    client.send_at_once(sent);
    let due = sent.iter().filter(|(kind, _)| matches!(kind, b'Q' | b'S'));
    due.flat_map(|_| told(client)).collect()
}

/// The same of PostgreSQL and of all roads through the proxy.
#[track_caller]
fn fails_alike(sent: &[Sent<'_>]) {
    let stage = Stage::shared();
    let expected = answers(&mut connect(stage.cluster.address(), "stage_login"), sent);
    let shown: Vec<_> = sent
        .iter()
        .map(|(_, text)| String::from_utf8_lossy(text))
        .collect();
    assert!(expected.contains(&"E 22P05".to_owned()), "{shown:?}");
    for (addr, user) in [
        (stage.addr, "app"),
        (stage.addr, "support"),
        (lending().addr, "support"),
    ] {
        let heard = answers(&mut connect(addr, user), sent);
        assert_eq!(heard, expected, "{user} {shown:?}");
    }
    // Nothing of it was done.
    let mut direct = connect(stage.cluster.address(), "stage_login");
    let left = direct.simple("SELECT count(*) FROM sink WHERE note = 'lost'");
    assert!(
        matches!(left, Answer::Rows(rows, _) if rows == ["0"]),
        "{shown:?}"
    );
}

const NEXT: Sent<'_> = (b'Q', b"SELECT 5\0");
const BEGIN: Sent<'_> = (b'Q', b"BEGIN; INSERT INTO sink VALUES (9, 'lost')\0");
const COMMIT: Sent<'_> = (b'Q', b"COMMIT\0");
const ROLLBACK: Sent<'_> = (b'Q', b"ROLLBACK\0");
const MARK: Sent<'_> = (b'Q', b"SAVEPOINT s\0");
const BACK: Sent<'_> = (b'Q', b"ROLLBACK TO s\0");

#[test]
fn a_query_fails_where_its_row_cannot_be_told() {
    for query in [
        &b"SELECT chr(8364)\0"[..],
        b"SELECT 1 AS U&\"\\20AC\"\0",
        b"COPY (SELECT chr(8364)) TO STDOUT\0",
        b"COPY (SELECT g, CASE g WHEN 3 THEN chr(8364) ELSE 'x' END \
          FROM generate_series(1, 9) g) TO STDOUT\0",
        // Much comes behind it.
        b"SELECT g, CASE g WHEN 3 THEN chr(8364) ELSE 'x' END FROM generate_series(1, 20000) g\0",
        // The server fails too, when the client has its error already.
        b"SELECT CASE g WHEN 2 THEN chr(8364) ELSE (6 / (g - 3))::text END \
          FROM generate_series(1, 5) g\0",
        b"SELECT city, chr(8364) FROM people\0",
        b"VALUES ('x'), (U&'\\20AC'), ('y')\0",
    ] {
        let query: Sent<'_> = (b'Q', query);
        fails_alike(&[query, NEXT, query, query, NEXT]);
        fails_alike(&[BEGIN, query, NEXT, ROLLBACK, NEXT]);
        fails_alike(&[BEGIN, query, COMMIT, NEXT]);
        fails_alike(&[BEGIN, MARK, query, BACK, NEXT, query, BACK, ROLLBACK]);
    }
    let insert: Sent<'_> = (
        b'Q',
        b"INSERT INTO sink VALUES (10, 'lost') RETURNING chr(8364)\0",
    );
    fails_alike(&[BEGIN, insert, NEXT, COMMIT]);
    let declare: Sent<'_> = (
        b'Q',
        b"DECLARE c CURSOR FOR SELECT chr(8362 + g) FROM generate_series(1, 3) g\0",
    );
    fails_alike(&[BEGIN, declare, (b'Q', b"FETCH 3 FROM c\0"), NEXT, ROLLBACK]);
    let prepare: Sent<'_> = (b'Q', b"PREPARE p AS SELECT chr(8364)\0");
    fails_alike(&[prepare, (b'Q', b"EXECUTE p\0"), NEXT]);
}

#[test]
fn a_pipeline_fails_with_what_it_wrote() {
    let parse: Sent<'_> = (b'P', b"\0SELECT chr(8364)\0\0\0");
    let third: Sent<'_> = (
        b'P',
        b"\0SELECT g, CASE g WHEN 3 THEN chr(8364) ELSE 'x' END FROM generate_series(1, 5) g\0\0\0",
    );
    let returning: Sent<'_> = (
        b'P',
        b"\0INSERT INTO sink VALUES (7, 'lost') RETURNING chr(8364)\0\0\0",
    );
    let insert: Sent<'_> = (b'P', b"\0INSERT INTO sink VALUES (8, 'lost')\0\0\0");
    let commit: Sent<'_> = (b'P', b"\0COMMIT\0\0\0");
    let (bind, described): (Sent<'_>, Sent<'_>) = ((b'B', b"\0\0\0\0\0\0\0\0"), (b'D', b"P\0"));
    let (run, one): (Sent<'_>, Sent<'_>) = ((b'E', b"\0\0\0\0\0"), (b'E', b"\0\0\0\0\x01"));
    fails_alike(&[parse, bind, run, SYNC, NEXT]);
    fails_alike(&[parse, bind, described, run, parse, bind, run, SYNC, NEXT]);
    fails_alike(&[third, bind, run, SYNC, NEXT]);
    fails_alike(&[third, bind, one, one, one, one, SYNC, NEXT]);
    fails_alike(&[insert, bind, run, parse, bind, run, SYNC, NEXT]);
    fails_alike(&[parse, bind, run, insert, bind, run, SYNC, NEXT]);
    fails_alike(&[returning, bind, run, SYNC, NEXT]);
    fails_alike(&[BEGIN, parse, bind, run, SYNC, NEXT, ROLLBACK]);
    fails_alike(&[
        BEGIN, returning, bind, run, commit, bind, run, SYNC, COMMIT, NEXT,
    ]);
    fails_alike(&[BEGIN, MARK, parse, bind, run, SYNC, BACK, NEXT, ROLLBACK]);
}

#[test]
fn a_query_that_may_change_something_is_not_committed_before_it_is_told() {
    for query in [
        &b"INSERT INTO sink VALUES (11, 'lost') RETURNING chr(8364)\0"[..],
        b"INSERT INTO sink SELECT 11, 'lost' FROM generate_series(1, 5000) RETURNING repeat('x', 99), chr(8364)\0",
        b"INSERT INTO sink VALUES (11, 'lost') RETURNING 1 AS U&\"\\20AC\"\0",
        b"INSERT INTO sink SELECT g, 'lost' FROM generate_series(1, 5) g \
          RETURNING CASE id WHEN 3 THEN chr(8364) ELSE 'x' END, id\0",
        b"WITH w AS (INSERT INTO sink VALUES (11, 'lost') RETURNING 1) SELECT chr(8364) FROM w\0",
        b"SELECT chr(8364), set_config('lock_timeout', '77s', false)\0",
        b"SELECT chr(8364) FROM places\0",
        b"COPY (SELECT chr(8364) FROM places) TO STDOUT\0",
        // The server fails too, before or after.
        b"SELECT CASE id WHEN 2 THEN chr(8364) ELSE (6 / (id - 3))::text END FROM places\0",
    ] {
        let query: Sent<'_> = (b'Q', query);
        let shown: Sent<'_> = (b'Q', b"SELECT current_setting('lock_timeout')\0");
        // The second is not planned anew.
        fails_alike(&[query, NEXT, query, query, shown, NEXT]);
        fails_alike(&[BEGIN, query, NEXT, ROLLBACK, query]);
    }
    // What can be told is committed, also if the client leaves behind it.
    let mut support = connect(Stage::shared().addr, "support");
    let told = |sql: &[u8]| {
        let leaves: [Sent<'_>; 2] = [(b'Q', sql), (b'X', b"")];
        let mut client = connect(Stage::shared().addr, "support");
        client.send_at_once(&leaves);
        while client.receive().is_ok() {}
    };
    told(b"INSERT INTO sink VALUES (4713, 'kept') RETURNING 'x'\0");
    let insert = "INSERT INTO sink VALUES (4713, 'kept') RETURNING 'x'";
    for sql in [
        insert,
        insert,
        "INSERT INTO sink VALUES (4713, NULL) RETURNING 1 / (id - 4713)",
    ] {
        drop(support.simple(sql));
    }
    let answer = support.simple("DELETE FROM sink WHERE id = 4713 RETURNING note");
    assert!(
        matches!(&answer, Answer::Rows(rows, _) if *rows == ["kept", "kept", "kept"]),
        "{answer:?}"
    );
}

/// What stands behind it in the string is run, and nobody hears of it: it is undone with the block, or has
/// done nothing.
#[test]
fn what_stands_behind_it_in_a_string_did_not_happen() {
    let lost = "INSERT INTO sink VALUES (12, 'lost')";
    for rest in [
        "SELECT 1",
        lost,
        "INSERT INTO sink VALUES (12, 'lost') RETURNING note; SELECT 1",
        "SELECT 1/0",
        "SELECT nothing FROM people; SELECT 1",
        "COPY (SELECT 1) TO STDOUT; SELECT 2",
        "COPY sink FROM STDIN; SELECT 2",
        "SELECT chr(8364)",
        "SELECT 7 AS U&\"\\20AC\"; SHOW search_path",
    ] {
        for first in [
            "SELECT chr(8364)",
            "SELECT 1; SELECT chr(8364)",
            "SELECT 1 AS U&\"\\20AC\"",
            "COPY (SELECT chr(8364)) TO STDOUT",
            "SAVEPOINT t; SELECT chr(8364)",
        ] {
            let text = format!("{first}; {rest}\0");
            let several: Sent<'_> = (b'Q', text.as_bytes());
            fails_alike(&[BEGIN, several, NEXT, ROLLBACK, NEXT]);
            fails_alike(&[BEGIN, MARK, several, BACK, NEXT, ROLLBACK, NEXT]);
            fails_alike(&[BEGIN, several, COMMIT, NEXT]);
            let text = format!("BEGIN; {first}; {rest}\0");
            fails_alike(&[(b'Q', text.as_bytes()), NEXT, ROLLBACK, NEXT]);
        }
    }
    let several: Sent<'_> = (
        b'Q',
        b"SELECT 1; SELECT chr(8364); SELECT city FROM people\0",
    );
    fails_alike(&[several, NEXT, several, NEXT]);
    let pipeline: [Sent<'_>; 3] = [
        (b'P', b"\0INSERT INTO sink VALUES (12, 'lost')\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
    ];
    fails_alike(&[&[BEGIN], &pipeline[..], &[several, NEXT, ROLLBACK, NEXT]].concat());
}

#[test]
fn a_name_that_cannot_be_told_fails_its_description() {
    let parse: Sent<'_> = (b'P', b"s\0SELECT 1 AS U&\"\\20AC\"\0\0\0");
    let insert: Sent<'_> = (b'P', b"\0INSERT INTO sink VALUES (13, 'lost')\0\0\0");
    let unnamed: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
    let bind: Sent<'_> = (b'B', b"p\0s\0\0\0\0\0\0\0");
    let (statement, portal): (Sent<'_>, Sent<'_>) = ((b'D', b"Ss\0"), (b'D', b"Pp\0"));
    let (run, of_p): (Sent<'_>, Sent<'_>) = ((b'E', b"\0\0\0\0\0"), (b'E', b"p\0\0\0\0\0"));
    let close: Sent<'_> = (b'C', b"Ss\0");
    fails_alike(&[parse, statement, bind, of_p, SYNC, close, SYNC, NEXT]);
    fails_alike(&[parse, bind, portal, of_p, SYNC, NEXT, statement, SYNC, NEXT]);
    fails_alike(&[parse, SYNC, statement, SYNC, bind, of_p, SYNC, NEXT]);
    fails_alike(&[insert, unnamed, run, parse, statement, SYNC, NEXT]);
    fails_alike(&[parse, bind, portal, insert, unnamed, run, SYNC, NEXT]);
    fails_alike(&[BEGIN, parse, statement, SYNC, NEXT, ROLLBACK, NEXT]);
    fails_alike(&[
        BEGIN, MARK, parse, bind, SYNC, portal, SYNC, BACK, NEXT, ROLLBACK,
    ]);
    let declare: Sent<'_> = (b'Q', b"DECLARE p CURSOR FOR SELECT 1 AS U&\"\\20AC\"\0");
    fails_alike(&[BEGIN, declare, portal, SYNC, NEXT, ROLLBACK, NEXT]);
}

/// PostgreSQL would have undone what the proxy cannot undo any more.
#[test]
fn what_may_be_committed_by_then_ends_the_session() {
    let insert: Sent<'_> = (b'P', b"\0INSERT INTO sink VALUES (11, 'kept')\0\0\0");
    let (bind, run): (Sent<'_>, Sent<'_>) = ((b'B', b"\0\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\0"));
    for sql in [
        &b"INSERT INTO sink VALUES (11, 'kept'); SELECT chr(8364)\0"[..],
        b"BEGIN; SELECT chr(8364); COMMIT\0",
        b"BEGIN; SELECT chr(8364); SAVEPOINT t\0",
        b"BEGIN; DECLARE c CURSOR FOR SELECT 1; SELECT chr(8364); FETCH c\0",
        b"BEGIN; COMMIT; INSERT INTO sink VALUES (11, 'kept'); SELECT chr(8364)\0",
    ] {
        ends(&[(b'Q', sql)]);
    }
    ends(&[insert, bind, run, (b'Q', b"SELECT chr(8364)\0")]);
}

#[track_caller]
fn ends(sent: &[Sent<'_>]) {
    let mut client = connect(Stage::shared().addr, "support");
    client.send_at_once(sent);
    let heard = client.until_ready();
    let error = heard.iter().find(|m| m.kind == b'E');
    assert_eq!(error.unwrap().error()[0], "22P05");
    assert!(heard.iter().all(|m| m.kind != b'Z'));
}
