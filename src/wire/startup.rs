//! The first packet of a connection: no type byte, a length, a code.
//!
//! Deliberately absent: reading it from a socket, which has to be done byte-exactly around TLS; see
//! `client::negotiate`.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::read::Reader;
use super::write::{WriteError, counted, cstr};
use crate::limits;

/// SSLRequest: `1234.5679`
pub const SSL_REQUEST: i32 = 80_877_103;
/// GSSENCRequest: `1234.5680`
pub const GSSENC_REQUEST: i32 = 80_877_104;
/// CancelRequest: `1234.5678`
pub const CANCEL_REQUEST: i32 = 80_877_102;
/// The newest minor version of protocol 3 spoken here: 3.2 has long cancel keys.
pub const NEWEST_MINOR: u16 = 2;
/// Options of the protocol itself start with this.
pub const PROTOCOL_OPTION_PREFIX: &str = "_pq_.";

/// The number of protocol 3.`minor`.
pub fn protocol(minor: u16) -> i32 {
    (3 << 16) | i32::from(minor)
}

/// Why the first packet is refused, in PostgreSQL's words. All are `protocol_violation`, except the
/// version (`feature_not_supported`) and the user name (`invalid_authorization_specification`).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StartupError {
    /// The length is below 8 or above [`limits::STARTUP_FRAME_BYTES`].
    #[error("invalid length of startup packet")]
    Length,
    /// Not a list of strings with a final NUL.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// A cancel key of the wrong length.
    #[error("invalid length of query cancel packet")]
    CancelLength,
    /// Protocol 2 or 4.
    #[error("unsupported frontend protocol {0}.{1}: server supports 3.0 to 3.2")]
    Version(u16, u16),
    /// A name or value that is not UTF-8.
    #[error("startup packet is not valid UTF-8")]
    NotUtf8,
    /// No user.
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
}

/// The body of the first packet, after its length.
#[derive(Clone, PartialEq, Eq)]
pub enum StartupPacket {
    /// The client asks for TLS.
    Ssl,
    /// The client asks for GSSAPI encryption.
    GssEnc,
    /// The client asks to cancel another connection's query.
    Cancel {
        /// The process.
        pid: i32,
        /// The secret.
        key: Bytes,
    },
    /// The client begins a session.
    Startup(StartupMessage),
}

/// A StartupMessage.
#[derive(Clone, PartialEq, Eq)]
pub struct StartupMessage {
    /// The minor version it asks for.
    pub minor: u16,
    /// Names and values in the order sent, protocol options excepted.
    pub params: Vec<(String, String)>,
    /// Names of the `_pq_.` options. None is known here.
    pub protocol_options: Vec<String>,
}

impl StartupMessage {
    /// The last value of a name, as PostgreSQL takes it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().rev().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The minor version both sides have.
    pub fn agreed_minor(&self) -> u16 {
        self.minor.min(NEWEST_MINOR)
    }

    /// The client has to be told with NegotiateProtocolVersion.
    pub fn needs_negotiation(&self) -> bool {
        self.minor > NEWEST_MINOR || !self.protocol_options.is_empty()
    }
}

/// The length of the body that follows a startup packet's length field.
pub fn body_length(length: [u8; 4]) -> Result<usize, StartupError> {
    usize::try_from(i32::from_be_bytes(length))
        .ok()
        .filter(|length| (8..=limits::STARTUP_FRAME_BYTES).contains(length))
        .and_then(|length| length.checked_sub(4))
        .ok_or(StartupError::Length)
}

impl StartupPacket {
    /// Reads a body (everything after the length).
    pub fn read(body: &[u8]) -> Result<Self, StartupError> {
        let mut r = Reader::new(body);
        let code = r.i32().map_err(|_| StartupError::Length)?;
        match code {
            SSL_REQUEST | GSSENC_REQUEST => {
                r.end().map_err(|_| StartupError::Length)?;
                Ok(if code == SSL_REQUEST {
                    Self::Ssl
                } else {
                    Self::GssEnc
                })
            }
            CANCEL_REQUEST => {
                let pid = r.i32().map_err(|_| StartupError::CancelLength)?;
                let key = r.remaining();
                if (4..=256).contains(&key.len()) {
                    let key = Bytes::copy_from_slice(key);
                    Ok(Self::Cancel { pid, key })
                } else {
                    Err(StartupError::CancelLength)
                }
            }
            _ => Self::message(code, r),
        }
    }

    fn message(code: i32, mut r: Reader<'_>) -> Result<Self, StartupError> {
        let [major @ .., m, n] = code.to_be_bytes();
        let (major, minor) = (u16::from_be_bytes(major), u16::from_be_bytes([m, n]));
        if major != 3 {
            return Err(StartupError::Version(major, minor));
        }
        let mut message = StartupMessage {
            minor,
            params: Vec::new(),
            protocol_options: Vec::new(),
        };
        let mut text = || -> Result<String, StartupError> {
            let bytes = r.cstr().map_err(|_| StartupError::Layout)?;
            let text = std::str::from_utf8(bytes).map_err(|_| StartupError::NotUtf8)?;
            Ok(text.to_owned())
        };
        loop {
            let name = text()?;
            if name.is_empty() {
                break;
            }
            let value = text()?;
            if name.starts_with(PROTOCOL_OPTION_PREFIX) {
                message.protocol_options.push(name);
            } else {
                message.params.push((name, value));
            }
        }
        r.end().map_err(|_| StartupError::Layout)?;
        Ok(Self::Startup(message))
    }
}

/// Appends an SSLRequest.
pub fn write_ssl_request(out: &mut BytesMut) {
    out.put_i32(8);
    out.put_i32(SSL_REQUEST);
}

/// Appends a CancelRequest.
pub fn write_cancel(out: &mut BytesMut, pid: i32, key: &[u8]) -> Result<(), WriteError> {
    counted(out, |b| {
        b.put_i32(CANCEL_REQUEST);
        b.put_i32(pid);
        b.put_slice(key);
        Ok(())
    })
}

/// Appends a StartupMessage.
pub fn write_startup(
    out: &mut BytesMut,
    minor: u16,
    params: &[(&str, &str)],
) -> Result<(), WriteError> {
    counted(out, |b| {
        b.put_i32(protocol(minor));
        for (name, value) in params {
            cstr(b, name.as_bytes())?;
            cstr(b, value.as_bytes())?;
        }
        b.put_u8(0);
        Ok(())
    })
}
