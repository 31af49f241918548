//! CREATE INDEX and ANALYZE, of which only those of temporary tables will be allowed.
//!
//! Deliberately absent: storage parameters, tablespaces, parameters of operator classes, options of ANALYZE.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{CreateIndex, IndexKey, Statement};

impl Front<'_, '_> {
    /// At UNIQUE or INDEX.
    pub(super) fn create_index(&mut self) -> Lowered<Statement> {
        let unique = self.eat("unique");
        self.expect("index")?;
        // A session waits for nobody where a table is its own.
        self.eat("concurrently");
        let if_not_exists = self.eat_all(&["if", "not", "exists"]);
        let name = match self.is("on") {
            true if if_not_exists => return Err(self.syntax()),
            true => None,
            false => Some(self.col_id()?),
        };
        self.expect("on")?;
        let (table, _) = self.relation_expr()?;
        let method = if self.eat("using") {
            Some(self.col_id()?)
        } else {
            None
        };
        let keys = self.parenthesised(Self::index_key)?;
        let include = if self.eat("include") {
            self.parenthesised(Self::col_id)?
        } else {
            Vec::new()
        };
        let nulls_distinct = if self.eat_all(&["nulls", "not", "distinct"]) {
            Some(false)
        } else if self.eat_all(&["nulls", "distinct"]) {
            Some(true)
        } else {
            None
        };
        if self.is_any(&["with", "tablespace"]) {
            return self.unsupported("this clause of CREATE INDEX");
        }
        let filter = self.where_clause()?;
        Ok(Statement::CreateIndex(Box::new(CreateIndex {
            unique,
            if_not_exists,
            name,
            table,
            method,
            keys,
            include,
            nulls_distinct,
            filter,
        })))
    }

    fn index_key(&mut self) -> Lowered<IndexKey> {
        let element = self.index_element()?;
        if self.next_is(&Token::LParen) {
            return self.unsupported("a parameter of an operator class");
        }
        Ok(IndexKey {
            element,
            direction: self.direction(),
            nulls: self.nulls_order(),
        })
    }

    /// Is what comes next `NULLS FIRST` or `NULLS LAST`?
    pub(super) fn is_nulls_order(&self) -> bool {
        self.is("nulls") && (self.is_at(1, "first") || self.is_at(1, "last"))
    }

    /// `ANALYZE a, b (c, d)`
    pub(super) fn analyze(&mut self) -> Lowered<Statement> {
        self.advance();
        if self.is("verbose") || self.next_is(&Token::LParen) {
            return self.unsupported("an option of ANALYZE");
        }
        if self.at_end() {
            return self.unsupported_hint(
                "ANALYZE of all tables",
                "ANALYZE name reads a temporary table of the session.",
            );
        }
        let tables = self.list(|p| {
            let (name, _) = p.relation_expr()?;
            let columns = if p.next_is(&Token::LParen) {
                p.parenthesised(Self::col_id)?
            } else {
                Vec::new()
            };
            Ok((name, columns))
        })?;
        Ok(Statement::Analyze(tables))
    }
}
