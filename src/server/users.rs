//! Who may log in: the configuration's users, then `users: {query: …}`.
//!
//! The query is asked anew at each login, so that a role made or a password changed a moment ago
//! counts; the connection it is asked on is kept. Deliberately absent: a cache of verifiers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::config::{Config, UserAuth};
use super::{Shared, StartError, upstreams};
use crate::client::{Credentials, Lookup, ScramVerifier, Unavailable};
use crate::limits;
use crate::pg::sqlstate;
use crate::upstream::{ConnectError, UpstreamConnection};

/// Where verifiers come from.
pub(super) struct Users {
    known: HashMap<String, ScramVerifier>,
    shared: OnceLock<Weak<Shared>>,
    /// The query is prepared here. Taken out while it is used: what is given up halfway is not used
    /// again.
    connection: Mutex<Option<UpstreamConnection>>,
}

impl Users {
    /// Checks and prepares the configured verifiers.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let mut known = HashMap::new();
        for (user, auth) in &config.users {
            let verifier = match auth {
                UserAuth::Password(secret) => ScramVerifier::from_password(secret.expose()),
                UserAuth::Scram(text) => ScramVerifier::parse(text),
            };
            let verifier = verifier.map_err(|_| StartError::Verifier(user.clone()))?;
            known.insert(user.clone(), verifier);
        }
        Ok(Self {
            known,
            shared: OnceLock::new(),
            connection: Mutex::new(None),
        })
    }

    /// Gives the configured query something to run on.
    pub(super) fn attach(&self, shared: &Arc<Shared>) {
        // Attached once, at start.
        drop(self.shared.set(Arc::downgrade(shared)));
    }

    /// Runs the configured query with the user's name as its parameter.
    async fn query(
        &self,
        shared: &Shared,
        query: &str,
        user: &str,
    ) -> Result<Option<ScramVerifier>, ConnectError> {
        let mut held = self.connection.lock().await;
        if let Some(mut connection) = held.take() {
            // One that fails may simply be old: the server was restarted, a firewall forgot it.
            if let Ok(found) = ask(&mut connection, user).await {
                *held = Some(connection);
                return Ok(found);
            }
        }
        let mut connection = open(shared, query).await?;
        let found = ask(&mut connection, user).await?;
        *held = Some(connection);
        Ok(found)
    }
}

impl Credentials for Users {
    fn lookup<'a>(&'a self, user: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            if let Some(verifier) = self.known.get(user) {
                return Ok(Some(verifier.clone()));
            }
            let shared = self.shared.get().and_then(Weak::upgrade);
            let shared = shared.ok_or(Unavailable::Starting)?;
            let Some(query) = shared.config.users_query.as_deref() else {
                return Ok(None);
            };
            let asked = timeout(limits::CONNECT_TIMEOUT, self.query(&shared, query, user));
            asked
                .await
                .unwrap_or(Err(ConnectError::Timeout))
                .map_err(|error| {
                    tracing::warn!(%error, "users query failed");
                    match error.sqlstate() {
                        sqlstate::CANNOT_CONNECT_NOW => Unavailable::Starting,
                        sqlstate::TOO_MANY_CONNECTIONS => Unavailable::Full,
                        _ => Unavailable::Unreachable,
                    }
                })
        })
    }
}

/// A connection with the query prepared.
async fn open(shared: &Shared, query: &str) -> Result<UpstreamConnection, ConnectError> {
    let pins = [
        ("application_name", "pgveil users"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
    ];
    let params = pins.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    let login = &shared.config.upstream.catalog;
    let database = shared.listed_database();
    let mut connection = upstreams::open(shared, login, &database, params, 0).await?;
    let query = query.trim().trim_end_matches(';');
    connection
        .simple_query_text(&format!("PREPARE pgveil_user(pg_catalog.text) AS {query}"))
        .await?;
    Ok(connection)
}

async fn ask(
    connection: &mut UpstreamConnection,
    user: &str,
) -> Result<Option<ScramVerifier>, ConnectError> {
    // The name becomes a literal of a string without backslash escapes: doubling quotes is enough.
    let literal = user.replace('\'', "''");
    let rows = connection
        .simple_query_text(&format!("EXECUTE pgveil_user('{literal}')"))
        .await?;
    // The name and the verifier, as PgBouncer's `auth_query` gives them, or the verifier alone.
    let row = rows.into_iter().next().unwrap_or_default();
    let verifier = row.into_iter().take(2).next_back().flatten();
    Ok(verifier
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| ScramVerifier::parse(&text).ok()))
}
