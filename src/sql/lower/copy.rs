//! COPY to and from the client. Files and programs have no form.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{Copy, CopyDirection, CopySource, RelationRef, Statement};

type CopyOption = (Box<str>, Box<str>);
type ForcedColumns = (Box<str>, Vec<Ident>);

impl Front<'_, '_> {
    pub(super) fn copy(&mut self) -> Lowered<Statement> {
        self.advance();
        let mut options = Vec::new();
        let source = if self.next_is(&Token::LParen) {
            self.advance();
            let statement = Box::new(self.preparable()?);
            self.expect_token(&Token::RParen)?;
            CopySource::Query(statement)
        } else {
            if self.is("binary") {
                self.advance();
                options.push(("format".into(), "binary".into()));
            }
            let name = self.relation_name()?;
            let columns = if self.next_is(&Token::LParen) {
                self.name_list()?
            } else {
                Vec::new()
            };
            let relation = RelationRef {
                name,
                only: false,
                alias: None,
                sample: None,
                id: None,
            };
            CopySource::Relation(Box::new(relation), columns)
        };
        let direction = if self.eat("to") {
            CopyDirection::To
        } else if matches!(source, CopySource::Relation(..)) && self.eat("from") {
            CopyDirection::From
        } else {
            return Err(self.syntax());
        };
        self.copy_end(direction)?;
        let mut forced = Vec::new();
        self.copy_options(&mut options, &mut forced)?;
        let filter = if direction == CopyDirection::From {
            self.where_clause()?
        } else {
            None
        };
        Ok(Statement::Copy(Box::new(Copy {
            source,
            direction,
            options,
            forced,
            filter,
        })))
    }

    /// STDOUT or STDIN, which PostgreSQL takes in both directions.
    fn copy_end(&mut self, direction: CopyDirection) -> Lowered<()> {
        if self.eat("stdout") || self.eat("stdin") {
            return Ok(());
        }
        if self.is("program") || self.is_string_at(0) {
            let hint = match direction {
                CopyDirection::To => "Use COPY … TO STDOUT.",
                CopyDirection::From => "Use COPY … FROM STDIN.",
            };
            return self.unsupported_hint("COPY with a file or a program", hint);
        }
        Err(self.syntax())
    }

    fn copy_options(
        &mut self,
        options: &mut Vec<CopyOption>,
        forced: &mut Vec<ForcedColumns>,
    ) -> Lowered<()> {
        // `[USING] DELIMITERS 'c'` is older than 7.3.
        let with = self.eat("with");
        if self.next_is(&Token::LParen) {
            self.parenthesised(|front| front.copy_option(options, forced))?;
            return Ok(());
        }
        let mut any = false;
        while self.old_copy_option(options, forced)? {
            any = true;
        }
        if with && !any && !self.at_end() && !self.is("where") {
            return Err(self.syntax());
        }
        Ok(())
    }

    /// `name value`, of `(name value, …)`
    fn copy_option(
        &mut self,
        options: &mut Vec<CopyOption>,
        forced: &mut Vec<ForcedColumns>,
    ) -> Lowered<()> {
        let name = self.label()?.as_str().to_ascii_lowercase();
        let value = match name.as_str() {
            "format" | "log_verbosity" | "on_error" => self.option_value()?.to_ascii_lowercase(),
            "default" | "delimiter" | "encoding" | "escape" | "null" | "quote" | "reject_limit" => {
                self.option_value()?
            }
            "header" | "freeze" => {
                if matches!(self.peek(), Token::Comma | Token::RParen) {
                    "true".into()
                } else {
                    self.option_value()?.to_ascii_lowercase()
                }
            }
            "force_quote" | "force_not_null" | "force_null" if self.take_symbol("*") => "*".into(),
            "force_quote" | "force_not_null" | "force_null" if self.next_is(&Token::LParen) => {
                forced.push((name.into(), self.name_list()?));
                return Ok(());
            }
            _ => {
                return self.unsupported("this COPY option");
            }
        };
        options.push((name.into(), value.into()));
        Ok(())
    }

    /// The syntax of PostgreSQL 7.3 to 8.4, which psql's `\copy … csv header` still uses. False when
    /// there is none.
    fn old_copy_option(
        &mut self,
        options: &mut Vec<CopyOption>,
        forced: &mut Vec<ForcedColumns>,
    ) -> Lowered<bool> {
        let Some(word) = self.word().map(str::to_owned) else {
            return Ok(false);
        };
        let option: CopyOption = match word.as_str() {
            "binary" | "csv" => {
                self.advance();
                ("format".into(), word.into())
            }
            "header" | "freeze" => {
                self.advance();
                (word.into(), "true".into())
            }
            "delimiter" | "null" | "quote" | "escape" => {
                self.advance();
                self.eat("as");
                (word.into(), self.string()?)
            }
            "encoding" => {
                self.advance();
                (word.into(), self.string()?)
            }
            "force" => {
                self.advance();
                let name = if self.eat("quote") {
                    "force_quote"
                } else if self.eat_all(&["not", "null"]) {
                    "force_not_null"
                } else {
                    self.expect("null")?;
                    "force_null"
                };
                if !self.take_symbol("*") {
                    forced.push((name.into(), self.list(Self::col_id)?));
                    return Ok(true);
                }
                (name.into(), "*".into())
            }
            _ => return Ok(false),
        };
        options.push(option);
        Ok(true)
    }
}
