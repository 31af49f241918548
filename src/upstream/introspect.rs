//! `pg_catalog` → [`Catalog`]: runs the fixed queries of [`crate::catalog::queries`] over anything
//! that can run a fixed query.
//!
//! Deliberately absent: the reading of rows (see [`crate::catalog::build`]) and when to read again
//! (the server asks [`probe`] and decides).

use std::collections::HashMap;
use std::future::Future;

use crate::catalog::Catalog;
use crate::catalog::build::{self, BuildError};
use crate::catalog::queries::{BEGIN, CHANGE_PROBE, END, QUERIES};

use super::connection::{Rows, UpstreamConnection};
use super::error::ConnectError;

/// A connection that can run a fixed text. It takes `&'static str` so that no text of a client can
/// come this way.
pub trait QueryText {
    /// What can go wrong.
    type Error;

    /// Runs one statement and returns its rows; none for a statement without rows.
    fn query_text(
        &mut self,
        sql: &'static str,
    ) -> impl Future<Output = Result<Rows, Self::Error>> + Send;
}

impl QueryText for UpstreamConnection {
    type Error = ConnectError;

    async fn query_text(&mut self, sql: &'static str) -> Result<Rows, ConnectError> {
        self.simple_query_text(sql).await
    }
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError<E> {
    /// The connection failed, or PostgreSQL refused a query.
    #[error("reading the catalog failed")]
    Query(#[source] E),
    /// An answer is not UTF-8 although `client_encoding` is pinned to it.
    #[error("the catalog holds text that is not UTF-8")]
    Encoding,
    /// An answer has another shape than the query asked for.
    #[error("the catalog query {:?} {}", .0.part, .0.what)]
    Build(BuildError),
    /// DDL ran while the catalog was read, every time.
    #[error("the database kept changing while its catalog was read")]
    Unstable,
}

/// A catalog, and the probe's answer it belongs to: while [`probe`] still returns it, the catalog is
/// current.
pub struct Introspected {
    /// The catalog.
    pub catalog: Catalog,
    /// The probe's answer.
    pub probe: String,
}

/// How often to read again when DDL ran in between.
const ATTEMPTS: usize = 5;

/// Reads the whole catalog. The connection must be idle, outside a transaction.
pub async fn introspect<Q: QueryText>(
    connection: &mut Q,
) -> Result<Introspected, IntrospectError<Q::Error>> {
    let mut before = probe(connection).await?;
    for _ in 0..ATTEMPTS {
        let rows = read(connection).await?;
        let after = probe(connection).await?;
        if before == after {
            let catalog = build::build(&rows).map_err(IntrospectError::Build)?;
            return Ok(Introspected {
                catalog,
                probe: after,
            });
        }
        before = after;
    }
    Err(IntrospectError::Unstable)
}

/// The text that changes whenever something a catalog is built from does.
pub async fn probe<Q: QueryText>(connection: &mut Q) -> Result<String, IntrospectError<Q::Error>> {
    let rows = run(connection, CHANGE_PROBE).await?;
    let text = rows.into_iter().flatten().flatten().next();
    text.ok_or(IntrospectError::Encoding)
}

async fn read<Q: QueryText>(
    connection: &mut Q,
) -> Result<build::CatalogRows, IntrospectError<Q::Error>> {
    for statement in BEGIN {
        run(connection, statement).await?;
    }
    let mut all = HashMap::with_capacity(QUERIES.len());
    for (part, sql) in QUERIES {
        all.insert(part, run(connection, sql).await?);
    }
    run(connection, END).await?;
    Ok(all)
}

async fn run<Q: QueryText>(
    connection: &mut Q,
    sql: &'static str,
) -> Result<build::Rows, IntrospectError<Q::Error>> {
    let rows = connection
        .query_text(sql)
        .await
        .map_err(IntrospectError::Query)?;
    let text = |field: Option<Vec<u8>>| field.map(String::from_utf8).transpose();
    rows.into_iter()
        .map(|row| row.into_iter().map(text).collect())
        .collect::<Result<build::Rows, _>>()
        .map_err(|_| IntrospectError::Encoding)
}
