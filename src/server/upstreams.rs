//! Connecting to PostgreSQL as the configuration says.

use std::fs;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::config::{Config, Login, Upstream, UpstreamTlsMode};
use super::hosts::Hosts;
use super::pool::{NoRoom, Pool, Room, Server, Start, Welcome};
use super::{Shared, StartError, binding};
use crate::catalog::Catalog;
use crate::session;
use crate::upstream::{
    ConnectError, Dial, ServerError, TlsMode, UpstreamConnection, UpstreamOptions, UpstreamTls,
};

/// The TLS settings of all upstream connections.
pub(super) fn tls(upstream: &Upstream) -> Result<UpstreamTls, StartError> {
    let mode = match upstream.tls {
        UpstreamTlsMode::Disable => TlsMode::Disable,
        UpstreamTlsMode::Prefer => TlsMode::Prefer,
        UpstreamTlsMode::Require => TlsMode::Require,
        UpstreamTlsMode::VerifyCa => TlsMode::VerifyCa,
        UpstreamTlsMode::VerifyFull => TlsMode::VerifyFull,
    };
    let ca = match &upstream.ca {
        Some(path) => Some(fs::read(path).map_err(|e| StartError::file(path, &e))?),
        None => None,
    };
    UpstreamTls::new(mode, ca.as_deref()).map_err(|e| StartError::Upstream(e.to_string()))
}

/// The login a role uses upstream: its own, or `*`.
pub(super) fn login<'a>(config: &'a Config, role: &str) -> Option<&'a Login> {
    let logins = &config.upstream.logins;
    logins.get(role).or_else(|| logins.get("*"))
}

/// The one login that every role has upstream, if there is one.
pub(super) fn only_user(config: &Config) -> Option<&str> {
    let logins = &config.upstream.logins;
    let every = logins.get("*").filter(|_| logins.len() == 1);
    every.map(|login| login.user.as_str())
}

/// Connects to an address that will do.
pub(super) async fn open(
    shared: &Shared,
    login: &Login,
    database: &str,
    params: Vec<(String, String)>,
    minor: u16,
) -> Result<UpstreamConnection, ConnectError> {
    let options = options(&shared.tls, login, database, params, minor);
    shared.hosts.reach(options).await
}

/// A connection of a pool that started so, made if there is none.
pub(super) async fn borrow(
    shared: &Shared,
    pool: &Arc<Pool>,
    login: &Login,
    database: &str,
    start: &Arc<Start>,
) -> Result<Result<Box<Server>, ConnectError>, NoRoom> {
    let connect = async |room| lent(shared, login, database, start, room).await;
    pool.borrow(start, connect).await
}

/// Connects for a pool, and notes what PostgreSQL tells whoever starts so.
async fn lent(
    shared: &Shared,
    login: &Login,
    database: &str,
    start: &Arc<Start>,
    room: Room,
) -> Result<Server, ConnectError> {
    let generation = shared.hosts.generation();
    let parameters = start.parameters.clone();
    let mut connection = open(shared, login, database, parameters, 0).await?;
    start.set_welcome(Welcome {
        reported: connection.parameters.clone(),
        notices: std::mem::take(&mut connection.notices).freeze(),
        search_path: match start.role {
            Some(_) => default_search_path(&mut connection).await?,
            None => String::new(),
        },
    });
    Ok(Server::new(connection, Arc::clone(start), generation, room))
}

/// Which address it is, is for [`Hosts`] to say.
fn options(
    tls: &UpstreamTls,
    login: &Login,
    database: &str,
    params: Vec<(String, String)>,
    minor: u16,
) -> UpstreamOptions {
    UpstreamOptions {
        host: String::new(),
        port: 0,
        tls: tls.clone(),
        user: login.user.clone(),
        password: login
            .password
            .as_ref()
            .map(|p| Zeroizing::new(p.expose().to_owned())),
        database: database.to_owned(),
        params,
        minor,
    }
}

/// A connection that reads the catalog: nothing a setting of its login could disturb.
pub(super) async fn catalog_connection(
    hosts: &Hosts,
    upstream: &Upstream,
    tls: &UpstreamTls,
    database: &str,
) -> Result<UpstreamConnection, ConnectError> {
    hosts.reach(catalog_options(upstream, tls, database)).await
}

/// What the catalog login connects with.
pub(super) fn catalog_options(
    upstream: &Upstream,
    tls: &UpstreamTls,
    database: &str,
) -> UpstreamOptions {
    let pins = [
        ("application_name", "pgveil catalog"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("search_path", ""),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "60s"),
        // Whoever reads a view's definition waits for who is changing the view, and holds the catalogs
        // meanwhile: a VACUUM FULL of one of them, and all who come after it, wait for both.
        ("lock_timeout", "5s"),
        ("quote_all_identifiers", "off"),
    ];
    let params = pins.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    options(tls, &upstream.catalog, database, params, 0)
}

/// Connects as the catalog login, reads the catalog of one database and disconnects: for commands
/// that judge a policy without serving it.
///
/// # Errors
/// Why there is no catalog, for the person at the terminal: what PostgreSQL said, or what failed.
pub async fn read_catalog(upstream: &Upstream, database: &str) -> Result<Catalog, String> {
    let mut connection = reach(upstream, |tls| catalog_options(upstream, tls, database)).await?;
    let read = binding::read(&mut connection).await;
    read.map(|read| read.catalog).map_err(|e| e.message)
}

/// Connects as the catalog login, for a command that works on a table itself. No setting of the login
/// or of the database disturbs it: names are taken from `pg_catalog` unless they are qualified, row
/// security is an error and not a filter, and no lock is waited for longer than `lock_timeout` says.
///
/// # Errors
/// Why there is no connection, for the person at the terminal.
pub async fn connect_to_work(
    upstream: &Upstream,
    database: &str,
    settings: &[(&str, &str)],
) -> Result<UpstreamConnection, String> {
    let pins = [
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("search_path", ""),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
        ("row_security", "off"),
        ("statement_timeout", "0"),
        ("quote_all_identifiers", "off"),
    ];
    let params = pins.iter().chain(settings);
    let params: Vec<_> = params
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    reach(upstream, |tls| {
        options(tls, &upstream.catalog, database, params, 0)
    })
    .await
}

/// One connection for a command; an error in PostgreSQL's words, if it had any.
async fn reach(
    upstream: &Upstream,
    options: impl FnOnce(&UpstreamTls) -> UpstreamOptions,
) -> Result<UpstreamConnection, String> {
    let tls = tls(upstream).map_err(|e| e.to_string())?;
    let dial = Dial {
        timeout: upstream.connect_timeout,
        ..Dial::default()
    };
    let hosts = Hosts::new(upstream, dial);
    let connected = hosts.reach(options(&tls)).await;
    connected.map_err(|e| {
        e.server()
            .map_or_else(|| e.to_string(), ServerError::message)
    })
}

/// The search path a session of this login would start with. The connection itself has it pinned, so
/// it is read from where ALTER ROLE and ALTER DATABASE keep it.
pub(super) async fn default_search_path(
    connection: &mut UpstreamConnection,
) -> Result<String, ConnectError> {
    const CONFIGURED: &str = "SELECT pg_catalog.substr(c.v, 13) \
        FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c(v) \
        WHERE c.v OPERATOR(pg_catalog.~~) 'search\\_path=%' \
        AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d \
            WHERE d.datname = pg_catalog.current_database())) \
        AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles r \
            WHERE r.rolname = session_user)) \
        ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1";
    let rows = connection.simple_query_text(CONFIGURED).await?;
    let configured = rows.into_iter().flatten().next().flatten();
    let text = configured.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.unwrap_or_else(|| session::USUAL_PATH.to_owned()))
}
