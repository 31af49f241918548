//! INSERT and ON CONFLICT.

use sqlparser::tokenizer::Token;

use super::dialect::strength;
use super::{Front, Lowered};
use crate::sql::Unsupported;
use crate::sql::tree::{
    ConflictAction, ConflictTarget, Expr, IndexElement, Insert, InsertSource, Overriding,
    RelationRef, TableAlias, With,
};

impl Front<'_, '_> {
    pub(super) fn insert(&mut self, with: Option<With>) -> Lowered<Insert> {
        self.expect("insert")?;
        self.expect("into")?;
        let name = self.relation_name()?;
        // Only AS introduces an alias here.
        let alias = if self.eat("as") {
            Some(TableAlias {
                name: self.row_source_name()?,
                columns: Vec::new(),
            })
        } else {
            None
        };
        let target = RelationRef {
            name,
            only: false,
            alias,
            sample: None,
            id: None,
        };
        let columns = if self.next_is(&Token::LParen) && !self.engine.opens_query(self.index()) {
            self.parenthesised(Self::assignment_target)?
        } else {
            Vec::new()
        };
        let overriding = self.overriding()?;
        let source = self.insert_source()?;
        let on_conflict = self.on_conflict()?;
        let returning = self.returning()?;
        Ok(Insert {
            with,
            target,
            columns,
            overriding,
            source,
            on_conflict,
            returning,
        })
    }

    /// `OVERRIDING SYSTEM|USER VALUE`, or nothing.
    pub(super) fn overriding(&mut self) -> Lowered<Option<Overriding>> {
        if !self.eat("overriding") {
            return Ok(None);
        }
        let kind = if self.eat("system") {
            Overriding::System
        } else {
            self.expect("user")?;
            Overriding::User
        };
        self.expect("value")?;
        Ok(Some(kind))
    }

    fn insert_source(&mut self) -> Lowered<InsertSource> {
        if self.eat_all(&["default", "values"]) {
            return Ok(InsertSource::DefaultValues);
        }
        if !self.is("values") {
            return Ok(InsertSource::Query(Box::new(self.query()?)));
        }
        self.advance();
        let rows = self.list(|front| front.parenthesised(Self::expr_or_default))?;
        let goes_on = self.is_any(&[
            "union",
            "intersect",
            "except",
            "order",
            "limit",
            "offset",
            "fetch",
            "for",
        ]);
        if !goes_on {
            return Ok(InsertSource::Values(rows));
        }
        let rows: Option<Vec<Vec<Expr>>> = rows
            .into_iter()
            .map(|row| row.into_iter().collect())
            .collect();
        let Some(rows) = rows else {
            return Err(Unsupported::syntax(
                "DEFAULT is not allowed in this context",
                Some(self.position()),
            ));
        };
        let query = self.query_from_values(None, rows)?;
        Ok(InsertSource::Query(Box::new(query)))
    }

    /// An expression, or `None` for DEFAULT.
    pub(super) fn expr_or_default(&mut self) -> Lowered<Option<Expr>> {
        if self.eat("default") {
            return Ok(None);
        }
        self.expr().map(Some)
    }

    fn on_conflict(&mut self) -> Lowered<Option<(Option<ConflictTarget>, ConflictAction)>> {
        if !self.eat("on") {
            return Ok(None);
        }
        self.expect("conflict")?;
        let target = if self.eat_all(&["on", "constraint"]) {
            Some(ConflictTarget::Constraint(self.col_id()?))
        } else if self.next_is(&Token::LParen) {
            let columns = self.parenthesised(Self::index_element)?;
            Some(ConflictTarget::Index(columns, self.where_clause()?))
        } else {
            None
        };
        self.expect("do")?;
        if self.eat("nothing") {
            return Ok(Some((target, ConflictAction::Nothing)));
        }
        self.expect("update")?;
        self.expect("set")?;
        let assignments = self.list(Self::assignment)?;
        let filter = self.where_clause()?;
        Ok(Some((target, ConflictAction::Update(assignments, filter))))
    }

    /// `index_elem`: a column, a call or `(e)`, then COLLATE and an operator class.
    pub(super) fn index_element(&mut self) -> Lowered<IndexElement> {
        let key = self.expr_above(strength::CAST)?;
        let collation = if self.eat("collate") {
            Some(self.any_name(2)?)
        } else {
            None
        };
        // NULLS FIRST is the order of a new index.
        let opclass = if self.is_col_id_at(0) && !self.is_nulls_order() {
            Some(self.any_name(2)?)
        } else {
            None
        };
        Ok(IndexElement {
            key,
            collation,
            opclass,
        })
    }
}
