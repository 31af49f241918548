//! RowDescription: what PostgreSQL says of a result, and what the client is told.

use bytes::{BufMut, BytesMut};

use super::row::{MalformedRow, OutputRule, Transform, frame_length};
use crate::pg::types::{Format, oid};
use crate::pg::{AttrNumber, Oid};

/// One field of a RowDescription, without its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldShape {
    /// The table it comes from; 0 if none.
    pub table: Oid,
    /// The column of that table; 0 if none.
    pub attnum: AttrNumber,
    /// Type.
    pub type_oid: Oid,
    /// Type modifier; -1 if none.
    pub typmod: i32,
    /// Format; text in the description of a statement, whatever Bind asks for later.
    pub format: Format,
}

/// A result is not the one the plan was made for. Never holds a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShapeMismatch {
    /// Position of the column, from 0; `None` if their number differs.
    pub column: Option<usize>,
    /// What differs, lower case.
    pub what: &'static str,
}

impl ShapeMismatch {
    pub(super) fn new(column: Option<usize>, what: &'static str) -> Self {
        Self { column, what }
    }
}

impl std::fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column {
            Some(at) => write!(f, "output column {}: {}", at.saturating_add(1), self.what),
            None => f.write_str(self.what),
        }
    }
}

impl std::error::Error for ShapeMismatch {}

/// The fields of a RowDescription body (after its length).
pub fn parse_row_description(body: &[u8]) -> Result<Vec<FieldShape>, MalformedRow> {
    let mut shapes = Vec::new();
    each_field(body, |_, _, field| {
        shapes.push(field.shape);
        Ok(())
    })?;
    Ok(shapes)
}

/// Writes the RowDescription frame the client gets: origins restored, names replaced, tokens as
/// what they are. `body` is PostgreSQL's, after its length. On an error `out` is as it was.
pub fn rewrite_row_description(
    rules: &[OutputRule],
    body: &[u8],
    out: &mut BytesMut,
) -> Result<(), MalformedRow> {
    let start = out.len();
    out.put_slice(b"T\0\0\0\0");
    out.put_u16(u16::try_from(rules.len()).map_err(|_| MalformedRow)?);
    let written = each_field(body, |at, count, field| {
        let rule = rules
            .get(at)
            .filter(|_| count == rules.len())
            .ok_or(MalformedRow)?;
        field.rewritten(rule).write(out);
        Ok(())
    })
    .and_then(|count| {
        if count == rules.len() {
            Ok(())
        } else {
            Err(MalformedRow)
        }
    })
    .and_then(|()| frame_length(out, start));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a [u8],
    shape: FieldShape,
    typlen: i16,
}

impl<'a> Field<'a> {
    fn rewritten(self, rule: &'a OutputRule) -> Self {
        let mut field = self;
        if let Some(name) = &rule.name {
            field.name = name.as_bytes();
        }
        if let Some((table, attnum)) = rule.origin {
            field.shape.table = table;
            field.shape.attnum = attnum;
        }
        if let Transform::Token(token) = &rule.transform {
            // What became text on its way is text, as it would be on a table of tokens.
            let cast = field.shape.type_oid == oid::TEXT && token.type_oid() != oid::TEXT;
            let (type_oid, typlen) = if cast {
                (oid::TEXT, -1)
            } else {
                token.output_type()
            };
            field.shape.type_oid = type_oid;
            field.shape.typmod = -1;
            field.typlen = typlen;
        }
        field
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(self.name);
        out.put_u8(0);
        out.put_u32(self.shape.table);
        out.put_i16(self.shape.attnum);
        out.put_u32(self.shape.type_oid);
        out.put_i16(self.typlen);
        out.put_i32(self.shape.typmod);
        out.put_i16(match self.shape.format {
            Format::Text => 0,
            Format::Binary => 1,
        });
    }
}

/// Calls `visit` with each field's position, the number of fields and the field.
fn each_field<'a>(
    body: &'a [u8],
    mut visit: impl FnMut(usize, usize, Field<'a>) -> Result<(), MalformedRow>,
) -> Result<usize, MalformedRow> {
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(MalformedRow)?;
    let count = usize::from(u16::from_be_bytes(*count));
    for at in 0..count {
        let end = memchr::memchr(0, rest).ok_or(MalformedRow)?;
        let (name, after) = rest.split_at_checked(end).ok_or(MalformedRow)?;
        let (_, after) = after.split_first().ok_or(MalformedRow)?;
        let (fixed, after) = after.split_first_chunk::<18>().ok_or(MalformedRow)?;
        let [
            t0,
            t1,
            t2,
            t3,
            a0,
            a1,
            o0,
            o1,
            o2,
            o3,
            l0,
            l1,
            m0,
            m1,
            m2,
            m3,
            f0,
            f1,
        ] = *fixed;
        let shape = FieldShape {
            table: u32::from_be_bytes([t0, t1, t2, t3]),
            attnum: i16::from_be_bytes([a0, a1]),
            type_oid: u32::from_be_bytes([o0, o1, o2, o3]),
            typmod: i32::from_be_bytes([m0, m1, m2, m3]),
            format: match [f0, f1] {
                [0, 0] => Format::Text,
                [0, 1] => Format::Binary,
                _ => return Err(MalformedRow),
            },
        };
        let typlen = i16::from_be_bytes([l0, l1]);
        visit(
            at,
            count,
            Field {
                name,
                shape,
                typlen,
            },
        )?;
        rest = after;
    }
    if rest.is_empty() {
        Ok(count)
    } else {
        Err(MalformedRow)
    }
}
