//! Decimal numbers of any size, as a policy writes them: read, compare, print. No arithmetic;
//! PostgreSQL does that.

use std::cmp::Ordering;

/// ±digits · 10^exponent, normalized: no zeros at either end, `0` is no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i32,
}

/// Digits and exponents beyond these are no masks.
const MAX_DIGITS: usize = 1_100;
const MAX_EXPONENT: i32 = 2_000;

impl Decimal {
    /// `-12.50`, `1e6`. `None` if it is no number, or one of absurd size.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let all_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || mantissa.len() > MAX_DIGITS {
            return None;
        }
        let shift = i32::try_from(fraction.len()).ok()?;
        let digits = format!("{whole}{fraction}");
        let exponent = exponent.checked_sub(shift)?;
        Self::new(negative, &digits, exponent)
    }

    /// The largest value of numeric(p,s): p nines, shifted by s.
    pub(super) fn nines(precision: u32, scale: i32) -> Option<Self> {
        let digits = "9".repeat(usize::try_from(precision).ok()?);
        Self::new(false, &digits, scale.checked_neg()?)
    }

    /// 10^exponent
    pub(super) fn power_of_ten(exponent: i32) -> Option<Self> {
        Self::new(false, "1", exponent)
    }

    pub(super) fn from_integer(value: i128) -> Option<Self> {
        Self::parse(&value.to_string())
    }

    fn new(negative: bool, digits: &str, exponent: i32) -> Option<Self> {
        let digits = digits.trim_start_matches('0');
        let trimmed = digits.trim_end_matches('0');
        let zeros = i32::try_from(digits.len().checked_sub(trimmed.len())?).ok()?;
        let exponent = if trimmed.is_empty() {
            0
        } else {
            exponent.checked_add(zeros)?
        };
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        Some(Self {
            negative: negative && !trimmed.is_empty(),
            digits: trimmed.to_owned(),
            exponent,
        })
    }

    /// What has as many whole 10^place as this number, and half of one more: `(32767, 3)` → `32500`.
    pub(super) fn half_above(&self, place: i32) -> Option<Self> {
        let length = i32::try_from(self.digits.len()).ok()?;
        let whole = length.checked_add(self.exponent)?.checked_sub(place)?;
        let whole = usize::try_from(whole.max(0)).ok()?;
        let zeros = "0".repeat(whole.saturating_sub(self.digits.len()));
        let digits: String = self.digits.chars().take(whole).collect();
        let below = place.checked_sub(1)?;
        Self::new(self.negative, &format!("{digits}{zeros}5"), below)
    }

    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative && !self.digits.is_empty();
        self
    }

    pub(super) fn is_positive(&self) -> bool {
        !self.negative && !self.digits.is_empty()
    }

    /// Digits after the decimal point.
    pub(super) fn scale(&self) -> i32 {
        self.exponent.saturating_neg().max(0)
    }

    pub(super) fn to_integer(&self) -> Option<i128> {
        let power = 10_i128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        if self.digits.is_empty() {
            return Some(0);
        }
        let value = self.digits.parse::<i128>().ok()?.checked_mul(power)?;
        Some(if self.negative {
            value.saturating_neg()
        } else {
            value
        })
    }

    pub(super) fn to_f64(&self) -> Option<f64> {
        self.to_string()
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        let highest = |number: &Self| {
            i64::from(number.exponent)
                .saturating_add(i64::try_from(number.digits.len()).unwrap_or(i64::MAX))
        };
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Normalized, so with equal highest digits the texts compare as the numbers do.
            (false, false) => {
                (highest(self).cmp(&highest(other))).then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        let sign = if self.negative { "-" } else { "" };
        if self.exponent == 0 {
            write!(f, "{sign}{}", self.digits)
        } else {
            write!(f, "{sign}{}e{}", self.digits, self.exponent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn reads_and_prints() {
        for (text, printed) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007.50", "75e-1"),
            ("1000", "1e3"),
            ("-12.5e3", "-125e2"),
        ] {
            assert_eq!(decimal(text).to_string(), printed, "{text}");
        }
        for text in ["", ".", "1.", "NaN", "1e", "0x10", "1 ", "1e9999", "--1"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn orders_like_numbers() {
        let sorted = [
            "-1e20", "-10", "-9.99", "-0.1", "0", "0.001", "0.5", "5", "10", "99.9", "1e3",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(decimal(a).cmp(&decimal(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn nines_are_the_largest_numeric() {
        assert_eq!(Decimal::nines(5, 2), Decimal::parse("999.99"));
        assert_eq!(Decimal::nines(3, -2), Decimal::parse("99900"));
        assert_eq!(Decimal::nines(2, 4), Decimal::parse("0.0099"));
    }

    #[test]
    fn halves_above_have_the_same_whole_units() {
        for (number, place, half) in [
            ("32767", 3, "32500"),
            ("999.99", 3, "500"),
            ("999.99", 2, "950"),
            ("999.99", 0, "999.5"),
            ("99999", 5, "5e4"),
            ("99999", 7, "5e6"),
            ("99000", 4, "95000"),
            ("99000", 2, "99050"),
            ("0.00999", -2, "0.005"),
            ("0", 1, "5"),
        ] {
            assert_eq!(
                decimal(number).half_above(place),
                Decimal::parse(half),
                "{number} {place}"
            );
        }
    }

    #[test]
    fn integers_only_when_whole() {
        assert_eq!(decimal("50").to_integer(), Some(50));
        assert_eq!(decimal("-1e3").to_integer(), Some(-1000));
        assert_eq!(decimal("2.5").to_integer(), None);
        assert_eq!(decimal("0").to_integer(), Some(0));
    }
}
