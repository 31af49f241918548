//! DISTINCT and set operations over values of which equal ones may differ, as 1.0 and 1.00: which of them is
//! shown is that of the row which came first. So they read their rows in a random order.
//!
//! Deliberately absent: GROUP BY, which has no rows of its own to put in an order, and the loops of WITH
//! RECURSIVE, where PostgreSQL takes no ORDER BY. They are refused.

use super::calls::apart;
use super::key;
use super::select::names;
use crate::sql::tree::{Distinct, Node, Query, SetExpr, SetOp, Statement, Walked};

/// Puts their rows in a random order, wherever they are in a statement.
pub(super) fn shuffle(statement: &mut Statement) -> Walked {
    match statement {
        Statement::Query(q) => query(q),
        // What a write reads comes in an order of its own.
        _ => Err(apart()),
    }
}

/// A query and all that is in it, the innermost first: what is put around one is not met again.
fn query(q: &mut Query) -> Walked {
    let mut refused = None;
    let _: bool = q.any_within(&mut |node| {
        let walked = match node {
            Node::Query(q) => own(q),
            Node::Change(_) => Err(apart()),
            Node::Expr(_) | Node::Table(_) | Node::Item(_) => Ok(()),
        };
        refused = walked.err();
        refused.is_some()
    });
    refused.map_or(Ok(()), Err)
}

/// What a query itself does to its rows.
fn own(q: &mut Query) -> Walked {
    let loops = q.with.as_mut().is_some_and(|with| {
        let recursive = with.recursive;
        with.ctes.iter_mut().any(|cte| match &mut *cte.body {
            Statement::Query(body) => recursive && names(body, &cte.name),
            _ => true,
        })
    });
    if loops {
        return Err(apart());
    }
    arms(&mut q.body)?;
    match &q.body {
        SetExpr::Select(s) if matches!(s.distinct, Some(Distinct::All)) => key::wrap_distinct(q),
        _ => Ok(()),
    }
}

fn arms(b: &mut SetExpr) -> Walked {
    let SetExpr::Chain { first, rest } = b else {
        return Ok(());
    };
    arms(first)?;
    rest.iter_mut().try_for_each(|(_, _, arm)| arms(arm))?;
    if rest.iter().all(|(op, all, _)| *op == SetOp::Union && *all) {
        return Ok(());
    }
    key::shuffle_arm(first)?;
    rest.iter_mut()
        .try_for_each(|(_, _, arm)| key::shuffle_arm(arm))
}
