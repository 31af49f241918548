//! AES-SIV (RFC 5297) with a 512-bit key: deterministic, authenticated, reversible.
//!
//! The associated data is the domain and the family, as two strings, so that neither can be taken
//! for the other. They are the same for every value of a column, and so are the key schedules: both
//! are computed once, which leaves one AES block of CMAC and one of CTR for a short value. The
//! `aes-siv` crate computes them for every value, at four times the cost; it is what the tests hold
//! this against, at every length.

use std::sync::Arc;

use aes::Aes256Enc;
use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InnerIvInit,
    KeyInit, StreamCipherCore,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::codec::{Family, read_token, write_token};
use super::keyring::TokenKey;
use crate::mask::mask::MaskError;

pub(super) struct Siv {
    key: Arc<TokenKey>,
    /// Under the key's first half: S2V.
    mac: Cmac,
    /// Under its second half: CTR.
    cipher: Aes256Enc,
    /// S2V over the associated data: what every value's begins with.
    headers: Zeroizing<Block>,
}

type Block = [u8; 16];

/// CTR as RFC 5297 has it: the counter is the whole block, most significant byte first.
type Ctr<'a> = ctr::CtrCore<&'a Aes256Enc, ctr::flavors::Ctr128BE>;

/// Bytes of the synthetic initialization vector, which stands before the ciphertext.
const IV: usize = 16;

/// Plaintexts up to this stay off the heap.
const SHORT: usize = 240;

impl Siv {
    pub(super) fn new(
        key: &Arc<TokenKey>,
        domain: &str,
        family: Family,
    ) -> Result<Self, MaskError> {
        let headers = [domain.as_bytes(), family.name().as_bytes()];
        Self::with_headers(key, &headers).ok_or_else(|| MaskError::new("key has the wrong length"))
    }

    fn with_headers(key: &Arc<TokenKey>, headers: &[&[u8]]) -> Option<Self> {
        let (mac, cipher, headers) = prepared(key.bytes(), headers)?;
        Some(Self {
            key: Arc::clone(key),
            mac,
            cipher,
            headers,
        })
    }

    pub(super) fn encode(&self, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let length = plain.len().checked_add(IV)?;
        if plain.len() <= SHORT {
            let mut buffer = [0_u8; SHORT + IV];
            return self.seal(plain, buffer.get_mut(..length)?, out);
        }
        self.seal(plain, &mut vec![0_u8; length], out)
    }

    /// Of the plaintext only its encryption is ever written to the buffer.
    fn seal(&self, plain: &[u8], buffer: &mut [u8], out: &mut Vec<u8>) -> Option<()> {
        let (iv, text) = buffer.split_first_chunk_mut::<IV>()?;
        *iv = self.s2v(plain)?;
        text.copy_from_slice(plain);
        self.turn(iv, text);
        write_token(self.key.id(), buffer, out)
    }

    pub(super) fn decode(&self, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = read_token(self.key.id(), token)?;
        self.open(&sealed)
    }

    fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, text) = sealed.split_first_chunk::<IV>()?;
        let mut text = Zeroizing::new(text.to_vec());
        self.turn(iv, &mut text);
        let authentic: bool = self.s2v(&text)?.ct_eq(iv).into();
        authentic.then_some(text)
    }

    /// RFC 5297, 2.4: the IV of a plaintext.
    fn s2v(&self, plain: &[u8]) -> Option<Block> {
        let mut last = self.headers.clone();
        match plain.split_last_chunk::<16>() {
            Some((first, end)) => {
                xor(&mut last, end);
                self.mac.sum(first, &last)
            }
            None => {
                *last = doubled(&last);
                xor(&mut last, plain);
                *last.get_mut(plain.len())? ^= 0x80;
                self.mac.sum(b"", &last)
            }
        }
    }

    /// Encrypts or decrypts, which are the same. RFC 5297, 2.5: two bits of the IV are cleared.
    fn turn(&self, iv: &Block, text: &mut [u8]) {
        let cleared: u128 = 1 << 63 | 1 << 31;
        let counter = (u128::from_be_bytes(*iv) & !cleared).to_be_bytes();
        Ctr::inner_iv_init(&self.cipher, &counter.into()).apply_keystream_partial(text.into());
    }
}

/// The two key schedules, and S2V of the associated data.
fn prepared(key: &[u8; 64], headers: &[&[u8]]) -> Option<(Cmac, Aes256Enc, Zeroizing<Block>)> {
    let (first, second) = key.split_at(32);
    let schedule = |half: &[u8]| Aes256Enc::new_from_slice(half).ok();
    let mac = Cmac::new(schedule(first)?);
    let mut state = Zeroizing::new(mac.sum(b"", &[0; 16])?);
    for header in headers {
        *state = doubled(&state);
        xor(&mut state, &mac.of(header)?);
    }
    Some((mac, schedule(second)?, state))
}

/// CMAC (NIST SP 800-38B).
struct Cmac {
    cipher: Aes256Enc,
    /// K1, for a message of whole blocks, and K2, for one that is padded.
    subkeys: Zeroizing<[Block; 2]>,
}

impl Cmac {
    fn new(cipher: Aes256Enc) -> Self {
        let mut zero = Array::default();
        cipher.encrypt_block(&mut zero);
        let first = doubled(&zero.into());
        let subkeys = Zeroizing::new([first, doubled(&first)]);
        Self { cipher, subkeys }
    }

    /// Of a message of any length.
    fn of(&self, message: &[u8]) -> Option<Block> {
        match message.split_last_chunk::<16>() {
            Some((first, last)) => self.sum(first, last),
            None => {
                let mut padded = Zeroizing::new([0; 16]);
                padded.get_mut(..message.len())?.copy_from_slice(message);
                *padded.get_mut(message.len())? = 0x80;
                let [_, second] = &*self.subkeys;
                xor(&mut padded, second);
                Some(self.chain(&[], &[*padded]))
            }
        }
    }

    /// Of a message that ends in `last`.
    fn sum(&self, first: &[u8], last: &Block) -> Option<Block> {
        let (blocks, rest) = first.as_chunks::<16>();
        let [whole, padded] = &*self.subkeys;
        let mut tail = Zeroizing::new([[0; 16]; 2]);
        if rest.is_empty() {
            let [end, _] = &mut *tail;
            *end = *last;
            xor(end, whole);
            return Some(self.chain(blocks, &[*end]));
        }
        let flat = tail.as_flattened_mut();
        let end = rest.len().checked_add(16)?;
        flat.get_mut(..rest.len())?.copy_from_slice(rest);
        flat.get_mut(rest.len()..end)?.copy_from_slice(last);
        *flat.get_mut(end)? = 0x80;
        xor(flat.last_chunk_mut::<16>()?, padded);
        Some(self.chain(blocks, &*tail))
    }

    /// CBC-MAC, in one call: the cipher loads its key schedule once for all of it.
    fn chain(&self, blocks: &[Block], tail: &[Block]) -> Block {
        let mut state = Array::default();
        self.cipher.encrypt_with_backend(Chain {
            state: &mut state,
            blocks: [blocks, tail],
        });
        state.into()
    }
}

struct Chain<'a> {
    state: &'a mut Array<u8, U16>,
    blocks: [&'a [Block]; 2],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        for block in self.blocks.into_iter().flatten() {
            xor(self.state.as_mut(), block);
            backend.encrypt_block(self.state.into());
        }
    }
}

/// RFC 5297, 2.3: multiplied by x in GF(2^128), in constant time.
fn doubled(block: &Block) -> Block {
    let value = u128::from_be_bytes(*block);
    (value << 1 ^ 0x87 * (value >> 127)).to_be_bytes()
}

fn xor(block: &mut [u8; 16], bytes: &[u8]) {
    for (byte, more) in block.iter_mut().zip(bytes) {
        *byte ^= more;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aes_siv::siv::Aes256Siv;
    use zeroize::Zeroizing;

    use super::Siv;
    use crate::mask::token::TokenKey;
    use crate::mask::token::codec::{Family, read_token};

    fn key(seed: u8) -> [u8; 64] {
        let mut byte = seed;
        [(); 64].map(|()| {
            byte = byte.wrapping_mul(37).wrapping_add(101);
            byte
        })
    }

    fn crates(seed: u8, headers: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        use aes_siv::KeyInit;
        let mut siv = Aes256Siv::new(&key(seed).into());
        siv.encrypt(headers, plain).expect("sealed")
    }

    #[test]
    fn every_length_is_what_the_crate_makes_and_comes_back() {
        let domains = [
            "d",
            "person",
            "sixteen bytes ok",
            "a domain of more than sixteen",
        ];
        for (seed, domain) in (1_u8..).zip(domains) {
            let token = TokenKey::new("aaaa", Zeroizing::new(key(seed))).expect("an id");
            let siv = Siv::new(&Arc::new(token), domain, Family::Text).expect("a key");
            for length in (0..100).chain([239, 240, 241, 255, 256, 257, 4096]) {
                let plain: Vec<u8> = (0_u8..=255).cycle().skip(length).take(length).collect();
                let mut out = Vec::new();
                siv.encode(&plain, &mut out).expect("a token");
                let sealed = read_token("aaaa", &out).expect("base32");
                let headers = [domain.as_bytes(), &b"text"[..]];
                assert_eq!(sealed, crates(seed, &headers, &plain), "{domain} {length}");
                assert_eq!(siv.decode(&out).as_deref(), Some(&plain), "{length}");
            }
        }
    }

    #[test]
    fn associated_data_of_any_number_and_length_is_what_the_crate_makes_of_it() {
        let long = [7_u8; 33];
        for headers in [&[][..], &[&b""[..]][..], &[&long[..16], b"", &long[..]][..]] {
            let token = TokenKey::new("aaaa", Zeroizing::new(key(9))).expect("an id");
            let siv = Siv::with_headers(&Arc::new(token), headers).expect("a key");
            let sealed = crates(9, headers, b"ada@example.com");
            let opened = siv.open(&sealed).expect("authentic");
            assert_eq!(opened.as_slice(), b"ada@example.com");
        }
    }

    #[test]
    fn one_bit_anywhere_and_nothing_comes_back() {
        let token = TokenKey::new("aaaa", Zeroizing::new(key(3))).expect("an id");
        let siv = Siv::new(&Arc::new(token), "d", Family::Text).expect("a key");
        for plain in [
            &b""[..],
            b"ada",
            b"sixteen bytes ok",
            b"ada.lovelace@example.com",
        ] {
            let good = crates(3, &[b"d", b"text"], plain);
            assert!(siv.open(&good).is_some());
            for at in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[at / 8] ^= 1 << (at % 8);
                assert!(siv.open(&bad).is_none(), "bit {at}");
            }
            for length in 0..good.len() {
                assert!(siv.open(&good[..length]).is_none(), "{length} bytes");
            }
        }
    }
}
