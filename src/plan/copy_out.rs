//! The data of COPY TO where something is made of the rows on their way: masks, tokens and decrypted cells.
//!
//! PostgreSQL gives the rows in text, or in binary, in a form of the proxy's own; they are read here,
//! changed as a SELECT's would be, and written as the client asked. A client that asked for that form gets what
//! is not changed as it came.

use std::ops::Range;
use std::sync::Arc;

use super::copy_options::{Options, Side};
use crate::ident::Ident;
use crate::mask::{CompiledMask, MalformedRow, OutputRule, Transform};
use crate::pg::types::Format;
use crate::refusal::Refusal;
use crate::sql::tree::Copy;
use crate::wire::copy::{self, CopyFormat, CopyReader, CopyWriter, Row, line, line::Line};

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
        let columns = 0..self.outputs.len();
        let quoted = columns.map(|n| self.options.quotes(n)).collect();
        let data = match &self.options.format {
            CopyFormat::Binary => Data::Tuples(CopyReader::new(&CopyFormat::Binary)),
            format if *format == as_sent() => Data::Same,
            format => Data::Lines(CopyWriter::new(format.clone(), quoted)),
        };
        CopyEncoder {
            export: Arc::clone(self),
            data,
            header: self.options.header.is_some(),
            begun: false,
            made: Vec::new(),
            shown: Vec::new(),
        }
    }
}

/// The text in which PostgreSQL sends the rows.
fn as_sent() -> CopyFormat {
    CopyFormat::Text {
        delimiter: b'\t',
        null: "\\N".into(),
    }
}

/// The data of one COPY on its way.
pub struct CopyEncoder {
    export: Arc<CopyExport>,
    data: Data,
    /// The header line has not come.
    header: bool,
    /// Something went out.
    begun: bool,
    /// What becomes of a row.
    made: Vec<u8>,
    /// What becomes of a value.
    shown: Vec<u8>,
}

enum Data {
    /// Lines for a client that asked for lines of that form.
    Same,
    /// Lines for one that asked for others.
    Lines(CopyWriter),
    /// Tuples of the binary format.
    Tuples(CopyReader),
}

/// Not the rows that were planned.
pub struct UnplannedRows;

impl From<MalformedRow> for UnplannedRows {
    fn from(_: MalformedRow) -> Self {
        Self
    }
}

impl CopyEncoder {
    /// A piece of PostgreSQL's data → each row's data for the client.
    pub fn push<E: From<UnplannedRows>>(
        &mut self,
        data: &[u8],
        mut send: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.data {
            Data::Tuples(reader) => {
                reader.push(data);
                self.tuples(false, send)
            }
            Data::Same | Data::Lines(_) => {
                self.made.clear();
                self.line(&Line::read(data).ok_or(UnplannedRows)?)?;
                send(&self.made)
            }
        }
    }

    /// The end of PostgreSQL's data.
    pub fn finish<E: From<UnplannedRows>>(
        &mut self,
        mut send: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if !matches!(self.data, Data::Tuples(_)) {
            return Ok(());
        }
        self.tuples(true, &mut send)?;
        let mut end = self.beginning();
        copy::end(true, &mut end);
        send(&end)
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), UnplannedRows> {
        let outputs = &self.export.outputs;
        let header = std::mem::take(&mut self.header);
        let mut fields = line.fields();
        if let Data::Lines(writer) = &self.data {
            for (n, rule) in outputs.iter().enumerate() {
                let value = line.value(fields.next().ok_or(UnplannedRows)?);
                let value = value.as_deref();
                if header {
                    writer.name(n, value, &mut self.made);
                    continue;
                }
                self.shown.clear();
                let shown = match value {
                    Some(stored) if rule.transform.changes_values() => {
                        change(rule, stored, Format::Text, &mut self.shown)?;
                        Some(&*self.shown)
                    }
                    value => value,
                };
                writer.value(n, shown, &mut self.made);
            }
        } else {
            let mut copied = 0_usize;
            for rule in outputs.iter() {
                let field = fields.next().ok_or(UnplannedRows)?;
                if header || !rule.transform.changes_values() {
                    continue;
                }
                let Range { start, end } = field;
                let before = line.text().get(copied..start).unwrap_or_default();
                if let Some(mask) = plain_mask(rule).filter(|_| !line.has_escapes()) {
                    self.made.extend_from_slice(before);
                    let from = line.text().get(start..).unwrap_or_default();
                    mask.apply_in(from, end.saturating_sub(start), &mut self.made);
                    copied = end;
                } else if let Some(stored) = line.value(field) {
                    self.made.extend_from_slice(before);
                    let at = self.made.len();
                    change(rule, &stored, Format::Text, &mut self.made)?;
                    line::escape(&mut self.made, at);
                    copied = end;
                }
            }
            let rest = line.text().get(copied..).unwrap_or_default();
            self.made.extend_from_slice(rest);
        }
        self.made.push(b'\n');
        match fields.next() {
            None => Ok(()),
            Some(_) => Err(UnplannedRows),
        }
    }

    fn tuples<E: From<UnplannedRows>>(
        &mut self,
        last: bool,
        mut send: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Data::Tuples(reader) = &mut self.data
            && let Some(mut row) = reader.next(last).map_err(|_| UnplannedRows)?
        {
            if row.len() != self.export.outputs.len() {
                return Err(UnplannedRows.into());
            }
            self.change_row(&mut row)?;
            let mut out = self.beginning();
            copy::write(true, &row, &mut out).map_err(|_| UnplannedRows)?;
            send(&out)?;
        }
        Ok(())
    }

    /// What stands before the first tuple, and goes out with it.
    fn beginning(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            copy::begin(true, &mut out);
        }
        out
    }

    fn change_row(&self, row: &mut Row) -> Result<(), UnplannedRows> {
        for (value, rule) in row.iter_mut().zip(self.export.outputs.iter()) {
            let Some(stored) = value else { continue };
            if rule.transform.changes_values() {
                let mut shown = Vec::with_capacity(stored.len());
                change(rule, stored, Format::Binary, &mut shown)?;
                *value = Some(shown);
            }
        }
        Ok(())
    }
}

/// A mask that makes nothing to be escaped of a value in which nothing was.
fn plain_mask(rule: &OutputRule) -> Option<&CompiledMask> {
    match &rule.transform {
        Transform::Mask(mask) => Some(&**mask).filter(|mask| !line::is_special(mask.adds())),
        Transform::Pass | Transform::Name(_) | Transform::Token(_) => None,
    }
}

/// Appends what becomes of a value.
fn change(
    rule: &OutputRule,
    stored: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Result<(), MalformedRow> {
    match &rule.transform {
        Transform::Pass | Transform::Name(_) => out.extend_from_slice(stored),
        Transform::Mask(mask) => mask.apply(stored, out),
        Transform::Token(token) => token.encode_wire(stored, format, out)?,
    }
    Ok(())
}
