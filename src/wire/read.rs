//! A cursor over one message body: every read is checked, nothing is copied.
//!
//! Deliberately absent: reading past a body. A body is cut by [`super::frame`] first, so a short or
//! long message can never borrow bytes of its neighbour.

use thiserror::Error;

use crate::pg::sqlstate;
use crate::pg::types::Format;

/// Why a message body is not what its type promises. PostgreSQL reports these as
/// `protocol_violation`, except for text that is not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// The body ends inside a field.
    #[error("insufficient data left in message")]
    Short,
    /// The body has bytes after its last field.
    #[error("invalid message format")]
    Trailing,
    /// A string has no terminating NUL.
    #[error("invalid string in message")]
    NoTerminator,
    /// A count or a length is negative, or two counts that must agree do not.
    #[error("invalid count in message")]
    Count,
    /// A format code other than 0 and 1.
    #[error("unsupported format code")]
    Format,
    /// A one-byte kind or status that does not exist.
    #[error("invalid subtype in message")]
    Kind,
    /// Text that is not UTF-8.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    NotUtf8,
    /// A message type that is not sent in this direction.
    #[error("invalid message type")]
    Tag,
}

impl Malformed {
    /// The SQLSTATE PostgreSQL gives.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::NotUtf8 => sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            Self::Format => sqlstate::INVALID_PARAMETER_VALUE,
            _ => sqlstate::PROTOCOL_VIOLATION,
        }
    }
}

/// Text that has to be UTF-8 to be understood. Verbatim messages never need it.
pub fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)
}

/// Reads fields from the front of a body.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// `Byte1`
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// `Int16`
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// `Int16` as a count: PostgreSQL reads parameter counts as unsigned.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// `Int32`
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// `Int32` as an OID
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// `Byten`
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// `String`, without its NUL; its encoding is the client's.
    pub fn cstr(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.rest).ok_or(Malformed::NoTerminator)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(text)
    }

    /// A length of -1 (NULL) or that many bytes.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let len = self.i32()?;
        if len == -1 {
            return Ok(None);
        }
        let len = usize::try_from(len).map_err(|_| Malformed::Count)?;
        self.bytes(len).map(Some)
    }

    /// Everything that is left.
    pub fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The body must be used up.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }
}

/// A list of format codes as it stands in Bind and in the copy responses.
#[derive(Clone, Copy)]
pub struct Formats<'a> {
    codes: &'a [u8],
}

impl<'a> Formats<'a> {
    /// Reads a count and that many codes, each 0 or 1.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = usize::from(reader.u16()?);
        let codes = reader.bytes(count.saturating_mul(2))?;
        if codes.chunks_exact(2).all(|c| matches!(c, [0, 0 | 1])) {
            Ok(Self { codes })
        } else {
            Err(Malformed::Format)
        }
    }

    /// How many codes were sent.
    pub fn len(&self) -> usize {
        self.codes.len() / 2
    }

    /// No code was sent: everything is text.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The codes as they were sent.
    pub fn iter(&self) -> impl Iterator<Item = Format> + 'a {
        self.codes.chunks_exact(2).map(|c| match c {
            [_, 1] => Format::Binary,
            _ => Format::Text,
        })
    }

    /// The format of position `index` (from 0) by the protocol's rule: no codes means text, one code
    /// is everybody's, else one each.
    pub fn format(&self, index: usize) -> Format {
        let index = if self.len() == 1 { 0 } else { index };
        self.iter().nth(index).unwrap_or(Format::Text)
    }

    /// The list fits `columns` positions: none, one, or one each.
    pub fn fits(&self, columns: usize) -> bool {
        matches!(self.len(), 0 | 1) || self.len() == columns
    }
}

/// A counted list of values: the columns of a DataRow, the parameters of a Bind. Checked when it was
/// read, so walking it cannot fail.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    count: u16,
    body: &'a [u8],
}

impl<'a> Values<'a> {
    /// Reads a count and that many values.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.u16()?;
        let body = reader.rest();
        for _ in 0..count {
            reader.value()?;
        }
        let used = body.len().saturating_sub(reader.rest().len());
        let body = body.get(..used).unwrap_or_default();
        Ok(Self { count, body })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values; `None` is NULL.
    pub fn iter(&self) -> ValuesIter<'a> {
        ValuesIter {
            left: self.count,
            reader: Reader::new(self.body),
        }
    }
}

impl<'a> IntoIterator for Values<'a> {
    type Item = Option<&'a [u8]>;
    type IntoIter = ValuesIter<'a>;

    fn into_iter(self) -> ValuesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Values<'a> {
    type Item = Option<&'a [u8]>;
    type IntoIter = ValuesIter<'a>;

    fn into_iter(self) -> ValuesIter<'a> {
        self.iter()
    }
}

/// Walks [`Values`].
pub struct ValuesIter<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.reader.value().ok()
    }
}
