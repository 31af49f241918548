//! Partitions by a protected column: which of them a row is in tells its value, so nobody but who sees
//! the column is told, by `tableoid` or `ctid`, by reading one partition alone, or by an error that names one.
//!
//! Deliberately absent: the order in which partitions are read (`exposed`), and their bounds, which
//! are definitions.

use std::sync::Arc;

use super::exposed::protected;
use super::{Analyzer, Resolve};
use crate::catalog::Relation;
use crate::ident::Ident;
use crate::pg::Oid;
use crate::refusal::Refusal;
use crate::sql::tree::Position;

impl Analyzer<'_> {
    /// Refuses one partition alone, of a table that is divided by what the role does not see.
    pub(super) fn no_partition_alone(
        &self,
        relation: &Relation,
        position: Position,
    ) -> Resolve<()> {
        for above in self.tree(&relation.parents, |r| &r.parents) {
            let Some(key) = self.hidden_key(above)? else {
                continue;
            };
            return Err(
                Refusal::denied(format!("permission denied for table {}", relation.name))
                    .detail(tells(&above.name, &key))
                    .hint(format!("Use {} itself.", above.name))
                    .at(position),
            );
        }
        Ok(())
    }

    /// Refuses `tableoid` and what says where a row is, likewise: each partition has a first row, and none has two.
    pub(super) fn no_partition_told(
        &self,
        relation: &Arc<Relation>,
        what: &str,
        position: Position,
    ) -> Resolve<()> {
        match self.partition_tells(relation)? {
            None => Ok(()),
            Some((table, key)) => Err(Refusal::denied(format!(
                "permission denied for {what} of {}",
                relation.name
            ))
            .detail(tells(&table, &key))
            .hint("Leave it out.")
            .at(position)),
        }
    }

    /// The table, of this one and those above and below it, that is divided by what the role does not
    /// see, and by what.
    pub(super) fn partition_tells(
        &self,
        relation: &Arc<Relation>,
    ) -> Resolve<Option<(Ident, Ident)>> {
        for r in self.family(relation) {
            if let Some(key) = self.hidden_key(r)? {
                return Ok(Some((r.name.clone(), key)));
            }
        }
        Ok(None)
    }

    /// The relation, and those above and below it.
    pub(super) fn family<'r>(&'r self, relation: &'r Arc<Relation>) -> Vec<&'r Arc<Relation>> {
        let above = self.tree(&relation.parents, |r| &r.parents);
        let below = self.tree(&relation.children, |r| &r.children);
        std::iter::once(relation)
            .chain(above)
            .chain(below)
            .collect()
    }

    /// Relations above or below others, each once.
    pub(super) fn tree(
        &self,
        from: &[Oid],
        next: impl Fn(&Relation) -> &[Oid],
    ) -> Vec<&Arc<Relation>> {
        let mut found: Vec<&Arc<Relation>> = Vec::new();
        let mut left = from.to_vec();
        while let Some(oid) = left.pop() {
            if let Some(relation) = self.grounds.catalog.relation_by_oid(oid)
                && !found.iter().any(|r| r.oid == oid)
            {
                left.extend_from_slice(next(relation));
                found.push(relation);
            }
        }
        found
    }

    /// A column of the partition key that the role does not see clearly.
    pub(super) fn hidden_key(&self, relation: &Arc<Relation>) -> Resolve<Option<Ident>> {
        self.hidden_among(relation, &relation.partition_key)
    }

    /// A column among these, of which 0 stands for an expression over any, that the role does not see clearly.
    pub(super) fn hidden_among(
        &self,
        relation: &Arc<Relation>,
        read: &[i16],
    ) -> Resolve<Option<Ident>> {
        let expression = read.contains(&0);
        for column in &relation.columns {
            let among = expression || read.contains(&column.attnum);
            if among && protected(relation, column.attnum, self.grounds)? {
                return Ok(Some(column.name.clone()));
            }
        }
        Ok(None)
    }
}

fn tells(table: &Ident, key: &Ident) -> String {
    format!(
        "{table} is partitioned by {key}, which the role does not see: a row's partition tells it."
    )
}
