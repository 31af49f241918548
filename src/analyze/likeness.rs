//! What is known of a value that may become one of several: of an expression, or of a column.
//!
//! Deliberately absent: what is made of it (`alike`).

use super::alike::Alike;
use super::expr::Info;
use super::lineage::OutputColumn;
use super::literal::is_constant;
use super::scope::Visible;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::Expr;

/// A scale that is one for every row, but not known: what is made of it is no more.
pub(super) const FIXED: u16 = u16::MAX;

/// What is known of one of several values.
#[derive(Clone, Copy)]
pub(super) struct Likeness {
    pub(super) null: bool,
    pub(super) ty: Option<Oid>,
    pub(super) alike: Alike,
    pub(super) scale: Option<u16>,
}

impl Likeness {
    /// Of an expression; a constant is the same wherever it stands.
    pub(super) fn of(e: &Expr, info: &Info) -> Self {
        Self {
            null: info.null,
            ty: info.ty,
            alike: match info.alike {
                Alike::Unknown if is_constant(e) => Alike::Made,
                known => known,
            },
            scale: scale_of(info),
        }
    }

    /// Of a column of a query's result.
    pub(super) fn of_output(output: &OutputColumn) -> Self {
        Self {
            null: output.null,
            ty: output.ty,
            alike: output.alike,
            scale: numeric_scale(output.ty, output.scale),
        }
    }

    /// Of a column in FROM.
    pub(super) fn of_visible(column: &Visible) -> Self {
        Self {
            null: false,
            ty: column.ty,
            alike: column.alike,
            scale: numeric_scale(column.ty, column.scale),
        }
    }
}

/// The scale of a number.
pub(super) fn scale_of(info: &Info) -> Option<u16> {
    numeric_scale(info.ty, info.scale)
}

fn numeric_scale(ty: Option<Oid>, scale: Option<u16>) -> Option<u16> {
    match ty {
        Some(oid::INT2 | oid::INT4 | oid::INT8) => Some(0),
        _ => scale,
    }
}
