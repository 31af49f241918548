//! The printer against PostgreSQL: every form of the tree is accepted, means what the tree says, and
//! carries any name and any string unchanged.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "print/build.rs"]
mod build;
#[path = "print/exprs.rs"]
mod exprs;
#[path = "print/froms.rs"]
mod froms;
#[path = "print/queries.rs"]
mod queries;
#[path = "print/strings.rs"]
mod strings;
#[path = "print/types.rs"]
mod types;
#[path = "print/utility.rs"]
mod utility;
#[path = "print/writes.rs"]
mod writes;

use std::sync::OnceLock;

use build::*;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::sql::print::{
    DerivedColumn, DerivedRelation, InPlace, RelationForm, Rewrite, print, print_type,
};
use pgveil::sql::tree::{
    Assignment, AssignmentTarget, BoolTest, Call, CallArg, ColumnDef, ConflictAction,
    ConflictTarget, Copy, CopyDirection, CopySource, CreateTable, Delete, Distinct, Expr,
    FetchAmount, FrameBound, FrameExclusion, FrameUnits, GroupItem, IndexElement, Insert,
    InsertSource, IsolationLevel, JoinConstraint, JoinKind, Limit, Literal, LockStrength, LockWait,
    Locking, Name, NullsOrder, OrderItem, Overriding, Quantifier, Query, RelationId, RowsFromItem,
    SetExpr, SetOp, SortDirection, Statement, Step, Subscript, SystemValue, TableFunction,
    TableRef, TableSample, TempColumn, TempKey, Transaction, TransactionMode, TypeName, Update,
    Window, WindowFrame,
};
use pgveil::upstream::{TlsMode, UpstreamConnection, UpstreamOptions, UpstreamTls, connect};
use proptest::prelude::*;
use tokio::runtime::Runtime;

const SCHEMA: &str = "
CREATE SCHEMA s;
CREATE TABLE s.t (id int PRIMARY KEY, email text, city varchar(20), n int[], score numeric);
INSERT INTO s.t VALUES (1, 'ada@x.org', 'Paris', '{1,2,3}', 1.5), (2, 'bob@y.org', 'Rome', NULL, 2),
                       (3, NULL, 'Paris', '{}', NULL);
CREATE TYPE s.pair AS (a int, b text);
CREATE TABLE s.w (id int GENERATED ALWAYS AS IDENTITY, k text UNIQUE, v int DEFAULT 7, p s.pair,
                  a int[]);
CREATE INDEX ON s.w (lower(k));
";

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.run("template1", SCHEMA).unwrap();
        cluster
    })
}

/// A session on a database of its own, with the search path the proxy pins.
struct Session {
    runtime: Runtime,
    connection: UpstreamConnection,
}

impl Session {
    fn new(database: &str) -> Self {
        cluster()
            .run("postgres", &format!("CREATE DATABASE {database}"))
            .unwrap();
        let options = UpstreamOptions {
            host: cluster().address().ip().to_string(),
            port: cluster().address().port(),
            tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
            user: SUPERUSER.to_owned(),
            password: None,
            database: database.to_owned(),
            params: vec![
                ("search_path".to_owned(), "pg_catalog, pg_temp".to_owned()),
                ("client_encoding".to_owned(), "UTF8".to_owned()),
                ("standard_conforming_strings".to_owned(), "on".to_owned()),
            ],
            minor: 0,
        };
        let runtime = Runtime::new().unwrap();
        let connection = runtime.block_on(connect(&options)).unwrap();
        Self {
            runtime,
            connection,
        }
    }

    /// Rows as lines, columns separated by `|`, NULL as `~`.
    fn run(&mut self, sql: &str) -> Vec<String> {
        let rows = self
            .runtime
            .block_on(self.connection.simple_query_text(sql));
        let rows = rows.unwrap_or_else(|error| panic!("{}: {sql}", error.sqlstate()));
        let field =
            |f: Option<Vec<u8>>| f.map_or("~".to_owned(), |f| String::from_utf8(f).unwrap());
        rows.into_iter()
            .map(|row| row.into_iter().map(field).collect::<Vec<_>>().join("|"))
            .collect()
    }

    fn rewritten(&mut self, statement: &Statement, rewrite: &Rewrite) -> Vec<String> {
        let sql = print(statement, rewrite).unwrap();
        self.run(sql.as_str())
    }

    fn print(&mut self, statement: &Statement) -> Vec<String> {
        self.rewritten(statement, &Rewrite::default())
    }

    fn rows(&mut self, query: Query) -> Vec<String> {
        self.print(&statement(query))
    }

    /// One row of expressions, without FROM.
    fn values(&mut self, exprs: Vec<Expr>) -> String {
        self.rows(plain(exprs, Vec::new())).join("\n")
    }

    /// One row of expressions over the row of `s.t` with id 1, aliased `p`.
    fn over(&mut self, exprs: Vec<Expr>) -> String {
        let mut select = select(exprs, vec![from(relation("t", "p", 0))]);
        select.filter = Some(binary(column("p", "id"), "=", number("1")));
        self.rows(query(body(select))).join("\n")
    }
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn one() -> Query {
    plain(vec![number("1")], Vec::new())
}
