//! Dates and lengths of time as policies and configurations write them.
//!
//! Deliberately absent: a clock. Callers say what day it is.

use std::fmt;
use std::time::Duration;

use super::error::Faults;
use super::read::text;
use super::source::shown;
use super::yaml::Node;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Date {
    year: i32,
    month: u8,
    day: u8,
}

impl Date {
    /// `2027-03-31`
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut next = |length: usize| -> Option<&str> {
            parts
                .next()
                .filter(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
        };
        let year = next(4)?.parse().ok()?;
        let month = next(2)?.parse().ok()?;
        let day = next(2)?.parse().ok()?;
        (1..=days_in(year, month)?)
            .contains(&day)
            .then_some(Self { year, month, day })
    }

    /// The UTC day of a Unix time, in seconds.
    pub fn from_unix(seconds: i64) -> Self {
        let mut days = seconds.div_euclid(86_400);
        // Years beyond these do not occur; the bound keeps the loops finite.
        days = days.clamp(-719_162, 2_932_896);
        let mut year = 1970;
        let length = |year| if leap(year) { 366 } else { 365 };
        while days < 0 {
            year -= 1;
            days += length(year);
        }
        while days >= length(year) {
            days -= length(year);
            year += 1;
        }
        let mut month = 1;
        while let Some(n) = days_in(year, month).map(i64::from)
            && days >= n
        {
            days -= n;
            month += 1;
        }
        Self {
            year,
            month,
            day: u8::try_from(days + 1).unwrap_or(1),
        }
    }
}

impl Date {
    /// The Unix time, in seconds, at which the day is over in UTC.
    pub fn end(self) -> i64 {
        let years = (1970..self.year).map(|year| if leap(year) { 366 } else { 365 });
        let months = (1..self.month).filter_map(|month| days_in(self.year, month));
        let days = years.sum::<i64>() + months.map(i64::from).sum::<i64>() + i64::from(self.day);
        let before = (self.year..1970).map(|year| if leap(year) { 366 } else { 365 });
        (days - before.sum::<i64>()) * 86_400
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn leap(year: i32) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in(year: i32, month: u8) -> Option<u8> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap(year) { 29 } else { 28 }),
        _ => None,
    }
}

/// `10m`: a whole number and one of ms, s, m, h, d.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Reads a date.
pub(crate) fn date(node: &Node, what: &str, faults: &mut Faults) -> Option<Date> {
    let found = text(node, what, faults)?;
    let date = Date::parse(found);
    if date.is_none() {
        let message = format!("{what} is a day like 2027-03-31, not `{}`", shown(found));
        faults.at(&node.span, message);
    }
    date
}

/// Reads a length of time.
pub(crate) fn duration(node: &Node, what: &str, faults: &mut Faults) -> Option<Duration> {
    let found = text(node, what, faults)?;
    let duration = parse_duration(found);
    if duration.is_none() {
        let message = format!(
            "{what} is a length of time like 30s, 10m, 1h or 400d, not `{}`",
            shown(found)
        );
        faults.at(&node.span, message);
    }
    duration
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Date, parse_duration};

    #[test]
    fn dates_exist() {
        assert!(Date::parse("2028-02-29").is_some());
        for text in [
            "2027-02-29",
            "2027-13-01",
            "2027-00-01",
            "2027-1-1",
            "27-01-01",
            "2027-01-00",
            "2027-01-+1",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn unix_days() {
        // date -u -d @N +%F
        assert_eq!(Date::from_unix(0).to_string(), "1970-01-01");
        assert_eq!(Date::from_unix(-1).to_string(), "1969-12-31");
        assert_eq!(Date::from_unix(951_782_400).to_string(), "2000-02-29");
        assert_eq!(Date::from_unix(1_795_219_200).to_string(), "2026-11-21");
        assert_eq!(Date::from_unix(i64::MAX).to_string(), "9999-12-31");
    }

    #[test]
    fn a_day_ends_when_the_next_begins() {
        for seconds in (-800_000_000..4_200_000_000_i64).step_by(8_640_000) {
            let day = Date::from_unix(seconds);
            assert_eq!(Date::from_unix(day.end() - 1), day);
            assert!(Date::from_unix(day.end()) > day);
        }
    }

    #[test]
    fn durations_have_one_unit() {
        assert_eq!(parse_duration("10m"), Some(Duration::from_secs(600)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(
            parse_duration("400d"),
            Some(Duration::from_secs(34_560_000))
        );
        for text in [
            "",
            "10",
            "m",
            "-1s",
            "1h30m",
            "1 h",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
