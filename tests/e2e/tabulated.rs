//! Reversible tokens that PostgreSQL computes with: what the analyst is answered is what PostgreSQL answers
//! on the masked copy, and what was read for one statement serves no other.

use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::siv::stage;
use crate::support::client::{Answer, Client};
use crate::support::stage::{Role, Stage};
use crate::{in_any_order, narrowed};

/// Longer than the proxy takes to read a catalog again.
const PATIENCE: Duration = Duration::from_secs(20);

const ANSWERED: &[&str] = &[
    "SELECT id, name FROM patients ORDER BY name DESC, id",
    "SELECT id, email FROM patients ORDER BY email NULLS FIRST",
    "SELECT email FROM patients ORDER BY 1 LIMIT 3",
    "SELECT id FROM patients ORDER BY upper(email) USING >, id",
    "SELECT min(email), max(name), max(id_number) FROM patients",
    "SELECT city, max(email) FROM patients GROUP BY city ORDER BY city",
    "SELECT id, upper(email), length(name), left(email, 8), reverse(email), md5(name) FROM patients",
    "SELECT id, email || '/' || city, concat(name, '-', id), format('%s <%s>', name, email) FROM patients",
    "SELECT id, split_part(email, '_', 2), position('k' IN email), email ~ 'a+', email LIKE 'tok%' FROM patients",
    "SELECT id, email::text, email::varchar(7), email::char(5), email COLLATE \"C\" < name FROM patients",
    "SELECT id, coalesce(email, '(none)'), nullif(email, city), greatest(email, name) FROM patients",
    "SELECT id, CASE WHEN id < 3 THEN email ELSE 'other' END FROM patients",
    "SELECT CASE WHEN n < 3 THEN e ELSE 'others' END, sum(n) FROM \
     (SELECT email AS e, id AS n FROM patients) x GROUP BY 1 ORDER BY 2",
    // What a paginator counts: nobody sees the constant that is grouped by.
    "SELECT count(*) FROM (SELECT coalesce(email, 'none') AS g, count(*) FROM patients GROUP BY coalesce(email, 'none')) w",
    "WITH w AS (SELECT CASE WHEN id < 4 THEN email ELSE 'rest' END AS g, max(id) AS n FROM patients \
     GROUP BY CASE WHEN id < 4 THEN email ELSE 'rest' END) SELECT count(*), max(n) FROM w",
    "SELECT 1 WHERE EXISTS (SELECT coalesce(name, 'x') FROM patients GROUP BY city, coalesce(name, 'x') HAVING count(*) > 1)",
    "SELECT email FROM patients UNION ALL SELECT 'total'",
    "SELECT email, name FROM patients UNION SELECT city, notes FROM patients ORDER BY 1, 2",
    "SELECT email FROM patients EXCEPT SELECT name FROM staff",
    "SELECT array_agg(email ORDER BY id), string_agg(name, ',' ORDER BY name) FROM patients",
    "SELECT json_agg(json_build_object('id', id, 'email', email) ORDER BY id) FROM patients",
    "SELECT to_jsonb(x) FROM (SELECT id, email FROM patients) x",
    "SELECT id, row_to_json(ROW(id, email)), ROW(id, name)::text, ARRAY[email, city] FROM patients",
    "SELECT id, lag(email) OVER (ORDER BY id), first_value(name) OVER (PARTITION BY city ORDER BY id) FROM patients",
    "SELECT id, rank() OVER (ORDER BY email), ntile(3) OVER (ORDER BY name) FROM patients",
    "SELECT DISTINCT ON (city) city, email FROM patients ORDER BY city, email",
    "SELECT count(DISTINCT (city, email)), count(DISTINCT upper(email)) FROM patients",
    "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY name), mode() WITHIN GROUP (ORDER BY city) FROM patients",
    "SELECT id FROM patients WHERE email > name AND email BETWEEN 'tok' AND 'tol'",
    "SELECT id FROM patients WHERE upper(email) = upper(email) AND lower(name) <> name || 'x'",
    "SELECT id FROM patients WHERE email ILIKE '%A%' OR name SIMILAR TO '%(b|c)%'",
    "SELECT id FROM patients WHERE email IN (SELECT upper(email) FROM staff) OR email = ANY (ARRAY(SELECT email FROM staff))",
    "SELECT p.id, s.id FROM patients p LEFT JOIN staff s ON left(s.email, 12) = left(p.email, 12)",
    "SELECT p.id FROM patients p WHERE EXISTS (SELECT FROM staff s WHERE s.email < p.email)",
    "SELECT p.id, (SELECT max(s.email) FROM staff s WHERE s.email < p.email) FROM patients p",
    "SELECT p.id, x.e FROM patients p CROSS JOIN LATERAL (SELECT p.email || s.email AS e FROM staff s) x",
    "WITH RECURSIVE r (e, n) AS (SELECT email::text, 0 FROM patients WHERE id = 1 UNION ALL \
     SELECT e || n, n + 1 FROM r WHERE n < 3) SELECT e, n FROM r",
    "WITH x AS MATERIALIZED (SELECT id, upper(email) AS e FROM patients) SELECT a.id, b.id FROM x a JOIN x b USING (e)",
    "SELECT p.id, p.email || '' FROM patients p GROUP BY p.id",
    "SELECT p.id, max(length(p.name)), p.email < p.name FROM patients p JOIN visits v ON v.id > 0 GROUP BY p.id",
    "SELECT v.x, p.id FROM (VALUES ('tok_'), ('zz')) v (x) JOIN patients p ON p.email > v.x",
    "SELECT id FROM patients WHERE email > 'tok_m' ORDER BY id",
    "SELECT p.id FROM ONLY patients p TABLESAMPLE BERNOULLI (100) WHERE p.email || '' = p.email",
    // Those of ff1: what is not of the shape is NULL.
    "SELECT id, serial || '!', serial IS NULL, length(serial) FROM serials WHERE id < 120",
    "SELECT count(*), count(serial), count(serial || ''), min(serial), max(serial) FROM serials",
    "SELECT count(*) FROM serials WHERE serial < '5' OR serial IS NULL",
    "SELECT count(*) FROM serials WHERE NOT serial LIKE '7%'",
    "SELECT a.id, b.id FROM serials a JOIN serials b ON left(a.serial, 6) = left(b.serial, 6) AND a.id < b.id",
    "SELECT a.id FROM accounts a WHERE number > 0 AND number % 7 = 3 ORDER BY number, id",
    "SELECT sum(number::numeric), avg(holder::numeric), max(number) FROM accounts",
    "SELECT number, holder, number::text || ':' || holder FROM accounts WHERE id < 90",
    "SELECT a.id, t.id FROM accounts a JOIN transfers t ON a.number = t.source + 0",
    // Those of integers and uuids are texts.
    "SELECT id, small || '!', upper(number), length(big), reverse(ref) FROM keys",
    "SELECT id, big FROM keys ORDER BY big, id",
    "SELECT max(number), min(ref), string_agg(big, ',' ORDER BY id) FROM keys",
    "SELECT id, big > 'tok', number::text LIKE 'tok%', small <> number FROM keys",
    "SELECT a.id, b.id FROM keys a JOIN keys b ON a.big < b.ref",
    // Nothing of a row's type shows, which has no room for them.
    "SELECT id, to_jsonb(k), row_to_json(k.*), k::text, format('%s', k), concat(k, '!') FROM keys k",
    "SELECT json_agg(k ORDER BY id), jsonb_object_agg(id, k) FROM keys k",
    "SELECT jsonb_build_object('key', k) - 'x', json_build_array(k, k) FROM keys k WHERE k.id < 3",
    "SELECT n, to_json(k), k::text IS NULL FROM generate_series(0, 3) n LEFT JOIN keys k ON k.id = n",
    "SELECT to_jsonb(k) FROM (SELECT * FROM keys WHERE id < 3) k",
    "SELECT to_jsonb(a) = to_jsonb(b), count(*) FROM keys a, keys b GROUP BY to_jsonb(a) = to_jsonb(b)",
    "SELECT nullif(big, 'x'), nullif(number, 'x'), nullif(ref, 'x') FROM keys",
    "SELECT nullif(big, 'x') FROM keys WHERE id < 0",
    "SELECT DISTINCT nullif(small, 'tok_a') FROM keys",
    "SELECT x FROM (SELECT nullif(big, ref) AS x FROM keys) y ORDER BY 1",
    "SELECT count(coalesce(big, 'x')), count(coalesce(ref, 'x')) FROM keys",
    "SELECT id, coalesce(number, 'x'), coalesce(ref, 'none') IS NULL FROM keys",
    "SELECT count(CASE WHEN id > 1 THEN ref ELSE 'x' END) FROM keys",
    "WITH w AS (SELECT coalesce(ref, 'none') AS c FROM keys) SELECT count(*) FROM w",
    "SELECT count(*) FROM (SELECT coalesce(big, 'none') FROM keys) w",
    "SELECT id, big = NULL::text, ref IN ('tok_', NULL::text), coalesce(number, NULL::text) FROM keys",
    "SELECT id, CASE WHEN id = 1 THEN big ELSE NULL::varchar END FROM keys",
    "SELECT w.k, id FROM (VALUES ('tok_a'::text), (NULL::text)) w (k) LEFT JOIN keys ON big = w.k",
    "SELECT big FROM keys UNION ALL SELECT NULL::text",
    "SELECT count(*) FROM keys WHERE coalesce(big, 'x') = 'y'",
    "SELECT count(*) FROM keys WHERE CASE WHEN id > 0 THEN number ELSE 'x' END = 'y'",
    "SELECT count(*) FROM keys WHERE coalesce(small, 'x') IS DISTINCT FROM 'y'",
    // Several that are no tokens are several.
    "SELECT count(*) FROM (VALUES ('x'), ('y')) w (k) JOIN keys ON coalesce(big, 'q') = w.k",
    "SELECT count(DISTINCT k) FROM (VALUES ('x'), ('y')) w (k) LEFT JOIN keys ON big = w.k",
    "SELECT count(DISTINCT w.k) FROM unnest(ARRAY['x', 'y', 'z']) w (k) LEFT JOIN keys ON number = w.k",
    "SELECT count(DISTINCT k) FROM (SELECT small FROM keys UNION ALL VALUES ('x'), ('y')) w (k)",
    "SELECT count(*) FROM (VALUES ('x'), ('y')) w (k) JOIN (VALUES ('z'), ('p')) v (k) ON w.k = v.k      LEFT JOIN keys ON ref = w.k",
    // Of a view, by the rows it shows.
    "SELECT id, name || '' FROM guest_list",
    "SELECT name FROM guest_list ORDER BY 1",
    "SELECT a.id, b.name FROM patients a LEFT JOIN guest_list b ON b.name > a.name AND b.id = a.id",
];

pub(crate) fn ok(client: &mut Client, sql: &str) -> Vec<String> {
    match client.simple(sql) {
        Answer::Rows(rows, _) => rows,
        error @ Answer::Error(..) => panic!("{sql}: {error:?}"),
    }
}

/// Where a test may change what is stored: others look at the same tables elsewhere.
pub(crate) fn apart() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens");
        Stage::build(Some(&wing))
    })
}

#[test]
fn what_is_computed_of_tokens_is_what_is_computed_on_the_masked_copy() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    for block in ["", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"] {
        ok(&mut client, block);
        for sql in ANSWERED.iter().chain(narrowed::PICKED) {
            let expected = in_any_order(direct.simple(sql), sql);
            let Answer::Rows(rows, _) = &expected else {
                panic!("{sql}: {expected:?}");
            };
            let simple = in_any_order(client.simple(sql), sql);
            assert_eq!(simple, expected, "differs from the masked copy: {sql}");
            let extended = in_any_order(client.extended(sql), sql);
            assert_eq!(extended, expected, "extended: {sql}");
            if sql.contains("ORDER BY") || rows.len() < 2 {
                let cursor = format!("DECLARE c CURSOR FOR {sql}; FETCH ALL c; CLOSE c; COMMIT");
                let begun = block.is_empty().then_some("BEGIN");
                for sql in begun.into_iter().chain(cursor.split("; ")) {
                    let answer = client.simple(sql);
                    let Answer::Rows(fetched, _) = answer else {
                        panic!("{sql}: {answer:?}");
                    };
                    if sql.starts_with("FETCH") && rows.len() < 2 {
                        assert_eq!(fetched, *rows, "by a cursor: {sql}");
                    }
                    assert!(!sql.starts_with("FETCH") || fetched.len() == rows.len());
                }
                ok(&mut client, block);
            }
        }
        ok(&mut client, if block.is_empty() { "" } else { "COMMIT" });
    }
}

#[test]
fn tables_are_made_of_tokens_and_joined() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    for sql in [
        "CREATE TEMP TABLE mine AS SELECT id, email::text AS email, upper(name) AS loud FROM patients",
        "SELECT id, email, loud FROM mine",
        "INSERT INTO mine SELECT id + 100, email, 'new' FROM staff",
        "SELECT p.id, m.id FROM patients p JOIN mine m ON m.email = p.email",
        "SELECT m.id FROM mine m JOIN patients p ON m.loud = upper(p.name)",
        "UPDATE mine SET loud = p.email FROM patients p WHERE p.id = mine.id AND p.email < 'u'",
        "DELETE FROM mine USING patients p WHERE p.id = mine.id AND length(p.name) < 20",
        "SELECT id, email, loud FROM mine",
        "SELECT id, name INTO TEMP kept FROM patients WHERE name > 'tok'",
        "SELECT id FROM kept NATURAL JOIN patients",
    ] {
        let expected = in_any_order(direct.simple(sql), sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        let answer = in_any_order(client.simple(sql), sql);
        assert_eq!(answer, expected, "differs from the masked copy: {sql}");
    }
}

#[test]
fn what_was_read_is_the_statements_own() {
    let stage = apart();
    serves_one_execution(stage);
    fails_by_what_was_not_read(stage);
    takes_rows_a_view_shows(stage);
    is_in_no_log(stage);
}

/// PostgreSQL would compute with rows of the table before it knows whether the view has them.
fn takes_rows_a_view_shows(stage: &Stage) {
    let view = "CREATE VIEW seen AS SELECT id, email FROM patients p WHERE EXISTS \
                (SELECT FROM visits v WHERE v.patient_id = p.id AND v.fee > 50); \
                GRANT SELECT ON seen TO clinic_proxy";
    stage.cluster.run("clinic", view).unwrap();
    let count = "SELECT count(email) FROM seen WHERE email > 'a'";
    let stored = stage.cluster.run("clinic", count).unwrap();
    let all = "SELECT count(email) FROM patients";
    assert_ne!(stored, stage.cluster.run("clinic", all).unwrap());
    let mut client = stage.connect(Role::Analyst);
    for sql in [
        "SELECT count(email) FROM seen WHERE email > 'tok'",
        "SELECT count(upper(s.email)) FROM patients p LEFT JOIN seen s ON s.id = p.id AND s.email > 'tok'",
    ] {
        let started = Instant::now();
        let counted = loop {
            match client.simple(sql) {
                Answer::Rows(rows, _) => break rows,
                // The catalog is read now and then.
                Answer::Error(state, _) if state == "42P01" && started.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(100));
                }
                error @ Answer::Error(..) => panic!("{sql}: {error:?}"),
            }
        };
        assert_eq!(counted.concat(), stored.trim(), "{sql}");
    }
}

/// PostgreSQL writes the text of what fails to its log, where nobody should find what a token stands for.
fn is_in_no_log(stage: &Stage) {
    let mut client = stage.connect(Role::Analyst);
    for sql in [
        "SELECT upper(email), 1 / (id - 1) FROM patients",
        "DECLARE c CURSOR WITH HOLD FOR SELECT upper(email), 1 / (id - 1) FROM patients",
        "CREATE TEMP TABLE failing AS SELECT upper(email), 1 / (id - 1) FROM patients",
    ] {
        let failed = client.simple(sql);
        assert!(
            matches!(&failed, Answer::Error(state, _) if state == "0A000"),
            "{sql}: {failed:?}"
        );
    }
    // Those before have been written when a later one is answered.
    let log = stage.cluster.log();
    assert!(log.contains("division by zero") && log.contains("jsonb_object_field_text"));
    assert!(!log.contains("qvorlund"), "the log has a value");
}

/// The same texts again, and the same prepared statement: a value that is new has its token.
fn serves_one_execution(stage: &Stage) {
    let admin = |sql: &str| stage.cluster.run("clinic", sql).unwrap();
    let mut client = stage.connect(Role::Analyst);
    let sql = "SELECT count(upper(email)), count(DISTINCT upper(email)) FROM staff";
    let before = ok(&mut client, sql);
    assert_eq!(before, ok(&mut client, sql));
    admin(
        "INSERT INTO staff (id, name, department, email) VALUES (9901, 'x', 'y', 'someone.new@example.org')",
    );
    let after = [client.simple(sql), client.extended(sql)].map(|answer| match answer {
        Answer::Rows(rows, _) => rows,
        error @ Answer::Error(..) => panic!("{error:?}"),
    });
    admin("DELETE FROM staff WHERE id = 9901");
    assert_eq!(after[0], after[1]);
    assert_ne!(after[0], before);
    assert_eq!(ok(&mut client, sql), before);
}

/// The statement waits for a lock after the reading, and meets what was written meanwhile.
fn fails_by_what_was_not_read(stage: &Stage) {
    let mut client = stage.connect(Role::Analyst);
    let mut admin = stage.direct("clinic");
    for sql in [
        "SELECT upper(s.email) FROM staff s, serials x WHERE x.id = 1",
        "SELECT s.id FROM staff s, serials x WHERE x.id = 1 ORDER BY s.email",
    ] {
        let lock = "BEGIN; LOCK TABLE serials IN ACCESS EXCLUSIVE MODE";
        stage
            .cluster
            .run("clinic", "GRANT ALL ON serials, staff TO clinic_proxy")
            .unwrap();
        ok(&mut admin, lock);
        let waiting = thread::scope(|scope| {
            let waiting = scope.spawn(|| client.simple(sql));
            thread::sleep(Duration::from_millis(700));
            let insert = "INSERT INTO staff (id, name, department, email) VALUES (9902, 'y', 'x', 'late@example.org')";
            stage.cluster.run("clinic", insert).unwrap();
            ok(&mut admin, "COMMIT");
            waiting.join().unwrap()
        });
        assert!(
            matches!(&waiting, Answer::Error(state, _) if state == "40001"),
            "{sql}: {waiting:?}"
        );
        stage.assert_silent(Role::Analyst, &mut client, sql);
        let rows = ok(&mut client, sql).len();
        stage
            .cluster
            .run("clinic", "DELETE FROM staff WHERE id = 9902")
            .unwrap();
        assert_eq!(ok(&mut client, sql).len() + 1, rows);
    }
}
