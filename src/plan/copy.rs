//! COPY: out, as a query masked in its rows on their way, or at the source; in, with tokens decoded as INSERT decodes
//! them.

use std::sync::Arc;

use super::copy_in::{CopyColumn, CopyTokens};
use super::copy_options;
use super::copy_out::CopyExport;
use super::decide::Delivery;
use super::plan::{Effect, Facts, Plan, PlanContext};
use super::rewrite::shared;
use super::statement::{grounds, named, not_understood, read};
use super::subject::Subject;
use super::tabulated::Tabulate;
use super::uploads::{Given, Uploads};
use crate::analyze::lineage::{Lineage, RelationUse, Uses};
use crate::analyze::{ColumnForm, Grounds, column_form, copied_columns};
use crate::ident::Ident;
use crate::mask::{OutputRule, TokenColumn};
use crate::pg::{AttrNumber, sqlstate};
use crate::policy::{Rule, Treatment};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{
    Copy, CopyDirection, CopySource, Expr, Name, Query, RelationId, RelationRef, SelectItem,
    SetExpr, Statement,
};

/// COPY … TO STDOUT: planned as COPY (SELECT visible columns) TO.
pub(super) fn copy(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let Statement::Copy(c) = &mut statement else {
        return Err(not_understood());
    };
    let version = ctx.snapshot.catalog.version;
    let utf8 = copy_options::accept(&c.options, ctx.client_encoding, version)?;
    if c.direction == CopyDirection::From {
        return copy_from(statement, utf8, ctx);
    }
    let query = copied_query(c, grounds(ctx))?;
    let (query, read) = in_some_way(utf8, ctx, |delivery| {
        let mut query = query.clone();
        let read = read(&mut query, (delivery, Tabulate::No), ctx)?;
        Ok((query, read))
    })?;
    c.source = CopySource::Query(Box::new(query));
    let export = if (read.outputs.iter()).any(|rule| rule.transform.changes_values()) {
        Some(export(c, shared(read.outputs), &read.names, utf8, ctx)?)
    } else {
        None
    };
    let sql = print(&statement, &read.rewrite)?;
    let mut plan = Plan::decided(sql, Effect::None, named(read.facts, "COPY"));
    plan.set_parameters(read.parameters);
    set_uploads(&mut plan, read.uploads, ctx)?;
    let utf8 = utf8 || export.is_some();
    plan.set_copy_export(export.map(Arc::new));
    Ok(plan.copying(CopyDirection::To).in_utf8(utf8))
}

/// Decides what is copied: masked in rows on their way, which costs PostgreSQL nothing. What is converted on its
/// way is masked at the source, unless only the proxy can.
pub(super) fn in_some_way<T>(
    utf8: bool,
    ctx: &PlanContext<'_>,
    decide: impl Fn(Delivery) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    if !utf8 && !ctx.client_encoding.is_same() {
        match decide(Delivery::Stream) {
            Err(refused) if refused.sqlstate == sqlstate::INSUFFICIENT_PRIVILEGE => {}
            decided => return decided,
        }
    }
    decide(Delivery::Rows)
}

/// How the data is made of rows of which something is made on their way.
fn export(
    c: &mut Copy,
    outputs: Arc<[OutputRule]>,
    names: &[Ident],
    utf8: bool,
    ctx: &PlanContext<'_>,
) -> Result<CopyExport, Refusal> {
    if !utf8 && !ctx.client_encoding.is_same() {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "COPY of what the proxy makes is not converted to the client encoding",
        )
        .hint("SET client_encoding = 'UTF8', or copy with ENCODING 'UTF8'."));
    }
    CopyExport::of(c, outputs, names, ctx.snapshot.catalog.version)
}

/// COPY is read when it is executed: PostgreSQL has no parameters there.
fn set_uploads(
    plan: &mut Plan,
    uploads: Option<Arc<Uploads>>,
    ctx: &PlanContext<'_>,
) -> Result<(), Refusal> {
    if uploads.is_some() && matches!(ctx.given, Given::Bound) {
        return Err(super::uploads::not_bound());
    }
    plan.set_uploads(uploads);
    Ok(())
}

/// COPY … FROM STDIN. Where tokens are decoded, PostgreSQL gets the rows in a form of the proxy's own,
/// and tests for each of them that the columns are still those.
fn copy_from(mut statement: Statement, utf8: bool, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let Statement::Copy(c) = &mut statement else {
        return Err(not_understood());
    };
    let CopySource::Relation(r, columns) = &mut c.source else {
        return Err(not_understood());
    };
    let defaults = copy_options::gives_defaults(&c.options);
    let filter = c.filter.as_mut();
    let lineage = crate::analyze::analyze_copy_from(r, (columns, defaults), filter, grounds(ctx))?;
    // As PostgreSQL refuses it: nobody has decided how such a query reads.
    if lineage.relations.iter().any(|used| !used.written) {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "cannot use subquery in COPY FROM WHERE condition",
        ));
    }
    let mut facts = Facts {
        kind: "COPY",
        nameless: lineage.nameless,
        ..Facts::default()
    };
    let names = lineage.relations.iter().map(full_name);
    facts.relations = names.collect();
    facts.columns.extend(super::facts::probes(&lineage));
    let mut rewrite = Rewrite::default();
    let mut tokens = None;
    if let Some((id, used)) = target(&lineage) {
        let columns = decoded(used, columns, ctx)?;
        if columns.iter().any(|(_, token)| token.is_some()) {
            unfiltered(used, ctx)?;
            let with_tokens = columns.iter().filter(|(_, token)| token.is_some());
            facts.columns.extend(
                with_tokens.map(|(name, _)| (format!("{}.{name}", full_name(used)), "token")),
            );
            if let Some(pin) = super::pin::pin_target(used) {
                rewrite.pins.insert(id, pin);
            }
            tokens = Some(CopyTokens::of(c, columns, ctx.snapshot.catalog.version)?);
        }
    }
    let mut plan = Plan::decided(print(&statement, &rewrite)?, Effect::None, facts);
    plan.set_copy_tokens(tokens.map(Arc::new));
    Ok(plan.copying(CopyDirection::From).in_utf8(utf8))
}

fn full_name(used: &RelationUse) -> String {
    format!("{}.{}", used.relation.schema, used.relation.name)
}

fn target(lineage: &Lineage) -> Option<(RelationId, &RelationUse)> {
    let mut relations = (0_u32..).map(RelationId).zip(&lineage.relations);
    relations.find(|(_, used)| used.written)
}

/// The columns of the data, with what decodes them.
fn decoded(
    used: &RelationUse,
    columns: &[Ident],
    ctx: &PlanContext<'_>,
) -> Result<Vec<CopyColumn>, Refusal> {
    let relation = &used.relation;
    let plaintext = (ctx.grants.write.get(&relation.oid)).is_some_and(|grant| grant.plaintext);
    let mut decoded = Vec::with_capacity(columns.len());
    for name in columns {
        let column = relation.column(name);
        let token = match column {
            None => None,
            Some(column) => token_rule(used, column.attnum, ctx)?
                .and_then(|rule| token_of(&rule))
                .filter(|token| token.is_encrypted() || !plaintext),
        };
        decoded.push((name.clone(), token));
    }
    Ok(decoded)
}

/// The rule of a column into which something else is written than is sent, or nothing but NULL.
fn token_rule(
    used: &RelationUse,
    attnum: AttrNumber,
    ctx: &PlanContext<'_>,
) -> Result<Option<Arc<Rule>>, Refusal> {
    Ok(match column_form(&used.relation, attnum, grounds(ctx))? {
        ColumnForm::Rule(rule) => token_of(&rule).map(|_| rule),
        ColumnForm::Clear
        | ColumnForm::Scrub
        | ColumnForm::Null
        | ColumnForm::NodeTree
        | ColumnForm::Size(_)
        | ColumnForm::Generated(_) => None,
    })
}

fn token_of(rule: &Rule) -> Option<Arc<TokenColumn>> {
    match &rule.treatment {
        Treatment::Token(token) => Some(Arc::clone(token)),
        Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => None,
    }
}

/// WHERE sees the rows with their tokens decoded: whether there is one is all it may ask.
fn unfiltered(used: &RelationUse, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    for (attnum, uses) in &used.columns {
        let Some(column) = used.relation.attribute(*attnum) else {
            continue;
        };
        if !uses.within(Uses::PRESENCE)
            && let Some(rule) = token_rule(used, *attnum, ctx)?
        {
            let subject = Subject {
                table: &used.relation.name,
                column: &column.name,
                rule: &rule,
            };
            return Err(subject.token_filtered());
        }
    }
    Ok(())
}

/// The query a COPY TO copies.
pub(super) fn copied_query(c: &mut Copy, grounds: Grounds<'_>) -> Result<Statement, Refusal> {
    match &mut c.source {
        CopySource::Query(q) if matches!(q.as_ref(), Statement::Query(_)) => {
            Ok(std::mem::replace(q.as_mut(), Statement::Empty))
        }
        CopySource::Query(_) => Err(Refusal::denied(
            "COPY of a data-modifying statement is not available to a restricted role",
        )),
        CopySource::Relation(r, columns) => {
            let position = r.name.position;
            let columns = copied_columns(r, columns, grounds)?.into_iter();
            let items = columns.map(|column| SelectItem::Expr {
                expr: Expr::Name(Name {
                    parts: vec![column],
                    position,
                }),
                alias: None,
            });
            // COPY reads the table itself, not those that inherit from it.
            let relation = RelationRef {
                only: true,
                ..r.as_ref().clone()
            };
            let select = crate::sql::tree::Select {
                items: items.collect(),
                from: vec![crate::sql::tree::TableRef::Relation(Box::new(relation))],
                ..crate::sql::tree::Select::default()
            };
            Ok(Statement::Query(Box::new(Query {
                with: None,
                body: SetExpr::Select(Box::new(select)),
                order_by: Vec::new(),
                limit: None,
                locking: Vec::new(),
            })))
        }
    }
}
