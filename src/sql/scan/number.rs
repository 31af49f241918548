//! Numbers. What PostgreSQL calls trailing junk is refused.
//!
//! From version 16 on it reads hexadecimal, octal and binary integers and digits in groups (`0x1F`,
//! `1_000`), which version 15 refuses. They become plain decimal digits here, of the same type and value,
//! so that nothing behind this has to know them; a token says that it was one
//! ([`Shaped::check_version`](crate::sql::Shaped::check_version)).

use super::{Kind, Scanner, is_ident_start, lower_case};
use crate::sql::Unsupported;

impl<'t> Scanner<'t> {
    pub(super) fn number(&mut self) -> Result<Kind<'t>, Unsupported> {
        let start = self.at;
        let kind = match self.radix() {
            Some(radix) => self.of_radix(radix)?,
            None => self.decimal(),
        };
        if self.peek(0).is_some_and(is_ident_start) {
            return Err(Self::error("trailing junk after numeric literal", start));
        }
        Ok(kind)
    }

    /// The radix that `0x`, `0o` or `0b` says.
    fn radix(&self) -> Option<u32> {
        if self.peek(0) != Some(b'0') {
            return None;
        }
        match self.peek(1)? {
            b'x' | b'X' => Some(16),
            b'o' | b'O' => Some(8),
            b'b' | b'B' => Some(2),
            _ => None,
        }
    }

    /// `0x` and digits, each perhaps after an underscore.
    fn of_radix(&mut self, radix: u32) -> Result<Kind<'t>, Unsupported> {
        let start = self.at;
        self.skip(2);
        let mut value = 0_u128;
        let from = self.at;
        loop {
            let grouped = usize::from(self.peek(0) == Some(b'_'));
            let Some(digit) = (self.peek(grouped)).and_then(|b| char::from(b).to_digit(radix))
            else {
                break;
            };
            self.skip(grouped.saturating_add(1));
            value = (value.checked_mul(u128::from(radix)))
                .and_then(|value| value.checked_add(u128::from(digit)))
                .ok_or_else(|| {
                    Unsupported::form(
                        "an integer of more than 128 bits is not supported",
                        Some(start),
                    )
                })?;
        }
        if self.at == from {
            return Err(Self::error("trailing junk after numeric literal", start));
        }
        Ok(Kind::LaterNumber(value.to_string().into()))
    }

    fn decimal(&mut self) -> Kind<'t> {
        let start = self.at;
        self.digits();
        // `1..2` is 1, `..`, 2.
        if self.peek(0) == Some(b'.') && !(self.peek(1) == Some(b'.') && self.at > start) {
            self.skip(1);
            self.digits();
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self
                .peek(1_usize.saturating_add(sign))
                .is_some_and(|b| b.is_ascii_digit())
            {
                self.skip(1_usize.saturating_add(sign));
                self.digits();
            }
        }
        let written = lower_case(self.slice(start, self.at));
        if written.contains('_') {
            Kind::LaterNumber(written.replace('_', "").into())
        } else {
            Kind::Number(written)
        }
    }

    /// Digits with single underscores between them. None, too.
    fn digits(&mut self) {
        let start = self.at;
        loop {
            self.take_while(|b| b.is_ascii_digit());
            let more = self.peek(1).is_some_and(|b| b.is_ascii_digit());
            if self.at > start && self.peek(0) == Some(b'_') && more {
                self.skip(1);
            } else {
                return;
            }
        }
    }
}
