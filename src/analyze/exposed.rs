//! Does the order in which PostgreSQL hands out a relation's rows tell of values the role does not
//! see?
//!
//! An index on (department, salary) hands out the lowest paid first, a partition of the lowest
//! salaries is read before the others. What is asked is whether there is such an index or partition
//! at all; which one the planner takes is its own business, and changes with the statistics.

use std::sync::Arc;

use super::generated::column_form;
use super::lineage::RelationUse;
use super::scope::Env;
use super::view::{CATALOG_PATH, NO_TEMP, definition, is_system, not_analyzable};
use super::{Analyzer, Grounds, Resolve};
use crate::catalog::{Relation, RelationKind};
use crate::pg::AttrNumber;

/// How deep views of views and partitions of partitions may go.
const DEPTH: usize = 32;

/// The answer, as it is kept.
struct Exposed(bool);

/// May the order of a relation's rows follow a protected column? What cannot be found out may.
pub fn exposed_order(relation: &Arc<Relation>, grounds: Grounds<'_>) -> bool {
    if relation.temporary || is_system(relation) {
        return false;
    }
    if let Some(known) = grounds.grants.memo.get::<Exposed>(relation.oid) {
        return known.0;
    }
    let exposed = grounds.views > DEPTH || new_answer(relation, grounds).unwrap_or(true);
    grounds
        .grants
        .memo
        .keep(relation.oid, Arc::new(Exposed(exposed)));
    exposed
}

fn new_answer(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<bool> {
    let deeper = Grounds {
        views: grounds.views.saturating_add(1),
        ..grounds
    };
    match relation.kind {
        RelationKind::View => view(relation, deeper),
        // Its indexes are on another server.
        RelationKind::ForeignTable => any_protected(relation, grounds),
        RelationKind::Sequence | RelationKind::CompositeType => Ok(false),
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView => {
            if ordered(relation, grounds)? {
                return Ok(true);
            }
            let catalog = grounds.catalog;
            let children = relation.children.iter();
            Ok(children
                .filter_map(|child| catalog.relation_by_oid(*child))
                .any(|child| exposed_order(child, deeper)))
        }
    }
}

/// A view hands out rows in the order of the relations below it.
fn view(relation: &Relation, grounds: Grounds<'_>) -> Resolve<bool> {
    let below = below(relation, grounds)?;
    Ok(below.iter().any(|r| exposed_order(&r.relation, grounds)))
}

/// The relations that a view's query names.
pub(super) fn below(relation: &Relation, grounds: Grounds<'_>) -> Resolve<Vec<RelationUse>> {
    let text = relation.definition.as_deref();
    let text = text.ok_or_else(|| not_analyzable(relation))?;
    let mut analyzer = Analyzer::new(Grounds {
        search_path: &CATALOG_PATH,
        temp: &NO_TEMP,
        ..grounds
    });
    analyzer.query(
        &mut definition(text)?,
        Env {
            outer: None,
            ctes: None,
        },
    )?;
    Ok(analyzer.lineage.relations)
}

/// Does an index of the relation itself, or its division into partitions, hold a protected column?
fn ordered(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<bool> {
    let mut unknown = false;
    let mut held: Vec<AttrNumber> = Vec::new();
    for index in &relation.indexes {
        held.extend(index.columns.iter().chain(&index.expression_columns));
        // An expression over the row as a whole names no column.
        unknown |= index.columns.contains(&0) && index.expression_columns.is_empty();
    }
    held.extend(&relation.partition_key);
    unknown |= relation.partition_key.contains(&0);
    if unknown {
        return any_protected(relation, grounds);
    }
    for attnum in held.into_iter().filter(|a| *a > 0) {
        if protected(relation, attnum, grounds)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn any_protected(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<bool> {
    for c in &relation.columns {
        if protected(relation, c.attnum, grounds)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does the role see something else than the column's values?
pub(super) fn protected(
    relation: &Arc<Relation>,
    attnum: AttrNumber,
    grounds: Grounds<'_>,
) -> Resolve<bool> {
    let form = column_form(relation, attnum, grounds)?;
    Ok(!form.shows_values())
}
