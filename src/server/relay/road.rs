//! The way from a restricted session to PostgreSQL: a connection of its own, or lent ones.
//!
//! What goes along it is what the session's machine wrote and what it reads; [`Lent`] translates it for
//! whichever connection is at hand. Deliberately absent: the client.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Buf as _;
use tokio::io::AsyncReadExt as _;

use super::End;
use super::lease::{Borrower, Held, Rested, Scratch};
use super::outgoing::Outgoing;
use crate::limits;
use crate::pooling::Residue;
use crate::upstream::UpstreamStream;
use crate::wire::frame::FrameBuffer;
use crate::wire::frontend;
use crate::wire::write::frontend as to_upstream;

/// A way to PostgreSQL.
pub(super) trait Road {
    /// Reads once what PostgreSQL says.
    fn poll_read(&mut self, from: &mut FrameBuffer, cx: &mut Context<'_>) -> Poll<Result<(), End>>;

    /// Sends what can be sent now. True if there is something to be done because of it: [`Road::ready`],
    /// or what came to `from`.
    fn poll_write(
        &mut self,
        to: &mut Outgoing,
        from: &mut FrameBuffer,
        cx: &mut Context<'_>,
    ) -> Result<bool, End>;

    /// [`Road::ready`] has something to do.
    fn waits(&self) -> bool;

    /// Does what takes longer than one look.
    async fn ready(&mut self, from: &mut FrameBuffer) -> Result<(), End>;

    /// The catalog is another.
    fn renew(&mut self);

    /// The session is over.
    async fn leave(&mut self, to: &mut Outgoing, end: &End);
}

/// A connection of its own.
pub(super) struct Own<'a>(pub(super) &'a mut UpstreamStream);

impl Road for Own<'_> {
    fn poll_read(&mut self, from: &mut FrameBuffer, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        pin!(self.0.read_buf(&mut from.room()))
            .poll(cx)
            .map(|read| match read {
                // A reset says no more than an end does.
                Ok(0) | Err(_) => Err(End::Upstream),
                Ok(_) => Ok(()),
            })
    }

    fn poll_write(
        &mut self,
        to: &mut Outgoing,
        _: &mut FrameBuffer,
        cx: &mut Context<'_>,
    ) -> Result<bool, End> {
        Ok(to.poll_written(self.0, cx)?)
    }

    fn waits(&self) -> bool {
        false
    }

    async fn ready(&mut self, _: &mut FrameBuffer) -> Result<(), End> {
        Ok(())
    }

    fn renew(&mut self) {}

    async fn leave(&mut self, to: &mut Outgoing, _: &End) {
        to_upstream::terminate(&mut to.bytes);
        // Whoever does not take it in time does not get it: the session is over.
        drop(tokio::time::timeout(limits::LINGER, to.finish(self.0)).await);
    }
}

/// Lent ones.
pub(super) struct Lent {
    lease: Borrower,
    held: Held,
    next: Option<Next>,
    /// The client will send no more.
    left: bool,
}

/// What takes longer than one look.
enum Next {
    /// There is something to send, and no connection is at hand.
    Attach,
    /// A transaction is over, and this may be left of it.
    Settle(Residue),
}

impl Lent {
    /// Nothing is borrowed yet.
    pub(super) fn new(lease: Borrower) -> Self {
        Self {
            held: lease.begin(None),
            lease,
            next: None,
            left: false,
        }
    }

    fn rested(&mut self, rested: Rested) {
        if let Rested::Settle(found) = rested {
            self.next = Some(Next::Settle(found));
        }
    }

    /// Says it over the connection at hand. True if there is something to be done because of it.
    fn say(
        &mut self,
        to: &mut Outgoing,
        from: &mut FrameBuffer,
        cx: &mut Context<'_>,
    ) -> Result<bool, End> {
        let was_full = to.is_full();
        let Self { lease, held, .. } = self;
        let said = Scratch::with(|scratch| {
            let (output, reply) = (&mut scratch.output, &mut scratch.reply);
            let said = lease.say(cx, held, &to.bytes, output, reply)?;
            from.buffer_mut().extend_from_slice(reply);
            Ok::<_, End>(said.map(|taken| (taken, !reply.is_empty())))
        })?;
        let Some((taken, answered)) = said else {
            return Ok(false);
        };
        to.bytes.advance(taken.used.min(to.bytes.len()));
        if taken.left {
            self.left = true;
            to.bytes.clear();
            return Ok(true);
        }
        if taken.used > 0 && self.held.to_server.is_empty() {
            // What asked for nothing leaves nothing to wait for.
            let rested = self.lease.rested(&mut self.held);
            self.rested(rested);
        }
        Ok(answered || self.next.is_some() || (was_full && !to.is_full()))
    }
}

impl Road for Lent {
    fn poll_read(&mut self, from: &mut FrameBuffer, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.left && !self.held.link.is_owed() {
            return Poll::Ready(Err(End::Upstream));
        }
        if self.next.is_some() {
            return Poll::Pending;
        }
        let Self { lease, held, .. } = self;
        let heard = Scratch::with(|scratch| {
            lease.hear(cx, held, scratch, |out, _| {
                from.buffer_mut().extend_from_slice(out);
                Ok(())
            })
        });
        heard?.map(|rested| {
            self.rested(rested);
            Ok(())
        })
    }

    fn poll_write(
        &mut self,
        to: &mut Outgoing,
        from: &mut FrameBuffer,
        cx: &mut Context<'_>,
    ) -> Result<bool, End> {
        let turned = self.held.drive(cx)?;
        self.held.link.resumes();
        let waits = self.held.link.waits();
        if !self.held.to_server.is_empty() || self.next.is_some() || waits {
            return Ok(turned);
        }
        let Some(first) = to.bytes.first() else {
            return Ok(turned);
        };
        if self.held.link.is_cancelled() {
            let answered = (self.held.link)
                .take_cancelled(&to.bytes, from.buffer_mut())
                .map_err(|_| End::Fault("invalid frontend message"))?;
            to.bytes.advance(answered.min(to.bytes.len()));
            return Ok(turned || answered > 0 || !self.held.link.is_cancelled());
        }
        if self.held.server.is_none() {
            // To say good-bye to nobody takes no connection.
            if *first == frontend::TERMINATE {
                self.left = true;
                to.bytes.clear();
                return Ok(true);
            }
            if !self.lease.take_at_hand(&mut self.held) {
                self.next = Some(Next::Attach);
                return Ok(true);
            }
        }
        Ok(self.say(to, from, cx)? || turned)
    }

    fn waits(&self) -> bool {
        self.next.is_some()
    }

    async fn ready(&mut self, from: &mut FrameBuffer) -> Result<(), End> {
        match self.next.take() {
            None => Ok(()),
            Some(Next::Attach) => self.lease.attach(&mut self.held).await,
            Some(Next::Settle(found)) => {
                let mut theirs = Vec::new();
                let done = self.lease.settle(&mut self.held, found, &mut theirs).await;
                from.buffer_mut().extend_from_slice(&theirs);
                done
            }
        }
    }

    fn renew(&mut self) {
        self.lease.renew(&mut self.held);
    }

    async fn leave(&mut self, _: &mut Outgoing, end: &End) {
        self.lease.end(end);
    }
}
