//! The key ring: keys encrypted under a passphrase, in one JSON file.
//!
//! Each key is sealed with XChaCha20-Poly1305 under a key that argon2id makes of the passphrase; its
//! name, id and date are authenticated with it. Deliberately absent: reading files, randomness and
//! the clock, which the command line has.

use std::collections::HashMap;
use std::sync::Arc;

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
    nonce: String,
    sealed: String,
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
    keys: HashMap<String, Arc<TokenKey>>,
}

impl KeyRing {
    /// A key by its name in policies.
    pub fn get(&self, name: &str) -> Option<&Arc<TokenKey>> {
        self.keys.get(name)
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
        if file.version != 1 || file.kdf.algorithm != "argon2id" {
            return Err(KeyRingError::Format);
        }
        Ok(file)
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

    /// Opens every key.
    pub fn open(&self, passphrase: &[u8]) -> Result<KeyRing, KeyRingError> {
        let cipher = self.cipher(passphrase)?;
        let mut keys = HashMap::new();
        for entry in &self.keys {
            keys.insert(entry.name.clone(), Arc::new(entry.open(&cipher)?));
        }
        Ok(KeyRing { keys })
    }

    /// Adds a key and gives its id. The passphrase must open the keys that are there.
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
        if self.keys.iter().any(|entry| entry.name == name) {
            return Err(KeyRingError::Exists);
        }
        let cipher = self.cipher(passphrase)?;
        for entry in &self.keys {
            entry.open(&cipher)?;
        }
        let id = self.unused_id(new.id).ok_or(KeyRingError::Exists)?;
        let mut entry = Entry {
            name: name.to_owned(),
            id,
            created: new.created,
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
    /// Sealed with the key, so that no key can take another's name, id or date.
    fn associated_data(&self) -> Vec<u8> {
        [&self.name, &self.id, &self.created]
            .map(String::as_str)
            .join("\0")
            .into_bytes()
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
        assert_eq!(opened.get("person").expect("key").bytes(), &[1; 64]);
        assert_eq!(opened.get("acme").expect("key").id(), "cccc");
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
    fn ids_in_a_ring_are_unique() {
        let mut file = ring();
        file.add(b"s", "one", new_key(1)).expect("added");
        let mut again = new_key(2);
        again.id = [1, 1, 1, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(file.add(b"s", "two", again), Ok("cdef"));
    }
}
