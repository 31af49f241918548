//! Names of relations that are not there, in statements that a restricted role may not send of those that
//! are. PostgreSQL looks a name up before it asks whose it is, and migrations go by what it says then.
//!
//! That something is there is no secret, so that none of it is either. Deliberately absent: names of
//! indexes, which the catalog does not have.

use super::plan::{Effect, Plan, PlanContext};
use super::statement::grounds;
use super::temp::not_own;
use super::utility::facts;
use crate::catalog::temp::SCHEMA;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{DropKind, Name, Statement};

/// PostgreSQL's error for a relation that is not there; none for one that is.
pub(super) fn relation(name: &Name, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    schema(name, ctx)?;
    crate::analyze::relation_exists(name, grounds(ctx)).map_err(|absent| absent.at(None))
}

/// The same, called by what it would be, as DROP does.
pub(super) fn dropped(kind: DropKind, name: &Name, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    schema(name, ctx)?;
    let what = kind.word().to_ascii_lowercase();
    crate::analyze::relation_exists(name, grounds(ctx))
        .map_err(|_| no_object(&what, name, sqlstate::UNDEFINED_TABLE))
}

pub(super) fn no_object(what: &str, name: &Name, state: &'static str) -> Refusal {
    let named = name.parts.last().map_or("", Ident::as_str);
    Refusal::error(state, format!("{what} \"{named}\" does not exist"))
}

/// The schema that is written with a name.
pub(super) fn schema(name: &Name, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    let [.., schema, _] = name.parts.as_slice() else {
        return Ok(());
    };
    let known = *schema == SCHEMA || ctx.snapshot.catalog.schemas.values().any(|s| s == schema);
    if known {
        return Ok(());
    }
    Err(Refusal::error(
        sqlstate::INVALID_SCHEMA_NAME,
        format!("schema \"{schema}\" does not exist"),
    ))
}

/// DROP of what no session of a restricted role has: nothing is dropped, if there is nothing and it may be
/// missing.
pub(super) fn drop(
    kind: DropKind,
    if_exists: bool,
    names: &[Name],
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    for name in names {
        match dropped(kind, name, ctx) {
            Ok(()) => return Err(not_own(&kind.word().to_ascii_lowercase(), name)),
            Err(absent) if !if_exists => return Err(absent),
            Err(_) => {}
        }
    }
    let statement = Statement::DropTable {
        kind,
        if_exists,
        names: vec![nothing(ctx)],
        cascade: false,
    };
    let sql = print(&statement, &Rewrite::default())?;
    Ok(Plan::decided(sql, Effect::None, facts(kind.command())))
}

/// A name that nothing has.
pub(super) fn nothing(ctx: &PlanContext<'_>) -> Name {
    Name::made(vec![Ident::exact(SCHEMA), ctx.fresh_name.clone()])
}

/// COMMENT, which tells of what is there only that it is not supported.
pub(super) fn comment(name: &Name, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    relation(name, ctx)?;
    Err(Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "COMMENT is not supported for restricted roles",
    )
    .hint("Leave it out: answers are the same."))
}
