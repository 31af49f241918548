//! From a place in what was sent to the place in the client's text that it came of, for errors that PostgreSQL
//! tells with one.
//!
//! The printer says where names, columns, constants and parameters come from. What stands between two of
//! these, a keyword or an operator, is looked for between the same two in the client's text, and found if it
//! stands there as often. Both texts are cut by the scanner, so that nothing in a string or a comment is taken
//! for it. All this is done when an error came, and costs a statement that succeeds nothing but the list.
//!
//! Deliberately absent: guesses. Where nothing answers there is no position.

use std::ops::Range;

use super::{Mark, SqlText};
use crate::limits;
use crate::sql::scan::{self, Kind, Token};
use crate::sql::shape::Shaped;

/// What is looked for.
#[derive(PartialEq, Eq)]
enum Key<'t> {
    Word(&'t str),
    Name(&'t str),
    Operator(&'t str),
    /// A parenthesis that opens a query.
    Query,
}

/// Where PostgreSQL points with an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// At the leftmost part of what is wrong.
    Leftmost,
    /// At a cast itself, which `::` writes behind its operand.
    Cast,
}

impl SqlText {
    /// Where in `client`, a text of the shape of that which this was made of, stands what stands at this
    /// character (from 0) of what was sent with its constants: a byte offset.
    pub fn origin(&self, character: usize, client: &str, pointer: Pointer) -> Option<usize> {
        let shaped = Shaped::scan(client).ok()?;
        let at = self.own_offset(character, &shaped)?;
        let printed = scan::scan(&self.text, limits::SQL_TOKENS.saturating_mul(4)).ok()?;
        let texts = Texts {
            marks: &self.marks,
            ours: &self.ours,
            printed: &printed,
            client: shaped.tokens(),
        };
        let found = texts.origin(index_at(&printed, at)?, pointer)?;
        Some(texts.client.get(found)?.start)
    }

    /// The byte of this text where the other, with its own constants, has this character.
    fn own_offset(&self, character: usize, other: &Shaped<'_>) -> Option<usize> {
        let mut sent = String::with_capacity(self.text.len());
        self.write_with(other, |piece| sent.push_str(piece))?;
        let (byte, _) = sent.char_indices().nth(character)?;
        let (mut left, mut own) = (byte, 0_usize);
        for place in &self.constants {
            let before = place.start.checked_sub(own)?;
            if left < before {
                break;
            }
            left = left.checked_sub(before)?;
            let mut length = 0_usize;
            let measure = |piece: &str| length = length.saturating_add(piece.len());
            other.constant(place.number)?.write(measure).ok()?;
            if left < length {
                return Some(place.start);
            }
            left = left.checked_sub(length)?;
            own = place.end;
        }
        own.checked_add(left)
    }
}

/// The token that begins there.
fn index_at(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    tokens.binary_search_by_key(&at, |token| token.start).ok()
}

/// What was printed and what the client wrote, in tokens.
struct Texts<'t> {
    marks: &'t [(usize, Mark)],
    ours: &'t [Range<usize>],
    printed: &'t [Token<'t>],
    client: &'t [Token<'t>],
}

impl Texts<'_> {
    /// The client's token that a printed one comes of.
    fn origin(&self, at: usize, pointer: Pointer) -> Option<usize> {
        if let Some(found) = self.marked(at) {
            return Some(found);
        }
        if word(self.printed.get(at)?) == Some("cast") {
            let cast = self.cast(at)?;
            let behind = matches!(self.client.get(cast)?.kind, Kind::Special("::"));
            return if behind && pointer == Pointer::Leftmost {
                self.origin(self.operand(at)?, pointer)
            } else {
                Some(cast)
            };
        }
        self.between(at)
    }

    /// What the printer said of it.
    fn marked(&self, at: usize) -> Option<usize> {
        let start = self.printed.get(at)?.start;
        let (n, mark) = self.mark_at(start)?;
        match mark {
            Mark::Token(token) => usize::try_from(token).ok(),
            Mark::Param(number) => {
                let same = |(_, other): &&(usize, Mark)| *other == mark;
                let before = self.marks.get(..n)?.iter().filter(same).count();
                let all = self.marks.iter().filter(same).count();
                let mut written = (self.client.iter().enumerate())
                    .filter(|(_, token)| matches!(token.kind, Kind::Param(n) if n == number))
                    .map(|(at, _)| at);
                let as_often = written.clone().count() == all;
                written.nth(if as_often { before } else { 0 })
            }
        }
    }

    fn mark_at(&self, start: usize) -> Option<(usize, Mark)> {
        let n = (self.marks)
            .binary_search_by_key(&start, |(at, _)| *at)
            .ok()?;
        Some((n, self.marks.get(n)?.1))
    }

    /// The first token inside a printed `CAST((`.
    fn operand(&self, cast: usize) -> Option<usize> {
        let inside = cast.checked_add(1)?;
        let opens = |token: &Token<'_>| matches!(token.kind, Kind::Punctuation('('));
        let skipped = (self.printed.get(inside..)?)
            .iter()
            .take_while(|t| opens(t));
        inside.checked_add(skipped.count())
    }

    /// How the client wrote a printed `CAST(… AS type)`: `::`, CAST, or the type before a constant.
    fn cast(&self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let mut named = None;
        for (n, token) in self.printed.iter().enumerate().skip(at.checked_add(1)?) {
            match token.kind {
                Kind::Punctuation('(') => depth = depth.checked_add(1)?,
                Kind::Punctuation(')') => depth = depth.checked_sub(1)?,
                _ if depth == 1 && word(token) == Some("as") => named = n.checked_add(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let ty = self.marked(named?)?;
        let before = ty.checked_sub(1)?;
        let token = self.client.get(before)?;
        if matches!(token.kind, Kind::Special("::")) {
            return Some(before);
        }
        if word(token) != Some("as") {
            return Some(ty);
        }
        let mut open = 0_usize;
        for n in (0..before).rev() {
            match self.client.get(n)?.kind {
                Kind::Punctuation(')') => open = open.checked_add(1)?,
                Kind::Punctuation('(') if open == 0 => {
                    let cast = n.checked_sub(1)?;
                    return (word(self.client.get(cast)?) == Some("cast")).then_some(cast);
                }
                Kind::Punctuation('(') => open = open.checked_sub(1)?,
                _ => {}
            }
        }
        None
    }

    /// What is not marked, by what stands around it.
    fn between(&self, at: usize) -> Option<usize> {
        let start = self.printed.get(at)?.start;
        let next = self.marks.partition_point(|(mark, _)| *mark < start);
        let index = |n: usize| index_at(self.printed, self.marks.get(n)?.0);
        let (before, behind) = (next.checked_sub(1).and_then(index), index(next));
        let origin = |n: Option<usize>| n.and_then(|n| self.marked(n));
        let (first, last) = (origin(before), origin(behind));
        let (begin, end) = self.statement(first.or(last)?);
        let after = |n: Option<usize>, begin| n.map_or(begin, |n| n.saturating_add(1));
        let printed = after(before, 0)..behind.unwrap_or(self.printed.len());
        let client = after(first, begin)..last.unwrap_or(end);
        let key = printed_key(self.printed, at)?;
        let same =
            |n: &usize| !self.is_ours(*n) && printed_key(self.printed, *n).as_ref() == Some(&key);
        let printed: Vec<usize> = printed.filter(same).collect();
        let written: Vec<usize> = client.filter(|n| self.is_written(*n, &key)).collect();
        let number = printed.iter().position(|n| *n == at)?;
        let found = written.get(number).copied();
        found.filter(|_| written.len() == printed.len())
    }

    /// Did the proxy write this of its own accord?
    fn is_ours(&self, at: usize) -> bool {
        self.printed.get(at).is_some_and(|token| {
            let next = self.ours.partition_point(|range| range.end <= token.start);
            self.ours
                .get(next)
                .is_some_and(|range| range.contains(&token.start))
        })
    }

    /// The client's statement that this token is of.
    fn statement(&self, of: usize) -> (usize, usize) {
        let ends = |token: &Token<'_>| matches!(token.kind, Kind::Punctuation(';'));
        let (before, behind) = self.client.split_at(of.min(self.client.len()));
        let begin = before.iter().rposition(ends);
        let end = behind.iter().position(ends);
        (
            begin.map_or(0, |n| n.saturating_add(1)),
            end.map_or(self.client.len(), |n| of.saturating_add(n)),
        )
    }

    /// Has the client written this there?
    fn is_written(&self, at: usize, key: &Key<'_>) -> bool {
        let Some(token) = self.client.get(at) else {
            return false;
        };
        let near = |by: isize| self.client.get(at.checked_add_signed(by)?);
        let near_word = |by| near(by).and_then(word);
        match (key, &token.kind) {
            (Key::Name(wanted), Kind::Word(name) | Kind::Quoted(name)) => wanted == name,
            (Key::Operator(wanted), Kind::Operator(symbol)) => {
                let dot = near(-1).is_some_and(|t| matches!(t.kind, Kind::Punctuation('.')));
                let written_out = dot || near_word(-2) == Some("operator");
                wanted == symbol && !written_out
            }
            (Key::Operator(wanted), Kind::Word(word)) => match &**word {
                // A NOT before one of these is where it begins.
                "not" => near_word(1).and_then(negation) == Some(wanted),
                "operator" => printed_key(self.client, at).as_ref() == Some(key),
                word => near_word(-1) != Some("not") && match_of(word) == Some(wanted),
            },
            (Key::Word(wanted), Kind::Word(word)) => wanted == word,
            (Key::Query, Kind::Punctuation('(')) => opens_query(self.client, at),
            _ => false,
        }
    }
}

/// What a token is, as the printer writes it.
fn printed_key<'t>(tokens: &'t [Token<'t>], at: usize) -> Option<Key<'t>> {
    match &tokens.get(at)?.kind {
        Kind::Word(word) if word == "operator" => {
            let symbols = tokens
                .get(at..)?
                .iter()
                .find_map(|token| match &token.kind {
                    Kind::Operator(symbol) => Some(&**symbol),
                    _ => None,
                });
            symbols.map(Key::Operator)
        }
        Kind::Word(word) => Some(Key::Word(word)),
        Kind::Quoted(name) => Some(Key::Name(name)),
        Kind::Punctuation('(') => opens_query(tokens, at).then_some(Key::Query),
        _ => None,
    }
}

fn opens_query(tokens: &[Token<'_>], at: usize) -> bool {
    let next = tokens.get(at.saturating_add(1)).and_then(word);
    matches!(next, Some("select" | "with" | "values" | "table"))
}

/// The operator that a word stands for.
fn match_of(word: &str) -> Option<&'static str> {
    match word {
        "like" => Some("~~"),
        "ilike" => Some("~~*"),
        "similar" => Some("~"),
        _ => None,
    }
}

/// The operator of NOT and this word.
fn negation(word: &str) -> Option<&'static str> {
    match word {
        "like" => Some("!~~"),
        "ilike" => Some("!~~*"),
        "similar" => Some("!~"),
        _ => None,
    }
}

fn word<'t>(token: &'t Token<'_>) -> Option<&'t str> {
    match &token.kind {
        Kind::Word(word) => Some(word),
        _ => None,
    }
}
