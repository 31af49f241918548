//! Columns that are half encrypted, with cells of two keys and values side by side: what is compared with
//! constants is compared as if nothing were encrypted, and what is compared with anything else is refused.

use super::sealed::{Pair, array, bound};
use crate::support::client::Answer;
use crate::support::stage::{ENCRYPTED, Role, Stage};
use crate::{half_sealed_clinic, show};

/// Answered as the values are.
const ANSWERED: &[&str] = &[
    "name = $1",
    "$1 = name",
    "name <> $1",
    "NOT name = $1",
    "(name = $1) IS NOT TRUE",
    "(name <> $1) IS NULL",
    "name IN ('x', $1, NULL)",
    "name IN ($1)",
    "name IN ($1, $1)",
    "name NOT IN ('x', $1)",
    "name NOT IN ($1, NULL)",
    "name = ANY (ARRAY['x', $1, NULL])",
    "name <> ALL (ARRAY[$1::text])",
    "name = SOME (ARRAY[$1]::varchar[])",
    "email = 'lilei.bxq@example.net' OR name = $1",
    "email IN ('lilei.bxq@example.net', 'w@example.org', 'ada.qvorlund@example.com') AND name <> $1",
    "email <> 'w@example.org' AND name <> $1",
    "email NOT IN ('w@example.org', 'brixwell@example.org') OR name = $1",
    "email = NULL OR name = $1",
    "coalesce(name, 'q') = $1",
    "coalesce(email, $1) = $1",
    "(SELECT p.name) = $1",
    "name = ('x') OR name = ($1::text)",
    "EXISTS (SELECT FROM patients q WHERE q.id = patients.id AND q.name = $1)",
    "id IN (SELECT max(id) FROM patients WHERE name = $1)",
    "CASE WHEN name = $1 THEN true END",
];

/// One side of these is no constant, or is grouped, or is asked for more than one member.
const REFUSED: &[&str] = &[
    "name = email",
    "name = city",
    "name IN (SELECT name FROM patients)",
    "name IN (SELECT v FROM (VALUES ('Ada Qvorlund')) l (v))",
    "name IN (VALUES ('Ada Qvorlund'))",
    "name = ANY (SELECT unnest(ARRAY['Ada Qvorlund']))",
    "'Ada Qvorlund' IN (SELECT name FROM patients)",
    "'Ada Qvorlund' IN ('x', name)",
    "name IN ('Ada Qvorlund', email)",
    "name = ALL (ARRAY['Ada Qvorlund'])",
    "name <> ANY (ARRAY['Ada Qvorlund', 'x'])",
    "name IS DISTINCT FROM 'Ada Qvorlund'",
    "name IS NOT DISTINCT FROM 'Ada Qvorlund'",
    "(name, id) = ('Ada Qvorlund', 1)",
    "(id, name) IN ((1, 'Ada Qvorlund'))",
    "CASE name WHEN 'Ada Qvorlund' THEN true END",
    "nullif(name, 'Ada Qvorlund') IS NULL",
    "EXISTS (SELECT FROM patients q WHERE q.name = patients.name)",
    "EXISTS (SELECT name FROM patients GROUP BY name)",
    "EXISTS (SELECT DISTINCT name FROM patients)",
    "(SELECT count(DISTINCT name) FROM patients) > 1",
    "EXISTS (SELECT name FROM patients UNION SELECT name FROM staff)",
    "EXISTS (SELECT row_number() OVER (PARTITION BY name) FROM patients)",
    "name LIKE 'Ada Qvorlund'",
    "name > 'Ada'",
    "name = lower('Ada')",
    "name = 'Ada' || ''",
    "name = 'Ada Qvorlund' COLLATE \"C\"",
];

/// What each of the stored forms is.
fn forms(stage: &Stage, table: &str, column: &str) -> String {
    let sql = format!(
        "SELECT string_agg(form, ' ' ORDER BY form) FROM (SELECT DISTINCT CASE WHEN {column} ~ '^enc_' \
         THEN left({column}, 8) ELSE 'value' END FROM {table} WHERE {column} IS NOT NULL) f (form)"
    );
    show(&stage.direct("clinic").simple(&sql)).trim().to_owned()
}

#[test]
fn cells_of_two_keys_and_values_stand_side_by_side() {
    let stage = half_sealed_clinic();
    for (table, column) in ENCRYPTED {
        let forms = forms(stage, table, column);
        assert_eq!(forms, "enc_mhqv enc_zrln value", "{table}.{column}");
    }
}

#[test]
fn constants_are_found_in_whatever_form_a_value_is_stored() {
    let mut pair = Pair::new(half_sealed_clinic());
    let names = [
        "Ada Qvorlund",
        "Grace Zhemmick",
        "欧阳晓楠",
        "O''Brixwell",
        "nobody",
        "",
        "enc_",
    ];
    for condition in ANSWERED {
        let sql = format!("SELECT id, name FROM patients p WHERE {condition} ORDER BY id");
        let sql = sql.replace("patients.id", "p.id");
        for name in names {
            let sql = sql.replace("$1", &format!("'{name}'"));
            let answer = pair.simple(&sql);
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
        let bare = names.map(|name| Some(name.replace("''", "'").into_bytes()));
        for name in bare.iter().chain([&None]) {
            for format in [0, 1] {
                let answer = pair.alike(
                    |client| bound(client, &sql, &[name.as_deref()], format),
                    &sql,
                );
                assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
            }
        }
    }
}

#[test]
fn arrays_have_every_form_of_their_members() {
    let mut pair = Pair::new(half_sealed_clinic());
    let listed = [
        "Ada Qvorlund",
        "O'Brixwell",
        "a\"b\\c,{}",
        "enc_x",
        "欧阳晓楠",
    ];
    for condition in ["= ANY ($1)", "<> ALL ($1)", "= ANY ($1::varchar[])"] {
        let sql = format!("SELECT id, name FROM patients WHERE name {condition} ORDER BY id");
        let text = r#"{"Ada Qvorlund",O'Brixwell,NULL,"a\"b\\c,{}",enc_x}"#;
        for value in [Some(text.as_bytes()), Some(b"{}"), Some(b"{NULL}"), None] {
            pair.alike(|client| bound(client, &sql, &[value], 0), &sql);
        }
        let binary = array(&listed);
        // PostgreSQL refuses to read an array of another type than it asked for.
        let own = !condition.contains("varchar");
        for value in [Some(binary.as_slice()).filter(|_| own), None] {
            let answer = pair.alike(|client| bound(client, &sql, &[value], 1), &sql);
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
        pair.simple(&sql.replace("$1", &format!("'{}'", text.replace('\'', "''"))));
        pair.simple(&sql.replace("$1", "'{}'"));
    }
    // Nothing but one dimension, as of other columns of tokens.
    pair.refused_as(
        "SELECT id FROM patients WHERE name = ANY ('{{a},{b}}')",
        "0A000",
    );
}

#[test]
fn what_is_no_constant_is_not_compared() {
    let mut pair = Pair::new(half_sealed_clinic());
    for condition in REFUSED {
        pair.refused(&format!("SELECT id FROM patients WHERE {condition}"));
    }
    for sql in [
        "SELECT p.id FROM patients p JOIN staff s USING (name)",
        "SELECT p.id FROM patients p JOIN (VALUES ('Ada Qvorlund')) v (name) USING (name)",
        "SELECT p.id FROM patients p, unnest(ARRAY['Ada Qvorlund']) u (n) WHERE u.n = p.name",
        "SELECT name FROM patients GROUP BY name",
        "SELECT DISTINCT name FROM patients WHERE name = 'Ada Qvorlund'",
        "SELECT name, count(*) FROM patients WHERE name = 'Ada Qvorlund' GROUP BY 1",
        "SELECT name FROM patients EXCEPT SELECT 'Ada Qvorlund'",
    ] {
        pair.refused(sql);
    }
    // And who groups is told of grouping.
    let grouped = pair
        .proxied
        .simple("SELECT name FROM patients GROUP BY name");
    let Answer::Error(_, words) = grouped else {
        panic!("{grouped:?}");
    };
    assert!(
        words.starts_with("cannot group or compare column name"),
        "{words}"
    );
}

#[test]
fn a_cell_is_not_looked_for() {
    let stage = half_sealed_clinic();
    let cells = stage
        .direct("clinic")
        .simple("SELECT email FROM patients WHERE email ~ '^enc_' ORDER BY id");
    let Answer::Rows(cells, _) = cells else {
        panic!("{cells:?}");
    };
    let tokens = stage
        .connect(Role::Analyst)
        .simple("SELECT email FROM patients WHERE id IN (1, 2, 3) ORDER BY id");
    let Answer::Rows(tokens, _) = tokens else {
        panic!("{tokens:?}");
    };
    // Of a role that sees values they are no value; of one that sees tokens, a cell and a value are no
    // token; of the others nothing is one.
    for role in [Role::Owner, Role::Analyst] {
        let mut client = stage.connect(role);
        let strangers: &[&str] = if role == Role::Analyst {
            &[
                "ada.qvorlund@example.com",
                "grace.zhemmick@example.com",
                "ouyang.xn@example.net",
            ]
        } else {
            &[]
        };
        for text in cells
            .iter()
            .map(String::as_str)
            .chain(strangers.iter().copied())
        {
            for condition in ["= $1", "IN ('x', $1)", "= ANY (ARRAY[$1])"] {
                let sql = format!("SELECT count(*) FROM patients WHERE email {condition}");
                let literal = sql.replace("$1", &format!("'{text}'"));
                assert_eq!(show(&client.simple(&literal)), "0\n", "{role:?}: {literal}");
                let answer = bound(&mut client, &sql, &[Some(text.as_bytes())], 0);
                assert_eq!(show(&answer), "0\n", "{role:?}: {sql}");
            }
            let sql = format!("SELECT count(*) FROM patients WHERE email <> '{text}'");
            assert_eq!(show(&client.simple(&sql)), "7\n", "{role:?}: {sql}");
        }
    }
    // And tokens are found, in whatever form their values are stored.
    let mut analyst = stage.connect(Role::Analyst);
    for (id, token) in (1..).zip(&tokens) {
        for format in [0, 1] {
            let sql = "SELECT id FROM patients WHERE email = $1";
            let answer = bound(&mut analyst, sql, &[Some(token.as_bytes())], format);
            assert_eq!(show(&answer), format!("{id}\n"));
        }
    }
    let all = array(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
    let sql = "SELECT count(*) FROM patients WHERE email = ANY ($1)";
    assert_eq!(show(&bound(&mut analyst, sql, &[Some(&all)], 1)), "3\n");
    let sql = "SELECT count(*) FROM patients WHERE email <> ALL ($1)";
    assert_eq!(show(&bound(&mut analyst, sql, &[Some(&all)], 1)), "4\n");
}

#[test]
fn who_sees_masks_or_hashes_does_not_compare() {
    let stage = half_sealed_clinic();
    for role in [Role::Support, Role::Partner] {
        let mut client = stage.connect(role);
        for condition in [
            "email = 'ada.qvorlund@example.com'",
            "email <> 'ada.qvorlund@example.com'",
            "email IN ('ada.qvorlund@example.com')",
            "email = ANY ('{ada.qvorlund@example.com}')",
        ] {
            let sql = format!("SELECT id FROM patients WHERE {condition}");
            let answer = client.simple(&sql);
            assert!(
                matches!(&answer, Answer::Error(state, _) if state == "42501"),
                "{role:?}: {sql}: {answer:?}"
            );
        }
    }
}

#[test]
fn writes_find_their_rows() {
    let mut pair = Pair::new(half_sealed_clinic());
    pair.simple("BEGIN");
    for id in [61, 62, 63] {
        pair.simple(&format!(
            "INSERT INTO patients (id, name, city) VALUES ({id}, 'Thrice', 'x')"
        ));
    }
    pair.simple("INSERT INTO patients (id, name, city) VALUES (64, 'enc_zrlnAAAA', 'x')");
    pair.unordered("UPDATE patients SET city = 'y' WHERE name = 'Thrice' RETURNING id, name");
    pair.unordered("UPDATE patients SET notes = 'n' WHERE name IN ('Ada Qvorlund', 'Grace Zhemmick', '李雷') RETURNING id, notes");
    pair.simple("SELECT id, name, notes FROM patients WHERE notes = 'n' ORDER BY id");
    pair.unordered("UPDATE patients SET name = 'Renamed' WHERE name = '王' RETURNING id, name");
    pair.simple("SELECT id FROM patients WHERE name = 'Renamed'");
    pair.simple("SELECT id, name FROM patients WHERE name = 'enc_zrlnAAAA'");
    pair.unordered("DELETE FROM patients WHERE name = 'enc_zrlnAAAA' RETURNING id, name");
    pair.unordered("DELETE FROM visits v USING patients p WHERE v.patient_id = p.id AND p.name = 'Ada Qvorlund' RETURNING v.id");
    pair.simple("PREPARE one (text, text) AS SELECT id FROM patients WHERE name IN ($1, $2) AND $1 <> 'z' ORDER BY id");
    for args in [
        "('Thrice', 'Zoë Pfannquist')",
        "(NULL, 'Ada Qvorlund')",
        "('z', 'z')",
    ] {
        let answer = pair.simple(&format!("EXECUTE one {args}"));
        assert!(matches!(answer, Answer::Rows(..)), "{args}: {answer:?}");
    }
    pair.simple(
        "DECLARE c CURSOR FOR SELECT id, name FROM patients WHERE name <> 'Thrice' ORDER BY id",
    );
    pair.simple("FETCH 3 FROM c");
    pair.unordered("DELETE FROM patients WHERE name = 'Thrice' RETURNING id, name");
    pair.simple("ROLLBACK");
}
