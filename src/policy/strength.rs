//! What a mask loses on a type, in words for `policy check`.

use crate::mask::{ColumnType, Mask};
use crate::pg::types::oid;

/// Why a masked value may be cut or clamped to fit the column, if it may.
pub(super) fn loss(mask: &Mask, ty: &ColumnType) -> Option<Loss> {
    match mask {
        // Rounding down leaves the type only below its most negative multiple of n.
        Mask::RoundTo(_) => numeric(ty).map(|(p, s)| Loss::Rare(clamped(p, s))),
        _ => usual(mask, ty).map(Loss::Usual),
    }
}

/// How often it matters.
pub(super) enum Loss {
    /// Ordinary values can be affected: a warning.
    Usual(String),
    /// Only values at the type's end: a note.
    Rare(String),
}

fn usual(mask: &Mask, ty: &ColumnType) -> Option<String> {
    match mask {
        Mask::Constant(value) if ty.element.is_none() => {
            let limit = characters(ty)?;
            (value.chars().count() > limit)
                .then(|| format!("the constant is cut to {limit} characters"))
        }
        Mask::Partial(partial) => {
            let limit = characters(ty)?;
            let hidden = partial
                .hide_length
                .map(usize::try_from)
                .and_then(Result::ok);
            let kept = usize::try_from(partial.keep_first.saturating_add(partial.keep_last));
            let longest = hidden.map(|h| h.saturating_add(kept.unwrap_or(usize::MAX)));
            if longest.is_some_and(|n| n > limit) || partial.group.is_some() {
                return Some(format!("results longer than {limit} characters are cut"));
            }
            // What follows `stop_at` is kept, so a short name before it can grow.
            (hidden.is_some() && partial.stop_at.is_some())
                .then(|| format!("results longer than {limit} characters are cut"))
        }
        Mask::Round(digits) => {
            let (precision, scale) = numeric(ty)?;
            (*digits < scale).then(|| clamped(precision, scale))
        }
        Mask::RoundTo(_)
        | Mask::Truncate { .. }
        | Mask::Clamp { .. }
        | Mask::Network { .. }
        | Mask::Json(_)
        | Mask::Constant(_) => None,
    }
}

fn clamped(precision: i32, scale: i32) -> String {
    format!("results that do not fit numeric({precision},{scale}) are clamped to it")
}

/// n of varchar(n) and char(n).
fn characters(ty: &ColumnType) -> Option<usize> {
    match ty.oid {
        oid::VARCHAR | oid::BPCHAR => usize::try_from(ty.typmod.checked_sub(4)?).ok(),
        _ => None,
    }
}

/// p and s of numeric(p,s).
fn numeric(ty: &ColumnType) -> Option<(i32, i32)> {
    if ty.oid != oid::NUMERIC {
        return None;
    }
    let packed = ty.typmod.checked_sub(4).filter(|p| *p >= 0)?;
    // An 11-bit two's complement, as in numeric_typmod_scale().
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}
