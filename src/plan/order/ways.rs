//! In how many ways a statement may fail: where the order of rows is protected, which of several errors comes
//! tells which row came first.
//!
//! Deliberately absent: what does not fail (`raising`).

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use super::changes::assigned;
use super::early::is_early;
use super::raising::{self, GATHERING, PATTERNS, is_harmless, is_of_no_row};
use crate::analyze::lineage::Lineage;
use crate::sql::tree::{
    Assignment, Expr, InsertSource, Like, Node, Query, SetExpr, Statement, TableRef,
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
    let Statement::Insert(i) = statement else {
        let ways = count(|counted| statement.any_within(counted));
        // The statement's own limit is asked for before any row.
        let first = match statement {
            Statement::Query(q) => raising::counts(q),
            _ => 0,
        };
        return ways.saturating_sub(first);
    };
    match &i.source {
        InsertSource::Query(_) => count(|counted| statement.any_within(counted)),
        // Of rows that are written out only queries tell.
        InsertSource::Values(_) | InsertSource::DefaultValues => {
            let mut ways = 0_usize;
            let _: bool = statement.any_within(&mut |node| {
                if let Node::Query(q) = node {
                    ways = ways.saturating_add(count(|counted| q.any_within(counted)));
                }
                false
            });
            ways
        }
    }
}

/// What is written may be against a constraint, and what is one value for one row and another for the next,
/// against one constraint or another.
fn of_change(statement: &mut Statement) -> usize {
    match statement {
        Statement::Update(u) => {
            let values = u.assignments.iter_mut().map(|a| match a {
                Assignment::Query(..) => 1,
                one => assigned(one).into_iter().filter_map(varies).count(),
            });
            values.sum::<usize>().saturating_add(1)
        }
        _ => 1,
    }
}

fn varies(e: &mut Expr) -> Option<()> {
    (!is_of_no_row(e)).then_some(())
}

/// Adds up what a walk meets.
fn count(walk: impl FnOnce(&mut Like<'_>) -> bool) -> usize {
    let mut ways = 0_usize;
    let _: bool = walk(&mut |node| {
        ways = ways.saturating_add(match node {
            Node::Expr(e) => of_itself(e),
            Node::Table(TableRef::Function(_)) => 1,
            Node::Table(TableRef::Keyword(_)) => 2,
            Node::Change(statement) => of_change(statement),
            // A row's lock may be another session's.
            Node::Query(q) => of_query(q),
            Node::Table(TableRef::Relation(r)) => {
                2 * usize::from(r.sample.as_ref().is_some_and(raising::sample))
            }
            Node::Table(_) | Node::Item(_) => 0,
        });
        false
    });
    ways
}

/// What is in a query aside: another session may have a row's lock, and a number of rows may be less than none.
fn of_query(q: &Query) -> usize {
    let windows = match &q.body {
        SetExpr::Select(s) => s.windows.iter().map(|(_, w)| raising::offsets(w)).sum(),
        _ => 0_usize,
    };
    windows + raising::counts(q) + usize::from(!q.locking.is_empty())
}

/// What is in an expression aside.
fn of_itself(e: &mut Expr) -> usize {
    let gathers = matches!(e, Expr::Call(call)
        if !call.inexact && is_builtin_of(&call.function.parts, GATHERING)
            && call.over.as_ref().is_none_or(|over| raising::offsets(over) == 0));
    if gathers || is_harmless(e) || is_early(e) {
        0
    } else if has_one_error(e) {
        1
    } else {
        // A text that is no number is one error, and a number that is too large is another.
        2
    }
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
