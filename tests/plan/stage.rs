//! The planner's stage: a throwaway PostgreSQL with the clinic and the ward, read once; no proxy.
//!
//! Deliberately absent: expectations. They are in `tests/corpus`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use pgveil::catalog::SearchPath;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::ident::Ident;
use pgveil::mask::Transform;
use pgveil::mask::token::{KeyRing, KeyRingFile, NewKey};
use pgveil::plan::Plan;
use pgveil::policy::{Date, Policy, SourceFile, bind};
use pgveil::snapshot::Snapshot;
use pgveil::upstream::introspect::introspect;
use pgveil::upstream::{TlsMode, UpstreamOptions, UpstreamTls, connect};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use zeroize::Zeroizing;

/// Rows in text form.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// PostgreSQL with the clinic and the ward, and what was read from it.
pub(crate) struct Stage {
    pub(crate) snapshot: Snapshot,
    pub(crate) runtime: Runtime,
    cluster: Cluster,
}

impl Stage {
    pub(crate) fn build() -> Self {
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster
            .run(
                "postgres",
                "CREATE ROLE clinic_proxy LOGIN; CREATE DATABASE clinic",
            )
            .unwrap();
        cluster
            .run("clinic", &file("corpus/clinic/clinic.sql"))
            .unwrap();
        cluster.run("clinic", &file("plan/ward.sql")).unwrap();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let catalog = runtime.block_on(async {
            let mut connection = connect(&upstream(&cluster)).await.unwrap();
            introspect(&mut connection).await.unwrap().catalog
        });
        let policy = bind(&policy(), &catalog, &keys(), Date::from_unix(0))
            .map_err(|e| e.to_string())
            .unwrap()
            .policy;
        let snapshot = Snapshot {
            catalog: Arc::new(catalog),
            policy: Arc::new(policy),
            epoch: 1,
        };
        Self {
            snapshot,
            runtime,
            cluster,
        }
    }

    /// The masked copy of role support, written by hand: `clinic_support`.
    pub(crate) fn masked_copy(&self) -> Connection<'_> {
        self.cluster
            .run("postgres", "CREATE DATABASE clinic_support TEMPLATE clinic")
            .unwrap();
        self.cluster
            .run("clinic_support", &file("corpus/clinic/support.sql"))
            .unwrap();
        self.cluster
            .run("clinic_support", &file("plan/support.sql"))
            .unwrap();
        self.connect("clinic_support")
    }

    /// The clinic with more rows, for who looks at PostgreSQL's plans.
    pub(crate) fn crowd(&self, sql: &str) -> Connection<'_> {
        self.cluster
            .run("postgres", "CREATE DATABASE crowd TEMPLATE clinic")
            .unwrap();
        let crowd = self.connect("crowd");
        crowd.run(sql).unwrap();
        let pins = "SET search_path = pg_catalog, pg_temp; SET enable_mergejoin = off";
        crowd.run(pins).unwrap();
        crowd
    }

    /// How to reach a database, for `--dsn`.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgresql://{SUPERUSER}@{}/{database}?sslmode=disable",
            self.cluster.address()
        )
    }

    /// A connection as superuser, with the upstream's pins.
    pub(crate) fn connect(&self, database: &str) -> Connection<'_> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.cluster.address().port());
        config.user(SUPERUSER).dbname(database);
        // The pads of irreversible tokens, as the proxy gives them to its upstream sessions.
        let mut options = String::new();
        for grants in self.snapshot.policy.roles.values() {
            for (name, value) in grants.session_settings() {
                write!(options, " -c {name}={}", value.as_str()).unwrap();
            }
        }
        config.options(options.trim());
        let client = self.runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Connection {
            runtime: &self.runtime,
            client,
        }
    }
}

/// A connection straight to PostgreSQL.
pub(crate) struct Connection<'s> {
    pub(crate) runtime: &'s Runtime,
    pub(crate) client: Client,
}

impl Connection<'_> {
    /// Runs a text by the simple protocol: the rows of its last statement.
    pub(crate) fn run(&self, sql: &str) -> Result<Rows, String> {
        let messages = self
            .runtime
            .block_on(self.client.simple_query(sql))
            .map_err(words)?;
        let mut rows = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push(
                    (0..row.len())
                        .map(|n| row.get(n).map(str::to_owned))
                        .collect(),
                );
            }
        }
        Ok(rows)
    }

    /// Where PostgreSQL says that a statement's columns come from: relation and attribute number.
    pub(crate) fn origins(&self, sql: &str) -> Result<Vec<Option<(u32, i16)>>, String> {
        let prepared = self
            .runtime
            .block_on(self.client.prepare(sql))
            .map_err(words)?;
        let columns = prepared.columns().iter();
        Ok(columns.map(|c| c.table_oid().zip(c.column_id())).collect())
    }

    /// The names and types of a statement's columns.
    pub(crate) fn shape(&self, sql: &str) -> Result<Vec<(String, String)>, String> {
        let prepared = self
            .runtime
            .block_on(self.client.prepare(sql))
            .map_err(words)?;
        let columns = prepared.columns().iter();
        Ok(columns
            .map(|c| (c.name().to_owned(), c.type_().name().to_owned()))
            .collect())
    }
}

/// What the proxy does with rows on their way to the client.
pub(crate) fn mask_rows(plan: &Plan, rows: &mut Rows) {
    for (position, rule) in plan.outputs().unwrap().iter().enumerate() {
        let Transform::Mask(mask) = &rule.transform else {
            continue;
        };
        for value in rows.iter_mut().filter_map(|row| row[position].as_mut()) {
            let mut masked = Vec::new();
            mask.apply(value.as_bytes(), &mut masked);
            *value = String::from_utf8(masked).unwrap();
        }
    }
}

/// PostgreSQL's own words.
pub(crate) fn words(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |e| format!("{} {}", e.code().code(), e.message()),
    )
}

/// The client's search path: what PostgreSQL starts with.
pub(crate) fn public_path() -> SearchPath {
    SearchPath::new(&[Ident::exact("public")])
}

fn file(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(name),
    )
    .unwrap()
}

fn policy() -> Policy {
    let source = |name: &str, path: &str| SourceFile::new(name, file(path).as_bytes());
    let sources = [
        source("clinic.yaml", "corpus/clinic/policies/clinic.yaml").unwrap(),
        source("ward.yaml", "plan/ward.yaml").unwrap(),
    ];
    Policy::parse(&sources).map_err(|e| e.to_string()).unwrap()
}

fn upstream(cluster: &Cluster) -> UpstreamOptions {
    UpstreamOptions {
        host: cluster.address().ip().to_string(),
        port: cluster.address().port(),
        tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
        user: SUPERUSER.to_owned(),
        password: None,
        database: "clinic".to_owned(),
        params: vec![("search_path".to_owned(), "pg_catalog, pg_temp".to_owned())],
        minor: 0,
    }
}

fn keys() -> KeyRing {
    let mut file = KeyRingFile::empty([1; 16]);
    let key = NewKey {
        bytes: Zeroizing::new([7; 64]),
        id: [3; 16],
        nonce: [5; 24],
        created: "2026-11-21".to_owned(),
    };
    file.add(b"test", "person-1", key).unwrap();
    file.open(b"test").unwrap()
}
