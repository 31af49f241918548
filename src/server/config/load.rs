//! `pgveil.yaml` → [`Config`].
//!
//! The YAML reader and the messages are the policy language's. Environment and files come in
//! through [`Outside`], so that tests need neither.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::outside::{Outside, Process};
use super::secrets;
use super::{ClientTls, Config, Login, Secret, TargetSession, Upstream, UpstreamTlsMode, UserAuth};
use crate::policy::read::{Fields, boolean, entries, one_or_list, text, texts, word};
use crate::policy::yaml::{self, Node, Value};
use crate::policy::{Errors, Faults, PolicyError, SourceFile, Span, shown};

impl Config {
    /// Reads a configuration file and the secrets it names. Relative paths in it are taken from its
    /// own folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, unset environment variables included.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let bytes =
            fs::read(path).map_err(|e| PolicyError::error(format!("{}: {e}", path.display())))?;
        let file = SourceFile::new(&path.display().to_string(), &bytes)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&file, folder, &Process)
    }

    /// Reads a configuration that is already in memory.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        file: &Arc<SourceFile>,
        folder: &Path,
        outside: &dyn Outside,
    ) -> Result<Self, Errors> {
        let mut loader = Loader {
            faults: Faults::default(),
            folder,
            outside,
        };
        let root = yaml::parse(file, &mut loader.faults);
        // What the YAML reader dropped is in no tree, so nothing tells whether it was a password.
        let dropped: Vec<u32> = loader.faults.list.iter().filter_map(line).collect();
        let config = root.as_ref().and_then(|root| loader.config(root));
        if !loader.faults.failed() && config.is_none() {
            let message = format!("{}: the configuration is empty", file.name());
            loader.faults.push(PolicyError::error(message));
        }
        secrets::hide(&mut loader.faults.list, root.as_ref(), &dropped);
        loader.faults.finish()?;
        // Unreachable: a configuration that is not complete has a message.
        config.ok_or_else(|| PolicyError::error("the configuration is incomplete").into())
    }
}

pub(super) fn line(error: &PolicyError) -> Option<u32> {
    error.at.as_ref().map(Span::line)
}

pub(super) struct Loader<'a> {
    pub(super) faults: Faults,
    folder: &'a Path,
    outside: &'a dyn Outside,
}

/// `users`, as the two fields of [`Config`].
type Users = (BTreeMap<String, UserAuth>, Option<String>);

impl Loader<'_> {
    fn config(&mut self, root: &Node) -> Option<Config> {
        let mut fields = Fields::open(root, "the configuration", &mut self.faults)?;
        let listen = fields.require("listen", &mut self.faults);
        let tls = fields.take("tls");
        let upstream = fields.require("upstream", &mut self.faults);
        let users = fields.require("users", &mut self.faults);
        let admin_users = fields.take("admin_users");
        let stats_users = fields.take("stats_users");
        let max_connections = fields.take("max_connections");
        let pool = fields.take("pool");
        let tcp = fields.take("tcp");
        let reuse_port = fields.take("reuse_port");
        let policies = fields.require("policies", &mut self.faults);
        let keys = fields.take("keys");
        let admin = fields.take("admin");
        let audit = fields.take("audit");
        fields.finish(&mut self.faults);

        let listen = listen.and_then(|n| self.address(n, "listen"));
        let tls = tls.map(|n| self.client_tls(n));
        let upstream = upstream.and_then(|n| self.upstream(n));
        let users = users.and_then(|n| self.users(n));
        let admin_users = self.console_users(admin_users, "admin_users", users.as_ref());
        let stats_users = self.console_users(stats_users, "stats_users", users.as_ref());
        let max_connections = self.max_connections(max_connections);
        let pool = self.pool(pool);
        let tcp = self.tcp(tcp);
        let reuse_port = match reuse_port {
            Some(node) => boolean(node, "reuse_port", &mut self.faults),
            None => Some(false),
        };
        let policies = policies.and_then(|n| self.path(n, "policies"));
        let keys = keys.map(|n| self.keys(n));
        let admin = admin.and_then(|n| self.address(n, "admin"));
        let audit = audit.and_then(|n| self.path(n, "audit"));
        let (users, users_query) = users?;
        let (key_ring, key_passphrase) = keys.flatten().unzip();
        Some(Config {
            listen: listen?,
            tls: tls.flatten(),
            upstream: upstream?,
            users,
            users_query,
            admin_users,
            stats_users,
            max_connections: max_connections?,
            pool: pool?,
            tcp: tcp?,
            reuse_port: reuse_port?,
            policies: policies?,
            key_ring,
            key_passphrase: key_passphrase.flatten(),
            admin,
            audit,
        })
    }

    /// What relative paths are taken from.
    pub(super) fn folder(&self) -> &Path {
        self.folder
    }

    pub(super) fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        text(node, what, &mut self.faults).map(|path| self.folder.join(path))
    }

    /// An address to listen on: IP and port, or `localhost` and port.
    fn address(&mut self, node: &Node, what: &str) -> Option<SocketAddr> {
        let found = text(node, what, &mut self.faults)?;
        let local = found
            .strip_prefix("localhost:")
            .and_then(|port| port.parse().ok());
        let local = local.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = local.or_else(|| found.parse().ok());
        if address.is_none() {
            let message = format!("{what} is an address, not `{}`", shown(found));
            let error = PolicyError::at(&node.span, message);
            self.faults
                .push(error.help("write an IP address and a port, like 127.0.0.1:6432"));
        }
        address
    }

    fn client_tls(&mut self, node: &Node) -> Option<ClientTls> {
        let mut fields = Fields::open(node, "tls", &mut self.faults)?;
        let certificate = fields.require("certificate", &mut self.faults);
        let key = fields.require("key", &mut self.faults);
        let client_ca = fields.take("client_ca");
        let required = fields.take("required");
        fields.finish(&mut self.faults);
        let certificate = certificate.and_then(|n| self.path(n, "certificate"));
        let key = key.and_then(|n| self.path(n, "key"));
        let client_ca = client_ca.and_then(|n| self.path(n, "client_ca"));
        let required = required.and_then(|n| boolean(n, "required", &mut self.faults));
        // Whoever has a certificate means to be asked for it: plaintext has to be allowed in words.
        let required = required.unwrap_or(true);
        Some(ClientTls {
            certificate: certificate?,
            key: key?,
            client_ca,
            required,
        })
    }

    fn upstream(&mut self, node: &Node) -> Option<Upstream> {
        const TARGETS: &[(&str, TargetSession)] = &[
            ("any", TargetSession::Any),
            ("primary", TargetSession::Primary),
        ];
        let mut fields = Fields::open(node, "upstream", &mut self.faults)?;
        let address = fields.require("address", &mut self.faults);
        let tls = fields.take("tls");
        let target = fields.take("target_session_attrs");
        let connect_timeout = fields.take("connect_timeout");
        let check_interval = fields.take("check_interval");
        let logins = fields.require("logins", &mut self.faults);
        let catalog = fields.require("catalog", &mut self.faults);
        fields.finish(&mut self.faults);
        let addresses = address.map(|n| self.addresses(n));
        let tls = match tls {
            Some(node) => self.upstream_tls(node),
            None => Some((UpstreamTlsMode::VerifyFull, None)),
        };
        let several = addresses.as_ref().is_some_and(|a| a.len() > 1);
        let target = match target {
            Some(node) => word(node, "target_session_attrs", TARGETS, &mut self.faults),
            None if several => Some(TargetSession::Primary),
            None => Some(TargetSession::Any),
        };
        let connect_timeout = self.time(
            connect_timeout,
            "connect_timeout",
            Upstream::CONNECT_TIMEOUT,
        );
        let check_interval = self.time(check_interval, "check_interval", Upstream::CHECK_INTERVAL);
        let logins = logins.and_then(|n| self.logins(n));
        let catalog = catalog.and_then(|n| self.login(n, "the catalog login"));
        let (tls, ca) = tls?;
        Some(Upstream {
            addresses: addresses?,
            target: target?,
            connect_timeout: connect_timeout?,
            check_interval: check_interval?,
            tls,
            ca,
            logins: logins?,
            catalog: catalog?,
        })
    }

    fn addresses(&mut self, node: &Node) -> Vec<String> {
        let items = one_or_list(node);
        if items.is_empty() && matches!(node.value, Value::List(_)) {
            self.faults.at(&node.span, "address names no server");
        }
        let mut addresses = Vec::new();
        for item in items {
            let Some(found) = text(item, "address", &mut self.faults) else {
                continue;
            };
            let port = found.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0)) {
                addresses.push(found.to_owned());
            } else {
                let message = format!("address is a host and a port, not `{}`", shown(found));
                let error = PolicyError::at(&item.span, message);
                self.faults
                    .push(error.help("write it like db.example:5432"));
            }
        }
        addresses
    }

    fn upstream_tls(&mut self, node: &Node) -> Option<(UpstreamTlsMode, Option<PathBuf>)> {
        const MODES: &[(&str, UpstreamTlsMode)] = &[
            ("disable", UpstreamTlsMode::Disable),
            ("prefer", UpstreamTlsMode::Prefer),
            ("require", UpstreamTlsMode::Require),
            ("verify-ca", UpstreamTlsMode::VerifyCa),
            ("verify-full", UpstreamTlsMode::VerifyFull),
        ];
        let mut fields = Fields::open(node, "upstream.tls", &mut self.faults)?;
        let mode = fields.require("mode", &mut self.faults);
        let ca = fields.take("ca");
        fields.finish(&mut self.faults);
        let mode = mode.and_then(|n| word(n, "mode", MODES, &mut self.faults));
        let ca = ca.and_then(|n| self.path(n, "ca"));
        Some((mode?, ca))
    }

    fn logins(&mut self, node: &Node) -> Option<BTreeMap<String, Login>> {
        let mut logins = BTreeMap::new();
        let written = entries(node, "logins", &mut self.faults)?;
        if written.is_empty() {
            let error = PolicyError::at(&node.span, "logins names no login");
            self.faults
                .push(error.help("`\"*\": {user: …, password: …}` serves every role"));
        }
        for (role, login) in written {
            let what = format!("login of `{}`", shown(&role.text));
            if let Some(login) = self.login(login, &what) {
                logins.insert(role.text.clone(), login);
            }
        }
        Some(logins)
    }

    /// A login of the upstream. Without a password PostgreSQL has to trust it, or to know its
    /// certificate.
    fn login(&mut self, node: &Node, what: &str) -> Option<Login> {
        let mut fields = Fields::open(node, what, &mut self.faults)?;
        let user = fields.require("user", &mut self.faults);
        let password = fields.take("password");
        fields.finish(&mut self.faults);
        let user = user
            .and_then(|n| text(n, "user", &mut self.faults))
            .map(str::to_owned);
        let password = password.map(|n| self.secret(n, "password"));
        match password {
            Some(password) => Some(Login {
                user: user?,
                password: Some(password?),
            }),
            None => Some(Login {
                user: user?,
                password: None,
            }),
        }
    }

    /// `{env: NAME}` or `{file: PATH}`.
    pub(super) fn secret(&mut self, node: &Node, what: &str) -> Option<Secret> {
        const HELP: &str = "write {env: NAME} or {file: PATH}";
        if let Value::Scalar(_) = node.value {
            let error = PolicyError::at(&node.span, format!("{what} is not written here"));
            self.faults.push(error.help(HELP));
            return None;
        }
        let mut fields = Fields::open(node, what, &mut self.faults)?;
        let (env, file) = (fields.take("env"), fields.take("file"));
        fields.finish(&mut self.faults);
        let (at, value) = match (env, file) {
            (Some(node), None) => {
                let name = text(node, "env", &mut self.faults)?;
                let missing = || format!("environment variable {} is not set", shown(name));
                (node, self.outside.variable(name).ok_or_else(missing))
            }
            (None, Some(node)) => {
                let path = self.path(node, "file")?;
                let failed = |e: io::Error| format!("{}: {e}", path.display());
                (node, self.outside.secret(&path).map_err(failed))
            }
            _ => {
                let error = PolicyError::at(&node.span, format!("{what} comes from one place"));
                self.faults.push(error.help(HELP));
                return None;
            }
        };
        match value.as_deref().map(|v| v.trim_end_matches(['\n', '\r'])) {
            Ok("") => self.faults.at(&at.span, format!("{what} is empty")),
            Ok(value) => return Some(Secret::new(value.to_owned())),
            Err(message) => self.faults.at(&at.span, message.clone()),
        }
        None
    }

    fn users(&mut self, node: &Node) -> Option<Users> {
        let mut users = BTreeMap::new();
        let mut query = None;
        for (name, node) in entries(node, "users", &mut self.faults)? {
            // A user called `query` is a map, the query is a string.
            if name.text == "query" && matches!(node.value, Value::Scalar(_)) {
                query = text(node, "query", &mut self.faults).map(str::to_owned);
            } else if let Some(auth) = self.user(node, &name.text) {
                users.insert(name.text.clone(), auth);
            }
        }
        Some((users, query))
    }

    /// Logins of the console. Whoever cannot log in at all is a slip of the pen.
    fn console_users(
        &mut self,
        node: Option<&Node>,
        what: &str,
        known: Option<&Users>,
    ) -> Vec<String> {
        let Some(node) = node else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for (name, span) in texts(node, what, &mut self.faults) {
            if known.is_some_and(|(users, query)| query.is_none() && !users.contains_key(&name)) {
                let message = format!("{what}: there is no user `{}`", shown(&name));
                self.faults
                    .push(PolicyError::at(&span, message).help("name it in users too"));
            }
            names.push(name);
        }
        names
    }

    fn user(&mut self, node: &Node, name: &str) -> Option<UserAuth> {
        let what = format!("user `{}`", shown(name));
        if let Value::Scalar(_) = node.value {
            // Not the usual message: it would repeat the value, which may be a password.
            let error = PolicyError::at(&node.span, format!("{what} is a map"));
            self.faults.push(error.help("`password` or `scram`"));
            return None;
        }
        let mut fields = Fields::open(node, &what, &mut self.faults)?;
        let (password, scram) = (fields.take("password"), fields.take("scram"));
        fields.finish(&mut self.faults);
        match (password, scram) {
            (Some(password), None) => self.secret(password, "password").map(UserAuth::Password),
            (None, Some(node)) => {
                if let Value::Scalar(scalar) = &node.value
                    && secrets::is_verifier(&scalar.text)
                {
                    return Some(UserAuth::Scram(Arc::from(scalar.text.as_str())));
                }
                let error = PolicyError::at(&node.span, "scram is not a SCRAM-SHA-256 verifier");
                self.faults.push(error.help(
                    "take it from pg_authid.rolpassword: SCRAM-SHA-256$4096:salt$stored:server",
                ));
                None
            }
            _ => {
                let error = PolicyError::at(&node.span, format!("{what} has one way to log in"));
                self.faults.push(error.help("`password` or `scram`"));
                None
            }
        }
    }
}
