//! What a constant says of itself: its type, and how many digits it has behind the
//! point. Deliberately
//! absent: what it means as a token (`constant`).

use super::expr::Info;
use super::likeness::FIXED;
use crate::pg::types::oid;
use crate::sql::tree::{Expr, Literal, NumberType};

impl Info {
    /// What a constant says of itself.
    pub(super) fn of_literal(l: &Literal) -> Self {
        match l {
            Literal::Null => Info {
                null: true,
                ..Info::default()
            },
            Literal::Bool(_) => Info::computed(false, Some(oid::BOOL)),
            Literal::Number(n) => {
                let ty = match n.number_type() {
                    NumberType::Int4 => oid::INT4,
                    NumberType::Int8 => oid::INT8,
                    NumberType::Numeric => oid::NUMERIC,
                };
                Self {
                    scale: (ty == oid::NUMERIC).then_some(FIXED),
                    ..Self::computed(false, Some(ty))
                }
            }
            Literal::String(_) => Info::computed(false, Some(oid::UNKNOWN)),
            Literal::Bits { .. } => Info::default(),
        }
    }
}

/// Is it one value, whatever the row is?
pub(super) fn is_constant(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) | Expr::Constant { .. } => true,
        Expr::Cast(inner, _) | Expr::Unary(_, inner) => is_constant(inner),
        _ => false,
    }
}

/// How many digits a constant has behind the point. To look at it is to plan each other one anew.
pub(super) fn written_scale(e: &Expr) -> Option<u16> {
    match e {
        Expr::Literal(Literal::Number(n)) => {
            let digits = n.value();
            let behind = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
            u16::try_from(behind).ok().filter(|_| !digits.contains('e'))
        }
        Expr::Constant { expr, .. } | Expr::Unary(_, expr) => written_scale(expr),
        _ => None,
    }
}
