//! What was planned on an older snapshot and is used now: a statement made by PREPARE, a cursor, a
//! portal. It is planned again from what the client wrote, and goes on if nothing has changed for it.
//!
//! A prepared statement only has to be the same text upstream, for its rows are masked by the new
//! plan; else it is prepared anew, if the client need not notice. A cursor or portal is half read:
//! its rows must be what they would be today, or it is closed.

use std::sync::Arc;

use super::extended::Occasion;
use super::missing::{ident, missing_statement, outdated};
use super::planning;
use super::portals::Portal;
use super::prepared::Prepared;
use super::transaction::State;
use super::{Fatal, Io, Moment, Session};
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::plan::{CursorEntry, Effect, Names, Plan, PreparedEntry, Refusal};
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
    // PostgreSQL, too, looks its names up again when the search path is another, or a table is gone.
    let search_path = state.settings.search_path().clone();
    let same_names =
        entry.search_path == search_path && entry.plan.facts().are_of(state.temp.tables());
    if entry.plan.epoch() == snapshot.epoch && same_names {
        return Renewal::Current;
    }
    let planned = planning::again(&entry.source, &entry.upstream, role, snapshot, state, None);
    let plan = match planned {
        Ok(plan) => prepared_plan(plan),
        Err(refusal) => return Renewal::Gone(refusal),
    };
    if plan.sql() == entry.plan.sql() && plan.binds_like(&entry.plan) {
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
    let refusal = outdated();
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
        && new.plan.accepts(&entry.plan)
    {
        let plan = Arc::new(entry.plan.carried_to(&new.plan));
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
                upstream: None,
                visible: false,
            });
        }
        // Nothing else may follow that makes PostgreSQL answer.
        to_upstream::flush(io.upstream);
        Ok(())
    }
}

impl Session {
    /// The statement a client names, planned in the current snapshot, with its shape asked for; `None`
    /// while it is not known what that is.
    pub(super) fn prepared(
        &mut self,
        name: &[u8],
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Option<Arc<Prepared>>, Refusal>, Fatal> {
        if let Some(known) = self.current(name, at) {
            return Ok(usable(known));
        }
        let name = match ident(name) {
            Ok(name) => name,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(entry) = self.speculative.prepared.get(&name).cloned() else {
            return Ok(Err(missing_statement(&name)));
        };
        let known = self.details.get(&entry.upstream).cloned();
        if let Some(known) = known
            && let Some(types) = known.types.clone()
        {
            return self.prepared_again(name, &known, types, at, io);
        }
        let execute = Statement::Execute {
            name: name.clone(),
            args: Vec::new(),
        };
        if let Err(refusal) = self.plan_source(Arc::new(execute), &[], at) {
            return Ok(Err(refusal));
        }
        let Some(entry) = self.speculative.prepared.get(&name).cloned() else {
            return Ok(Err(missing_statement(&name)));
        };
        let asked = self.details.contains_key(&entry.upstream);
        let prepared = self.details_of(entry);
        if !asked {
            self.describe_statement(&prepared, false, io)?;
        }
        Ok(usable(prepared))
    }

    /// A statement made by Parse, if it is decided on this snapshot and with this search path: the rule.
    fn current(&self, name: &[u8], at: &Moment<'_>) -> Option<Arc<Prepared>> {
        let entry = self
            .speculative
            .prepared
            .get(crate::wire::utf8(name).ok()?)?;
        let known = self.details.get(&entry.upstream)?;
        let current = known.types.is_some()
            && known.plan.epoch() == at.snapshot.epoch
            && known.search_path == *self.speculative.settings.search_path()
            && self.still_means(&known.plan)
            && known.plan.facts().are_of(self.speculative.temp.tables())
            && (known.plan.uploads())
                .is_none_or(|uploads| uploads.are_of(self.speculative.temp.tables()));
        current.then(|| Arc::clone(known))
    }

    /// Is the cursor or prepared statement that a plan names the one it named? (PostgreSQL crashes
    /// when it is to describe FETCH from a cursor that is gone: seen with 15.18.)
    pub(super) fn still_means(&self, plan: &Plan) -> bool {
        let state = &self.speculative;
        let (now, planned) = match plan.names() {
            None => return true,
            Some(Names::Cursor(name, planned)) => {
                (state.cursors.get(name).map(|c| &c.upstream), planned)
            }
            Some(Names::Prepared(name, planned)) => {
                (state.prepared.get(name).map(|p| &p.upstream), planned)
            }
        };
        now == Some(planned)
    }

    /// A statement made by Parse, decided anew if the snapshot or the search path is another.
    fn prepared_again(
        &mut self,
        name: Ident,
        known: &Arc<Prepared>,
        types: Vec<Oid>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Option<Arc<Prepared>>, Refusal>, Fatal> {
        let search_path = self.speculative.settings.search_path().clone();
        let (source, plan) = match self.plan_source(Arc::clone(&known.source), &types, at) {
            Ok(planned) => planned,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if plan.sql() == known.plan.sql() && plan.binds_like(&known.plan) {
            let renewed = Arc::new(known.renewed(&plan, search_path));
            self.speculative.prepared.insert(name, renewed.entry());
            self.dirty = true;
            self.details
                .insert(renewed.upstream.clone(), Arc::clone(&renewed));
            return Ok(usable(renewed));
        }
        let told = known.told.clone().or_else(|| known.tells());
        let prepared = self.send_parse(name, plan, (source, types), Occasion::Again(told), io)?;
        if prepared.told.is_none() {
            return Ok(Ok(Some(prepared)));
        }
        // PostgreSQL would refuse to return something else than it said it would. Whether it does is
        // known when it has described the statement.
        to_upstream::flush(io.upstream);
        self.waits_for = Some(prepared);
        Ok(Ok(None))
    }

    /// A portal of an older snapshot: what it shows may be something else today.
    pub(super) fn portal_again(
        &mut self,
        portal: &Portal,
        at: &Moment<'_>,
    ) -> Result<Arc<Portal>, Refusal> {
        let prepared = &portal.prepared;
        let planned = planning::again(
            &prepared.source,
            &prepared.upstream,
            &self.role,
            at.snapshot,
            &self.speculative,
            Some(&prepared.search_path),
        );
        match planned {
            // What was bound into it is not in the new plan.
            Ok(plan) if plan.accepts(&prepared.plan) && !plan.is_completed_by_values() => {
                Ok(Arc::new(Portal {
                    upstream: portal.upstream.clone(),
                    prepared: Arc::new(prepared.renewed(
                        &Arc::new(prepared.plan.carried_to(&plan)),
                        prepared.search_path.clone(),
                    )),
                    formats: portal.formats.clone(),
                    segment: portal.segment,
                    after: portal.after,
                    begun: portal.begun.clone(),
                }))
            }
            Err(refusal) if !at.last && planning::is_unknown_name(&refusal) => Err(refusal),
            _ => Err(closed("portal", "Bind it")),
        }
    }
}

/// The statement, unless it returns something else than the client was told.
fn usable(prepared: Arc<Prepared>) -> Result<Option<Arc<Prepared>>, Refusal> {
    if prepared.changed() {
        return Err(outdated());
    }
    Ok(Some(prepared))
}
