//! What would happen to a statement, column by column: the same analysis and the same decision as
//! `plan_statement`, kept instead of sent. A simulator that can disagree would be a bug.

use super::copy::copied_query;
use super::decide::{Decisions, Delivery, Place, decide};
use super::plan::PlanContext;
use super::statement::grounds;
use super::tabulated::Tabulate;
use crate::analyze::lineage::{Lineage, OutputColumn};
use crate::analyze::{ColumnForm, analyze};
use crate::mask::token::TokenKind;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{CopyDirection, Statement};

/// One output column of an explained statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedColumn {
    /// Its name.
    pub name: String,
    /// Base columns that reach it unchanged, `schema.table.column`.
    pub sources: Vec<String>,
    /// The class of the first source, empty when there is none.
    pub class: String,
    /// What the role gets: `clear`, `mask email`, `token person`, `nullify`, `computed from masked
    /// values`.
    pub treatment: String,
    /// `at the source`, `looked up at the source`, `at the output`, or empty.
    pub place: &'static str,
    /// Where the rule is written, `treat.yaml:12`.
    pub rule: String,
}

/// Explains the rows a statement returns, or copies out; for the others, the answer is that no column
/// is involved. What `plan_statement` refuses is refused in the same words.
pub fn explain_statement(
    statement: Statement,
    ctx: &PlanContext<'_>,
) -> Result<Vec<ExplainedColumn>, Refusal> {
    super::plan_statement(statement.clone(), ctx).map(drop)?;
    explain_rows(statement, ctx)
}

fn explain_rows(
    statement: Statement,
    ctx: &PlanContext<'_>,
) -> Result<Vec<ExplainedColumn>, Refusal> {
    let (reading, delivery) = match statement {
        // SELECT INTO returns no rows.
        Statement::Query(mut q) => {
            if super::temp::select_into(&mut q).is_some() {
                return Ok(Vec::new());
            }
            super::set_config::search_path(&mut q)?;
            (Statement::Query(q), Delivery::Rows)
        }
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
            (statement, Delivery::Rows)
        }
        Statement::Prepare { statement, .. } => return explain_rows(*statement, ctx),
        Statement::Declare { query, .. } => (Statement::Query(query), Delivery::Rows),
        Statement::Copy(mut copy) if copy.direction == CopyDirection::To => {
            (copied_query(&mut copy, grounds(ctx))?, Delivery::Stream)
        }
        _ => return Ok(Vec::new()),
    };
    let decide = |way| {
        let mut lineage = analyze(&mut reading.clone(), grounds(ctx))?;
        let decisions = decide(&mut lineage, way, grounds(ctx))?;
        Ok::<_, Refusal>((lineage, decisions))
    };
    let (lineage, decisions) = match delivery {
        // As it is planned.
        Delivery::Stream => {
            super::copy::in_some_way(false, ctx, |way| decide((way, Tabulate::No)))?
        }
        other => decide((other, Tabulate::Yes))?,
    };
    Ok(lineage
        .outputs
        .iter()
        .map(|o| explain_output(o, &lineage, &decisions))
        .collect())
}

fn explain_output(o: &OutputColumn, lineage: &Lineage, decisions: &Decisions) -> ExplainedColumn {
    let sources = o
        .sources
        .iter()
        .filter_map(|s| {
            let (relation, column) = lineage.column(*s)?;
            Some(format!(
                "{}.{}.{}",
                relation.schema, relation.name, column.name
            ))
        })
        .collect();
    let mut explained = ExplainedColumn {
        name: o.name.to_string(),
        sources,
        class: String::new(),
        treatment: if o.tainted {
            "computed from masked values"
        } else {
            "clear"
        }
        .to_owned(),
        place: "",
        rule: String::new(),
    };
    let decided = o.sources.iter().find_map(|s| decisions.columns.get(s));
    let Some(decided) = decided else {
        if let Some(rule) = o.sources.iter().find_map(|s| decisions.token_list(*s)) {
            explained.class = rule.class.to_string();
            explained.rule = rule.origin.to_string();
            explained.treatment = format!("token {}", rule.name);
            explained.place = "at the output";
        }
        return explained;
    };
    explained.place = match decided.place {
        _ if decided.tabulated.is_some() => "looked up at the source",
        Place::Stored => "",
        Place::Source => "at the source",
        Place::Output => "at the output",
    };
    match &decided.form {
        ColumnForm::Clear => {}
        ColumnForm::Rule(rule) => {
            explained.class = rule.class.to_string();
            explained.rule = rule.origin.to_string();
            explained.treatment = match rule.treatment {
                Treatment::Clear => "clear".to_owned(),
                Treatment::Mask(_) => format!("mask {}", rule.name),
                Treatment::Token(ref token) => match token.kind() {
                    TokenKind::Decrypted => "decrypted".to_owned(),
                    TokenKind::Masked => format!("mask {} of what is decrypted", rule.name),
                    _ if token.is_encrypted() => {
                        format!("token {} of what is decrypted", rule.name)
                    }
                    _ => format!("token {}", rule.name),
                },
                Treatment::Nullify => "nullify".to_owned(),
                Treatment::Deny => "deny".to_owned(),
            };
        }
        ColumnForm::Generated(_) => {
            explained.treatment = "recomputed from masked values".to_owned();
        }
        ColumnForm::Scrub => explained.treatment = "literals scrubbed".to_owned(),
        ColumnForm::Size(_) => {
            explained.treatment = "not told of hidden partitions and partial indexes".to_owned();
        }
        ColumnForm::NodeTree | ColumnForm::Null => explained.treatment = "nullify".to_owned(),
    }
    explained
}
