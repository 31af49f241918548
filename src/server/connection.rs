//! One client connection, from accept to the end of its session.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::database::{Database, Failure, Published};
use super::metrics::Metrics;
use super::observe::Ear;
use super::registry::{Client, Facts, Flags, State};
use super::relay::End;
use super::relay::restricted::Restricted;
use super::relay::verbatim::Verbatim;
use super::replication::Replication;
use super::{Shared, asked, clock, console, upstreams};
use crate::audit::{Event, Outcome, Record, Ticket, Who};
use crate::client::{Accepted, ClientConnection, Reply, accept, dismiss};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::plan::{Plan, Refusal, plan_verbatim};
use crate::policy::{ClientIdentity, Date};
use crate::session::{self, Observer, Session, Start, UpstreamStartup};
use crate::upstream::{Registration, Upstream, UpstreamConnection, cancel};
use crate::wire::Report;

/// Serves one socket.
pub(super) async fn serve(shared: Arc<Shared>, tcp: TcpStream) {
    match accept(tcp, &shared.acceptor).await {
        Ok(Accepted::Session(client)) => {
            if console::is_meant(&shared.config, &client.startup.database) {
                return console::serve(&shared, client).await;
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
        if let Err(error) = cancel(&found.target, found.pid, &found.key).await {
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
    match prepare(&shared, &client).await {
        Ok(prepared) => run(&shared, client, prepared).await,
        Err(why) => {
            Metrics::add(&shared.metrics.failed_logins);
            let login = client.identity.login();
            tracing::info!(%login, sqlstate = why.sqlstate, "session refused");
            let report = Report {
                hint: why.hint.as_deref(),
                ..Report::fatal(&why.sqlstate, &why.message)
            };
            dismiss(client.stream, &report).await;
        }
    }
}

/// Everything a session needs before its client is told that it is in.
struct Prepared {
    who: Arc<Who>,
    role: Arc<str>,
    database: Arc<Database>,
    upstream: UpstreamConnection,
    kind: Kind,
    registration: Registration,
    login: Ticket,
    place: Client,
    _slot: super::slots::Slot,
}

enum Kind {
    Unrestricted(Plan, Option<Box<Observer>>),
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
    // A pause is for those who come now; those who have a server go on until they leave.
    unless_ended(&place, place.signal().none(Flags::PAUSE)).await?;
    let slot = unless_ended(&place, shared.slots.take(&name, &login.user)).await?;
    let slot = slot.ok_or_else(|| {
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
            Kind::Unrestricted(plan, observer)
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
    Ok(Prepared {
        who,
        role,
        database,
        upstream,
        kind,
        registration,
        login: ticket,
        place,
        _slot: slot,
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

async fn run(shared: &Arc<Shared>, mut client: ClientConnection, prepared: Prepared) {
    let Prepared {
        who,
        role,
        database,
        upstream,
        kind,
        registration,
        login,
        place,
        _slot,
    } = prepared;
    place.attach(upstream.backend_key.0);
    place.set_server(upstream.address());
    place.set_state(State::Idle);
    login.finish(|record| record.decision = Outcome::Allow);
    Metrics::add(&shared.metrics.sessions);
    tracing::info!(session = who.session, login = who.login, %role, "session begins");
    let own = match &kind {
        Kind::Restricted(start) => Some(start.encoding),
        Kind::Unrestricted(..) => None,
    };
    let visible = upstream
        .parameters
        .iter()
        .filter(|(name, _)| own.is_none() || session::is_reported(name))
        .map(|(name, value)| match own {
            Some(own) if name == "client_encoding" => (name.as_str(), own.name()),
            _ => (name.as_str(), value.as_str()),
        });
    let welcome = Reply::new().welcome(visible, registration.pid(), registration.key());
    let UpstreamConnection {
        mut stream, buffer, ..
    } = upstream;
    let end = match welcome {
        Ok(reply) => match send(&mut client, reply).await {
            Ok(()) => match kind {
                Kind::Unrestricted(plan, observer) => {
                    Metrics::add(match observer {
                        Some(_) => &shared.metrics.observed_sessions,
                        None => &shared.metrics.unrestricted_sessions,
                    });
                    let ear = observer.map(|observer| Ear::open(shared, &database, *observer));
                    let relay = Verbatim {
                        plan,
                        role,
                        database,
                        client: Arc::clone(place.entry()),
                        ear,
                    };
                    relay.run(&mut client.stream, &mut stream, buffer).await
                }
                Kind::Restricted(start) => {
                    Metrics::add(&shared.metrics.restricted_sessions);
                    let sink = shared.sink.clone();
                    let relay = Restricted {
                        session: Session::new(Arc::clone(&who), sink, start),
                        database,
                        client: Arc::clone(place.entry()),
                    };
                    relay.run(&mut client.stream, &mut stream, buffer).await
                }
            },
            Err(error) => End::Io(error),
        },
        Err(_) => End::Fault("the server's settings are too long"),
    };
    Metrics::sub(&shared.metrics.sessions);
    if matches!(end, End::Killed) {
        // What it was at is not left to run on for nobody.
        forward_cancel(shared, registration.pid(), registration.key()).await;
    }
    note_end(shared, &who, &end);
    if let Ok(ticket) = shared.sink.reserve(Record::new(Event::Logout, who)) {
        ticket.finish(|record| record.decision = Outcome::Allow);
    }
    // Both are closed whatever comes of it.
    drop(tokio::time::timeout(crate::limits::LINGER, client.stream.shutdown()).await);
    drop(tokio::time::timeout(crate::limits::LINGER, stream.shutdown()).await);
}

async fn send(client: &mut ClientConnection, reply: Reply) -> std::io::Result<()> {
    client.stream.write_all(&reply.into_bytes()).await?;
    client.stream.flush().await
}

fn note_end(shared: &Shared, who: &Who, end: &End) {
    let session = &who.session;
    match end {
        End::Client => tracing::info!(session, "session ends: client left"),
        End::Upstream => tracing::info!(session, "session ends: server closed the connection"),
        End::Drained => tracing::info!(session, "session ends: shutting down"),
        End::Killed => tracing::info!(session, "session ends: an administrator ended it"),
        End::Revoked => tracing::warn!(session, "session ends: policy changed"),
        End::Fault(what) => {
            Metrics::add(&shared.metrics.faults);
            tracing::warn!(session, what, "session ends: protocol fault");
        }
        End::Failed(fatal) => {
            let what = fatal.message;
            tracing::info!(
                session,
                what,
                "session ends: nothing more can be said to the client"
            );
        }
        End::Io(error) => tracing::info!(session, %error, "session ends: connection lost"),
    }
}
