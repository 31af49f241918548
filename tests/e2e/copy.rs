//! COPY in binary into columns of tokens: the values are the tokens' text, and 16 bytes where a token
//! is a uuid; what is stored is binary of the column's own type. And where it is stored: in no column
//! that took another's name while the statement was on its way.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::client::{Answer, Client};
use crate::support::stage::{Role, Stage};
use crate::tokens;

const COPY: &[u8] =
    b"COPY keys (id, small, number, big, code, ref, ext) FROM STDIN (FORMAT binary)\0";

fn tuple(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = i16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.unwrap_or_default());
    }
    out
}

/// Sends the data in pieces; PostgreSQL's or the proxy's answer.
fn copy(client: &mut Client, data: &[u8], piece: usize) -> Answer {
    client.send(b'Q', COPY);
    for piece in data.chunks(piece) {
        client.send(b'd', piece);
    }
    client.send(b'c', b"");
    client.answer()
}

fn data(tuples: &[Vec<u8>]) -> Vec<u8> {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    data.extend(tuples.concat());
    data.extend_from_slice(&[0xff, 0xff]);
    data
}

#[test]
fn binary_data_is_decoded_value_by_value() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Analyst);
    let token = |name: &str| tokens::put_in(stage, name);
    let uuid = data_encoding::HEXLOWER
        .decode(token("<ext of 1>").replace('-', "").as_bytes())
        .unwrap();
    let texts = ["small", "number", "big", "code", "ref"].map(|c| token(&format!("<{c} of 1>")));
    let mut values: Vec<Option<&[u8]>> = vec![Some(&[0, 0, 0, 11])];
    values.extend(texts.iter().map(|t| Some(t.as_bytes())));
    values.push(Some(&uuid));
    let nulls = [Some(&[0, 0, 0, 12][..]), None, None, None, None, None, None];
    let good = data(&[tuple(&values), tuple(&nulls)]);
    for piece in [1, 7, good.len()] {
        client.simple("BEGIN");
        assert!(
            matches!(copy(&mut client, &good, piece), Answer::Rows(_, tags) if tags == ["COPY 2"])
        );
        let same = "SELECT n.id FROM keys n JOIN keys o ON o.id = 1 AND o.small = n.small \
            AND o.number = n.number AND o.big = n.big AND o.code = n.code AND o.ref = n.ref \
            AND o.ext = n.ext WHERE n.id > 10";
        assert!(matches!(client.simple(same), Answer::Rows(rows, _) if rows == ["11"]));
        let null = "SELECT id FROM keys WHERE id > 10 AND small IS NULL AND number IS NULL \
            AND big IS NULL AND code IS NULL AND ref IS NULL AND ext IS NULL";
        assert!(matches!(client.simple(null), Answer::Rows(rows, _) if rows == ["12"]));
        client.simple("ROLLBACK");
    }
    // What the columns' own types would read: no tokens, and not stored.
    let plain: [Option<&[u8]>; 7] = [
        Some(&[0, 0, 0, 11]),
        Some(&31847_i16.to_be_bytes()),
        None,
        None,
        None,
        None,
        None,
    ];
    let refused = copy(&mut client, &data(&[tuple(&plain)]), 1000);
    assert!(
        matches!(&refused, Answer::Error(state, _) if state == "42501"),
        "{refused:?}"
    );
    for (bad, message) in [
        (&b"PGCOPY"[..], "COPY file signature not recognized"),
        (&good[..good.len() - 5], "unexpected EOF in COPY data"),
    ] {
        let refused = copy(&mut client, bad, 1000);
        assert!(
            matches!(&refused, Answer::Error(state, said) if state == "22P04" && said == message),
            "{refused:?}"
        );
    }
    let none = client.simple("SELECT id FROM keys WHERE id > 10");
    assert!(matches!(none, Answer::Rows(rows, _) if rows.is_empty()));
    stage.assert_silent(Role::Analyst, &mut client, "COPY");
}

/// An int2 is no token of an int4 column, though PostgreSQL would take it for one in a parameter.
#[test]
fn a_token_in_binary_is_as_long_as_the_columns_type() {
    let stage = super::siv::stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    for (copy, width) in [
        (
            &b"COPY accounts (id, number) FROM STDIN (FORMAT binary)\0"[..],
            4,
        ),
        (b"COPY keys (id, ext) FROM STDIN (FORMAT binary)\0", 16),
    ] {
        for length in (0..20).filter(|length| *length != width) {
            let token = vec![1; length];
            let data = data(&[tuple(&[Some(&[0, 0, 39, 16]), Some(&token)])]);
            let answers = [&mut client, &mut direct].map(|client| {
                client.send(b'Q', copy);
                client.send(b'd', &data);
                client.send(b'c', b"");
                match client.answer() {
                    Answer::Error(state, _) => state,
                    Answer::Rows(_, tags) => panic!("{length}: {tags:?}"),
                }
            });
            assert_eq!(answers[0], answers[1], "{length}");
        }
    }
}

#[test]
fn what_the_proxy_makes_of_rows_it_makes_of_copied_ones() {
    for stage in [super::clinic(), super::lending()] {
        let mut client = stage.connect(Role::Analyst);
        for query in [
            "SELECT id, name, email, born, city FROM patients ORDER BY id",
            "SELECT email, upper(city) FROM patients WHERE email IN ('<email of 1>', 'x') ORDER BY id",
            "SELECT id, ref, ext FROM keys WHERE ext IS NOT NULL ORDER BY id",
            "SELECT email FROM patients WHERE false",
            "SELECT id, lower(email), trim(name) FROM patients ORDER BY id",
        ] {
            let query = tokens::put_in(stage, query);
            let Answer::Rows(rows, _) = client.simple(&query) else {
                panic!("{query}")
            };
            let copied = client.simple(&format!(
                "COPY ({query}) TO STDOUT (DELIMITER '|', NULL '(null)')"
            ));
            let Answer::Rows(copied, tags) = copied else {
                panic!("{query}")
            };
            let copied: Vec<String> = copied.iter().map(|row| row.replace('|', " | ")).collect();
            assert_eq!(copied, rows, "{query}");
            assert_eq!(tags, [format!("COPY {}", rows.len())]);
            stage.assert_silent(Role::Analyst, &mut client, &query);
        }
        for refused in [
            "COPY (SELECT upper(email) FROM patients) TO STDOUT",
            "COPY (SELECT email FROM patients ORDER BY email) TO STDOUT",
            "COPY (SELECT email FROM patients UNION SELECT city FROM patients) TO STDOUT",
        ] {
            let answer = client.simple(refused);
            assert!(
                matches!(&answer, Answer::Error(state, _) if state == "42501"),
                "{refused}"
            );
        }
    }
}

/// A connection straight to PostgreSQL, as who may change the tables themselves.
fn administrator(stage: &Stage) -> Client {
    let login = "CREATE ROLE administrator SUPERUSER LOGIN PASSWORD 'administrator'";
    stage.cluster.run("postgres", login).unwrap();
    let address = stage.cluster.address();
    Client::connect(address, "administrator", "administrator", "clinic").unwrap()
}

#[test]
fn no_other_column_gets_what_a_token_stands_for() {
    const SWAP: &str = "BEGIN; ALTER TABLE staff RENAME name TO swap; \
        ALTER TABLE staff RENAME department TO name; ALTER TABLE staff RENAME swap TO department";
    // A stage of its own: its columns change names.
    let stage = Stage::build(None);
    let mut owner = administrator(&stage);
    let mut client = stage.connect(Role::Analyst);
    let Answer::Rows(tokens, _) = client.simple("SELECT name FROM staff WHERE id = 1") else {
        panic!("no token")
    };
    let insert = format!(
        "INSERT INTO staff (id, name, department) VALUES (11, '{}', 'x')",
        tokens[0]
    );
    let copy = "COPY staff (id, name, department) FROM STDIN".to_owned();
    for sql in [insert, copy] {
        assert!(matches!(owner.simple(SWAP), Answer::Rows(..)));
        // It is planned on the old names, and waits for the lock.
        client.send(b'Q', format!("{sql}\0").as_bytes());
        client.send(b'd', format!("11\t{}\tx\n", tokens[0]).as_bytes());
        client.send(b'c', b"");
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        soon(
            "it does not wait for the lock",
            || matches!(owner.simple(waits), Answer::Rows(rows, _) if rows == ["1"]),
        );
        owner.simple("COMMIT");
        let answer = client.answer();
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "40001"),
            "{answer:?}"
        );
        let stored = owner.simple("SELECT count(*) FROM staff WHERE id > 10");
        assert!(matches!(stored, Answer::Rows(rows, _) if rows == ["0"]));
        owner.simple(SWAP);
        owner.simple("COMMIT");
        stage.assert_silent(Role::Analyst, &mut client, &sql);
        // The proxy reads the catalog again and goes on.
        soon(
            "the session does not recover",
            || matches!(client.simple("SELECT name FROM staff WHERE id = 1"), Answer::Rows(rows, _) if rows == tokens),
        );
    }
}

/// Waits for what must come.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what}");
        sleep(Duration::from_millis(20));
    }
}
