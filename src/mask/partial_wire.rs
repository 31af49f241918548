//! Partial masks of values as they stand in a DataRow: what `partial.rs` says in SQL, in Rust.
//!
//! Short ASCII values are the case that must be fast; everything else must be right.

use super::column_type::{ColumnType, TextKind};
use super::partial::{MAX_GROUPED, MAX_WIDE_BYTES, OPAQUE, Partial};
use super::short::{append, is_ascii, is_utf8};

/// A partial mask with its type's rules, ready for values from the wire.
pub(super) struct BoundPartial {
    first: usize,
    last: usize,
    threshold: usize,
    hidden: Hidden,
    stop: Option<Box<[u8]>>,
    group: Option<usize>,
    pub(super) shape: TextShape,
}

/// What hidden characters become.
struct Hidden {
    char: Box<[u8]>,
    /// Many of it.
    run: Box<[u8]>,
    /// Bytes of the run, if it is as many whatever the hidden part's length.
    exactly: Option<usize>,
}

/// Characters there are always in a [`Hidden::run`].
const RUN: usize = 64;

/// What a cast to the column's type does to a text.
#[derive(Clone, Copy)]
pub(super) struct TextShape {
    limit: Option<usize>,
    bpchar: bool,
}

impl TextShape {
    pub(super) fn new(ty: &ColumnType, kind: TextKind) -> Self {
        Self {
            limit: ty.character_limit(),
            bpchar: kind == TextKind::Bpchar,
        }
    }

    /// Cuts what was appended after `start` to n characters, and pads a char(n).
    pub(super) fn finish(self, out: &mut Vec<u8>, start: usize) {
        let Some(limit) = self.limit else { return };
        let appended = out.get(start..).unwrap_or_default();
        // No text has more characters than bytes.
        if appended.len() > limit {
            let cut = bytes_of(appended, limit).filter(|cut| *cut < appended.len());
            if let Some(cut) = cut {
                out.truncate(start.saturating_add(cut));
                return;
            }
        }
        if self.bpchar {
            let appended = out.get(start..).unwrap_or_default();
            let missing = limit.saturating_sub(characters(appended));
            out.resize(out.len().saturating_add(missing), b' ');
        }
    }
}

fn starts_character(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// Characters of valid UTF-8.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| starts_character(**byte)).count()
}

/// Bytes of the first `count` characters of valid UTF-8; `None` if it has fewer.
fn bytes_of(text: &[u8], count: usize) -> Option<usize> {
    let mut at = 0_usize;
    for _ in 0..count {
        let width = match text.get(at)? {
            ..0xc0 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        at = at.saturating_add(width);
    }
    Some(at)
}

/// Where the last `count` characters of valid UTF-8 begin; at its begin if it has fewer.
fn start_of_last(text: &[u8], count: usize) -> usize {
    let mut left = count;
    let mut start = text.len();
    for byte in text.iter().rev() {
        if left == 0 {
            break;
        }
        start = start.saturating_sub(1);
        if starts_character(*byte) {
            left = left.saturating_sub(1);
        }
    }
    start
}

impl BoundPartial {
    /// What a hidden character becomes.
    pub(super) fn hides_by(&self) -> &[u8] {
        &self.hidden.char
    }

    /// `None` when the type has no fixed wire form (citext).
    pub(super) fn bind(partial: &Partial, ty: &ColumnType, kind: TextKind) -> Option<Self> {
        if kind == TextKind::Citext {
            return None;
        }
        let size = |count: u32| usize::try_from(count).ok();
        let char = partial.char.to_string();
        let hidden = match partial.hide_length {
            Some(count) => Some(size(count)?),
            None => None,
        };
        Some(Self {
            first: size(partial.keep_first)?,
            last: size(partial.keep_last)?,
            threshold: size(partial.threshold())?,
            hidden: Hidden {
                run: char
                    .repeat(hidden.unwrap_or(0).max(RUN))
                    .into_bytes()
                    .into(),
                exactly: hidden.map(|count| count.saturating_mul(char.len())),
                char: char.into_bytes().into(),
            },
            stop: partial.stop_at.as_ref().map(|stop| stop.as_bytes().into()),
            group: match partial.group {
                Some(group) => Some(size(group)?),
                None => None,
            },
            shape: TextShape::new(ty, kind),
        })
    }

    /// Appends the masked value: the first `length` bytes of `from`. What else is there does not
    /// matter. Total: whatever is not UTF-8 is hidden whole.
    pub(super) fn apply(&self, from: &[u8], length: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let mut value = from.get(..length).unwrap_or_default();
        if self.shape.bpchar {
            while let Some((b' ', rest)) = value.split_last() {
                value = rest;
            }
        }
        let ascii = is_ascii(value);
        if !ascii && !is_utf8(value) || self.hidden.is_wide() && value.len() > MAX_WIDE_BYTES {
            self.hidden.write_each(OPAQUE, out);
        } else if let Some(group) = self.group {
            self.grouped(value, group, out);
        } else {
            self.ungrouped(from, value, ascii, out);
        }
        self.shape.finish(out, start);
    }

    /// `value` is the beginning of `from`.
    fn ungrouped(&self, from: &[u8], value: &[u8], ascii: bool, out: &mut Vec<u8>) {
        let stop = match &self.stop {
            None => Some(value.len()),
            Some(stop) => find(value, stop).filter(|at| *at > 0),
        };
        let Some(stop) = stop else {
            let length = if ascii {
                value.len()
            } else {
                characters(value)
            };
            return self.hidden.write(length, out);
        };
        // What stays of the covered part and all after it are one piece.
        let tail = if ascii && stop >= self.threshold {
            let hidden = stop.saturating_sub(self.first).saturating_sub(self.last);
            append(out, from, self.first.min(stop));
            self.hidden.write(hidden, out);
            self.first.saturating_add(hidden)
        } else {
            let covered = value.get(..stop).unwrap_or_default();
            self.cover(from, covered, ascii, out)
        };
        let rest = from.get(tail..).unwrap_or_default();
        append(out, rest, value.len().saturating_sub(tail));
    }

    /// Appends what becomes of the first part of `text`, which is the beginning of `from`. The rest
    /// of it begins where it says, and stays.
    fn cover(&self, from: &[u8], text: &[u8], ascii: bool, out: &mut Vec<u8>) -> usize {
        let (length, head) = if ascii {
            let long = text.len() >= self.threshold;
            (text.len(), long.then_some(self.first))
        } else {
            // Only a hidden part of its own length has to be counted.
            let length = match self.hidden.exactly {
                None => characters(text),
                Some(_) => 0,
            };
            let head = bytes_of(text, self.first).filter(|head| {
                let more = self.threshold.saturating_sub(self.first);
                bytes_of(text.get(*head..).unwrap_or_default(), more).is_some()
            });
            (length, head)
        };
        let Some(head) = head else {
            self.hidden.write(length, out);
            return text.len();
        };
        let middle = length.saturating_sub(self.first).saturating_sub(self.last);
        let tail = if ascii {
            text.len().saturating_sub(self.last)
        } else {
            start_of_last(text, self.last)
        };
        append(out, from, head.min(text.len()));
        self.hidden.write(middle, out);
        tail
    }

    fn grouped(&self, value: &[u8], group: usize, out: &mut Vec<u8>) {
        let digits: Vec<u8> = (value.iter().copied())
            .filter(|byte| !matches!(byte, b' ' | b'-'))
            .collect();
        if characters(&digits) > MAX_GROUPED {
            return self.hidden.write_each(OPAQUE, out);
        }
        let mut masked = Vec::with_capacity(MAX_GROUPED);
        let tail = self.cover(&digits, &digits, digits.is_ascii(), &mut masked);
        masked.extend_from_slice(digits.get(tail..).unwrap_or_default());
        let mut count = 0_usize;
        for byte in masked {
            if starts_character(byte) {
                if group <= MAX_GROUPED && count > 0 && count.is_multiple_of(group) {
                    out.push(b' ');
                }
                count = count.saturating_add(1);
            }
            out.push(byte);
        }
    }
}

impl Hidden {
    fn is_wide(&self) -> bool {
        self.char.len() > 1
    }

    /// For a hidden part of so many characters.
    fn write(&self, length: usize, out: &mut Vec<u8>) {
        match self.exactly {
            Some(bytes) => append(out, &self.run, bytes),
            None => self.write_each(length, out),
        }
    }

    /// Exactly so many.
    fn write_each(&self, count: usize, out: &mut Vec<u8>) {
        let bytes = count.saturating_mul(self.char.len());
        if bytes <= self.run.len() {
            append(out, &self.run, bytes);
        } else if let [byte] = *self.char {
            out.resize(out.len().saturating_add(count), byte);
        } else {
            for _ in 0..count {
                out.extend_from_slice(&self.char);
            }
        }
    }
}

fn find(value: &[u8], stop: &[u8]) -> Option<usize> {
    match stop {
        [byte] => memchr::memchr(*byte, value),
        _ => memchr::memmem::find(value, stop),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::{BoundPartial, MAX_GROUPED, OPAQUE};
    use crate::mask::Partial;
    use crate::mask::column_type::{ColumnType, Kind, TextKind};
    use crate::pg::types::oid;

    pub(in crate::mask) fn any_partial() -> impl Strategy<Value = Partial> {
        let counts = (0..8_u32, 0..8_u32, 0..9_u32);
        let char = prop::sample::select(vec!['*', ' ', '●', '𝄞']);
        let hide = prop::option::weighted(0.4, prop_oneof![0..6_u32, 15..18_u32, 60..200_u32]);
        let stop = prop::option::weighted(0.4, prop::sample::select(vec!["@", "张", " ", "@@"]));
        let group = prop::option::weighted(0.3, 1..6_u32);
        (counts, char, hide, stop, group).prop_map(
            |((keep_first, keep_last, min_hidden), char, hide_length, stop, group)| Partial {
                keep_first,
                keep_last,
                char,
                min_hidden,
                hide_length,
                stop_at: stop.map(str::to_owned),
                group: group.filter(|_| stop.is_none()),
            },
        )
    }

    /// Mostly text.
    pub(in crate::mask) fn text_or_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            9 => "[a-z0-9@ -]{1,12}".prop_map(String::into_bytes),
            9 => "[一-龥]{1,6}".prop_map(String::into_bytes),
            3 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 1..3),
        ];
        prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
    }

    /// The same mask of a `text`, said as plainly as it can be.
    fn plainly(partial: &Partial, value: &[u8]) -> String {
        let stars = |count: usize| partial.char.to_string().repeat(count);
        let hide = |hidden: usize| stars(partial.hide_length.map_or(hidden, size));
        let cover = |text: &[char]| {
            let (first, last) = (size(partial.keep_first), size(partial.keep_last));
            if text.len() < first + last + size(partial.min_hidden) {
                return hide(text.len());
            }
            let head: String = text.iter().take(first).collect();
            let tail: String = text.iter().skip(text.len() - last).collect();
            head + &hide(text.len() - first - last) + &tail
        };
        let Ok(text) = std::str::from_utf8(value) else {
            return stars(OPAQUE);
        };
        if let Some(group) = partial.group {
            let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
            if digits.len() > MAX_GROUPED {
                return stars(OPAQUE);
            }
            let masked: Vec<char> = cover(&digits).chars().collect();
            let groups: Vec<String> = masked
                .chunks(size(group))
                .map(|g| g.iter().collect())
                .collect();
            return groups.join(" ");
        }
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        match &partial.stop_at {
            None => cover(&chars(text)),
            Some(stop) => match text.split_once(&**stop) {
                None | Some(("", _)) => hide(text.chars().count()),
                Some((before, after)) => cover(&chars(before)) + stop + after,
            },
        }
    }

    fn size(count: u32) -> usize {
        usize::try_from(count).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_what_it_says_whatever_stands_behind_the_value(
            partial in any_partial(),
            value in text_or_bytes(),
            behind in text_or_bytes(),
        ) {
            let ty = ColumnType {
                oid: oid::TEXT,
                typmod: -1,
                sql: "pg_catalog.text".into(),
                collation: None,
                element: None,
                domain: false,
            };
            prop_assert!(matches!(ty.kind(), Kind::Text(TextKind::Text)));
            let bound = BoundPartial::bind(&partial, &ty, TextKind::Text).unwrap();
            let from = [&value[..], &behind].concat();
            let mut out = b"before".to_vec();
            bound.apply(&from, value.len(), &mut out);
            let expected = format!("before{}", plainly(&partial, &value));
            prop_assert_eq!(out, expected.into_bytes(), "{:?}", partial);
        }
    }
}
