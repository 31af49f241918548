//! PostgreSQL's own names, for what the proxy writes itself: always by `pg_catalog`, whatever the client's
//! search path holds before it.

use super::expr::{Call, Expr, Name, Operator, TypeName};
use super::position::Position;
use crate::ident::Ident;

const SCHEMA: &str = "pg_catalog";

impl Name {
    /// A function, type or collation, at no place of the client's text.
    pub fn builtin(name: &str) -> Self {
        Self::made(vec![Ident::exact(SCHEMA), Ident::exact(name)])
    }

    /// A name that the client did not write.
    pub fn made(parts: Vec<Ident>) -> Self {
        Self {
            parts,
            position: Position::default(),
        }
    }
}

impl Operator {
    /// An operator.
    pub fn builtin(symbol: &str) -> Self {
        Self {
            schema: Some(Ident::exact(SCHEMA)),
            symbol: symbol.into(),
            decides: [false; 2],
        }
    }

    /// `=`, `<` and their kin, whatever schema they are of.
    pub fn is_comparison(&self) -> bool {
        matches!(&*self.symbol, "=" | "<>" | "<" | ">" | "<=" | ">=")
    }
}

impl TypeName {
    /// A type by its internal name, or arrays of it.
    pub fn builtin(name: &str, array_dims: u8) -> Self {
        Self {
            name: Name::builtin(name),
            typmods: Vec::new(),
            interval_fields: None,
            array_dims,
        }
    }
}

impl Expr {
    /// A call of a function.
    pub fn builtin_call(name: &str, args: impl IntoIterator<Item = Self>) -> Self {
        Self::Call(Box::new(Call::plain(Name::builtin(name), args)))
    }
}
