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
use crate::sql::tree::{Call, Expr};

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

/// Functions whose value is one of those they are given, or made of them alone.
const KEEPING: &[&str] = &[
    "abs",
    "avg",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "max",
    "min",
    "sum",
    "to_json",
    "to_jsonb",
];

/// Those of them that keep the scale of a number.
const SAME_SCALE: &[&str] = &["abs", "max", "min", "sum"];

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
            || scale_of(info).is_some()
    }

    /// The same of a column of a query's result.
    pub(super) fn shows_alike(&self, output: &OutputColumn) -> bool {
        output.null
            || output.alike
            || output.scale.is_some()
            || output.ty.is_some_and(|ty| self.is_alike_type(ty))
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

    /// Notes what an aggregate of these arguments tells of the order of its input. What is known of its
    /// value.
    pub(super) fn told_by(
        &self,
        call: &mut Call,
        chosen: &mut Chosen,
        infos: &[Info],
        sorted: &[Info],
    ) -> Likeness {
        let keys = call.order_by.iter().map(|o| &o.expr).zip(sorted);
        let keys = keys.filter(|_| call.within_group);
        let args = call.args.iter().map(|a| &a.value).zip(infos);
        call.apart = args.chain(keys).any(|(e, info)| !self.is_alike(e, info));
        let float = |ty: Oid| matches!(ty, oid::FLOAT4 | oid::FLOAT8);
        call.inexact = infos.iter().any(|i| !i.null && i.ty.is_none_or(float));
        let is = |name: &&str| chosen.is_builtin(name);
        let picks = ["mode", "percentile_disc"].iter().any(is);
        let first = if call.within_group {
            sorted.first()
        } else {
            infos.first()
        };
        let whatever = ["date_part", "extract"].iter().any(is);
        let keeps = SCALED.iter().chain(KEEPING).any(is) || picks;
        let whole = SCALED.iter().any(is) && chosen.result == Some(oid::NUMERIC);
        let scale = match call.args.as_slice() {
            [_, _] if whole => Some(FIXED),
            [_] if whole => Some(0),
            _ if picks || SAME_SCALE.iter().any(is) => first.and_then(scale_of),
            _ => None,
        };
        let alike = whatever || (keeps || self.returns_alike(chosen)) && !call.apart;
        if picks && chosen.result.is_none() {
            chosen.result = first.and_then(|info| info.ty);
        }
        Likeness { alike, scale }
    }

    /// Is whatever a function of PostgreSQL's own returns alike, or of a type it is given? Which of several of
    /// its name it is need not be known.
    fn returns_alike(&self, chosen: &Chosen) -> bool {
        let name = [chosen.schema.clone(), chosen.name.clone()];
        let catalog = self.grounds.catalog;
        let given = |ty: Oid| {
            let ty = catalog.types.get(&ty);
            ty.is_some_and(|t| matches!(t.kind, TypeKind::Pseudo) && t.name != "record")
        };
        chosen.schema == "pg_catalog"
            && (catalog.overloads(&name)).all(|f| self.is_alike_type(f.result) || given(f.result))
    }

    /// What is known of the value of an operator.
    pub(super) fn made_alike(&self, symbol: &str, [l, r]: [&Info; 2], made: Info) -> Info {
        let (left, right) = (scale_of(l), scale_of(r));
        let scale = left.zip(right).and_then(|(l, r)| match symbol {
            "+" | "-" => Some(l.max(r)),
            "*" => Some(l.saturating_add(r)),
            _ => None,
        });
        let one = |i: &Info| i.null || i.alike || i.ty.is_some_and(|ty| self.is_alike_type(ty));
        let alike = match made.ty {
            // Of two points in time.
            Some(oid::INTERVAL) => symbol == "-" && one(l) && one(r),
            // A part of a document is as it is in the document.
            Some(oid::JSONB | oid::JSON) => one(l) && one(r),
            None if symbol == "||" || l.ty == Some(oid::JSONB) => one(l) && one(r),
            _ => false,
        };
        let scale = scale.filter(|_| made.ty == Some(oid::NUMERIC));
        Info {
            alike,
            scale,
            ..made
        }
    }

    /// The type PostgreSQL finds for numbers of several.
    pub(super) fn widest(types: &[Oid]) -> Option<Oid> {
        let places = types.iter().map(|ty| NUMBERS.iter().position(|n| n == ty));
        let places: Option<Vec<usize>> = places.collect();
        NUMBERS.get(places?.into_iter().max()?).copied()
    }
}

/// A scale that is one for every row, but not known: what is made of it is no more.
pub(super) const FIXED: u16 = u16::MAX;

/// What is known of a value.
pub(super) struct Likeness {
    pub(super) alike: bool,
    pub(super) scale: Option<u16>,
}

/// The scale of a number.
pub(super) fn scale_of(info: &Info) -> Option<u16> {
    match info.ty {
        Some(oid::INT2 | oid::INT4 | oid::INT8) => Some(0),
        _ => info.scale,
    }
}

pub(super) fn is_number(ty: Option<Oid>) -> bool {
    ty.is_none_or(|ty| NUMBERS.contains(&ty))
}
