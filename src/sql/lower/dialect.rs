//! sqlparser's side of the border: the dialect that gives it PostgreSQL's precedences and our
//! operands, and the translation of the trees it returns.
//!
//! An operand, or the result of an operator read here, is a placeholder with a number; the finished
//! tree waits in [`Store`]. What sqlparser builds itself is only infix operators, AND, OR, subscripts
//! and field selection; any other node is refused, each by name.
#![deny(clippy::wildcard_enum_match_arm)]

use std::cell::RefCell;
use std::fmt;

use sqlparser::ast::{self, AccessExpr, BinaryOperator, Value};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::names::operator;
use super::tokens::STAR;
use super::{Front, Lowered, infix};
use crate::ident::Ident;
use crate::sql::Unsupported;
use crate::sql::tree::{Expr, Subscript};

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
    finished: Vec<Option<Expr>>,
    error: Option<Unsupported>,
    field_stars: usize,
}

impl Store {
    pub(super) fn new(queries: Vec<bool>) -> Self {
        Self {
            queries,
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

    fn finished(&self, placeholder: &str) -> Option<Expr> {
        let number: usize = placeholder.strip_prefix('\0')?.parse().ok()?;
        // Each is used once: sqlparser drops its copy of a left side it has shown us.
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
        let operand = front.operand();
        Some(self.keep(operand))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &ast::Expr,
        _strength: u8,
    ) -> Option<Result<ast::Expr, ParserError>> {
        let mut front = Front {
            parser,
            engine: self,
        };
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

    /// sqlparser's tree → ours.
    pub(super) fn lower(&self, expr: ast::Expr) -> Lowered<Expr> {
        match expr {
            ast::Expr::Value(value) => match value.value {
                Value::Placeholder(name) => {
                    self.engine.finished(&name).ok_or_else(|| self.syntax())
                }
                Value::Number(..)
                | Value::SingleQuotedString(_)
                | Value::DollarQuotedString(_)
                | Value::TripleSingleQuotedString(_)
                | Value::TripleDoubleQuotedString(_)
                | Value::EscapedStringLiteral(_)
                | Value::UnicodeStringLiteral(_)
                | Value::SingleQuotedByteStringLiteral(_)
                | Value::DoubleQuotedByteStringLiteral(_)
                | Value::TripleSingleQuotedByteStringLiteral(_)
                | Value::TripleDoubleQuotedByteStringLiteral(_)
                | Value::SingleQuotedRawStringLiteral(_)
                | Value::DoubleQuotedRawStringLiteral(_)
                | Value::TripleSingleQuotedRawStringLiteral(_)
                | Value::TripleDoubleQuotedRawStringLiteral(_)
                | Value::NationalStringLiteral(_)
                | Value::QuoteDelimitedStringLiteral(_)
                | Value::NationalQuoteDelimitedStringLiteral(_)
                | Value::HexStringLiteral(_)
                | Value::DoubleQuotedString(_)
                | Value::Boolean(_)
                | Value::Null => Err(self.syntax()),
            },
            ast::Expr::BinaryOp { left, op, right } => self.lower_chain(*left, op, *right),
            ast::Expr::CompoundFieldAccess { root, access_chain } => {
                let root = self.lower(*root)?;
                self.lower_access(root, access_chain)
            }
            // Never built from our tokens: their words are no keywords to sqlparser.
            ast::Expr::Identifier(_)
            | ast::Expr::CompoundIdentifier(_)
            | ast::Expr::JsonAccess { .. }
            | ast::Expr::IsFalse(_)
            | ast::Expr::IsNotFalse(_)
            | ast::Expr::IsTrue(_)
            | ast::Expr::IsNotTrue(_)
            | ast::Expr::IsNull(_)
            | ast::Expr::IsNotNull(_)
            | ast::Expr::IsUnknown(_)
            | ast::Expr::IsNotUnknown(_)
            | ast::Expr::IsDistinctFrom(..)
            | ast::Expr::IsNotDistinctFrom(..)
            | ast::Expr::IsJson { .. }
            | ast::Expr::IsNormalized { .. }
            | ast::Expr::InList { .. }
            | ast::Expr::InSubquery { .. }
            | ast::Expr::InUnnest { .. }
            | ast::Expr::Between { .. }
            | ast::Expr::Like { .. }
            | ast::Expr::ILike { .. }
            | ast::Expr::SimilarTo { .. }
            | ast::Expr::RLike { .. }
            | ast::Expr::AnyOp { .. }
            | ast::Expr::AllOp { .. }
            | ast::Expr::UnaryOp { .. }
            | ast::Expr::Convert { .. }
            | ast::Expr::Cast { .. }
            | ast::Expr::AtTimeZone { .. }
            | ast::Expr::Extract { .. }
            | ast::Expr::Ceil { .. }
            | ast::Expr::Floor { .. }
            | ast::Expr::Position { .. }
            | ast::Expr::Substring { .. }
            | ast::Expr::Trim { .. }
            | ast::Expr::Overlay { .. }
            | ast::Expr::Collate { .. }
            | ast::Expr::Nested(_)
            | ast::Expr::Prefixed { .. }
            | ast::Expr::TypedString(_)
            | ast::Expr::Function(_)
            | ast::Expr::Case { .. }
            | ast::Expr::Exists { .. }
            | ast::Expr::Subquery(_)
            | ast::Expr::GroupingSets(_)
            | ast::Expr::Cube(_)
            | ast::Expr::Rollup(_)
            | ast::Expr::Tuple(_)
            | ast::Expr::Struct { .. }
            | ast::Expr::Named { .. }
            | ast::Expr::Dictionary(_)
            | ast::Expr::Map(_)
            | ast::Expr::Array(_)
            | ast::Expr::Interval(_)
            | ast::Expr::MatchAgainst { .. }
            | ast::Expr::Wildcard(_)
            | ast::Expr::QualifiedWildcard(..)
            | ast::Expr::OuterJoin(_)
            | ast::Expr::Prior(_)
            | ast::Expr::Lambda(_)
            | ast::Expr::MemberOf(_) => self.unsupported("this form of expression"),
        }
    }

    /// A left-deep chain of operators, taken apart without recursion on its left side. Runs of AND,
    /// and of OR, become one node.
    fn lower_chain(&self, left: ast::Expr, op: BinaryOperator, right: ast::Expr) -> Lowered<Expr> {
        let mut links = vec![(op, right)];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            links.push((op, *right));
            first = *left;
        }
        let mut result = self.lower(first)?;
        let mut compared = false;
        for (op, right) in links.into_iter().rev() {
            let right = self.lower(right)?;
            let symbol = self.symbol_of(op)?;
            let comparison = matches!(symbol.as_str(), "=" | "<" | ">" | "<=" | ">=" | "<>");
            // The comparison operators do not associate: `a < b < c` needs parentheses.
            if comparison && compared {
                return Err(Unsupported::syntax(
                    format!("syntax error at or near \"{symbol}\""),
                    None,
                ));
            }
            compared = comparison;
            result = match symbol.as_str() {
                "and" => match result {
                    Expr::And(mut list) => {
                        list.push(right);
                        Expr::And(list)
                    }
                    other => Expr::And(vec![other, right]),
                },
                "or" => match result {
                    Expr::Or(mut list) => {
                        list.push(right);
                        Expr::Or(list)
                    }
                    other => Expr::Or(vec![other, right]),
                },
                symbol => Expr::Binary(Box::new(result), operator(symbol), Box::new(right)),
            };
        }
        Ok(result)
    }

    fn symbol_of(&self, op: BinaryOperator) -> Lowered<String> {
        match op {
            BinaryOperator::And => Ok("and".into()),
            BinaryOperator::Or => Ok("or".into()),
            BinaryOperator::Custom(symbol) => Ok(symbol),
            // Every operator is fed as a custom one, so none of these is ever built.
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Xor
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseXor
            | BinaryOperator::DuckIntegerDivide
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::Match
            | BinaryOperator::Regexp
            | BinaryOperator::Glob
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::PGExp
            | BinaryOperator::PGOverlap
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch
            | BinaryOperator::PGStartsWith
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::AtAt
            | BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::QuestionPipe
            | BinaryOperator::PGCustomBinaryOperator(_)
            | BinaryOperator::Overlaps
            | BinaryOperator::DoubleHash
            | BinaryOperator::LtDashGt
            | BinaryOperator::AndLt
            | BinaryOperator::AndGt
            | BinaryOperator::LtLtPipe
            | BinaryOperator::PipeGtGt
            | BinaryOperator::AndLtPipe
            | BinaryOperator::PipeAndGt
            | BinaryOperator::LtCaret
            | BinaryOperator::GtCaret
            | BinaryOperator::QuestionHash
            | BinaryOperator::QuestionDash
            | BinaryOperator::QuestionDashPipe
            | BinaryOperator::QuestionDoublePipe
            | BinaryOperator::At
            | BinaryOperator::TildeEq
            | BinaryOperator::Assignment => self.unsupported("this operator"),
        }
    }

    /// `e[1][2:3].field`
    fn lower_access(&self, root: Expr, chain: Vec<AccessExpr>) -> Lowered<Expr> {
        let mut result = root;
        for access in chain {
            result = match access {
                AccessExpr::Subscript(subscript) => {
                    let subscript = self.lower_subscript(subscript)?;
                    match result {
                        Expr::Subscripts(base, mut list) => {
                            list.push(subscript);
                            Expr::Subscripts(base, list)
                        }
                        base => Expr::Subscripts(Box::new(base), vec![subscript]),
                    }
                }
                AccessExpr::Dot(ast::Expr::Identifier(name)) => {
                    let ast::Ident {
                        value,
                        quote_style,
                        span: _,
                    } = name;
                    // A string or `$1` after a dot would be a name to sqlparser.
                    if quote_style == Some('\'')
                        || (quote_style.is_none() && value.starts_with('$'))
                    {
                        return Err(self.syntax());
                    }
                    if value == STAR {
                        let mut store = self.engine.0.borrow_mut();
                        store.field_stars = store.field_stars.saturating_add(1);
                    }
                    Expr::Field(Box::new(result), Ident::exact(&value))
                }
                AccessExpr::Dot(_) => {
                    return self.unsupported("a call in functional notation after a dot");
                }
            };
        }
        Ok(result)
    }

    fn lower_subscript(&self, subscript: ast::Subscript) -> Lowered<Subscript> {
        match subscript {
            ast::Subscript::Index { index } => Ok(Subscript::Index(self.lower(index)?)),
            ast::Subscript::Slice {
                lower_bound,
                upper_bound,
                stride: None,
            } => Ok(Subscript::Slice(
                lower_bound.map(|e| self.lower(e)).transpose()?,
                upper_bound.map(|e| self.lower(e)).transpose()?,
            )),
            ast::Subscript::Slice {
                stride: Some(_), ..
            } => Err(self.syntax()),
        }
    }

    /// Is the next token the star of `.*`?
    pub(super) fn is_star_label(&self) -> bool {
        matches!(self.peek(), Token::Word(word) if word.value == STAR)
    }
}
