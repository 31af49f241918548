//! A statement whose WHERE picks rows by columns the analyst sees has only their tokens made. One value of
//! the table is longer than may be read, so that every statement that would read it fails.

use crate::in_any_order;
use crate::support::client::{Answer, Client};
use crate::support::stage::Role;
use crate::tabulated::{apart, ok};

/// The row is not among those these choose.
pub(crate) const PICKED: &[&str] = &[
    "SELECT id, upper(name) FROM patients WHERE id = 3",
    "SELECT id, name || '!' FROM patients WHERE 4 > id AND name || '' <> ''",
    "SELECT id, name || '!' FROM patients AS p (id, n, name) WHERE id <= 3 AND id >= 2",
    "SELECT id FROM patients WHERE id IN (1, 3, 5) ORDER BY name",
    "SELECT id, lower(name) FROM patients WHERE id BETWEEN 2 AND 4",
    "SELECT id, lower(name) FROM patients WHERE id BETWEEN SYMMETRIC 4 AND 2",
    "SELECT id, lower(name) FROM patients WHERE id = ANY ('{1,2}'::int[])",
    "SELECT id, lower(name) FROM patients WHERE id = ANY (ARRAY[1, 2])",
    "SELECT max(name), min(id) FROM patients WHERE id < 5 AND (city > 'A' OR name > 'z')",
    "SELECT p.id, v.id, upper(p.name) FROM visits v LEFT JOIN patients p ON p.id = v.patient_id WHERE p.id = 2",
    "SELECT p.id, q.id FROM patients p FULL JOIN patients q ON upper(p.name) = upper(q.name) \
     WHERE p.id < 4 AND q.id < 5",
    "SELECT s.id, p.id FROM staff s LEFT JOIN patients p ON p.name < s.email WHERE p.id = 2",
    "SELECT p.id, q.id FROM patients p JOIN patients q ON p.name < q.name WHERE p.id < 3 AND q.id BETWEEN 3 AND 6",
    "SELECT id, (SELECT string_agg(q.name, ',' ORDER BY q.id) FROM patients q WHERE q.id < 3) FROM staff",
    "SELECT id FROM staff s WHERE EXISTS (SELECT FROM patients p WHERE p.id < 4 AND p.name > s.email)",
    "SELECT s.id, x.n FROM staff s CROSS JOIN LATERAL \
     (SELECT p.name || s.name AS n FROM patients p WHERE p.id = 1) x",
    "WITH x AS (SELECT id, name FROM patients WHERE id < 3) SELECT a.id, b.id FROM x a JOIN x b ON a.name < b.name",
    "SELECT upper(name) FROM patients WHERE id = 1 UNION ALL SELECT lower(name) FROM patients WHERE id = 2",
    "SELECT id, to_jsonb(p) ->> 'name' FROM patients p WHERE id = 2",
    "SELECT id, upper(name) FROM patients WHERE NOT id <> 2 AND id = 2",
];

/// It may be, as far as anybody can tell without computing.
const UNPICKED: &[&str] = &[
    "SELECT id, upper(name) FROM patients",
    "SELECT id, upper(name) FROM patients WHERE id = 1 OR id = 2",
    "SELECT id, upper(name) FROM patients WHERE id + 0 = 1",
    "SELECT p.id, q.id FROM patients p LEFT JOIN patients q ON upper(q.name) = upper(p.name) WHERE p.id = 1",
    "SELECT id, upper(name) FROM patients WHERE id = 1 UNION ALL SELECT id, upper(name) FROM patients",
    "SELECT v.id FROM visits v WHERE (SELECT max(p.name) FROM patients p WHERE v.id = 1) > 'a'",
];

#[test]
fn only_rows_that_can_be_chosen_are_read() {
    let stage = apart();
    let admin = |sql: &str| stage.cluster.run("clinic", sql).unwrap();
    let mut client = stage.connect(Role::Analyst);
    // What `tabulated` compares with the masked copy.
    let mut before = |sql: &str| in_any_order(client.simple(sql), sql);
    let [picked, unpicked] =
        [PICKED, UNPICKED].map(|list| list.iter().map(|sql| before(sql)).collect::<Vec<_>>());
    admin(
        "INSERT INTO patients SELECT (jsonb_populate_record(p, \
         jsonb_build_object('id', 9904, 'email', NULL, 'name', repeat('y', 9000)))).* FROM patients p WHERE id = 1",
    );
    for (sql, expected) in PICKED.iter().zip(picked) {
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(in_any_order(client.simple(sql), sql), expected, "{sql}");
        let extended = in_any_order(client.extended(sql), sql);
        assert_eq!(extended, expected, "extended: {sql}");
    }
    for sql in UNPICKED {
        let refused = client.simple(sql);
        assert!(
            matches!(&refused, Answer::Error(state, _) if state == "42501" || state == "54000"),
            "{sql}: {refused:?}"
        );
    }
    is_read_by_parameters(&mut client);
    admin("DELETE FROM patients WHERE id = 9904");
    for (sql, expected) in UNPICKED.iter().zip(unpicked) {
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(in_any_order(client.simple(sql), sql), expected, "{sql}");
    }
}

/// In text and binary, with a type that was declared and with one that PostgreSQL finds.
fn is_read_by_parameters(client: &mut Client) {
    let sql =
        "SELECT id, upper(name), $2::text FROM patients WHERE id = $1 AND name > $3 AND id < $4";
    for id in [1_i32, 2, 3] {
        let plain = format!(
            "SELECT id, upper(name), 'x' FROM patients WHERE id = {id} AND name > 'a' AND id < 1000"
        );
        let expected = ok(client, &plain);
        assert_eq!(expected.len(), 1, "{plain}");
        let (text, binary) = (id.to_string(), id.to_be_bytes());
        for declared in [&[][..], &[23_u32][..]] {
            for (format, value) in [(0_u16, text.as_bytes()), (1, &binary[..])] {
                let values = [value, b"x", b"a", b"1000"];
                let rows = bound(client, sql, declared, &values, [format, 0, 0, 0]);
                assert_eq!(rows, expected, "{id} in format {format} of {declared:?}");
            }
        }
    }
    // The one of them that is used twice narrows nothing, the other does.
    let sql = "SELECT id, upper(name) FROM patients WHERE id = $1 AND id < $2 AND $1 < 100";
    let rows = bound(client, sql, &[], &[b"3", b"1000"], [0, 0]);
    let expected = ok(client, "SELECT id, upper(name) FROM patients WHERE id = 3");
    assert_eq!(rows, expected);
}

fn bound<const N: usize>(
    client: &mut Client,
    sql: &str,
    declared: &[u32],
    values: &[&[u8]; N],
    formats: [u16; N],
) -> Vec<String> {
    let counted = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let mut parse = format!("\0{sql}\0").into_bytes();
    parse.extend_from_slice(&counted(declared.len()));
    for ty in declared {
        parse.extend_from_slice(&ty.to_be_bytes());
    }
    client.send(b'P', &parse);
    let mut bind = [&b"\0\0"[..], &counted(N)].concat();
    for format in formats {
        bind.extend_from_slice(&format.to_be_bytes());
    }
    bind.extend_from_slice(&counted(N));
    for value in values {
        bind.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        bind.extend_from_slice(value);
    }
    bind.extend_from_slice(b"\0\0");
    client.send(b'B', &bind);
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    match client.answer() {
        Answer::Rows(rows, _) => rows,
        error @ Answer::Error(..) => panic!("{sql}: {error:?}"),
    }
}
