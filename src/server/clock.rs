//! Wall-clock time as text. The only place, with the audit writer, that looks at it.

use std::time::{Duration, SystemTime};

use crate::policy::Date;

/// RFC 3339 in UTC, with microseconds.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let mut out = Vec::new();
    Stamp::default().write(at, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes times as RFC 3339 in UTC, with microseconds. Knows the text of the second it wrote last.
#[derive(Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    pub(super) fn write(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let seconds = since.as_secs();
        if self.second.replace(seconds) != Some(seconds) {
            self.text = to_seconds(seconds);
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        let micros = since.subsec_micros();
        for place in [100_000, 10_000, 1_000, 100, 10, 1] {
            let digit = u8::try_from(micros / place % 10).unwrap_or_default();
            out.push(b'0'.saturating_add(digit));
        }
        out.push(b'Z');
    }
}

fn to_seconds(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
    )
}

/// The day in UTC.
pub fn today() -> Date {
    Date::from_unix(unix_seconds())
}

/// Seconds since 1970.
pub(super) fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Days since 1970-01-01 to the Gregorian calendar (Hinnant's `civil_from_days`, for days from 1970
/// on): eras of 400 years, years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days.saturating_add(719_468);
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era + day_of_era / 36_524 - day_of_era / 1_460 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era + year_of_era / 100 - year_of_era * 365 - year_of_era / 4;
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Stamp;

    #[test]
    fn known_instants() {
        let mut stamp = Stamp::default();
        let mut at = |s: u64, us: u32| {
            let mut out = Vec::new();
            stamp.write(
                SystemTime::UNIX_EPOCH + Duration::new(s, us * 1000),
                &mut out,
            );
            String::from_utf8(out).unwrap()
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(0, 123_456), "1970-01-01T00:00:00.123456Z");
        // `date -u -d @951827696`, a leap day; `date -u -d @4102444799`
        assert_eq!(at(951_827_696, 5), "2000-02-29T12:34:56.000005Z");
        assert_eq!(at(4_102_444_799, 999_999), "2099-12-31T23:59:59.999999Z");
    }
}
