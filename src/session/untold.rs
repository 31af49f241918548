//! A result with a character that the client's encoding lacks: an error of the statement, as PostgreSQL would
//! have made it.
//!
//! PostgreSQL knows of none and goes on. What it still says of the statement is passed over; then it is
//! made to fail too, before anything else reaches it: nothing is sent behind a statement that may come to this
//! (`wants_client`). A Query of one statement that may change something is sent without what would commit it,
//! and that follows when all is told. Of several, those behind it are run in vain: in a transaction block,
//! which fails with it, or if none of them changes anything. Otherwise PostgreSQL may have committed something
//! by then, and the session ends: only that leaves no doubt.

use std::time::Instant;

use super::answers::unexpected;
use super::encoding::unwritable;
use super::replies::{Behind, Expected, Running, Sent};
use super::rows::unknown_binary;
use super::transaction::State;
use super::{FAILING, Fatal, Io, Session, to_client, to_upstream};
use crate::audit::Outcome;
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::{Report, WriteError, frame};

impl Session {
    /// Something was sent whose result may have a character that the client's encoding lacks.
    pub(super) fn may_fail_to_tell(&self) -> bool {
        let encodings = [&self.confirmed, &self.speculative].map(|state| state.settings.encoding());
        encodings.iter().any(|encoding| !encoding.is_same())
            && (self.untold.is_some() || self.replies.may_return())
    }

    /// Such a thing was sent last: nothing goes on until it is answered.
    pub(super) fn flush_untold(&self, io: &mut Io<'_>) {
        if self.may_fail_to_tell() {
            to_upstream::flush(io.upstream);
        }
    }

    /// May a Query of this statement alone fail here when PostgreSQL is done with it, and have changed
    /// something by then?
    pub(super) fn is_held(&self, only: &Running) -> bool {
        const KINDS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY"];
        let states = [&self.confirmed, &self.speculative];
        let converted = |state: &&State| !state.settings.encoding().is_same();
        let facts = only.plan.facts();
        states.iter().any(converted)
            && self.status == TransactionStatus::Idle
            && !self.speculative.block
            && !self.uploads.open
            && only.returns()
            && !only.has_effect()
            && !facts.reads
            && KINDS.contains(&facts.kind)
    }

    /// A statement is complete. If it was held back, what it returned is told, and it is committed.
    pub(super) fn all_is_told(&mut self, io: &mut Io<'_>) {
        if let Some(Expected::Query { running, sent, .. }) = self.replies.head()
            && running.is_empty()
            && *sent == Sent::Held
        {
            *sent = Sent::Bound;
            to_upstream::sync(io.upstream);
        }
    }

    /// What is at the head cannot be told to the client.
    pub(super) fn cannot_tell(&mut self, why: Fatal, io: &mut Io<'_>) -> Result<(), Fatal> {
        if ![unwritable(), unknown_binary()].contains(&why) || self.replies.len() > 1 {
            return Err(why);
        }
        let in_block = self.confirmed.block;
        let (alone, reads) = (self.alone, self.reads);
        let undone = match self.replies.head() {
            // It was a Describe.
            None => {
                self.fail_pipeline(io)?;
                to_client::error(io.client, &Report::error(why.sqlstate, why.message));
                self.failed = true;
                return Ok(());
            }
            Some(Expected::Query {
                running,
                failed: false,
                sent,
                ..
            }) => {
                let held = *sent == Sent::Held;
                // Where a cursor stands is no part of a transaction.
                let moves = |r: &Running| ["FETCH", "MOVE"].contains(&r.plan.facts().kind);
                let undone = (in_block || reads || alone && held)
                    && !running.iter().any(Running::has_effect)
                    && !running.iter().skip(1).any(moves);
                if undone && held {
                    *sent = Sent::Bound;
                    to_upstream::parse(io.upstream, b"", FAILING, &[])?;
                    to_upstream::sync(io.upstream);
                }
                undone
            }
            Some(Expected::Execute { running, .. }) if !running.has_effect() => {
                self.fail_pipeline(io)?;
                true
            }
            _ => false,
        };
        if !undone {
            return Err(why);
        }
        to_client::error(io.client, &Report::error(why.sqlstate, why.message));
        self.copy_export = None;
        self.failed = true;
        self.untold = Some(why);
        Ok(())
    }

    /// PostgreSQL comes to this before it comes to the Sync that would commit.
    fn fail_pipeline(&mut self, io: &mut Io<'_>) -> Result<(), WriteError> {
        to_upstream::parse(io.upstream, b"", FAILING, &[])?;
        to_upstream::flush(io.upstream);
        self.replies.push(Expected::Refusal {
            reply: bytes::BytesMut::new(),
            aborted: None,
            simple: false,
        });
        self.skipping = true;
        Ok(())
    }

    /// Is a message nobody's, because its statement failed here, or one before it?
    pub(super) fn is_untold(
        &mut self,
        tag: u8,
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<bool, Fatal> {
        let Some(why) = self.untold else {
            return Ok(false);
        };
        match tag {
            backend::ROW_DESCRIPTION
            | backend::NOTICE
            | backend::COPY_OUT
            | backend::COPY_DATA
            | backend::COPY_DONE => Ok(true),
            backend::COPY_IN => {
                to_upstream::copy_fail(io.upstream, "a statement before it failed")?;
                Ok(true)
            }
            backend::COMMAND_COMPLETE | backend::PORTAL_SUSPENDED => {
                let running = self.running_head()?;
                running.finish(Outcome::Error, Some(why.sqlstate), now);
                self.advance();
                if let Some(Expected::Refusal { .. }) = self.replies.head() {
                    self.untold = None;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// PostgreSQL would go on in a transaction block that has failed for the client.
    pub(super) fn fail_block(&mut self, io: &mut Io<'_>) -> Result<(), Fatal> {
        let Some(Expected::Query {
            segment, behind, ..
        }) = self.replies.pop()
        else {
            return Err(unexpected());
        };
        self.parts.failed = matches!(behind, Behind::More);
        to_upstream::query(io.upstream, FAILING)?;
        self.replies.push(Expected::Refusal {
            reply: bytes::BytesMut::new(),
            aborted: None,
            simple: true,
        });
        self.replies.push(Expected::Ready { segment });
        Ok(())
    }
}

/// How many bytes the rows at the front are.
pub(super) fn rows(bytes: &[u8]) -> usize {
    frame::frames(bytes, &frame::Limits::BACKEND)
        .map_while(Result::ok)
        .take_while(|frame| frame.tag == backend::DATA_ROW)
        .last()
        .map_or(0, |frame| frame.end())
}

/// What PostgreSQL answers a message of the extended protocol that runs nothing, if it takes it.
pub(super) fn is_answer(tag: u8) -> bool {
    matches!(
        tag,
        backend::PARSE_COMPLETE
            | backend::BIND_COMPLETE
            | backend::CLOSE_COMPLETE
            | backend::PARAMETER_DESCRIPTION
            | backend::ROW_DESCRIPTION
            | backend::NO_DATA
    )
}
