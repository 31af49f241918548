//! Integers that stay integers as tokens (`kind: ff1`, `format: integer`).
//!
//! A token has the sign of its value, and fits int4 if the value does, so that int4 and int8 meet in a
//! domain and the ids of a large table do not outgrow what a spreadsheet or JavaScript counts exactly.
//! The four classes that makes are permuted each by itself: 2^31 values of 31 bits, which are encrypted
//! as they are, and what is left of 63 bits without them, where a number that falls among those is
//! encrypted again until it does not (cycle walking, once in 2^32). Every value of a type is the token
//! of one value.
//!
//! SP 800-38G wants a million values at least; int2 has 65,536, and no tokens. Deliberately absent: the
//! Feistel network ([`super::digits`]).

use super::codec::Family;
use super::digits::{Ff1Digits, Turn};
use super::hmac::derive;
use super::keyring::TokenKey;
use crate::mask::mask::MaskError;

/// Walks this long at most: one step in 2^32 goes on.
const WALK: usize = 32;

/// Bits of a value that fits int4, and of any, without the sign.
const SMALL: u32 = 31;
const LARGE: u32 = 63;

pub(super) struct Ff1Integer {
    ff1: Ff1Digits,
}

impl Ff1Integer {
    pub(super) fn new(key: &TokenKey, domain: &str) -> Result<Self, MaskError> {
        let derived = derive(key, "pgveil ff1 integer token", domain, Family::Integer)?;
        let ff1 = Ff1Digits::new(&derived, domain.as_bytes());
        Ok(Self { ff1 })
    }

    /// A value's token, or a token's value.
    pub(super) fn turn(&self, turn: Turn, number: i64) -> Option<i64> {
        // -1 is the first of those below zero.
        let negative = number < 0;
        let mut magnitude = u64::try_from(if negative { !number } else { number }).ok()?;
        let small = is_small(magnitude);
        let bits = if small { SMALL } else { LARGE };
        let class = [u8::from(negative), u8::try_from(bits).ok()?];
        for _ in 0..WALK {
            magnitude = self.ff1.turn_bits(turn, &class, bits, magnitude)?;
            if is_small(magnitude) == small {
                let number = i64::try_from(magnitude).ok()?;
                return Some(if negative { !number } else { number });
            }
        }
        None
    }
}

fn is_small(magnitude: u64) -> bool {
    magnitude >> SMALL == 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::{Ff1Integer, Turn};
    use crate::mask::token::TokenKey;

    fn ff1(domain: &str, seed: u8) -> Ff1Integer {
        let key = TokenKey::new("aaaa", Zeroizing::new([seed; 64])).expect("an id");
        Ff1Integer::new(&key, domain).expect("a key")
    }

    const EDGES: [i64; 12] = [
        0,
        -1,
        1,
        i32::MAX as i64,
        i32::MIN as i64,
        i32::MAX as i64 + 1,
        i32::MIN as i64 - 1,
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        i64::MIN + 1,
        1_958_372_641,
    ];

    #[test]
    fn tokens_never_change() {
        // Of this key and domain: whoever holds exported tokens relies on them.
        let ff1 = ff1("d", 7);
        let tokens: Vec<_> = [0, 1, -1, 1_958_372_641, i64::MAX]
            .into_iter()
            .map(|n| ff1.turn(Turn::Encrypt, n).expect("a token"))
            .collect();
        let known = [
            2_126_655_934,
            1_196_751_726,
            -991_897_845,
            1_956_333_319,
            7_552_830_764_011_294_288,
        ];
        assert_eq!(tokens, known);
    }

    #[test]
    fn a_run_of_values_has_as_many_tokens_of_another_order() {
        let ff1 = ff1("d", 7);
        for start in [
            -10_000_i64,
            0,
            i64::from(i32::MAX) - 5_000,
            i64::MAX - 10_000,
        ] {
            let values: Vec<i64> = (start..start + 10_000).collect();
            let turned = |n: &i64| ff1.turn(Turn::Encrypt, *n).expect("a token");
            let tokens: Vec<i64> = values.iter().map(turned).collect();
            assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), values.len());
            let rising = tokens.windows(2).filter(|two| two[0] < two[1]).count();
            assert!((4_500..5_500).contains(&rising), "{rising} of 10,000");
        }
    }

    #[test]
    fn domains_and_keys_have_nothing_in_common() {
        let turned = |ff1: &Ff1Integer, n| ff1.turn(Turn::Encrypt, n).expect("a token");
        let (a, b, c) = (ff1("d", 7), ff1("e", 7), ff1("d", 8));
        let same = (0..10_000).filter(|n| {
            let token = turned(&a, *n);
            token == turned(&b, *n) || token == turned(&c, *n)
        });
        assert_eq!(same.count(), 0);
    }

    proptest! {
        #[test]
        fn every_integer_is_a_token_and_comes_back(
            n in prop_oneof![
                any::<i64>(),
                any::<i32>().prop_map(i64::from),
                any::<i16>().prop_map(i64::from),
                proptest::sample::select(&EDGES[..]),
            ],
            seed: u8,
        ) {
            let ff1 = ff1("d", seed);
            for (there, back) in [(Turn::Encrypt, Turn::Decrypt), (Turn::Decrypt, Turn::Encrypt)] {
                let turned = ff1.turn(there, n).expect("in the domain");
                prop_assert_eq!(ff1.turn(back, turned), Some(n));
                prop_assert_eq!(turned < 0, n < 0);
                prop_assert_eq!(i32::try_from(turned).is_ok(), i32::try_from(n).is_ok());
            }
        }
    }
}
