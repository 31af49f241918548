//! Length-prefixed frames, bounded, on any chunking.
//!
//! A frame is a type byte, a big-endian length that counts itself but not the type byte, and a body.
//! Deliberately absent: sockets (the doors read into [`FrameBuffer::buffer_mut`]) and any look into
//! a body. Bulk traffic is walked with [`frames`] or [`FrameBuffer::header_at`] and forwarded by
//! range, without a copy per frame.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::{backend, frontend};
use crate::limits;

/// Type byte and length.
pub const HEADER_BYTES: usize = 5;

/// Why the bytes cannot be a message. The stream is out of step: the connection has to close.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FrameError {
    /// A type byte that is not sent in this direction, or not in this state.
    #[error("invalid frontend message type {0}")]
    Tag(u8),
    /// A length below 4 or above the bound of its type.
    #[error("invalid message length")]
    Length {
        /// The type byte.
        tag: u8,
        /// The length as sent.
        length: u32,
    },
}

/// Which types may come now, and how long each may be.
#[derive(Clone, Copy)]
pub struct Limits {
    longest: fn(u8) -> Option<usize>,
}

impl Limits {
    /// An authenticated client.
    pub const FRONTEND: Self = Self {
        longest: longest_frontend,
    };
    /// A client that is being authenticated: nothing but its answers.
    pub const FRONTEND_AUTHENTICATION: Self = Self {
        longest: longest_authentication,
    };
    /// PostgreSQL, until its first ReadyForQuery: nothing but what a startup needs, and nothing long.
    pub const BACKEND_STARTUP: Self = Self {
        longest: longest_startup,
    };
    /// PostgreSQL.
    pub const BACKEND: Self = Self {
        longest: longest_backend,
    };

    /// The largest frame (type byte included) of this type, `None` if the type is not allowed.
    pub fn longest(&self, tag: u8) -> Option<usize> {
        (self.longest)(tag)
    }
}

/// `SocketBackend` in postgres.c: which types are PQ_LARGE and which PQ_SMALL.
fn longest_frontend(tag: u8) -> Option<usize> {
    match tag {
        frontend::QUERY
        | frontend::PARSE
        | frontend::BIND
        | frontend::FUNCTION_CALL
        | frontend::COPY_DATA => Some(limits::FRAME_BYTES),
        frontend::DESCRIBE
        | frontend::EXECUTE
        | frontend::CLOSE
        | frontend::FLUSH
        | frontend::SYNC
        | frontend::TERMINATE
        | frontend::COPY_DONE
        | frontend::COPY_FAIL => Some(limits::SMALL_FRAME_BYTES),
        _ => None,
    }
}

fn longest_authentication(tag: u8) -> Option<usize> {
    (tag == frontend::PASSWORD).then_some(limits::AUTHENTICATION_FRAME_BYTES)
}

fn longest_startup(tag: u8) -> Option<usize> {
    let expected = matches!(
        tag,
        backend::AUTHENTICATION
            | backend::BACKEND_KEY_DATA
            | backend::ERROR
            | backend::NEGOTIATE_PROTOCOL_VERSION
            | backend::NOTICE
            | backend::PARAMETER_STATUS
            | backend::READY
    );
    expected.then_some(limits::BACKEND_FRAME_BYTES)
}

/// libpq allows 30,000 bytes to all but its long types; ParameterDescription is not among those but
/// can need 256 KiB.
fn longest_backend(tag: u8) -> Option<usize> {
    match tag {
        backend::DATA_ROW
        | backend::COPY_DATA
        | backend::ROW_DESCRIPTION
        | backend::ERROR
        | backend::NOTICE
        | backend::NOTIFICATION
        | backend::FUNCTION_CALL_RESPONSE => Some(limits::FRAME_BYTES),
        backend::PARAMETER_DESCRIPTION => Some(limits::PARAMETER_DESCRIPTION_BYTES),
        backend::AUTHENTICATION
        | backend::BACKEND_KEY_DATA
        | backend::BIND_COMPLETE
        | backend::CLOSE_COMPLETE
        | backend::COMMAND_COMPLETE
        | backend::COPY_BOTH
        | backend::COPY_DONE
        | backend::COPY_IN
        | backend::COPY_OUT
        | backend::EMPTY_QUERY
        | backend::NEGOTIATE_PROTOCOL_VERSION
        | backend::NO_DATA
        | backend::PARAMETER_STATUS
        | backend::PARSE_COMPLETE
        | backend::PORTAL_SUSPENDED
        | backend::READY => Some(limits::BACKEND_FRAME_BYTES),
        _ => None,
    }
}

/// The type and the whole length (type byte included) of the frame at the front of `bytes`; `None`
/// until five bytes are there. The type is checked as soon as the first one is.
pub fn header(bytes: &[u8], limits: &Limits) -> Result<Option<(u8, usize)>, FrameError> {
    let Some(&tag) = bytes.first() else {
        return Ok(None);
    };
    let longest = limits.longest(tag).ok_or(FrameError::Tag(tag))?;
    let Some([_, length @ ..]) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    let total = usize::try_from(length)
        .ok()
        .filter(|length| *length >= 4)
        .and_then(|length| length.checked_add(1))
        .filter(|total| *total <= longest)
        .ok_or(FrameError::Length { tag, length })?;
    Ok(Some((tag, total)))
}

/// The body of a whole frame.
pub fn body(frame: &[u8]) -> &[u8] {
    frame.get(HEADER_BYTES..).unwrap_or_default()
}

/// One whole frame inside a buffer.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The type byte.
    pub tag: u8,
    /// Where the frame starts in the buffer that is walked.
    pub start: usize,
    /// The frame, header included.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What follows the header.
    pub fn body(&self) -> &'a [u8] {
        body(self.bytes)
    }

    /// Where the next frame starts.
    pub fn end(&self) -> usize {
        self.start.saturating_add(self.bytes.len())
    }
}

/// Walks the whole frames of `bytes`, and stops before one that is not all there. After an error it
/// ends.
pub fn frames<'a>(bytes: &'a [u8], limits: &Limits) -> Frames<'a> {
    Frames {
        bytes,
        start: 0,
        limits: *limits,
    }
}

/// See [`frames`].
pub struct Frames<'a> {
    bytes: &'a [u8],
    start: usize,
    limits: Limits,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.start..)?;
        match header(rest, &self.limits) {
            Ok(None) => None,
            Ok(Some((tag, total))) => {
                let frame = Frame {
                    tag,
                    start: self.start,
                    bytes: rest.get(..total)?,
                };
                self.start = frame.end();
                Some(Ok(frame))
            }
            Err(error) => {
                self.start = self.bytes.len();
                self.bytes = &[];
                Some(Err(error))
            }
        }
    }
}

/// Bytes from a peer that have not been taken yet.
#[derive(Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
}

impl FrameBuffer {
    /// Empty, with room for one read.
    pub fn new() -> Self {
        Self {
            bytes: BytesMut::with_capacity(limits::READ_BYTES),
        }
    }

    /// Starts with what another reader left.
    pub fn with(bytes: BytesMut) -> Self {
        Self { bytes }
    }

    /// Where a socket appends.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Room for one read, without holding on to what was taken.
    pub fn room(&mut self) -> Limit<&mut BytesMut> {
        self.bytes.reserve(limits::READ_BYTES);
        (&mut self.bytes).limit(limits::READ_BYTES)
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much is there.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing is there.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The frame at the front: its type and its whole length, which may be more than is there. `None`
    /// until its header is complete.
    pub fn next_header(&self, limits: &Limits) -> Result<Option<(u8, usize)>, FrameError> {
        header(&self.bytes, limits)
    }

    /// The same for a frame that starts at `offset`.
    pub fn header_at(
        &self,
        offset: usize,
        limits: &Limits,
    ) -> Result<Option<(u8, usize)>, FrameError> {
        header(self.bytes.get(offset..).unwrap_or_default(), limits)
    }

    /// Takes the first `len` bytes, or fewer when there are fewer.
    pub fn take(&mut self, len: usize) -> BytesMut {
        self.bytes.split_to(len.min(self.bytes.len()))
    }

    /// Drops the first `len` bytes.
    pub fn skip(&mut self, len: usize) {
        self.bytes.advance(len.min(self.bytes.len()));
    }

    /// Takes the frame at the front once all of it is there: its type and all its bytes, header
    /// included.
    pub fn next_frame(&mut self, limits: &Limits) -> Result<Option<(u8, Bytes)>, FrameError> {
        match self.next_header(limits)? {
            Some((tag, total)) if total <= self.bytes.len() => {
                Ok(Some((tag, self.take(total).freeze())))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameBuffer, FrameError, Limits, frames, header};

    #[test]
    fn every_chunking_gives_the_same_frames() {
        let stream = b"Q\0\0\0\x0dselect 1\0S\0\0\0\x04X\0\0\0\x04";
        for chunk in 1..stream.len() {
            let mut buffer = FrameBuffer::new();
            let mut seen = Vec::new();
            for part in stream.chunks(chunk) {
                buffer.buffer_mut().extend_from_slice(part);
                while let Some((tag, frame)) = buffer.next_frame(&Limits::FRONTEND).unwrap() {
                    seen.push((tag, frame.len()));
                }
            }
            assert_eq!(
                seen,
                [(b'Q', 14), (b'S', 5), (b'X', 5)],
                "chunks of {chunk}"
            );
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn bad_headers_are_refused_at_the_first_byte_that_shows_it() {
        assert_eq!(header(b"z", &Limits::FRONTEND), Err(FrameError::Tag(b'z')));
        assert_eq!(
            header(b"D", &Limits::FRONTEND_AUTHENTICATION),
            Err(FrameError::Tag(b'D'))
        );
        let length = |bytes| header(bytes, &Limits::FRONTEND);
        assert_eq!(
            length(b"S\0\0\0\x03"),
            Err(FrameError::Length {
                tag: b'S',
                length: 3
            })
        );
        assert_eq!(
            length(b"S\0\0\x40\0"),
            Err(FrameError::Length {
                tag: b'S',
                length: 0x4000
            })
        );
        assert!(length(b"Q\xff\xff\xff\xff").is_err());
        assert_eq!(length(b"Q\0\0\0"), Ok(None));
    }

    #[test]
    fn a_walk_stops_before_a_partial_frame_and_after_an_error() {
        let whole: Vec<_> = frames(b"S\0\0\0\x04Q\0\0\0\x09ab", &Limits::FRONTEND)
            .map(|f| f.map(|f| (f.tag, f.start, f.end())))
            .collect();
        assert_eq!(whole, [Ok((b'S', 0, 5))]);
        assert_eq!(frames(b"?S\0\0\0\x04", &Limits::FRONTEND).count(), 1);
    }
}
