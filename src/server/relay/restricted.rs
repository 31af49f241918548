//! The relay of a restricted role: whole messages go through the session machine, and what it says
//! is written.
//!
//! Deliberately absent: any decision. This reads, writes, waits, and nothing else.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{End, lost};
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

/// Bytes on their way.
struct Flow {
    from_client: FrameBuffer,
    from_upstream: FrameBuffer,
    to_client: Outgoing,
    to_upstream: Outgoing,
    leaving: Leaving,
    /// An error came since the last ReadyForQuery.
    failed: bool,
    /// A message of the client that has to wait for PostgreSQL.
    held: Option<(u8, Bytes)>,
}

impl Flow {
    /// There is no whole message of the client's here.
    fn left(&mut self) {
        if self.leaving == Leaving::Soon {
            self.leave();
        }
    }

    fn leave(&mut self) {
        to_upstream::terminate(&mut self.to_upstream.bytes);
        self.leaving = Leaving::Told;
    }
}

/// Bytes waiting for a socket.
#[derive(Default)]
struct Outgoing {
    bytes: BytesMut,
    /// Written, but TLS may hold it back.
    unflushed: bool,
}

impl Outgoing {
    fn pending(&self) -> bool {
        self.unflushed || !self.bytes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= limits::PENDING_BYTES
    }

    /// One write, or the flush after the last one. Loses nothing when it is dropped halfway. Says how
    /// many bytes went.
    async fn drive(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        if self.bytes.is_empty() {
            socket.flush().await?;
            self.unflushed = false;
            return Ok(0);
        }
        let n = socket.write_buf(&mut self.bytes).await?;
        self.unflushed = true;
        Ok(n)
    }

    /// All of it.
    async fn finish(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while self.pending() {
            self.drive(socket).await?;
        }
        Ok(())
    }
}

impl Restricted {
    /// Relays until one side ends.
    pub(in crate::server) async fn run(
        mut self,
        client: &mut ClientStream,
        upstream: &mut UpstreamStream,
        from_upstream: FrameBuffer,
    ) -> End {
        let mut flow = Flow {
            from_client: FrameBuffer::new(),
            from_upstream,
            to_client: Outgoing::default(),
            to_upstream: Outgoing::default(),
            leaving: Leaving::No,
            failed: false,
            held: None,
        };
        let (client_read, client_write) = tokio::io::split(client);
        let (upstream_read, upstream_write) = tokio::io::split(upstream);
        let mut sockets = Sockets {
            client_read,
            client_write,
            upstream_read,
            upstream_write,
        };
        let end = loop {
            if let Err(end) = self.pump(&mut flow).await {
                break end;
            }
            let flags = self.client.signal().now();
            if flags.any(Flags::KILL) {
                break End::Killed;
            }
            if flags.any(Flags::DRAIN) && self.session.is_idle() && flow.from_client.is_empty() {
                break End::Drained;
            }
            if let Err(end) = self.turn(&mut flow, &mut sockets).await {
                break end;
            }
        };
        let end = if flow.leaving == Leaving::Told {
            End::Client
        } else {
            end
        };
        finish(&end, &mut flow, &mut sockets).await;
        end
    }

    /// Feeds the machine everything that is there and that it may take.
    async fn pump(&mut self, flow: &mut Flow) -> Result<(), End> {
        while !flow.to_client.is_full() {
            let Some((tag, whole)) = flow
                .from_upstream
                .next_frame(&Limits::BACKEND)
                .map_err(|_| End::Fault("malformed message from the server"))?
            else {
                break;
            };
            match tag {
                backend::ERROR => flow.failed = true,
                backend::READY => flow.failed = false,
                _ => {}
            }
            if tag == backend::READY {
                self.client.ready(frame::body(&whole) == b"I");
            }
            let mut io = Io {
                client: &mut flow.to_client.bytes,
                upstream: &mut flow.to_upstream.bytes,
            };
            self.session
                .on_upstream(tag, &whole, Instant::now(), &mut io)
                .map_err(fault)?;
        }
        if self.session.take_moved() {
            self.database.refresh().await;
        }
        while self.takes_client(flow) {
            if let Some((tag, whole)) = flow.held.take() {
                self.client_message(tag, &whole, flow).await?;
                continue;
            }
            let header = flow
                .from_client
                .next_header(&Limits::FRONTEND)
                .map_err(|_| End::Fault("invalid frontend message"))?;
            let Some((tag, total)) = header else {
                flow.left();
                break;
            };
            if matches!(tag, frontend::QUERY | frontend::PARSE)
                && total > limits::SQL_TEXT_BYTES.saturating_mul(2)
            {
                return Err(End::Fault("statement is too long"));
            }
            let Ok(Some((tag, whole))) = flow.from_client.next_frame(&Limits::FRONTEND) else {
                flow.left();
                break;
            };
            self.client_message(tag, &whole, flow).await?;
        }
        Ok(())
    }

    fn takes_client(&self, flow: &Flow) -> bool {
        flow.leaving != Leaving::Told
            && self.session.wants_client()
            && !flow.to_upstream.is_full()
            && !flow.to_client.is_full()
    }

    async fn client_message(&mut self, tag: u8, whole: &Bytes, flow: &mut Flow) -> Result<(), End> {
        let message = FrontendMessage::read(tag, frame::body(whole))
            .map_err(|_| End::Fault("invalid message format"))?;
        if matches!(tag, frontend::QUERY | frontend::EXECUTE) {
            self.client.begins();
            self.client.counters.queries(1);
        }
        let mut last = false;
        loop {
            let Some(published) = self.database.current() else {
                return Err(End::Fault("there is no catalog"));
            };
            let moment = Moment {
                snapshot: &published.snapshot,
                now: Instant::now(),
                last,
            };
            let mut io = Io {
                client: &mut flow.to_client.bytes,
                upstream: &mut flow.to_upstream.bytes,
            };
            match self
                .session
                .on_client(&message, &moment, &mut io)
                .map_err(fault)?
            {
                Step::Continue => return Ok(()),
                Step::Later => {
                    flow.held = Some((tag, whole.clone()));
                    return Ok(());
                }
                Step::Terminate => {
                    flow.leave();
                    return Ok(());
                }
                Step::Unknown => {
                    self.database.refresh().await;
                    last = true;
                }
            }
        }
    }

    /// Waits for one thing to happen.
    async fn turn(&mut self, flow: &mut Flow, sockets: &mut Sockets<'_>) -> Result<(), End> {
        let read_client = flow.leaving == Leaving::No && self.takes_client(flow);
        let read_upstream = !flow.to_client.is_full();
        let signal = self.client.signal();
        // A drain that is known of is no news.
        let news = Flags::KILL | (Flags::DRAIN & !signal.now());
        flow.from_client.reserve();
        flow.from_upstream.reserve();
        tokio::select! {
            read = sockets.client_read.read_buf(flow.from_client.buffer_mut()), if read_client => {
                match read? {
                    0 => flow.leaving = Leaving::Soon,
                    n => self.client.counters.received(n),
                }
            }
            read = sockets.upstream_read.read_buf(flow.from_upstream.buffer_mut()),
                if read_upstream =>
            {
                // A reset says no more than an end does.
                if matches!(read, Ok(0) | Err(_)) {
                    return Err(End::Upstream);
                }
            }
            sent = flow.to_client.drive(&mut sockets.client_write), if flow.to_client.pending() => {
                self.client.counters.sent(sent?);
            }
            sent = flow.to_upstream.drive(&mut sockets.upstream_write),
                if flow.to_upstream.pending() =>
            {
                sent?;
            }
            _ = signal.any(news) => {}
        }
        Ok(())
    }
}

struct Sockets<'a> {
    client_read: ReadHalf<&'a mut ClientStream>,
    client_write: WriteHalf<&'a mut ClientStream>,
    upstream_read: ReadHalf<&'a mut UpstreamStream>,
    upstream_write: WriteHalf<&'a mut UpstreamStream>,
}

fn fault(fatal: Fatal) -> End {
    if fatal.sqlstate == sqlstate::PROTOCOL_VIOLATION {
        return End::Fault(fatal.message);
    }
    End::Failed(fatal)
}

/// Writes what is still owed to the client, with the reason last.
async fn finish(end: &End, flow: &mut Flow, sockets: &mut Sockets<'_>) {
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
    to_upstream::terminate(&mut flow.to_upstream.bytes);
    let farewell = async {
        flow.to_client.finish(&mut sockets.client_write).await?;
        flow.to_upstream.finish(&mut sockets.upstream_write).await
    };
    // Whoever does not take it in time does not get it: the session is over.
    drop(tokio::time::timeout(limits::LINGER, farewell).await);
}
