//! What SHOW shows. Columns have PgBouncer's names, in PgBouncer's order; ours come after them.
//!
//! Deliberately absent: SQL text, literals and secrets. What is not measured is NULL, not 0.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::command::Subject;
use super::numbers::{pools, servers};
use super::table::{Cell, Column, Table, number, word};
use super::{DATABASE, settings, stats};
use crate::server::config::PoolMode;
use crate::server::registry::{State, Totals};
use crate::server::{Shared, clock, upstreams};

/// The answer to one SHOW.
pub(super) fn show(shared: &Shared, subject: Subject) -> Table {
    match subject {
        Subject::Clients => clients(shared),
        Subject::Config => settings::table(shared),
        Subject::Databases => databases(shared),
        Subject::Denied => denied(shared),
        // The words are a notice.
        Subject::Help => table(&[], Vec::new()),
        Subject::Lists => lists(shared),
        Subject::Pools => show_pools(shared),
        Subject::Servers => show_servers(shared),
        Subject::State => state(shared),
        Subject::Stats => statistics(shared, true, true),
        Subject::StatsAverages => statistics(shared, false, true),
        Subject::StatsTotals => statistics(shared, true, false),
        Subject::Users => users(shared),
        Subject::Version => table(&[word("version")], vec![vec![version().into()]]),
    }
}

/// `pgveil 0.1.0`
pub(super) fn version() -> &'static str {
    concat!("pgveil ", env!("CARGO_PKG_VERSION"))
}

pub(super) fn table(columns: &[Column], rows: Vec<Vec<Cell>>) -> Table {
    Table {
        columns: columns.to_vec(),
        rows,
    }
}

pub(super) fn mode(mode: PoolMode) -> &'static str {
    match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    }
}

/// SHOW CLIENTS and SHOW SERVERS.
const SOCKETS: [Column; 21] = [
    word("type"),
    word("user"),
    word("database"),
    word("replication"),
    word("state"),
    word("addr"),
    number("port"),
    word("local_addr"),
    number("local_port"),
    word("connect_time"),
    word("request_time"),
    number("wait"),
    number("wait_us"),
    number("close_needed"),
    word("ptr"),
    word("link"),
    number("remote_pid"),
    word("tls"),
    word("application_name"),
    number("prepared_statements"),
    number("id"),
];

fn address(at: Option<SocketAddr>) -> [Cell; 2] {
    [
        at.map(|a| a.ip().to_string()).into(),
        at.map(|a| a.port()).into(),
    ]
}

fn time(at: SystemTime) -> String {
    // `2026-11-22T04:05:06.789Z` to PgBouncer's `2026-11-22 04:05:06 UTC`.
    let text = clock::rfc3339(at);
    let second = text.get(..19).unwrap_or(&text);
    format!("{} UTC", second.replace('T', " "))
}

fn seconds(micros: u64) -> [Cell; 2] {
    [(micros / 1_000_000).into(), (micros % 1_000_000).into()]
}

fn clients(shared: &Shared) -> Table {
    let mut rows = Vec::new();
    shared.registry.each(|entry| {
        let who = &entry.facts.who;
        let state = match entry.state() {
            State::Active => "active",
            State::Idle => "idle",
            State::Waiting => "waiting",
        };
        let mut row: Vec<Cell> = vec!["C".into(), who.login.clone().into()];
        row.push(who.database.clone().into());
        row.extend([Cell::Null, state.into()]);
        row.extend(address(Some(entry.facts.peer)));
        row.extend(address(entry.facts.local));
        row.extend([time(entry.since).into(), entry.asked().map(time).into()]);
        row.extend(seconds(entry.waiting_us()));
        row.extend([0u32.into(), who.session.clone().into()]);
        let pid = entry.pid();
        row.push((pid != 0).then(|| pid.to_string()).into());
        // The process of a client on a Unix socket; there are none here.
        row.push(0u32.into());
        row.push(if entry.facts.tls { "TLS" } else { "" }.into());
        row.extend([who.application_name.clone().into(), Cell::Null]);
        row.extend([entry.id.into(), who.role.clone().into()]);
        let totals = entry.counters.read();
        row.extend(
            [
                totals.transactions,
                totals.queries,
                totals.received,
                totals.sent,
            ]
            .map(Cell::from),
        );
        rows.push((entry.id, row));
    });
    rows.sort_by_key(|(id, _)| *id);
    let mut columns = SOCKETS.to_vec();
    columns.extend([word("role"), number("xact_count"), number("query_count")]);
    columns.extend([number("received"), number("sent")]);
    Table {
        columns,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

fn show_servers(shared: &Shared) -> Table {
    let rows = servers(shared).into_iter().map(|server| {
        let mut row: Vec<Cell> = vec!["S".into(), (&*server.user).into()];
        row.extend([(&*server.database).into(), Cell::Null, server.state.into()]);
        row.extend(address(server.address));
        row.extend([Cell::Null, Cell::Null]);
        row.extend([time(server.since).into(), server.asked.map(time).into()]);
        row.extend([0u32, 0, 0].map(Cell::from));
        row.push(format!("{:x}", server.pid).into());
        row.push(server.client.map(|id| format!("{id:x}")).into());
        row.extend([server.pid.into(), Cell::Null]);
        row.extend([
            server.application_name.into(),
            Cell::Null,
            server.pid.into(),
        ]);
        row
    });
    table(&SOCKETS, rows.collect())
}

fn show_pools(shared: &Shared) -> Table {
    const COLUMNS: [Column; 17] = [
        word("database"),
        word("user"),
        number("cl_active"),
        number("cl_waiting"),
        number("cl_active_cancel_req"),
        number("cl_waiting_cancel_req"),
        number("sv_active"),
        number("sv_active_cancel"),
        number("sv_being_canceled"),
        number("sv_idle"),
        number("sv_used"),
        number("sv_tested"),
        number("sv_login"),
        number("maxwait"),
        number("maxwait_us"),
        word("pool_mode"),
        word("load_balance_hosts"),
    ];
    let rows = pools(shared).into_iter().map(|pool| {
        let mut row: Vec<Cell> = vec![(&*pool.database).into(), (&*pool.user).into()];
        // Cancel requests go their own way and are never in line.
        row.extend([pool.cl_active, pool.cl_waiting, 0, 0].map(Cell::from));
        row.extend([pool.sv_active, 0, 0, pool.sv_idle, pool.sv_used, 0].map(Cell::from));
        row.push(pool.sv_login.into());
        row.extend(seconds(pool.maxwait_us));
        row.extend([mode(pool.pool_mode).into(), Cell::Null]);
        row
    });
    table(&COLUMNS, rows.collect())
}

fn databases(shared: &Shared) -> Table {
    const COLUMNS: [Column; 16] = [
        word("name"),
        word("host"),
        number("port"),
        word("database"),
        word("force_user"),
        number("pool_size"),
        number("min_pool_size"),
        number("reserve_pool_size"),
        number("server_lifetime"),
        word("pool_mode"),
        word("load_balance_hosts"),
        number("max_connections"),
        number("current_connections"),
        number("max_client_connections"),
        number("current_client_connections"),
        number("paused"),
    ];
    let mut names: BTreeSet<String> = shared.databases.iter().map(|d| d.name.clone()).collect();
    names.extend(shared.rules().policy.databases.iter().cloned());
    let pools = pools(shared);
    let pool = &shared.config.pool;
    let at = shared.hosts.likeliest();
    let rows = names.into_iter().map(|name| {
        let here = || pools.iter().filter(|p| *p.database == *name);
        let servers = here().map(|p| p.sv_active + p.sv_idle + p.sv_used + p.sv_login);
        let clients = here().map(|p| p.cl_active + p.cl_waiting);
        let paused = u32::from(shared.registry.is_paused(&name));
        let mut row: Vec<Cell> = vec![name.as_str().into()];
        row.extend([at.map(|a| a.0).into(), at.map(|a| a.1).into()]);
        row.extend([
            name.as_str().into(),
            upstreams::only_user(&shared.config).into(),
        ]);
        row.extend([pool.size, 0, 0].map(Cell::from));
        row.extend([
            pool.server_lifetime.as_secs().into(),
            Cell::Null,
            Cell::Null,
        ]);
        row.extend([Cell::Null, servers.sum::<u32>().into()]);
        row.extend([shared.config.max_connections.total.into()]);
        row.extend([clients.sum::<u32>().into(), paused.into()]);
        row
    });
    table(&COLUMNS, rows.collect())
}

fn users(shared: &Shared) -> Table {
    const COLUMNS: [Column; 8] = [
        word("name"),
        number("pool_size"),
        number("reserve_pool_size"),
        word("pool_mode"),
        number("max_user_connections"),
        number("current_connections"),
        number("max_user_client_connections"),
        number("current_client_connections"),
    ];
    let most = &shared.config.max_connections.logins;
    let mut names: BTreeSet<String> = shared.config.users.keys().cloned().collect();
    let mut attached: BTreeMap<String, u32> = BTreeMap::new();
    shared.registry.each(|entry| {
        let login = &entry.facts.who.login;
        names.insert(login.clone());
        if entry.pid() != 0 {
            let count = attached.entry(login.clone()).or_default();
            *count = count.saturating_add(1);
        }
    });
    let rows = names.into_iter().map(|name| {
        let bound = most.get(&name).or_else(|| most.get("*")).copied();
        let servers = attached.get(&name).copied().unwrap_or(0);
        let clients = shared.registry.of_login(&name);
        let mut row: Vec<Cell> = vec![name.into(), Cell::Null, Cell::Null, Cell::Null];
        // 0 is no bound, as in PgBouncer.
        row.extend([0, servers, bound.unwrap_or(0), clients].map(Cell::from));
        row
    });
    table(&COLUMNS, rows.collect())
}

fn lists(shared: &Shared) -> Table {
    let servers = servers(shared);
    let used = servers.iter().filter(|s| s.client.is_some()).count();
    let rows: [(&str, Cell); 6] = [
        ("databases", shared.databases.len().into()),
        ("users", users(shared).rows.len().into()),
        ("pools", pools(shared).len().into()),
        ("used_clients", shared.registry.len().into()),
        ("free_servers", servers.len().saturating_sub(used).into()),
        ("used_servers", used.into()),
    ];
    let rows = rows.map(|(name, count)| vec![name.into(), count]);
    table(&[word("list"), number("items")], rows.to_vec())
}

fn state(shared: &Shared) -> Table {
    let paused = shared.registry.is_paused("");
    let say = |yes: bool| if yes { "yes" } else { "no" };
    let rows: [(&str, &str); 3] = [
        ("active", say(!paused)),
        ("paused", say(paused)),
        ("suspended", say(false)),
    ];
    let rows = rows.map(|(key, value)| vec![key.into(), value.into()]);
    table(&[word("key"), word("value")], rows.to_vec())
}

fn statistics(shared: &Shared, totals: bool, averages: bool) -> Table {
    const TOTALS: [Column; 9] = [
        number("total_server_assignment_count"),
        number("total_xact_count"),
        number("total_query_count"),
        number("total_received"),
        number("total_sent"),
        number("total_xact_time"),
        number("total_query_time"),
        number("total_wait_time"),
        number("total_client_login_count"),
    ];
    const AVERAGES: [Column; 9] = [
        number("avg_server_assignment_count"),
        number("avg_xact_count"),
        number("avg_query_count"),
        number("avg_recv"),
        number("avg_sent"),
        number("avg_xact_time"),
        number("avg_query_time"),
        number("avg_wait_time"),
        number("avg_client_login_count"),
    ];
    let mut columns = vec![word("database")];
    columns.extend(TOTALS.iter().filter(|_| totals));
    columns.extend(AVERAGES.iter().filter(|_| averages));
    let rows = stats::rows(shared).into_iter().map(|row| {
        let mut cells: Vec<Cell> = vec![(&*row.database).into()];
        if totals {
            cells.extend(total(&row.total));
        }
        if averages {
            cells.extend(average(&row.recent, row.period));
        }
        cells
    });
    Table {
        columns,
        rows: rows.collect(),
    }
}

fn total(t: &Totals) -> [Cell; 9] {
    [
        t.assignments,
        t.transactions,
        t.queries,
        t.received,
        t.sent,
        t.transaction_us,
        t.query_us,
        t.waited_us,
        t.logins,
    ]
    .map(Cell::from)
}

/// Counts and bytes a second; times for one of what they are the time of.
fn average(t: &Totals, period: Duration) -> [Cell; 9] {
    let micros = period.as_micros().max(1);
    let rate = |n: u64| Cell::from(u128::from(n).saturating_mul(1_000_000) / micros);
    let each = |sum: u64, n: u64| Cell::from(sum.checked_div(n).unwrap_or(0));
    [
        rate(t.assignments),
        rate(t.transactions),
        rate(t.queries),
        rate(t.received),
        rate(t.sent),
        each(t.transaction_us, t.transactions),
        each(t.query_us, t.queries),
        each(t.waited_us, t.assignments),
        rate(t.logins),
    ]
}

fn denied(shared: &Shared) -> Table {
    const COLUMNS: [Column; 11] = [
        word("time"),
        word("user"),
        word("role"),
        word("database"),
        word("addr"),
        word("application_name"),
        word("session"),
        word("decision"),
        word("sqlstate"),
        word("kind"),
        word("relations"),
    ];
    let mut rows = Vec::new();
    shared.denials.each(|denial| {
        let record = &denial.record;
        let who = &record.who;
        let facts = record.facts.clone().unwrap_or_default();
        let columns: Vec<&str> = facts.columns.iter().map(|(c, _)| c.as_str()).collect();
        let mut row: Vec<Cell> = vec![denial.time.as_str().into()];
        let names = [
            &who.login,
            &who.role,
            &who.database,
            &who.peer,
            &who.application_name,
        ];
        row.extend(names.map(|name| name.as_str().into()));
        row.extend([who.session.as_str().into(), record.id().into()]);
        row.extend([record.sqlstate.clone().into(), record.kind.into()]);
        row.extend([facts.relations.join(", ").into(), columns.join(", ").into()]);
        row.push(record.reason.clone().into());
        rows.push(row);
    });
    let mut columns = COLUMNS.to_vec();
    columns.extend([word("columns"), word("reason")]);
    Table { columns, rows }
}

/// Shown to nobody but as a name of a database.
pub(super) fn is_own(database: &str) -> bool {
    database == DATABASE
}
