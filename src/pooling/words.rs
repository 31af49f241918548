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
    /// A quoted name. With doubled quotes in it, as written.
    Quoted(&'a [u8]),
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

/// Walks a text.
pub(super) struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.checked_add(ahead)?).copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    fn unreadable(&mut self) -> Item<'a> {
        self.at = self.text.len();
        Item::Unreadable
    }

    /// White space and comments; false if a comment does not end.
    fn blank(&mut self) -> bool {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.skip(1),
                [b'-', b'-', ..] => {
                    let end = memchr::memchr2(b'\n', b'\r', self.rest());
                    self.skip(end.unwrap_or(usize::MAX));
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
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth = depth.saturating_add(1);
                    self.skip(2);
                }
                (Some(b'*'), Some(b'/')) => {
                    depth = depth.saturating_sub(1);
                    self.skip(2);
                    if depth == 0 {
                        return true;
                    }
                }
                (Some(_), _) => self.skip(1),
                (None, _) => return false,
            }
        }
    }

    /// From the opening quote to behind the closing one: what is between, and whether it holds
    /// doubled quotes or escapes.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Option<(&'a [u8], bool)> {
        self.skip(1);
        let start = self.at;
        let mut plain = true;
        loop {
            let byte = self.peek(0)?;
            if byte == quote {
                if self.peek(1) != Some(quote) {
                    let inside = self.slice(start, self.at);
                    self.skip(1);
                    return Some((inside, plain));
                }
                plain = false;
                self.skip(2);
            } else if byte == b'\\' && escapes {
                plain = false;
                self.skip(2);
            } else {
                self.skip(1);
            }
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
        let start = self.at;
        self.skip(1);
        if self.peek(0).is_some_and(|b| b.is_ascii_digit()) {
            self.parts();
            return Item::Other;
        }
        while self.peek(0).is_some_and(|b| is_part(b) && b != b'$') {
            self.skip(1);
        }
        if self.peek(0) != Some(b'$') {
            return Item::Other;
        }
        self.skip(1);
        let tag = self.slice(start, self.at);
        match memchr::memmem::find(self.rest(), tag) {
            Some(end) => {
                self.skip(end.saturating_add(tag.len()));
                Item::Other
            }
            None => self.unreadable(),
        }
    }

    /// What parts of a name there are at the front.
    fn parts(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().take_while(|byte| is_part(**byte)).count();
        self.skip(len);
        rest.get(..len).unwrap_or_default()
    }

    fn word(&mut self) -> Item<'a> {
        let word = self.parts();
        if word.len() > 1 {
            return Item::Word(word);
        }
        match (word, self.peek(0), self.peek(1)) {
            (b"e" | b"E", Some(b'\''), _) => self.string(true),
            (b"b" | b"B" | b"x" | b"X" | b"n" | b"N", Some(b'\''), _) => {
                self.string(false);
                Item::Other
            }
            // U&'…' and U&"…" may say anything in escapes.
            (b"u" | b"U", Some(b'&'), Some(quote @ (b'\'' | b'"'))) => {
                self.skip(1);
                match self.quoted(quote, false) {
                    Some(_) if quote == b'\'' => Item::Other,
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
        let byte = self.peek(0)?;
        Some(match byte {
            b'\'' => self.string(false),
            b'"' => match self.quoted(b'"', false) {
                Some((name, _)) => Item::Quoted(name),
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
                Item::Quoted(b"i"),
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
