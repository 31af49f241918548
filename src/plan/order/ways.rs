//! In how many ways a statement may fail: where the order of rows is protected, which of several errors comes
//! tells which row came first.
//!
//! Deliberately absent: what does not fail (`raising`).

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use super::key::as_items_mut;
use super::raising::{GATHERING, PATTERNS, is_harmless, is_of_no_row};
use crate::analyze::lineage::Lineage;
use crate::sql::tree::{
    Assignment, Distinct, Expr, GroupItem, InsertSource, JoinConstraint, Part, Query, SetExpr,
    Statement, TableRef,
};

/// Functions that fail in one way only.
const ONE_ERROR: &[&str] = &[
    "abs",
    "ceil",
    "ceiling",
    "concat",
    "concat_ws",
    "floor",
    "ln",
    "lpad",
    "repeat",
    "round",
    "rpad",
    "split_part",
    "sqrt",
    "substr",
    "trunc",
];

/// May a statement fail in more ways than one, so that which it is tells which row came first?
pub(super) fn in_several_ways(statement: &mut Statement, lineage: &Lineage) -> bool {
    lineage.failing || of_statement(statement) > 1
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
            let items = as_items_mut(&mut s.items);
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
    let gathers = matches!(e, Expr::Call(call)
        if !call.inexact && is_builtin_of(&call.function.parts, GATHERING));
    let own = match e {
        _ if gathers || is_harmless(e) => 0,
        _ if has_one_error(e) => 1,
        // A text that is no number is one error, and a number that is too large is another.
        _ => 2,
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

/// Does it fail with one SQLSTATE only, whatever it is given?
fn has_one_error(e: &mut Expr) -> bool {
    match e {
        Expr::Unary(op, _) => is_builtin(op),
        Expr::Binary(left, op, right) if is_builtin(op) => match &*op.symbol {
            "+" | "-" | "*" | "||" => true,
            symbol if PATTERNS.contains(&symbol) => true,
            // By zero, or too large: which of them is made of stored values, as they are.
            "/" | "%" => is_stored(left) && is_stored(right) && !is_of_no_row(left),
            _ => false,
        },
        Expr::Call(call) => {
            let constant = call
                .args
                .first_mut()
                .is_some_and(|a| is_of_no_row(&mut a.value));
            let is_of = |these| is_builtin_of(&call.function.parts, these);
            is_of(ONE_ERROR) || is_of(GATHERING) || constant && is_of(&["date_part", "extract"])
        }
        // More than one row.
        Expr::Subquery(_) => true,
        _ => false,
    }
}

/// Is it a column, a constant, or gathered from a column? Nobody made it for the one row or the other.
fn is_stored(e: &mut Expr) -> bool {
    match e {
        Expr::Column(_) => true,
        Expr::Call(call) => {
            call.filter.is_none()
                && is_builtin_of(&call.function.parts, GATHERING)
                && call.args.iter_mut().all(|a| is_stored(&mut a.value))
        }
        Expr::NullIf(a, b) => is_stored(a) && is_of_no_row(b),
        e => is_of_no_row(e),
    }
}
