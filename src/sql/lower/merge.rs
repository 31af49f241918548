//! MERGE.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{Merge, MergeAction, MergeBranch, MergeRows, With};

impl Front<'_, '_> {
    pub(super) fn merge(&mut self, with: Option<With>) -> Lowered<Merge> {
        self.expect("merge")?;
        self.expect("into")?;
        let target = self.modified_relation()?;
        self.expect("using")?;
        let source = self.table_ref()?;
        self.expect("on")?;
        let on = self.expr()?;
        let mut branches = vec![self.merge_branch()?];
        while self.is("when") {
            branches.push(self.merge_branch()?);
        }
        let returning = self.returning()?;
        Ok(Merge {
            with,
            target,
            source,
            on,
            branches,
            returning,
        })
    }

    fn merge_branch(&mut self) -> Lowered<MergeBranch> {
        self.expect("when")?;
        let rows = if self.eat("matched") {
            MergeRows::Matched
        } else {
            self.expect("not")?;
            self.expect("matched")?;
            if self.eat_all(&["by", "source"]) {
                MergeRows::TargetOnly
            } else {
                self.eat_all(&["by", "target"]);
                MergeRows::SourceOnly
            }
        };
        let condition = if self.eat("and") {
            Some(self.expr()?)
        } else {
            None
        };
        self.expect("then")?;
        let action = self.merge_action(rows)?;
        Ok(MergeBranch {
            rows,
            condition,
            action,
        })
    }

    /// Only a source row without a target row can be inserted, and it cannot be anything else.
    fn merge_action(&mut self, rows: MergeRows) -> Lowered<MergeAction> {
        let inserts = rows == MergeRows::SourceOnly;
        if self.eat_all(&["do", "nothing"]) {
            Ok(MergeAction::Nothing)
        } else if inserts && self.eat("insert") {
            self.merge_insert()
        } else if !inserts && self.eat("delete") {
            Ok(MergeAction::Delete)
        } else if !inserts && self.eat("update") {
            self.expect("set")?;
            Ok(MergeAction::Update(self.list(Self::assignment)?))
        } else {
            Err(self.syntax())
        }
    }

    /// After `INSERT`.
    fn merge_insert(&mut self) -> Lowered<MergeAction> {
        if self.eat_all(&["default", "values"]) {
            return Ok(MergeAction::Insert {
                columns: Vec::new(),
                overriding: None,
                values: None,
            });
        }
        let columns = if self.next_is(&Token::LParen) {
            self.parenthesised(Self::assignment_target)?
        } else {
            Vec::new()
        };
        let overriding = self.overriding()?;
        self.expect("values")?;
        let values = Some(self.parenthesised(Self::expr_or_default)?);
        Ok(MergeAction::Insert {
            columns,
            overriding,
            values,
        })
    }
}
