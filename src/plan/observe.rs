//! What would happen to a statement of an observed role: the decision `plan_statement` makes, kept
//! instead of sent, and what can be said of a statement it refuses.

use super::copy::copied_query;
use super::plan::{Facts, Plan, PlanContext};
use super::statement::grounds;
use crate::analyze::{ColumnForm, Grounds, analyze, column_form};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{CopyDirection, Statement};

/// Decides a statement. The facts are the plan's; those of a refused statement name what it reads, as
/// far as it can be analyzed.
pub fn observe_statement(
    statement: Statement,
    ctx: &PlanContext<'_>,
) -> (Result<Plan, Refusal>, Facts) {
    match super::plan_statement(statement.clone(), ctx) {
        Ok(plan) => {
            let facts = Facts::clone(plan.facts());
            (Ok(plan), facts)
        }
        Err(refusal) => (Err(refusal), refused(statement, ctx)),
    }
}

fn refused(statement: Statement, ctx: &PlanContext<'_>) -> Facts {
    let mut facts = Facts {
        kind: kind(&statement),
        ..Facts::default()
    };
    let grounds = grounds(ctx);
    let Some(mut reading) = reading(statement, grounds) else {
        return facts;
    };
    let lifted = ctx.grants.lifted(&ctx.snapshot.catalog);
    let allowed = Grounds {
        grants: &lifted,
        ..grounds
    };
    let Ok(lineage) = analyze(&mut reading, allowed) else {
        return facts;
    };
    for r in &lineage.relations {
        let name = format!("{}.{}", r.relation.schema, r.relation.name);
        for attnum in r.columns.keys() {
            let (Some(column), Ok(ColumnForm::Rule(rule))) = (
                r.relation.attribute(*attnum),
                column_form(&r.relation, *attnum, grounds),
            ) else {
                continue;
            };
            let what = match rule.treatment {
                Treatment::Clear => continue,
                Treatment::Mask(_) => "mask",
                Treatment::Token(_) => "token",
                Treatment::Nullify => "nullify",
                Treatment::Deny => "deny",
            };
            let entry = (format!("{name}.{}", column.name), what);
            if !facts.columns.contains(&entry) {
                facts.columns.push(entry);
            }
        }
        if !facts.relations.contains(&name) {
            facts.relations.push(name);
        }
    }
    facts
}

/// The part of a statement that reads relations.
fn reading(statement: Statement, grounds: Grounds<'_>) -> Option<Statement> {
    match statement {
        Statement::Query(mut query) => {
            // SELECT INTO reads as its query does.
            drop(super::temp::select_into(&mut query));
            Some(Statement::Query(query))
        }
        Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_) => Some(statement),
        Statement::Explain { statement, .. } | Statement::Prepare { statement, .. } => {
            Some(*statement)
        }
        Statement::Declare { query, .. } => Some(Statement::Query(query)),
        Statement::Copy(mut copy) if copy.direction == CopyDirection::To => {
            copied_query(&mut copy, grounds).ok()
        }
        _ => None,
    }
}

fn kind(statement: &Statement) -> &'static str {
    match statement {
        Statement::Query(_) => "SELECT",
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::Copy(_) => "COPY",
        Statement::Explain { .. } => "EXPLAIN",
        Statement::Prepare { .. } => "PREPARE",
        Statement::Execute { .. } => "EXECUTE",
        Statement::Declare { .. } => "DECLARE",
        Statement::Fetch { .. } => "FETCH",
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::DropTable { kind, .. } => kind.command(),
        Statement::Comment(_) => "COMMENT",
        Statement::Truncate { .. } => "TRUNCATE TABLE",
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::DropIndex { .. } => "DROP INDEX",
        Statement::Analyze(_) => "ANALYZE",
        Statement::Set { .. } => "SET",
        Statement::Reset(_) => "RESET",
        Statement::Show(_) => "SHOW",
        Statement::Listen(_) => "LISTEN",
        Statement::Notify(..) => "NOTIFY",
        _ => "",
    }
}
