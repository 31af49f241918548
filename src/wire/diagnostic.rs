//! ErrorResponse and NoticeResponse as a borrowed view, and the codes of their fields.
//!
//! Deliberately absent: which fields may reach whom; that is `mask`'s.

use super::read::{Malformed, Reader};

/// Codes of the fields of ErrorResponse and NoticeResponse.
pub mod field {
    /// Severity, localized.
    pub const SEVERITY: u8 = b'S';
    /// Severity, never localized.
    pub const SEVERITY_FIXED: u8 = b'V';
    /// SQLSTATE
    pub const SQLSTATE: u8 = b'C';
    /// Primary message
    pub const MESSAGE: u8 = b'M';
    /// Detail
    pub const DETAIL: u8 = b'D';
    /// Hint
    pub const HINT: u8 = b'H';
    /// Position in the query, in characters from 1
    pub const POSITION: u8 = b'P';
    /// Position in the internal query
    pub const INTERNAL_POSITION: u8 = b'p';
    /// Internal query
    pub const INTERNAL_QUERY: u8 = b'q';
    /// Context
    pub const WHERE: u8 = b'W';
    /// Schema name
    pub const SCHEMA: u8 = b's';
    /// Table name
    pub const TABLE: u8 = b't';
    /// Column name
    pub const COLUMN: u8 = b'c';
    /// Data type name
    pub const DATA_TYPE: u8 = b'd';
    /// Constraint name
    pub const CONSTRAINT: u8 = b'n';
    /// Source file
    pub const FILE: u8 = b'F';
    /// Source line
    pub const LINE: u8 = b'L';
    /// Source routine
    pub const ROUTINE: u8 = b'R';
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Copy)]
pub struct Diagnostic<'a> {
    fields: &'a [u8],
}

impl<'a> Diagnostic<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        while r.u8()? != 0 {
            r.cstr()?;
        }
        r.end()?;
        Ok(Self { fields: body })
    }

    /// The fields in the order they were sent: code, value.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut r = Reader::new(self.fields);
        std::iter::from_fn(move || match r.u8() {
            Ok(code) if code != 0 => r.cstr().ok().map(|value| (code, value)),
            _ => None,
        })
    }

    /// One field's value; see [`field`].
    pub fn get(&self, code: u8) -> Option<&'a [u8]> {
        self.iter().find(|(c, _)| *c == code).map(|(_, v)| v)
    }
}
