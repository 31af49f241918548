//! A SCRAM-SHA-256 verifier, as in `pg_authid.rolpassword`: enough to check a password, not enough to
//! know it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

use crate::limits;

/// The text is not `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a SCRAM-SHA-256 verifier")]
pub struct InvalidVerifier;

/// A SCRAM-SHA-256 verifier (RFC 5802). Has no `Debug`: who holds one can guess passwords offline.
#[derive(Clone, ZeroizeOnDrop)]
pub struct ScramVerifier {
    #[zeroize(skip)]
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

impl ScramVerifier {
    /// Reads PostgreSQL's text form.
    pub fn parse(text: &str) -> Result<Self, InvalidVerifier> {
        let mut parts = text.split('$');
        let (Some("SCRAM-SHA-256"), Some(first), Some(second), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidVerifier);
        };
        let (iterations, salt) = first.split_once(':').ok_or(InvalidVerifier)?;
        let (stored, server) = second.split_once(':').ok_or(InvalidVerifier)?;
        let iterations = iterations.parse().map_err(|_| InvalidVerifier)?;
        let salt = STANDARD.decode(salt).map_err(|_| InvalidVerifier)?;
        if iterations == 0 || salt.is_empty() {
            return Err(InvalidVerifier);
        }
        Ok(Self {
            iterations,
            salt,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// Makes a verifier of a password, with a random salt. Costs some milliseconds: do it once, when
    /// the configuration is read.
    pub fn from_password(password: &str) -> Result<Self, InvalidVerifier> {
        Self::parse(&postgres_protocol::password::scram_sha_256(
            password.as_bytes(),
        ))
    }

    /// PostgreSQL's text form.
    pub fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }

    /// What an unknown user is shown: the salt stays the same for a name as long as `secret` does,
    /// and no password fits, because the keys are not derived from one. `mock_scram_secret` in
    /// PostgreSQL's auth-scram.c.
    pub(super) fn mock(user: &str, secret: &[u8; 32]) -> Self {
        let salt = hmac_sha256(secret, &[b"salt", user.as_bytes()]);
        Self {
            iterations: limits::SCRAM_ITERATIONS,
            salt: salt.get(..16).unwrap_or(&salt).to_vec(),
            stored_key: hmac_sha256(secret, &[b"stored", user.as_bytes()]),
            server_key: hmac_sha256(secret, &[b"server", user.as_bytes()]),
        }
    }
}

fn key(text: &str) -> Result<[u8; 32], InvalidVerifier> {
    let bytes = STANDARD.decode(text).map_err(|_| InvalidVerifier)?;
    bytes.try_into().map_err(|_| InvalidVerifier)
}

/// HMAC-SHA-256 over the parts in order. RFC 2104 pads a key shorter than a block with zeros; doing it
/// here makes the construction infallible.
pub(super) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-256
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::{ScramVerifier, hmac_sha256, sha256};

    #[test]
    fn text_form_round_trips_and_is_strict() {
        let verifier = ScramVerifier::from_password("secret").unwrap();
        let text = verifier.to_text();
        assert_eq!(ScramVerifier::parse(&text).unwrap().to_text(), text);
        for bad in [
            "",
            "md5d41d8cd98f00b204e9800998ecf8427e",
            "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA",
            &format!("{text}$"),
            &text.replace("4096", "x"),
            &text.replace("SHA-256", "SHA-512"),
        ] {
            assert!(ScramVerifier::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hmac_is_rfc_4231() {
        // Test case 3 uses a 20-byte key; the same key, zero padded, is the same HMAC key.
        let mut key = [0; 32];
        key[..20].fill(0xaa);
        let mac = hmac_sha256(&key, &[&[0xdd; 25], &[0xdd; 25]]);
        assert_eq!(mac[..8], [0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46]);
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
