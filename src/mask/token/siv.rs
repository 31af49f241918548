//! AES-SIV (RFC 5297) with a 512-bit key: deterministic, authenticated, reversible.
//!
//! The associated data is the domain and the family, as two strings, so that neither can be taken
//! for the other.

use std::sync::{Arc, Mutex};

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
pub(super) use aes_siv::siv::IV_SIZE;
use zeroize::{Zeroize, Zeroizing};

use super::codec::{Family, read_token, write_token};
use super::keyring::{KEY_BYTES, TokenKey};

/// A key that is set up: half of what a short value costs is the key's schedule.
pub(super) struct Cipher(Mutex<Aes256Siv>);

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Mutex::new(Aes256Siv::new(key.into())))
    }
}

impl TokenKey {
    /// Calls `with` with the key set up for AES-SIV, without waiting for another thread that uses it.
    /// Nothing of a value stays there: a MAC that was asked for begins anew.
    fn siv<T>(&self, with: impl FnOnce(&mut Aes256Siv) -> T) -> T {
        match self.cipher().0.try_lock() {
            Ok(mut siv) => with(&mut siv),
            Err(_) => with(&mut Aes256Siv::new(self.bytes().into())),
        }
    }
}

pub(super) struct Siv {
    key: Arc<TokenKey>,
    domain: Box<str>,
    family: Family,
}

/// Plaintexts up to this stay off the heap.
const SHORT: usize = 240;

impl Siv {
    pub(super) fn new(key: &Arc<TokenKey>, domain: &str, family: Family) -> Self {
        Self {
            key: Arc::clone(key),
            domain: domain.into(),
            family,
        }
    }

    fn headers(&self) -> [&[u8]; 2] {
        [self.domain.as_bytes(), self.family.name().as_bytes()]
    }

    pub(super) fn encode(&self, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let length = plain.len().checked_add(IV_SIZE)?;
        if plain.len() <= SHORT {
            let mut buffer = [0_u8; SHORT + IV_SIZE];
            return self.seal(plain, buffer.get_mut(..length)?, out);
        }
        self.seal(plain, &mut vec![0_u8; length], out)
    }

    fn seal(&self, plain: &[u8], buffer: &mut [u8], out: &mut Vec<u8>) -> Option<()> {
        seal(&self.key, self.headers(), plain, buffer)?;
        write_token(self.key.id(), buffer, out)
    }

    pub(super) fn decode(&self, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(
            &self.key,
            self.headers(),
            &read_token(self.key.id(), token)?,
        )
    }
}

/// Fills `buffer`, [`IV_SIZE`] bytes longer than the plaintext, with the IV and the ciphertext. Of the
/// plaintext nothing is left in it, whatever happens.
pub(super) fn seal<const N: usize>(
    key: &TokenKey,
    headers: [&[u8]; N],
    plain: &[u8],
    buffer: &mut [u8],
) -> Option<()> {
    let (tag, text) = buffer.split_at_mut_checked(IV_SIZE)?;
    text.copy_from_slice(plain);
    let sealed = key.siv(|siv| siv.encrypt_inout_detached(headers, (&mut *text).into()));
    let Ok(iv) = sealed else {
        text.zeroize();
        return None;
    };
    tag.copy_from_slice(&iv);
    Some(())
}

/// The plaintext, if it authenticates under the key and the associated data.
pub(super) fn open<const N: usize>(
    key: &TokenKey,
    headers: [&[u8]; N],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let opened = key.siv(|siv| siv.decrypt(headers, sealed));
    opened.ok().map(Zeroizing::new)
}
