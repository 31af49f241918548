//! Upstream connections, at most `pool.size` per (database, login), and the line before them.
//!
//! A session that needs a connection of its own takes a [`Room`] and connects as it likes. One that
//! borrows ([`Pool::lend`]) gets a [`Server`] that started with the very settings it would have started
//! with itself, so that RESET means what it means on a connection of its own, and gives it back
//! between transactions. First come, first served; who waits too long is told so.
//!
//! Deliberately absent: when a connection may be given back (`crate::pooling`, `relay::pooled`).

mod lent;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub(super) use self::lent::{Server, Start, Welcome};
use super::Shared;
use super::config;
use crate::pooling::Statements;

/// How often connections that have been kept for too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// All pools of the process.
pub(super) struct Pools {
    bounds: config::Pool,
    by_login: DashMap<(String, String), Arc<Pool>>,
    statements: Arc<Statements>,
    /// Seconds since the process started, roughly: a clock that costs one load.
    now: Arc<AtomicU64>,
}

impl Pools {
    /// No connection yet.
    pub(super) fn new(bounds: config::Pool) -> Self {
        Self {
            bounds,
            by_login: DashMap::new(),
            statements: Arc::default(),
            now: Arc::default(),
        }
    }

    /// The pool of a database and a login.
    pub(super) fn of(&self, database: &str, login: &str) -> Arc<Pool> {
        let key = (database.to_owned(), login.to_owned());
        let pool = self.by_login.entry(key).or_insert_with(|| {
            Arc::new(Pool {
                bounds: self.bounds.clone(),
                statements: Arc::clone(&self.statements),
                now: Arc::clone(&self.now),
                state: Mutex::default(),
            })
        });
        Arc::clone(&pool)
    }

    /// A catalog changed: nobody is to get a statement that was prepared before.
    pub(super) fn outdate(&self) {
        self.statements.outdate();
    }

    /// Looks at the free connections of every pool: database, login, and when each was made and given
    /// back, in seconds before now.
    pub(super) fn each_idle(&self, mut look: impl FnMut(&str, &str, &Server, u64)) {
        let now = self.now.load(Ordering::Relaxed);
        for pool in &self.by_login {
            let (database, login) = pool.key();
            for server in &pool.state().idle {
                look(database, login, server, now.saturating_sub(server.since));
            }
        }
    }

    /// Closes what has been kept too long, as long as the process lives.
    pub(super) async fn keep(shared: Arc<Shared>) {
        let mut every = tokio::time::interval(SWEEP);
        loop {
            every.tick().await;
            let now = shared
                .pools
                .now
                .fetch_add(SWEEP.as_secs(), Ordering::Relaxed);
            let generation = shared.hosts.generation();
            for pool in &shared.pools.by_login {
                pool.sweep(now, generation);
            }
        }
    }
}

/// The connections of one login to one database.
pub(super) struct Pool {
    bounds: config::Pool,
    statements: Arc<Statements>,
    now: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Free, the longest unused first.
    #[expect(
        clippy::vec_box,
        reason = "lending one moves a pointer, not all that it knows"
    )]
    idle: Vec<Box<Server>>,
    /// Places given out; those of free connections among them.
    taken: u32,
    line: VecDeque<Waiting>,
    starts: Vec<Weak<Start>>,
}

/// Somebody in the line.
struct Waiting {
    /// Which connections will do; none but a place if there is nothing here.
    start: Option<Arc<Start>>,
    grant: oneshot::Sender<Grant>,
}

enum Grant {
    Server(Box<Server>),
    Room(Room),
}

/// What there is without waiting.
enum Found {
    Grant(Grant),
    Wait(oneshot::Receiver<Grant>),
    Full,
}

/// Why nobody can be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoRoom {
    /// `pool.queue` others wait already.
    Full,
    /// `pool.queue_timeout` is over.
    Timeout,
}

impl Pool {
    /// What clients that start alike share; `parameters` as for the startup packet, `role` if it is a
    /// restricted one.
    pub(super) fn start(
        &self,
        parameters: Vec<(String, String)>,
        role: Option<Arc<str>>,
    ) -> Arc<Start> {
        let mut state = self.state();
        state.starts.retain(|start| start.strong_count() > 0);
        let same = |start: &Arc<Start>| start.parameters == parameters && start.role == role;
        if let Some(known) = state.starts.iter().filter_map(Weak::upgrade).find(same) {
            return known;
        }
        let start = Arc::new(Start::new(parameters, role));
        state.starts.push(Arc::downgrade(&start));
        start
    }

    /// All prepared statements of the process.
    pub(super) fn statements(&self) -> &Arc<Statements> {
        &self.statements
    }

    /// Seconds, see [`Pools`].
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// A free connection that started so, without waiting.
    pub(super) fn lend(&self, start: &Arc<Start>) -> Option<Box<Server>> {
        loop {
            let mut state = self.state();
            if !state.line.is_empty() {
                return None;
            }
            let same = |server: &Server| Arc::ptr_eq(&server.start, start);
            let at = state.idle.iter().rposition(|server| same(server))?;
            let server = state.idle.remove(at);
            drop(state);
            if server.is_quiet() {
                return Some(server);
            }
            // Closed by the server, or out of step: its place is free with it.
        }
    }

    /// A connection that started so, made by `connect` if there is none, after a wait if need be.
    pub(super) async fn borrow<E>(
        self: &Arc<Self>,
        start: &Arc<Start>,
        connect: impl AsyncFnOnce(Room) -> Result<Server, E>,
    ) -> Result<Result<Box<Server>, E>, NoRoom> {
        loop {
            match self.wait(Some(start)).await? {
                Grant::Server(server) if server.is_quiet() => return Ok(Ok(server)),
                Grant::Server(_) => {}
                Grant::Room(room) => return Ok(connect(room).await.map(Box::new)),
            }
        }
    }

    /// A place for a connection of one's own.
    pub(super) async fn room(self: &Arc<Self>) -> Result<Room, NoRoom> {
        loop {
            if let Grant::Room(room) = self.wait(None).await? {
                return Ok(room);
            }
        }
    }

    async fn wait(self: &Arc<Self>, start: Option<&Arc<Start>>) -> Result<Grant, NoRoom> {
        match self.find(start) {
            Found::Grant(grant) => Ok(grant),
            Found::Full => Err(NoRoom::Full),
            Found::Wait(receiver) => match timeout(self.bounds.queue_timeout, receiver).await {
                Ok(Ok(grant)) => Ok(grant),
                _ => Err(NoRoom::Timeout),
            },
        }
    }

    fn find(self: &Arc<Self>, start: Option<&Arc<Start>>) -> Found {
        let mut state = self.state();
        if state.line.is_empty() {
            if let Some(start) = start {
                let same = |server: &Server| Arc::ptr_eq(&server.start, start);
                if let Some(at) = state.idle.iter().rposition(|server| same(server)) {
                    return Found::Grant(Grant::Server(state.idle.remove(at)));
                }
            }
            if state.taken < self.bounds.size {
                state.taken = state.taken.saturating_add(1);
                return Found::Grant(Grant::Room(Room(Arc::clone(self))));
            }
            // One that started otherwise gives way.
            if !state.idle.is_empty() {
                let other = state.idle.remove(0);
                drop(state);
                return Found::Grant(Grant::Room(other.close()));
            }
        }
        let queue = usize::try_from(self.bounds.queue).unwrap_or(usize::MAX);
        state.line.retain(|waiting| !waiting.grant.is_closed());
        if state.line.len() >= queue {
            return Found::Full;
        }
        let (grant, receiver) = oneshot::channel();
        state.line.push_back(Waiting {
            start: start.cloned(),
            grant,
        });
        Found::Wait(receiver)
    }

    /// Takes back a connection that is clean.
    pub(super) fn give(self: &Arc<Self>, mut server: Box<Server>) {
        server.free_since = self.now();
        let lifetime = self.bounds.server_lifetime.as_secs();
        if server.free_since.saturating_sub(server.since) > lifetime {
            return;
        }
        loop {
            let mut state = self.state();
            let Some(next) = state.line.pop_front() else {
                state.idle.push(server);
                return;
            };
            drop(state);
            let fits = next
                .start
                .as_ref()
                .is_some_and(|s| Arc::ptr_eq(s, &server.start));
            if !fits {
                if next.grant.is_closed() {
                    continue;
                }
                // If it has gone meanwhile, the place goes on to the next by being dropped.
                drop(next.grant.send(Grant::Room(server.close())));
                return;
            }
            match next.grant.send(Grant::Server(server)) {
                Err(Grant::Server(back)) => server = back,
                _ => return,
            }
        }
    }

    /// A place is free.
    fn vacate(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            let Some(next) = state.line.pop_front() else {
                state.taken = state.taken.saturating_sub(1);
                return;
            };
            drop(state);
            if next.grant.is_closed() {
                continue;
            }
            // If it has gone meanwhile, the place comes back here by being dropped.
            drop(next.grant.send(Grant::Room(Room(Arc::clone(self)))));
            return;
        }
    }

    fn sweep(&self, now: u64, generation: u64) {
        let (idle, lifetime) = (self.bounds.idle_timeout, self.bounds.server_lifetime);
        let old = |server: &Server| {
            now.saturating_sub(server.free_since) > idle.as_secs()
                || now.saturating_sub(server.since) > lifetime.as_secs()
                || server.generation != generation
                || !server.is_quiet()
        };
        let mut state = self.state();
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle)
            .into_iter()
            .map(|server| (old(&server), server))
            .partition(|(old, _)| !old);
        state.idle = kept.into_iter().map(|(_, server)| server).collect();
        drop(state);
        // Their places are free only outside the lock.
        drop(gone);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for one connection, free again when dropped.
pub(super) struct Room(Arc<Pool>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.vacate();
    }
}

#[cfg(test)]
mod tests;
