//! One result of a restricted role: its description checked and rewritten, its rows masked.
//!
//! Deliberately absent: what a mask does ([`crate::mask`]) and when a row may come (`replies`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Fatal;
use crate::mask::{OutputRule, RowMasker, parse_row_description, rewrite_row_description};
use crate::pg::types::Format;
use crate::wire::{Field, RowDescription, frame};

/// A RowDescription as PostgreSQL sent it, kept with the statement; `None` is NoData.
pub(super) type Shape = Option<Bytes>;

/// The rows of one result.
pub(super) struct Rows {
    masker: RowMasker,
}

impl Rows {
    /// Checks `description` (a RowDescription's body) against the plan.
    pub(super) fn new(outputs: &Arc<[OutputRule]>, description: &[u8]) -> Result<Self, Fatal> {
        let fields = parse_row_description(description).map_err(|_| shape())?;
        let masker = RowMasker::new(Arc::clone(outputs), &fields).map_err(|_| shape())?;
        Ok(Self { masker })
    }

    /// The same for a statement's description, with the formats its Bind asked for.
    pub(super) fn bound(
        outputs: &Arc<[OutputRule]>,
        description: &[u8],
        formats: &[Format],
    ) -> Result<Self, Fatal> {
        let mut rows = Self::new(outputs, description)?;
        rows.masker.set_formats(formats).map_err(|_| shape())?;
        Ok(rows)
    }

    /// Appends the row the client gets. `row` is a whole DataRow frame.
    pub(super) fn row(&mut self, row: &[u8], out: &mut BytesMut) -> Result<(), Fatal> {
        if self.masker.is_pass_through() {
            out.extend_from_slice(row);
            return Ok(());
        }
        self.masker
            .mask_row(frame::body(row), out)
            .map_err(|_| shape())
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
) -> Option<Vec<super::replies::Told>> {
    let mut out = BytesMut::new();
    describe(outputs, description, &mut out).ok()?;
    let described = RowDescription::read(frame::body(&out)).ok()?;
    let told = |field: Field<'_>| (field.name.to_vec(), field.type_oid, field.typmod);
    Some(described.iter().map(told).collect())
}

fn shape() -> Fatal {
    Fatal::unexpected("the result does not have the shape that was planned")
}
