//! `pgveil.yaml` → `Config`: addresses, TLS, upstream logins, users, pool, paths.
//!
//! The same strictness and the same kind of errors as the policy language. Secrets come from the
//! environment or from files, never from the YAML itself.

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

pub use self::outside::{Outside, Process};

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
    /// `pool`
    pub pool: Pool,
    /// `policies`, relative paths taken from the configuration file's folder
    pub policies: PathBuf,
    /// `keys.ring`
    pub key_ring: Option<PathBuf>,
    /// `keys.passphrase`
    pub key_passphrase: Option<Secret>,
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
    /// TLS mode.
    pub tls: UpstreamTlsMode,
    /// CA file for verify-ca and verify-full; the system's store when absent.
    pub ca: Option<PathBuf>,
    /// Role → login; `*` for the rest.
    pub logins: BTreeMap<String, Login>,
    /// The login that reads `pg_catalog`.
    pub catalog: Login,
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
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

/// `pool.mode`. `transaction` is accepted and runs as `session` until it is built; `serve` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// One upstream connection per client.
    Session,
    /// One upstream connection per transaction.
    Transaction,
}
