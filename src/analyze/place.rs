//! Where a row is in its table, which `ctid` says, and a sample that is taken by a number of the client's.
//!
//! It tells in which partition the row is; and whether an update changed what an index holds: if it did not,
//! PostgreSQL keeps the new version beside the old one and uses its room again (HOT, `heap_update`). Who may write a
//! column could find by that what it held.
//!
//! Deliberately absent: the sizes of tables and indexes, which tell the same (`sizes`).

use std::sync::Arc;

use super::exposed::protected;
use super::{Analyzer, Resolve};
use crate::catalog::Relation;
use crate::ident::Ident;
use crate::refusal::Refusal;
use crate::sql::tree::Position;

impl Analyzer<'_> {
    /// Refuses what says where a row is.
    pub(super) fn no_place_told(
        &self,
        relation: &Arc<Relation>,
        what: &str,
        position: Position,
    ) -> Resolve<()> {
        self.no_partition_told(relation, what, position)?;
        let Some(column) = self.written_unseen(relation)? else {
            return Ok(());
        };
        Err(
            Refusal::denied(format!("permission denied for {what} of {}", relation.name))
                .detail(format!(
                    "Where an update leaves a row tells whether {column}, which the role does not see and an \
                     index holds, was that before."
                ))
                .hint(format!(
                    "Leave it out; or the policy's write section may allow it: probe({column})."
                ))
                .at(position),
        )
    }

    /// A column that the role may write, and not see or test, and that an index holds, be it of a partition.
    pub(super) fn written_unseen(&self, relation: &Arc<Relation>) -> Resolve<Option<Ident>> {
        let family = self.family(relation);
        let grants = &self.grounds.grants.write;
        let written = family.iter().filter_map(|r| grants.get(&r.oid));
        let written: Vec<_> = written.filter(|grant| grant.updates).collect();
        if written.is_empty() {
            return Ok(None);
        }
        let may_write = |name: &Ident| {
            (written.iter()).any(|grant| grant.update.is_none() && !grant.may_probe(name, true))
        };
        for table in family {
            for index in &table.indexes {
                let held = index.columns.iter().chain(&index.expression_columns);
                let held: Vec<_> = held.chain(&index.predicate).collect();
                for column in &table.columns {
                    let holds = held.iter().any(|a| **a == 0 || **a == column.attnum);
                    if holds
                        && may_write(&column.name)
                        && protected(table, column.attnum, self.grounds)?
                    {
                        return Ok(Some(column.name.clone()));
                    }
                }
            }
        }
        Ok(None)
    }
}
