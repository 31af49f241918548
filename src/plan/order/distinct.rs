//! DISTINCT of what is the same in every row: PostgreSQL 16 stops at the first that it finds, and where that may
//! fail, or locks the row, it tells which it was. Then the rows are read in a random order, all of them.
//!
//! Deliberately absent: DISTINCT ON, for which PostgreSQL sorts.

use super::{Order, key, raising};
use crate::sql::tree::{
    Distinct, Expr, Node, Operator, Query, SelectItem, SetExpr, Statement, Walked,
};

impl Order<'_> {
    pub(super) fn distinct(&self, statement: &mut Statement) -> Walked {
        // Whoever reads one that may fail, by its name.
        let with = statement.any_within(&mut |node| match node {
            Node::Query(q) => raising::with(q.with.as_mut()),
            _ => false,
        });
        let mut walked = Ok(());
        let _: bool = statement.any_within(&mut |node| {
            if let Node::Query(q) = node
                && is_distinct(q)
                && (self.telling || with || raising::query(q))
                && is_one_value(q)
            {
                walked = key::wrap_distinct(q);
            }
            walked.is_err()
        });
        walked
    }
}

fn is_distinct(q: &Query) -> bool {
    matches!(&q.body, SetExpr::Select(s) if matches!(s.distinct, Some(Distinct::All)))
}

/// Could each column be the same in every row, as far as can be seen without following what equals what?
fn is_one_value(q: &mut Query) -> bool {
    let compares = q.any_within(&mut |node| match node {
        Node::Expr(e) => may_fix(e),
        _ => false,
    });
    let SetExpr::Select(s) = &mut q.body else {
        return false;
    };
    let compares = compares || matches!(s.filter, Some(Expr::Column(_)));
    s.items.iter_mut().all(|item| match item {
        SelectItem::Expr { expr, .. } => {
            raising::is_of_no_row(expr) || compares || !has_column(expr)
        }
        SelectItem::Star(..) | SelectItem::FieldStar(_) => true,
    })
}

/// May a condition say that a column is one value?
fn may_fix(e: &mut Expr) -> bool {
    let equals = |op: &Operator| &*op.symbol == "=";
    match e {
        Expr::Binary(left, op, right) => {
            equals(op) && (raising::is_of_no_row(left) || raising::is_of_no_row(right))
        }
        Expr::InList { .. } | Expr::QuantifiedArray { .. } | Expr::Not(_) | Expr::Test(..) => true,
        // A boolean column by itself.
        Expr::And(list) => list.iter().any(|e| matches!(e, Expr::Column(_))),
        _ => false,
    }
}

fn has_column(e: &mut Expr) -> bool {
    e.any_within(&mut |node| matches!(node, Node::Expr(Expr::Column(_)) | Node::Query(_)))
}
