//! A session from its welcome to its end, over a connection of its own or over lent ones.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use super::{Kind, Lending, Prepared, Road, forward_cancel};
use crate::audit::{Event, Outcome, Record, Who};
use crate::client::{ClientConnection, Reply};
use crate::server::Shared;
use crate::server::database::Database;
use crate::server::metrics::Metrics;
use crate::server::observe::Ear;
use crate::server::registry::{Entry, State};
use crate::server::relay::End;
use crate::server::relay::lease::Borrower;
use crate::server::relay::pooled::Pooled;
use crate::server::relay::restricted::Restricted;
use crate::server::relay::verbatim::Verbatim;
use crate::session::{self, Observer, Session};
use crate::upstream::{Registration, UpstreamConnection};
use crate::wire::TransactionStatus;

pub(super) async fn run(shared: &Arc<Shared>, mut client: ClientConnection, prepared: Prepared) {
    let Prepared {
        who,
        role,
        database,
        road,
        kind,
        registration,
        login,
        place,
        settings,
    } = prepared;
    match &road {
        Road::Own(upstream, _) => {
            place.attach(upstream.backend_key.0);
            place.set_server(upstream.address());
            place.set_state(State::Idle);
        }
        Road::Lent(_) => place.set_state(State::Idle),
    }
    login.finish(|record| record.decision = Outcome::Allow);
    Metrics::add(&shared.metrics.sessions);
    // The audit log has it: where clients come and go by the hundred a second, this is for debugging.
    tracing::debug!(session = who.session, login = who.login, %role, "session begins");
    let end = match welcome(&mut client, &road, &kind, &registration).await {
        Ok(()) => {
            Metrics::add(match kind {
                Kind::Unrestricted(_, Some(_)) => &shared.metrics.observed_sessions,
                Kind::Unrestricted(_, None) => &shared.metrics.unrestricted_sessions,
                Kind::Restricted(_) => &shared.metrics.restricted_sessions,
            });
            let session = Conversation {
                shared,
                who: &who,
                role,
                database,
                client: Arc::clone(place.entry()),
                settings,
            };
            match road {
                // Each takes the room that it needs, not what the other would.
                Road::Own(upstream, _room) => {
                    Box::pin(session.own(&mut client, *upstream, kind)).await
                }
                Road::Lent(lending) => Box::pin(session.lent(&mut client, *lending, kind)).await,
            }
        }
        Err(end) => end,
    };
    Metrics::sub(&shared.metrics.sessions);
    if matches!(end, End::Killed) {
        // What it was at is not left to run on for nobody.
        Box::pin(forward_cancel(
            shared,
            registration.pid(),
            registration.key(),
        ))
        .await;
    }
    note_end(shared, &who, &end);
    if let Ok(ticket) = shared.sink.reserve(Record::new(Event::Logout, who)) {
        ticket.finish(|record| record.decision = Outcome::Allow);
    }
    // To one that left nothing is said any more; only TLS has a word for that.
    if !matches!(end, End::Client) || client.stream.is_tls() {
        // It is closed whatever comes of it.
        drop(tokio::time::timeout(crate::limits::LINGER, client.stream.shutdown()).await);
    }
}

/// Tells the client that it is in.
async fn welcome(
    client: &mut ClientConnection,
    road: &Road,
    kind: &Kind,
    registration: &Registration,
) -> Result<(), End> {
    let own = match kind {
        Kind::Restricted(start) => Some((start.search_path.as_str(), start.encoding)),
        Kind::Unrestricted(..) => None,
    };
    let (reported, notices): (_, &[u8]) = match road {
        Road::Own(upstream, _) => (&upstream.parameters, &upstream.notices),
        Road::Lent(lending) => (&lending.welcome.reported, &lending.welcome.notices),
    };
    let visible = reported.iter().filter_map(|(name, value)| {
        let value = match own {
            Some(own) => Cow::Owned(session::at_welcome(own, (name, value))?),
            None => Cow::Borrowed(value.as_bytes()),
        };
        Some((name.as_str(), value))
    });
    let reply = std::mem::take(&mut client.unsent)
        .welcome(visible, registration.pid(), registration.key())
        .map_err(|_| End::Fault("the server's settings are too long"))?;
    let reply = match kind {
        Kind::Restricted(_) => reply,
        Kind::Unrestricted(plan, _) => reply.notices(notices, plan).ok_or(End::Revoked)?,
    };
    let reply = reply.ready(TransactionStatus::Idle);
    send(client, reply).await.map_err(End::Io)
}

/// A session that is in.
struct Conversation<'a> {
    shared: &'a Arc<Shared>,
    who: &'a Arc<Who>,
    role: Arc<str>,
    database: Arc<Database>,
    client: Arc<Entry>,
    settings: Vec<String>,
}

impl Conversation<'_> {
    /// Over a connection of its own.
    async fn own(
        self,
        client: &mut ClientConnection,
        upstream: UpstreamConnection,
        kind: Kind,
    ) -> End {
        let UpstreamConnection {
            mut stream, buffer, ..
        } = upstream;
        let end = match kind {
            Kind::Unrestricted(plan, observer) => {
                let ear = self.ear(observer);
                let relay = Verbatim {
                    plan: *plan,
                    ear,
                    role: self.role,
                    database: self.database,
                    client: self.client,
                };
                relay.run(&mut client.stream, &mut stream, buffer).await
            }
            Kind::Restricted(start) => {
                let relay = self.restricted(start);
                relay.own(&mut client.stream, &mut stream, buffer).await
            }
        };
        drop(tokio::time::timeout(crate::limits::LINGER, stream.shutdown()).await);
        end
    }

    fn ear(&self, observer: Option<Box<Observer>>) -> Option<Ear> {
        observer.map(|observer| Ear::open(self.shared, &self.database, *observer))
    }

    fn restricted(self, start: session::Start) -> Restricted {
        Restricted {
            session: Session::new(Arc::clone(self.who), self.shared.sink.clone(), start),
            database: self.database,
            client: self.client,
            role: self.role,
            settings: self.settings,
            epoch: None,
        }
    }

    /// Over lent ones.
    async fn lent(self, client: &mut ClientConnection, lending: Lending, kind: Kind) -> End {
        let lease = Borrower {
            shared: Arc::clone(self.shared),
            database: Arc::clone(&self.database),
            client: Arc::clone(&self.client),
            pool: lending.pool,
            start: lending.start,
            login: lending.login,
            borrowed: lending.borrowed,
        };
        match kind {
            Kind::Unrestricted(plan, observer) => {
                let ear = self.ear(observer);
                let relay = Pooled {
                    plan: *plan,
                    role: self.role,
                    lease,
                    ear,
                };
                relay.run(&mut client.stream).await
            }
            Kind::Restricted(start) => {
                let relay = self.restricted(start);
                relay.lent(&mut client.stream, lease).await
            }
        }
    }
}

async fn send(client: &mut ClientConnection, reply: Reply) -> std::io::Result<()> {
    client.stream.write_all(&reply.into_bytes()).await?;
    client.stream.flush().await
}

fn note_end(shared: &Shared, who: &Who, end: &End) {
    let session = &who.session;
    match end {
        End::Client => tracing::debug!(session, "session ends: client left"),
        End::Upstream => tracing::info!(session, "session ends: server closed the connection"),
        End::Drained => tracing::info!(session, "session ends: shutting down"),
        End::Killed => tracing::info!(session, "session ends: an administrator ended it"),
        End::Revoked => tracing::warn!(session, "session ends: policy changed"),
        End::Refused(why) => {
            let what = why.message.as_str();
            tracing::warn!(session, what, "session ends: no connection to the server");
        }
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
