//! Client encodings: bytes ⇄ UTF-8 as PostgreSQL converts them between a client and a UTF-8 database.
//!
//! What has one byte a character is in tables (`single`); of the rest `encoding_rs` knows the
//! characters, and where PostgreSQL has others is written here (`multi`). Only encodings whose every
//! character was found to agree with a server are here. Deliberately absent: BIG5, GB18030, EUC_TW,
//! JOHAB, the 2004 forms of EUC and SJIS and MULE_INTERNAL, where they do not, or where PostgreSQL's
//! versions differ.

mod multi;
mod single;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use self::multi::Multi;

/// A client encoding that can be converted.
#[derive(Clone, Copy)]
pub struct Encoding(&'static Entry);

/// One encoding.
struct Entry {
    /// PostgreSQL's name, which it reports.
    name: &'static str,
    /// Other names it takes, cleaned as it cleans them.
    aliases: &'static [&'static str],
    kind: Kind,
    /// Character → byte, for the single-byte ones; made when it is first needed.
    back: OnceLock<HashMap<char, u8>>,
}

enum Kind {
    /// The same bytes as UTF-8.
    Same,
    /// One byte, one character: those from 0x80, or from 0xA0 with control characters below.
    Single(&'static [u16]),
    /// The first 256 characters.
    Latin1,
    /// Up to three bytes.
    Multi(&'static Multi),
}

/// Why a text cannot be converted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unconvertible {
    /// The bytes are not of the encoding.
    Invalid,
    /// The character has no equivalent in the other encoding.
    Untranslatable,
}

const fn entry(name: &'static str, aliases: &'static [&'static str], kind: Kind) -> Entry {
    Entry {
        name,
        aliases,
        kind,
        back: OnceLock::new(),
    }
}

const fn single(
    name: &'static str,
    aliases: &'static [&'static str],
    table: &'static [u16],
) -> Entry {
    entry(name, aliases, Kind::Single(table))
}

/// PostgreSQL's names are those of its `pg_encname_tbl`.
static ENCODINGS: [Entry; 35] = [
    entry("UTF8", &["unicode"], Kind::Same),
    entry("SQL_ASCII", &[], Kind::Same),
    entry("EUC_CN", &[], Kind::Multi(&multi::EUC_CN)),
    entry("EUC_JP", &[], Kind::Multi(&multi::EUC_JP)),
    entry("EUC_KR", &[], Kind::Multi(&multi::EUC_KR)),
    entry("GBK", &["win936", "windows936"], Kind::Multi(&multi::GBK)),
    entry(
        "SJIS",
        &["mskanji", "shiftjis", "win932", "windows932"],
        Kind::Multi(&multi::SJIS),
    ),
    entry("UHC", &["win949", "windows949"], Kind::Multi(&multi::UHC)),
    entry("LATIN1", &["iso88591"], Kind::Latin1),
    single("LATIN2", &["iso88592"], &single::LATIN2),
    single("LATIN3", &["iso88593"], &single::LATIN3),
    single("LATIN4", &["iso88594"], &single::LATIN4),
    single("LATIN5", &["iso88599"], &single::LATIN5),
    single("LATIN6", &["iso885910"], &single::LATIN6),
    single("LATIN7", &["iso885913"], &single::LATIN7),
    single("LATIN8", &["iso885914"], &single::LATIN8),
    single("LATIN9", &["iso885915"], &single::LATIN9),
    single("LATIN10", &["iso885916"], &single::LATIN10),
    single("ISO_8859_5", &[], &single::ISO_8859_5),
    single("ISO_8859_6", &[], &single::ISO_8859_6),
    single("ISO_8859_7", &[], &single::ISO_8859_7),
    single("ISO_8859_8", &[], &single::ISO_8859_8),
    single("KOI8R", &["koi8"], &single::KOI8R),
    single("KOI8U", &[], &single::KOI8U),
    single("WIN866", &["alt", "windows866"], &single::WIN866),
    single("WIN874", &["windows874"], &single::WIN874),
    single("WIN1250", &["windows1250"], &single::WIN1250),
    single("WIN1251", &["win", "windows1251"], &single::WIN1251),
    single("WIN1252", &["windows1252"], &single::WIN1252),
    single("WIN1253", &["windows1253"], &single::WIN1253),
    single("WIN1254", &["windows1254"], &single::WIN1254),
    single("WIN1255", &["windows1255"], &single::WIN1255),
    single("WIN1256", &["windows1256"], &single::WIN1256),
    single("WIN1257", &["windows1257"], &single::WIN1257),
    single(
        "WIN1258",
        &["abc", "tcvn", "tcvn5712", "vscii", "windows1258"],
        &single::WIN1258,
    ),
];

/// UTF8 under the name that PostgreSQL keeps for old clients, and shows them.
static UNICODE: Entry = entry("UNICODE", &[], Kind::Same);

/// What PostgreSQL converts and this does not, cleaned as it cleans names.
const UNCONVERTED: [&str; 9] = [
    "big5",
    "eucjis2004",
    "euctw",
    "gb18030",
    "johab",
    "muleinternal",
    "shiftjis2004",
    "win950",
    "windows950",
];

/// A name as PostgreSQL compares it.
fn clean(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

impl PartialEq for Encoding {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Encoding {}

impl std::fmt::Debug for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Encoding {
    /// UTF8
    pub fn utf8() -> Self {
        let [first, ..] = &ENCODINGS;
        Self(first)
    }

    /// By a name PostgreSQL takes: letters and digits count, their case does not.
    pub fn by_name(name: &str) -> Option<Self> {
        if name == UNICODE.name {
            return Some(Self(&UNICODE));
        }
        let wanted = clean(name);
        ENCODINGS
            .iter()
            .find(|e| clean(e.name) == wanted || e.aliases.contains(&wanted.as_str()))
            .map(Self)
    }

    /// Has PostgreSQL one of that name, which is not converted here?
    pub fn is_unconverted(name: &str) -> bool {
        UNCONVERTED.contains(&clean(name).as_str())
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ENCODINGS.iter().map(Self)
    }

    /// PostgreSQL's name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The encoding itself, whatever it is called.
    #[must_use]
    pub fn canonical(self) -> Self {
        if self.0.name == UNICODE.name {
            return Self::utf8();
        }
        self
    }

    /// Its bytes are those of UTF-8.
    pub fn is_same(self) -> bool {
        matches!(self.0.kind, Kind::Same)
    }

    /// Bytes of the client as UTF-8.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Unconvertible> {
        if self.is_same() || bytes.is_ascii() {
            let text = std::str::from_utf8(bytes).map_err(|_| Unconvertible::Invalid)?;
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(bytes.len().saturating_mul(2));
        let used = self.decode_part(bytes, &mut out)?;
        if used < bytes.len() {
            return Err(Unconvertible::Invalid);
        }
        Ok(Cow::Owned(out))
    }

    /// The same for a part of a stream: appends what is whole, and says how many bytes that was.
    pub fn decode_part(self, bytes: &[u8], out: &mut String) -> Result<usize, Unconvertible> {
        match &self.0.kind {
            Kind::Same => {
                let (text, used) = whole_utf8(bytes)?;
                out.push_str(text);
                Ok(used)
            }
            Kind::Latin1 => {
                out.extend(bytes.iter().map(|byte| char::from(*byte)));
                Ok(bytes.len())
            }
            Kind::Single(table) => {
                for byte in bytes {
                    out.push(upper(table, *byte).ok_or(Unconvertible::Untranslatable)?);
                }
                Ok(bytes.len())
            }
            Kind::Multi(multi) => multi.decode(bytes, out),
        }
    }

    /// Appends UTF-8 as the client wants it.
    pub fn encode(self, text: &str, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        if self.is_same() || text.is_ascii() {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for c in text.chars() {
            self.encode_one(c, out)?;
        }
        Ok(())
    }

    /// The same, with `?` for what the client has no character for: for words to people.
    pub fn encode_lossy(self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            if self.encode_one(c, &mut out).is_err() {
                out.push(b'?');
            }
        }
        out
    }

    fn encode_one(self, c: char, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let mut utf8 = [0; 4];
        let same = c.encode_utf8(&mut utf8);
        if c.is_ascii() || self.is_same() {
            out.extend_from_slice(same.as_bytes());
            return Ok(());
        }
        let byte = match &self.0.kind {
            Kind::Same => None,
            Kind::Latin1 => u8::try_from(u32::from(c)).ok(),
            Kind::Single(table) => {
                let back = self.0.back.get_or_init(|| {
                    let upper = |byte| Some((upper(table, byte)?, byte));
                    (0x80..=0xFF).filter_map(upper).collect()
                });
                back.get(&c).copied()
            }
            Kind::Multi(multi) => return multi.encode(c, out),
        };
        out.push(byte.ok_or(Unconvertible::Untranslatable)?);
        Ok(())
    }
}

/// The character of a byte.
fn upper(table: &[u16], byte: u8) -> Option<char> {
    let first = 0x100_usize.saturating_sub(table.len());
    match usize::from(byte).checked_sub(first) {
        None => Some(char::from(byte)),
        Some(at) => {
            let code = table.get(at).copied().filter(|code| *code != 0)?;
            char::from_u32(u32::from(code))
        }
    }
}

/// The part of `bytes` that ends with a whole character.
fn whole_utf8(bytes: &[u8]) -> Result<(&str, usize), Unconvertible> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text, bytes.len())),
        Err(error) if error.error_len().is_none() => {
            let (whole, _) = bytes
                .split_at_checked(error.valid_up_to())
                .ok_or(Unconvertible::Invalid)?;
            let text = std::str::from_utf8(whole).map_err(|_| Unconvertible::Invalid)?;
            Ok((text, whole.len()))
        }
        Err(_) => Err(Unconvertible::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Unconvertible};

    fn named(name: &str) -> Encoding {
        Encoding::by_name(name).unwrap()
    }

    #[test]
    fn names_are_postgresqls() {
        for (name, want) in [
            ("utf-8", "UTF8"),
            ("Unicode", "UTF8"),
            ("UNICODE", "UNICODE"),
            ("'latin-1'", "LATIN1"),
            ("ISO_8859-15", "LATIN9"),
            ("windows-1252", "WIN1252"),
            ("Shift_JIS", "SJIS"),
            ("koi8-r", "KOI8R"),
        ] {
            assert_eq!(named(name).name(), want, "{name}");
        }
        for name in ["", "BIG5", "GB18030", "MULE_INTERNAL", "EUC_TW", "nonsense"] {
            assert!(Encoding::by_name(name).is_none(), "{name}");
            let known = !["", "nonsense"].contains(&name);
            assert_eq!(Encoding::is_unconverted(name), known, "{name}");
        }
        assert_eq!(named("UNICODE").canonical(), Encoding::utf8());
    }

    #[test]
    fn latin1_is_not_windows_1252() {
        assert_eq!(named("LATIN1").decode(b"\x80").unwrap(), "\u{80}");
        assert_eq!(named("WIN1252").decode(b"\x80").unwrap(), "€");
        assert_eq!(
            named("WIN1252").decode(b"\x81"),
            Err(Unconvertible::Untranslatable)
        );
        let mut out = Vec::new();
        let euro = named("LATIN1").encode("€", &mut out);
        assert_eq!(euro, Err(Unconvertible::Untranslatable));
        assert_eq!(named("LATIN1").encode_lossy("é€"), b"\xe9?");
    }

    #[test]
    fn a_second_byte_that_looks_like_ascii_is_none() {
        // The second byte of this character is a backslash.
        assert_eq!(named("SJIS").decode(b"\x83\x5c'").unwrap(), "ソ'");
        assert_eq!(named("SJIS").decode(b"'\x83"), Err(Unconvertible::Invalid));
        let mut out = String::new();
        let used = named("SJIS").decode_part(b"a\x83", &mut out).unwrap();
        assert_eq!((out.as_str(), used), ("a", 1));
    }
}
