//! Views that read nothing protected, and are replaced by their queries all the same: PostgreSQL would run these as
//! they are, and what the role may not be told by a query of its own, it would be told by them.
//!
//! Deliberately absent: materialized views, whose rows are there already.

use super::Grounds;
use super::exposed::exposed_order;
use super::lineage::Lineage;
use crate::catalog::allow::hidden_rows;
use crate::catalog::{FunctionKind, Relation};
use crate::sql::tree::{Call, Distinct, Expr, Node, Query, SetExpr};

/// Functions of PostgreSQL's own whose result goes by the order of rows; those that compute with inexact numbers know
/// it themselves.
const BY_ORDER: &[&str] = &[
    "array_agg",
    "json_agg",
    "json_agg_strict",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "mode",
    "nextval",
    "string_agg",
    "xmlagg",
];

/// Does a view, of this resolved query, show what only the proxy can keep back?
pub(super) fn is_inlined(query: &mut Query, lineage: &Lineage, grounds: Grounds<'_>) -> bool {
    let hides = |r: &Relation| hidden_rows(r.schema.as_str(), r.name.as_str()).is_some();
    lineage.rewritten
        || lineage.relations.iter().any(|used| hides(&used.relation))
        || query.any_within(&mut |node| goes_by_order(&node, grounds))
            && (lineage.relations.iter()).any(|used| exposed_order(&used.relation, grounds))
}

fn goes_by_order(node: &Node<'_>, grounds: Grounds<'_>) -> bool {
    match node {
        Node::Query(q) => q.limit.is_some() || chooses(&q.body),
        Node::Expr(Expr::Call(call)) => {
            call.over.is_some() || call.inexact || gathers(call, grounds)
        }
        Node::Expr(Expr::Keyword(form)) => form.name.is_some_and(|name| name.ends_with("agg")),
        _ => false,
    }
}

/// DISTINCT ON
fn chooses(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(s) => matches!(s.distinct, Some(Distinct::On(_))),
        SetExpr::Chain { first, rest } => {
            chooses(first) || rest.iter().any(|(_, _, arm)| chooses(arm))
        }
        // Met by itself.
        SetExpr::Query(_) | SetExpr::Values(_) => false,
    }
}

fn gathers(call: &Call, grounds: Grounds<'_>) -> bool {
    let [schema, name] = call.function.parts.as_slice() else {
        return true;
    };
    if *schema == "pg_catalog" {
        return BY_ORDER.contains(&name.as_str());
    }
    let known = grounds.catalog.functions.get(name);
    let mut known = known.into_iter().flatten().filter(|f| f.schema == *schema);
    known.any(|f| f.kind == FunctionKind::Aggregate)
}
