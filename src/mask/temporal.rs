//! Dates and timestamps: down to a unit, or between bounds. PostgreSQL's date_trunc raises at both
//! ends of the calendar; these do not.
//!
//! No date is computed here: only the ends of the types are known, as literals that read the same
//! under every DateStyle.

use super::column_type::{ColumnType, Kind};
use super::mask::{MaskError, misfit};
use super::sql_text::{call, case, cast, literal, op, quote};

/// What a truncation keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// The year.
    Year,
    /// The quarter.
    Quarter,
    /// The month.
    Month,
    /// The ISO week, from Monday.
    Week,
    /// The day.
    Day,
    /// The hour.
    Hour,
}

impl Unit {
    /// The policy's word, which is PostgreSQL's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Quarter => "quarter",
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// The policy's word.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Year,
            Self::Quarter,
            Self::Month,
            Self::Week,
            Self::Day,
            Self::Hour,
        ]
        .into_iter()
        .find(|unit| unit.name() == name)
    }

    /// The first day on which the unit begins inside the calendar, which begins on Monday,
    /// 4714-11-24 BC (julian day 0).
    fn first_day(self) -> &'static str {
        match self {
            Self::Year | Self::Quarter => "4713-01-01 BC",
            Self::Month => "4714-12-01 BC",
            Self::Week | Self::Day | Self::Hour => FIRST_DAY,
        }
    }
}

/// julian day 0: the smallest date and timestamp.
const FIRST_DAY: &str = "4714-11-24 BC";

/// The last day a timestamp can show; dates go on to 5874897 AD.
const LAST_TIMESTAMP_DAY: &str = "294276-12-31";

/// Down to the unit.
pub(super) fn truncate(
    unit: Unit,
    timezone: Option<&str>,
    ty: &ColumnType,
    x: &str,
) -> Result<String, MaskError> {
    if timezone.is_some() && ty.kind() != Kind::TimestampTz {
        return Err(misfit("timezone", "timestamptz", ty));
    }
    match ty.kind() {
        Kind::Date => truncate_date(unit, &ty.as_type(x, "date")),
        Kind::Timestamp => Ok(truncate_timestamp(unit, &ty.as_type(x, "timestamp"))),
        Kind::TimestampTz => {
            let x = ty.as_type(x, "timestamptz");
            truncate_timestamptz(unit, timezone.unwrap_or("UTC"), &x)
        }
        _ => Err(misfit("truncate", "date, timestamp and timestamptz", ty)),
    }
}

fn truncate_date(unit: Unit, x: &str) -> Result<String, MaskError> {
    let date = |text: &str| literal(text, "date");
    let timestamp = cast(x, "timestamp");
    let truncated = call("date_trunc", &[&quote(unit.name()), &timestamp]);
    let truncated = cast(&truncated, "date");
    let part = |name: &str| cast(&call("extract", &[&literal(name, "text"), x]), "int4");
    let first_of = |month: &str| call("make_date", &[&part("year"), month, "1"]);
    // For days no timestamp can show. The first arm takes all others.
    let beyond = match unit {
        Unit::Year => first_of("1"),
        Unit::Quarter => {
            let quarters = op(&part("quarter"), "-", "1");
            first_of(&op(&op(&quarters, "*", "3"), "+", "1"))
        }
        Unit::Month => first_of(&part("month")),
        Unit::Week => {
            // 2001-01-01 was a Monday, and these days are after it.
            let days = op(x, "-", &date("2001-01-01"));
            op(x, "-", &op(&days, "%", "7"))
        }
        Unit::Day | Unit::Hour => {
            return Err(MaskError::new(format!(
                "truncate: {} hides nothing of a date",
                unit.name()
            )));
        }
    };
    let in_range = format!(
        "{} AND {}",
        op(x, ">=", &quote(unit.first_day())),
        op(x, "<=", &quote(LAST_TIMESTAMP_DAY))
    );
    Ok(case(
        &[
            (in_range, truncated),
            (format!("NOT {}", call("isfinite", &[x])), x.to_owned()),
            (op(x, "<", &quote(unit.first_day())), quote(FIRST_DAY)),
        ],
        &beyond,
    ))
}

fn truncate_timestamp(unit: Unit, x: &str) -> String {
    let truncated = call("date_trunc", &[&quote(unit.name()), x]);
    before(x, &quote(unit.first_day()), "timestamp", &truncated)
}

/// `date_trunc(unit, timestamptz, zone)` is only stable; going through the zone's wall clock is
/// immutable and means the same.
fn truncate_timestamptz(unit: Unit, zone: &str, x: &str) -> Result<String, MaskError> {
    if !is_zone(zone) {
        return Err(MaskError::new(
            "timezone must be a name such as Asia/Shanghai",
        ));
    }
    let timestamptz = |text: &str| literal(text, "timestamptz");
    let name = quote(unit.name());
    let zoned = literal(zone, "text");
    let through = |x: &str| {
        let local = call("timezone", &[&zoned, x]);
        call("timezone", &[&zoned, &call("date_trunc", &[&name, &local])])
    };
    if zone == "UTC" {
        let first = quote(&utc(unit.first_day()));
        return Ok(before(x, &first, "timestamptz", &through(x)));
    }
    // The wall clock may leave the calendar by up to a day on either end.
    let last = timestamptz("294276-12-30 00:00:00+00");
    let late = format!(
        "{} AND {}",
        op(x, ">", &last),
        op(x, "<", &timestamptz("infinity"))
    );
    let truncated = case(&[(late, through(&last))], &through(x));
    let first = quote(&utc("4713-01-08 BC"));
    Ok(before(x, &first, "timestamptz", &truncated))
}

/// `4713-01-01 BC` → its midnight in UTC.
fn utc(day: &str) -> String {
    match day.strip_suffix(" BC") {
        Some(day) => format!("{day} 00:00:00+00 BC"),
        None => format!("{day} 00:00:00+00"),
    }
}

/// `truncated`, unless `x` is before the first whole unit of the calendar: then the type's first
/// value. -infinity stays.
fn before(x: &str, first: &str, ty: &str, truncated: &str) -> String {
    let early = format!(
        "{} AND {}",
        op(x, "<", first),
        op(x, ">", &quote("-infinity"))
    );
    let lowest = if ty == "timestamptz" {
        utc(FIRST_DAY)
    } else {
        FIRST_DAY.to_owned()
    };
    case(&[(early, quote(&lowest))], truncated)
}

/// Values beyond a bound become the bound; so do the infinities.
pub(super) fn clamp(
    top: Option<&str>,
    bottom: Option<&str>,
    ty: &ColumnType,
    x: &str,
) -> Result<String, MaskError> {
    let name = match ty.kind() {
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        _ => "timestamptz",
    };
    // ISO texts of one length order as the days do.
    match (top, bottom) {
        (None, None) => return Err(MaskError::new("top or bottom is needed")),
        (Some(top), Some(bottom)) if top < bottom => {
            return Err(MaskError::new("top is below bottom"));
        }
        _ => {}
    }
    let mut arms = Vec::new();
    for (operator, bound) in [(">", top), ("<", bottom)] {
        let Some(bound) = bound else { continue };
        if !(is_date(bound) || name != "date" && is_timestamp(bound)) {
            return Err(MaskError::new("a bound of a date is written YYYY-MM-DD"));
        }
        let text = match name {
            "timestamptz" => in_utc(bound),
            _ => bound.to_owned(),
        };
        let bound = literal(&text, name);
        arms.push((op(x, operator, &bound), bound));
    }
    Ok(case(&arms, x))
}

/// `2024-02-29`: a day of the Gregorian calendar, years 1 to 9999.
pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = *parts.as_slice() else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    year >= 1 && (1..=days).contains(&day)
}

/// A valid date or timestamp as the text of a `timestamptz`, meant in UTC.
pub(super) fn in_utc(text: &str) -> String {
    if text.len() == 10 {
        utc(text)
    } else {
        format!("{text}+00")
    }
}

/// `HH:MM:SS`
pub(super) fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [hour, minute, second] = *parts.as_slice() else {
        return false;
    };
    digits(hour, 2).is_some_and(|hour| hour < 24)
        && digits(minute, 2).is_some_and(|minute| minute < 60)
        && digits(second, 2).is_some_and(|second| second < 60)
}

/// A date, or a date and `HH:MM:SS`.
pub(super) fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_once(' ') else {
        return is_date(text);
    };
    is_date(date) && is_time(time)
}

fn digits(text: &str, count: usize) -> Option<u32> {
    if text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// An IANA name. POSIX zones (`XYZ+100`) may be a week away from UTC, so digits need an area.
fn is_zone(zone: &str) -> bool {
    let mut parts = zone.split('/');
    let area = parts.next().unwrap_or_default();
    let word = |text: &str, extra: &[u8]| {
        !text.is_empty()
            && (text.bytes()).all(|byte| byte.is_ascii_alphabetic() || extra.contains(&byte))
    };
    zone.len() <= 64 && word(area, b"_") && parts.all(|part| word(part, b"_-+0123456789"))
}

#[cfg(test)]
mod tests {
    use super::{is_date, is_timestamp, is_zone};

    #[test]
    fn dates_are_real_days() {
        assert!(is_date("2024-02-29") && is_date("1900-12-31"));
        for bad in [
            "1900-02-29",
            "2024-13-01",
            "2024-00-10",
            "0000-01-01",
            "24-01-01",
            "2024-01-1",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
        assert!(is_timestamp("2024-02-29 23:59:59") && is_timestamp("2024-02-29"));
        assert!(!is_timestamp("2024-02-29 24:00:00") && !is_timestamp("2024-02-29T00:00:00"));
    }

    #[test]
    fn zones_are_names() {
        assert!(is_zone("UTC") && is_zone("Asia/Shanghai") && is_zone("Etc/GMT-8"));
        assert!(!is_zone("UTC+100") && !is_zone("") && !is_zone("a'b") && !is_zone("Asia/"));
    }
}
