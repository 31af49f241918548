//! HMAC-SHA-256 (RFC 2104): irreversible, and PostgreSQL can compute it too.
//!
//! PostgreSQL has no hmac() without an extension, so the SQL form is the definition: two nested
//! sha256 with the padded key before the text.

use ::hmac::{Hmac as Mac256, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::codec::{Family, PREFIX, write_uuid};
use super::keyring::TokenKey;
use crate::mask::mask::MaskError;
use crate::mask::sql_text::{call, cast, op, quote};
use crate::pg::types::Format;

/// A block of SHA-256.
const BLOCK: usize = 64;

/// The inner and the outer pad.
pub type HmacPads = (Zeroizing<[u8; BLOCK]>, Zeroizing<[u8; BLOCK]>);

pub(super) struct Hmac {
    pads: HmacPads,
    /// `tok_` and the key's id.
    prefix: Box<str>,
    family: Family,
}

/// A key of its own for each use of a ring's key.
pub(super) fn derive(
    key: &TokenKey,
    purpose: &str,
    domain: &str,
    family: Family,
) -> Result<Zeroizing<[u8; 32]>, MaskError> {
    let mut mac = <Mac256<Sha256> as KeyInit>::new_from_slice(key.bytes())
        .map_err(|_| MaskError::new("key has the wrong length"))?;
    for part in [purpose, family.name(), domain] {
        mac.update(part.as_bytes());
        // No part has a NUL, so no two lists of parts are the same bytes.
        mac.update(&[0]);
    }
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

impl Hmac {
    pub(super) fn new(key: &TokenKey, domain: &str, family: Family) -> Result<Self, MaskError> {
        let derived = derive(key, "pgveil hmac token", domain, family)?;
        let mut pads = (Zeroizing::new([0x36; BLOCK]), Zeroizing::new([0x5c; BLOCK]));
        for pad in [&mut pads.0, &mut pads.1] {
            for (byte, key) in pad.iter_mut().zip(derived.iter()) {
                *byte ^= key;
            }
        }
        Ok(Self {
            pads,
            prefix: format!("{PREFIX}{}", key.id()).into(),
            family,
        })
    }

    pub(super) fn pads(&self) -> &HmacPads {
        &self.pads
    }

    /// Characters of a token that is a text.
    pub(super) fn token_len(&self) -> usize {
        self.prefix.len().saturating_add(32)
    }

    /// The first 128 bits: enough for 2^50 values without a collision worth expecting.
    fn half(&self, message: &[u8]) -> Option<[u8; 16]> {
        let mut inner = Sha256::new();
        inner.update(*self.pads.0);
        inner.update(message);
        let mut outer = Sha256::new();
        outer.update(*self.pads.1);
        outer.update(inner.finalize());
        outer.finalize().first_chunk::<16>().copied()
    }

    pub(super) fn encode(&self, plain: &[u8], format: Format, out: &mut Vec<u8>) -> Option<()> {
        if self.family == Family::Uuid {
            // The SQL form hashes the text, so this does.
            let mut text = Vec::with_capacity(36);
            write_uuid(plain.try_into().ok()?, Format::Text, &mut text);
            write_uuid(self.half(&text)?, format, out);
            return Some(());
        }
        out.extend_from_slice(self.prefix.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(&self.half(plain)?);
        out.extend_from_slice(hex.as_bytes());
        Some(())
    }

    pub(super) fn sql(&self, operand: &str, ipad: &str, opad: &str) -> String {
        // To text first: that is what drops the trailing blanks of a char(n).
        let text = cast(operand, "text");
        let bytes = call("convert_to", &[&text, &quote("UTF8")]);
        let inner = call("sha256", &[&op(&cast(ipad, "bytea"), "||", &bytes)]);
        let outer = call("sha256", &[&op(&cast(opad, "bytea"), "||", &inner)]);
        let half = call("substr", &[&outer, "1", "16"]);
        let hex = call("encode", &[&half, &quote("hex")]);
        match self.family {
            Family::Uuid => cast(&hex, "uuid"),
            _ => cast(&op(&quote(&self.prefix), "||", &hex), "varchar"),
        }
    }
}
