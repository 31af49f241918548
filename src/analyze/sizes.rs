//! How many rows and pages a relation has, which `pg_class` says since it was last analyzed: of a partition by what
//! the role does not see they are the number of rows with such values, and of an index with a predicate over it,
//! too. Of a table that the role writes they tell which of its updates an index took part in.
//!
//! Deliberately absent: bytes of what the role does not write, which `pg_relation_size` tells by the page.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::generated::ColumnForm;
use super::view::view_form;
use super::{Analyzer, Grounds, Resolve, is_system};
use crate::catalog::RelationKind;
use crate::pg::{Oid, oid_array_sql};

/// Of which relations the role is not told how large they are.
#[derive(Default)]
pub struct Untold {
    /// Partitions and heirs of what is divided by a column that the role does not see, materialized views that it
    /// may not read, and tables that it writes ([`super::place`]), with all their indexes.
    whole: BTreeSet<Oid>,
    /// Tables with an index whose predicate reads such a column.
    indexed: BTreeSet<Oid>,
    /// The role writes such tables: how much they grow is not told in bytes either.
    pub(super) written: bool,
}

impl Untold {
    /// `operand`, a column of the `pg_class` of this alias, or that nothing is known.
    pub fn sql(&self, alias: &str, operand: &str) -> String {
        let (whole, indexed) = (oid_array_sql(&self.whole), oid_array_sql(&self.indexed));
        format!(
            "CASE WHEN {alias}.\"oid\" OPERATOR(\"pg_catalog\".=) ANY ({whole}) OR EXISTS (\
             SELECT FROM \"pg_catalog\".\"pg_index\" AS \"i\" \
             WHERE \"i\".\"indexrelid\" OPERATOR(\"pg_catalog\".=) {alias}.\"oid\" \
             AND (\"i\".\"indrelid\" OPERATOR(\"pg_catalog\".=) ANY ({whole}) OR \"i\".\"indpred\" IS NOT NULL \
             AND \"i\".\"indrelid\" OPERATOR(\"pg_catalog\".=) ANY ({indexed}))) \
             THEN -1 ELSE {operand} END"
        )
    }
}

/// `pg_class`, under which they are kept.
const CLASS: Oid = 1259;

/// What the role is told of such columns.
pub(super) fn size_form(grounds: Grounds<'_>) -> Resolve<ColumnForm> {
    let untold = untold(grounds)?;
    let none = untold.whole.is_empty() && untold.indexed.is_empty();
    Ok(if none {
        ColumnForm::Clear
    } else {
        ColumnForm::Size(untold)
    })
}

/// Of what the role is not told how large it is.
pub(super) fn untold(grounds: Grounds<'_>) -> Resolve<Arc<Untold>> {
    Ok(if let Some(known) = grounds.grants.memo.get(CLASS) {
        known
    } else {
        let found = Arc::new(found(grounds)?);
        grounds.grants.memo.keep(CLASS, Arc::clone(&found));
        found
    })
}

fn found(grounds: Grounds<'_>) -> Resolve<Untold> {
    let mut found = Untold::default();
    let analyzer = Analyzer::new(grounds);
    for oid in grounds.grants.write.keys() {
        if let Some(relation) = grounds.catalog.relation_by_oid(*oid)
            && analyzer.written_unseen(relation)?.is_some()
        {
            found.written = true;
            found
                .whole
                .extend(analyzer.family(relation).iter().map(|r| r.oid));
        }
    }
    for relation in grounds.catalog.relations.values() {
        if is_system(relation) {
            continue;
        }
        // How many rows it has was computed from what the role does not see.
        if relation.kind == RelationKind::MaterializedView && view_form(relation, grounds).is_err()
        {
            found.whole.insert(relation.oid);
            continue;
        }
        for index in &relation.indexes {
            if analyzer.hidden_among(relation, &index.predicate)?.is_some() {
                found.indexed.insert(relation.oid);
            }
        }
        if analyzer.hidden_key(relation)?.is_some() {
            let below = analyzer.tree(&relation.children, |r| &r.children);
            found.whole.extend(below.iter().map(|r| r.oid));
        }
    }
    Ok(found)
}
