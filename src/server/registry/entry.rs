//! One client, as others see it: who it is, what it does, what it has done.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::signal::{Flags, Signal};
use crate::audit::Who;

/// What is known of a client when it enters.
pub(crate) struct Facts {
    /// Who it is, for the audit records too.
    pub(crate) who: Arc<Who>,
    /// The database whose snapshot it lives by; `who` has the name the client gave.
    pub(crate) database: Arc<str>,
    /// The login it uses upstream; its pool is (database, this).
    pub(crate) user: Arc<str>,
    /// Its address, and the proxy's that it came to.
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    /// It came over TLS.
    pub(crate) tls: bool,
    /// It may do more or less in the console, and is in no pool.
    pub(crate) console: bool,
}

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// Connected, and nothing runs.
    Idle = 0,
    /// It has an upstream connection to itself, and uses it.
    Active = 1,
    /// It waits for an upstream connection.
    Waiting = 2,
}

/// What a client has done. Each counter has one writer, the session's task.
#[derive(Default)]
pub(crate) struct Counters {
    transactions: AtomicU64,
    queries: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    waited_us: AtomicU64,
    query_us: AtomicU64,
    transaction_us: AtomicU64,
    assignments: AtomicU64,
}

impl Counters {
    /// A transaction is over.
    pub(crate) fn transaction(&self) {
        self.transactions(1);
    }

    /// So many transactions are over.
    pub(crate) fn transactions(&self, n: u64) {
        add(&self.transactions, n);
    }

    /// Queries were sent.
    pub(crate) fn queries(&self, n: u64) {
        add(&self.queries, n);
    }

    /// Bytes came from the client.
    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.sent, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// The numbers as they are.
    pub(crate) fn read(&self) -> Totals {
        Totals {
            transactions: self.transactions.load(Relaxed),
            queries: self.queries.load(Relaxed),
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            waited_us: self.waited_us.load(Relaxed),
            query_us: self.query_us.load(Relaxed),
            transaction_us: self.transaction_us.load(Relaxed),
            assignments: self.assignments.load(Relaxed),
            logins: 1,
        }
    }
}

/// One writer: no locked instruction is needed.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Sums of what clients have done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    pub(crate) transactions: u64,
    pub(crate) queries: u64,
    /// Bytes from clients.
    pub(crate) received: u64,
    /// Bytes to clients.
    pub(crate) sent: u64,
    /// Microseconds clients waited for an upstream connection.
    pub(crate) waited_us: u64,
    /// Microseconds between queries and their ReadyForQuery.
    pub(crate) query_us: u64,
    /// Microseconds in transactions.
    pub(crate) transaction_us: u64,
    /// How often a client was given a server.
    pub(crate) assignments: u64,
    /// Logins that succeeded.
    pub(crate) logins: u64,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub(crate) fn plus(self, more: Self) -> Self {
        self.with(more, u64::wrapping_add)
    }

    /// What came since.
    #[must_use]
    pub(crate) fn minus(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            transactions: f(self.transactions, other.transactions),
            queries: f(self.queries, other.queries),
            received: f(self.received, other.received),
            sent: f(self.sent, other.sent),
            waited_us: f(self.waited_us, other.waited_us),
            query_us: f(self.query_us, other.query_us),
            transaction_us: f(self.transaction_us, other.transaction_us),
            assignments: f(self.assignments, other.assignments),
            logins: f(self.logins, other.logins),
        }
    }
}

/// One client in the [`Registry`](super::Registry).
pub(crate) struct Entry {
    /// Its number; `who.session` in hexadecimal.
    pub(crate) id: u64,
    /// What was known when it entered.
    pub(crate) facts: Facts,
    /// When it entered.
    pub(crate) since: SystemTime,
    /// What it has done.
    pub(crate) counters: Counters,
    signal: Signal,
    state: AtomicU8,
    pid: AtomicI32,
    /// When its wait, its query and its transaction began; 0 when there is none. This and those that
    /// follow in microseconds after `entered`, and one.
    waits: AtomicU64,
    query: AtomicU64,
    transaction: AtomicU64,
    /// When it last asked for something; 0 before.
    asked: AtomicU64,
    entered: Instant,
    server: Mutex<Option<SocketAddr>>,
}

impl Entry {
    pub(super) fn new(id: u64, facts: Facts) -> Self {
        Self {
            id,
            facts,
            since: SystemTime::now(),
            counters: Counters::default(),
            signal: Signal::new(Flags::POLICY),
            state: AtomicU8::new(State::Idle as u8),
            pid: AtomicI32::new(0),
            waits: AtomicU64::new(0),
            query: AtomicU64::new(0),
            transaction: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            entered: Instant::now(),
            server: Mutex::new(None),
        }
    }

    /// What is asked of the session.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// What it does.
    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            1 => State::Active,
            2 => State::Waiting,
            _ => State::Idle,
        }
    }

    /// It does something else now. The clock is read only around a wait.
    pub(crate) fn set_state(&self, state: State) {
        if state == State::Waiting {
            self.waits.store(self.stamp(), Relaxed);
        } else if self.waits.load(Relaxed) != 0 {
            add(&self.counters.waited_us, self.waiting_us());
            self.waits.store(0, Relaxed);
        }
        self.state.store(state as u8, Relaxed);
    }

    /// How long it has been waiting, in microseconds; 0 when it does not wait.
    pub(crate) fn waiting_us(&self) -> u64 {
        match self.waits.load(Relaxed) {
            0 => 0,
            began => self.stamp().saturating_sub(began),
        }
    }

    /// The server process it is attached to; 0 when none.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.load(Relaxed)
    }

    /// It is attached to this server process, or with 0 to none.
    pub(crate) fn attach(&self, pid: i32) {
        if pid != 0 {
            add(&self.counters.assignments, 1);
        }
        self.pid.store(pid, Relaxed);
    }

    /// The server it is attached to for as long as it lives.
    pub(crate) fn set_server(&self, address: SocketAddr) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// See [`Entry::set_server`].
    pub(crate) fn server(&self) -> Option<SocketAddr> {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asks for something that ends with a ReadyForQuery. Reads the clock once.
    pub(crate) fn begins(&self) {
        let now = self.stamp();
        self.asked.store(now, Relaxed);
        for began in [&self.query, &self.transaction] {
            if began.load(Relaxed) == 0 {
                began.store(now, Relaxed);
            }
        }
        self.set_state(State::Active);
    }

    /// A ReadyForQuery came, outside a transaction or in one. Reads the clock once.
    pub(crate) fn ready(&self, idle: bool) {
        self.answered(idle);
        if idle {
            self.counters.transaction();
        }
    }

    /// The same where transactions are counted by somebody else.
    pub(crate) fn answered(&self, idle: bool) {
        if self.query.load(Relaxed) == 0 && self.transaction.load(Relaxed) == 0 {
            return;
        }
        let now = self.stamp();
        let ends = |began: &AtomicU64, sum: &AtomicU64| match began.swap(0, Relaxed) {
            0 => {}
            began => add(sum, now.saturating_sub(began)),
        };
        ends(&self.query, &self.counters.query_us);
        if idle {
            ends(&self.transaction, &self.counters.transaction_us);
            self.set_state(State::Idle);
        }
    }

    /// When it last asked for something.
    pub(crate) fn asked(&self) -> Option<SystemTime> {
        match self.asked.load(Relaxed) {
            0 => None,
            at => self.since.checked_add(Duration::from_micros(at)),
        }
    }

    fn stamp(&self) -> u64 {
        let micros = u64::try_from(self.entered.elapsed().as_micros());
        micros.unwrap_or(u64::MAX).saturating_add(1)
    }
}
