//! The data of COPY, as `copyfromparse.c` reads it: bytes in pieces of any size → rows of values, and
//! rows → bytes.
//!
//! What PostgreSQL is written is not what was read: the text format with its defaults, or a binary format with a
//! bare header. So PostgreSQL finds the values where they were found here, whatever delimiter, quote
//! or line end the client chose. Deliberately absent: types; a value is bytes or NULL.

mod binary;
pub mod line;
mod lines;
mod write;

use self::binary::Tuples;
use self::lines::Lines;
pub use self::write::CopyWriter;
use crate::limits::COPY_ROW_BYTES;
use crate::pg::sqlstate;
use crate::refusal::Refusal;

/// Values by position; `None` is NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// How rows are written in a COPY's data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    /// `FORMAT text`
    Text {
        /// `DELIMITER`
        delimiter: u8,
        /// `NULL`
        null: Box<str>,
    },
    /// `FORMAT csv`
    Csv {
        /// `DELIMITER`
        delimiter: u8,
        /// `NULL`
        null: Box<str>,
        /// `QUOTE`
        quote: u8,
        /// `ESCAPE`
        escape: u8,
        /// `\.` on a line of its own ends the data: until PostgreSQL 17.
        marker: bool,
    },
    /// `FORMAT binary`
    Binary,
}

/// Reads rows from pieces of data.
pub struct CopyReader {
    from: From,
    /// What was given and not read.
    rest: Vec<u8>,
    /// How much of it was.
    at: usize,
}

enum From {
    Lines(Lines),
    Tuples(Tuples),
}

impl CopyReader {
    /// At the begin of the data.
    pub fn new(format: &CopyFormat) -> Self {
        let from = match format {
            CopyFormat::Binary => From::Tuples(Tuples::default()),
            lines => From::Lines(Lines::new(lines)),
        };
        Self {
            from,
            rest: Vec::new(),
            at: 0,
        }
    }

    /// Takes the next piece of data.
    pub fn push(&mut self, data: &[u8]) {
        self.rest.drain(..self.at.min(self.rest.len()));
        self.at = 0;
        self.rest.extend_from_slice(data);
    }

    /// The next row that is whole; behind the `last` piece, what is left is one.
    pub fn next(&mut self, last: bool) -> Result<Option<Row>, Refusal> {
        let mut unread = self.rest.get(self.at..).unwrap_or_default();
        let row = match &mut self.from {
            From::Lines(lines) => lines.next(&mut unread, last),
            From::Tuples(tuples) => tuples.next(&mut unread, last),
        };
        self.at = self.rest.len().saturating_sub(unread.len());
        row
    }
}

/// What stands before the first row.
pub fn begin(binary: bool, out: &mut Vec<u8>) {
    if binary {
        binary::begin(out);
    }
}

/// A row.
pub fn write(binary: bool, row: &Row, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if binary {
        return binary::write(row, out);
    }
    for (n, value) in row.iter().enumerate() {
        if n > 0 {
            out.push(b'\t');
        }
        let Some(value) = value else {
            out.extend_from_slice(b"\\N");
            continue;
        };
        for byte in value {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                other => out.push(*other),
            }
        }
    }
    out.push(b'\n');
    Ok(())
}

/// What stands behind the last row.
pub fn end(binary: bool, out: &mut Vec<u8>) {
    if binary {
        binary::end(out);
    }
}

fn bad_format(message: &'static str) -> Refusal {
    Refusal::error(sqlstate::BAD_COPY_FILE_FORMAT, message)
}

fn too_long() -> Refusal {
    Refusal::error(
        sqlstate::PROGRAM_LIMIT_EXCEEDED,
        format!("a row of COPY into a column of tokens is longer than {COPY_ROW_BYTES} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::{CopyFormat, CopyReader, Row, begin, end, write};
    use crate::refusal::Refusal;

    fn text() -> CopyFormat {
        CopyFormat::Text {
            delimiter: b'\t',
            null: "\\N".into(),
        }
    }

    fn csv() -> CopyFormat {
        CopyFormat::Csv {
            delimiter: b',',
            null: "".into(),
            quote: b'"',
            escape: b'"',
            marker: true,
        }
    }

    fn read(format: &CopyFormat, pieces: &[&[u8]]) -> Result<Vec<Row>, Refusal> {
        let mut reader = CopyReader::new(format);
        let mut rows = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(row) = reader.next(false)? {
                rows.push(row);
            }
        }
        while let Some(row) = reader.next(true)? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Values as text, `-` for NULL, by `|`; rows by `/`. However the data is cut, it is the same.
    fn shown(format: &CopyFormat, data: &[u8]) -> String {
        let whole = shown_in(format, &[data]);
        let single: Vec<&[u8]> = data.chunks(1).collect();
        assert_eq!(shown_in(format, &single), whole, "byte by byte");
        for at in 0..data.len() {
            let (a, b) = data.split_at(at);
            assert_eq!(shown_in(format, &[a, b]), whole, "cut at {at}");
        }
        whole
    }

    fn shown_in(format: &CopyFormat, pieces: &[&[u8]]) -> String {
        let value = |v: &Option<Vec<u8>>| match v {
            Some(v) => String::from_utf8_lossy(v).into_owned(),
            None => "-".to_owned(),
        };
        let row = |r: &Row| r.iter().map(value).collect::<Vec<_>>().join("|");
        match read(format, pieces) {
            Ok(rows) => rows.iter().map(row).collect::<Vec<_>>().join("/"),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn text_is_read_as_postgresql_reads_it() {
        for (data, rows) in [
            (&b""[..], ""),
            (b"a\tb\n\\N\tc", "a|b/-|c"),
            (b"\n", ""),
            (b"a\n\nb\n", "a//b"),
            (b"a\r\nb\r\n", "a/b"),
            (b"a\rb\r", "a/b"),
            (b"a\nb\r\n", "literal carriage return found in data"),
            (b"a\r\nb\n", "literal newline found in data"),
            (b"a\r\nb\rc\r\n", "literal carriage return found in data"),
            (b"a\rb\n", "literal newline found in data"),
            (b"\\t\\n\\\\\\b\\q\t\\116\\x4e\\x4E\\N", "\t\n\\\u{8}q|NNNN"),
            (b"\\\t\\\n\t\\xg\\8\\", "\t\n|xg8"),
            (b"a\n\\.\nrest\tof it", "a"),
            (b"a\n\\.", "end-of-copy marker corrupt"),
            (b"a\r\n\\.\r\nb", "a"),
            (b"a\n\\.\r\n", "literal carriage return found in data"),
            (b"\\.\r", ""),
            (b"b\\.", "end-of-copy marker corrupt"),
            (b"b\\.c\n", "end-of-copy marker corrupt"),
            (b"a\\.\n", "end-of-copy marker corrupt"),
            (b"\\.x\n", "end-of-copy marker corrupt"),
            (b"\\\\.\n", "\\."),
        ] {
            let what = String::from_utf8_lossy(data);
            assert_eq!(shown(&text(), data), rows, "{what:?}");
        }
        let other = CopyFormat::Text {
            delimiter: b'A',
            null: "no".into(),
        };
        assert_eq!(shown(&other, b"noA\\x4AAn\\oA\\A\n"), "-|J|no|A");
    }

    #[test]
    fn csv_is_read_as_postgresql_reads_it() {
        for (data, rows) in [
            (&b"a,b\n,\"\"\n"[..], "a|b/-|"),
            (b"\"a,\"\"b\"\"\nc\"d,e\r\n", "a,\"b\"\ncd|e"),
            (b"\"a\r\nb\"\nc\n", "a\r\nb/c"),
            (b"\\.\nx\n", ""),
            (b"a\n\\.", "a/\\."),
            (b"a\n\\.\r\n", "literal carriage return found in data"),
            (b"\\.x\n\"\\.\"\n", "\\.x/\\."),
            (b"\"a\n", "unterminated CSV quoted field"),
            (b"a\\b,\\N", "a\\b|\\N"),
        ] {
            let what = String::from_utf8_lossy(data);
            assert_eq!(shown(&csv(), data), rows, "{what:?}");
        }
        let other = CopyFormat::Csv {
            delimiter: b';',
            null: "NULL".into(),
            quote: b'\'',
            escape: b'\\',
            marker: false,
        };
        assert_eq!(
            shown(&other, b"'a\\'b\\\\';NULL;'NULL';'\\n'\n\\.\n"),
            "a'b\\|-|NULL|\\n/\\."
        );
        // An escape that another follows escapes no quote.
        assert_eq!(shown(&other, b"'\\\\'\nb\n"), "\\/b");
        assert_eq!(shown(&other, b"'\\'\n'\nb\n"), "'\n/b");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let rows: Vec<Row> = vec![
            vec![None, Some(b"\\N".to_vec()), Some(Vec::new())],
            vec![
                Some(b"a\tb\nc\rd\\.".to_vec()),
                None,
                Some(b"\xff\0".to_vec()),
            ],
            vec![Some(b"\\.".to_vec()), None, None],
        ];
        for binary in [false, true] {
            let mut data = Vec::new();
            begin(binary, &mut data);
            for row in &rows {
                write(binary, row, &mut data).expect("short");
            }
            end(binary, &mut data);
            let format = if binary { CopyFormat::Binary } else { text() };
            assert_eq!(read(&format, &[&data]), Ok(rows.clone()));
            let single: Vec<&[u8]> = data.chunks(1).collect();
            assert_eq!(read(&format, &single), Ok(rows.clone()));
        }
    }

    #[test]
    fn binary_data_is_read_to_its_end_and_no_further() {
        let mut good = Vec::new();
        begin(true, &mut good);
        write(true, &vec![Some(b"ab".to_vec()), None], &mut good).expect("short");
        let rows = "ab|-";
        let binary = CopyFormat::Binary;
        assert_eq!(shown_in(&binary, &[&good]), rows);
        for cut in 1..good.len() {
            let message = shown_in(&binary, &[&good[..cut]]);
            let expected = match cut {
                0..11 => "COPY file signature not recognized",
                11..15 => "invalid COPY file header (missing flags)",
                15..19 => "invalid COPY file header (missing length)",
                // Data may end without its trailer.
                19 => "",
                _ => "unexpected EOF in COPY data",
            };
            assert_eq!(message, expected, "{cut}");
        }
        let mut extended = good[..15].to_vec();
        extended.extend_from_slice(&[0, 0, 0, 3, 1, 2, 3]);
        extended.extend_from_slice(&good[19..]);
        assert_eq!(shown(&binary, &extended), rows);
        let mut ended = good.clone();
        end(true, &mut ended);
        assert_eq!(shown(&binary, &ended), rows);
        ended.push(0);
        assert_eq!(
            shown_in(&binary, &[&ended]),
            "received copy data after EOF marker"
        );
        for (at, byte, message) in [
            (0, b'Q', "COPY file signature not recognized"),
            (11, 1, "unrecognized critical flags in COPY file header"),
            (12, 1, "invalid COPY file header (WITH OIDS)"),
            (15, 0xff, "invalid COPY file header (wrong length)"),
            (21, 0xfe, "invalid field size"),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(shown_in(&binary, &[&bad]), message);
        }
    }
}
