//! Values → the lines of COPY TO STDOUT in text and CSV, as `copyto.c` writes them.

use super::CopyFormat;

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

    /// A name in the header line.
    pub fn name(&self, column: usize, name: Option<&[u8]>, out: &mut Vec<u8>) {
        self.write(column, name, false, out);
    }

    /// A value of a row, and what stands between it and the one before; of the binary format nothing.
    pub fn value(&self, column: usize, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let forced = self.quoted.get(column).copied().unwrap_or(false);
        self.write(column, value, forced, out);
    }

    fn write(&self, column: usize, value: Option<&[u8]>, forced: bool, out: &mut Vec<u8>) {
        match &self.format {
            CopyFormat::Binary => {}
            CopyFormat::Text { delimiter, null } => {
                if column > 0 {
                    out.push(*delimiter);
                }
                match value {
                    None => out.extend_from_slice(null.as_bytes()),
                    Some(value) => text(value, *delimiter, out),
                }
            }
            CopyFormat::Csv {
                delimiter,
                null,
                quote,
                escape,
                ..
            } => {
                if column > 0 {
                    out.push(*delimiter);
                }
                let Some(value) = value else {
                    out.extend_from_slice(null.as_bytes());
                    return;
                };
                let special = has_any(value, |b| {
                    b == *delimiter || b == *quote || b == b'\n' || b == b'\r'
                });
                // `\.` alone on a line would end the data.
                let ends = self.quoted.len() == 1 && *value == *b"\\.";
                let like_null = *value == *null.as_bytes();
                if !(forced || like_null || ends || special) {
                    out.extend_from_slice(value);
                    return;
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
}

/// Is there anything in the value that the text format escapes, or another control character?
pub(super) fn is_special(value: &[u8], delimiter: u8) -> bool {
    has_any(value, |b| b < b' ' || b == b'\\' || b == delimiter)
}

/// Is there such a byte? All are looked at together, which takes less time than to look where to stop.
fn has_any(value: &[u8], is: impl Fn(u8) -> bool) -> bool {
    value.iter().filter(|b| is(**b)).count() > 0
}

/// A value in the text format.
pub(super) fn text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    if !is_special(value, delimiter) {
        out.extend_from_slice(value);
        return;
    }
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
