//! What fails before PostgreSQL looks at a row, or for none: it reads constants as it parses, parameters as
//! they are bound, and computes with constants as it plans, if what it computes is immutable. All else that
//! needs no row, as a cast of a constant's cast or what is computed with a parameter, waits for the first row
//! that asks for it, behind CASE and OR for a certain row.
//!
//! Deliberately absent: parameters that are of another type than they are cast to (`Lineage::failing`).

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use super::raising::text;
use crate::sql::tree::{Call, Expr, Literal, SystemValue, TypeName};

/// Days by which a moment may be away from our time, or from that of a constant: PostgreSQL's dates begin in
/// 4714 BC.
const FAR: f64 = 2_000_000.0;

const NUMBERS: &[&str] = &["float4", "float8", "int2", "int4", "int8", "numeric"];
const MOMENTS: &[&str] = &["date", "timestamp", "timestamptz"];

/// What moments are truncated to, and the fields of dates and timestamps alike.
const UNITS: &[&str] = &[
    "year", "quarter", "month", "week", "day", "hour", "minute", "second",
];
const FIELDS: &[&str] = &[
    "year", "isoyear", "quarter", "month", "week", "day", "dow", "isodow", "doy", "epoch",
];

/// Does it fail for no row, and not because of one either?
pub(super) fn is_early(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) | Expr::Constant { .. } | Expr::SystemValue(_) => true,
        Expr::Cast(inner, ty) if is_written(inner) => {
            // Of how many digits a number may be is asked after it is bound.
            let asked = !ty.typmods.is_empty() && !has_text(ty) && is_param(inner);
            // Of a number it waits for the locale.
            let money = scalar(ty, &["money"]).is_some() && is_number(inner);
            builtin(ty).is_some() && !asked && !money
        }
        Expr::Array(items) => items.iter().all(is_early),
        // Between moments of our time.
        Expr::Binary(left, op, right)
            if is_builtin(op) && &*op.symbol == "-" && is_moment(left) && is_moment(right) =>
        {
            true
        }
        Expr::Call(call) if is_of(call, &["age"]) => values(call).all(is_moment),
        Expr::Call(call) if is_of(call, &["date_part", "extract"]) => {
            of_unit(call, FIELDS).is_some_and(|days| days < FAR)
        }
        _ => is_number(e) || span(e).is_some() || is_moment(e),
    }
}

fn is_of(call: &Call, names: &[&str]) -> bool {
    let plain = call.over.is_none() && call.filter.is_none() && call.order_by.is_empty();
    plain && is_builtin_of(&call.function.parts, names)
}

fn values(call: &Call) -> impl Iterator<Item = &Expr> {
    call.args.iter().map(|a| &a.value)
}

/// A type of PostgreSQL's own: no domain, which tests what it is given when it is asked for.
fn builtin(ty: &TypeName) -> Option<&str> {
    match ty.name.parts.as_slice() {
        [schema, name] if *schema == "pg_catalog" => Some(name.as_str()),
        _ => None,
    }
}

fn scalar<'t>(ty: &'t TypeName, among: &[&str]) -> Option<&'t str> {
    builtin(ty).filter(|name| among.contains(name) && ty.array_dims == 0)
}

fn has_text(ty: &TypeName) -> bool {
    matches!(builtin(ty), Some("bpchar" | "varchar"))
}

fn is_param(e: &Expr) -> bool {
    match e {
        Expr::Constant { expr, .. } => is_param(expr),
        e => matches!(e, Expr::Param(_)),
    }
}

fn is_written(e: &Expr) -> bool {
    matches!(e, Expr::Literal(_) | Expr::Param(_) | Expr::Constant { .. })
}

/// Is it computed of numbers that are written out? That is done as the statement is planned.
fn is_number(e: &Expr) -> bool {
    match e {
        Expr::Literal(Literal::Number(_)) => true,
        Expr::Constant { expr, .. } => is_number(expr),
        Expr::Cast(inner, ty) => {
            let told = matches!(&**inner, Expr::Literal(Literal::String(_)));
            scalar(ty, NUMBERS).is_some() && (told || is_number(inner))
        }
        Expr::Unary(op, inner) => is_builtin(op) && is_number(inner),
        Expr::Binary(left, op, right) => is_builtin(op) && is_number(left) && is_number(right),
        _ => false,
    }
}

/// The number that is written, if it is not large.
pub(super) fn number(e: &Expr) -> Option<f64> {
    match e {
        Expr::Literal(Literal::Number(n)) => n.value().parse().ok().filter(|n| *n < FAR),
        Expr::Constant { expr, .. } => number(expr),
        Expr::Unary(op, inner) if is_builtin(op) && &*op.symbol == "-" => number(inner),
        _ => None,
    }
}

/// How many days an interval has at most.
fn span(e: &Expr) -> Option<f64> {
    match e {
        Expr::Constant { expr, .. } => span(expr),
        Expr::Cast(inner, ty) if scalar(ty, &["interval"]).is_some() => {
            let text = text(inner)?;
            if ty.interval_fields.is_none() {
                return days(text);
            }
            // The unit is with the type: interval '1' year.
            let number: f64 = text.parse::<u32>().ok()?.into();
            Some(number * 366.0)
        }
        Expr::Unary(op, inner) if is_builtin(op) && &*op.symbol == "-" => span(inner),
        Expr::Binary(left, op, right) if is_builtin(op) && &*op.symbol == "*" => {
            let times = |span: Option<f64>, number: Option<f64>| Some(span? * number?);
            times(span(left), number(right)).or_else(|| times(span(right), number(left)))
        }
        Expr::Call(call) if is_of(call, &["make_interval"]) => {
            values(call).map(|n| number(n).map(|n| n * 366.0)).sum()
        }
        _ => None,
    }
}

/// How many days are in `1 year 2 mons -3 days`, or more.
fn days(text: &str) -> Option<f64> {
    let mut words = text.split_ascii_whitespace();
    let mut days = 0.0;
    while let Some(word) = words.next() {
        let digits = word.trim_start_matches(['-', '+']);
        let number = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match digits.get(number.len()..)? {
            // Hours, minutes and seconds, or a number without a unit, which is of seconds.
            "" if number.contains(':') => {
                let clock =
                    number.len() <= 8 && number.bytes().all(|b| b.is_ascii_digit() || b == b':');
                days += if clock { 5.0 } else { return None };
                continue;
            }
            "" => words.next().unwrap_or("second"),
            unit => unit,
        };
        let short = number.len() <= 7 && number.bytes().all(|b| b.is_ascii_digit());
        let number: f64 = number.parse().ok().filter(|_| short)?;
        let unit = unit.to_ascii_lowercase();
        days += number
            * match unit.strip_suffix('s').unwrap_or(&unit) {
                "year" | "yr" | "y" => 366.0,
                "month" | "mon" => 31.0,
                "week" | "w" => 7.0,
                "day" | "d" => 1.0,
                "hour" | "hr" | "h" | "minute" | "min" | "m" | "second" | "sec" | "" => 0.05,
                _ => return None,
            };
    }
    Some(days)
}

fn is_moment(e: &Expr) -> bool {
    away(e).is_some_and(|days| days < FAR)
}

/// How many days a moment is away from our time at most.
fn away(e: &Expr) -> Option<f64> {
    match e {
        Expr::Constant { expr, .. } => away(expr),
        Expr::SystemValue(
            SystemValue::CurrentDate
            | SystemValue::CurrentTimestamp(_)
            | SystemValue::LocalTimestamp(_),
        ) => Some(0.0),
        Expr::Cast(inner, ty) => {
            scalar(ty, MOMENTS)?;
            match &**inner {
                Expr::Literal(Literal::String(text)) => is_of_our_time(text.value()).then_some(0.0),
                inner => away(inner),
            }
        }
        Expr::Binary(left, op, right) if is_builtin(op) => {
            let by = |e: &Expr| span(e).or_else(|| number(e));
            match &*op.symbol {
                "+" => match away(left) {
                    Some(days) => Some(days + by(right)?),
                    None => Some(away(right)? + by(left)?),
                },
                "-" => Some(away(left)? + by(right)?),
                _ => None,
            }
        }
        Expr::Call(call) => {
            let now = ["now", "statement_timestamp", "transaction_timestamp"];
            if is_of(call, &now) {
                Some(0.0)
            } else if is_of(call, &["date_trunc"]) {
                of_unit(call, UNITS).map(|days| days + 366.0)
            } else if is_of(call, &["timezone"]) {
                let [zone, moment] = call.args.as_slice() else {
                    return None;
                };
                let known = text(&zone.value)?.eq_ignore_ascii_case("utc");
                away(&moment.value).filter(|_| known).map(|days| days + 2.0)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// `2026-11-23`, and what stands behind it; the constant is read as the statement is parsed.
fn is_of_our_time(text: &str) -> bool {
    let year = text.bytes().take(4);
    let after = text.as_bytes().get(4) == Some(&b'-');
    let dated = text.len() >= 10 && after && year.clone().all(|b| b.is_ascii_digit());
    dated && text.as_bytes().first() != Some(&b'0') && !text.to_ascii_lowercase().contains("bc")
}

/// Of `f('unit', moment)`, how far away the moment is.
fn of_unit(call: &Call, units: &[&str]) -> Option<f64> {
    let [unit, moment] = call.args.as_slice() else {
        return None;
    };
    let unit = text(&unit.value)?.to_ascii_lowercase();
    away(&moment.value).filter(|_| units.contains(&&*unit))
}
