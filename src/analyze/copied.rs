//! COPY of a relation to the client: what PostgreSQL copies of it. That is less than a SELECT would
//! read: only the table's own rows, and no generated columns.

use super::assign::no_column;
use super::{Analyzer, Grounds, Resolve};
use crate::catalog::{Column, RelationKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::RelationRef;

/// The first version that copies materialized views.
const COPIES_MATERIALIZED_VIEWS: u32 = 180_000;

/// The columns COPY brings, in order: those that are named, or all the role sees.
pub fn copied_columns(
    reference: &RelationRef,
    named: &[Ident],
    grounds: Grounds<'_>,
) -> Resolve<Vec<Ident>> {
    let analyzer = Analyzer::new(grounds);
    let position = reference.name.position;
    let relation = analyzer.find_relation(&reference.name)?;
    if let Some(what) = not_copied(relation.kind, grounds.catalog.version) {
        let message = format!("cannot copy from {what} \"{}\"", relation.name);
        return Err(Refusal::error(sqlstate::WRONG_OBJECT_TYPE, message)
            .hint("Try the COPY (SELECT ...) TO variant.")
            .at(position));
    }
    if named.is_empty() {
        let mut all = Vec::new();
        for column in &relation.columns {
            let treatment = analyzer.column_treatment(&relation, column)?;
            if column.generated.is_none() && !matches!(treatment, Treatment::Deny) {
                all.push(column.name.clone());
            }
        }
        return Ok(all);
    }
    for (at, name) in named.iter().enumerate() {
        let column = relation.column(name);
        let known = column.ok_or_else(|| no_column(name, &relation).at(position))?;
        check(known, named.get(..at).unwrap_or_default()).map_err(|e| e.at(position))?;
    }
    Ok(named.to_vec())
}

/// What PostgreSQL calls a relation it does not copy.
fn not_copied(kind: RelationKind, version: u32) -> Option<&'static str> {
    match kind {
        RelationKind::Table => None,
        RelationKind::MaterializedView if version >= COPIES_MATERIALIZED_VIEWS => None,
        RelationKind::MaterializedView => Some("materialized view"),
        RelationKind::PartitionedTable => Some("partitioned table"),
        RelationKind::View => Some("view"),
        RelationKind::ForeignTable => Some("foreign table"),
        RelationKind::Sequence => Some("sequence"),
        RelationKind::CompositeType => Some("non-table relation"),
    }
}

fn check(column: &Column, before: &[Ident]) -> Resolve<()> {
    let name = &column.name;
    if column.generated.is_some() {
        let message = format!("column \"{name}\" is a generated column");
        return Err(Refusal::error(sqlstate::INVALID_COLUMN_REFERENCE, message)
            .detail("Generated columns cannot be used in COPY."));
    }
    if before.contains(name) {
        let message = format!("column \"{name}\" specified more than once");
        return Err(Refusal::error(sqlstate::DUPLICATE_COLUMN, message));
    }
    Ok(())
}
