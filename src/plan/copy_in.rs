//! The data of COPY FROM into columns of tokens: every row is read here, its tokens become what they
//! stand for, and it is written anew, so that a value cannot stand in one column here and in another
//! in PostgreSQL.
//!
//! What is no token ends the COPY, as it is refused in an INSERT: nothing of it is stored.

use std::sync::Arc;

use super::copy_options::{Options, Side};
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::pg::sqlstate;
use crate::pg::types::Format;
use crate::refusal::Refusal;
use crate::sql::tree::Copy;
use crate::wire::copy::{self, CopyFormat, CopyReader, Row};

/// A column of the data, with what decodes it.
pub(super) type CopyColumn = (Ident, Option<Arc<TokenColumn>>);

/// How the data of a COPY FROM is decoded.
pub struct CopyTokens {
    columns: Vec<CopyColumn>,
    options: Options,
}

impl CopyTokens {
    /// Takes the options out of the statement: PostgreSQL gets the data in text, without any, or in
    /// binary.
    pub(super) fn of(
        c: &mut Copy,
        columns: Vec<CopyColumn>,
        version: u32,
    ) -> Result<Self, Refusal> {
        let names: Vec<&Ident> = columns.iter().map(|(name, _)| name).collect();
        let options = Options::read(&c.options, &c.forced, &names, (Side::From, version))?;
        c.forced.clear();
        c.options = if options.format == CopyFormat::Binary {
            vec![("format".into(), "binary".into())]
        } else {
            Vec::new()
        };
        Ok(Self { columns, options })
    }

    /// Would it decode data of the same columns? What it decodes has not come yet, so that today's keys
    /// are the right ones.
    pub fn reads_like(&self, other: &Self) -> bool {
        let same = |(a, b): (&CopyColumn, &CopyColumn)| {
            a.0 == b.0
                && match (&a.1, &b.1) {
                    (None, None) => true,
                    (Some(a), Some(b)) => a.reads_like(b),
                    (None, Some(_)) | (Some(_), None) => false,
                }
        };
        self.options == other.options
            && self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(same)
    }

    /// Begins with the data of one run.
    pub fn decoder(self: &Arc<Self>) -> CopyDecoder {
        CopyDecoder {
            reader: CopyReader::new(&self.options.format),
            tokens: Arc::clone(self),
            header: self.options.header.is_some(),
            begun: false,
            rows: 0,
        }
    }

    fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// A row as it is stored.
    fn stored(&self, mut row: Row) -> Result<Row, Refusal> {
        if row.len() > self.columns.len() {
            return Err(bad_row("extra data after last expected column"));
        }
        if let Some((missing, _)) = self.columns.get(row.len()) {
            return Err(bad_row(format!("missing data for column \"{missing}\"")));
        }
        let format = if self.is_binary() {
            Format::Binary
        } else {
            Format::Text
        };
        for (n, (value, (_, token))) in row.iter_mut().zip(&self.columns).enumerate() {
            self.options.force(n, value);
            if let (Some(token), Some(written)) = (token, &value) {
                let stored = token
                    .stored_wire(written, format)
                    .map_err(|why| super::subject::not_decoded(why, token))?;
                *value = Some(stored.to_vec());
            }
        }
        Ok(row)
    }

    /// `HEADER MATCH`
    fn matches(&self, row: &Row) -> Result<(), Refusal> {
        if row.len() != self.columns.len() {
            return Err(bad_row(format!(
                "wrong number of fields in header line: got {}, expected {}",
                row.len(),
                self.columns.len()
            )));
        }
        for (n, (value, (name, _))) in (1_u32..).zip(row.iter().zip(&self.columns)) {
            if value.as_deref() != Some(name.as_str().as_bytes()) {
                return Err(bad_row(format!(
                    "column name mismatch in header line field {n}, expected \"{name}\""
                )));
            }
        }
        Ok(())
    }
}

/// The data of one COPY on its way.
pub struct CopyDecoder {
    tokens: Arc<CopyTokens>,
    reader: CopyReader,
    /// The header line has not come.
    header: bool,
    begun: bool,
    rows: u64,
}

impl CopyDecoder {
    /// A piece of the client's data → data for PostgreSQL.
    pub fn push(&mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.reader.push(data);
        self.read(false)
    }

    /// The end of the client's data.
    pub fn finish(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut out = self.read(true)?;
        copy::end(self.tokens.is_binary(), &mut out);
        Ok(out)
    }

    fn read(&mut self, last: bool) -> Result<Vec<u8>, Refusal> {
        let binary = self.tokens.is_binary();
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            copy::begin(binary, &mut out);
        }
        loop {
            let row = self.reader.next(last).map_err(|fault| self.at(fault))?;
            let Some(row) = row else { return Ok(out) };
            if std::mem::take(&mut self.header) {
                if self.tokens.options.header == Some(true) {
                    self.tokens.matches(&row)?;
                }
                continue;
            }
            let stored = self.tokens.stored(row).map_err(|fault| self.at(fault))?;
            self.rows = self.rows.saturating_add(1);
            copy::write(binary, &stored, &mut out)?;
        }
    }

    /// With the row it is about.
    fn at(&self, fault: Refusal) -> Refusal {
        let row = format!("Row {} of the data.", self.rows.saturating_add(1));
        let detail = match &fault.detail {
            Some(detail) => format!("{detail} {row}"),
            None => row,
        };
        fault.detail(detail)
    }
}

fn bad_row(message: impl Into<String>) -> Refusal {
    Refusal::error(sqlstate::BAD_COPY_FILE_FORMAT, message)
}
