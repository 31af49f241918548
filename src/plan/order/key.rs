//! The key, and queries that cannot take it as they are: they become a derived table, with the key
//! outside.

use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print_expr};
use crate::sql::tree::{
    Column, Distinct, Expr, Literal, OrderItem, Position, Query, Select, SelectItem, SetExpr,
    TableAlias, TableRef, Walked,
};

/// What the derived table is called. A space is in it, as no client's alias has one by accident; if
/// one has, it means its own: nothing inside the derived table can see this name.
const ROWS: &str = "pgveil rows";

/// A random value for each row.
pub(super) fn order_key() -> OrderItem {
    Expr::builtin_call("gen_random_uuid", []).into_order_item()
}

/// A query of nothing but its body.
pub(super) fn alone(body: SetExpr) -> Query {
    Query {
        with: None,
        body,
        order_by: Vec::new(),
        limit: None,
        locking: Vec::new(),
    }
}

/// The expressions of a select list.
pub(super) fn as_items(items: &[SelectItem]) -> impl Iterator<Item = &Expr> {
    items.iter().filter_map(|i| match i {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star(..) | SelectItem::FieldStar(_) => None,
    })
}

/// The same, to change.
pub(super) fn as_items_mut(items: &mut [SelectItem]) -> impl Iterator<Item = &mut Expr> {
    items.iter_mut().filter_map(|i| match i {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star(..) | SelectItem::FieldStar(_) => None,
    })
}

/// A key as an expression: an output column's number means that column.
pub(super) fn meant<'e>(e: &'e Expr, items: &'e [SelectItem]) -> &'e Expr {
    let item = position(e).and_then(|n| items.get(n));
    match item {
        Some(SelectItem::Expr { expr, .. }) => expr,
        Some(SelectItem::Star(..) | SelectItem::FieldStar(_)) | None => e,
    }
}

/// Are two resolved expressions one? Only if they are written alike.
pub(super) fn same_text(a: &Expr, b: &Expr) -> bool {
    let rewrite = Rewrite::default();
    match (print_expr(a, &rewrite), print_expr(b, &rewrite)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The place in the select list that a number means.
pub(super) fn position(e: &Expr) -> Option<usize> {
    match e {
        Expr::Literal(Literal::Number(n)) => n.value().parse::<usize>().ok()?.checked_sub(1),
        _ => None,
    }
}

fn number(position: usize) -> Expr {
    let text = position.saturating_add(1).to_string();
    Expr::Literal(Literal::Number(text.into()))
}

/// `SELECT … FROM (body) AS rows ORDER BY …, key LIMIT …`: for set operations and DISTINCT, which
/// PostgreSQL sorts by their own columns only.
pub(super) fn wrap(q: &mut Query) -> Walked {
    let names = names(&q.body)?;
    number_keys(q)?;
    let body = std::mem::replace(&mut q.body, SetExpr::Values(Vec::new()));
    q.body = outer(alone(body), &names, 0);
    q.order_by.push(order_key());
    Ok(())
}

/// Sort keys by their numbers in the select list.
fn number_keys(q: &mut Query) -> Walked {
    if let SetExpr::Select(s) = &q.body {
        for item in &mut q.order_by {
            if position(&item.expr).is_none() {
                let found = as_items(&s.items).position(|e| same_text(e, &item.expr));
                item.expr = number(found.ok_or_else(|| not_in_list(&item.expr))?);
            }
        }
    }
    Ok(())
}

/// `SELECT DISTINCT … FROM (body ORDER BY key) AS rows`: of equal rows, any is the first.
pub(super) fn wrap_distinct(q: &mut Query) -> Walked {
    let names = names(&q.body)?;
    number_keys(q)?;
    let mut body = std::mem::replace(&mut q.body, SetExpr::Values(Vec::new()));
    if let SetExpr::Select(s) = &mut body {
        s.distinct = None;
    }
    let mut inner = alone(body);
    inner.order_by.push(order_key());
    q.body = outer(inner, &names, 0);
    if let SetExpr::Select(s) = &mut q.body {
        s.distinct = Some(Distinct::All);
    }
    Ok(())
}

/// The same of an arm of a set operation. A constant takes the type of the other arms only if it stands there
/// itself.
pub(super) fn shuffle_arm(arm: &mut SetExpr) -> Walked {
    let names = names(arm)?;
    let untyped = |e: &Expr| {
        let literal = matches!(e, Expr::Literal(Literal::Null | Literal::String(_)));
        literal || matches!(e, Expr::Param(_))
    };
    let constants: Vec<Option<Expr>> = match &*arm {
        SetExpr::Select(s) if s.from.is_empty() => return Ok(()),
        SetExpr::Select(s) => as_items(&s.items)
            .map(|e| Some(e.clone()).filter(untyped))
            .collect(),
        _ => Vec::new(),
    };
    let inner = match std::mem::replace(arm, SetExpr::Values(Vec::new())) {
        SetExpr::Query(q) => *q,
        body => alone(body),
    };
    let mut shuffled = alone(outer(inner, &names, 0));
    if let SetExpr::Select(s) = &mut shuffled.body {
        for (e, constant) in as_items_mut(&mut s.items).zip(constants) {
            *e = constant.unwrap_or_else(|| std::mem::replace(e, Expr::Literal(Literal::Null)));
        }
    }
    shuffled.order_by.push(order_key());
    *arm = SetExpr::Query(Box::new(shuffled));
    Ok(())
}

/// The same for WITH TIES, where one more key would leave no ties. The limit stays inside, and the
/// sort keys are handed out beside the columns to sort by again.
pub(super) fn wrap_ties(q: &mut Query) -> Walked {
    if q.limit.as_ref().is_some_and(|l| l.offset.is_some()) {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "OFFSET together with WITH TIES is not supported over a relation whose row order is \
             protected",
        )
        .detail("Which of several equal rows OFFSET leaves out would tell their stored order.")
        .hint("Use FETCH FIRST … ROWS ONLY, or leave OFFSET out."));
    }
    let names = names(&q.body)?;
    let mut hidden: Vec<Expr> = Vec::new();
    let mut sorted = q.order_by.clone();
    for (inside, outside) in q.order_by.iter_mut().zip(&mut sorted) {
        let at = match (position(&inside.expr), &q.body) {
            (Some(at), _) => at,
            (None, SetExpr::Select(s)) => {
                let known = as_items(&s.items).position(|e| same_text(e, &inside.expr));
                match known {
                    Some(at) => at,
                    None if matches!(s.distinct, Some(Distinct::All)) => {
                        return Err(not_in_list(&inside.expr));
                    }
                    None => {
                        hidden.push(inside.expr.clone());
                        names.len().saturating_add(hidden.len()).saturating_sub(1)
                    }
                }
            }
            (None, _) => return Err(not_in_list(&inside.expr)),
        };
        inside.expr = number(at);
        outside.expr = if at < names.len() {
            number(at)
        } else {
            column(at)
        };
    }
    let extra = hidden.len();
    hand_out(&mut q.body, names.len(), hidden);
    let with = q.with.take();
    let inner = std::mem::replace(q, alone(SetExpr::Values(Vec::new())));
    q.with = with;
    q.body = outer(inner, &names, extra);
    q.order_by = sorted;
    q.order_by.push(order_key());
    Ok(())
}

/// DISTINCT ON as a derived table, with the order that was asked for outside and no DISTINCT left: it
/// chooses its rows by sort keys of its own, and what they sort by shows in the order of what they chose.
/// Inside, the random key is the last of them.
pub(super) fn wrap_on(q: &mut Query) -> Walked {
    let names = names(&q.body)?;
    let mut inside = q.order_by.clone();
    let mut hidden: Vec<Expr> = Vec::new();
    if let SetExpr::Select(s) = &q.body {
        if let Some(Distinct::On(keys)) = &s.distinct {
            unsorted(keys, &s.items, &mut inside);
        }
        for item in &mut q.order_by {
            let known = match position(&item.expr) {
                None => as_items(&s.items).position(|e| same_text(e, &item.expr)),
                at => at,
            };
            item.expr = known.map_or_else(
                || {
                    hidden.push(item.expr.clone());
                    column(names.len().saturating_add(hidden.len()).saturating_sub(1))
                },
                number,
            );
        }
    }
    inside.push(order_key());
    let extra = hidden.len();
    hand_out(&mut q.body, names.len(), hidden);
    let mut inner = alone(std::mem::replace(&mut q.body, SetExpr::Values(Vec::new())));
    inner.order_by = inside;
    q.body = outer(inner, &names, extra);
    Ok(())
}

/// Adds the keys of DISTINCT ON that are no sort keys yet: PostgreSQL wants them first.
pub(super) fn unsorted(keys: &[Expr], items: &[SelectItem], sorted: &mut Vec<OrderItem>) {
    for e in keys {
        let wanted = meant(e, items);
        let known = sorted
            .iter()
            .any(|o| same_text(meant(&o.expr, items), wanted));
        if !known {
            sorted.push(e.clone().into_order_item());
        }
    }
}

/// Adds expressions to the select list, after the columns it has.
fn hand_out(body: &mut SetExpr, width: usize, hidden: Vec<Expr>) {
    let SetExpr::Select(s) = body else { return };
    let items = (width..).zip(hidden).map(|(at, expr)| SelectItem::Expr {
        expr,
        alias: Some(label(at)),
    });
    s.items.extend(items);
}

/// The SELECT around a derived table, whose columns get names that no two of them share.
fn outer(inner: Query, names: &[Ident], extra: usize) -> SetExpr {
    let from = TableRef::Derived {
        lateral: false,
        query: Box::new(inner),
        alias: Some(rows(names.len().saturating_add(extra))),
    };
    reading(from, names)
}

/// A SELECT of the columns of a FROM item that is called [`rows`], by the names they are to have.
pub(super) fn reading(from: TableRef, names: &[Ident]) -> SetExpr {
    let items = names.iter().enumerate().map(|(at, name)| SelectItem::Expr {
        expr: column(at),
        alias: Some(name.clone()),
    });
    SetExpr::Select(Box::new(Select {
        items: items.collect(),
        from: vec![from],
        ..Select::default()
    }))
}

/// What a FROM item of so many columns is called here, and they.
pub(super) fn rows(width: usize) -> TableAlias {
    TableAlias {
        name: Ident::exact(ROWS),
        columns: (0..width).map(label).collect(),
    }
}

fn label(at: usize) -> Ident {
    Ident::exact(&format!("c{}", at.saturating_add(1)))
}

fn column(at: usize) -> Expr {
    Expr::Column(Column {
        qualifier: Some(Ident::exact(ROWS)),
        name: label(at),
        base: None,
        position: Position::default(),
    })
}

/// The names of a body's columns: those of its first arm.
fn names(body: &SetExpr) -> Result<Vec<Ident>, Refusal> {
    match body {
        SetExpr::Select(s) => item_names(&s.items),
        SetExpr::Query(q) => names(&q.body),
        SetExpr::Values(rows) => {
            let width = rows.first().map_or(0, Vec::len);
            Ok((1..=width)
                .map(|n| Ident::exact(&format!("column{n}")))
                .collect())
        }
        SetExpr::Chain { first, .. } => names(first),
    }
}

/// The same of a list of SELECT or RETURNING.
pub(super) fn item_names(items: &[SelectItem]) -> Result<Vec<Ident>, Refusal> {
    let name = |i: &SelectItem| match i {
        SelectItem::Expr {
            alias: Some(alias), ..
        } => Ok(alias.clone()),
        SelectItem::Expr { .. } | SelectItem::Star(..) | SelectItem::FieldStar(_) => Err(
            Refusal::error(sqlstate::INTERNAL_ERROR, "a select list is not resolved"),
        ),
    };
    items.iter().map(name).collect()
}

fn not_in_list(key: &Expr) -> Refusal {
    Refusal::error(
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    )
    .at(key.position())
}
