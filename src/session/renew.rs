//! What was planned on an older snapshot and is used now: a statement made by PREPARE, a cursor, a
//! portal. It is planned again from what the client wrote, and goes on if nothing has changed for it.
//!
//! A prepared statement only has to be the same text upstream, for its rows are masked by the new
//! plan; else it is prepared anew, if the client need not notice. A cursor or portal is half read:
//! its rows must be what they would be today, or it is closed.

use std::sync::Arc;

use super::planning;
use super::transaction::State;
use super::{Io, Moment, Session};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::plan::{CursorEntry, Effect, Plan, PreparedEntry, Refusal};
use crate::snapshot::Snapshot;
use crate::sql::tree::Statement;
use crate::wire::WriteError;
use crate::wire::frontend::Target;
use crate::wire::write::frontend as to_upstream;

/// What became of the statement or cursor a statement names.
pub(super) enum Renewal {
    /// It is current.
    Current,
    /// It has to be prepared anew, from this.
    Again(Arc<Statement>),
    /// It is used no more.
    Gone(Refusal),
    /// It is closed, and is to be closed upstream by this name.
    Closed(Ident, Refusal),
}

/// Looks at what `statement` names, and brings it up to the snapshot.
pub(super) fn renew(
    statement: &Statement,
    role: &str,
    snapshot: &Snapshot,
    state: &mut State,
) -> Renewal {
    match statement {
        Statement::Execute { name, .. } => renew_statement(name, role, snapshot, state),
        Statement::Fetch { cursor, .. } => renew_cursor(cursor, role, snapshot, state),
        _ => Renewal::Current,
    }
}

fn renew_statement(name: &Ident, role: &str, snapshot: &Snapshot, state: &mut State) -> Renewal {
    let Some(entry) = state.prepared.get(name).cloned() else {
        return Renewal::Current;
    };
    // PostgreSQL, too, looks its names up again when the search path is another.
    let search_path = state.settings.search_path();
    if entry.plan.epoch() == snapshot.epoch && entry.search_path == search_path {
        return Renewal::Current;
    }
    let planned = planning::again(&entry.source, &entry.upstream, role, snapshot, state, None);
    let plan = match planned {
        Ok(plan) => prepared_plan(plan),
        Err(refusal) => return Renewal::Gone(refusal),
    };
    if plan.sql() == entry.plan.sql() {
        let renewed = PreparedEntry {
            plan,
            search_path,
            ..entry
        };
        state.prepared.insert(name.clone(), renewed);
        return Renewal::Current;
    }
    let columns = |plan: &Plan| plan.outputs().map(|outputs| outputs.len());
    let made_by_sql = matches!(*entry.source, Statement::Prepare { .. });
    if made_by_sql && columns(&plan) == columns(&entry.plan) {
        return Renewal::Again(entry.source);
    }
    let refusal = super::missing::outdated();
    Renewal::Gone(refusal.hint("DEALLOCATE it and PREPARE it again."))
}

/// The plan of what a PREPARE prepares.
fn prepared_plan(plan: Plan) -> Arc<Plan> {
    if let Effect::Prepare(_, entry) = plan.effect() {
        return Arc::clone(&entry.plan);
    }
    Arc::new(plan)
}

fn renew_cursor(cursor: &Ident, role: &str, snapshot: &Snapshot, state: &mut State) -> Renewal {
    let Some(entry) = state.cursors.get(cursor).cloned() else {
        return Renewal::Current;
    };
    if entry.plan.epoch() == snapshot.epoch {
        return Renewal::Current;
    }
    let path = Some(&entry.search_path);
    let planned = planning::again(&entry.source, &entry.upstream, role, snapshot, state, path);
    if let Ok(plan) = &planned
        && let Effect::Declare(_, new) = plan.effect()
        && new.plan.same(&entry.plan)
    {
        let plan = Arc::clone(&new.plan);
        state
            .cursors
            .insert(cursor.clone(), CursorEntry { plan, ..entry });
        return Renewal::Current;
    }
    match planned {
        Err(refusal) if planning::is_unknown_name(&refusal) => Renewal::Gone(refusal),
        _ => Renewal::Closed(
            entry.upstream,
            closed(&format!("cursor \"{cursor}\""), "DECLARE it"),
        ),
    }
}

/// What is half read shows something else today.
pub(super) fn closed(what: &str, again: &str) -> Refusal {
    let message = format!("{what} was closed: the policy or the catalog changed what it shows");
    Refusal::error(sqlstate::INVALID_CURSOR_STATE, message).hint(format!("{again} again."))
}

impl Session {
    /// Brings up to the snapshot what a statement names. The statements to plan in its place: itself,
    /// or, if what it executes has to be prepared anew, that first.
    pub(super) fn renewed(
        &mut self,
        statement: Statement,
        at: &Moment<'_>,
    ) -> Result<Vec<Statement>, Refusal> {
        match renew(&statement, &self.role, at.snapshot, &mut self.speculative) {
            Renewal::Current => Ok(vec![statement]),
            Renewal::Again(source) => {
                let Statement::Execute { name, .. } = &statement else {
                    return Ok(vec![statement]);
                };
                let first = Statement::Deallocate(Some(name.clone()));
                Ok(vec![first, source.as_ref().clone(), statement])
            }
            Renewal::Gone(refusal) => Err(refusal),
            Renewal::Closed(upstream, refusal) => {
                self.doomed.push(upstream);
                self.forget_doomed();
                Err(refusal)
            }
        }
    }

    /// What was found closed is known no more.
    pub(super) fn forget_doomed(&mut self) {
        let doomed = &self.doomed;
        for state in [&mut self.speculative, &mut self.confirmed] {
            state.cursors.retain(|_, c| !doomed.contains(&c.upstream));
        }
    }

    /// Closes upstream what was found closed.
    pub(super) fn close_doomed(&mut self, io: &mut Io<'_>) -> Result<(), WriteError> {
        if self.doomed.is_empty() {
            return Ok(());
        }
        for upstream in std::mem::take(&mut self.doomed) {
            let name = upstream.as_str().as_bytes();
            to_upstream::close(io.upstream, Target::Portal, name)?;
            self.replies.push(super::replies::Expected::Close {
                statement: None,
                visible: false,
            });
        }
        // Nothing else may follow that makes PostgreSQL answer.
        to_upstream::flush(io.upstream);
        Ok(())
    }
}
