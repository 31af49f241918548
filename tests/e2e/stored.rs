//! Tokens that are written, in the forms tools write in: what is stored by them is what PostgreSQL stores
//! on the masked copy, whichever way a token takes to its column.

use crate::siv::stage;
use crate::support::client::{Answer, Client};
use crate::support::stage::Role;
use crate::tabulated::ok;

/// What a token is written to, as the role sees it afterwards.
const SEEN: [&str; 2] = [
    "SELECT id, name, email, department FROM staff ORDER BY id",
    "SELECT id, code, ext FROM keys ORDER BY id",
];

/// `<1>` to `<3>` are tokens of e-mails, `<4>` of a code, `<5>` and `<6>` of uuids.
const WRITTEN: &[&str] = &[
    // Rows of constants: SQLAlchemy, Django, PostgREST's kin.
    "INSERT INTO staff (id, name, email, department) SELECT p0::int, p1::VARCHAR, p2::VARCHAR, p3::VARCHAR \
     FROM (VALUES (11, '<1>', '<2>', 'x', 0), (12, '<2>', NULL, 'y', 1)) \
     AS imp_sen(p0, p1, p2, p3, sen_counter) ORDER BY sen_counter RETURNING staff.id, staff.id AS id__1",
    "INSERT INTO staff (id, name, email, department) SELECT * FROM unnest('{11,12}'::int[], \
     '{<1>,<2>}'::text[], '{NULL,<3>}'::varchar(80)[], '{x,y}'::text[]) RETURNING id",
    "INSERT INTO staff (id, name, email, department) SELECT a, b, c, 'z' FROM unnest(ARRAY[11, 12], \
     ARRAY['<1>', '<2>'], ARRAY['<3>', NULL]) AS u (a, b, c)",
    "INSERT INTO staff (id, name, department) SELECT unnest('{11,12}'::int[]), unnest('{<1>,<2>}'::text[]), 'x'",
    "INSERT INTO staff (id, name, department) SELECT 11, '<1>', 'x' WHERE NOT EXISTS \
     (SELECT FROM staff WHERE id = 11)",
    "INSERT INTO staff (id, name, department) SELECT 11, '<1>', 'x' UNION ALL SELECT 12, '<2>', 'y'",
    "WITH d (i, n) AS (VALUES (11, '<1>'), (12, '<2>')), e AS (SELECT * FROM d WHERE i > 11) \
     INSERT INTO staff (id, name, department) SELECT i, n, 'x' FROM e",
    "INSERT INTO staff (id, name, email, department) SELECT i, n, n, 'x' FROM (VALUES (11, '<1>')) v (i, n)",
    "INSERT INTO staff (id, name, department) SELECT DISTINCT i, n, 'x' FROM (VALUES (11, '<1>'), (11, '<1>')) \
     v (i, n)",
    "INSERT INTO staff (id, name, email, department) SELECT i, n, m, 'x' FROM \
     (VALUES (11, '<1>', NULL), (12, '<2>', NULL)) v (i, n, m)",
    "INSERT INTO staff (id, name, department) SELECT v.i, v.n, p.city FROM (VALUES (11, '<1>')) v (i, n) \
     JOIN patients p ON p.email = v.n",
    "INSERT INTO keys (id, code, ext) SELECT a, b, c FROM unnest('{11,12}'::int[], '{<4>,NULL}'::text[], \
     '{<5>,<6>}'::uuid[]) u (a, b, c)",
    "INSERT INTO keys (id, ext) SELECT 11, '<5>'",
    "INSERT INTO keys (id, ext) SELECT i, e FROM (VALUES (11, '<5>'::uuid), (12, NULL)) v (i, e)",
    // One row, and another where there is one.
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', '<2>', 'x'), (11, '<3>', NULL, 'y') \
     ON CONFLICT (id) DO UPDATE SET email = excluded.email, department = excluded.department",
    "INSERT INTO staff (id, name, email, department) SELECT * FROM unnest('{1,2}'::int[], '{<1>,<1>}'::text[], \
     '{<2>,NULL}'::text[], '{x,y}'::text[]) \
     ON CONFLICT (id) DO UPDATE SET email = coalesce(excluded.email, staff.email)",
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', '<2>', 'x'), (2, '<1>', '<3>', 'y') \
     ON CONFLICT (id) DO UPDATE SET email = coalesce(staff.email, excluded.email), department = excluded.department",
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', NULL, 'x') \
     ON CONFLICT (id) DO UPDATE SET email = excluded.email",
    // Many rows, each its own value.
    "UPDATE staff SET email = v.e, department = v.d FROM (VALUES (1, '<1>', 'x'), (2, NULL, 'y')) v (i, e, d) \
     WHERE staff.id = v.i RETURNING staff.id, staff.email",
    "UPDATE staff s SET email = v.e FROM unnest('{1,2}'::int[], '{<1>,<2>}'::text[]) v (i, e) WHERE s.id = v.i",
    "UPDATE staff s SET (email, department) = (v.e, v.d) FROM (VALUES (1, '<1>', 'x')) v (i, e, d) WHERE s.id = v.i",
    "UPDATE staff s SET (email, department) = (SELECT e, d FROM (VALUES (1, '<1>', 'x'), (2, '<2>', 'y')) v (i, e, d) \
     WHERE v.i = s.id) WHERE id < 3",
    "UPDATE staff SET email = CASE WHEN id = 1 THEN '<1>' WHEN id = 2 THEN '<2>' ELSE NULL END WHERE id IN (1, 2)",
    "UPDATE staff SET email = (CASE WHEN id = 1 THEN '<1>' WHEN id = 2 THEN '<2>' ELSE NULL END)::varchar(80) \
     WHERE id IN (1, 2)",
    "UPDATE staff SET email = CASE id WHEN 1 THEN '<1>' ELSE email END",
    "UPDATE staff SET email = CASE WHEN email = '<1>' THEN '<2>' ELSE staff.email END, department = 'z'",
    "UPDATE staff SET email = coalesce('<1>', email), department = 'z' WHERE id = 1",
    "UPDATE staff SET email = email, department = 'z' WHERE id = 1",
    "UPDATE staff s SET email = v.new FROM (VALUES ('<1>', '<2>')) v (old, new) WHERE s.email = v.old",
    "UPDATE keys SET code = v.c, ext = v.e FROM (VALUES (1, '<4>', '<6>'::uuid), (3, NULL, '<5>')) v (i, c, e) \
     WHERE keys.id = v.i",
    "UPDATE keys SET ext = CASE id WHEN 1 THEN '<6>' ELSE ext END",
    "UPDATE keys SET code = CASE WHEN id = 3 THEN '<4>' ELSE code END",
    // What is computed with is not what is written: the rows that are changed, what is returned of them, and the
    // query around.
    "UPDATE staff SET department = 'x' WHERE email LIKE 'tok%' AND upper(name) > 'TOK' AND id < 3",
    "UPDATE staff SET department = 'x' WHERE id = 2 RETURNING id, upper(email), coalesce(name, '-'), department",
    "UPDATE staff AS s SET department = left(s.department, 1) || '!' WHERE s.id = 1 AND length(s.email) > 5 \
     RETURNING s.id, s.email || s.department AS both",
    "UPDATE staff SET email = '<1>' WHERE id = 1 AND name LIKE 'tok%' RETURNING email, upper(name)",
    "WITH u AS (UPDATE staff SET department = 'x' WHERE id < 3 RETURNING *) SELECT json_agg(u ORDER BY u.id) FROM u",
    "WITH u AS (UPDATE staff SET department = 'x' WHERE id < 3 RETURNING staff.*) \
     SELECT coalesce(json_agg(r ORDER BY r.id), '[]') FROM (SELECT id, email, upper(name) AS n FROM u) r",
    "WITH u AS (UPDATE staff SET department = 'x' WHERE id < 3 RETURNING id) \
     SELECT u.id, upper(p.email) FROM u JOIN patients p ON p.id = u.id ORDER BY 1",
    "UPDATE staff s SET department = 'z' FROM patients p WHERE p.id = s.id AND p.email > 'tok' \
     RETURNING s.id, left(p.email, 9)",
    "UPDATE staff SET department = 'z' WHERE id IN (SELECT id FROM patients ORDER BY email LIMIT 2)",
    "INSERT INTO staff (id, name, department) SELECT id + 100, '<1>', 'x' FROM patients WHERE email LIKE 'tok%'",
];

/// Prepared, and run with these.
const BOUND: &[(&str, &str)] = &[
    (
        "(int, text, int, text) AS INSERT INTO staff (id, name, department) SELECT i, n, 'x' \
         FROM (VALUES ($1, $2), ($3, $4)) v (i, n)",
        "(11, '<1>', 12, '<2>')",
    ),
    (
        "(int[], text[], varchar[]) AS INSERT INTO staff (id, name, email, department) SELECT *, 'x' \
         FROM unnest($1, $2, $3)",
        "('{11,12}', '{<1>,<2>}', '{<3>,NULL}')",
    ),
    (
        "(int, text, text) AS UPDATE staff SET email = CASE WHEN id = $1 THEN $2 ELSE $3 END WHERE id < 3",
        "(1, '<1>', NULL)",
    ),
    (
        "(int, uuid) AS INSERT INTO keys (id, ext) SELECT i, e FROM (VALUES ($1, $2)) v (i, e)",
        "(11, '<5>')",
    ),
];

/// What would store, show or tell anything else.
const REFUSED: &[&str] = &[
    "INSERT INTO staff (id, name, department) SELECT 11, n, n FROM (VALUES ('<1>')) v (n)",
    "INSERT INTO staff (id, name, department) SELECT 11, n, upper(n) FROM unnest('{<1>}'::text[]) n",
    "INSERT INTO staff (id, name, department) SELECT 11, n, 'x' FROM (VALUES ('<1>')) v (n) WHERE n LIKE 'a%'",
    "INSERT INTO staff (id, name, department) SELECT 11, n, 'x' FROM (VALUES ('<1>'), ('<2>')) v (n) ORDER BY n",
    "INSERT INTO staff (id, name, department) SELECT 11, n, 'x' FROM (VALUES ('<1>')) v (n) JOIN visits d \
     ON d.diagnosis = n",
    "INSERT INTO staff (id, name, department) SELECT 11, n || '', 'x' FROM (VALUES ('<1>')) v (n)",
    "INSERT INTO staff (id, name, department) SELECT 11, n::varchar(3), 'x' FROM (VALUES ('<1>')) v (n)",
    "INSERT INTO staff (id, name, email, department) SELECT 11, '<1>', e, 'x' FROM unnest('{<1>}'::varchar(3)[]) e",
    "INSERT INTO staff (id, name, department) SELECT 11, n, 'x' FROM (VALUES ('ada.qvorlund@example.com')) v (n)",
    "INSERT INTO staff (id, name, department) SELECT 11, n, 'x' FROM unnest('{ada.qvorlund@example.com}'::text[]) n",
    "INSERT INTO staff (id, name, department) SELECT 11, CASE WHEN id = 1 THEN name ELSE '<1>' END, 'x' FROM patients",
    "INSERT INTO keys (id, code) SELECT 11, n FROM (VALUES ('<1>')) v (n)",
    "INSERT INTO keys (id, ref, code) SELECT 11, n, m FROM (VALUES ('<4>', 'x')) v (n, m)",
    "UPDATE staff SET department = email",
    "UPDATE staff SET email = name",
    "UPDATE staff s SET email = o.email FROM staff o WHERE o.id = 2 AND s.id = 1",
    "UPDATE staff SET email = upper(email)",
    "UPDATE staff SET email = CASE WHEN id = 1 THEN department ELSE email END",
    "UPDATE staff SET email = CASE WHEN email LIKE 'a%' THEN NULL ELSE name END",
    "UPDATE staff SET email = left(email, 1)",
    "UPDATE staff SET email = email::varchar(3)",
    "UPDATE staff SET email = v.e, department = v.e FROM (VALUES (1, '<1>')) v (i, e) WHERE staff.id = v.i",
    "UPDATE staff SET email = v.e FROM (VALUES (1, '<1>')) v (i, e) WHERE staff.id = v.i RETURNING length(v.e)",
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', '<2>', 'x') \
     ON CONFLICT (id) DO UPDATE SET department = excluded.email",
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', '<2>', 'x') \
     ON CONFLICT (id) DO UPDATE SET department = coalesce(excluded.email, staff.department)",
];

/// What is computed with tokens would be kept, or what is written is computed with.
const KEPT: &[&str] = &[
    "UPDATE staff SET department = upper(email)",
    "UPDATE staff SET department = 'x' || (SELECT max(email) FROM patients)",
    "UPDATE staff SET department = CASE WHEN email LIKE 'tok_a%' THEN 'a' ELSE 'b' END",
    "UPDATE staff s SET department = p.e FROM (SELECT id, upper(email) AS e FROM patients) p WHERE p.id = s.id",
    "UPDATE staff SET (department, email) = (SELECT left(email, 4), NULL FROM patients p WHERE p.id = staff.id)",
    "INSERT INTO lockers (id, label) SELECT id + 10, upper(email) FROM patients",
    "INSERT INTO lockers (id, label) VALUES (10, (SELECT max(email) FROM patients))",
    "INSERT INTO lockers (id, label) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET label = \
     (SELECT max(email) FROM patients)",
    "WITH p AS (SELECT upper(email) AS e FROM patients) INSERT INTO lockers (id, label) SELECT 10, e FROM p LIMIT 1",
    "WITH i AS (INSERT INTO lockers (id, label) SELECT id + 10, upper(email) FROM patients RETURNING id) SELECT * FROM i",
    "WITH d AS (DELETE FROM staff WHERE id = 9 RETURNING email) INSERT INTO lockers (id, label) SELECT 10, upper(email) FROM d",
    "UPDATE staff SET email = '<1>' WHERE id = 1 RETURNING upper(email)",
    "INSERT INTO staff (id, name, email, department) VALUES (11, '<1>', '<2>', 'x') RETURNING upper(name)",
    "INSERT INTO staff (id, name, email, department) VALUES (1, '<1>', '<2>', 'x') \
     ON CONFLICT (id) DO UPDATE SET department = 'y' RETURNING upper(staff.name)",
];

fn tokens(client: &mut Client) -> Vec<String> {
    let shown = [
        "email FROM patients WHERE id = 1",
        "email FROM patients WHERE id = 2",
        "email FROM patients WHERE id = 3",
        "code FROM keys WHERE id = 2",
        "ext FROM keys WHERE id = 1",
        "ext FROM keys WHERE id = 2",
    ];
    let one = |what| match client.simple(&format!("SELECT {what}")) {
        Answer::Rows(rows, _) => rows.concat(),
        other @ Answer::Error(..) => panic!("{what}: {other:?}"),
    };
    shown.map(one).to_vec()
}

fn filled(sql: &str, tokens: &[String]) -> String {
    let numbered = tokens.iter().enumerate();
    numbered.fold(sql.to_owned(), |sql, (n, token)| {
        sql.replace(&format!("<{}>", n + 1), token)
    })
}

/// What is answered, and what is there then; nothing of it stays.
fn done(client: &mut Client, statements: &[String]) -> Vec<Answer> {
    client.simple("BEGIN");
    let own = statements.iter().map(String::as_str);
    let answers = own.chain(SEEN).map(|sql| client.simple(sql)).collect();
    client.simple("ROLLBACK");
    answers
}

#[test]
fn tokens_are_stored_whichever_way_they_come() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let tokens = tokens(&mut client);
    let before = done(&mut client, &[]);
    let mut check = |statements: &[String], changes: bool| {
        let stored = done(&mut client, statements);
        let all = stored.iter().all(|a| matches!(a, Answer::Rows(..)));
        assert!(all, "{statements:?}: {stored:?}");
        let changed = stored.get(statements.len()..) != Some(before.as_slice());
        assert_eq!(changed, changes, "{statements:?}");
        let expected = done(&mut direct, statements);
        assert_eq!(
            stored, expected,
            "differs from the masked copy: {statements:?}"
        );
    };
    for sql in WRITTEN {
        // One finds no such row.
        check(&[filled(sql, &tokens)], !sql.contains("(old, new)"));
    }
    for (n, (prepared, values)) in BOUND.iter().enumerate() {
        let prepare = format!("PREPARE stored_{n} {prepared}");
        let execute = format!("EXECUTE stored_{n} {}", filled(values, &tokens));
        check(&[prepare, execute], true);
    }
}

#[test]
fn a_stored_token_is_nothing_else() {
    let mut client = stage().connect(Role::Analyst);
    let tokens = tokens(&mut client);
    let before = done(&mut client, &[]);
    for sql in REFUSED.iter().chain(KEPT) {
        let answer = client.simple(&filled(sql, &tokens));
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "42501"),
            "{sql}: {answer:?}"
        );
    }
    assert_eq!(done(&mut client, &[]), before);
}

/// The rows are found by what they were, and returned as what they are then.
#[test]
fn what_is_returned_has_its_tokens_whatever_else_has_changed() {
    let mut client = stage().connect(Role::Analyst);
    for (id, set, found) in [
        (1, "n = n + 1", "twice = 10"),
        (2, "n = n + 1", "twice = 10 AND id = 2"),
        (2, "n = n", "version = 1 AND id = 2"),
        (1, "n = n", "version = 1 AND id = 1"),
    ] {
        let shown = ok(
            &mut client,
            &format!("SELECT id, name, upper(name) FROM drafts WHERE id = {id}"),
        );
        client.simple("BEGIN");
        let sql = format!(
            "UPDATE drafts SET {set} WHERE {found} AND id = {id} AND name || '' LIKE 'tok%' \
             RETURNING id, name, upper(name)"
        );
        assert_eq!(ok(&mut client, &sql), shown, "{sql}");
        client.simple("ROLLBACK");
    }
}

/// The alias is the client's to choose, and so are constants: where one stands in the other's place they would be
/// SQL of the client's making over the stored row.
#[test]
fn what_stands_for_an_alias_is_no_text_of_the_client() {
    let mut client = stage().connect(Role::Analyst);
    for name in ["\"\u{1}alias\u{1}\"", "\u{1}alias\u{1}", "\"t\"", ":alias:"] {
        for target in [
            "')) THEN name||left($1::text, 0) END)) --",
            "x' || name || '",
            "x",
        ] {
            let alias = target.replace('"', "\"\"");
            let found =
                format!("department >= '{name}' AND id < 3 AND id = ANY ('{{1,2}}'::int[])");
            for sql in [
                format!(
                    "UPDATE staff AS \"{alias}\" SET email = NULL WHERE {found} RETURNING name || ''"
                ),
                format!("SELECT \"{alias}\".email || '' FROM staff \"{alias}\" WHERE {found}"),
                format!("SELECT \"{alias}\", id FROM staff \"{alias}\" WHERE {found} GROUP BY id"),
            ] {
                client.simple("BEGIN");
                for answer in [client.simple(&sql), client.extended(&sql)] {
                    if let Answer::Rows(rows, _) = &answer {
                        let told = |row: &String| {
                            row.split([',', '('])
                                .any(|v| v.contains('@') || v.contains(' '))
                        };
                        assert!(!rows.iter().any(told), "{sql}: {answer:?}");
                    }
                }
                client.simple("ROLLBACK");
            }
        }
    }
}
