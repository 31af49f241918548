//! `Mask` (what the policy says) → `CompiledMask` (what, for this type): checked once.

use super::ColumnType;

/// A mask as a policy defines it.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {}

/// Why a mask does not fit a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskError {
    /// What is wrong, lower case.
    pub message: String,
}

/// A mask bound to a type: total, NULL-exact, deterministic.
pub struct CompiledMask {}

impl CompiledMask {
    /// Binds a mask to a column's type, or says why it does not fit.
    pub fn compile(mask: &Mask, _ty: &ColumnType) -> Result<Self, MaskError> {
        match *mask {}
    }

    /// The mask as SQL over `operand` (a qualified column reference, already quoted), cast to the
    /// column's exact type and collation.
    pub fn sql(&self, operand: &str) -> String {
        operand.to_owned()
    }

    /// The mask also has a Rust form, for the wire: types whose text and binary formats are the same
    /// bytes.
    pub fn at_output(&self) -> bool {
        false
    }

    /// Masks a non-NULL value as it stands in a DataRow, appending to `out`. Only when
    /// [`CompiledMask::at_output`].
    pub fn apply(&self, value: &[u8], out: &mut Vec<u8>) {
        let _ = (value, out);
    }
}
