//! Whether looking at a row may fail. A query that stops at the first row it finds, as EXISTS and IN do,
//! tells by an error which row that was; and one that looks only at the rows of a range, which rows
//! those are.
//!
//! Deliberately absent: what fails for every row alike, and what a comparison under a nondeterministic
//! collation costs. What is not known to be harmless may fail.

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use crate::ident::Ident;
use crate::sql::tree::{
    Expr, GroupItem, JoinConstraint, Part, Query, Select, SelectItem, SetExpr, Statement, TableRef,
};

/// Functions of PostgreSQL's own that fail for no value of a row.
const HARMLESS: &[&str] = &[
    "bit_length",
    "btrim",
    "char_length",
    "character_length",
    "concat",
    "concat_ws",
    "date_part",
    "date_trunc",
    "initcap",
    "left",
    "length",
    "lower",
    "ltrim",
    "md5",
    "now",
    "octet_length",
    "position",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "starts_with",
    "strpos",
    "upper",
];

/// Operators of the same kind.
const COMPARISONS: &[&str] = &[
    "=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "||",
];

/// What is looked at besides a query's FROM and its conditions.
#[derive(Clone, Copy)]
struct Look {
    /// What is made of rows that are chosen.
    made: fn(&mut Expr) -> bool,
    grouped: fn(&mut GroupItem) -> bool,
}

/// All of it.
const WHOLE: Look = Look {
    made: expr,
    grouped: |_| true,
};

/// What is made comes after: only the queries in it choose rows of their own.
const CHOICE: Look = Look {
    made: asks,
    grouped: GroupItem::has_query,
};

/// May a row make this query fail before it is known whether it is among those the query chooses?
/// PostgreSQL tries a row's conditions in the order of what they cost, and moves those of a subquery
/// that it takes apart.
pub(in crate::plan) fn choosing(q: &mut Query) -> bool {
    looked_at(q, CHOICE)
}

/// May a row of this query make it fail?
pub(super) fn query(q: &mut Query) -> bool {
    looked_at(q, WHOLE)
}

/// Is there such a query in what is made of rows that are chosen?
fn asks(e: &mut Expr) -> bool {
    e.any_part(|part| match part {
        Part::Expr(inner) => asks(inner),
        Part::Query(q) => choosing(q),
    })
}

fn looked_at(q: &mut Query, look: Look) -> bool {
    let mut ctes = q.with.iter_mut().flat_map(|w| &mut w.ctes);
    ctes.any(|cte| match &mut *cte.body {
        Statement::Query(body) => query(body),
        _ => true,
    }) || body(&mut q.body, look)
        || q.order_by.iter_mut().any(|o| (look.made)(&mut o.expr))
}

fn body(b: &mut SetExpr, look: Look) -> bool {
    match b {
        SetExpr::Select(s) => select(s, look),
        SetExpr::Query(q) => looked_at(q, look),
        SetExpr::Values(rows) => rows.iter_mut().flatten().any(look.made),
        SetExpr::Chain { first, rest } => {
            body(first, look) || rest.iter_mut().any(|(_, _, arm)| body(arm, look))
        }
    }
}

fn select(s: &mut Select, look: Look) -> bool {
    let mut items = s.items.iter_mut();
    s.from.iter_mut().any(table)
        || s.filter.iter_mut().any(expr)
        || s.group_by.iter_mut().any(look.grouped)
        || s.having.iter_mut().any(expr)
        || items.any(|item| match item {
            SelectItem::Expr { expr: e, .. } => (look.made)(e),
            SelectItem::Star(_) | SelectItem::FieldStar(_) => false,
        })
}

fn table(t: &mut TableRef) -> bool {
    match t {
        TableRef::Relation(_) => false,
        TableRef::Derived { query: q, .. } => query(q),
        TableRef::Join {
            left,
            right,
            constraint,
            ..
        } => {
            table(left)
                || table(right)
                || match constraint {
                    JoinConstraint::On(on) => expr(on),
                    JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {
                        false
                    }
                }
        }
        TableRef::Function(_) | TableRef::Keyword(_) => true,
    }
}

fn expr(e: &mut Expr) -> bool {
    if is_of_no_row(e) {
        return false;
    }
    let harmless = match e {
        Expr::Binary(_, op, _) => is_builtin(op) && COMPARISONS.contains(&&*op.symbol),
        Expr::Call(call) => {
            let plain = call.over.is_none() && call.filter.is_none() && call.order_by.is_empty();
            plain && is_builtin_of(&call.function.parts, HARMLESS)
        }
        Expr::Cast(_, ty) => {
            let text = ty.name.parts.last().map(Ident::as_str);
            matches!(text, Some("text" | "varchar" | "bpchar")) && ty.array_dims == 0
        }
        Expr::Unary(..)
        | Expr::Subscripts(..)
        | Expr::Keyword(_)
        | Expr::CurrentOf(_)
        | Expr::Name(_)
        | Expr::Star(_)
        // More than one row is an error, too.
        | Expr::Subquery(_) => false,
        _ => true,
    };
    !harmless
        || e.any_part(|part| match part {
            Part::Expr(inner) => expr(inner),
            Part::Query(q) => query(q),
        })
}

/// It is the same for every row, and so is its failure.
fn is_of_no_row(e: &mut Expr) -> bool {
    let made = match e {
        Expr::Literal(_) | Expr::Param(_) | Expr::Constant { .. } => return true,
        Expr::Call(call) => call.over.is_none() && call.filter.is_none() && !call.args.is_empty(),
        Expr::Unary(..) | Expr::Binary(..) | Expr::Cast(..) | Expr::Array(_) => true,
        _ => false,
    };
    made && !e.any_part(|part| match part {
        Part::Expr(inner) => !is_of_no_row(inner),
        Part::Query(_) => true,
    })
}
