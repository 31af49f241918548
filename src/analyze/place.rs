//! Where a row is in its table, which `ctid` says, and a sample that is taken by a number of the client's.
//!
//! It tells in which partition the row is; and whether an update changed what an index holds: if it did not,
//! PostgreSQL keeps the new version beside the old one and uses its room again (HOT, `heap_update`). Who may write a
//! column could find by that what it held.
//!
//! Deliberately absent: the sizes of tables and indexes, which tell the same (`sizes`).

use std::sync::Arc;

use super::generated::{ColumnForm, column_form};
use super::tied::here_or_below;
use super::{Analyzer, Grounds, Resolve, is_system};
use crate::catalog::Relation;
use crate::ident::Ident;
use crate::policy::{Treatment, WriteGrant};
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

    /// A column that the role may update, and not see or test, and that an index holds, be it of a partition.
    pub(super) fn written_unseen(&self, relation: &Arc<Relation>) -> Resolve<Option<Ident>> {
        self.indexed_unseen(relation, |grant, _| updates_any(grant))
    }

    /// The same of one that it may give any value, in a row of its own, too. A value of which it knows the token
    /// only, it does not choose, and a denied column it cannot name.
    fn placed_unseen(&self, relation: &Arc<Relation>) -> Resolve<Option<Ident>> {
        self.indexed_unseen(relation, |grant, form| {
            let chosen = match form {
                ColumnForm::Rule(rule) => match rule.treatment {
                    Treatment::Token(_) => grant.plaintext,
                    Treatment::Deny => false,
                    Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify => true,
                },
                _ => true,
            };
            chosen && (grant.insert || updates_any(grant))
        })
    }

    fn indexed_unseen(
        &self,
        relation: &Arc<Relation>,
        writes: impl Fn(&WriteGrant, &ColumnForm) -> bool,
    ) -> Resolve<Option<Ident>> {
        let family = self.family(relation);
        let grants = &self.grounds.grants.write;
        let grants: Vec<_> = family.iter().filter_map(|r| grants.get(&r.oid)).collect();
        if grants.is_empty() {
            return Ok(None);
        }
        for table in family {
            for index in &table.indexes {
                let held = index.columns.iter().chain(&index.expression_columns);
                let held: Vec<_> = held.chain(&index.predicate).collect();
                for column in &table.columns {
                    if !held.iter().any(|a| **a == 0 || **a == column.attnum) {
                        continue;
                    }
                    let form = column_form(table, column.attnum, self.grounds)?;
                    let mut grants = grants.iter();
                    if !form.shows_values()
                        && grants.any(|g| writes(g, &form) && !g.may_probe(&column.name, true))
                    {
                        return Ok(Some(column.name.clone()));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn updates_any(grant: &WriteGrant) -> bool {
    grant.updates && grant.update.is_none()
}

/// May the role put rows of its own among those of a relation, in the order of a column that it does not see? Where
/// they come then, tells of the others. What cannot be found out may be so.
pub fn places_rows(relation: &Arc<Relation>, grounds: Grounds<'_>) -> bool {
    here_or_below(relation, grounds, &|relation, grounds| {
        if relation.temporary || is_system(relation) {
            return Ok(false);
        }
        Ok(Analyzer::new(grounds).placed_unseen(relation)?.is_some())
    })
    .unwrap_or(true)
}
