//! DECLARE, FETCH, MOVE, CLOSE.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{FetchAmount, Statement};

impl Front<'_, '_> {
    pub(super) fn cursor(&mut self, word: &str) -> Lowered<Statement> {
        self.advance();
        match word {
            "declare" => self.declare(),
            "close" => {
                if self.eat("all") {
                    return Ok(Statement::Close(None));
                }
                Ok(Statement::Close(Some(self.col_id()?)))
            }
            _ => self.fetch(word == "move"),
        }
    }

    fn declare(&mut self) -> Lowered<Statement> {
        let name = self.col_id()?;
        let (mut binary, mut scroll, mut insensitive) = (false, None, None);
        loop {
            if self.eat("binary") {
                binary = true;
            } else if self.eat("insensitive") {
                insensitive = Some(true);
            } else if self.eat("asensitive") {
                insensitive = Some(false);
            } else if self.eat("scroll") {
                scroll = Some(true);
            } else if self.eat_all(&["no", "scroll"]) {
                scroll = Some(false);
            } else {
                break;
            }
        }
        self.expect("cursor")?;
        let hold = self.eat_all(&["with", "hold"]);
        if !hold {
            self.eat_all(&["without", "hold"]);
        }
        self.expect("for")?;
        let query = Box::new(self.query()?);
        Ok(Statement::Declare {
            name,
            binary,
            scroll,
            insensitive,
            hold,
            query,
        })
    }

    /// `fetch_args`. A direction word right before the end is the cursor's name.
    fn fetch(&mut self, is_move: bool) -> Lowered<Statement> {
        let amount = if matches!(self.peek_at(1), Token::EOF) {
            FetchAmount::Forward(Some(1))
        } else {
            self.fetch_amount()?
        };
        if !self.eat("from") && self.is("in") {
            self.advance();
        }
        let cursor = self.col_id()?;
        Ok(Statement::Fetch {
            is_move,
            amount,
            cursor,
        })
    }

    fn fetch_amount(&mut self) -> Lowered<FetchAmount> {
        let amount = match self.word() {
            Some("next") => FetchAmount::Forward(Some(1)),
            Some("prior") => FetchAmount::Backward(Some(1)),
            Some("first") => FetchAmount::Absolute(1),
            Some("last") => FetchAmount::Absolute(-1),
            Some("all") => FetchAmount::Forward(None),
            Some("absolute") => {
                self.advance();
                return Ok(FetchAmount::Absolute(self.signed_integer()?));
            }
            Some("relative") => {
                self.advance();
                return Ok(FetchAmount::Relative(self.signed_integer()?));
            }
            Some("forward") => {
                self.advance();
                return Ok(FetchAmount::Forward(self.fetch_count()?));
            }
            Some("backward") => {
                self.advance();
                return Ok(FetchAmount::Backward(self.fetch_count()?));
            }
            Some("from" | "in") => return Ok(FetchAmount::Forward(Some(1))),
            Some(_) | None => {
                return Ok(FetchAmount::Forward(Some(self.signed_integer()?)));
            }
        };
        self.advance();
        Ok(amount)
    }

    /// After FORWARD or BACKWARD: a count, ALL, or nothing for 1.
    fn fetch_count(&mut self) -> Lowered<Option<i64>> {
        if self.eat("all") {
            return Ok(None);
        }
        let number =
            matches!(self.peek(), Token::Number(..)) || self.is_symbol("-") || self.is_symbol("+");
        if number {
            return self.signed_integer().map(Some);
        }
        Ok(Some(1))
    }
}
