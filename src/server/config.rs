//! `pgveil.yaml` → `Config`: addresses, TLS, upstream logins, users, pool, paths.
//!
//! The same strictness and the same kind of errors as the policy language. Secrets come from the
//! environment, from files or from commands, never from the YAML itself.

mod bounds;
mod keys;
mod load;
mod outside;
mod secrets;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

pub(super) use self::keys::ask;
pub use self::keys::{PassphraseCommand, PassphraseSource};
pub use self::outside::{Outside, Process};
pub use crate::client::Tcp;

/// A password or passphrase. Cannot be printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `pgveil.yaml`, checked, with its secrets read.
#[derive(Clone, Debug)]
pub struct Config {
    /// `listen`
    pub listen: SocketAddr,
    /// `tls`: what the proxy shows to clients
    pub tls: Option<ClientTls>,
    /// `upstream`
    pub upstream: Upstream,
    /// `users`: login → how it authenticates
    pub users: BTreeMap<String, UserAuth>,
    /// `users: {query: …}`: SQL run on the catalog login, one parameter, two columns (name,
    /// verifier)
    pub users_query: Option<String>,
    /// `admin_users`: logins that may do everything in the console
    pub admin_users: Vec<String>,
    /// `stats_users`: logins that may look, in the console
    pub stats_users: Vec<String>,
    /// `max_connections`
    pub max_connections: MaxConnections,
    /// `pool`
    pub pool: Pool,
    /// `tcp`: of connections on both sides
    pub tcp: Tcp,
    /// `reuse_port`: listen with SO_REUSEPORT, so that a successor may listen on the same port
    pub reuse_port: bool,
    /// `policies`, relative paths taken from the configuration file's folder
    pub policies: PathBuf,
    /// `keys.ring`
    pub key_ring: Option<PathBuf>,
    /// `keys.passphrase`
    pub key_passphrase: Option<Arc<dyn PassphraseSource>>,
    /// `admin`
    pub admin: Option<SocketAddr>,
    /// `audit`: JSON lines go to this file, or to standard output when absent
    pub audit: Option<PathBuf>,
}

/// TLS towards clients.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// CA for client certificates, PEM.
    pub client_ca: Option<PathBuf>,
    /// Refuse clients that do not ask for TLS.
    pub required: bool,
}

/// The PostgreSQL behind.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `host:port`, tried in order: the first that is a reachable primary.
    pub addresses: Vec<String>,
    /// `target_session_attrs`: which of them will do.
    pub target: TargetSession,
    /// `connect_timeout`: how long one address may take, to its first ReadyForQuery.
    pub connect_timeout: Duration,
    /// `check_interval`: between two looks at the addresses, if there are several; and how long one
    /// that failed is tried last.
    pub check_interval: Duration,
    /// TLS mode.
    pub tls: UpstreamTlsMode,
    /// CA file for verify-ca and verify-full; the system's store when absent.
    pub ca: Option<PathBuf>,
    /// Role → login; `*` for the rest.
    pub logins: BTreeMap<String, Login>,
    /// The login that reads `pg_catalog`.
    pub catalog: Login,
}

impl Upstream {
    /// PgBouncer's `server_connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
    /// Long enough not to matter to a server, short enough for a person waiting for a failover.
    pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);
}

/// `upstream.target_session_attrs`, in libpq's words. Not written it is `primary` when there are
/// several addresses: a standby that answers first would refuse every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSession {
    /// Any server that lets us in.
    Any,
    /// A server that is not in recovery.
    Primary,
}

/// `upstream.tls.mode`, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamTlsMode {
    /// Plaintext.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS, unverified.
    Require,
    /// TLS, chain verified.
    VerifyCa,
    /// TLS, chain and host name verified.
    VerifyFull,
}

/// A login of the upstream.
#[derive(Clone, Debug)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password, if it has one.
    pub password: Option<Secret>,
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum UserAuth {
    /// A password known to the proxy; SCRAM-SHA-256 over the wire.
    Password(Secret),
    /// A SCRAM verifier, as in `pg_authid.rolpassword`.
    Scram(Arc<str>),
}

/// `pool`
#[derive(Clone, Debug)]
pub struct Pool {
    /// `mode`
    pub mode: PoolMode,
    /// Upstream connections per (database, login).
    pub size: u32,
    /// Clients that may wait for one of them, per (database, login); one more is told 53300 at once.
    pub queue: u32,
    /// How long a client waits for one before it is told 53300.
    pub queue_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// After this a connection is closed when it is next free: plans, caches and leaks of a backend
    /// grow with its age.
    pub server_lifetime: Duration,
}

impl Default for Pool {
    /// What holds when nothing is written; times that PgBouncer has too are PgBouncer's.
    fn default() -> Self {
        Self {
            mode: PoolMode::Session,
            size: 20,
            queue: 10_000,
            queue_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(600),
            server_lifetime: Duration::from_secs(3_600),
        }
    }
}

/// `max_connections`: sessions of clients at one time. `*` stands for each that is not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxConnections {
    /// Of all together.
    pub total: u32,
    /// Of one role.
    pub roles: BTreeMap<String, u32>,
    /// Of one login.
    pub logins: BTreeMap<String, u32>,
}

impl Default for MaxConnections {
    fn default() -> Self {
        Self {
            total: 100_000,
            roles: BTreeMap::new(),
            logins: BTreeMap::new(),
        }
    }
}

/// `pool.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// One upstream connection per client.
    Session,
    /// One upstream connection per transaction.
    Transaction,
}
