//! From a client's text to plans: the one place where the session calls the planner.

use std::sync::Arc;

use foldhash::HashMap;

use super::Session;
use super::transaction::State;
use crate::analyze::ObjectKind;
use crate::catalog::{SearchPath, TempTables};
use crate::ident::Ident;
use crate::limits;
use crate::pg::{Oid, sqlstate};
use crate::plan::{
    Facts, Given, Plan, PlanContext, Refusal, Scope, observe_statement, plan_statement,
    stands_alone,
};
use crate::snapshot::Snapshot;
use crate::sql::Shaped;
use crate::sql::parse::Parsed;
use crate::sql::tree::{Looked, Statement};

/// Names for what a session makes upstream: each is used once.
#[derive(Default)]
pub(super) struct Names(u64);

impl Names {
    pub(super) fn fresh(&mut self) -> Ident {
        self.0 = self.0.saturating_add(1);
        Ident::exact(&format!("pgveil_{}", self.0))
    }
}

/// Reads a text as UTF-8 and parses it, as the server's version does; with what knows which of its
/// constants were looked at.
pub(super) fn parse(
    text: &[u8],
    snapshot: &Snapshot,
) -> Result<(String, Vec<Parsed>, Looked), Refusal> {
    let text = crate::wire::utf8(text).map_err(|_| {
        Refusal::error(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })?;
    let shaped = Shaped::scan(text)?;
    shaped.check_version(snapshot.catalog.version)?;
    let (parsed, looked) = shaped.parse()?;
    Ok((text.to_owned(), parsed, looked))
}

/// Cuts a text into tokens, if that is all that is to be said of it.
pub(super) fn shaped(text: &[u8]) -> Option<Shaped<'_>> {
    Shaped::scan(crate::wire::utf8(text).ok()?).ok()
}

impl Session {
    /// Plans one statement against what the session will be when it comes to it.
    pub(super) fn planned(
        &mut self,
        statement: Statement,
        snapshot: &Snapshot,
        given: (Given<'_>, &[Oid]),
    ) -> Result<Arc<Plan>, Refusal> {
        plan(
            statement,
            &self.role,
            snapshot,
            &self.speculative,
            &mut self.names,
            given,
        )
    }
}

/// Plans one statement against a state.
fn plan(
    statement: Statement,
    role: &str,
    snapshot: &Snapshot,
    state: &State,
    names: &mut Names,
    (given, declared): (Given<'_>, &[Oid]),
) -> Result<Arc<Plan>, Refusal> {
    let alone = stands_alone(&statement) && is_plain(state);
    in_context(role, snapshot, state, names.fresh(), |context| {
        if !alone {
            let fresh_name = context.fresh_name.clone();
            let context = PlanContext {
                given,
                declared,
                fresh_name,
                ..*context
            };
            return plan_statement(statement, &context);
        }
        // Its plan may serve other sessions: it does not get to see what is this one's.
        let (prepared, cursors, temp) = (
            HashMap::default(),
            HashMap::default(),
            TempTables::default(),
        );
        let context = PlanContext {
            prepared: &prepared,
            cursors: &cursors,
            temp: &temp,
            given,
            declared,
            fresh_name: Ident::exact(""),
            ..*context
        };
        plan_statement(statement, &context)
    })?
    .map(Arc::new)
}

/// Its plan may have been kept, or may be.
pub(super) fn may_be_kept(text: &[u8], state: &State) -> bool {
    text.len() <= limits::CACHED_PLAN_BYTES && is_plain(state)
}

/// The session has nothing that such a statement could mean.
fn is_plain(state: &State) -> bool {
    state.temp.tables().is_empty() && state.cursors.is_empty()
}

/// What of a session such a statement's plan depends on.
pub(super) fn scope<'a>(role: &'a str, state: &'a State) -> Scope<'a> {
    Scope {
        role,
        user: state.settings.user(),
        search_path: state.settings.text(),
        encoding: state.settings.encoding().name(),
    }
}

/// May the client declare a plan's parameters to be of these types?
pub(super) fn check_parameter_types(
    plan: &Plan,
    types: &[Oid],
    role: &str,
    snapshot: &Snapshot,
    state: &State,
) -> Result<(), Refusal> {
    plan.parameter_types(types)?;
    if types.is_empty() || plan.is_verbatim() {
        return Ok(());
    }
    in_context(role, snapshot, state, Ident::exact(""), |context| {
        crate::plan::check_parameter_types(types, context)
    })?
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
        let context = PlanContext {
            given: Given::Bound,
            fresh_name: context.fresh_name.clone(),
            ..*context
        };
        observe_statement(statement, &context)
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
    Ok(decide(&PlanContext {
        snapshot,
        grants,
        search_path: state.settings.search_path(),
        search_path_text: state.settings.text(),
        client_encoding: state.settings.encoding(),
        temp: state.temp.tables(),
        prepared: &state.prepared,
        cursors: &state.cursors,
        given: Given::Bound,
        declared: &[],
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
    let nothing = HashMap::default();
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

/// What a parameter names, with its schema.
pub(super) fn qualified_name(
    kind: ObjectKind,
    text: &str,
    role: &str,
    snapshot: &Snapshot,
    state: &State,
) -> Option<String> {
    in_context(role, snapshot, state, Ident::exact(""), |context| {
        crate::plan::qualified_name(kind, text, context)
    })
    .ok()?
}

/// A refusal that a newer catalog might not give: the name may have been created a moment ago.
pub(super) fn is_unknown_name(refusal: &Refusal) -> bool {
    matches!(
        refusal.sqlstate,
        sqlstate::UNDEFINED_TABLE
            | sqlstate::INVALID_SCHEMA_NAME
            | sqlstate::UNDEFINED_COLUMN
            | sqlstate::UNDEFINED_FUNCTION
            | sqlstate::UNDEFINED_OBJECT
    )
}
