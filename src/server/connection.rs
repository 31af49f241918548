//! One client connection, from accept to the beginning of its session; [`conversation`] is the rest.

mod conversation;

use std::sync::Arc;

use tokio::net::TcpStream;

use super::config::{Login, PoolMode};
use super::database::{Database, Failure, Published};
use super::metrics::Metrics;
use super::pool::{self, Pool, Room, Welcome};
use super::registry::{Client, Facts, Flags, State};
use super::replication::Replication;
use super::{Shared, asked, clock, console, upstreams};
use crate::audit::{Event, Record, Ticket, Who};
use crate::client::{Accepted, ClientConnection, accept, close};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::plan::{Plan, Refusal, plan_verbatim};
use crate::policy::ClientIdentity;
use crate::session::{self, Observer, Start, UpstreamStartup};
use crate::upstream::{Borrowed, Registration, Upstream, UpstreamConnection, cancel};
use crate::wire::Report;

/// Serves one socket.
pub(super) async fn serve(shared: Arc<Shared>, tcp: TcpStream) {
    // Of what it takes to let a client in, a session that is in keeps nothing.
    match Box::pin(accept(tcp, &shared.acceptor)).await {
        Ok(Accepted::Session(client)) => {
            if console::is_meant(&shared.config, &client.startup.database) {
                return Box::pin(console::serve(&shared, client)).await;
            }
            begin(shared, client).await;
        }
        Ok(Accepted::Cancel { stream, pid, key }) => {
            forward_cancel(&shared, pid, &key).await;
            close(stream, &[]).await;
        }
        Ok(Accepted::Gone) => {}
        Err(error) => {
            Metrics::add(&shared.metrics.failed_logins);
            tracing::info!(sqlstate = error.sqlstate(), "connection refused");
        }
    }
}

async fn forward_cancel(shared: &Shared, pid: i32, key: &[u8]) {
    if let Some(found) = shared.cancels.find(pid, key) {
        Metrics::add(&shared.metrics.cancels);
        if let Some(running) = found.upstream()
            && let Err(error) = cancel(&running.target, running.pid, &running.key).await
        {
            tracing::warn!(%error, "cancel request not delivered");
        }
    }
}

/// Why an authenticated client gets no session.
struct Denied {
    sqlstate: String,
    message: String,
    hint: Option<String>,
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self {
            sqlstate: failure.sqlstate,
            message: failure.message,
            hint: None,
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self {
            sqlstate: refusal.sqlstate.to_owned(),
            message: refusal.message,
            hint: refusal.hint,
        }
    }
}

fn denied(sqlstate: &str, message: impl Into<String>) -> Denied {
    Denied {
        sqlstate: sqlstate.to_owned(),
        message: message.into(),
        hint: None,
    }
}

async fn begin(shared: Arc<Shared>, client: ClientConnection) {
    match Box::pin(prepare(&shared, &client)).await {
        Ok(prepared) => conversation::run(&shared, client, prepared).await,
        Err(why) => {
            Metrics::add(&shared.metrics.failed_logins);
            let login = client.identity.login();
            tracing::info!(%login, sqlstate = why.sqlstate, "session refused");
            let report = Report {
                hint: why.hint.as_deref(),
                ..Report::fatal(&why.sqlstate, &why.message)
            };
            Box::pin(client.dismiss(&report)).await;
        }
    }
}

/// Everything a session needs before its client is told that it is in.
struct Prepared {
    who: Arc<Who>,
    role: Arc<str>,
    database: Arc<Database>,
    road: Road,
    kind: Kind,
    registration: Registration,
    login: Ticket,
    place: Client,
    /// Names of the settings of its own it starts with upstream.
    settings: Vec<String>,
}

/// How a session gets to PostgreSQL.
enum Road {
    /// A connection of its own, and its place.
    Own(Box<UpstreamConnection>, Room),
    /// Lent ones.
    Lent(Box<Lending>),
}

/// What a session that borrows needs for it.
struct Lending {
    pool: Arc<Pool>,
    start: Arc<pool::Start>,
    welcome: Arc<Welcome>,
    login: Login,
    borrowed: Arc<Borrowed>,
}

enum Kind {
    Unrestricted(Box<Plan>, Option<Box<Observer>>),
    Restricted(Start),
}

async fn prepare(shared: &Arc<Shared>, client: &ClientConnection) -> Result<Prepared, Denied> {
    let (startup, identity) = (&client.startup, &client.identity);
    let replication = startup.replication.as_deref().map(Replication::read);
    let name = match replication {
        Some(Replication::Physical) => shared.listed_database(),
        _ => startup.database.clone(),
    };
    let database = Shared::database(shared, &name)?;
    let published = database.ready().await?;
    let role = role(client, &published)?;
    if !matches!(replication, None | Some(Replication::Off)) {
        may_replicate(&published, &role)?;
    }
    let grants = published.snapshot.policy.roles.get(&role).ok_or_else(|| {
        denied(
            sqlstate::INVALID_AUTHORIZATION,
            "the policy has no such role",
        )
    })?;
    let login = upstreams::login(&shared.config, &role).ok_or_else(|| {
        denied(
            sqlstate::INVALID_AUTHORIZATION,
            format!("role \"{role}\" has no upstream login"),
        )
    })?;
    let plan = plan_verbatim(grants);
    if plan.is_none() {
        database.recent().await;
    }
    let asked = asked::parameters(&client.startup);
    let start = match plan {
        Some(_) => session::unrestricted(&asked),
        None => session::restricted(&asked, &grants.settings)?,
    };
    let UpstreamStartup {
        mut parameters,
        mut search_path,
        client_encoding: mut encoding,
    } = start;
    if grants.observe
        && let Ok(start) = session::restricted(&asked, &grants.settings)
    {
        (search_path, encoding) = (start.search_path, start.client_encoding);
    }
    let keys = grants.session_settings();
    parameters.extend(keys.iter().map(|(n, v)| (n.clone(), v.to_string())));
    let settings = keys.into_iter().map(|(name, _)| name).collect();
    let number = shared.registry.number();
    let who = Arc::new(Who {
        session: format!("{number:x}"),
        login: identity.login().to_string(),
        role: role.to_string(),
        peer: identity.peer().to_string(),
        database: startup.database.clone(),
        application_name: asked::application_name(&asked),
        ..Who::default()
    });
    let ticket = shared
        .sink
        .reserve(Record::new(Event::Login, Arc::clone(&who)))
        .map_err(|_| {
            denied(
                sqlstate::INSUFFICIENT_RESOURCES,
                "the audit log cannot take another record",
            )
        })?;
    let facts = Facts {
        who: Arc::clone(&who),
        database: Arc::from(name.as_str()),
        user: Arc::from(login.user.as_str()),
        peer: identity.peer(),
        local: client.stream.tcp().local_addr().ok(),
        tls: client.stream.is_tls(),
        console: false,
    };
    let place = shared.registry.enter(number, facts);
    let place = place.map_err(|e| denied(sqlstate::TOO_MANY_CONNECTIONS, e.to_string()))?;
    place.set_state(State::Waiting);
    let pool = shared.pools.of(&name, &login.user);
    let no_replication = matches!(replication, None | Some(Replication::Off));
    let lent = shared.config.pool.mode == PoolMode::Transaction && no_replication;
    let (restricted, observed) = (plan.is_none(), grants.observe);
    let named = search_path.is_some();
    let begins = |default: Option<String>, reported: &[(String, String)]| {
        let usual = || session::USUAL_PATH.to_owned();
        let start = Start {
            search_path: search_path.or(default).unwrap_or_else(usual),
            encoding,
            user: Ident::exact(&login.user),
            reports_path: reported.iter().any(|(name, _)| name == "search_path"),
        };
        let Some(plan) = plan else {
            return Kind::Restricted(start);
        };
        let observe = |start| Observer::new(Arc::clone(&who), shared.sink.clone(), start);
        let observer = observed.then(|| Box::new(observe(start)));
        Kind::Unrestricted(Box::new(plan), observer)
    };
    let (road, kind, registration) = if lent {
        let whose = (restricted || observed).then(|| Arc::clone(&role));
        let start = pool.start(parameters, whose);
        let lending = unless_ended(&place, lend(shared, &database, pool, login, start)).await??;
        let pid = i32::try_from(number & (NOBODY - 1) | NOBODY).unwrap_or(i32::MAX);
        let registration = shared
            .cancels
            .register_borrower(pid, Arc::clone(&lending.borrowed), startup.minor)
            .map_err(|e| denied(sqlstate::TOO_MANY_CONNECTIONS, e.to_string()))?;
        let welcome = &lending.welcome;
        let kind = begins(Some(welcome.search_path.clone()), &welcome.reported);
        (Road::Lent(Box::new(lending)), kind, registration)
    } else {
        // A pause is for those who come now; those who have a server go on until they leave.
        unless_ended(&place, place.signal().none(Flags::PAUSE)).await?;
        let room = unless_ended(&place, pool.room()).await?.map_err(|_| {
            denied(
                sqlstate::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            )
        })?;
        let connecting = upstreams::open(shared, login, &name, parameters, startup.minor);
        let connected = unless_ended(&place, connecting).await?;
        let mut upstream = connected.map_err(|e| super::binding::failure(&e))?;
        let default = if named {
            None
        } else if restricted {
            let path = upstreams::default_search_path(&mut upstream).await;
            Some(path.map_err(|e| super::binding::failure(&e))?)
        } else if observed && no_replication {
            // Not to know it costs only the sense of what is recorded.
            upstreams::default_search_path(&mut upstream).await.ok()
        } else {
            None
        };
        let kind = begins(default, &upstream.parameters);
        let registration = register(shared, &upstream, startup.minor)?;
        (Road::Own(Box::new(upstream), room), kind, registration)
    };
    Ok(Prepared {
        who,
        role,
        database,
        road,
        kind,
        registration,
        login: ticket,
        place,
        settings,
    })
}

/// Numbers of sessions that borrow begin here, far beyond the process numbers of any system: who calls
/// `pg_terminate_backend` with one must not hit a stranger.
const NOBODY: u64 = 1 << 30;

/// Everything for a session that borrows. PostgreSQL is asked only if nobody started so before: what
/// it says then it says to all who do.
async fn lend(
    shared: &Arc<Shared>,
    database: &Arc<Database>,
    pool: Arc<Pool>,
    login: &Login,
    start: Arc<pool::Start>,
) -> Result<Lending, Denied> {
    let welcome = if let Some(welcome) = start.welcome() {
        welcome
    } else {
        let borrowed = upstreams::borrow(shared, &pool, login, &database.name, &start).await;
        let server = borrowed.map_err(|_| {
            denied(
                sqlstate::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            )
        })?;
        pool.give(server.map_err(|e| super::binding::failure(&e))?);
        start.welcome().ok_or_else(|| {
            denied(
                sqlstate::CONNECTION_FAILURE,
                "cannot connect to the database server",
            )
        })?
    };
    Ok(Lending {
        pool,
        start,
        welcome,
        login: login.clone(),
        borrowed: Arc::default(),
    })
}

/// Goes on with a login, unless it is ended meanwhile.
async fn unless_ended<T>(client: &Client, login: impl Future<Output = T>) -> Result<T, Denied> {
    tokio::select! {
        done = login => Ok(done),
        _ = client.signal().any(Flags::KILL | Flags::DRAIN) => Err(denied(
            sqlstate::ADMIN_SHUTDOWN,
            "terminating connection due to administrator command",
        )),
    }
}

/// Whoever replicates can copy the cluster's files, and so read every database as stored: clear cells
/// in one database are not enough. (What the policy does not list is up to the login upstream, which
/// needs PostgreSQL's REPLICATION.)
fn may_replicate(published: &Published, role: &str) -> Result<(), Denied> {
    let policy = &published.rules.policy;
    let found = policy.roles.get(role);
    if found.is_some_and(|role| policy.is_verbatim(role)) {
        return Ok(());
    }
    Err(denied(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        "permission denied for replication: it reads every database as stored",
    ))
}

fn role(client: &ClientConnection, published: &Published) -> Result<Arc<str>, Denied> {
    let identity = ClientIdentity {
        login: client.identity.login(),
        groups: &[],
        address: Some(client.identity.peer().ip()),
        certificate: client.identity.tls_cert_cn(),
        today: clock::today(),
    };
    match published.rules.policy.role_for(&identity) {
        Ok(role) => Ok(Arc::clone(&role.name)),
        Err(error) => {
            tracing::warn!("{error}");
            Err(denied(
                sqlstate::INVALID_AUTHORIZATION,
                "the policy has no role for this login",
            ))
        }
    }
}

fn register(
    shared: &Arc<Shared>,
    upstream: &UpstreamConnection,
    minor: u16,
) -> Result<Registration, Denied> {
    let (pid, key) = &upstream.backend_key;
    let target = Upstream {
        target: upstream.cancel_target().clone(),
        pid: *pid,
        key: key.clone(),
    };
    shared
        .cancels
        .register(target, minor)
        .map_err(|e| denied(sqlstate::TOO_MANY_CONNECTIONS, e.to_string()))
}
