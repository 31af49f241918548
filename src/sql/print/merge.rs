//! MERGE.

use super::pinned::Place;
use super::{Printed, Printer};
use crate::sql::tree::{Merge, MergeAction, MergeBranch, MergeRows};

impl Printer<'_> {
    pub(super) fn merge(&mut self, merge: &Merge) -> Printed {
        let scope = self.ctes.len();
        if let Some(with) = &merge.with {
            self.with(with)?;
        }
        let outermost = self.begin_pinned();
        self.push("MERGE INTO ");
        self.target(&merge.target)?;
        self.push(" USING ");
        self.table_ref(&merge.source)?;
        self.push(" ON ");
        let place = Place::Before(self.out.len());
        self.expr(&merge.on)?;
        for branch in &merge.branches {
            self.branch(branch)?;
        }
        self.returning(&merge.returning)?;
        self.end_pinned(outermost, place);
        self.ctes.truncate(scope);
        Ok(())
    }

    fn branch(&mut self, branch: &MergeBranch) -> Printed {
        // `BY TARGET` stays unwritten: it is the default, and PostgreSQL 15 does not know it.
        self.push(match branch.rows {
            MergeRows::Matched => " WHEN MATCHED",
            MergeRows::SourceOnly => " WHEN NOT MATCHED",
            MergeRows::TargetOnly => " WHEN NOT MATCHED BY SOURCE",
        });
        if let Some(condition) = &branch.condition {
            self.push(" AND ");
            self.expr(condition)?;
        }
        self.push(" THEN ");
        match &branch.action {
            MergeAction::Nothing => self.push("DO NOTHING"),
            MergeAction::Delete => self.push("DELETE"),
            MergeAction::Update(assignments) => {
                self.push("UPDATE SET ");
                self.assignments(assignments)?;
            }
            MergeAction::Insert {
                columns,
                overriding,
                values,
            } => {
                self.push("INSERT");
                let positional = columns.is_empty() && values.is_some();
                self.resolved(!positional, "INSERT without a column list")?;
                if !columns.is_empty() {
                    self.push(" (");
                    self.separated(columns, ", ", Self::assigned)?;
                    self.push(")");
                }
                self.overriding(*overriding);
                if let Some(values) = values {
                    self.push(" VALUES ");
                    self.value_row(values)?;
                } else {
                    self.push(" DEFAULT VALUES");
                }
            }
        }
        Ok(())
    }
}
