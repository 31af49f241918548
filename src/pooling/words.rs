//! The words of a text that may be any SQL: enough of PostgreSQL's lexical rules (`scan.l`, with
//! `standard_conforming_strings` on) to know what is a word and what is inside quotes or comments.
//!
//! Works on bytes in any encoding whose multibyte characters have no ASCII bytes. Deliberately absent:
//! everything `sql::scan` does for texts that are to be understood.

use std::ops::Range;

/// What stands next.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// An unquoted name or keyword, as written.
    Word(&'a [u8]),
    /// A quoted name, as written between its quotes; false if quotes are doubled in it.
    Quoted(&'a [u8], bool),
    /// A string constant without escapes, quotes taken off. Others are [`Item::Other`].
    String(&'a [u8]),
    /// What begins with a digit.
    Number(&'a [u8]),
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// Anything else.
    Other,
    /// A quote or comment that does not end.
    Unreadable,
}

/// Walks a text. Every statement of every simple query passes here: what is left of the text is a slice
/// that gets shorter, so that no byte is looked up by its place.
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Takes so many bytes, or what there is.
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, bytes: usize) {
        self.take(bytes);
    }

    fn unreadable(&mut self) -> Item<'a> {
        self.rest = &[];
        Item::Unreadable
    }

    /// `-`, or what follows two of them to the end of the line.
    fn dash(&mut self) -> Option<Item<'a>> {
        let [b'-', b'-', rest @ ..] = self.rest else {
            return Some(self.one(Item::Other));
        };
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        self.rest = rest.get(end..).unwrap_or_default();
        None
    }

    /// `/`, or a comment.
    fn slash(&mut self) -> Option<Item<'a>> {
        if self.rest.get(1) != Some(&b'*') {
            return Some(self.one(Item::Other));
        }
        if self.block_comment() {
            return None;
        }
        Some(self.unreadable())
    }

    /// False if it does not end.
    fn block_comment(&mut self) -> bool {
        let mut depth = 0_u32;
        loop {
            match self.rest {
                [b'/', b'*', rest @ ..] => {
                    depth = depth.saturating_add(1);
                    self.rest = rest;
                }
                [b'*', b'/', rest @ ..] => {
                    depth = depth.saturating_sub(1);
                    self.rest = rest;
                    if depth == 0 {
                        return true;
                    }
                }
                [_, rest @ ..] => self.rest = rest,
                [] => return false,
            }
        }
    }

    /// From the opening quote to behind the closing one: what is between, and whether it holds
    /// doubled quotes or escapes.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Option<(&'a [u8], bool)> {
        self.skip(1);
        let (inside, mut plain, mut at) = (self.rest, true, 0_usize);
        loop {
            let ahead = inside.get(at..)?;
            let found = if escapes {
                memchr::memchr2(quote, b'\\', ahead)?
            } else {
                memchr::memchr(quote, ahead)?
            };
            at = at.saturating_add(found);
            if ahead.get(found) == Some(&quote)
                && ahead.get(found.saturating_add(1)) != Some(&quote)
            {
                self.skip(at.saturating_add(1));
                return Some((inside.get(..at)?, plain));
            }
            plain = false;
            at = at.saturating_add(2);
        }
    }

    fn string(&mut self, escapes: bool) -> Item<'a> {
        match self.quoted(b'\'', escapes) {
            None => self.unreadable(),
            Some((inside, true)) => Item::String(inside),
            Some((_, false)) => Item::Other,
        }
    }

    /// `$tag$ … $tag$`, `$1`, or a stray dollar.
    fn dollar(&mut self) -> Item<'a> {
        let text = self.rest;
        self.skip(1);
        if self.rest.first().is_some_and(u8::is_ascii_digit) {
            self.parts();
            return Item::Other;
        }
        let name = self.rest.iter().take_while(|b| is_part(**b) && **b != b'$');
        let name = name.count();
        self.skip(name);
        if self.rest.first() != Some(&b'$') {
            return Item::Other;
        }
        self.skip(1);
        let tag = text.get(..name.saturating_add(2)).unwrap_or_default();
        match memchr::memmem::find(self.rest, tag) {
            Some(end) => {
                self.skip(end.saturating_add(tag.len()));
                Item::Other
            }
            None => self.unreadable(),
        }
    }

    /// What parts of a name there are at the front.
    fn parts(&mut self) -> &'a [u8] {
        let len = self.rest.iter().position(|byte| !is_part(*byte));
        self.take(len.unwrap_or(self.rest.len()))
    }

    fn word(&mut self) -> Item<'a> {
        let word = self.parts();
        if word.len() > 1 {
            return Item::Word(word);
        }
        match (word, self.rest) {
            (b"e" | b"E", [b'\'', ..]) => self.string(true),
            (b"b" | b"B" | b"x" | b"X" | b"n" | b"N", [b'\'', ..]) => match self.string(false) {
                Item::Unreadable => Item::Unreadable,
                _ => Item::Other,
            },
            // U&'…' and U&"…" may say anything in escapes.
            (b"u" | b"U", [b'&', quote @ (b'\'' | b'"'), ..]) => {
                self.skip(1);
                match self.quoted(*quote, false) {
                    Some(_) if *quote == b'\'' => Item::Other,
                    _ => self.unreadable(),
                }
            }
            _ => Item::Word(word),
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let (byte, rest) = self.rest.split_first()?;
            return Some(match class(*byte) {
                Class::Blank => {
                    self.rest = rest;
                    continue;
                }
                Class::Quote => match byte {
                    b'\'' => self.string(false),
                    _ => match self.quoted(b'"', false) {
                        Some((name, plain)) => Item::Quoted(name, plain),
                        None => self.unreadable(),
                    },
                },
                Class::Start => self.word(),
                // A number's letters (1e5, 0x1F, 1_000) are no word; `1.` and `.5` do not matter.
                Class::Digit => Item::Number(self.parts()),
                Class::Special => match byte {
                    b'$' => self.dollar(),
                    b'-' => match self.dash() {
                        Some(item) => item,
                        None => continue,
                    },
                    b'/' => match self.slash() {
                        Some(item) => item,
                        None => continue,
                    },
                    b';' => self.one(Item::Semicolon),
                    b'(' => self.one(Item::Open),
                    b'.' => self.one(Item::Dot),
                    b',' => self.one(Item::Comma),
                    _ => self.one(Item::Other),
                },
                Class::Other => self.one(Item::Other),
            });
        }
    }
}

impl<'a> Words<'a> {
    fn one(&mut self, item: Item<'a>) -> Item<'a> {
        self.skip(1);
        item
    }
}

/// Where the constants of a text are, those with escapes left out.
pub(super) fn constants(text: &[u8]) -> Vec<Range<usize>> {
    let (mut words, mut found) = (Words::new(text), Vec::new());
    while let Some(item) = words.next() {
        let length = match item {
            Item::String(inside) => inside.len().saturating_add(2),
            Item::Number(digits) => digits.len(),
            _ => continue,
        };
        let end = text.len().saturating_sub(words.rest.len());
        found.push(end.saturating_sub(length)..end);
    }
    found
}

/// What is left behind a constant without backslashes; `None` if none stands at the front.
pub(super) fn after_constant(text: &[u8]) -> Option<&[u8]> {
    let mut words = Words::new(text);
    match class(*text.first()?) {
        Class::Digit => {
            words.parts();
            Some(words.rest)
        }
        Class::Quote if text.starts_with(b"'") => {
            let (inside, _) = words.quoted(b'\'', false)?;
            memchr::memchr(b'\\', inside)
                .is_none()
                .then_some(words.rest)
        }
        _ => None,
    }
}

/// Does a constant of the text stand for a time that goes on (`'now'::timestamp`)? PostgreSQL reads it
/// once, when it analyzes the text.
pub(super) fn tells_time(text: &[u8]) -> bool {
    const TIMES: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];
    Words::new(text).any(|item| match item {
        Item::String(inside) => {
            let mut words = inside.split(|b| !b.is_ascii_alphabetic());
            words.any(|w| TIMES.iter().any(|time| w.eq_ignore_ascii_case(time)))
        }
        _ => false,
    })
}

/// What a byte is where something begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    /// Of a name.
    Start,
    Digit,
    /// `'` and `"`
    Quote,
    /// `$ - / ; ( . ,`
    Special,
    Other,
}

fn class(byte: u8) -> Class {
    let known = CLASSES.get(usize::from(byte));
    known.copied().unwrap_or(Class::Other)
}

fn is_part(byte: u8) -> bool {
    matches!(class(byte), Class::Start | Class::Digit) || byte == b'$'
}

/// Asked of most bytes of a text.
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "there is one for each byte, and it is made by the compiler"
)]
static CLASSES: [Class; 256] = {
    let (mut classes, mut at) = ([Class::Other; 256], 0);
    while at < classes.len() {
        classes[at] = match at as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Blank,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => Class::Start,
            b'0'..=b'9' => Class::Digit,
            b'\'' | b'"' => Class::Quote,
            b'$' | b'-' | b'/' | b';' | b'(' | b'.' | b',' => Class::Special,
            _ => Class::Other,
        };
        at += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::{Item, Words};

    #[test]
    fn quotes_and_comments_hide_words() {
        let text = b"a/* b /* c */ */--d\n'e''f' E'\\'g' $x$ h $x$ \"i\".j(1e5;$1)";
        let items: Vec<_> = Words::new(text).collect();
        assert_eq!(
            items,
            [
                Item::Word(b"a"),
                Item::Other,
                Item::Other,
                Item::Other,
                Item::Quoted(b"i", true),
                Item::Dot,
                Item::Word(b"j"),
                Item::Open,
                Item::Number(b"1e5"),
                Item::Semicolon,
                Item::Other,
                Item::Other,
            ]
        );
    }

    #[test]
    fn what_does_not_end_is_unreadable() {
        for text in ["'a", "\"a", "/* a", "$a$ b", "E'\\'", "u&\"a\""] {
            assert!(
                Words::new(text.as_bytes()).any(|i| i == Item::Unreadable),
                "{text}"
            );
        }
    }
}
