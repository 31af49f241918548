//! FROM items: relations, subqueries, functions, joins, aliases.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{
    Call, ColumnDef, Expr, JoinConstraint, JoinKind, Name, RelationRef, RowsFromItem, TableAlias,
    TableFunction, TableRef, TableSample,
};

impl Front<'_, '_> {
    /// A FROM item with the joins that follow it.
    pub(super) fn table_ref(&mut self) -> Lowered<TableRef> {
        let mut left = self.table_primary()?;
        while self.starts_join() {
            left = self.join(left)?;
        }
        Ok(left)
    }

    fn starts_join(&self) -> bool {
        match self.word() {
            Some("join" | "cross" | "natural" | "inner" | "left" | "right" | "full") => true,
            Some(_) | None => false,
        }
    }

    fn join(&mut self, left: TableRef) -> Lowered<TableRef> {
        let natural = self.eat("natural");
        let cross = !natural && self.eat("cross");
        let kind = if cross {
            JoinKind::Cross
        } else {
            self.join_kind()
        };
        self.expect("join")?;
        let mut right = self.table_primary()?;
        let constraint = if cross {
            JoinConstraint::None
        } else if natural {
            JoinConstraint::Natural
        } else {
            // `a JOIN b JOIN c ON x ON y`: the inner join comes first.
            while self.starts_join() {
                right = self.join(right)?;
            }
            self.join_constraint()?
        };
        Ok(TableRef::Join {
            left: Box::new(left),
            right: Box::new(right),
            kind,
            constraint,
            alias: None,
        })
    }

    fn join_kind(&mut self) -> JoinKind {
        let kind = match self.word() {
            Some("left") => JoinKind::Left,
            Some("right") => JoinKind::Right,
            Some("full") => JoinKind::Full,
            Some("inner") => {
                self.advance();
                return JoinKind::Inner;
            }
            Some(_) | None => return JoinKind::Inner,
        };
        self.advance();
        self.eat("outer");
        kind
    }

    fn join_constraint(&mut self) -> Lowered<JoinConstraint> {
        if self.eat("on") {
            return Ok(JoinConstraint::On(self.expr()?));
        }
        self.expect("using")?;
        let columns = self.name_list()?;
        let alias = if self.eat("as") {
            Some(self.col_id()?)
        } else {
            None
        };
        Ok(JoinConstraint::Using(columns, alias))
    }

    fn table_primary(&mut self) -> Lowered<TableRef> {
        if self.next_is(&Token::LParen) {
            return if self.engine.opens_query(self.index()) {
                self.derived(false)
            } else {
                self.parenthesised_join()
            };
        }
        let lateral = self.eat("lateral");
        if *self.peek_at(1) == Token::LParen {
            if self.is("xmltable") {
                return Ok(TableRef::Keyword(Box::new(self.xml_table(lateral)?)));
            }
            if self.is("json_table") {
                return Ok(TableRef::Keyword(Box::new(self.json_table(lateral)?)));
            }
        }
        if lateral {
            return if self.engine.opens_query(self.index()) {
                self.derived(true)
            } else {
                self.table_function(true)
            };
        }
        if self.is("only") || self.names_relation() {
            return self.relation().map(|r| TableRef::Relation(Box::new(r)));
        }
        self.table_function(false)
    }

    /// A name that no parenthesis follows.
    fn names_relation(&self) -> bool {
        if !self.is_col_id_at(0) {
            return false;
        }
        let mut ahead = 1_usize;
        while *self.peek_at(ahead) == Token::Period {
            ahead = ahead.saturating_add(2);
        }
        *self.peek_at(ahead) != Token::LParen && !(self.is("rows") && self.is_at(1, "from"))
    }

    fn derived(&mut self, lateral: bool) -> Lowered<TableRef> {
        let query = Box::new(self.parenthesised_query()?);
        let alias = self.table_alias()?;
        Ok(TableRef::Derived {
            lateral,
            query,
            alias,
        })
    }

    /// `( a JOIN b … ) [AS j]`
    fn parenthesised_join(&mut self) -> Lowered<TableRef> {
        self.expect_token(&Token::LParen)?;
        let inner = self.table_ref()?;
        self.expect_token(&Token::RParen)?;
        match inner {
            TableRef::Join {
                left,
                right,
                kind,
                constraint,
                alias: None,
            } => Ok(TableRef::Join {
                left,
                right,
                kind,
                constraint,
                alias: self.table_alias()?,
            }),
            // ((a JOIN b) AS j) cannot take another alias.
            join @ TableRef::Join { alias: Some(_), .. } => Ok(join),
            TableRef::Relation(_)
            | TableRef::Derived { .. }
            | TableRef::Function(_)
            | TableRef::Keyword(_) => Err(self.syntax()),
        }
    }

    /// `[ONLY] t`, `t *`, `ONLY (t)`
    pub(super) fn relation_expr(&mut self) -> Lowered<(Name, bool)> {
        if !self.eat("only") {
            let name = self.relation_name()?;
            self.take_symbol("*");
            return Ok((name, false));
        }
        let parenthesised = self.take(&Token::LParen);
        let name = self.relation_name()?;
        if parenthesised {
            self.expect_token(&Token::RParen)?;
        }
        Ok((name, true))
    }

    fn relation(&mut self) -> Lowered<RelationRef> {
        let (name, only) = self.relation_expr()?;
        let alias = self.table_alias()?;
        let sample = if self.eat("tablesample") {
            Some(self.table_sample()?)
        } else {
            None
        };
        Ok(RelationRef {
            name,
            only,
            alias,
            sample,
            id: None,
        })
    }

    fn table_sample(&mut self) -> Lowered<TableSample> {
        let method = self.any_name(2)?;
        let args = self.parenthesised(Self::expr)?;
        let repeatable = if self.eat("repeatable") {
            self.expect_token(&Token::LParen)?;
            let seed = self.expr()?;
            self.expect_token(&Token::RParen)?;
            Some(seed)
        } else {
            None
        };
        Ok(TableSample {
            method,
            args,
            repeatable,
        })
    }

    /// `[AS] t [(a, b)]`, or nothing.
    pub(super) fn table_alias(&mut self) -> Lowered<Option<TableAlias>> {
        if !self.eat("as") && !self.is_col_id_at(0) {
            return Ok(None);
        }
        let name = self.row_source_name()?;
        let columns = if self.next_is(&Token::LParen) {
            self.name_list()?
        } else {
            Vec::new()
        };
        Ok(Some(TableAlias { name, columns }))
    }

    /// `f(…)` or `ROWS FROM (…)`, ordinality, alias, column definitions.
    fn table_function(&mut self, lateral: bool) -> Lowered<TableRef> {
        let rows_from = self.is("rows") && self.is_at(1, "from");
        let functions = if rows_from {
            self.advance();
            self.advance();
            self.parenthesised(Self::rows_from_item)?
        } else {
            vec![RowsFromItem {
                call: self.function_call()?,
                columns: Vec::new(),
            }]
        };
        let ordinality = self.eat_all(&["with", "ordinality"]);
        let (alias, columns) = self.function_alias()?;
        Ok(TableRef::Function(Box::new(TableFunction {
            functions,
            rows_from,
            ordinality,
            lateral,
            alias,
            columns,
        })))
    }

    fn rows_from_item(&mut self) -> Lowered<RowsFromItem> {
        let call = self.function_call()?;
        let columns = if self.eat("as") {
            self.parenthesised(Self::column_def)?
        } else {
            Vec::new()
        };
        Ok(RowsFromItem { call, columns })
    }

    /// What SQL calls a function in FROM; special syntax counts when it is a call in disguise.
    fn function_call(&mut self) -> Lowered<Call> {
        if !matches!(self.peek(), Token::Word(_)) {
            return Err(self.syntax());
        }
        match self.operand()? {
            Expr::Call(call) => {
                if call.over.is_some() || call.filter.is_some() || call.within_group {
                    return Err(self.syntax());
                }
                Ok(*call)
            }
            Expr::SystemValue(_)
            | Expr::Coalesce(_)
            | Expr::NullIf(..)
            | Expr::Greatest(_)
            | Expr::Least(_)
            | Expr::Cast(..)
            | Expr::Keyword(_) => self.unsupported("this form of expression in FROM"),
            _ => Err(self.syntax()),
        }
    }

    /// `AS t`, `AS t (a, b)`, `AS t (a int)`, `AS (a int)`
    fn function_alias(&mut self) -> Lowered<(Option<TableAlias>, Vec<ColumnDef>)> {
        let written = self.eat("as");
        if written && self.next_is(&Token::LParen) {
            return Ok((None, self.parenthesised(Self::column_def)?));
        }
        if !written && !self.is_col_id_at(0) {
            return Ok((None, Vec::new()));
        }
        let mut alias = TableAlias {
            name: self.row_source_name()?,
            columns: Vec::new(),
        };
        if !self.next_is(&Token::LParen) {
            return Ok((Some(alias), Vec::new()));
        }
        // One name and then a type, or only names.
        if matches!(self.peek_at(2), Token::Comma | Token::RParen) {
            alias.columns = self.name_list()?;
            return Ok((Some(alias), Vec::new()));
        }
        Ok((Some(alias), self.parenthesised(Self::column_def)?))
    }

    fn column_def(&mut self) -> Lowered<ColumnDef> {
        let name = self.col_id()?;
        let ty = self.type_name()?;
        let collation = if self.eat("collate") {
            Some(self.any_name(2)?)
        } else {
            None
        };
        Ok(ColumnDef {
            name,
            ty,
            collation,
        })
    }
}
