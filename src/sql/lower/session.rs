//! Transaction control, SET, SHOW, RESET.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{IsolationLevel, Statement, Transaction, TransactionMode};

impl Front<'_, '_> {
    pub(super) fn transaction(&mut self, word: &str) -> Lowered<Statement> {
        self.advance();
        let transaction = match word {
            "begin" => {
                self.work();
                Transaction::Begin(self.modes()?)
            }
            "start" => {
                self.expect("transaction")?;
                Transaction::Start(self.modes()?)
            }
            "commit" | "end" => {
                if self.is("prepared") {
                    return self.unsupported("COMMIT PREPARED");
                }
                self.work();
                Transaction::Commit(self.chain()?)
            }
            "savepoint" => Transaction::Savepoint(self.col_id()?),
            "release" => {
                self.savepoint_word();
                Transaction::Release(self.col_id()?)
            }
            // ROLLBACK and ABORT
            _ => {
                if self.is("prepared") {
                    return self.unsupported("ROLLBACK PREPARED");
                }
                self.work();
                if word == "rollback" && self.eat("to") {
                    self.savepoint_word();
                    Transaction::RollbackTo(self.col_id()?)
                } else {
                    Transaction::Rollback(self.chain()?)
                }
            }
        };
        Ok(Statement::Transaction(transaction))
    }

    fn work(&mut self) {
        if !self.eat("work") {
            self.eat("transaction");
        }
    }

    /// The optional word SAVEPOINT, which may also be a savepoint's name.
    fn savepoint_word(&mut self) {
        if self.is("savepoint") && matches!(self.peek_at(1), Token::Word(_)) {
            self.advance();
        }
    }

    /// `AND [NO] CHAIN`
    fn chain(&mut self) -> Lowered<bool> {
        if !self.eat("and") {
            return Ok(false);
        }
        let no = self.eat("no");
        self.expect("chain")?;
        Ok(!no)
    }

    /// Transaction modes, with or without commas.
    fn modes(&mut self) -> Lowered<Vec<TransactionMode>> {
        let mut modes = Vec::new();
        while !self.at_end() {
            if !modes.is_empty() {
                self.take(&Token::Comma);
            }
            modes.push(self.mode()?);
        }
        Ok(modes)
    }

    fn mode(&mut self) -> Lowered<TransactionMode> {
        let modes: [(&[&str], TransactionMode); 8] = [
            (
                &["isolation", "level", "read", "uncommitted"],
                TransactionMode::Isolation(IsolationLevel::ReadUncommitted),
            ),
            (
                &["isolation", "level", "read", "committed"],
                TransactionMode::Isolation(IsolationLevel::ReadCommitted),
            ),
            (
                &["isolation", "level", "repeatable", "read"],
                TransactionMode::Isolation(IsolationLevel::RepeatableRead),
            ),
            (
                &["isolation", "level", "serializable"],
                TransactionMode::Isolation(IsolationLevel::Serializable),
            ),
            (&["read", "only"], TransactionMode::ReadOnly),
            (&["read", "write"], TransactionMode::ReadWrite),
            (&["not", "deferrable"], TransactionMode::Deferrable(false)),
            (&["deferrable"], TransactionMode::Deferrable(true)),
        ];
        for (words, mode) in modes {
            if self.eat_all(words) {
                return Ok(mode);
            }
        }
        Err(self.syntax())
    }

    pub(super) fn setting(&mut self, word: &str) -> Lowered<Statement> {
        self.advance();
        match word {
            "set" => self.set(),
            "show" => Ok(Statement::Show(self.setting_name()?)),
            _ => Ok(Statement::Reset(self.setting_name()?)),
        }
    }

    /// The names that are two words in SQL, or a dotted name, lower case.
    fn setting_name(&mut self) -> Lowered<Box<str>> {
        if self.eat_all(&["time", "zone"]) {
            return Ok("timezone".into());
        }
        if self.eat_all(&["transaction", "isolation", "level"]) {
            return Ok("transaction_isolation".into());
        }
        if self.eat_all(&["session", "authorization"]) {
            return Ok("session_authorization".into());
        }
        if self.eat("all") {
            return Ok("all".into());
        }
        self.dotted_name()
    }

    fn dotted_name(&mut self) -> Lowered<Box<str>> {
        let mut name = self.col_id()?.as_str().to_ascii_lowercase();
        while self.take(&Token::Period) {
            name.push('.');
            name.push_str(&self.col_id()?.as_str().to_ascii_lowercase());
        }
        Ok(name.into())
    }

    fn set(&mut self) -> Lowered<Statement> {
        if self.eat_all(&["session", "characteristics", "as", "transaction"]) {
            return self.set_transaction(true);
        }
        // `SET session = …` would be a setting of that name.
        let scoped = !matches!(self.symbol_at(1), Some("=")) && !self.is_at(1, "to");
        if scoped && self.eat("constraints") {
            return self.set_constraints();
        }
        let local = scoped && self.eat("local");
        if scoped && !local {
            self.eat("session");
        }
        if self.is("transaction") && !matches!(self.symbol_at(1), Some("=")) {
            self.advance();
            if self.is("snapshot") {
                return self.unsupported("SET TRANSACTION SNAPSHOT");
            }
            return self.set_transaction(false);
        }
        if let Some(name) = self.identity()? {
            return Ok(Statement::Set {
                local,
                name: name.into(),
                values: Vec::new(),
            });
        }
        let (name, values): (Box<str>, Vec<Box<str>>) = if self.eat_all(&["time", "zone"]) {
            ("timezone".into(), self.time_zone()?)
        } else if self.eat("names") {
            let values = if self.at_end() || self.eat("default") {
                Vec::new()
            } else {
                vec![self.string()?]
            };
            ("client_encoding".into(), values)
        } else if self.is("schema") && self.is_string_at(1) {
            self.advance();
            ("search_path".into(), vec![self.string()?])
        } else {
            let name = self.dotted_name()?;
            if !self.take_symbol("=") {
                self.expect("to")?;
            }
            let values = if self.eat("default") {
                Vec::new()
            } else {
                self.list(Self::setting_value)?
            };
            (name, values)
        };
        Ok(Statement::Set {
            local,
            name,
            values,
        })
    }

    /// `ROLE NONE` and `SESSION AUTHORIZATION DEFAULT`, whichever way: what the session is anyway. Pools send them.
    fn identity(&mut self) -> Lowered<Option<&'static str>> {
        const OTHER: &str = "SET ROLE and SET SESSION AUTHORIZATION";
        let words: [&[&str]; 3] = [
            &["session", "authorization"],
            &["authorization"],
            &["session_authorization"],
        ];
        let name = if words.iter().any(|words| self.eat_all(words)) {
            "session_authorization"
        } else if self.eat("role") {
            "role"
        } else {
            return Ok(None);
        };
        if !self.eat("to") {
            self.take_symbol("=");
        }
        let default = self.eat("default") || name == "role" && self.eat("none");
        let quoted =
            !default && name == "role" && self.is_string_at(0) && &*self.string()? == "none";
        if default || quoted {
            return Ok(Some(name));
        }
        self.unsupported(OTHER)
    }

    fn set_constraints(&mut self) -> Lowered<Statement> {
        let names = if self.eat("all") {
            Vec::new()
        } else {
            self.list(Self::qualified_name)?
        };
        let deferred = self.eat("deferred");
        if !deferred {
            self.expect("immediate")?;
        }
        Ok(Statement::SetConstraints { names, deferred })
    }

    fn set_transaction(&mut self, session: bool) -> Lowered<Statement> {
        let modes = self.modes()?;
        if modes.is_empty() {
            return Err(self.syntax());
        }
        Ok(Statement::SetTransaction { session, modes })
    }

    /// A word, string or signed number, as text.
    fn setting_value(&mut self) -> Lowered<Box<str>> {
        let sign = if self.take_symbol("-") {
            "-"
        } else {
            self.take_symbol("+");
            ""
        };
        if let Some(text) = self.number() {
            let value = format!("{sign}{text}").into();
            self.advance();
            return Ok(value);
        }
        if !sign.is_empty() {
            return Err(self.syntax());
        }
        // `opt_boolean_or_string`: TRUE, FALSE and ON are reserved words.
        let reserved = matches!(self.word(), Some("true" | "false" | "on"));
        if matches!(self.peek(), Token::Word(_)) && !reserved && !self.is_col_id_at(0) {
            return Err(self.syntax());
        }
        Ok(self.option_value()?.into())
    }

    /// After `TIME ZONE`: a zone, a number of hours, `INTERVAL '…' HOUR TO MINUTE`, LOCAL or
    /// DEFAULT.
    fn time_zone(&mut self) -> Lowered<Vec<Box<str>>> {
        if self.eat("local") || self.eat("default") {
            return Ok(Vec::new());
        }
        if self.eat("interval") {
            let offset = self.string()?;
            self.eat_all(&["hour", "to", "minute"]);
            if !self.at_end() || !is_offset(&offset) {
                return self.unsupported_hint(
                    "SET TIME ZONE INTERVAL with other than hours and minutes",
                    "Write INTERVAL '+01:30' HOUR TO MINUTE, or name the zone.",
                );
            }
            // The one form PostgreSQL reads an interval in, where the setting's value is a text.
            return Ok(vec![format!("INTERVAL '{offset}'").into()]);
        }
        Ok(vec![self.setting_value()?])
    }
}

/// `+hh:mm`: the same with and without `HOUR TO MINUTE`.
fn is_offset(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.split_once(':').is_some_and(|(hours, minutes)| {
        let number = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        number(hours) && number(minutes)
    })
}
