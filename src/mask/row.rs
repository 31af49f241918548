//! RowMasker: DataRow → masked DataRow, columns by position.

use std::sync::Arc;

use super::{CompiledMask, TokenColumn};
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

/// Applies one plan to the rows of one result, after checking the result's shape.
pub struct RowMasker {}
