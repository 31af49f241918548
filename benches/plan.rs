//! Text → Plan, for a role that sees masks: the price of a statement before anything is sent.
//!
//! Deliberately absent: PostgreSQL's own work. The catalog comes from a throwaway cluster with the
//! sample bank; planning itself touches no server.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set its stage has failed"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashMap;

use criterion::{Criterion, criterion_group, criterion_main};
use pgveil::catalog::SearchPath;
use pgveil::catalog::temp::TempTables;
use pgveil::cli::bank;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::ident::Ident;
use pgveil::mask::token::{KeyRingFile, NewKey};
use pgveil::plan::{Plan, PlanContext, PlanKey, Plans, Scope, plan_statement};
use pgveil::policy::{Date, bind};
use pgveil::server::policy_files;
use pgveil::snapshot::Snapshot;
use pgveil::sql::Shaped;
use pgveil::sql::tree::Looked;
use pgveil::upstream::introspect::introspect;
use pgveil::upstream::{TlsMode, UpstreamOptions, UpstreamTls, connect};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

const POINT: &str = "SELECT id, name, mobile FROM bank.customers WHERE id = $1";

const LITERAL: &str = "SELECT id, name, mobile FROM bank.customers WHERE id = 4711";

const ANALYTICS: &str = "\
WITH spenders AS (
  SELECT o.customer_id, sum(o.amount) AS spent, count(*) AS orders
  FROM bank.orders o WHERE o.placed_at >= '2025-01-01' AND o.status = 'settled'
  GROUP BY o.customer_id HAVING sum(o.amount) > 1000
)
SELECT c.city, c.segment, count(*) AS customers, avg(s.spent) AS mean,
       max(s.orders) AS most, min(c.birth_date) AS oldest
FROM bank.customers c
JOIN spenders s ON s.customer_id = c.id
LEFT JOIN bank.accounts a ON a.customer_id = c.id AND a.status = 'active'
WHERE c.email LIKE '%@example.com' AND c.city IN ('上海', '北京', '深圳')
GROUP BY c.city, c.segment ORDER BY mean DESC LIMIT 20";

fn snapshot() -> Snapshot {
    let options = ClusterOptions {
        tcp_auth: TcpAuth::Trust,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&options).unwrap();
    cluster.run("postgres", &bank::script()).unwrap();
    let options = UpstreamOptions {
        host: cluster.address().ip().to_string(),
        port: cluster.address().port(),
        tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
        user: SUPERUSER.to_owned(),
        password: None,
        database: "postgres".to_owned(),
        params: vec![("search_path".to_owned(), "pg_catalog, pg_temp".to_owned())],
        minor: 0,
    };
    let catalog = Runtime::new().unwrap().block_on(async {
        let mut connection = connect(&options).await.unwrap();
        introspect(&mut connection).await.unwrap().catalog
    });
    let mut ring = KeyRingFile::empty([1; 16]);
    let key = NewKey {
        bytes: Zeroizing::new([7; 64]),
        id: [3; 16],
        nonce: [5; 24],
        created: "2026-01-01".to_owned(),
    };
    ring.add(b"bench", "person-2026", key).unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let policy = policy_files::load(&policies)
        .map_err(|e| e.to_string())
        .unwrap();
    let binding = bind(
        &policy,
        &catalog,
        &ring.open(b"bench").unwrap(),
        Date::from_unix(0),
    );
    let binding = binding.map_err(|e| e.to_string()).unwrap();
    Snapshot {
        catalog: Arc::new(catalog),
        policy: Arc::new(binding.policy),
        epoch: 1,
    }
}

fn plan(criterion: &mut Criterion) {
    let snapshot = snapshot();
    let (prepared, cursors) = (HashMap::default(), HashMap::default());
    let temp = TempTables::default();
    let search_path = SearchPath::new(&[Ident::exact("public")]);
    let context = PlanContext {
        snapshot: &snapshot,
        grants: snapshot.policy.roles.get("support").unwrap(),
        search_path: &search_path,
        search_path_text: "public",
        client_encoding: pgveil::pg::encoding::Encoding::utf8(),
        prepared: &prepared,
        cursors: &cursors,
        temp: &temp,
        given: pgveil::plan::Given::Bound,
        declared: &[],
        fresh_name: Ident::exact("fresh"),
    };
    let planned = |sql: &str| {
        let (mut parsed, looked) = Shaped::scan(sql).unwrap().parse().unwrap();
        let statement = parsed.remove(0).statement;
        (plan_statement(statement, &context).unwrap(), looked)
    };
    let mut group = criterion.benchmark_group("plan");
    for (name, sql) in [("point select", POINT), ("analytics, 12 lines", ANALYTICS)] {
        group.bench_function(name, |bencher| bencher.iter(|| planned(black_box(sql))));
    }
    group.finish();
    again(criterion, &planned);
}

/// A statement of a shape that was planned before: scanned, looked for, written with its constants.
fn again(criterion: &mut Criterion, planned: &dyn Fn(&str) -> (Plan, Looked)) {
    let scope = Scope {
        role: "support",
        user: "bench",
        search_path: "public",
        encoding: "UTF8",
    };
    let (plans, mut key) = (Plans::default(), PlanKey::default());
    let mut group = criterion.benchmark_group("found");
    for (name, sql) in [
        ("literal point select", LITERAL),
        ("analytics, 12 lines", ANALYTICS),
    ] {
        let (plan, looked) = planned(sql);
        let shaped = Shaped::scan(sql).unwrap();
        key.set_shape(scope, &shaped);
        plans.keep(&key, &shaped, &looked, &Arc::new(plan));
        let mut out = Vec::with_capacity(1 << 14);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let shaped = Shaped::scan(black_box(sql)).unwrap();
                key.set_shape(scope, &shaped);
                let plan = plans.find(&key, &shaped).unwrap();
                (plan.sql()).write_with(&shaped, |p| out.extend_from_slice(p.as_bytes()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
