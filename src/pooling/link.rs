//! One client's conversation over changing connections: frames go by as they are, but for the names of
//! prepared statements and the messages that make those statements where they are missed.
//!
//! What the client calls `s1` is called alike on every connection that knows it, by a name of the
//! proxy's own for that text and those types. Answers to messages the client did not send are kept from
//! it. Everything else is counted, not read: it matters only when nothing more is owed, by either side.

mod cancelled;
mod counted;
mod deallocate;
mod down;
mod front;
mod up;
mod walk;

use std::sync::Arc;

use foldhash::HashMap;

use self::cancelled::Cancelled;
use self::counted::Doubt;
use super::expected::Expected;
use super::known::Known;
use super::probe::Settings;
use super::residue::Residue;
use super::routines::Routines;
use super::statements::{Statement, Statements};
use crate::limits;

/// The conversation cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkError {
    /// The client broke the protocol.
    Client,
    /// The server did.
    Server,
}

/// How far the conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// Something is under way, or a transaction is open.
    Busy,
    /// Nothing is owed. What may be left behind is in here.
    Resting(Residue),
}

/// What became of bytes that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// So many of them are used up.
    pub used: usize,
    /// They go on as they are; else what goes on was written out.
    pub same: bool,
    /// The client said good-bye behind them.
    pub left: bool,
    /// How many queries they were.
    pub queries: u64,
}

impl Taken {
    /// What goes on of `bytes`, the bytes that came in; `written` is what was written out for them.
    pub fn goes_on<'b>(&self, bytes: &'b [u8], written: &'b [u8]) -> &'b [u8] {
        if self.same {
            bytes.get(..self.used).unwrap_or_default()
        } else {
            written
        }
    }
}

/// What the client's side needs to know.
pub struct Upward<'a> {
    /// The statements of the connection.
    pub known: &'a mut Known,
    /// All statements.
    pub statements: &'a Statements,
    /// What functions leave behind.
    pub routines: &'a Routines,
}

/// One client's side of its conversation.
#[derive(Default)]
pub struct Link {
    names: HashMap<Box<[u8]>, Arc<Statement>>,
    /// The body of the last unnamed Parse, behind its name.
    unnamed: Option<Unnamed>,
    /// The connection's unnamed statement is this client's.
    unnamed_here: bool,
    /// The connection has said so of one of them.
    unnamed_made: bool,
    expected: Expected,
    found: Residue,
    /// Settings may have changed since the last rest: what is prepared now is for nobody else.
    altered: bool,
    /// The settings of the session, as part of what names a statement.
    settings: Vec<u8>,
    hidden: Vec<String>,
    /// Bytes of the frame under way, per direction.
    up_left: usize,
    down_left: usize,
    /// Messages went up that no Sync has closed yet.
    open: bool,
    /// An error came, and the Sync up to which the server skips has not been sent.
    skipping: bool,
    /// The client cancelled what it asked for before it had a connection.
    cancelled: Cancelled,
    /// A Query went up that may drop every statement.
    drops: bool,
    /// What the client said next depends on an answer that is due.
    waits: bool,
    /// The last ReadyForQuery did not say `I`.
    in_transaction: bool,
    /// It said `E`.
    failed: bool,
    /// An error came since the last ReadyForQuery.
    told: bool,
    /// PostgreSQL waits for CopyData.
    copying: bool,
    /// A Sync went up among its data, and PostgreSQL has not said how the COPY ended.
    synced: bool,
    /// CopyData went up before PostgreSQL asked for it, if it will.
    ahead: bool,
    /// How many of the Syncs among a COPY's data are answered is not known.
    doubt: Doubt,
    /// Texts are in an encoding or under settings in which their words cannot be told.
    unreadable: bool,
    transactions: u64,
}

struct Unnamed {
    body: Vec<u8>,
    residue: Residue,
    hidden: Vec<String>,
}

impl Unnamed {
    /// One that is on this connection, and whose text is gone.
    fn lost() -> Self {
        Self {
            body: Vec::new(),
            residue: Residue::UNSEEN,
            hidden: Vec::new(),
        }
    }
}

impl Link {
    /// A client that has just logged in.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection was given to it.
    pub fn attached(&mut self) {
        self.unnamed_here = false;
        self.unnamed_made = false;
    }

    /// How far it is.
    pub fn rest(&self) -> Rest {
        let busy = self.in_transaction
            || self.open
            || self.copying
            || self.synced
            || self.doubt != Doubt::No
            || self.up_left > 0
            || self.down_left > 0
            || !self.expected.is_empty();
        if busy {
            Rest::Busy
        } else if self.hidden.len() > limits::HIDDEN_SETTINGS {
            Rest::Resting(self.found | Residue::UNSEEN)
        } else {
            Rest::Resting(self.found)
        }
    }

    /// The client's next message cannot be read before the server has answered more.
    pub fn waits(&self) -> bool {
        self.waits && self.is_owed()
    }

    /// It could not, and now it can.
    pub fn resumes(&mut self) -> bool {
        let resumes = self.waits && !self.is_owed();
        self.waits &= !resumes;
        resumes
    }

    /// Between two messages to the client: one may be put in here.
    pub fn at_boundary(&self) -> bool {
        self.down_left == 0
    }

    /// What was found is dealt with: the names of settings the server does not list, ever set.
    pub fn settled(&mut self) -> &[String] {
        self.found = Residue::NONE;
        self.altered = false;
        self.expected.shrink();
        &self.hidden
    }

    /// The client's last message has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.up_left > 0
    }

    /// The server still owes answers. (While it waits for the data of a COPY it owes none.)
    pub fn is_owed(&self) -> bool {
        let asked = self.synced || self.doubt == Doubt::Asked;
        !self.copying && (asked || self.expected.is_owed())
    }

    /// All that was asked is answered; of a transaction that is under way, so far.
    pub fn is_answered(&self) -> bool {
        !self.copying && !self.open && !self.expected.is_owed()
    }

    /// The last ReadyForQuery was outside a transaction.
    pub fn is_outside(&self) -> bool {
        !self.in_transaction
    }

    /// The last thing the server said was why it fails.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// The settings the session holds, when it is at rest.
    pub fn holds(&mut self, settings: &Settings) {
        self.settings = settings.bytes();
    }

    /// This may be left behind.
    pub fn note(&mut self, residue: Residue) {
        self.altered |= !residue.is_none();
        self.found |= residue.beyond();
    }

    /// How many transactions there were since this was last asked.
    pub fn take_transactions(&mut self) -> u64 {
        std::mem::take(&mut self.transactions)
    }

    /// Says what a reported setting is: some make texts unreadable.
    pub fn setting(&mut self, name: &[u8], value: &[u8]) {
        // Encodings whose characters may hold the bytes of quotes and backslashes.
        const UNSAFE: [&[u8]; 8] = [
            b"BIG5",
            b"GB18030",
            b"GBK",
            b"JOHAB",
            b"SHIFT_JIS_2004",
            b"SJIS",
            b"UHC",
            b"MULE_INTERNAL",
        ];
        match name {
            b"standard_conforming_strings" if value != b"on" => self.unreadable = true,
            b"client_encoding" if UNSAFE.contains(&value) => self.unreadable = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
