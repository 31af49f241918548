//! What all tokens of the kind `siv` have in common, whatever they stand for: how they begin, which
//! characters they have, how many. What follows from that alone is known without a token.
//!
//! Deliberately absent: other kinds. A token of `ff1` looks like what it stands for, and one of `hmac`
//! PostgreSQL computes itself.

use super::codec::PREFIX;
use super::keyring::KEY_ID_CHARACTERS;
use crate::mask::Partial;
use crate::mask::mask::{CompiledMask, Mask};

/// Characters of the token of an empty text: 16 bytes in base32.
const SHORTEST: usize = PREFIX.len() + KEY_ID_CHARACTERS + 26;

/// May a token have this character?
fn in_tokens(c: char) -> bool {
    matches!(c, 'a'..='z' | '2'..='7' | '_')
}

/// Is no text of at most so many characters a token?
pub fn too_short_for_tokens(characters: usize) -> bool {
    characters < SHORTEST
}

impl CompiledMask {
    /// Is nothing it makes a token?
    pub fn makes_no_token(&self) -> bool {
        match self.whole() {
            Some(Mask::Constant(value)) => !value.starts_with(PREFIX),
            Some(Mask::Partial(partial)) => marks(partial),
            _ => false,
        }
    }
}

/// Does a character that no token has stand among those that could begin one? What is cut to the length
/// of the column's type has it too, or is too short.
fn marks(partial: &Partial) -> bool {
    let hides = match partial.hide_length {
        Some(length) => length > 0,
        None => partial.min_hidden > 0,
    };
    let kept = usize::try_from(partial.keep_first).unwrap_or(usize::MAX);
    hides && !in_tokens(partial.char) && too_short_for_tokens(kept)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::{SHORTEST, in_tokens};
    use crate::mask::token::{TokenKey, TokenKind};
    use crate::mask::{ColumnType, CompiledMask, Mask, Partial, TokenColumn};
    use crate::pg::types::oid;

    fn text(typmod: i32) -> ColumnType {
        ColumnType {
            oid: if typmod < 0 { oid::TEXT } else { oid::VARCHAR },
            typmod,
            sql: "pg_catalog.text".into(),
            collation: None,
            element: None,
            domain: false,
        }
    }

    fn token(domain: &str, seed: u8, plain: &str) -> String {
        let key = TokenKey::new("aa2z", Zeroizing::new([seed; 64])).expect("an id");
        let column = TokenColumn::bind(domain, TokenKind::Siv, &[Arc::new(key)], &text(-1));
        let mut out = Vec::new();
        let column = column.expect("fits");
        column.encode(plain.as_bytes(), &mut out).expect("a token");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn tokens_are_as_said() {
        assert_eq!(token("d", 1, "").len(), SHORTEST);
        for plain in ["", "a", "ada@example.com", "张三"] {
            let token = token("d", 7, plain);
            assert!(
                token.len() >= SHORTEST && token.chars().all(in_tokens),
                "{token}"
            );
        }
    }

    /// Every mask of a small space, of texts that are tokens or begin as one.
    #[test]
    fn what_makes_no_token_makes_none_of_a_token() {
        let whole = token("d", 7, "ada");
        let mail = format!("{whole}@{whole}");
        let (head, tail) = (whole.split_at(36).0, whole.split_at(1).1);
        let mut said = [0, 0];
        for typmod in [-1, 4 + 36, 4 + 44] {
            for (first, last, min) in [(0, 0, 0), (0, 0, 1), (1, 4, 1), (36, 0, 1), (40, 4, 0)] {
                for hide in [None, Some(0), Some(3)] {
                    for (stop, char) in [(None, '*'), (Some("@"), '*'), (None, 'x')] {
                        let mask = Mask::Partial(Partial {
                            keep_first: first,
                            keep_last: last,
                            min_hidden: min,
                            hide_length: hide,
                            stop_at: stop.map(str::to_owned),
                            char,
                            ..Partial::default()
                        });
                        let mask = CompiledMask::compile(&mask, &text(typmod)).expect("fits");
                        said[usize::from(mask.makes_no_token())] += 1;
                        if !mask.makes_no_token() {
                            continue;
                        }
                        for value in [whole.as_str(), &mail, head, tail] {
                            let mut out = Vec::new();
                            mask.apply(value.as_bytes(), &mut out);
                            let out = String::from_utf8(out).expect("text");
                            let like = out.len() >= SHORTEST && out.chars().all(in_tokens);
                            assert!(!like, "{} makes {out} of {value}", mask.describe());
                        }
                    }
                }
            }
        }
        assert!(said[0] > 20 && said[1] > 20, "{said:?}");
        for (constant, none) in [("", true), ("[REDACTED]", true), ("tok_aa2z", false)] {
            let mask = Mask::Constant(constant.to_owned());
            let mask = CompiledMask::compile(&mask, &text(-1)).expect("fits");
            assert_eq!(mask.makes_no_token(), none, "{constant}");
        }
    }
}
