//! The catalog against a live server: that it is read as it is, that a change is noticed, and that
//! nobody has forgotten to consider a function or a column of the server.
//!
//! Runs on whatever PostgreSQL it finds (`PGVEIL_PGBIN` chooses); the lists cover 15 to 18.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "catalog/changes.rs"]
mod changes;
#[path = "catalog/lists.rs"]
mod lists;
#[path = "catalog/reading.rs"]
mod reading;
#[path = "catalog/settings.rs"]
mod settings;
#[path = "catalog/types.rs"]
mod types;

use std::sync::OnceLock;

use pgveil::catalog::allow::{
    self, CatalogColumn, FunctionUse, builtin_function, considered_column, considered_function,
    considered_relation,
};
use pgveil::catalog::{
    CastContext, Catalog, FunctionKind, Relation, RelationKind, TypeKind, Volatility,
};
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::ident::Ident;
use pgveil::pg::setting::Kind;
use pgveil::upstream::introspect::{Introspected, introspect, probe};
use pgveil::upstream::{TlsMode, UpstreamConnection, UpstreamOptions, UpstreamTls, connect};
use tokio::runtime::Runtime;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        Cluster::start(&options).unwrap()
    })
}

fn lines(sql: &str) -> Vec<String> {
    cluster()
        .run("postgres", sql)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn database(name: &str, schema: &str) {
    cluster()
        .run("postgres", &format!("CREATE DATABASE {name}"))
        .unwrap();
    cluster().run(name, schema).unwrap();
}

async fn connection(database: &str) -> UpstreamConnection {
    let options = UpstreamOptions {
        host: cluster().address().ip().to_string(),
        port: cluster().address().port(),
        tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
        user: SUPERUSER.to_owned(),
        password: None,
        database: database.to_owned(),
        params: vec![("search_path".to_owned(), "pg_catalog, pg_temp".to_owned())],
        minor: 0,
    };
    connect(&options).await.unwrap()
}

fn read(database: &str) -> Introspected {
    Runtime::new()
        .unwrap()
        .block_on(async { introspect(&mut connection(database).await).await.unwrap() })
}

/// Was the server built with ICU? Without it, no collation can be nondeterministic. (One of its
/// collations is listed by every server, `unicode`.)
fn icu() -> bool {
    lines("SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i'") == ["t"]
}

fn shop(name: &str) {
    let collation = if icu() {
        "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    } else {
        "FROM \"C\""
    };
    database(
        name,
        &format!("CREATE SCHEMA crm; CREATE COLLATION crm.nocase {collation}; {SHOP}"),
    );
}

const SHOP: &str = r#"
CREATE EXTENSION pg_trgm SCHEMA crm;
CREATE DOMAIN crm.phone AS varchar(24) CHECK (VALUE ~ '^\+') NOT NULL;
CREATE DOMAIN crm.mobile AS crm.phone;
CREATE TYPE crm.address AS (street text, "Post Code" char(5));
CREATE TYPE crm.mood AS ENUM ('sad', 'ok');
CREATE TABLE crm."Odd Names" (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dropped text,
  "e ""mail" varchar(160) COLLATE crm.nocase NOT NULL,
  mobile crm.mobile,
  tags varchar(10)[],
  home crm.address,
  mood crm.mood DEFAULT 'ok',
  price numeric(7,2),
  twice numeric GENERATED ALWAYS AS (price * 2) STORED
);
ALTER TABLE crm."Odd Names" DROP COLUMN dropped;
CREATE INDEX by_mail ON crm."Odd Names" (lower("e ""mail"), id) INCLUDE (price) WHERE mobile <> '+1';
CREATE TABLE crm.log (id int, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE crm.log_now PARTITION OF crm.log FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE crm.bins (id int, at date) PARTITION BY RANGE (at, (id % 7));
CREATE VIEW crm.mails WITH (security_barrier) AS SELECT "e ""mail" AS mail FROM crm."Odd Names";
CREATE MATERIALIZED VIEW crm.counts AS SELECT count(*) AS n FROM crm.log;
ALTER TABLE crm.log ENABLE ROW LEVEL SECURITY;
CREATE TABLE crm.ruled (a int);
CREATE RULE quiet AS ON DELETE TO crm.ruled DO INSTEAD NOTHING;
CREATE FUNCTION crm.pair(n int, m int DEFAULT 1, OUT a text, OUT int) STABLE LANGUAGE sql
  AS 'SELECT n::text, m';
CREATE FUNCTION crm.many(VARIADIC text[]) RETURNS SETOF int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE crm.counter;
CREATE TABLE crm.bills (
  buyer bigint REFERENCES crm."Odd Names",
  amount int CHECK (amount > 0),
  EXCLUDE USING btree (buyer WITH =, amount WITH =)
);
CREATE FUNCTION crm.felt(int) RETURNS crm.mood IMMUTABLE LANGUAGE sql AS $$SELECT 'ok'::crm.mood$$;
CREATE CAST (int AS crm.mood) WITH FUNCTION crm.felt(int) AS ASSIGNMENT;
"#;

fn relation<'a>(catalog: &'a Catalog, name: &str) -> &'a Relation {
    catalog
        .relation(&Ident::exact("crm"), &Ident::exact(name))
        .unwrap()
}

fn column_names(relation: &Relation) -> Vec<&str> {
    relation.columns.iter().map(|c| c.name.as_str()).collect()
}
