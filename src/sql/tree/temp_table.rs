//! What CREATE TABLE and CREATE INDEX say of temporary tables.

use super::expr::{Expr, Name, TypeName};
use super::query::{NullsOrder, Query, SortDirection};
use super::statement::IndexElement;
use crate::ident::Ident;

/// A temporary table.
#[derive(Clone)]
pub struct CreateTable {
    /// Name.
    pub name: Name,
    /// `TEMP`; a table that is not temporary is refused by the planner, with a better word than the
    /// parser could give.
    pub temporary: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// Columns; with `query`, only names.
    pub columns: Vec<TempColumn>,
    /// `LIKE t`, among the columns.
    pub likes: Vec<TempLike>,
    /// Table-level `PRIMARY KEY (…)`/`UNIQUE (…)` lists.
    pub keys: Vec<TempKey>,
    /// `[CONSTRAINT name] CHECK (e)`, of the table and of its columns.
    pub checks: Vec<(Option<Ident>, Expr)>,
    /// `ON COMMIT PRESERVE ROWS|DELETE ROWS|DROP` (lower case)
    pub on_commit: Option<Box<str>>,
    /// `AS query`; with `WITH NO DATA`
    pub query: Option<(Box<Query>, bool)>,
}

/// `CREATE INDEX …` of a temporary table. `CONCURRENTLY` is nothing there.
#[derive(Clone)]
pub struct CreateIndex {
    /// `UNIQUE`
    pub unique: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// Name.
    pub name: Option<Ident>,
    /// Table.
    pub table: Name,
    /// `USING method`
    pub method: Option<Ident>,
    /// What rows are found by.
    pub keys: Vec<IndexKey>,
    /// `INCLUDE (a, b)`
    pub include: Vec<Ident>,
    /// `NULLS NOT DISTINCT` (false) or `NULLS DISTINCT`
    pub nulls_distinct: Option<bool>,
    /// `WHERE …`
    pub filter: Option<Expr>,
}

/// A key of a new index: what it is of, and in which order.
#[derive(Clone)]
pub struct IndexKey {
    /// What it is of.
    pub element: IndexElement,
    /// `ASC`/`DESC`
    pub direction: SortDirection,
    /// `NULLS FIRST`/`LAST`
    pub nulls: NullsOrder,
}

/// `LIKE table [INCLUDING …]`
#[derive(Clone)]
pub struct TempLike {
    /// How many columns were written before it.
    pub at: usize,
    /// The table.
    pub name: Name,
    /// `INCLUDING what` (true) and `EXCLUDING what` (lower case, from PostgreSQL's list).
    pub options: Vec<(bool, Box<str>)>,
}

/// `[CONSTRAINT name] PRIMARY KEY (…)` or `UNIQUE (…)`
#[derive(Clone)]
pub struct TempKey {
    /// Name.
    pub name: Option<Ident>,
    /// `PRIMARY KEY`
    pub primary: bool,
    /// Columns.
    pub columns: Vec<Ident>,
}

/// `serial`: an integer whose default is the next number of a sequence of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Serial {
    /// `smallserial`
    Small,
    /// `serial`
    Plain,
    /// `bigserial`
    Big,
}

/// A column of a temporary table.
#[derive(Clone)]
pub struct TempColumn {
    /// Name.
    pub name: Ident,
    /// Type; absent in `CREATE TABLE t (a, b) AS`.
    pub ty: Option<TypeName>,
    /// The type was written as `serial`; `ty` is its integer.
    pub serial: Option<Serial>,
    /// `GENERATED ALWAYS AS IDENTITY` (true) or `BY DEFAULT`
    pub identity: Option<bool>,
    /// `COLLATE c`
    pub collation: Option<Name>,
    /// The column is another's copy: its type and collation as SQL.
    pub copied: Option<Box<str>>,
    /// `NOT NULL`
    pub not_null: bool,
    /// `PRIMARY KEY`
    pub primary_key: bool,
    /// `UNIQUE`
    pub unique: bool,
    /// `DEFAULT e`
    pub default: Option<Expr>,
}
