//! Are equal values of an expression one and the same value? 1.0 and 1.00 are equal, and so are 30 days and
//! a month, 0 and -0: which of them max() or GROUP BY hands out tells which row came first, and the last
//! digits of a sum of floats do. Where the order of rows is protected (`plan::order`), it must not be
//! told that way.
//!
//! What is stored is taken as it is: nobody chooses its spelling row by row. Deliberately absent: whether
//! the order of any row is protected.

use super::Analyzer;
use super::expr::Info;
use super::functions::Chosen;
use super::lineage::OutputColumn;
use crate::catalog::TypeKind;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Call, Expr, Literal, OrderItem};

/// Types of which equal values are one.
const ALIKE: &[&str] = &[
    "bit",
    "bool",
    "bytea",
    "char",
    "cidr",
    "date",
    "inet",
    "int2",
    "int4",
    "int8",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "oid",
    "pg_lsn",
    "regclass",
    "regnamespace",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
];

/// Functions whose numbers have one scale, whatever they are given.
const SCALED: &[&str] = &[
    "ceil",
    "ceiling",
    "date_part",
    "extract",
    "floor",
    "round",
    "trunc",
];

/// From narrow to wide: PostgreSQL converts each to those after it.
const NUMBERS: &[Oid] = &[
    oid::INT2,
    oid::INT4,
    oid::INT8,
    oid::NUMERIC,
    oid::FLOAT4,
    oid::FLOAT8,
];

impl Analyzer<'_> {
    /// Are equal values of a resolved expression one?
    pub(super) fn is_alike(&self, e: &Expr, info: &Info) -> bool {
        match e {
            Expr::Literal(_) | Expr::Param(_) | Expr::Constant { .. } => return true,
            // Whatever types it compares.
            Expr::Binary(_, op, _)
                if matches!(&*op.symbol, "=" | "<>" | "<" | ">" | "<=" | ">=") =>
            {
                return true;
            }
            _ => {}
        }
        info.null
            || info.alike
            || info.ty.is_some_and(|ty| self.is_alike_type(ty))
            || info.ty.is_some_and(|ty| self.is_scaled(e, ty))
    }

    /// The same of a column of a query's result.
    pub(super) fn shows_alike(&self, output: &OutputColumn) -> bool {
        output.null || output.alike || output.ty.is_some_and(|ty| self.is_alike_type(ty))
    }

    /// The same of every value of a type.
    pub(super) fn is_alike_type(&self, ty: Oid) -> bool {
        let catalog = self.grounds.catalog;
        let Some(found) = catalog.types.get(&catalog.base_type(ty)) else {
            return false;
        };
        match found.array_element {
            Some(element) => self.is_alike_type(element),
            None => {
                found.kind == TypeKind::Enum
                    || found.schema == "pg_catalog" && ALIKE.contains(&found.name.as_str())
            }
        }
    }

    /// What an aggregate of these arguments tells of the order of its input.
    pub(super) fn told_by(&self, call: &mut Call, infos: &[Info], result: Option<Oid>) {
        let args = || call.args.iter().map(|a| &a.value).zip(infos);
        let apart = args().any(|(e, info)| !self.is_alike(e, info));
        let float = |ty: Oid| matches!(ty, oid::FLOAT4 | oid::FLOAT8);
        let inexact = infos.iter().any(|i| !i.null && i.ty.is_none_or(float));
        // The value that mode() and the like pick is one of those they sort.
        let column = |o: &OrderItem| match &o.expr {
            Expr::Column(column) => column.base.is_some_and(|(relation, _)| {
                let used = self.lineage.relation(relation);
                used.is_some_and(|r| !r.relation.temporary)
            }),
            _ => false,
        };
        let picked = call.within_group
            && !result.is_some_and(|ty| self.is_alike_type(ty))
            && !call.order_by.iter().all(column);
        call.apart = apart || picked;
        call.inexact = inexact;
    }

    /// The type PostgreSQL finds for numbers of several.
    pub(super) fn widest(types: &[Oid]) -> Option<Oid> {
        let places = types.iter().map(|ty| NUMBERS.iter().position(|n| n == ty));
        let places: Option<Vec<usize>> = places.collect();
        NUMBERS.get(places?.into_iter().max()?).copied()
    }

    /// Has a number as many digits behind the point for every row, or an interval one form?
    fn is_scaled(&self, e: &Expr, ty: Oid) -> bool {
        let scaled = |e: &Expr| self.is_scaled(e, ty);
        match e {
            Expr::Literal(Literal::Number(_) | Literal::Null) | Expr::Param(_) => true,
            Expr::Constant { expr, .. } => scaled(expr),
            Expr::Column(column) => column.base.is_some_and(|(relation, attnum)| {
                let relation = self.lineage.relation(relation).map(|r| &r.relation);
                let column = relation.and_then(|r| r.attribute(attnum));
                column.is_some_and(|c| c.typmod != -1 || self.is_alike_type(c.type_oid))
            }),
            Expr::Cast(inner, to) => {
                let whole = to.name.parts.last().map(crate::ident::Ident::as_str);
                let whole = matches!(whole, Some("int2" | "int4" | "int8"));
                !to.typmods.is_empty() || whole || scaled(inner)
            }
            Expr::Unary(_, inner) => ty != oid::FLOAT8 && ty != oid::FLOAT4 && scaled(inner),
            Expr::Binary(left, op, right) => match (ty, &*op.symbol) {
                (oid::NUMERIC, "+" | "-" | "*") => scaled(left) && scaled(right),
                // Of two points in time.
                (oid::INTERVAL, "-") => true,
                _ => false,
            },
            Expr::Call(call) => {
                let [schema, name] = call.function.parts.as_slice() else {
                    return false;
                };
                let first = || call.args.first().is_some_and(|a| scaled(&a.value));
                *schema == "pg_catalog"
                    && match (name.as_str(), ty) {
                        ("abs" | "avg" | "max" | "min" | "sum", oid::NUMERIC) => first(),
                        (name, ty) => {
                            SCALED.contains(&name) && (ty == oid::NUMERIC || name == "date_part")
                        }
                    }
            }
            _ => false,
        }
    }
}

/// Are equal results of a function one, if equal arguments are?
pub(super) fn keeps_alike(chosen: &Chosen, call: &Call) -> bool {
    let is = |name: &&str| chosen.is_builtin(name);
    ["date_part", "extract"].iter().any(is) || !call.apart && SCALED.iter().any(is)
}
