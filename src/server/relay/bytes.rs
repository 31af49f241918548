//! Bytes that could not go on at once: the beginning of a message whose rest is to come, and what a
//! socket did not take. Empty, they hold no memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::limits;

/// What was read and could not be used yet.
#[derive(Default)]
pub(super) struct Inbox {
    kept: Vec<u8>,
    /// It is to be looked at again although nothing more came.
    ready: bool,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The beginning of what is to come.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    pub(super) fn take_ready(&mut self) -> bool {
        std::mem::take(&mut self.ready) && !self.kept.is_empty()
    }

    /// Reads once, behind what is kept, or into `input` if nothing is; `None` at the end of the stream.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
        input: &mut [u8],
    ) -> Poll<io::Result<Option<usize>>> {
        let before = self.kept.len();
        let into = if before == 0 {
            input
        } else {
            self.kept
                .resize(before.saturating_add(limits::READ_BYTES), 0);
            self.kept.get_mut(before..).unwrap_or_default()
        };
        let mut buffer = ReadBuf::new(into);
        let read = Pin::new(stream).poll_read(cx, &mut buffer);
        let n = buffer.filled().len();
        if before > 0 {
            self.kept.truncate(before.saturating_add(n));
        }
        read.map_ok(|()| (n > 0).then_some(before.saturating_add(n)))
    }

    /// What there is after a read that came to `came` bytes.
    pub(super) fn bytes<'a>(&'a self, input: &'a [u8], came: usize) -> &'a [u8] {
        if self.kept.is_empty() {
            input.get(..came).unwrap_or_default()
        } else {
            &self.kept
        }
    }

    pub(super) fn begins_with(&self, input: &[u8], byte: u8) -> bool {
        self.bytes(input, input.len()).first() == Some(&byte)
    }

    /// Keeps what was not used.
    pub(super) fn keep(&mut self, input: &[u8], came: usize, used: usize) {
        if self.kept.is_empty() {
            self.kept
                .extend_from_slice(input.get(used..came).unwrap_or_default());
        } else if used >= self.kept.len() {
            self.kept = Vec::new();
        } else {
            self.kept.drain(..used);
        }
    }
}

/// What a socket did not take yet.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Vec<u8>,
    /// Of `waiting`, already written.
    written: usize,
    /// Written, but TLS may hold it back.
    unflushed: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Writes now what the socket takes, and keeps the rest.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
        mut bytes: &[u8],
    ) -> io::Result<()> {
        if self.waiting.is_empty() {
            while !bytes.is_empty() {
                match Pin::new(&mut *stream).poll_write(cx, bytes) {
                    Poll::Ready(written) => {
                        let written = some(written?)?;
                        bytes = bytes.get(written..).unwrap_or_default();
                        self.unflushed = true;
                    }
                    Poll::Pending => break,
                }
            }
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.is_empty() && self.unflushed {
            self.flush(cx, stream)?;
        }
        Ok(())
    }

    /// Goes on with what waits; true if that is done.
    pub(super) fn drive(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        while let Some(rest) = self.waiting.get(self.written..).filter(|r| !r.is_empty()) {
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Ready(written) => {
                    self.written = self.written.saturating_add(some(written?)?);
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(false),
            }
        }
        self.waiting = Vec::new();
        self.written = 0;
        self.flush(cx, stream)
    }

    fn flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<bool> {
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(done) => {
                done?;
                self.unflushed = false;
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    /// All of it.
    pub(super) async fn finish(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let rest = self.waiting.get(self.written..).unwrap_or_default();
        stream.write_all(rest).await?;
        stream.flush().await
    }
}

fn some(written: usize) -> io::Result<usize> {
    if written == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(written)
}
