//! Assignments of INSERT, UPDATE and MERGE: which columns may be written, and what tokens become.

use super::dml::Target;

use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::catalog::Relation;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Assignment, AssignmentTarget, Expr, Literal, Query, SelectItem, SetExpr, Step, Subscript,
};

impl Analyzer<'_> {
    pub(super) fn assignments(
        &mut self,
        assignments: &mut [Assignment],
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        for a in assignments {
            match a {
                Assignment::One(t, value) => {
                    self.updated(t, target, scope, ctes, is_null_or_default(value.as_ref()))?;
                    if let Some(e) = value {
                        self.compute(e, scope, ctes)?;
                    }
                }
                Assignment::Row(targets, values) => {
                    for (t, v) in targets.iter_mut().zip(values.iter_mut()) {
                        self.updated(t, target, scope, ctes, is_null_or_default(v.as_ref()))?;
                        if let Some(e) = v {
                            self.compute(e, scope, ctes)?;
                        }
                    }
                    if targets.len() != values.len() {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "number of columns does not match number of values",
                        ));
                    }
                }
                Assignment::Query(targets, q) => {
                    for t in targets.iter_mut() {
                        self.updated(t, target, scope, ctes, false)?;
                    }
                    self.computed_query(
                        q,
                        Env {
                            outer: Some(scope),
                            ctes,
                        },
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Checks that a column may be updated.
    fn updated(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
        null: bool,
    ) -> Resolve<()> {
        self.assignment_target(t, target, scope, ctes)?;
        if target
            .grant
            .update
            .as_ref()
            .is_some_and(|cols| !cols.contains(&t.column))
        {
            return Err(Refusal::denied(format!(
                "permission denied to update column {} of {}",
                t.column, target.relation.name
            ))
            .hint("The policy's write section names the columns a role may update.")
            .at(t.position));
        }
        if !null && !target.grant.plaintext && self.is_token(target, &t.column)? {
            return Err(token_write(&target.relation, &t.column).at(t.position));
        }
        Ok(())
    }

    pub(super) fn assignment_target(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        let c = target
            .item
            .columns
            .iter()
            .find(|c| c.reference.name == t.column);
        match c {
            None => {
                return Err(Refusal::error(
                    sqlstate::UNDEFINED_COLUMN,
                    format!(
                        "column \"{}\" of relation \"{}\" does not exist",
                        t.column, target.relation.name
                    ),
                )
                .at(t.position));
            }
            Some(c) if c.denied => {
                return Err(
                    Refusal::denied(format!("permission denied for column {}", t.column))
                        .at(t.position),
                );
            }
            // A subscripted or field assignment keeps the rest of the stored value.
            Some(c) if c.tainted && !t.path.is_empty() => {
                return Err(Refusal::denied(format!(
                    "cannot assign to a part of protected column {}",
                    t.column
                ))
                .at(t.position));
            }
            Some(c) => {
                if let Some((id, attnum)) = c.reference.base
                    && let Some(used) = self.lineage.relation_mut(id)
                {
                    used.assigned.push(attnum);
                }
            }
        }
        for step in &mut t.path {
            let parts = match step {
                Step::Field(_) => [None, None],
                Step::Subscript(Subscript::Index(i)) => [Some(i), None],
                Step::Subscript(Subscript::Slice(lo, hi)) => [lo.as_mut(), hi.as_mut()],
            };
            for e in parts.into_iter().flatten() {
                self.compute(e, scope, ctes)?;
            }
        }
        Ok(())
    }

    pub(super) fn is_token(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let Some(c) = target.relation.column(column) else {
            return Ok(false);
        };
        Ok(matches!(
            self.column_treatment(&target.relation, c)?,
            Treatment::Token(_)
        ))
    }
}

pub(super) fn is_null_or_default(value: Option<&Expr>) -> bool {
    matches!(value, None | Some(Expr::Literal(Literal::Null)))
}

pub(super) fn query_gives_null(q: &Query, n: usize) -> bool {
    let SetExpr::Select(s) = &q.body else {
        return false;
    };
    matches!(
        s.items.get(n),
        Some(SelectItem::Expr {
            expr: Expr::Literal(Literal::Null),
            ..
        })
    )
}

pub(super) fn token_write(relation: &Relation, column: &Ident) -> Refusal {
    Refusal::denied(format!(
        "cannot write to tokenized column {column} of {}",
        relation.name
    ))
    .detail("Only NULL and DEFAULT may be written to a column the role sees as tokens.")
    .hint("Leave the column out, or write as a role that sees it clearly.")
}
