//! Questions about a masked value that the stored value answers more cheaply: `mask(x) = 'b***@x.org'`,
//! `mask(x) ->> 'lang'`. Each answer equals the question on the masked value for every x, NULL for
//! NULL, so it tells what the mask tells and no more.
//!
//! Texts are asked by `pg_catalog.like()` as a number: PostgreSQL knows of no index or statistics for
//! that, while the operator `~~`, and under "C" the function too, could hand rows out in the order of
//! what is stored. Where an index has the texts in the order of their code points, those with the
//! beginning a mask keeps are a range of it, and the range is asked beside; but as one of two
//! ([`range`]), which PostgreSQL serves by bitmaps only, and so in the order of the table.
//!
//! Deliberately absent: finding the questions in a statement, which is `plan`'s.

use super::json_question::{Asked, answer};
use super::mask::{CompiledMask, Mask};
use super::partial::Partial;
use super::sql_text::{call, case, literal, op, quote};

/// Longer constants are compared with the mask.
const MAX_PATTERN: usize = 256;

/// What is asked of a masked value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question<'a> {
    /// `mask(x) = value`, in a text column of a deterministic collation.
    Equals(&'a str),
    /// `mask(x) LIKE pattern`, likewise.
    Like(&'a str),
    /// `mask(x) -> key`
    Member(&'a str),
    /// `mask(x) ->> key`
    MemberText(&'a str),
    /// `mask(x) #> path`
    At(&'a str),
    /// `mask(x) #>> path`
    AtText(&'a str),
    /// `mask(x) ? key`
    HasKey(&'a str),
    /// `mask(x) @> document`
    Contains(&'a str),
}

/// What stored texts become a given masked one, or a part of it.
enum Originals {
    /// None at all.
    None,
    /// Those the pattern matches.
    Exactly(String),
    /// Some of those the pattern matches.
    Among(String),
}

impl Originals {
    fn exactly(pattern: Option<String>) -> Self {
        pattern.map_or(Self::None, Self::Exactly)
    }
}

impl CompiledMask {
    /// SQL over `operand` that answers the question; `None` if only the mask itself can. `ordered`: it is
    /// a condition, an index has the column's texts in the order of their code points, and no other
    /// condition could tell which rows are in a range of it.
    pub fn ask(&self, question: Question<'_>, operand: &str, ordered: bool) -> Option<String> {
        let range = |pattern: &str| {
            let range = ordered.then(|| range(&cast_text(operand), pattern));
            range.flatten()
        };
        match (self.whole()?, question) {
            (Mask::Partial(mask), Question::Equals(value)) => {
                let stored = cast_text(operand);
                match mask.originals(value, self.column_type().character_limit())? {
                    Originals::None => Some(never(operand)),
                    // Written so that PostgreSQL takes it for as rare as an equality.
                    Originals::Exactly(pattern) => {
                        if let Some(range) = range(&pattern) {
                            return Some(both(&like(&stored, &pattern, ">", "0"), &range));
                        }
                        Some(like(&stored, &pattern, "=", "1"))
                    }
                    Originals::Among(pattern) => {
                        let likely = like(&stored, &pattern, ">", "0");
                        let value = literal(value, "text");
                        let Some(range) = range(&pattern) else {
                            // One condition, or PostgreSQL could try another one between: which rows
                            // are likely is not for anyone to see. Taken for as rare as an equality.
                            let none = self.column_type().cast(&call("left", &[&stored, "0"]));
                            let masked = case(&[(likely, self.sql(operand))], &none);
                            return Some(op(&format!("({masked})"), "=", &value));
                        };
                        // Of this one PostgreSQL takes half of all rows for true: it would take two
                        // equalities for far rarer than either.
                        let same = op(&self.sql(operand), "=", &value);
                        let exactly = case(&[(likely, same)], &never(operand));
                        Some(both(&exactly, &range))
                    }
                }
            }
            (Mask::Partial(mask), Question::Like(pattern)) => {
                let pattern = mask.beginning(pattern)?;
                let matches = like(&cast_text(operand), &pattern, ">", "0");
                Some(match range(&pattern) {
                    Some(range) => both(&matches, &range),
                    None => matches,
                })
            }
            (Mask::Json(mask), question) => {
                let asked = match question {
                    Question::Equals(_) | Question::Like(_) => return None,
                    Question::Member(key) => Asked::Member(key, false),
                    Question::MemberText(key) => Asked::Member(key, true),
                    Question::At(path) => Asked::At(path, false),
                    Question::AtText(path) => Asked::At(path, true),
                    Question::HasKey(key) => Asked::HasKey(key),
                    Question::Contains(document) => Asked::Contains(document),
                };
                answer(mask, self.column_type(), asked, operand)
            }
            _ => None,
        }
    }
}

impl Partial {
    /// Which stored texts this mask makes into `value`; `limit` is the n of varchar(n).
    fn originals(&self, value: &str, limit: Option<usize>) -> Option<Originals> {
        if !self.is_plain() || value.len() > MAX_PATTERN {
            return None;
        }
        let Some(stop) = &self.stop_at else {
            if self.hide_length.is_some() {
                return None;
            }
            return self.covered(value);
        };
        // Of one character, so that what is kept and what is hidden cannot make a stop where they meet.
        let mut characters = stop.chars();
        let (Some(stop), None) = (characters.next(), characters.next()) else {
            return None;
        };
        // Cut to varchar(n), it could be the beginning of a longer one.
        if stop == self.char || limit.is_some_and(|limit| value.chars().count() >= limit) {
            return None;
        }
        // Without a stop, it may be many things: hidden whole, or not.
        let at = value.find(stop).filter(|at| *at > 0)?;
        let (covered, rest) = value.split_at_checked(at)?;
        // A pattern may let another stop into the covered part.
        Some(match self.covered(covered)? {
            Originals::None => Originals::None,
            Originals::Exactly(pattern) | Originals::Among(pattern) => {
                Originals::Among(pattern + &escaped(rest))
            }
        })
    }

    /// Which covered parts become `masked`; `None`: no one pattern says it.
    fn covered(&self, masked: &str) -> Option<Originals> {
        let count = |n: u32| usize::try_from(n).ok();
        let (first, last) = (count(self.keep_first)?, count(self.keep_last)?);
        let threshold = count(self.threshold())?;
        let characters: Vec<char> = masked.chars().collect();
        let length = characters.len();
        let hidden = characters.iter().all(|c| *c == self.char);
        let kept = first.checked_add(last)?;
        // The beginning, what is between, and the end.
        let ends = || {
            let (begin, rest) = characters.split_at_checked(first)?;
            let (middle, end) = rest.split_at_checked(rest.len().checked_sub(last)?)?;
            let all = middle.iter().all(|c| *c == self.char);
            let text = |part: &[char]| escaped(&part.iter().collect::<String>());
            all.then(|| (text(begin), middle.len(), text(end)))
        };
        match self.hide_length {
            None if length < threshold => {
                Some(Originals::exactly(hidden.then(|| "_".repeat(length))))
            }
            None => {
                let pattern = ends().map(|(begin, n, end)| begin + &"_".repeat(n) + &end);
                Some(Originals::exactly(pattern))
            }
            Some(shown) => {
                let shown = count(shown)?;
                // A part below the threshold is hidden whole; one character always is there.
                if threshold > 1 && length == shown && hidden {
                    return None;
                }
                if length != kept.checked_add(shown)? {
                    return Some(Originals::None);
                }
                let pattern = ends().map(|(begin, _, end)| begin + "%" + &end);
                Some(pattern.map_or(Originals::None, Originals::Among))
            }
        }
    }

    /// `mask(x) LIKE 'abc%'` as a pattern of x, where all of `abc` is among what is kept.
    fn beginning(&self, pattern: &str) -> Option<String> {
        let plain = self.is_plain() && self.stop_at.is_none() && self.hide_length.is_none();
        let begin = pattern.strip_suffix('%')?;
        if !plain || begin.contains(['%', '_', '\\']) || begin.len() > MAX_PATTERN {
            return None;
        }
        // One character that is shown at least, or texts hidden whole could match as well.
        if begin.chars().all(|c| c == self.char) {
            return None;
        }
        let length = begin.chars().count();
        let kept = usize::try_from(self.keep_first).ok()?;
        let threshold = usize::try_from(self.threshold()).ok()?;
        let missing = threshold.saturating_sub(length);
        (length <= kept && missing <= MAX_PATTERN)
            .then(|| format!("{begin}{}%", "_".repeat(missing)))
    }

    /// No regrouping, and no size beyond which a value is hidden whole.
    fn is_plain(&self) -> bool {
        self.group.is_none() && self.char.len_utf8() == 1
    }
}

fn cast_text(operand: &str) -> String {
    super::sql_text::cast(operand, "text")
}

/// `like()`, as 1 or 0, compared with a number.
fn like(text: &str, pattern: &str, operator: &str, number: &str) -> String {
    let matches = call("\"like\"", &[text, &quote(pattern)]);
    op(&super::sql_text::cast(&matches, "int4"), operator, number)
}

fn both(a: &str, b: &str) -> String {
    format!("({a} AND {b})")
}

/// The texts that begin as the pattern does, in the order of code points; `None` if it begins with
/// something that may be anything. It stands last: of what an index found it is true, and comparing by
/// a locale costs more than the pattern. Nothing is before the empty text: that half finds nothing, is NULL
/// for NULL, and keeps the other from being read in the order of an index.
fn range(text: &str, pattern: &str) -> Option<String> {
    // Of letters and digits, whose order is known whatever made the locale.
    let begin: &str = pattern
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .filter(|begin| !begin.is_empty())?;
    let (rest, last) = begin.split_at_checked(begin.len().checked_sub(1)?)?;
    let next = char::from(last.bytes().next()?.checked_add(1)?);
    let end = format!("{rest}{next}");
    Some(format!(
        "({} AND {} OR {})",
        op(text, ">=", &quote(begin)),
        op(text, "<", &quote(&end)),
        op(text, "<", &quote(""))
    ))
}

/// False, and NULL for NULL.
pub(super) fn never(operand: &str) -> String {
    format!("({operand} IS NULL AND NULL)")
}

/// The text as a pattern that matches nothing else.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
