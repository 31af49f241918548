//! The relay of an unrestricted role: frames forwarded as they come, headers looked at.
//!
//! One task, two directions, each with one buffer that is written out before it is filled again: a
//! slow peer stops the other by itself. Bodies are read only of ReadyForQuery (may the session be
//! ended now?) and CommandComplete (did the catalog change?).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::walk::Walk;
use super::{End, is_unrestricted, lost};
use crate::client::ClientStream;
use crate::limits;
use crate::pg::sqlstate;
use crate::plan::Plan;
use crate::server::database::Database;
use crate::server::observe::{Ear, Tap};
use crate::server::registry::{Entry, Flags};
use crate::upstream::{Request, UpstreamStream};
use crate::wire::frame::{FrameBuffer, Limits};
use crate::wire::write::backend as to_client;
use crate::wire::{Report, TransactionStatus, backend, frontend};

/// One unrestricted session.
pub(in crate::server) struct Verbatim {
    pub(in crate::server) plan: Plan,
    pub(in crate::server) role: Arc<str>,
    pub(in crate::server) database: Arc<Database>,
    pub(in crate::server) client: Arc<Entry>,
    /// Of an observed role.
    pub(in crate::server) ear: Option<Ear>,
}

/// What both directions know. They run in one task: the atomics only say so to the compiler.
struct Shared {
    /// Queries, Syncs and function calls sent whose ReadyForQuery has not come.
    due: AtomicU64,
    /// Messages were sent that no Sync has closed yet.
    open: AtomicBool,
    /// The last ReadyForQuery said `I`.
    idle: AtomicBool,
    /// A command changed the catalog; said when its transaction is over.
    changed: AtomicBool,
    /// The client will send no more.
    left: AtomicBool,
    /// An error came since the last ReadyForQuery.
    failed: AtomicBool,
    /// How many ReadyForQuery came.
    segments: AtomicU64,
}

impl Shared {
    fn at_rest(&self) -> bool {
        self.idle.load(Relaxed) && self.due.load(Relaxed) == 0 && !self.open.load(Relaxed)
    }
}

impl Verbatim {
    /// Relays until one side ends. `from_upstream` holds what was read beyond the startup.
    pub(in crate::server) async fn run(
        self,
        client: &mut ClientStream,
        upstream: &mut UpstreamStream,
        from_upstream: FrameBuffer,
    ) -> End {
        let shared = Shared {
            due: AtomicU64::new(0),
            open: AtomicBool::new(false),
            idle: AtomicBool::new(true),
            changed: AtomicBool::new(false),
            left: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            segments: AtomicU64::new(0),
        };
        let (client_read, client_write) = tokio::io::split(client);
        let (upstream_read, upstream_write) = tokio::io::split(upstream);
        let mut down = Down {
            reader: upstream_read,
            writer: client_write,
            buffer: from_upstream,
            walk: Walk::new(Limits::BACKEND),
        };
        let end = tokio::select! {
            end = up(client_read, upstream_write, &shared, &self) => end,
            end = self.down(&mut down, &shared) => end,
            _ = self.client.signal().any(Flags::KILL) => End::Killed,
        };
        let end = if shared.left.load(Relaxed) {
            End::Client
        } else {
            end
        };
        // A word of farewell, where one can still be put between two frames.
        // What the server said last is better than what could be said of it.
        let told = matches!(end, End::Upstream) && shared.failed.load(Relaxed);
        if let Some(report) = farewell(&end).filter(|_| !told)
            && down.walk.at_boundary()
        {
            let mut out = BytesMut::new();
            to_client::error(&mut out, &report);
            // The session is over whether or not the client hears why.
            drop(down.writer.write_all(&out).await);
            drop(down.writer.flush().await);
        }
        end
    }

    async fn down(&self, down: &mut Down<'_>, shared: &Shared) -> End {
        let signal = self.client.signal();
        loop {
            let flags = signal.now();
            if flags.any(Flags::POLICY) {
                signal.take(Flags::POLICY);
                if !is_unrestricted(&self.database, &self.role) {
                    return End::Revoked;
                }
            }
            if let Err(end) = self.forward(down, shared).await {
                return end;
            }
            // What came may have brought it to rest.
            if flags.any(Flags::DRAIN) && shared.at_rest() && down.walk.at_boundary() {
                return End::Drained;
            }
            let news = Flags::POLICY | (Flags::DRAIN & !flags);
            let mut room = down.buffer.room();
            tokio::select! {
                read = down.reader.read_buf(&mut room) => match read {
                    // A reset says no more than an end does.
                    Ok(0) | Err(_) => return End::Upstream,
                    Ok(_) => {}
                },
                _ = signal.any(news) => {}
            }
        }
    }

    async fn forward(&self, down: &mut Down<'_>, shared: &Shared) -> Result<(), End> {
        let whole = |tag| matches!(tag, backend::READY | backend::COMMAND_COMPLETE);
        let n = down
            .walk
            .advance(down.buffer.bytes(), whole, |tag, body| match (tag, body) {
                (backend::READY, Some(body)) => self.on_ready(body, shared),
                (backend::COMMAND_COMPLETE, Some(tag)) if changes_catalog(tag) => {
                    shared.changed.store(true, Relaxed);
                }
                (backend::ERROR, _) => shared.failed.store(true, Relaxed),
                _ => {}
            })
            .map_err(|_| End::Fault("malformed message from the server"))?;
        if n > 0 {
            let frames = down.buffer.take(n);
            self.client.counters.sent(n);
            down.writer.write_all(&frames).await?;
            down.writer.flush().await?;
        }
        Ok(())
    }

    fn on_ready(&self, body: &[u8], shared: &Shared) {
        let due = shared.due.load(Relaxed).saturating_sub(1);
        shared.due.store(due, Relaxed);
        if due == 0 {
            // The data of a COPY is answered by its ReadyForQuery too.
            shared.open.store(false, Relaxed);
        }
        let failed = shared.failed.swap(false, Relaxed);
        let segment = shared.segments.fetch_add(1, Relaxed).saturating_add(1);
        if let (Some(ear), Ok(status)) = (&self.ear, TransactionStatus::read(body)) {
            ear.ready(segment, status, failed);
        }
        let idle = body == b"I";
        shared.idle.store(idle, Relaxed);
        if due == 0 {
            self.client.ready(idle);
        } else if idle {
            self.client.counters.transaction();
        }
        if idle && shared.changed.swap(false, Relaxed) {
            self.database.request();
        }
    }
}

struct Down<'a> {
    reader: ReadHalf<&'a mut UpstreamStream>,
    writer: WriteHalf<&'a mut ClientStream>,
    buffer: FrameBuffer,
    walk: Walk,
}

/// The client's direction. What it asked for before it left is still answered, as PostgreSQL does: it
/// may have closed only its own direction, and then the server's end is the session's.
async fn up(
    reader: ReadHalf<&mut ClientStream>,
    mut writer: WriteHalf<&mut UpstreamStream>,
    shared: &Shared,
    relay: &Verbatim,
) -> End {
    let end = read_client(reader, &mut writer, shared, relay).await;
    if matches!(end, End::Client) {
        shared.left.store(true, Relaxed);
        if writer.shutdown().await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
    end
}

async fn read_client(
    mut reader: ReadHalf<&mut ClientStream>,
    writer: &mut WriteHalf<&mut UpstreamStream>,
    shared: &Shared,
    relay: &Verbatim,
) -> End {
    let mut tap = relay.ear.clone().map(Tap::new);
    let mut buffer = FrameBuffer::new();
    let mut walk = Walk::new(Limits::FRONTEND);
    loop {
        match reader.read_buf(&mut buffer.room()).await {
            Ok(0) => return End::Client,
            Ok(_) => {}
            Err(error) => return End::Io(error),
        }
        let (mut terminated, mut asks, mut queries) = (false, false, 0);
        let forwarded = walk.advance(
            buffer.bytes(),
            |_| false,
            |tag, _| match tag {
                frontend::TERMINATE => terminated = true,
                frontend::QUERY | frontend::SYNC | frontend::FUNCTION_CALL => {
                    shared.due.fetch_add(1, Relaxed);
                    shared.open.store(false, Relaxed);
                    asks = true;
                    queries += u64::from(tag != frontend::SYNC);
                }
                frontend::EXECUTE => {
                    shared.open.store(true, Relaxed);
                    queries += 1;
                }
                _ => shared.open.store(true, Relaxed),
            },
        );
        let Ok(n) = forwarded else {
            return End::Fault("invalid frontend message");
        };
        if asks {
            relay.client.begins();
        }
        relay.client.counters.queries(queries);
        relay.client.counters.received(n);
        if n > 0 {
            let Some(request) = Request::verbatim(buffer.take(n).freeze(), &relay.plan) else {
                return End::Revoked;
            };
            let sent = async {
                writer.write_all(request.as_bytes()).await?;
                writer.flush().await
            };
            if let Err(error) = sent.await {
                // Why it went may still be there to be read and passed on.
                tokio::time::sleep(limits::LINGER).await;
                return End::Io(error);
            }
            if let Some(tap) = &mut tap {
                tap.feed(request.as_bytes());
            }
        }
        if terminated {
            return End::Client;
        }
    }
}

pub(super) fn farewell(end: &End) -> Option<Report<'_>> {
    match end {
        End::Drained | End::Killed => Some(Report::fatal(
            sqlstate::ADMIN_SHUTDOWN,
            "terminating connection due to administrator command",
        )),
        End::Revoked => Some(Report {
            hint: Some("Connect again."),
            ..Report::fatal(
                sqlstate::ADMIN_SHUTDOWN,
                "terminating connection because the policy of this role changed",
            )
        }),
        End::Fault(message) => Some(Report::fatal(sqlstate::PROTOCOL_VIOLATION, message)),
        End::Refused(why) => Some(Report::fatal(&why.sqlstate, &why.message)),
        End::Failed(fatal) => Some(Report::fatal(fatal.sqlstate, fatal.message)),
        End::Upstream => Some(lost()),
        End::Client | End::Io(_) => None,
    }
}

/// Command tags after which names may mean something else. GRANT and the like change no name.
pub(super) fn changes_catalog(tag: &[u8]) -> bool {
    const VERBS: [&[u8]; 9] = [
        b"CREATE ",
        b"ALTER ",
        b"DROP ",
        b"SELECT INTO",
        b"IMPORT FOREIGN SCHEMA",
        b"REASSIGN OWNED",
        b"DO\0",
        b"CALL\0",
        b"SECURITY LABEL",
    ];
    VERBS.iter().any(|verb| tag.starts_with(verb))
}

#[cfg(test)]
mod tests {
    use super::changes_catalog;

    #[test]
    fn ddl_is_seen_by_its_tag() {
        assert!(changes_catalog(b"CREATE TABLE\0"));
        assert!(changes_catalog(b"DO\0"));
        assert!(!changes_catalog(b"SELECT 1\0"));
        assert!(!changes_catalog(b"DELETE 4\0"));
    }
}
