//! Rows to which none belongs, found by a condition that may fail.
//!
//! Deliberately absent: NOT EXISTS and NOT IN, which read all rows where one may fail (`select`).

use super::raising::expr;
use crate::analyze::lineage::Lineage;
use crate::sql::tree::{BoolTest, Expr, JoinConstraint, JoinKind, Node, Part, Statement, TableRef};

/// Does a statement look for rows to which none belongs, by a condition that may fail? Where a join has left
/// its rows out PostgreSQL stops at the first that is found, and then a row failed before or it did not.
pub(super) fn looks_for_none(statement: &mut Statement, lineage: &Lineage) -> bool {
    let Statement::Query(q) = statement else {
        return false;
    };
    let mut may_fail = |node: Node<'_>| match node {
        Node::Table(TableRef::Join {
            kind: JoinKind::Left | JoinKind::Right | JoinKind::Full,
            constraint: JoinConstraint::On(on),
            ..
        }) => expr(on) || lineage.failing && !is_of_keys(on),
        _ => false,
    };
    let mut asks = |node: Node<'_>| match node {
        Node::Expr(Expr::Test(_, BoolTest::Null) | Expr::IsDistinct { negated: true, .. }) => true,
        Node::Expr(Expr::Not(inner)) => has_value(inner),
        _ => false,
    };
    q.any_within(&mut may_fail) && q.any_within(&mut asks)
}

/// Does it say that columns are equal, and nothing else?
fn is_of_keys(on: &Expr) -> bool {
    let column = |e: &Expr| matches!(e, Expr::Column(_));
    on.conjuncts().into_iter().all(
        |e| matches!(e, Expr::Binary(l, op, r) if &*op.symbol == "=" && column(l) && column(r)),
    )
}

/// Is there `x IS NOT NULL` in it?
fn has_value(e: &mut Expr) -> bool {
    matches!(e, Expr::Test(_, BoolTest::NotNull))
        || e.any_part(|part| match part {
            Part::Expr(inner) => has_value(inner),
            Part::Query(_) => false,
        })
}
