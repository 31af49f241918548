//! CREATE TABLE, DROP TABLE, DROP INDEX and TRUNCATE, of which only those of temporary tables will be allowed.
//!
//! Deliberately absent: every clause a scratch table does not need (REFERENCES, generated columns,
//! options of sequences, inheritance, partitioning, storage).

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{
    CreateTable, DropKind, Serial, Statement, TempColumn, TempKey, TempLike, TypeName,
};

const NO_VIEW: &str = "Use WITH name AS (…) in the query, or CREATE TEMP TABLE name AS ….";

/// What `LIKE` may include or leave out.
const LIKE_OPTIONS: &[&str] = &[
    "all",
    "comments",
    "compression",
    "constraints",
    "defaults",
    "generated",
    "identity",
    "indexes",
    "statistics",
    "storage",
];

impl Front<'_, '_> {
    pub(super) fn create(&mut self) -> Lowered<Statement> {
        self.advance();
        let temporary = self.temporary();
        if !temporary && self.is("unlogged") {
            return self.unsupported("CREATE UNLOGGED TABLE");
        }
        if !temporary && self.is_any(&["unique", "index"]) {
            return self.create_index();
        }
        if !self.eat("table") {
            self.eat_all(&["or", "replace"]);
            let what = self.word().unwrap_or_default().to_ascii_uppercase();
            let (what, hint) = match what.as_str() {
                "VIEW" | "MATERIALIZED" => ("VIEW", Some(NO_VIEW)),
                other => (other, None),
            };
            let what = format!("CREATE {what}");
            return match hint {
                Some(hint) => self.unsupported_hint(&what, hint),
                None => self.unsupported(&what),
            };
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
            likes: Vec::new(),
            keys: Vec::new(),
            checks: Vec::new(),
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
        let typed = table.columns.iter().any(|column| column.ty.is_some())
            || !(table.likes.is_empty() && table.checks.is_empty());
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
        self.list(|front| front.table_element(table))?;
        let typed = table.columns.iter().filter(|c| c.ty.is_some()).count();
        if typed != 0 && typed != table.columns.len() {
            return Err(self.syntax());
        }
        self.expect_token(&Token::RParen)
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Lowered<()> {
        if self.eat("like") {
            let at = table.columns.len();
            table.likes.push(self.like_table(at)?);
            return Ok(());
        }
        let name = self.constraint_name()?;
        let primary = self.eat_all(&["primary", "key"]);
        if primary || self.eat("unique") {
            let columns = self.name_list()?;
            table.keys.push(TempKey {
                name,
                primary,
                columns,
            });
            return Ok(());
        }
        if self.is("check") {
            return self.check(name, table);
        }
        if name.is_some() || self.is_any(&["foreign", "exclude"]) {
            return self.unsupported("this element of CREATE TABLE");
        }
        let mut column = TempColumn {
            name: self.col_id()?,
            ty: None,
            serial: None,
            identity: None,
            collation: None,
            copied: None,
            not_null: false,
            primary_key: false,
            unique: false,
            default: None,
        };
        if !matches!(self.peek(), Token::Comma | Token::RParen) {
            let written = self.type_name()?;
            column.serial = serial(&written);
            column.ty = Some(match column.serial {
                Some(serial) => self.integer_of(serial),
                None => written,
            });
            self.column_constraints(&mut column, table)?;
        }
        table.columns.push(column);
        Ok(())
    }

    /// `CONSTRAINT name`, in front of what it is the name of.
    fn constraint_name(&mut self) -> Lowered<Option<Ident>> {
        if self.eat("constraint") {
            return self.col_id().map(Some);
        }
        Ok(None)
    }

    /// `CHECK (e)`
    fn check(&mut self, name: Option<Ident>, table: &mut CreateTable) -> Lowered<()> {
        self.expect("check")?;
        self.expect_token(&Token::LParen)?;
        let condition = self.expr()?;
        self.expect_token(&Token::RParen)?;
        table.checks.push((name, condition));
        Ok(())
    }

    /// `table [INCLUDING what | EXCLUDING what]…`
    fn like_table(&mut self, at: usize) -> Lowered<TempLike> {
        let name = self.relation_name()?;
        let mut options = Vec::new();
        loop {
            let including = match self.word() {
                Some("including") => true,
                Some("excluding") => false,
                _ => break,
            };
            self.advance();
            let what = self.word().unwrap_or_default().to_owned();
            if !LIKE_OPTIONS.contains(&what.as_str()) {
                return Err(self.syntax());
            }
            self.advance();
            options.push((including, what.into()));
        }
        Ok(TempLike { at, name, options })
    }

    fn integer_of(&self, serial: Serial) -> TypeName {
        let name = match serial {
            Serial::Small => "int2",
            Serial::Plain => "int4",
            Serial::Big => "int8",
        };
        super::types::plain(super::names::system_name(name, self.place()), Vec::new())
    }

    fn column_constraints(
        &mut self,
        column: &mut TempColumn,
        table: &mut CreateTable,
    ) -> Lowered<()> {
        loop {
            let name = self.constraint_name()?;
            if self.eat_all(&["not", "null"]) {
                column.not_null = true;
            } else if self.eat("null") {
                // The default.
            } else if self.eat_all(&["primary", "key"]) {
                match name {
                    Some(_) => table.keys.push(key_of(column, name, true)),
                    None => column.primary_key = true,
                }
            } else if self.eat("unique") {
                match name {
                    Some(_) => table.keys.push(key_of(column, name, false)),
                    None => column.unique = true,
                }
            } else if self.is("check") {
                self.check(name, table)?;
            } else if self.eat("default") {
                // b_expr: what binds more loosely than a comparison belongs to the constraints.
                column.default = Some(self.expr_above(super::dialect::strength::BETWEEN)?);
            } else if name.is_none() && column.collation.is_none() && self.eat("collate") {
                column.collation = Some(self.qualified_name()?);
            } else if self.eat_all(&["generated", "always", "as", "identity"]) {
                column.identity = Some(true);
            } else if self.eat_all(&["generated", "by", "default", "as", "identity"]) {
                column.identity = Some(false);
            } else if name.is_none() && matches!(self.peek(), Token::Comma | Token::RParen) {
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

    pub(super) fn drop(&mut self) -> Lowered<Statement> {
        self.advance();
        let is_index = self.eat("index");
        let kind = match self.word() {
            _ if is_index => DropKind::Table,
            Some("table") => DropKind::Table,
            Some("view") => DropKind::View,
            Some("materialized") if self.is_at(1, "view") => DropKind::MaterializedView,
            Some("sequence") => DropKind::Sequence,
            word => {
                let what = word.unwrap_or_default().to_ascii_uppercase();
                return self.unsupported(&format!("DROP {what}"));
            }
        };
        if !is_index {
            self.advance();
        }
        if kind == DropKind::MaterializedView {
            self.advance();
        }
        // Waits for nobody where a table is one's own.
        if is_index {
            self.eat("concurrently");
        }
        let if_exists = self.eat_all(&["if", "exists"]);
        let names = self.list(Self::qualified_name)?;
        let cascade = self.cascade();
        if is_index {
            return Ok(Statement::DropIndex {
                if_exists,
                names,
                cascade,
            });
        }
        Ok(Statement::DropTable {
            kind,
            if_exists,
            names,
            cascade,
        })
    }

    /// `[CASCADE | RESTRICT]`
    fn cascade(&mut self) -> bool {
        let cascade = self.eat("cascade");
        if !cascade {
            self.eat("restrict");
        }
        cascade
    }

    /// `TRUNCATE [TABLE] [ONLY] a [*], …`; nothing inherits from a temporary table.
    pub(super) fn truncate(&mut self) -> Lowered<Statement> {
        self.advance();
        self.eat("table");
        let names = self.list(|p| Ok(p.relation_expr()?.0))?;
        let restart = self.eat_all(&["restart", "identity"]);
        if !restart {
            self.eat_all(&["continue", "identity"]);
        }
        let cascade = self.cascade();
        Ok(Statement::Truncate {
            names,
            restart,
            cascade,
        })
    }
}

/// A key of one column that has a name is one of the table.
fn key_of(column: &TempColumn, name: Option<Ident>, primary: bool) -> TempKey {
    TempKey {
        name,
        primary,
        columns: vec![column.name.clone()],
    }
}

/// PostgreSQL takes these words for no type, whatever types there are.
fn serial(ty: &TypeName) -> Option<Serial> {
    let [name] = ty.name.parts.as_slice() else {
        return None;
    };
    let serial = match name.as_str() {
        "smallserial" | "serial2" => Serial::Small,
        "serial" | "serial4" => Serial::Plain,
        "bigserial" | "serial8" => Serial::Big,
        _ => return None,
    };
    (ty.typmods.is_empty() && ty.array_dims == 0).then_some(serial)
}
