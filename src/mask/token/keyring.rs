//! The key ring: keys encrypted under a passphrase, in one JSON file.
//!
//! Each key is sealed with XChaCha20-Poly1305 under a key that argon2id makes of the passphrase; its
//! name, id, date and generation are authenticated with it. A name has one key, until it is rotated:
//! then it has a newer one beside those before it, which are good until they are retired. Of a retired
//! key only its id is left: it is given to no other.
//!
//! Deliberately absent: reading files, randomness and the clock, which the command line has; and
//! noticing that a file is an older copy of itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::siv::Cipher;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a key: AES-256-SIV takes two AES-256 keys.
pub const KEY_BYTES: usize = 64;

/// A key's id as tokens show it: four characters of base32, unique in the ring.
pub const KEY_ID_CHARACTERS: usize = 4;

/// argon2id as OWASP recommends it at least: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A ring's parameters may ask for more, within reason: opening it must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 2 * 1024 * 1024;
const MAX_PASSES: u32 = 100;
const MAX_LANES: u32 = 16;

/// A key in the open. Wiped when dropped; has no `Debug`.
pub struct TokenKey {
    id: Box<str>,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    cipher: Cipher,
}

impl TokenKey {
    /// `None` if the id is not four characters of `a-z2-7`.
    pub fn new(id: &str, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Option<Self> {
        let well_formed = id.len() == KEY_ID_CHARACTERS
            && id
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        well_formed.then(|| Self {
            id: id.into(),
            cipher: Cipher::new(&bytes),
            bytes,
        })
    }

    /// What tokens of this key begin with, after `tok_`.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    pub(super) fn cipher(&self) -> &Cipher {
        &self.cipher
    }
}

/// Why a ring cannot be read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyRingError {
    /// Not a key ring's JSON, or of another version.
    #[error("this is not a key ring of version 1")]
    Format,
    /// The passphrase is wrong, or the file was changed.
    #[error("the key ring does not open: wrong passphrase, or the file was changed")]
    Locked,
    /// A key is never overwritten: its tokens would be lost.
    #[error("the key ring already has a key of this name")]
    Exists,
    /// Names are words: `person-2026`.
    #[error("a key's name is 1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.'")]
    Name,
    /// There is nothing to rotate.
    #[error("the key ring has no key of this name")]
    NoName,
    /// There is nothing to retire.
    #[error("the key ring has no key with this id")]
    NoId,
    /// It is gone already.
    #[error("this key is retired already")]
    Retired,
    /// An older key must not come back into use.
    #[error("this key is the newest of its name, and makes its tokens: rotate the name first")]
    Newest,
}

/// The ring as it is stored: names in the open, keys sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRingFile {
    version: u32,
    kdf: Kdf,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

/// A stored key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name in policies.
    pub name: String,
    /// Its id in tokens.
    pub id: String,
    /// When it was made, `YYYY-MM-DD`.
    pub created: String,
    /// 1 for the first key of the name; the highest is the newest.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub generation: u32,
    /// When it was retired, `YYYY-MM-DD`. There is no key any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nonce: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sealed: String,
}

const fn first() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_first(generation: &u32) -> bool {
    *generation == 1
}

/// What a new key is made of. The caller has the randomness and the clock.
pub struct NewKey {
    /// The key: random.
    pub bytes: Zeroizing<[u8; KEY_BYTES]>,
    /// Random; its id is made of them, and another is tried if the ring has it.
    pub id: [u8; 16],
    /// Random.
    pub nonce: [u8; 24],
    /// `YYYY-MM-DD`
    pub created: String,
}

/// The ring, opened. The default has no keys.
#[derive(Default)]
pub struct KeyRing {
    keys: HashMap<String, Vec<Arc<TokenKey>>>,
}

impl KeyRing {
    /// The keys of a name in policies, the newest first; never none.
    pub fn get(&self, name: &str) -> Option<&[Arc<TokenKey>]> {
        self.keys.get(name).map(Vec::as_slice)
    }
}

impl KeyRingFile {
    /// A ring without keys. `salt` is random.
    pub fn empty(salt: [u8; 16]) -> Self {
        Self {
            version: 1,
            kdf: Kdf {
                algorithm: "argon2id".to_owned(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: BASE64.encode(&salt),
            },
            keys: Vec::new(),
        }
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let file: Self = serde_json::from_str(text).map_err(|_| KeyRingError::Format)?;
        let whole = file.version == 1 && file.kdf.algorithm == "argon2id";
        let whole = whole && file.keys.iter().all(Entry::is_well_formed);
        // One id is one key: a token must not mean two things.
        let mut seen = HashSet::new();
        let alone = file.keys.iter().all(|entry| {
            let generation = (entry.name.as_str(), entry.generation.to_string());
            seen.insert(("", entry.id.clone())) && seen.insert(generation)
        });
        if whole && alone {
            Ok(file)
        } else {
            Err(KeyRingError::Format)
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> Result<String, KeyRingError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|_| KeyRingError::Format)?;
        text.push('\n');
        Ok(text)
    }

    /// The stored keys.
    pub fn entries(&self) -> &[Entry] {
        &self.keys
    }

    /// Opens every key that is not retired.
    pub fn open(&self, passphrase: &[u8]) -> Result<KeyRing, KeyRingError> {
        let opened = self.opened(&self.cipher(passphrase)?)?;
        let mut keys: HashMap<String, Vec<(u32, Arc<TokenKey>)>> = HashMap::new();
        for (entry, key) in opened {
            let named = keys.entry(entry.name.clone()).or_default();
            named.push((entry.generation, Arc::new(key)));
        }
        let newest_first = |mut named: Vec<(u32, Arc<TokenKey>)>| {
            named.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
            named.into_iter().map(|(_, key)| key).collect()
        };
        let keys = keys.into_iter();
        Ok(KeyRing {
            keys: keys.map(|(name, all)| (name, newest_first(all))).collect(),
        })
    }

    /// Adds the first key of a name and gives its id. The passphrase must open the keys that are there.
    pub fn add(
        &mut self,
        passphrase: &[u8],
        name: &str,
        new: NewKey,
    ) -> Result<&str, KeyRingError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=63).contains(&name.len()) || !name.bytes().all(word) {
            return Err(KeyRingError::Name);
        }
        match self.newest(name) {
            Some(_) => Err(KeyRingError::Exists),
            None => self.push(passphrase, name, 1, new),
        }
    }

    /// Adds a newer key to those of a name and gives its id.
    pub fn rotate(
        &mut self,
        passphrase: &[u8],
        name: &str,
        new: NewKey,
    ) -> Result<&str, KeyRingError> {
        let newest = self.newest(name).ok_or(KeyRingError::NoName)?;
        let generation = newest.generation.checked_add(1);
        let generation = generation.ok_or(KeyRingError::Format)?;
        self.push(passphrase, name, generation, new)
    }

    /// Takes a key out of the ring and gives its name. Its tokens can never be turned back again.
    pub fn retire(
        &mut self,
        passphrase: &[u8],
        id: &str,
        today: &str,
    ) -> Result<&str, KeyRingError> {
        let at = self.keys.iter().position(|entry| entry.id == id);
        let entry = at.and_then(|at| self.keys.get(at));
        let entry = entry.ok_or(KeyRingError::NoId)?;
        if entry.retired.is_some() {
            return Err(KeyRingError::Retired);
        }
        if self.newest(&entry.name).is_some_and(|n| n.id == entry.id) {
            return Err(KeyRingError::Newest);
        }
        self.opened(&self.cipher(passphrase)?)?;
        let entry = at.and_then(|at| self.keys.get_mut(at));
        let entry = entry.ok_or(KeyRingError::NoId)?;
        entry.retired = Some(today.to_owned());
        entry.nonce = String::new();
        entry.sealed = String::new();
        Ok(&entry.name)
    }

    /// The newest key of a name, retired or not.
    fn newest(&self, name: &str) -> Option<&Entry> {
        let named = self.keys.iter().filter(|entry| entry.name == name);
        named.max_by_key(|entry| entry.generation)
    }

    /// The keys that are not retired. The newest of a name never is: somebody brought an older one back.
    fn opened(&self, cipher: &XChaCha20Poly1305) -> Result<Vec<(&Entry, TokenKey)>, KeyRingError> {
        let mut opened = Vec::with_capacity(self.keys.len());
        for entry in &self.keys {
            if entry.retired.is_none() {
                opened.push((entry, entry.open(cipher)?));
            } else if self.newest(&entry.name).is_some_and(|n| n.id == entry.id) {
                return Err(KeyRingError::Locked);
            }
        }
        Ok(opened)
    }

    fn push(
        &mut self,
        passphrase: &[u8],
        name: &str,
        generation: u32,
        new: NewKey,
    ) -> Result<&str, KeyRingError> {
        let cipher = self.cipher(passphrase)?;
        self.opened(&cipher)?;
        let id = self.unused_id(new.id).ok_or(KeyRingError::Exists)?;
        let mut entry = Entry {
            name: name.to_owned(),
            id,
            created: new.created,
            generation,
            retired: None,
            nonce: BASE64.encode(&new.nonce),
            sealed: String::new(),
        };
        let message = Payload {
            msg: &*new.bytes,
            aad: &entry.associated_data(),
        };
        let sealed = cipher.encrypt(&XNonce::from(new.nonce), message);
        entry.sealed = BASE64.encode(&sealed.map_err(|_| KeyRingError::Format)?);
        self.keys.push(entry);
        Ok(self.keys.last().map_or("", |entry| entry.id.as_str()))
    }

    fn unused_id(&self, random: [u8; 16]) -> Option<String> {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        random.chunks_exact(KEY_ID_CHARACTERS).find_map(|four| {
            let id: String = (four.iter())
                .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)))
                .map(|letter| char::from(*letter))
                .collect();
            (!self.keys.iter().any(|entry| entry.id == id)).then_some(id)
        })
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, KeyRingError> {
        let Kdf {
            memory_kib,
            passes,
            lanes,
            ref salt,
            ..
        } = self.kdf;
        if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(KeyRingError::Format);
        }
        let salt = BASE64
            .decode(salt.as_bytes())
            .map_err(|_| KeyRingError::Format)?;
        let params = Params::new(memory_kib, passes, lanes, Some(32));
        let params = params.map_err(|_| KeyRingError::Format)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &salt, &mut *key)
            .map_err(|_| KeyRingError::Format)?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }
}

impl Entry {
    /// Its words are what [`Entry::associated_data`] takes them for: no date holds a NUL.
    fn is_well_formed(&self) -> bool {
        let date =
            |text: &str| text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        self.generation > 0
            && date(&self.created)
            && self.retired.as_deref().is_none_or(date)
            && self.retired.is_some() == self.sealed.is_empty()
    }

    /// Sealed with the key, so that no key can take another's name, id, date or place in the order.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = [&self.name, &self.id, &self.created]
            .map(String::as_str)
            .join("\0");
        // Rings from before there were generations have first keys only.
        if self.generation > 1 {
            data.push('\0');
            data.push_str(&self.generation.to_string());
        }
        data.into_bytes()
    }

    fn open(&self, cipher: &XChaCha20Poly1305) -> Result<TokenKey, KeyRingError> {
        let decode = |text: &str| {
            BASE64
                .decode(text.as_bytes())
                .map_err(|_| KeyRingError::Format)
        };
        let nonce = <[u8; 24]>::try_from(decode(&self.nonce)?);
        let nonce = XNonce::from(nonce.map_err(|_| KeyRingError::Format)?);
        let sealed = decode(&self.sealed)?;
        let message = Payload {
            msg: &sealed,
            aad: &self.associated_data(),
        };
        let opened = cipher
            .decrypt(&nonce, message)
            .map_err(|_| KeyRingError::Locked)?;
        let opened = Zeroizing::new(opened);
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(KeyRingError::Format);
        }
        bytes.copy_from_slice(&opened);
        TokenKey::new(&self.id, bytes).ok_or(KeyRingError::Format)
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyRingError, KeyRingFile, NewKey};
    use zeroize::Zeroizing;

    fn new_key(seed: u8) -> NewKey {
        NewKey {
            bytes: Zeroizing::new([seed; 64]),
            id: [seed; 16],
            nonce: [seed; 24],
            created: "2026-01-31".to_owned(),
        }
    }

    /// Cheap parameters: the tests are not about argon2.
    fn ring() -> KeyRingFile {
        let mut ring = KeyRingFile::empty([7; 16]);
        ring.kdf.memory_kib = 8;
        ring.kdf.passes = 1;
        ring
    }

    #[test]
    fn keys_survive_the_file() {
        let mut file = ring();
        assert_eq!(file.add(b"secret", "person", new_key(1)), Ok("bbbb"));
        assert_eq!(file.add(b"secret", "acme", new_key(2)), Ok("cccc"));
        let text = file.to_text().expect("text");
        let read = KeyRingFile::parse(&text).expect("a ring");
        let names: Vec<_> = read
            .entries()
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(names, ["person", "acme"]);
        let opened = read.open(b"secret").expect("open");
        assert_eq!(opened.get("person").expect("key")[0].bytes(), &[1; 64]);
        assert_eq!(opened.get("acme").expect("key")[0].id(), "cccc");
        assert!(opened.get("other").is_none());
    }

    #[test]
    fn what_must_not_open_does_not() {
        let mut file = ring();
        file.add(b"secret", "person", new_key(1)).expect("added");
        assert_eq!(file.open(b"wrong").err(), Some(KeyRingError::Locked));
        assert_eq!(
            file.add(b"secret", "person", new_key(2)).err(),
            Some(KeyRingError::Exists)
        );
        assert_eq!(
            file.add(b"wrong", "other", new_key(2)).err(),
            Some(KeyRingError::Locked)
        );
        assert_eq!(
            file.add(b"secret", "a b", new_key(2)).err(),
            Some(KeyRingError::Name)
        );
        // A key under another's name would make its tokens join with that one's.
        let text = file.to_text().expect("text").replace("person", "acme");
        let read = KeyRingFile::parse(&text).expect("a ring");
        assert_eq!(read.open(b"secret").err(), Some(KeyRingError::Locked));
        assert_eq!(KeyRingFile::parse("{}").err(), Some(KeyRingError::Format));
    }

    #[test]
    fn keys_before_a_rotation_stay_until_they_are_retired() {
        let mut file = ring();
        file.add(b"s", "person", new_key(1)).expect("added");
        file.add(b"s", "acme", new_key(9)).expect("added");
        assert_eq!(file.rotate(b"s", "person", new_key(2)), Ok("cccc"));
        assert_eq!(file.rotate(b"s", "person", new_key(3)), Ok("dddd"));
        let ids = |file: &KeyRingFile| -> Vec<String> {
            let read = KeyRingFile::parse(&file.to_text().expect("text")).expect("a ring");
            let ring = read.open(b"s").expect("opens");
            let keys = ring.get("person").expect("kept");
            keys.iter().map(|key| key.id().to_owned()).collect()
        };
        assert_eq!(ids(&file), ["dddd", "cccc", "bbbb"]);
        assert_eq!(file.retire(b"s", "cccc", "2026-02-01"), Ok("person"));
        assert_eq!(ids(&file), ["dddd", "bbbb"]);
        // Nothing of the key is left, and its id stays taken.
        let mut again = new_key(4);
        again.id = [2, 2, 2, 2, 5, 5, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(file.rotate(b"s", "person", again), Ok("ffff"));
        let text = file.to_text().expect("text");
        assert_eq!(text.matches("sealed").count(), 4, "{text}");
        for (refused, error) in [
            (
                file.rotate(b"s", "other", new_key(5)).err(),
                KeyRingError::NoName,
            ),
            (
                file.rotate(b"wrong", "acme", new_key(5)).err(),
                KeyRingError::Locked,
            ),
            (
                file.retire(b"s", "aaaa", "2026-02-01").err(),
                KeyRingError::NoId,
            ),
            (
                file.retire(b"s", "cccc", "2026-02-01").err(),
                KeyRingError::Retired,
            ),
            (
                file.retire(b"s", "ffff", "2026-02-01").err(),
                KeyRingError::Newest,
            ),
            (
                file.retire(b"wrong", "bbbb", "2026-02-01").err(),
                KeyRingError::Locked,
            ),
        ] {
            assert_eq!(refused, Some(error));
        }
        assert_eq!(file.to_text().expect("text"), text);
    }

    #[test]
    fn an_older_key_cannot_be_made_the_newest() {
        let mut file = ring();
        file.add(b"s", "person", new_key(1)).expect("added");
        file.rotate(b"s", "person", new_key(2)).expect("rotated");
        let opens = |change: &dyn Fn(&mut KeyRingFile)| {
            let mut file = KeyRingFile::parse(&file.to_text().expect("text")).expect("a ring");
            change(&mut file);
            let text = file.to_text().expect("text");
            KeyRingFile::parse(&text).and_then(|file| file.open(b"s").map(|_| ()))
        };
        assert_eq!(opens(&|_| ()), Ok(()));
        assert_eq!(
            opens(&|f| f.keys[0].generation = 3),
            Err(KeyRingError::Locked)
        );
        assert_eq!(
            opens(&|f| f.keys[0].generation = 2),
            Err(KeyRingError::Format)
        );
        // Two generations in one date's place, as the associated data joins them.
        assert_eq!(
            opens(&|f| {
                f.keys.swap_remove(0);
                f.keys[0].created.push_str("\u{0}2");
                f.keys[0].generation = 1;
            }),
            Err(KeyRingError::Format)
        );
        let retired = |f: &mut KeyRingFile| {
            f.keys[1].retired = Some("2026-02-01".to_owned());
            f.keys[1].sealed.clear();
        };
        assert_eq!(opens(&retired), Err(KeyRingError::Locked));
    }

    #[test]
    fn ids_in_a_ring_are_unique() {
        let mut file = ring();
        file.add(b"s", "one", new_key(1)).expect("added");
        let mut again = new_key(2);
        again.id = [1, 1, 1, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(file.add(b"s", "two", again), Ok("cdef"));
    }
}
