//! CREATE TEMP TABLE, CREATE TEMP TABLE AS, SELECT INTO TEMP, DROP TABLE of temporary tables.
//!
//! What is stored there is what the role may see: the query of CREATE TABLE AS is masked at the
//! source. Deliberately absent: tables that are not temporary; they would be read by others.

use super::decide::Delivery;
use super::plan::{Effect, Facts, Plan, PlanContext};
use super::statement::{grounds, named, read};
use crate::catalog::temp::{SCHEMA, temp_table};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{CreateTable, Name, Query, SetExpr, Statement};

/// `SELECT … INTO t` as the CREATE TABLE AS it means; `None` if there is no INTO.
pub(super) fn select_into(q: &mut Query) -> Option<CreateTable> {
    let SetExpr::Select(s) = &mut q.body else {
        return None;
    };
    let (name, temporary) = s.into.take()?;
    Some(CreateTable {
        name,
        temporary,
        if_not_exists: false,
        columns: Vec::new(),
        keys: Vec::new(),
        on_commit: None,
        query: Some((Box::new(q.clone()), false)),
    })
}

pub(super) fn create(mut table: Box<CreateTable>, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let name = temporary_name(&table)?;
    table.temporary = true;
    table.name.parts = vec![name.clone()];
    let drop_on_commit = table.on_commit.as_deref() == Some("drop");
    let mut declared = Vec::with_capacity(table.columns.len());
    for c in &mut table.columns {
        let mut ty = None;
        if let Some(written) = &mut c.ty {
            let resolved =
                crate::analyze::resolve_types(std::slice::from_mut(written), grounds(ctx))?;
            ty = resolved.first().copied();
        }
        declared.push((c.name.clone(), ty));
        if let Some(default) = &mut c.default {
            crate::analyze::analyze_values(std::slice::from_mut(default), grounds(ctx))?;
        }
    }
    let mut facts = Facts {
        kind: "CREATE TABLE",
        ..Facts::default()
    };
    let mut rewrite = Rewrite::default();
    let mut parameters = None;
    let columns: Vec<(Ident, Option<Oid>)> = match table.query.take() {
        None => declared,
        Some((query, no_data)) => {
            let mut inner = Statement::Query(query);
            let read = read(&mut inner, Delivery::Stream, ctx)?;
            let names = table
                .columns
                .iter()
                .map(|c| c.name.clone())
                .chain(read.names.iter().skip(table.columns.len()).cloned());
            let columns = names.zip(read.types.iter().copied().map(stored)).collect();
            (rewrite, facts) = (read.rewrite, named(read.facts, "CREATE TABLE AS"));
            parameters = read.parameters;
            if let Statement::Query(q) = inner {
                table.query = Some((q, no_data));
            }
            columns
        }
    };
    let effect = Effect::CreateTemp {
        table: temp_table(&name, &columns),
        drop_on_commit,
    };
    let sql = print(&Statement::CreateTable(table), &rewrite)?;
    let mut plan = Plan::decided(sql, effect, facts);
    plan.set_parameters(parameters);
    Ok(plan)
}

/// The type a column of CREATE TABLE AS gets: a literal's is text.
fn stored(output: Option<Oid>) -> Option<Oid> {
    output.map(|ty| if ty == oid::UNKNOWN { oid::TEXT } else { ty })
}

fn temporary_name(table: &CreateTable) -> Result<Ident, Refusal> {
    match table.name.parts.as_slice() {
        [name] if table.temporary => Ok(name.clone()),
        [schema, name] if *schema == SCHEMA => Ok(name.clone()),
        _ => Err(
            Refusal::denied("a restricted role may create temporary tables only")
                .detail("Other sessions would read a permanent table without the role's masks.")
                .hint("Use CREATE TEMP TABLE, or a common table expression.")
                .at(table.name.position),
        ),
    }
}

pub(super) fn drop(
    if_exists: bool,
    mut names: Vec<Name>,
    cascade: bool,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    let mut dropped = Vec::with_capacity(names.len());
    for name in &mut names {
        let table = match name.parts.as_slice() {
            [table] => table.clone(),
            [schema, table] if *schema == SCHEMA => table.clone(),
            _ => return Err(not_temporary(name)),
        };
        let known = ctx.temp.get(&table).is_some();
        if !known && !if_exists {
            return Err(not_temporary(name));
        }
        name.parts = vec![Ident::exact(SCHEMA), table.clone()];
        dropped.push(table);
    }
    let statement = Statement::DropTable {
        if_exists,
        names,
        cascade,
    };
    let sql = print(&statement, &Rewrite::default())?;
    let facts = Facts {
        kind: "DROP TABLE",
        ..Facts::default()
    };
    Ok(Plan::decided(sql, Effect::DropTemp(dropped), facts))
}

fn not_temporary(name: &Name) -> Refusal {
    let table = name.parts.last().map_or("", Ident::as_str);
    Refusal::error(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of table {table}"),
    )
    .detail("A restricted role may drop the temporary tables of its own session.")
    .at(name.position)
}
