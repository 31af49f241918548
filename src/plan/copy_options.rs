//! The options of COPY: which of them a restricted role may give, and, where the proxy reads and writes the
//! data, what they say, tested as `ProcessCopyOptions()` does: the statement PostgreSQL gets has none then.

use super::utility::is_utf8;
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::wire::copy::CopyFormat;

/// PostgreSQL 18 reads `\.` in CSV as any other value.
const NO_CSV_MARKER: u32 = 180_000;

/// The first version with `FORCE_NULL *` and `FORCE_NOT_NULL *`.
const FORCE_ALL: u32 = 170_000;

/// The first version with `LOG_VERBOSITY silent`.
const SILENT: u32 = 180_000;

/// COPY options that change only the text format of what is copied, or what becomes of rows that are not of
/// it, and the first versions that have them.
const ACCEPTED: &[(&str, u32)] = &[
    ("default", 160_000),
    ("delimiter", 0),
    ("escape", 0),
    ("force_not_null", 0),
    ("force_null", 0),
    ("force_quote", 0),
    ("format", 0),
    ("header", 0),
    ("log_verbosity", 170_000),
    ("null", 0),
    ("on_error", 170_000),
    ("quote", 0),
    ("reject_limit", 180_000),
];

/// Refuses what a restricted role has no use for, and what the server's version does not know. True if the
/// data is UTF-8 whatever the client's encoding.
pub(super) fn accept(
    options: &[(Box<str>, Box<str>)],
    client: Encoding,
    version: u32,
) -> Result<bool, Refusal> {
    let mut utf8 = false;
    for (name, value) in options {
        utf8 |= &**name == "encoding";
        if &**name == "format" && value.eq_ignore_ascii_case("binary") && !client.is_same() {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "COPY in binary format is not converted to the client encoding",
            )
            .hint("SET client_encoding = 'UTF8', or copy in text format."));
        }
        let known = ACCEPTED.iter().find(|(known, _)| *known == &**name);
        if known.is_some_and(|(_, since)| version < *since) {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                format!("option \"{name}\" not recognized"),
            ));
        }
        let encoding_ok = &**name == "encoding" && is_utf8(value);
        if !encoding_ok && known.is_none() {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("COPY option \"{name}\" is not supported for restricted roles"),
            ));
        }
    }
    Ok(utf8)
}

/// May a value in the data stand for its column's default?
pub(super) fn gives_defaults(options: &[(Box<str>, Box<str>)]) -> bool {
    options.iter().any(|(name, _)| &**name == "default")
}

/// Where the data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    From,
    To,
}

impl Side {
    fn words(self) -> &'static str {
        match self {
            Self::From => "COPY FROM",
            Self::To => "COPY TO",
        }
    }
}

/// What the options say.
#[derive(PartialEq, Eq)]
pub(super) struct Options {
    pub(super) format: CopyFormat,
    /// There is a header line; true if it has to match the columns.
    pub(super) header: Option<bool>,
    /// Columns whose quoted NULL text is NULL.
    force_null: Vec<usize>,
    /// Columns whose unquoted NULL text is that text.
    force_not_null: Vec<usize>,
    /// Columns whose values are always quoted.
    force_quote: Vec<usize>,
    /// All are.
    quote_all: bool,
}

/// The options by name.
#[derive(Default)]
struct Given<'a> {
    format: Option<&'a str>,
    delimiter: Option<&'a str>,
    null: Option<&'a str>,
    quote: Option<&'a str>,
    escape: Option<&'a str>,
    header: Option<&'a str>,
    force_quote: Option<&'a str>,
    force_null: Option<&'a str>,
    force_not_null: Option<&'a str>,
    log_verbosity: Option<&'a str>,
}

impl Options {
    pub(super) fn read(
        options: &[(Box<str>, Box<str>)],
        forced: &[(Box<str>, Vec<Ident>)],
        columns: &[&Ident],
        (side, version): (Side, u32),
    ) -> Result<Self, Refusal> {
        let given = Given::read(options, side)?;
        given.verbosity(version)?;
        let header = header(given.header)?;
        if side == Side::To && header == Some(true) {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "cannot use \"match\" with HEADER in COPY TO",
            ));
        }
        let format = match given.format.unwrap_or("text") {
            "text" => given.text()?,
            "csv" => given.csv(version < NO_CSV_MARKER)?,
            "binary" => given.binary(header.is_some())?,
            other => {
                return Err(Refusal::error(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("COPY format \"{other}\" not recognized"),
                ));
            }
        };
        let mut read = Self {
            format,
            header,
            force_null: Vec::new(),
            force_not_null: Vec::new(),
            force_quote: Vec::new(),
            quote_all: given.force_quote.is_some(),
        };
        if read.quote_all {
            only_in_csv(&read.format, "FORCE_QUOTE")?;
        }
        for (what, all, numbers) in [
            ("force_null", given.force_null, &mut read.force_null),
            (
                "force_not_null",
                given.force_not_null,
                &mut read.force_not_null,
            ),
        ] {
            if all.is_some() {
                if version < FORCE_ALL {
                    return Err(invalid(format!(
                        "argument to option \"{what}\" must be a list of column names"
                    )));
                }
                only_in_csv(&read.format, &what.to_ascii_uppercase())?;
                numbers.extend(0..columns.len());
            }
        }
        for (name, forced) in forced {
            let what = name.to_ascii_uppercase();
            only_in_csv(&read.format, &what)?;
            let numbers = match (&**name, side) {
                ("force_null", Side::From) => &mut read.force_null,
                ("force_not_null", Side::From) => &mut read.force_not_null,
                ("force_quote", Side::To) => &mut read.force_quote,
                _ => {
                    return Err(Refusal::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        format!("COPY {what} cannot be used with {}", side.words()),
                    ));
                }
            };
            for column in forced {
                let number = columns.iter().position(|c| *c == column);
                numbers.push(number.ok_or_else(|| match side {
                    Side::From => Refusal::error(
                        sqlstate::INVALID_COLUMN_REFERENCE,
                        format!("{what} column \"{column}\" not referenced by COPY"),
                    ),
                    Side::To => Refusal::error(
                        sqlstate::UNDEFINED_COLUMN,
                        format!("column \"{column}\" does not exist"),
                    ),
                })?);
            }
        }
        Ok(read)
    }

    /// Are a column's values always quoted?
    pub(super) fn quotes(&self, column: usize) -> bool {
        self.quote_all || self.force_quote.contains(&column)
    }

    /// `FORCE_NULL` and `FORCE_NOT_NULL` of one value.
    pub(super) fn force(&self, column: usize, value: &mut Option<Vec<u8>>) {
        let CopyFormat::Csv { null, .. } = &self.format else {
            return;
        };
        match value {
            None if self.force_not_null.contains(&column) => {
                *value = Some(null.as_bytes().to_vec());
            }
            Some(written) if self.force_null.contains(&column) && **written == *null.as_bytes() => {
                *value = None;
            }
            _ => {}
        }
    }
}

impl<'a> Given<'a> {
    fn read(options: &'a [(Box<str>, Box<str>)], side: Side) -> Result<Self, Refusal> {
        let mut given = Self::default();
        let mut encoding = None;
        for (name, value) in options {
            let place = match &**name {
                "format" => &mut given.format,
                "delimiter" => &mut given.delimiter,
                "null" => &mut given.null,
                "quote" => &mut given.quote,
                "escape" => &mut given.escape,
                "header" => &mut given.header,
                "force_quote" if side == Side::To => &mut given.force_quote,
                "force_null" if side == Side::From => &mut given.force_null,
                "force_not_null" if side == Side::From => &mut given.force_not_null,
                // It is about rows that are left out, and here none is.
                "log_verbosity" => &mut given.log_verbosity,
                // It is UTF-8, or the statement was refused.
                "encoding" => &mut encoding,
                "on_error" | "reject_limit" if side == Side::From => {
                    return Err(not_of_tokens(name).hint(
                        "Leave it out: the first row that cannot be read ends the statement.",
                    ));
                }
                "default" if side == Side::From => {
                    return Err(not_of_tokens(name)
                        .hint("Leave a column out of the list to give each row its default."));
                }
                other => {
                    return Err(Refusal::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        format!(
                            "COPY option \"{other}\" cannot be used with {}",
                            side.words()
                        ),
                    ));
                }
            };
            if place.replace(&**value).is_some() {
                return Err(Refusal::error(
                    sqlstate::SYNTAX_ERROR,
                    "conflicting or redundant options",
                ));
            }
        }
        Ok(given)
    }

    fn verbosity(&self, version: u32) -> Result<(), Refusal> {
        match self.log_verbosity {
            None | Some("default" | "verbose") => Ok(()),
            Some("silent") if version >= SILENT => Ok(()),
            Some(_) => Err(invalid("COPY LOG_VERBOSITY is not recognized")),
        }
    }

    fn text(&self) -> Result<CopyFormat, Refusal> {
        self.only_csv()?;
        let delimiter = one_byte("delimiter", self.delimiter.unwrap_or("\t"))?;
        // Digits and small letters stand behind a backslash.
        if matches!(delimiter, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9') {
            return Err(invalid(format!(
                "COPY delimiter cannot be \"{}\"",
                char::from(delimiter)
            )));
        }
        let null = self.null.unwrap_or("\\N");
        fits(delimiter, null)?;
        Ok(CopyFormat::Text {
            delimiter,
            null: null.into(),
        })
    }

    fn csv(&self, marker: bool) -> Result<CopyFormat, Refusal> {
        let delimiter = one_byte("delimiter", self.delimiter.unwrap_or(","))?;
        let null = self.null.unwrap_or("");
        fits(delimiter, null)?;
        let quote = one_byte("quote", self.quote.unwrap_or("\""))?;
        if delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        let escape = match self.escape {
            Some(escape) => one_byte("escape", escape)?,
            None => quote,
        };
        if null.as_bytes().contains(&quote) {
            return Err(invalid(
                "CSV quote character must not appear in the NULL specification",
            ));
        }
        Ok(CopyFormat::Csv {
            delimiter,
            null: null.into(),
            quote,
            escape,
            marker,
        })
    }

    fn binary(&self, header: bool) -> Result<CopyFormat, Refusal> {
        for (what, there) in [
            ("DELIMITER", self.delimiter.is_some()),
            ("NULL", self.null.is_some()),
            ("HEADER", header),
        ] {
            if there {
                return Err(Refusal::error(
                    sqlstate::SYNTAX_ERROR,
                    format!("cannot specify {what} in BINARY mode"),
                ));
            }
        }
        self.only_csv()?;
        Ok(CopyFormat::Binary)
    }

    fn only_csv(&self) -> Result<(), Refusal> {
        for (what, given) in [("QUOTE", self.quote), ("ESCAPE", self.escape)] {
            if given.is_some() {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("COPY {what} requires CSV mode"),
                ));
            }
        }
        Ok(())
    }
}

fn not_of_tokens(option: &str) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("COPY option \"{option}\" is not supported for columns of tokens"),
    )
}

fn only_in_csv(format: &CopyFormat, what: &str) -> Result<(), Refusal> {
    if matches!(format, CopyFormat::Csv { .. }) {
        return Ok(());
    }
    Err(Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("COPY {what} requires CSV mode"),
    ))
}

/// A Boolean or MATCH; `Some(true)` is MATCH.
fn header(value: Option<&str>) -> Result<Option<bool>, Refusal> {
    match value {
        None | Some("false" | "off" | "0") => Ok(None),
        Some("true" | "on" | "1") => Ok(Some(false)),
        Some("match") => Ok(Some(true)),
        Some(_) => Err(Refusal::error(
            sqlstate::SYNTAX_ERROR,
            "header requires a Boolean value or \"match\"",
        )),
    }
}

fn one_byte(what: &str, value: &str) -> Result<u8, Refusal> {
    match value.as_bytes() {
        [b'\n' | b'\r'] => Err(invalid(format!(
            "COPY {what} cannot be newline or carriage return"
        ))),
        [byte] => Ok(*byte),
        _ => Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("COPY {what} must be a single one-byte character"),
        )),
    }
}

fn fits(delimiter: u8, null: &str) -> Result<(), Refusal> {
    if null.contains(['\n', '\r']) {
        return Err(invalid(
            "COPY null representation cannot use newline or carriage return",
        ));
    }
    if null.as_bytes().contains(&delimiter) {
        return Err(invalid(
            "COPY delimiter character must not appear in the NULL specification",
        ));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::error(sqlstate::INVALID_PARAMETER_VALUE, message)
}
