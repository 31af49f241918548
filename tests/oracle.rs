//! PostgreSQL is the oracle: for statements of the corpus and statements by chance, the analyzer
//! agrees with it, or concedes by refusing.
//!
//! - What is printed returns the rows, names and types of what was written, when nothing is masked.
//! - The columns the analyzer names are exactly those PostgreSQL records for a view of the statement.
//! - For `support`, the rows are those of the statement on the masked copy written by hand.
//!
//! `PGVEIL_ORACLE_STATEMENTS=100000` for longer, `PGVEIL_ORACLE_SEED` for others.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "oracle/generate.rs"]
mod generate;
#[expect(dead_code, reason = "the other runners use the rest")]
#[path = "plan/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use foldhash::HashMap;

use generate::Generator;
use pgveil::analyze::{Grounds, analyze};
use pgveil::catalog::RelationKind;
use pgveil::catalog::temp::TempTables;
use pgveil::ident::Ident;
use pgveil::plan::{Plan, PlanContext, Refusal, plan_statement};
use pgveil::policy::{Grants, Treatment};
use pgveil::sql::parse;
use pgveil::sql::tree::Statement;
use stage::{Connection, Rows, Stage, mask_rows, public_path};

/// Columns by relation: of each, the attribute numbers.
type Columns = BTreeMap<u32, BTreeSet<i16>>;

#[test]
fn agree_or_concede() {
    let stage = Stage::build();
    let copy = stage.masked_copy();
    let (client, upstream) = (stage.connect("clinic"), stage.connect("clinic"));
    upstream
        .run("SET search_path = pg_catalog, pg_temp")
        .unwrap();
    let oracle = Oracle {
        stage: &stage,
        client,
        upstream,
        copy,
    };
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().unwrap());
    let mut faults = Vec::new();
    let mut tally = Tally::default();
    for sql in corpus() {
        faults.extend(oracle.check(&sql, &mut tally));
    }
    assert!(tally.agreed > 90, "{tally:?}");
    let mut by_chance = Tally::default();
    let mut generator = Generator::new(number("PGVEIL_ORACLE_SEED", 20_261_121));
    for _ in 0..number("PGVEIL_ORACLE_STATEMENTS", 100) {
        let sql = generator.statement();
        faults.extend(oracle.check(&sql, &mut by_chance));
        if faults.len() > 20 {
            break;
        }
    }
    assert!(
        faults.is_empty(),
        "{}\n\n{by_chance:?}",
        faults.join("\n\n")
    );
    // A generator that writes nonsense, or an analyzer that concedes everything, proves nothing.
    assert!(by_chance.invalid * 3 < by_chance.all(), "{by_chance:?}");
    assert!(by_chance.conceded * 5 < by_chance.all(), "{by_chance:?}");
}

/// What became of the statements.
#[derive(Default, Debug)]
struct Tally {
    agreed: u64,
    conceded: u64,
    invalid: u64,
}

impl Tally {
    fn all(&self) -> u64 {
        self.agreed + self.conceded + self.invalid
    }
}

/// Every query of the corpora of plans and lineages.
fn corpus() -> Vec<String> {
    let mut all = BTreeSet::new();
    for folder in ["tests/corpus/plan", "tests/corpus/analyze"] {
        for file in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            for case in text.split("\n\n") {
                let lines = case.lines().skip_while(|l| l.starts_with('#')).skip(1);
                let sql: Vec<&str> = lines.take_while(|l| *l != "----").collect();
                all.insert(sql.join("\n"));
            }
        }
    }
    let of_now = ["pg_stat", "ctid", "regclass", "pg_views", "random()"];
    all.into_iter()
        .filter(|sql| !of_now.iter().any(|word| sql.contains(word)))
        // Bodies of functions are left out on purpose.
        .filter(|sql| !sql.contains("pg_get_functiondef"))
        // SELECT INTO has no rows to compare, and no view can be made of it.
        .filter(|sql| !sql.contains(" INTO "))
        .collect()
}

/// What the planner adds where the order of rows would tell.
const ORDER_KEY: &str = "\"pg_catalog\".\"gen_random_uuid\"()";

struct Oracle<'s> {
    stage: &'s Stage,
    /// With the client's search path.
    client: Connection<'s>,
    /// With the proxy's.
    upstream: Connection<'s>,
    copy: Connection<'s>,
}

impl Oracle<'_> {
    fn check(&self, sql: &str, tally: &mut Tally) -> Vec<String> {
        let Some(statement) = query(sql) else {
            // Not a query, or more than one, or refused by the parser: conceded.
            tally.conceded += 1;
            return Vec::new();
        };
        let Ok(shape) = self.client.shape(sql) else {
            tally.invalid += 1;
            return Vec::new();
        };
        let clear = Grants::for_tests("anyone", Treatment::Clear, []);
        let planned = self.plan(statement.clone(), &clear);
        let Ok(plan) = planned else {
            tally.conceded += 1;
            return Vec::new();
        };
        tally.agreed += 1;
        let results = [
            self.same(sql, &shape, &self.client, &plan),
            self.columns(sql, statement.clone(), &clear, shape.len()),
            self.masked(sql, statement),
        ];
        let faults = results.into_iter().filter_map(Result::err);
        faults.map(|fault| format!("{sql}\n{fault}")).collect()
    }

    fn plan(&self, statement: Statement, grants: &Grants) -> Result<Plan, Refusal> {
        let context = PlanContext {
            snapshot: &self.stage.snapshot,
            grants,
            search_path: &public_path(),
            search_path_text: "public",
            client_encoding: pgveil::pg::encoding::Encoding::utf8(),
            prepared: &HashMap::default(),
            cursors: &HashMap::default(),
            temp: &TempTables::default(),
            given: pgveil::plan::Given::Bound,
            declared: &[],
            fresh_name: Ident::exact("fresh"),
        };
        plan_statement(statement, &context)
    }

    /// What is sent gives what was asked on `original`: rows, names, types; or the same error.
    fn same(
        &self,
        sql: &str,
        shape: &[(String, String)],
        original: &Connection<'_>,
        plan: &Plan,
    ) -> Result<(), String> {
        let sent = plan.sql().as_str();
        let said = self
            .upstream
            .shape(sent)
            .map_err(|e| format!("sent: {sent}\n{e}"))?;
        if said != shape {
            return Err(format!("sent: {sent}\ncolumns {said:?}, not {shape:?}"));
        }
        if sql.contains('$') {
            return Ok(());
        }
        // A key that draws the order of rows is one of PostgreSQL's choices: it is sent as it is, but the
        // rows to compare are those of PostgreSQL's own choice.
        let drawn = !sql.contains("gen_random_uuid") && sent.contains(ORDER_KEY);
        if drawn && let Err(e) = rows_of(&self.upstream, sent) {
            let fails = too_slow(&Err(e.clone())) || rows_of(original, sql).is_err();
            return if fails { Ok(()) } else { Err(e) };
        }
        let chosen = if drawn {
            sent.replace(ORDER_KEY, "NULL::pg_catalog.int4")
        } else {
            sent.to_owned()
        };
        let rows = rows_of(&self.upstream, &chosen).map(|mut rows| {
            mask_rows(plan, &mut rows);
            sorted(rows)
        });
        let wanted = rows_of(original, sql).map(sorted);
        if rows == wanted || [&rows, &wanted].iter().any(|r| too_slow(r)) {
            return Ok(());
        }
        // Which of two errors comes first is PostgreSQL's choice.
        if rows.is_err() && wanted.is_err() {
            return Ok(());
        }
        Err(format!("sent: {sent}\nrows {rows:?}\nnot {wanted:?}"))
    }

    /// The columns named by the analyzer are those a view of the statement depends on.
    fn columns(
        &self,
        sql: &str,
        mut statement: Statement,
        grants: &Grants,
        width: usize,
    ) -> Result<(), String> {
        let names: Vec<String> = (1..=width).map(|n| format!("c{n}")).collect();
        let view = format!(
            "CREATE OR REPLACE TEMP VIEW oracle ({}) AS {sql}",
            names.join(", ")
        );
        self.client
            .run("DROP VIEW IF EXISTS pg_temp.oracle")
            .unwrap();
        if self.client.run(&view).is_err() {
            // FOR UPDATE, parameters, a column of type "unknown".
            return Ok(());
        }
        let recorded = self
            .client
            .run(
                "SELECT d.refobjid, d.refobjsubid FROM pg_depend d JOIN pg_rewrite r ON d.objid = r.oid
                 WHERE r.ev_class = 'pg_temp.oracle'::regclass AND d.classid = 'pg_rewrite'::regclass
                 AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
                 AND d.refobjsubid >= 0",
            )
            .unwrap();
        let mut expected = Columns::new();
        for row in recorded {
            let number = |n: usize| row[n].as_deref().unwrap().to_owned();
            let columns = expected.entry(number(0).parse().unwrap()).or_default();
            let attnum: i16 = number(1).parse().unwrap();
            // Zero is the relation itself.
            columns.extend((attnum > 0).then_some(attnum));
        }
        let grounds = Grounds {
            catalog: &self.stage.snapshot.catalog,
            grants,
            search_path: &public_path(),
            temp: &TempTables::default(),
            search_path_text: "public",
            client_encoding: pgveil::pg::encoding::Encoding::utf8(),
            views: 0,
            declared: &[],
        };
        let lineage = analyze(&mut statement, grounds).map_err(|r| r.message)?;
        let mut named = Columns::new();
        // System catalogs are pinned: nothing is recorded of them.
        // A composite type has columns and no rows.
        let catalog = &self.stage.snapshot.catalog;
        let rows = |oid: u32| {
            let relation = catalog.relation_by_oid(oid);
            relation.is_none_or(|r| r.kind != RelationKind::CompositeType)
        };
        let users = |oid: u32| oid >= 16384 && rows(oid);
        expected.retain(|oid, _| users(*oid));
        for r in lineage.relations.iter().filter(|r| users(r.relation.oid)) {
            let columns = named.entry(r.relation.oid).or_default();
            columns.extend(r.columns.keys().filter(|a| **a > 0));
        }
        // To PostgreSQL a whole row is the relation; to the analyzer it is every column.
        for r in lineage.relations.iter().filter(|r| r.whole_row) {
            expected
                .entry(r.relation.oid)
                .or_default()
                .extend(r.relation.columns.iter().map(|c| c.attnum));
        }
        if named == expected {
            return Ok(());
        }
        // A field of a row made JSON is the whole relation to PostgreSQL, and one column to the
        // analyzer: it may name more than PostgreSQL then, but no less.
        let of_json = sql.contains("to_json") && sql.contains("->>");
        let no_less = |(oid, columns): (&u32, &BTreeSet<i16>)| {
            named.get(oid).is_some_and(|n| n.is_superset(columns))
        };
        if of_json && expected.iter().all(no_less) {
            return Ok(());
        }
        Err(format!("columns {named:?}, a view depends on {expected:?}"))
    }

    /// For `support`: what PostgreSQL answers on the masked copy, or a refusal.
    fn masked(&self, sql: &str, statement: Statement) -> Result<(), String> {
        let grants = &self.stage.snapshot.policy.roles["support"];
        let Ok(plan) = self.plan(statement, grants) else {
            return Ok(());
        };
        let shape = self
            .copy
            .shape(sql)
            .map_err(|e| format!("the masked copy says {e}"))?;
        self.same(sql, &shape, &self.copy, &plan)
    }
}

/// A statement's rows, unless they take long. Whatever else is asked is waited for, on a busy machine too.
fn rows_of(connection: &Connection<'_>, sql: &str) -> Result<Rows, String> {
    connection.run("SET statement_timeout = '1s'").unwrap();
    let rows = connection.run(sql);
    connection.run("SET statement_timeout = 0").unwrap();
    rows
}

/// Products of many tables, joined on masks PostgreSQL has no estimates for.
fn too_slow(rows: &Result<Rows, String>) -> bool {
    matches!(rows, Err(e) if e.starts_with("57014"))
}

fn query(sql: &str) -> Option<Statement> {
    let mut statements = parse(sql).ok()?.into_iter().map(|p| p.statement);
    match (statements.next(), statements.next()) {
        (Some(statement @ Statement::Query(_)), None) => Some(statement),
        _ => None,
    }
}

fn sorted(mut rows: Rows) -> Rows {
    rows.sort();
    rows
}
