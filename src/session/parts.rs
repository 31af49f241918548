//! A string that is sent in parts. A statement that is given tokens is bound, after what it needs was read,
//! and both can be done only between two messages. Inside a transaction block PostgreSQL does not know where
//! one string ends and the next begins: there what stands before such a statement is sent first, and the
//! Query is offered again for the rest when that is done. The client sees one string.
//!
//! Outside a block the end of a message commits, so there such a statement has to be the first.

use std::sync::Arc;

use super::uploads::not_alone;
use super::{Session, Step};
use crate::pg::encoding::Encoding;
use crate::plan::{Given, Plan, Refusal};
use crate::snapshot::Snapshot;
use crate::sql::tree::{CopyDirection, Statement};

/// How far the Query has come that is offered again.
#[derive(Default)]
pub(super) struct Parts {
    /// So many of its statements are done.
    pub(super) done: usize,
    /// One of them failed, and the client was told.
    pub(super) failed: bool,
    /// What the whole of it is in, whatever its statements have set since.
    pub(super) encoding: Option<Encoding>,
}

impl Session {
    /// So many statements of the client's Query were sent: it is offered again for the rest, if there is one.
    pub(super) fn part_sent(&mut self, more: bool, count: usize) -> Step {
        if !more {
            return Step::Continue;
        }
        self.parts.done = self.parts.done.saturating_add(count);
        Step::Later
    }

    /// A statement of several as one that is bound, if it is given tokens; or why it is not sent by itself.
    pub(super) fn by_itself<'p>(
        &mut self,
        statement: Option<Statement>,
        mut before: impl Iterator<Item = &'p Arc<Plan>>,
        snapshot: &Snapshot,
    ) -> Option<Result<Arc<Plan>, Refusal>> {
        let planned = self.planned(statement?, snapshot, (Given::Bound, &[]));
        let plan = planned.ok().filter(|plan| plan.uploads().is_some())?;
        // What is sent before it is answered while the Query waits, in the way of the data.
        let copies = before.any(|plan| plan.copy() == Some(CopyDirection::From));
        let may = self.speculative.block && !self.uploads.open && !copies;
        Some(may.then_some(plan).ok_or_else(not_alone))
    }
}
