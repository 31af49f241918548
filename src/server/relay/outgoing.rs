//! Bytes on their way to a peer that takes them as it can.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::limits;

/// Bytes waiting for a socket.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: BytesMut,
    /// Written, but TLS may hold it back.
    unflushed: bool,
}

impl Outgoing {
    fn pending(&self) -> bool {
        self.unflushed || !self.bytes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= limits::PENDING_BYTES
    }

    /// Writes what the socket takes. Loses nothing when it is dropped halfway.
    fn poll_drive(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.pending() {
            if self.bytes.is_empty() {
                ready!(Pin::new(&mut *socket).poll_flush(cx))?;
                self.unflushed = false;
            } else {
                ready!(pin!(socket.write_buf(&mut self.bytes)).poll(cx))?;
                self.unflushed = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// All of it.
    pub(super) async fn finish(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        poll_fn(|cx| self.poll_drive(socket, cx)).await
    }

    /// Writes what the socket takes, if there is anything. True if there is room again.
    pub(super) fn poll_written(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let was_full = self.is_full();
        if let Poll::Ready(written) = self.poll_drive(socket, cx) {
            written?;
        }
        Ok(was_full && !self.is_full())
    }
}
