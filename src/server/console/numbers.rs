//! What there is to say of pools and of server connections, however they are pooled.
//!
//! Connections that sessions have follow from the registry; those nobody has, from the pools.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::server::Shared;
use crate::server::config::PoolMode;
use crate::server::registry::{Entry, State};

/// One pool: a (database, login upstream).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PoolNumbers {
    pub(crate) database: Arc<str>,
    pub(crate) user: Arc<str>,
    /// Clients that have a server, or want none now.
    pub(crate) cl_active: u32,
    /// Clients that wait for a server.
    pub(crate) cl_waiting: u32,
    /// Servers that have a client.
    pub(crate) sv_active: u32,
    /// Servers that can be given to one at once.
    pub(crate) sv_idle: u32,
    /// Servers that are to be looked at before.
    pub(crate) sv_used: u32,
    /// Servers that are being logged in to.
    pub(crate) sv_login: u32,
    /// How long the first in line has been waiting, in microseconds.
    pub(crate) maxwait_us: u64,
    pub(crate) pool_mode: PoolMode,
}

/// One server connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ServerNumbers {
    pub(crate) database: Arc<str>,
    pub(crate) user: Arc<str>,
    /// PgBouncer's word: `active`, `idle`, `used`, `new`.
    pub(crate) state: &'static str,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) since: SystemTime,
    pub(crate) asked: Option<SystemTime>,
    /// The session that has it.
    pub(crate) client: Option<u64>,
    pub(crate) application_name: String,
    pub(crate) pid: i32,
}

/// All pools.
pub(super) fn pools(shared: &Shared) -> Vec<PoolNumbers> {
    let mut pools = BTreeMap::new();
    each(shared, |entry| {
        let key = (entry.facts.database.clone(), entry.facts.user.clone());
        let pool = pools
            .entry(key)
            .or_insert_with_key(|(database, user)| empty(shared, database, user));
        let clients = match entry.state() {
            State::Waiting => &mut pool.cl_waiting,
            State::Active | State::Idle => &mut pool.cl_active,
        };
        *clients = clients.saturating_add(1);
        if entry.pid() != 0 {
            pool.sv_active = pool.sv_active.saturating_add(1);
        }
        pool.maxwait_us = pool.maxwait_us.max(entry.waiting_us());
    });
    shared.pools.each_idle(|database, user, _, _| {
        let pool = pools
            .entry((Arc::from(database), Arc::from(user)))
            .or_insert_with_key(|(database, user)| empty(shared, database, user));
        pool.sv_idle = pool.sv_idle.saturating_add(1);
    });
    pools.into_values().collect()
}

fn empty(shared: &Shared, database: &Arc<str>, user: &Arc<str>) -> PoolNumbers {
    PoolNumbers {
        database: Arc::clone(database),
        user: Arc::clone(user),
        cl_active: 0,
        cl_waiting: 0,
        sv_active: 0,
        sv_idle: 0,
        sv_used: 0,
        sv_login: 0,
        maxwait_us: 0,
        pool_mode: shared.config.pool.mode,
    }
}

/// All server connections.
pub(super) fn servers(shared: &Shared) -> Vec<ServerNumbers> {
    let mut servers = Vec::new();
    each(shared, |entry| {
        if entry.pid() != 0 {
            servers.push(ServerNumbers {
                database: Arc::clone(&entry.facts.database),
                user: Arc::clone(&entry.facts.user),
                state: "active",
                address: entry.server(),
                since: entry.since,
                asked: entry.asked(),
                client: Some(entry.id),
                application_name: entry.facts.who.application_name.clone(),
                pid: entry.pid(),
            });
        }
    });
    let now = SystemTime::now();
    shared.pools.each_idle(|database, user, server, age| {
        servers.push(ServerNumbers {
            database: Arc::from(database),
            user: Arc::from(user),
            state: "idle",
            address: Some(server.connection.address()),
            since: now.checked_sub(Duration::from_secs(age)).unwrap_or(now),
            asked: None,
            client: None,
            application_name: String::new(),
            pid: server.pid(),
        });
    });
    servers
}

fn each(shared: &Shared, mut look: impl FnMut(&Entry)) {
    shared.registry.each(|entry| {
        if !entry.facts.console {
            look(entry);
        }
    });
}
