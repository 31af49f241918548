//! SHOW CONFIG: the configuration in force, without its secrets and without the SQL in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::show::{self, mode};
use super::table::{Cell, Table, word};
use crate::server::Shared;
use crate::server::config::{
    Config, MaxConnections, Pool, TargetSession, Tcp, Upstream, UpstreamTlsMode,
};

/// What stands for something that is set and is nobody's to see.
const HIDDEN: &str = "***";

pub(super) fn table(shared: &Shared) -> Table {
    let rows = rows(&shared.config);
    // Only the policy is read again by RELOAD; it is no setting of this list.
    let cells = rows.into_iter().map(|(key, value, default)| {
        let default: Cell = default.into();
        vec![key.into(), value.into(), default, "no".into()]
    });
    let columns = [
        word("key"),
        word("value"),
        word("default"),
        word("changeable"),
    ];
    show::table(&columns, cells.collect())
}

type Setting = (&'static str, String, Option<String>);

fn rows(config: &Config) -> Vec<Setting> {
    let mut rows = vec![
        ("listen", config.listen.to_string(), None),
        (
            "reuse_port",
            config.reuse_port.to_string(),
            Some(false.to_string()),
        ),
        ("admin", shown(config.admin.as_ref()), Some(String::new())),
        ("policies", config.policies.display().to_string(), None),
        (
            "audit",
            config
                .audit
                .as_ref()
                .map_or_else(String::new, |p| p.display().to_string()),
            Some(String::new()),
        ),
        (
            "admin_users",
            config.admin_users.join(", "),
            Some(String::new()),
        ),
        (
            "stats_users",
            config.stats_users.join(", "),
            Some(String::new()),
        ),
        (
            "users",
            config.users.keys().cloned().collect::<Vec<_>>().join(", "),
            None,
        ),
        (
            "users.query",
            hidden(config.users_query.is_some()),
            Some(String::new()),
        ),
        (
            "keys.ring",
            config
                .key_ring
                .as_ref()
                .map_or_else(String::new, |p| p.display().to_string()),
            Some(String::new()),
        ),
        (
            "keys.passphrase",
            hidden(config.key_passphrase.is_some()),
            Some(String::new()),
        ),
        (
            "tls.required",
            config
                .tls
                .as_ref()
                .map_or_else(String::new, |t| t.required.to_string()),
            Some(String::new()),
        ),
    ];
    pool(&config.pool, &mut rows);
    connections(&config.max_connections, &mut rows);
    tcp(&config.tcp, &mut rows);
    upstream(&config.upstream, &mut rows);
    rows.sort_by_key(|(key, ..)| *key);
    rows
}

fn pool(pool: &Pool, rows: &mut Vec<Setting>) {
    let default = Pool::default();
    let mut put = |key, of: fn(&Pool) -> String| rows.push((key, of(pool), Some(of(&default))));
    put("pool.mode", |p| mode(p.mode).to_owned());
    put("pool.size", |p| p.size.to_string());
    put("pool.queue", |p| p.queue.to_string());
    put("pool.queue_timeout", |p| time(p.queue_timeout));
    put("pool.idle_timeout", |p| time(p.idle_timeout));
    put("pool.server_lifetime", |p| time(p.server_lifetime));
}

fn connections(most: &MaxConnections, rows: &mut Vec<Setting>) {
    let default = MaxConnections::default();
    let each = |map: &BTreeMap<String, u32>| {
        let each: Vec<String> = map.iter().map(|(name, n)| format!("{name}: {n}")).collect();
        each.join(", ")
    };
    let total = default.total.to_string();
    rows.push(("max_connections.total", most.total.to_string(), Some(total)));
    rows.push((
        "max_connections.roles",
        each(&most.roles),
        Some(String::new()),
    ));
    rows.push((
        "max_connections.logins",
        each(&most.logins),
        Some(String::new()),
    ));
}

fn tcp(tcp: &Tcp, rows: &mut Vec<Setting>) {
    let default = Tcp::default();
    let mut put = |key, of: fn(&Tcp) -> String| rows.push((key, of(tcp), Some(of(&default))));
    put("tcp.keepalive_idle", |t| time(t.idle));
    put("tcp.keepalive_interval", |t| time(t.interval));
    put("tcp.keepalive_probes", |t| t.probes.to_string());
    put("tcp.user_timeout", |t| {
        t.user_timeout.map_or_else(String::new, time)
    });
}

fn upstream(upstream: &Upstream, rows: &mut Vec<Setting>) {
    let target = match upstream.target {
        TargetSession::Any => "any",
        TargetSession::Primary => "primary",
    };
    let tls = match upstream.tls {
        UpstreamTlsMode::Disable => "disable",
        UpstreamTlsMode::Prefer => "prefer",
        UpstreamTlsMode::Require => "require",
        UpstreamTlsMode::VerifyCa => "verify-ca",
        UpstreamTlsMode::VerifyFull => "verify-full",
    };
    let logins = upstream.logins.iter();
    let logins: Vec<String> = logins
        .map(|(role, l)| format!("{role}: {}", l.user))
        .collect();
    rows.push(("upstream.address", upstream.addresses.join(", "), None));
    rows.push(("upstream.target_session_attrs", target.to_owned(), None));
    let (connect, check) = (upstream.connect_timeout, upstream.check_interval);
    rows.push((
        "upstream.connect_timeout",
        time(connect),
        Some(time(Upstream::CONNECT_TIMEOUT)),
    ));
    rows.push((
        "upstream.check_interval",
        time(check),
        Some(time(Upstream::CHECK_INTERVAL)),
    ));
    rows.push((
        "upstream.tls.mode",
        tls.to_owned(),
        Some("verify-full".to_owned()),
    ));
    rows.push(("upstream.logins", logins.join(", "), None));
    rows.push(("upstream.catalog", upstream.catalog.user.clone(), None));
}

fn shown(address: Option<&SocketAddr>) -> String {
    address.map_or_else(String::new, ToString::to_string)
}

fn hidden(set: bool) -> String {
    if set { HIDDEN } else { "" }.to_owned()
}

/// As a configuration writes it.
fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}
