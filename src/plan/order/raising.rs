//! Whether looking at a row may fail. A query that stops at the first row it finds, as EXISTS and IN do,
//! tells by an error which row that was; and one that looks only at the rows of a range, which rows
//! those are.
//!
//! Deliberately absent: what fails for every row alike. What is not known to be harmless may fail.

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use super::early::{self, is_early};
use crate::analyze::lineage::Lineage;
use crate::ident::Ident;
use crate::sql::tree::{
    Distinct, Expr, FrameBound, GroupItem, JoinConstraint, Literal, Part, Query, Select,
    SelectItem, SetExpr, Statement, TableRef, TableSample, Window, With,
};

/// Functions that fail only for a text of a gigabyte, which a parameter may be part of.
const JOINING: &[&str] = &["concat", "concat_ws"];

/// LIKE and its kin fail for a pattern that ends within an escape.
pub(super) const PATTERNS: &[&str] = &["~~", "!~~", "~~*", "!~~*"];

/// Aggregates that fail for no rows a table holds, if what they gather does not.
pub(super) const GATHERING: &[&str] = &[
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
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

/// Is a column used whose collation many functions of texts fail under, or something compared that may fail?
pub(in crate::plan) fn everywhere(lineage: &Lineage) -> bool {
    lineage.failing
        || lineage.relations.iter().any(|r| {
            let mut columns = r.columns.keys().filter_map(|a| r.relation.attribute(*a));
            columns.any(|c| !c.deterministic)
        })
}

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

/// May a row make a SELECT fail as it is looked for? An index ends the search for a min() or max() at the
/// first that is found.
pub(super) fn looked_for(s: &mut Select) -> bool {
    s.from.iter_mut().any(table) || s.filter.iter_mut().any(expr)
}

/// Is there such a query in what is made of rows that are chosen?
fn asks(e: &mut Expr) -> bool {
    e.any_part(|part| match part {
        Part::Expr(inner) => asks(inner),
        Part::Query(q) => choosing(q),
    })
}

fn looked_at(q: &mut Query, look: Look) -> bool {
    with(q.with.as_mut())
        || body(&mut q.body, look)
        || q.order_by.iter_mut().any(|o| (look.made)(&mut o.expr))
        || counts(q) > 0
}

/// May a row make one of these fail?
pub(super) fn with(with: Option<&mut With>) -> bool {
    let mut ctes = with.into_iter().flat_map(|w| &mut w.ctes);
    ctes.any(|cte| match &mut *cte.body {
        Statement::Query(body) => query(body),
        _ => true,
    })
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
    let on = match &mut s.distinct {
        Some(Distinct::On(keys)) => keys.as_mut_slice(),
        Some(Distinct::All) | None => &mut [],
    };
    let mut windows = s.windows.iter_mut();
    s.from.iter_mut().any(table)
        || s.filter.iter_mut().any(expr)
        || s.group_by.iter_mut().any(look.grouped)
        || s.having.iter_mut().any(expr)
        || items.any(|item| match item {
            SelectItem::Expr { expr: e, .. } => (look.made)(e),
            SelectItem::Star(..) | SelectItem::FieldStar(_) => false,
        })
        || on.iter_mut().any(look.made)
        || windows.any(|(_, window)| {
            window.any_part(|part| match part {
                Part::Expr(e) => (look.made)(e),
                Part::Query(q) => looked_at(q, look),
            })
        })
}

pub(super) fn table(t: &mut TableRef) -> bool {
    match t {
        TableRef::Relation(r) => r.sample.as_ref().is_some_and(sample),
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

/// How many numbers of rows may be less than none: an error, when the first row is asked for.
pub(super) fn counts(q: &Query) -> usize {
    let numbers = q.limit.iter().flat_map(|l| l.count.iter().chain(&l.offset));
    numbers.filter(|e| !is_count(e)).count()
}

/// The same of a window's frame.
pub(super) fn offsets(window: &Window) -> usize {
    let bounds = window
        .frame
        .iter()
        .flat_map(|f| [Some(&f.start), f.end.as_ref()]);
    let offset = |bound: &FrameBound| match bound {
        FrameBound::Preceding(e) | FrameBound::Following(e) => !is_count(e),
        FrameBound::UnboundedPreceding
        | FrameBound::CurrentRow
        | FrameBound::UnboundedFollowing => false,
    };
    bounds.flatten().filter(|b| offset(b)).count()
}

/// May it fail to begin with? It is asked for when the first row is.
pub(super) fn sample(sample: &TableSample) -> bool {
    let known =
        matches!(sample.method.parts.last(), Some(m) if *m == "bernoulli" || *m == "system");
    let share = |e: &Expr| early::number(e).is_some_and(|n| n <= 100.0) && is_count(e);
    !known || !sample.args.iter().all(share) || !sample.repeatable.iter().all(is_count)
}

/// A number that is written, and no less than none; or NULL, which is all.
fn is_count(e: &Expr) -> bool {
    match e {
        Expr::Literal(Literal::Number(_) | Literal::Null) => true,
        Expr::Constant { expr, .. } => is_count(expr),
        _ => false,
    }
}

/// May a row make an expression fail?
pub(super) fn expr(e: &mut Expr) -> bool {
    if is_early(e) {
        return false;
    }
    !is_harmless(e)
        || e.any_part(|part| match part {
            Part::Expr(inner) => expr(inner),
            Part::Query(q) => query(q),
        })
}

/// Does it fail for no row, if what is in it does not?
pub(super) fn is_harmless(e: &mut Expr) -> bool {
    match e {
        Expr::Binary(_, op, right) => {
            let (builtin, symbol) = (is_builtin(op), op.symbol.clone());
            // They fail for no value, as far as `Lineage::failing` does not say otherwise.
            let compares = op.is_comparison();
            let is_of = |these: &[&str]| builtin && these.contains(&&*symbol);
            builtin && compares
                || is_of(PATTERNS) && is_whole_pattern(right)
                || is_of(&["||"]) && !has_param(e)
        }
        Expr::Call(call) => {
            let joins = is_builtin_of(&call.function.parts, JOINING);
            call.harmless && !(joins && has_param(e))
        }
        Expr::Cast(_, ty) => {
            let text = match ty.name.parts.as_slice() {
                [schema, name] if *schema == "pg_catalog" => name.as_str(),
                _ => "",
            };
            matches!(text, "text" | "varchar" | "bpchar") && ty.array_dims == 0
        }
        Expr::QuantifiedArray { op, .. } | Expr::QuantifiedQuery { op, .. } => {
            is_builtin(op) && op.is_comparison()
        }
        Expr::Unary(..)
        | Expr::Array(_)
        | Expr::Subscripts(..)
        | Expr::Keyword(_)
        | Expr::CurrentOf(_)
        | Expr::Name(_)
        | Expr::Star(_)
        // Under some collations much fails.
        | Expr::Collate(..)
        // More than one row is an error, too.
        | Expr::Subquery(_) => false,
        _ => true,
    }
}

/// A constant's text.
pub(super) fn text(e: &Expr) -> Option<&str> {
    match e {
        Expr::Literal(Literal::String(text)) => Some(text.value()),
        Expr::Constant { expr, .. } => text(expr),
        Expr::Cast(inner, ty) => {
            let ty = ty.name.parts.last().map(Ident::as_str);
            text(inner).filter(|_| matches!(ty, Some("text" | "varchar")))
        }
        _ => None,
    }
}

/// A pattern whose last escape, if it has any, has something to escape.
fn is_whole_pattern(e: &Expr) -> bool {
    text(e).is_some_and(|pattern| {
        let escapes = pattern.chars().rev().take_while(|c| *c == '\\').count();
        escapes.is_multiple_of(2)
    })
}

pub(super) fn has_param(e: &mut Expr) -> bool {
    matches!(e, Expr::Param(_))
        || e.any_part(|part| match part {
            Part::Expr(inner) => has_param(inner),
            Part::Query(_) => true,
        })
}

/// It is the same for every row.
pub(super) fn is_of_no_row(e: &mut Expr) -> bool {
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
