//! Values ⇄ the bytes that are encrypted, and token bytes ⇄ text.
//!
//! One value has one canonical form per family, whatever type and format it came in, so that
//! `char(20)` and `text`, or `int4` and `int8`, meet in a domain.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use crate::mask::row::MalformedRow;
use crate::pg::Oid;
use crate::pg::types::{Format, oid};

/// Plaintexts that may have equal tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// text, varchar(n), char(n) without its trailing blanks
    Text,
    /// int2, int4, int8
    Integer,
    /// uuid
    Uuid,
}

impl Family {
    /// Part of the associated data: never change one.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Uuid => "uuid",
        }
    }
}

/// What every token's text begins with, before the key's id.
pub(super) const PREFIX: &str = "tok_";

/// RFC 4648's alphabet in lower case, without padding. A token survives what upper-case ones do
/// not: URLs, spreadsheets, `lower()` in somebody's pipeline.
static BASE32: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().ok()
});

/// Appends `prefix`, the key's id and the bytes in base32.
pub(super) fn write_token(key_id: &str, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let base32 = BASE32.as_ref()?;
    out.extend_from_slice(PREFIX.as_bytes());
    out.extend_from_slice(key_id.as_bytes());
    let start = out.len();
    out.resize(start.checked_add(base32.encode_len(bytes.len()))?, 0);
    base32.encode_mut(bytes, out.get_mut(start..)?);
    Some(())
}

/// The bytes of a token of this key. Only the one spelling [`write_token`] gives is a token.
pub(super) fn read_token(key_id: &str, token: &[u8]) -> Option<Vec<u8>> {
    let text = token.strip_prefix(PREFIX.as_bytes())?;
    let text = text.strip_prefix(key_id.as_bytes())?;
    BASE32.as_ref()?.decode(text).ok()
}

/// Calls `use_it` with a value's canonical form.
pub(super) fn with_canonical<R>(
    type_oid: Oid,
    value: &[u8],
    format: Format,
    use_it: impl FnOnce(&[u8]) -> R,
) -> Result<R, MalformedRow> {
    match type_oid {
        oid::BPCHAR => Ok(use_it(without_blanks(value))),
        oid::INT2 | oid::INT4 | oid::INT8 => {
            let number = read_integer(type_oid, value, format).ok_or(MalformedRow)?;
            Ok(use_it(Zeroizing::new(number.to_string()).as_bytes()))
        }
        oid::UUID => {
            let bytes = match format {
                Format::Binary => <[u8; 16]>::try_from(value).ok(),
                Format::Text => read_uuid(value),
            };
            Ok(use_it(&bytes.ok_or(MalformedRow)?))
        }
        _ => Ok(use_it(value)),
    }
}

/// The canonical form → text of the column's type, if it is a value of that type.
pub(super) fn plain_text(type_oid: Oid, canonical: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(canonical.len().max(36)));
    match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 => {
            read_integer(type_oid, canonical, Format::Text)?;
            out.extend_from_slice(canonical);
        }
        oid::UUID => write_uuid(
            <[u8; 16]>::try_from(canonical).ok()?,
            Format::Text,
            &mut out,
        ),
        _ => {
            std::str::from_utf8(canonical).ok()?;
            out.extend_from_slice(canonical);
        }
    }
    Some(out)
}

/// Text of the column's type → what `recv` of the type reads.
pub(super) fn binary(type_oid: Oid, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let number = || read_integer(type_oid, text, Format::Text);
    let bytes = match type_oid {
        oid::INT2 => i16::try_from(number()?).ok()?.to_be_bytes().to_vec(),
        oid::INT4 => i32::try_from(number()?).ok()?.to_be_bytes().to_vec(),
        oid::INT8 => number()?.to_be_bytes().to_vec(),
        oid::UUID => read_uuid(text)?.to_vec(),
        _ => text.to_vec(),
    };
    Some(Zeroizing::new(bytes))
}

fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let Some((b' ', rest)) = value.split_last() {
        value = rest;
    }
    value
}

/// An integer of any width, in any spelling `int8in` takes; where not `later`, that of versions before
/// 16, which have decimal digits only.
pub(super) fn any_integer(value: &[u8], format: Format, later: bool) -> Option<i64> {
    match format {
        Format::Binary => match value.len() {
            2 => read_integer(oid::INT2, value, format),
            4 => read_integer(oid::INT4, value, format),
            _ => read_integer(oid::INT8, value, format),
        },
        Format::Text => {
            let text = without_space(value);
            read_integer(oid::INT8, text, format).or_else(|| later_integer(text).filter(|_| later))
        }
    }
}

/// Without what C's isspace() takes for space around it: a vertical tab, too.
fn without_space(mut text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    while let Some((_, rest)) = text.split_first().filter(|(first, _)| is_space(first)) {
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| is_space(last)) {
        text = rest;
    }
    text
}

/// `0x1F`, `0o17`, `0b101` and `1_000`, as `int8in` reads them from version 16 on: an underscore stands
/// before a digit, and not before the first one of a decimal number.
fn later_integer(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', b'o' | b'O', digits @ ..] => (8, digits),
        [b'0', b'b' | b'B', digits @ ..] => (2, digits),
        [b'_', ..] => return None,
        digits => (10, digits),
    };
    // Below zero: the least one has no other sign.
    let mut number = None;
    let mut grouped = false;
    for byte in digits {
        if *byte == b'_' && !grouped {
            grouped = true;
            continue;
        }
        let digit = i64::from(char::from(*byte).to_digit(radix)?);
        let before = number.unwrap_or(0_i64).checked_mul(i64::from(radix))?;
        number = Some(before.checked_sub(digit)?);
        grouped = false;
    }
    let number = number.filter(|_| !grouped)?;
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

/// An integer as PostgreSQL would send it, if the type has it.
pub(super) fn write_integer(
    type_oid: Oid,
    number: i64,
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    let text = Zeroizing::new(number.to_string());
    match format {
        Format::Text => out.extend_from_slice(plain_text(type_oid, text.as_bytes())?.as_slice()),
        Format::Binary => out.extend_from_slice(&binary(type_oid, text.as_bytes())?),
    }
    Some(())
}

fn read_integer(type_oid: Oid, value: &[u8], format: Format) -> Option<i64> {
    match (format, type_oid) {
        (Format::Binary, oid::INT2) => Some(i16::from_be_bytes(value.try_into().ok()?).into()),
        (Format::Binary, oid::INT4) => Some(i32::from_be_bytes(value.try_into().ok()?).into()),
        (Format::Binary, _) => Some(i64::from_be_bytes(value.try_into().ok()?)),
        (Format::Text, _) => {
            let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
            let fits = match type_oid {
                oid::INT2 => i16::try_from(number).is_ok(),
                oid::INT4 => i32::try_from(number).is_ok(),
                _ => true,
            };
            fits.then_some(number)
        }
    }
}

/// A uuid in the spellings uuid_in() takes: braces and hyphens are optional, case does not matter.
pub(super) fn read_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text = match text.strip_prefix(b"{") {
        Some(rest) => rest.strip_suffix(b"}")?,
        None => text,
    };
    let mut bytes = [0_u8; 16];
    let mut digits = text.iter().filter(|byte| **byte != b'-');
    for byte in &mut bytes {
        let high = digit(*digits.next()?)?;
        let low = digit(*digits.next()?)?;
        *byte = (high << 4) | low;
    }
    digits.next().is_none().then_some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// A uuid as PostgreSQL would send it.
pub(super) fn write_uuid(bytes: [u8; 16], format: Format, out: &mut Vec<u8>) {
    if format == Format::Binary {
        out.extend_from_slice(&bytes);
        return;
    }
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        let (high, low) = (u32::from(byte >> 4), u32::from(byte & 15));
        for nibble in [high, low] {
            out.push(char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{any_integer, read_token, read_uuid, write_token, write_uuid};
    use crate::pg::types::Format;

    fn integer(text: &str, later: bool) -> Option<i64> {
        any_integer(text.as_bytes(), Format::Text, later)
    }

    #[test]
    fn integers_read_as_the_server_reads_them() {
        for (text, number) in [
            (" 17\u{b}", 17),
            ("+17", 17),
            ("-0", 0),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text, false), Some(number), "{text:?}");
            assert_eq!(integer(text, true), Some(number), "{text:?}");
        }
        // What PostgreSQL 18 makes of these::bigint, and 15 does not.
        for (text, number) in [
            ("0x1F", 31),
            ("0X_f_F", 255),
            (" -0o17 ", -15),
            ("+0b101", 5),
            ("1_000", 1000),
            ("0_0", 0),
            ("-0x8000000000000000", i64::MIN),
            ("0x7fffffffffffffff", i64::MAX),
        ] {
            assert_eq!(integer(text, false), None, "{text:?}");
            assert_eq!(integer(text, true), Some(number), "{text:?}");
        }
        for text in [
            "",
            "-",
            "_1",
            "1_",
            "1__0",
            "-_1",
            "0x",
            "0x_",
            "0x1_",
            "0b2",
            "0o8",
            "x1",
            "0 x1",
            "- 1",
            "--1",
            "0x8000000000000000",
            "9_223_372_036_854_775_808",
            "1.0",
            "0x-1",
        ] {
            assert_eq!(integer(text, true), None, "{text:?}");
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let mut token = Vec::new();
        write_token("k3ya", b"hello", &mut token).expect("token");
        // RFC 4648 §10: BASE32("fooba") = "MZXW6YTB"; "hello" is NBSWY3DP.
        assert_eq!(token, b"tok_k3yanbswy3dp");
        assert_eq!(read_token("k3ya", &token).as_deref(), Some(&b"hello"[..]));
        for other in [
            "tok_k3yaNBSWY3DP",
            "tok_k3ybnbswy3dp",
            "k3yanbswy3dp",
            "tok_k3yanbswy3d=",
        ] {
            assert!(read_token("k3ya", other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn uuids_read_as_postgresql_reads_them() {
        let text = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let bytes = read_uuid(text.as_bytes()).expect("uuid");
        for same in [
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
        ] {
            assert_eq!(read_uuid(same.as_bytes()), Some(bytes), "{same}");
        }
        let mut out = Vec::new();
        write_uuid(bytes, Format::Text, &mut out);
        assert_eq!(out, text.as_bytes());
        assert!(read_uuid(b"a0eebc99").is_none());
        assert!(read_uuid(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111").is_none());
    }
}
