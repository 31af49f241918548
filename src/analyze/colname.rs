//! The name PostgreSQL gives to an output column without AS (`FigureColname` in parse_target.c).
//!
//! Asked before resolution: it depends on what the client wrote, not on what it means.

use crate::ident::Ident;
use crate::sql::tree::{Expr, Query, SelectItem, SetExpr, SystemValue};

/// The column's name.
pub(super) fn column_name(expr: &Expr) -> Ident {
    figure(expr).map_or_else(|| Ident::exact("?column?"), |(_, name)| name)
}

/// Does the name come from the columns of a star, so that it is known only when that is expanded?
pub(super) fn is_named_by_star(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(inner, _) | Expr::Collate(inner, _) | Expr::Subscripts(inner, _) => {
            is_named_by_star(inner)
        }
        Expr::Case { otherwise, .. } => otherwise.as_deref().is_some_and(is_named_by_star),
        Expr::Subquery(query) => match first_item(query) {
            Some(SelectItem::Star(..) | SelectItem::FieldStar(_)) => true,
            Some(SelectItem::Expr { expr, alias: None }) => is_named_by_star(expr),
            Some(SelectItem::Expr { .. }) | None => false,
        },
        _ => false,
    }
}

/// A name with its strength: 2 for a good one, 1 for a type's or `case`, which a better one inside
/// replaces.
fn figure(expr: &Expr) -> Option<(u8, Ident)> {
    let strong = |s: &str| Some((2, Ident::exact(s)));
    match expr {
        Expr::Name(n) | Expr::Star(n) => n.parts.last().map(|p| (2, p.clone())),
        Expr::Column(c) => Some((2, c.name.clone())),
        Expr::WholeRow { qualifier, .. } => Some((2, qualifier.clone())),
        Expr::Call(c) => c.function.parts.last().map(|p| (2, p.clone())),
        Expr::NullIf(..) => strong("nullif"),
        Expr::Cast(inner, ty) => match figure(inner) {
            Some((2, name)) => Some((2, name)),
            _ => ty.name.parts.last().map(|p| (1, p.clone())),
        },
        Expr::Collate(inner, _)
        | Expr::Subscripts(inner, _)
        | Expr::Constant { expr: inner, .. }
        | Expr::Held { expr: inner, .. } => figure(inner),
        Expr::Field(_, name) => Some((2, name.clone())),
        Expr::Grouping(_) => strong("grouping"),
        Expr::Exists(_) => strong("exists"),
        Expr::ArrayQuery(_) | Expr::Array(_) => strong("array"),
        Expr::Subquery(q) => subquery_name(q),
        Expr::Case { otherwise, .. } => match otherwise.as_deref().and_then(figure) {
            Some((2, name)) => Some((2, name)),
            _ => Some((1, Ident::exact("case"))),
        },
        Expr::Row { .. } => strong("row"),
        Expr::Keyword(form) => form.name.and_then(strong),
        Expr::Coalesce(_) => strong("coalesce"),
        Expr::Greatest(_) => strong("greatest"),
        Expr::Least(_) => strong("least"),
        Expr::SystemValue(v) => strong(system_value_name(*v)),
        Expr::Param(_)
        | Expr::Literal(_)
        | Expr::Unary(..)
        | Expr::Binary(..)
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Test(..)
        | Expr::IsDistinct { .. }
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::InQuery { .. }
        | Expr::QuantifiedArray { .. }
        | Expr::QuantifiedQuery { .. }
        | Expr::CurrentOf(_) => None,
    }
}

/// A scalar subquery is named after its first column, and well, whatever that column's name rests on.
fn subquery_name(query: &Query) -> Option<(u8, Ident)> {
    match first_item(query) {
        None => Some((2, Ident::exact("column1"))),
        Some(SelectItem::Expr { alias: Some(a), .. }) => Some((2, a.clone())),
        Some(SelectItem::Expr { expr, alias: None }) => Some((2, column_name(expr))),
        Some(SelectItem::Star(..) | SelectItem::FieldStar(_)) => None,
    }
}

/// The first column of a query, as written; none of VALUES.
fn first_item(query: &Query) -> Option<&SelectItem> {
    let mut body = &query.body;
    loop {
        match body {
            SetExpr::Query(q) => body = &q.body,
            SetExpr::Chain { first, .. } => body = first,
            SetExpr::Values(_) => return None,
            SetExpr::Select(s) => return s.items.first(),
        }
    }
}

fn system_value_name(value: SystemValue) -> &'static str {
    match value {
        SystemValue::CurrentDate => "current_date",
        SystemValue::CurrentTime(_) => "current_time",
        SystemValue::CurrentTimestamp(_) => "current_timestamp",
        SystemValue::LocalTime(_) => "localtime",
        SystemValue::LocalTimestamp(_) => "localtimestamp",
        SystemValue::CurrentUser => "current_user",
        SystemValue::CurrentRole => "current_role",
        SystemValue::SessionUser => "session_user",
        SystemValue::User => "user",
        SystemValue::CurrentCatalog => "current_catalog",
        SystemValue::CurrentSchema => "current_schema",
    }
}
