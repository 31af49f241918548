//! Messages the proxy itself makes, appended to a buffer.
//!
//! Lengths are written last, so a message is whole or absent: one that would be longer than the
//! protocol allows, or whose text holds a NUL, is taken back and reported.

pub mod backend;
pub mod frontend;

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use crate::limits;
use crate::pg::types::Format;

/// Why a message could not be written. Nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum WriteError {
    /// Longer than [`limits::FRAME_BYTES`], or a count above 65,535.
    #[error("message is too long")]
    TooLong,
    /// A string holds a NUL, which would end it early.
    #[error("string holds a NUL")]
    Nul,
}

/// Appends one frame. `build` writes the body; on any error the buffer is as it was.
fn frame(
    out: &mut BytesMut,
    tag: u8,
    build: impl FnOnce(&mut BytesMut) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let start = out.len();
    out.put_u8(tag);
    let result = counted(out, build);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// A length that counts itself, then a body.
pub(super) fn counted(
    out: &mut BytesMut,
    build: impl FnOnce(&mut BytesMut) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let start = out.len();
    out.put_i32(0);
    build(out)?;
    let length = out.len().saturating_sub(start);
    if length > limits::FRAME_BYTES {
        return Err(WriteError::TooLong);
    }
    let length = i32::try_from(length).map_err(|_| WriteError::TooLong)?;
    let slot = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>);
    *slot.ok_or(WriteError::TooLong)? = length.to_be_bytes();
    Ok(())
}

/// Appends a frame that cannot fail: a fixed body below every bound.
fn fixed(out: &mut BytesMut, tag: u8, body: &[u8]) {
    out.put_u8(tag);
    // Bodies here are a few bytes; the fallback is unreachable, and longer than any peer accepts.
    out.put_i32(i32::try_from(body.len().saturating_add(4)).unwrap_or(i32::MAX));
    out.put_slice(body);
}

/// A string and its NUL; refuses a string that holds one.
pub(super) fn cstr(out: &mut BytesMut, text: &[u8]) -> Result<(), WriteError> {
    if memchr::memchr(0, text).is_some() {
        return Err(WriteError::Nul);
    }
    out.put_slice(text);
    out.put_u8(0);
    Ok(())
}

/// A string and its NUL; cut at a NUL or at `longest` bytes, at a character boundary. For words
/// addressed to people, where a shorter message is better than none.
fn cut(out: &mut BytesMut, text: &str, longest: usize) {
    let text = text.split('\0').next().unwrap_or_default();
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    out.put_slice(text.as_bytes().get(..end).unwrap_or_default());
    out.put_u8(0);
}

/// A count as the protocol has it.
fn count(out: &mut BytesMut, n: usize) -> Result<(), WriteError> {
    out.put_u16(u16::try_from(n).map_err(|_| WriteError::TooLong)?);
    Ok(())
}

/// Format codes with their count.
fn formats(out: &mut BytesMut, formats: &[Format]) -> Result<(), WriteError> {
    count(out, formats.len())?;
    for format in formats {
        out.put_i16(code(*format));
    }
    Ok(())
}

fn code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// NULL or a value with its length.
fn value(out: &mut BytesMut, value: Option<&[u8]>) -> Result<(), WriteError> {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).map_err(|_| WriteError::TooLong)?);
            out.put_slice(bytes);
        }
    }
    Ok(())
}

/// Values with their count.
fn values<'v>(
    out: &mut BytesMut,
    values: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
) -> Result<(), WriteError> {
    count(out, values.len())?;
    for v in values {
        value(out, v)?;
    }
    Ok(())
}
