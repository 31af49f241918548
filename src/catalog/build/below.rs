//! What a relation's partitions and heirs have otherwise, told to those above them.

use super::Builder;
use crate::catalog::{Column, Relation};
use crate::pg::Oid;

impl Builder<'_> {
    /// From PostgreSQL 16 on a partition or an heir may have an expression of its own.
    pub(super) fn generated_below(&mut self) {
        let mut found = Vec::new();
        for (oid, relation) in &self.relations {
            for column in relation.columns.iter().filter(|c| c.generated.is_some()) {
                let mut above = relation.parents.clone();
                let mut at = 0;
                while let Some(parent) = above.get(at).and_then(|p| self.relations.get(p)) {
                    at = at.saturating_add(1);
                    let new = parent.parents.iter().filter(|p| !above.contains(p));
                    let new: Vec<Oid> = new.copied().collect();
                    let named = parent.column(&column.name);
                    // Where it is computed as it is read, that of the table that is named is taken.
                    let other =
                        |c: &&Column| c.generated != column.generated && !c.computed_when_read;
                    if let Some(c) = named.filter(other) {
                        found.push((parent.oid, c.attnum, *oid));
                    }
                    above.extend(new);
                }
            }
        }
        for (parent, attnum, child) in found {
            if let Some(relation) = self.relations.get_mut(&parent) {
                relation.generated_below.push((attnum, child));
            }
        }
    }

    /// A row that is changed through a table may be one of a partition's or an heir's.
    pub(super) fn triggers_below(&mut self) {
        self.told_above(|r| &mut r.rewritten);
        self.told_above(|r| &mut r.deferrable);
    }

    /// Sets a mark of a relation in all above it.
    fn told_above(&mut self, mark: fn(&mut Relation) -> &mut bool) {
        let mut above = Vec::new();
        for relation in self.relations.values_mut() {
            if *mark(relation) {
                above.extend(&relation.parents);
            }
        }
        while let Some(oid) = above.pop() {
            if let Some(relation) = self.relations.get_mut(&oid)
                && !std::mem::replace(mark(relation), true)
            {
                above.extend(&relation.parents);
            }
        }
    }
}
