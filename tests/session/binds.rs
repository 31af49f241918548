//! The order in which Bind is checked: the statement, the numbers of formats and values, whether the
//! transaction is aborted, the portal's name, the values. And what PostgreSQL looks at before it looks at the
//! transaction.

use super::pooled::lending;
use super::wire::{SYNC, Sent, agree, agree_over};

const RUN: Sent<'_> = (b'E', b"\0\0\0\0\0");
const BEGIN: Sent<'_> = (b'Q', b"BEGIN\0");
const FAILS: Sent<'_> = (b'Q', b"SELECT 1/0\0");
const BACK: Sent<'_> = (b'Q', b"ROLLBACK\0");

/// A Bind: its portal and statement, the formats and values of parameters, the formats of the result.
fn bind(portal: &str, statement: &str, formats: &[u8], values: &[&str], results: &[u8]) -> Vec<u8> {
    let count = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let codes = |codes: &[u8]| {
        let each = codes.iter().flat_map(|code| [0, *code]);
        count(codes.len())
            .into_iter()
            .chain(each)
            .collect::<Vec<u8>>()
    };
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend(codes(formats));
    body.extend(count(values.len()));
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(codes(results));
    body
}

/// Good and bad Binds of a statement `s` of one parameter, `x` of none, and `back`, which ends a transaction.
fn binds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for portal in ["", "p", "c", "taken"] {
        all.push(bind(portal, "s", &[], &["1"], &[]));
        all.push(bind(portal, "x", &[], &[], &[]));
        if portal != "p" {
            // PostgreSQL warns of a snapshot that it forgot.
            all.push(bind(portal, "back", &[], &[], &[]));
        }
        all.push(bind(portal, "back", &[], &["1"], &[]));
        all.push(bind(portal, "missing", &[], &["1"], &[]));
        all.push(bind(portal, "missing", &[0, 0], &["1"], &[]));
        all.push(bind(portal, "s", &[], &[], &[]));
        all.push(bind(portal, "s", &[], &["1", "2"], &[]));
        all.push(bind(portal, "s", &[0, 0], &["1"], &[]));
        all.push(bind(portal, "s", &[0, 0], &[], &[]));
        all.push(bind(portal, "s", &[0, 1, 0], &["1", "2"], &[]));
        all.push(bind(portal, "s", &[1], &["12"], &[]));
        all.push(bind(portal, "s", &[0], &["1"], &[0, 0, 0]));
        all.push(bind(portal, "x", &[0], &[], &[1]));
        all.push(bind(portal, "x", &[0, 1], &[], &[]));
        all.push(bind(portal, "x", &[], &["1"], &[]));
    }
    all
}

#[test]
fn bind_is_checked_as_postgresql_does() {
    let binds = binds();
    let lending = lending(1);
    for of_s in [
        &b"s\0SELECT id FROM people WHERE id = $1\0\0\0"[..],
        b"s\0SELECT id FROM people WHERE email = $1::int::text\0\0\0",
        b"s\0SELECT id FROM people WHERE city = upper($1) LIMIT 1\0\0\0",
    ] {
        let mut conversations: Vec<Vec<Sent<'_>>> = vec![vec![
            (b'P', of_s),
            (b'P', b"x\0SELECT id FROM people\0\0\0"),
            (b'P', b"back\0ROLLBACK\0\0\0"),
            SYNC,
        ]];
        let taken: Sent<'_> = (b'B', b"taken\0x\0\0\0\0\0\0\0");
        let cursor: Sent<'_> = (b'Q', b"DECLARE c CURSOR FOR SELECT 7\0");
        let mark: Sent<'_> = (b'Q', b"SAVEPOINT m\0");
        let to_mark: Sent<'_> = (b'Q', b"ROLLBACK TO m\0");
        for body in &binds {
            let bad: Sent<'_> = (b'B', body);
            let first = [BEGIN, cursor, taken, SYNC];
            let last = [bad, SYNC, BACK];
            conversations.push([&first[..], &last].concat());
            conversations.push([&first[..], &[FAILS], &last].concat());
            conversations.push(vec![bad, SYNC]);
            // What was there before it is there still.
            let named: Sent<'_> = (b'E', b"taken\0\0\0\0\0");
            let then = [mark, bad, SYNC, to_mark, named, SYNC, BACK];
            conversations.push([&first[..], &then].concat());
        }
        let conversations: Vec<&[Sent<'_>]> = conversations.iter().map(Vec::as_slice).collect();
        agree_over(&lending, &conversations);
    }
}

#[test]
fn a_portal_that_a_savepoint_undid_is_no_more() {
    let (parse, bind): (Sent<'_>, Sent<'_>) = (
        (b'P', b"s\0SELECT id FROM people ORDER BY id\0\0\0"),
        (b'B', b"p\0s\0\0\0\0\0\0\0"),
    );
    let other: Sent<'_> = (b'P', b"t\0SELECT city, id FROM people ORDER BY id\0\0\0");
    let of_t: Sent<'_> = (b'B', b"p\0t\0\0\0\0\0\0\0");
    let (one, described): (Sent<'_>, Sent<'_>) = ((b'E', b"p\0\0\0\0\x01"), (b'D', b"Pp\0"));
    let mark: Sent<'_> = (b'Q', b"SAVEPOINT m\0");
    let to_mark: Sent<'_> = (b'Q', b"ROLLBACK TO m\0");
    agree(&[
        &[parse, other, SYNC],
        &[
            BEGIN, mark, bind, one, SYNC, to_mark, of_t, described, one, SYNC, one, SYNC, BACK,
        ],
        &[BEGIN, bind, mark, of_t, SYNC, to_mark, one, SYNC, BACK],
        &[BEGIN, mark, bind, SYNC, to_mark, one, SYNC, BACK],
        &[BEGIN, mark, bind, SYNC, to_mark, described, SYNC, BACK],
    ]);
}

#[test]
fn what_is_looked_at_before_the_transaction() {
    let (statement, portal): (Sent<'_>, Sent<'_>) = ((b'D', b"Snothing\0"), (b'D', b"Pnothing\0"));
    let nothing: Sent<'_> = (b'E', b"nothing\0\0\0\0\0");
    let (again, back): (Sent<'_>, Sent<'_>) =
        ((b'P', b"s\0SELECT 1\0\0\0"), (b'P', b"s\0ROLLBACK\0\0\0"));
    let odd = [
        statement,
        portal,
        nothing,
        again,
        back,
        (b'P', b"\0SELEC\0\0\0"),
        (b'P', b"\0SELECT nothing FROM people\0\0\0"),
        (b'P', b"\0SELECT 1; SELECT 2\0\0\0"),
        (b'P', b"\0SELECT $1 + nothing\0\0\0"),
        (b'P', b"s\0SELEC\0\0\0"),
        (b'P', b"s\0SELECT nothing FROM people\0\0\0"),
    ];
    let mut conversations: Vec<Vec<Sent<'_>>> = vec![vec![again, SYNC]];
    for sent in odd {
        conversations.push(vec![BEGIN, FAILS, sent, SYNC, BACK]);
        conversations.push(vec![BEGIN, sent, SYNC, BACK]);
        conversations.push(vec![sent, SYNC]);
    }
    for text in [
        &b"SELEC\0"[..],
        b"SELECT nothing FROM people\0",
        b"EXECUTE nothing\0",
        b"FETCH nothing\0",
        b"SELECT 1; SELEC\0",
        b"ROLLBACK; SELECT nothing FROM people\0",
        b"DEALLOCATE nothing\0",
    ] {
        conversations.push(vec![BEGIN, FAILS, (b'Q', text), BACK]);
        conversations.push(vec![BEGIN, (b'Q', text), BACK]);
    }
    let conversations: Vec<&[Sent<'_>]> = conversations.iter().map(Vec::as_slice).collect();
    agree(&conversations);
    agree(&[
        &[(b'P', b"r\0ROLLBACK\0\0\0"), SYNC],
        &[
            BEGIN,
            FAILS,
            (b'B', b"\0r\0\0\0\0\0\0\0"),
            RUN,
            nothing,
            SYNC,
        ],
    ]);
}

/// Whether a name is free may hang on an answer that is due.
#[test]
fn a_statement_that_could_not_be_prepared_leaves_its_name() {
    let parse: Sent<'_> = (b'P', b"n\0SELECT 1\0\0\0");
    let back: Sent<'_> = (b'P', b"n\0ROLLBACK\0\0\0");
    let bind: Sent<'_> = (b'B', b"\0n\0\0\0\0\0\0\0");
    let close: Sent<'_> = (b'C', b"Sn\0");
    agree(&[
        &[
            BEGIN, FAILS, parse, SYNC, back, bind, RUN, SYNC, close, SYNC,
        ],
        &[
            parse, SYNC, parse, SYNC, close, SYNC, parse, close, parse, SYNC,
        ],
    ]);
}

/// What an error skips neither makes nor drops a statement, also where more was sent before that was known.
#[test]
fn what_is_skipped_leaves_the_statements_as_they_were() {
    let unnamed: Sent<'_> = (b'P', b"\0SELECT 7\0\0\0");
    let bind: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
    let bad: Sent<'_> = (b'B', b"\0missing\0\0\0\0\0\0\0");
    let (one, two): (Sent<'_>, Sent<'_>) =
        ((b'P', b"a\0SELECT 1\0\0\0"), (b'P', b"a\0SELECT 2\0\0\0"));
    let (close, described): (Sent<'_>, Sent<'_>) = ((b'C', b"Sa\0"), (b'D', b"Sa\0"));
    agree(&[
        &[unnamed, SYNC],
        &[bad, one, SYNC, SYNC, bind, two, SYNC, close, SYNC],
        &[
            one, SYNC, bad, close, SYNC, described, SYNC, close, SYNC, described, SYNC,
        ],
        &[
            one, SYNC, bad, close, two, SYNC, two, SYNC, close, two, SYNC, close, SYNC,
        ],
    ]);
}
