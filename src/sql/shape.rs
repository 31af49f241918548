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
            Kind::Number(text) => Some(Written::Number(text)),
            Kind::Word(_)
            | Kind::Quoted(_)
            | Kind::Bits { .. }
            | Kind::Param(_)
            | Kind::Operator(_)
            | Kind::Punctuation(_)
            | Kind::Special(_) => None,
        }
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
