//! Unicode escapes: `\XXXX` and `\+XXXXXX` of `U&` literals, and surrogate pairs.

use crate::sql::Unsupported;

/// Decodes the escapes of a `U&` literal.
pub(super) fn decode_unicode(body: &str, escape: char, at: usize) -> Result<String, Unsupported> {
    let bad = || Unsupported::syntax("invalid Unicode escape", Some(at));
    let mut out = String::with_capacity(body.len());
    let mut high = None;
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c != escape {
            no_pending(high, at)?;
            out.push(c);
            continue;
        }
        let mut digits = rest.clone();
        let count = match digits.next() {
            Some(next) if next == escape => {
                no_pending(high, at)?;
                out.push(escape);
                rest = digits;
                continue;
            }
            Some('+') => {
                rest = digits;
                6
            }
            Some(_) => 4,
            None => return Err(bad()),
        };
        let mut value = 0_u32;
        for _ in 0..count {
            let digit = rest.next().and_then(|c| c.to_digit(16)).ok_or_else(bad)?;
            value = value.wrapping_mul(16).wrapping_add(digit);
        }
        push_code_point(&mut out, value, &mut high, at)?;
    }
    no_pending(high, at)?;
    Ok(out)
}

fn no_pending(high: Option<u32>, at: usize) -> Result<(), Unsupported> {
    match high {
        None => Ok(()),
        Some(_) => Err(Unsupported::syntax(
            "invalid Unicode surrogate pair",
            Some(at),
        )),
    }
}

/// Appends one code point, joining surrogate pairs through `high`. Zero is no character.
pub(super) fn push_code_point(
    out: &mut String,
    value: u32,
    high: &mut Option<u32>,
    at: usize,
) -> Result<(), Unsupported> {
    let value = match (high.take(), value) {
        (Some(first), 0xDC00..=0xDFFF) => 0x1_0000_u32
            .saturating_add((first & 0x3FF) << 10)
            .saturating_add(value & 0x3FF),
        (None, 0xD800..=0xDBFF) => {
            *high = Some(value);
            return Ok(());
        }
        (Some(_), _) | (None, 0xDC00..=0xDFFF) => {
            return Err(Unsupported::syntax(
                "invalid Unicode surrogate pair",
                Some(at),
            ));
        }
        (None, value) => value,
    };
    match char::from_u32(value) {
        Some(c) if c != '\0' => {
            out.push(c);
            Ok(())
        }
        Some(_) | None => Err(Unsupported::syntax(
            "invalid Unicode escape value",
            Some(at),
        )),
    }
}
