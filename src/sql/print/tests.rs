//! What must never print, and the few exact texts others rely on. That PostgreSQL accepts the rest is
//! `tests/print.rs`.

use super::*;
use crate::sql::tree::{Column, Literal, Name, Operator};

fn name(parts: &[&str]) -> Name {
    Name {
        parts: parts.iter().map(|p| Ident::exact(p)).collect(),
        position: Position::default(),
    }
}

fn number(text: &str) -> Expr {
    Expr::Literal(Literal::Number(text.into()))
}

fn text(expr: &Expr) -> Option<String> {
    print_expr(expr, &Rewrite::default()).ok()
}

fn operator(schema: Option<&str>, symbol: &str) -> Operator {
    Operator {
        schema: schema.map(Ident::exact),
        symbol: symbol.into(),
        decides: [false; 2],
    }
}

#[test]
fn operators_carry_their_schema_and_parentheses() {
    let sum = |l, r| Expr::Binary(Box::new(l), operator(Some("pg_catalog"), "+"), Box::new(r));
    let nested = sum(number("1"), sum(number("2"), number("3")));
    assert_eq!(
        text(&nested).unwrap(),
        r#"(1 OPERATOR("pg_catalog".+) (2 OPERATOR("pg_catalog".+) 3))"#
    );
}

#[test]
fn unresolved_things_do_not_print() {
    let one = || Box::new(number("1"));
    assert!(text(&Expr::Name(name(&["a"]))).is_none());
    assert!(text(&Expr::Star(name(&["a"]))).is_none());
    assert!(text(&Expr::Binary(one(), operator(None, "+"), one())).is_none());
    assert!(text(&Expr::Collate(one(), name(&["C"]))).is_none());
    assert!(text(&Expr::Param(0)).is_none());
}

#[test]
fn symbols_and_numbers_are_checked_again() {
    let unary = |symbol| {
        text(&Expr::Unary(
            operator(Some("s"), symbol),
            Box::new(number("1")),
        ))
    };
    for symbol in ["", "--", "<>/*", "a", "=;", "+)", "=\n", "´"] {
        assert!(unary(symbol).is_none(), "{symbol}");
    }
    assert!(unary("<->").is_some());
    for bad in [
        "", ".", "1a", "1e", "e5", "1--", "1;", "0x10", "1_000", "1 ", "١", "--1", "1.2.3",
    ] {
        assert!(text(&number(bad)).is_none(), "{bad}");
    }
    for good in ["0", "1.", ".5", "1e10", "1.5E-3", "1e+2"] {
        assert_eq!(text(&number(good)).as_deref(), Some(good));
    }
}

#[test]
fn masks_stand_in_place_of_columns() {
    let id = RelationId(0);
    let email = Expr::Column(Column {
        qualifier: Some(Ident::exact("p")),
        name: Ident::exact("email"),
        base: Some((id, 2)),
        position: Position::default(),
    });
    let mask = InPlace::new(|alias| format!("mask({alias}.\"email\")"));
    let rewrite = Rewrite {
        relations: [(id, RelationForm::InPlace([(2, mask)].into()))].into(),
        ..Rewrite::default()
    };
    assert_eq!(
        print_expr(&email, &rewrite).unwrap(),
        r#"(mask("p"."email"))"#
    );
    let row = Expr::WholeRow {
        qualifier: Ident::exact("p"),
        base: Some(id),
    };
    assert!(
        print_expr(&row, &rewrite).is_err(),
        "the stored row must not print"
    );
    assert_eq!(
        print_expr(&row, &Rewrite::default()).unwrap(),
        r#"COALESCE("p".*)"#
    );
}
