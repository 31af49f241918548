//! PostgreSQL's lexical rules, exactly: the rules of `scan.l` of PostgreSQL 15 with
//! `standard_conforming_strings = on`, and the [`number`]s of later versions, in our own code.
//!
//! Tokens carry decoded values, so nothing after this file sees a quote, an escape or a comment. The
//! SQL parser is fed from these tokens and never reads the text, so no difference between two lexers
//! can exist. Where PostgreSQL would truncate or guess (names over 63 bytes, a NUL), it is refused.
//! Deliberately absent: the grammar's keywords (see [`keyword`]), and anything else that is newer than
//! PostgreSQL 15.

pub(super) mod keyword;
mod literal;
mod number;
mod unicode;

use std::borrow::Cow;

use super::Unsupported;
use super::tree::NumberType;
use crate::ident::MAX_BYTES;

/// What a token is.
pub(super) enum Kind<'t> {
    /// An unquoted word, ASCII letters folded to lower case: a keyword or an identifier.
    Word(Cow<'t, str>),
    /// A quoted identifier, decoded.
    Quoted(Cow<'t, str>),
    /// A string constant, decoded; `E''`, `U&''` and dollar quotes included.
    String(Cow<'t, str>),
    /// `B'01'` or `X'1F'`: the digits, checked.
    Bits {
        /// `X'…'`
        hex: bool,
        /// Digits.
        digits: Cow<'t, str>,
    },
    /// An unsigned number as written, lower case.
    Number(Cow<'t, str>),
    /// One as only PostgreSQL 16 and later read it (`0x1F`, `1_000`), in plain decimal digits.
    LaterNumber(Cow<'t, str>),
    /// `$n`
    Param(u16),
    /// An operator; `!=` is already `<>`.
    Operator(Cow<'t, str>),
    /// `( ) [ ] , ; : .`
    Punctuation(char),
    /// `::`, `:=`, `=>` or `..`: not operators, whatever they look like.
    Special(&'static str),
}

/// One token with its byte range in the text.
pub(super) struct Token<'t> {
    /// What it is.
    pub(super) kind: Kind<'t>,
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

impl Kind<'_> {
    /// The text of a constant that a statement's shape leaves open: a string's or a number's.
    pub(super) fn constant(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) | Self::LaterNumber(text) => Some(text),
            Self::Word(_)
            | Self::Quoted(_)
            | Self::Bits { .. }
            | Self::Param(_)
            | Self::Operator(_)
            | Self::Punctuation(_)
            | Self::Special(_) => None,
        }
    }

    /// Appends the token as it stands in a key. A key says the tokens and nothing else: each begins
    /// with its class, and those whose length the class does not tell end with a NUL, which no token
    /// holds. Of a string or a number there is only what it is.
    pub(super) fn write_shape(&self, key: &mut Vec<u8>) {
        let (class, text) = match self {
            Self::Word(text) => (b'w', text.as_bytes()),
            Self::Quoted(text) => (b'q', text.as_bytes()),
            Self::Operator(text) => (b'o', text.as_bytes()),
            Self::Special(text) => (b':', text.as_bytes()),
            Self::Bits { hex: true, digits } => (b'x', digits.as_bytes()),
            Self::Bits { hex: false, digits } => (b'b', digits.as_bytes()),
            Self::String(_) => return key.push(b's'),
            Self::Number(text) => return key.push(number_class(NumberType::of(text))),
            // No text that every version reads has the plan of one that some do not.
            Self::LaterNumber(text) => {
                return key.extend_from_slice(&[b'l', number_class(NumberType::of(text))]);
            }
            Self::Param(number) => {
                key.push(b'$');
                return key.extend_from_slice(&number.to_be_bytes());
            }
            Self::Punctuation(c) => return key.extend_from_slice(&[b'p', punctuation(*c)]),
        };
        key.push(class);
        key.extend_from_slice(text);
        key.push(0);
    }
}

fn number_class(ty: NumberType) -> u8 {
    match ty {
        NumberType::Int4 => b'4',
        NumberType::Int8 => b'8',
        NumberType::Numeric => b'n',
    }
}

/// `( ) [ ] , ; : .` are ASCII.
fn punctuation(c: char) -> u8 {
    u8::try_from(c).unwrap_or_default()
}

/// Cuts a text into tokens. Comments and white space vanish. At most `max_tokens` are made.
pub(super) fn scan(text: &str, max_tokens: usize) -> Result<Vec<Token<'_>>, Unsupported> {
    let mut scanner = Scanner { text, at: 0 };
    // Few texts have more tokens than a quarter of their bytes.
    let mut tokens = Vec::with_capacity(max_tokens.min(text.len() / 4));
    loop {
        scanner.skip_blank()?;
        let start = scanner.at;
        if scanner.peek(0).is_none() {
            return Ok(tokens);
        }
        if tokens.len() >= max_tokens {
            return Err(Unsupported {
                sqlstate: crate::pg::sqlstate::PROGRAM_LIMIT_EXCEEDED,
                hint: Some("Split the statement, or pass long lists as array parameters.".into()),
                ..Unsupported::form(
                    format!("text has more than {max_tokens} tokens"),
                    Some(start),
                )
            });
        }
        match scanner.token()? {
            Scanned::One(kind) => tokens.push(Token {
                kind,
                start,
                end: scanner.at,
            }),
            // N'…' is the keyword NCHAR followed by a string, as in scan.l.
            Scanned::National(value) => {
                let middle = start.saturating_add(1);
                tokens.push(Token {
                    kind: Kind::Word("nchar".into()),
                    start,
                    end: middle,
                });
                tokens.push(Token {
                    kind: Kind::String(value),
                    start: middle,
                    end: scanner.at,
                });
            }
        }
    }
}

enum Scanned<'t> {
    One(Kind<'t>),
    National(Cow<'t, str>),
}

/// A position in the text. Reads bytes; every multi-byte character has only bytes above 0x7F, which
/// are identifier bytes to PostgreSQL, so cuts always fall on character boundaries.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

fn is_ident_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_ident_part(byte: u8) -> bool {
    is_ident_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// `space` of scan.l in PostgreSQL 15: no vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

impl<'t> Scanner<'t> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text
            .as_bytes()
            .get(self.at.saturating_add(ahead))
            .copied()
    }

    fn looking_at(&self, what: &[u8]) -> bool {
        self.text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(what))
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn slice(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let from = self.at;
        while self.peek(0).is_some_and(&wanted) {
            self.skip(1);
        }
        self.slice(from, self.at)
    }

    fn error(what: &str, at: usize) -> Unsupported {
        Unsupported::syntax(what, Some(at))
    }

    /// White space and comments. Block comments nest.
    fn skip_blank(&mut self) -> Result<(), Unsupported> {
        loop {
            self.take_while(is_space);
            if self.looking_at(b"--") {
                self.take_while(|b| b != b'\n' && b != b'\r');
            } else if self.looking_at(b"/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), Unsupported> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            if self.looking_at(b"/*") {
                depth = depth.saturating_add(1);
                self.skip(2);
            } else if self.looking_at(b"*/") {
                depth = depth.saturating_sub(1);
                self.skip(2);
                if depth == 0 {
                    return Ok(());
                }
            } else if self.peek(0).is_some() {
                self.skip(1);
            } else {
                return Err(Self::error("unterminated /* comment", start));
            }
        }
    }

    fn token(&mut self) -> Result<Scanned<'t>, Unsupported> {
        let start = self.at;
        let Some(byte) = self.peek(0) else {
            return Err(Self::error("syntax error at end of input", start));
        };
        let kind = match byte {
            b'\'' => Kind::String(self.quoted_string()?),
            b'"' => Kind::Quoted(self.quoted_identifier()?),
            b'e' | b'E' if self.peek(1) == Some(b'\'') => {
                Kind::String(self.escape_string()?.into())
            }
            b'b' | b'B' if self.peek(1) == Some(b'\'') => self.bits(false)?,
            b'x' | b'X' if self.peek(1) == Some(b'\'') => self.bits(true)?,
            b'n' | b'N' if self.peek(1) == Some(b'\'') => {
                self.skip(1);
                return Ok(Scanned::National(self.quoted_string()?));
            }
            b'u' | b'U' if self.peek(1) == Some(b'&') && self.peek(2) == Some(b'\'') => {
                Kind::String(self.unicode_string()?.into())
            }
            b'u' | b'U' if self.peek(1) == Some(b'&') && self.peek(2) == Some(b'"') => {
                Kind::Quoted(self.unicode_identifier()?.into())
            }
            b'$' => self.dollar()?,
            b'0'..=b'9' => self.number()?,
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number()?,
            _ if is_ident_start(byte) => {
                let word = self.take_while(is_ident_part);
                Kind::Word(checked_name(lower_case(word), start)?)
            }
            _ if is_operator(byte) => self.operator()?,
            b':' | b'.' => self.colon_or_dot(byte),
            b'(' | b')' | b'[' | b']' | b',' | b';' => {
                self.skip(1);
                Kind::Punctuation(char::from(byte))
            }
            0 => return Err(Self::error("a text may not contain a NUL byte", start)),
            _ => {
                return Err(Self::error(
                    &format!("syntax error at or near \"{}\"", char::from(byte)),
                    start,
                ));
            }
        };
        Ok(Scanned::One(kind))
    }

    fn colon_or_dot(&mut self, byte: u8) -> Kind<'t> {
        for special in ["::", ":=", ".."] {
            if self.looking_at(special.as_bytes()) {
                self.skip(2);
                return Kind::Special(special);
            }
        }
        self.skip(1);
        Kind::Punctuation(char::from(byte))
    }

    /// An operator ends where a comment begins, and loses trailing `+`/`-` unless it contains one of
    /// ``~ ! @ # % ^ & | ` ?`` before them.
    fn operator(&mut self) -> Result<Kind<'t>, Unsupported> {
        let start = self.at;
        let run = self.take_while(is_operator);
        let comment = [run.find("--"), run.find("/*")].into_iter().flatten().min();
        let mut symbol = comment.and_then(|cut| run.get(..cut)).unwrap_or(run);
        while symbol.len() > 1
            && let Some(before) = symbol.strip_suffix(['+', '-'])
            && !before.contains(['~', '!', '@', '#', '%', '^', '&', '|', '`', '?'])
        {
            symbol = before;
        }
        self.at = start.saturating_add(symbol.len());
        if symbol.len() > MAX_BYTES {
            return Err(Self::error("operator too long", start));
        }
        Ok(match symbol {
            "=>" => Kind::Special("=>"),
            "!=" => Kind::Operator("<>".into()),
            _ => Kind::Operator(symbol.into()),
        })
    }

    /// `$1`, or a dollar-quoted string.
    fn dollar(&mut self) -> Result<Kind<'t>, Unsupported> {
        let start = self.at;
        self.skip(1);
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() {
            self.at = start;
            return self.dollar_string().map(Kind::String);
        }
        if self.peek(0).is_some_and(is_ident_start) {
            return Err(Self::error("trailing junk after parameter", start));
        }
        match digits.parse::<u16>() {
            Ok(number) if number > 0 => Ok(Kind::Param(number)),
            Ok(_) | Err(_) => Err(Self::error(
                &format!("there is no parameter ${digits}"),
                start,
            )),
        }
    }
}

/// ASCII letters in lower case.
fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

/// Refuses what PostgreSQL would truncate: two different names could become one.
fn checked_name(name: Cow<'_, str>, at: usize) -> Result<Cow<'_, str>, Unsupported> {
    if name.len() <= MAX_BYTES {
        return Ok(name);
    }
    Err(Unsupported {
        sqlstate: crate::pg::sqlstate::NAME_TOO_LONG,
        hint: Some("PostgreSQL keeps 63 bytes of a name: write the shortened name.".into()),
        ..Unsupported::form("identifier is longer than 63 bytes", Some(at))
    })
}

#[cfg(test)]
mod tests;
