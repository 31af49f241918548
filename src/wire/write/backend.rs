//! Messages to the client.

use bytes::{BufMut, BytesMut};

use super::super::backend as tag;
use super::super::backend::TransactionStatus;
use super::super::diagnostic::field;
use super::super::row::Field;
use super::{WriteError, code, count, cstr, cut, fixed, frame, values};
use crate::limits;

/// What an ErrorResponse or NoticeResponse of the proxy says.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// `ERROR`, `FATAL`, `NOTICE`, `WARNING` …
    pub severity: &'a str,
    /// Five characters.
    pub sqlstate: &'a str,
    /// Primary message: lower case, no full stop.
    pub message: &'a str,
    /// Full sentences.
    pub detail: Option<&'a str>,
    /// Full sentences.
    pub hint: Option<&'a str>,
    /// In the query's text, in *characters* from 1.
    pub position: Option<usize>,
}

impl<'a> Report<'a> {
    /// An `ERROR` with a message and nothing more.
    pub fn error(sqlstate: &'a str, message: &'a str) -> Self {
        Self {
            severity: "ERROR",
            sqlstate,
            message,
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// A `FATAL`: the connection ends after it.
    pub fn fatal(sqlstate: &'a str, message: &'a str) -> Self {
        Self {
            severity: "FATAL",
            ..Self::error(sqlstate, message)
        }
    }
}

/// ErrorResponse. Texts beyond [`limits::REPORT_FIELD_BYTES`] are cut.
pub fn error(out: &mut BytesMut, report: &Report<'_>) {
    diagnostic(out, tag::ERROR, report);
}

/// NoticeResponse
pub fn notice(out: &mut BytesMut, report: &Report<'_>) {
    diagnostic(out, tag::NOTICE, report);
}

fn diagnostic(out: &mut BytesMut, tag: u8, report: &Report<'_>) {
    let mut body = BytesMut::new();
    let mut put = |code: u8, text: &str| {
        body.put_u8(code);
        cut(&mut body, text, limits::REPORT_FIELD_BYTES);
    };
    put(field::SEVERITY, report.severity);
    put(field::SEVERITY_FIXED, report.severity);
    put(field::SQLSTATE, report.sqlstate);
    put(field::MESSAGE, report.message);
    if let Some(detail) = report.detail {
        put(field::DETAIL, detail);
    }
    if let Some(hint) = report.hint {
        put(field::HINT, hint);
    }
    if let Some(position) = report.position {
        put(field::POSITION, &position.to_string());
    }
    body.put_u8(0);
    fixed(out, tag, &body);
}

/// Appends an ErrorResponse or NoticeResponse of chosen fields, as they came from PostgreSQL.
pub fn diagnostic_fields<'f>(
    out: &mut BytesMut,
    tag: u8,
    fields: impl Iterator<Item = (u8, &'f [u8])>,
) -> Result<(), WriteError> {
    frame(out, tag, |b| {
        for (code, text) in fields {
            b.put_u8(code);
            cstr(b, text)?;
        }
        b.put_u8(0);
        Ok(())
    })
}

/// ReadyForQuery
pub fn ready(out: &mut BytesMut, status: TransactionStatus) {
    fixed(out, tag::READY, &[status.byte()]);
}

/// CommandComplete
pub fn command_complete(out: &mut BytesMut, command: &str) -> Result<(), WriteError> {
    frame(out, tag::COMMAND_COMPLETE, |b| cstr(b, command.as_bytes()))
}

/// ParseComplete
pub fn parse_complete(out: &mut BytesMut) {
    fixed(out, tag::PARSE_COMPLETE, &[]);
}

/// BindComplete
pub fn bind_complete(out: &mut BytesMut) {
    fixed(out, tag::BIND_COMPLETE, &[]);
}

/// CloseComplete
pub fn close_complete(out: &mut BytesMut) {
    fixed(out, tag::CLOSE_COMPLETE, &[]);
}

/// NoData
pub fn no_data(out: &mut BytesMut) {
    fixed(out, tag::NO_DATA, &[]);
}

/// EmptyQueryResponse
pub fn empty_query(out: &mut BytesMut) {
    fixed(out, tag::EMPTY_QUERY, &[]);
}

/// PortalSuspended
pub fn portal_suspended(out: &mut BytesMut) {
    fixed(out, tag::PORTAL_SUSPENDED, &[]);
}

/// RowDescription
pub fn row_description(out: &mut BytesMut, fields: &[Field<'_>]) -> Result<(), WriteError> {
    frame(out, tag::ROW_DESCRIPTION, |b| {
        count(b, fields.len())?;
        for f in fields {
            cstr(b, f.name)?;
            b.put_u32(f.table_oid);
            b.put_i16(f.attnum);
            b.put_u32(f.type_oid);
            b.put_i16(f.typlen);
            b.put_i32(f.typmod);
            b.put_i16(code(f.format));
        }
        Ok(())
    })
}

/// DataRow
pub fn data_row<'v>(
    out: &mut BytesMut,
    columns: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
) -> Result<(), WriteError> {
    frame(out, tag::DATA_ROW, |b| values(b, columns))
}

/// ParameterDescription
pub fn parameter_description(out: &mut BytesMut, types: &[u32]) -> Result<(), WriteError> {
    frame(out, tag::PARAMETER_DESCRIPTION, |b| {
        count(b, types.len())?;
        for oid in types {
            b.put_u32(*oid);
        }
        Ok(())
    })
}

/// ParameterStatus
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) -> Result<(), WriteError> {
    frame(out, tag::PARAMETER_STATUS, |b| {
        cstr(b, name.as_bytes())?;
        cstr(b, value.as_bytes())
    })
}

/// ParameterStatus with a value in the client's encoding.
pub fn raw_parameter_status(
    out: &mut BytesMut,
    name: &[u8],
    value: &[u8],
) -> Result<(), WriteError> {
    frame(out, tag::PARAMETER_STATUS, |b| {
        cstr(b, name)?;
        cstr(b, value)
    })
}

/// CopyData
pub fn copy_data(out: &mut BytesMut, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::COPY_DATA, |b| {
        b.put_slice(data);
        Ok(())
    })
}

/// BackendKeyData
pub fn backend_key_data(out: &mut BytesMut, pid: i32, key: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::BACKEND_KEY_DATA, |b| {
        b.put_i32(pid);
        b.put_slice(key);
        Ok(())
    })
}

/// AuthenticationOk
pub fn authentication_ok(out: &mut BytesMut) {
    fixed(out, tag::AUTHENTICATION, &0i32.to_be_bytes());
}

/// AuthenticationSASL
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) -> Result<(), WriteError> {
    frame(out, tag::AUTHENTICATION, |b| {
        b.put_i32(10);
        for mechanism in mechanisms {
            cstr(b, mechanism.as_bytes())?;
        }
        b.put_u8(0);
        Ok(())
    })
}

/// AuthenticationSASLContinue
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::AUTHENTICATION, |b| {
        b.put_i32(11);
        b.put_slice(data);
        Ok(())
    })
}

/// AuthenticationSASLFinal
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) -> Result<(), WriteError> {
    frame(out, tag::AUTHENTICATION, |b| {
        b.put_i32(12);
        b.put_slice(data);
        Ok(())
    })
}

/// NegotiateProtocolVersion: the newest version of 3.x the proxy has, and the `_pq_.` options it does
/// not know.
pub fn negotiate_protocol_version(
    out: &mut BytesMut,
    version: i32,
    options: &[String],
) -> Result<(), WriteError> {
    frame(out, tag::NEGOTIATE_PROTOCOL_VERSION, |b| {
        b.put_i32(version);
        b.put_i32(i32::try_from(options.len()).map_err(|_| WriteError::TooLong)?);
        for option in options {
            cstr(b, option.as_bytes())?;
        }
        Ok(())
    })
}
