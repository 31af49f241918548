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

/// May a row make this query fail before it is known whether it is among those the query chooses?
/// PostgreSQL tries a row's conditions in the order of what they cost, and moves those of a subquery
/// that it takes apart.
pub(in crate::plan) fn choosing(q: &mut Query) -> bool {
    ctes(q) || chosen(&mut q.body) || q.order_by.iter_mut().any(|o| asks(&mut o.expr))
}

fn chosen(b: &mut SetExpr) -> bool {
    match b {
        SetExpr::Select(s) => {
            let mut items = s.items.iter_mut();
            s.from.iter_mut().any(table)
                || s.filter.iter_mut().any(expr)
                || s.having.iter_mut().any(expr)
                || items.any(|item| match item {
                    SelectItem::Expr { expr: e, .. } => asks(e),
                    SelectItem::Star(_) | SelectItem::FieldStar(_) => false,
                })
                || s.group_by.iter_mut().any(GroupItem::has_query)
        }
        SetExpr::Query(q) => choosing(q),
        SetExpr::Values(rows) => rows.iter_mut().flatten().any(asks),
        SetExpr::Chain { first, rest } => {
            chosen(first) || rest.iter_mut().any(|(_, _, arm)| chosen(arm))
        }
    }
}

/// Is there such a query in what is made of rows that are chosen?
fn asks(e: &mut Expr) -> bool {
    e.any_part(|part| match part {
        Part::Expr(inner) => asks(inner),
        Part::Query(q) => choosing(q),
    })
}

/// May a row of this query make it fail?
pub(super) fn query(q: &mut Query) -> bool {
    ctes(q) || body(&mut q.body) || q.order_by.iter_mut().any(|o| expr(&mut o.expr))
}

fn ctes(q: &mut Query) -> bool {
    let mut ctes = q.with.iter_mut().flat_map(|w| &mut w.ctes);
    ctes.any(|cte| match &mut *cte.body {
        Statement::Query(body) => query(body),
        _ => true,
    })
}

fn body(b: &mut SetExpr) -> bool {
    match b {
        SetExpr::Select(s) => select(s),
        SetExpr::Query(q) => query(q),
        SetExpr::Values(rows) => rows.iter_mut().flatten().any(expr),
        SetExpr::Chain { first, rest } => {
            body(first) || rest.iter_mut().any(|(_, _, arm)| body(arm))
        }
    }
}

fn select(s: &mut Select) -> bool {
    let mut items = s.items.iter_mut();
    s.from.iter_mut().any(table)
        || s.filter.iter_mut().any(expr)
        || !s.group_by.is_empty()
        || s.having.iter_mut().any(expr)
        || items.any(|item| match item {
            SelectItem::Expr { expr: e, .. } => expr(e),
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
