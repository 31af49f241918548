//! Forms with a grammar of their own that PostgreSQL keeps as nodes of their own: XML and JSON
//! constructors, `JSON_VALUE`, `XMLTABLE`, `IS JSON` and their kin.
//!
//! Each is a sequence of words of ours and places for what the client wrote. Lowering checks the
//! sequence against the grammar; after that nothing depends on which form it is: every place is
//! resolved, every value computes, and printing writes the pieces in order. No word is client text.

use super::expr::{Expr, TypeName};
use super::from::TableAlias;
use super::query::{OrderItem, Query};
use super::window::Window;
use crate::ident::Ident;

/// One form.
#[derive(Clone)]
pub struct KeywordForm {
    /// The name PostgreSQL gives to an output column of it; none for predicates.
    pub name: Option<&'static str>,
    /// Its parts, in order.
    pub pieces: Vec<Piece>,
}

/// A part of a form.
#[derive(Clone)]
pub enum Piece {
    /// Keywords and punctuation.
    Word(&'static str),
    /// A value.
    Expr(Expr),
    /// A value with a label: `e AS name`. Resolution labels a column that has none.
    Labelled(Expr, Option<Ident>),
    /// A subquery, without parentheses.
    Query(Box<Query>),
    /// A type.
    Type(TypeName),
    /// A name that is only a label.
    Name(Ident),
    /// A string constant, where the grammar takes nothing else.
    String(Box<str>),
    /// Sort keys.
    OrderBy(Vec<OrderItem>),
    /// What follows `OVER`.
    Over(Box<Window>),
}

/// `XMLTABLE(…)` or `JSON_TABLE(…)` in FROM.
#[derive(Clone)]
pub struct KeywordTable {
    /// `LATERAL`
    pub lateral: bool,
    /// The form itself.
    pub form: KeywordForm,
    /// Names of its columns, in order.
    pub columns: Vec<Ident>,
    /// Alias.
    pub alias: Option<TableAlias>,
}
