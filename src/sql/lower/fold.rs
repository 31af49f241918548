//! Links of left-deep chains, folded so that runs of AND and of OR stay one node.

use super::names::operator;
use crate::sql::tree::Expr;

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
