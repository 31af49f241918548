//! CREATE TABLE (of which only temporary ones will be allowed) and DROP TABLE.
//!
//! Deliberately absent: every clause a scratch table does not need (CHECK, REFERENCES, inheritance,
//! partitioning, storage).

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{CreateTable, Statement, TempColumn};

enum Element {
    Column(TempColumn),
    Key(bool, Vec<Ident>),
}

impl Front<'_, '_> {
    pub(super) fn create(&mut self) -> Lowered<Statement> {
        self.advance();
        let temporary = self.temporary();
        if !temporary && self.is("unlogged") {
            return self.unsupported("CREATE UNLOGGED TABLE");
        }
        if !self.eat("table") {
            self.eat_all(&["or", "replace"]);
            let what = self.word().unwrap_or_default().to_ascii_uppercase();
            return self.unsupported(&format!("CREATE {what}"));
        }
        let if_not_exists = self.eat_all(&["if", "not", "exists"]);
        let name = self.qualified_name()?;
        let schema_is_temp =
            name.parts.len() == 2 && name.parts.first().is_some_and(|s| *s == "pg_temp");
        let mut table = CreateTable {
            name,
            temporary: temporary || schema_is_temp,
            if_not_exists,
            columns: Vec::new(),
            keys: Vec::new(),
            on_commit: None,
            query: None,
        };
        if self.is_any(&["of", "partition"]) {
            return self.unsupported("CREATE TABLE OF and PARTITION OF");
        }
        if self.next_is(&Token::LParen) {
            self.table_elements(&mut table)?;
        }
        if self.is_any(&[
            "inherits",
            "partition",
            "using",
            "with",
            "without",
            "tablespace",
        ]) {
            return self.unsupported("this clause of CREATE TABLE");
        }
        table.on_commit = self.on_commit()?;
        let typed = table.columns.iter().any(|column| column.ty.is_some());
        if !typed && self.eat("as") {
            let query = Box::new(self.query()?);
            let mut no_data = false;
            if self.eat_all(&["with", "no", "data"]) {
                no_data = true;
            } else {
                self.eat_all(&["with", "data"]);
            }
            table.query = Some((query, no_data));
        } else if !typed && !table.columns.is_empty() {
            return Err(self.syntax());
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    fn table_elements(&mut self, table: &mut CreateTable) -> Lowered<()> {
        self.expect_token(&Token::LParen)?;
        if self.take(&Token::RParen) {
            return Ok(());
        }
        for element in self.list(Self::table_element)? {
            match element {
                Element::Column(column) => table.columns.push(column),
                Element::Key(primary, columns) => table.keys.push((primary, columns)),
            }
        }
        let typed = table.columns.iter().filter(|c| c.ty.is_some()).count();
        if typed != 0 && typed != table.columns.len() {
            return Err(self.syntax());
        }
        self.expect_token(&Token::RParen)
    }

    fn table_element(&mut self) -> Lowered<Element> {
        if self.eat_all(&["primary", "key"]) {
            return Ok(Element::Key(true, self.name_list()?));
        }
        if self.is("unique") {
            self.advance();
            return Ok(Element::Key(false, self.name_list()?));
        }
        if self.is_any(&["constraint", "check", "foreign", "exclude", "like"]) {
            return self.unsupported("this element of CREATE TABLE");
        }
        let mut column = TempColumn {
            name: self.col_id()?,
            ty: None,
            not_null: false,
            primary_key: false,
            unique: false,
            default: None,
        };
        if matches!(self.peek(), Token::Comma | Token::RParen) {
            return Ok(Element::Column(column));
        }
        column.ty = Some(self.type_name()?);
        self.column_constraints(&mut column)?;
        Ok(Element::Column(column))
    }

    fn column_constraints(&mut self, column: &mut TempColumn) -> Lowered<()> {
        loop {
            if self.eat_all(&["not", "null"]) {
                column.not_null = true;
            } else if self.eat("null") {
                // The default.
            } else if self.eat_all(&["primary", "key"]) {
                column.primary_key = true;
            } else if self.eat("unique") {
                column.unique = true;
            } else if self.eat("default") {
                // b_expr: what binds more loosely than a comparison belongs to the constraints.
                column.default = Some(self.expr_above(super::dialect::strength::BETWEEN)?);
            } else if matches!(self.peek(), Token::Comma | Token::RParen) {
                return Ok(());
            } else {
                return self.unsupported("this column constraint");
            }
        }
    }

    fn on_commit(&mut self) -> Lowered<Option<Box<str>>> {
        if !self.eat_all(&["on", "commit"]) {
            return Ok(None);
        }
        for (words, text) in [
            (["preserve", "rows"].as_slice(), "preserve rows"),
            (["delete", "rows"].as_slice(), "delete rows"),
            (["drop"].as_slice(), "drop"),
        ] {
            if self.eat_all(words) {
                return Ok(Some(text.into()));
            }
        }
        Err(self.syntax())
    }

    pub(super) fn drop_table(&mut self) -> Lowered<Statement> {
        self.advance();
        if !self.eat("table") {
            let what = self.word().unwrap_or_default().to_ascii_uppercase();
            return self.unsupported(&format!("DROP {what}"));
        }
        let if_exists = self.eat_all(&["if", "exists"]);
        let names = self.list(Self::qualified_name)?;
        let cascade = self.eat("cascade");
        if !cascade {
            self.eat("restrict");
        }
        Ok(Statement::DropTable {
            if_exists,
            names,
            cascade,
        })
    }
}
