//! Rows → the data of COPY TO STDOUT, as `copyto.c` writes it.

use super::{CopyFormat, Row, binary};
use crate::refusal::Refusal;

/// Writes rows in one format.
pub struct CopyWriter {
    format: CopyFormat,
    /// `FORCE_QUOTE`, by column.
    quoted: Vec<bool>,
}

impl CopyWriter {
    /// `quoted` says for each column whether its values are always quoted, in CSV.
    pub fn new(format: CopyFormat, quoted: Vec<bool>) -> Self {
        Self { format, quoted }
    }

    /// What stands before the first row.
    pub fn begin(&self, out: &mut Vec<u8>) {
        super::begin(self.format == CopyFormat::Binary, out);
    }

    /// The line of column names.
    pub fn header(&self, names: &Row, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.line(names, &[], out)
    }

    /// A row.
    pub fn row(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.line(row, &self.quoted, out)
    }

    /// What stands behind the last row.
    pub fn end(&self, out: &mut Vec<u8>) {
        super::end(self.format == CopyFormat::Binary, out);
    }

    fn line(&self, row: &Row, quoted: &[bool], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match &self.format {
            CopyFormat::Binary => return binary::write(row, out),
            CopyFormat::Text { delimiter, null } => {
                for (n, value) in row.iter().enumerate() {
                    if n > 0 {
                        out.push(*delimiter);
                    }
                    match value {
                        None => out.extend_from_slice(null.as_bytes()),
                        Some(value) => text(value, *delimiter, out),
                    }
                }
            }
            CopyFormat::Csv {
                delimiter,
                null,
                quote,
                escape,
                ..
            } => {
                for (n, value) in row.iter().enumerate() {
                    if n > 0 {
                        out.push(*delimiter);
                    }
                    let Some(value) = value else {
                        out.extend_from_slice(null.as_bytes());
                        continue;
                    };
                    let special = |b: &u8| [*delimiter, *quote, b'\n', b'\r'].contains(b);
                    // `\.` alone on a line would end the data.
                    let ends = row.len() == 1 && **value == *b"\\.";
                    let like_null = **value == *null.as_bytes();
                    let forced = quoted.get(n).copied().unwrap_or(false);
                    if !(forced || like_null || ends || value.iter().any(special)) {
                        out.extend_from_slice(value);
                        continue;
                    }
                    out.push(*quote);
                    for byte in value {
                        if byte == quote || byte == escape {
                            out.push(*escape);
                        }
                        out.push(*byte);
                    }
                    out.push(*quote);
                }
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

fn text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value {
        let letter = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            other if *other == delimiter => delimiter,
            other => {
                out.push(*other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}
