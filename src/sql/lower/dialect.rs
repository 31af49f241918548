//! sqlparser's side of the border: the dialect that gives it PostgreSQL's precedences and our operands.
//!
//! An operand, or the result of an operator read here, is a placeholder with a number; the finished
//! tree waits in [`Store`]. What sqlparser builds around the placeholders comes back through
//! [`border`](super::border).

use std::cell::RefCell;
use std::fmt;

use sqlparser::ast::{self, Value};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::tokens::STAR;
use super::{Front, Lowered, border, infix};
use crate::sql::Unsupported;
use crate::sql::tree::{Constant, Expr};

/// Binding strength, weakest first: gram.y's precedence declarations.
pub(super) mod strength {
    pub(in super::super) const OR: u8 = 10;
    pub(in super::super) const AND: u8 = 20;
    pub(in super::super) const NOT: u8 = 30;
    pub(in super::super) const IS: u8 = 40;
    pub(in super::super) const COMPARISON: u8 = 50;
    pub(in super::super) const BETWEEN: u8 = 60;
    pub(in super::super) const OTHER: u8 = 70;
    pub(in super::super) const ADD: u8 = 80;
    pub(in super::super) const MULTIPLY: u8 = 90;
    pub(in super::super) const POWER: u8 = 100;
    pub(in super::super) const AT: u8 = 110;
    pub(in super::super) const COLLATE: u8 = 120;
    pub(in super::super) const SIGN: u8 = 130;
    pub(in super::super) const CAST: u8 = 140;
}

/// Finished parts of the tree, and the first error.
pub(super) struct Store {
    queries: Vec<bool>,
    constants: Vec<Constant>,
    finished: Vec<Option<Expr>>,
    error: Option<Unsupported>,
    field_stars: usize,
}

impl Store {
    pub(super) fn new(queries: Vec<bool>, constants: Vec<Constant>) -> Self {
        Self {
            queries,
            constants,
            finished: Vec::new(),
            error: None,
            field_stars: 0,
        }
    }
}

/// The dialect.
pub(super) struct Engine(RefCell<Store>);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    pub(super) fn new(store: Store) -> Self {
        Self(RefCell::new(store))
    }

    /// Does the parenthesis at this token open a query?
    pub(super) fn opens_query(&self, index: usize) -> bool {
        self.0.borrow().queries.get(index).copied() == Some(true)
    }

    /// The constant a string or number token stands for.
    pub(super) fn constant(&self, token: &str) -> Option<Constant> {
        let place: usize = token.strip_prefix('\0')?.parse().ok()?;
        self.0.borrow().constants.get(place).cloned()
    }

    /// `(e).*` was read; a select list must claim it.
    pub(super) fn note_field_star(&self) {
        let mut store = self.0.borrow_mut();
        store.field_stars = store.field_stars.saturating_add(1);
    }

    /// `(e).*` is allowed only where a select list expects it.
    pub(super) fn allow_field_star(&self) {
        let mut store = self.0.borrow_mut();
        store.field_stars = store.field_stars.saturating_sub(1);
    }

    /// After the whole statement: nothing was left where it means nothing.
    pub(super) fn finish(&self) -> Lowered<()> {
        if self.0.borrow().field_stars > 0 {
            return Err(Unsupported::form(
                "(expression).* outside a select list is not supported",
                None,
            ));
        }
        Ok(())
    }

    fn keep(&self, result: Lowered<Expr>) -> Result<ast::Expr, ParserError> {
        let mut store = self.0.borrow_mut();
        match result {
            Ok(expr) => {
                let number = store.finished.len();
                store.finished.push(Some(expr));
                Ok(ast::Expr::Value(
                    Value::Placeholder(format!("\0{number}")).with_span(Span::empty()),
                ))
            }
            Err(refused) => {
                store.error.get_or_insert(refused);
                Err(ParserError::ParserError(String::new()))
            }
        }
    }

    /// The part of the tree behind a placeholder. Each is used once: sqlparser drops its copy of a
    /// left side it has shown us.
    pub(super) fn finished(&self, placeholder: &str) -> Option<Expr> {
        let number: usize = placeholder.strip_prefix('\0')?.parse().ok()?;
        self.0.borrow_mut().finished.get_mut(number)?.take()
    }

    fn take_error(&self) -> Option<Unsupported> {
        self.0.borrow_mut().error.take()
    }
}

impl Dialect for Engine {
    fn dialect(&self) -> std::any::TypeId {
        std::any::TypeId::of::<PostgreSqlDialect>()
    }

    fn is_identifier_start(&self, _: char) -> bool {
        false
    }

    fn is_identifier_part(&self, _: char) -> bool {
        false
    }

    fn prec_value(&self, _: Precedence) -> u8 {
        // Asked only for the bounds of a slice, which are whole expressions.
        0
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        Some(Ok(infix::strength_of_next(parser)))
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<ast::Expr, ParserError>> {
        let mut front = Front {
            parser,
            engine: self,
        };
        let operand = front.operand_with_indirection();
        Some(self.keep(operand))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &ast::Expr,
        strength: u8,
    ) -> Option<Result<ast::Expr, ParserError>> {
        let mut front = Front {
            parser,
            engine: self,
        };
        // Comparisons do not associate: `a < b < c` needs parentheses.
        if strength == strength::COMPARISON && border::is_comparison(left) {
            return Some(self.keep(Err(front.syntax())));
        }
        if !front.is_special_infix() {
            return None;
        }
        let result = front
            .lower(left.clone())
            .and_then(|left| front.special_infix(left));
        Some(self.keep(result))
    }
}

impl Front<'_, '_> {
    /// An expression.
    pub(super) fn expr(&mut self) -> Lowered<Expr> {
        self.expr_above(0)
    }

    /// An expression whose operators bind more tightly than `strength`.
    pub(super) fn expr_above(&mut self, strength: u8) -> Lowered<Expr> {
        match self.parser.parse_subexpr(strength) {
            Ok(expr) => self.lower(expr),
            Err(error) => Err(self.engine.take_error().unwrap_or_else(|| match error {
                ParserError::RecursionLimitExceeded => Unsupported {
                    sqlstate: crate::pg::sqlstate::STATEMENT_TOO_COMPLEX,
                    ..Unsupported::form("expression is nested too deeply", Some(self.position()))
                },
                // Its message may quote a constant.
                ParserError::TokenizerError(_) | ParserError::ParserError(_) => self.syntax(),
            })),
        }
    }

    /// Is the next token the star of `.*`?
    pub(super) fn is_star_label(&self) -> bool {
        matches!(self.peek(), Token::Word(word) if word.value == STAR)
    }
}
