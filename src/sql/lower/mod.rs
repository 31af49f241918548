//! Tokens → our tree, with sqlparser as the engine for expressions.
//!
//! sqlparser never reads text: it is fed tokens made from our scanner's. It runs the operator
//! grammar (which operator binds what), with PostgreSQL's precedences given by [`dialect`]. What it
//! would read differently from PostgreSQL is read here instead, on the same token stream, following
//! `gram.y`: clauses of queries, FROM items, names, calls, types and statements. Those parts reach
//! sqlparser as opaque placeholders that no client text can spell (they contain a NUL, which the
//! scanner refuses). Its tree becomes ours in [`border`], with every variant named.
//!
//! Deliberately absent: names of relations and columns are not looked up here.

mod border;
mod call;
mod copy;
mod cursor;
mod dialect;
mod dml;
mod expr;
mod fold;
mod form;
mod from;
mod index;
mod infix;
mod insert;
mod json;
mod merge;
mod names;
mod query;
mod select;
mod session;
mod special;
mod statement;
mod temp_table;
mod tokens;
mod types;
mod xml;

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use self::dialect::{Engine, Store};
use super::tree::{Constant, Position};
use super::{Unsupported, scan, tree};

/// Lowers the tokens of one statement, of which the first is this one of the text. `end` is where the
/// statement ends, for errors there; `constants` are the whole text's.
pub(super) fn statement(
    tokens: Vec<scan::Token<'_>>,
    first: usize,
    end: usize,
    constants: &mut tree::Constants,
) -> Result<tree::Statement, Unsupported> {
    let fed = tokens::feed(tokens, first, end, constants);
    let engine = Engine::new(Store::new(fed.queries, fed.constants));
    let mut parser = Parser::new(&engine)
        .with_recursion_limit(RECURSION_LIMIT)
        .with_tokens_with_locations(fed.tokens);
    // The first token is a dummy, so that sqlparser's "current" index is never ambiguous.
    parser.advance_token();
    let mut front = Front {
        parser: &mut parser,
        engine: &engine,
    };
    let statement = front.statement()?;
    front.expect_end()?;
    engine.finish()?;
    Ok(statement)
}

/// sqlparser counts every operand, and a parenthesis usually takes two: one for what is in it, one
/// for being the right side of an operator. Unoptimized, one of its levels takes up to 48 KiB, so
/// this many fit a worker's stack with a third of it to spare.
const RECURSION_LIMIT: usize = 2 * crate::limits::SQL_DEPTH;

/// A cursor over the statement's tokens: sqlparser's own, so that both sides always stand at the
/// same token.
struct Front<'p, 'a> {
    parser: &'p mut Parser<'a>,
    engine: &'p Engine,
}

type Lowered<T> = Result<T, Unsupported>;

impl Front<'_, '_> {
    /// The token `ahead` of the cursor; 0 is the next one.
    fn peek_at(&self, ahead: usize) -> &Token {
        let index = self.parser.get_current_index();
        &self
            .parser
            .token_at(index.saturating_add(ahead).saturating_add(1))
            .token
    }

    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn index(&self) -> usize {
        self.parser.get_current_index().saturating_add(1)
    }

    /// Byte offset of the next token.
    fn position(&self) -> usize {
        let span = self.parser.token_at(self.index()).span;
        usize::try_from(span.start.column).unwrap_or_default()
    }

    /// Where the next token stands, for what remembers it.
    fn place(&self) -> Position {
        tokens::position(&self.parser.token_at(self.index()).span)
    }

    fn advance(&mut self) {
        self.parser.advance_token();
    }

    /// The unquoted word `ahead` of the cursor.
    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.peek_at(ahead) {
            Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    fn word(&self) -> Option<&str> {
        self.word_at(0)
    }

    fn is(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    fn is_at(&self, ahead: usize, word: &str) -> bool {
        self.word_at(ahead) == Some(word)
    }

    fn is_any(&self, words: &[&str]) -> bool {
        self.word().is_some_and(|word| words.contains(&word))
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }

    /// All words in a row, or none.
    fn eat_all(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_at(ahead, word));
        if found {
            for _ in words {
                self.advance();
            }
        }
        found
    }

    fn expect(&mut self, word: &str) -> Lowered<()> {
        if self.eat(word) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn next_is(&self, token: &Token) -> bool {
        self.peek() == token
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.next_is(token);
        if found {
            self.advance();
        }
        found
    }

    fn expect_token(&mut self, token: &Token) -> Lowered<()> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// The operator, or `::`, `:=`, `=>`, `..`, `ahead` of the cursor.
    fn symbol_at(&self, ahead: usize) -> Option<&str> {
        match self.peek_at(ahead) {
            Token::CustomBinaryOperator(symbol) => Some(symbol),
            _ => None,
        }
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.symbol_at(0) == Some(symbol)
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    /// A string constant whose text decides something here.
    fn string(&mut self) -> Lowered<Box<str>> {
        Ok(self.string_constant()?.value().into())
    }

    /// A string constant that becomes part of the tree.
    fn string_constant(&mut self) -> Lowered<Constant> {
        let constant = match self.peek() {
            Token::SingleQuotedString(place) => self.engine.constant(place),
            _ => None,
        };
        let constant = constant.ok_or_else(|| self.syntax())?;
        self.advance();
        Ok(constant)
    }

    /// The text of a number that comes next, looked at.
    fn number(&self) -> Option<Box<str>> {
        match self.peek() {
            Token::Number(place, _) => Some(self.engine.constant(place)?.value().into()),
            _ => None,
        }
    }

    fn is_string_at(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead), Token::SingleQuotedString(_))
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), Token::EOF)
    }

    fn expect_end(&self) -> Lowered<()> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// `item, item, …`
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Lowered<T>) -> Lowered<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(item, item, …)`
    fn parenthesised<T>(&mut self, item: impl FnMut(&mut Self) -> Lowered<T>) -> Lowered<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// PostgreSQL's complaint about the next token. Constants are not quoted: the message is logged.
    fn syntax(&self) -> Unsupported {
        let near = match self.peek() {
            Token::EOF => {
                return Unsupported::syntax("syntax error at end of input", Some(self.position()));
            }
            Token::Word(word) => format!("\"{}\"", word.value.trim_start_matches('\0')),
            Token::CustomBinaryOperator(symbol) => format!("\"{symbol}\""),
            Token::LParen => "\"(\"".into(),
            Token::RParen => "\")\"".into(),
            Token::LBracket => "\"[\"".into(),
            Token::RBracket => "\"]\"".into(),
            Token::Comma => "\",\"".into(),
            Token::Period => "\".\"".into(),
            Token::Colon => "\":\"".into(),
            Token::SemiColon => "\";\"".into(),
            _ => "a constant".into(),
        };
        Unsupported::syntax(
            format!("syntax error at or near {near}"),
            Some(self.position()),
        )
    }

    /// PostgreSQL has this, we do not.
    fn unsupported<T>(&self, what: &str) -> Lowered<T> {
        Err(Unsupported::form(
            format!("{what} is not supported"),
            Some(self.position()),
        ))
    }

    /// As [`Self::unsupported`], with what to write instead.
    fn unsupported_hint<T>(&self, what: &str, hint: &str) -> Lowered<T> {
        Err(Unsupported {
            hint: Some(hint.into()),
            ..Unsupported::form(format!("{what} is not supported"), Some(self.position()))
        })
    }
}

#[cfg(test)]
mod tests;
