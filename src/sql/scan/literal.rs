//! Quoted things: strings in all their forms, bit strings, quoted identifiers.

use std::borrow::Cow;

use super::unicode::{decode_unicode, push_code_point};
use super::{Kind, Scanner, checked_name, is_ident_start, is_space};
use crate::sql::Unsupported;

impl<'t> Scanner<'t> {
    /// `'…'` with doubled quotes, continued across a newline.
    pub(super) fn quoted_string(&mut self) -> Result<Cow<'t, str>, Unsupported> {
        let start = self.at;
        let mut out = Cow::Borrowed("");
        self.skip(1);
        loop {
            let from = self.at;
            self.take_while(|b| b != b'\'' && b != 0);
            // Keeps the piece itself if it is the first.
            out += self.slice(from, self.at);
            if self.looking_at(b"''") {
                out += "'";
                self.skip(2);
            } else if self.peek(0) == Some(b'\'') {
                self.skip(1);
                if !self.continues() {
                    return Ok(out);
                }
            } else {
                return Err(self.broken("unterminated quoted string", start));
            }
        }
    }

    /// `quotecontinue` of scan.l: white space with a newline in it, `--` comments included, then a
    /// quote. Consumes all of it, or nothing.
    fn continues(&mut self) -> bool {
        let close = self.at;
        let mut newline = false;
        loop {
            match self.peek(0) {
                Some(byte) if is_space(byte) => {
                    newline |= matches!(byte, b'\n' | b'\r');
                    self.skip(1);
                }
                Some(b'-') if self.peek(1) == Some(b'-') => {
                    self.take_while(|b| b != b'\n' && b != b'\r');
                }
                Some(b'\'') if newline => {
                    self.skip(1);
                    return true;
                }
                Some(_) | None => {
                    self.at = close;
                    return false;
                }
            }
        }
    }

    fn broken(&self, what: &str, start: usize) -> Unsupported {
        if self.peek(0) == Some(0) {
            return Self::error("a text may not contain a NUL byte", self.at);
        }
        Self::error(what, start)
    }

    /// `E'…'`. Octal and hexadecimal escapes are bytes, and the whole must be UTF-8 without NUL.
    pub(super) fn escape_string(&mut self) -> Result<String, Unsupported> {
        let start = self.at;
        let mut out: Vec<u8> = Vec::new();
        let mut high = None;
        self.skip(2);
        loop {
            let from = self.at;
            self.take_while(|b| b != b'\'' && b != b'\\' && b != 0);
            if self.at > from && high.is_some() {
                return Err(Self::error("invalid Unicode surrogate pair", start));
            }
            out.extend_from_slice(self.slice(from, self.at).as_bytes());
            if self.peek(0) == Some(b'\\') {
                self.escape(&mut out, &mut high)?;
            } else if high.is_some() {
                return Err(Self::error("invalid Unicode surrogate pair", start));
            } else if self.looking_at(b"''") {
                out.push(b'\'');
                self.skip(2);
            } else if self.peek(0) == Some(b'\'') {
                self.skip(1);
                if !self.continues() {
                    break;
                }
            } else {
                return Err(self.broken("unterminated quoted string", start));
            }
        }
        match String::from_utf8(out) {
            Ok(value) if !value.contains('\0') => Ok(value),
            Ok(_) | Err(_) => Err(Unsupported {
                sqlstate: crate::pg::sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
                ..Self::error("invalid byte sequence for encoding \"UTF8\"", start)
            }),
        }
    }

    /// One backslash escape. `high` is a first surrogate waiting for its second.
    fn escape(&mut self, out: &mut Vec<u8>, high: &mut Option<u32>) -> Result<(), Unsupported> {
        let start = self.at;
        self.skip(1);
        let Some(byte) = self.peek(0) else {
            return Err(Self::error("unterminated quoted string", start));
        };
        if let Some(digits) = match byte {
            b'u' => Some(4),
            b'U' => Some(8),
            _ => None,
        } {
            self.skip(1);
            let value = self.hex_digits(digits)?;
            let mut text = String::new();
            push_code_point(&mut text, value, high, start)?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if high.is_some() {
            return Err(Self::error("invalid Unicode surrogate pair", start));
        }
        match byte {
            b'0'..=b'7' => {
                let from = self.at;
                while self.at < from.saturating_add(3) && matches!(self.peek(0), Some(b'0'..=b'7'))
                {
                    self.skip(1);
                }
                out.push(self.radix_byte(from, 8));
            }
            b'x' if self.peek(1).is_some_and(|b| b.is_ascii_hexdigit()) => {
                self.skip(1);
                let from = self.at;
                while self.at < from.saturating_add(2)
                    && self.peek(0).is_some_and(|b| b.is_ascii_hexdigit())
                {
                    self.skip(1);
                }
                out.push(self.radix_byte(from, 16));
            }
            // A vertical tab from PostgreSQL 17 on, and the letter before.
            b'v' => {
                return Err(Unsupported {
                    hint: Some("Write \\x0b for a vertical tab, v for the letter.".to_owned()),
                    ..Unsupported::form(
                        "the escape \\v means different things in different versions",
                        Some(self.at),
                    )
                });
            }
            _ => {
                out.push(match byte {
                    b'b' => 0x08,
                    b'f' => 0x0C,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    0 => return Err(self.broken("unterminated quoted string", start)),
                    other => other,
                });
                self.skip(1);
            }
        }
        Ok(())
    }

    /// The digits from `from` to here, kept to one byte as PostgreSQL does.
    fn radix_byte(&self, from: usize, radix: u32) -> u8 {
        let value = u32::from_str_radix(self.slice(from, self.at), radix).unwrap_or_default();
        u8::try_from(value & 0xFF).unwrap_or_default()
    }

    fn hex_digits(&mut self, count: usize) -> Result<u32, Unsupported> {
        let from = self.at;
        for _ in 0..count {
            if !self.peek(0).is_some_and(|b| b.is_ascii_hexdigit()) {
                return Err(Self::error("invalid Unicode escape", from));
            }
            self.skip(1);
        }
        u32::from_str_radix(self.slice(from, self.at), 16)
            .map_err(|_| Self::error("invalid Unicode escape value", from))
    }

    /// `B'…'` and `X'…'`.
    pub(super) fn bits(&mut self, hex: bool) -> Result<Kind<'t>, Unsupported> {
        let start = self.at;
        self.skip(1);
        let digits = self.quoted_string()?;
        let valid = |c: char| {
            if hex {
                c.is_ascii_hexdigit()
            } else {
                matches!(c, '0' | '1')
            }
        };
        if !digits.chars().all(valid) {
            let what = if hex { "hexadecimal" } else { "binary" };
            return Err(Self::error(&format!("invalid {what} digit"), start));
        }
        Ok(Kind::Bits { hex, digits })
    }

    /// `$tag$…$tag$`
    pub(super) fn dollar_string(&mut self) -> Result<Cow<'t, str>, Unsupported> {
        let start = self.at;
        self.skip(1);
        let tag_start = self.at;
        if self.peek(0).is_some_and(is_ident_start) {
            self.take_while(|b| is_ident_start(b) || b.is_ascii_digit());
        }
        if self.peek(0) != Some(b'$') {
            return Err(Self::error("syntax error at or near \"$\"", start));
        }
        self.skip(1);
        let tag = self.slice(tag_start.saturating_sub(1), self.at);
        let body = self.slice(self.at, self.text.len());
        let Some(length) = body.find(tag) else {
            return Err(Self::error("unterminated dollar-quoted string", start));
        };
        let value = self.slice(self.at, self.at.saturating_add(length));
        if let Some(nul) = value.find('\0') {
            return Err(Self::error(
                "a text may not contain a NUL byte",
                self.at.saturating_add(nul),
            ));
        }
        self.skip(length.saturating_add(tag.len()));
        Ok(value.into())
    }

    /// The raw content of `"…"`, doubled quotes undone.
    fn identifier_body(&mut self) -> Result<Cow<'t, str>, Unsupported> {
        let start = self.at;
        let mut out = Cow::Borrowed("");
        self.skip(1);
        loop {
            let from = self.at;
            self.take_while(|b| b != b'"' && b != 0);
            out += self.slice(from, self.at);
            if self.looking_at(b"\"\"") {
                out += "\"";
                self.skip(2);
            } else if self.peek(0) == Some(b'"') {
                self.skip(1);
                break;
            } else {
                return Err(self.broken("unterminated quoted identifier", start));
            }
        }
        if out.is_empty() {
            return Err(Self::error("zero-length delimited identifier", start));
        }
        Ok(out)
    }

    /// `"…"`
    pub(super) fn quoted_identifier(&mut self) -> Result<Cow<'t, str>, Unsupported> {
        let start = self.at;
        let body = self.identifier_body()?;
        checked_name(body, start)
    }

    /// `U&"…" [UESCAPE 'c']`
    pub(super) fn unicode_identifier(&mut self) -> Result<String, Unsupported> {
        let start = self.at;
        self.skip(2);
        let body = self.identifier_body()?;
        let escape = self.uescape()?;
        let name = decode_unicode(&body, escape, start)?;
        if name.is_empty() {
            return Err(Self::error("zero-length delimited identifier", start));
        }
        checked_name(name.into(), start).map(Cow::into_owned)
    }

    /// `U&'…' [UESCAPE 'c']`
    pub(super) fn unicode_string(&mut self) -> Result<String, Unsupported> {
        let start = self.at;
        self.skip(2);
        let body = self.quoted_string()?;
        let escape = self.uescape()?;
        decode_unicode(&body, escape, start)
    }

    /// `UESCAPE 'c'` after a Unicode literal, or nothing.
    fn uescape(&mut self) -> Result<char, Unsupported> {
        let back = self.at;
        self.skip_blank()?;
        let start = self.at;
        let word = self.take_while(super::is_ident_part);
        if !word.eq_ignore_ascii_case("uescape") {
            self.at = back;
            return Ok('\\');
        }
        self.skip_blank()?;
        if self.peek(0) != Some(b'\'') {
            return Err(Self::error(
                "UESCAPE must be followed by a simple string literal",
                start,
            ));
        }
        let value = self.quoted_string()?;
        let mut chars = value.chars();
        match (chars.next(), chars.next()) {
            (Some(escape), None)
                if escape.is_ascii()
                    && !escape.is_ascii_hexdigit()
                    && !matches!(escape, '+' | '\'' | '"')
                    && !u8::try_from(escape).is_ok_and(is_space) =>
            {
                Ok(escape)
            }
            (Some(_) | None, _) => Err(Self::error("invalid Unicode escape character", start)),
        }
    }
}
