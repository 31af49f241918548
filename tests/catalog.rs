//! The catalog against a live server: that it is read as it is, that a change is noticed, and that
//! nobody has forgotten to consider a function or a column of the server.
//!
//! Runs on whatever PostgreSQL it finds (`PGVEIL_PGBIN` chooses); the lists cover 15 to 18.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

use std::sync::OnceLock;

use pgveil::catalog::allow::{
    self, CatalogColumn, FunctionUse, builtin_function, considered_column, considered_function,
    considered_relation,
};
use pgveil::catalog::{Catalog, FunctionKind, Relation, RelationKind, TypeKind, Volatility};
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::ident::Ident;
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

#[test]
fn every_function_of_the_server_has_been_considered() {
    let unknown: Vec<String> = lines(
        "SELECT DISTINCT pronamespace::regnamespace || ' ' || proname FROM pg_proc
         WHERE pronamespace::regnamespace::text IN ('pg_catalog', 'information_schema')",
    )
    .into_iter()
    .filter(|line| {
        let (schema, name) = line.split_once(' ').unwrap();
        !considered_function(schema, name)
    })
    .collect();
    assert!(
        unknown.is_empty(),
        "in no list of functions.txt: {unknown:?}"
    );
}

/// Operators are not listed: what they do is what their functions do, and those are.
#[test]
fn every_operator_of_the_server_is_an_allowed_function() {
    let refused: Vec<String> = lines(
        "SELECT DISTINCT p.proname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
         WHERE o.oprnamespace = 'pg_catalog'::regnamespace",
    )
    .into_iter()
    .filter(|name| builtin_function(name) != FunctionUse::Allow)
    .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// What takes or returns `internal` or `cstring` is PostgreSQL's own business, and nothing that can
/// read or write beyond its arguments is allowed by being volatile and overlooked.
#[test]
fn internal_functions_are_refused() {
    let allowed: Vec<String> = lines(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
         AND ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes)
              OR prorettype IN ('internal'::regtype, 'cstring'::regtype, 'trigger'::regtype))",
    )
    .into_iter()
    .filter(|name| builtin_function(name) != FunctionUse::Refuse)
    .collect();
    assert!(allowed.is_empty(), "{allowed:?}");
}

#[test]
fn every_catalog_column_of_the_server_has_been_considered() {
    let unknown: Vec<String> = lines(
        "SELECT n.nspname || ' ' || c.relname || ' ' || a.attname
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')",
    )
    .into_iter()
    .filter(|line| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let (schema, relation, column) = (next(), next(), next());
        !considered_relation(schema, relation) || !considered_column(schema, relation, column)
    })
    .collect();
    assert!(unknown.is_empty(), "not in columns.txt: {unknown:?}");
}

/// Types that hold trees or samples of data are never clear, whatever the column is called.
#[test]
fn trees_and_samples_are_never_clear() {
    let mut seen = 0;
    for line in lines(
        "SELECT c.relname || ' ' || a.attname || ' ' || a.atttypid::regtype
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
           AND a.atttypid IN ('pg_node_tree'::regtype, 'anyarray'::regtype,
                              'pg_mcv_list'::regtype)",
    ) {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let (relation, column, ty) = (next(), next(), next());
        let found = allow::catalog_column("pg_catalog", relation, column);
        let expected = if ty == "pg_node_tree" && allow::catalog_relation("pg_catalog", relation) {
            CatalogColumn::NodeTree
        } else {
            CatalogColumn::Null
        };
        assert_eq!(found, expected, "{line}");
        seen += 1;
    }
    assert!(seen > 20);
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
"#;

fn relation<'a>(catalog: &'a Catalog, name: &str) -> &'a Relation {
    catalog
        .relation(&Ident::exact("crm"), &Ident::exact(name))
        .unwrap()
}

fn column_names(relation: &Relation) -> Vec<&str> {
    relation.columns.iter().map(|c| c.name.as_str()).collect()
}

#[test]
fn a_database_is_read_as_it_is() {
    shop("shop");
    let catalog = read("shop").catalog;
    assert_eq!(catalog.database, "shop");
    assert!(catalog.version >= 150_000, "{}", catalog.version);

    let odd = relation(&catalog, "Odd Names");
    assert_eq!(odd.kind, RelationKind::Table);
    assert_eq!(
        column_names(odd),
        [
            "id", "e \"mail", "mobile", "tags", "home", "mood", "price", "twice"
        ]
    );
    assert_eq!(
        odd.columns.iter().map(|c| c.attnum).collect::<Vec<_>>(),
        [1, 3, 4, 5, 6, 7, 8, 9]
    );
    assert_eq!(odd.primary_key, [1]);
    let column = |name| odd.column(&Ident::exact(name)).unwrap();
    let mail = column("e \"mail");
    let nocase = (Ident::exact("crm"), Ident::exact("nocase"));
    assert!(mail.collation == Some(nocase) && mail.not_null);
    assert_ne!(mail.deterministic, icu());
    assert_eq!(&*mail.type_sql, "character varying(160)");
    assert!(column("tags").collation.is_none() && column("tags").deterministic);
    assert_eq!(&*column("mobile").type_sql, "crm.mobile");
    assert!(column("id").has_default && column("mood").has_default);
    assert!(!column("price").has_default && column("price").generated.is_none());
    assert!(
        column("twice")
            .generated
            .as_deref()
            .unwrap()
            .contains("price")
    );

    let by_mail = odd.indexes.iter().find(|i| i.name == "by_mail").unwrap();
    assert_eq!(by_mail.columns, [0, 1, 8]);
    let mut named = by_mail.expression_columns.clone();
    named.sort_unstable();
    assert_eq!(
        named,
        [1, 3, 4, 8],
        "of the expression, the predicate, and the plain ones"
    );
    assert!(!by_mail.unique);

    let log = relation(&catalog, "log");
    let now = relation(&catalog, "log_now");
    assert_eq!(log.kind, RelationKind::PartitionedTable);
    assert_eq!(
        (&*log.partition_key, &*log.primary_key),
        (&[2][..], &[2, 1][..])
    );
    assert_eq!(relation(&catalog, "bins").partition_key, [2, 0]);
    assert_eq!(
        (log.children.as_slice(), now.parents.as_slice()),
        (&[now.oid][..], &[log.oid][..])
    );
    assert!(log.row_security && !now.row_security);

    let mails = relation(&catalog, "mails");
    assert!(mails.security_barrier && mails.kind == RelationKind::View && !mails.rules);
    assert!(
        mails
            .definition
            .as_deref()
            .unwrap()
            .contains("FROM crm.\"Odd Names\"")
    );
    assert!(relation(&catalog, "counts").definition.is_some());
    assert!(relation(&catalog, "ruled").rules && !log.rules);
    assert_eq!(relation(&catalog, "counter").kind, RelationKind::Sequence);
    assert_eq!(
        column_names(relation(&catalog, "address")),
        ["street", "Post Code"]
    );

    let class = catalog
        .relation(&Ident::exact("pg_catalog"), &Ident::exact("pg_class"))
        .unwrap();
    assert_eq!(
        (class.oid, class.columns[1].name.as_str()),
        (1259, "relname")
    );
    assert!(
        catalog
            .schemas
            .values()
            .all(|s| !s.as_str().starts_with("pg_toast"))
    );
}

#[test]
fn types_functions_and_operators_are_read_as_they_are() {
    shop("shop2");
    let catalog = read("shop2").catalog;
    let crm = Ident::exact("crm");
    let ty = |name| catalog.type_by_name(&crm, &Ident::exact(name)).unwrap();
    // The domain on top has no check of its own.
    let TypeKind::Domain {
        base,
        has_check,
        not_null,
        ..
    } = ty("mobile").kind
    else {
        panic!()
    };
    assert!(base == ty("phone").oid && has_check && not_null);
    assert_eq!(catalog.base_type(ty("mobile").oid), 1043);
    assert!(ty("mood").kind == TypeKind::Enum);
    assert_eq!(ty("_mood").array_element, Some(ty("mood").oid));
    let row = relation(&catalog, "address").oid;
    assert!(ty("address").kind == TypeKind::Composite { relation: row });

    let pair = &catalog.functions["pair"][0];
    assert!(pair.schema == crm && pair.kind == FunctionKind::Function && !pair.returns_set);
    assert!(pair.volatility == Volatility::Stable && pair.defaults == 1 && pair.args == [23, 23]);
    let out: Vec<_> = pair
        .out_columns
        .iter()
        .map(|(n, t)| (n.as_str(), *t))
        .collect();
    assert_eq!(out, [("a", 25), ("column2", 23)]);
    let many = &catalog.functions["many"][0];
    assert!(
        many.variadic && many.returns_set && many.args == [1009] && many.out_columns.is_empty()
    );
    let extension = catalog.functions["similarity"][0].extension.as_deref();
    assert_eq!(extension, Some("pg_trgm"));
    let count = catalog.functions["count"]
        .iter()
        .find(|f| f.args.is_empty())
        .unwrap();
    assert!(count.kind == FunctionKind::Aggregate && count.extension.is_none());
    let plus = catalog.operators["+"]
        .iter()
        .find(|o| (o.left, o.right) == (23, 23))
        .unwrap();
    assert!(plus.schema == "pg_catalog" && plus.result == 23 && plus.extension.is_none());
    let similar = &catalog.operators["%"]
        .iter()
        .find(|o| o.schema == crm)
        .unwrap();
    assert_eq!(similar.extension.as_deref(), Some("pg_trgm"));
    assert_eq!(
        catalog.collations.get(&(crm, Ident::exact("nocase"))),
        Some(&!icu())
    );
}

/// Each spelling as the column's type, and what the catalog says of it, cast to and measured again.
#[test]
fn a_type_means_the_same_to_postgresql() {
    let spellings = [
        "varchar",
        "varchar(160)",
        "char",
        "char(7)",
        "bpchar",
        "\"char\"",
        "text",
        "name",
        "bit",
        "bit(3)",
        "varbit(9)",
        "numeric",
        "numeric(5,2)",
        "numeric(3,-2)",
        "numeric(2,5)",
        "time(3)",
        "timetz(2)",
        "timestamp",
        "timestamp(0)",
        "timestamptz(3)",
        "interval",
        "interval(2)",
        "interval year",
        "interval year to month",
        "interval day to second(3)",
        "interval second(1)",
        "interval hour to minute",
        "int2vector",
        "oidvector",
        "int4[]",
        "varchar(3)[]",
        "numeric(4,1)[][]",
        "crm.mobile",
        "crm.mobile[]",
        "crm.address",
        "crm.address[]",
        "crm.mood",
        "crm.\"T y\"\"pe\"",
        "crm.two",
        "int4range",
        "jsonb",
        "uuid",
        "bytea",
        "crm.gtrgm",
    ];
    let columns: Vec<String> = spellings
        .iter()
        .enumerate()
        .map(|(i, s)| format!("c{i} {s}"))
        .collect();
    let schema = format!(
        "CREATE TYPE crm.\"T y\"\"pe\" AS (a int); CREATE DOMAIN crm.two AS numeric(6,3)[];
         CREATE TABLE crm.types ({});",
        columns.join(", ")
    );
    shop("types");
    cluster().run("types", &schema).unwrap();
    let catalog = read("types").catalog;
    let types = relation(&catalog, "types");
    assert_eq!(types.columns.len(), spellings.len());
    let casts: Vec<String> = types
        .columns
        .iter()
        .map(|c| {
            format!(
                "CAST(NULL AS {}) AS {}",
                catalog.column_type(c).unwrap().sql,
                c.name
            )
        })
        .collect();
    cluster()
        .run(
            "types",
            &format!(
                "SET search_path = ''; CREATE TABLE crm.again AS SELECT {}",
                casts.join(", ")
            ),
        )
        .unwrap();
    let measure = |table: &str| {
        // The base type and modifier that RowDescription would show.
        let sql = format!(
            "WITH RECURSIVE r AS (
               SELECT attnum, atttypid AS ty, atttypmod AS typmod FROM pg_attribute
               WHERE attrelid = 'crm.{table}'::regclass AND attnum > 0
               UNION ALL SELECT attnum, typbasetype, typtypmod FROM r JOIN pg_type t ON t.oid = ty
               WHERE typtype = 'd')
             SELECT attnum, ty, typmod FROM r JOIN pg_type t ON t.oid = ty
             WHERE typtype <> 'd' ORDER BY attnum"
        );
        cluster().run("types", &sql).unwrap()
    };
    let (given, again) = (measure("types"), measure("again"));
    for ((given, again), spelling) in given.lines().zip(again.lines()).zip(spellings) {
        assert_eq!(given, again, "{spelling}");
    }
    let of = |i: usize| catalog.column_type(&types.columns[i]).unwrap();
    assert_eq!(&*of(1).sql, "\"pg_catalog\".\"varchar\"(160)");
    let phones = spellings.iter().position(|s| *s == "crm.mobile").unwrap();
    assert_eq!(
        (of(phones).oid, &*of(phones).sql),
        (1043, "\"pg_catalog\".\"varchar\"(24)")
    );
    let array = spellings.iter().position(|s| *s == "varchar(3)[]").unwrap();
    assert_eq!(
        &*of(array).element.unwrap().sql,
        "\"pg_catalog\".\"varchar\"(3)"
    );
}

#[test]
fn every_change_is_noticed_and_nothing_else() {
    shop("probed");
    let noticed = [
        "ALTER TABLE crm.ruled ADD b text",
        "ALTER TABLE crm.ruled RENAME b TO c",
        "ALTER TABLE crm.ruled ALTER c TYPE varchar(3)",
        "ALTER TABLE crm.ruled ALTER c SET NOT NULL",
        "ALTER TABLE crm.ruled ALTER c SET DEFAULT 'x'",
        "ALTER TABLE crm.ruled DROP c",
        "ALTER TABLE crm.ruled RENAME TO unruly",
        "ALTER TABLE crm.unruly SET SCHEMA public",
        "ALTER TABLE public.unruly ENABLE ROW LEVEL SECURITY",
        "DROP RULE quiet ON public.unruly",
        "BEGIN; ALTER TABLE crm.log RENAME TO x; ALTER TABLE crm.counts RENAME TO log;
         ALTER TABLE crm.x RENAME TO counts; COMMIT",
        "CREATE OR REPLACE VIEW crm.mails WITH (security_barrier = off)
           AS SELECT \"e \"\"mail\" AS mail FROM crm.\"Odd Names\"",
        "ALTER VIEW crm.mails SET (security_barrier)",
        "CREATE INDEX by_price ON crm.\"Odd Names\" (price)",
        "DROP INDEX crm.by_price",
        "ALTER DOMAIN crm.phone ADD CHECK (VALUE <> '+2')",
        "ALTER DOMAIN crm.phone DROP NOT NULL",
        "ALTER TYPE crm.address ADD ATTRIBUTE city text",
        "ALTER SCHEMA crm RENAME TO shop",
        "CREATE OR REPLACE FUNCTION shop.many(VARIADIC text[]) RETURNS SETOF int VOLATILE
           LANGUAGE sql AS 'SELECT 2'",
        "ALTER TABLE shop.counts DETACH PARTITION shop.log_now",
        "ALTER TABLE shop.counts ATTACH PARTITION shop.log_now FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)",
        "CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "ALTER EXTENSION pg_trgm DROP FUNCTION shop.show_trgm(text)",
        "CREATE COLLATION shop.c FROM \"C\"",
        "DROP COLLATION shop.c",
        "DROP TABLE public.unruly",
    ];
    let silent = [
        "INSERT INTO shop.\"Odd Names\" (\"e \"\"mail\", price) VALUES ('a', 1), ('b', 2)",
        "ANALYZE",
        "VACUUM",
        "CREATE TEMP TABLE passing (a int PRIMARY KEY, b text DEFAULT 'x')",
        "TRUNCATE shop.\"Odd Names\"",
        "REFRESH MATERIALIZED VIEW shop.log",
        "REINDEX TABLE shop.\"Odd Names\"",
        "SELECT nextval('shop.counter')",
        "CREATE ROLE passing_by",
    ];
    Runtime::new().unwrap().block_on(async {
        let mut observer = connection("probed").await;
        let mut actor = connection("probed").await;
        let first = introspect(&mut observer).await.unwrap();
        let mut last = probe(&mut observer).await.unwrap();
        assert_eq!(first.probe, last);
        for sql in noticed {
            assert!(actor.simple_query_text(sql).await.is_ok(), "{sql}");
            let now = probe(&mut observer).await.unwrap();
            assert_ne!(last, now, "not noticed: {sql}");
            last = now;
        }
        for sql in silent {
            assert!(actor.simple_query_text(sql).await.is_ok(), "{sql}");
            assert_eq!(
                last,
                probe(&mut observer).await.unwrap(),
                "noticed for nothing: {sql}"
            );
        }
        let second = introspect(&mut observer).await.unwrap();
        let third = introspect(&mut observer).await.unwrap();
        assert_ne!(first.catalog.fingerprint, second.catalog.fingerprint);
        assert_eq!(second.catalog.fingerprint, third.catalog.fingerprint);
    });
}
