//! Token columns whose values PostgreSQL stores as encrypted cells: what is shown of them, and which of
//! them may be compared.
//!
//! Deliberately absent: the cells themselves ([`super::cell`]).

use std::sync::Arc;

use super::cell::Cells;
use super::{Cipher, Family, TokenColumn, TokenKind};
use crate::mask::CompiledMask;
use crate::mask::column_type::ColumnType;
use crate::mask::mask::MaskError;

impl TokenColumn {
    /// An encrypted column whose values are shown.
    pub fn decrypted(cells: Arc<Cells>, ty: &ColumnType) -> Self {
        let name = Arc::from(cells.name());
        Self::of_cells(name, Cipher::Clear, cells, ty)
    }

    /// An encrypted column of whose values a mask is shown; or why it cannot be.
    pub fn masked(
        name: &str,
        mask: Arc<CompiledMask>,
        cells: Arc<Cells>,
        ty: &ColumnType,
    ) -> Result<Self, MaskError> {
        if !mask.at_output() {
            return Err(MaskError::new(
                "it is computed by PostgreSQL, which has encrypted cells only: use a mask that keeps \
                 parts of a text, nullify or a constant",
            ));
        }
        Ok(Self::of_cells(name.into(), Cipher::Masked(mask), cells, ty))
    }

    fn of_cells(domain: Arc<str>, cipher: Cipher, cells: Arc<Cells>, ty: &ColumnType) -> Self {
        Self {
            domain,
            key: Arc::clone(cells.key()),
            family: Family::Text,
            type_oid: ty.oid,
            cipher,
            others: Vec::new(),
            cells: Some(cells),
            later_numbers: false,
            collation: ty.collation.clone(),
        }
    }

    /// The same tokens, made of what encrypted cells hold; or why they cannot be.
    pub fn over(self, cells: Arc<Cells>) -> Result<Self, MaskError> {
        match self.kind() {
            TokenKind::Siv | TokenKind::Hmac => Ok(Self {
                cells: Some(cells),
                ..self
            }),
            // What is not of the shape is NULL, and PostgreSQL would have to know.
            TokenKind::Ff1Uuid
            | TokenKind::Ff1Integer
            | TokenKind::Ff1(_)
            | TokenKind::Decrypted
            | TokenKind::Masked => Err(MaskError::new(
                "an encrypted column can have tokens of kind: siv and kind: hmac",
            )),
        }
    }

    /// Is the column stored encrypted?
    pub fn is_encrypted(&self) -> bool {
        self.cells.is_some()
    }

    /// What the column's cells are encrypted with, if they are.
    pub fn cells(&self) -> Option<&Cells> {
        self.cells.as_deref()
    }

    /// Are the values shown as they are?
    pub fn shows_values(&self) -> bool {
        matches!(self.cipher, Cipher::Clear)
    }

    /// Are equal stored values equal tokens, and different ones different?
    pub fn compares(&self) -> bool {
        !matches!(self.cipher, Cipher::Masked(_))
            && self.cells.as_ref().is_none_or(|cells| !cells.is_filling())
    }

    /// As how many texts a value may be stored: several while an encrypted column is being filled.
    pub fn texts(&self) -> usize {
        self.cells.as_ref().map_or(1, |cells| cells.texts())
    }

    /// Is what a client writes to the column stored as something else?
    pub fn is_written(&self) -> bool {
        self.is_reversible() || self.is_encrypted()
    }

    pub(super) fn same_cells(&self, other: &Self, same: fn(&Cells, &Cells) -> bool) -> bool {
        match (&self.cells, &other.cells) {
            (None, None) => true,
            (Some(mine), Some(others)) => same(mine, others),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Is the same shown for the same stored value? The mask of masked cells is its name's.
    pub fn shows_like(&self, other: &Self) -> bool {
        self.domain == other.domain
            && self.kind() == other.kind()
            && self.key.id() == other.key.id()
            && self.family == other.family
            && self.same_cells(other, Cells::same)
    }
}
