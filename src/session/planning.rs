//! From a client's text to plans: the one place where the session calls the planner.

use std::collections::HashMap;
use std::sync::Arc;

use super::transaction::State;
use crate::catalog::SearchPath;
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
    in_context(role, snapshot, state, names.fresh(), |context| {
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
    in_context(role, snapshot, state, names.fresh(), |context| {
        observe_statement(statement, context)
    })
    .unwrap_or_else(|refusal| (Err(refusal), Facts::default()))
}

/// Calls the planner with what it may know of a session.
fn in_context<T>(
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    fresh_name: Ident,
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
        client_encoding: state.settings.encoding(),
        temp: state.temp.tables(),
        prepared: &state.prepared,
        cursors: &state.cursors,
        fresh_name,
    }))
}

/// Plans again what was planned before, as if it were not there yet: under its own upstream name, and
/// with the search path it keeps, if it keeps one.
pub(super) fn again(
    source: &Statement,
    upstream: &Ident,
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    search_path: Option<&SearchPath>,
) -> Result<Plan, Refusal> {
    let nothing = HashMap::new();
    in_context(role, snapshot, state, upstream.clone(), |context| {
        let context = PlanContext {
            search_path: search_path.unwrap_or(context.search_path),
            prepared: &nothing,
            fresh_name: context.fresh_name.clone(),
            ..*context
        };
        plan_statement(source.clone(), &context)
    })?
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
