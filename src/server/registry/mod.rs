//! Who is connected: one [`Entry`] per session, for as long as its [`Client`] guard lives.
//!
//! What concerns many sessions, a drain, a pause, a new policy, is written here once and raised in
//! each [`Signal`]; a session that enters afterwards starts with it. Deliberately absent: any socket.
//! A session ends itself when it sees that it is asked to.

mod entry;
mod signal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use thiserror::Error;

use super::config::MaxConnections;

pub(crate) use self::entry::{Entry, Facts, State, Totals};
pub(crate) use self::signal::Flags;

/// All sessions of the process.
pub(crate) struct Registry {
    next: AtomicU64,
    most: MaxConnections,
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
    /// Sessions by role and by login, and all of them: the console's are not counted.
    roles: HashMap<String, u32>,
    logins: HashMap<String, u32>,
    total: u32,
}

/// There is no room for another session.
#[derive(Debug, Error)]
pub(crate) enum Full {
    /// `max_connections.total`
    #[error("sorry, too many clients already")]
    Total,
    /// `max_connections.roles`
    #[error("too many connections for role \"{0}\"")]
    Role(String),
    /// `max_connections.logins`
    #[error("too many connections for login \"{0}\"")]
    Login(String),
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

    fn admit(&mut self, facts: &Facts, most: &MaxConnections) -> Result<(), Full> {
        if facts.console {
            return Ok(());
        }
        let (role, login) = (&facts.who.role, &facts.who.login);
        if self.total >= most.total {
            return Err(Full::Total);
        }
        if is_full(&self.roles, &most.roles, role) {
            return Err(Full::Role(role.clone()));
        }
        if is_full(&self.logins, &most.logins, login) {
            return Err(Full::Login(login.clone()));
        }
        self.total = self.total.saturating_add(1);
        for (counts, name) in [(&mut self.roles, role), (&mut self.logins, login)] {
            let count = counts.entry(name.clone()).or_default();
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    fn leave(&mut self, facts: &Facts) {
        if facts.console {
            return;
        }
        self.total = self.total.saturating_sub(1);
        let names = [&facts.who.role, &facts.who.login];
        for (counts, name) in [&mut self.roles, &mut self.logins].into_iter().zip(names) {
            if let Some(count) = counts.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(name);
                }
            }
        }
    }
}

fn is_full(counts: &HashMap<String, u32>, most: &BTreeMap<String, u32>, name: &str) -> bool {
    let most = most.get(name).or_else(|| most.get("*"));
    most.is_some_and(|most| counts.get(name).copied().unwrap_or(0) >= *most)
}

impl Registry {
    /// Nobody is connected.
    pub(crate) fn new(most: MaxConnections) -> Arc<Self> {
        Arc::new(Self {
            most,
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
    pub(crate) fn enter(self: &Arc<Self>, id: u64, facts: Facts) -> Result<Client, Full> {
        // Under the lock, so that an order is either seen here or raised in the entry.
        let mut orders = self.orders();
        orders.admit(&facts, &self.most)?;
        let entry = Arc::new(Entry::new(id, facts));
        self.entries.insert(id, Arc::clone(&entry));
        entry.signal().raise(orders.flags(&entry.facts.database));
        drop(orders);
        Ok(Client {
            entry,
            registry: Arc::clone(self),
        })
    }

    /// Looks at every session.
    pub(crate) fn each(&self, mut look: impl FnMut(&Entry)) {
        for entry in &self.entries {
            look(entry.value());
        }
    }

    /// How many sessions there are, those of the console left out.
    pub(crate) fn len(&self) -> u32 {
        self.orders().total
    }

    /// How many sessions are the console's.
    pub(crate) fn consoles(&self) -> usize {
        self.entries.iter().filter(|e| e.facts.console).count()
    }

    /// How many sessions a login has.
    pub(crate) fn of_login(&self, login: &str) -> u32 {
        self.orders().logins.get(login).copied().unwrap_or(0)
    }

    /// Ends one session now; false if there is none of this number.
    pub(crate) fn kill(&self, id: u64) -> bool {
        let found = self.entries.get(&id);
        if let Some(entry) = &found {
            entry.signal().raise(Flags::KILL);
        }
        found.is_some()
    }

    /// Ends every session of a database now, or of all; says how many.
    pub(crate) fn kill_database(&self, database: Option<&str>) -> usize {
        self.raise(Flags::KILL, |entry| concerns(database, entry))
    }

    /// Sessions end as soon as nothing of them runs, those to come at once.
    pub(crate) fn drain(&self) {
        let mut orders = self.orders();
        orders.draining = true;
        self.raise(Flags::DRAIN, |_| true);
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
            *sum = sum.plus(entry.counters.read());
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
    !entry.facts.console && database.is_none_or(|name| name == &*entry.facts.database)
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
        *sum = sum.plus(self.counters.read());
        self.registry.entries.remove(&self.id);
        drop(past);
        self.registry.orders().leave(&self.facts);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Client, Facts, Flags, MaxConnections, Registry, State};
    use crate::audit::Who;

    fn enter(registry: &Arc<Registry>, database: &str) -> Client {
        let facts = facts(database, "", "");
        registry.enter(registry.number(), facts).unwrap()
    }

    fn facts(database: &str, role: &str, login: &str) -> Facts {
        Facts {
            who: Arc::new(Who {
                role: role.to_owned(),
                login: login.to_owned(),
                ..Who::default()
            }),
            database: Arc::from(database),
            user: Arc::from("login"),
            peer: ([127, 0, 0, 1], 1).into(),
            local: None,
            tls: false,
            console: false,
        }
    }

    #[test]
    fn a_session_is_listed_until_its_guard_is_dropped_and_its_work_remembered() {
        let registry = Registry::new(MaxConnections::default());
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
        let registry = Registry::new(MaxConnections::default());
        let killed = |c: &Client| c.signal().now().any(Flags::KILL);
        let (a, b, other) = (
            enter(&registry, "a"),
            enter(&registry, "a"),
            enter(&registry, "b"),
        );
        assert!(registry.kill(a.id));
        assert!(!registry.kill(99));
        assert_eq!([&a, &b, &other].map(killed), [true, false, false]);
        assert_eq!(registry.kill_database(Some("a")), 2);
        assert_eq!([&a, &b, &other].map(killed), [true, true, false]);
    }

    #[test]
    fn an_order_holds_for_those_who_come_later() {
        let registry = Registry::new(MaxConnections::default());
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
        let registry = Registry::new(MaxConnections::default());
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
        let registry = Registry::new(MaxConnections::default());
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

    #[test]
    fn roles_and_logins_have_their_bounds_and_the_console_none() {
        let most = MaxConnections {
            total: 4,
            roles: [("few", 1), ("*", 3)]
                .map(|(n, c)| (n.to_owned(), c))
                .into(),
            logins: [("ada", 2)].map(|(n, c)| (n.to_owned(), c)).into(),
        };
        let registry = Registry::new(most);
        let enter = |role: &str, login: &str| {
            let entered = registry.enter(registry.number(), facts("a", role, login));
            entered.map_err(|full| full.to_string())
        };
        let few = enter("few", "bob").unwrap();
        assert_eq!(
            enter("few", "eve").err().unwrap(),
            "too many connections for role \"few\""
        );
        let (_one, two) = (enter("many", "ada").unwrap(), enter("many", "ada").unwrap());
        assert_eq!(
            enter("many", "ada").err().unwrap(),
            "too many connections for login \"ada\""
        );
        let _third = enter("many", "bob").unwrap();
        let total = enter("other", "eve").err().unwrap();
        assert_eq!(total, "sorry, too many clients already");
        let console = Facts {
            console: true,
            ..facts("pgveil", "", "ops")
        };
        assert!(registry.enter(registry.number(), console).is_ok());
        // Who leaves makes room, and who was refused took none.
        drop((few, two));
        assert!(enter("few", "ada").is_ok());
        assert_eq!(registry.of_login("ada"), 1);
    }
}
