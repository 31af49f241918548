//! Runs `tests/corpus/plan` (SQL and role → what is sent and shown, or the refusal) and
//! `tests/corpus/analyze` (SQL → how each column is used) against the clinic.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its stage has failed"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use datadriven::{TestCase, walk};
use pgveil::analyze::lineage::Uses;
use pgveil::analyze::{Grounds, analyze};
use pgveil::catalog::SearchPath;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::ident::Ident;
use pgveil::mask::token::{KeyRing, KeyRingFile, NewKey};
use pgveil::plan::{PlanContext, Refusal, explain_statement, plan_statement};
use pgveil::policy::bind;
use pgveil::server::policy_files;
use pgveil::snapshot::Snapshot;
use pgveil::sql::parse::parse;
use pgveil::sql::tree::Statement;
use pgveil::upstream::introspect::introspect;
use pgveil::upstream::{TlsMode, UpstreamOptions, UpstreamTls, connect};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// The clinic's catalog with its policy, read from a real PostgreSQL once.
fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let clinic = Path::new("tests/corpus/clinic");
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.run("postgres", "CREATE ROLE clinic_proxy").unwrap();
        cluster.run("postgres", "CREATE DATABASE clinic").unwrap();
        let schema = std::fs::read_to_string(clinic.join("clinic.sql")).unwrap();
        cluster.run("clinic", &schema).unwrap();
        let options = UpstreamOptions {
            host: cluster.address().ip().to_string(),
            port: cluster.address().port(),
            tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
            user: SUPERUSER.to_owned(),
            password: None,
            database: "clinic".to_owned(),
            params: vec![("search_path".to_owned(), "pg_catalog, pg_temp".to_owned())],
            minor: 0,
        };
        let catalog = Runtime::new().unwrap().block_on(async {
            let mut connection = connect(&options).await.unwrap();
            introspect(&mut connection).await.unwrap().catalog
        });
        let policy = policy_files::load(&clinic.join("policies")).unwrap_or_else(|e| panic!("{e}"));
        let binding = bind(&policy, &catalog, &keys()).unwrap_or_else(|e| panic!("{e}"));
        Snapshot {
            catalog: Arc::new(catalog),
            policy: Arc::new(binding.policy),
            epoch: 1,
        }
    })
}

fn keys() -> KeyRing {
    let mut file = KeyRingFile::empty([1; 16]);
    let key = NewKey {
        bytes: Zeroizing::new([7; 64]),
        id: [3; 16],
        nonce: [5; 24],
        created: "2026-01-01".to_owned(),
    };
    file.add(b"test", "person-1", key).unwrap();
    file.open(b"test").unwrap()
}

fn with_context<T>(role: &str, use_it: impl FnOnce(&PlanContext<'_>) -> T) -> T {
    let snapshot = snapshot();
    let (prepared, cursors) = (HashMap::new(), HashMap::new());
    use_it(&PlanContext {
        snapshot,
        grants: snapshot.policy.roles.get(role).unwrap(),
        search_path: &SearchPath::new(&[Ident::exact("public")]),
        search_path_text: "public",
        prepared: &prepared,
        cursors: &cursors,
        fresh_name: Ident::exact("fresh"),
    })
}

fn statement(sql: &str) -> Result<Statement, Refusal> {
    let mut parsed = parse(sql)?;
    assert_eq!(parsed.len(), 1, "one statement a case: {sql}");
    Ok(parsed.remove(0).statement)
}

fn role(case: &TestCase) -> &str {
    case.args
        .get("role")
        .and_then(|roles| roles.first())
        .unwrap()
}

fn refused(refusal: &Refusal) -> String {
    let mut out = format!(
        "refuse {}\n  ERROR:  {}\n",
        refusal.sqlstate, refusal.message
    );
    for (title, text) in [("DETAIL: ", &refusal.detail), ("HINT:   ", &refusal.hint)] {
        if let Some(text) = text {
            writeln!(out, "  {title}{text}").unwrap();
        }
    }
    out
}

/// `plan role=R`: what each column shows; with `sql`, what is sent as well.
fn plan(case: &TestCase) -> Result<String, Refusal> {
    with_context(role(case), |ctx| {
        let sql = case.input.trim_end();
        let plan = plan_statement(statement(sql)?, ctx)?;
        let mut out = String::new();
        if case.args.contains_key("sql") {
            writeln!(out, "send\n  {}", plan.sql().as_str()).unwrap();
        }
        out.push_str("show\n");
        for (number, column) in explain_statement(statement(sql)?, ctx)?.iter().enumerate() {
            write!(out, "  {} {} {}", number + 1, column.name, column.treatment).unwrap();
            if !column.place.is_empty() {
                write!(out, ", {}", column.place).unwrap();
            }
            out.push('\n');
        }
        Ok(out)
    })
}

/// `analyze role=R`: the result's columns with their sources, and how every column is used.
fn lineage(case: &TestCase) -> Result<String, Refusal> {
    with_context(role(case), |ctx| {
        let mut statement = statement(case.input.trim_end())?;
        let grounds = Grounds {
            catalog: &ctx.snapshot.catalog,
            grants: ctx.grants,
            search_path: ctx.search_path,
        };
        let lineage = analyze(&mut statement, grounds)?;
        let mut out = String::new();
        for (number, column) in lineage.outputs.iter().enumerate() {
            let sources = column.sources.iter().map(|source| {
                let relation = &lineage.relation(source.relation).unwrap().relation;
                format!(
                    "{}.{}",
                    relation.name,
                    relation.attribute(source.attnum).unwrap().name
                )
            });
            let sources: Vec<String> = sources.collect();
            let from = match (sources.is_empty(), column.tainted) {
                (false, _) => format!("is {}", sources.join(", ")),
                (true, true) => "is computed from masked values".to_owned(),
                (true, false) => "is computed".to_owned(),
            };
            writeln!(out, "{} {} {from}", number + 1, column.name).unwrap();
        }
        for used in &lineage.relations {
            for (attnum, uses) in &used.columns {
                let name = &used.relation.attribute(*attnum).unwrap().name;
                writeln!(out, "{}.{name}: {}", used.relation.name, words(*uses)).unwrap();
            }
        }
        Ok(out)
    })
}

fn words(uses: Uses) -> String {
    let all = [
        (Uses::IDENTITY, "identity"),
        (Uses::PRESENCE, "presence"),
        (Uses::EQUALITY, "equality"),
        (Uses::ORDER, "order"),
        (Uses::COMPUTE, "compute"),
    ];
    let named = all
        .iter()
        .filter(|(one, _)| uses.has(*one))
        .map(|(_, word)| *word);
    let named = named.collect::<Vec<_>>().join(", ");
    // Named, and seen by nobody but the client: the planner calls that identity.
    if named.is_empty() {
        "shown at most".to_owned()
    } else {
        named
    }
}

fn run(folder: &str) {
    walk(folder, |file| {
        file.run(|case| {
            let answer = match case.directive.as_str() {
                "plan" => plan(case),
                "analyze" => lineage(case),
                other => panic!("no directive {other}"),
            };
            answer.unwrap_or_else(|refusal| refused(&refusal))
        });
    });
}

#[test]
fn plans() {
    run("tests/corpus/plan");
}

#[test]
fn lineages() {
    run("tests/corpus/analyze");
}
