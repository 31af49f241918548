//! Syncs among the data of a COPY: PostgreSQL ignores those that it reads while it copies. If the COPY fails,
//! it answers those that come behind what failed, and of an executed COPY the first of them ends the
//! skipping. It alone knows how many they are.
//!
//! So something is asked behind them whose answer is known from theirs: a Close. While PostgreSQL may still be
//! skipping, a Sync stands before it, and of the ReadyForQuery before its answer the first is not shown; what
//! the client says next waits until it is known whether it is skipped.

use super::Link;
use super::walk::Walk;
use crate::pooling::expected::Due;
use crate::pooling::statements::{self, NOWHERE};
use crate::wire::frontend;

/// What is not known of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// Nothing.
    #[default]
    No,
    /// How many are answered.
    Count {
        /// Whether PostgreSQL skips up to the client's next Sync.
        skips: bool,
    },
    /// Nothing but the answer to what was asked.
    Asked,
    /// None is answered: what the client says up to its next Sync is to be skipped, and PostgreSQL does not.
    Unskipped,
}

impl Link {
    /// May the client's next message be taken? What has to go before it is written.
    pub(super) fn is_settled(&mut self, tag: u8, walk: &mut Walk<'_>, out: &mut Vec<u8>) -> bool {
        let sync = tag == frontend::SYNC;
        let of_copy = matches!(
            tag,
            frontend::COPY_DATA | frontend::COPY_DONE | frontend::COPY_FAIL
        );
        if !self.copying {
            // Is it of a COPY that begins, or stray?
            let may_be_of_copy = of_copy || (self.ahead && !sync);
            if may_be_of_copy && self.expected.is_closed() && self.later() {
                return false;
            }
            // Is it behind one that failed, and which of the Syncs before it are?
            if self.synced && !of_copy && !sync && self.later() {
                return false;
            }
        }
        if of_copy || tag == frontend::FLUSH {
            return true;
        }
        if self.copying && self.synced && !sync {
            // If the COPY has not failed by now, this ends the session.
            self.copying = false;
            self.synced = false;
            let skips = !self.expected.is_query();
            self.doubt = Doubt::Count { skips };
        }
        match self.doubt {
            Doubt::Count { skips } => {
                self.doubt = Doubt::No;
                self.count(skips, walk, out);
                if skips && !sync {
                    self.doubt = Doubt::Asked;
                    statements::head(frontend::FLUSH, 0, out);
                    self.later();
                    return false;
                }
            }
            Doubt::Unskipped => {
                self.doubt = Doubt::No;
                if !sync {
                    walk.flush(out);
                    statements::head(frontend::DESCRIBE, NOWHERE.len().saturating_add(2), out);
                    out.push(b'S');
                    out.extend_from_slice(NOWHERE);
                    out.push(0);
                    self.expected.push(Due::Skips);
                }
            }
            Doubt::Asked | Doubt::No => {}
        }
        true
    }

    /// Asks what tells how many of them are answered.
    fn count(&mut self, own: bool, walk: &mut Walk<'_>, out: &mut Vec<u8>) {
        walk.flush(out);
        if own {
            statements::head(frontend::SYNC, 0, out);
        }
        statements::close(NOWHERE, out);
        self.expected.push(Due::Counted { own });
    }

    /// Takes the client's Sync. In a COPY it means nothing, and nothing answers it.
    pub(super) fn synced(&mut self) {
        if self.copying {
            self.synced = true;
            return;
        }
        self.open = false;
        self.skipping = false;
        self.expected.push(Due::Sync);
    }

    /// The end of a COPY's data.
    pub(super) fn copy_ends(&mut self, walk: &mut Walk<'_>, out: &mut Vec<u8>) {
        if self.copying {
            self.copying = false;
            if self.synced && self.open && !walk.is_within() {
                // What comes next waits for its answer.
                walk.flush(out);
                statements::head(frontend::FLUSH, 0, out);
            }
        } else if self.open || !self.expected.is_empty() {
            self.expected.push(Due::CopyEnd);
        }
    }

    /// An error came. PostgreSQL discards the rest of a COPY's data, up to a Sync if it was executed.
    pub(super) fn fails(&mut self) {
        let simple = self.expected.is_query();
        self.copying = false;
        self.skipping = self.expected.fails();
        self.open |= self.skipping;
        if std::mem::take(&mut self.synced) {
            let skips = self.skipping && !simple;
            self.doubt = Doubt::Count { skips };
        }
    }

    /// ReadyForQuery: if it may be that of a Sync among a COPY's data, whether the client is told.
    pub(super) fn is_counted(&mut self) -> Option<bool> {
        // The end of data that are discarded.
        self.expected.drop_copy_ends();
        if let Some(own) = self.expected.counting() {
            let told = !std::mem::take(own);
            if told && self.doubt == Doubt::Asked {
                self.skips_no_more();
                self.doubt = Doubt::No;
            }
            return Some(told);
        }
        match &mut self.doubt {
            Doubt::Count { skips } if self.expected.is_empty() => {
                *skips = false;
                self.skips_no_more();
                Some(true)
            }
            _ => None,
        }
    }

    fn skips_no_more(&mut self) {
        self.skipping = false;
        self.open = false;
    }

    /// What was asked is answered.
    pub(super) fn counted(&mut self) {
        if self.doubt == Doubt::Asked {
            self.doubt = Doubt::Unskipped;
        }
    }
}
