//! Links of left-deep chains, folded so that runs of AND, of OR and of subscripts stay one node.

use super::names::operator;
use crate::sql::tree::{Expr, Subscript};

/// `left symbol right`, where `and` and `or` are symbols too.
pub(super) fn link(left: Expr, symbol: &str, right: Expr) -> Expr {
    match (symbol, left) {
        ("and", Expr::And(list)) => Expr::And(pushed(list, right)),
        ("and", left) => Expr::And(vec![left, right]),
        ("or", Expr::Or(list)) => Expr::Or(pushed(list, right)),
        ("or", left) => Expr::Or(vec![left, right]),
        (symbol, left) => Expr::Binary(Box::new(left), operator(symbol), Box::new(right)),
    }
}

fn pushed(mut list: Vec<Expr>, right: Expr) -> Vec<Expr> {
    list.push(right);
    list
}

/// One more subscript after `base`.
pub(super) fn subscript(base: Expr, subscript: Subscript) -> Expr {
    match base {
        Expr::Subscripts(base, mut list) => {
            list.push(subscript);
            Expr::Subscripts(base, list)
        }
        base => Expr::Subscripts(Box::new(base), vec![subscript]),
    }
}
