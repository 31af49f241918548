//! Encrypted cells: what PostgreSQL stores of a column of `encrypt`.
//!
//! A cell is `enc_`, the key's id and base64 of AES-SIV (RFC 5297) over the value. Equal values of the
//! columns of one key are equal cells, so that indexes, unique constraints and joins work on them; a
//! cell of another key, or changed by anybody, does not open. A text without `enc_` is a value nobody
//! has encrypted yet, and is read as it stands: somebody wrote past the proxy, or the column is being
//! filled. A column that is being filled has a value in one of several [texts](Cells::texts).
//!
//! Deliberately absent: which statements may use the column (the planner treats it as a token column),
//! and turning a whole table (the command line's `encrypt`).

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::keyring::{KEY_ID_CHARACTERS, TokenKey};
use super::siv::{self, IV_SIZE};
use crate::mask::column_type::ColumnType;
use crate::mask::mask::MaskError;
use crate::pg::types::oid;

/// What every cell begins with, before the key's id.
const PREFIX: &str = "enc_";

/// Three parts of associated data, where tokens have two: none of them is a cell, whatever the domain
/// is called.
const HEADERS: [&[u8]; 3] = [b"pgveil", b"cell", b"text"];

/// How the cells of a column are encrypted. Has no `Debug`: it holds keys.
///
/// A name's keys follow each other. Cells are of the oldest that is not retired, all of a column alike,
/// because they are compared as they are stored; while the column is being filled new ones are of the
/// newest, and they cannot be compared with each other.
pub struct Cells {
    name: Arc<str>,
    /// The one that makes cells.
    key: Arc<TokenKey>,
    /// Those beside it, whose cells are read.
    others: Vec<Arc<TokenKey>>,
    filling: bool,
}

/// What a stored text is to a column of encrypted cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellState {
    /// A cell of the key that makes them now.
    Current,
    /// A cell of another key of the same name.
    Older,
    /// A value nobody has encrypted.
    Plain,
    /// It looks like a cell and does not open: its key is retired, or it was changed.
    Broken,
}

impl Cells {
    /// Binds the keys of a name, the newest first, to a column's type; or says why it does not fit.
    /// `filling` while cells of several keys, and values, stand side by side.
    pub fn bind(
        name: &str,
        keys: &[Arc<TokenKey>],
        ty: &ColumnType,
        filling: bool,
    ) -> Result<Self, MaskError> {
        if !matches!(ty.oid, oid::TEXT | oid::VARCHAR) || ty.element.is_some() || ty.typmod >= 0 {
            return Err(MaskError::new(format!(
                "encrypt fits text, and varchar without a length, and this column is {}",
                ty.shown()
            )));
        }
        let mut keys = keys.to_vec();
        if !filling {
            keys.reverse();
        }
        let mut keys = keys.into_iter();
        let key = keys
            .next()
            .ok_or_else(|| MaskError::new("there is no key"))?;
        Ok(Self {
            name: name.into(),
            key,
            others: keys.collect(),
            filling,
        })
    }

    /// The key that makes cells.
    pub(super) fn key(&self) -> &Arc<TokenKey> {
        &self.key
    }

    /// The key's name in the ring.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key that makes cells, as they show it.
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// Are cells of several keys, and values, in the column?
    pub fn is_filling(&self) -> bool {
        self.filling
    }

    /// Does it read and make the same cells?
    pub fn same(&self, other: &Self) -> bool {
        self.name == other.name && self.filling == other.filling && self.key.id() == other.key.id()
    }

    /// Are equal values of the two columns equal cells?
    pub fn joins_with(&self, other: &Self) -> bool {
        self.same(other) && !self.filling
    }

    /// As how many texts a value may be stored.
    pub fn texts(&self) -> usize {
        if self.filling {
            // A cell of each key, and the value itself.
            self.others.len().saturating_add(2)
        } else {
            1
        }
    }

    /// Appends one of the texts a value may be stored as; the first is its cell. What looks like a cell
    /// is none of its own texts: as it stands it would be another's cell, or nobody's.
    pub fn write_text(&self, number: usize, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let older = number.checked_sub(1);
        match older.map(|n| self.others.get(n)) {
            None => self.seal(value, out),
            Some(Some(key)) => seal(key, value, out),
            Some(None) if value.starts_with(PREFIX.as_bytes()) => self.seal(value, out),
            Some(None) => {
                out.extend_from_slice(value);
                Some(())
            }
        }
    }

    /// Appends the cell of a value.
    pub fn seal(&self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        seal(&self.key, value, out)
    }

    /// Calls `use_it` with the value of a stored text. `None` if that is [`CellState::Broken`].
    pub fn open<R>(&self, stored: &[u8], use_it: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match self.opened(stored) {
            (CellState::Broken, _) => None,
            (CellState::Plain, _) => Some(use_it(stored)),
            (CellState::Current | CellState::Older, value) => Some(use_it(&value)),
        }
    }

    /// What a stored text is.
    pub fn state(&self, stored: &[u8]) -> CellState {
        self.opened(stored).0
    }

    fn opened(&self, stored: &[u8]) -> (CellState, Zeroizing<Vec<u8>>) {
        let nothing = || Zeroizing::new(Vec::new());
        let Some(cell) = stored.strip_prefix(PREFIX.as_bytes()) else {
            return (CellState::Plain, nothing());
        };
        let Some((id, text)) = cell.split_at_checked(KEY_ID_CHARACTERS) else {
            return (CellState::Broken, nothing());
        };
        let state = if id == self.key.id().as_bytes() {
            CellState::Current
        } else {
            CellState::Older
        };
        let mut keys = std::iter::once(&self.key).chain(&self.others);
        let value = keys
            .find(|key| key.id().as_bytes() == id)
            .and_then(|key| {
                let sealed = BASE64URL_NOPAD.decode(text).ok()?;
                siv::open(key, HEADERS, &sealed)
            })
            // PostgreSQL's text is UTF-8 here, and what is sealed was.
            .filter(|value| std::str::from_utf8(value).is_ok());
        match value {
            Some(value) => (state, value),
            None => (CellState::Broken, nothing()),
        }
    }
}

/// Appends the cell of a value, made with a key.
fn seal(key: &TokenKey, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut buffer = vec![0_u8; value.len().checked_add(IV_SIZE)?];
    siv::seal(key, HEADERS, value, &mut buffer)?;
    out.extend_from_slice(PREFIX.as_bytes());
    out.extend_from_slice(key.id().as_bytes());
    let start = out.len();
    let length = BASE64URL_NOPAD.encode_len(buffer.len());
    out.resize(start.checked_add(length)?, 0);
    BASE64URL_NOPAD.encode_mut(&buffer, out.get_mut(start..)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(id: &str, byte: u8) -> Arc<TokenKey> {
        Arc::new(TokenKey::new(id, Zeroizing::new([byte; 64])).expect("an id"))
    }

    fn cells(keys: &[Arc<TokenKey>], filling: bool) -> Cells {
        Cells::bind("k", keys, &of_type(oid::TEXT, -1), filling).expect("fits")
    }

    fn of_type(oid: u32, typmod: i32) -> ColumnType {
        ColumnType {
            oid,
            typmod,
            sql: Arc::from(""),
            collation: None,
            element: None,
            domain: false,
        }
    }

    fn sealed(cells: &Cells, value: &str) -> String {
        let mut out = Vec::new();
        cells.seal(value.as_bytes(), &mut out).expect("sealed");
        String::from_utf8(out).expect("base64")
    }

    fn opened(cells: &Cells, stored: &str) -> Option<String> {
        cells.open(stored.as_bytes(), |value| {
            String::from_utf8(value.to_vec()).expect("UTF-8")
        })
    }

    #[test]
    fn what_is_sealed_opens_and_equal_values_are_equal_cells() {
        let cells = cells(&[key("aaaa", 1)], false);
        for value in [
            "",
            "ada@example.com",
            "张三",
            "enc_aaaa",
            &"x".repeat(10_000),
        ] {
            let cell = sealed(&cells, value);
            assert!(cell.starts_with("enc_aaaa") && cell.is_ascii());
            assert_eq!(cell, sealed(&cells, value));
            assert_eq!(opened(&cells, &cell).as_deref(), Some(value));
            assert_eq!(cells.state(cell.as_bytes()), CellState::Current);
        }
    }

    #[test]
    fn what_was_changed_or_is_of_another_key_does_not_open() {
        let mine = cells(&[key("aaaa", 1)], false);
        let other = cells(&[key("bbbb", 2)], false);
        let forged = cells(&[key("aaaa", 2)], false);
        let cell = sealed(&mine, "ada");
        let (kept, changed) = cell.split_at(20);
        let flipped = format!("{kept}{}", changed.to_uppercase());
        assert_ne!(flipped, cell);
        let broken = [
            sealed(&other, "ada"),
            sealed(&forged, "ada"),
            flipped,
            cell.split_at(cell.len() - 4).0.to_owned(),
            format!("{cell}AAAA"),
            "enc_".to_owned(),
            "enc_aaaa".to_owned(),
            "enc_张三".to_owned(),
        ];
        for stored in &broken {
            assert_eq!(mine.state(stored.as_bytes()), CellState::Broken, "{stored}");
            assert_eq!(opened(&mine, stored), None);
        }
        assert_eq!(opened(&mine, "ada").as_deref(), Some("ada"));
        assert_eq!(mine.state(b"ada"), CellState::Plain);
    }

    #[test]
    fn a_rotated_name_reads_all_and_writes_one() {
        let (old, new) = (key("aaaa", 1), key("bbbb", 2));
        let before = cells(std::slice::from_ref(&old), false);
        let both = [Arc::clone(&new), old];
        let after = cells(&both, false);
        let filling = cells(&both, true);
        assert_eq!((after.key_id(), filling.key_id()), ("aaaa", "bbbb"));
        let cell = sealed(&filling, "ada");
        assert_eq!(opened(&after, &cell).as_deref(), Some("ada"));
        assert_eq!(after.state(cell.as_bytes()), CellState::Older);
        assert!(before.joins_with(&after) && !filling.joins_with(&filling));
        let done = cells(&[new], false);
        assert_eq!(opened(&done, &cell).as_deref(), Some("ada"));
        assert_eq!(
            done.state(sealed(&before, "ada").as_bytes()),
            CellState::Broken
        );
    }

    #[test]
    fn a_value_is_stored_as_one_of_its_texts() {
        let (old, new) = (key("aaaa", 1), key("bbbb", 2));
        let both = [Arc::clone(&new), Arc::clone(&old)];
        let texts = |cells: &Cells, value: &str| {
            let text = |number| {
                let mut out = Vec::new();
                cells.write_text(number, value.as_bytes(), &mut out)?;
                String::from_utf8(out).ok()
            };
            (0..cells.texts()).map(text).collect::<Option<Vec<_>>>()
        };
        let cell =
            |key: &Arc<TokenKey>, value: &str| sealed(&cells(&[Arc::clone(key)], false), value);
        for value in ["", "ada", "tok_aaaa", " enc_aaaa"] {
            let all = texts(&cells(&both, true), value).expect("texts");
            assert_eq!(
                all,
                [cell(&new, value), cell(&old, value), value.to_owned()]
            );
            let whole = texts(&cells(&both, false), value).expect("texts");
            assert_eq!(whole, [cell(&old, value)]);
        }
        // The cell of another value, and what is none: neither is stored as it stands.
        for value in [cell(&old, "ada"), cell(&new, "ada"), "enc_".to_owned()] {
            let all = texts(&cells(&both, true), &value).expect("texts");
            let (first, last) = (cell(&new, &value), cell(&old, &value));
            assert_eq!(all, [first.clone(), last, first]);
        }
    }

    #[test]
    fn only_text_without_a_length_can_be_encrypted() {
        let keys = [key("aaaa", 1)];
        let fits = |oid, typmod| Cells::bind("k", &keys, &of_type(oid, typmod), false).is_ok();
        assert!(fits(oid::TEXT, -1) && fits(oid::VARCHAR, -1));
        assert!(!fits(oid::VARCHAR, 24) && !fits(oid::INT4, -1) && !fits(oid::UUID, -1));
    }
}
