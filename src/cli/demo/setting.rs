//! The files a demo runs on, as a user would write them: configuration, policy, key ring.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;

use crate::cli::keys;
use crate::server::config::Config;

/// The policy of `policies/`, as it was when this binary was built.
const POLICIES: [(&str, &str); 7] = [
    (
        "classes.yaml",
        include_str!("../../../policies/classes.yaml"),
    ),
    (
        "columns-bank.yaml",
        include_str!("../../../policies/columns/bank.yaml"),
    ),
    ("masks.yaml", include_str!("../../../policies/masks.yaml")),
    ("policy.yaml", include_str!("../../../policies/policy.yaml")),
    ("roles.yaml", include_str!("../../../policies/roles.yaml")),
    ("treat.yaml", include_str!("../../../policies/treat.yaml")),
    ("write.yaml", include_str!("../../../policies/write.yaml")),
];

/// The keys it names.
const KEYS: [&str; 1] = ["person-2026"];

/// A temporary folder with everything the proxy reads.
pub(super) struct Setting {
    folder: TempDir,
}

impl Setting {
    /// Writes the files.
    pub(super) fn write(
        upstream: SocketAddr,
        listen: SocketAddr,
        password: &str,
        policies: Option<&Path>,
    ) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pgveil-demo-").tempdir()?;
        let built_in = folder.path().join("policies");
        fs::create_dir(&built_in)?;
        for (name, text) in POLICIES {
            fs::write(built_in.join(name), text)?;
        }
        let policies = policies.map_or(Ok(built_in), Path::canonicalize)?;
        let file = |name: &str| folder.path().join(name).display().to_string();
        fs::write(file("password"), password)?;
        fs::write(
            file("pgveil.yaml"),
            format!(
                "listen: {listen}
upstream:
  address: {upstream}
  tls: {{mode: disable}}
  logins: {{\"*\": {{user: pgveil, password: {{file: {secret}}}}}}}
  catalog: {{user: pgveil, password: {{file: {secret}}}}}
users:
  app: {{password: {{file: {secret}}}}}
  support: {{password: {{file: {secret}}}}}
  analyst: {{password: {{file: {secret}}}}}
pool: {{mode: session}}
policies: {policies}
keys: {{ring: {ring}, passphrase: {{file: {secret}}}}}
audit: {audit}
",
                secret = file("password"),
                policies = policies.display(),
                ring = file("keyring.json"),
                audit = file("audit.jsonl"),
            ),
        )?;
        for name in KEYS {
            // The date says when a key was made; these are gone in an hour.
            keys::new_key(
                Path::new(&file("keyring.json")),
                name,
                password.as_bytes(),
                "2026-01-01",
            )
            .map_err(io::Error::other)?;
        }
        Ok(Self { folder })
    }

    /// The configuration, read as `pgveil serve` reads it.
    pub(super) fn config(&self) -> io::Result<Config> {
        Config::load(&self.folder.path().join("pgveil.yaml"))
            .map_err(|errors| io::Error::other(format!("the demo's configuration: {errors}")))
    }
}

/// The address to listen on: the wanted port, or a free one when it is taken or 0.
pub(super) fn listen(port: u16) -> io::Result<SocketAddr> {
    let wanted = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    wanted
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?
        .local_addr()
}
