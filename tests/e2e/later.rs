//! What only later versions of PostgreSQL read, as the server's version reads it: what it refuses is
//! refused.

use crate::in_any_order;
use crate::siv;
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

fn load(client: &mut Client, sql: &str, data: &str) -> Answer {
    client.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
    client.send(b'd', data.as_bytes());
    client.send(b'c', b"");
    client.answer()
}

/// As `server_version_num` is.
fn version(direct: &mut Client) -> u32 {
    match direct.simple("SHOW server_version_num") {
        Answer::Rows(rows, _) => rows[0].parse().unwrap(),
        error @ Answer::Error(..) => panic!("{error:?}"),
    }
}

/// Each as PostgreSQL answers it, error or not.
const INDEXED: &[&str] = &[
    "CREATE TEMP TABLE own (a text, n int)",
    "INSERT INTO own SELECT 'row ' || g, g % 50 FROM generate_series(1, 400) g",
    "CREATE INDEX ON own (a)",
    "CREATE INDEX CONCURRENTLY by_n ON own (n DESC NULLS LAST) INCLUDE (a) WHERE own.n > 3",
    "CREATE INDEX by_n ON own (n)",
    "CREATE INDEX IF NOT EXISTS by_n ON own (n)",
    "CREATE UNIQUE INDEX ON own (n)",
    "CREATE UNIQUE INDEX once ON own USING btree (lower(a) text_pattern_ops, (n + 1))",
    "INSERT INTO own VALUES ('ROW 1', 1)",
    "INSERT INTO own VALUES ('ROW 1', 1) ON CONFLICT (lower(a) text_pattern_ops, (n + 1)) DO NOTHING",
    "CREATE INDEX ON own ((random()))",
    "CREATE INDEX ON own USING hash (a, n)",
    "CREATE INDEX ON own (missing)",
    "ANALYZE own",
    "ANALYZE own (a, missing)",
    "SELECT reltuples FROM pg_class WHERE relname = 'own'",
    "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
     JOIN pg_class t ON t.oid = x.indrelid WHERE t.relname = 'own' ORDER BY 1",
    "SELECT count(*) FROM own WHERE n = 7",
    "DROP INDEX pg_temp.once",
    "DROP INDEX once",
    "DROP INDEX IF EXISTS once, by_n",
    "DROP TABLE own",
];

#[test]
fn a_table_of_ones_own_is_indexed_and_analyzed_as_in_postgresql() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for sql in INDEXED {
        same(client.simple(sql), direct.simple(sql), sql);
    }
}

/// What a session sees of its own tables and of its path.
const SEEN: &[&str] = &[
    "SELECT array_length(current_schemas(true), 1), current_schemas(false)",
    "SELECT pg_table_is_visible('patients'::regclass), pg_table_is_visible(NULL), pg_table_is_visible(1)",
    "SELECT count(*) FROM pg_class a, pg_class v, pg_class e WHERE pg_table_is_visible(a.oid) \
     AND pg_table_is_visible(v.oid) AND pg_table_is_visible(e.oid) \
     AND (a.relname, v.relname, e.relname) = ('patients', 'visits', 'staff')",
    "SELECT pg_table_is_visible(max(v.oid)), pg_table_is_visible((SELECT max(oid) FROM pg_class)) IS NULL FROM pg_class v \
     WHERE v.relname = 'patients'",
    "SELECT pg_table_is_visible(a.oid), count(*) FROM pg_class a WHERE a.relname IN ('patients', 'visits') \
     GROUP BY pg_table_is_visible(a.oid) ORDER BY pg_table_is_visible(a.oid)",
    "CREATE TEMP TABLE zz (a int)",
    "SELECT pg_table_is_visible('zz'::regclass), pg_type_is_visible('zz'::regtype)",
    "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname ~ '^(zz|visits)$' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1",
    "CREATE TEMP TABLE visits (z int)",
    "SELECT n.nspname LIKE 'pg_temp%' AS own, pg_table_is_visible(c.oid), pg_type_is_visible(c.reltype) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'visits' ORDER BY 1",
    "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
     WHERE c.relname = 'visits' AND pg_table_is_visible(c.oid) AND a.attnum > 0",
    "SELECT array_length(current_schemas(true), 1), array_length(current_schemas(1 = 1), 1), current_schemas(NULL)",
    "SELECT current_schemas(not true), cardinality(current_schemas(not false))",
    "RESET ROLE",
    "RESET SESSION AUTHORIZATION",
    "SET ROLE NONE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); \
     DISCARD SEQUENCES",
    "SET search_path TO public, pg_temp",
    "SELECT n.nspname LIKE 'pg_temp%' AS own, pg_table_is_visible(c.oid) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname IN ('visits', 'zz') ORDER BY 1, 2",
    "SELECT cardinality(current_schemas(true)), cardinality(current_schemas(false))",
    "SET search_path TO pg_catalog",
    "SELECT pg_table_is_visible('public.patients'::regclass), pg_table_is_visible('pg_class'::regclass), \
     pg_function_is_visible('pg_catalog.now()'::regprocedure), pg_operator_is_visible('pg_catalog.+(int,int)'::regoperator)",
    "SELECT count(*) FROM pg_collation WHERE pg_collation_is_visible(oid) AND collname = 'C'",
    "SELECT count(*) FROM pg_opclass WHERE NOT pg_opclass_is_visible(oid)",
    "SELECT count(*) FROM pg_ts_config WHERE NOT pg_ts_config_is_visible(oid)",
    "RESET search_path",
];

#[test]
fn a_session_sees_its_own_tables_and_path_as_in_postgresql() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for sql in SEEN {
        same(client.simple(sql), direct.simple(sql), sql);
        if sql.starts_with("SELECT") {
            same(client.extended(sql), direct.extended(sql), sql);
        }
    }
    for sql in [
        "SELECT cardinality(current_schemas($1))",
        "SELECT $1 AND true, cardinality(current_schemas($1))",
        "SELECT pg_table_is_visible($1)",
    ] {
        let prepare = |session: &mut Client| session.simple(&format!("PREPARE q AS {sql}"));
        same(prepare(&mut client), prepare(&mut direct), sql);
        for value in ["true", "1259", "NULL"] {
            let run = format!("EXECUTE q ({value})");
            same(client.simple(&run), direct.simple(&run), &run);
        }
        client.simple("DEALLOCATE q");
        direct.simple("DEALLOCATE q");
    }
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
        let data = "1\tone\nx\ttwo\n3\tthree\n";
        same(
            load(&mut client, sql, data),
            load(&mut direct, sql, data),
            sql,
        );
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

/// Each with data of its own.
const OPTIONS: &[(&str, &str)] = &[
    ("(DEFAULT '\\D')", "1\tone\n\\D\t\\D\n2\t\\N\n"),
    (
        "(FORMAT csv, DEFAULT 'x', NULL 'y')",
        "x,x\n1,\"x\"\n2,y\n3,y\n",
    ),
    ("(FORMAT binary, DEFAULT 'x')", ""),
    ("(DEFAULT '\\D', DEFAULT '\\D')", ""),
    (
        "(DEFAULT '\\D') WHERE n > 5",
        "1\tone\n\\D\ttwo\n9\tthree\n",
    ),
    (
        "(LOG_VERBOSITY verbose, ON_ERROR ignore)",
        "1\tone\nx\ttwo\n",
    ),
    ("(LOG_VERBOSITY 'Default')", "1\tone\n"),
    (
        "(LOG_VERBOSITY silent, ON_ERROR ignore)",
        "1\tone\nx\ttwo\n",
    ),
    ("(LOG_VERBOSITY loud)", ""),
    (
        "(ON_ERROR ignore, REJECT_LIMIT 1)",
        "1\tone\nx\ttwo\n3\tthree\n",
    ),
    (
        "(ON_ERROR ignore, REJECT_LIMIT 1)",
        "x\tone\nx\ttwo\n3\tthree\n",
    ),
    (
        "(ON_ERROR ignore, REJECT_LIMIT '2')",
        "x\tone\nx\ttwo\n3\tthree\n",
    ),
    ("(ON_ERROR ignore, REJECT_LIMIT 0)", ""),
    ("(REJECT_LIMIT 1)", ""),
    ("(FORMAT csv, FORCE_NULL *)", "1,\"\"\n\"\",two\n"),
    ("(FORMAT csv, FORCE_NOT_NULL *)", "1,\n2,\"\"\n"),
    ("(FORMAT csv, FORCE_NULL *, FORCE_NOT_NULL (t))", "\"\",\n"),
    ("(FORCE_NULL *)", ""),
];

#[test]
fn rows_are_loaded_as_the_options_of_the_server_say() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for session in [&mut client, &mut direct] {
        session.simple("CREATE TEMP TABLE kept (n int DEFAULT 7, t text DEFAULT 'none')");
    }
    let mut loaded = 0;
    let mut check = |options: &str, data: &str| {
        let sql = format!("COPY kept FROM STDIN {options}");
        let theirs = load(&mut direct, &sql, data);
        loaded += u32::from(matches!(theirs, Answer::Rows(..)));
        same(load(&mut client, &sql, data), theirs, &sql);
        let kept = "SELECT n, t FROM kept ORDER BY n, t";
        same(client.simple(kept), direct.simple(kept), &sql);
    };
    for (options, data) in OPTIONS {
        check(options, data);
    }
    check("CSV", "1,one\n");
    let now = version(&mut stage.direct("clinic"));
    if now >= 170_000 {
        check("CSV FORCE NULL *", "1,\"\"\n");
        check("CSV FORCE NOT NULL *", "1,\n");
    }
    // As many as the manuals of these versions say.
    let known = match now / 10_000 {
        ..=15 => 1,
        16 => 4,
        17 => 11,
        _ => 14,
    };
    assert_eq!(loaded, known);
}

#[test]
fn tokens_are_loaded_as_the_options_of_the_server_say() {
    let stage = siv::stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let mut answered = 0;
    for (options, data) in [
        ("(FORMAT csv, FORCE_NULL *)", "9061,\"\",\"5\"\n9062,-7,\n"),
        ("(FORMAT csv, FORCE_NULL *)", "\"\",\"1\",\"5\"\n"),
        ("(FORMAT csv, FORCE_NOT_NULL *)", "9063,5,5\n"),
        ("(FORMAT csv, FORCE_NOT_NULL *)", "9063,,5\n"),
        ("(FORMAT csv, LOG_VERBOSITY verbose)", "9064,5,5\n"),
        ("(LOG_VERBOSITY silent)", "9065\t5\t5\n"),
        ("(LOG_VERBOSITY loud)", "9066\t5\t5\n"),
        ("(FORCE_NULL *)", ""),
    ] {
        let sql = format!("COPY accounts FROM STDIN {options}");
        let answers = [&mut client, &mut direct].map(|session| {
            session.simple("BEGIN");
            let loaded = load(session, &sql, data);
            let rows = "SELECT id, number, holder FROM accounts WHERE id > 9060";
            let rows = match loaded {
                Answer::Rows(..) => in_any_order(session.simple(rows), rows),
                error @ Answer::Error(..) => error,
            };
            session.simple("ROLLBACK");
            rows
        });
        let [mine, theirs] = answers;
        answered += u32::from(matches!(theirs, Answer::Rows(..)));
        same(mine, theirs, &sql);
    }
    let known = match version(&mut direct) / 10_000 {
        ..=16 => 0,
        17 => 3,
        _ => 4,
    };
    assert_eq!(answered, known);
    // What would take a row that only PostgreSQL reads.
    for options in [
        "(DEFAULT 'x')",
        "(ON_ERROR ignore)",
        "(ON_ERROR ignore, REJECT_LIMIT 3)",
    ] {
        let sql = format!("COPY accounts FROM STDIN {options}");
        let refused = load(&mut client, &sql, "9070\t5\t5\n");
        assert!(
            matches!(&refused, Answer::Error(state, _) if ["0A000", "42601"].contains(&state.as_str())),
            "{sql}: {refused:?}"
        );
    }
}

/// A default of a column the role does not see is the owner's word, whether the column is left out or the
/// data says so.
#[test]
fn no_condition_of_a_copy_looks_at_a_hidden_default() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Analyst);
    let later = version(&mut stage.direct("clinic")) >= 160_000;
    for (sql, data, told) in [
        (
            "COPY lockers (id) FROM STDIN WHERE code LIKE 'h%'",
            "9\n",
            "42501",
        ),
        (
            "COPY lockers (id, code) FROM STDIN (DEFAULT '\\D') WHERE code LIKE 'h%'",
            "9\t\\D\n",
            if later { "42501" } else { "42601" },
        ),
    ] {
        let refused = load(&mut client, sql, data);
        assert!(
            matches!(&refused, Answer::Error(state, _) if state == told),
            "{sql}: {refused:?}"
        );
    }
    for session in [&mut client, &mut stage.direct("clinic_analyst")] {
        session.simple("BEGIN");
        for (sql, data) in [
            (
                "COPY lockers (id, code) FROM STDIN WHERE code LIKE 'h%'",
                "9\thx\n10\tx\n",
            ),
            ("COPY lockers (id) FROM STDIN WHERE id > 10", "10\n11\n"),
        ] {
            let loaded = load(session, sql, data);
            assert_eq!(
                loaded,
                Answer::Rows(Vec::new(), vec!["COPY 1".to_owned()]),
                "{sql}"
            );
        }
        session.simple("ROLLBACK");
    }
}

/// `%` stands for a token of a number, in whatever form.
const WRITTEN: &[&str] = &[
    "SELECT id FROM accounts WHERE number = '%'",
    "SELECT id FROM accounts WHERE number = ' %\t'",
    "SELECT id FROM accounts WHERE '%'::int = number",
    "SELECT id FROM accounts WHERE number = '%'::bigint",
    "SELECT id FROM accounts WHERE number IN ('%', '5')",
    "SELECT id FROM accounts WHERE number = ANY ('{%,NULL,1}')",
    "SELECT id FROM accounts WHERE number = ANY ('{\"%\"}'::bigint[])",
    "SELECT a.id FROM accounts a JOIN unnest('{%,1}'::int[]) v (n) ON v.n = a.number",
    "SELECT a.id FROM accounts a JOIN (VALUES ('%'::int), (5)) v (n) ON v.n = a.number",
    "SELECT count(*) FROM accounts WHERE number <> '%'",
    "SELECT id, number FROM accounts WHERE holder IS NOT DISTINCT FROM '%'",
    "SELECT id FROM accounts WHERE number < '%' AND id < 9",
    "INSERT INTO accounts VALUES (9081, '%', '%') RETURNING number, holder",
    "PREPARE w (int) AS SELECT id FROM accounts WHERE number = $1",
    "EXECUTE w ('%')",
    "DEALLOCATE w",
];

#[test]
fn integers_in_texts_are_what_the_server_takes_them_for() {
    let stage = siv::stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let later = version(&mut direct) >= 160_000;
    let shown = client.simple("SELECT number FROM accounts WHERE id IN (3, 14) ORDER BY id");
    let Answer::Rows(tokens, _) = shown else {
        panic!("{shown:?}");
    };
    assert!(
        !tokens[0].starts_with('-') && tokens[1].starts_with('-'),
        "{tokens:?}"
    );
    for token in tokens {
        let (sign, digits) = token.split_at(token.len() - token.trim_start_matches('-').len());
        let number: u32 = digits.parse().unwrap();
        let (first, rest) = digits.split_at(1);
        for (good, written) in [
            (true, format!("{number:010}")),
            (later, format!("{number:#x}")),
            (later, format!("0X_{number:08X}")),
            (later, format!("{number:#o}")),
            (later, format!("{number:#b}")),
            (later, format!("{first}_{rest}")),
            (false, format!("{first}__{rest}")),
            (false, format!("_{digits}")),
            (false, format!("{digits}_")),
            (false, format!("0d{digits}")),
        ] {
            for sql in WRITTEN {
                let sql = sql.replace('%', &format!("{sign}{written}"));
                let answers = [&mut client, &mut direct].map(|session| {
                    session.simple("BEGIN");
                    let prepare = "PREPARE w (int) AS SELECT id FROM accounts WHERE number = $1";
                    if sql.starts_with("EXECUTE") {
                        session.simple(prepare);
                    }
                    let answer = in_any_order(session.simple(&sql), &sql);
                    session.simple("ROLLBACK");
                    session.simple("DEALLOCATE ALL");
                    answer
                });
                let [mine, theirs] = answers;
                if sql.contains(&written) {
                    assert_eq!(
                        matches!(theirs, Answer::Rows(..)),
                        good,
                        "{sql}: {theirs:?}"
                    );
                }
                same(mine, theirs, &sql);
            }
            copied(&mut client, &mut direct, &format!("{sign}{written}"), good);
        }
    }
}

/// By COPY, in both of its text formats, and as a parameter in text.
fn copied(client: &mut Client, direct: &mut Client, written: &str, good: bool) {
    for (format, delimiter) in [("text", '\t'), ("csv", ',')] {
        let sql = format!("COPY accounts FROM STDIN (FORMAT {format})");
        let data = format!("9082{delimiter}{written}{delimiter}{written}\n");
        let answers = [&mut *client, &mut *direct].map(|session| {
            session.simple("BEGIN");
            let loaded = load(session, &sql, &data);
            let rows = session.simple("SELECT number, holder FROM accounts WHERE id = 9082");
            session.simple("ROLLBACK");
            if matches!(loaded, Answer::Rows(..)) {
                rows
            } else {
                loaded
            }
        });
        let [mine, theirs] = answers;
        assert_eq!(matches!(theirs, Answer::Rows(..)), good, "{sql}: {written}");
        same(mine, theirs, &sql);
    }
    let answers = [client, direct].map(|session| {
        let sql = b"\0SELECT id FROM accounts WHERE number = $1 OR number = ANY ($2)\0\0\0";
        session.send(b'P', sql);
        let list = format!("{{{written},NULL}}");
        let mut bind = b"\0\0\0\0\0\x02".to_vec();
        for value in [written, list.as_str()] {
            bind.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
            bind.extend_from_slice(value.as_bytes());
        }
        bind.extend_from_slice(b"\0\0");
        session.send(b'B', &bind);
        session.send(b'E', b"\0\0\0\0\0");
        session.send(b'S', b"");
        session.answer()
    });
    let [mine, theirs] = answers.map(|answer| in_any_order(answer, ""));
    assert_eq!(matches!(theirs, Answer::Rows(..)), good, "{written}");
    same(mine, theirs, written);
}

/// The session's time zone decides.
const LOCAL: &[&str] = &[
    "SELECT '2026-01-05 12:00+00'::timestamptz AT LOCAL, id FROM patients",
    "SELECT id, born::timestamp AT LOCAL FROM patients",
    "SELECT id, born AT TIME ZONE 'UTC' AT LOCAL AS there FROM patients",
    "SELECT id FROM patients WHERE born::timestamp AT LOCAL > '1985-01-01 00:00+00'",
    "SELECT '12:00+00'::timetz AT LOCAL::text, -1 AT LOCAL FROM patients",
    "SELECT 12 AT LOCAL",
    "SELECT now() AT LOCAL = timezone(now())",
    "SELECT at.id, local.id FROM patients at JOIN patients local USING (id)",
    "WITH at AS (SELECT 1 AS n) SELECT local.n FROM at local",
];

#[test]
fn a_time_is_local_where_the_session_is() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    let known = version(&mut direct) >= 170_000;
    for zone in ["UTC", "Asia/Shanghai"] {
        for session in [&mut client, &mut direct] {
            session.simple(&format!("SET TimeZone = '{zone}'"));
        }
        for sql in LOCAL {
            for (mine, theirs) in [
                (client.simple(sql), direct.simple(sql)),
                (client.extended(sql), direct.extended(sql)),
            ] {
                let (mine, theirs) = (in_any_order(mine, sql), in_any_order(theirs, sql));
                // PostgreSQL 16 takes it for a mistake of another kind.
                if known || matches!(theirs, Answer::Rows(..)) {
                    same(mine, theirs, sql);
                } else {
                    assert!(matches!(mine, Answer::Error(..)), "{sql}: {mine:?}");
                }
            }
        }
    }
    if !known {
        return;
    }
    // A view has it too.
    let stage = siv::stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let sql = "SELECT id, born, birth FROM local_births";
    let theirs = in_any_order(direct.simple(sql), sql);
    assert!(matches!(theirs, Answer::Rows(..)), "{theirs:?}");
    assert_eq!(in_any_order(client.simple(sql), sql), theirs);
}
