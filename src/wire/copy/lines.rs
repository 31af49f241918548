//! Text and CSV: lines, then the values of a line.

use super::{COPY_ROW_BYTES, CopyFormat, Refusal, Row, bad_format, too_long};

/// Cuts lines as `CopyReadLineText()` does.
pub(super) struct Lines {
    form: Form,
    line: Vec<u8>,
    ends: Option<LineEnd>,
    /// A carriage return came, which may be half of a line's end.
    half: bool,
    /// Text: a backslash came. CSV: an escape inside quotes did.
    escaped: bool,
    /// CSV: inside quotes.
    quoted: bool,
    /// `\.` in a text line.
    marked: bool,
    /// `\.` ended the data; what follows is ignored.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Newline,
    Return,
    Both,
}

#[derive(Clone)]
struct Form {
    delimiter: u8,
    null: Box<[u8]>,
    csv: Option<Quotes>,
}

#[derive(Clone, Copy)]
struct Quotes {
    quote: u8,
    escape: u8,
    marker: bool,
}

impl Lines {
    pub(super) fn new(format: &CopyFormat) -> Self {
        let form = match format {
            CopyFormat::Csv {
                delimiter,
                null,
                quote,
                escape,
                marker,
            } => Form {
                delimiter: *delimiter,
                null: null.as_bytes().into(),
                csv: Some(Quotes {
                    quote: *quote,
                    escape: *escape,
                    marker: *marker,
                }),
            },
            CopyFormat::Text { delimiter, null } => Form {
                delimiter: *delimiter,
                null: null.as_bytes().into(),
                csv: None,
            },
            CopyFormat::Binary => Form {
                delimiter: b'\t',
                null: Box::default(),
                csv: None,
            },
        };
        Self {
            form,
            line: Vec::new(),
            ends: None,
            half: false,
            escaped: false,
            quoted: false,
            marked: false,
            ended: false,
        }
    }

    pub(super) fn next(&mut self, unread: &mut &[u8], last: bool) -> Result<Option<Row>, Refusal> {
        if self.ended {
            *unread = &[];
            return Ok(None);
        }
        while let Some((byte, rest)) = unread.split_first() {
            if self.half {
                self.half = false;
                if *byte == b'\n' {
                    *unread = rest;
                    self.ends = Some(LineEnd::Both);
                } else if self.ends == Some(LineEnd::Both) {
                    return Err(bad_format("literal carriage return found in data"));
                } else {
                    self.ends = Some(LineEnd::Return);
                }
                return self.row(true);
            }
            *unread = rest;
            if self.ends_line(*byte)? {
                return self.row(true);
            }
        }
        if !last || self.line.is_empty() && !self.half {
            return Ok(None);
        }
        if self.half && self.ends == Some(LineEnd::Both) {
            return Err(bad_format("literal carriage return found in data"));
        }
        let ended = std::mem::take(&mut self.half);
        self.row(ended)
    }

    /// Takes a byte; is it the end of a line?
    fn ends_line(&mut self, byte: u8) -> Result<bool, Refusal> {
        let literal = match self.form.csv {
            None => {
                let literal = self.escaped;
                self.escaped = byte == b'\\' && !literal;
                self.marked |= literal && byte == b'.';
                literal
            }
            Some(quotes) => {
                // Where both are one character it toggles, and `""` toggles twice.
                let escape = (quotes.escape != quotes.quote).then_some(quotes.escape);
                if self.quoted && Some(byte) == escape {
                    self.escaped = !self.escaped;
                }
                if byte == quotes.quote && !self.escaped {
                    self.quoted = !self.quoted;
                }
                if Some(byte) != escape {
                    self.escaped = false;
                }
                self.quoted
            }
        };
        match (byte, self.ends) {
            (b'\r', None | Some(LineEnd::Both)) if !literal => self.half = true,
            (b'\r', Some(LineEnd::Newline)) if !literal => {
                return Err(bad_format("literal carriage return found in data"));
            }
            (b'\n', Some(LineEnd::Return | LineEnd::Both)) if !literal => {
                return Err(bad_format("literal newline found in data"));
            }
            (b'\r', Some(LineEnd::Return)) if !literal => return Ok(true),
            (b'\n', None | Some(LineEnd::Newline)) if !literal => {
                self.ends = Some(LineEnd::Newline);
                return Ok(true);
            }
            _ if self.line.len() >= COPY_ROW_BYTES => return Err(too_long()),
            _ => self.line.push(byte),
        }
        Ok(false)
    }

    /// The values of a line; the last may have no end.
    fn row(&mut self, ended: bool) -> Result<Option<Row>, Refusal> {
        let line = std::mem::take(&mut self.line);
        self.escaped = false;
        self.quoted = false;
        let marked = std::mem::take(&mut self.marked);
        // To PostgreSQL it is none without a line's end: in CSV it is a value then.
        let marker = ended && self.form.csv.is_none_or(|quotes| quotes.marker);
        if marker && line == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        match self.form.csv {
            None if marked => Err(bad_format("end-of-copy marker corrupt")),
            None => Ok(Some(self.form.text_values(&line))),
            Some(quotes) => self.form.csv_values(quotes, &line).map(Some),
        }
    }
}

impl Form {
    /// `CopyReadAttributesText()`
    fn text_values(&self, line: &[u8]) -> Row {
        let mut row = Row::new();
        let mut rest = line;
        loop {
            let (value, written, after) = self.text_value(rest);
            row.push((*written != *self.null).then_some(value));
            match after {
                Some(after) => rest = after,
                None => return row,
            }
        }
    }

    /// The first value, as it was written too, and what follows its delimiter.
    fn text_value<'l>(&self, line: &'l [u8]) -> (Vec<u8>, &'l [u8], Option<&'l [u8]>) {
        let mut value = Vec::new();
        let mut rest = line;
        while let Some((byte, after)) = rest.split_first() {
            if *byte == self.delimiter {
                let length = line.len().saturating_sub(rest.len());
                return (value, line.get(..length).unwrap_or_default(), Some(after));
            }
            rest = after;
            if *byte != b'\\' {
                value.push(*byte);
            } else if let Some((escaped, after)) = rest.split_first() {
                rest = after;
                value.push(match escaped {
                    b'0'..=b'7' => number(escaped - b'0', 8, 2, &mut rest),
                    b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
                        number(0, 16, 2, &mut rest)
                    }
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    other => *other,
                });
            }
        }
        (value, line, None)
    }

    /// `CopyReadAttributesCSV()`
    fn csv_values(&self, quotes: Quotes, line: &[u8]) -> Result<Row, Refusal> {
        let mut row = Row::new();
        let mut bytes = line.iter().copied().peekable();
        let (mut value, mut any_quote) = (Vec::new(), false);
        loop {
            let byte = bytes.next();
            match byte {
                Some(byte) if byte != self.delimiter => {
                    if byte == quotes.quote {
                        any_quote = true;
                        quoted(quotes, &mut bytes, &mut value)?;
                    } else {
                        value.push(byte);
                    }
                    continue;
                }
                _ => {}
            }
            let value = std::mem::take(&mut value);
            let null = !std::mem::take(&mut any_quote) && *value == *self.null;
            row.push((!null).then_some(value));
            if byte.is_none() {
                return Ok(row);
            }
        }
    }
}

/// A field of the text format with its defaults.
pub(super) fn unescaped(field: &[u8]) -> Vec<u8> {
    let form = Form {
        delimiter: b'\t',
        null: Box::default(),
        csv: None,
    };
    form.text_value(field).0
}

/// The rest of a quoted piece of a value.
fn quoted(
    quotes: Quotes,
    bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    value: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let special = |byte: &u8| *byte == quotes.quote || *byte == quotes.escape;
    while let Some(byte) = bytes.next() {
        if byte == quotes.escape
            && let Some(escaped) = bytes.next_if(special)
        {
            value.push(escaped);
        } else if byte == quotes.quote {
            return Ok(());
        } else {
            value.push(byte);
        }
    }
    Err(bad_format("unterminated CSV quoted field"))
}

/// The byte of an octal or hexadecimal number that begins with `first` and goes on for at most `more`
/// digits. As in PostgreSQL its lower eight bits count.
fn number(first: u8, base: u8, more: u8, rest: &mut &[u8]) -> u8 {
    let mut value = first;
    for _ in 0..more {
        let Some((digit, after)) = rest.split_first() else {
            break;
        };
        let Some(digit) = char::from(*digit)
            .to_digit(base.into())
            .and_then(|d| u8::try_from(d).ok())
        else {
            break;
        };
        value = value.wrapping_mul(base).wrapping_add(digit);
        *rest = after;
    }
    value
}
