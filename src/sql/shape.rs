//! A text cut into tokens, and its shape: the tokens without the texts of its strings and numbers.
//!
//! Texts of one shape parse to trees that differ in their [constants](super::tree::Constant) only:
//! the parser sees nothing but the tokens, and of a string or a number it sees that it is one. So a
//! plan made without a look at a constant is the plan of every text that differs in that constant.

use super::Unsupported;
use super::parse::{Parsed, parse_tokens, scan_text};
use super::print::lexical::Written;
use super::scan::{Kind, Token};
use super::tree::{Constants, Looked};
use crate::pg::LATER_NUMBERS;

/// The first version in which `SYSTEM_USER` is no name.
const SYSTEM_USER: u32 = 160_000;

/// A text in tokens.
pub struct Shaped<'t> {
    tokens: Vec<Token<'t>>,
    /// Which of them are constants.
    constants: Vec<usize>,
}

impl<'t> Shaped<'t> {
    /// Scans a text.
    pub fn scan(text: &'t str) -> Result<Self, Unsupported> {
        let tokens = scan_text(text)?;
        let constants = (tokens.iter().enumerate())
            .filter(|(_, token)| token.kind.constant().is_some())
            .map(|(at, _)| at)
            .collect();
        Ok(Self { tokens, constants })
    }

    /// Appends the shape: two texts have the same bytes here if and only if they have the same shape.
    pub fn write_key(&self, key: &mut Vec<u8>) {
        for token in &self.tokens {
            token.kind.write_shape(key);
        }
    }

    /// Refuses what the server's version does not read; `version` as in `server_version_num`.
    pub fn check_version(&self, version: u32) -> Result<(), Unsupported> {
        if version >= SYSTEM_USER
            && let Some(token) = self.system_user()
        {
            return Err(Unsupported::form(
                "SYSTEM_USER is not supported for restricted roles",
                Some(token.start),
            ));
        }
        let later = |token: &&Token<'_>| matches!(token.kind, Kind::LaterNumber(_));
        match self.tokens.iter().find(later) {
            Some(token) if version < LATER_NUMBERS => Err(Unsupported::syntax(
                "trailing junk after numeric literal",
                Some(token.start),
            )),
            _ => Ok(()),
        }
    }

    /// The first that is a value where `SYSTEM_USER` is reserved. Behind a dot or AS it is a name there too.
    fn system_user(&self) -> Option<&Token<'t>> {
        let word = |token: &Token<'_>, word| matches!(&token.kind, Kind::Word(w) if w == word);
        let name = |before: &Token<'_>| {
            word(before, "as") || matches!(before.kind, Kind::Punctuation('.'))
        };
        let before = std::iter::once(None).chain(self.tokens.iter().map(Some));
        let mut placed = self.tokens.iter().zip(before);
        let found = placed.find(|(t, before)| word(t, "system_user") && !before.is_some_and(name));
        found.map(|(token, _)| token)
    }

    /// The text of its `number`-th constant.
    pub fn constant_text(&self, number: usize) -> Option<&str> {
        self.kind(number)?.constant()
    }

    /// Where its `number`-th constant stands in the text.
    #[cfg(feature = "internals")]
    pub fn constant_range(&self, number: usize) -> Option<std::ops::Range<usize>> {
        let token = self.tokens.get(*self.constants.get(number)?)?;
        Some(token.start..token.end)
    }

    /// How many constants it has.
    pub fn constants(&self) -> usize {
        self.constants.len()
    }

    pub(super) fn constant(&self, number: usize) -> Option<Written<'_>> {
        match self.kind(number)? {
            Kind::String(text) => Some(Written::String(text)),
            Kind::Number(text) | Kind::LaterNumber(text) => Some(Written::Number(text)),
            Kind::Word(_)
            | Kind::Quoted(_)
            | Kind::Bits { .. }
            | Kind::Param(_)
            | Kind::Operator(_)
            | Kind::Punctuation(_)
            | Kind::Special(_) => None,
        }
    }

    /// Its tokens.
    pub(super) fn tokens(&self) -> &[Token<'t>] {
        &self.tokens
    }

    fn kind(&self, number: usize) -> Option<&Kind<'t>> {
        let token = self.tokens.get(*self.constants.get(number)?)?;
        Some(&token.kind)
    }

    /// The text's statements, and what knows which of its constants were looked at.
    pub fn parse(self) -> Result<(Vec<Parsed>, Looked), Unsupported> {
        let mut constants = Constants::new(self.constants.len());
        let parsed = parse_tokens(self.tokens, &mut constants)?;
        Ok((parsed, constants.looked()))
    }
}

#[cfg(test)]
mod tests {
    use super::Shaped;

    fn key(text: &str) -> Vec<u8> {
        let mut key = Vec::new();
        Shaped::scan(text).expect("tokens").write_key(&mut key);
        key
    }

    #[test]
    fn later_numbers_are_for_later_servers() {
        let shaped = Shaped::scan("SELECT 1, 1_000").expect("tokens");
        let early = shaped.check_version(150_018).expect_err("junk");
        assert_eq!((early.sqlstate, early.position), ("42601", Some(10)));
        assert!(shaped.check_version(160_000).is_ok());
        let always = Shaped::scan("SELECT 1, 1000").expect("tokens");
        assert!(always.check_version(150_018).is_ok());
        assert_ne!(key("SELECT 1_0"), key("SELECT 10"));
        assert_ne!(key("SELECT 1_000_000_000_000"), key("SELECT 1_0"));
        assert_eq!(key("SELECT 1_0"), key("SELECT 0x11"));
    }

    #[test]
    fn system_user_is_a_name_before_16_and_where_any_word_is() {
        let check = |text, version| Shaped::scan(text).expect("tokens").check_version(version);
        let refused = check("SELECT System_User", 160_000).expect_err("a value");
        assert_eq!((refused.sqlstate, refused.position), ("0A000", Some(7)));
        assert!(check("SELECT system_user", 150_018).is_ok());
        for name in [
            "t.system_user",
            "1 AS system_user",
            "\"system_user\"",
            "'system_user'",
        ] {
            let text = format!("SELECT {name}");
            let shaped = Shaped::scan(&text).expect("tokens");
            assert!(shaped.check_version(180_000).is_ok());
        }
    }
}
