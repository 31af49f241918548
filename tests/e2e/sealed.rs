//! Encrypted columns: who goes past the proxy reads cells, and who goes through it cannot tell them from
//! values. What is written is compared with the same on a database that is not encrypted.

use crate::support::client::{Answer, Client};
use crate::support::stage::{ENCRYPTED, Role, Stage};
use crate::{in_any_order, sealed_clinic, show};

/// One session through the proxy, one on the values, and a third straight to what is stored.
pub(crate) struct Pair {
    pub(crate) proxied: Client,
    plain: Client,
}

impl Pair {
    pub(crate) fn new(stage: &Stage) -> Self {
        Self {
            proxied: stage.connect(Role::Owner),
            plain: stage.direct("clinic_plain"),
        }
    }

    /// Both answer alike. Returns what they answer.
    #[track_caller]
    pub(crate) fn alike(&mut self, ask: impl Fn(&mut Client) -> Answer, what: &str) -> Answer {
        let answer = ask(&mut self.proxied);
        assert_eq!(answer, ask(&mut self.plain), "{what}");
        answer
    }

    #[track_caller]
    pub(crate) fn simple(&mut self, sql: &str) -> Answer {
        self.alike(|client| client.simple(sql), sql)
    }

    /// RETURNING has no ORDER BY.
    #[track_caller]
    pub(crate) fn unordered(&mut self, sql: &str) -> Answer {
        self.alike(|client| in_any_order(client.simple(sql), sql), sql)
    }

    /// The proxied session is told that it may not.
    #[track_caller]
    pub(crate) fn refused(&mut self, sql: &str) {
        self.refused_as(sql, "42501");
    }

    #[track_caller]
    pub(crate) fn refused_as(&mut self, sql: &str, sqlstate: &str) {
        let answer = self.proxied.simple(sql);
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == sqlstate),
            "{sql}: {answer:?}"
        );
    }
}

/// One statement with parameters, all in one format; an answer in text.
pub(crate) fn bound(
    client: &mut Client,
    sql: &str,
    params: &[Option<&[u8]>],
    format: u8,
) -> Answer {
    client.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
    let mut bind = vec![0, 0, 0, 1, 0, format];
    bind.extend_from_slice(&i16::try_from(params.len()).unwrap().to_be_bytes());
    for param in params {
        let length = param.map_or(-1, |p| i32::try_from(p.len()).unwrap());
        bind.extend_from_slice(&length.to_be_bytes());
        bind.extend_from_slice(param.unwrap_or_default());
    }
    bind.extend_from_slice(&[0, 0]);
    client.send(b'B', &bind);
    client.send(b'D', b"P\0");
    client.send(b'E', &[0, 0, 0, 0, 0]);
    client.send(b'S', &[]);
    client.answer()
}

fn copied(client: &mut Client, sql: &str, data: &[u8]) -> Answer {
    client.send(b'Q', format!("{sql}\0").as_bytes());
    client.send(b'd', data);
    client.send(b'c', b"");
    client.answer()
}

/// `text[]` in binary.
pub(crate) fn array(values: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for n in [1, 0, 25, i32::try_from(values.len()).unwrap(), 1] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    for value in values {
        out.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out
}

#[test]
fn who_goes_past_the_proxy_reads_cells() {
    let stage = sealed_clinic();
    let mut past = stage.direct("clinic");
    for (table, column) in ENCRYPTED {
        let sql = format!(
            "SELECT count(*) > 0, bool_and({column} ~ '^enc_[a-z2-7]{{4}}[A-Za-z0-9_-]{{22,}}$') \
             FROM {table} WHERE {column} IS NOT NULL"
        );
        assert_eq!(show(&past.simple(&sql)), "t | t\n", "{table}.{column}");
    }
}

#[test]
fn what_is_written_reads_as_if_nothing_were_encrypted() {
    const ALL: &str = "SELECT id, name, email, mobile, id_number, notes, city FROM patients \
        WHERE id > 10 ORDER BY id";
    let stage = sealed_clinic();
    let mut pair = Pair::new(stage);
    pair.simple("BEGIN");
    pair.simple(
        "INSERT INTO patients (id, name, email, mobile, city) VALUES \
         (11, 'Nils \"O''Hyrkjell', 'nils@hyrk.example', NULL, 'Umeå'), \
         (12, '小明', E'tab\\there', '', 'Lund'), (13, 'enc_aaaa', DEFAULT, 'x', 'Lund') \
         RETURNING id, name, email, mobile",
    );
    pair.simple(
        "INSERT INTO patients (id, name, email, city) VALUES (11, 'again', 'nils@hyrk.example', 'x') \
         ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, city = EXCLUDED.city RETURNING name, email",
    );
    pair.simple(
        "INSERT INTO patients (id, name, email, city) VALUES (14, 'again', 'nils@hyrk.example', 'x') \
         ON CONFLICT (email) DO NOTHING",
    );
    pair.simple(
        "UPDATE patients SET email = 'new@hyrk.example', notes = NULL WHERE name = 'again'",
    );
    pair.simple(
        "UPDATE patients SET (name, notes) = ('小红', 'ж') WHERE id = 12 RETURNING name, notes",
    );
    for format in [0, 1] {
        let id = 20 + usize::from(format);
        let insert =
            format!("INSERT INTO patients (id, name, email, city) VALUES ({id}, $1, $2, 'x')");
        let values: [Option<&[u8]>; 2] = [Some("Bö".as_bytes()), None];
        pair.alike(|client| bound(client, &insert, &values, format), &insert);
        let found = "SELECT id, name FROM patients WHERE name = $1 OR email = $1 ORDER BY id";
        let answer = pair.alike(|client| bound(client, found, &values[..1], format), found);
        assert!(matches!(answer, Answer::Rows(rows, _) if rows.contains(&format!("{id} | Bö"))));
        let any = "SELECT id FROM patients WHERE name = ANY ($1) ORDER BY id";
        let list = match format {
            0 => "{Bö,\"小红\"}".as_bytes().to_vec(),
            _ => array(&["Bö", "小红"]),
        };
        let answer = pair.alike(|client| bound(client, any, &[Some(&list)], format), any);
        assert!(matches!(answer, Answer::Rows(rows, _) if rows.len() > 1));
    }
    pair.simple("PREPARE one (text) AS SELECT id FROM patients WHERE email = $1");
    let answer = pair.simple("EXECUTE one ('new@hyrk.example')");
    assert!(matches!(answer, Answer::Rows(rows, _) if rows == ["11"]));
    for (sql, data) in [
        (
            "COPY patients (id, name, email, city) FROM STDIN",
            "31\tta\\tb\tcopy@hyrk.example\tx\n32\t张三\t\\N\tx\n",
        ),
        (
            "COPY patients (id, name, email, city) FROM STDIN (FORMAT csv, HEADER)",
            "id,name,email,city\n33,\"a,\"\"b\",,x\n34,c,csv@hyrk.example,x\n",
        ),
    ] {
        pair.alike(|client| copied(client, sql, data.as_bytes()), sql);
    }
    let answer = pair.simple(ALL);
    assert!(matches!(answer, Answer::Rows(rows, _) if rows.len() == 9));
    // All of it is stored encrypted: this session has written it, and sees it in no other way.
    let seen = pair.simple(
        "SELECT count(*), count(DISTINCT email), count(email) FROM patients WHERE name IN ('Bö', '张三')",
    );
    assert_eq!(show(&seen), "3 | 0 | 0\n");
    pair.simple("SELECT name, count(*) FROM patients GROUP BY name HAVING count(*) > 1");
    pair.simple("SELECT a.id, b.id FROM patients a JOIN patients b USING (name) WHERE a.id < b.id");
    pair.simple(
        "SELECT id FROM patients WHERE email <> 'csv@hyrk.example' AND id > 30 ORDER BY id",
    );
    pair.simple("DELETE FROM patients WHERE email = 'csv@hyrk.example' RETURNING id, name");
    // What a constraint says it says of cells too, in its own words.
    pair.simple("SAVEPOINT before");
    pair.simple(
        "INSERT INTO patients (id, name, email, city) VALUES (41, 'x', 'copy@hyrk.example', 'x')",
    );
    pair.simple("ROLLBACK TO before");
    pair.simple("INSERT INTO patients (id, name, city) VALUES (41, NULL, 'x')");
    pair.simple("ROLLBACK");
}

/// What a COPY TO sends, message by message, or that it fails: versions of PostgreSQL call one fault
/// differently.
fn sent(client: &mut Client, sql: &str) -> Vec<(u8, Vec<u8>)> {
    client.send(b'Q', format!("{sql}\0").as_bytes());
    let messages = client.until_ready();
    let told = messages.iter().filter(|m| b"HdcCE".contains(&m.kind));
    let told = told.map(|m| match m.kind {
        b'E' => (m.kind, Vec::new()),
        kind => (kind, m.body.clone()),
    });
    told.collect()
}

#[test]
fn what_is_copied_out_is_written_as_postgresql_writes_it() {
    let mut pair = Pair::new(sealed_clinic());
    pair.simple("BEGIN");
    for (id, name, notes) in [
        (51, r"E'a\tb\nc\rd\be\ff\x0bg\x01h\\'", r#"'"'"#),
        (52, r"E'\\.'", "''"),
        (53, "'x'", "'NULL'"),
        (54, r"E'\\N'", "'a,b;c|d'"),
        (55, r#"'say "hi", ''you'''"#, r"E'line\nline'"),
        (56, "'ж|张三'", "' '"),
        (57, "''", "NULL"),
    ] {
        pair.simple(&format!(
            "INSERT INTO patients (id, name, notes, city) VALUES ({id}, {name}, {notes}, 'x,|y')"
        ));
    }
    let rows = "(SELECT id, name, city, notes FROM patients WHERE id > 50 ORDER BY id)";
    let one = "(SELECT name FROM patients WHERE id > 50 ORDER BY id)";
    let none = "(SELECT name, id FROM patients WHERE id > 99)";
    for options in [
        "",
        "(HEADER)",
        "(DELIMITER '|')",
        "(DELIMITER ',', NULL 'x')",
        r"(DELIMITER E'\b')",
        "(FORMAT csv)",
        "(FORMAT csv, HEADER true)",
        r#"(FORMAT csv, DELIMITER '|', QUOTE '''', ESCAPE '"')"#,
        "(FORMAT csv, QUOTE 'a', ESCAPE 'b')",
        "(FORMAT csv, NULL 'NULL', FORCE_QUOTE *)",
        "(FORMAT csv, FORCE_QUOTE (name), ENCODING 'UTF8')",
        "(FORMAT binary)",
        "CSV HEADER DELIMITER ';'",
        "(FORMAT csv, FORCE_QUOTE (nobody))",
        "(FORCE_QUOTE (name))",
        "(FORMAT csv, DELIMITER 'ab')",
        r"(DELIMITER E'\n')",
        r"(NULL E'a\tb')",
        "(FORMAT binary, HEADER)",
        "(HEADER match)",
    ] {
        for query in [rows, one, none] {
            pair.simple("SAVEPOINT before");
            let sql = format!("COPY {query} TO STDOUT {options}");
            let mine = sent(&mut pair.proxied, &sql);
            assert_eq!(mine, sent(&mut pair.plain, &sql), "{sql}");
            assert!(mine.len() > 2 || mine[0].0 == b'E', "{sql}: {mine:?}");
            pair.simple("ROLLBACK TO before");
        }
    }
    pair.simple("ROLLBACK");
    let whole = "COPY patients (id, name, email) TO STDOUT";
    let mut mine = sent(&mut pair.proxied, whole);
    let mut theirs = sent(&mut pair.plain, whole);
    mine.sort();
    theirs.sort();
    assert_eq!(mine, theirs);
}

#[test]
fn a_constant_is_what_postgresql_makes_of_it_or_refused() {
    let mut pair = Pair::new(sealed_clinic());
    let mut answered = 0;
    for condition in [
        "name = 'Ada Qvorlund'",
        "name = 'Ada Qvorlund'::text",
        "name = CAST('Ada Qvorlund' AS varchar)",
        "name = 'Ada Qvorlund'::varchar(3)",
        "name = 'Ada Qvorlund'::varchar(99)",
        "name = 'Ada Qvorlund  '",
        "name = 'Ada Qvorlund  '::bpchar",
        "name = 'Ada Qvorlund  '::char(14)",
        "name = 'Ada Qvorlund'::name",
        "name = $$Ada Qvorlund$$",
        "name = U&'Ada Qvo\\0072lund'",
        "name = E'Ada Qv\\157rlund'",
        "name = 'Ada '\n'Qvorlund'",
        "name = 'Ada Qvorlund' COLLATE \"C\"",
        "name COLLATE \"C\" = 'Ada Qvorlund'",
        "'Ada Qvorlund' = name",
        "name IN ('x', 'Ada Qvorlund', NULL)",
        "name NOT IN ('x', 'Ada Qvorlund')",
        "name NOT IN ('x', NULL)",
        "name = ANY ('{\"Ada Qvorlund\",x,NULL}')",
        "name = ANY ('{\"Ada Qvorlund\"}'::varchar(3)[])",
        "name = ANY (ARRAY['Ada Qvorlund', NULL])",
        "name = ANY (ARRAY['Ada Qvorlund'::varchar(3)])",
        "name <> ALL (ARRAY['Ada Qvorlund'])",
        "name = SOME (VALUES ('Ada Qvorlund'))",
        "name IS DISTINCT FROM 'Ada Qvorlund'",
        "name IS NOT DISTINCT FROM NULL",
        "(name, city) = ('Ada Qvorlund', 'Lund')",
        "(id, name) IN ((1, 'Ada Qvorlund'), (2, 'x'))",
        "name = 5::text",
        "name = 1958",
        "name = true::text",
        "name = ('Ada Qvorlund')",
        "name = 'Ada Qvor' || 'lund'",
        "name = coalesce('Ada Qvorlund', 'x')",
        "name = CASE WHEN id = 1 THEN 'Ada Qvorlund' END",
        "CASE name WHEN 'Ada Qvorlund' THEN true END",
        "nullif(name, 'Ada Qvorlund') IS NULL",
        "NOT name = 'Ada Qvorlund'",
        "(name = 'Ada Qvorlund') IS NOT TRUE",
        "name = (SELECT 'Ada Qvorlund')",
        "name IN (SELECT v FROM (VALUES ('Ada Qvorlund'), (NULL)) l (v))",
        "EXISTS (SELECT FROM unnest(ARRAY['Ada Qvorlund']) u (v) WHERE v = name)",
        "name BETWEEN 'Ada Qvorlund' AND 'Ada Qvorlund'",
        "name LIKE 'Ada Qvorlund'",
        "name = 'Ada Qvorlund' AND email = 'ada.qvorlund@example.com'",
        "name = email",
        "name = 'enc_aaaa'",
    ] {
        let sql = format!("SELECT id FROM patients WHERE {condition} ORDER BY id");
        let answer = pair.proxied.simple(&sql);
        if matches!(&answer, Answer::Error(state, _) if state == "42501" || state == "0A000") {
            continue;
        }
        answered += 1;
        assert_eq!(answer, pair.plain.simple(&sql), "{sql}");
    }
    assert!(answered > 24, "{answered}");
}

#[test]
fn what_postgresql_computes_cannot_be_encrypted() {
    let mut pair = Pair::new(sealed_clinic());
    for sql in [
        "UPDATE patients SET email = lower('X') WHERE id = 1",
        "UPDATE patients SET email = name WHERE id = 1",
        "UPDATE patients SET email = city WHERE id = 1",
        "INSERT INTO patients (id, name, city) SELECT 77, city, city FROM patients WHERE id = 1",
        "INSERT INTO patients (id, name, city) VALUES (77, current_user, 'x')",
        "SELECT lower(email) FROM patients",
        "SELECT id FROM patients ORDER BY email",
        "SELECT id FROM patients WHERE email LIKE 'a%'",
        "SELECT id FROM patients WHERE email > 'a'",
        "SELECT p FROM patients p",
        "SELECT id FROM patients WHERE email = city",
        "SELECT id FROM patients WHERE notes = 'x' || city",
        "COPY (SELECT lower(email) FROM patients) TO STDOUT",
        "SELECT to_jsonb(email) FROM patients",
        "CREATE TEMP TABLE t AS SELECT email FROM patients",
    ] {
        pair.refused(sql);
    }
    let stored = "SELECT count(*) FROM patients WHERE id = 77 OR email IS NULL";
    pair.simple(stored);
}

#[test]
fn a_value_beside_cells_is_read_and_a_broken_cell_is_not() {
    // A stage of its own: what is stored is changed past the proxy.
    let stage = Stage::sealed();
    let mut past = stage.direct("clinic");
    let done =
        past.simple("UPDATE patients SET email = 'past@hyrk.example', notes = 'n' WHERE id = 1");
    assert_eq!(show(&done), "UPDATE 1\n");
    let email = |role| {
        let mut client = stage.connect(role);
        show(&client.simple("SELECT email FROM patients WHERE id = 1"))
    };
    assert_eq!(email(Role::Owner), "past@hyrk.example\n");
    assert_eq!(email(Role::Support), "p***@hyrk.example\n");
    assert!(email(Role::Analyst).starts_with("tok_"));
    // A cell moved to another row is the other's value; one that was changed is nobody's.
    past.simple(
        "UPDATE patients SET email = left(c, -1) || chr(ascii(right(c, 1)) # 1) \
         FROM (SELECT email FROM patients WHERE id = 2) two(c) WHERE id = 1",
    );
    for role in [Role::Owner, Role::Support, Role::Analyst, Role::Partner] {
        let mut client = stage.connect(role);
        let answer = client.simple("SELECT id, email FROM patients WHERE id = 1");
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "XX001"),
            "{role:?}: {answer:?}"
        );
        let received = String::from_utf8_lossy(&client.take_received()).into_owned();
        assert!(!received.contains("enc_"), "{role:?}: {received}");
        let others = stage
            .connect(role)
            .simple("SELECT id FROM patients WHERE id = 1 AND email IS NOT NULL");
        assert_eq!(show(&others), "1\n", "{role:?}");
    }
}

/// Two values with one mask are two cells, and PostgreSQL would count them as two.
#[test]
fn masks_are_not_grouped_by_cells() {
    let mut client = sealed_clinic().connect(Role::Support);
    for sql in [
        "SELECT email, count(*) FROM patients GROUP BY email",
        "SELECT DISTINCT email FROM patients",
        "SELECT count(DISTINCT email) FROM patients",
        "SELECT id, count(*) OVER (PARTITION BY email) FROM patients",
        "SELECT email FROM patients UNION SELECT email FROM patients",
        "SELECT a.id FROM patients a JOIN patients b ON a.email = b.email",
    ] {
        let answer = client.simple(sql);
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "42501"),
            "{sql}: {answer:?}"
        );
    }
    let shown = client.simple("SELECT email FROM patients WHERE id = 1");
    assert!(matches!(shown, Answer::Rows(rows, _) if rows == ["a***********@example.com"]));
}
