//! NIST FF1 (SP 800-38G) over uuids: 32 hexadecimal digits, so that a uuid stays a uuid.
//!
//! With radix 16 and 32 digits both halves of the Feistel network are 64-bit integers and every
//! modulus is 2^64: the general algorithm's big numbers disappear. The tests run the general one
//! beside it. Deliberately absent: any other format (`digits`, `shape`).

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use super::codec::Family;
use super::hmac::derive;
use super::keyring::TokenKey;
use crate::mask::mask::MaskError;

const ROUNDS: u8 = 10;

pub(super) struct Ff1Uuid {
    cipher: Aes256,
    /// CBC-MAC of P and of the tweak's whole blocks: the same in every round.
    prefix: [u8; 16],
    /// What stands before the round number in the last block: the tweak's end, or zeros.
    head: [u8; 7],
}

impl Ff1Uuid {
    pub(super) fn new(key: &TokenKey, domain: &str) -> Result<Self, MaskError> {
        let derived = derive(key, "pgveil ff1 token", domain, Family::Uuid)?;
        Self::with_tweak(&derived, domain.as_bytes())
            .ok_or_else(|| MaskError::new("the domain's name is too long"))
    }

    fn with_tweak(key: &[u8; 32], tweak: &[u8]) -> Option<Self> {
        let cipher = Aes256::new(key.into());
        let [t0, t1, t2, t3] = u32::try_from(tweak.len()).ok()?.to_be_bytes();
        // P: version, method, addition, radix 16, ten rounds, u = 16, n = 32, length of the tweak.
        let mut prefix = [1, 2, 1, 0, 0, 16, 10, 16, 0, 0, 0, 32, t0, t1, t2, t3];
        cipher.encrypt_block((&mut prefix).into());
        // Q is tweak, zeros, round number, half: its last block has seven bytes before the number.
        let mut padded = tweak.to_vec();
        while padded.len() % 16 != 7 {
            padded.push(0);
        }
        let (blocks, head) = padded.split_last_chunk::<7>()?;
        for block in blocks.chunks_exact(16) {
            for (byte, more) in prefix.iter_mut().zip(block) {
                *byte ^= more;
            }
            cipher.encrypt_block((&mut prefix).into());
        }
        Some(Self {
            cipher,
            prefix,
            head: *head,
        })
    }

    /// The low 64 bits of the round function's 96.
    fn round(&self, number: u8, half: u64) -> u64 {
        let mut block = [0_u8; 16];
        let [h0, h1, h2, h3, h4, h5, h6] = self.head;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = half.to_be_bytes();
        let last = [
            h0, h1, h2, h3, h4, h5, h6, number, b0, b1, b2, b3, b4, b5, b6, b7,
        ];
        for ((byte, a), b) in block.iter_mut().zip(self.prefix).zip(last) {
            *byte = a ^ b;
        }
        self.cipher.encrypt_block((&mut block).into());
        let [_, _, _, _, y0, y1, y2, y3, y4, y5, y6, y7, ..] = block;
        u64::from_be_bytes([y0, y1, y2, y3, y4, y5, y6, y7])
    }

    pub(super) fn encrypt(&self, plain: &[u8]) -> Option<[u8; 16]> {
        let value = u128::from_be_bytes(plain.try_into().ok()?);
        let (mut a, mut b) = halves(value)?;
        for number in 0..ROUNDS {
            let c = a.wrapping_add(self.round(number, b));
            a = b;
            b = c;
        }
        Some(joined(a, b))
    }

    pub(super) fn decrypt(&self, token: &[u8]) -> Option<[u8; 16]> {
        let value = u128::from_be_bytes(token.try_into().ok()?);
        let (mut a, mut b) = halves(value)?;
        for number in (0..ROUNDS).rev() {
            let c = b.wrapping_sub(self.round(number, a));
            b = a;
            a = c;
        }
        Some(joined(a, b))
    }
}

fn halves(value: u128) -> Option<(u64, u64)> {
    let low = u64::try_from(value & u128::from(u64::MAX)).ok()?;
    Some((u64::try_from(value >> 64).ok()?, low))
}

fn joined(a: u64, b: u64) -> [u8; 16] {
    (u128::from(a) << 64 | u128::from(b)).to_be_bytes()
}

#[cfg(test)]
pub(super) mod tests {
    use super::Ff1Uuid;
    use aes::Aes256;
    use aes::cipher::{BlockCipherEncrypt, KeyInit};

    /// SP 800-38G, algorithm 7, for halves of up to 64 bits.
    pub(in crate::mask::token) fn general(
        key: &[u8; 32],
        tweak: &[u8],
        radix: u8,
        digits: &[u8],
    ) -> Vec<u8> {
        let cipher = Aes256::new(key.into());
        let base = u128::from(radix);
        let number = |s: &[u8]| s.iter().fold(0_u128, |n, d| n * base + u128::from(*d));
        let bytes = |n: usize| u32::try_from(n).expect("short").to_be_bytes();
        let (mut left, mut right) = {
            let (left, right) = digits.split_at(digits.len() / 2);
            (left.to_vec(), right.to_vec())
        };
        let (u, v) = (left.len(), right.len());
        let largest = base.pow(u32::try_from(v).expect("short")) - 1;
        // b, the bytes that hold a half; d, those of the round function's result.
        let width = usize::try_from((128 - largest.leading_zeros()).div_ceil(8)).expect("short");
        let taken = 4 * width.div_ceil(4) + 4;
        assert!(taken <= 16);
        let mut first = vec![1, 2, 1, 0, 0, radix, 10, bytes(u)[3]];
        first.extend_from_slice(&bytes(digits.len()));
        first.extend_from_slice(&bytes(tweak.len()));
        for round in 0..10_u8 {
            let mut second = tweak.to_vec();
            while !(second.len() + width + 1).is_multiple_of(16) {
                second.push(0);
            }
            second.push(round);
            second.extend_from_slice(&number(&right).to_be_bytes()[16 - width..]);
            let mut mac = [0_u8; 16];
            for block in [first.clone(), second].concat().chunks(16) {
                mac.iter_mut().zip(block).for_each(|(m, b)| *m ^= b);
                cipher.encrypt_block((&mut mac).into());
            }
            let sum = mac[..taken]
                .iter()
                .fold(0_u128, |n, byte| (n << 8) | u128::from(*byte));
            let mut next = vec![0_u8; if round % 2 == 0 { u } else { v }];
            let modulus = base.pow(u32::try_from(next.len()).expect("short"));
            let mut rest = (number(&left) + sum % modulus) % modulus;
            for digit in next.iter_mut().rev() {
                *digit = u8::try_from(rest % base).expect("a digit");
                rest /= base;
            }
            left = right;
            right = next;
        }
        [left, right].concat()
    }

    pub(in crate::mask::token) fn key() -> [u8; 32] {
        let hex = b"2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94";
        data_encoding::HEXLOWER
            .decode(hex)
            .expect("hex")
            .try_into()
            .expect("32 bytes")
    }

    pub(in crate::mask::token) fn digits(text: &str) -> Vec<u8> {
        text.chars()
            .map(|c| u8::try_from(c.to_digit(36).expect("digit")).expect("small"))
            .collect()
    }

    #[test]
    fn general_algorithm_gives_the_nist_samples() {
        // FF1samples.pdf, samples 7 to 9 (AES-256).
        let plain = digits("0123456789");
        assert_eq!(general(&key(), b"", 10, &plain), digits("6657667009"));
        assert_eq!(
            general(&key(), b"9876543210", 10, &plain),
            digits("1001623463")
        );
        assert_eq!(
            general(&key(), b"7777pqrs777", 36, &digits("0123456789abcdefghi")),
            digits("xs8a0azh2avyalyzuwd")
        );
    }

    #[test]
    fn uuids_equal_the_general_algorithm_and_come_back() {
        let mut plain = [0_u8; 16];
        for (round, tweak) in [
            "",
            "person",
            "sixteen bytes ok",
            "a domain of more than sixteen",
        ]
        .into_iter()
        .cycle()
        .take(200)
        .enumerate()
        {
            let ff1 = Ff1Uuid::with_tweak(&key(), tweak.as_bytes()).expect("short");
            let nibbles: Vec<u8> = plain.iter().flat_map(|b| [b >> 4, b & 15]).collect();
            let expected: Vec<u8> = general(&key(), tweak.as_bytes(), 16, &nibbles)
                .chunks(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect();
            let token = ff1.encrypt(&plain).expect("16 bytes");
            assert_eq!(token.to_vec(), expected);
            assert_eq!(ff1.decrypt(&token), Some(plain));
            // The next plaintext: the token, so that all bits vary.
            plain = token;
            plain[round % 16] ^= 1;
        }
    }
}
