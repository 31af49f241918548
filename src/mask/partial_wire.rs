//! Partial masks of values as they stand in a DataRow: what `partial.rs` says in SQL, in Rust.
//!
//! Short ASCII values are the case that must be fast; everything else must be right.

use super::column_type::{ColumnType, TextKind};
use super::partial::{MAX_GROUPED, MAX_WIDE_BYTES, OPAQUE, Partial};

/// A partial mask with its type's rules, ready for values from the wire.
pub(super) struct BoundPartial {
    first: usize,
    last: usize,
    threshold: usize,
    hide: Hide,
    char: Box<[u8]>,
    /// Everything hidden, if its length is fixed.
    hidden: Box<[u8]>,
    stop: Option<Box<[u8]>>,
    group: Option<usize>,
    pub(super) shape: TextShape,
}

/// How many characters a hidden part becomes.
#[derive(Clone, Copy)]
enum Hide {
    Length,
    Exactly,
}

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

/// Bytes of the first `count` characters of valid UTF-8; `None` if it has fewer. A loop, because the
/// counts are small and iterators skip in strides.
fn bytes_of(text: &[u8], count: usize) -> Option<usize> {
    let mut left = count;
    for (at, byte) in text.iter().enumerate() {
        if starts_character(*byte) {
            if left == 0 {
                return Some(at);
            }
            left = left.saturating_sub(1);
        }
    }
    (left == 0).then_some(text.len())
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
    /// `None` when the type has no fixed wire form (citext).
    pub(super) fn bind(partial: &Partial, ty: &ColumnType, kind: TextKind) -> Option<Self> {
        if kind == TextKind::Citext {
            return None;
        }
        let size = |count: u32| usize::try_from(count).ok();
        let char = partial.char.to_string();
        let hidden = match partial.hide_length {
            Some(count) => char.repeat(size(count)?),
            None => String::new(),
        };
        Some(Self {
            first: size(partial.keep_first)?,
            last: size(partial.keep_last)?,
            threshold: size(partial.threshold())?,
            hide: match partial.hide_length {
                Some(_) => Hide::Exactly,
                None => Hide::Length,
            },
            char: char.into_bytes().into(),
            hidden: hidden.into_bytes().into(),
            stop: partial.stop_at.as_ref().map(|stop| stop.as_bytes().into()),
            group: match partial.group {
                Some(group) => Some(size(group)?),
                None => None,
            },
            shape: TextShape::new(ty, kind),
        })
    }

    /// Appends the masked value. Total: whatever is not UTF-8 is hidden whole.
    pub(super) fn apply(&self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let mut value = value;
        if self.shape.bpchar {
            while let Some((b' ', rest)) = value.split_last() {
                value = rest;
            }
        }
        let ascii = value.is_ascii();
        if !ascii && std::str::from_utf8(value).is_err()
            || self.char.len() > 1 && value.len() > MAX_WIDE_BYTES
        {
            self.stars(OPAQUE, out);
        } else if let Some(group) = self.group {
            self.grouped(value, group, out);
        } else {
            self.ungrouped(value, ascii, out);
        }
        self.shape.finish(out, start);
    }

    fn ungrouped(&self, value: &[u8], ascii: bool, out: &mut Vec<u8>) {
        let stop = match &self.stop {
            None => Some(value.len()),
            Some(stop) => find(value, stop).filter(|at| *at > 0),
        };
        match stop.and_then(|at| value.split_at_checked(at)) {
            Some((covered, _)) if ascii && covered.len() >= self.threshold => {
                let hidden = covered.len().saturating_sub(self.first);
                let hidden = hidden.saturating_sub(self.last);
                out.extend_from_slice(value.get(..self.first).unwrap_or_default());
                self.hidden(hidden, out);
                // What stays of the covered part and all after it are one piece.
                let tail = self.first.saturating_add(hidden);
                out.extend_from_slice(value.get(tail..).unwrap_or_default());
            }
            Some((covered, rest)) => {
                self.cover(covered, ascii, out);
                out.extend_from_slice(rest);
            }
            None => self.hidden(
                if ascii {
                    value.len()
                } else {
                    characters(value)
                },
                out,
            ),
        }
    }

    fn cover(&self, text: &[u8], ascii: bool, out: &mut Vec<u8>) {
        let count = || if ascii { text.len() } else { characters(text) };
        // Only a hidden part of its own length has to be counted.
        let length = match self.hide {
            Hide::Length => count(),
            Hide::Exactly => 0,
        };
        let long = match self.hide {
            Hide::Length => length >= self.threshold,
            Hide::Exactly if ascii => text.len() >= self.threshold,
            Hide::Exactly => bytes_of(text, self.threshold).is_some(),
        };
        if !long {
            return self.hidden(length, out);
        }
        let middle = length.saturating_sub(self.first).saturating_sub(self.last);
        let (head, tail) = if ascii {
            (self.first, text.len().saturating_sub(self.last))
        } else {
            (
                bytes_of(text, self.first).unwrap_or(text.len()),
                start_of_last(text, self.last),
            )
        };
        out.extend_from_slice(text.get(..head).unwrap_or_default());
        self.hidden(middle, out);
        out.extend_from_slice(text.get(tail..).unwrap_or_default());
    }

    fn grouped(&self, value: &[u8], group: usize, out: &mut Vec<u8>) {
        let digits: Vec<u8> = (value.iter().copied())
            .filter(|byte| !matches!(byte, b' ' | b'-'))
            .collect();
        if characters(&digits) > MAX_GROUPED {
            return self.stars(OPAQUE, out);
        }
        let mut masked = Vec::with_capacity(MAX_GROUPED);
        self.cover(&digits, digits.is_ascii(), &mut masked);
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

    fn hidden(&self, length: usize, out: &mut Vec<u8>) {
        match self.hide {
            Hide::Length => self.stars(length, out),
            Hide::Exactly => out.extend_from_slice(&self.hidden),
        }
    }

    fn stars(&self, count: usize, out: &mut Vec<u8>) {
        if let [byte] = *self.char {
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
