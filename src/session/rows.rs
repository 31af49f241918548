//! One result of a restricted role: its description checked and rewritten, its rows masked.
//!
//! Deliberately absent: what a mask does ([`crate::mask`]) and when a row may come (`replies`).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::binary::{self, Trouble};
use super::encoding::{unwritable, writable};
use super::{Fatal, to_client};
use crate::mask::{OutputRule, RowMasker, parse_row_description, rewrite_row_description};
use crate::pg::encoding::{Encoding, Unconvertible};
use crate::pg::types::Format;
use crate::pg::{Oid, sqlstate};
use crate::plan::Plan;
use crate::wire::{DataRow, Field, RowDescription, frame};

/// A RowDescription as PostgreSQL sent it, kept with the statement; `None` is NoData.
pub(super) type Shape = Option<Bytes>;

/// The rows of one result.
pub(super) struct Rows {
    masker: RowMasker,
    types: Vec<Oid>,
    formats: Vec<Format>,
}

impl Rows {
    /// Checks `description` (a RowDescription's body) against the plan.
    pub(super) fn new(outputs: &Arc<[OutputRule]>, description: &[u8]) -> Result<Self, Fatal> {
        let fields = parse_row_description(description).map_err(|_| shape())?;
        let masker = RowMasker::new(outputs, &fields).map_err(|_| shape())?;
        Ok(Self {
            masker,
            types: fields.iter().map(|field| field.type_oid).collect(),
            formats: fields.iter().map(|field| field.format).collect(),
        })
    }

    /// The same for a statement's description, with the formats its Bind asked for.
    pub(super) fn bound(
        outputs: &Arc<[OutputRule]>,
        description: &[u8],
        formats: &[Format],
    ) -> Result<Self, Fatal> {
        let mut rows = Self::new(outputs, description)?;
        rows.masker.set_formats(formats).map_err(|_| shape())?;
        match *formats {
            [] => {}
            [one] => rows.formats.fill(one),
            _ => rows.formats = formats.to_vec(),
        }
        Ok(rows)
    }

    /// Appends the row the client gets. `row` is a whole DataRow frame.
    pub(super) fn row(&self, row: &[u8], out: &mut Vec<u8>) -> Result<(), Fatal> {
        if self.masker.is_pass_through() {
            out.extend_from_slice(row);
            return Ok(());
        }
        self.masker
            .mask_row(row, out)
            .map_err(|_| self.trouble(row))
    }

    /// Why a row could not be masked.
    fn trouble(&self, row: &[u8]) -> Fatal {
        let broken = DataRow::read(frame::body(row)).is_ok_and(|row| {
            let values: Vec<Option<&[u8]>> = row.values.iter().collect();
            self.masker.is_broken(&values)
        });
        if !broken {
            return shape();
        }
        Fatal {
            sqlstate: sqlstate::DATA_CORRUPTED,
            message: "an encrypted cell does not open: its key is retired, or it was changed",
        }
    }
}

impl Rows {
    /// Appends a row the client may have, in the client's encoding.
    pub(super) fn recode(
        &self,
        row: &[u8],
        out: &mut BytesMut,
        encoding: Encoding,
    ) -> Result<(), Fatal> {
        let row = DataRow::read(frame::body(row)).map_err(|_| shape())?;
        let mut values: Vec<Option<Cow<'_, [u8]>>> = Vec::with_capacity(row.values.len());
        for (at, value) in row.values.iter().enumerate() {
            let Some(value) = value else {
                values.push(None);
                continue;
            };
            let format = self.formats.get(at).copied().unwrap_or(Format::Text);
            values.push(Some(match format {
                _ if value.is_ascii() => Cow::Borrowed(value),
                Format::Text => Cow::Owned(writable(value, encoding)?),
                Format::Binary => {
                    let ty = self.types.get(at).copied().unwrap_or(0);
                    let to_clients = |text: &[u8]| {
                        let text = std::str::from_utf8(text).map_err(|_| Unconvertible::Invalid)?;
                        let mut out = Vec::with_capacity(text.len());
                        encoding.encode(text, &mut out).map(|()| out)
                    };
                    binary::convert(ty, value, &to_clients).map_err(|trouble| match trouble {
                        Trouble::Characters(_) => unwritable(),
                        Trouble::Type => unknown_binary(),
                    })?
                }
            }));
        }
        let values = values.iter().map(Option::as_deref);
        Ok(to_client::data_row(out, values)?)
    }
}

/// What was made for the last execution of a statement, for the next one: it mostly asks for the same
/// formats and gets the same description.
#[derive(Default)]
pub(super) struct Remembered {
    rows: Option<(Box<[Format]>, Arc<Rows>)>,
    described: Option<Described>,
}

/// PostgreSQL's description of a portal, and the client's.
struct Described {
    body: Box<[u8]>,
    told: Box<[u8]>,
    rows: Arc<Rows>,
}

impl Remembered {
    /// [`Rows::bound`]
    pub(super) fn rows(
        &mut self,
        outputs: &Arc<[OutputRule]>,
        description: &[u8],
        formats: &[Format],
    ) -> Result<Arc<Rows>, Fatal> {
        if let Some((of, rows)) = &self.rows
            && **of == *formats
        {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(Rows::bound(outputs, description, formats)?);
        self.rows = Some((formats.into(), Arc::clone(&rows)));
        Ok(rows)
    }

    /// Checks the description of a result and appends the client's. The rows are as it says.
    pub(super) fn describe(
        &mut self,
        outputs: &Arc<[OutputRule]>,
        description: &[u8],
        out: &mut BytesMut,
    ) -> Result<Arc<Rows>, Fatal> {
        if let Some(known) = &self.described
            && *known.body == *description
        {
            out.extend_from_slice(&known.told);
            return Ok(Arc::clone(&known.rows));
        }
        let rows = Arc::new(Rows::new(outputs, description)?);
        let start = out.len();
        describe(outputs, description, out)?;
        self.described = Some(Described {
            body: description.into(),
            told: out.get(start..).unwrap_or_default().into(),
            rows: Arc::clone(&rows),
        });
        Ok(rows)
    }
}

/// The same for the plan that a Query ran last: mostly it is run again.
#[derive(Default)]
pub(super) struct Latest(Option<(Arc<Plan>, Remembered)>);

impl Latest {
    pub(super) fn of(&mut self, plan: &Arc<Plan>) -> &mut Remembered {
        if !(self.0.as_ref()).is_some_and(|(known, _)| Arc::ptr_eq(known, plan)) {
            self.0 = None;
        }
        let new = || (Arc::clone(plan), Remembered::default());
        &mut self.0.get_or_insert_with(new).1
    }
}

pub(super) fn unknown_binary() -> Fatal {
    Fatal {
        sqlstate: sqlstate::FEATURE_NOT_SUPPORTED,
        message: "a result of this type in binary format is not converted to the client encoding",
    }
}

/// Appends the description the client gets.
pub(super) fn describe(
    outputs: &[OutputRule],
    description: &[u8],
    out: &mut BytesMut,
) -> Result<(), Fatal> {
    rewrite_row_description(outputs, description, out).map_err(|_| shape())
}

/// What the client is told of a result: names, types, modifiers.
pub(super) fn told(
    outputs: &[OutputRule],
    description: &[u8],
) -> Option<Vec<super::prepared::Told>> {
    let mut out = BytesMut::new();
    describe(outputs, description, &mut out).ok()?;
    let described = RowDescription::read(frame::body(&out)).ok()?;
    let told = |field: Field<'_>| (field.name.to_vec(), field.type_oid, field.typmod);
    Some(described.iter().map(told).collect())
}

pub(super) fn shape() -> Fatal {
    Fatal::unexpected("the result does not have the shape that was planned")
}
