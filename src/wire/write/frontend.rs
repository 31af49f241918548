//! Messages to PostgreSQL.

use bytes::{BufMut, BytesMut};

use super::super::frontend as tag;
use super::super::frontend::Target;
use super::{WriteError, count, cstr, fixed, formats, frame, value, values};
use crate::pg::types::Format;

/// Query
pub fn query(out: &mut BytesMut, text: &str) -> Result<(), WriteError> {
    frame(out, tag::QUERY, |b| cstr(b, text.as_bytes()))
}

/// Query, its text in pieces. `pieces` says `None` if it could not push all of them.
pub fn query_pieces(
    out: &mut BytesMut,
    pieces: impl FnOnce(&mut dyn FnMut(&str)) -> Option<()>,
) -> Result<(), WriteError> {
    frame(out, tag::QUERY, |b| {
        let start = b.len();
        pieces(&mut |piece| b.put_slice(piece.as_bytes())).ok_or(WriteError::TooLong)?;
        let text = b.get(start..).unwrap_or_default();
        if memchr::memchr(0, text).is_some() {
            return Err(WriteError::Nul);
        }
        b.put_u8(0);
        Ok(())
    })
}

/// Parse; an OID of 0 leaves a type open.
pub fn parse(
    out: &mut BytesMut,
    name: &[u8],
    query: &str,
    types: &[u32],
) -> Result<(), WriteError> {
    frame(out, tag::PARSE, |b| {
        cstr(b, name)?;
        cstr(b, query.as_bytes())?;
        count(b, types.len())?;
        for oid in types {
            b.put_u32(*oid);
        }
        Ok(())
    })
}

/// Bind, from its parts.
pub fn bind<'v>(
    out: &mut BytesMut,
    portal: &[u8],
    statement: &[u8],
    value_formats: &[Format],
    parameters: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
    result_formats: &[Format],
) -> Result<(), WriteError> {
    frame(out, tag::BIND, |b| {
        cstr(b, portal)?;
        cstr(b, statement)?;
        formats(b, value_formats)?;
        values(b, parameters)?;
        formats(b, result_formats)
    })
}

/// Bind with other names and everything after them as a client sent it
/// ([`tag::Bind::raw`], already checked).
pub fn bind_raw(
    out: &mut BytesMut,
    portal: &[u8],
    statement: &[u8],
    raw: &[u8],
) -> Result<(), WriteError> {
    frame(out, tag::BIND, |b| {
        cstr(b, portal)?;
        cstr(b, statement)?;
        b.put_slice(raw);
        Ok(())
    })
}

/// Describe
pub fn describe(out: &mut BytesMut, kind: Target, name: &[u8]) -> Result<(), WriteError> {
    named(out, tag::DESCRIBE, kind, name)
}

/// Close
pub fn close(out: &mut BytesMut, kind: Target, name: &[u8]) -> Result<(), WriteError> {
    named(out, tag::CLOSE, kind, name)
}

fn named(out: &mut BytesMut, tag: u8, kind: Target, name: &[u8]) -> Result<(), WriteError> {
    frame(out, tag, |b| {
        b.put_u8(kind.byte());
        cstr(b, name)
    })
}

/// Execute; zero rows means all of them.
pub fn execute(out: &mut BytesMut, portal: &[u8], max_rows: i32) -> Result<(), WriteError> {
    frame(out, tag::EXECUTE, |b| {
        cstr(b, portal)?;
        b.put_i32(max_rows);
        Ok(())
    })
}

/// Sync
pub fn sync(out: &mut BytesMut) {
    fixed(out, tag::SYNC, &[]);
}

/// Flush
pub fn flush(out: &mut BytesMut) {
    fixed(out, tag::FLUSH, &[]);
}

/// Terminate
pub fn terminate(out: &mut BytesMut) {
    fixed(out, tag::TERMINATE, &[]);
}

/// CopyData
pub fn copy_data(out: &mut BytesMut, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::COPY_DATA, |b| {
        b.put_slice(data);
        Ok(())
    })
}

/// CopyDone
pub fn copy_done(out: &mut BytesMut) {
    fixed(out, tag::COPY_DONE, &[]);
}

/// CopyFail
pub fn copy_fail(out: &mut BytesMut, reason: &str) -> Result<(), WriteError> {
    frame(out, tag::COPY_FAIL, |b| cstr(b, reason.as_bytes()))
}

/// PasswordMessage: a cleartext password or an md5 answer.
pub fn password(out: &mut BytesMut, text: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::PASSWORD, |b| cstr(b, text))
}

/// SASLInitialResponse
pub fn sasl_initial(out: &mut BytesMut, mechanism: &str, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::PASSWORD, |b| {
        cstr(b, mechanism.as_bytes())?;
        value(b, Some(data))
    })
}

/// SASLResponse
pub fn sasl_response(out: &mut BytesMut, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::PASSWORD, |b| {
        b.put_slice(data);
        Ok(())
    })
}
