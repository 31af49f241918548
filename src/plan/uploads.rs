//! Tokens a client has put into temporary tables of its session: which columns of them a statement
//! compares with tokens, and what stands for their values there.
//!
//! A temporary table holds the tokens' text, and never what they stand for. Only its session can change
//! it, so the proxy reads the compared columns right before the statement, decodes what it finds, and
//! gives the statement a map from each text to its plaintext. A compared value is looked up in that map:
//! PostgreSQL compares plaintext with plaintext, and an index serves. The map stands in the comparison
//! and nowhere else, so nothing of it can be selected, and every text that was read is in it; one that
//! is no token of the column stands for a value that no row has, as it would in VALUES.
//!
//! Deliberately absent: which comparisons allow that (`held`), and the reading itself, which is the
//! session's.

use std::fmt::Write as _;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::catalog::{Relation, TempTables};
use crate::ident::Ident;
use crate::limits;
use crate::mask::TokenColumn;
use crate::pg::types::{Format, oid};
use crate::pg::{AttrNumber, sqlstate};
use crate::refusal::Refusal;
use crate::sql::SqlText;
use crate::sql::print::HeldForm;

/// How a statement gets what the tokens in temporary tables stand for.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// As parameters, when it is bound.
    Bound,
    /// In its text, once it was read. Until then the plan says what has to be.
    Written(Option<&'a Uploaded>),
}

/// What a statement needs of temporary tables.
pub struct Uploads {
    pub(super) list: Vec<Upload>,
    read: SqlText,
}

/// Values that are compared with tokens of one column, or of columns alike.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) token: Arc<TokenColumn>,
    /// That of the column of tokens.
    pub(super) collation: Option<(Ident, Ident)>,
    /// Where the values are.
    pub(super) columns: Vec<(Arc<Relation>, AttrNumber)>,
}

/// What was read for a statement.
pub struct Uploaded {
    read: SqlText,
    values: Vec<Vec<Box<[u8]>>>,
    count: usize,
    bytes: usize,
    fault: Option<Fault>,
}

/// A row of what was read: which upload it is of, and a value, if that is not too long.
pub struct UploadRow<'r> {
    /// Its number, in digits.
    pub upload: &'r [u8],
    /// The value.
    pub value: Option<&'r [u8]>,
}

#[derive(Clone, Copy)]
pub(super) enum Fault {
    Many,
    Long,
}

impl Uploads {
    /// What reads the values: each once.
    pub fn read(&self) -> &SqlText {
        &self.read
    }

    /// Are these the session's temporary tables still?
    pub fn are_of(&self, temp: &TempTables) -> bool {
        let mut columns = self.list.iter().flat_map(|upload| &upload.columns);
        columns.all(|(table, _)| (temp.get(&table.name)).is_some_and(|now| Arc::ptr_eq(now, table)))
    }

    /// What the values stand for, as jsonb objects.
    pub fn maps(&self, uploaded: &Uploaded) -> Result<Vec<Zeroizing<String>>, Refusal> {
        let maps = self.decoded(uploaded)?.into_iter();
        Ok(maps.map(|(map, _)| map).collect())
    }

    /// The same, and whether some are outside their column's type.
    pub(super) fn decoded(
        &self,
        uploaded: &Uploaded,
    ) -> Result<Vec<(Zeroizing<String>, bool)>, Refusal> {
        match uploaded.fault {
            Some(fault) => return Err(fault.refusal()),
            None if !uploaded.is_of(self) => return Err(not_read()),
            None => {}
        }
        let each = self.list.iter().zip(&uploaded.values);
        each.map(|(upload, values)| upload.map(values)).collect()
    }

    pub(super) fn of(list: Vec<Upload>) -> Self {
        let read = read_sql(&list);
        Self { list, read }
    }
}

impl Uploaded {
    /// Nothing yet.
    pub fn new(uploads: &Uploads) -> Self {
        Self {
            read: uploads.read.clone(),
            values: vec![Vec::new(); uploads.list.len()],
            count: 0,
            bytes: 0,
            fault: None,
        }
    }

    /// Was it read for this?
    pub fn is_of(&self, uploads: &Uploads) -> bool {
        self.read == uploads.read && self.values.len() == uploads.list.len()
    }

    /// Adds a row; `None` if it is not one of what was asked for.
    pub fn add(&mut self, row: &UploadRow<'_>) -> Option<()> {
        let number: usize = std::str::from_utf8(row.upload).ok()?.parse().ok()?;
        let values = self.values.get_mut(number)?;
        let Some(value) = row.value else {
            self.fault = Some(Fault::Long);
            return Some(());
        };
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(value.len());
        if self.count > limits::UPLOADED_TOKENS || self.bytes > limits::UPLOADED_BYTES {
            self.fault = Some(Fault::Many);
            values.clear();
        }
        if self.fault.is_none() {
            values.push(value.into());
        }
        Some(())
    }
}

impl Upload {
    fn map(&self, values: &[Box<[u8]>]) -> Result<(Zeroizing<String>, bool), Refusal> {
        let room = values.iter().map(|value| value.len().saturating_mul(2));
        let mut map = Zeroizing::new(String::with_capacity(
            room.sum::<usize>().saturating_add(64),
        ));
        let mut wide = false;
        map.push('{');
        for value in values {
            let stored = (self.token).stored_text(0, value, Format::Text, false);
            let stored = stored.map_err(|why| super::subject::not_decoded(why, &self.token))?;
            let texts = std::str::from_utf8(value)
                .ok()
                .zip(std::str::from_utf8(&stored.text).ok());
            let (value, plain) = texts.ok_or_else(not_text)?;
            wide |= stored.wide;
            if map.len() > 1 {
                map.push(',');
            }
            push_json(&mut map, value);
            map.push(':');
            push_json(&mut map, plain);
        }
        map.push('}');
        Ok((map, wide))
    }

    pub(super) fn form(&self, map: String, wide: bool) -> HeldForm {
        let ty = self.token.upstream_type(wide);
        let textual = matches!(ty.oid, oid::TEXT | oid::BPCHAR);
        HeldForm {
            map,
            collation: self.collation.clone().filter(|_| textual),
            cast: (ty.oid != oid::TEXT).then_some(ty.name),
        }
    }

    pub(super) fn add(&mut self, column: &(Arc<Relation>, AttrNumber)) {
        let same = |(table, attnum): &(Arc<Relation>, AttrNumber)| {
            Arc::ptr_eq(table, &column.0) && *attnum == column.1
        };
        if !self.columns.iter().any(same) {
            self.columns.push(column.clone());
        }
    }
}

/// Every value of the columns, once, with the number of its upload. A value that is too long is NULL.
fn read_sql(list: &[Upload]) -> SqlText {
    let mut arms = String::new();
    for (number, upload) in list.iter().enumerate() {
        for (table, attnum) in &upload.columns {
            let Some(column) = table.attribute(*attnum) else {
                continue;
            };
            if !arms.is_empty() {
                arms.push_str(" UNION ALL ");
            }
            // Texts are told apart byte by byte, whatever the column's collation is.
            let name = column.name.quoted();
            let value = format!("CAST(\"t\".{name} AS \"pg_catalog\".\"text\")");
            // Writing to a String cannot fail.
            write!(
                arms,
                "SELECT {number}, {value} COLLATE \"pg_catalog\".\"C\" FROM {}.{} AS \"t\"",
                table.schema.quoted(),
                table.name.quoted()
            )
            .unwrap_or_default();
        }
    }
    SqlText::new(format!(
        "SELECT DISTINCT \"h\".\"n\", CASE WHEN \"pg_catalog\".\"octet_length\"(\"h\".\"v\") \
         OPERATOR(\"pg_catalog\".<=) {} THEN \"h\".\"v\" END FROM ({arms}) AS \"h\" (\"n\", \"v\") \
         WHERE \"h\".\"v\" IS NOT NULL LIMIT {}",
        limits::UPLOADED_TOKEN_BYTES,
        limits::UPLOADED_TOKENS.saturating_add(1),
    ))
}

/// Appends a JSON string.
fn push_json(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                json.push('\\');
                json.push(c);
            }
            '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                write!(json, "\\u{:04x}", u32::from(c)).unwrap_or_default();
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}

impl Fault {
    pub(super) fn refusal(self) -> Refusal {
        let refusal = |detail: String| {
            Refusal::error(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                "too much in temporary tables to be compared with tokens",
            )
            .detail(detail)
        };
        match self {
            Self::Many => refusal(format!(
                "A statement may compare at most {} different values of temporary tables with tokens, of \
                 {} MiB together.",
                limits::UPLOADED_TOKENS,
                limits::UPLOADED_BYTES.div_euclid(1024 * 1024)
            ))
            .hint("Compare fewer of them at a time, in several tables or statements."),
            Self::Long => refusal(format!(
                "One of its values is longer than {} bytes.",
                limits::UPLOADED_TOKEN_BYTES
            ))
            .hint("Keep tokens in a column of their own."),
        }
    }
}

/// What was to be read was not.
pub(super) fn not_read() -> Refusal {
    Refusal::error(
        sqlstate::INTERNAL_ERROR,
        "what a temporary table holds was not read",
    )
}

fn not_text() -> Refusal {
    Refusal::error(
        sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
        "a temporary table that is compared with tokens holds invalid UTF-8",
    )
}

/// SQL's PREPARE and EXECUTE have no place for what is read anew for each execution.
pub(super) fn not_prepared() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "PREPARE does not take a statement that compares tokens with a temporary table",
    )
    .detail("What the table holds is read and decoded before each execution.")
    .hint("Send the statement itself, or prepare it by the protocol's Parse, as drivers do.")
}

/// A statement that reads only when it is executed cannot be given anything when it is bound.
pub(super) fn not_bound() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "COPY that compares tokens with a temporary table takes the simple query protocol",
    )
    .hint("Send it as a simple query, as psql and COPY interfaces of drivers do.")
}
