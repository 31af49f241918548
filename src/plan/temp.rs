//! CREATE TEMP TABLE, CREATE TEMP TABLE AS, SELECT INTO TEMP, DROP TABLE of temporary tables.
//!
//! What is stored there is what the role may see: the query of CREATE TABLE AS is masked at the
//! source. Deliberately absent: tables that are not temporary; they would be read by others.

use super::decide::Delivery;
use super::plan::{Effect, Plan, PlanContext};
use super::statement::{grounds, named, read};
use super::tabulated::Tabulate;
use super::utility::facts;
use crate::analyze::Like;
use crate::catalog::Column;
use crate::catalog::temp::{SCHEMA, temp_table};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{CreateTable, DropKind, Name, Query, SetExpr, Statement, TempColumn};

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
        likes: Vec::new(),
        keys: Vec::new(),
        checks: Vec::new(),
        on_commit: None,
        query: Some((Box::new(q.clone()), false)),
    })
}

/// What is done to a table as a whole.
pub(super) fn plan(statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    match statement {
        Statement::CreateTable(table) => create(table, ctx),
        Statement::DropTable {
            kind: DropKind::Table,
            if_exists,
            names,
            cascade,
        } => drop(if_exists, names, cascade, ctx),
        Statement::DropTable {
            kind,
            if_exists,
            names,
            ..
        } => super::absent::drop(kind, if_exists, &names, ctx),
        Statement::Comment(name) => super::absent::comment(&name, ctx),
        Statement::Truncate {
            names,
            restart,
            cascade,
        } => truncate(names, restart, cascade, ctx),
        Statement::CreateIndex(index) => super::temp_index::create(index, ctx),
        Statement::DropIndex {
            if_exists,
            names,
            cascade,
        } => super::temp_index::drop(if_exists, names, cascade, ctx),
        Statement::Analyze(tables) => super::temp_index::analyze(tables, ctx),
        other => super::utility::plan(other, ctx),
    }
}

pub(super) fn create(mut table: Box<CreateTable>, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let name = temporary_name(&table)?;
    table.temporary = true;
    table.name.parts = vec![name.clone()];
    let drop_on_commit = table.on_commit.as_deref() == Some("drop");
    let declared = declared(&mut table, ctx)?;
    conditions(&name, &declared, &mut table, ctx)?;
    let mut facts = facts("CREATE TABLE");
    let mut rewrite = Rewrite::default();
    let mut parameters = None;
    let mut uploads = None;
    let columns: Vec<(Ident, Option<Oid>)> = match table.query.take() {
        None => declared,
        Some((query, no_data)) => {
            let mut inner = Statement::Query(query);
            let read = read(&mut inner, (Delivery::Table, Tabulate::Yes), ctx)?;
            let names = table
                .columns
                .iter()
                .map(|c| c.name.clone())
                .chain(read.names.iter().skip(table.columns.len()).cloned());
            let columns = names.zip(read.types.iter().copied().map(stored)).collect();
            (rewrite, facts) = (read.rewrite, named(read.facts, "CREATE TABLE AS"));
            parameters = read.parameters;
            uploads = read.uploads;
            if let Statement::Query(q) = inner {
                table.query = Some((q, no_data));
            }
            columns
        }
    };
    let types = columns.iter().filter_map(|(_, ty)| *ty);
    crate::analyze::constructible(types, grounds(ctx))?;
    let effect = Effect::CreateTemp {
        table: temp_table(&name, &columns),
        drop_on_commit,
    };
    let sql = print(&Statement::CreateTable(table), &rewrite)?;
    let mut plan = Plan::decided(sql, effect, facts);
    plan.set_parameters(parameters);
    plan.set_uploads(uploads);
    Ok(plan)
}

/// The new table's columns, with types where they are known. Those of a permanent table that it is like
/// are written out.
fn declared(
    table: &mut CreateTable,
    ctx: &PlanContext<'_>,
) -> Result<Vec<(Ident, Option<Oid>)>, Refusal> {
    let mut declared = Vec::with_capacity(table.columns.len());
    let mut columns = Vec::with_capacity(table.columns.len());
    let mut kept = Vec::with_capacity(table.likes.len());
    let mut likes = std::mem::take(&mut table.likes).into_iter().peekable();
    let mut written = std::mem::take(&mut table.columns).into_iter().enumerate();
    loop {
        let next = written.next();
        let at = next.as_ref().map_or(usize::MAX, |(at, _)| *at);
        while let Some(mut like) = likes.next_if(|like| like.at <= at) {
            match crate::analyze::like(&like.name, grounds(ctx))? {
                Like::Temporary(other) => {
                    let known = |c: &Column| (c.type_oid != 0).then_some(c.type_oid);
                    declared.extend(other.columns.iter().map(|c| (c.name.clone(), known(c))));
                    like.at = columns.len();
                    like.name.parts = vec![other.schema.clone(), other.name.clone()];
                    kept.push(like);
                }
                Like::Columns(relation, copied) => {
                    for one in &copied {
                        let ty = Some(one.column.type_oid);
                        declared.push((one.column.name.clone(), ty));
                        columns.push(super::like::column(one, &like, ctx)?);
                    }
                    table
                        .keys
                        .extend(super::like::keys(&relation, &copied, &like)?);
                }
            }
        }
        let Some((_, mut column)) = next else { break };
        declared.push((column.name.clone(), resolved_type(&mut column, ctx)?));
        columns.push(column);
    }
    table.columns = columns;
    table.likes = kept;
    Ok(declared)
}

/// Resolves a column's type and default.
fn resolved_type(column: &mut TempColumn, ctx: &PlanContext<'_>) -> Result<Option<Oid>, Refusal> {
    let mut ty = None;
    if let Some(written) = &mut column.ty {
        let resolved = crate::analyze::resolve_types(std::slice::from_mut(written), grounds(ctx))?;
        ty = resolved.first().copied();
    }
    if let Some(collation) = &mut column.collation
        && !crate::analyze::resolve_collation(collation, grounds(ctx))?
    {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "a nondeterministic collation of a temporary table is not supported",
        )
        .hint("Write COLLATE where the column is compared.")
        .at(collation.position));
    }
    if let Some(default) = &mut column.default {
        let values = std::slice::from_mut(default);
        let read = crate::analyze::analyze_values(values, grounds(ctx))?;
        if !read.relations.is_empty() {
            return Err(no_subquery("DEFAULT expression"));
        }
    }
    Ok(ty)
}

/// Resolves the conditions of the new table over its columns.
fn conditions(
    name: &Ident,
    columns: &[(Ident, Option<Oid>)],
    table: &mut CreateTable,
    ctx: &PlanContext<'_>,
) -> Result<(), Refusal> {
    if table.checks.is_empty() {
        return Ok(());
    }
    let own = temp_table(name, columns);
    let read = crate::analyze::analyze_checks(&own, &mut table.checks, grounds(ctx))?;
    if read.relations.len() > 1 {
        return Err(no_subquery("check constraint"));
    }
    Ok(())
}

pub(super) fn no_subquery(place: &str) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("cannot use subquery in {place}"),
    )
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

fn drop(
    if_exists: bool,
    mut names: Vec<Name>,
    cascade: bool,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    let mut dropped = Vec::with_capacity(names.len());
    for name in &names {
        let own = own_name(name, ctx);
        if own.as_ref().is_none_or(|own| ctx.temp.get(own).is_none()) {
            match super::absent::dropped(DropKind::Table, name, ctx) {
                Ok(()) => return Err(not_temporary(name)),
                Err(absent) if !if_exists => return Err(absent),
                Err(_) => {}
            }
        }
        dropped.extend(own);
    }
    names = (dropped.iter())
        .map(|own| Name::made(vec![Ident::exact(SCHEMA), own.clone()]))
        .collect();
    if names.is_empty() {
        names.push(super::absent::nothing(ctx));
    }
    let statement = Statement::DropTable {
        kind: DropKind::Table,
        if_exists,
        names,
        cascade,
    };
    let sql = print(&statement, &Rewrite::default())?;
    Ok(Plan::decided(
        sql,
        Effect::DropTemp(dropped),
        facts("DROP TABLE"),
    ))
}

/// Temporary tables of the session's own are nobody else's, and have no triggers.
fn truncate(
    mut names: Vec<Name>,
    restart: bool,
    cascade: bool,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    for name in &mut names {
        let own = own_name(name, ctx).filter(|table| ctx.temp.get(table).is_some());
        let Some(table) = own else {
            super::absent::relation(name, ctx)?;
            let table = name.parts.last().map_or("", Ident::as_str);
            return Err(
                Refusal::denied(format!("permission denied for table {table}"))
                    .detail(
                        "A restricted role may truncate the temporary tables of its own session.",
                    )
                    .hint("DELETE FROM empties a table, where the policy grants it.")
                    .at(name.position),
            );
        };
        name.parts = vec![Ident::exact(SCHEMA), table];
    }
    let statement = Statement::Truncate {
        names,
        restart,
        cascade,
    };
    let sql = print(&statement, &Rewrite::default())?;
    Ok(Plan::decided(sql, Effect::None, facts("TRUNCATE TABLE")))
}

/// What a temporary table is called, if it is one that is meant.
pub(super) fn own_name(name: &Name, ctx: &PlanContext<'_>) -> Option<Ident> {
    match name.parts.as_slice() {
        [table] => {
            let hidden = (ctx.snapshot.catalog).is_before_temp(ctx.search_path, table);
            (!hidden).then(|| table.clone())
        }
        [schema, table] if *schema == SCHEMA => Some(table.clone()),
        _ => None,
    }
}

fn not_temporary(name: &Name) -> Refusal {
    not_own("table", name)
        .detail("A restricted role may drop the temporary tables of its own session.")
}

pub(super) fn not_own(what: &str, name: &Name) -> Refusal {
    let named = name.parts.last().map_or("", Ident::as_str);
    Refusal::error(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of {what} {named}"),
    )
    .at(name.position)
}
