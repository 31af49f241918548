//! Tokens a client sends → the stored values they stand for.
//!
//! What is no token of the column must not reach PostgreSQL as it was written: the answer would tell
//! whether such a value is stored. A value that no row has goes in its place, so that every comparison
//! stays as true, false or NULL as it is between tokens. Deliberately absent: where tokens may stand.

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::codec::{Family, any_integer, binary, write_uuid};
use super::hmac::derive;
use super::{TokenColumn, TokenKind};
use crate::pg::Oid;
use crate::pg::types::{Format, oid};
use crate::wire::Reader;

/// A value for PostgreSQL, in text.
pub struct Stored {
    /// The value. Of an array, PostgreSQL's text form of the array.
    pub text: Zeroizing<Vec<u8>>,
    /// It is outside the column's type: [`TokenColumn::upstream_type`] says which one holds it.
    pub wide: bool,
}

/// Why tokens cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDecoded {
    /// One does not authenticate.
    NoToken,
    /// It is not an array, or not of one dimension.
    Malformed,
    /// It has fewer bytes than its type.
    Short,
    /// It has more.
    Long,
}

/// A type as PostgreSQL calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamType {
    /// Its name in `pg_catalog`.
    pub name: &'static str,
    /// Its OID.
    pub oid: Oid,
    /// That of an array of it.
    pub array: Oid,
}

impl UpstreamType {
    const fn new(name: &'static str, oid: Oid, array: Oid) -> Self {
        Self { name, oid, array }
    }
}

impl TokenColumn {
    /// The type of a value that is compared with the column; `wide` if it may be outside the column's.
    pub fn upstream_type(&self, wide: bool) -> UpstreamType {
        match (self.type_oid, wide) {
            (oid::UUID, _) => UpstreamType::new("uuid", oid::UUID, 2951),
            (oid::BPCHAR, _) => UpstreamType::new("bpchar", oid::BPCHAR, 1014),
            (oid::INT2, false) => UpstreamType::new("int2", oid::INT2, 1005),
            (oid::INT4, false) => UpstreamType::new("int4", oid::INT4, 1007),
            // Every int8 is a token: none is outside.
            (oid::INT8, true) if self.kind() == TokenKind::Ff1Integer => self.upstream_type(false),
            (oid::INT2 | oid::INT4, true) | (oid::INT8, false) => {
                UpstreamType::new("int8", oid::INT8, 1016)
            }
            (oid::INT8, true) => UpstreamType::new("numeric", oid::NUMERIC, 1231),
            _ => UpstreamType::new("text", oid::TEXT, 1009),
        }
    }

    /// What a token stands for. Where `exact`, only a token will do.
    pub fn stored(&self, token: &[u8], format: Format, exact: bool) -> Result<Stored, NotDecoded> {
        self.stored_text(0, token, format, exact)
    }

    /// The same as one of [`TokenColumn::texts`].
    pub fn stored_text(
        &self,
        number: usize,
        token: &[u8],
        format: Format,
        exact: bool,
    ) -> Result<Stored, NotDecoded> {
        if let Some(text) = self.decode_format(number, token, format) {
            return Ok(Stored { text, wide: false });
        }
        // An integer that the type has not equals none of its own.
        let outside = self.kind() == TokenKind::Ff1Integer && self.integer(token, format).is_some();
        if exact || self.has_no_absent() && !outside {
            return Err(NotDecoded::NoToken);
        }
        self.absent(token).ok_or(NotDecoded::NoToken)
    }

    /// What a token stands for, in the format the token came in. Only a token will do.
    pub fn stored_wire(
        &self,
        token: &[u8],
        format: Format,
    ) -> Result<Zeroizing<Vec<u8>>, NotDecoded> {
        match self.width().filter(|_| format == Format::Binary) {
            Some(width) if token.len() < width => return Err(NotDecoded::Short),
            Some(width) if token.len() > width => return Err(NotDecoded::Long),
            Some(_) | None => {}
        }
        let text = self.stored(token, format, true)?.text;
        match format {
            Format::Text => Ok(text),
            Format::Binary => binary(self.type_oid, &text).ok_or(NotDecoded::NoToken),
        }
    }

    /// How many bytes a token has in binary, if it is no text.
    fn width(&self) -> Option<usize> {
        match (self.kind(), self.type_oid) {
            (TokenKind::Ff1Uuid, _) => Some(16),
            (TokenKind::Ff1Integer, oid::INT8) => Some(8),
            (TokenKind::Ff1Integer, _) => Some(4),
            _ => None,
        }
    }

    /// What an array of tokens stands for; NULLs stay. With so many `texts` of each.
    pub fn stored_array(
        &self,
        array: &[u8],
        format: Format,
        exact: bool,
        texts: usize,
    ) -> Result<Stored, NotDecoded> {
        let elements = match format {
            Format::Text => text_elements(array),
            Format::Binary => binary_elements(array),
        };
        let mut out = Stored {
            text: Zeroizing::new(b"{".to_vec()),
            wide: false,
        };
        for element in elements.ok_or(NotDecoded::Malformed)? {
            let Some(element) = element else {
                separate(&mut out.text);
                out.text.extend_from_slice(b"NULL");
                continue;
            };
            for number in 0..texts {
                let value = self.stored_text(number, &element, format, exact)?;
                out.wide |= value.wide;
                separate(&mut out.text);
                quote_element(&value.text, &mut out.text);
            }
        }
        out.text.push(b'}');
        Ok(out)
    }

    /// An integer as the server reads it.
    pub(super) fn integer(&self, written: &[u8], format: Format) -> Option<i64> {
        any_integer(written, format, self.later_numbers)
    }

    /// Every value of the type is a token.
    fn has_no_absent(&self) -> bool {
        match self.kind() {
            TokenKind::Ff1Uuid
            | TokenKind::Ff1Integer
            | TokenKind::Hmac
            | TokenKind::Decrypted
            | TokenKind::Masked => true,
            TokenKind::Siv | TokenKind::Ff1(_) => false,
        }
    }

    fn decode_format(
        &self,
        number: usize,
        token: &[u8],
        format: Format,
    ) -> Option<Zeroizing<Vec<u8>>> {
        if self.kind() == TokenKind::Ff1Uuid && format == Format::Binary {
            let plain = self.decode_wire(token, format)?;
            let mut text = Zeroizing::new(Vec::with_capacity(36));
            write_uuid(plain.as_slice().try_into().ok()?, Format::Text, &mut text);
            return Some(text);
        }
        if self.kind() == TokenKind::Ff1Integer && format == Format::Binary {
            let token = self.integer(token, format)?.to_string();
            return self.decode_text(number, token.as_bytes());
        }
        self.decode_text(number, token)
    }

    /// A value that no row has, of bits that nobody can foresee without the key, and another one for another
    /// text. Of a text it has 256, of a uuid 119, beside a version and a variant that no generator of
    /// uuids writes; of an integer 127 or 62, above those that the type can hold.
    fn absent(&self, written: &[u8]) -> Option<Stored> {
        let text = match self.family {
            Family::Integer => {
                let bits = u128::from_le_bytes(*self.unforeseeable(written)?.first_chunk()?);
                let number = match self.type_oid {
                    oid::INT8 => (1 << 63) + (bits >> 1),
                    _ => (1 << 32) + (bits >> 66),
                };
                number.to_string().into_bytes()
            }
            Family::Text => data_encoding::HEXLOWER
                .encode(&self.unforeseeable(written)?)
                .into_bytes(),
            Family::Uuid => {
                let mut bytes = *self.unforeseeable(written)?.first_chunk::<16>()?;
                let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
                *version |= 0xf0;
                *variant |= 0xe0;
                let mut text = Vec::with_capacity(36);
                write_uuid(bytes, Format::Text, &mut text);
                text
            }
        };
        Some(Stored {
            text: Zeroizing::new(text),
            wide: self.family == Family::Integer,
        })
    }

    fn unforeseeable(&self, written: &[u8]) -> Option<[u8; 32]> {
        let key = derive(&self.key, "pgveil absent value", &self.domain, self.family).ok()?;
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*key).ok()?;
        mac.update(written);
        Some(mac.finalize().into_bytes().into())
    }
}

/// An array's element; `None` is NULL.
type Element = Option<Zeroizing<Vec<u8>>>;
type Elements = Vec<Element>;

/// `{a,"b c",NULL}`, of one dimension, as `array_in()` reads it.
fn text_elements(text: &[u8]) -> Option<Elements> {
    let text = text.trim_ascii();
    let mut rest = text.strip_prefix(b"{")?.strip_suffix(b"}")?.trim_ascii();
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (element, after) = text_element(rest)?;
        elements.push(element);
        rest = match after.split_first() {
            None => return Some(elements),
            Some((b',', more)) => more.trim_ascii_start(),
            Some(_) => return None,
        };
        if rest.is_empty() {
            return None;
        }
    }
    Some(elements)
}

/// The first element and what follows it, from its comma on.
fn text_element(text: &[u8]) -> Option<(Element, &[u8])> {
    let mut element = Zeroizing::new(Vec::new());
    let quoted = text.first() == Some(&b'"');
    let mut bytes = text.iter().enumerate().skip(usize::from(quoted));
    let mut escaped = false;
    let end = loop {
        match bytes.next() {
            None if quoted => return None,
            None => break text.len(),
            Some((_, b'\\')) => {
                escaped = true;
                element.push(*bytes.next()?.1);
            }
            Some((at, b'"')) if quoted => break at.checked_add(1)?,
            Some((_, b'"' | b'{' | b'}')) if !quoted => return None,
            Some((at, b',')) if !quoted => break at,
            Some((_, byte)) => element.push(*byte),
        }
    };
    let after = text.get(end..)?.trim_ascii_start();
    if quoted || escaped {
        return Some((Some(element), after));
    }
    let bare = element.trim_ascii();
    if bare.is_empty() {
        return None;
    }
    let null = bare.eq_ignore_ascii_case(b"null");
    let bare = Zeroizing::new(bare.to_vec());
    Some(((!null).then_some(bare), after))
}

/// `array_recv()`'s form, of one dimension.
fn binary_elements(array: &[u8]) -> Option<Elements> {
    let mut reader = Reader::new(array);
    let dimensions = reader.i32().ok()?;
    let _has_nulls = reader.i32().ok()?;
    let _element_type = reader.u32().ok()?;
    let mut elements = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            let count = reader.i32().ok()?;
            let _lower_bound = reader.i32().ok()?;
            for _ in 0..count {
                let element = reader.value().ok()?;
                elements.push(element.map(|e| Zeroizing::new(e.to_vec())));
            }
        }
        _ => return None,
    }
    reader.end().ok()?;
    Some(elements)
}

/// Writes what stands between an array's elements.
fn separate(array: &mut Vec<u8>) {
    if array.len() > 1 {
        array.push(b',');
    }
}

fn quote_element(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::{NotDecoded, text_elements};
    use crate::mask::token::{Cells, TokenKey, TokenKind};
    use crate::mask::{ColumnType, TokenColumn};
    use crate::pg::types::{Format, oid};

    fn column(domain: &str, type_oid: u32, seed: u8) -> TokenColumn {
        let key = TokenKey::new("aaaa", Zeroizing::new([seed; 64])).expect("an id");
        let ty = ColumnType {
            oid: type_oid,
            typmod: -1,
            sql: "".into(),
            collation: None,
            element: None,
            domain: false,
        };
        TokenColumn::bind(domain, TokenKind::Siv, &[Arc::new(key)], &ty).expect("fits")
    }

    fn token(of: &TokenColumn, plain: &str) -> Vec<u8> {
        let mut out = Vec::new();
        of.encode(plain.as_bytes(), &mut out).expect("a value");
        out
    }

    /// `'ada '` and `'ada'` are one char(n), and two tokens of a text: only the second is the char(n)'s.
    #[test]
    fn a_token_of_blanks_at_the_end_is_no_char() {
        let (text, padded) = (column("d", oid::TEXT, 7), column("d", oid::BPCHAR, 7));
        let [with, without] = ["ada ", "ada"].map(|plain| token(&text, plain));
        assert_eq!(token(&padded, "ada "), without);
        assert!(text.decode(&with).is_some() && padded.decode(&without).is_some());
        assert!(padded.decode(&with).is_none());
    }

    #[test]
    fn only_a_token_of_the_column_becomes_its_value() {
        let text = column("d", oid::TEXT, 7);
        let good = token(&text, "ada");
        let stored = text.stored(&good, Format::Text, true).expect("a token");
        assert_eq!((stored.text.as_slice(), stored.wide), (&b"ada"[..], false));
        let mut truncated = good.clone();
        truncated.pop();
        let mut forged = good.clone();
        *forged.last_mut().expect("long") ^= 1;
        for bad in [
            b"ada".to_vec(),
            Vec::new(),
            truncated,
            forged,
            token(&column("e", oid::TEXT, 7), "ada"),
            token(&column("d", oid::TEXT, 8), "ada"),
            token(&column("d", oid::INT4, 7), "12"),
        ] {
            assert_eq!(
                text.stored(&bad, Format::Text, true).map(|s| s.wide),
                Err(NotDecoded::NoToken)
            );
            let absent = text.stored(&bad, Format::Text, false).expect("a value");
            assert_eq!(absent.text.len(), 64);
            assert_ne!(absent.text.as_slice(), bad);
        }
    }

    #[test]
    fn what_no_row_has_is_outside_the_type_or_unforeseeable() {
        for (ty, above, below, upstream) in [
            (oid::INT2, u128::from(u32::MAX), 1 << 63, "int8"),
            (oid::INT4, u128::from(u32::MAX), 1 << 63, "int8"),
            (oid::INT8, (1 << 63) - 1, u128::MAX, "numeric"),
        ] {
            let column = column("d", ty, 7);
            let numbers = [b"12", b"13", b"12"].map(|token| {
                let absent = column.stored(token, Format::Text, false).expect("a value");
                assert!(absent.wide);
                assert_eq!(column.upstream_type(absent.wide).name, upstream);
                let text = String::from_utf8(absent.text.to_vec()).expect("digits");
                text.parse::<u128>().expect("a number")
            });
            assert!(numbers.iter().all(|n| (above + 1..below).contains(n)));
            assert_eq!(numbers[0], numbers[2]);
            assert_ne!(numbers[0], numbers[1], "two texts are not equal");
        }
        let uuid = column("d", oid::UUID, 7);
        let absent = uuid.stored(b"x", Format::Text, false).expect("a value");
        assert_eq!((absent.text[14], absent.text.len()), (b'f', 36));
        assert!(matches!(absent.text[19], b'e' | b'f'));
    }

    #[test]
    fn arrays_are_read_as_postgresql_reads_them() {
        let read = |text: &str| {
            text_elements(text.as_bytes()).map(|elements| {
                let shown = |e: &Option<Zeroizing<Vec<u8>>>| match e {
                    Some(e) => String::from_utf8_lossy(e).into_owned(),
                    None => "-".to_owned(),
                };
                elements.iter().map(shown).collect::<Vec<_>>().join("|")
            })
        };
        for (text, elements) in [
            ("{}", Some("")),
            ("{a,b}", Some("a|b")),
            (" { a , NULL,\"NULL\" , null } ", Some("a|-|NULL|-")),
            (r#"{"a\"b","c\\d",e\,f,"",x y}"#, Some("a\"b|c\\d|e,f||x y")),
            ("{a,}", None),
            ("{,a}", None),
            ("{{a},{b}}", None),
            ("{a", None),
            ("{\"a}", None),
            ("{\"a\"b}", None),
            ("[0:1]={a,b}", None),
            ("a", None),
        ] {
            assert_eq!(read(text).as_deref(), elements, "{text}");
        }
    }

    #[test]
    fn an_array_is_decoded_element_by_element() {
        let column = column("d", oid::VARCHAR, 7);
        let good = String::from_utf8(token(&column, "O'B\"r\\ix")).expect("text");
        let array = format!("{{{good},NULL,plain}}");
        let stored = column
            .stored_array(array.as_bytes(), Format::Text, false, 1)
            .expect("an array");
        let text = String::from_utf8(stored.text.to_vec()).expect("text");
        assert!(text.starts_with(r#"{"O'B\"r\\ix",NULL,""#), "{text}");
        assert!(!text.contains("plain"), "{text}");
        let strict = column.stored_array(array.as_bytes(), Format::Text, true, 1);
        assert_eq!(strict.map(|s| s.wide), Err(NotDecoded::NoToken));
        let mut binary = Vec::new();
        for number in [1_i32, 1, 25, 2, 1] {
            binary.extend_from_slice(&number.to_be_bytes());
        }
        let length = i32::try_from(good.len()).expect("short");
        binary.extend_from_slice(&length.to_be_bytes());
        binary.extend_from_slice(good.as_bytes());
        binary.extend_from_slice(&(-1_i32).to_be_bytes());
        let stored = column
            .stored_array(&binary, Format::Binary, true, 1)
            .expect("an array");
        assert_eq!(stored.text.as_slice(), br#"{"O'B\"r\\ix",NULL}"#);
        for end in 0..binary.len() {
            let cut = column.stored_array(&binary[..end], Format::Binary, true, 1);
            assert!(cut.is_err(), "{end}");
        }
    }
    #[test]
    fn an_array_of_what_is_being_filled_has_every_text_of_its_members() {
        let key = TokenKey::new("aaaa", Zeroizing::new([9; 64])).expect("an id");
        let of = column("d", oid::TEXT, 7);
        let token = String::from_utf8(token(&of, "ada")).expect("text");
        let ty = ColumnType {
            oid: oid::TEXT,
            typmod: -1,
            sql: "".into(),
            collation: None,
            element: None,
            domain: false,
        };
        let cells = Cells::bind("k", &[Arc::new(key)], &ty, true).expect("fits");
        let column = of.over(Arc::new(cells)).expect("siv");
        assert_eq!(column.texts(), 2);
        let array = format!("{{{token},NULL,ada}}");
        let read = |exact| column.stored_array(array.as_bytes(), Format::Text, exact, 2);
        let stored = read(false).expect("an array").text;
        let elements: Vec<_> = text_elements(&stored)
            .expect("an array")
            .into_iter()
            .map(|e| e.map(|e| String::from_utf8(e.to_vec()).expect("text")))
            .collect();
        let [Some(cell), Some(value), None, Some(absent), Some(again)] = elements.as_slice() else {
            panic!("{} elements", elements.len());
        };
        assert!(
            cell.starts_with("enc_aaaa") && value == "ada",
            "{cell} {value}"
        );
        // What is no token is nothing that is stored, in any form.
        assert_eq!((absent.len(), absent), (64, again));
        assert!(read(true).is_err());
    }
}
