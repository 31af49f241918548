//! UPDATE, DELETE, assignments, RETURNING.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::Unsupported;
use crate::sql::tree::{
    Assignment, AssignmentTarget, Delete, Expr, RelationRef, SelectItem, Step, Subscript,
    TableAlias, Update, With,
};

impl Front<'_, '_> {
    pub(super) fn update(&mut self, with: Option<With>) -> Lowered<Update> {
        self.expect("update")?;
        let target = self.modified_relation()?;
        self.expect("set")?;
        let assignments = self.list(Self::assignment)?;
        let from = if self.eat("from") {
            self.list(Self::table_ref)?
        } else {
            Vec::new()
        };
        let filter = self.where_or_current()?;
        let returning = self.returning()?;
        Ok(Update {
            with,
            target,
            assignments,
            from,
            filter,
            returning,
        })
    }

    pub(super) fn delete(&mut self, with: Option<With>) -> Lowered<Delete> {
        self.expect("delete")?;
        self.expect("from")?;
        let target = self.modified_relation()?;
        let using = if self.eat("using") {
            self.list(Self::table_ref)?
        } else {
            Vec::new()
        };
        let filter = self.where_or_current()?;
        let returning = self.returning()?;
        Ok(Delete {
            with,
            target,
            using,
            filter,
            returning,
        })
    }

    /// WHERE, or `WHERE CURRENT OF cursor`.
    fn where_or_current(&mut self) -> Lowered<Option<Expr>> {
        if self.eat_all(&["where", "current", "of"]) {
            return Ok(Some(Expr::CurrentOf(self.col_id()?)));
        }
        self.where_clause()
    }

    /// `relation_expr_opt_alias`: SET is no alias unless AS is written.
    pub(super) fn modified_relation(&mut self) -> Lowered<RelationRef> {
        let (name, only) = self.relation_expr()?;
        let alias = if self.eat("as") || (!self.is("set") && self.is_col_id_at(0)) {
            Some(TableAlias {
                name: self.row_source_name()?,
                columns: Vec::new(),
            })
        } else {
            None
        };
        Ok(RelationRef {
            name,
            only,
            alias,
            sample: None,
            id: None,
        })
    }

    pub(super) fn returning(&mut self) -> Lowered<Vec<SelectItem>> {
        if !self.eat("returning") {
            return Ok(Vec::new());
        }
        if self.is("with") {
            return self.unsupported("RETURNING WITH");
        }
        self.list(Self::select_item)
    }

    /// `a = e`, `a[1] = e`, `(a, b) = (…)`
    pub(super) fn assignment(&mut self) -> Lowered<Assignment> {
        if !self.next_is(&Token::LParen) {
            let target = self.assignment_target()?;
            self.expect_equals()?;
            return Ok(Assignment::One(target, self.expr_or_default()?));
        }
        let targets = self.parenthesised(Self::assignment_target)?;
        self.expect_equals()?;
        let explicit = self.eat("row");
        if !explicit && self.engine.opens_query(self.index()) {
            let query = Box::new(self.parenthesised_query()?);
            return Ok(Assignment::Query(targets, query));
        }
        let position = self.place();
        let values = self.parenthesised(Self::expr_or_default)?;
        if !explicit && values.len() < 2 {
            return Err(Unsupported::form(
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                position.byte(),
            ));
        }
        if values.len() != targets.len() {
            return Err(Unsupported::syntax(
                "number of columns does not match number of values",
                position.byte(),
            ));
        }
        Ok(Assignment::Row(targets, values))
    }

    fn expect_equals(&mut self) -> Lowered<()> {
        if self.take_symbol("=") {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// `col`, `col[1]`, `col.field`, `col[1].field[2]`
    pub(super) fn assignment_target(&mut self) -> Lowered<AssignmentTarget> {
        let position = self.place();
        let column = self.col_id()?;
        let mut path = Vec::new();
        loop {
            if self.take(&Token::Period) {
                path.push(Step::Field(self.label()?));
            } else if self.take(&Token::LBracket) {
                path.push(Step::Subscript(self.assigned_subscript()?));
            } else {
                return Ok(AssignmentTarget {
                    column,
                    path,
                    position,
                });
            }
        }
    }

    /// After `[`.
    fn assigned_subscript(&mut self) -> Lowered<Subscript> {
        let low = if self.next_is(&Token::Colon) {
            None
        } else {
            Some(self.expr()?)
        };
        let subscript = if self.take(&Token::Colon) {
            let high = if self.next_is(&Token::RBracket) {
                None
            } else {
                Some(self.expr()?)
            };
            Subscript::Slice(low, high)
        } else {
            Subscript::Index(low.ok_or_else(|| self.syntax())?)
        };
        self.expect_token(&Token::RBracket)?;
        Ok(subscript)
    }
}
