//! Is there one value of a type at most that equals a given value of another? A column that is compared so has one
//! row at most for it, if its key says that no two are equal.
//!
//! PostgreSQL compares values of two types in one of them, and what it converts may lose a difference: 128
//! neighbouring `int8` are one `float8`. Deliberately absent: conversions that nobody has looked at, which are taken
//! to lose one.

use super::Analyzer;
use crate::catalog::Column;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Expr, Operator};

/// An expression, and its type.
type Side<'e> = (&'e Expr, Option<Oid>);

impl Analyzer<'_> {
    /// Says of an `=` which side decides the other.
    pub(super) fn decide(&self, op: &mut Operator, sides: [&Expr; 2], types: [Option<Oid>; 2]) {
        if &*op.symbol != "=" || op.schema.as_ref().is_none_or(|s| *s != "pg_catalog") {
            return;
        }
        let base = |ty: Option<Oid>| ty.map(|ty| self.grounds.catalog.base_type(ty));
        let ([left, right], [l, r]) = (sides, types.map(base));
        let (l, r) = ((left, l), (right, r));
        op.decides = [self.decides(l, r), self.decides(r, l)];
    }

    /// Does `other`, of this type, decide a value of `ty`?
    fn decides(&self, (own, ty): Side<'_>, (other, other_type): Side<'_>) -> bool {
        let Some(ty) = ty.filter(|ty| *ty != oid::UNKNOWN) else {
            return false;
        };
        let of = match other_type {
            // What has no type of its own takes this one.
            None | Some(oid::UNKNOWN) => is_open(other),
            Some(other) => ty == other || is_exact(ty, other),
        };
        of && self.is_compared_by_its_own(own, other)
    }

    /// No collation but its own makes more values equal. Where all are deterministic, none does.
    fn is_compared_by_its_own(&self, own: &Expr, other: &Expr) -> bool {
        let mut collations = self.grounds.catalog.collations.values();
        let same = || {
            let both = self.base_column(own).zip(self.base_column(other));
            both.is_some_and(|(own, other)| own.collation == other.collation)
        };
        collations.all(|deterministic| *deterministic) || has_no_collation(other) || same()
    }

    fn base_column(&self, e: &Expr) -> Option<&Column> {
        let Expr::Column(column) = e else {
            return None;
        };
        let (id, attnum) = column.base?;
        self.lineage.relation(id)?.relation.attribute(attnum)
    }
}

/// A constant, or a parameter, that has no type before it is compared.
fn is_open(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) => true,
        Expr::Constant { expr, .. } => is_open(expr),
        _ => false,
    }
}

/// Constants have their type's collation, which gives way to a column's.
fn has_no_collation(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) => true,
        Expr::Constant { expr, .. } | Expr::Cast(expr, _) | Expr::Unary(_, expr) => {
            has_no_collation(expr)
        }
        _ => false,
    }
}

/// PostgreSQL compares them as values of `ty`, or as what no two values of `ty` become alike.
fn is_exact(ty: Oid, other: Oid) -> bool {
    use oid::{
        BPCHAR, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, NAME, NUMERIC, TEXT, TIMESTAMP,
        TIMESTAMPTZ, VARCHAR,
    };
    match ty {
        // With floats as float8, which has 53 bits.
        INT2 | INT4 => matches!(other, INT2 | INT4 | INT8 | NUMERIC | FLOAT4 | FLOAT8),
        INT8 => matches!(other, INT2 | INT4 | NUMERIC),
        NUMERIC => matches!(other, INT2 | INT4 | INT8),
        FLOAT4 | FLOAT8 => matches!(other, INT2 | INT4 | INT8 | NUMERIC | FLOAT4 | FLOAT8),
        // Where a time zone leaves out an hour or a day, two of them are one instant.
        DATE => other == TIMESTAMP,
        TIMESTAMP => other == DATE,
        TIMESTAMPTZ => matches!(other, DATE | TIMESTAMP),
        TEXT | VARCHAR | NAME => matches!(other, TEXT | VARCHAR | NAME),
        // Blanks at the end make no difference to it either.
        BPCHAR => matches!(other, TEXT | VARCHAR),
        _ => false,
    }
}
