//! RowMasker: DataRow → masked DataRow, columns by position.
//!
//! One pass, no allocation per row: ranges of untouched columns are copied whole. Every length is
//! checked; a row that is not what it says ends the session.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::description::{FieldShape, ShapeMismatch};
use super::{CompiledMask, TokenColumn};
use crate::limits::FRAME_BYTES;
use crate::pg::types::{Format, oid};
use crate::pg::{AttrNumber, Oid};

/// What the proxy does with one output column.
#[derive(Clone)]
pub enum Transform {
    /// Nothing: clear, or masked at the source.
    Pass,
    /// Masked at the output.
    Mask(Arc<CompiledMask>),
    /// Tokenized at the output; described as `varchar` without a length.
    Token(Arc<TokenColumn>),
}

/// One output column of a plan, by position.
#[derive(Clone)]
pub struct OutputRule {
    /// What to do with the value.
    pub transform: Transform,
    /// Where PostgreSQL must say the column comes from (table OID, attribute number), when the
    /// analyzer knows; a `RowDescription` that disagrees is a refusal. `Some((0, 0))` means
    /// PostgreSQL must name no table.
    pub expect: Option<(Oid, AttrNumber)>,
    /// The origin to show the client, when masking at the source hid it (JDBC's updatable results
    /// and metadata need it).
    pub origin: Option<(Oid, AttrNumber)>,
    /// A name to show the client instead of PostgreSQL's.
    pub name: Option<Box<str>>,
}

/// A message from PostgreSQL that is not what its lengths say, or a value that is not what its type
/// says. The session must close: nothing after it can be trusted to be where it seems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedRow;

impl std::fmt::Display for MalformedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed row from PostgreSQL")
    }
}

impl std::error::Error for MalformedRow {}

/// Applies one plan to the rows of one result. It can only be made by checking the result's shape.
pub struct RowMasker {
    rules: Arc<[OutputRule]>,
    formats: Box<[Format]>,
    scratch: Vec<u8>,
    touches: bool,
}

impl RowMasker {
    /// Checks that the result PostgreSQL describes is the one the plan was made for.
    pub fn new(rules: Arc<[OutputRule]>, fields: &[FieldShape]) -> Result<Self, ShapeMismatch> {
        if rules.len() != fields.len() {
            return Err(ShapeMismatch::new(None, "the number of columns differs"));
        }
        for (at, (rule, field)) in rules.iter().zip(fields).enumerate() {
            check(rule, field).map_err(|what| ShapeMismatch::new(Some(at), what))?;
        }
        let formats = fields.iter().map(|field| field.format).collect();
        let touches = (rules.iter()).any(|rule| !matches!(rule.transform, Transform::Pass));
        Ok(Self {
            rules,
            formats,
            scratch: Vec::new(),
            touches,
        })
    }

    /// The formats Bind asked for, as the protocol reads them: none is all text, one is for all
    /// columns. A statement's RowDescription says text for all of them.
    pub fn set_formats(&mut self, formats: &[Format]) -> Result<(), MalformedRow> {
        match *formats {
            [] => self.formats.fill(Format::Text),
            [one] => self.formats.fill(one),
            _ if formats.len() == self.formats.len() => self.formats.copy_from_slice(formats),
            _ => return Err(MalformedRow),
        }
        Ok(())
    }

    /// Writes a complete DataRow frame. `body` is a DataRow's body, after its length. On an error
    /// `out` is as it was.
    pub fn mask_row(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), MalformedRow> {
        let start = out.len();
        out.reserve(body.len().saturating_add(64));
        out.put_slice(b"D\0\0\0\0");
        let written = self
            .columns(body, out)
            .and_then(|()| frame_length(out, start));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn columns(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), MalformedRow> {
        let (count, _) = body.split_first_chunk::<2>().ok_or(MalformedRow)?;
        if usize::from(u16::from_be_bytes(*count)) != self.rules.len() {
            return Err(MalformedRow);
        }
        // Everything in copied..at is still to be copied as it is.
        let mut copied = 0_usize;
        let mut at = 2_usize;
        for (rule, format) in self.rules.iter().zip(&self.formats) {
            let rest = body.get(at..).ok_or(MalformedRow)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(MalformedRow)?;
            let length = i32::from_be_bytes(*length);
            let value_at = at.saturating_add(4);
            if length == -1 {
                at = value_at;
                continue;
            }
            let length = usize::try_from(length).map_err(|_| MalformedRow)?;
            let value = rest.get(..length).ok_or(MalformedRow)?;
            let end = value_at.saturating_add(length);
            self.scratch.clear();
            match &rule.transform {
                Transform::Pass => {
                    at = end;
                    continue;
                }
                Transform::Mask(mask) => mask.apply(value, &mut self.scratch),
                Transform::Token(token) => token.encode_wire(value, *format, &mut self.scratch)?,
            }
            out.extend_from_slice(body.get(copied..at).ok_or(MalformedRow)?);
            out.put_i32(i32::try_from(self.scratch.len()).map_err(|_| MalformedRow)?);
            out.extend_from_slice(&self.scratch);
            copied = end;
            at = end;
        }
        if at != body.len() {
            return Err(MalformedRow);
        }
        out.extend_from_slice(body.get(copied..).ok_or(MalformedRow)?);
        Ok(())
    }

    /// No column is touched: rows may be forwarded as they are.
    pub fn is_pass_through(&self) -> bool {
        !self.touches
    }
}

/// Writes the length of the frame that begins at `start` with its type byte.
pub(super) fn frame_length(out: &mut BytesMut, start: usize) -> Result<(), MalformedRow> {
    let length = out.len().saturating_sub(start).saturating_sub(1);
    if length > FRAME_BYTES {
        return Err(MalformedRow);
    }
    let length = u32::try_from(length).map_err(|_| MalformedRow)?;
    let field = (out.get_mut(start.saturating_add(1)..))
        .and_then(<[u8]>::first_chunk_mut::<4>)
        .ok_or(MalformedRow)?;
    *field = length.to_be_bytes();
    Ok(())
}

fn check(rule: &OutputRule, field: &FieldShape) -> Result<(), &'static str> {
    match rule.expect {
        Some((0, _)) if field.table != 0 => return Err("it should not come from a table"),
        Some((table, attnum)) if table != 0 && (field.table, field.attnum) != (table, attnum) => {
            return Err("it comes from another column");
        }
        _ => {}
    }
    let fits = match &rule.transform {
        Transform::Pass => true,
        Transform::Mask(mask) => {
            mask.at_output() && same_text(mask.column_type().oid, field.type_oid)
        }
        Transform::Token(token) => {
            token.type_oid() == field.type_oid || same_text(token.type_oid(), field.type_oid)
        }
    };
    if fits {
        Ok(())
    } else {
        Err("its type differs")
    }
}

/// text and varchar are the same bytes; char(n) is padded, so only itself.
fn same_text(bound: Oid, described: Oid) -> bool {
    let plain = |ty| matches!(ty, oid::TEXT | oid::VARCHAR);
    plain(bound) && plain(described) || bound == oid::BPCHAR && described == oid::BPCHAR
}
