//! What PostgreSQL computes, tests and orders otherwise than a table's definition says at first sight: partitions
//! with expressions and indexes of their own, keys that are deferred, conditions that stored rows have not met,
//! columns that are computed as they are read. None of it tells of values the role does not see.

use std::collections::HashSet;
use std::path::Path;

use crate::support::client::{Answer, Client};
use crate::support::stage::{Role, Stage};
use crate::{beside, lone};

/// The oldest version it is of, what is sent, and the SQLSTATE it is refused with, or what is answered.
const CASES: &[(u32, &str, Result<&str, &str>)] = &[
    // Success would tell what is stored.
    (15, "UPDATE bonuses SET n = n WHERE id = 1", Err("42501")),
    (15, "UPDATE shifts SET n = 2 WHERE id = 5", Err("42501")),
    (15, "UPDATE tours SET n = 2 WHERE id = 5", Err("42501")),
    (
        18,
        "UPDATE guesses SET n = 30001 WHERE id = 1",
        Err("42501"),
    ),
    (18, "UPDATE unpaid SET n = n WHERE id = 5", Err("42501")),
    // An index that each partition has tells nothing.
    (15, "UPDATE calls SET n = 2 WHERE id = 5", Ok("UPDATE 1")),
    // Of a denied column nothing is computed.
    (15, "SELECT id FROM vaults", Ok("1")),
    (15, "SELECT * FROM vaults", Ok("1")),
    (15, "SELECT label FROM vaults", Err("42501")),
    // One error for both.
    (
        15,
        "SELECT sum(share) FROM quotas WHERE team = 'team 2' AND id IN (2, 7)",
        Err("0A000"),
    ),
    (
        15,
        "SELECT share FROM quotas WHERE team = 'team 2' AND id IN (2, 7)",
        Err("0A000"),
    ),
    (
        15,
        "SELECT EXISTS (SELECT 1 FROM quotas WHERE team = 'team 2' AND share > 0)",
        Err("0A000"),
    ),
    (
        15,
        "SELECT count(shown) FROM quotas WHERE team = 'team 2' AND id IN (2, 7)",
        Ok("2"),
    ),
    (
        18,
        "SELECT sum(d) FROM rates_of WHERE team = 'team 2' AND id IN (2, 7)",
        Err("0A000"),
    ),
    (
        18,
        "SELECT EXISTS (SELECT 1 FROM rates_of WHERE team = 'team 2' AND d > 0)",
        Err("0A000"),
    ),
    // DISTINCT and rank() stop at the first row, unless they are kept from it.
    (
        15,
        "SELECT DISTINCT team FROM quotas WHERE team = 'team 2' AND id IN (7, 197) AND CASE id WHEN 7 THEN 1 / (id - 7) = 0 ELSE true END",
        Err("0A000"),
    ),
    (
        15,
        "SELECT DISTINCT 1, now() FROM quotas WHERE team = 'team 2' AND id IN (7, 197) AND CASE id WHEN 7 THEN 1 / (id - 7) = 0 ELSE true END",
        Err("0A000"),
    ),
    (
        15,
        "SELECT DISTINCT team FROM quotas WHERE team = 'team 2' AND id IN (7, 197) AND CASE id WHEN 197 THEN 1 / (id - 197) = 0 ELSE true END",
        Err("0A000"),
    ),
    (
        15,
        "SELECT count(*) FROM (SELECT rank() OVER () AS r FROM quotas WHERE team = 'team 2' AND id IN (7, 197) AND CASE id WHEN 7 THEN 1 / (id - 7) = 0 ELSE true END) z WHERE r <= 0",
        Err("0A000"),
    ),
    (
        15,
        "SELECT count(*) FROM (SELECT dense_rank() OVER () AS r FROM quotas WHERE team = 'team 2' AND id IN (7, 197) AND CASE id WHEN 197 THEN 1 / (id - 197) = 0 ELSE true END) z WHERE r < 1",
        Err("0A000"),
    ),
    // Which constraint it was.
    (15, "UPDATE wards SET q = 5 WHERE id = 1", Ok("UPDATE 1")),
    (15, "UPDATE wards SET q = 4 WHERE id = 2", Ok("UPDATE 1")),
    (
        15,
        "UPDATE wards SET n = 5 WHERE team = 'team 1' AND id::text IN ('1', '2')",
        Err("0A000"),
    ),
    (15, "UPDATE wards SET n = 5 WHERE id = 1", Err("23514")),
    (
        15,
        "DELETE FROM wards WHERE team = 'team 1' AND id::text IN ('1', '2')",
        Err("0A000"),
    ),
    (15, "DELETE FROM wards WHERE id = 2", Err("23503")),
    // What the test of a foreign key leaves behind.
    (
        15,
        "SELECT count(*) FROM graded c JOIN grades p ON p.xmax = c.xmin",
        Err("42501"),
    ),
    (15, "SELECT cmax FROM grades", Err("42501")),
    (
        15,
        "SELECT count(xmax), count(xmin) FROM graded WHERE xmax = '0'",
        Ok("9 | 9"),
    ),
    (15, "SELECT count(age(xmin)) FROM grades", Ok("9")),
    (
        15,
        "SELECT id FROM grades FOR UPDATE SKIP LOCKED",
        Err("42501"),
    ),
    (
        15,
        "SELECT count(*) FROM (SELECT id FROM graded FOR UPDATE) x",
        Ok("9"),
    ),
    (
        15,
        "SELECT s.id, d.scale FROM scales s JOIN scaled d ON s.xmax = d.xmin",
        Err("42501"),
    ),
    (15, "SELECT id FROM scales FOR KEY SHARE", Err("42501")),
    (15, "SELECT count(xmax) FROM scaled", Ok("9")),
    (15, "SELECT id FROM grade_names FOR UPDATE", Err("42501")),
    (
        15,
        "SELECT id FROM grade_list FOR SHARE SKIP LOCKED",
        Err("42501"),
    ),
    (15, "SELECT id FROM all_grades FOR UPDATE", Err("42501")),
    (15, "SELECT xmax FROM all_grades", Err("42501")),
    (15, "SELECT count(*) FROM grade_names", Ok("9")),
    // What an update did to an index.
    (
        15,
        "UPDATE limits_of SET wage = 30001 WHERE id = 1 RETURNING ctid",
        Err("42501"),
    ),
    (15, "SELECT count(ctid) FROM limits_of", Err("42501")),
    (
        15,
        "SELECT id FROM limits_of TABLESAMPLE SYSTEM (10) REPEATABLE (1)",
        Err("42501"),
    ),
    (
        15,
        "UPDATE limits_of SET cap = 5 WHERE id = 1 RETURNING n, wage",
        Ok("1 | 0"),
    ),
    (15, "SELECT count(tableoid) FROM limits_of", Ok("9")),
    (
        15,
        "SELECT pg_relation_size('limits_of'), pg_indexes_size(oid), pg_size_pretty(pg_database_size('clinic')), reltuples \
         FROM pg_class WHERE relname = 'limits_of'",
        Ok("(null) | (null) | (null) | -1"),
    ),
    (15, "SELECT pg_table_size('nowhere')", Err("42P01")),
    // How it is changed says who refers to it.
    (
        15,
        "EXPLAIN (ANALYZE, WAL, TIMING OFF, SUMMARY OFF, COSTS OFF) UPDATE grades SET name = name",
        Err("42501"),
    ),
    (15, "EXPLAIN SELECT id FROM grade_list", Err("42501")),
    (
        15,
        "EXPLAIN (COSTS OFF) SELECT id FROM caps_seen",
        Err("42501"),
    ),
    (15, "SELECT count(ctid) FROM caps", Ok("0")),
    (15, "SELECT count(ctid) FROM graded", Ok("9")),
    // Where a row is, as a sample tells it.
    (15, "SELECT ctid FROM bands", Err("42501")),
    (
        15,
        "SELECT id FROM bands TABLESAMPLE BERNOULLI (50) REPEATABLE (1)",
        Err("42501"),
    ),
    (
        15,
        "SELECT count(*) FROM bands b TABLESAMPLE SYSTEM (100)",
        Err("42501"),
    ),
    (15, "SELECT count(*) FROM all_bands", Err("42501")),
    (15, "SELECT count(*) FROM bands WHERE random() < 2", Ok("9")),
    (
        15,
        "SELECT count(*) FROM quotas TABLESAMPLE BERNOULLI (100)",
        Ok("200"),
    ),
    // How many rows are in one, and how many an index has of all.
    (
        15,
        "SELECT relname, reltuples, relpages FROM pg_class WHERE relname ~ '^(bands|weighed)' ORDER BY 1",
        Ok(
            "bands | 9 | -1\nbands_high | -1 | -1\nbands_high_n_idx | -1 | -1\nbands_low | -1 | -1\n\
            bands_low_n_idx | -1 | -1\nbands_n_idx | 0 | 0\nweighed | 9 | 1\nweighed_heavy | -1 | -1\n\
            weighed_pkey | 9 | 2",
        ),
    ),
    (
        15,
        "SELECT sum(c.reltuples) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE i.indpred IS NOT NULL \
         AND i.indrelid = 'weighed'::regclass",
        Ok("-1"),
    ),
    (15, "UPDATE graded SET n = n WHERE id = 5", Ok("UPDATE 1")),
    (
        15,
        "UPDATE graded_later SET n = n WHERE id = 5",
        Err("42501"),
    ),
    // The condition that guards it is asked first.
    (
        18,
        "SELECT count(team || 'x') FROM rates_of WHERE q <> 0 AND d > 0 AND id < 5",
        Ok("3"),
    ),
    // The role writes what decides how it is spelled.
    (
        18,
        "SELECT y FROM rates_of WHERE team = 'team 2' AND id IN (7, 197) GROUP BY y",
        Ok("1.00"),
    ),
    // A partition's own expression.
    (16, "SELECT id, kind FROM posts WHERE id = 5", Ok("5 | 3")),
    (16, "SELECT code FROM posts", Err("42501")),
    (16, "SELECT pay FROM posts", Err("42501")),
    (16, "SELECT * FROM posts WHERE id = 5", Ok("5 | 1 | 0 | 3")),
    (
        16,
        "SELECT id FROM posts WHERE code LIKE '3%'",
        Err("42501"),
    ),
    (
        16,
        "UPDATE posts SET n = 1 WHERE id = 5 RETURNING code",
        Err("42501"),
    ),
    (16, "SELECT pay FROM posts_1 WHERE id = 5", Ok("2")),
    // The type's input would call a function of the database's own.
    (
        16,
        "SELECT pg_input_is_valid('1', 'integer'), pg_input_is_valid('x', 'numeric(4,2)')",
        Ok("t | f"),
    ),
    (
        16,
        "SELECT message FROM pg_input_error_info('x', 'int4[]') WHERE message IS NULL",
        Ok(""),
    ),
    (
        16,
        "SELECT pg_input_is_valid('30001', 'public.paid')",
        Err("42501"),
    ),
    (
        16,
        "SELECT pg_input_is_valid('{30001}', 'public.paid[]')",
        Err("42501"),
    ),
    (
        16,
        "SELECT pg_input_is_valid('30001', t) FROM (VALUES ('public.paid')) v (t)",
        Err("42501"),
    ),
    (
        16,
        "SELECT * FROM pg_input_error_info('30001', 'paid')",
        Err("42501"),
    ),
    (17, "SELECT '{\"a\": \"30001\"}'::holds", Err("42501")),
];

#[test]
fn nothing_below_a_table_tells_of_it() {
    let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/heirs");
    let stage = Stage::build(Some(&wing));
    let version = stage
        .direct("clinic")
        .simple("SELECT current_setting('server_version_num')::int / 10000");
    let Answer::Rows(version, _) = version else {
        panic!("{version:?}");
    };
    let version: u32 = version[0].parse().unwrap();
    for table in ["quotas", "rates_of"] {
        let written = format!("UPDATE {table} SET q = 0 WHERE id IN (2, 197)");
        stage.cluster.run("clinic", &written).unwrap();
        let written = format!("UPDATE {table} SET p = 2147483647 WHERE id = 7");
        stage.cluster.run("clinic", &written).unwrap();
        stage
            .cluster
            .run("clinic", &format!("VACUUM ANALYZE {table}"))
            .unwrap();
    }
    let mut client = stage.connect(Role::Support);
    for (since, sql, expected) in CASES {
        if *since > version {
            continue;
        }
        for answer in [client.simple(sql), client.extended(sql)] {
            match (&answer, expected) {
                (Answer::Rows(rows, tags), Ok(expected)) => {
                    let shown = if rows.is_empty() && !tags[0].starts_with("SELECT") {
                        tags
                    } else {
                        rows
                    };
                    assert_eq!(shown.join("\n"), *expected, "{sql}");
                }
                (Answer::Error(state, _), Err(expected)) => assert_eq!(state, expected, "{sql}"),
                _ => panic!("{sql}: {answer:?}"),
            }
        }
    }
    let counted = client.simple("SELECT count(n_live_tup) FROM pg_stat_user_tables");
    assert_eq!(
        counted,
        Answer::Rows(vec!["0".to_owned()], vec!["SELECT 1".to_owned()])
    );
    deferred_keys_are_none_yet(&mut client);
    locks_tell_nothing(&stage, &mut client);
    lone::several_rows_equal_one_value(&stage, &mut client);
    beside::nothing_is_told(&mut client);
    if version >= 16 {
        draws(
            &mut client,
            "SELECT JSON_ARRAY(SELECT id FROM quotas WHERE team = 'team 2')",
        );
        draws(
            &mut client,
            "SELECT JSON_ARRAY(SELECT id FROM quotas WHERE team = 'team 2' RETURNING jsonb) -> 0",
        );
    }
    if version >= 17 {
        expressions_change(&stage, &mut client);
    }
    if version >= 18 {
        draws(&mut client, "SELECT place FROM lists LIMIT 1");
    }
}

/// Two rows have one key, until the transaction ends.
fn deferred_keys_are_none_yet(client: &mut Client) {
    client.simple("BEGIN");
    client.simple("UPDATE ledgers SET n = id, id = 100000 WHERE id IN (1, 2)");
    draws(
        client,
        "SELECT n FROM ledgers WHERE id = 100000 ORDER BY id LIMIT 1",
    );
    draws(
        client,
        "SELECT array_agg(n ORDER BY id) FROM ledgers WHERE id = 100000",
    );
    draws(
        client,
        "SELECT DISTINCT ON (id) n FROM ledgers WHERE id = 100000 ORDER BY id",
    );
    client.simple("ROLLBACK");
}

/// Of forty times it is one row for some and another for the rest.
pub(crate) fn draws(client: &mut Client, sql: &str) {
    let answers = (0..40).map(|_| match client.simple(sql) {
        Answer::Rows(rows, _) => rows,
        other @ Answer::Error(..) => panic!("{sql}: {other:?}"),
    });
    let different: HashSet<_> = answers.collect();
    assert!(different.len() > 1, "always {different:?}: {sql}");
}

/// Another session sees which row is locked, and by the lock on a partition where a row may be.
fn locks_tell_nothing(stage: &Stage, client: &mut Client) {
    let team = "SELECT id FROM quotas WHERE team = 'team 2'";
    let mut other = stage.direct("clinic");
    let locked = (0..40).map(|_| {
        client.simple("BEGIN");
        client.simple(&format!("SELECT EXISTS ({team} FOR UPDATE)"));
        let free = other.simple(&format!("{team} ORDER BY id FOR UPDATE SKIP LOCKED"));
        client.simple("ROLLBACK");
        match free {
            Answer::Rows(rows, _) => rows,
            other @ Answer::Error(..) => panic!("{other:?}"),
        }
    });
    let different: HashSet<_> = locked.collect();
    assert!(different.len() > 1, "always {different:?}");
    let shown = client.simple("SELECT count(relation) FROM pg_locks");
    assert_eq!(
        shown,
        Answer::Rows(vec!["0".to_owned()], vec!["SELECT 1".to_owned()])
    );
}

/// `SET EXPRESSION`: what is planned on the older catalog is not answered from the newer.
fn expressions_change(stage: &Stage, client: &mut Client) {
    let before = "SELECT kept FROM moved WHERE id = 3";
    client.simple(&format!("PREPARE kept AS {before}"));
    let shown = Answer::Rows(vec!["4".to_owned()], vec!["SELECT 1".to_owned()]);
    assert_eq!(client.simple("EXECUTE kept"), shown);
    assert_eq!(client.simple(before), shown);
    let change = "ALTER TABLE moved ALTER kept SET EXPRESSION AS (wage)";
    stage.cluster.run("clinic", change).unwrap();
    for answer in [client.simple(before), client.simple("EXECUTE kept")] {
        match answer {
            Answer::Error(state, _) => assert_eq!(state, "40001"),
            Answer::Rows(rows, _) => assert_eq!(rows, ["0"], "stored, not masked"),
        }
    }
}
