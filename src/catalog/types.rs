//! Types, functions and operators as the analyzer needs them.

use std::sync::Arc;

use crate::ident::Ident;
use crate::pg::Oid;

/// What kind of type it is (`pg_type.typtype`), with what masks and the analyzer must know.
#[derive(Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// `b`, including arrays' element in `array_element`
    Base,
    /// `c`: the relation that describes it
    Composite {
        /// `typrelid`
        relation: Oid,
    },
    /// `d`
    Domain {
        /// `typbasetype`
        base: Oid,
        /// `typtypmod`
        typmod: i32,
        /// Has CHECK constraints (its own or of a domain below it).
        has_check: bool,
        /// NOT NULL
        not_null: bool,
    },
    /// `e`
    Enum,
    /// `r`, `m`
    Range,
    /// `p`
    Pseudo,
}

/// A type.
#[derive(Clone)]
pub struct TypeInfo {
    /// `pg_type.oid`
    pub oid: Oid,
    /// Schema.
    pub schema: Ident,
    /// Internal name (`int4`, `_text`).
    pub name: Ident,
    /// Kind.
    pub kind: TypeKind,
    /// Element type, when it is a true array (`typcategory = 'A'`).
    pub array_element: Option<Oid>,
    /// `typcategory`
    pub category: u8,
    /// `typispreferred`
    pub preferred: bool,
    /// `typlen`: bytes of a value, negative if they differ.
    pub length: i16,
    /// The extension that owns it, if any.
    pub extension: Option<Arc<str>>,
}

/// Where PostgreSQL applies a cast by itself (`pg_cast.castcontext`), from most places to fewest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CastContext {
    /// `i`: in expressions
    Implicit,
    /// `a`: when assigning to a column
    Assignment,
    /// `e`: nowhere
    Explicit,
}

/// A function that PostgreSQL calls where the statement writes no call.
#[derive(Clone)]
pub struct Called {
    /// Schema; empty if it is not read, and then nobody may call it.
    pub schema: Ident,
    /// Name.
    pub name: Ident,
    /// The extension that owns it, if any.
    pub extension: Option<Arc<str>>,
}

/// A cast between two types.
#[derive(Clone)]
pub struct Cast {
    /// Where it is applied without being written.
    pub context: CastContext,
    /// The function it calls, if it calls one.
    pub function: Option<Called>,
}

/// `pg_proc.prokind`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FunctionKind {
    /// `f`
    Function,
    /// `a`
    Aggregate,
    /// `w`
    Window,
    /// `p`
    Procedure,
}

/// `pg_proc.provolatile`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Volatility {
    /// `i`
    Immutable,
    /// `s`
    Stable,
    /// `v`
    Volatile,
}

/// A function.
#[derive(Clone)]
pub struct Function {
    /// `pg_proc.oid`
    pub oid: Oid,
    /// Schema.
    pub schema: Ident,
    /// Kind.
    pub kind: FunctionKind,
    /// Volatility.
    pub volatility: Volatility,
    /// Input argument types.
    pub args: Vec<Oid>,
    /// How many of them have defaults.
    pub defaults: u16,
    /// `provariadic` is not 0.
    pub variadic: bool,
    /// Result type.
    pub result: Oid,
    /// Returns a set.
    pub returns_set: bool,
    /// Names of OUT/TABLE columns, when it has any (then `result` is `record` or the one's type).
    pub out_columns: Vec<(Ident, Oid)>,
    /// The extension that owns it, if any.
    pub extension: Option<Arc<str>>,
}

/// An operator.
#[derive(Clone)]
pub struct OperatorInfo {
    /// Schema.
    pub schema: Ident,
    /// Left type; 0 for a prefix operator.
    pub left: Oid,
    /// Right type.
    pub right: Oid,
    /// Result type.
    pub result: Oid,
    /// The extension that owns it, if any.
    pub extension: Option<Arc<str>>,
}
