//! Short ways to build trees by hand.

use pgveil::ident::Ident;
use pgveil::sql::tree::{
    Call, Column, Cte, Distinct, Expr, Literal, Name, Operator, OrderItem, Position, Query,
    RelationId, RelationRef, Select, SelectItem, SetExpr, Statement, TableAlias, TableRef,
    TypeName, With,
};

pub(crate) fn id(name: &str) -> Ident {
    Ident::exact(name)
}

pub(crate) fn name(parts: &[&str]) -> Name {
    Name {
        parts: parts.iter().map(|p| id(p)).collect(),
        position: Position::default(),
    }
}

pub(crate) fn string(value: &str) -> Expr {
    Expr::Literal(Literal::String(value.into()))
}

pub(crate) fn number(value: &str) -> Expr {
    Expr::Literal(Literal::Number(value.into()))
}

pub(crate) fn null() -> Expr {
    Expr::Literal(Literal::Null)
}

pub(crate) fn boolean(value: bool) -> Expr {
    Expr::Literal(Literal::Bool(value))
}

pub(crate) fn column(qualifier: &str, column: &str) -> Expr {
    Expr::Column(Column {
        qualifier: Some(id(qualifier)),
        name: id(column),
        base: None,
        position: Position::default(),
    })
}

/// A column of a base relation.
pub(crate) fn base(qualifier: &str, column: &str, relation: u32, attnum: i16) -> Expr {
    Expr::Column(Column {
        qualifier: Some(id(qualifier)),
        name: id(column),
        base: Some((RelationId(relation), attnum)),
        position: Position::default(),
    })
}

pub(crate) fn operator(symbol: &str) -> Operator {
    Operator {
        schema: Some(id("pg_catalog")),
        symbol: symbol.into(),
        decides: [false; 2],
    }
}

pub(crate) fn binary(left: Expr, symbol: &str, right: Expr) -> Expr {
    Expr::Binary(Box::new(left), operator(symbol), Box::new(right))
}

pub(crate) fn unary(symbol: &str, operand: Expr) -> Expr {
    Expr::Unary(operator(symbol), Box::new(operand))
}

pub(crate) fn ty(internal: &str, typmods: &[i64], array_dims: u8) -> TypeName {
    TypeName {
        name: name(&["pg_catalog", internal]),
        typmods: typmods.to_vec(),
        interval_fields: None,
        array_dims,
    }
}

pub(crate) fn cast(expr: Expr, internal: &str) -> Expr {
    Expr::Cast(Box::new(expr), ty(internal, &[], 0))
}

pub(crate) fn bare_call(function: &str, args: Vec<Expr>) -> Call {
    Call::plain(name(&["pg_catalog", function]), args)
}

pub(crate) fn call(function: &str, args: Vec<Expr>) -> Expr {
    Expr::Call(Box::new(bare_call(function, args)))
}

pub(crate) fn count_star() -> Expr {
    Expr::Call(Box::new(Call {
        star: true,
        ..bare_call("count", Vec::new())
    }))
}

pub(crate) fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::Expr {
        expr,
        alias: Some(id(alias)),
    }
}

pub(crate) fn items(exprs: Vec<Expr>) -> Vec<SelectItem> {
    let named = |(i, expr)| item(expr, &format!("c{i}"));
    exprs.into_iter().enumerate().map(named).collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what every FROM item has a place for"
)]
pub(crate) fn alias(name: &str) -> Option<TableAlias> {
    Some(TableAlias {
        name: id(name),
        columns: Vec::new(),
    })
}

/// `"s"."relation" AS "called"`
pub(crate) fn relation(relation: &str, called: &str, number: u32) -> RelationRef {
    RelationRef {
        name: name(&["s", relation]),
        only: false,
        alias: alias(called),
        sample: None,
        id: Some(RelationId(number)),
    }
}

pub(crate) fn from(of: RelationRef) -> TableRef {
    TableRef::Relation(Box::new(of))
}

/// A reference to a CTE.
pub(crate) fn cte_ref(cte: &str, called: &str) -> TableRef {
    from(RelationRef {
        name: name(&[cte]),
        id: None,
        ..relation("", called, 0)
    })
}

pub(crate) fn select(exprs: Vec<Expr>, from: Vec<TableRef>) -> Select {
    Select {
        distinct: None::<Distinct>,
        items: items(exprs),
        into: None,
        from,
        filter: None,
        group_by: Vec::new(),
        group_distinct: false,
        having: None,
        windows: Vec::new(),
        spelled: Vec::new(),
    }
}

pub(crate) fn body(select: Select) -> SetExpr {
    SetExpr::Select(Box::new(select))
}

pub(crate) fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body,
        order_by: Vec::new(),
        limit: None,
        locking: Vec::new(),
    }
}

pub(crate) fn plain(exprs: Vec<Expr>, from: Vec<TableRef>) -> Query {
    query(body(select(exprs, from)))
}

pub(crate) fn statement(query: Query) -> Statement {
    Statement::Query(Box::new(query))
}

pub(crate) fn by(expr: Expr) -> OrderItem {
    expr.into_order_item()
}

pub(crate) fn with(ctes: Vec<(&str, Statement)>, recursive: bool) -> With {
    let cte = |(name, body): (&str, Statement)| Cte {
        name: id(name),
        columns: Vec::new(),
        materialized: None,
        body: Box::new(body),
        search: None,
        cycle: None,
    };
    With {
        recursive,
        ctes: ctes.into_iter().map(cte).collect(),
    }
}
