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
use crate::client::{Accepted, ClientConnection, accept, dismiss};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::plan::{Plan, Refusal, plan_verbatim};
use crate::policy::{ClientIdentity, Date};
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
        Ok(Accepted::Cancel { pid, key }) => forward_cancel(&shared, pid, &key).await,
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
        let running = found.upstream();
        if let Err(error) = cancel(&running.target, running.pid, &running.key).await {
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
            Box::pin(dismiss(client.stream, &report)).await;
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
    let asked = asked::parameters(&client.startup);
    let start = match plan {
        Some(_) => session::unrestricted(&asked),
        None => session::restricted(&asked)?,
    };
    let UpstreamStartup {
        mut parameters,
        search_path,
        client_encoding: encoding,
    } = start;
    let keys = grants.session_settings();
    parameters.extend(keys.iter().map(|(n, v)| (n.clone(), v.to_string())));
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
    let lent = shared.config.pool.mode == PoolMode::Transaction
        && plan.is_some()
        && !grants.observe
        && matches!(replication, None | Some(Replication::Off));
    let (road, kind, registration) = if lent && let Some(plan) = plan {
        let lending =
            unless_ended(&place, lend(shared, &database, pool, login, parameters)).await??;
        let pid = i32::try_from(number & PID_BITS).unwrap_or(i32::MAX);
        let registration = shared
            .cancels
            .register_borrower(pid, Arc::clone(&lending.borrowed), startup.minor)
            .map_err(|e| denied(sqlstate::TOO_MANY_CONNECTIONS, e.to_string()))?;
        let kind = Kind::Unrestricted(Box::new(plan), None);
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
        let kind = match plan {
            Some(plan) => {
                let observer = if grants.observe {
                    let start = Start {
                        user: Ident::exact(&login.user),
                        ..observed(&asked, replication, &mut upstream).await
                    };
                    let (who, sink) = (Arc::clone(&who), shared.sink.clone());
                    Some(Box::new(Observer::new(who, sink, start)))
                } else {
                    None
                };
                Kind::Unrestricted(Box::new(plan), observer)
            }
            None => Kind::Restricted(Start {
                search_path: match search_path {
                    Some(path) => path,
                    None => upstreams::default_search_path(&mut upstream)
                        .await
                        .map_err(|e| super::binding::failure(&e))?,
                },
                encoding,
                user: Ident::exact(&login.user),
            }),
        };
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
    })
}

/// Process numbers are positive.
const PID_BITS: u64 = 0x7fff_ffff;

/// Everything for a session that borrows. PostgreSQL is asked only if nobody started so before: what
/// it says then it says to all who do.
async fn lend(
    shared: &Arc<Shared>,
    database: &Arc<Database>,
    pool: Arc<Pool>,
    login: &Login,
    parameters: Vec<(String, String)>,
) -> Result<Lending, Denied> {
    let start = pool.start(parameters);
    let welcome = if let Some(welcome) = start.welcome() {
        welcome
    } else {
        let connect =
            async |room| upstreams::lent(shared, login, &database.name, &start, room).await;
        let server = pool.borrow(&start, connect).await.map_err(|_| {
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

/// What an observed session most probably starts with. Not to know it costs only the sense of what is
/// recorded.
async fn observed(
    asked: &[(String, String)],
    replication: Option<Replication>,
    upstream: &mut UpstreamConnection,
) -> Start {
    let asked = session::restricted(asked).ok();
    let named = asked.as_ref().and_then(|start| start.search_path.clone());
    let search_path = match named {
        Some(path) => Some(path),
        None if matches!(replication, None | Some(Replication::Off)) => {
            upstreams::default_search_path(upstream).await.ok()
        }
        None => None,
    };
    let usual = || crate::catalog::split_search_path("\"$user\", public").unwrap_or_default();
    Start {
        search_path: search_path.unwrap_or_else(usual),
        encoding: asked.map_or_else(Encoding::utf8, |start| start.client_encoding),
        user: Ident::exact(""),
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
        today: Date::from_unix(clock::unix_seconds()),
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
