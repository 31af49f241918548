//! Texts against the trees they become, by PostgreSQL's grammar.

mod expressions;
mod limits;
mod queries;
mod show;
mod statements;

use crate::sql::parse::parse;
use crate::sql::tree::*;

/// The only statement of a text.
fn one(text: &str) -> Statement {
    let mut parsed = parse(text).unwrap_or_else(|refused| panic!("{text}: {refused:?}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

/// `SQLSTATE message` of a refusal.
fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("not refused: {text}"),
        Err(refused) => format!("{} {}", refused.sqlstate, refused.what),
    }
}

fn query(text: &str) -> Query {
    match one(text) {
        Statement::Query(query) => *query,
        _ => panic!("not a query: {text}"),
    }
}

fn select(text: &str) -> Select {
    match query(text).body {
        SetExpr::Select(select) => *select,
        _ => panic!("not a SELECT: {text}"),
    }
}

/// An expression, fully parenthesised.
fn expr(text: &str) -> String {
    match select(&format!("SELECT {text}")).items.as_slice() {
        [SelectItem::Expr { expr, alias: None }] => show::expr(expr),
        _ => panic!("not one expression: {text}"),
    }
}
