//! What stands in FROM: relations, queries, functions, joins.

use super::expr::{Call, Expr, Name, TypeName};
use super::keyword::KeywordTable;
use super::query::{Query, RelationId};
use crate::ident::Ident;

/// An alias with optional column names: `AS t (a, b)`. Column names are gone after resolution.
#[derive(Clone)]
pub struct TableAlias {
    /// The alias.
    pub name: Ident,
    /// Column aliases.
    pub columns: Vec<Ident>,
}

/// A base relation, CTE, view or temp table by name.
#[derive(Clone)]
pub struct RelationRef {
    /// As written; after resolution two parts (schema, name) for a catalog relation, one for a CTE.
    pub name: Name,
    /// `ONLY`
    pub only: bool,
    /// `AS t (a, b)`. Always present after resolution.
    pub alias: Option<TableAlias>,
    /// `TABLESAMPLE`
    pub sample: Option<TableSample>,
    /// Set by resolution for a catalog relation; `None` for a CTE.
    pub id: Option<RelationId>,
}

/// `TABLESAMPLE method (args) [REPEATABLE (seed)]`
#[derive(Clone)]
pub struct TableSample {
    /// `bernoulli` or `system`.
    pub method: Name,
    /// Arguments.
    pub args: Vec<Expr>,
    /// `REPEATABLE`
    pub repeatable: Option<Expr>,
}

/// A column definition of `AS t (a int, b text)`.
#[derive(Clone)]
pub struct ColumnDef {
    /// Name.
    pub name: Ident,
    /// Type.
    pub ty: TypeName,
    /// `COLLATE`
    pub collation: Option<Name>,
}

/// One function of a FROM item, with its own column definitions inside ROWS FROM.
#[derive(Clone)]
pub struct RowsFromItem {
    /// The call.
    pub call: Call,
    /// `AS (a int, …)`
    pub columns: Vec<ColumnDef>,
}

/// A function, or `ROWS FROM (…)`, in FROM.
#[derive(Clone)]
pub struct TableFunction {
    /// One, or several with ROWS FROM.
    pub functions: Vec<RowsFromItem>,
    /// `ROWS FROM` was written.
    pub rows_from: bool,
    /// `WITH ORDINALITY`
    pub ordinality: bool,
    /// `LATERAL`
    pub lateral: bool,
    /// Alias.
    pub alias: Option<TableAlias>,
    /// `AS t (a int, b text)`
    pub columns: Vec<ColumnDef>,
}

/// A FROM item.
#[derive(Clone)]
pub enum TableRef {
    /// A relation.
    Relation(Box<RelationRef>),
    /// `(query) AS t`
    Derived {
        /// `LATERAL`
        lateral: bool,
        /// The query.
        query: Box<Query>,
        /// Alias (PostgreSQL 16 lets it be absent).
        alias: Option<TableAlias>,
    },
    /// A function.
    Function(Box<TableFunction>),
    /// `XMLTABLE(…)`, `JSON_TABLE(…)`
    Keyword(Box<KeywordTable>),
    /// `left JOIN right …`
    Join {
        /// Left side.
        left: Box<TableRef>,
        /// Right side.
        right: Box<TableRef>,
        /// Kind.
        kind: JoinKind,
        /// Condition.
        constraint: JoinConstraint,
        /// `( … ) AS j`: an alias of the whole join
        alias: Option<TableAlias>,
    },
}

/// Join kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// `INNER`
    Inner,
    /// `LEFT`
    Left,
    /// `RIGHT`
    Right,
    /// `FULL`
    Full,
    /// `CROSS`
    Cross,
}

/// Join conditions. NATURAL becomes USING by resolution.
#[derive(Clone)]
pub enum JoinConstraint {
    /// `ON e`
    On(Expr),
    /// `USING (a, b) [AS j]`
    Using(Vec<Ident>, Option<Ident>),
    /// `NATURAL`
    Natural,
    /// None (CROSS)
    None,
}

impl TableRef {
    /// What its columns may be qualified with, once every relation has an alias.
    pub fn aliases(&self) -> Vec<&Ident> {
        let (alias, inner) = match self {
            Self::Relation(r) => (&r.alias, Vec::new()),
            Self::Derived { alias, .. } => (alias, Vec::new()),
            Self::Function(f) => (&f.alias, Vec::new()),
            Self::Keyword(k) => (&k.alias, Vec::new()),
            Self::Join {
                left,
                right,
                constraint,
                alias,
                ..
            } => {
                let mut inner = [left.aliases(), right.aliases()].concat();
                if let JoinConstraint::Using(_, Some(merged)) = constraint {
                    inner.push(merged);
                }
                (alias, inner)
            }
        };
        let own = alias.iter().map(|alias| &alias.name);
        own.chain(inner).collect()
    }

    /// A relation by qualified name, without alias.
    pub fn relation(parts: &[&str]) -> Self {
        Self::Relation(Box::new(RelationRef {
            name: Name::made(parts.iter().map(|p| Ident::exact(p)).collect()),
            only: false,
            alias: None,
            sample: None,
            id: None,
        }))
    }
}
