//! Why PostgreSQL could not be reached, or said no.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::pg::sqlstate;
use crate::wire::{Diagnostic, FrameError, Malformed, WriteError, field};

/// An ErrorResponse of PostgreSQL, whole. During a startup its words hold names, never values; after
/// one they may hold values, so `Debug` and `Display` give the SQLSTATE only.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    fields: Vec<(u8, Vec<u8>)>,
}

impl ServerError {
    pub(super) fn new(diagnostic: &Diagnostic<'_>) -> Self {
        let fields = diagnostic.iter().map(|(code, v)| (code, v.to_vec()));
        Self {
            fields: fields.collect(),
        }
    }

    /// One field; see [`crate::wire::field`].
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(c, _)| *c == code);
        found.map(|(_, value)| value.as_slice())
    }

    /// The SQLSTATE; `XX000` if the server gave none.
    pub fn sqlstate(&self) -> &str {
        self.get(field::SQLSTATE)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or(sqlstate::INTERNAL_ERROR)
    }

    /// The primary message, as far as it is UTF-8.
    pub fn message(&self) -> String {
        String::from_utf8_lossy(self.get(field::MESSAGE).unwrap_or_default()).into_owned()
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.fields.iter().map(|(code, v)| (*code, v.as_slice()))
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({})", self.sqlstate())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server reported SQLSTATE {}", self.sqlstate())
    }
}

impl std::error::Error for ServerError {}

/// Why there is no connection, or no longer one.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No connection came about.
    #[error("could not connect to server: {0}")]
    Unreachable(io::Error),
    /// A connection was lost.
    #[error("connection to server was lost: {0}")]
    Io(#[from] io::Error),
    /// It took longer than it may.
    #[error("timeout expired")]
    Timeout,
    /// It is in recovery, and a primary is wanted.
    #[error("server is in hot standby mode")]
    Standby,
    /// TLS is demanded, and the server has none.
    #[error("server does not support TLS, but TLS was required")]
    NoTls,
    /// TLS failed: the certificate, most likely.
    #[error("TLS error: {0}")]
    Tls(String),
    /// Bytes came between the server's answer and TLS.
    #[error("received unencrypted data after SSL response")]
    DataBeforeTls,
    /// The server wants to authenticate in a way that is not spoken here, or not done here.
    #[error("authentication failed: {0}")]
    Authentication(&'static str),
    /// The server speaks another protocol.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The stream is out of step.
    #[error("protocol error: {0}")]
    Frame(#[from] FrameError),
    /// A message is wrong inside.
    #[error("protocol error: {0}")]
    Malformed(#[from] Malformed),
    /// A request could not be written.
    #[error("cannot write request: {0}")]
    Write(#[from] WriteError),
    /// The server said no.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl ConnectError {
    /// What a client is told: the server's own SQLSTATE (3D000, 53300, 28000 …), 08001 for a
    /// connection that never was, 08006 for one that broke.
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Server(error) => error.sqlstate(),
            Self::Unreachable(_)
            | Self::Timeout
            | Self::NoTls
            | Self::Tls(_)
            | Self::Authentication(_) => sqlstate::CANNOT_CONNECT,
            Self::Standby => sqlstate::CANNOT_CONNECT_NOW,
            Self::Io(_) => sqlstate::CONNECTION_FAILURE,
            Self::DataBeforeTls
            | Self::Protocol(_)
            | Self::Frame(_)
            | Self::Malformed(_)
            | Self::Write(_) => sqlstate::PROTOCOL_VIOLATION,
        }
    }

    /// The server's own words, if it had any.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// The server gave up what it was asked, by a timeout or a request, and lives on.
    pub fn is_cancelled(&self) -> bool {
        let server = self.server();
        server.is_some_and(|error| error.sqlstate() == sqlstate::QUERY_CANCELED)
    }
}
