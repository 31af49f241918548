//! The words of a text that may be any SQL: enough of PostgreSQL's lexical rules (`scan.l`, with
//! `standard_conforming_strings` on) to know what is a word and what is inside quotes or comments.
//!
//! Works on bytes in any encoding whose multibyte characters have no ASCII bytes. Deliberately absent:
//! everything `sql::scan` does for texts that are to be understood.

/// What stands next.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// An unquoted name or keyword, as written.
    Word(&'a [u8]),
    /// A quoted name, as written between its quotes; false if quotes are doubled in it.
    Quoted(&'a [u8], bool),
    /// A string constant without escapes, quotes taken off. Others are [`Item::Other`].
    String(&'a [u8]),
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `.`
    Dot,
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

    /// White space and comments; false if a comment does not end.
    fn blank(&mut self) -> bool {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, rest @ ..] => self.rest = rest,
                [b'-', b'-', rest @ ..] => {
                    let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    self.rest = rest.get(end..).unwrap_or_default();
                }
                [b'/', b'*', ..] => {
                    if !self.block_comment() {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }

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
            let stop = |byte: &u8| *byte == quote || (escapes && *byte == b'\\');
            let found = ahead.iter().position(stop)?;
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
        if !self.blank() {
            return Some(self.unreadable());
        }
        let byte = *self.rest.first()?;
        Some(match byte {
            b'\'' => self.string(false),
            b'"' => match self.quoted(b'"', false) {
                Some((name, plain)) => Item::Quoted(name, plain),
                None => self.unreadable(),
            },
            b'$' => self.dollar(),
            b'0'..=b'9' => {
                // A number's letters (1e5, 0x1F, 1_000) are no word; `1.` and `.5` do not matter.
                self.parts();
                Item::Other
            }
            _ if is_start(byte) => self.word(),
            b';' => self.one(Item::Semicolon),
            b'(' => self.one(Item::Open),
            b'.' => self.one(Item::Dot),
            _ => self.one(Item::Other),
        })
    }
}

impl<'a> Words<'a> {
    fn one(&mut self, item: Item<'a>) -> Item<'a> {
        self.skip(1);
        item
    }
}

const fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_part(byte: u8) -> bool {
    PARTS.get(usize::from(byte)) == Some(&true)
}

/// Asked of most bytes of a text.
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "there is one for each byte, and it is made by the compiler"
)]
const PARTS: [bool; 256] = {
    let (mut parts, mut at) = ([false; 256], 0);
    while at < parts.len() {
        let byte = at as u8;
        parts[at] = is_start(byte) || byte.is_ascii_digit() || byte == b'$';
        at += 1;
    }
    parts
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
                Item::Other,
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
