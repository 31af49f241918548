//! A statement's shape without its constants: what audit records, metrics and `policy explain` may
//! show of a text, and what tells two texts of one application query apart from another's.
//!
//! The shape holds names (of tables, columns, functions, settings) and never a value: constants are
//! `?`, a list of constants is one `?`, rows of VALUES after the first are `…`.
//!
//! Deliberately absent: use as a key for decisions. Two statements of one shape may be planned
//! differently (a literal against a token column), so a plan is never looked up by it.

use super::tree::Statement;
use super::{Unsupported, print};

/// A statement's shape.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// FNV-1a of `shape`: stable across processes and versions of the same printer; 64 bits.
    pub id: u64,
    /// The shape as text.
    pub shape: String,
}

/// The shape of a statement, resolved or not: refused statements have one too.
pub fn fingerprint(statement: &Statement) -> Result<Fingerprint, Unsupported> {
    let shape = print::shape(statement)?;
    let id = fnv1a(shape.as_bytes());
    Ok(Fingerprint { id, shape })
}

/// FNV-1a, 64 bits. Nothing depends on collisions being hard to find.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn the_published_test_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
