//! Numbers: steps, rounding, bounds. Results are clamped to the type, because
//! `round(999.99::numeric(5,2), -3)` overflows and the error would tell the value.
//!
//! Arithmetic is PostgreSQL's: no value is computed here, only bounds of types.

use super::column_type::{ColumnType, Kind};
use super::constant::decimal;
use super::decimal::Decimal;
use super::mask::MaskError;
use super::sql_text::{call, case, cast, literal, op, quote};
use crate::pg::types::oid;

/// The largest step of an integer: twice of it is still an int8.
const MAX_INTEGER_STEP: i128 = 1_000_000_000_000_000_000;

/// Beyond this a bare numeric's result could leave its 131,072 digits.
const NUMERIC_EDGE: &str = "9e131071";

/// floor(x/step)·step
pub(super) fn round_to(step: &str, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    let step = decimal("round_to", step)?;
    if !step.is_positive() {
        return Err(MaskError::new("round_to must be greater than zero"));
    }
    match ty.kind() {
        Kind::Integer => integer_steps(&step, ty, x),
        Kind::Float => float_steps(&step, ty, x),
        _ => numeric_steps(&step, ty, x),
    }
}

fn integer_steps(step: &Decimal, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    let step = (step.to_integer())
        .filter(|step| (2..=MAX_INTEGER_STEP).contains(step))
        .ok_or_else(|| MaskError::new("round_to on an integer must be whole, from 2 to 10^18"))?;
    let (lowest, _) = ty
        .integer_range()
        .ok_or_else(|| MaskError::new("not an integer"))?;
    // Below the first step the type can hold, floor would leave the type.
    let first = lowest.saturating_add(lowest.saturating_neg().rem_euclid(step));
    // Twice the step must have room, and a bare constant is an int4 already.
    let narrow = ty.oid == oid::INT4 && step < i128::from(i32::MAX >> 1);
    let (x, integer): (String, fn(i128) -> String) = if narrow {
        (ty.as_type(x, "int4"), |n| n.to_string())
    } else {
        (ty.as_type(x, "int8"), |n| literal(&n.to_string(), "int8"))
    };
    let n = integer(step);
    let remainder = op(&op(&op(&x, "%", &n), "+", &n), "%", &n);
    Ok(case(
        &[(op(&x, "<", &integer(first)), integer(lowest))],
        &op(&x, "-", &remainder),
    ))
}

fn float_steps(step: &Decimal, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    let step = (step.to_f64())
        .filter(|step| (1e-6..=1e15).contains(step))
        .ok_or_else(|| MaskError::new("round_to on a float must lie between 10^-6 and 10^15"))?;
    let x = ty.as_type(x, "float8");
    let float = |value: f64| literal(&format!("{value:e}"), "float8");
    let n = float(step);
    let zero = float(0.0);
    let steps = op(&call("floor", &[&op(&x, "/", &n)]), "*", &n);
    // The first two keep tiny values from underflowing in the division. The third has all values so
    // large that no bit of them is below the step, with the infinities and NaN (which sorts last).
    Ok(case(
        &[
            (
                format!("{} AND {}", op(&x, ">=", &zero), op(&x, "<", &n)),
                zero.clone(),
            ),
            (
                format!("{} AND {}", op(&x, "<", &zero), op(&x, ">=", &float(-step))),
                float(-step),
            ),
            (op(&call("abs", &[&x]), ">", &float(step * 1e15)), x.clone()),
        ],
        &steps,
    ))
}

fn numeric_steps(step: &Decimal, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    let x = ty.as_type(x, "numeric");
    let n = numeric(step);
    // Division rounds to some sixteen digits; mod is exact.
    let remainder = call("mod", &[&op(&call("mod", &[&x, &n]), "+", &n), &n]);
    let steps = op(&x, "-", &remainder);
    let Some((precision, scale)) = ty.precision() else {
        let steps = call("round", &[&steps, &step.scale().to_string()]);
        let mut arms = infinities(&x);
        arms.push((
            op(&x, "<", &literal(&format!("-{NUMERIC_EDGE}"), "numeric")),
            literal(&format!("-{NUMERIC_EDGE}"), "numeric"),
        ));
        return Ok(case(&arms, &steps));
    };
    let finest = power_of_ten(scale.saturating_neg())?;
    if *step <= finest {
        return Err(MaskError::new(format!(
            "round_to keeps every digit of numeric({precision},{scale})"
        )));
    }
    let lowest = numeric(&largest(precision, scale)?.negated());
    // How many digits are shown is settled by the cast to the column's type. Below the first step the
    // type can hold, which mod finds because it rounds towards zero, floor would leave the type.
    let first = op(&lowest, "-", &call("mod", &[&lowest, &n]));
    Ok(case(
        &[
            // NaN sorts last, so it takes this arm and stays NaN.
            (op(&x, ">=", "0."), op(&x, "-", &call("mod", &[&x, &n]))),
            (op(&x, "<", &first), lowest),
        ],
        &steps,
    ))
}

/// PostgreSQL's round(x, digits), clamped.
pub(super) fn round(digits: i32, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    if !(-1_000..=1_000).contains(&digits) {
        return Err(MaskError::new("round must lie between -1000 and 1000"));
    }
    let x = ty.as_type(x, "numeric");
    let rounded = call("round", &[&x, &digits.to_string()]);
    let Some((lowest, highest, scale)) = bounds(ty)? else {
        let mut arms = infinities(&x);
        for (operator, edge) in [
            (">", NUMERIC_EDGE.to_owned()),
            ("<", format!("-{NUMERIC_EDGE}")),
        ] {
            let edge = literal(&edge, "numeric");
            // NaN sorts last and must stay.
            let is_number = op(&x, "<>", &literal("NaN", "numeric"));
            arms.push((format!("{} AND {is_number}", op(&x, operator, &edge)), edge));
        }
        return Ok(case(&arms, &rounded));
    };
    if digits >= scale {
        return Err(MaskError::new(format!(
            "round: {digits} keeps every digit of {}",
            ty.shown()
        )));
    }
    // Half a unit above the last whole one, a value rounds to more than the type holds. Its lowest
    // value has the same whole units.
    let edge = highest.half_above(digits.saturating_neg());
    let Some(edge) = edge.filter(|edge| *edge <= highest) else {
        return Ok(rounded);
    };
    let (up, down) = (numeric(&edge), numeric(&edge.negated()));
    let safe = format!("{} AND {}", op(&x, "<", &up), op(&x, ">", &down));
    let mut above = op(&x, ">=", &up);
    if ty.kind() == Kind::Numeric {
        // NaN sorts last, and must stay.
        above = format!("{above} AND {}", op(&x, "<>", &quote("NaN")));
    }
    Ok(case(
        &[
            (safe, rounded.clone()),
            (above, numeric(&highest)),
            (op(&x, "<=", &down), numeric(&lowest)),
        ],
        &rounded,
    ))
}

/// Values beyond a bound become the bound. NaN sorts above every number.
pub(super) fn clamp(
    top: Option<&str>,
    bottom: Option<&str>,
    ty: &ColumnType,
    x: &str,
) -> Result<String, MaskError> {
    let top = top.map(|value| decimal("top", value)).transpose()?;
    let bottom = bottom.map(|value| decimal("bottom", value)).transpose()?;
    match (&top, &bottom) {
        (None, None) => return Err(MaskError::new("top or bottom is needed")),
        (Some(top), Some(bottom)) if top < bottom => {
            return Err(MaskError::new("top is below bottom"));
        }
        _ => {}
    }
    let x = cast(x, wide_type(ty));
    let mut arms = Vec::new();
    for (operator, bound) in [(">", top), ("<", bottom)] {
        let Some(bound) = bound else { continue };
        let bound = bound_literal(bound, ty)?;
        arms.push((op(&x, operator, &bound), bound));
    }
    Ok(case(&arms, &x))
}

/// A constant of the type. One that numeric(p,s) cannot hold is clamped to it; one that no value of
/// an integer type equals is a slip.
pub(super) fn constant(value: &str, ty: &ColumnType) -> Result<String, MaskError> {
    let value = decimal("constant", value)?;
    if ty.kind() == Kind::Integer
        && let Some((lowest, highest, _)) = bounds(ty)?
        && !(lowest..=highest).contains(&value)
    {
        return Err(MaskError::new(format!(
            "constant is out of range for {}",
            ty.shown()
        )));
    }
    bound_literal(value, ty)
}

fn bound_literal(bound: Decimal, ty: &ColumnType) -> Result<String, MaskError> {
    if ty.kind() == Kind::Float {
        let value = bound
            .to_f64()
            .ok_or_else(|| MaskError::new("number is out of range"))?;
        return Ok(literal(&format!("{:e}", fit_float(value, ty)), "float8"));
    }
    let bound = match bounds(ty)? {
        Some((lowest, highest, _)) => bound.clamp(lowest, highest),
        None => bound,
    };
    if ty.kind() == Kind::Integer {
        let whole = (bound.to_integer())
            .ok_or_else(|| MaskError::new("a bound of an integer must be whole"))?;
        return Ok(literal(&whole.to_string(), "int8"));
    }
    Ok(numeric(&bound))
}

/// What a cast to float4 can hold without an overflow or underflow.
fn fit_float(value: f64, ty: &ColumnType) -> f64 {
    if ty.oid != oid::FLOAT4 {
        return value;
    }
    let smallest = f64::from(f32::MIN_POSITIVE);
    if value.abs() < smallest {
        0.0
    } else {
        value.clamp(f32::MIN.into(), f32::MAX.into())
    }
}

fn wide_type(ty: &ColumnType) -> &'static str {
    match ty.kind() {
        Kind::Integer => "int8",
        Kind::Float => "float8",
        _ => "numeric",
    }
}

/// Lowest and highest value and the scale; `None` for a bare numeric.
fn bounds(ty: &ColumnType) -> Result<Option<(Decimal, Decimal, i32)>, MaskError> {
    let size = || MaskError::new("type is too large");
    if let Some((lowest, highest)) = ty.integer_range() {
        let lowest = Decimal::from_integer(lowest).ok_or_else(size)?;
        let highest = Decimal::from_integer(highest).ok_or_else(size)?;
        return Ok(Some((lowest, highest, 0)));
    }
    let Some((precision, scale)) = ty.precision() else {
        return Ok(None);
    };
    let highest = largest(precision, scale)?;
    Ok(Some((highest.clone().negated(), highest, scale)))
}

fn largest(precision: u32, scale: i32) -> Result<Decimal, MaskError> {
    Decimal::nines(precision, scale).ok_or_else(|| MaskError::new("type is too large"))
}

fn power_of_ten(exponent: i32) -> Result<Decimal, MaskError> {
    Decimal::power_of_ten(exponent).ok_or_else(|| MaskError::new("number is out of range"))
}

/// A number PostgreSQL reads as numeric, whatever its size: by its exponent or point.
fn numeric(value: &Decimal) -> String {
    let mut text = value.to_string();
    if !text.contains('e') {
        text.push('.');
    }
    text
}

fn infinities(x: &str) -> Vec<(String, String)> {
    ["Infinity", "-Infinity"]
        .map(|value| (op(x, "=", &literal(value, "numeric")), x.to_owned()))
        .into()
}
