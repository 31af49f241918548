//! In how many ways a statement may fail: where the order of rows is protected, which of several errors comes
//! tells which row came first.
//!
//! Deliberately absent: what does not fail (`raising`).

use super::super::hidden::is_builtin;
use super::calls::is_builtin_of;
use super::changes::assigned;
use super::early::is_early;
use super::raising::{self, GATHERING, PATTERNS, is_harmless, is_of_no_row};
use crate::analyze::Grounds;
use crate::analyze::lineage::{Lineage, RelationUse};
use crate::catalog::ConstraintKind;
use crate::pg::AttrNumber;
use crate::sql::tree::{
    Assignment, Column, Expr, InsertSource, Like, Literal, Node, Query, RelationRef, RowsFromItem,
    SetExpr, Statement, TableRef,
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

/// Functions in FROM that do.
const ONE_ERROR_IN_FROM: &[&str] = &[
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "string_to_table",
    "unnest",
];

/// May a statement fail in more ways than one, so that which it is tells which row came first?
pub(super) fn in_several_ways(
    statement: &mut Statement,
    lineage: &Lineage,
    grounds: Grounds<'_>,
) -> bool {
    let ways = Ways { lineage, grounds };
    lineage.failing || ways.of_statement(statement) > 1
}

struct Ways<'a> {
    lineage: &'a Lineage,
    grounds: Grounds<'a>,
}

impl Ways<'_> {
    /// In how many ways, as far as that matters.
    fn of_statement(&self, statement: &mut Statement) -> usize {
        let Statement::Insert(i) = statement else {
            let ways = self.count(|counted| statement.any_within(counted));
            // The statement's own limit is asked for before any row.
            let first = match statement {
                Statement::Query(q) => raising::counts(q),
                _ => 0,
            };
            return ways.saturating_sub(first);
        };
        match &i.source {
            InsertSource::Query(_) => self.count(|counted| statement.any_within(counted)),
            // Of rows that are written out only queries tell.
            InsertSource::Values(_) | InsertSource::DefaultValues => {
                let mut ways = 0_usize;
                let _: bool = statement.any_within(&mut |node| {
                    if let Node::Query(q) = node {
                        ways = ways.saturating_add(self.count(|counted| q.any_within(counted)));
                    }
                    false
                });
                ways
            }
        }
    }

    /// Adds up what a walk meets.
    fn count(&self, walk: impl FnOnce(&mut Like<'_>) -> bool) -> usize {
        let mut ways = 0_usize;
        let _: bool = walk(&mut |node| {
            ways = ways.saturating_add(match node {
                Node::Expr(e) => self.of_itself(e),
                Node::Table(TableRef::Function(f)) => f.functions.iter().map(of_function).sum(),
                Node::Table(TableRef::Keyword(_)) => 2,
                Node::Change(statement) => self.of_change(statement),
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

    /// What is written may be against a constraint, or another, and what is one value for one row and another
    /// for the next, too.
    fn of_change(&self, statement: &mut Statement) -> usize {
        match statement {
            Statement::Update(u) => {
                let values = u.assignments.iter_mut().map(|a| match a {
                    Assignment::Query(..) => 1,
                    one => assigned(one).into_iter().filter_map(varies).count(),
                });
                let values = values.sum::<usize>().saturating_add(1);
                let constraints = self.used(&u.target).map_or(2, |used| {
                    self.constraints(used, |kind, columns, unmet| {
                        kind != ConstraintKind::CascadedDelete
                            && (unmet || used.assigned.iter().any(|a| columns.contains(a)))
                    })
                });
                values.max(constraints)
            }
            Statement::Delete(d) => self.used(&d.target).map_or(2, |used| {
                let referred = |kind| {
                    matches!(
                        kind,
                        ConstraintKind::Referenced
                            | ConstraintKind::CascadedDelete
                            | ConstraintKind::Remote
                    )
                };
                self.constraints(used, |kind, _, _| referred(kind)).max(1)
            }),
            _ => 1,
        }
    }

    fn used(&self, target: &RelationRef) -> Option<&RelationUse> {
        target.id.and_then(|id| self.lineage.relation(id))
    }

    /// How many constraints of a target may be met.
    fn constraints(
        &self,
        used: &RelationUse,
        met: impl Fn(ConstraintKind, &[AttrNumber], bool) -> bool,
    ) -> usize {
        let all = self.grounds.catalog.constraints(&used.relation);
        all.iter()
            .filter(|c| met(c.kind, &c.columns, c.unmet))
            .map(|c| 1 + usize::from(c.kind == ConstraintKind::Remote))
            .sum()
    }

    /// What is in an expression aside.
    fn of_itself(&self, e: &mut Expr) -> usize {
        let gathers = matches!(e, Expr::Call(call)
            if !call.inexact && is_builtin_of(&call.function.parts, GATHERING)
                && call.over.as_ref().is_none_or(|over| raising::offsets(over) == 0));
        if gathers || is_harmless(e) || is_early(e) {
            0
        } else if self.has_one_error(e) {
            1
        } else {
            // A text that is no number is one error, and a number that is too large is another.
            2
        }
    }

    /// Does it fail with one SQLSTATE only, whatever it is given?
    fn has_one_error(&self, e: &mut Expr) -> bool {
        match e {
            Expr::Unary(op, _) => is_builtin(op),
            Expr::Binary(left, op, right) if is_builtin(op) => match &*op.symbol {
                "+" | "-" | "*" | "||" => true,
                symbol if PATTERNS.contains(&symbol) => true,
                // By zero, or too large: which of them is made of stored values, as they are.
                "/" | "%" => self.is_stored(left) && self.is_stored(right) && !is_of_no_row(left),
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
    fn is_stored(&self, e: &mut Expr) -> bool {
        match e {
            Expr::Column(column) => self.is_others(column),
            Expr::Call(call) => {
                call.filter.is_none()
                    && is_builtin_of(&call.function.parts, GATHERING)
                    && call.args.iter_mut().all(|a| self.is_stored(&mut a.value))
            }
            Expr::NullIf(a, b) => self.is_stored(a) && is_of_no_row(b),
            e => is_of_no_row(e),
        }
    }

    /// A column of a table that the role does not write.
    fn is_others(&self, column: &Column) -> bool {
        let used = column.base.and_then(|(id, _)| self.lineage.relation(id));
        used.is_some_and(|used| {
            let written = self.grounds.grants.write.contains_key(&used.relation.oid);
            !used.relation.temporary && !written
        })
    }
}

fn varies(e: &mut Expr) -> Option<()> {
    (!is_of_no_row(e)).then_some(())
}

/// A function in FROM.
fn of_function(item: &RowsFromItem) -> usize {
    let name = &item.call.function.parts;
    let number = |e: &Expr| matches!(e, Expr::Literal(Literal::Number(n)) if n.value() != "0");
    let mut values = item.call.args.iter().map(|a| &a.value);
    if is_builtin_of(name, &["generate_series"]) {
        return match () {
            () if values.clone().all(number) => 0,
            // Of numbers without a step; and what is the same for every row.
            () if values.len() == 2 || values.all(is_early) => 1,
            () => 2,
        };
    }
    let one = item.columns.is_empty() && is_builtin_of(name, ONE_ERROR_IN_FROM);
    if one { 1 } else { 2 }
}

/// What is in a query aside: another session may have a row's lock, and a number of rows may be less than none.
fn of_query(q: &Query) -> usize {
    let windows = match &q.body {
        SetExpr::Select(s) => s.windows.iter().map(|(_, w)| raising::offsets(w)).sum(),
        _ => 0_usize,
    };
    windows + raising::counts(q) + usize::from(!q.locking.is_empty())
}
