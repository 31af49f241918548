//! Tokens: equality without disclosure, per domain.
//!
//! A domain is a namespace: equal plaintexts of one family have equal tokens in it, and no relation
//! to tokens of another.
//!
//! A column that is stored encrypted ([`Cells`]) is a token column too, whatever the role sees of it:
//! what is stored is compared and moved about as it stands, and what is shown is made of it on the way
//! out. Shown may be the value itself, a mask of it, or a token.
//!
//! Deliberately absent: where keys are kept ([`keyring`] reads a file's text,
//! the command line reads the file) and which columns may be compared (the planner asks
//! [`TokenColumn::joins_with`]).

mod cell;
mod codec;
mod decode;
mod digits;
mod encrypted;
mod facts;
mod ff1;
mod hmac;
mod integer;
pub mod keyring;
mod kind;
mod shape;
mod siv;
mod sql;

use std::sync::Arc;

use zeroize::Zeroizing;

pub use self::cell::{CellState, Cells};
pub use self::codec::Family;
use self::codec::{plain_text, with_canonical};
pub use self::decode::{NotDecoded, Stored, UpstreamType};
use self::digits::Turn;
pub use self::facts::too_short_for_tokens;
pub use self::hmac::HmacPads;
pub use self::keyring::{KeyRing, KeyRingError, KeyRingFile, NewKey, TokenKey};
pub use self::kind::{TokenKind, TokenType};
pub use self::shape::Shape;
use super::CompiledMask;
use super::column_type::ColumnType;
use super::mask::MaskError;
use super::row::MalformedRow;
use crate::ident::Ident;
use crate::pg::types::{Format, oid};
use crate::pg::{LATER_NUMBERS, Oid};

enum Cipher {
    Siv(siv::Siv),
    Ff1Uuid(Box<ff1::Ff1Uuid>),
    Ff1Integer(Box<integer::Ff1Integer>),
    Shaped(Box<shape::Shaped>),
    Hmac(hmac::Hmac),
    Clear,
    Masked(Arc<CompiledMask>),
}

impl Cipher {
    fn new(
        kind: TokenKind,
        key: &Arc<TokenKey>,
        domain: &str,
        family: Family,
    ) -> Result<Self, MaskError> {
        Ok(match kind {
            TokenKind::Siv => Self::Siv(siv::Siv::new(key, domain, family)),
            TokenKind::Ff1Uuid => Self::Ff1Uuid(Box::new(ff1::Ff1Uuid::new(key, domain)?)),
            TokenKind::Ff1Integer => {
                Self::Ff1Integer(Box::new(integer::Ff1Integer::new(key, domain)?))
            }
            TokenKind::Ff1(shape) => {
                Self::Shaped(Box::new(shape::Shaped::new(shape, key, domain)?))
            }
            TokenKind::Hmac => Self::Hmac(hmac::Hmac::new(key, domain, family)?),
            TokenKind::Decrypted | TokenKind::Masked => {
                return Err(MaskError::new("there are no encrypted cells"));
            }
        })
    }
}

/// A column's token treatment, bound to keys and a type. Has no `Debug`: it holds keys.
///
/// A name's keys follow each other, and a token is good until the key that made it is retired. A token
/// of the kind `siv` says which key that was: the newest makes tokens, all are read. Other kinds' tokens
/// do not, so the oldest goes on making them, and they change when it is retired, not before.
pub struct TokenColumn {
    domain: Arc<str>,
    /// The one that makes tokens.
    key: Arc<TokenKey>,
    family: Family,
    type_oid: Oid,
    cipher: Cipher,
    /// Those beside it, whose tokens are read, or will be made.
    others: Vec<(Arc<TokenKey>, Cipher)>,
    /// The column is stored encrypted. Tokens are made of what the cells hold.
    cells: Option<Arc<Cells>>,
    /// The server reads `0x1F` and `1_000` in a text of an integer.
    later_numbers: bool,
    /// The column's collation, if it is not its type's.
    collation: Option<(Ident, Ident)>,
}

impl TokenColumn {
    /// Binds a domain to a column's type and to the keys of a name, the newest first; or says why it
    /// does not fit.
    pub fn bind(
        domain: &str,
        kind: TokenKind,
        keys: &[Arc<TokenKey>],
        ty: &ColumnType,
    ) -> Result<Self, MaskError> {
        let family = match ty.oid {
            _ if ty.element.is_some() => None,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR => Some(Family::Text),
            oid::INT2 | oid::INT4 | oid::INT8 => Some(Family::Integer),
            oid::UUID => Some(Family::Uuid),
            _ => None,
        };
        let described = ty.shown();
        let family = family.ok_or_else(|| {
            MaskError::new(format!(
                "token fits text, varchar, char, integers and uuid, and this column is {described}"
            ))
        })?;
        match (kind, family) {
            (TokenKind::Ff1Uuid, Family::Text | Family::Integer) => {
                return Err(MaskError::new(format!(
                    "kind: ff1 with format: uuid fits uuid, and this column is {described}"
                )));
            }
            (TokenKind::Ff1Integer, _) if matches!(ty.oid, oid::INT4 | oid::INT8) => {}
            (TokenKind::Ff1Integer, _) => {
                let few = match ty.oid {
                    oid::INT2 => ", whose 65,536 values could be tried out: use kind: siv",
                    _ => "",
                };
                return Err(MaskError::new(format!(
                    "kind: ff1 with format: integer fits int4 and int8, and this column is \
                     {described}{few}"
                )));
            }
            (TokenKind::Ff1(shape), Family::Integer | Family::Uuid) => {
                return Err(MaskError::new(format!(
                    "kind: ff1 with format: {} fits text, varchar and char, and this column is \
                     {described}",
                    shape.word()
                )));
            }
            (TokenKind::Ff1(shape), Family::Text) if has_no_room(shape, ty) => {
                return Err(MaskError::new(format!(
                    "format: {} begins with {} characters, and this column is {described}",
                    shape.word(),
                    shape.shortest()
                )));
            }
            (TokenKind::Hmac, Family::Integer) => {
                return Err(MaskError::new(format!(
                    "kind: hmac fits text and uuid columns, and this column is {described}: \
                     use kind: siv"
                )));
            }
            _ => {}
        }
        let made = |key: &Arc<TokenKey>| {
            let cipher = Cipher::new(kind, key, domain, family)?;
            Ok((Arc::clone(key), cipher))
        };
        let mut all = keys.iter().map(made).collect::<Result<Vec<_>, _>>()?;
        if !kind.says_its_key() {
            all.reverse();
        }
        let mut all = all.into_iter();
        let (key, cipher) = all
            .next()
            .ok_or_else(|| MaskError::new("there is no key"))?;
        Ok(Self {
            domain: domain.into(),
            key,
            family,
            type_oid: ty.oid,
            cipher,
            others: all.collect(),
            cells: None,
            later_numbers: false,
            collation: ty.collation.clone(),
        })
    }

    /// The same for a server of this version; `version` as in `server_version_num`.
    #[must_use]
    pub fn for_server(mut self, version: u32) -> Self {
        self.later_numbers = version >= LATER_NUMBERS;
        self
    }

    /// Does it make the same token of every value?
    pub fn same(&self, other: &Self) -> bool {
        self.reads_like(other)
            && self.key.id() == other.key.id()
            && self.same_cells(other, Cells::same)
    }

    /// Is it the same domain and type, whatever became of its keys?
    pub fn reads_like(&self, other: &Self) -> bool {
        self.domain == other.domain
            && self.type_oid == other.type_oid
            && self.kind() == other.kind()
            && self.same_cells(other, |mine, others| mine.name() == others.name())
    }

    /// Are the tokens an older binding makes still good?
    pub fn accepts(&self, older: &Self) -> bool {
        let still = |key: &Arc<TokenKey>| key.id() == older.key.id();
        self.same(older)
            || (self.reads_like(older)
                && self.kind().says_its_key()
                && self.same_cells(older, Cells::same)
                && self.others.iter().any(|(key, _)| still(key)))
    }

    /// Appends the token of a value as it stands in a DataRow, in the same format.
    pub fn encode_wire(
        &self,
        value: &[u8],
        format: Format,
        out: &mut Vec<u8>,
    ) -> Result<(), MalformedRow> {
        match &self.cells {
            None => self.encode_plain(value, format, out),
            Some(cells) => cells
                .open(value, |plain| self.encode_plain(plain, format, out))
                .ok_or(MalformedRow)?,
        }
    }

    fn encode_plain(
        &self,
        value: &[u8],
        format: Format,
        out: &mut Vec<u8>,
    ) -> Result<(), MalformedRow> {
        with_canonical(self.type_oid, value, format, |plain| match &self.cipher {
            Cipher::Clear => {
                out.extend_from_slice(plain);
                Ok(())
            }
            Cipher::Masked(mask) => {
                mask.apply(plain, out);
                Ok(())
            }
            Cipher::Siv(siv) => siv.encode(plain, out).ok_or(MalformedRow),
            Cipher::Hmac(hmac) => hmac.encode(plain, format, out).ok_or(MalformedRow),
            Cipher::Shaped(shaped) => shaped.encode(plain, out).ok_or(MalformedRow),
            Cipher::Ff1Integer(ff1) => {
                let number = self.integer(plain, Format::Text).ok_or(MalformedRow)?;
                let token = ff1.turn(Turn::Encrypt, number).ok_or(MalformedRow)?;
                codec::write_integer(self.type_oid, token, format, out).ok_or(MalformedRow)
            }
            Cipher::Ff1Uuid(ff1) => {
                codec::write_uuid(ff1.encrypt(plain).ok_or(MalformedRow)?, format, out);
                Ok(())
            }
        })?
    }

    /// Appends the token of a value in PostgreSQL's text format.
    pub fn encode(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), MalformedRow> {
        self.encode_wire(plain, Format::Text, out)
    }

    /// What is stored for a token, as text PostgreSQL can read as the column's type: its plaintext, or
    /// the cell of it. `None` if it does not authenticate, is no value of the type, or the kind is
    /// irreversible; but what is written to an encrypted column that is shown in an irreversible form is
    /// taken for a value.
    pub fn decode(&self, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.decode_text(0, token)
    }

    /// The same as one of [`TokenColumn::texts`]; the first is what is written.
    fn decode_text(&self, number: usize, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Some(cells) = &self.cells else {
            let plain = self.decode_plain(token)?;
            // No char(n) ends with blanks: PostgreSQL would find the text without them, of another token.
            let padded = self.type_oid == oid::BPCHAR && plain.ends_with(b" ");
            return (!padded).then_some(plain);
        };
        let mut text = Zeroizing::new(Vec::new());
        match &self.cipher {
            Cipher::Clear | Cipher::Masked(_) | Cipher::Hmac(_) => {
                cells.write_text(number, token, &mut text)?;
            }
            Cipher::Siv(_) | Cipher::Ff1Uuid(_) | Cipher::Ff1Integer(_) | Cipher::Shaped(_) => {
                cells.write_text(number, &self.decode_plain(token)?, &mut text)?;
            }
        }
        Some(text)
    }

    fn decode_plain(&self, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match &self.cipher {
            Cipher::Siv(siv) => {
                let older = || {
                    self.others.iter().find_map(|(_, cipher)| match cipher {
                        Cipher::Siv(siv) => siv.decode(token),
                        Cipher::Ff1Uuid(_)
                        | Cipher::Ff1Integer(_)
                        | Cipher::Shaped(_)
                        | Cipher::Hmac(_)
                        | Cipher::Clear
                        | Cipher::Masked(_) => None,
                    })
                };
                plain_text(self.type_oid, &siv.decode(token).or_else(older)?)
            }
            Cipher::Hmac(_) | Cipher::Clear | Cipher::Masked(_) => None,
            Cipher::Shaped(shaped) => shaped.decode(token),
            Cipher::Ff1Integer(ff1) => {
                let token = self.integer(token, Format::Text)?;
                let mut plain = Zeroizing::new(Vec::with_capacity(20));
                let number = ff1.turn(Turn::Decrypt, token)?;
                codec::write_integer(self.type_oid, number, Format::Text, &mut plain)?;
                Some(plain)
            }
            Cipher::Ff1Uuid(ff1) => {
                let token = codec::read_uuid(token)?;
                plain_text(self.type_oid, &ff1.decrypt(&token)?)
            }
        }
    }

    /// The plaintext of a parameter. A token that is a uuid may come in binary and stays so; all
    /// other plaintexts are text.
    pub fn decode_wire(&self, token: &[u8], format: Format) -> Option<Zeroizing<Vec<u8>>> {
        match (&self.cipher, format) {
            (Cipher::Ff1Uuid(ff1), Format::Binary) => {
                let token = <[u8; 16]>::try_from(token).ok()?;
                Some(Zeroizing::new(ff1.decrypt(&token)?.to_vec()))
            }
            _ => self.decode(token),
        }
    }

    /// Whether equal tokens of the two columns mean equal values, and equal stored values: one domain,
    /// kind, key and family, and one encryption.
    pub fn joins_with(&self, other: &Self) -> bool {
        self.compares() && self.shows_like(other)
    }

    /// Kind.
    pub fn kind(&self) -> TokenKind {
        match self.cipher {
            Cipher::Siv(_) => TokenKind::Siv,
            Cipher::Ff1Uuid(_) => TokenKind::Ff1Uuid,
            Cipher::Ff1Integer(_) => TokenKind::Ff1Integer,
            Cipher::Shaped(ref shaped) => TokenKind::Ff1(shaped.shape()),
            Cipher::Hmac(_) => TokenKind::Hmac,
            Cipher::Clear => TokenKind::Decrypted,
            Cipher::Masked(_) => TokenKind::Masked,
        }
    }

    /// Domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Family of plaintexts.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The id of the key that makes tokens, as they show it.
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// The column's type.
    pub fn type_oid(&self) -> Oid {
        self.type_oid
    }

    /// Type and length (`pg_type.typlen`) of the tokens; there is never a typmod.
    pub fn output_type(&self) -> (Oid, i16) {
        match (&self.cipher, self.family) {
            (Cipher::Ff1Uuid(_), _) | (Cipher::Hmac(_), Family::Uuid) => (oid::UUID, 16),
            (Cipher::Ff1Integer(_), _) if self.type_oid == oid::INT4 => (self.type_oid, 4),
            (Cipher::Ff1Integer(_), _) => (self.type_oid, 8),
            (Cipher::Clear | Cipher::Masked(_), _) => (self.type_oid, -1),
            _ => (oid::VARCHAR, -1),
        }
    }

    /// What the tokens are to PostgreSQL.
    pub fn token_type(&self) -> TokenType {
        match self.output_type().0 {
            oid::UUID => TokenType::Uuid,
            oid::INT4 | oid::INT8 => TokenType::Integer,
            _ => TokenType::Text,
        }
    }

    /// Does every token fit a column of this type and typmod? What has to stay of the column's own
    /// type, a field of a whole row, may have no room for it.
    pub fn fits(&self, type_oid: Oid, typmod: i32) -> bool {
        match (&self.cipher, self.output_type().0) {
            (_, own @ (oid::UUID | oid::INT4 | oid::INT8)) => type_oid == own,
            // A varchar's typmod is its length and 4.
            (Cipher::Hmac(hmac), _) => match type_oid {
                oid::TEXT => true,
                oid::VARCHAR => usize::try_from(typmod.saturating_sub(4))
                    .map_or(true, |length| hmac.token_len() <= length),
                _ => false,
            },
            // As long as what it stands for.
            (Cipher::Shaped(_), _) => matches!(type_oid, oid::TEXT | oid::VARCHAR),
            _ => matches!(type_oid, oid::TEXT | oid::VARCHAR) && typmod < 0,
        }
    }

    /// Are tokens of older keys taken too, which are other texts?
    pub fn takes_older(&self) -> bool {
        self.kind().says_its_key() && !self.others.is_empty()
    }

    /// A token can be turned back.
    pub fn is_reversible(&self) -> bool {
        self.kind().is_reversible()
    }

    /// There is a Rust form; true of every kind.
    pub fn at_output(&self) -> bool {
        true
    }
}

/// A column that is too short for any text of the shape.
fn has_no_room(shape: Shape, ty: &ColumnType) -> bool {
    // The typmod of a varchar or char is its length and 4.
    let length = usize::try_from(ty.typmod.saturating_sub(4)).ok();
    ty.typmod >= 0 && length.is_some_and(|length| length < shape.shortest())
}
