//! One database: its snapshot, and the task that keeps it current.
//!
//! The task holds one connection as the catalog login. It looks every second whether the catalog
//! changed, reads it again when it did or when somebody asks (a reload, DDL through the proxy, an
//! unknown name), binds the policy to it, and publishes both as one. What fails leaves the last good
//! snapshot in force and says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::metrics::Metrics;
use super::{Rules, Shared, binding, upstreams};
use crate::limits;
use crate::pg::sqlstate;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamConnection;

/// What is in force: a policy, and its binding to a catalog.
pub(super) struct Published {
    pub(super) rules: Arc<Rules>,
    pub(super) snapshot: Arc<Snapshot>,
}

/// Why there is no snapshot, in words a client may see.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) sqlstate: String,
    pub(super) message: String,
}

#[derive(Clone, Default)]
struct Progress {
    /// The newest request that was served.
    served: u64,
    /// The epoch in force.
    epoch: u64,
    failure: Option<Failure>,
}

/// One database behind the proxy.
pub(super) struct Database {
    pub(super) name: String,
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

    /// Tells of each new epoch.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.progress.subscribe())
    }

    /// Asks for a fresh catalog without waiting for it.
    pub(super) fn request(&self) -> u64 {
        let wanted = self.wanted.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.wake.notify_one();
        wanted
    }

    /// Asks for a fresh catalog and waits a while for it. Requests made meanwhile share one reading.
    pub(super) async fn refresh(&self) {
        let wanted = self.request();
        let mut progress = self.progress.subscribe();
        let served = progress.wait_for(|p| p.served >= wanted);
        // Too late or never: the caller goes on with what is in force.
        drop(timeout(limits::REFRESH_WAIT, served).await);
    }

    /// The first snapshot, waited for.
    pub(super) async fn ready(&self) -> Result<Arc<Published>, Failure> {
        if let Some(published) = self.current() {
            return Ok(published);
        }
        let mut progress = self.progress.subscribe();
        let known = progress.wait_for(|p| p.epoch > 0 || p.failure.is_some());
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

/// Resolves when another epoch is in force.
pub(super) struct Changes(watch::Receiver<Progress>);

impl Changes {
    /// Waits for the next change; for ever, if the database is gone.
    pub(super) async fn next(&mut self) {
        let epoch = self.0.borrow_and_update().epoch;
        if self.0.wait_for(|p| p.epoch != epoch).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What the last reading was made from.
#[derive(Default)]
struct Last {
    connection: Option<UpstreamConnection>,
    probe: String,
    rules: Option<Arc<Rules>>,
    fingerprint: Option<u64>,
    epoch: u64,
}

/// Keeps a database's snapshot current until the process ends.
pub(super) async fn keep(shared: Arc<Shared>, database: Arc<Database>) {
    let mut last = Last::default();
    loop {
        let wanted = database.wanted.load(Ordering::Acquire);
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
        let epoch = last.epoch;
        database.progress.send_modify(|p| {
            p.served = wanted;
            p.epoch = epoch;
            p.failure = failure;
        });
        let deadline = Instant::now() + pause;
        tokio::select! {
            () = database.wake.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

async fn step(shared: &Shared, database: &Database, last: &mut Last) -> Result<(), Failure> {
    let connection = match &mut last.connection {
        Some(connection) => connection,
        none => {
            let upstream = &shared.config.upstream;
            let connected = upstreams::catalog_connection(upstream, &shared.tls, &database.name);
            none.insert(connected.await.map_err(|e| binding::failure(&e))?)
        }
    };
    let rules = shared.rules();
    let same_rules = last.rules.as_ref().is_some_and(|r| Arc::ptr_eq(r, &rules));
    if same_rules && binding::probe(connection).await? == last.probe {
        return Ok(());
    }
    let read = binding::read(connection).await?;
    let (catalog, known) = (read.catalog, last.fingerprint);
    last.probe = read.probe;
    // A policy that does not bind is not tried again until it or the catalog changes.
    last.rules = Some(Arc::clone(&rules));
    last.fingerprint = Some(catalog.fingerprint);
    if same_rules && known == Some(catalog.fingerprint) {
        return Ok(());
    }
    let bound = binding::bind(&rules, &catalog)?;
    let epoch = last.epoch.saturating_add(1);
    database.published.store(Some(Arc::new(Published {
        rules,
        snapshot: Arc::new(Snapshot {
            catalog: Arc::new(catalog),
            policy: Arc::new(bound),
            epoch,
        }),
    })));
    last.epoch = epoch;
    Metrics::add(&shared.metrics.snapshots);
    tracing::info!(database = database.name, epoch, "snapshot published");
    Ok(())
}
