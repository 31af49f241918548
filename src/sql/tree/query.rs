//! Queries: SELECT, VALUES, set operations, WITH.

use super::expr::{Expr, Name, Operator};
use super::from::TableRef;
use super::position::Position;
use super::statement::Statement;
use super::window::Window;
use crate::ident::Ident;
use crate::pg::Oid;

/// A reference to a base relation in one statement: an index into the analyzer's table of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationId(pub u32);

/// A list of constants in one statement: an index into the analyzer's table of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u32);

/// A value that a temporary table holds and that is compared with tokens, in one statement: an index
/// into the analyzer's table of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeldId(pub u32);

/// A query expression with its WITH, ORDER BY, LIMIT and locking clauses.
#[derive(Clone)]
pub struct Query {
    /// `WITH`
    pub with: Option<With>,
    /// The body.
    pub body: SetExpr,
    /// `ORDER BY`
    pub order_by: Vec<OrderItem>,
    /// `LIMIT`/`OFFSET`/`FETCH`
    pub limit: Option<Limit>,
    /// `FOR UPDATE …`
    pub locking: Vec<Locking>,
}

/// `WITH [RECURSIVE] …`
#[derive(Clone)]
pub struct With {
    /// `RECURSIVE`
    pub recursive: bool,
    /// The common table expressions, in order.
    pub ctes: Vec<Cte>,
}

/// One common table expression.
#[derive(Clone)]
pub struct Cte {
    /// Its name.
    pub name: Ident,
    /// Column aliases. Resolution empties it by putting the names into the body's select list.
    pub columns: Vec<Ident>,
    /// `MATERIALIZED` (`Some(true)`), `NOT MATERIALIZED` (`Some(false)`)
    pub materialized: Option<bool>,
    /// `Statement::Query`, or a data-modifying statement.
    pub body: Box<Statement>,
    /// `SEARCH …`
    pub search: Option<Search>,
    /// `CYCLE …`
    pub cycle: Option<Cycle>,
}

/// `SEARCH DEPTH|BREADTH FIRST BY a, b SET column`
#[derive(Clone)]
pub struct Search {
    /// `DEPTH`
    pub depth_first: bool,
    /// Columns of the CTE.
    pub by: Vec<Ident>,
    /// The column it adds.
    pub set: Ident,
}

/// `CYCLE a, b SET mark [TO value DEFAULT value] USING path`
#[derive(Clone)]
pub struct Cycle {
    /// Columns of the CTE.
    pub columns: Vec<Ident>,
    /// The first column it adds.
    pub mark: Ident,
    /// Constants of the mark: in a cycle, and not.
    pub values: Option<(Expr, Expr)>,
    /// The second column it adds.
    pub path: Ident,
}

/// The body of a query.
#[derive(Clone)]
pub enum SetExpr {
    /// `SELECT …`
    Select(Box<Select>),
    /// `( query )`
    Query(Box<Query>),
    /// `VALUES (…), (…)`
    Values(Vec<Vec<Expr>>),
    /// `a UNION [ALL] b …`, flattened to the left: first arm and the rest, in source order, so that
    /// 600 arms do not nest 600 deep. Arms that bind tighter (INTERSECT) are nested `Chain`s.
    Chain {
        /// The first arm.
        first: Box<SetExpr>,
        /// Operator, ALL?, arm.
        rest: Vec<(SetOp, bool, SetExpr)>,
    },
}

/// Set operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetOp {
    /// `UNION`
    Union,
    /// `INTERSECT`
    Intersect,
    /// `EXCEPT`
    Except,
}

/// `SELECT …` without ORDER BY and what follows it. `TABLE t` is lowered to `SELECT * FROM t`.
#[derive(Clone, Default)]
pub struct Select {
    /// `DISTINCT`
    pub distinct: Option<Distinct>,
    /// The select list; may be empty.
    pub items: Vec<SelectItem>,
    /// `INTO TEMP t`: the table's name; PostgreSQL's `INTO` without TEMP has `temporary` false.
    pub into: Option<(Name, bool)>,
    /// `FROM`, comma separated.
    pub from: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `GROUP BY`
    pub group_by: Vec<GroupItem>,
    /// `GROUP BY DISTINCT`
    pub group_distinct: bool,
    /// `HAVING`
    pub having: Option<Expr>,
    /// `WINDOW w AS (…)`
    pub windows: Vec<(Ident, Window)>,
    /// Which of the expressions in `group_by`, as they are written, have equal values that may be spelled
    /// otherwise, and their types. Of a resolved tree.
    pub spelled: Vec<(usize, Oid)>,
}

/// `DISTINCT` or `DISTINCT ON (…)`
#[derive(Clone)]
pub enum Distinct {
    /// `DISTINCT`
    All,
    /// `DISTINCT ON (…)`
    On(Vec<Expr>),
}

/// All columns of what there is.
#[derive(Clone)]
pub enum Star {
    /// `*`, and where it stands.
    All(Position),
    /// `t.*` / `s.t.*`.
    Of(Name),
}

/// One item of a select list or RETURNING.
#[derive(Clone)]
pub enum SelectItem {
    /// `expr [AS alias]`. After resolution `alias` is always present.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its name.
        alias: Option<Ident>,
    },
    /// `*`, or `t.*` / `s.t.*`. Gone after resolution.
    Star(Star),
    /// `(e).*`. Gone after resolution.
    FieldStar(Expr),
}

/// One item of GROUP BY.
#[derive(Clone)]
pub enum GroupItem {
    /// An expression, or an output column's number or name.
    Expr(Expr),
    /// `()`
    Empty,
    /// `ROLLUP (…)`; each element is an expression or a parenthesised list
    Rollup(Vec<Vec<Expr>>),
    /// `CUBE (…)`
    Cube(Vec<Vec<Expr>>),
    /// `GROUPING SETS (…)`
    Sets(Vec<GroupItem>),
    /// `(a, b)` inside GROUPING SETS
    List(Vec<Expr>),
}

/// One sort key.
#[derive(Clone)]
pub struct OrderItem {
    /// The key: an expression, or an output column's number or name.
    pub expr: Expr,
    /// `ASC`, `DESC`
    pub direction: SortDirection,
    /// `USING op`
    pub using: Option<Operator>,
    /// `NULLS …`
    pub nulls: NullsOrder,
}

/// Sort direction as written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SortDirection {
    /// Nothing written.
    Default,
    /// `ASC`
    Asc,
    /// `DESC`
    Desc,
}

/// `NULLS FIRST`/`LAST`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NullsOrder {
    /// Nothing written.
    Default,
    /// `NULLS FIRST`
    First,
    /// `NULLS LAST`
    Last,
}

/// `LIMIT`, `OFFSET`, `FETCH FIRST … ROWS [ONLY|WITH TIES]`
#[derive(Clone)]
pub struct Limit {
    /// Row count; `LIMIT ALL` is `None`.
    pub count: Option<Expr>,
    /// `OFFSET`
    pub offset: Option<Expr>,
    /// `WITH TIES`
    pub with_ties: bool,
}

impl Limit {
    /// Every row.
    pub fn none() -> Self {
        Self {
            count: None,
            offset: None,
            with_ties: false,
        }
    }
}

/// `FOR UPDATE [OF …] [NOWAIT | SKIP LOCKED]`
#[derive(Clone)]
pub struct Locking {
    /// Strength.
    pub strength: LockStrength,
    /// `OF` aliases.
    pub of: Vec<Name>,
    /// Waiting policy.
    pub wait: LockWait,
}

/// Lock strength.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LockStrength {
    /// `FOR UPDATE`
    Update,
    /// `FOR NO KEY UPDATE`
    NoKeyUpdate,
    /// `FOR SHARE`
    Share,
    /// `FOR KEY SHARE`
    KeyShare,
}

/// What to do when a row is locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    /// Wait.
    Block,
    /// `NOWAIT`
    NoWait,
    /// `SKIP LOCKED`
    SkipLocked,
}
