//! The kinds of tokens, and what PostgreSQL takes them for. Deliberately absent: how they are made.

use super::shape::Shape;

/// How a domain makes tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// AES-SIV: reversible; described as varchar.
    Siv,
    /// NIST FF1 over uuids: reversible; a uuid stays a uuid.
    Ff1Uuid,
    /// NIST FF1 over int4 and int8: reversible; an integer stays one of its type.
    Ff1Integer,
    /// NIST FF1 over texts of a shape: reversible; described as varchar. What is not of the shape is
    /// NULL.
    Ff1(Shape),
    /// HMAC-SHA-256: irreversible, with an SQL form. A uuid stays a uuid, texts become varchar.
    Hmac,
    /// The values of encrypted cells, as they are.
    Decrypted,
    /// A mask of the values of encrypted cells: irreversible.
    Masked,
}

impl TokenKind {
    /// A token can be turned back.
    pub fn is_reversible(self) -> bool {
        match self {
            Self::Siv | Self::Ff1Uuid | Self::Ff1Integer | Self::Ff1(_) | Self::Decrypted => true,
            Self::Hmac | Self::Masked => false,
        }
    }

    /// Can one token of a column be of one key and the next of another? Not if they are compared as
    /// they are (hmac), or do not say which key made them (ff1).
    pub fn says_its_key(self) -> bool {
        match self {
            Self::Siv => true,
            Self::Ff1Uuid
            | Self::Ff1Integer
            | Self::Ff1(_)
            | Self::Hmac
            | Self::Decrypted
            | Self::Masked => false,
        }
    }
}

/// What tokens are to PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// int4 or int8, as the column
    Integer,
    /// varchar, or the column's own type of texts
    Text,
    /// uuid
    Uuid,
}
