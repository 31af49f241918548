//! What PostgreSQL still owes, as far as it matters here: the ends of segments, and the answers to
//! messages that were put in or changed on the way.

use std::collections::VecDeque;
use std::sync::Arc;

use super::statements::Statement;

/// One answer that is due.
pub(super) enum Due {
    /// ReadyForQuery, of a Query or a function call.
    Query,
    /// ReadyForQuery, of a Sync.
    Sync,
    /// The end of a COPY FROM STDIN was sent ahead of PostgreSQL's asking for data.
    CopyEnd,
    /// ParseComplete, of a Parse the client did not send. Nothing is shown.
    Made(u64),
    /// CloseComplete, of a Close the client did not send. Nothing is shown.
    Unmade(u64),
    /// ParseComplete, of the client's own Parse under this name.
    Parsed(Box<[u8]>, u64),
    /// CloseComplete, to be shown as the ParseComplete of a statement that was here already.
    Here(Box<[u8]>),
    /// ParseComplete, of the client's unnamed Parse.
    Passed,
    /// ParseComplete, of a Parse that has to fail.
    Doomed,
    /// CloseComplete, of the client's statement of this name.
    Closed(Box<[u8]>, Option<Arc<Statement>>),
    /// CloseComplete, of a portal.
    PortalClosed,
}

/// A queue of them.
#[derive(Default)]
pub(super) struct Expected(VecDeque<Due>);

impl Expected {
    pub(super) fn push(&mut self, due: Due) {
        self.0.push_back(due);
    }

    pub(super) fn pop(&mut self) -> Option<Due> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Some ReadyForQuery is due.
    pub(super) fn is_owed(&self) -> bool {
        self.0
            .iter()
            .any(|due| matches!(due, Due::Query | Due::Sync))
    }

    /// PostgreSQL asks for the data of a COPY. If the segment ends with a Sync, that one and those
    /// after it, up to the end of the data, are ignored by PostgreSQL ("COPY Operations" in the
    /// protocol's message flow). True if the end of the data was sent already.
    pub(super) fn copy_begins(&mut self) -> bool {
        if matches!(self.0.front(), Some(Due::Query)) {
            let sent = self.0.iter().position(|due| matches!(due, Due::CopyEnd));
            return match sent {
                Some(at) => self.0.remove(at).is_some(),
                None => false,
            };
        }
        while let Some(due) = self.0.pop_front() {
            if matches!(due, Due::CopyEnd) {
                return true;
            }
        }
        false
    }

    /// Takes away marks that stand for nothing any more.
    pub(super) fn drop_copy_ends(&mut self) {
        while matches!(self.0.front(), Some(Due::CopyEnd)) {
            self.0.pop_front();
        }
    }

    /// Gives back the memory of a burst.
    pub(super) fn shrink(&mut self) {
        const KEPT: usize = 8;
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0.shrink_to(KEPT);
        }
    }
}
