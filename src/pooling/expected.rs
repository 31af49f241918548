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
    /// CloseComplete, of a Close the client did not send, before it drops its statement of this name by
    /// SQL. Nothing is shown.
    Dropped(Box<[u8]>, Arc<Statement>),
    /// ParseComplete, of the client's own Parse under this name.
    Parsed(Box<[u8]>, u64),
    /// CloseComplete, to be shown as the ParseComplete of a statement that was here already; or that
    /// ParseComplete, of a Parse that only tries whether it could be made.
    Here(Box<[u8]>),
    /// ParseComplete, of the client's unnamed Parse.
    Passed,
    /// ParseComplete, of a Parse that has to fail.
    Doomed,
    /// CloseComplete, of the client's statement of this name.
    Closed(Box<[u8]>, Option<Arc<Statement>>),
    /// CloseComplete, of a portal.
    PortalClosed,
    /// CloseComplete, of a Close the client did not send, before a Query in a segment that no Sync has
    /// closed: if it does not come, PostgreSQL skips that Query. Or behind a Parse that was a trial.
    Reached,
    /// CloseComplete, of a Close the client did not send, behind the Syncs among the data of a COPY that
    /// failed: each ReadyForQuery before it is one of theirs, but for the first if `own`, which is not shown.
    Counted { own: bool },
    /// An error the proxy made, so that PostgreSQL skips up to the client's Sync. Nothing is shown.
    Skips,
}

impl Due {
    /// ReadyForQuery
    fn ends(&self) -> bool {
        matches!(self, Self::Query | Self::Sync)
    }
}

/// What was sent of the data of a COPY before PostgreSQL asked for it.
pub(super) struct CopyBegins {
    /// Its end.
    pub(super) ended: bool,
    /// A Sync.
    pub(super) synced: bool,
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

    /// The next answer is a Query's.
    pub(super) fn is_query(&self) -> bool {
        matches!(self.0.front(), Some(Due::Query))
    }

    /// The last answer that is due is the end of a segment.
    pub(super) fn is_closed(&self) -> bool {
        self.0.back().is_some_and(Due::ends)
    }

    /// Some ReadyForQuery is due.
    pub(super) fn is_owed(&self) -> bool {
        self.0.iter().any(Due::ends)
    }

    /// The ReadyForQuery of Syncs are counted now: is the next one the proxy's own?
    pub(super) fn counting(&mut self) -> Option<&mut bool> {
        match self.0.front_mut() {
            Some(Due::Counted { own }) => Some(own),
            _ => None,
        }
    }

    /// The error that comes next is the proxy's.
    pub(super) fn takes_skips(&mut self) -> bool {
        let skips = matches!(self.0.front(), Some(Due::Skips));
        if skips {
            self.0.pop_front();
        }
        skips
    }

    /// A segment that is not answered yet may leave this name or this statement otherwise than is
    /// supposed here. What comes now is in another one.
    pub(super) fn is_open(&self, name: &[u8], id: Option<u64>) -> bool {
        self.unanswered().any(|due| match due {
            Due::Made(of) | Due::Unmade(of) => id == Some(*of),
            Due::Parsed(of, made) => **of == *name || id == Some(*made),
            Due::Here(of) | Due::Closed(of, _) | Due::Dropped(of, _) => **of == *name,
            _ => false,
        })
    }

    /// The same of the unnamed statement, unless this segment has made it anew.
    pub(super) fn is_unnamed_open(&self) -> bool {
        let unnamed = |due: &Due| matches!(due, Due::Passed | Due::Made(0) | Due::Unmade(0));
        let here = self.0.iter().rev();
        let mut here = here.take_while(|due| !due.ends());
        !here.any(unnamed) && self.unanswered().any(unnamed)
    }

    /// A later unnamed Parse is under way.
    pub(super) fn has_passed(&self) -> bool {
        self.0.iter().any(|due| matches!(due, Due::Passed))
    }

    /// What is due up to the last end of a segment.
    fn unanswered(&self) -> impl Iterator<Item = &Due> {
        let last = self.0.iter().rposition(Due::ends).unwrap_or(0);
        self.0.range(..last)
    }

    /// PostgreSQL asks for the data of a COPY. Every Sync up to the end of the data, of an extended COPY
    /// the one that ends its segment too, is ignored by PostgreSQL ("COPY Operations" in the protocol's
    /// message flow).
    pub(super) fn copy_begins(&mut self) -> CopyBegins {
        let ends = |due: &Due| matches!(due, Due::CopyEnd);
        let end = self.0.iter().position(ends);
        let data = usize::from(self.is_query());
        let behind = end.map_or(self.0.len(), |end| end.saturating_add(1));
        let mut of_copy = self.0.drain(data.min(behind)..behind);
        CopyBegins {
            ended: end.is_some(),
            synced: of_copy.any(|due| matches!(due, Due::Sync)),
        }
    }

    /// An error came: what follows is skipped up to the next Sync, unless it was a Query's. True if that
    /// Sync has not been sent.
    pub(super) fn fails(&mut self) -> bool {
        let first = self.0.iter().position(Due::ends);
        let first = first.unwrap_or(self.0.len());
        let of_query = matches!(self.0.get(first), Some(Due::Query));
        let reached = |due: &Due| matches!(due, Due::Reached);
        if of_query && !self.0.range(..first).any(reached) {
            return false;
        }
        let sync = self.0.iter().position(|due| matches!(due, Due::Sync));
        let mut behind = self.0.split_off(sync.unwrap_or(self.0.len()));
        self.0.retain(|due| !matches!(due, Due::Query));
        self.0.append(&mut behind);
        sync.is_none()
    }

    /// What a message that is no end of a segment answers.
    pub(super) fn answered(&mut self) -> Option<Due> {
        self.drop_copy_ends();
        self.pop()
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
