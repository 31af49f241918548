//! What a setting may be: PostgreSQL's reading of a value, and its way to show it (guc.c).
//!
//! Deliberately absent: which settings there are (`catalog::allow`), and infinite reals, which are read
//! as no number.

/// The values of one setting.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `on` or `off`
    Bool,
    /// Names; each of the second list means the one it stands with.
    Enum(
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
    ),
    /// A whole number from, to.
    Integer(i32, i32),
    /// An amount of memory in units of so many bytes, from, to.
    Memory(i32, i32, u32),
    /// A number from, to.
    Real(f64, f64),
}

/// Why a text is not a value of the setting.
#[derive(PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A boolean's is none.
    NotBoolean,
    /// It cannot be read; a hint.
    Invalid(Option<String>),
    /// The value, and the range it is not in.
    Outside(String, String),
}

/// Names of a boolean that stand for a name of an enumeration.
pub const BOOLEANS: &[(&str, &str)] = &[
    ("true", "on"),
    ("yes", "on"),
    ("1", "on"),
    ("false", "off"),
    ("no", "off"),
    ("0", "off"),
];

const VALUE_EXCEEDS: &str = "Value exceeds integer range.";
const MEMORY_UNITS: &str =
    "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";

impl Kind {
    /// The value as SHOW shows it.
    pub fn shown(&self, text: &str) -> Result<String, Wrong> {
        match *self {
            Self::Bool => match boolean(text) {
                Some(true) => Ok("on".to_owned()),
                Some(false) => Ok("off".to_owned()),
                None => Err(Wrong::NotBoolean),
            },
            Self::Enum(names, aliases) => {
                let is = |name: &&str| name.eq_ignore_ascii_case(text);
                let named = names.iter().copied().find(is).or_else(|| {
                    let alias = aliases.iter().find(|(alias, _)| is(alias));
                    alias.map(|(_, name)| *name)
                });
                let hint = || format!("Available values: {}.", names.join(", "));
                named
                    .map(ToOwned::to_owned)
                    .ok_or_else(|| Wrong::Invalid(Some(hint())))
            }
            Self::Integer(from, to) => {
                let (number, rest) = number(text, true).ok_or(Wrong::Invalid(None))?;
                if !rest.trim_start_matches(is_space).is_empty() {
                    return Err(Wrong::Invalid(None));
                }
                within(whole(number)?, (from, to), "").map(|n| n.to_string())
            }
            Self::Memory(from, to, bytes) => {
                let (number, rest) = number(text, true).ok_or(Wrong::Invalid(None))?;
                let bytes = f64::from(bytes);
                let n = whole(in_units(number, rest, bytes)?)?;
                let unit = if bytes > 1024.0 { " 8kB" } else { " kB" };
                within(n, (from, to), unit).map(|n| memory(f64::from(n) * bytes))
            }
            Self::Real(from, to) => {
                let (number, rest) = number(text, false).ok_or(Wrong::Invalid(None))?;
                if !rest.trim_start_matches(is_space).is_empty() {
                    return Err(Wrong::Invalid(None));
                }
                if number < from || number > to {
                    let range = format!("{} .. {}", general(from), general(to));
                    return Err(Wrong::Outside(general(number), range));
                }
                Ok(general(number))
            }
        }
    }
}

/// A beginning of `true`, `false`, `yes`, `no`, `on`, `off` that is no other's, or a digit.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// The number a text begins with, as `strtol` (of any base, if `based`) or `strtod` reads it, and the
/// rest.
fn number(text: &str, based: bool) -> Option<(f64, &str)> {
    let text = text.trim_start_matches(is_space);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let digits = |s: &str, ok: fn(&char) -> bool| s.chars().take_while(ok).count();
    let decimal = decimal_length(unsigned);
    let (head, tail) = unsigned.split_at(decimal);
    let hex = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X"));
    if let Some(hex) = hex {
        let length = digits(hex, char::is_ascii_hexdigit);
        if length > 0 {
            let (head, tail) = hex.split_at(length);
            return Some((sign * radix(head, 16), tail));
        }
    }
    if based && head.starts_with('0') && !head.contains(['.', 'e', 'E']) {
        let (head, tail) = unsigned.split_at(digits(head, |c| matches!(c, '0'..='7')));
        return Some((sign * radix(head, 8), tail));
    }
    let value: f64 = head.parse().ok()?;
    value.is_finite().then_some((sign * value, tail))
}

fn radix(digits: &str, base: u32) -> f64 {
    let values = digits.chars().filter_map(|c| c.to_digit(base));
    values.fold(0.0, |sum, digit| sum * f64::from(base) + f64::from(digit))
}

/// How long the decimal number is that a text begins with; 0 if with none.
fn decimal_length(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from.saturating_add(rest.bytes().take_while(u8::is_ascii_digit).count())
    };
    let whole = digits(0);
    let mut end = whole;
    let mut any = whole > 0;
    if text.as_bytes().get(end) == Some(&b'.') {
        let fraction = digits(end.saturating_add(1));
        any |= fraction > end.saturating_add(1);
        end = fraction;
    }
    if !any {
        return 0;
    }
    if let Some(b'e' | b'E') = text.as_bytes().get(end) {
        let mut exponent = end.saturating_add(1);
        if let Some(b'+' | b'-') = text.as_bytes().get(exponent) {
            exponent = exponent.saturating_add(1);
        }
        let last = digits(exponent);
        if last > exponent {
            end = last;
        }
    }
    end
}

/// A number with its unit in units of so many bytes.
fn in_units(number: f64, rest: &str, bytes: f64) -> Result<f64, Wrong> {
    const UNITS: [(&str, f64); 5] = [
        ("TB", 1_099_511_627_776.0),
        ("GB", 1_073_741_824.0),
        ("MB", 1_048_576.0),
        ("kB", 1024.0),
        ("B", 1.0),
    ];
    let unit = rest.trim_matches(is_space);
    if rest.is_empty() || (unit.is_empty() && number.is_finite()) {
        return Ok(number);
    }
    let at = UNITS.iter().position(|(name, _)| *name == unit);
    let Some((at, (_, size))) = at.and_then(|at| Some((at, UNITS.get(at)?))) else {
        return Err(Wrong::Invalid(Some(MEMORY_UNITS.to_owned())));
    };
    let value = number * size / bytes;
    // `30.1GB` is a whole number of the next smaller unit.
    Ok(match UNITS.get(at.saturating_add(1)) {
        Some((_, smaller)) => (value / (smaller / bytes)).round_ties_even() * (smaller / bytes),
        None => value,
    })
}

fn whole(number: f64) -> Result<i32, Wrong> {
    let rounded = number.round_ties_even();
    if rounded > f64::from(i32::MAX) || rounded < f64::from(i32::MIN) {
        return Err(Wrong::Invalid(Some(VALUE_EXCEEDS.to_owned())));
    }
    // Whole and within bounds: its own text has no fraction.
    format!("{rounded:.0}")
        .parse()
        .map_err(|_e| Wrong::Invalid(None))
}

fn within(n: i32, (from, to): (i32, i32), unit: &str) -> Result<i32, Wrong> {
    if (from..=to).contains(&n) {
        return Ok(n);
    }
    Err(Wrong::Outside(
        format!("{n}{unit}"),
        format!("{from} .. {to}"),
    ))
}

/// Bytes in the greatest unit of which they are a whole number.
fn memory(bytes: f64) -> String {
    if bytes <= 0.0 {
        return "0".to_owned();
    }
    let units = [
        ("TB", 1_099_511_627_776.0),
        ("GB", 1_073_741_824.0),
        ("MB", 1_048_576.0),
    ];
    let (unit, size) = (units.into_iter())
        .find(|(_, size)| bytes % size == 0.0)
        .unwrap_or(("kB", 1024.0));
    format!("{:.0}{unit}", bytes / size)
}

/// C's `%g`: six significant digits, without trailing zeros.
fn general(number: f64) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5_i32.saturating_sub(exponent)).unwrap_or(0);
        return trimmed(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::{Kind, Wrong, general};

    const WORK_MEM: Kind = Kind::Memory(64, i32::MAX, 1024);

    // `tests/catalog/settings.rs` asks PostgreSQL the same of every setting.
    #[test]
    fn memory_is_shown_in_the_greatest_unit() {
        for (text, shown) in [
            ("64MB", "64MB"),
            ("65536", "64MB"),
            (" 0x10000 ", "64MB"),
            ("0200000kB", "64MB"),
            ("1.5GB", "1536MB"),
            ("1 GB ", "1GB"),
            ("30.1GB", "30822MB"),
            ("100", "100kB"),
            ("1e3", "1000kB"),
        ] {
            assert_eq!(WORK_MEM.shown(text).as_deref(), Ok(shown), "{text}");
        }
        assert!(matches!(
            WORK_MEM.shown("1mb"),
            Err(Wrong::Invalid(Some(_)))
        ));
        assert_eq!(WORK_MEM.shown("MB"), Err(Wrong::Invalid(None)));
        assert_eq!(
            WORK_MEM.shown("63"),
            Err(Wrong::Outside("63 kB".into(), "64 .. 2147483647".into()))
        );
    }

    #[test]
    fn reals_are_shown_as_c_shows_them() {
        for (number, shown) in [
            (0.0025, "0.0025"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (f64::MAX, "1.79769e+308"),
            (1.234_567_8, "1.23457"),
            (0.000_012, "1.2e-05"),
            (-1.0, "-1"),
        ] {
            assert_eq!(general(number), shown);
        }
    }
}
