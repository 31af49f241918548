//! The relay of a restricted role: whole messages go through the session machine, and what it says
//! is written.
//!
//! Messages are looked at where they were read; nothing is copied, and no clock is read, for one of
//! them. Deliberately absent: any decision. This reads, writes, waits, and nothing else.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::AsyncReadExt;

use super::lease::Borrower;
use super::outgoing::Outgoing;
use super::road::{Lent, Own, Road};
use super::{End, OTHER_KEY, OVER, lost};
use crate::client::ClientStream;
use crate::limits;
use crate::pg::sqlstate;
use crate::server::database::Database;
use crate::server::registry::{Entry, Flags};
use crate::session::{Fatal, Io, Moment, Session, Step};
use crate::upstream::UpstreamStream;
use crate::wire::frame::{self, FrameBuffer, Limits};
use crate::wire::frontend::{self, FrontendMessage};
use crate::wire::write::backend as to_client;
use crate::wire::write::frontend as to_upstream;
use crate::wire::{Report, backend};

/// One restricted session.
pub(in crate::server) struct Restricted {
    pub(in crate::server) session: Session,
    pub(in crate::server) database: Arc<Database>,
    pub(in crate::server) client: Arc<Entry>,
    pub(in crate::server) role: Arc<str>,
    /// Names of the settings the session started with upstream: the keys of its tokens.
    pub(in crate::server) settings: Vec<String>,
    /// The snapshot whose keys it was last found to have.
    pub(in crate::server) epoch: Option<u64>,
}

/// Whether more will come from the client. What it asked for before it left is still answered, as
/// PostgreSQL does: it may have closed only its own direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Nothing more will come; what is here is still to be read.
    Soon,
    /// PostgreSQL has been told; it closes when it is done.
    Told,
}

/// A Query or Parse whose text is longer than what is analyzed. It is not kept: nothing but its bytes'
/// end is waited for, and answered as PostgreSQL answers any message that it has read and cannot run.
struct Long {
    tag: u8,
    /// It is a Parse of the unnamed statement.
    unnamed: bool,
    /// Bytes still to come.
    left: usize,
}

/// Bytes on their way.
struct Flow {
    from_client: FrameBuffer,
    from_upstream: FrameBuffer,
    to_client: Outgoing,
    to_upstream: Outgoing,
    leaving: Leaving,
    /// A statement of the client's that is too long, on its way past.
    long: Option<Long>,
    /// An error came since the last ReadyForQuery.
    failed: bool,
}

impl Flow {
    /// Lets what is here of a long statement by, behind the first `at` bytes; says how many that is.
    fn pass(&mut self, at: usize) -> usize {
        let here = self.from_client.len().saturating_sub(at);
        let long = self.long.as_mut();
        long.map_or(0, |long| {
            let n = here.min(long.left);
            long.left = long.left.saturating_sub(n);
            n
        })
    }

    /// There is no whole message of the client's here.
    fn left(&mut self) {
        if self.leaving == Leaving::Soon {
            self.leave();
        }
    }

    /// The client has not begun a message.
    fn is_between(&self) -> bool {
        self.from_client.is_empty() && self.long.is_none()
    }

    fn leave(&mut self) {
        to_upstream::terminate(&mut self.to_upstream.bytes);
        self.leaving = Leaving::Told;
    }
}

/// What the client's messages came to.
enum Asked {
    /// All that may be taken now is taken.
    All,
    /// The one at the front names something the catalog does not know.
    Unknown,
    /// What is in force has ended by itself.
    Over,
}

impl Restricted {
    /// Relays until one side ends, over a connection of the session's own.
    pub(in crate::server) async fn own(
        self,
        client: &mut ClientStream,
        upstream: &mut UpstreamStream,
        from_upstream: FrameBuffer,
    ) -> End {
        self.run(client, Own(upstream), from_upstream).await
    }

    /// Relays until one side ends, over lent connections.
    pub(in crate::server) async fn lent(self, client: &mut ClientStream, lease: Borrower) -> End {
        self.run(client, Lent::new(lease), FrameBuffer::new()).await
    }

    async fn run(
        mut self,
        client: &mut ClientStream,
        mut road: impl Road,
        from_upstream: FrameBuffer,
    ) -> End {
        let mut flow = Flow {
            from_client: FrameBuffer::new(),
            from_upstream,
            to_client: Outgoing::default(),
            to_upstream: Outgoing::default(),
            leaving: Leaving::No,
            long: None,
            failed: false,
        };
        let end = loop {
            if let Err(end) = self.pump(&mut flow).await {
                break end;
            }
            let flags = self.client.signal().now();
            if flags.any(Flags::KILL) {
                break End::Killed;
            }
            if flags.any(Flags::DRAIN) && self.session.is_idle() && flow.is_between() {
                break End::Drained;
            }
            if flags.any(Flags::POLICY) {
                self.client.signal().take(Flags::POLICY);
                road.renew();
            }
            let turned = poll_fn(|cx| self.poll_turn(&mut flow, client, &mut road, flags, cx));
            if let Err(end) = turned.await {
                break end;
            }
            // What it needs to wait is no part of a session at rest.
            if road.waits()
                && let Err(end) = Box::pin(road.ready(&mut flow.from_upstream)).await
            {
                break end;
            }
        };
        let end = if flow.leaving == Leaving::Told {
            End::Client
        } else {
            end
        };
        finish(&end, &mut flow, client).await;
        road.leave(&mut flow.to_upstream, &end).await;
        end
    }

    /// Feeds the machine everything that is there and that it may take.
    async fn pump(&mut self, flow: &mut Flow) -> Result<(), End> {
        let now = Instant::now();
        self.answers(flow, now)?;
        if self.session.take_moved() {
            self.database.refresh().await;
        }
        let (mut last, mut over) = (false, false);
        loop {
            match self.asks(flow, now, last)? {
                Asked::All => return Ok(()),
                Asked::Unknown => last = true,
                Asked::Over if over => return Err(End::Failed(OVER)),
                Asked::Over => over = true,
            }
            self.database.refresh().await;
        }
    }

    /// What PostgreSQL sent.
    fn answers(&mut self, flow: &mut Flow, now: Instant) -> Result<(), End> {
        let mut at = 0_usize;
        while !flow.to_client.is_full() {
            let header = flow
                .from_upstream
                .header_at(at, &Limits::BACKEND)
                .map_err(|_| End::Fault("malformed message from the server"))?;
            let Some((tag, total)) = header else {
                break;
            };
            let end = at.saturating_add(total);
            let Some(whole) = flow.from_upstream.bytes().get(at..end) else {
                break;
            };
            match tag {
                backend::ERROR => flow.failed = true,
                backend::READY => {
                    flow.failed = false;
                    self.client.ready(frame::body(whole) == b"I");
                }
                _ => {}
            }
            let mut io = Io {
                client: &mut flow.to_client.bytes,
                upstream: &mut flow.to_upstream.bytes,
            };
            if matches!(tag, backend::DATA_ROW | backend::COPY_DATA) {
                let here = flow.from_upstream.bytes().get(at..).unwrap_or_default();
                let taken = self.session.on_data(tag, here, now, &mut io);
                at = at.saturating_add(taken.map_err(fault)?);
                continue;
            }
            self.session
                .on_upstream(tag, whole, now, &mut io)
                .map_err(fault)?;
            at = end;
        }
        flow.from_upstream.skip(at);
        Ok(())
    }

    /// What the client sent. `last`: the catalog was refreshed for the first of its messages.
    fn asks(&mut self, flow: &mut Flow, now: Instant, mut last: bool) -> Result<Asked, End> {
        if !self.takes_client(flow) {
            return Ok(Asked::All);
        }
        // After most of PostgreSQL's messages.
        if flow.from_client.is_empty() {
            flow.left();
            return Ok(Asked::All);
        }
        let Some(published) = self.database.current() else {
            return Err(End::Fault("there is no catalog"));
        };
        if published.is_over() {
            return Ok(Asked::Over);
        }
        let snapshot = &published.snapshot;
        if self.epoch != Some(snapshot.epoch) {
            let grants = snapshot.policy.roles.get(&self.role);
            if grants.is_some_and(|grants| !grants.has_settings(&self.settings)) {
                return Err(End::Failed(OTHER_KEY));
            }
            self.epoch = Some(snapshot.epoch);
        }
        let mut at = 0_usize;
        let mut asked = Asked::All;
        while self.takes_client(flow) {
            at = at.saturating_add(flow.pass(at));
            if let Some(long) = flow.long.take_if(|long| long.left == 0) {
                self.too_long(&long, flow)?;
                continue;
            }
            let header = flow
                .from_client
                .header_at(at, &Limits::FRONTEND)
                .map_err(|_| End::Fault("invalid frontend message"))?;
            let Some((tag, total)) = header else {
                flow.left();
                break;
            };
            if matches!(tag, frontend::QUERY | frontend::PARSE)
                && total > limits::STATEMENT_FRAME_BYTES
            {
                let first = at.saturating_add(frame::HEADER_BYTES);
                let Some(first) = flow.from_client.bytes().get(first) else {
                    flow.left();
                    break;
                };
                flow.long = Some(Long {
                    tag,
                    unnamed: *first == 0,
                    left: total,
                });
                continue;
            }
            let end = at.saturating_add(total);
            let Some(whole) = flow.from_client.bytes().get(at..end) else {
                flow.left();
                break;
            };
            let moment = Moment {
                snapshot: &published.snapshot,
                plans: &published.plans,
                now,
                last,
            };
            let mut io = Io {
                client: &mut flow.to_client.bytes,
                upstream: &mut flow.to_upstream.bytes,
            };
            let step = match FrontendMessage::read(tag, frame::body(whole)) {
                Ok(message) => self.session.on_client(&message, &moment, &mut io),
                Err(_) => (self.session.on_malformed(tag, frame::body(whole), &mut io))
                    .map(|()| Step::Continue),
            };
            let step = step.map_err(fault)?;
            if step == Step::Continue {
                self.taken(tag);
            }
            match step {
                Step::Continue => {}
                // It is offered again when more was read.
                Step::Later => break,
                Step::Terminate => flow.leave(),
                Step::Unknown => {
                    asked = Asked::Unknown;
                    break;
                }
            }
            at = end;
            last = false;
        }
        flow.from_client.skip(at);
        Ok(asked)
    }

    /// The session took a message.
    fn taken(&self, tag: u8) {
        if matches!(tag, frontend::QUERY | frontend::EXECUTE) {
            self.client.begins();
            self.client.counters.queries(1);
            if self.session.is_idle() {
                // It was refused, and PostgreSQL has nothing to answer.
                self.client.ready(true);
            }
        }
    }

    /// All of such a statement is past.
    fn too_long(&mut self, long: &Long, flow: &mut Flow) -> Result<(), End> {
        let mut io = Io {
            client: &mut flow.to_client.bytes,
            upstream: &mut flow.to_upstream.bytes,
        };
        let told = self.session.on_long(long.tag, long.unnamed, &mut io);
        told.map_err(fault)?;
        self.taken(long.tag);
        Ok(())
    }

    fn takes_client(&self, flow: &Flow) -> bool {
        flow.leaving != Leaving::Told
            && self.session.wants_client()
            && !flow.to_upstream.is_full()
            && !flow.to_client.is_full()
    }

    /// Waits until something was read, or may be taken that could not be. `flags` are known of, and no
    /// news.
    fn poll_turn(
        &mut self,
        flow: &mut Flow,
        client: &mut ClientStream,
        road: &mut impl Road,
        flags: Flags,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        let news = Flags::POLICY | ((Flags::KILL | Flags::DRAIN) & !flags);
        let mut turned = self.client.signal().poll(cx).any(news);
        let waiting = flow.to_client.bytes.len();
        turned |= flow.to_client.poll_written(client, cx)?;
        let sent = waiting.saturating_sub(flow.to_client.bytes.len());
        self.client.counters.sent(sent);
        // Before it is read what answers it, maybe over a connection that was not there a moment ago.
        let wrote = road.poll_write(&mut flow.to_upstream, &mut flow.from_upstream, cx);
        // What the server said last comes before the discovery that it is gone.
        if !flow.to_client.is_full()
            && let Poll::Ready(read) = road.poll_read(&mut flow.from_upstream, cx)
        {
            read?;
            turned = true;
        }
        match wrote {
            Ok(more) => turned |= more,
            Err(End::Io(_)) if turned => {}
            Err(end) => return Poll::Ready(Err(end)),
        }
        if flow.leaving == Leaving::No
            && self.takes_client(flow)
            && let Poll::Ready(read) = pin!(client.read_buf(&mut flow.from_client.room())).poll(cx)
        {
            match read? {
                0 => flow.leaving = Leaving::Soon,
                n => self.client.counters.received(n),
            }
            turned = true;
        }
        if turned {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

fn fault(fatal: Fatal) -> End {
    if fatal.sqlstate == sqlstate::PROTOCOL_VIOLATION {
        return End::Fault(fatal.message);
    }
    End::Failed(fatal)
}

/// Writes what is still owed to the client, with the reason last.
async fn finish(end: &End, flow: &mut Flow, client: &mut ClientStream) {
    let report = match end {
        End::Drained | End::Killed => Some(Report::fatal(
            sqlstate::ADMIN_SHUTDOWN,
            "terminating connection due to administrator command",
        )),
        End::Fault(message) => Some(Report::fatal(sqlstate::PROTOCOL_VIOLATION, message)),
        End::Refused(why) => Some(Report::fatal(&why.sqlstate, &why.message)),
        End::Failed(fatal) => Some(Report::fatal(fatal.sqlstate, fatal.message)),
        // What the server said last is better than what could be said of it.
        End::Upstream if !flow.failed => Some(lost()),
        End::Client | End::Upstream | End::Revoked | End::Io(_) => None,
    };
    if let Some(report) = report {
        to_client::error(&mut flow.to_client.bytes, &report);
    }
    // Whoever does not take it in time does not get it: the session is over.
    drop(tokio::time::timeout(limits::LINGER, flow.to_client.finish(client)).await);
}
