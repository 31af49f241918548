//! The data of COPY TO where something is made of the rows on their way: tokens, masks and decrypted
//! cells of columns PostgreSQL cannot make them of.
//!
//! PostgreSQL gives the rows in text, or in binary, in a form of the proxy's own; they are read here,
//! changed as a SELECT's would be, and written as the client asked.

use std::sync::Arc;

use super::copy_options::{Options, Side};
use crate::ident::Ident;
use crate::mask::{MalformedRow, OutputRule, Transform};
use crate::pg::types::Format;
use crate::refusal::Refusal;
use crate::sql::tree::Copy;
use crate::wire::copy::{CopyFormat, CopyReader, CopyWriter, Row};

/// How the data of a COPY TO is made.
pub struct CopyExport {
    outputs: Arc<[OutputRule]>,
    options: Options,
}

impl CopyExport {
    /// Takes the options out of the statement: PostgreSQL gives the data in text, or in binary.
    pub(super) fn of(
        c: &mut Copy,
        outputs: Arc<[OutputRule]>,
        names: &[Ident],
        version: u32,
    ) -> Result<Self, Refusal> {
        let names: Vec<&Ident> = names.iter().collect();
        let options = Options::read(&c.options, &c.forced, &names, (Side::To, version))?;
        c.forced.clear();
        let mut left: Vec<(Box<str>, Box<str>)> = Vec::new();
        if options.format == CopyFormat::Binary {
            left.push(("format".into(), "binary".into()));
        } else if options.header.is_some() {
            // The names are PostgreSQL's to say.
            left.push(("header".into(), "true".into()));
        }
        c.options = left;
        Ok(Self { outputs, options })
    }

    /// Would it make the same of the same rows, keys apart?
    pub fn accepts(&self, older: &Self) -> bool {
        let mut both = self.outputs.iter().zip(older.outputs.iter());
        self.options == older.options
            && self.outputs.len() == older.outputs.len()
            && both.all(|(a, b)| a.accepts(b))
    }

    /// Begins with the data of one run.
    pub fn encoder(self: &Arc<Self>) -> CopyEncoder {
        let text = CopyFormat::Text {
            delimiter: b'\t',
            null: "\\N".into(),
        };
        let upstream = match &self.options.format {
            CopyFormat::Binary => CopyFormat::Binary,
            CopyFormat::Text { .. } | CopyFormat::Csv { .. } => text,
        };
        let columns = 0..self.outputs.len();
        let quoted = columns.map(|n| self.options.quotes(n)).collect();
        let writer = CopyWriter::new(self.options.format.clone(), quoted);
        let mut begun = Vec::new();
        writer.begin(&mut begun);
        CopyEncoder {
            reader: CopyReader::new(&upstream),
            writer,
            begun,
            header: self.options.header.is_some(),
            export: Arc::clone(self),
        }
    }
}

/// The data of one COPY on its way.
pub struct CopyEncoder {
    export: Arc<CopyExport>,
    reader: CopyReader,
    writer: CopyWriter,
    /// What stands before the first row, and goes out with it.
    begun: Vec<u8>,
    /// The header line has not come.
    header: bool,
}

/// Not the rows that were planned.
pub struct UnplannedRows;

impl CopyEncoder {
    /// A piece of PostgreSQL's data → each row's data for the client.
    pub fn push(&mut self, data: &[u8]) -> Result<Vec<Vec<u8>>, UnplannedRows> {
        self.reader.push(data);
        self.rows(false)
    }

    /// The end of PostgreSQL's data.
    pub fn finish(&mut self) -> Result<Vec<Vec<u8>>, UnplannedRows> {
        let mut rows = self.rows(true)?;
        let mut end = std::mem::take(&mut self.begun);
        self.writer.end(&mut end);
        if !end.is_empty() {
            rows.push(end);
        }
        Ok(rows)
    }

    fn rows(&mut self, last: bool) -> Result<Vec<Vec<u8>>, UnplannedRows> {
        let mut rows = Vec::new();
        while let Some(row) = self.reader.next(last).map_err(|_| UnplannedRows)? {
            if row.len() != self.export.outputs.len() {
                return Err(UnplannedRows);
            }
            let mut out = std::mem::take(&mut self.begun);
            let written = if std::mem::take(&mut self.header) {
                self.writer.header(&row, &mut out)
            } else {
                let row = self.changed(row).map_err(|_| UnplannedRows)?;
                self.writer.row(&row, &mut out)
            };
            written.map_err(|_| UnplannedRows)?;
            rows.push(out);
        }
        Ok(rows)
    }

    fn changed(&self, mut row: Row) -> Result<Row, MalformedRow> {
        let format = match self.export.options.format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text { .. } | CopyFormat::Csv { .. } => Format::Text,
        };
        for (value, rule) in row.iter_mut().zip(self.export.outputs.iter()) {
            let Some(stored) = value else { continue };
            let mut shown = Vec::with_capacity(stored.len());
            match &rule.transform {
                Transform::Pass | Transform::Name(_) => continue,
                Transform::Mask(mask) => mask.apply(stored, &mut shown),
                Transform::Token(token) => token.encode_wire(stored, format, &mut shown)?,
            }
            *value = Some(shown);
        }
        Ok(row)
    }
}
