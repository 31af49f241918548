//! Writes that a constraint answers: "is this value taken?" is an equality probe of what is stored,
//! whatever the role sees of it. Such a write needs `probe(column)` in the policy, and is audited.

use std::sync::Arc;

use super::dml::Target;
use super::generated::{ColumnForm, column_form};
use super::{Analyzer, Resolve};
use crate::catalog::{Constraint, ConstraintKind, Relation};
use crate::ident::Ident;
use crate::pg::AttrNumber;
use crate::refusal::Refusal;

/// A column a statement writes to, and whether only NULL or its default.
pub(super) struct Written {
    pub(super) column: Ident,
    pub(super) null: bool,
}

impl Analyzer<'_> {
    /// Refuses a write whose success would tell of values the role does not see, unless the policy
    /// lets it probe them. `stored` says that the row written to is there already, so that columns it
    /// does not write to are tested too.
    pub(super) fn probes(
        &mut self,
        target: &Target,
        written: &[Written],
        stored: bool,
    ) -> Resolve<()> {
        if target.relation.temporary {
            return Ok(());
        }
        let relation = &target.relation;
        let given: Vec<(AttrNumber, bool)> = written
            .iter()
            .filter_map(|w| Some((relation.column(&w.column)?.attnum, w.null)))
            .collect();
        for constraint in self.grounds.catalog.constraints(relation) {
            if constraint.kind == ConstraintKind::Referenced && !stored {
                continue;
            }
            let columns = self.looked_at(relation, &constraint)?;
            let hidden = self.hidden_of(relation, &constraint, &columns)?;
            let counts = |null: bool| !null || constraint.nulls && stored;
            let touched = given.iter().any(|(a, null)| {
                columns.contains(a) && counts(*null) && (stored || hidden.contains(a))
            });
            if !touched {
                continue;
            }
            for attnum in hidden {
                let Some(column) = relation.attribute(attnum) else {
                    continue;
                };
                let granted = target.grant.probe.as_ref();
                if granted.is_some_and(|columns| !columns.contains(&column.name)) {
                    return Err(refused(relation, &column.name, constraint.kind));
                }
                if let Some(id) = target.item.relation {
                    self.lineage.probed.insert((id, attnum));
                }
            }
        }
        Ok(())
    }

    /// The columns of a constraint, with what generated ones are computed from.
    fn looked_at(
        &self,
        relation: &Arc<Relation>,
        constraint: &Constraint,
    ) -> Resolve<Vec<AttrNumber>> {
        let mut columns = constraint.columns.clone();
        for attnum in &constraint.columns {
            let generated = relation
                .attribute(*attnum)
                .is_some_and(|c| c.generated.is_some());
            if !generated {
                continue;
            }
            match column_form(relation, *attnum, self.grounds)? {
                ColumnForm::Generated(g) => {
                    let inputs = g.lineage.relations.iter().flat_map(|r| r.columns.keys());
                    columns.extend(inputs);
                }
                ColumnForm::Clear => {}
                // A rule of its own says nothing of what it is computed from.
                ColumnForm::Rule(_)
                | ColumnForm::Scrub
                | ColumnForm::NodeTree
                | ColumnForm::Null => columns.extend(relation.columns.iter().map(|c| c.attnum)),
            }
        }
        Ok(columns)
    }

    /// Those of them the role does not see clearly, on either side.
    fn hidden_of(
        &self,
        relation: &Arc<Relation>,
        constraint: &Constraint,
        columns: &[AttrNumber],
    ) -> Resolve<Vec<AttrNumber>> {
        let clear = |relation: &Arc<Relation>, attnum| -> Resolve<bool> {
            Ok(column_form(relation, attnum, self.grounds)?.shows_values())
        };
        let mut hidden = Vec::new();
        for attnum in columns {
            if !clear(relation, *attnum)? && !hidden.contains(attnum) {
                hidden.push(*attnum);
            }
        }
        for (attnum, other) in &constraint.others {
            let seen = match self.grounds.catalog.relation_by_oid(other.relation) {
                Some(relation) => clear(relation, other.attnum)?,
                None => false,
            };
            if !seen && !hidden.contains(attnum) {
                hidden.push(*attnum);
            }
        }
        Ok(hidden)
    }
}

fn refused(relation: &Relation, column: &Ident, kind: ConstraintKind) -> Refusal {
    Refusal::denied(format!(
        "permission denied to write what a {} constraint tests against column {column} of {}",
        kind.words(),
        relation.name
    ))
    .detail("Whether the write succeeds would tell of stored values the role does not see.")
    .hint(format!(
        "Leave the column out; or the policy's write section may allow it: probe({column})."
    ))
}
