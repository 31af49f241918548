//! One client, as others see it: who it is, what it does, what it has done.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

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
    /// It came over TLS.
    pub(crate) tls: bool,
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
}

impl Totals {
    /// Both together.
    pub(crate) fn add(&mut self, more: Self) {
        self.transactions = self.transactions.wrapping_add(more.transactions);
        self.queries = self.queries.wrapping_add(more.queries);
        self.received = self.received.wrapping_add(more.received);
        self.sent = self.sent.wrapping_add(more.sent);
        self.waited_us = self.waited_us.wrapping_add(more.waited_us);
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
    /// Microseconds after `entered` at which its wait began, and one; 0 when it does not wait.
    waits: AtomicU64,
    entered: Instant,
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
            entered: Instant::now(),
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
            let now = self.micros().saturating_add(1);
            self.waits.store(now, Relaxed);
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
            began => self.micros().saturating_add(1).saturating_sub(began),
        }
    }

    /// The server process it is attached to; 0 when none.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.load(Relaxed)
    }

    /// It is attached to this server process, or with 0 to none.
    pub(crate) fn attach(&self, pid: i32) {
        self.pid.store(pid, Relaxed);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.entered.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
