//! Catalog, keys and policy, brought together: reading the first two, binding the third to them.

use std::fs;

use super::Rules;
use super::config::{Config, ask};
use super::database::Failure;
use crate::catalog::Catalog;
use crate::mask::token::{KeyRing, KeyRingFile};
use crate::pg::sqlstate;
use crate::policy::{BoundPolicy, Date, Errors, PolicyError};
use crate::upstream::introspect::{
    IntrospectError, Introspected, introspect, probe as change_probe,
};
use crate::upstream::{ConnectError, UpstreamConnection};
use crate::wire::field;

/// A cheap fingerprint of the catalog: an equal text means that nothing changed.
pub(super) async fn probe(connection: &mut UpstreamConnection) -> Result<String, Failure> {
    change_probe(connection).await.map_err(|e| unread(&e))
}

/// Reads the whole catalog.
pub(super) async fn read(connection: &mut UpstreamConnection) -> Result<Introspected, Failure> {
    introspect(connection).await.map_err(|e| unread(&e))
}

/// Binds the policy to a catalog.
pub(super) fn bind(rules: &Rules, catalog: &Catalog, today: Date) -> Result<BoundPolicy, Failure> {
    match crate::policy::bind(&rules.policy, catalog, &rules.keys, today) {
        Ok(binding) => {
            for warning in &binding.warnings {
                tracing::warn!("{warning}");
            }
            Ok(binding.policy)
        }
        Err(errors) => {
            tracing::error!("the policy does not fit the database: {errors}");
            Err(Failure {
                sqlstate: sqlstate::CANNOT_CONNECT_NOW.to_owned(),
                message: "the policy does not fit this database".to_owned(),
            })
        }
    }
}

/// Opens the key ring; without one, a ring without keys. Takes as long as its passphrase takes to come.
///
/// # Errors
/// The file cannot be read, the passphrase does not come or does not open it.
pub fn keys(config: &Config) -> Result<KeyRing, Errors> {
    let Some(path) = &config.key_ring else {
        return Ok(KeyRing::default());
    };
    let fault = |what: String| PolicyError::error(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
    let file = KeyRingFile::parse(&text).map_err(|e| fault(e.to_string()))?;
    let passphrase = ask(config.key_passphrase.as_ref()).map_err(PolicyError::error)?;
    let ring = file.open(passphrase.expose().as_bytes());
    Ok(ring.map_err(|e| fault(e.to_string()))?)
}

/// What a client may be told of a failed connection: during a startup the server's words hold names,
/// never values, unless a trigger on logins runs, which a context tells.
pub(super) fn failure(error: &ConnectError) -> Failure {
    Failure {
        sqlstate: error.sqlstate().to_owned(),
        message: match error.server() {
            Some(server) if server.get(field::WHERE).is_some() => {
                "a trigger of the database failed while the session began".to_owned()
            }
            Some(server) => server.message(),
            None => "cannot connect to the database server".to_owned(),
        },
    }
}

fn unread(error: &IntrospectError<ConnectError>) -> Failure {
    match error {
        IntrospectError::Query(error) => failure(error),
        other => Failure {
            sqlstate: sqlstate::CANNOT_CONNECT_NOW.to_owned(),
            message: other.to_string(),
        },
    }
}
