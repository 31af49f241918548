//! Every message PostgreSQL may send after the TLS answer, as borrowed views over one body.
//!
//! Strict like [`super::frontend`], and without a catch-all.

use super::diagnostic::Diagnostic;
use super::frontend::ParameterTypes;
use super::read::{Formats, Malformed, Reader};
use super::row::{DataRow, RowDescription};
use crate::pg::types::Format;

/// ParseComplete
pub const PARSE_COMPLETE: u8 = b'1';
/// BindComplete
pub const BIND_COMPLETE: u8 = b'2';
/// CloseComplete
pub const CLOSE_COMPLETE: u8 = b'3';
/// NotificationResponse
pub const NOTIFICATION: u8 = b'A';
/// CommandComplete
pub const COMMAND_COMPLETE: u8 = b'C';
/// DataRow
pub const DATA_ROW: u8 = b'D';
/// ErrorResponse
pub const ERROR: u8 = b'E';
/// CopyInResponse
pub const COPY_IN: u8 = b'G';
/// CopyOutResponse
pub const COPY_OUT: u8 = b'H';
/// EmptyQueryResponse
pub const EMPTY_QUERY: u8 = b'I';
/// BackendKeyData
pub const BACKEND_KEY_DATA: u8 = b'K';
/// NoticeResponse
pub const NOTICE: u8 = b'N';
/// Authentication*
pub const AUTHENTICATION: u8 = b'R';
/// ParameterStatus
pub const PARAMETER_STATUS: u8 = b'S';
/// RowDescription
pub const ROW_DESCRIPTION: u8 = b'T';
/// FunctionCallResponse
pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
/// CopyBothResponse
pub const COPY_BOTH: u8 = b'W';
/// ReadyForQuery
pub const READY: u8 = b'Z';
/// CopyDone
pub const COPY_DONE: u8 = b'c';
/// CopyData
pub const COPY_DATA: u8 = b'd';
/// NoData
pub const NO_DATA: u8 = b'n';
/// PortalSuspended
pub const PORTAL_SUSPENDED: u8 = b's';
/// ParameterDescription
pub const PARAMETER_DESCRIPTION: u8 = b't';
/// NegotiateProtocolVersion
pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';

/// The transaction state of ReadyForQuery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionStatus {
    /// `I`
    Idle,
    /// `T`
    InTransaction,
    /// `E`
    Failed,
}

impl TransactionStatus {
    /// Reads the body of a ReadyForQuery.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let status = match r.u8()? {
            b'I' => Self::Idle,
            b'T' => Self::InTransaction,
            b'E' => Self::Failed,
            _ => return Err(Malformed::Kind),
        };
        r.end()?;
        Ok(status)
    }

    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// A setting and its value.
#[derive(Clone, Copy)]
pub struct ParameterStatus<'a> {
    /// The setting.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let name = r.cstr()?;
        let value = r.cstr()?;
        r.end()?;
        Ok(Self { name, value })
    }
}

/// What a CancelRequest has to show.
#[derive(Clone, Copy)]
pub struct BackendKeyData<'a> {
    /// The process.
    pub pid: i32,
    /// The secret: four bytes before protocol 3.2, up to 256 since.
    pub key: &'a [u8],
}

impl<'a> BackendKeyData<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let pid = r.i32()?;
        let key = r.remaining();
        match key.len() {
            4..=256 => Ok(Self { pid, key }),
            0..4 => Err(Malformed::Short),
            _ => Err(Malformed::Trailing),
        }
    }
}

/// The answer to COPY.
#[derive(Clone, Copy)]
pub struct CopyResponse<'a> {
    /// Text or binary as a whole.
    pub format: Format,
    /// The columns' formats.
    pub columns: Formats<'a>,
}

impl<'a> CopyResponse<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let format = match r.u8()? {
            0 => Format::Text,
            1 => Format::Binary,
            _ => return Err(Malformed::Format),
        };
        let columns = Formats::read(&mut r)?;
        r.end()?;
        Ok(Self { format, columns })
    }
}

/// What NOTIFY sends.
#[derive(Clone, Copy)]
pub struct Notification<'a> {
    /// The notifying process.
    pub pid: i32,
    /// The channel.
    pub channel: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Notification<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let pid = r.i32()?;
        let channel = r.cstr()?;
        let payload = r.cstr()?;
        r.end()?;
        Ok(Self {
            pid,
            channel,
            payload,
        })
    }
}

/// One step of authentication.
#[derive(Clone, Copy)]
pub enum Authentication<'a> {
    /// 0
    Ok,
    /// 3
    Cleartext,
    /// 5, with its salt
    Md5([u8; 4]),
    /// 10, with the offered mechanisms, each followed by a NUL
    Sasl(&'a [u8]),
    /// 11
    SaslContinue(&'a [u8]),
    /// 12
    SaslFinal(&'a [u8]),
    /// Kerberos, GSSAPI, SSPI and whatever comes later, by code
    Other(i32),
}

impl<'a> Authentication<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let step = match r.i32()? {
            0 => Self::Ok,
            3 => Self::Cleartext,
            5 => Self::Md5(r.u32()?.to_be_bytes()),
            10 => Self::Sasl(r.remaining()),
            11 => Self::SaslContinue(r.remaining()),
            12 => Self::SaslFinal(r.remaining()),
            other => {
                r.remaining();
                Self::Other(other)
            }
        };
        r.end()?;
        Ok(step)
    }
}

/// The server's protocol is older, or it does not know some `_pq_.` options.
#[derive(Clone, Copy)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version it has, as in a startup packet (`196608` is 3.0).
    pub version: i32,
    /// The options it does not know, each followed by a NUL.
    pub options: &'a [u8],
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let version = r.i32()?;
        let count = u32::try_from(r.i32()?).map_err(|_| Malformed::Count)?;
        let options = r.rest();
        for _ in 0..count {
            r.cstr()?;
        }
        r.end()?;
        Ok(Self { version, options })
    }
}

/// Every message of PostgreSQL.
#[derive(Clone, Copy)]
pub enum BackendMessage<'a> {
    /// Authentication*
    Authentication(Authentication<'a>),
    /// BackendKeyData
    BackendKeyData(BackendKeyData<'a>),
    /// BindComplete
    BindComplete,
    /// CloseComplete
    CloseComplete,
    /// CommandComplete, with its tag
    CommandComplete(&'a [u8]),
    /// CopyBothResponse
    CopyBoth(CopyResponse<'a>),
    /// CopyData
    CopyData(&'a [u8]),
    /// CopyDone
    CopyDone,
    /// CopyInResponse
    CopyIn(CopyResponse<'a>),
    /// CopyOutResponse
    CopyOut(CopyResponse<'a>),
    /// DataRow
    DataRow(DataRow<'a>),
    /// EmptyQueryResponse
    EmptyQuery,
    /// ErrorResponse
    Error(Diagnostic<'a>),
    /// FunctionCallResponse
    FunctionCallResponse(Option<&'a [u8]>),
    /// NegotiateProtocolVersion
    NegotiateProtocolVersion(NegotiateProtocolVersion<'a>),
    /// NoData
    NoData,
    /// NoticeResponse
    Notice(Diagnostic<'a>),
    /// NotificationResponse
    Notification(Notification<'a>),
    /// ParameterDescription
    ParameterDescription(ParameterTypes<'a>),
    /// ParameterStatus
    ParameterStatus(ParameterStatus<'a>),
    /// ParseComplete
    ParseComplete,
    /// PortalSuspended
    PortalSuspended,
    /// ReadyForQuery
    Ready(TransactionStatus),
    /// RowDescription
    RowDescription(RowDescription<'a>),
}

impl<'a> BackendMessage<'a> {
    /// Reads the body of a frame of type `tag`.
    pub fn read(tag: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let message = match tag {
            AUTHENTICATION => return Authentication::read(body).map(Self::Authentication),
            BACKEND_KEY_DATA => return BackendKeyData::read(body).map(Self::BackendKeyData),
            COPY_BOTH => return CopyResponse::read(body).map(Self::CopyBoth),
            COPY_DATA => return Ok(Self::CopyData(body)),
            COPY_IN => return CopyResponse::read(body).map(Self::CopyIn),
            COPY_OUT => return CopyResponse::read(body).map(Self::CopyOut),
            DATA_ROW => return DataRow::read(body).map(Self::DataRow),
            ERROR => return Diagnostic::read(body).map(Self::Error),
            NEGOTIATE_PROTOCOL_VERSION => {
                return NegotiateProtocolVersion::read(body).map(Self::NegotiateProtocolVersion);
            }
            NOTICE => return Diagnostic::read(body).map(Self::Notice),
            NOTIFICATION => return Notification::read(body).map(Self::Notification),
            PARAMETER_STATUS => return ParameterStatus::read(body).map(Self::ParameterStatus),
            READY => return TransactionStatus::read(body).map(Self::Ready),
            ROW_DESCRIPTION => return RowDescription::read(body).map(Self::RowDescription),
            COMMAND_COMPLETE => Self::CommandComplete(r.cstr()?),
            FUNCTION_CALL_RESPONSE => Self::FunctionCallResponse(r.value()?),
            PARAMETER_DESCRIPTION => Self::ParameterDescription(ParameterTypes::read(&mut r)?),
            BIND_COMPLETE => Self::BindComplete,
            CLOSE_COMPLETE => Self::CloseComplete,
            COPY_DONE => Self::CopyDone,
            EMPTY_QUERY => Self::EmptyQuery,
            NO_DATA => Self::NoData,
            PARSE_COMPLETE => Self::ParseComplete,
            PORTAL_SUSPENDED => Self::PortalSuspended,
            _ => return Err(Malformed::Tag),
        };
        r.end()?;
        Ok(message)
    }
}
