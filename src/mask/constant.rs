//! Every value becomes one value, which is checked against the type here: a constant PostgreSQL
//! cannot read would fail at every query.
//!
//! What is accepted is narrower than what PostgreSQL reads, and the same under every setting of a
//! session. Types nothing is known of (enums, geometry, extensions) take no constant.

use std::net::IpAddr;

use super::column_type::{ColumnType, Kind, TextKind};
use super::decimal::Decimal;
use super::mask::MaskError;
use super::partial_wire::TextShape;
use super::sql_text::quote;
use super::{number, temporal};
use crate::pg::types::oid;

/// As SQL, not yet cast to the column's typmod.
pub(super) fn sql(value: &str, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    if value.contains('\0') {
        return Err(MaskError::new("a constant may not contain a NUL character"));
    }
    let literal = match ty.kind() {
        Kind::Text(_) => super::sql_text::literal(value, "text"),
        Kind::Integer | Kind::Numeric | Kind::Float => number::constant(value, ty)?,
        kind => {
            check(value, ty)?;
            let value = match kind {
                // Like a bound of a range, it is meant in UTC: one instant for every session.
                Kind::TimestampTz => temporal::in_utc(value),
                _ => value.to_owned(),
            };
            format!("{}::{}", quote(&value), ty.sql)
        }
    };
    // Unlike IS NULL, this is false for a composite value whose fields are all NULL.
    Ok(format!(
        "CASE WHEN {x} IS NOT DISTINCT FROM NULL THEN NULL ELSE {literal} END"
    ))
}

/// As PostgreSQL would send it. `None` when the type has no fixed wire form.
pub(super) fn wire(value: &str, ty: &ColumnType, kind: TextKind) -> Option<Box<[u8]>> {
    if kind == TextKind::Citext {
        return None;
    }
    let mut out = value.as_bytes().to_vec();
    TextShape::new(ty, kind).finish(&mut out, 0);
    Some(out.into())
}

fn check(value: &str, ty: &ColumnType) -> Result<(), MaskError> {
    let valid = match (ty.kind(), ty.oid) {
        (Kind::Json | Kind::Jsonb, _) => super::json::is_json(value),
        (Kind::Date, _) => temporal::is_date(value),
        (Kind::Timestamp | Kind::TimestampTz, _) => temporal::is_timestamp(value),
        (Kind::Inet, _) => is_address(value),
        (Kind::Cidr, _) => is_network(value),
        (_, oid::BOOL) => matches!(value, "true" | "false" | "t" | "f"),
        (_, oid::UUID) => is_uuid(value),
        (_, oid::BYTEA) => value.strip_prefix("\\x").is_some_and(|hex| {
            hex.len().is_multiple_of(2) && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
        }),
        (_, oid::TIME) => temporal::is_time(value),
        (_, oid::INTERVAL) => is_interval(value),
        (_, oid::OID) => value.parse::<u32>().is_ok() && !value.starts_with('+'),
        // Cut to 63 bytes, as every name is.
        (_, oid::NAME) => true,
        _ => {
            return Err(MaskError::new(format!(
                "a constant of {} cannot be checked: use nullify or deny",
                ty.shown()
            )));
        }
    };
    if valid {
        return Ok(());
    }
    Err(MaskError::new(format!(
        "constant cannot be read as {}",
        ty.shown()
    )))
}

fn is_address(value: &str) -> bool {
    let (address, bits) = match value.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (value, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    // No sign and no leading zero: PostgreSQL reads neither.
    bits.is_none_or(|text| {
        text.parse::<u8>()
            .is_ok_and(|bits| bits <= most && bits.to_string() == text)
    })
}

/// `0`, or one number with its unit: `90 days`.
fn is_interval(value: &str) -> bool {
    const UNITS: [&str; 7] = ["second", "minute", "hour", "day", "week", "month", "year"];
    let is_number = |text: &str| {
        (1..=6).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    match value.split_once(' ') {
        Some((number, unit)) => {
            is_number(number) && UNITS.contains(&unit.strip_suffix('s').unwrap_or(unit))
        }
        None => value == "0",
    }
}

/// A network has no bits set below its mask.
fn is_network(value: &str) -> bool {
    let Some((address, bits)) = value.split_once('/') else {
        return is_address(value);
    };
    let Ok(bits) = bits.parse::<u32>() else {
        return false;
    };
    is_address(value)
        && match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => v4.to_bits().checked_shl(bits).unwrap_or(0) == 0,
            Ok(IpAddr::V6(v6)) => v6.to_bits().checked_shl(bits).unwrap_or(0) == 0,
            Err(_) => false,
        }
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && (value.bytes().enumerate()).all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A number, refused with the policy's own word for it.
pub(super) fn decimal(name: &str, value: &str) -> Result<Decimal, MaskError> {
    Decimal::parse(value).ok_or_else(|| MaskError::new(format!("{name} must be a decimal number")))
}
