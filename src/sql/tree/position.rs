//! Where in the client's text something stands.
//!
//! Deliberately absent: places in any other text (a view's, an index's), which the client never saw.

use super::expr::{Expr, Literal};
use super::query::{SelectItem, SetExpr};

/// Where a name, a column or a constant begins in the client's text, for `ErrorResponse` field `P`; of what the
/// proxy made, and of what a view's text holds, nowhere.
#[derive(Clone, Copy, Default)]
pub struct Position(Option<Begin>);

#[derive(Clone, Copy)]
struct Begin {
    byte: u32,
    token: u32,
}

impl Position {
    /// At this byte, which begins this token of the text; both count from 0.
    pub(in crate::sql) fn new(byte: usize, token: usize) -> Self {
        let begin = u32::try_from(byte).ok().zip(u32::try_from(token).ok());
        Self(begin.map(|(byte, token)| Begin { byte, token }))
    }

    /// Byte offset in the client's text.
    pub fn byte(self) -> Option<usize> {
        usize::try_from(self.0?.byte).ok()
    }

    /// Which of the text's tokens: the same in every text of the same shape.
    pub(in crate::sql) fn token(self) -> Option<u32> {
        Some(self.0?.token)
    }
}

impl From<Position> for Option<usize> {
    fn from(position: Position) -> Self {
        position.byte()
    }
}

/// Two things are not different for standing in different places.
impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Position {}

impl Expr {
    /// Where the leftmost part of it was written of which that is known.
    pub fn position(&self) -> Position {
        match self {
            Self::Name(name) | Self::Star(name) => name.position,
            Self::Column(column) => column.position,
            Self::Literal(Literal::Number(text) | Literal::String(text)) => text.position(),
            Self::Call(call) => call.function.position,
            Self::Constant { expr, .. }
            | Self::Held { expr, .. }
            | Self::Cast(expr, _)
            | Self::Collate(expr, _)
            | Self::Test(expr, _)
            | Self::Field(expr, _)
            | Self::Subscripts(expr, _)
            | Self::Binary(expr, ..)
            | Self::IsDistinct { left: expr, .. }
            | Self::Between { expr, .. }
            | Self::InList { expr, .. }
            | Self::InQuery { expr, .. }
            | Self::QuantifiedArray { left: expr, .. }
            | Self::QuantifiedQuery { left: expr, .. } => expr.position(),
            Self::And(operands) | Self::Or(operands) => {
                (operands.first()).map_or_else(Position::default, Self::position)
            }
            _ => Position::default(),
        }
    }
}

impl SetExpr {
    /// Where its first output was written, if that is known.
    pub fn position(&self) -> Position {
        let first = match self {
            Self::Select(select) => match select.items.first() {
                Some(SelectItem::Expr { expr, .. }) => Some(expr),
                _ => None,
            },
            Self::Values(rows) => rows.first().and_then(|row| row.first()),
            Self::Query(query) => return query.body.position(),
            Self::Chain { first, .. } => return first.position(),
        };
        first.map_or_else(Position::default, Expr::position)
    }
}
