//! One result of a restricted role: its description checked and rewritten, its rows masked.
//!
//! Deliberately absent: what a mask does ([`crate::mask`]) and when a row may come (`replies`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Fatal;
use crate::mask::{OutputRule, Transform};
use crate::wire::row::{Field, RowDescription};
use crate::wire::write::backend as to_client;

/// A RowDescription as PostgreSQL sent it, kept with the statement; `None` is NoData.
pub(super) type Shape = Option<Bytes>;

/// The rows of one result.
pub(super) struct Rows {
    outputs: Arc<[OutputRule]>,
}

impl Rows {
    /// Checks `description` (a RowDescription's body) against the plan.
    pub(super) fn new(outputs: &Arc<[OutputRule]>, description: &[u8]) -> Result<Self, Fatal> {
        let fields = read(description)?;
        let agrees = |(field, rule): (Field<'_>, &OutputRule)| {
            rule.expect
                .is_none_or(|origin| origin == (field.table_oid, field.attnum))
        };
        if fields.len() != outputs.len() || !fields.iter().zip(outputs.iter()).all(agrees) {
            return Err(shape());
        }
        Ok(Self {
            outputs: Arc::clone(outputs),
        })
    }

    /// Appends the description the client gets.
    pub(super) fn describe(&self, description: &[u8], out: &mut BytesMut) -> Result<(), Fatal> {
        let fields = read(description)?;
        let shown: Vec<Field<'_>> = fields
            .iter()
            .zip(self.outputs.iter())
            .map(|(field, rule)| {
                let (table_oid, attnum) = rule.origin.unwrap_or((field.table_oid, field.attnum));
                let name = rule.name.as_deref().map_or(field.name, str::as_bytes);
                Field {
                    name,
                    table_oid,
                    attnum,
                    ..field
                }
            })
            .collect();
        to_client::row_description(out, &shown)?;
        Ok(())
    }

    /// Appends the row the client gets. `row` is a whole DataRow frame.
    pub(super) fn row(&mut self, row: &[u8], out: &mut BytesMut) -> Result<(), Fatal> {
        let pass = |rule: &OutputRule| matches!(rule.transform, Transform::Pass);
        if self.outputs.iter().all(pass) {
            out.extend_from_slice(row);
            return Ok(());
        }
        Err(shape())
    }
}

fn read(description: &[u8]) -> Result<RowDescription<'_>, Fatal> {
    RowDescription::read(description).map_err(|_| shape())
}

fn shape() -> Fatal {
    Fatal::unexpected("the result does not have the shape that was planned")
}
