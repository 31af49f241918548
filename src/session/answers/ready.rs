//! ReadyForQuery: which segment is over, what holds from here on, and whether the client is told.

use super::super::replies::{Behind, Expected, room};
use super::super::uploads::{Read, Reading};
use super::super::{Fatal, Io, Session};
use super::unexpected;
use crate::wire::backend::TransactionStatus;

impl Session {
    pub(super) fn on_ready(
        &mut self,
        status: TransactionStatus,
        whole: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        if self.untold.take().is_some() && status == TransactionStatus::InTransaction {
            return self.fail_block(io);
        }
        let (segment, read, told) = match self.counted() {
            Some((segment, told)) => (segment, None, told),
            None => self.ended()?,
        };
        self.status = status;
        self.confirmed.ready(status, self.failed);
        // In an aborted block they may be there again behind ROLLBACK TO, and PostgreSQL says which are.
        if status == TransactionStatus::Idle {
            self.portals.end(segment);
        }
        self.nameless &= status != TransactionStatus::Idle || !self.replies.is_empty();
        if self.dirty || self.failed {
            self.speculative = self.confirmed.clone();
            self.replies.replay(&mut self.speculative);
            self.dirty = !self.replies.is_empty();
            let prepared = &self.speculative.prepared;
            let live: std::collections::HashSet<_> =
                prepared.values().map(|p| &p.upstream).collect();
            self.details.retain(|upstream, _| live.contains(upstream));
        }
        self.failed = false;
        self.unheard = false;
        if !told {
            return Ok(());
        }
        if let Some(read) = read {
            self.uploads.reading = read.ended()?;
            if let Reading::Done(_) = self.uploads.reading {
                return Ok(());
            }
        }
        self.reported.tell(&self.confirmed.settings, io.client)?;
        io.client.extend_from_slice(whole);
        Ok(())
    }

    /// An error came: what was skipped behind it made no statements and closed none.
    pub(super) fn forget_skipped(&mut self) {
        let mut state = self.confirmed.clone();
        self.replies.replay(&mut state);
        self.speculative.prepared = state.prepared;
    }

    /// Whose ReadyForQuery it is, and whether the client is told.
    fn ended(&mut self) -> Result<(u64, Option<Box<Read>>, bool), Fatal> {
        match self.replies.pop() {
            Some(Expected::Query {
                segment,
                behind,
                failed,
                text,
                ..
            }) => {
                self.query = room(text);
                let more = matches!(behind, Behind::More) && !failed;
                Ok((segment, None, !more))
            }
            Some(Expected::Ready { segment } | Expected::Sync { segment }) => {
                Ok((segment, None, true))
            }
            Some(Expected::Read(read)) => Ok((read.segment, Some(read), true)),
            _ => Err(unexpected()),
        }
    }
}
