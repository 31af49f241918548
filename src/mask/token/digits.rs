//! NIST FF1 (SP 800-38G) over decimal digits, 6 to 38 of them, and over 20 to 64 bits.
//!
//! Both halves of the Feistel network are numbers below 10^19, and the round function is one block: the
//! general algorithm's big numbers disappear. Deliberately absent: what the
//! digits mean.

use std::ops::RangeInclusive;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

const ROUNDS: u8 = 10;

/// SP 800-38G wants a million values at least, or they can be tried out.
pub(super) const FEWEST: usize = 6;

/// So that a half fits 64 bits.
pub(super) const MOST: usize = 38;

/// The same of numbers: 2^20 is more than a million, and a number has 64 bits.
const BITS: RangeInclusive<u32> = 20..=64;

/// A key and the fixed part of the tweak.
pub(super) struct Ff1Digits {
    cipher: Aes256,
    tweak: Box<[u8]>,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Encrypt,
    Decrypt,
}

/// What is the same in all rounds over strings of one length and tweak.
struct Rounds<'a> {
    cipher: &'a Aes256,
    /// CBC-MAC of P and of the tweak's whole blocks.
    prefix: [u8; 16],
    /// The last block: the tweak's end or zeros, with room for the round's number and the half.
    last: [u8; 16],
    /// Bytes of a half.
    width: usize,
}

impl Ff1Digits {
    pub(super) fn new(key: &[u8; 32], tweak: &[u8]) -> Self {
        Self {
            cipher: Aes256::new(key.into()),
            tweak: tweak.into(),
        }
    }

    /// Turns digits (0 to 9) into others, under the tweak and `more` of it. `None` if there are too few
    /// or too many.
    pub(super) fn turn(&self, turn: Turn, more: &[u8], digits: &mut [u8]) -> Option<()> {
        if !(FEWEST..=MOST).contains(&digits.len()) {
            return None;
        }
        let (left, right) = digits.split_at_mut_checked(digits.len() / 2)?;
        let (u, v) = (power(left.len())?, power(right.len())?);
        let rounds = self.rounds(10, (left.len(), right.len()), v, more)?;
        let (a, b) = rounds.turn(turn, (number(left), number(right)), (u, v))?;
        write(a, left)?;
        write(b, right)
    }

    /// Turns a number below 2^`bits` into another: FF1 with radix 2. `None` if there are too few bits or
    /// too many, or the number has more.
    pub(super) fn turn_bits(&self, turn: Turn, more: &[u8], bits: u32, number: u64) -> Option<u64> {
        if !BITS.contains(&bits) || u128::from(number) >> bits != 0 {
            return None;
        }
        let (left, right) = (bits / 2, bits.div_ceil(2));
        let length = |half: u32| usize::try_from(half).ok();
        let (u, v) = (1_u128 << left, 1_u128 << right);
        let rounds = self.rounds(2, (length(left)?, length(right)?), v, more)?;
        let halves = (number >> right, u64::try_from(u128::from(number) % v).ok()?);
        let (a, b) = rounds.turn(turn, halves, (u, v))?;
        Some(a << right | b)
    }

    fn rounds(
        &self,
        radix: u8,
        (u, v): (usize, usize),
        largest: u128,
        more: &[u8],
    ) -> Option<Rounds<'_>> {
        let tweak = self.tweak.len().checked_add(more.len())?;
        let [n0, n1, n2, n3] = u32::try_from(u.checked_add(v)?).ok()?.to_be_bytes();
        let [t0, t1, t2, t3] = u32::try_from(tweak).ok()?.to_be_bytes();
        let u = u8::try_from(u).ok()?;
        // P: version, method, addition, radix, ten rounds, u, n, length of the tweak.
        let mut prefix = [
            1, 2, 1, 0, 0, radix, ROUNDS, u, n0, n1, n2, n3, t0, t1, t2, t3,
        ];
        self.cipher.encrypt_block((&mut prefix).into());
        let bits = 128_u32.saturating_sub((largest - 1).leading_zeros());
        let width = usize::try_from(bits.div_ceil(8)).ok()?;
        // Q is the tweak, zeros, the round's number, a half.
        let mut padded = Zeroizing::new([&*self.tweak, more].concat());
        while padded.len() % 16 != 15_usize.checked_sub(width)? {
            padded.push(0);
        }
        let mut blocks = padded.chunks_exact(16);
        for block in &mut blocks {
            for (byte, more) in prefix.iter_mut().zip(block) {
                *byte ^= more;
            }
            self.cipher.encrypt_block((&mut prefix).into());
        }
        let mut last = [0; 16];
        for (byte, head) in last.iter_mut().zip(blocks.remainder()) {
            *byte = *head;
        }
        Some(Rounds {
            cipher: &self.cipher,
            prefix,
            last,
            width,
        })
    }
}

impl Rounds<'_> {
    /// All of them, over two halves below two numbers.
    fn turn(
        &self,
        turn: Turn,
        (mut a, mut b): (u64, u64),
        (u, v): (u128, u128),
    ) -> Option<(u64, u64)> {
        match turn {
            Turn::Encrypt => {
                for round in 0..ROUNDS {
                    let modulus = if round % 2 == 0 { u } else { v };
                    let c = (u128::from(a) + self.of(round, b)? % modulus) % modulus;
                    a = b;
                    b = u64::try_from(c).ok()?;
                }
            }
            Turn::Decrypt => {
                for round in (0..ROUNDS).rev() {
                    let modulus = if round % 2 == 0 { u } else { v };
                    let y = self.of(round, a)? % modulus;
                    let c = (u128::from(b) + modulus - y) % modulus;
                    b = a;
                    a = u64::try_from(c).ok()?;
                }
            }
        }
        Some((a, b))
    }

    /// The round function: as many bytes as FF1 takes, which one block has.
    fn of(&self, round: u8, half: u64) -> Option<u128> {
        let mut block = self.last;
        let (head, tail) = block.split_at_mut_checked(16_usize.checked_sub(self.width)?)?;
        *head.last_mut()? = round;
        let half = half.to_be_bytes();
        tail.copy_from_slice(half.get(half.len().checked_sub(self.width)?..)?);
        for (byte, mac) in block.iter_mut().zip(self.prefix) {
            *byte ^= mac;
        }
        self.cipher.encrypt_block((&mut block).into());
        let taken = self.width.div_ceil(4).checked_mul(4)?.checked_add(4)?;
        let taken = block.get(..taken)?.iter();
        Some(taken.fold(0, |n, byte| n << 8 | u128::from(*byte)))
    }
}

fn power(digits: usize) -> Option<u128> {
    10_u128.checked_pow(u32::try_from(digits).ok()?)
}

/// Of at most 19 digits.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n: u64, digit| {
        n.wrapping_mul(10).wrapping_add(u64::from(*digit))
    })
}

fn write(mut number: u64, digits: &mut [u8]) -> Option<()> {
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number % 10).ok()?;
        number /= 10;
    }
    (number == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::{Ff1Digits, Turn};
    use crate::mask::token::ff1::tests::{digits, general, key};

    #[test]
    fn nist_samples() {
        // FF1samples.pdf, samples 7 and 8 (AES-256).
        for (tweak, token) in [("", "6657667009"), ("9876543210", "1001623463")] {
            let mut value = digits("0123456789");
            let (fixed, more) = tweak.as_bytes().split_at(tweak.len() / 3);
            let ff1 = Ff1Digits::new(&key(), fixed);
            ff1.turn(Turn::Encrypt, more, &mut value).expect("digits");
            assert_eq!(value, digits(token));
            ff1.turn(Turn::Decrypt, more, &mut value).expect("digits");
            assert_eq!(value, digits("0123456789"));
        }
    }

    #[test]
    fn every_length_equals_the_general_algorithm_and_comes_back() {
        for length in 6..=38_usize {
            for tweak in [
                "",
                "person",
                "sixteen bytes ok",
                "a domain of more than sixteen",
            ] {
                for seed in [0, 7, 9_u8] {
                    let plain: Vec<u8> = (0..length)
                        .map(|n| (u8::try_from(n).expect("small") * 3 + seed) % 10)
                        .map(|digit| if seed == 9 { 9 } else { digit })
                        .collect();
                    let ff1 = Ff1Digits::new(&key(), tweak.as_bytes());
                    let mut value = plain.clone();
                    ff1.turn(Turn::Encrypt, b"", &mut value).expect("digits");
                    assert_eq!(value, general(&key(), tweak.as_bytes(), 10, &plain));
                    ff1.turn(Turn::Decrypt, b"", &mut value).expect("digits");
                    assert_eq!(value, plain);
                }
            }
        }
        let ff1 = Ff1Digits::new(&key(), b"");
        for length in [0, 5, 39] {
            assert!(ff1.turn(Turn::Encrypt, b"", &mut vec![1; length]).is_none());
        }
    }
    #[test]
    fn every_number_of_bits_equals_the_general_algorithm_and_comes_back() {
        for bits in 20..=64_u32 {
            for (tweak, more) in [
                ("", ""),
                ("person", "x"),
                ("a domain of more than sixteen", ""),
            ] {
                for number in [0, 1, 0x5a5a_1234_9e37_79b9, u64::MAX] {
                    let number = number >> (64 - bits);
                    let ff1 = Ff1Digits::new(&key(), tweak.as_bytes());
                    let turned = |turn, n| ff1.turn_bits(turn, more.as_bytes(), bits, n);
                    let token = turned(Turn::Encrypt, number).expect("bits");
                    let digits: Vec<u8> = (0..bits)
                        .rev()
                        .map(|at| u8::from(number >> at & 1 == 1))
                        .collect();
                    let tweak = [tweak, more].concat();
                    let expected = general(&key(), tweak.as_bytes(), 2, &digits);
                    let expected = expected.iter().fold(0, |n, d| n << 1 | u64::from(*d));
                    assert_eq!(token, expected, "{bits} {number}");
                    assert_eq!(turned(Turn::Decrypt, token), Some(number));
                }
            }
        }
        let ff1 = Ff1Digits::new(&key(), b"");
        for (bits, number) in [(19, 1), (65, 1), (31, 1 << 31), (63, 1 << 63)] {
            assert!(ff1.turn_bits(Turn::Encrypt, b"", bits, number).is_none());
        }
    }
}
