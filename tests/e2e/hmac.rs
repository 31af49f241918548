//! Irreversible tokens in every use: the partner's masked copy is made of the tokens the proxy shows at
//! the output, and what PostgreSQL computes on that copy is what the proxy must answer, wherever it
//! masks and whatever it compares as stored.

use std::fmt::Write as _;

use crate::in_any_order;
use crate::support::client::{Answer, Client};
use crate::support::stage::Role;

const STATEMENTS: &[&str] = &[
    // Identity and presence.
    "SELECT id, name, email, id_number FROM patients",
    "SELECT count(email), count(*), count(*) FILTER (WHERE id_number IS NULL) FROM patients",
    "TABLE staff",
    // Equality, where stored values give the same answer.
    "SELECT a.id, b.id FROM patients a JOIN patients b ON a.email = b.email",
    "SELECT p.id, s.id FROM patients p FULL JOIN staff s USING (email)",
    "SELECT email, count(*) FROM patients GROUP BY email",
    "SELECT DISTINCT name FROM patients",
    "SELECT count(DISTINCT name), count(DISTINCT email) FROM patients",
    "SELECT name FROM patients INTERSECT SELECT name FROM patients WHERE id < 4",
    "SELECT email FROM patients EXCEPT SELECT email FROM staff",
    "SELECT name FROM patients UNION SELECT name FROM staff",
    "SELECT id FROM patients WHERE email IN (SELECT email FROM patients WHERE id % 2 = 0)",
    "SELECT id FROM patients p WHERE EXISTS (SELECT 1 FROM patients q WHERE q.email = p.email AND q.id <> p.id)",
    "SELECT id, count(*) OVER (PARTITION BY email) FROM patients",
    "SELECT p.id FROM patients p JOIN patients q ON p.email IS NOT DISTINCT FROM q.email WHERE q.id = 5",
    // Equality with something else, where it does not.
    "SELECT a.id, b.id FROM patients a JOIN patients b ON a.email = b.name",
    "SELECT p.id FROM patients p JOIN visits v ON v.diagnosis = p.name",
    "SELECT id FROM patients WHERE email = (SELECT max(email) FROM patients)",
    "SELECT id FROM patients WHERE email = 'ada.qvorlund@example.com'",
    "SELECT id FROM patients WHERE city = name OR name IN ('Lund', 'Ada Qvorlund')",
    "SELECT p.id FROM patients p JOIN (VALUES ('Ada Qvorlund'), ('x')) v(n) ON v.n = p.name",
    "SELECT name FROM patients UNION SELECT city FROM patients",
    "SELECT a.id, b.id FROM patients a JOIN patients b ON a.email = b.email AND a.name = b.city",
    // Both kinds of use at once.
    "SELECT email, length(email) FROM patients GROUP BY email",
    "SELECT a.id, upper(b.email) FROM patients a JOIN patients b ON a.email = b.email",
    "WITH x AS (SELECT email FROM patients) SELECT a.email, left(b.email, 6) FROM x a JOIN x b ON a.email = b.email",
    "SELECT coalesce(a.email, b.email), coalesce(a.email, a.city) FROM patients a JOIN patients b ON b.id = a.id",
    "SELECT coalesce(a.email, b.email) FROM patients a JOIN patients b ON b.id = a.id WHERE a.email <> a.city",
    "SELECT DISTINCT c FROM patient_contacts c",
    "SELECT coalesce(a.email, b.email), count(*) FROM patient_contacts a JOIN patient_contacts b ON b.id = a.id GROUP BY 1, a",
    "SELECT a.id, b.email FROM patient_contacts a JOIN patient_contacts b ON a = b",
    // Order and computation.
    "SELECT id, email FROM patients ORDER BY email, id",
    "SELECT min(name), max(email) FROM patients",
    "SELECT id FROM patients WHERE name > 'tok_8' AND email < 'tok_f'",
    "SELECT id, rank() OVER (ORDER BY name) FROM patients",
    "SELECT id, upper(name), length(email), left(id_number, 6), md5(email) FROM patients",
    "SELECT id, name || '/' || email, coalesce(email, name), nullif(name, email) FROM patients",
    "SELECT id, name LIKE 'tok%', email ~ '^tok_[0-9a-f]+$' FROM patients",
    "SELECT string_agg(email, ',' ORDER BY email), array_agg(name ORDER BY id) FROM patients",
    "SELECT row_to_json(c) FROM patient_contacts c WHERE id = 1",
    "SELECT c, c.name FROM patient_contacts c WHERE id = 3",
    "SELECT to_jsonb(c) ->> 'city', c IS NULL FROM patient_contacts c",
    "SELECT to_jsonb(p) ->> 'email' FROM patients p",
    "SELECT id, name FROM patient_contacts WHERE email LIKE 'tok_%'",
    "SELECT domain FROM mail_domains",
    "SELECT CASE WHEN id < 3 THEN name ELSE email END FROM patients",
    "SELECT email::varchar(8), email::text, name::char(10) FROM patients",
    "SELECT row_to_json(p), p::text FROM patients p",
];

#[test]
fn irreversible_tokens_mean_the_same_in_every_use() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Partner);
    let mut direct = stage.direct(Role::Partner.masked_copy().unwrap());
    for sql in STATEMENTS {
        let simple = in_any_order(client.simple(sql), sql);
        let extended = in_any_order(client.extended(sql), sql);
        let expected = in_any_order(direct.simple(sql), sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(simple, expected, "differs from the masked copy: {sql}");
        assert_eq!(
            extended, expected,
            "differs from the masked copy, extended: {sql}"
        );
    }
    // In a row a field keeps its own type, and varchar(18) has no room for a token.
    let whole = client.simple("SELECT p FROM patients p");
    assert!(
        matches!(&whole, Answer::Error(state, _) if state == "42501"),
        "{whole:?}"
    );
}

/// Binds two texts, or NULL, to a statement of two parameters; the error is its SQLSTATE.
fn bound(client: &mut Client, sql: &str, values: [Option<&str>; 2]) -> Result<String, String> {
    client.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
    let mut bind = b"\0\0\0\0\0\x02".to_vec();
    for value in values {
        let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
        bind.extend_from_slice(&length.to_be_bytes());
        bind.extend_from_slice(value.unwrap_or_default().as_bytes());
    }
    bind.extend_from_slice(b"\0\0");
    client.send(b'B', &bind);
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    let answer = client.until_ready();
    let error = answer.iter().find(|m| m.kind == b'E');
    let done = answer.iter().find(|m| m.kind == b'C');
    match (error, done) {
        (Some(error), _) => Err(error.error()[0].clone()),
        (None, done) => Ok(String::from_utf8_lossy(&done.unwrap().body).into_owned()),
    }
}

/// Mappers name every column, and give what they do not know as a parameter.
#[test]
fn null_may_be_bound_where_no_token_can_be_written() {
    let mut client = super::clinic().connect(Role::Partner);
    client.simple("BEGIN");
    for sql in [
        "UPDATE staff SET email = $2 WHERE id = $1::int",
        "UPDATE staff SET email = $2::varchar WHERE id = $1::int",
        "UPDATE staff SET email = NULL::varchar WHERE id = $1::int OR id = $2::int",
    ] {
        let done = bound(&mut client, sql, [Some("1"), None]);
        assert_eq!(done.as_deref(), Ok("UPDATE 1\0"), "{sql}");
    }
    let prepare = "PREPARE p (int, text) AS UPDATE staff SET email = $2 WHERE id = $1";
    for sql in [prepare, "EXECUTE p (1, NULL)"] {
        let answer = client.simple(sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
    }
    let refused = client.simple("EXECUTE p (1, 'ada')");
    assert!(
        matches!(&refused, Answer::Error(state, _) if state == "42501"),
        "{refused:?}"
    );
    client.simple("ROLLBACK");
    let update = "UPDATE staff SET email = $2 WHERE id = $1::int";
    let insert = "INSERT INTO staff (id, name, department) VALUES ($1::int, $2, 'x')";
    for sql in [update, insert] {
        for value in ["ada", "tok_dddd00"] {
            let refused = bound(&mut client, sql, [Some("870"), Some(value)]);
            assert_eq!(refused, Err("42501".to_owned()), "{sql}");
        }
    }
    // PostgreSQL's own word.
    let missing = bound(&mut client, insert, [Some("870"), None]);
    assert_eq!(missing, Err("23502".to_owned()));
}

/// COPY may name such a column too, as tools do that copy whole tables.
#[test]
fn nothing_but_null_is_copied_where_no_token_can_be_written() {
    let mut client = super::clinic().connect(Role::Partner);
    let mut copy = |value: &str| {
        let sql = b"COPY staff (id, name, email, department) FROM STDIN\0";
        client.send(b'Q', sql);
        client.send(
            b'd',
            format!("870\tada\t\\N\tx\n871\t{value}\t\\N\tx\n").as_bytes(),
        );
        client.send(b'c', b"");
        client.answer()
    };
    for value in ["grace", "tok_dddd00", "\\N"] {
        let refused = copy(value);
        assert!(
            matches!(&refused, Answer::Error(state, _) if state == "42501"),
            "{value}: {refused:?}"
        );
    }
    client.send(
        b'Q',
        b"COPY staff (id, name, email, department) FROM STDIN\0",
    );
    client.send(b'd', b"870\t\\N\t\\N\tx\n");
    client.send(b'c', b"");
    // PostgreSQL's own word: the row came as far as its constraint.
    let missing = client.answer();
    assert!(
        matches!(&missing, Answer::Error(state, _) if state == "23502"),
        "{missing:?}"
    );
}

/// Equal as stored, to the partner they are two: a collation that does not look at capitals.
const LETTERS: &[&str] = &[
    "SELECT nick, count(*) FROM nicknames GROUP BY nick",
    "SELECT DISTINCT nick FROM nicknames",
    "SELECT count(DISTINCT nick) FROM nicknames",
    "SELECT id, count(*) OVER (PARTITION BY nick) FROM nicknames",
    "SELECT a.id, b.id FROM nicknames a JOIN nicknames b ON a.nick = b.nick",
    "SELECT id FROM nicknames WHERE nick IN (SELECT nick FROM nicknames WHERE id = 1)",
    "SELECT nick FROM nicknames UNION SELECT nick FROM nicknames",
    "SELECT nick FROM nicknames GROUP BY nick UNION ALL SELECT plain FROM nicknames",
    "SELECT nick, plain, count(*) FROM nicknames GROUP BY nick, plain",
];

/// What tokens are compared by is what their columns are.
const COLLATED: &[&str] = &[
    "SELECT id, collation for (loose) LIKE '%any_case', collation for (strict), collation for (padded), \
     collation for (plain), collation for (upper(strict)) FROM words",
    "SELECT id, loose = upper(loose), loose < 'TOK_A', loose > 'TOK_', loose BETWEEN 'Tok_' AND 'TOK_Z' FROM words",
    "SELECT id, strict = upper(strict), strict < 'TOK_A', padded = upper(padded), padded < 'TOK_A', \
     plain = upper(plain) FROM words",
    "SELECT id FROM words WHERE loose LIKE 'TOK%'",
    "SELECT id FROM words WHERE strict LIKE 'TOK%' OR plain LIKE 'tok%'",
    "SELECT count(DISTINCT x) FROM (SELECT loose AS x FROM words UNION ALL SELECT upper(loose) FROM words) y",
    "SELECT count(DISTINCT x) FROM (SELECT strict AS x FROM words UNION ALL SELECT upper(strict) FROM words) y",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.loose = upper(b.loose)",
    "SELECT a.id, b.id FROM words a JOIN words b ON upper(a.strict) = b.strict",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.loose = b.loose",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.strict = b.strict",
    "SELECT a.id, b.id FROM words a LEFT JOIN words b USING (padded)",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.loose = b.plain",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.strict = b.plain",
    "SELECT a.id, b.id FROM words a JOIN words b ON a.loose = b.strict",
    "SELECT id, coalesce(loose, strict) = 'x' FROM words",
    "SELECT id, loose || strict, loose COLLATE \"C\" = upper(loose) FROM words",
    "SELECT id FROM words WHERE loose IN (SELECT upper(loose) FROM words WHERE id = 1)",
    "SELECT id FROM words ORDER BY loose, id",
    "SELECT id FROM words ORDER BY strict DESC NULLS LAST, id",
    "SELECT id, rank() OVER (ORDER BY strict), dense_rank() OVER (ORDER BY loose) FROM words",
    "SELECT min(loose), min(strict), max(strict), max(padded), max(plain) FROM words",
    "SELECT loose, count(*) FROM words GROUP BY loose",
    "SELECT strict, plain, count(*) FROM words GROUP BY strict, plain",
    "SELECT id FROM words w WHERE EXISTS (SELECT 1 FROM words v WHERE v.loose = upper(w.loose) AND v.id <> w.id)",
];

#[test]
fn tokens_are_told_apart_whose_values_a_collation_does_not() {
    let stage = super::siv::stage();
    let mut client = stage.connect(Role::Partner);
    let mut change = String::new();
    let padded = "ALTER TABLE words ALTER padded TYPE varchar COLLATE \"C\";";
    writeln!(change, "{padded}").unwrap();
    for (table, column) in [
        ("nicknames", "nick"),
        ("nicknames", "plain"),
        ("words", "loose"),
        ("words", "strict"),
        ("words", "padded"),
        ("words", "plain"),
    ] {
        let shown = client.simple(&format!(
            "SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL"
        ));
        let Answer::Rows(rows, _) = shown else {
            panic!("no tokens of {column}: {shown:?}");
        };
        for row in rows {
            let (id, token) = row.split_once(" | ").unwrap();
            assert!(token.starts_with("tok_"), "{column}: {token}");
            let set = format!("UPDATE {table} SET {column} = '{token}' WHERE id = {id};");
            writeln!(change, "{set}").unwrap();
        }
    }
    stage.cluster.run("clinic_tokens", &change).unwrap();
    let mut direct = stage.direct("clinic_tokens");
    for sql in LETTERS {
        let expected = in_any_order(direct.simple(sql), sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        let simple = in_any_order(client.simple(sql), sql);
        assert_eq!(simple, expected, "differs from the masked copy: {sql}");
        let extended = in_any_order(client.extended(sql), sql);
        assert_eq!(
            extended, expected,
            "differs from the masked copy, extended: {sql}"
        );
    }
    for sql in COLLATED {
        let expected = in_any_order(direct.simple(sql), sql);
        for answer in [client.simple(sql), client.extended(sql)] {
            match (in_any_order(answer, sql), &expected) {
                // LIKE, before version 18; or no collation where two meet.
                (Answer::Error(mine, _), Answer::Error(theirs, _)) => {
                    assert_eq!(mine, *theirs, "{sql}");
                }
                (mine, theirs) => {
                    assert_eq!(mine, *theirs, "differs from the masked copy: {sql}");
                }
            }
        }
    }
}
