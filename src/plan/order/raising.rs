//! Whether looking at a row may fail. A query that stops at the first row it finds, as EXISTS and IN do,
//! tells by an error which row that was; and one that looks only at the rows of a range, which rows
//! those are.
//!
//! Deliberately absent: what fails for every row alike. What is not known to be harmless may fail.

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use crate::analyze::lineage::Lineage;
use crate::ident::Ident;
use crate::sql::tree::{
    Assignment, Distinct, Expr, GroupItem, InsertSource, JoinConstraint, Literal, Part, Query,
    Select, SelectItem, SetExpr, Statement, TableRef,
};

/// Functions of PostgreSQL's own that fail for no value of a row, under a deterministic collation.
const HARMLESS: &[&str] = &[
    "bit_length",
    "btrim",
    "char_length",
    "character_length",
    "initcap",
    "left",
    "length",
    "lower",
    "ltrim",
    "md5",
    "now",
    "octet_length",
    "position",
    "reverse",
    "right",
    "rtrim",
    "starts_with",
    "strpos",
    "upper",
];

/// Those that fail only for a text of a gigabyte, which a parameter may be part of.
const JOINING: &[&str] = &["concat", "concat_ws"];

/// What `date_trunc` cuts anything at.
const UNITS: &[&str] = &[
    "day", "hour", "minute", "month", "quarter", "second", "year",
];

/// Operators of the same kind.
const COMPARISONS: &[&str] = &["=", "<>", "<", ">", "<=", ">="];

/// LIKE and its kin fail for a pattern that ends within an escape.
const PATTERNS: &[&str] = &["~~", "!~~", "~~*", "!~~*"];

/// Aggregates that fail for no rows a table holds, if what they gather does not.
const GATHERING: &[&str] = &[
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

/// Is a column used whose collation many functions of texts fail under?
pub(in crate::plan) fn is_collated(lineage: &Lineage) -> bool {
    lineage.relations.iter().any(|r| {
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
    !is_harmless(e)
        || e.any_part(|part| match part {
            Part::Expr(inner) => expr(inner),
            Part::Query(q) => query(q),
        })
}

/// Does it fail for no row, if what is in it does not?
fn is_harmless(e: &mut Expr) -> bool {
    match e {
        Expr::Binary(_, op, right) => {
            let (builtin, symbol) = (is_builtin(op), op.symbol.clone());
            let is_of = |these: &[&str]| builtin && these.contains(&&*symbol);
            is_of(COMPARISONS)
                || is_of(PATTERNS) && is_whole_pattern(right)
                || is_of(&["||"]) && !has_param(e)
        }
        Expr::Call(call) => {
            let plain = call.over.is_none() && call.filter.is_none() && call.order_by.is_empty();
            let is_of = |these| is_builtin_of(&call.function.parts, these);
            let unit = || (call.args.first()).and_then(|unit| text(&unit.value));
            plain
                && (is_of(HARMLESS)
                    || is_of(&["date_trunc"]) && unit().is_some_and(|unit| UNITS.contains(&unit))
                    || is_of(JOINING) && !has_param(e))
        }
        Expr::Cast(_, ty) => {
            let text = ty.name.parts.last().map(Ident::as_str);
            matches!(text, Some("text" | "varchar" | "bpchar")) && ty.array_dims == 0
        }
        Expr::QuantifiedArray { op, .. } | Expr::QuantifiedQuery { op, .. } => {
            is_builtin(op) && COMPARISONS.contains(&&*op.symbol)
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
fn text(e: &Expr) -> Option<&str> {
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

fn has_param(e: &mut Expr) -> bool {
    matches!(e, Expr::Param(_))
        || e.any_part(|part| match part {
            Part::Expr(inner) => has_param(inner),
            Part::Query(_) => true,
        })
}

/// May a statement fail in more ways than one, so that which it is tells which row came first?
pub(super) fn in_several_ways(statement: &mut Statement) -> bool {
    of_statement(statement) > 1
}

/// In how many ways, as far as that matters.
fn of_statement(statement: &mut Statement) -> usize {
    match statement {
        Statement::Query(q) => of_query(q),
        // What is written may be against a constraint.
        Statement::Insert(i) => match &mut i.source {
            InsertSource::Query(q) => of_query(q).saturating_add(1),
            InsertSource::Values(_) | InsertSource::DefaultValues => 0,
        },
        Statement::Update(u) => (u.assignments.iter_mut().map(of_assignment).sum::<usize>())
            .saturating_add(of_exprs(&mut u.filter))
            .saturating_add(u.from.iter_mut().map(of_table).sum())
            .saturating_add(1),
        Statement::Delete(d) => of_exprs(&mut d.filter)
            .saturating_add(d.using.iter_mut().map(of_table).sum())
            .saturating_add(1),
        _ => 0,
    }
}

fn of_assignment(assignment: &mut Assignment) -> usize {
    // A value that is one for one row and another for the next is against one constraint or another.
    let of = |e: &mut Expr| {
        let varies = usize::from(!is_of_no_row(e));
        of_expr(e).saturating_add(varies)
    };
    match assignment {
        Assignment::One(_, value) => value.iter_mut().map(of).sum(),
        Assignment::Row(_, values) => values.iter_mut().flatten().map(of).sum(),
        Assignment::Query(_, q) => of_query(q).saturating_add(1),
    }
}

fn of_query(q: &mut Query) -> usize {
    let ctes = q.with.iter_mut().flat_map(|w| &mut w.ctes);
    let ctes = ctes.map(|cte| of_statement(&mut cte.body)).sum::<usize>();
    let keys = of_exprs(q.order_by.iter_mut().map(|o| &mut o.expr));
    ctes.saturating_add(of_body(&mut q.body))
        .saturating_add(keys)
}

fn of_body(b: &mut SetExpr) -> usize {
    match b {
        SetExpr::Select(s) => {
            let items = s.items.iter_mut().filter_map(|item| match item {
                SelectItem::Expr { expr, .. } => Some(expr),
                SelectItem::Star(_) | SelectItem::FieldStar(_) => None,
            });
            let on = match &mut s.distinct {
                Some(Distinct::On(keys)) => keys.as_mut_slice(),
                Some(Distinct::All) | None => &mut [],
            };
            let exprs = items.chain(&mut s.filter).chain(&mut s.having).chain(on);
            of_exprs(exprs)
                .saturating_add(s.from.iter_mut().map(of_table).sum())
                .saturating_add(s.group_by.iter_mut().map(of_group_item).sum())
        }
        SetExpr::Query(q) => of_query(q),
        SetExpr::Values(rows) => of_exprs(rows.iter_mut().flatten()),
        SetExpr::Chain { first, rest } => {
            let rest = rest.iter_mut().map(|(_, _, arm)| of_body(arm));
            of_body(first).saturating_add(rest.sum())
        }
    }
}

fn of_group_item(item: &mut GroupItem) -> usize {
    match item {
        GroupItem::Empty => 0,
        GroupItem::Expr(e) => of_expr(e),
        GroupItem::List(list) => of_exprs(list),
        GroupItem::Rollup(sets) | GroupItem::Cube(sets) => of_exprs(sets.iter_mut().flatten()),
        GroupItem::Sets(items) => items.iter_mut().map(of_group_item).sum(),
    }
}

fn of_table(t: &mut TableRef) -> usize {
    match t {
        TableRef::Relation(_) => 0,
        TableRef::Derived { query, .. } => of_query(query),
        TableRef::Join {
            left,
            right,
            constraint,
            ..
        } => {
            let on = match constraint {
                JoinConstraint::On(on) => of_expr(on),
                JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => 0,
            };
            on.saturating_add(of_table(left))
                .saturating_add(of_table(right))
        }
        TableRef::Function(f) => {
            let args = f.functions.iter_mut().flat_map(|item| &mut item.call.args);
            of_exprs(args.map(|a| &mut a.value)).saturating_add(1)
        }
        TableRef::Keyword(_) => 2,
    }
}

fn of_exprs<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>) -> usize {
    exprs.into_iter().map(of_expr).sum()
}

fn of_expr(e: &mut Expr) -> usize {
    if is_of_no_row(e) {
        return 0;
    }
    let gathers = matches!(e, Expr::Call(call) if is_builtin_of(&call.function.parts, GATHERING));
    let own = match e {
        _ if gathers || is_harmless(e) => 0,
        // One operator fails in several ways, given what it fails with.
        _ if chooses(e) => 2,
        _ => 1,
    };
    let mut inside = 0_usize;
    let _: bool = e.any_part(|part| {
        inside = inside.saturating_add(match part {
            Part::Expr(inner) => of_expr(inner),
            Part::Query(q) => of_query(q),
        });
        false
    });
    inside.saturating_add(own)
}

/// Is there something in it that is one thing for one row and another for the next?
fn chooses(e: &mut Expr) -> bool {
    e.any_part(|part| match part {
        Part::Expr(inner) => {
            matches!(
                inner,
                Expr::Case { .. }
                    | Expr::Coalesce(_)
                    | Expr::NullIf(..)
                    | Expr::Greatest(_)
                    | Expr::Least(_)
                    | Expr::Subscripts(..)
            ) || chooses(inner)
        }
        Part::Query(_) => true,
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
