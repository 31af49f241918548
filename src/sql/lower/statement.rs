//! Statements by their first word, and the small ones: EXPLAIN, PREPARE, EXECUTE, DISCARD, LISTEN.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::Unsupported;
use crate::sql::tree::{Statement, With};

impl Front<'_, '_> {
    /// One whole statement.
    pub(super) fn statement(&mut self) -> Lowered<Statement> {
        let Some(word) = self.word().map(str::to_owned) else {
            return if self.at_end() {
                Ok(Statement::Empty)
            } else {
                self.preparable()
            };
        };
        match word.as_str() {
            "select" | "values" | "table" | "with" | "insert" | "update" | "delete" | "merge" => {
                self.preparable()
            }
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
            | "release" => self.transaction(&word),
            "set" | "show" | "reset" => self.setting(&word),
            "declare" | "fetch" | "move" | "close" => self.cursor(&word),
            "copy" => self.copy(),
            "explain" => self.explain(),
            "prepare" => self.prepare(),
            "execute" => self.execute(),
            "deallocate" => self.deallocate(),
            "create" => self.create(),
            "drop" => self.drop(),
            "truncate" => self.truncate(),
            "comment" => self.comment(),
            "analyze" | "analyse" => self.analyze(),
            "discard" => self.discard(),
            "listen" | "unlisten" | "notify" => self.notification(&word),
            _ => Err(self.unknown_statement(&word)),
        }
    }

    /// `COMMENT ON TABLE name IS text`: of what is named as tables are, whether it is there is told.
    fn comment(&mut self) -> Lowered<Statement> {
        let refused = self.unknown_statement("comment");
        self.advance();
        self.expect("on")?;
        if self.is("materialized") && self.is_at(1, "view") {
            self.advance();
        }
        let named = match self.word() {
            Some("table" | "view" | "sequence") => 2,
            Some("column") => 3,
            Some(_) | None => return Err(refused),
        };
        self.advance();
        let mut name = self.any_name(named)?;
        if named == 3 {
            name.parts.pop();
        }
        self.expect("is")?;
        if !self.eat("null") {
            self.string()?;
        }
        if name.parts.is_empty() {
            return Err(refused);
        }
        Ok(Statement::Comment(name))
    }

    fn unknown_statement(&self, word: &str) -> Unsupported {
        let known = matches!(
            word,
            "alter"
                | "call"
                | "checkpoint"
                | "cluster"
                | "comment"
                | "do"
                | "grant"
                | "import"
                | "load"
                | "lock"
                | "reassign"
                | "refresh"
                | "reindex"
                | "revoke"
                | "security"
                | "vacuum"
        );
        if known {
            Unsupported {
                hint: instead(word).map(str::to_owned),
                ..Unsupported::form(
                    format!(
                        "{} is not supported for restricted roles",
                        word.to_ascii_uppercase()
                    ),
                    Some(self.position()),
                )
            }
        } else {
            self.syntax()
        }
    }

    /// What WITH, PREPARE, EXPLAIN and COPY may hold: a query or a data-modifying statement.
    pub(super) fn preparable(&mut self) -> Lowered<Statement> {
        let mut with = self.with()?;
        if let Some(statement) = self.modification(&mut with)? {
            return Ok(statement);
        }
        let query = self.query_after(with)?;
        Ok(Statement::Query(Box::new(query)))
    }

    /// INSERT, UPDATE, DELETE or MERGE, its WITH being read; `None` when it is a query.
    pub(super) fn modification(&mut self, with: &mut Option<With>) -> Lowered<Option<Statement>> {
        let statement = match self.word() {
            Some("insert") => Statement::Insert(Box::new(self.insert(with.take())?)),
            Some("update") => Statement::Update(Box::new(self.update(with.take())?)),
            Some("delete") => Statement::Delete(Box::new(self.delete(with.take())?)),
            Some("merge") => Statement::Merge(Box::new(self.merge(with.take())?)),
            Some(_) | None => return Ok(None),
        };
        Ok(Some(statement))
    }

    fn explain(&mut self) -> Lowered<Statement> {
        self.advance();
        let mut options: Vec<(Box<str>, Box<str>)> = Vec::new();
        if self.next_is(&Token::LParen) && !self.engine.opens_query(self.index()) {
            options = self.parenthesised(Self::explain_option)?;
        } else {
            for word in ["analyze", "verbose"] {
                if self.eat(word) || (word == "analyze" && self.eat("analyse")) {
                    options.push((word.into(), "true".into()));
                }
            }
        }
        if self.is_any(&["declare", "execute", "create", "refresh"]) {
            return self.unsupported("EXPLAIN of this kind of statement");
        }
        let statement = Box::new(self.preparable()?);
        Ok(Statement::Explain { options, statement })
    }

    /// `name [value]`, names and values from PostgreSQL 15's list.
    fn explain_option(&mut self) -> Lowered<(Box<str>, Box<str>)> {
        let mut name = self.word().unwrap_or_default().to_owned();
        if name == "analyse" {
            name = "analyze".into();
        }
        let known = matches!(
            name.as_str(),
            "analyze"
                | "verbose"
                | "costs"
                | "settings"
                | "buffers"
                | "wal"
                | "timing"
                | "summary"
                | "format"
        );
        if !known {
            return self.unsupported("this EXPLAIN option");
        }
        self.advance();
        let value = if matches!(self.peek(), Token::Comma | Token::RParen) {
            "true".to_owned()
        } else {
            self.option_value()?.to_ascii_lowercase()
        };
        let valid = if name == "format" {
            matches!(value.as_str(), "text" | "xml" | "json" | "yaml")
        } else {
            matches!(value.as_str(), "true" | "false" | "on" | "off" | "1" | "0")
        };
        if !valid {
            return Err(Unsupported::syntax(
                format!("EXPLAIN option \"{name}\" has an invalid value"),
                Some(self.position()),
            ));
        }
        Ok((name.into(), value.into()))
    }

    /// A word, string or number.
    pub(super) fn option_value(&mut self) -> Lowered<String> {
        if self.is_string_at(0) {
            return Ok(self.string()?.into());
        }
        let value = match (self.peek(), self.number()) {
            (_, Some(text)) => text.into(),
            (Token::Word(word), None) => word.value.clone(),
            _ => return Err(self.syntax()),
        };
        self.advance();
        Ok(value)
    }

    fn prepare(&mut self) -> Lowered<Statement> {
        self.advance();
        if self.is("transaction") {
            return self.unsupported("PREPARE TRANSACTION");
        }
        let name = self.col_id()?;
        let types = if self.next_is(&Token::LParen) {
            self.parenthesised(Self::type_name)?
        } else {
            Vec::new()
        };
        self.expect("as")?;
        let statement = Box::new(self.preparable()?);
        Ok(Statement::Prepare {
            name,
            types,
            statement,
        })
    }

    fn execute(&mut self) -> Lowered<Statement> {
        self.advance();
        let name = self.col_id()?;
        let args = if self.next_is(&Token::LParen) {
            self.parenthesised(Self::expr)?
        } else {
            Vec::new()
        };
        Ok(Statement::Execute { name, args })
    }

    fn deallocate(&mut self) -> Lowered<Statement> {
        self.advance();
        if self.is("prepare") && !matches!(self.peek_at(1), Token::EOF) {
            self.advance();
        }
        if self.eat("all") {
            return Ok(Statement::Deallocate(None));
        }
        Ok(Statement::Deallocate(Some(self.col_id()?)))
    }

    fn discard(&mut self) -> Lowered<Statement> {
        self.advance();
        let what = match self.word() {
            Some(what @ ("all" | "plans" | "sequences" | "temp")) => what.into(),
            Some("temporary") => "temp".into(),
            Some(_) | None => return Err(self.syntax()),
        };
        self.advance();
        Ok(Statement::Discard(what))
    }

    fn notification(&mut self, word: &str) -> Lowered<Statement> {
        self.advance();
        if word == "unlisten" && self.take_symbol("*") {
            return Ok(Statement::Unlisten(None));
        }
        let channel: Ident = self.col_id()?;
        Ok(match word {
            "listen" => Statement::Listen(channel),
            "unlisten" => Statement::Unlisten(Some(channel)),
            _ => {
                let payload = if self.take(&Token::Comma) {
                    Some(self.string()?)
                } else {
                    None
                };
                Statement::Notify(channel, payload)
            }
        })
    }
}

/// What a session can do instead with its temporary tables.
fn instead(word: &str) -> Option<&'static str> {
    match word {
        "cluster" | "comment" | "reindex" | "vacuum" => Some("Leave it out: answers are the same."),
        "alter" => {
            Some("CREATE TEMP TABLE … AS SELECT … makes a temporary table of another shape.")
        }
        _ => None,
    }
}
