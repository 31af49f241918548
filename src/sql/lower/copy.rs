//! COPY to and from the client. Files and programs have no form.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{Copy, CopyDirection, CopySource, RelationRef, Statement};

type CopyOption = (Box<str>, Box<str>);

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
            let name = self.qualified_name()?;
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
        self.copy_options(&mut options)?;
        if self.is("where") {
            return self.unsupported("COPY … WHERE");
        }
        Ok(Statement::Copy(Box::new(Copy {
            source,
            direction,
            options,
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

    fn copy_options(&mut self, options: &mut Vec<CopyOption>) -> Lowered<()> {
        // `[USING] DELIMITERS 'c'` is older than 7.3.
        let with = self.eat("with");
        if self.next_is(&Token::LParen) {
            options.extend(self.parenthesised(Self::copy_option)?);
            return Ok(());
        }
        let mut any = false;
        while let Some(option) = self.old_copy_option()? {
            options.push(option);
            any = true;
        }
        if with && !any && !self.at_end() {
            return Err(self.syntax());
        }
        Ok(())
    }

    /// `(name value, …)`
    fn copy_option(&mut self) -> Lowered<CopyOption> {
        let name = self.label()?.as_str().to_ascii_lowercase();
        let value = match name.as_str() {
            "format" | "delimiter" | "null" | "quote" | "escape" | "encoding" => {
                self.option_value()?
            }
            "header" | "freeze" => {
                if matches!(self.peek(), Token::Comma | Token::RParen) {
                    "true".into()
                } else {
                    self.option_value()?.to_ascii_lowercase()
                }
            }
            "force_quote" if self.take_symbol("*") => "*".into(),
            _ => {
                return self.unsupported("this COPY option");
            }
        };
        let value = if name == "format" {
            value.to_ascii_lowercase()
        } else {
            value
        };
        Ok((name.into(), value.into()))
    }

    /// The syntax of PostgreSQL 7.3 to 8.4, which psql's `\copy … csv header` still uses.
    fn old_copy_option(&mut self) -> Lowered<Option<CopyOption>> {
        let Some(word) = self.word().map(str::to_owned) else {
            return Ok(None);
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
                if self.is_at(1, "quote") && matches!(self.symbol_at(2), Some("*")) {
                    self.advance();
                    self.advance();
                    self.advance();
                    ("force_quote".into(), "*".into())
                } else {
                    return self.unsupported("COPY … FORCE with a column list");
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(option))
    }
}
