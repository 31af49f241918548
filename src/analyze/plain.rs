//! What fails for no row, of expressions that are not the client's: views' and generated columns'.
//!
//! Deliberately absent: what is known of types there (`plan::order::raising`, of what is resolved).

use std::sync::Arc;

use super::generated::{ColumnForm, column_form, generated};
use super::view::{DEPTH, definition, is_system};
use super::{Grounds, Resolve};
use crate::catalog::{Column, Relation, RelationKind};
use crate::sql::tree::{Expr, Node, Operator, TableRef};

/// Whether a row may make a view fail.
struct MayFail(bool);

/// May a row make a view of the database's own fail? Whatever is more than columns and comparisons may.
pub(super) fn may_fail(view: &Relation, grounds: Grounds<'_>, depth: usize) -> bool {
    if is_system(view) || view.kind != RelationKind::View {
        return false;
    }
    if let Some(known) = grounds.grants.memo.get::<MayFail>(view.oid) {
        return known.0;
    }
    let definition = view.definition.as_deref().map(definition);
    let Some(Ok(mut query)) = definition.filter(|_| depth < DEPTH) else {
        return true;
    };
    let fails = query.any_within(&mut |node| match node {
        Node::Expr(e) => !is_plain(e),
        Node::Table(TableRef::Relation(r)) => match r.name.parts.as_slice() {
            [schema, name] => (grounds.catalog.relation(schema, name)).is_none_or(|r| {
                let computed = r.columns.iter().any(|c| c.computed_when_read);
                computed || may_fail(r, grounds, depth.saturating_add(1))
            }),
            // A name of WITH.
            _ => false,
        },
        Node::Table(TableRef::Function(_) | TableRef::Keyword(_)) | Node::Change(_) => true,
        Node::Table(_) | Node::Item(_) | Node::Query(_) => false,
    });
    let keep = MayFail(fails);
    grounds.grants.memo.keep(view.oid, Arc::new(keep));
    fails
}

/// Does it fail for no row, in any view?
fn is_plain(e: &Expr) -> bool {
    const CALLS: &[&str] = &[
        "avg", "bool_and", "bool_or", "count", "lower", "max", "min", "sum", "upper",
    ];
    match e {
        Expr::Name(_)
        | Expr::Column(_)
        | Expr::Literal(_)
        | Expr::SystemValue(_)
        | Expr::Star(_)
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Test(..)
        | Expr::Case { .. }
        | Expr::Coalesce(_)
        | Expr::NullIf(..)
        | Expr::IsDistinct { .. }
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::Exists(_) => true,
        Expr::Cast(inner, _) => matches!(**inner, Expr::Literal(_)),
        Expr::Binary(left, op, right) => op.is_comparison() || joins_text(left, op, right),
        Expr::QuantifiedArray { op, .. } => op.is_comparison(),
        Expr::Array(list) => list.iter().all(is_plain),
        Expr::Call(call) => match call.function.parts.as_slice() {
            [name] => CALLS.contains(&name.as_str()),
            [schema, name] if *schema == "pg_catalog" => CALLS.contains(&name.as_str()),
            _ => false,
        },
        _ => false,
    }
}

/// `a || ' '::text || b`: of texts, as far as is seen.
fn joins_text(left: &Expr, op: &Operator, right: &Expr) -> bool {
    let is_text = |e: &Expr| match e {
        Expr::Binary(left, op, right) => joins_text(left, op, right),
        Expr::Cast(inner, ty) => {
            let text = ty.name.parts.last().is_some_and(|name| *name == "text");
            text && ty.array_dims == 0 && matches!(**inner, Expr::Literal(_))
        }
        _ => false,
    };
    &*op.symbol == "||" && (is_text(left) || is_text(right))
}

/// May it fail to read a generated column that is computed as it is read, by PostgreSQL or instead of what
/// is stored?
pub(super) fn generated_may_fail(
    relation: &Arc<Relation>,
    column: &Column,
    grounds: Grounds<'_>,
) -> Resolve<bool> {
    if column.generated.is_none() {
        return Ok(false);
    }
    let fails =
        |e: &mut Expr| e.any_within(&mut |node| matches!(node, Node::Expr(e) if !is_plain(e)));
    Ok(match column_form(relation, column.attnum, grounds)? {
        ColumnForm::Generated(mut g) => g.lineage.failing || fails(&mut g.expr),
        _ if column.computed_when_read => {
            let mut read = generated(relation, column.generated.as_deref().unwrap_or(""), grounds)?;
            read.lineage.failing || fails(&mut read.expr)
        }
        _ => false,
    })
}
