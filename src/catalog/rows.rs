//! Rows of the catalog queries as typed fields, and their hash.

use super::Action;
use super::build::{BuildError, CatalogRows};
use super::queries::{Part, QUERIES};
use crate::ident::Ident;
use crate::pg::AttrNumber;

/// One row, with typed access.
pub(super) struct Row<'a> {
    pub(super) part: Part,
    pub(super) fields: &'a [Option<String>],
}

impl<'a> Row<'a> {
    pub(super) fn wrong(&self, what: &'static str) -> BuildError {
        BuildError {
            part: self.part,
            what,
        }
    }

    pub(super) fn optional(&self, field: usize) -> Result<Option<&'a str>, BuildError> {
        let field = self
            .fields
            .get(field)
            .ok_or_else(|| self.wrong("too few columns"))?;
        Ok(field.as_deref())
    }

    pub(super) fn text(&self, field: usize) -> Result<&'a str, BuildError> {
        self.optional(field)?
            .ok_or_else(|| self.wrong("unexpected NULL"))
    }

    pub(super) fn ident(&self, field: usize) -> Result<Ident, BuildError> {
        Ok(Ident::exact(self.text(field)?))
    }

    pub(super) fn number<N: std::str::FromStr>(&self, field: usize) -> Result<N, BuildError> {
        self.text(field)?
            .parse()
            .map_err(|_| self.wrong("not a number"))
    }

    pub(super) fn boolean(&self, field: usize) -> Result<bool, BuildError> {
        match self.text(field)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.wrong("not a boolean")),
        }
    }

    /// An `oidvector`, or the like: numbers and blanks.
    pub(super) fn numbers<N: std::str::FromStr>(&self, field: usize) -> Result<Vec<N>, BuildError> {
        self.optional(field)?
            .unwrap_or_default()
            .split_whitespace()
            .map(|number| {
                number
                    .parse()
                    .map_err(|_| self.wrong("not a list of numbers"))
            })
            .collect()
    }

    /// `confdeltype`, `confupdtype`; of a CHECK too, where it is blank.
    pub(super) fn action(&self, field: usize) -> Result<Action, BuildError> {
        match self.text(field)? {
            "c" => Ok(Action::Cascade),
            "n" => Ok(Action::SetNull),
            "d" => Ok(Action::SetDefault),
            "a" | "r" | " " => Ok(Action::Refuse),
            _ => Err(self.wrong("not a referential action")),
        }
    }

    pub(super) fn attributes(&self, field: usize) -> Result<Vec<AttrNumber>, BuildError> {
        self.numbers(field)
    }
}

/// A hash of everything that was read, whatever the order of the rows: FNV-1a of each row, summed.
pub(super) fn fingerprint(rows: &CatalogRows) -> u64 {
    let mut sum: u64 = 0;
    for (part, rows) in rows {
        for row in rows {
            let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, &[part_number(*part)]);
            for field in row {
                // NULL and the empty text differ; fields do not run into each other.
                hash = fnv1a(hash, &[u8::from(field.is_some())]);
                hash = fnv1a(hash, field.as_deref().unwrap_or_default().as_bytes());
                hash = fnv1a(hash, &[0]);
            }
            sum = sum.wrapping_add(hash);
        }
    }
    sum
}

fn part_number(part: Part) -> u8 {
    let position = QUERIES.iter().position(|(p, _)| *p == part);
    position
        .and_then(|p| u8::try_from(p).ok())
        .unwrap_or(u8::MAX)
}

fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
