//! Who is connected: one [`Entry`] per session, for as long as its [`Client`] guard lives.
//!
//! What concerns many sessions, a drain, a pause, a new policy, is written here once and raised in
//! each [`Signal`]; a session that enters afterwards starts with it. Deliberately absent: any socket.
//! A session ends itself when it sees that it is asked to.

mod entry;
mod signal;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

pub(crate) use self::entry::{Entry, Facts, State, Totals};
pub(crate) use self::signal::Flags;

/// All sessions of the process.
pub(crate) struct Registry {
    next: AtomicU64,
    entries: DashMap<u64, Arc<Entry>>,
    orders: Mutex<Orders>,
    /// What sessions that are gone have done, by database.
    past: Mutex<BTreeMap<Arc<str>, Totals>>,
}

/// What holds for every session, and for those to come.
#[derive(Default)]
struct Orders {
    draining: bool,
    paused: bool,
    paused_databases: BTreeSet<String>,
}

impl Orders {
    fn flags(&self, database: &str) -> Flags {
        let mut flags = Flags::NONE;
        if self.draining {
            flags = flags | Flags::DRAIN;
        }
        if self.paused || self.paused_databases.contains(database) {
            flags = flags | Flags::PAUSE;
        }
        flags
    }
}

impl Registry {
    /// Nobody is connected.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(1),
            entries: DashMap::new(),
            orders: Mutex::default(),
            past: Mutex::default(),
        })
    }

    /// A number no session has had.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A session begins, under a number of [`Registry::number`]. It is listed until the guard is
    /// dropped.
    pub(crate) fn enter(self: &Arc<Self>, id: u64, facts: Facts) -> Client {
        let entry = Arc::new(Entry::new(id, facts));
        // Under the lock, so that an order is either seen here or raised in the entry.
        let orders = self.orders();
        self.entries.insert(id, Arc::clone(&entry));
        entry.signal().raise(orders.flags(&entry.facts.database));
        drop(orders);
        Client {
            entry,
            registry: Arc::clone(self),
        }
    }

    /// Looks at every session.
    pub(crate) fn each(&self, mut look: impl FnMut(&Entry)) {
        for entry in &self.entries {
            look(entry.value());
        }
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Ends one session now; false if there is none of this number.
    pub(crate) fn kill(&self, id: u64) -> bool {
        let found = self.entries.get(&id);
        if let Some(entry) = &found {
            entry.signal().raise(Flags::KILL);
        }
        found.is_some()
    }

    /// Ends every session of a database now, and says how many.
    pub(crate) fn kill_database(&self, database: &str) -> usize {
        self.raise(Flags::KILL, |entry| &*entry.facts.database == database)
    }

    /// Sessions end as soon as nothing of them runs, those to come at once.
    pub(crate) fn drain(&self) {
        let mut orders = self.orders();
        orders.draining = true;
        self.raise(Flags::DRAIN, |_| true);
    }

    /// The process stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.orders().draining
    }

    /// Another snapshot of this database is in force.
    pub(crate) fn policy_changed(&self, database: &str) {
        self.raise(Flags::POLICY, |entry| &*entry.facts.database == database);
    }

    /// Nothing new begins upstream: in one database, or in all.
    pub(crate) fn pause(&self, database: Option<&str>) {
        let mut orders = self.orders();
        match database {
            Some(name) => drop(orders.paused_databases.insert(name.to_owned())),
            None => orders.paused = true,
        }
        self.raise(Flags::PAUSE, |entry| concerns(database, entry));
    }

    /// Takes a pause back: of one database, or every pause there is. False if there was none.
    pub(crate) fn resume(&self, database: Option<&str>) -> bool {
        let mut orders = self.orders();
        let found = if let Some(name) = database {
            orders.paused_databases.remove(name)
        } else {
            let databases = std::mem::take(&mut orders.paused_databases);
            std::mem::take(&mut orders.paused) || !databases.is_empty()
        };
        for entry in &self.entries {
            if !orders.flags(&entry.facts.database).any(Flags::PAUSE) {
                entry.signal().lower(Flags::PAUSE);
            }
        }
        found
    }

    /// A pause holds for this database.
    pub(crate) fn is_paused(&self, database: &str) -> bool {
        self.orders().flags(database).any(Flags::PAUSE)
    }

    /// How many sessions of a database, or of all, are attached to a server process.
    pub(crate) fn attached(&self, database: Option<&str>) -> usize {
        let entries = self.entries.iter();
        entries
            .filter(|entry| concerns(database, entry) && entry.pid() != 0)
            .count()
    }

    /// What sessions have done, those that are gone included, by database.
    pub(crate) fn totals(&self) -> BTreeMap<Arc<str>, Totals> {
        // Under the lock: a session that leaves meanwhile is in one of the two, not in both.
        let past = self.past();
        let mut totals = past.clone();
        for entry in &self.entries {
            let sum = totals.entry(Arc::clone(&entry.facts.database)).or_default();
            sum.add(entry.counters.read());
        }
        totals
    }

    fn raise(&self, flags: Flags, concerned: impl Fn(&Entry) -> bool) -> usize {
        let concerned = self.entries.iter().filter(|entry| concerned(entry));
        concerned.map(|e| e.signal().raise(flags)).count()
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn past(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Totals>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn concerns(database: Option<&str>, entry: &Entry) -> bool {
    database.is_none_or(|name| name == &*entry.facts.database)
}

/// A session's place in the registry, given up when it is dropped.
pub(crate) struct Client {
    entry: Arc<Entry>,
    registry: Arc<Registry>,
}

impl Client {
    /// The entry itself, to be kept beyond the guard.
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Deref for Client {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut past = self.registry.past();
        let sum = past.entry(Arc::clone(&self.facts.database)).or_default();
        sum.add(self.counters.read());
        self.registry.entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Client, Facts, Flags, Registry, State};
    use crate::audit::Who;

    fn enter(registry: &Arc<Registry>, database: &str) -> Client {
        let facts = Facts {
            who: Arc::new(Who::default()),
            database: Arc::from(database),
            user: Arc::from("login"),
            tls: false,
        };
        registry.enter(registry.number(), facts)
    }

    #[test]
    fn a_session_is_listed_until_its_guard_is_dropped_and_its_work_remembered() {
        let registry = Registry::new();
        let (one, two) = (enter(&registry, "a"), enter(&registry, "a"));
        one.counters.transaction();
        two.counters.transaction();
        two.counters.received(7);
        drop(two);
        assert_eq!(registry.len(), 1);
        let totals = registry.totals();
        let total = totals.values().next().unwrap();
        assert_eq!(
            (totals.len(), total.transactions, total.received),
            (1, 2, 7)
        );
        let mut ids = Vec::new();
        registry.each(|entry| ids.push(entry.id));
        assert_eq!(ids, [one.id]);
    }

    #[test]
    fn killing_concerns_one_session_or_one_database() {
        let registry = Registry::new();
        let killed = |c: &Client| c.signal().now().any(Flags::KILL);
        let (a, b, other) = (
            enter(&registry, "a"),
            enter(&registry, "a"),
            enter(&registry, "b"),
        );
        assert!(registry.kill(a.id));
        assert!(!registry.kill(99));
        assert_eq!([&a, &b, &other].map(killed), [true, false, false]);
        assert_eq!(registry.kill_database("a"), 2);
        assert_eq!([&a, &b, &other].map(killed), [true, true, false]);
    }

    #[test]
    fn an_order_holds_for_those_who_come_later() {
        let registry = Registry::new();
        let paused = |c: &Client| c.signal().now().any(Flags::PAUSE);
        let before = enter(&registry, "a");
        registry.pause(Some("a"));
        registry.pause(None);
        let (after, other) = (enter(&registry, "a"), enter(&registry, "b"));
        assert_eq!([&before, &after, &other].map(paused), [true; 3]);
        assert!(registry.resume(Some("a")));
        // The pause of everything still holds.
        assert_eq!([&before, &after, &other].map(paused), [true; 3]);
        assert!(registry.resume(None));
        assert!(!registry.resume(None));
        assert_eq!([&before, &after, &other].map(paused), [false; 3]);
        registry.drain();
        assert!(enter(&registry, "c").signal().now().any(Flags::DRAIN));
    }

    #[test]
    fn a_wait_is_measured_while_it_lasts_and_counted_when_it_ends() {
        let registry = Registry::new();
        let client = enter(&registry, "a");
        client.set_state(State::Waiting);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(client.waiting_us() >= 2000);
        client.set_state(State::Active);
        assert_eq!(client.waiting_us(), 0);
        assert!(client.counters.read().waited_us >= 2000);
    }

    #[test]
    fn a_pause_waits_for_the_attached() {
        let registry = Registry::new();
        let (a, b) = (enter(&registry, "a"), enter(&registry, "b"));
        a.attach(41);
        b.attach(42);
        assert_eq!(
            (registry.attached(None), registry.attached(Some("a"))),
            (2, 1)
        );
        a.attach(0);
        assert_eq!(registry.attached(Some("a")), 0);
    }
}
