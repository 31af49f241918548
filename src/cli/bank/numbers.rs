//! Numbers that look right to a validator: ID numbers (GB 11643), card numbers (ISO/IEC 7812),
//! mobiles, dates; and the generator's own dice.
//!
//! Deliberately absent: randomness. The same bank comes out of every run, so that what the README
//! shows is what a reader sees.

use std::fmt::Write as _;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for sample data.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// One of a list that is not empty.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T], otherwise: T) -> T {
        let last = u64::try_from(list.len()).unwrap_or(1).saturating_sub(1);
        let at = usize::try_from(self.between(0, last)).unwrap_or(0);
        list.get(at).copied().unwrap_or(otherwise)
    }

    /// True `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// `count` decimal digits.
    pub(super) fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'0' + u8::try_from(self.between(0, 9)).unwrap_or(0)))
            .collect()
    }
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
}

impl Date {
    /// The day `days` after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
    /// algorithms", `civil_from_days`).
    pub(super) fn from_days(days: i64) -> Self {
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Self {
            year: yoe + era * 400 + i64::from(month <= 2),
            month,
            day: doy - (153 * mp + 2) / 5 + 1,
        }
    }

    /// `2026-03-09`
    pub(super) fn iso(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// An 18-character ID number: region, birth date, sequence, check character by ISO 7064 MOD 11-2.
pub(super) fn id_number(region: u32, birth: Date, sequence: u64) -> String {
    let mut id = format!(
        "{region:06}{:04}{:02}{:02}{sequence:03}",
        birth.year, birth.month, birth.day
    );
    let check = id_check(&id);
    id.push(check);
    id
}

/// The check character of the first 17 digits of an ID number.
fn id_check(first_17: &str) -> char {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let digits = first_17.chars().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit * weight)
        .sum();
    match (12 - sum % 11) % 11 {
        10 => 'X',
        check => char::from_digit(check, 10).unwrap_or('0'),
    }
}

/// A card number: issuer prefix, account digits, and the Luhn digit.
pub(super) fn card_no(prefix: &str, account: &str) -> String {
    let mut card = format!("{prefix}{account}");
    let check = luhn(&card);
    write!(card, "{check}").unwrap_or_default();
    card
}

/// The digit that makes the Luhn sum of `body` and itself a multiple of ten.
fn luhn(body: &str) -> u32 {
    let sum: u32 = body
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, twice) if twice > 9 => twice - 9,
            (0, twice) => twice,
            (_, _) => digit,
        })
        .sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::{Date, card_no, id_check, id_number};

    #[test]
    fn id_numbers_end_as_the_standard_says() {
        // GB 11643-1999's own examples: 11010519491231002X and 440524188001010014.
        assert_eq!(id_check("11010519491231002"), 'X');
        assert_eq!(id_check("44052418800101001"), '4');
        let birth = Date {
            year: 1949,
            month: 12,
            day: 31,
        };
        assert_eq!(id_number(110_105, birth, 2), "11010519491231002X");
    }

    #[test]
    fn cards_end_in_their_luhn_digit() {
        // The example of ISO/IEC 7812-1: account number 7992739871 has check digit 3.
        assert_eq!(card_no("79927", "39871"), "79927398713");
    }

    #[test]
    fn days_count_as_postgresql_counts_them() {
        // SELECT date '1970-01-01' + n
        assert_eq!(Date::from_days(0).iso(), "1970-01-01");
        assert_eq!(Date::from_days(-719_468).iso(), "0000-03-01");
        assert_eq!(Date::from_days(11_016).iso(), "2000-02-29");
        assert_eq!(Date::from_days(20_520).iso(), "2026-03-08");
    }
}
