//! DISTINCT and set operations over values of which equal ones may differ, as 1.0 and 1.00: which of them is
//! shown is that of the row which came first. So they read their rows in a random order.
//!
//! Deliberately absent: GROUP BY, which has no rows of its own to put in an order, and the loops of WITH
//! RECURSIVE, where PostgreSQL takes no ORDER BY. They are refused.

use super::calls::apart;
use super::key;
use super::select::names;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Distinct, Expr, JoinConstraint, Part, Query, SetExpr, SetOp, Statement, TableRef, Walked, With,
};

/// Puts their rows in a random order, wherever they are in a statement.
pub(super) fn shuffle(statement: &mut Statement) -> Walked {
    match statement {
        Statement::Query(q) => query(q),
        // What a write reads comes in an order of its own.
        _ => Err(apart()),
    }
}

fn query(q: &mut Query) -> Walked {
    if let Some(with) = &mut q.with {
        ctes(with)?;
    }
    body(&mut q.body)?;
    for item in &mut q.order_by {
        expr(&mut item.expr)?;
    }
    match &q.body {
        SetExpr::Select(s) if matches!(s.distinct, Some(Distinct::All)) => key::wrap_distinct(q),
        _ => Ok(()),
    }
}

fn ctes(with: &mut With) -> Walked {
    for cte in &mut with.ctes {
        let Statement::Query(body) = &mut *cte.body else {
            return Err(apart());
        };
        if with.recursive && names(body, &cte.name) {
            return Err(apart());
        }
        query(body)?;
    }
    Ok(())
}

fn body(b: &mut SetExpr) -> Walked {
    match b {
        SetExpr::Select(s) => {
            for table in &mut s.from {
                self::table(table)?;
            }
            let items = key::as_items_mut(&mut s.items);
            for e in items.chain(&mut s.filter).chain(&mut s.having) {
                expr(e)?;
            }
            Ok(())
        }
        SetExpr::Query(q) => query(q),
        SetExpr::Values(rows) => rows.iter_mut().flatten().try_for_each(expr),
        SetExpr::Chain { first, rest } => {
            body(first)?;
            for (_, _, arm) in rest.iter_mut() {
                body(arm)?;
            }
            if rest.iter().all(|(op, all, _)| *op == SetOp::Union && *all) {
                return Ok(());
            }
            key::shuffle_arm(first)?;
            rest.iter_mut()
                .try_for_each(|(_, _, arm)| key::shuffle_arm(arm))
        }
    }
}

fn table(t: &mut TableRef) -> Walked {
    match t {
        TableRef::Derived { query: q, .. } => query(q),
        TableRef::Join {
            left,
            right,
            constraint,
            ..
        } => {
            table(left)?;
            table(right)?;
            match constraint {
                JoinConstraint::On(on) => expr(on),
                JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {
                    Ok(())
                }
            }
        }
        TableRef::Function(f) => {
            let args = f.functions.iter_mut().flat_map(|item| &mut item.call.args);
            args.map(|a| &mut a.value).try_for_each(expr)
        }
        TableRef::Relation(_) | TableRef::Keyword(_) => Ok(()),
    }
}

fn expr(e: &mut Expr) -> Result<(), Refusal> {
    e.parts(&mut |part| match part {
        Part::Expr(inner) => expr(inner),
        Part::Query(q) => query(q),
    })
}
