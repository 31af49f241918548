//! RowDescription and DataRow as borrowed views over one body.
//!
//! Deliberately absent: what the values mean, and changing them; that is `mask`'s.

use super::read::{Malformed, Reader, Values};
use crate::pg::types::Format;
use crate::pg::{AttrNumber, Oid};

/// One column of a RowDescription.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, in the client's encoding.
    pub name: &'a [u8],
    /// The table it is a column of, or 0.
    pub table_oid: Oid,
    /// The column's number in that table, or 0.
    pub attnum: AttrNumber,
    /// The type.
    pub type_oid: Oid,
    /// `pg_type.typlen`
    pub typlen: i16,
    /// `pg_attribute.atttypmod`
    pub typmod: i32,
    /// The format; text in the description of a statement, where it is not known yet.
    pub format: Format,
}

impl<'a> Field<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            name: r.cstr()?,
            table_oid: r.u32()?,
            attnum: r.i16()?,
            type_oid: r.u32()?,
            typlen: r.i16()?,
            typmod: r.i32()?,
            format: match r.i16()? {
                0 => Format::Text,
                1 => Format::Binary,
                _ => return Err(Malformed::Format),
            },
        })
    }
}

/// The columns of a result. Checked when it was parsed.
#[derive(Clone, Copy)]
pub struct RowDescription<'a> {
    count: u16,
    fields: &'a [u8],
}

impl<'a> RowDescription<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let count = r.u16()?;
        let fields = r.rest();
        for _ in 0..count {
            Field::read(&mut r)?;
        }
        r.end()?;
        Ok(Self { count, fields })
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// There is none, as for `SELECT FROM t`.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The columns.
    pub fn iter(&self) -> Fields<'a> {
        Fields {
            left: self.count,
            reader: Reader::new(self.fields),
        }
    }
}

impl<'a> IntoIterator for &RowDescription<'a> {
    type Item = Field<'a>;
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// Walks a [`RowDescription`].
pub struct Fields<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        Field::read(&mut self.reader).ok()
    }
}

/// One row.
#[derive(Clone, Copy)]
pub struct DataRow<'a> {
    /// The columns; `None` is NULL.
    pub values: Values<'a>,
}

impl<'a> DataRow<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let values = Values::read(&mut r)?;
        r.end()?;
        Ok(Self { values })
    }
}
