//! SET CONSTRAINTS: each is named with its schema, for the search path is not PostgreSQL's.

use super::plan::{Effect, Plan, PlanContext};
use super::utility::facts;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{Name, Statement};

/// What its records are called.
pub const SET_CONSTRAINTS: &str = "SET CONSTRAINTS";

/// What constraints there are decides, before a write, whether it is sent; when they are looked at is the
/// role's to say.
pub(super) fn set(names: &[Name], deferred: bool, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let named = names.iter().map(|name| constraint(name, ctx));
    let statement = Statement::SetConstraints {
        names: named.collect::<Result<_, _>>()?,
        deferred,
    };
    let sql = print(&statement, &Rewrite::default())?;
    Ok(Plan::decided(sql, Effect::None, facts(SET_CONSTRAINTS)))
}

/// With its schema. Which of several has it, the proxy does not know.
fn constraint(name: &Name, ctx: &PlanContext<'_>) -> Result<Name, Refusal> {
    if name.parts.len() > 1 {
        return Ok(name.clone());
    }
    let exists = |s: &&Ident| {
        ctx.snapshot
            .catalog
            .schemas
            .values()
            .any(|known| known == *s)
    };
    let schemas = ctx.search_path.schemas().iter().filter(exists);
    let mut schemas = schemas.filter(|s| **s != "pg_catalog");
    let (Some(schema), None, true) = (schemas.next(), schemas.next(), ctx.temp.is_empty()) else {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "a constraint may be of several schemas here",
        )
        .hint("Write SET CONSTRAINTS schema.name, or ALL.")
        .at(name.position));
    };
    let parts = [schema].into_iter().chain(&name.parts).cloned().collect();
    Ok(Name {
        parts,
        position: name.position,
    })
}
