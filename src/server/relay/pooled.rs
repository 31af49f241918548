//! The relay of an unrestricted role whose connections are lent: one for each transaction.
//!
//! One task owns both sockets and looks at what came from either; what is read is written on in the
//! same breath, out of a buffer that belongs to the thread, so that a session at rest holds none.
//! [`Link`] says what goes on changed and when the connection may be given back. Deliberately absent:
//! observed roles and replication, which keep a connection of their own (`verbatim`).

mod bytes;
mod lease;

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use self::bytes::{Inbox, Outbox};
use super::verbatim::{changes_catalog, farewell};
use super::{End, is_unrestricted};
use crate::client::ClientStream;
use crate::limits;
use crate::plan::Plan;
use crate::pooling::probe::Settings;
use crate::pooling::{Link, Residue, Rest, Routines, Upward};
use crate::server::Shared;
use crate::server::config::Login;
use crate::server::database::Database;
use crate::server::pool::{Pool, Server, Start};
use crate::server::registry::{Entry, Flags};
use crate::upstream::Borrowed;
use crate::wire::write::backend as to_client;

thread_local! {
    /// What is read into, and what is written from if it had to be changed.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; limits::READ_BYTES].into_boxed_slice(),
        output: Vec::new(),
        reply: Vec::new(),
    });
}

struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
    reply: Vec<u8>,
}

impl Scratch {
    /// One long message is no reason to keep as much room for ever.
    fn shrink(&mut self) {
        if self.output.capacity() > limits::PENDING_BYTES {
            self.output = Vec::new();
        }
    }
}

/// One session that borrows.
pub(in crate::server) struct Pooled {
    pub(in crate::server) plan: Plan,
    pub(in crate::server) role: Arc<str>,
    pub(in crate::server) database: Arc<Database>,
    pub(in crate::server) shared: Arc<Shared>,
    pub(in crate::server) client: Arc<Entry>,
    pub(in crate::server) pool: Arc<Pool>,
    pub(in crate::server) start: Arc<Start>,
    pub(in crate::server) login: Login,
    pub(in crate::server) borrowed: Arc<Borrowed>,
}

/// What the poll loop cannot do itself.
enum Event {
    /// The client wants something, and no connection is at hand.
    Attach,
    /// The transaction is over, and this may be left of it.
    Settle(Residue),
    End(End),
}

/// The conversation.
struct Flow {
    link: Link,
    routines: Arc<Routines>,
    server: Option<Box<Server>>,
    /// What the session holds, to be held by every connection it gets.
    settings: Settings,
    /// The connection stays: it holds what cannot be taken along.
    pinned: bool,
    /// And that is not going to change.
    for_good: bool,
    /// A command changed the catalog; said when its transaction is over.
    changed: bool,
    /// The client will send no more.
    left: bool,
    from_client: Inbox,
    from_server: Inbox,
    to_client: Outbox,
    to_server: Outbox,
}

impl Pooled {
    /// Relays until the session ends.
    pub(in crate::server) async fn run(self, client: &mut ClientStream) -> End {
        if !self.plan.is_verbatim() {
            return End::Revoked;
        }
        let mut link = Link::new();
        if let Some(welcome) = self.start.welcome() {
            for (name, value) in &welcome.reported {
                link.setting(name.as_bytes(), value.as_bytes());
            }
        }
        let mut flow = Flow {
            link,
            routines: self.database.routines(),
            server: None,
            settings: Settings::default(),
            pinned: false,
            for_good: false,
            changed: false,
            left: false,
            from_client: Inbox::default(),
            from_server: Inbox::default(),
            to_client: Outbox::default(),
            to_server: Outbox::default(),
        };
        let end = loop {
            let event = poll_fn(|cx| self.poll(cx, client, &mut flow)).await;
            let done = match event {
                Event::End(end) => break end,
                // What they need to wait is no part of a session at rest.
                Event::Attach => Box::pin(self.attach(&mut flow)).await,
                Event::Settle(found) => Box::pin(self.settle(&mut flow, found)).await,
            };
            if let Err(end) = done {
                break end;
            }
        };
        self.client.attach(0);
        if !matches!(end, End::Killed) {
            self.borrowed.set(None);
        }
        let boundary = flow.link.at_boundary();
        // What the server said last is better than what could be said of it.
        let told = matches!(end, End::Upstream) && flow.link.is_told();
        if let Some(report) = farewell(&end).filter(|_| !told)
            && boundary
        {
            let mut out = ::bytes::BytesMut::new();
            to_client::error(&mut out, &report);
            flow.to_client.push(&out);
        }
        // Whoever does not take it in time does not get it: the session is over.
        let goodbye = flow.to_client.finish(client);
        drop(tokio::time::timeout(limits::LINGER, goodbye).await);
        end
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientStream,
        flow: &mut Flow,
    ) -> Poll<Event> {
        SCRATCH.with_borrow_mut(|scratch| {
            let event = self.turn(cx, client, flow, scratch);
            scratch.shrink();
            match event {
                Err(end) => Poll::Ready(Event::End(end)),
                Ok(Some(event)) => Poll::Ready(event),
                Ok(None) => Poll::Pending,
            }
        })
    }

    /// Everything that can be done now. Nothing is left to be done without a wake-up.
    fn turn(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientStream,
        flow: &mut Flow,
        scratch: &mut Scratch,
    ) -> Result<Option<Event>, End> {
        self.signals(cx, flow)?;
        // A socket that had nothing wakes us when it has: it is asked once.
        let (mut server_waits, mut client_waits) = (false, false);
        loop {
            let mut moved = flow.to_client.drive(cx, client)?;
            if let Some(server) = &mut flow.server {
                moved |= flow.to_server.drive(cx, &mut server.connection.stream)?;
            }
            if flow.to_client.is_empty() && !server_waits {
                match self.read_server(cx, client, flow, scratch)? {
                    Poll::Ready(Some(event)) => return Ok(Some(event)),
                    Poll::Ready(None) => moved = true,
                    Poll::Pending => server_waits = flow.server.is_some(),
                }
            }
            if flow.to_server.is_empty() && !flow.left && !client_waits {
                match self.read_client(cx, client, flow, scratch)? {
                    Poll::Ready(Some(event)) => return Ok(Some(event)),
                    Poll::Ready(None) => {
                        moved = true;
                        // It may be another one now.
                        server_waits = false;
                    }
                    Poll::Pending => client_waits = true,
                }
            }
            if flow.left && !flow.link.is_owed() {
                return Err(End::Client);
            }
            if !moved {
                return Ok(None);
            }
        }
    }

    /// What others want of the session.
    fn signals(&self, cx: &Context<'_>, flow: &mut Flow) -> Result<(), End> {
        let flags = self.client.signal().poll(cx);
        if flags == Flags::NONE {
            return Ok(());
        }
        if flags.any(Flags::KILL) {
            return Err(End::Killed);
        }
        if flags.any(Flags::POLICY) {
            self.client.signal().take(Flags::POLICY);
            if !is_unrestricted(&self.database, &self.role) {
                return Err(End::Revoked);
            }
            flow.routines = self.database.routines();
        }
        let idle = flow.server.is_none() || matches!(flow.link.rest(), Rest::Resting(_));
        if flags.any(Flags::DRAIN) && idle && flow.from_client.is_empty() {
            return Err(End::Drained);
        }
        Ok(())
    }

    /// One read of the server's.
    fn read_server(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientStream,
        flow: &mut Flow,
        scratch: &mut Scratch,
    ) -> Result<Poll<Option<Event>>, End> {
        let Some(server) = &mut flow.server else {
            return Ok(Poll::Pending);
        };
        let stream = &mut server.connection.stream;
        let Poll::Ready(read) = flow.from_server.read(cx, stream, &mut scratch.input) else {
            return Ok(Poll::Pending);
        };
        // A reset says no more than an end does.
        let Ok(Some(came)) = read else {
            return Err(End::Upstream);
        };
        scratch.output.clear();
        let bytes = flow.from_server.bytes(&scratch.input, came);
        let changed = &mut flow.changed;
        let taken = flow
            .link
            .take_server(
                bytes,
                &mut server.known,
                self.pool.statements(),
                &mut scratch.output,
                |tag| *changed |= changes_catalog(tag),
            )
            .map_err(|_| End::Fault("malformed message from the server"))?;
        let out = taken.goes_on(bytes, &scratch.output);
        self.client.counters.sent(out.len());
        flow.to_client.write(cx, client, out)?;
        flow.from_server.keep(&scratch.input, came, taken.used);
        Ok(Poll::Ready(self.rested(flow)?))
    }

    /// The conversation may have come to rest.
    fn rested(&self, flow: &mut Flow) -> Result<Option<Event>, End> {
        let Rest::Resting(found) = flow.link.rest() else {
            return Ok(None);
        };
        self.client
            .counters
            .transactions(flow.link.take_transactions());
        if std::mem::take(&mut flow.changed) {
            self.database.request();
        }
        if !flow.from_server.is_empty() {
            return Err(End::Fault("malformed message from the server"));
        }
        if !found.is_none() && !flow.for_good {
            return Ok(Some(Event::Settle(found)));
        }
        if !flow.pinned {
            self.detach(flow);
        }
        Ok(None)
    }

    /// One read of the client's.
    fn read_client(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientStream,
        flow: &mut Flow,
        scratch: &mut Scratch,
    ) -> Result<Poll<Option<Event>>, End> {
        let waiting = flow.server.is_some() && flow.from_client.take_ready();
        let came = if waiting {
            flow.from_client.len()
        } else {
            match flow.from_client.read(cx, client, &mut scratch.input) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(read) => {
                    let Some(came) = read? else {
                        flow.left = true;
                        return Ok(Poll::Ready(None));
                    };
                    came
                }
            }
        };
        if !waiting {
            self.client.counters.received(came);
        }
        if flow.server.is_none() {
            if flow
                .from_client
                .begins_with(&scratch.input, crate::wire::frontend::TERMINATE)
            {
                flow.left = true;
                return Ok(Poll::Ready(None));
            }
            let paused = self.client.signal().now().any(Flags::PAUSE);
            match self.pool.lend(&self.start) {
                Some(server) if !paused && server.settings == flow.settings => {
                    self.attached(flow, server);
                }
                found => {
                    if let Some(server) = found {
                        self.pool.give(server);
                    }
                    flow.from_client.keep(&scratch.input, came, 0);
                    flow.from_client.set_ready();
                    return Ok(Poll::Ready(Some(Event::Attach)));
                }
            }
        }
        let Some(server) = &mut flow.server else {
            return Ok(Poll::Pending);
        };
        scratch.output.clear();
        scratch.reply.clear();
        let bytes = flow.from_client.bytes(&scratch.input, came);
        let mut at = Upward {
            known: &mut server.known,
            statements: self.pool.statements(),
            routines: &flow.routines,
        };
        let taken = flow
            .link
            .take_client(bytes, &mut at, &mut scratch.output, &mut scratch.reply)
            .map_err(|_| End::Fault("invalid frontend message"))?;
        let out = taken.goes_on(bytes, &scratch.output);
        flow.left |= taken.left;
        self.client.counters.queries(taken.queries);
        flow.to_server
            .write(cx, &mut server.connection.stream, out)?;
        flow.from_client.keep(&scratch.input, came, taken.used);
        if !scratch.reply.is_empty() {
            flow.to_client.write(cx, client, &scratch.reply)?;
        }
        if taken.used == 0 || !flow.to_server.is_empty() {
            return Ok(Poll::Ready(None));
        }
        // What asked for nothing leaves nothing to wait for.
        Ok(Poll::Ready(self.rested(flow)?))
    }
}
