//! Texts that keep their shape as tokens (`kind: ff1`): what is in the shape, which of its digits are
//! encrypted, and what is computed anew.
//!
//! A value outside the shape has no token: it is NULL to the role, so that there is an SQL form of the
//! question ([`Shaped::fits_sql`]), which PostgreSQL answers before anything is compared. The two agree
//! on every text. Each shape is a permutation of its texts: what leaves it is encrypted again until it
//! is back (cycle walking), at most a few times.

use zeroize::Zeroizing;

use super::codec::Family;
use super::digits::{FEWEST, Ff1Digits, MOST, Turn};
use super::hmac::derive;
use super::keyring::TokenKey;
use crate::mask::mask::MaskError;
use crate::mask::sql_text::{call, cast, literal, op};

/// A shape of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// 6 to 38 digits, as many in the token.
    Digits,
    /// 7 to 15 digits; `+`, `-`, `.`, blanks and parentheses stay where they are. A mobile number of
    /// mainland China stays one, with its country code if it has one.
    Phone,
    /// 13 to 19 digits, the last of which is Luhn's.
    BankCard {
        /// The first six digits stay.
        keep_bin: bool,
    },
    /// 18 characters (GB 11643): a region, a day from 1900 to 2099, a number, and their check character.
    CnId,
}

/// Walks this long at most. The most improbable shape takes one step in fourteen.
const WALK: usize = 1_000;

/// Days from 1900-01-01 to 2099-12-31.
const DAYS: u64 = 73_049;

/// Identity numbers of the shape: regions, days, numbers of a day.
const IDS: u64 = 1_000_000 * DAYS * 1_000;

/// 10^14 is the next power.
const ID_DIGITS: usize = 14;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: &str = "10X98765432";

/// A shape with a domain's key.
pub(super) struct Shaped {
    shape: Shape,
    ff1: Ff1Digits,
}

impl Shape {
    /// The word for it in policies.
    pub fn word(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Phone => "phone",
            Self::BankCard { .. } => "bank_card",
            Self::CnId => "cn_id",
        }
    }

    /// Characters of its shortest text.
    pub(super) fn shortest(self) -> usize {
        match self {
            Self::Digits => FEWEST,
            Self::Phone => 7,
            Self::BankCard { .. } => 13,
            Self::CnId => 18,
        }
    }

    /// Part of the key's derivation: never change one.
    fn purpose(self) -> &'static str {
        match self {
            Self::Digits => "pgveil ff1 digits token",
            Self::Phone => "pgveil ff1 phone token",
            Self::BankCard { keep_bin: false } => "pgveil ff1 bank_card token",
            Self::BankCard { keep_bin: true } => "pgveil ff1 bank_card token, BIN kept",
            Self::CnId => "pgveil ff1 cn_id token",
        }
    }
}

impl Shaped {
    pub(super) fn new(shape: Shape, key: &TokenKey, domain: &str) -> Result<Self, MaskError> {
        let derived = derive(key, shape.purpose(), domain, Family::Text)?;
        let ff1 = Ff1Digits::new(&derived, domain.as_bytes());
        Ok(Self { shape, ff1 })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn encode(&self, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(&self.turn(Turn::Encrypt, plain)?);
        Some(())
    }

    pub(super) fn decode(&self, token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.turn(Turn::Decrypt, token)
    }

    fn turn(&self, turn: Turn, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self.shape {
            Shape::Digits => {
                let mut digits = digits(text)?;
                self.ff1.turn(turn, b"", &mut digits)?;
                Some(written(&digits))
            }
            Shape::Phone => self.phone(turn, text),
            Shape::BankCard { keep_bin } => self.bank_card(turn, text, keep_bin),
            Shape::CnId => self.cn_id(turn, text),
        }
    }

    fn phone(&self, turn: Turn, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let between = |byte: u8| b"+-(). ".contains(&byte);
        let mut found = Zeroizing::new(Vec::with_capacity(15));
        for byte in text.iter().filter(|byte| !between(**byte)) {
            found.push(digit(*byte)?);
        }
        if !(7..=15).contains(&found.len()) {
            return None;
        }
        let kept = national(&found);
        let more = [u8::try_from(kept).ok()?];
        for _ in 0..WALK {
            self.ff1.turn(turn, &more, found.get_mut(kept..)?)?;
            if national(&found) == kept {
                let mut new = found.iter();
                let mut out = Zeroizing::new(text.to_vec());
                for byte in out.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                    *byte = new.next()?.checked_add(b'0')?;
                }
                return Some(out);
            }
        }
        None
    }

    fn bank_card(&self, turn: Turn, text: &[u8], keep_bin: bool) -> Option<Zeroizing<Vec<u8>>> {
        let mut found = digits(text)?;
        let (check, body) = found.split_last_mut()?;
        if !(12..=18).contains(&body.len()) || luhn(body) != *check {
            return None;
        }
        let (bin, rest) = body.split_at_mut_checked(if keep_bin { 6 } else { 0 })?;
        self.ff1.turn(turn, bin, rest)?;
        *check = luhn(body);
        Some(written(&found))
    }

    fn cn_id(&self, turn: Turn, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (check, body) = text.split_last()?;
        let body = digits(body)?;
        if body.len() != WEIGHTS.len() || check_character(&body)? != *check {
            return None;
        }
        let part = |from: usize, to: usize| Some(number(body.get(from..to)?));
        let day = day(part(6, 10)?, part(10, 12)?, part(12, 14)?)?;
        let mut id = (part(0, 6)? * DAYS + day) * 1_000 + part(14, 17)?;
        let mut rank = Zeroizing::new([0; ID_DIGITS]);
        for _ in 0..WALK {
            put(id, &mut *rank);
            self.ff1.turn(turn, b"", &mut *rank)?;
            id = number(&*rank);
            if id < IDS {
                let mut body = Zeroizing::new([0; WEIGHTS.len()]);
                let (region, rest) = body.split_first_chunk_mut::<6>()?;
                let (date, sequence) = rest.split_first_chunk_mut::<8>()?;
                put(id % 1_000, sequence);
                put(date_of(id / 1_000 % DAYS)?, date);
                put(id / 1_000 / DAYS, region);
                let mut out = written(&*body);
                out.push(check_character(&*body)?);
                return Some(out);
            }
        }
        None
    }

    /// Is the text of this operand in the shape? NULL or false if it is not; never an error.
    pub(super) fn fits_sql(&self, operand: &str) -> String {
        let text = format!("{} COLLATE \"pg_catalog\".\"C\"", cast(operand, "text"));
        let matches = |pattern: &str| op(&format!("({text})"), "~", &literal(pattern, "text"));
        match self.shape {
            Shape::Digits => matches(&format!("^[0-9]{{{FEWEST},{MOST}}}$")),
            Shape::Phone => {
                let (others, none) = (literal("+-(). ", "text"), literal("", "text"));
                let digits = call("length", &[&call("translate", &[&text, &others, &none])]);
                let enough = op(&digits, ">=", "7");
                let few = op(&digits, "<=", "15");
                format!("({} AND {enough} AND {few})", matches("^[-+(). 0-9]+$"))
            }
            Shape::BankCard { .. } => {
                // In 19 places: zeros before a number change no sum.
                let padded = call("lpad", &[&text, "19", &literal("0", "text")]);
                let sum = (1..=19_u32).map(|at| {
                    let order = if at % 2 == 0 {
                        "516273849"
                    } else {
                        "123456789"
                    };
                    place(order, &padded, at)
                });
                let rest = op(&sum_of(sum), "%", "10");
                format!(
                    "({} AND {})",
                    matches("^[0-9]{13,19}$"),
                    op(&rest, "=", "0")
                )
            }
            Shape::CnId => {
                let sum = (1_u32..).zip(WEIGHTS).map(|(at, weight)| {
                    op(&place("123456789", &text, at), "*", &weight.to_string())
                });
                let at = op(&op(&sum_of(sum), "%", "11"), "+", "1");
                let check = call("substr", &[&literal(CHECKS, "text"), &at, "1"]);
                let last = call("substr", &[&text, "18", "1"]);
                format!(
                    "({} AND {})",
                    matches(&id_pattern()),
                    op(&last, "=", &check)
                )
            }
        }
    }
}

/// The value of a text's digit at a place: where it stands in `order`, or 0.
fn place(order: &str, text: &str, at: u32) -> String {
    let digit = call("substr", &[text, &at.to_string(), "1"]);
    call("strpos", &[&literal(order, "text"), &digit])
}

fn sum_of(terms: impl Iterator<Item = String>) -> String {
    let sum = terms.reduce(|sum, term| op(&sum, "+", &term));
    sum.unwrap_or_else(|| "0".to_owned())
}

/// Six digits, a day that there is, three digits and a check character.
fn id_pattern() -> String {
    let long = "(0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])";
    let short = "(0[469]|11)(0[1-9]|[12][0-9]|30)";
    let february = "02(0[1-9]|1[0-9]|2[0-8])";
    let leap = "((19|20)(0[48]|[2468][048]|[13579][26])|2000)0229";
    format!("^[0-9]{{6}}((19|20)[0-9][0-9]({long}|{short}|{february})|{leap})[0-9]{{3}}[0-9X]$")
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))
}

fn digits(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() > MOST {
        return None;
    }
    let found: Option<Vec<u8>> = text.iter().map(|byte| digit(*byte)).collect();
    found.map(Zeroizing::new)
}

fn written(digits: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = digits.iter().map(|digit| digit.wrapping_add(b'0'));
    Zeroizing::new(text.collect())
}

/// Of at most 19 digits.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n: u64, digit| {
        n.wrapping_mul(10).wrapping_add(u64::from(*digit))
    })
}

fn put(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// How many digits of a mobile number of mainland China stay: its country code and its 1. None of others.
fn national(digits: &[u8]) -> usize {
    match digits {
        [1, 3..=9, ..] if digits.len() == 11 => 1,
        [8, 6, 1, 3..=9, ..] if digits.len() == 13 => 3,
        _ => 0,
    }
}

/// ISO/IEC 7812: every second digit from the right is doubled.
fn luhn(body: &[u8]) -> u8 {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = (body.iter().rev().enumerate())
        .map(|(at, digit)| if at % 2 == 0 { doubled(*digit) } else { *digit })
        .map(u32::from)
        .sum();
    u8::try_from((10 - sum % 10) % 10).unwrap_or_default()
}

/// GB 11643: weights, modulo 11.
fn check_character(body: &[u8]) -> Option<u8> {
    let terms = body.iter().zip(WEIGHTS).map(|(d, w)| u32::from(*d) * w);
    let at = usize::try_from(terms.sum::<u32>() % 11).ok()?;
    CHECKS.as_bytes().get(at).copied()
}

fn days_in(year: u64, month: u64) -> Option<u64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && year != 1900 => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// Days from 1900-01-01 to the first of a year up to 2100.
fn days_before(year: u64) -> u64 {
    let since = year.saturating_sub(1900);
    // 1900 was no leap year, 2000 was.
    since * 365 + since.saturating_sub(1) / 4
}

fn day(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1900..2100).contains(&year) || !(1..=days_in(year, month)?).contains(&day) {
        return None;
    }
    let months = (1..month).filter_map(|month| days_in(year, month));
    Some(days_before(year) + months.sum::<u64>() + day - 1)
}

/// The day as eight digits.
fn date_of(day: u64) -> Option<u64> {
    let mut year = 1900 + day / 366;
    while days_before(year + 1) <= day {
        year += 1;
    }
    let mut rest = day - days_before(year);
    let mut month = 1;
    while rest >= days_in(year, month)? {
        rest -= days_in(year, month)?;
        month += 1;
    }
    Some(year * 10_000 + month * 100 + rest + 1)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{DAYS, IDS, Shape, Shaped, date_of, day, national};
    use crate::mask::token::TokenKey;

    const SHAPES: [Shape; 5] = [
        Shape::Digits,
        Shape::Phone,
        Shape::BankCard { keep_bin: false },
        Shape::BankCard { keep_bin: true },
        Shape::CnId,
    ];

    fn shaped(shape: Shape, domain: &str) -> Shaped {
        let key = TokenKey::new("aaaa", Zeroizing::new([7; 64])).expect("an id");
        Shaped::new(shape, &key, domain).expect("a key")
    }

    fn token(shaped: &Shaped, plain: &str) -> Option<String> {
        let mut out = Vec::new();
        shaped.encode(plain.as_bytes(), &mut out)?;
        Some(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn days_are_counted_both_ways() {
        for number in 0..DAYS {
            let date = date_of(number).expect("a date");
            assert_eq!(
                day(date / 10_000, date / 100 % 100, date % 100),
                Some(number)
            );
        }
        assert_eq!(
            (date_of(0), date_of(DAYS - 1)),
            (Some(19_000_101), Some(20_991_231))
        );
        for (y, m, d) in [
            (1900, 2, 29),
            (2001, 2, 29),
            (2000, 13, 1),
            (2100, 1, 1),
            (2000, 4, 31),
        ] {
            assert_eq!(day(y, m, d), None);
        }
        assert!(IDS < 10_u64.pow(14));
    }

    #[test]
    fn a_token_has_the_shape_and_comes_back() {
        let values: [(Shape, &[&str]); 5] = [
            (
                Shape::Digits,
                &["000000", "123456", "99999999999999999999999999999999999999"],
            ),
            (
                Shape::Phone,
                &[
                    "13812345678",
                    "+86 138-1234-5678",
                    "8613912345678",
                    "+1 (415) 555.2671",
                    "0571-88888888",
                    "12012345678",
                    "1234567",
                ],
            ),
            (
                Shape::BankCard { keep_bin: false },
                &["4111111111111111", "6222020200000000006", "4222222222222"],
            ),
            (
                Shape::BankCard { keep_bin: true },
                &["4111111111111111", "6222020200000000006", "4222222222222"],
            ),
            (Shape::CnId, &["11010519491231002X", "440524188001010014"]),
        ];
        for (shape, values) in values {
            let (mine, other) = (shaped(shape, "d"), shaped(shape, "e"));
            for value in values {
                // Born in 1880: outside the shape.
                if *value == "440524188001010014" {
                    assert_eq!(token(&mine, value), None);
                    continue;
                }
                let made = token(&mine, value).unwrap_or_else(|| panic!("{shape:?} {value}"));
                assert_eq!(made.len(), value.len());
                let back = mine.decode(made.as_bytes()).expect("in the shape");
                assert_eq!(back.as_slice(), value.as_bytes());
                assert_ne!(Some(made), token(&other, value));
            }
        }
    }

    #[test]
    fn mobile_numbers_stay_mobile_numbers_and_no_others_become_any() {
        let phone = shaped(Shape::Phone, "d");
        let of = |text: &str| -> Vec<u8> {
            let digits = text.bytes().filter(u8::is_ascii_digit);
            digits.map(|byte| byte - b'0').collect()
        };
        for n in 0..300_u64 {
            for value in [
                format!("13{:09}", n * 3_333_331),
                format!("+8619{:09}", n * 3_333_337),
                format!("12{:09}", n * 3_333_301),
                format!("86120{:08}", n * 333_331),
                format!("0{:06}", n * 3_331),
            ] {
                let made = token(&phone, &value).expect("a phone number");
                assert_eq!(
                    national(&of(&made)),
                    national(&of(&value)),
                    "{value} {made}"
                );
                let back = phone.decode(made.as_bytes()).expect("a token");
                assert_eq!(back.as_slice(), value.as_bytes());
            }
        }
        // With and without its country code a number is one number.
        let bare = token(&phone, "13812345678").expect("a phone number");
        let code = token(&phone, "+8613812345678").expect("a phone number");
        assert!(code.starts_with("+861") && bare.starts_with('1') && code != format!("+86{bare}"));
    }

    #[test]
    fn a_bin_stays_where_it_is_kept() {
        let kept = shaped(Shape::BankCard { keep_bin: true }, "d");
        for value in ["4111111111111111", "6222020200000000006"] {
            let made = token(&kept, value).expect("a card");
            assert_eq!(made.get(..6), value.get(..6));
        }
    }

    #[test]
    fn what_is_outside_has_no_token() {
        for shape in SHAPES {
            let shaped = shaped(shape, "d");
            for value in [
                "",
                "12345",
                "abcdef",
                "123456a",
                "１２３４５６７",
                "1234567\n",
                "tok_aaaa",
                "411111111111111a",
                "11010519491231002x",
                "110105194912310021",
                "11010519490231002X",
                "123456789012345678901234567890123456789",
                "12 34 56",
                "+()-. ",
            ] {
                let allowed = shape == Shape::Digits
                    && value.len() <= 38
                    && value.len() >= 6
                    && value.bytes().all(|b| b.is_ascii_digit());
                assert_eq!(
                    token(&shaped, value).is_some(),
                    allowed,
                    "{shape:?} {value}"
                );
            }
        }
        for value in ["4111111111111112", "411111111111", "41111111111111111111"] {
            assert_eq!(
                token(&shaped(Shape::BankCard { keep_bin: false }, "d"), value),
                None
            );
        }
    }
}
