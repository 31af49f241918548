//! Which columns of the masked relations a statement reads: the others are not printed. A question a
//! hidden column answers leaves the column it was asked of unread, a whole row leaves all of them, and
//! PostgreSQL would read, look up and plan each mask only to throw it away.
//!
//! The printer itself gathers them, in a first run whose text nobody sees: nothing it writes can name
//! a column it did not meet. Relations are told apart by alias only, so a column may be kept that a
//! relation of the same alias elsewhere in the statement reads.
//!
//! Deliberately absent: aliases of joins, which resolution has replaced by what they stand for.

use std::collections::HashSet;

use super::{DerivedColumn, Printer};
use crate::ident::Ident;

/// Columns, by the alias they are read through; `None`: by their name alone.
#[derive(Default)]
pub(super) struct Reads(HashSet<(Option<Ident>, Ident)>);

impl Reads {
    /// Is the column of the relation called `alias` read?
    pub(super) fn has(&self, alias: &Ident, column: &DerivedColumn) -> bool {
        let by = |alias| self.0.contains(&(alias, column.name.clone()));
        by(None) || by(Some(alias.clone()))
    }
}

impl Printer<'_> {
    /// A column is written here.
    pub(super) fn reads(&mut self, alias: Option<&Ident>, column: &Ident) {
        if let Some(Reads(gathered)) = &mut self.gathered {
            gathered.insert((alias.cloned(), column.clone()));
        }
    }
}
