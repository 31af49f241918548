//! Values that are read for a statement right before it, and what stands for them there.
//!
//! *Tokens a client has put into temporary tables of its session*, which the statement compares with tokens.
//! A temporary table holds the tokens' text, and never what they stand for. Only its session can change
//! it, so the proxy reads the compared columns right before the statement, decodes what it finds, and
//! gives the statement a map from each text to its plaintext. A compared value is looked up in that map:
//! PostgreSQL compares plaintext with plaintext, and an index serves. The map stands in the comparison
//! and nowhere else, so nothing of it can be selected, and every text that was read is in it; one that
//! is no token of the column stands for a value that no row has, as it would in VALUES.
//!
//! *Values of a column of tokens*, which the statement computes with: see `tabulated`.
//!
//! Deliberately absent: which comparisons allow the one (`held`), and which uses need the other; and the
//! reading itself, which is the session's.

use std::collections::BTreeSet;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::plan::Plan;
use crate::catalog::{Relation, TempTables};
use crate::ident::Ident;
use crate::limits;
use crate::mask::TokenColumn;
use crate::pg::types::{Format, oid};
use crate::pg::{AttrNumber, sqlstate};
use crate::refusal::Refusal;
use crate::sql::SqlText;
use crate::sql::print::{HeldForm, Rewrite, print_expr};
use crate::sql::tree::Expr;

/// How a statement gets what was read for it.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// As parameters, when it is bound.
    Bound,
    /// In its text, once it was read. Until then the plan says what has to be.
    Written(Option<&'a Uploaded>),
}

/// What has to be read for a statement.
pub struct Uploads {
    pub(super) list: Vec<Upload>,
    read: SqlText,
    /// The client's parameters that the reading's are, in order.
    pub(super) params: Vec<u16>,
}

/// Values for which something stands, by one column of tokens, or by columns alike.
#[derive(Clone)]
pub(super) struct Upload {
    token: Arc<TokenColumn>,
    entry: Entry,
    /// Where the values are.
    columns: Vec<(Arc<Relation>, AttrNumber)>,
}

/// What stands for a value.
#[derive(Clone)]
pub(super) enum Entry {
    /// The value is a token's text, and this the plaintext, of a type and the collation of the column of
    /// tokens.
    Plain(Option<(Ident, Ident)>),
    /// Its token; or this is said, if there are too many. Of the rows of which something is true.
    Token(Arc<Refusal>, Option<Expr>),
}

/// What stands for the values of an upload.
pub(super) struct Made {
    /// As a jsonb object.
    pub(super) map: Zeroizing<String>,
    /// Some plaintexts are outside their column's type.
    pub(super) wide: bool,
}

/// What was read for a statement.
pub struct Uploaded {
    read: SqlText,
    values: Vec<Vec<Box<[u8]>>>,
    count: usize,
    bytes: usize,
    /// What is wrong, and with which of them.
    fault: Option<(Fault, usize)>,
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
        let columns = self.list.iter().flat_map(|upload| &upload.columns);
        let mut columns = columns.filter(|(table, _)| table.temporary);
        columns.all(|(table, _)| (temp.get(&table.name)).is_some_and(|now| Arc::ptr_eq(now, table)))
    }

    /// What the values stand for, as jsonb objects.
    pub fn maps(&self, uploaded: &Uploaded) -> Result<Vec<Zeroizing<String>>, Refusal> {
        let maps = self.made(uploaded)?.into_iter();
        Ok(maps.map(|made| made.map).collect())
    }

    pub(super) fn made(&self, uploaded: &Uploaded) -> Result<Vec<Made>, Refusal> {
        match uploaded.fault {
            Some((fault, number)) => {
                return Err(match self.list.get(number).map(|upload| &upload.entry) {
                    Some(Entry::Token(refusal, _)) => super::tabulated::too_many(refusal),
                    Some(Entry::Plain(_)) | None => fault.refusal(),
                });
            }
            None if !uploaded.is_of(self) => return Err(not_read()),
            None => {}
        }
        let each = self.list.iter().zip(&uploaded.values);
        each.map(|(upload, values)| upload.map(values)).collect()
    }

    pub(super) fn of(mut list: Vec<Upload>) -> Result<Self, Refusal> {
        let (read, params) = read_sql(&mut list)?;
        Ok(Self { list, read, params })
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

    /// Bytes of the values of one upload.
    pub(super) fn bytes_of(&self, number: usize) -> usize {
        let values = self.values.get(number).into_iter().flatten();
        values.map(|value| value.len()).sum()
    }

    /// Was it read for this statement?
    pub fn is_for(&self, plan: &Plan) -> bool {
        plan.uploads().is_some_and(|uploads| self.is_of(uploads))
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
            self.fault = Some((Fault::Long, number));
            return Some(());
        };
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(value.len());
        if self.count > limits::UPLOADED_TOKENS || self.bytes > limits::UPLOADED_BYTES {
            self.fault = Some((Fault::Many, number));
            values.clear();
        }
        if self.fault.is_none() {
            values.push(value.into());
        }
        Some(())
    }
}

impl Upload {
    pub(super) fn new(
        token: Arc<TokenColumn>,
        entry: Entry,
        columns: Vec<(Arc<Relation>, AttrNumber)>,
    ) -> Self {
        Self {
            token,
            entry,
            columns,
        }
    }

    fn map(&self, values: &[Box<[u8]>]) -> Result<Made, Refusal> {
        let room = values.iter().map(|value| value.len().saturating_mul(2));
        let mut map = Zeroizing::new(String::with_capacity(
            room.sum::<usize>().saturating_add(64),
        ));
        let mut wide = false;
        map.push('{');
        let mut token = Vec::new();
        for value in values {
            let stored;
            let stands = match &self.entry {
                Entry::Plain(_) => {
                    stored = (self.token).stored_text(0, value, Format::Text, false);
                    let stored = stored
                        .as_ref()
                        .map_err(|why| super::subject::not_decoded(*why, &self.token))?;
                    wide |= stored.wide;
                    &**stored.text
                }
                Entry::Token(..) => {
                    token.clear();
                    // What has no token is shown as NULL.
                    if self.token.encode(value, &mut token).is_err() {
                        continue;
                    }
                    &*token
                }
            };
            let texts = (std::str::from_utf8(value).ok()).zip(std::str::from_utf8(stands).ok());
            let (value, stands) = texts.ok_or_else(not_text)?;
            if map.len() > 1 {
                map.push(',');
            }
            push_json(&mut map, value);
            map.push(':');
            push_json(&mut map, stands);
        }
        map.push('}');
        Ok(Made { map, wide })
    }

    /// How one of its values is written, if it is a temporary table's.
    pub(super) fn form(&self, map: usize, wide: bool) -> HeldForm {
        let ty = self.token.upstream_type(wide);
        let textual = matches!(ty.oid, oid::TEXT | oid::BPCHAR);
        HeldForm {
            map,
            collation: self.collation().cloned().filter(|_| textual),
            cast: (ty.oid != oid::TEXT).then_some(ty.name),
        }
    }

    /// That of the column of tokens.
    pub(super) fn collation(&self) -> Option<&(Ident, Ident)> {
        match &self.entry {
            Entry::Plain(collation) => collation.as_ref(),
            Entry::Token(..) => None,
        }
    }

    /// Tokens are looked up for another reference too, of which this is true.
    pub(super) fn widen(&mut self, other: Option<&Expr>) {
        if let Entry::Token(_, among) = &mut self.entry {
            *among = (among.take().zip(other.cloned())).map(|(a, b)| Expr::Or(vec![a, b]));
        }
    }

    /// Are the values of the column among its?
    pub(super) fn is_of(&self, column: &(Arc<Relation>, AttrNumber)) -> bool {
        let same = |(table, attnum): &(Arc<Relation>, AttrNumber)| {
            Arc::ptr_eq(table, &column.0) && *attnum == column.1
        };
        self.columns.iter().any(same)
    }

    /// Adds those of another.
    pub(super) fn add(&mut self, other: &Self) {
        for column in &other.columns {
            if !self.is_of(column) {
                self.columns.push(column.clone());
            }
        }
    }
}

/// Every value of the columns, once, with the number of its upload. A value that is too long is NULL.
fn read_sql(list: &mut [Upload]) -> Result<(SqlText, Vec<u16>), Refusal> {
    let conditions = list
        .iter_mut()
        .filter_map(|upload| match &mut upload.entry {
            Entry::Token(_, among) => among.as_mut(),
            Entry::Plain(_) => None,
        });
    let params: BTreeSet<u16> = conditions.flat_map(super::narrowed::params).collect();
    let rewrite = Rewrite {
        params: Some(params.iter().copied().zip(1..).collect()),
        ..Rewrite::default()
    };
    let mut arms = Vec::with_capacity(list.len());
    for (number, upload) in list.iter().enumerate() {
        let among = match &upload.entry {
            Entry::Token(_, Some(among)) => Some(print_expr(among, &rewrite)?),
            Entry::Token(_, None) | Entry::Plain(_) => None,
        };
        arms.extend(
            upload
                .columns
                .iter()
                .filter_map(|column| match upload.entry {
                    Entry::Plain(_) => held_arm(column, number),
                    Entry::Token(..) => {
                        super::tabulated::read_arm(&upload.token, column, among.as_deref(), number)
                    }
                }),
        );
    }
    let read = SqlText::new(format!(
        "SELECT DISTINCT \"h\".\"n\", CASE WHEN \"pg_catalog\".\"octet_length\"(\"h\".\"v\") \
         OPERATOR(\"pg_catalog\".<=) {} THEN \"h\".\"v\" END FROM ({}) AS \"h\" (\"n\", \"v\") LIMIT {}",
        limits::UPLOADED_TOKEN_BYTES,
        arms.join(" UNION ALL "),
        limits::UPLOADED_TOKENS.saturating_add(1),
    ));
    Ok((read, params.into_iter().collect()))
}

/// Texts are told apart byte by byte, whatever the column's collation is.
fn held_arm((table, attnum): &(Arc<Relation>, AttrNumber), number: usize) -> Option<String> {
    let name = table.attribute(*attnum)?.name.quoted();
    Some(format!(
        "(SELECT {number}, CAST(\"t\".{name} AS \"pg_catalog\".\"text\") COLLATE \"pg_catalog\".\"C\" \
         FROM {}.{} AS \"t\" WHERE \"t\".{name} IS NOT NULL)",
        table.schema.quoted(),
        table.name.quoted()
    ))
}

/// Appends a JSON string.
fn push_json(json: &mut String, text: &str) {
    // A text always is one. The copy may be a plaintext.
    let quoted = serde_json::to_string(text).map(Zeroizing::new);
    json.push_str(quoted.as_ref().map_or("null", |quoted| quoted.as_str()));
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
        "what a statement needs was not read",
    )
}

fn not_text() -> Refusal {
    Refusal::error(
        sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
        "what was read for a statement is invalid UTF-8",
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
        "COPY that compares or computes with tokens takes the simple query protocol",
    )
    .hint("Send it as a simple query, as psql and COPY interfaces of drivers do.")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::{Entry, Upload, UploadRow, Uploaded, Uploads, push_json};
    use crate::catalog::temp::temp_table;
    use crate::ident::Ident;
    use crate::limits;
    use crate::mask::token::{TokenKey, TokenKind};
    use crate::mask::{ColumnType, TokenColumn};
    use crate::pg::types::oid;

    fn token(type_oid: u32) -> TokenColumn {
        let key = TokenKey::new("aaaa", Zeroizing::new([7; 64])).expect("an id");
        let ty = ColumnType {
            oid: type_oid,
            typmod: -1,
            sql: "".into(),
            collation: None,
            element: None,
            domain: false,
        };
        TokenColumn::bind("d", TokenKind::Siv, &[Arc::new(key)], &ty).expect("fits")
    }

    /// What reads column `tok` of a temporary table of this name.
    pub(crate) fn uploads(table: &str, type_oid: u32) -> Uploads {
        let table = temp_table(
            &Ident::exact(table),
            &[(Ident::exact("tok"), Some(oid::TEXT))],
        );
        let token = Arc::new(token(type_oid));
        Uploads::of(vec![Upload::new(
            token,
            Entry::Plain(None),
            vec![(table, 1)],
        )])
        .expect("printed")
    }

    fn add(uploaded: &mut Uploaded, value: Option<&[u8]>) {
        let row = UploadRow {
            upload: b"0",
            value,
        };
        uploaded.add(&row).expect("it was asked for");
    }

    fn encoded(type_oid: u32, plain: &str) -> Vec<u8> {
        let mut out = Vec::new();
        token(type_oid)
            .encode(plain.as_bytes(), &mut out)
            .expect("a value");
        out
    }

    fn refused(uploads: &Uploads, uploaded: &Uploaded) -> &'static str {
        uploads.maps(uploaded).expect_err("refused").sqlstate
    }

    #[test]
    fn every_text_stands_for_something() {
        let uploads = uploads("up", oid::TEXT);
        let mut uploaded = Uploaded::new(&uploads);
        let good = encoded(oid::TEXT, "a\"b\\c\u{1}\u{7f}é'");
        for value in [&good[..], b"x\"\n", b""] {
            add(&mut uploaded, Some(value));
        }
        let maps = uploads.maps(&uploaded).expect("decoded");
        let map: serde_json::Value = serde_json::from_str(&maps[0]).expect("JSON");
        let good = String::from_utf8(good).expect("text");
        assert_eq!(map[&good], "a\"b\\c\u{1}\u{7f}é'");
        for other in ["x\"\n", ""] {
            let absent = map[other].as_str().expect("a text");
            assert_eq!(absent.len(), 64);
        }
        assert_eq!(map.as_object().expect("an object").len(), 3);
    }

    #[test]
    fn what_no_integer_is_makes_the_map_wide() {
        let uploads = uploads("up", oid::INT4);
        let mut uploaded = Uploaded::new(&uploads);
        add(&mut uploaded, Some(&encoded(oid::INT4, "12")));
        let wide = |uploaded: &Uploaded| uploads.made(uploaded).expect("made")[0].wide;
        assert!(!wide(&uploaded));
        add(&mut uploaded, Some(b"12"));
        assert!(wide(&uploaded));
    }

    #[test]
    fn what_was_read_for_one_statement_is_no_others() {
        let (one, other) = (uploads("one", oid::TEXT), uploads("other", oid::TEXT));
        let uploaded = Uploaded::new(&one);
        assert!(uploaded.is_of(&one) && !uploaded.is_of(&other));
        assert_eq!(refused(&other, &uploaded), "XX000");
    }

    #[test]
    fn too_many_too_long_and_unasked_values_are_refused() {
        let uploads = uploads("up", oid::TEXT);
        let mut many = Uploaded::new(&uploads);
        for n in 0..limits::UPLOADED_TOKENS {
            add(&mut many, Some(n.to_string().as_bytes()));
        }
        assert!(uploads.maps(&many).is_ok());
        add(&mut many, Some(b"x"));
        assert_eq!(refused(&uploads, &many), "54000");
        let mut large = Uploaded::new(&uploads);
        let value = vec![b'x'; limits::UPLOADED_TOKEN_BYTES];
        for _ in 0..limits::UPLOADED_BYTES.div_euclid(value.len()) {
            add(&mut large, Some(&value));
        }
        assert!(uploads.maps(&large).is_ok());
        add(&mut large, Some(b"x"));
        assert_eq!(refused(&uploads, &large), "54000");
        let mut long = Uploaded::new(&uploads);
        add(&mut long, None);
        add(&mut long, Some(b"x"));
        assert_eq!(refused(&uploads, &long), "54000");
        for upload in [&b"1"[..], b"", b"-1", b"x"] {
            let value = Some(&b"x"[..]);
            assert!(
                Uploaded::new(&uploads)
                    .add(&UploadRow { upload, value })
                    .is_none()
            );
        }
    }

    #[test]
    fn json_is_what_a_reader_takes_for_the_text() {
        for text in [
            "",
            "plain",
            "\"\\/",
            "\u{0}\u{8}\u{1f} \u{7f}\u{2028}",
            "张三 😀",
        ] {
            let mut json = String::new();
            push_json(&mut json, text);
            let read: String = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read, text);
        }
    }
}
