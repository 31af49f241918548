//! What only later versions of PostgreSQL read, as the server's version reads it: what it refuses is
//! refused.

use crate::support::client::{Answer, Client};
use crate::support::stage::Role;

const NUMBERS: &[&str] = &[
    "SELECT 0x10, 0o17, 0b101, 1_000, 1_000.5, 1e1_0, 0x_F",
    "SELECT id FROM patients WHERE id = 0x2",
    "SELECT id, city FROM patients ORDER BY 0x2, 1 LIMIT 0b11",
    "SELECT pg_typeof(0x7FFFFFFF), pg_typeof(0x80000000), pg_typeof(0xFFFFFFFFFFFFFFFF)",
    "SELECT -0x80000000, - 0xFFFFFFFFFFFFFFFF",
    "SELECT 12_345::numeric(7_0, 1), '0x10'::text",
    "SELECT 1_000 x, 1_000 AS _000",
    "SELECT 0x",
    "SELECT 1__0",
    "SELECT 1_",
    "SELECT 0b2",
];

#[test]
fn numbers_are_what_the_server_takes_them_for() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for sql in NUMBERS {
        for (mine, theirs) in [
            (client.simple(sql), direct.simple(sql)),
            (client.extended(sql), direct.extended(sql)),
        ] {
            same(mine, theirs, sql);
        }
    }
}

/// In the words of errors the proxy is free.
fn same(mine: Answer, theirs: Answer, sql: &str) {
    match (mine, theirs) {
        (Answer::Error(mine, _), Answer::Error(theirs, _)) => assert_eq!(mine, theirs, "{sql}"),
        (mine, theirs) => assert_eq!(mine, theirs, "{sql}"),
    }
}

const LOADS: &[&str] = &[
    "COPY loaded FROM STDIN (ON_ERROR ignore)",
    "COPY loaded (n, t) FROM STDIN WITH (FORMAT csv, DELIMITER E'\\t', ON_ERROR 'IGNORE')",
    "COPY loaded FROM STDIN (ON_ERROR stop)",
    "COPY loaded FROM STDIN (ON_ERROR perhaps)",
    "COPY loaded FROM STDIN (ON_ERROR ignore, ON_ERROR ignore)",
    "COPY loaded TO STDOUT (ON_ERROR ignore)",
];

fn load(client: &mut Client, sql: &str) -> Answer {
    client.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
    client.send(b'd', b"1\tone\nx\ttwo\n3\tthree\n");
    client.send(b'c', b"");
    client.answer()
}

#[test]
fn rows_that_are_not_of_the_type_are_left_out_where_the_server_can() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for session in [&mut client, &mut direct] {
        session.simple("CREATE TEMP TABLE loaded (n int, t text)");
    }
    for sql in LOADS {
        same(load(&mut client, sql), load(&mut direct, sql), sql);
        let kept = "SELECT n, t FROM loaded ORDER BY n, t";
        same(client.simple(kept), direct.simple(kept), sql);
    }
    // Tokens the proxy reads itself, and PostgreSQL rows it cannot have.
    let tokens = stage
        .connect(Role::Analyst)
        .simple("COPY keys (id, small) FROM STDIN (ON_ERROR ignore)");
    assert!(
        matches!(&tokens, Answer::Error(state, _) if ["0A000", "42601"].contains(&state.as_str())),
        "{tokens:?}"
    );
}
