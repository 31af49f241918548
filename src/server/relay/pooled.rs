//! The relay of an unrestricted role whose connections are lent: one for each transaction.
//!
//! One task owns both sockets and looks at what came from either; what is read is written on in the
//! same breath, out of a buffer that belongs to the thread, so that a session at rest holds none.
//! [`Link`](crate::pooling::Link) says what goes on changed and when the connection may be given back.
//! Deliberately absent: replication, which keeps a connection of its own (`verbatim`).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::bytes::{Inbox, Outbox};
use super::lease::{Borrower, Held, Rested, Scratch};
use super::verbatim::farewell;
use super::{End, is_unrestricted};
use crate::client::ClientStream;
use crate::limits;
use crate::plan::Plan;
use crate::pooling::{Residue, Rest};
use crate::server::observe::Ear;
use crate::server::registry::Flags;
use crate::wire::write::backend as to_client;

/// One session that borrows.
pub(in crate::server) struct Pooled {
    pub(in crate::server) plan: Plan,
    pub(in crate::server) role: Arc<str>,
    pub(in crate::server) lease: Borrower,
    /// Of an observed role.
    pub(in crate::server) ear: Option<Ear>,
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
    held: Held,
    /// The client will send no more.
    left: bool,
    from_client: Inbox,
    to_client: Outbox,
}

impl Pooled {
    /// Relays until the session ends.
    pub(in crate::server) async fn run(self, client: &mut ClientStream) -> End {
        if !self.plan.is_verbatim() {
            return End::Revoked;
        }
        let mut flow = Flow {
            held: self.lease.begin(self.ear.clone()),
            left: false,
            from_client: Inbox::default(),
            to_client: Outbox::default(),
        };
        let end = loop {
            let event = poll_fn(|cx| self.poll(cx, client, &mut flow)).await;
            let done = match event {
                Event::End(end) => break end,
                // What they need to wait is no part of a session at rest.
                Event::Attach => Box::pin(self.lease.attach(&mut flow.held)).await,
                Event::Settle(found) => {
                    let mut theirs = Vec::new();
                    let settled = self.lease.settle(&mut flow.held, found, &mut theirs);
                    let done = Box::pin(settled).await;
                    flow.to_client.push(&theirs);
                    done
                }
            };
            if let Err(end) = done {
                break end;
            }
        };
        self.lease.end(&end);
        let boundary = flow.held.link.at_boundary();
        // What the server said last is better than what could be said of it.
        let told = matches!(end, End::Upstream) && flow.held.link.is_told();
        if let Some(report) = farewell(&end).filter(|_| !told)
            && boundary
        {
            let mut out = bytes::BytesMut::new();
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
        Scratch::with(|scratch| match self.turn(cx, client, flow, scratch) {
            Err(end) => Poll::Ready(Event::End(end)),
            Ok(Some(event)) => Poll::Ready(event),
            Ok(None) => Poll::Pending,
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
            moved |= flow.held.drive(cx)?;
            if flow.to_client.is_empty() && !server_waits {
                match self.read_server(cx, client, flow, scratch)? {
                    Poll::Ready(Some(event)) => return Ok(Some(event)),
                    Poll::Ready(None) => moved = true,
                    Poll::Pending => server_waits = flow.held.server.is_some(),
                }
            }
            if flow.held.link.resumes() {
                flow.from_client.set_ready();
                client_waits = false;
            }
            let may_say = flow.held.to_server.is_empty() && !flow.held.link.waits();
            if may_say && !flow.left && !client_waits {
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
            let link = &flow.held.link;
            if flow.left && (link.is_within() || !link.is_owed()) {
                return Err(End::Client);
            }
            if !moved {
                // What moved may have brought it to rest.
                self.drains(self.lease.client.signal().now(), flow)?;
                return Ok(None);
            }
        }
    }

    /// What others want of the session.
    fn signals(&self, cx: &Context<'_>, flow: &mut Flow) -> Result<(), End> {
        let flags = self.lease.client.signal().poll(cx);
        if flags == Flags::NONE {
            return Ok(());
        }
        if flags.any(Flags::KILL) {
            return Err(End::Killed);
        }
        if flags.any(Flags::POLICY) {
            self.lease.client.signal().take(Flags::POLICY);
            if !is_unrestricted(&self.lease.database, &self.role) {
                return Err(End::Revoked);
            }
            self.lease.renew(&mut flow.held);
        }
        self.drains(flags, flow)
    }

    /// The process stops, and nothing is under way here.
    fn drains(&self, flags: Flags, flow: &Flow) -> Result<(), End> {
        let idle = || {
            let resting = matches!(flow.held.link.rest(), Rest::Resting(_));
            (flow.held.server.is_none() || resting) && flow.from_client.is_empty()
        };
        if flags.any(Flags::DRAIN) && idle() {
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
        let (to_client, sent) = (&mut flow.to_client, &self.lease.client.counters);
        let heard = self.lease.hear(cx, &mut flow.held, scratch, |out, cx| {
            sent.sent(out.len());
            to_client.write(cx, client, out)
        })?;
        Ok(heard.map(|rested| self.after(flow, rested)))
    }

    /// The conversation may have come to rest.
    fn after(&self, flow: &mut Flow, rested: Rested) -> Option<Event> {
        let link = &mut flow.held.link;
        if link.is_answered() {
            self.lease.client.answered(link.is_outside());
        }
        let transactions = link.take_transactions();
        if transactions > 0 {
            self.lease.client.counters.transactions(transactions);
        }
        match rested {
            Rested::On => None,
            Rested::Settle(found) => Some(Event::Settle(found)),
        }
    }

    /// One read of the client's.
    fn read_client(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientStream,
        flow: &mut Flow,
        scratch: &mut Scratch,
    ) -> Result<Poll<Option<Event>>, End> {
        let waiting = flow.from_client.take_ready();
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
            self.lease.client.counters.received(came);
        }
        if flow.held.link.is_cancelled() {
            let mut reply = bytes::BytesMut::new();
            let bytes = flow.from_client.bytes(&scratch.input, came);
            let used = (flow.held.link)
                .take_cancelled(bytes, &mut reply)
                .map_err(|_| End::Fault("invalid frontend message"))?;
            flow.from_client.keep(&scratch.input, came, used);
            if !flow.held.link.is_cancelled() {
                flow.from_client.set_ready();
            }
            self.lease.client.counters.sent(reply.len());
            flow.to_client.write(cx, client, &reply)?;
            return Ok(Poll::Ready(None));
        }
        if flow.held.server.is_none() {
            if flow
                .from_client
                .begins_with(&scratch.input, crate::wire::frontend::TERMINATE)
            {
                flow.left = true;
                return Ok(Poll::Ready(None));
            }
            if !self.lease.take_at_hand(&mut flow.held) {
                flow.from_client.keep(&scratch.input, came, 0);
                flow.from_client.set_ready();
                return Ok(Poll::Ready(Some(Event::Attach)));
            }
        }
        let Scratch {
            input,
            output,
            reply,
        } = scratch;
        let bytes = flow.from_client.bytes(input, came);
        let said = self.lease.say(cx, &mut flow.held, bytes, output, reply)?;
        let Some(taken) = said else {
            return Ok(Poll::Pending);
        };
        flow.left |= taken.left;
        if taken.queries > 0 {
            self.lease.client.begins();
            self.lease.client.counters.queries(taken.queries);
        }
        flow.from_client.keep(input, came, taken.used);
        if !reply.is_empty() {
            flow.to_client.write(cx, client, reply)?;
        }
        if taken.used == 0 || !flow.held.to_server.is_empty() {
            return Ok(Poll::Ready(None));
        }
        // What asked for nothing leaves nothing to wait for.
        let rested = self.lease.rested(&mut flow.held);
        Ok(Poll::Ready(self.after(flow, rested)))
    }
}
