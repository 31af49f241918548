//! Rows to which none belongs, found by a condition that may fail.
//!
//! Deliberately absent: NOT EXISTS and NOT IN, which read all rows where one may fail (`select`).

use super::key::as_items_mut;
use super::raising::expr;
use crate::analyze::lineage::Lineage;
use crate::sql::tree::{
    BoolTest, Expr, JoinConstraint, JoinKind, Part, Query, SetExpr, Statement, TableRef,
};

/// Does a statement look for rows to which none belongs, by a condition that may fail? Where a join has left
/// its rows out PostgreSQL stops at the first that is found, and then a row failed before or it did not.
pub(super) fn looks_for_none(statement: &mut Statement, lineage: &Lineage) -> bool {
    let Statement::Query(q) = statement else {
        return false;
    };
    let mut found = Found {
        failing: lineage.failing,
        ..Found::default()
    };
    found.query(q);
    found.joined && found.tested
}

#[derive(Default)]
struct Found {
    /// Somewhere in the statement a comparison may fail.
    failing: bool,
    /// An outer join whose condition may fail.
    joined: bool,
    /// Something is asked whether it is NULL.
    tested: bool,
}

impl Found {
    fn query(&mut self, q: &mut Query) {
        for cte in q.with.iter_mut().flat_map(|w| &mut w.ctes) {
            if let Statement::Query(body) = &mut *cte.body {
                self.query(body);
            }
        }
        self.body(&mut q.body);
    }

    fn body(&mut self, b: &mut SetExpr) {
        match b {
            SetExpr::Select(s) => {
                s.from.iter_mut().for_each(|t| self.table(t));
                let items = as_items_mut(&mut s.items);
                (items.chain(&mut s.filter).chain(&mut s.having)).for_each(|e| self.expr(e));
            }
            SetExpr::Query(q) => self.query(q),
            SetExpr::Values(rows) => rows.iter_mut().flatten().for_each(|e| self.expr(e)),
            SetExpr::Chain { first, rest } => {
                self.body(first);
                for (_, _, arm) in rest {
                    self.body(arm);
                }
            }
        }
    }

    fn table(&mut self, t: &mut TableRef) {
        match t {
            TableRef::Derived { query, .. } => self.query(query),
            TableRef::Join {
                left,
                right,
                kind,
                constraint,
                ..
            } => {
                self.table(left);
                self.table(right);
                if let JoinConstraint::On(on) = constraint {
                    let outer = !matches!(kind, JoinKind::Inner | JoinKind::Cross);
                    self.joined |= outer && (expr(on) || self.failing && !is_of_keys(on));
                    self.expr(on);
                }
            }
            TableRef::Relation(_) | TableRef::Function(_) | TableRef::Keyword(_) => {}
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        self.tested |= match e {
            Expr::Test(_, BoolTest::Null) | Expr::IsDistinct { negated: true, .. } => true,
            Expr::Not(inner) => has_value(inner),
            _ => false,
        };
        // No part can be missed: there is nothing here that fails.
        let _all = e.any_part(|part| {
            match part {
                Part::Expr(inner) => self.expr(inner),
                Part::Query(q) => self.query(q),
            }
            false
        });
    }
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
