//! The plans PostgreSQL finds for what is sent, on tables of some thousand rows: those it would find for
//! stored columns, and none that computes a mask for each pair of rows.

use foldhash::HashMap;
use pgveil::catalog::temp::TempTables;
use pgveil::ident::Ident;
use pgveil::plan::{PlanContext, plan_statement};
use pgveil::sql::parse;

use super::stage::{Connection, Stage, public_path};

/// Enough rows that a nested loop of them is not the cheapest.
const CROWD: &str = "\
    INSERT INTO patients (id, name, email, city) \
      SELECT n, 'N', 'x' || n || '@d' || n || '.example', 'Lund' FROM generate_series(100, 4099) AS n; \
    INSERT INTO tickets (id, contact, body) \
      SELECT n, 'x' || n || '@d' || n % 3000 || '.example', 'b' || n FROM generate_series(100, 4099) AS n; \
    INSERT INTO devices (id, serial, spare) \
      SELECT n, 70000000 + n, 70000000 + n % 3000 FROM generate_series(100, 4099) AS n; \
    CREATE INDEX ON devices (serial); \
    ANALYZE";

fn sent(stage: &Stage, role: &str, sql: &str) -> String {
    let context = PlanContext {
        snapshot: &stage.snapshot,
        grants: &stage.snapshot.policy.roles[role],
        search_path: &public_path(),
        search_path_text: "\"$user\", public",
        client_encoding: pgveil::pg::encoding::Encoding::utf8(),
        prepared: &HashMap::default(),
        cursors: &HashMap::default(),
        temp: &TempTables::default(),
        given: pgveil::plan::Given::Bound,
        declared: &[],
        fresh_name: Ident::exact("pgveil_1"),
    };
    let statement = parse(sql).unwrap().remove(0).statement;
    let plan = plan_statement(statement, &context).map_err(|refusal| refusal.message);
    plan.unwrap().sql().as_str().to_owned()
}

/// The plan, a line each.
fn explain(crowd: &Connection<'_>, sent: &str) -> String {
    let lines = crowd.run(&format!("EXPLAIN (COSTS OFF) {sent}")).unwrap();
    let lines = lines.into_iter().flatten().flatten();
    lines.fold(String::new(), |all, line| all + &line + "\n")
}

#[test]
fn masks_are_joined_as_stored_columns_are() {
    let stage = Stage::build();
    let crowd = stage.crowd(CROWD);
    let check = |role: &str, sql: &str, has: &[&str], lacks: &[&str]| {
        let plan = explain(&crowd, &sent(&stage, role, sql));
        for words in has {
            assert!(plan.contains(words), "{sql}: no {words} in\n{plan}");
        }
        for words in lacks {
            assert!(!plan.contains(words), "{sql}: {words} in\n{plan}");
        }
    };
    // dbt's test of relationships, and the same by hand: the rows without a match are found as such.
    check(
        "support",
        "WITH child AS (SELECT contact AS c FROM tickets WHERE contact IS NOT NULL), \
              parent AS (SELECT email AS p FROM patients) \
         SELECT c FROM child LEFT JOIN parent ON child.c = parent.p WHERE parent.p IS NULL",
        &[
            "Hash Anti Join",
            "Subquery Scan on tickets",
            "Subquery Scan on patients",
        ],
        &["Nested Loop"],
    );
    check(
        "support",
        "SELECT t.id FROM tickets t LEFT JOIN patients p ON t.contact = p.email WHERE p.email IS NULL",
        &["Hash Anti Join", "Subquery Scan on p"],
        &["Nested Loop"],
    );
    // A LIMIT does not make a nested loop look short.
    check(
        "support",
        "SELECT a.id, b.id FROM tickets a JOIN tickets b ON a.contact = b.contact AND a.id < b.id \
         ORDER BY 1, 2 LIMIT 10",
        &["Hash Join"],
        &["Nested Loop"],
    );
    // What is made of a mask is made once, too, and so is what IN and a grouped primary key compare.
    for sql in [
        "SELECT count(*) FROM tickets t JOIN patients p ON lower(t.contact) = lower(p.email)",
        "SELECT count(*) FROM tickets t WHERE contact IN (SELECT email FROM patients WHERE id > 500)",
        "SELECT p.id, count(t.id) FROM patients p LEFT JOIN tickets t ON t.contact = p.email \
         GROUP BY p.id ORDER BY 2 LIMIT 5",
    ] {
        assert!(
            sent(&stage, "support", sql).contains(" OFFSET 0) AS \"t"),
            "{sql}"
        );
        check("support", sql, &["Hash"], &["Nested Loop"]);
    }
    // Something else is asked of one side, which an index serves before there is a mask.
    check(
        "support",
        "SELECT t.body FROM tickets t JOIN patients p ON t.contact = p.email WHERE p.id = 123",
        &["Index Scan using patients_pkey on patients"],
        &["Subquery Scan on p"],
    );
    check(
        "support",
        "WITH p AS (SELECT * FROM patients) \
         SELECT t.body FROM tickets t JOIN p ON t.contact = p.email WHERE p.id = 123",
        &["Index Scan using patients_pkey on patients"],
        &[],
    );
    // What runs for each row looks its rows up.
    check(
        "support",
        "SELECT id FROM tickets t WHERE id = (SELECT max(id) FROM tickets u WHERE u.contact = t.contact)",
        &["Tid Scan on tickets", "TID Cond: (ctid = ANY ("],
        &[],
    );
    check(
        "support",
        "SELECT p.id, x.id FROM patients p CROSS JOIN LATERAL (SELECT u.id FROM tickets u \
         WHERE u.contact = p.email ORDER BY u.id DESC LIMIT 2) x",
        &["Tid Scan on tickets"],
        &[],
    );
    // Unless an index may serve.
    check(
        "support",
        "SELECT (SELECT max(u.body) FROM tickets u WHERE u.contact = p.email AND u.id = p.id) FROM patients p",
        &["Index Scan using tickets_pkey"],
        &["Tid Scan"],
    );
    // Beside OR there is no join, but one reading of the other table.
    check(
        "support",
        "SELECT id FROM patients p WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.contact = p.email) OR id = 1",
        &["hashed SubPlan"],
        &[],
    );
    // Tokens that keep a shape: values are compared, and their shape is looked at once.
    check(
        "analyst",
        "SELECT b.id FROM devices a JOIN devices b ON a.serial = b.spare WHERE b.id = 777",
        &["using devices_serial_idx on devices"],
        &["Seq Scan"],
    );
}

/// Two equal values without a token are not equal to who sees tokens.
#[test]
fn what_has_no_token_equals_nothing() {
    let stage = Stage::build();
    let server = stage.connect("clinic");
    let pairs = |join: &str| {
        let (join, rest) = join.split_once(" WHERE").unwrap_or((join, "true"));
        let sql = format!(
            "SELECT a.id, b.id FROM devices a {join} ON a.serial = b.spare WHERE {rest} ORDER BY 1, 2"
        );
        let rows = server.run(&sent(&stage, "analyst", &sql)).unwrap();
        let text = |v: Option<String>| v.unwrap_or_default();
        let pair =
            |row: Vec<Option<String>>| row.into_iter().map(text).collect::<Vec<_>>().join("-");
        rows.into_iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(pairs("JOIN devices b"), ["1-4", "3-1"]);
    assert_eq!(pairs("LEFT JOIN devices b"), ["1-4", "2-", "3-1", "4-"]);
    let alone = pairs("LEFT JOIN devices b WHERE b.spare IS NULL");
    assert_eq!(alone, ["2-", "4-"]);
    assert_eq!(pairs("RIGHT JOIN devices b"), ["1-4", "3-1", "-2", "-3"]);
}
