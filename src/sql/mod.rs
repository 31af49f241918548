//! Text ⇄ our own small syntax tree.
//!
//! Only [`mod@parse`] and `lower` name `sqlparser`: its tree and its `Display` never leave this module,
//! because `Display` is an SQL injection (a quote after a backslash is printed unescaped) and its
//! lexer is not PostgreSQL's. The road of a text is: UTF-8 and size caps, our own PostgreSQL-exact
//! scanner, sqlparser fed with our scanner's tokens (it never reads the text), lowering with
//! exhaustive matches into [`tree`], and, after analysis, our own printer.

pub mod fingerprint;
mod lower;
pub mod parse;
pub mod print;
mod scan;
mod shape;
mod text;
pub mod tree;

pub use self::parse::{Parsed, parse};
pub use self::shape::Shaped;
pub use self::text::{Pointer, SqlText};

use std::fmt;

use crate::refusal::Refusal;

/// Why a text cannot be analyzed. Never contains a literal of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// SQLSTATE: 42601 when PostgreSQL would refuse it too, 0A000 when only pgveil does, 42939 for
    /// its own names, 54001/54000 for size.
    pub sqlstate: &'static str,
    /// What it is, in words for its author, lower case, no full stop: `MERGE is not supported for
    /// restricted roles`.
    pub what: String,
    /// Byte offset in the text.
    pub position: Option<usize>,
    /// What to write instead, when there is an answer.
    pub hint: Option<String>,
}

impl Unsupported {
    /// A form pgveil cannot analyze.
    pub fn form(what: impl Into<String>, position: Option<usize>) -> Self {
        Self {
            sqlstate: crate::pg::sqlstate::FEATURE_NOT_SUPPORTED,
            what: what.into(),
            position,
            hint: None,
        }
    }

    /// A text PostgreSQL would refuse as well.
    pub fn syntax(what: impl Into<String>, position: Option<usize>) -> Self {
        Self {
            sqlstate: crate::pg::sqlstate::SYNTAX_ERROR,
            ..Self::form(what, position)
        }
    }
}

impl fmt::Debug for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {:?}", self.sqlstate, self.what, self.position)
    }
}

impl From<Unsupported> for Refusal {
    fn from(u: Unsupported) -> Self {
        Self {
            sqlstate: u.sqlstate,
            message: u.what,
            detail: None,
            hint: u.hint,
            position: u.position,
        }
    }
}
