//! Keep the ends of a text, hide the middle: what a policy says, and as SQL. The wire's form, byte
//! for byte the same, is beside it in `partial_wire.rs`.
//!
//! Characters are Unicode scalar values, as PostgreSQL's `length` counts them in a UTF-8 database.

use super::column_type::ColumnType;
use super::mask::MaskError;
use super::sql_text::{call, case, concat, literal, op, quote};

/// The largest count a policy may give: hidden and kept parts stay far below a value's 1 GiB.
const MAX_COUNT: u32 = 10_000;

/// A value larger than this is hidden whole when the mask's character takes more than one byte:
/// replacing characters could push it over PostgreSQL's 1 GiB, which raises.
pub(super) const MAX_WIDE_BYTES: usize = 100_000_000;

/// Characters shown for a value of which even the length is hidden for a technical reason: bytes
/// that are not UTF-8, and values over the limit above.
pub(super) const OPAQUE: usize = 8;

/// Characters of a value that is regrouped; anything longer is no card or account number.
pub(super) const MAX_GROUPED: usize = 64;

/// A partial mask as a policy defines it. The counts are characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Shown at the start.
    pub keep_first: u32,
    /// Shown at the end.
    pub keep_last: u32,
    /// What a hidden character becomes.
    pub char: char,
    /// A value with fewer hidden characters than this is hidden whole.
    pub min_hidden: u32,
    /// Write exactly so many of `char`, whatever the hidden part's length.
    pub hide_length: Option<u32>,
    /// The rule covers the part before the first of these; the rest stays. Without one, or with
    /// nothing before it, the whole value is hidden.
    pub stop_at: Option<String>,
    /// Drop blanks and hyphens, then write blanks between groups of so many characters.
    pub group: Option<u32>,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            keep_first: 0,
            keep_last: 0,
            char: '*',
            min_hidden: 1,
            hide_length: None,
            stop_at: None,
            group: None,
        }
    }
}

impl Partial {
    fn check(&self) -> Result<(), MaskError> {
        let counts = [
            Some(self.keep_first),
            Some(self.keep_last),
            Some(self.min_hidden),
            self.hide_length,
            self.group,
        ];
        if counts.into_iter().flatten().any(|count| count > MAX_COUNT) {
            return Err(MaskError::new(format!("counts may not exceed {MAX_COUNT}")));
        }
        if self.char.is_control() {
            return Err(MaskError::new("char must be a printable character"));
        }
        if self.group == Some(0) {
            return Err(MaskError::new("group must be at least 1"));
        }
        if let Some(stop) = &self.stop_at {
            if stop.is_empty() || stop.contains('\0') || stop.len() > 64 {
                return Err(MaskError::new("stop_at must be 1 to 64 bytes of text"));
            }
            if self.group.is_some() {
                return Err(MaskError::new("group and stop_at do not go together"));
            }
        }
        Ok(())
    }

    /// Fewer characters than this: all are hidden.
    pub(super) fn threshold(&self) -> u32 {
        self.keep_first
            .saturating_add(self.keep_last)
            .saturating_add(self.min_hidden)
    }

    /// As SQL text over a text-like operand; the result is text.
    pub(super) fn sql(&self, operand: &str, ty: &ColumnType) -> Result<String, MaskError> {
        self.check()?;
        // char(n) to text drops the trailing blanks.
        let x = ty.as_type(operand, "text");
        let mut arms = Vec::new();
        if self.char.len_utf8() > 1 {
            let size = call("octet_length", &[&x]);
            arms.push((
                op(&size, ">", &MAX_WIDE_BYTES.to_string()),
                self.stars(OPAQUE),
            ));
        }
        let masked = match (&self.stop_at, self.group) {
            (Some(stop), _) => self.sql_before(&x, stop, ty, &mut arms),
            (None, Some(group)) => self.sql_grouped(&x, group, &mut arms),
            (None, None) => self.sql_whole(&x, &mut arms),
        };
        // What is made of the value is NULL for NULL; what is written instead of it is not.
        if self.hides_by_constant() {
            arms.push((format!("{operand} IS NULL"), "NULL".to_owned()));
        }
        Ok(arms_or(&arms, masked))
    }

    /// Is the last arm, which NULL comes to, one text for every value?
    fn hides_by_constant(&self) -> bool {
        let kept = self.keep_first.saturating_add(self.keep_last);
        self.hide_length.is_some() && (kept == 0 || self.stop_at.is_some())
    }

    fn sql_whole(&self, x: &str, arms: &mut Vec<(String, String)>) -> String {
        let length = call("length", &[x]);
        let kept = self.keep_first.saturating_add(self.keep_last);
        let mut pieces = Vec::new();
        if self.keep_first > 0 {
            pieces.push(call("left", &[x, &self.keep_first.to_string()]));
        }
        let hidden = op(&length, "-", &kept.to_string());
        pieces.push(self.hide(if kept == 0 { &length } else { &hidden }));
        if self.keep_last > 0 {
            pieces.push(call("right", &[x, &self.keep_last.to_string()]));
        }
        // Without a character nothing is hidden, and nothing is there.
        if self.threshold() > 1 {
            let short = op(&length, "<", &self.threshold().to_string());
            arms.push((short, self.hide(&length)));
        }
        concat(&pieces)
    }

    fn sql_before(
        &self,
        x: &str,
        stop: &str,
        ty: &ColumnType,
        arms: &mut Vec<(String, String)>,
    ) -> String {
        // The C collation: position() raises under a nondeterministic one.
        let haystack = if ty.has_default_collation() {
            x.to_owned()
        } else {
            format!("({x} COLLATE pg_catalog.\"C\")")
        };
        let position = call("strpos", &[&haystack, &quote(stop)]);
        let length = op(&position, "-", "1");
        let rest = call("substr", &[x, &position]);
        let kept = self.keep_first.saturating_add(self.keep_last);
        let mut pieces = Vec::new();
        if self.keep_first > 0 {
            pieces.push(call("left", &[x, &self.keep_first.to_string()]));
        }
        pieces.push(self.hide(&op(&position, "-", &kept.saturating_add(1).to_string())));
        // The last characters before the stop and all after it are one substring.
        pieces.push(if self.keep_last > 0 {
            call(
                "substr",
                &[x, &op(&position, "-", &self.keep_last.to_string())],
            )
        } else {
            rest.clone()
        });
        // Before a stop that was found there is one character at least.
        let before = match self.threshold() {
            0 | 1 => concat(&pieces),
            threshold => {
                let hidden = concat(&[self.hide(&length), rest]);
                let short = op(&length, "<", &threshold.to_string());
                case(&[(short, hidden)], &concat(&pieces))
            }
        };
        arms.push((op(&position, ">", "1"), before));
        self.hide(&call("length", &[x]))
    }

    fn sql_grouped(&self, x: &str, group: u32, arms: &mut Vec<(String, String)>) -> String {
        let digits = call("translate", &[x, &quote(" -"), &quote("")]);
        let length = call("length", &[&digits]);
        arms.push((
            op(&length, ">", &MAX_GROUPED.to_string()),
            self.stars(OPAQUE),
        ));
        // "C" for the same reason as above; the caller's cast gives the column's collation back.
        let mut short = Vec::new();
        let masked = self.sql_whole(&digits, &mut short);
        let masked = arms_or(&short, masked);
        let masked = format!("({masked} COLLATE pg_catalog.\"C\")");
        let pattern = literal(&format!("(.{{{group}}})(?=.)"), "text");
        let grouped = [
            &*masked,
            &pattern,
            &literal("\\1 ", "text"),
            &literal("g", "text"),
        ];
        let grouped = if usize::try_from(group).is_ok_and(|group| group <= MAX_GROUPED) {
            call("regexp_replace", &grouped)
        } else {
            masked
        };
        format!("({grouped} COLLATE pg_catalog.\"default\")")
    }

    fn hide(&self, length: &str) -> String {
        match self.hide_length {
            Some(count) => self.stars(usize::try_from(count).unwrap_or_default()),
            None => call("repeat", &[&quote(&self.char.to_string()), length]),
        }
    }

    fn stars(&self, count: usize) -> String {
        literal(&self.char.to_string().repeat(count), "text")
    }

    pub(super) fn describe(&self) -> String {
        let mut out = format!(
            "keep_first: {}, keep_last: {}",
            self.keep_first, self.keep_last
        );
        if let Some(stop) = &self.stop_at {
            out.push_str(", stop_at: ");
            out.push_str(stop);
        }
        out
    }
}

/// `CASE … ELSE otherwise END`, or `otherwise` alone.
fn arms_or(arms: &[(String, String)], otherwise: String) -> String {
    if arms.is_empty() {
        return otherwise;
    }
    case(arms, &otherwise)
}
