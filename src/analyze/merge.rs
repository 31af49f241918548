//! MERGE: only where no relation of the statement has a protected column.
//!
//! What MERGE does depends on which rows match, row by row, so its effect would answer questions about
//! stored values that a masked copy answers differently. Where every column is clear there is nothing
//! to ask, and the write grants of each action decide as they do for INSERT, UPDATE and DELETE.

use super::dml::{Target, no_grant, visible_columns};
use super::generated::{ColumnForm, column_form};
use super::lineage::{OutputColumn, Uses};
use super::probe::{Change, Written};
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Merge, MergeAction, MergeRows};

/// The rows a branch may read.
struct Scopes<'s, 'p> {
    both: &'s Scope<'p>,
    target: &'s Scope<'p>,
    source: &'s Scope<'p>,
}

impl Analyzer<'_> {
    pub(super) fn merge(&mut self, m: &mut Merge, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        self.merges = true;
        let mut with = m.with.take();
        let outputs = self.beneath(with.as_mut(), env, |at, env| at.merge_body(m, env));
        m.with = with;
        outputs
    }

    fn merge_body(&mut self, m: &mut Merge, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let target = self.target(&mut m.target, "MERGE")?;
        let source = std::slice::from_mut(&mut m.source);
        let (items, columns) = self.with_target(&target, source, env)?;
        let own_columns = target.item.columns.len();
        let scope = |items, columns| Scope {
            parent: None,
            items,
            columns,
        };
        let both = scope(&items, &columns);
        let scopes = Scopes {
            both: &both,
            target: &scope(
                items.get(..1).unwrap_or_default(),
                columns.get(..own_columns).unwrap_or_default(),
            ),
            source: &scope(
                items.get(1..).unwrap_or_default(),
                columns.get(own_columns..).unwrap_or_default(),
            ),
        };
        self.compute(&mut m.on, &both, env.ctes)?;
        for branch in &mut m.branches {
            let seen = match branch.rows {
                MergeRows::Matched => scopes.both,
                MergeRows::SourceOnly => scopes.source,
                MergeRows::TargetOnly => scopes.target,
            };
            if let Some(condition) = &mut branch.condition {
                self.compute(condition, seen, env.ctes)?;
            }
            self.merge_action(&mut branch.action, &target, seen, env.ctes)?;
        }
        // `*` is the source's columns, then the target's.
        let returned: Vec<_> = scopes
            .source
            .columns
            .iter()
            .chain(scopes.target.columns)
            .cloned()
            .collect();
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &returned,
        };
        self.select_list(&mut m.returning, &scope, env.ctes)
    }

    fn merge_action(
        &mut self,
        action: &mut MergeAction,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        match action {
            MergeAction::Nothing => Ok(()),
            MergeAction::Delete if target.grant.delete => self.probes(target, Change::Delete),
            MergeAction::Delete => Err(no_grant(&target.relation, "DELETE")),
            MergeAction::Update(assignments) => {
                if !target.grant.updates {
                    return Err(no_grant(&target.relation, "UPDATE"));
                }
                self.assignments(assignments, target, scope, ctes)
            }
            MergeAction::Insert {
                columns, values, ..
            } => {
                if !target.grant.insert {
                    return Err(no_grant(&target.relation, "INSERT"));
                }
                if columns.is_empty()
                    && let Some(values) = values
                {
                    *columns = visible_columns(&target.item, values.len())?;
                }
                for c in columns.iter_mut() {
                    self.assignment_target(c, target, scope, ctes)?;
                }
                if values.as_ref().is_some_and(|v| v.len() != columns.len()) {
                    return Err(Refusal::error(
                        sqlstate::SYNTAX_ERROR,
                        "INSERT has not as many expressions as target columns",
                    ));
                }
                let given = values.iter().flatten();
                let written: Vec<Written> = columns
                    .iter()
                    .zip(given)
                    .map(|(c, value)| Written::of(c, value.as_ref()))
                    .collect();
                let values = values.iter_mut().flatten();
                for (c, value) in columns.iter().zip(values) {
                    if let Some(e) = value {
                        let info = self.consumed(e, scope, ctes, Uses::COMPUTE)?;
                        self.assignable(target, c, &info)?;
                    }
                }
                self.probes(target, Change::Insert(&written))
            }
        }
    }

    /// Refuses a statement with a MERGE in it when any of its relations has a protected column, used
    /// or not.
    pub(super) fn nothing_protected(&self) -> Resolve<()> {
        for used in &self.lineage.relations {
            let relation = &used.relation;
            for c in &relation.columns {
                if !matches!(
                    column_form(relation, c.attnum, self.grounds)?,
                    ColumnForm::Clear
                ) {
                    return Err(Refusal::denied(format!(
                        "MERGE is refused where a protected column is involved: {} has one",
                        relation.name
                    ))
                    .detail("Which rows match would tell about values the role does not see.")
                    .hint("Use INSERT … ON CONFLICT, or UPDATE … FROM and INSERT … SELECT."));
                }
            }
        }
        Ok(())
    }
}
