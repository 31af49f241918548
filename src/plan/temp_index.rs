//! CREATE INDEX, DROP INDEX and ANALYZE of temporary tables: scripts that make one often do.
//!
//! An index of a temporary table holds what its table does, which is what the role may see. Deliberately
//! absent: indexes and statistics of permanent tables, which are their owner's.

use super::absent::no_object;
use super::plan::{Effect, Plan, PlanContext};
use super::statement::grounds;
use super::temp::{no_subquery, not_own, own_name};
use super::utility::facts;
use crate::catalog::Relation;
use crate::catalog::temp::SCHEMA;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{CreateIndex, Name, Statement};
use std::sync::Arc;

/// PostgreSQL's own access methods: what another does as it reads a table is not known.
const METHODS: &[&str] = &["brin", "btree", "gin", "gist", "hash", "spgist"];

pub(super) fn create(mut index: Box<CreateIndex>, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let table = own(&mut index.table, "index", ctx)?;
    let read = crate::analyze::analyze_index(&table, &mut index, grounds(ctx))?;
    if read.relations.len() > 1 {
        return Err(no_subquery("index expression"));
    }
    if let Some(method) = &index.method
        && !METHODS.contains(&method.as_str())
    {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("access method \"{method}\" is not supported"),
        )
        .hint(format!("Supported are {}.", METHODS.join(", "))));
    }
    decided(&Statement::CreateIndex(index), "CREATE INDEX")
}

/// The name is looked for among the session's own alone, whatever its path.
pub(super) fn drop(
    if_exists: bool,
    mut names: Vec<Name>,
    cascade: bool,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    for name in &mut names {
        let Some(index) = own_name(name, ctx) else {
            super::absent::schema(name, ctx)?;
            return Err(not_own("index", name)
                .detail("A restricted role may drop the indexes of its own temporary tables."));
        };
        // Where it has no schema of temporary tables, PostgreSQL would speak of that.
        if ctx.temp.is_empty() && !if_exists {
            return Err(no_object("index", name, sqlstate::UNDEFINED_OBJECT));
        }
        in_temp(name, index);
    }
    let statement = Statement::DropIndex {
        if_exists,
        names,
        cascade,
    };
    decided(&statement, "DROP INDEX")
}

pub(super) fn analyze(
    mut tables: Vec<(Name, Vec<Ident>)>,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    for (name, _) in &mut tables {
        own(name, "analyze", ctx)?;
    }
    decided(&Statement::Analyze(tables), "ANALYZE")
}

/// The temporary table that is meant, by its whole name then.
fn own(name: &mut Name, to: &str, ctx: &PlanContext<'_>) -> Result<Arc<Relation>, Refusal> {
    let found = own_name(name, ctx).and_then(|own| ctx.temp.get(&own));
    let Some(table) = found else {
        super::absent::relation(name, ctx)?;
        return Err(not_own("table", name)
            .detail(format!(
                "A restricted role may {to} the temporary tables of its own session."
            ))
            .hint("Leave it out: answers are the same."));
    };
    in_temp(name, table.name.clone());
    Ok(Arc::clone(table))
}

fn in_temp(name: &mut Name, own: Ident) {
    name.parts = vec![Ident::exact(SCHEMA), own];
}

fn decided(statement: &Statement, kind: &'static str) -> Result<Plan, Refusal> {
    let sql = print(statement, &Rewrite::default())?;
    Ok(Plan::decided(sql, Effect::None, facts(kind)))
}
