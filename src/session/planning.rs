//! From a client's text to plans: the one place where the session calls the planner.

use std::sync::Arc;

use super::transaction::State;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::plan::{Facts, Plan, PlanContext, Refusal, observe_statement, plan_statement};
use crate::snapshot::Snapshot;
use crate::sql::parse::{Parsed, parse as parse_text};
use crate::sql::tree::Statement;

/// Names for what a session makes upstream: each is used once.
#[derive(Default)]
pub(super) struct Names(u64);

impl Names {
    pub(super) fn fresh(&mut self) -> Ident {
        self.0 = self.0.saturating_add(1);
        Ident::exact(&format!("pgveil_{}", self.0))
    }
}

/// Reads a text as UTF-8 and parses it.
pub(super) fn parse(text: &[u8]) -> Result<(String, Vec<Parsed>), Refusal> {
    let text = crate::wire::utf8(text).map_err(|_| {
        Refusal::error(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })?;
    Ok((text.to_owned(), parse_text(text)?))
}

/// Plans one statement against a state.
pub(super) fn plan(
    statement: Statement,
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    names: &mut Names,
) -> Result<Arc<Plan>, Refusal> {
    stale(&statement, snapshot, state)?;
    in_context(role, snapshot, state, names, |context| {
        plan_statement(statement, context)
    })?
    .map(Arc::new)
}

/// What planning one statement would say, for a role that is observed.
pub(super) fn observe(
    statement: Statement,
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    names: &mut Names,
) -> (Result<Plan, Refusal>, Facts) {
    in_context(role, snapshot, state, names, |context| {
        observe_statement(statement, context)
    })
    .unwrap_or_else(|refusal| (Err(refusal), Facts::default()))
}

/// Calls the planner with what it may know of a session.
fn in_context<T>(
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    names: &mut Names,
    decide: impl FnOnce(&PlanContext<'_>) -> T,
) -> Result<T, Refusal> {
    let grants = snapshot
        .policy
        .roles
        .get(role)
        .ok_or_else(|| Refusal::denied("the policy does not know this role any more"))?;
    let search_path = state.settings.search_path();
    Ok(decide(&PlanContext {
        snapshot,
        grants,
        search_path: &search_path,
        search_path_text: &state.settings.text(),
        temp: state.temp.tables(),
        prepared: &state.prepared,
        cursors: &state.cursors,
        fresh_name: names.fresh(),
    }))
}

/// A statement made by PREPARE, or a cursor, whose plan is older than catalog or policy: its masks
/// may not be today's.
fn stale(statement: &Statement, snapshot: &Snapshot, state: &State) -> Result<(), Refusal> {
    let (upstream, what, hint) = match statement {
        Statement::Execute { name, .. } => (
            state.prepared.get(name).map(|p| &p.upstream),
            "prepared statement",
            "DEALLOCATE it and PREPARE it again.",
        ),
        Statement::Fetch { cursor, .. } => (
            state.cursors.get(cursor).map(|c| &c.upstream),
            "cursor",
            "CLOSE it and DECLARE it again.",
        ),
        _ => return Ok(()),
    };
    match upstream.and_then(|u| state.epochs.get(u)) {
        Some(epoch) if *epoch != snapshot.epoch => Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("{what} is older than the current catalog or policy"),
        )
        .hint(hint)),
        _ => Ok(()),
    }
}

/// A refusal that a newer catalog might not give: the name may have been created a moment ago.
pub(super) fn is_unknown_name(refusal: &Refusal) -> bool {
    matches!(
        refusal.sqlstate,
        sqlstate::UNDEFINED_TABLE
            | sqlstate::UNDEFINED_COLUMN
            | sqlstate::UNDEFINED_FUNCTION
            | sqlstate::UNDEFINED_OBJECT
    )
}
