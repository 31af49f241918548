//! What PostgreSQL still owes us, in order. Each message it sends is matched to what the head of the
//! queue expects; a message nobody expects ends the session.
//!
//! Deliberately absent: bytes. This says whose turn it is, not what is written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::copy_in::Counting;
use super::portals::Portal;
use super::prepared::Prepared;
use super::rows::Rows;
use super::transaction::{Completion, State};
use super::uploads::Read;
use crate::audit::{Outcome, Ticket};
use crate::ident::Ident;
use crate::mask::OutputRule;
use crate::plan::{Effect, Plan};
use crate::sql::tree::CopyDirection;

/// A statement that was sent and is not complete.
pub(super) struct Running {
    pub(super) plan: Arc<Plan>,
    /// The client did not ask for it: it is not told of its end.
    pub(super) hidden: bool,
    pub(super) rows: Option<Arc<Rows>>,
    pub(super) started: Instant,
    pub(super) ticket: Option<Ticket>,
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// CopyInResponse came.
    pub(super) copying: bool,
    /// So many characters of what was sent stand before it.
    pub(super) begins: usize,
}

impl Running {
    pub(super) fn new(plan: Arc<Plan>, started: Instant, ticket: Ticket) -> Self {
        Self {
            plan,
            hidden: false,
            rows: None,
            started,
            ticket: Some(ticket),
            count: 0,
            bytes: 0,
            copying: false,
            begins: 0,
        }
    }

    /// Something of it goes to the client.
    pub(super) fn returns(&self) -> bool {
        self.plan.outputs().is_some() || self.plan.copy() == Some(CopyDirection::To)
    }

    /// PostgreSQL is to ask for its data and has not yet.
    fn holds_for_copy(&self) -> bool {
        self.plan.copy() == Some(CopyDirection::From) && !self.copying
    }

    /// Writes its audit record.
    pub(super) fn finish(&mut self, outcome: Outcome, sqlstate: Option<&str>, now: Instant) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let elapsed = now.saturating_duration_since(self.started).as_micros();
        let (rows, bytes) = (self.count, self.bytes);
        ticket.finish(|record| {
            record.decision = match outcome {
                Outcome::Allow if record.is_protected() => Outcome::Mask,
                other => other,
            };
            record.rows = rows;
            record.bytes = bytes;
            record.duration_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
            record.sqlstate = sqlstate.map(str::to_owned);
            record.at = Some(now);
        });
    }

    pub(super) fn has_effect(&self) -> bool {
        !matches!(self.plan.effect(), Effect::None)
    }
}

/// The room of a text that is needed no more, for the next one.
pub(super) fn room(mut text: Vec<u8>) -> Vec<u8> {
    text.clear();
    text.shrink_to(crate::limits::KEPT_QUERY_BYTES);
    text
}

/// What follows a Query's statements.
pub(super) enum Behind {
    Nothing,
    /// More statements of the client's Query, when PostgreSQL is done with these.
    More,
    /// What the client is told: the next was refused, and one that fails stands in its place.
    Refused(BytesMut),
}

/// How a Query was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// As one.
    Query,
    /// As Parse, Bind, Describe, Execute and Sync.
    Bound,
    /// The same without Sync: what commits it waits until the client is told all that it returns.
    Held,
}

/// One thing PostgreSQL owes, or the proxy's own word in its place.
pub(super) enum Expected {
    /// A Query: its statements' results in order, then ReadyForQuery.
    Query {
        running: VecDeque<Running>,
        behind: Behind,
        segment: u64,
        /// What the client wrote.
        text: Vec<u8>,
        /// An error ended it: only ReadyForQuery is missing.
        failed: bool,
        sent: Sent,
    },
    /// A fixed failing statement: its error is replaced by the refusal it stands for.
    Refusal {
        reply: BytesMut,
        /// What it is in an aborted transaction, if that is something else.
        aborted: Option<BytesMut>,
        /// Sent as a Query: what follows is not skipped.
        simple: bool,
    },
    /// ReadyForQuery of a refused Query.
    Ready { segment: u64 },
    /// ReadyForQuery of a Sync.
    Sync { segment: u64 },
    /// ReadyForQuery of Syncs of unknown number.
    Counting { counting: Counting, segment: u64 },
    /// ParseComplete
    Parse {
        name: Ident,
        prepared: Arc<Prepared>,
        visible: bool,
        /// What the client wrote, if it is what asks for it.
        text: Option<Box<[u8]>>,
    },
    /// ParameterDescription, then RowDescription or NoData
    DescribeStatement {
        prepared: Arc<Prepared>,
        visible: bool,
        parameters: bool,
    },
    /// RowDescription or NoData
    DescribePortal {
        /// What the rows need; `None` for none.
        outputs: Option<Arc<[OutputRule]>>,
        /// The statement it was bound from; none for SQL's DECLARE.
        of: Option<Arc<Prepared>>,
    },
    /// BindComplete
    Bind {
        /// The portal it makes, if there is one of its name, and its name: PostgreSQL says whether there is.
        instead: Option<Box<(Vec<u8>, Portal)>>,
    },
    /// Rows, then CommandComplete, PortalSuspended or EmptyQueryResponse
    Execute {
        running: Box<Running>,
        portal: Arc<Portal>,
    },
    /// CloseComplete
    Close {
        /// The statement that is no more, by the client's name for it.
        statement: Option<Ident>,
        /// The statement that is closed, if it is one, by its name upstream. Until then it may be skipped.
        upstream: Option<Ident>,
        visible: bool,
    },
    /// What temporary tables hold, which the proxy asked for.
    Read(Box<Read>),
    /// The proxy's own reply.
    Local(BytesMut),
}

/// The queue.
#[derive(Default)]
pub(super) struct Replies {
    queue: VecDeque<Expected>,
    effects: usize,
    /// Of a statement that is complete: the next takes its room.
    spare: Option<Box<Running>>,
}

impl Replies {
    pub(super) fn push(&mut self, expected: Expected) {
        self.effects = self.effects.saturating_add(expected.effects());
        self.queue.push_back(expected);
    }

    /// In room of its own.
    pub(super) fn boxed(&mut self, running: Running) -> Box<Running> {
        match self.spare.take() {
            Some(mut room) => {
                *room = running;
                room
            }
            None => Box::new(running),
        }
    }

    /// It is complete, and its room may be taken.
    pub(super) fn spare(&mut self, running: Box<Running>) {
        self.spare = Some(running);
    }

    pub(super) fn head(&mut self) -> Option<&mut Expected> {
        self.queue.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Expected> {
        let popped = self.queue.pop_front();
        let gone = popped.as_ref().map_or(0, Expected::effects);
        self.effects = self.effects.saturating_sub(gone);
        popped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// A statement of the head's Query is done.
    pub(super) fn effect_done(&mut self, effect: &Effect) {
        if !matches!(effect, Effect::None) {
            self.effects = self.effects.saturating_sub(1);
        }
    }

    /// A whole segment is sent whose effects are not known yet: planning beyond it would be against
    /// a guess. `dirty`: some are known, and what follows in the segment may still undo them.
    pub(super) fn unsettled(&self, dirty: bool) -> bool {
        (dirty || self.effects > 0)
            && matches!(
                self.queue.back(),
                Some(Expected::Query { .. } | Expected::Sync { .. } | Expected::Ready { .. })
            )
    }

    /// After an error in the extended protocol PostgreSQL answers nothing until Sync. True if that
    /// Sync was already sent. (Where Syncs are counted, that tells whether.)
    pub(super) fn skip_to_sync(&mut self) -> bool {
        while let Some(expected) = self.queue.front() {
            match expected {
                Expected::Sync { .. } => return true,
                Expected::Counting { .. } => return false,
                _ => drop(self.pop()),
            }
        }
        false
    }

    /// A segment that is not answered yet may leave this name to another statement than is supposed here, or
    /// to none, if there is an error in it; and what comes now is in another segment, which has not made it anew.
    pub(super) fn leaves_open(&self, statement: &Ident) -> bool {
        let ends = |expected: &Expected| matches!(expected, Expected::Sync { .. });
        let concerns = |expected: &Expected| match expected {
            Expected::Parse { name, .. }
            | Expected::Close {
                statement: Some(name),
                ..
            } => name == statement,
            _ => false,
        };
        let Some(last) = self.queue.iter().rposition(ends) else {
            return false;
        };
        !self.queue.range(last..).any(concerns) && self.queue.range(..last).any(concerns)
    }

    /// ReadyForQuery of this segment, or of a later one, is still to come.
    pub(super) fn owes_end_of(&self, segment: u64) -> bool {
        self.queue.iter().any(|expected| match expected {
            Expected::Query { segment: end, .. }
            | Expected::Ready { segment: end }
            | Expected::Sync { segment: end }
            | Expected::Counting { segment: end, .. } => *end >= segment,
            _ => false,
        })
    }

    /// Whose portal is the first to be executed before the next ReadyForQuery?
    pub(super) fn executes(&self) -> Option<&Arc<Prepared>> {
        (self.queue.iter())
            .take_while(|expected| !matches!(expected, Expected::Sync { .. }))
            .find_map(|expected| match expected {
                Expected::Execute { portal, .. } => Some(&portal.prepared),
                _ => None,
            })
    }

    /// The rest of a client's Query waits for what was sent, or what comes behind a COPY for whether it is
    /// skipped, or behind a Bind for which portal has its name.
    pub(super) fn holds_for_rest(&self) -> bool {
        matches!(
            self.queue.back(),
            Some(
                Expected::Query {
                    behind: Behind::More,
                    ..
                } | Expected::Counting { .. }
                    | Expected::Bind { instead: Some(_) }
            )
        )
    }

    /// A COPY FROM was sent and PostgreSQL has not asked for its data: what the client sends next may be
    /// that data, or, if the COPY fails, data to be ignored. Nothing is sent behind such a statement, so
    /// it is the last one.
    pub(super) fn holds_for_copy(&self) -> bool {
        self.any_last(Running::holds_for_copy)
    }

    /// Something of the last that was sent may go to the client, beyond ASCII.
    pub(super) fn may_return(&self) -> bool {
        match self.queue.back() {
            Some(
                Expected::DescribeStatement {
                    prepared: of,
                    visible: true,
                    ..
                }
                | Expected::DescribePortal { of: Some(of), .. },
            ) => !of.is_described_in_ascii(),
            Some(Expected::DescribePortal { outputs, of: None }) => outputs.is_some(),
            _ => self.any_last(Running::returns),
        }
    }

    /// Is one of the last that were sent like this?
    fn any_last(&self, like: fn(&Running) -> bool) -> bool {
        match self.queue.back() {
            Some(Expected::Query {
                running,
                failed: false,
                ..
            }) => running.iter().any(like),
            Some(Expected::Execute { running, .. }) => like(running),
            _ => false,
        }
    }

    /// The proxy's own replies whose turn has come.
    pub(super) fn locals(&mut self, out: &mut BytesMut) {
        while let Some(Expected::Local(reply)) = self.queue.front() {
            out.extend_from_slice(reply);
            self.queue.pop_front();
        }
    }

    /// Applies what is still in flight to a fresh copy of the confirmed state.
    pub(super) fn replay(&self, state: &mut State) {
        for expected in &self.queue {
            match expected {
                Expected::Query { running, .. } => {
                    for r in running {
                        state.apply(r.plan.effect(), Completion::AsPlanned);
                    }
                }
                Expected::Execute { running, .. } => {
                    state.apply(running.plan.effect(), Completion::AsPlanned);
                }
                Expected::Parse { name, prepared, .. } => {
                    state.prepared.insert(name.clone(), prepared.entry());
                }
                Expected::Close {
                    statement: Some(name),
                    ..
                } => {
                    state.prepared.remove(name);
                }
                Expected::Refusal { .. }
                | Expected::Ready { .. }
                | Expected::Sync { .. }
                | Expected::Counting { .. }
                | Expected::DescribeStatement { .. }
                | Expected::DescribePortal { .. }
                | Expected::Bind { .. }
                | Expected::Close { .. }
                | Expected::Read(_)
                | Expected::Local(_) => {}
            }
        }
    }
}

impl Expected {
    fn effects(&self) -> usize {
        match self {
            Self::Query { running, .. } => running.iter().filter(|r| r.has_effect()).count(),
            Self::Execute { running, .. } => usize::from(running.has_effect()),
            Self::Refusal { .. }
            | Self::Ready { .. }
            | Self::Sync { .. }
            | Self::Counting { .. }
            | Self::Parse { .. }
            | Self::DescribeStatement { .. }
            | Self::DescribePortal { .. }
            | Self::Bind { .. }
            | Self::Close { .. }
            | Self::Read(_)
            | Self::Local(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{Expected, Replies};

    #[test]
    fn an_error_skips_to_the_next_sync_and_no_further() {
        let mut replies = Replies::default();
        replies.push(Expected::Bind { instead: None });
        replies.push(Expected::Local(BytesMut::from("gone")));
        replies.push(Expected::Ready { segment: 1 });
        replies.push(Expected::Sync { segment: 2 });
        replies.push(Expected::Bind { instead: None });
        assert!(replies.skip_to_sync());
        assert!(matches!(
            replies.head(),
            Some(Expected::Sync { segment: 2 })
        ));
        replies.pop();
        assert!(!replies.skip_to_sync());
        assert!(replies.is_empty());
    }

    #[test]
    fn own_replies_wait_for_their_turn() {
        let mut replies = Replies::default();
        let mut out = BytesMut::new();
        replies.push(Expected::Bind { instead: None });
        replies.push(Expected::Local(BytesMut::from("a")));
        replies.push(Expected::Local(BytesMut::from("b")));
        replies.locals(&mut out);
        assert!(out.is_empty());
        replies.pop();
        replies.locals(&mut out);
        assert_eq!(&out[..], b"ab");
    }
}
