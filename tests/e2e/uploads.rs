//! Tokens a client has put into a temporary table, compared with columns of tokens: what the analyst is
//! answered is what PostgreSQL answers on the masked copy with the same temporary tables.

use std::thread;
use std::time::Duration;

use crate::in_any_order;
use crate::siv::stage;
use crate::support::client::{Answer, Client};
use crate::support::stage::{Role, Stage};

/// Makes the tables; `$1` to `$4` are tokens of the e-mails of patients 1 to 4, `$5` one of a name, `$6`
/// and `$7` of serials, `$8` and `$9` of account numbers, `$10` of a holder.
const FILL: &[&str] = &[
    "CREATE TEMP TABLE up (tok text, n int)",
    "INSERT INTO up VALUES ('$1', 1), ('$2', 2), ('$2', 22), ('$5', 5), ('nobody@nowhere', 6), \
     ('', 7), (E'a\"\\\\ \\n\\u2028''', 8), ('$1 ', 9), (NULL, 10)",
    "CREATE TEMP TABLE few (email varchar(90), city text)",
    "INSERT INTO few VALUES ('$1', 'Lund'), ('$3', 'Paris'), ('x', NULL)",
    "CREATE TEMP TABLE good (tok varchar)",
    "INSERT INTO good VALUES ('$2'), ('$3'), ('nobody')",
    "CREATE TEMP TABLE nothing (tok text)",
    "CREATE TEMP TABLE guessed (tok text, n int)",
    "INSERT INTO guessed VALUES ('ada.qvorlund@example.com', 1), ('$2', 2)",
    "CREATE TEMP TABLE shapes (serial text)",
    "INSERT INTO shapes VALUES ('$6'), ('$7'), ('none 50'), ('x')",
    "CREATE TEMP TABLE numbers (number int, holder bigint, small int2)",
    "INSERT INTO numbers VALUES ($8, $10, 5), ($9, 5, 6), (7, NULL, 7), (NULL, 8, NULL)",
    "CREATE TEMP TABLE keyed (tok text, ext uuid)",
];

const ANSWERED: &[&str] = &[
    "SELECT p.id, up.n, up.tok, p.email FROM patients p JOIN up ON p.email = up.tok",
    "SELECT p.id, up.n FROM up JOIN patients p ON up.tok = p.email",
    "SELECT p.name, p.email, p.city, up.* FROM patients p, up WHERE p.email = up.tok OR p.name = up.tok",
    "SELECT up.*, p.id FROM up LEFT JOIN patients p ON p.email = up.tok",
    "SELECT up, p.id FROM up LEFT JOIN patients p ON p.email = up.tok",
    "SELECT row_to_json(up), p.id FROM up LEFT JOIN patients p ON p.email = up.tok",
    "SELECT p.id, up.n FROM patients p LEFT JOIN up ON p.email = up.tok",
    "SELECT p.id, up.n FROM patients p RIGHT JOIN up ON p.email = up.tok",
    "SELECT p.id, up.n FROM patients p FULL JOIN up ON p.email = up.tok",
    "SELECT id FROM patients WHERE email IN (SELECT tok FROM up)",
    "SELECT id FROM patients WHERE email NOT IN (SELECT tok FROM up)",
    "SELECT id FROM patients WHERE email NOT IN (SELECT tok FROM up WHERE tok IS NOT NULL)",
    "SELECT id FROM patients WHERE email NOT IN (SELECT tok FROM good)",
    "SELECT id FROM patients WHERE email NOT IN (SELECT tok FROM nothing)",
    "SELECT id FROM patients WHERE email IN (SELECT tok FROM nothing)",
    "SELECT id FROM patients WHERE NOT email IN (SELECT tok FROM good)",
    "SELECT id, email IN (SELECT tok FROM up), email IN (SELECT tok FROM good) FROM patients",
    "SELECT id, email NOT IN (SELECT tok FROM up), (email IN (SELECT tok FROM good)) IS NULL FROM patients",
    "SELECT id FROM patients WHERE email = ANY (SELECT tok FROM up)",
    "SELECT id FROM patients WHERE email <> ALL (SELECT tok FROM good)",
    "SELECT id FROM patients WHERE email <> ANY (SELECT tok FROM good)",
    "SELECT id FROM patients WHERE email = ALL (SELECT tok FROM good WHERE tok = '$2')",
    "SELECT id FROM patients WHERE EXISTS (SELECT 1 FROM up WHERE up.tok = email)",
    "SELECT id FROM patients p WHERE NOT EXISTS (SELECT 1 FROM up WHERE up.tok = p.email)",
    "SELECT tok, n FROM up WHERE tok IN (SELECT email FROM patients)",
    "SELECT tok, n FROM up WHERE tok NOT IN (SELECT email FROM patients WHERE email IS NOT NULL)",
    "SELECT tok, n FROM up WHERE tok NOT IN (SELECT email FROM patients)",
    "SELECT tok, n FROM up WHERE NOT EXISTS (SELECT FROM patients p WHERE p.email = tok)",
    "SELECT p.id, up.n FROM patients p JOIN up ON p.email <> up.tok",
    "SELECT p.id, up.n, p.email = up.tok, p.email <> up.tok, p.email IS DISTINCT FROM up.tok, \
     up.tok IS NOT DISTINCT FROM p.email FROM patients p CROSS JOIN up",
    "SELECT p.id, up.n FROM patients p JOIN up ON p.email IS NOT DISTINCT FROM up.tok",
    "SELECT p.id FROM patients p JOIN few USING (email)",
    "SELECT p.id, few.city FROM patients p JOIN few ON p.email = few.email AND p.city <> few.city",
    "SELECT few.email, p.id FROM few LEFT JOIN patients p USING (email)",
    "SELECT id FROM patients WHERE (email, city) IN (SELECT email, city FROM few)",
    "SELECT id FROM patients WHERE (city, email) NOT IN (SELECT city, email FROM few)",
    "SELECT p.id FROM patients p JOIN few ON (p.email, p.city) = (few.email, few.city)",
    "SELECT p.id FROM patients p JOIN few ON (few.city, few.email) = (p.city, p.email)",
    "SELECT p.id FROM patients p JOIN (SELECT DISTINCT tok FROM up) u ON u.tok = p.email",
    "WITH u AS (SELECT tok AS t FROM up WHERE n < 6 UNION SELECT tok FROM good) \
     SELECT p.id, u.t FROM patients p JOIN u ON u.t = p.email",
    "WITH u AS MATERIALIZED (SELECT * FROM up) SELECT p.id FROM patients p WHERE p.email IN (SELECT tok FROM u)",
    "SELECT id FROM patients WHERE email IN (SELECT tok FROM up UNION ALL SELECT email FROM few)",
    "SELECT id FROM patients WHERE email IN (SELECT tok::varchar FROM up ORDER BY n LIMIT 4) ORDER BY id",
    "SELECT id FROM patients WHERE email IN (SELECT tok FROM up WHERE up.n < patients.id)",
    "SELECT id FROM patients WHERE email = (SELECT tok FROM up WHERE n = 1)",
    "SELECT id FROM patients WHERE email = (SELECT tok FROM up WHERE n = patients.id)",
    "SELECT p.id, x.n FROM patients p CROSS JOIN LATERAL (SELECT n FROM up WHERE tok = p.email) x",
    "SELECT count(*), count(DISTINCT p.email) FROM patients p JOIN up ON p.email = up.tok",
    "SELECT up.tok, count(p.id) FROM up LEFT JOIN patients p ON p.email = up.tok GROUP BY up.tok",
    "SELECT p.email, count(*) FROM patients p JOIN up ON p.email = up.tok GROUP BY p.email",
    "SELECT p.email = up.tok, count(*) FROM patients p CROSS JOIN up GROUP BY p.email = up.tok",
    "SELECT p.id, s.id FROM patients p JOIN up ON up.tok = p.email LEFT JOIN staff s ON s.email = up.tok",
    "SELECT p.id, a.n, b.n FROM patients p JOIN up a ON a.tok = p.email JOIN up b ON b.tok = p.email",
    "SELECT a.id, b.id FROM patients a JOIN patients b ON a.email = b.email JOIN good ON good.tok = b.email",
    "SELECT id FROM patients WHERE name IN (SELECT tok FROM up) OR email IN (SELECT tok FROM good)",
    "SELECT id, CASE WHEN email IN (SELECT tok FROM up) THEN 'sent' ELSE city END FROM patients",
    "SELECT held.id FROM patients held WHERE held.email IN (SELECT tok FROM up WHERE up.n = held.id)",
    "SELECT id FROM patients WHERE email IN (SELECT held.tok FROM up AS held)",
    "WITH held AS (SELECT tok AS \"held 1\" FROM up) \
     SELECT id FROM patients WHERE (id, email) IN (SELECT n, \"held 1\" FROM held JOIN up ON tok = \"held 1\")",
    "SELECT id FROM patients p WHERE email IN (SELECT tok FROM up WHERE n IN \
     (SELECT n FROM up u WHERE u.tok = p.email))",
    "SELECT p.id FROM patients p JOIN up ON coalesce(up.tok, up.tok) = p.email",
    "SELECT p.id FROM patients p JOIN up ON CASE WHEN n < 3 THEN tok END = p.email",
    "SELECT p.id FROM patients p WHERE email IN ('$3', '$4') OR email IN (SELECT tok FROM up)",
    "SELECT up.n FROM up JOIN patients p ON p.email = up.tok ORDER BY up.n LIMIT 2",
    "SELECT id FROM patients WHERE email IN (SELECT tok FROM up) ORDER BY id LIMIT 1",
    "SELECT x.id FROM (SELECT id, email AS tok FROM patients) x NATURAL JOIN good",
    "SELECT p.id, g.n FROM patients p JOIN guessed g ON g.tok = p.email",
    "SELECT g.n, p.id, p.email = g.tok FROM guessed g LEFT JOIN patients p ON g.tok = p.email",
    "SELECT n FROM guessed WHERE tok NOT IN (SELECT email FROM patients WHERE email IS NOT NULL)",
    "SELECT r.id FROM referrals r JOIN up ON r.recipient = up.tok",
    "SELECT s.id FROM serials s JOIN shapes USING (serial)",
    "SELECT s.id FROM serials s WHERE s.serial IN (SELECT serial FROM shapes)",
    "SELECT count(*) FROM serials s WHERE s.serial NOT IN (SELECT serial FROM shapes)",
    "SELECT count(*) FROM serials s WHERE (s.serial NOT IN (SELECT serial FROM shapes)) IS NULL",
    "SELECT a.id FROM accounts a JOIN numbers n ON a.number = n.number",
    "SELECT a.id FROM accounts a JOIN numbers USING (holder)",
    "SELECT a.id FROM accounts a JOIN numbers n ON a.number = n.holder OR a.holder = n.number",
    "SELECT a.id FROM accounts a JOIN numbers n ON a.number = n.small",
    "SELECT count(*) FROM accounts WHERE number NOT IN (SELECT number FROM numbers WHERE number <> 7)",
    "SELECT count(*) FROM accounts WHERE number NOT IN (SELECT number FROM numbers)",
    "SELECT count(*), bool_and(number IS DISTINCT FROM 5) FROM accounts WHERE number IN (SELECT small FROM numbers)",
    "SELECT a.id FROM accounts a LEFT JOIN numbers n ON a.number = n.number WHERE n.number IS NOT NULL",
];

/// What is no column of the table itself, or no comparison of equality: PostgreSQL looks the column's
/// tokens up.
const LOOKED_UP: &[&str] = &[
    "SELECT p.id FROM patients p JOIN up ON p.email = lower(up.tok)",
    "SELECT p.id FROM patients p JOIN up ON p.email = up.tok || ''",
    "SELECT p.id FROM patients p JOIN up ON p.email = up.tok::varchar(9)",
    "SELECT p.id FROM patients p JOIN up ON p.email = up.tok COLLATE \"C\"",
    "SELECT p.id FROM patients p WHERE p.email = ANY (ARRAY(SELECT tok FROM up))",
    "SELECT p.id FROM patients p WHERE p.email = ANY ((SELECT array_agg(tok) FROM up)::text[])",
    "SELECT p.id FROM patients p WHERE p.email = (SELECT min(tok) FROM up)",
    "SELECT p.id FROM patients p WHERE p.email IN (SELECT '$1' UNION ALL SELECT tok FROM up)",
    "SELECT p.id FROM patients p JOIN up ON p.email = coalesce(up.tok, '$1')",
    "SELECT p.id FROM patients p JOIN up ON coalesce(p.email, p.city) = up.tok",
    "SELECT p.id FROM patients p JOIN up ON p.email < up.tok",
    "SELECT tok FROM up INTERSECT SELECT email FROM patients",
    "SELECT coalesce(p.email, up.tok) FROM patients p, up",
    "SELECT nullif(up.tok, p.email) FROM patients p, up",
    "SELECT CASE p.email WHEN up.tok THEN 1 END FROM patients p, up",
    "SELECT email FROM patients p FULL JOIN few USING (email)",
    "WITH RECURSIVE u (t, d) AS (SELECT tok, 0 FROM up UNION ALL SELECT t, d + 1 FROM u WHERE d < 2) \
         SELECT p.id, u.d FROM patients p JOIN u ON u.t = p.email",
    "SELECT a.id FROM accounts a JOIN up ON a.number::text = up.tok",
];

/// What the same statement writes was not there to be decoded. Each ends as it began.
const WRITING: &[&str] = &[
    "WITH n AS (INSERT INTO up VALUES ('$3', 3) RETURNING tok) SELECT p.id FROM patients p JOIN n ON p.email = tok",
    "WITH n AS (UPDATE up SET tok = '$3' RETURNING tok) SELECT p.id FROM patients p JOIN n ON p.email = tok",
];

const REFUSED: &[(&str, &str)] = &[
    (
        "42501",
        "EXPLAIN SELECT p.id FROM patients p JOIN up ON p.email = up.tok",
    ),
    (
        "0A000",
        "PREPARE x AS SELECT p.id FROM patients p JOIN up ON p.email = up.tok",
    ),
    // A text is no uuid, and a number no text: PostgreSQL's own answer.
    (
        "42883",
        "SELECT k.id FROM keys k JOIN keyed ON k.ext = keyed.tok",
    ),
    (
        "42883",
        "SELECT p.id FROM patients p JOIN numbers n ON p.email = n.number",
    ),
];

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    match client.simple(sql) {
        Answer::Rows(rows, _) => rows,
        error @ Answer::Error(..) => panic!("{sql}: {error:?}"),
    }
}

/// Tokens as the client sees them, to be written for `$1` and so on.
fn tokens(client: &mut Client) -> Vec<String> {
    let shown = [
        "email FROM patients WHERE id = 1",
        "email FROM patients WHERE id = 2",
        "email FROM patients WHERE id = 3",
        "email FROM patients WHERE id = 4",
        "name FROM patients WHERE id = 5",
        "serial FROM serials WHERE id = 7",
        "serial FROM serials WHERE id = 1234",
        "number FROM accounts WHERE id = 3",
        "number FROM accounts WHERE id = 3004",
        "holder FROM accounts WHERE id = 5",
    ];
    let one = shown.map(|what| rows(client, &format!("SELECT {what}")).concat());
    one.to_vec()
}

fn written(sql: &str, tokens: &[String]) -> String {
    let numbered = tokens.iter().enumerate().rev();
    numbered.fold(sql.to_owned(), |sql, (n, token)| {
        sql.replace(&format!("${}", n + 1), token)
    })
}

/// The analyst's session, and one on the masked copy, with the same temporary tables.
fn sessions(stage: &Stage) -> (Client, Client, Vec<String>) {
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let tokens = tokens(&mut client);
    for sql in FILL {
        let sql = written(sql, &tokens);
        for session in [&mut client, &mut direct] {
            let answer = session.simple(&sql);
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
    }
    (client, direct, tokens)
}

#[test]
fn uploaded_tokens_mean_what_they_mean_on_the_masked_copy() {
    let stage = stage();
    let (mut client, mut direct, tokens) = sessions(stage);
    let mut found = 0;
    for block in ["", "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
        for session in [&mut client, &mut direct] {
            rows(session, block);
        }
        for sql in ANSWERED.iter().chain(LOOKED_UP) {
            let sql = written(sql, &tokens);
            let expected = in_any_order(direct.simple(&sql), &sql);
            let Answer::Rows(all, _) = &expected else {
                panic!("{sql}: {expected:?}");
            };
            found += all.len();
            let simple = in_any_order(client.simple(&sql), &sql);
            assert_eq!(simple, expected, "differs from the masked copy: {sql}");
            let extended = in_any_order(client.extended(&sql), &sql);
            assert_eq!(
                extended, expected,
                "differs from the masked copy, extended: {sql}"
            );
            stage.assert_silent(Role::Analyst, &mut client, &sql);
        }
    }
    assert!(found > 700, "{found}");
    for sql in WRITING {
        let sql = written(sql, &tokens);
        for session in [&mut client, &mut direct] {
            rows(session, "SAVEPOINT before");
        }
        let expected = in_any_order(direct.simple(&sql), &sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(in_any_order(client.simple(&sql), &sql), expected, "{sql}");
        stage.assert_silent(Role::Analyst, &mut client, &sql);
        for session in [&mut client, &mut direct] {
            rows(session, "ROLLBACK TO before");
        }
    }
    for session in [&mut client, &mut direct] {
        rows(session, "COMMIT");
    }
    for (sqlstate, sql) in REFUSED {
        let sql = written(sql, &tokens);
        for answer in [client.simple(&sql), client.extended(&sql)] {
            assert!(
                matches!(&answer, Answer::Error(state, _) if state == sqlstate),
                "{sql}: {answer:?}"
            );
        }
        stage.assert_silent(Role::Analyst, &mut client, &sql);
    }
}

/// Tokens of every type, as the column of a temporary table that holds them.
const TYPED: [(&str, &str); 6] = [
    ("small", "text"),
    ("number", "varchar(200)"),
    ("big", "text"),
    ("code", "text"),
    ("ref", "text"),
    ("ext", "uuid"),
];

#[test]
fn tokens_of_every_type_are_found_and_others_are_not() {
    let mut client = stage().connect(Role::Analyst);
    for (column, ty) in TYPED {
        let all = rows(
            &mut client,
            &format!("SELECT {column} FROM keys WHERE {column} IS NOT NULL"),
        );
        let [first, second] = ["MIN", "MAX"].map(|which| {
            let id = format!("(SELECT {which}(id) FROM keys WHERE {column} IS NOT NULL)");
            rows(
                &mut client,
                &format!("SELECT {column} FROM keys WHERE id = {id}"),
            )
            .concat()
        });
        assert!(all.contains(&first) && first != second, "{column}: {all:?}");
        let foreign = match ty {
            "uuid" => "00000000-0000-4000-8000-000000000000".to_owned(),
            _ => rows(&mut client, "SELECT email FROM patients WHERE id = 1").concat(),
        };
        rows(
            &mut client,
            &format!("CREATE TEMP TABLE typed (tok {ty}, n int)"),
        );
        let fill = format!("INSERT INTO typed VALUES ('{first}', 1), ('{foreign}', 2), (NULL, 3)");
        rows(&mut client, &fill);
        let with = all.iter().filter(|token| **token == first).count();
        for (sql, count) in [
            (
                format!("SELECT count(*) FROM keys k JOIN typed t ON t.tok = k.{column}"),
                with,
            ),
            (
                format!("SELECT count(*) FROM keys WHERE {column} IN (SELECT tok FROM typed)"),
                with,
            ),
            (
                format!(
                    "SELECT count(*) FROM keys WHERE {column} NOT IN (SELECT tok FROM typed WHERE n < 3)"
                ),
                all.len() - with,
            ),
            (
                format!("SELECT count(*) FROM keys WHERE {column} NOT IN (SELECT tok FROM typed)"),
                0,
            ),
            (
                format!(
                    "SELECT count(*) FROM keys k JOIN typed t ON k.{column} <> t.tok AND t.n = 2"
                ),
                all.len(),
            ),
            (
                format!("SELECT count(*) FROM typed WHERE tok IN (SELECT {column} FROM keys)"),
                1,
            ),
        ] {
            let expected = Answer::Rows(vec![count.to_string()], vec!["SELECT 1".to_owned()]);
            assert_eq!(client.simple(&sql), expected, "{sql}");
            assert_eq!(client.extended(&sql), expected, "extended: {sql}");
        }
        rows(&mut client, "DROP TABLE typed");
    }
}

/// PostgreSQL hands out what it finds in the order of what the tokens stand for.
#[test]
fn what_is_picked_of_uploaded_tokens_varies() {
    let stage = stage();
    let (mut client, _, _) = sessions(stage);
    for sql in [
        "SELECT tok FROM up WHERE tok IN (SELECT email FROM patients) LIMIT 1",
        "SELECT up.n FROM up JOIN patients p ON p.email = up.tok LIMIT 1",
        "SELECT up.n FROM up WHERE EXISTS (SELECT FROM patients p WHERE p.email = up.tok) LIMIT 1",
        "SELECT (array_agg(up.n))[1] FROM up JOIN patients p ON p.email = up.tok",
        "SELECT x.n FROM (SELECT n, row_number() OVER () AS r FROM up \
         WHERE tok IN (SELECT email FROM patients)) x WHERE x.r = 1",
    ] {
        let mut simple = (0..crate::DRAWS).map(|_| rows(&mut client, sql));
        let first = simple.next().unwrap();
        assert!(
            simple.any(|drawn| drawn != first),
            "always {first:?}: {sql}"
        );
        let mut extended = (0..crate::DRAWS).map(|_| client.extended(sql));
        let first = extended.next().unwrap();
        assert!(
            extended.any(|drawn| drawn != first),
            "always {first:?}: {sql}"
        );
    }
}

/// Scans of an index that PostgreSQL has counted.
fn scans(stage: &Stage) -> u64 {
    let sql = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'accounts_by_holder'";
    let counted = stage.cluster.run("clinic", sql).unwrap();
    let mut numbers = (counted.split_whitespace()).filter_map(|word| word.parse().ok());
    numbers.next().unwrap()
}

#[test]
fn an_index_on_stored_values_serves_uploaded_tokens() {
    let stage = stage();
    let (mut client, _, tokens) = sessions(stage);
    let sql = "SELECT n.holder, (SELECT count(*) FROM accounts a WHERE a.holder = n.holder) FROM numbers n \
               WHERE n.small = 5";
    let expected = Answer::Rows(
        vec![format!("{} | 1", tokens.last().unwrap())],
        vec!["SELECT 1".to_owned()],
    );
    let mut counted = scans(stage);
    for extended in [false, true] {
        let answer = if extended {
            client.extended(sql)
        } else {
            client.simple(sql)
        };
        assert_eq!(answer, expected);
        // A session says what it has counted at the end of a statement, once in a second.
        thread::sleep(Duration::from_millis(1_100));
        rows(&mut client, "SELECT 1");
        let now = scans(stage);
        assert!(now > counted, "no index serves {sql}");
        counted = now;
    }
}

#[test]
fn a_reading_that_is_cancelled_is_the_statements_own_error() {
    let (mut client, _, _) = sessions(stage());
    rows(
        &mut client,
        "CREATE TEMP TABLE much AS SELECT ('x' || g)::text AS tok FROM generate_series(1, 20000) g",
    );
    let sql = "SELECT count(*) FROM patients p JOIN much m ON m.tok = p.email";
    let zero = Answer::Rows(vec!["0".to_owned()], vec!["SELECT 1".to_owned()]);
    let cancelled = |answer: &Answer| matches!(answer, Answer::Error(state, _) if state == "57014");
    for block in [false, true] {
        for extended in [false, true] {
            let ask = |client: &mut Client| {
                if extended {
                    client.extended(sql)
                } else {
                    client.simple(sql)
                }
            };
            if block {
                rows(&mut client, "BEGIN");
            }
            rows(&mut client, "SET statement_timeout = '1ms'");
            let answer = ask(&mut client);
            assert!(cancelled(&answer), "{answer:?}");
            let after = client.simple("SELECT 1");
            assert_eq!(matches!(after, Answer::Error(..)), block, "{after:?}");
            if block {
                rows(&mut client, "ROLLBACK");
            }
            rows(&mut client, "SET statement_timeout = 0");
            assert_eq!(ask(&mut client), zero);
        }
    }
}
