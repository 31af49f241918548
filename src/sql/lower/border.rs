//! sqlparser's trees → ours. What it builds from our tokens is only infix operators, AND, OR,
//! subscripts and field selection; any other node is refused, each by name, so that a new one in a
//! later version does not compile until someone has decided.
#![deny(clippy::wildcard_enum_match_arm)]

use sqlparser::ast::{self, AccessExpr, BinaryOperator, Value};

use super::tokens::STAR;
use super::{Front, Lowered, fold, infix};
use crate::ident::Ident;
use crate::sql::tree::{Expr, Subscript};

/// Is it a comparison, not in parentheses?
pub(super) fn is_comparison(expr: &ast::Expr) -> bool {
    if let ast::Expr::BinaryOp {
        left: _,
        op: BinaryOperator::Custom(symbol),
        right: _,
    } = expr
    {
        infix::is_comparison(symbol)
    } else {
        false
    }
}

impl Front<'_, '_> {
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
        for (op, right) in links.into_iter().rev() {
            let right = self.lower(right)?;
            let symbol = self.symbol_of(op)?;
            result = fold::link(result, &symbol, right);
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
        // Subscripts of what stands in parentheses are not its own: `(a[2:3])[1]` is an element of a
        // slice, `a[2:3][1]` another slice.
        let mut follows = false;
        for access in chain {
            let subscripts = matches!(access, AccessExpr::Subscript(_));
            result = match access {
                AccessExpr::Subscript(subscript) => {
                    let subscript = self.lower_subscript(subscript)?;
                    if let Expr::Subscripts(_, list) = &mut result
                        && follows
                    {
                        list.push(subscript);
                        result
                    } else {
                        Expr::Subscripts(Box::new(result), vec![subscript])
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
                        self.engine.note_field_star();
                    }
                    Expr::Field(Box::new(result), Ident::exact(&value))
                }
                AccessExpr::Dot(_) => {
                    return self.unsupported("a call in functional notation after a dot");
                }
            };
            follows = subscripts;
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
}
