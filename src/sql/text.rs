//! SQL on its way to PostgreSQL, which knows where in it the client's constants stand, and what else of it
//! came from where.
//!
//! Deliberately absent: which of them may be exchanged for others. That is for whoever knows what was
//! looked at ([`tree::Looked`](super::tree::Looked)).

mod origin;

use std::collections::HashMap;
use std::ops::Range;

pub use self::origin::Pointer;

use super::shape::Shaped;
use super::tree::Looked;

/// SQL on its way to PostgreSQL. May contain literals, so it has neither `Debug` nor `Display`.
#[derive(Clone)]
pub struct SqlText {
    text: String,
    /// In order.
    constants: Box<[Place]>,
    /// Whose constants they are; absent if there are none.
    of: Option<Looked>,
    /// What came from where, by the byte of the text it begins at, in order.
    marks: Box<[(usize, Mark)]>,
    /// What nobody but the proxy wrote, but for what is marked in it, in order.
    ours: Box<[Range<usize>]>,
}

/// Where in the client's text something was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// At this of its tokens.
    Token(u32),
    /// It is this parameter of the client's.
    Param(u16),
}

/// Where one of the client's constants stands.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    /// Which one, among the constants of the client's text.
    number: usize,
}

impl SqlText {
    /// Only the printer and the session's fixed texts make one; `tests/tidy.rs` holds the list.
    pub(crate) fn new(text: String) -> Self {
        Self {
            text,
            constants: Box::default(),
            of: None,
            marks: Box::default(),
            ours: Box::default(),
        }
    }

    /// From what the printer wrote, with marks (`\0n\0`) where constants go, and others (`\0@n\0`, `\0$n\0`)
    /// before what came from a token or a parameter of the client's, and around what is the proxy's own. `None` for a mark without a constant.
    pub(super) fn filled(
        marked: &str,
        constants: &HashMap<usize, String>,
        of: Option<Looked>,
    ) -> Option<Self> {
        let mut text = String::with_capacity(marked.len());
        let mut places = Vec::with_capacity(constants.len());
        let (mut marks, mut ours, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let mut pieces = marked.split('\0');
        text.push_str(pieces.next()?);
        while let Some(mark) = pieces.next() {
            let start = text.len();
            if mark == "(" {
                open.push(start);
            } else if mark == ")" {
                let begin = open.pop()?;
                // One inside another needs no list of its own.
                if open.is_empty() {
                    ours.push(begin..start);
                }
            } else if let Some(token) = mark.strip_prefix('@') {
                marks.push((start, Mark::Token(token.parse().ok()?)));
            } else if let Some(number) = mark.strip_prefix('$') {
                marks.push((start, Mark::Param(number.parse().ok()?)));
            } else {
                let number = mark.parse().ok()?;
                text.push_str(constants.get(&number)?);
                let end = text.len();
                places.push(Place { start, end, number });
            }
            text.push_str(pieces.next()?);
        }
        Some(Self {
            text,
            constants: places.into(),
            of,
            marks: marks.into(),
            ours: ours.into(),
        })
    }

    /// The text, for the upstream connection and for `policy explain`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its constants, if it has any, are those of the text of which this knows what was looked at.
    pub fn is_of(&self, looked: &Looked) -> bool {
        self.of.as_ref().is_none_or(|of| of.is(looked))
    }

    /// The text with the constants of another statement of the same shape, piece by piece. `None` if
    /// that has no such constant; what was pushed is then worth nothing.
    #[must_use = "what was pushed may not be all"]
    pub fn write_with(&self, other: &Shaped<'_>, mut push: impl FnMut(&str)) -> Option<()> {
        let mut at = 0;
        for place in &self.constants {
            push(self.text.get(at..place.start)?);
            other.constant(place.number)?.write(&mut push).ok()?;
            at = place.end;
        }
        push(self.text.get(at..)?);
        Some(())
    }
}

/// The texts are the same.
impl PartialEq for SqlText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SqlText {}
