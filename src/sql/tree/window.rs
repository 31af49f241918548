//! Windows and their frames.

use super::expr::Expr;
use super::query::OrderItem;
use crate::ident::Ident;

/// `OVER (base PARTITION BY … ORDER BY … frame)`, or `OVER name`.
#[derive(Clone)]
pub struct Window {
    /// `OVER name` when `is_reference`, else the base window of the parenthesised form.
    pub base: Option<Ident>,
    /// `OVER name`, without parentheses.
    pub is_reference: bool,
    /// `PARTITION BY`
    pub partition_by: Vec<Expr>,
    /// `ORDER BY`
    pub order_by: Vec<OrderItem>,
    /// `ROWS …`
    pub frame: Option<WindowFrame>,
}

/// A window frame.
#[derive(Clone)]
pub struct WindowFrame {
    /// `ROWS`, `RANGE`, `GROUPS`
    pub units: FrameUnits,
    /// Start.
    pub start: FrameBound,
    /// End, when `BETWEEN` was used.
    pub end: Option<FrameBound>,
    /// `EXCLUDE …`
    pub exclusion: Option<FrameExclusion>,
}

/// Frame units.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FrameUnits {
    /// `ROWS`
    Rows,
    /// `RANGE`
    Range,
    /// `GROUPS`
    Groups,
}

/// One end of a frame.
#[derive(Clone)]
pub enum FrameBound {
    /// `UNBOUNDED PRECEDING`
    UnboundedPreceding,
    /// `e PRECEDING`
    Preceding(Box<Expr>),
    /// `CURRENT ROW`
    CurrentRow,
    /// `e FOLLOWING`
    Following(Box<Expr>),
    /// `UNBOUNDED FOLLOWING`
    UnboundedFollowing,
}

/// `EXCLUDE …`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FrameExclusion {
    /// `CURRENT ROW`
    CurrentRow,
    /// `GROUP`
    Group,
    /// `TIES`
    Ties,
    /// `NO OTHERS`
    NoOthers,
}
