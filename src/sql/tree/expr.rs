//! Scalar expressions. One variant per form PostgreSQL's grammar keeps after its own desugaring.

use super::constant::Constant;
use super::keyword::KeywordForm;
use super::position::Position;
use super::query::{HeldId, ListId, NullsOrder, OrderItem, Query, RelationId, SortDirection};
use super::window::Window;
use crate::ident::Ident;
use crate::pg::Oid;

/// A possibly qualified name, outermost part first: `c`, `t.c`, `s.t.c`.
#[derive(Clone, PartialEq, Eq)]
pub struct Name {
    /// One to four parts.
    pub parts: Vec<Ident>,
    /// Where it was written.
    pub position: Position,
}

/// An operator, possibly qualified: `=`, `OPERATOR(pg_catalog.~)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Operator {
    /// Schema as written, or as resolved. `None` is "by the search path", which only an unresolved
    /// tree has.
    pub schema: Option<Ident>,
    /// The symbol, as PostgreSQL's scanner delimits it (`!=` is already `<>`).
    pub symbol: Box<str>,
    /// Set by resolution, of an `=`: for one value of the right side no two of the left that are different are
    /// equal to it, and the other way round.
    pub decides: [bool; 2],
}

/// A constant. Values never leave the tree except through `sql::print`.
#[derive(Clone, PartialEq, Eq)]
pub enum Literal {
    /// `NULL`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An unsigned numeric constant in canonical text (`42`, `1.5`, `1e10`); digits, `.`, `e`, `-`/`+`
    /// after `e` only.
    Number(Constant),
    /// A string constant of type unknown, decoded (escapes resolved); never contains NUL.
    String(Constant),
    /// `B'0101'` or `X'1F'`, digits checked; kept as bit digits `0`/`1` or hex digits.
    Bits {
        /// `X'…'` rather than `B'…'`.
        hex: bool,
        /// The digits.
        digits: Box<str>,
    },
}

/// A type name. `typmods` are integers, as every built-in type wants.
#[derive(Clone, PartialEq, Eq)]
pub struct TypeName {
    /// Resolved: schema and internal name (`pg_catalog`, `int4`). Before resolution one or two parts.
    /// Lowering already maps SQL spellings (`integer`, `character varying`, `timestamp with time
    /// zone`, `char(n)` = `bpchar`) to `pg_catalog` names, as PostgreSQL's grammar does.
    pub name: Name,
    /// `numeric(5,2)` → `[5, 2]`; interval fields are encoded as PostgreSQL's typmod parts.
    pub typmods: Vec<i64>,
    /// `interval year to month` and the like: the fields, upper case, from a fixed list.
    pub interval_fields: Option<Box<str>>,
    /// Number of `[]`.
    pub array_dims: u8,
}

/// `[NOT] TRUE`/`FALSE`/`UNKNOWN`/`NULL` after `IS`, and `IS [NOT] DOCUMENT`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BoolTest {
    /// `IS NULL`
    Null,
    /// `IS NOT NULL`
    NotNull,
    /// `IS TRUE`
    True,
    /// `IS NOT TRUE`
    NotTrue,
    /// `IS FALSE`
    False,
    /// `IS NOT FALSE`
    NotFalse,
    /// `IS UNKNOWN`
    Unknown,
    /// `IS NOT UNKNOWN`
    NotUnknown,
}

/// `ANY`/`SOME` or `ALL`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// `ANY`, `SOME`
    Any,
    /// `ALL`
    All,
}

/// `a[1]` or `a[lo:hi]`.
#[derive(Clone)]
pub enum Subscript {
    /// `[e]`
    Index(Expr),
    /// `[lo:hi]`, either may be missing
    Slice(Option<Expr>, Option<Expr>),
}

/// Parameterless SQL value functions, which have no parentheses (`SQLValueFunction`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SystemValue {
    /// `CURRENT_DATE`
    CurrentDate,
    /// `CURRENT_TIME[(p)]`
    CurrentTime(Option<u8>),
    /// `CURRENT_TIMESTAMP[(p)]`
    CurrentTimestamp(Option<u8>),
    /// `LOCALTIME[(p)]`
    LocalTime(Option<u8>),
    /// `LOCALTIMESTAMP[(p)]`
    LocalTimestamp(Option<u8>),
    /// `CURRENT_USER`
    CurrentUser,
    /// `CURRENT_ROLE`
    CurrentRole,
    /// `SESSION_USER`
    SessionUser,
    /// `USER`
    User,
    /// `CURRENT_CATALOG`
    CurrentCatalog,
    /// `CURRENT_SCHEMA` without parentheses
    CurrentSchema,
}

/// One argument of a call.
#[derive(Clone)]
pub struct CallArg {
    /// `name => value`
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
    /// `VARIADIC value` (last argument only)
    pub variadic: bool,
}

/// A function, aggregate or window function call.
#[derive(Clone)]
pub struct Call {
    /// One or two parts; resolved calls have two.
    pub function: Name,
    /// Arguments; empty with `star`.
    pub args: Vec<CallArg>,
    /// `count(*)`
    pub star: bool,
    /// `f(DISTINCT …)`
    pub distinct: bool,
    /// `f(… ORDER BY …)`, or of `WITHIN GROUP`
    pub order_by: Vec<OrderItem>,
    /// `WITHIN GROUP (ORDER BY …)`: `order_by` belongs there
    pub within_group: bool,
    /// `FILTER (WHERE …)`
    pub filter: Option<Box<Expr>>,
    /// `OVER name` or `OVER (…)`
    pub over: Option<Box<Window>>,
    /// Set by resolution: equal ones among the values it is given may differ.
    pub apart: bool,
    /// Set by resolution: what it is given may be floats, whose sums are not exact.
    pub inexact: bool,
    /// Set by resolution: the type of its first argument, if that is a float.
    pub float: Option<Oid>,
    /// Set by resolution: it fails for no row, if its arguments do not.
    pub harmless: bool,
}

impl Call {
    /// `a` of `f(a)`, if the call is nothing more than that.
    pub fn only_argument(&self) -> Option<&Expr> {
        let plain = !self.star
            && !self.distinct
            && !self.within_group
            && self.order_by.is_empty()
            && self.filter.is_none()
            && self.over.is_none();
        match self.args.as_slice() {
            [
                CallArg {
                    name: None,
                    value,
                    variadic: false,
                },
            ] if plain => Some(value),
            _ => None,
        }
    }

    /// `f(a, b)`, and nothing more.
    pub fn plain(function: Name, args: impl IntoIterator<Item = Expr>) -> Self {
        let arg = |value| CallArg {
            name: None,
            value,
            variadic: false,
        };
        Self {
            function,
            args: args.into_iter().map(arg).collect(),
            star: false,
            distinct: false,
            order_by: Vec::new(),
            within_group: false,
            filter: None,
            over: None,
            apart: false,
            inexact: false,
            float: None,
            harmless: false,
        }
    }
}

/// A resolved column reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Column {
    /// The FROM item's printed alias; `None` for a column merged by USING.
    pub qualifier: Option<Ident>,
    /// The column's name in that FROM item.
    pub name: Ident,
    /// The base relation it comes from directly, when the FROM item is one: (relation reference,
    /// attribute number). `sql::print` uses it for masks substituted in place.
    pub base: Option<(RelationId, i16)>,
    /// Where it was written.
    pub position: Position,
}

/// A scalar expression.
#[derive(Clone)]
pub enum Expr {
    /// Unresolved: a column, or a whole row. Printing it is an error.
    Name(Name),
    /// Resolved column.
    Column(Column),
    /// Resolved whole-row reference to the FROM item with this printed alias. `base` says it is a
    /// base relation (its masked form carries a hidden whole-row column).
    WholeRow {
        /// The FROM item's printed alias.
        qualifier: Ident,
        /// The base relation, if it is one.
        base: Option<RelationId>,
    },
    /// `$n`, 1-based.
    Param(u16),
    /// Resolved: a constant or parameter that is compared for equality, or stands in a list that may
    /// be. The planner may have another text printed in its place.
    Constant {
        /// Which list it is a member of.
        list: ListId,
        /// Which member.
        member: u32,
        /// As it was written.
        expr: Box<Expr>,
    },
    /// Resolved: a value of the session's temporary tables, compared for equality with a column of
    /// tokens. The planner may have what it stands for printed in its place.
    Held {
        /// Which one.
        held: HeldId,
        /// As it was written.
        expr: Box<Expr>,
    },
    /// A constant.
    Literal(Literal),
    /// `CURRENT_DATE` and friends.
    SystemValue(SystemValue),
    /// Prefix operator.
    Unary(Operator, Box<Expr>),
    /// Infix operator.
    Binary(Box<Expr>, Operator, Box<Expr>),
    /// `AND` of two or more, flattened (keeps chains shallow).
    And(Vec<Expr>),
    /// `OR` of two or more, flattened.
    Or(Vec<Expr>),
    /// `NOT e`
    Not(Box<Expr>),
    /// `e IS …`
    Test(Box<Expr>, BoolTest),
    /// `a IS [NOT] DISTINCT FROM b`
    IsDistinct {
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
        /// `NOT`
        negated: bool,
    },
    /// `e [NOT] BETWEEN [SYMMETRIC] lo AND hi`
    Between {
        /// Tested value.
        expr: Box<Expr>,
        /// Lower bound.
        low: Box<Expr>,
        /// Upper bound.
        high: Box<Expr>,
        /// `NOT`
        negated: bool,
        /// `SYMMETRIC`
        symmetric: bool,
    },
    /// `e [NOT] IN (a, b, …)`
    InList {
        /// Tested value.
        expr: Box<Expr>,
        /// Members.
        list: Vec<Expr>,
        /// `NOT`
        negated: bool,
    },
    /// `e [NOT] IN (query)`; `e` may be a row
    InQuery {
        /// Tested value.
        expr: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
        /// `NOT`
        negated: bool,
    },
    /// `e op ANY/ALL (array)`. `LIKE ANY` has its operator here (`~~`).
    QuantifiedArray {
        /// Left side.
        left: Box<Expr>,
        /// Operator.
        op: Operator,
        /// `ANY` or `ALL`.
        quantifier: Quantifier,
        /// The array.
        array: Box<Expr>,
    },
    /// `e op ANY/ALL (query)`
    QuantifiedQuery {
        /// Left side.
        left: Box<Expr>,
        /// Operator.
        op: Operator,
        /// `ANY` or `ALL`.
        quantifier: Quantifier,
        /// The subquery.
        query: Box<Query>,
    },
    /// `EXISTS (query)`
    Exists(Box<Query>),
    /// `(query)` as a value
    Subquery(Box<Query>),
    /// `ARRAY(query)`
    ArrayQuery(Box<Query>),
    /// `ARRAY[…]`; nested arrays are nested `Array`s
    Array(Vec<Expr>),
    /// `ROW(…)` or `(a, b)`
    Row {
        /// Fields. May hold unresolved stars as [`Expr::Star`].
        fields: Vec<Expr>,
        /// `ROW` was written (a one-field row needs it).
        explicit: bool,
    },
    /// `t.*` inside a call or a row, unresolved. Resolution turns it into columns (in ROW) or a
    /// whole row (in a call).
    Star(Name),
    /// `CASE [operand] WHEN … THEN … ELSE … END`
    Case {
        /// Simple form's operand.
        operand: Option<Box<Expr>>,
        /// `WHEN` / `THEN` pairs.
        branches: Vec<(Expr, Expr)>,
        /// `ELSE`
        otherwise: Option<Box<Expr>>,
    },
    /// `COALESCE(…)`
    Coalesce(Vec<Expr>),
    /// `NULLIF(a, b)`
    NullIf(Box<Expr>, Box<Expr>),
    /// `GREATEST(…)`
    Greatest(Vec<Expr>),
    /// `LEAST(…)`
    Least(Vec<Expr>),
    /// `GROUPING(…)`
    Grouping(Vec<Expr>),
    /// `CAST(e AS t)`, `e::t`, `t 'literal'`
    Cast(Box<Expr>, TypeName),
    /// `e COLLATE c`
    Collate(Box<Expr>, Name),
    /// A call.
    Call(Box<Call>),
    /// `e[…]…`
    Subscripts(Box<Expr>, Vec<Subscript>),
    /// `(e).field`
    Field(Box<Expr>, Ident),
    /// `CURRENT OF cursor`, which only a whole WHERE of UPDATE or DELETE may be.
    CurrentOf(Ident),
    /// XML and JSON forms.
    Keyword(Box<KeywordForm>),
}

impl Expr {
    /// A sort key of this expression with default direction.
    pub fn into_order_item(self) -> OrderItem {
        OrderItem {
            expr: self,
            direction: SortDirection::Default,
            using: None,
            nulls: NullsOrder::Default,
        }
    }
}
