//! One database: its snapshot, and the task that keeps it current.
//!
//! The task holds one connection as the catalog login. It looks every second whether the catalog
//! changed, reads it again when it did or when somebody asks (a reload, DDL through the proxy, an
//! unknown name), binds the policy to it, and publishes both as one. What fails leaves the last good
//! snapshot in force and says why.
//!
//! A database the policy lists is followed as long as the process lives. Any other is let go soon
//! after its last session: the task's own connection must not be what keeps a database from being
//! dropped or copied, and a name that does not exist must not be tried for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::config::PoolMode;
use super::metrics::Metrics;
use super::{Rules, Shared, binding, clock, routines, upstreams};
use crate::catalog::Catalog;
use crate::limits;
use crate::pg::sqlstate;
use crate::plan::Plans;
use crate::pooling::Routines;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamConnection;

/// What is in force: a policy, and its binding to a catalog.
pub(super) struct Published {
    pub(super) rules: Arc<Rules>,
    pub(super) snapshot: Arc<Snapshot>,
    /// Which functions leave something behind; nothing is known of them unless connections are lent.
    pub(super) routines: Arc<Routines>,
    /// Plans made on that snapshot.
    pub(super) plans: Plans,
    /// Unix time, in seconds, at which the policy becomes another by itself, if it ever does.
    until: Option<i64>,
}

impl Published {
    /// The policy says something else by now than this binding of it.
    pub(super) fn is_over(&self) -> bool {
        self.until
            .is_some_and(|until| clock::unix_seconds() >= until)
    }
}

/// Why there is no snapshot, in words a client may see.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) sqlstate: String,
    pub(super) message: String,
}

impl Failure {
    /// The policy lists databases, and not this one.
    pub(super) fn not_covered(name: &str) -> Self {
        Self {
            sqlstate: sqlstate::INVALID_CATALOG_NAME.to_owned(),
            message: format!("the policy does not speak of database \"{name}\""),
        }
    }
}

#[derive(Clone, Default)]
struct Progress {
    /// The newest request that was served.
    served: u64,
    /// When the last reading that succeeded began.
    as_of: Option<Instant>,
    failure: Option<Failure>,
}

/// One database behind the proxy.
pub(super) struct Database {
    pub(super) name: String,
    /// How often a session asked for it.
    uses: AtomicU64,
    published: ArcSwapOption<Published>,
    wanted: AtomicU64,
    wake: Notify,
    progress: watch::Sender<Progress>,
}

impl Database {
    /// Not read yet; [`keep`] does that.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            uses: AtomicU64::new(0),
            published: ArcSwapOption::empty(),
            wanted: AtomicU64::new(0),
            wake: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// What is in force, if anything is.
    pub(super) fn current(&self) -> Option<Arc<Published>> {
        self.published.load_full()
    }

    /// Which functions leave something behind.
    pub(super) fn routines(&self) -> Arc<Routines> {
        self.current()
            .map_or_else(Arc::default, |published| Arc::clone(&published.routines))
    }

    /// Somebody is about to use it.
    pub(super) fn touch(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for a fresh catalog without waiting for it.
    pub(super) fn request(&self) -> u64 {
        let wanted = self.wanted.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.wake.notify_one();
        wanted
    }

    /// Asks for a fresh catalog and waits a while for it; false if that was too short, and the caller
    /// goes on with what is in force. Requests made meanwhile share one reading.
    pub(super) async fn refresh(&self) -> bool {
        let wanted = self.request();
        let mut progress = self.progress.subscribe();
        let served = progress.wait_for(|p| p.served >= wanted);
        timeout(limits::REFRESH_WAIT, served).await.is_ok()
    }

    /// A session begins whose statements are decided on the catalog: what was done to it a moment ago, in
    /// another session, is to be known to its first. Logins that follow each other share one reading.
    pub(super) async fn recent(&self) {
        let as_of = self.progress.borrow().as_of;
        if as_of.is_none_or(|at| at.elapsed() > limits::CATALOG_RECENT) {
            self.refresh().await;
        }
    }

    /// The first snapshot, waited for. A failure is never an old one: the database may have been
    /// created, or the server started, a moment ago.
    pub(super) async fn ready(&self) -> Result<Arc<Published>, Failure> {
        if let Some(published) = self.current() {
            return Ok(published);
        }
        let wanted = self.request();
        let mut progress = self.progress.subscribe();
        let known = progress.wait_for(|p| p.served >= wanted || self.current().is_some());
        let failure = match timeout(limits::SNAPSHOT_WAIT, known).await {
            Ok(Ok(progress)) => progress.failure.clone(),
            _ => None,
        };
        self.current().ok_or_else(|| {
            failure.unwrap_or_else(|| Failure {
                sqlstate: sqlstate::CANNOT_CONNECT_NOW.to_owned(),
                message: "the catalog of this database has not been read yet".to_owned(),
            })
        })
    }
}

/// What the last reading was made from.
#[derive(Default)]
struct Last {
    connection: Option<UpstreamConnection>,
    /// Of [`Hosts`](super::hosts::Hosts), when the connection was made.
    generation: u64,
    probe: String,
    rules: Option<Arc<Rules>>,
    fingerprint: Option<u64>,
    routines: routines::Known,
    epoch: u64,
}

/// Keeps a database's snapshot current until nobody needs it any more.
pub(super) async fn keep(shared: Arc<Shared>, database: Arc<Database>) {
    let mut last = Last::default();
    let mut uses = None;
    loop {
        let wanted = database.wanted.load(Ordering::Acquire);
        let (epoch, began) = (last.epoch, Instant::now());
        let failure = match step(&shared, &database, &mut last).await {
            Ok(()) => None,
            Err(failure) => {
                last.connection = None;
                Metrics::add(&shared.metrics.failed_reloads);
                tracing::warn!(
                    database = database.name,
                    sqlstate = failure.sqlstate,
                    "snapshot not renewed: {}",
                    failure.message
                );
                Some(failure)
            }
        };
        let pause = if failure.is_some() {
            limits::CATALOG_RETRY
        } else {
            limits::CATALOG_POLL
        };
        if last.epoch != epoch {
            shared.registry.policy_changed(&database.name);
            shared.pools.outdate();
        }
        database.progress.send_modify(|p| {
            p.served = wanted;
            if failure.is_none() {
                p.as_of = Some(began);
            }
            p.failure = failure;
        });
        let deadline = Instant::now() + pause;
        tokio::select! {
            () = database.wake.notified() => {}
            () = tokio::time::sleep_until(deadline) => {
                // Unused for a whole pause; a database in use by short sessions is not read anew for
                // each of them.
                let now = database.uses.load(Ordering::Relaxed);
                if uses.replace(now) == Some(now) && shared.forget(&database) {
                    return;
                }
            }
        }
    }
}

/// Binds the rules to a catalog and puts both into force.
fn publish(
    shared: &Shared,
    database: &Database,
    last: &mut Last,
    rules: Arc<Rules>,
    catalog: Arc<Catalog>,
    routines: Arc<Routines>,
) -> Result<(), Failure> {
    // Before the binding: a day that ends meanwhile is found to have ended.
    let today = clock::today();
    let bound = binding::bind(&rules, &catalog, today)?;
    let epoch = last.epoch.saturating_add(1);
    database.published.store(Some(Arc::new(Published {
        until: rules.policy.next_end(today),
        rules,
        snapshot: Arc::new(Snapshot {
            catalog,
            policy: Arc::new(bound),
            epoch,
        }),
        routines,
        plans: Plans::default(),
    })));
    last.epoch = epoch;
    Metrics::add(&shared.metrics.snapshots);
    tracing::info!(database = database.name, epoch, "snapshot published");
    Ok(())
}

async fn step(shared: &Shared, database: &Database, last: &mut Last) -> Result<(), Failure> {
    let rules = shared.rules();
    if !rules.policy.covers(&database.name) {
        // A reload took it out of the policy.
        database.published.store(None);
        last.rules = None;
        last.epoch = last.epoch.saturating_add(1);
        return Err(Failure::not_covered(&database.name));
    }
    let tried = last.rules.as_ref().is_some_and(|r| Arc::ptr_eq(r, &rules));
    if let Some(current) = database.current()
        && (current.is_over() || !tried)
    {
        // Without asking PostgreSQL: it may be away for longer than what has ended, or was replaced, may
        // stay in force.
        let put = |last: &mut Last, rules: &Arc<Rules>| {
            let catalog = Arc::clone(&current.snapshot.catalog);
            let routines = Arc::clone(&current.routines);
            publish(shared, database, last, Arc::clone(rules), catalog, routines)
        };
        // What does not bind to this catalog may to the one there is now.
        if !tried && put(last, &rules).is_ok() {
            last.rules = Some(Arc::clone(&rules));
        } else if current.is_over() {
            put(last, &current.rules)?;
        }
    }
    if last.generation != shared.hosts.generation() {
        // Sessions go to another server now, and its catalog is what counts.
        last.connection = None;
    }
    let connection = match &mut last.connection {
        Some(connection) => connection,
        none => {
            let upstream = &shared.config.upstream;
            let (hosts, tls) = (&shared.hosts, &shared.tls);
            let connected = upstreams::catalog_connection(hosts, upstream, tls, &database.name);
            let connected = connected.await.map_err(|e| binding::failure(&e))?;
            // As it is now: to connect is to find something out.
            last.generation = hosts.generation();
            none.insert(connected)
        }
    };
    let same_rules = last.rules.as_ref().is_some_and(|r| Arc::ptr_eq(r, &rules));
    if same_rules && binding::probe(connection).await? == last.probe {
        return Ok(());
    }
    let read = binding::read(connection).await?;
    let routines = match shared.config.pool.mode {
        PoolMode::Transaction => last.routines.read(connection).await,
        PoolMode::Session => database.routines(),
    };
    let (catalog, known) = (read.catalog, last.fingerprint);
    last.probe = read.probe;
    // A policy that does not bind is not tried again until it or the catalog changes.
    last.rules = Some(Arc::clone(&rules));
    last.fingerprint = Some(catalog.fingerprint);
    let same_routines = Arc::ptr_eq(&routines, &database.routines());
    if same_rules && same_routines && known == Some(catalog.fingerprint) {
        return Ok(());
    }
    publish(shared, database, last, rules, Arc::new(catalog), routines)
}
