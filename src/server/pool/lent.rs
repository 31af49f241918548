//! A connection that is lent, and what those who share it start with.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::Room;
use crate::limits;
use crate::pooling::probe::Settings;
use crate::pooling::{Known, probe};
use crate::upstream::{ConnectError, Lease, UpstreamConnection, UpstreamStream};
use crate::wire::frame::Limits;

/// How clients start that share connections: with the same startup parameters, whatever they are; and
/// restricted ones with the same role, so that whatever one of them may leave behind unnoticed is
/// nothing that the next is not allowed.
pub(in crate::server) struct Start {
    /// For the startup packet, besides user and database.
    pub(in crate::server) parameters: Vec<(String, String)>,
    /// The restricted or observed role; none for all others.
    pub(in crate::server) role: Option<Arc<str>>,
    welcome: Mutex<Option<Arc<Welcome>>>,
}

/// What PostgreSQL says to whoever starts so.
pub(in crate::server) struct Welcome {
    /// The settings it reports.
    pub(in crate::server) reported: Vec<(String, String)>,
    /// Its notices, as whole messages.
    pub(in crate::server) notices: Bytes,
    /// The search path such a session starts with, if it has a role here: whose texts are read needs it.
    pub(in crate::server) search_path: String,
}

impl Start {
    pub(super) fn new(parameters: Vec<(String, String)>, role: Option<Arc<str>>) -> Self {
        Self {
            parameters,
            role,
            welcome: Mutex::new(None),
        }
    }

    /// What the newest connection was told.
    pub(in crate::server) fn welcome(&self) -> Option<Arc<Welcome>> {
        let welcome = self.welcome.lock().unwrap_or_else(PoisonError::into_inner);
        welcome.clone()
    }

    pub(in crate::server) fn set_welcome(&self, welcome: Welcome) {
        let mut known = self.welcome.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::new(welcome));
    }
}

/// A connection that is lent. Dropping it closes it.
pub(in crate::server) struct Server {
    pub(in crate::server) connection: UpstreamConnection,
    /// The prepared statements it holds.
    pub(in crate::server) known: Known,
    /// The settings it holds.
    pub(in crate::server) settings: Settings,
    pub(in crate::server) start: Arc<Start>,
    /// For cancelling what runs on it.
    pub(in crate::server) lease: Arc<Lease>,
    /// Of [`Hosts`](crate::server::hosts::Hosts), when it was made.
    pub(super) generation: u64,
    /// When it was made, and when it was last given back.
    pub(super) since: u64,
    pub(super) free_since: u64,
    room: Room,
}

impl Server {
    /// A connection that has just been made.
    pub(in crate::server) fn new(
        connection: UpstreamConnection,
        start: Arc<Start>,
        generation: u64,
        room: Room,
    ) -> Self {
        let now = room.0.now();
        Self {
            lease: Arc::new(Lease::new(&connection)),
            connection,
            known: Known::new(limits::STATEMENTS_PER_SERVER),
            settings: Settings::default(),
            start,
            generation,
            since: now,
            free_since: now,
            room,
        }
    }

    /// The server process.
    pub(in crate::server) fn pid(&self) -> i32 {
        self.connection.backend_key.0
    }

    /// Nothing came that nobody asked for. (A setting reported after a reload of the server's
    /// configuration, at best; at worst its farewell.) Costs no system call while nothing came.
    pub(in crate::server) fn is_quiet(&self) -> bool {
        if !self.connection.buffer.is_empty() {
            return false;
        }
        let mut byte = [0];
        let quiet = match &self.connection.stream {
            UpstreamStream::Plain(tcp) => tcp.try_read(&mut byte),
            // What is in here is encrypted, and lost: but then the connection is given up.
            UpstreamStream::Tls(tls) => tls.get_ref().0.try_read(&mut byte),
        };
        matches!(quiet, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Asks the session what it holds. What PostgreSQL tells its client meanwhile goes to `theirs`.
    pub(in crate::server) async fn holding(
        &mut self,
        hidden: &[String],
        theirs: &mut Vec<u8>,
    ) -> Result<probe::Holding, ConnectError> {
        let question = probe::question(hidden);
        let rows = self.connection.simple_query_beside(&question, theirs);
        let rows = timeout(limits::CONNECT_TIMEOUT, rows)
            .await
            .unwrap_or(Err(ConnectError::Timeout))?;
        // And what came right behind the answer.
        while let Some((_, frame)) = self.connection.buffer.next_frame(&Limits::BACKEND)? {
            theirs.extend_from_slice(&frame);
        }
        let holding = probe::read(rows).ok_or(ConnectError::Protocol("unexpected rows"))?;
        self.settings = holding.settings.clone();
        Ok(holding)
    }

    /// The beginning of a message whose end has not come, read with the last answer.
    pub(in crate::server) fn take_beginning(&mut self) -> BytesMut {
        let len = self.connection.buffer.bytes().len();
        self.connection.buffer.take(len)
    }

    /// Makes the session hold these settings.
    pub(in crate::server) async fn set(&mut self, settings: &Settings) -> Result<(), ConnectError> {
        if let Some(sql) = probe::change(&self.settings, settings) {
            let done = self.connection.simple_query_text(&sql);
            timeout(limits::CONNECT_TIMEOUT, done)
                .await
                .unwrap_or(Err(ConnectError::Timeout))?;
            self.settings = settings.clone();
        }
        Ok(())
    }

    /// Closes the connection, and keeps its place.
    pub(super) fn close(self) -> Room {
        self.room
    }
}
