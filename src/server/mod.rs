//! The process: configuration, listener, sessions, snapshots, audit writer, admin endpoints.
//!
//! [`start`] binds everything and returns a [`Running`]; what happens to one connection cannot touch
//! another: each is a task, and a panic in it ends that session only.

mod admin;
mod asked;
mod audit;
mod binding;
mod clock;
pub mod config;
mod connection;
mod console;
mod database;
mod denied;
mod hosts;
mod listener;
mod metrics;
mod observe;
pub mod policy_files;
mod pool;
mod registry;
mod relay;
mod replication;
mod routines;
mod upstreams;
mod users;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, block_in_place};

pub use self::audit::record;
pub use self::binding::keys;
pub use self::clock::today;
use self::config::Config;
pub(crate) use self::console::Shutdown;
use self::console::Stats;
use self::database::{Database, Failure};
use self::denied::Denials;
use self::hosts::Hosts;
use self::listener::{accept_all, listen};
use self::metrics::Metrics;
use self::observe::Observing;
use self::pool::Pools;
use self::registry::Registry;
pub use self::upstreams::{connect_to_work, read_catalog};
use self::users::Users;
use crate::audit::Sink;
use crate::client::{Acceptor, ServerTls};
use crate::limits;
use crate::mask::token::KeyRing;
use crate::pg::sqlstate;
use crate::policy::{Errors, Policy};
use crate::upstream::{CancelRegistry, Dial, UpstreamTls};

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The policy is wrong.
    #[error("{0}")]
    Policy(Errors),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// TLS towards clients cannot be set up.
    #[error("tls: {0}")]
    Tls(String),
    /// TLS towards PostgreSQL cannot be set up.
    #[error("upstream.tls: {0}")]
    Upstream(String),
    /// A user's verifier or password cannot be used.
    #[error("users: the password or verifier of \"{0}\" cannot be used")]
    Verifier(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The system has no randomness or no threads left.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl StartError {
    fn file(path: &Path, error: &io::Error) -> Self {
        let error = io::Error::new(error.kind(), error.to_string());
        Self::File(path.display().to_string(), error)
    }
}

/// A policy and the keys it names, loaded together.
struct Rules {
    policy: Policy,
    keys: KeyRing,
}

impl Rules {
    fn load(config: &Config) -> Result<Self, Errors> {
        Ok(Self {
            policy: policy_files::load(&config.policies)?,
            keys: keys(config)?,
        })
    }
}

/// What all sessions share.
pub(crate) struct Shared {
    config: Config,
    tls: UpstreamTls,
    hosts: Hosts,
    acceptor: Acceptor,
    rules: ArcSwap<Rules>,
    databases: DashMap<String, Arc<Database>>,
    pools: Pools,
    cancels: Arc<CancelRegistry>,
    sink: Sink,
    metrics: Metrics,
    observing: Observing,
    drain: watch::Sender<bool>,
    /// Connections, those included that have not logged in.
    open: AtomicUsize,
    registry: Arc<Registry>,
    stats: Stats,
    denials: Arc<Denials>,
    /// What the console has ordered.
    shutdown: watch::Sender<Option<Shutdown>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    fn take_tasks(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A task that ends with the process.
    fn adopt(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// The policy as last loaded.
    fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// A database the policy speaks of, followed from its first use on.
    fn database(shared: &Arc<Self>, name: &str) -> Result<Arc<Database>, Failure> {
        if !shared.rules().policy.covers(name) {
            return Err(Failure::not_covered(name));
        }
        if let Some(known) = shared.databases.get(name) {
            known.touch();
            return Ok(Arc::clone(&known));
        }
        if shared.databases.len() >= limits::DATABASES {
            return Err(Failure {
                sqlstate: sqlstate::TOO_MANY_CONNECTIONS.to_owned(),
                message: "too many databases".to_owned(),
            });
        }
        let mut created = false;
        let database = Arc::clone(&shared.databases.entry(name.to_owned()).or_insert_with(|| {
            created = true;
            Arc::new(Database::new(name))
        }));
        database.touch();
        if created {
            shared.adopt(tokio::spawn(database::keep(
                Arc::clone(shared),
                Arc::clone(&database),
            )));
        }
        Ok(database)
    }

    /// Follows every database the policy lists.
    fn follow_listed(shared: &Arc<Self>) {
        for name in &shared.rules().policy.databases {
            if let Err(failure) = Self::database(shared, name) {
                tracing::error!(database = name, "not followed: {}", failure.message);
            }
        }
    }

    /// Waits a while until every database lives by the rules there are now; false if one does not yet.
    async fn refreshed(&self) -> bool {
        let databases: Vec<_> = (self.databases.iter())
            .map(|database| Arc::clone(&database))
            .collect();
        let all = futures::future::join_all(databases.iter().map(|database| database.refresh()));
        all.await.into_iter().all(|done| done)
    }

    /// Lets go of a database that is not listed and that nobody uses. Its task then ends.
    fn forget(&self, database: &Arc<Database>) -> bool {
        if self.rules().policy.databases.contains(&database.name) {
            return false;
        }
        // The map and the task hold one each; more are sessions, and those begin under the map's
        // lock.
        let unused = |_: &String, held: &Arc<Database>| {
            Arc::ptr_eq(held, database) && Arc::strong_count(held) <= 2
        };
        self.databases.remove_if(&database.name, unused).is_some()
    }

    /// A database for what belongs to none: the first the policy lists, or the one every cluster has.
    fn listed_database(&self) -> String {
        let listed = self.rules().policy.databases.first().cloned();
        listed.unwrap_or_else(|| "postgres".to_owned())
    }

    /// Can a new client be served?
    fn readiness(&self) -> Result<(), String> {
        if *self.drain.borrow() {
            return Err("shutting down".to_owned());
        }
        if self.sink.is_closed() {
            return Err("the audit log cannot be written".to_owned());
        }
        for name in &self.rules().policy.databases {
            if self
                .databases
                .get(name)
                .is_none_or(|d| d.current().is_none())
            {
                return Err(format!("database {name} has no snapshot yet"));
            }
        }
        Ok(())
    }

    fn reload(&self) -> Result<(), Errors> {
        match waiting(|| Rules::load(&self.config)) {
            Ok(rules) => {
                self.rules.store(Arc::new(rules));
                for database in &self.databases {
                    database.request();
                }
                tracing::info!("policy reloaded");
                Ok(())
            }
            Err(errors) => {
                Metrics::add(&self.metrics.failed_reloads);
                tracing::error!("policy not reloaded, the old one stays in force: {errors}");
                Err(errors)
            }
        }
    }
}

/// A server that accepts connections.
pub struct Running {
    /// Where clients connect.
    pub addr: SocketAddr,
    /// Where `/healthz` and its siblings are.
    pub admin_addr: Option<SocketAddr>,
    shared: Arc<Shared>,
    listener: JoinHandle<JoinSet<()>>,
    admin: Option<JoinHandle<()>>,
    audit: oneshot::Receiver<()>,
}

impl Running {
    /// Loads the policy again; the old one stays in force if the new one is wrong.
    pub fn reload(&self) -> Result<(), Errors> {
        self.shared.reload()?;
        Shared::follow_listed(&self.shared);
        Ok(())
    }

    /// Resolves when what was reloaded is in force, or was found not to fit a database, however long
    /// that takes.
    pub fn reloaded(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { while !shared.refreshed().await {} }
    }

    /// New queries wait until [`Running::resume`], as by PAUSE in the console.
    pub fn pause(&self) {
        self.shared.registry.pause(None);
    }

    /// Takes every pause back, as by RESUME.
    pub fn resume(&self) {
        self.shared.registry.resume(None);
    }

    /// Resolves when the console orders the process to end.
    pub(crate) async fn ordered(&self) -> Shutdown {
        let mut orders = self.shared.shutdown.subscribe();
        let found = orders.wait_for(Option::is_some).await;
        match found.ok().and_then(|order| *order) {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// Stops accepting, and waits until the last client has left of its own accord.
    pub async fn wait_for_clients(&self) {
        self.shared.drain.send_replace(true);
        if self.shared.config.reuse_port
            && let Some(admin) = &self.admin
        {
            // A probe must find the successor.
            admin.abort();
        }
        while !self.listener.is_finished() || self.clients() > 0 {
            tokio::time::sleep(limits::PAUSE_POLL).await;
        }
    }

    /// Connections that are not the console's.
    fn clients(&self) -> usize {
        let open = self.shared.open.load(Ordering::Acquire);
        open.saturating_sub(self.shared.registry.consoles())
    }

    /// Ends every session at once. [`Running::shutdown`] does the rest.
    pub fn kill_sessions(&self) {
        self.shared.drain.send_replace(true);
        self.shared.registry.kill_database(None);
    }

    /// A new client can be served; the reason why not, otherwise.
    pub fn readiness(&self) -> Result<(), String> {
        self.shared.readiness()
    }

    /// Stops accepting, ends idle sessions, waits for the others, at most [`limits::DRAIN`].
    pub async fn shutdown(self) {
        self.shared.drain.send_replace(true);
        match self.listener.await {
            Ok(mut sessions) => {
                self.shared.registry.drain();
                let all = async { while sessions.join_next().await.is_some() {} };
                if tokio::time::timeout(limits::DRAIN, all).await.is_err() {
                    tracing::warn!(left = sessions.len(), "sessions did not end in time");
                    sessions.shutdown().await;
                }
            }
            Err(error) => tracing::error!(%error, "the listener failed"),
        }
        for task in self.admin.into_iter().chain(self.shared.take_tasks()) {
            task.abort();
            // Aborted: there is nothing to hear from it.
            drop(task.await);
        }
        // Its last sink: the writer ends when it has written what is left.
        drop(self.shared);
        drop(tokio::time::timeout(limits::LINGER, self.audit).await);
    }
}

/// Binds, loads, and starts to serve. Port 0 takes a free port; see [`Running::addr`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let rules = waiting(|| Rules::load(&config)).map_err(StartError::Policy)?;
    let tls = upstreams::tls(&config.upstream)?;
    let client_tls = client_tls(&config)?;
    let (sink, records) = crate::audit::channel(limits::AUDIT_RECORDS);
    let denials = Arc::new(Denials::default());
    let audit =
        audit::start(config.audit.as_deref(), records, Arc::clone(&denials)).map_err(|e| {
            StartError::file(config.audit.as_deref().unwrap_or(Path::new("stdout")), &e)
        })?;
    let reuse = config.reuse_port;
    let listener = listen(config.listen, reuse)?;
    let addr = listener.local_addr()?;
    let admin = config.admin.map(|at| listen(at, reuse)).transpose()?;
    let admin_addr = admin.as_ref().map(TcpListener::local_addr).transpose()?;
    let users = Arc::new(Users::new(&config)?);
    let credentials = Arc::clone(&users);
    let dial = Dial {
        timeout: config.upstream.connect_timeout,
        tcp: config.tcp,
    };
    let shared = Arc::new(Shared {
        pools: Pools::new(config.pool.clone()),
        tls,
        hosts: Hosts::new(&config.upstream, dial),
        acceptor: Acceptor::new(client_tls, credentials)?.with_tcp(config.tcp),
        rules: ArcSwap::from_pointee(rules),
        databases: DashMap::new(),
        cancels: Arc::new(CancelRegistry::new()),
        sink,
        metrics: Metrics::default(),
        observing: Observing::default(),
        drain: watch::Sender::new(false),
        open: AtomicUsize::new(0),
        registry: Registry::new(config.max_connections.clone()),
        stats: Stats::default(),
        denials,
        shutdown: watch::Sender::new(None),
        tasks: Mutex::new(Vec::new()),
        config,
    });
    users.attach(&shared);
    shared.adopt(tokio::spawn(Hosts::watch(Arc::clone(&shared))));
    shared.adopt(tokio::spawn(Pools::keep(Arc::clone(&shared))));
    shared.adopt(tokio::spawn(console::keep_stats(Arc::clone(&shared))));
    Shared::follow_listed(&shared);
    let admin = admin.map(|l| tokio::spawn(admin::serve(l, Arc::clone(&shared))));
    let listener = tokio::spawn(accept_all(listener, Arc::clone(&shared)));
    Ok(Running {
        addr,
        admin_addr,
        shared,
        listener,
        admin,
        audit,
    })
}

/// Runs what takes its time, a key's derivation or a command, while others take over this thread's tasks.
fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

fn client_tls(config: &Config) -> Result<Option<ServerTls>, StartError> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    let read = |path: &Path| fs::read(path).map_err(|e| StartError::file(path, &e));
    let ca = tls.client_ca.as_deref().map(read).transpose()?;
    let chain = read(&tls.certificate)?;
    ServerTls::new(&chain, &read(&tls.key)?, ca.as_deref(), tls.required)
        .map(Some)
        .map_err(|e| StartError::Tls(e.to_string()))
}
