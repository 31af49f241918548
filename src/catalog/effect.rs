//! What referential actions do: rows that go with those they refer to, columns that change with a key,
//! and the constraints that are met there.
//!
//! Deliberately absent: constraints of the written relation itself (`constraint`).

use super::{Action, Catalog, ColumnId, Constraint, ConstraintKind, ForeignKey, Relation};
use crate::pg::{AttrNumber, Oid};

/// What a referential action does to rows of a relation.
#[derive(Clone, PartialEq, Eq)]
struct Effect {
    relation: Oid,
    change: Effected,
}

#[derive(Clone, PartialEq, Eq)]
enum Effected {
    /// They are deleted.
    Gone,
    /// These columns are written.
    Set {
        columns: Vec<AttrNumber>,
        /// NULL, and nothing else.
        null: bool,
    },
}

impl ForeignKey {
    /// What its action does to the rows on the other side, which refer to this one.
    fn effect(&self, deletes: bool) -> Option<Effect> {
        let action = if deletes {
            self.on_delete
        } else {
            self.on_update
        };
        let set = |columns: &[AttrNumber]| Effected::Set {
            columns: columns.to_vec(),
            null: action == Action::SetNull,
        };
        let change = match action {
            Action::Refuse => return None,
            Action::Cascade if deletes => Effected::Gone,
            Action::SetNull | Action::SetDefault if deletes => set(&self.set),
            Action::Cascade | Action::SetNull | Action::SetDefault => set(&self.other_columns),
        };
        Some(Effect {
            relation: self.other,
            change,
        })
    }
}

impl Effect {
    /// Does it write any of these columns?
    fn touches(&self, any: &[AttrNumber]) -> bool {
        match &self.change {
            Effected::Gone => true,
            Effected::Set { columns, .. } => any.iter().any(|a| columns.contains(a)),
        }
    }

    /// Can it fail by this constraint?
    fn meets(&self, c: &Constraint) -> bool {
        match self.change {
            Effected::Gone => c.kind == ConstraintKind::Referenced,
            Effected::Set { .. } if c.unmet => true,
            Effected::Set { null: true, .. } if self.touches(&c.strict) => false,
            Effected::Set { null: true, .. } if c.by_length => false,
            Effected::Set { .. } => self.touches(&c.columns) || self.touches(&c.steers),
        }
    }
}

impl Catalog {
    /// What a write to a relation meets in those that refer to it, by referential actions: rows that
    /// go with its own, and columns that change with its keys.
    pub(super) fn effects(&self, relation: &Relation) -> Vec<Constraint> {
        let mut found = Vec::new();
        for key in &relation.referenced_by {
            let Some(mine) = key.columns.first() else {
                continue;
            };
            let kinds = [
                (ConstraintKind::CascadedDelete, key.effect(true)),
                (ConstraintKind::CascadedUpdate, key.effect(false)),
            ];
            for (kind, effect) in kinds {
                let met = effect.map(|effect| self.met(effect)).unwrap_or_default();
                if !met.is_empty() {
                    found.push(Constraint {
                        columns: key.columns.clone(),
                        others: met.into_iter().map(|other| (*mine, other)).collect(),
                        nulls: true,
                        ..Constraint::new(kind)
                    });
                }
            }
        }
        found
    }

    /// The columns by which a referential action fails, or does not.
    fn met(&self, effect: Effect) -> Vec<ColumnId> {
        let mut found = Vec::new();
        let mut seen = vec![effect];
        let mut at = 0;
        while let Some(effect) = seen.get(at).cloned() {
            at = at.saturating_add(1);
            let Some(relation) = self.relation_by_oid(effect.relation) else {
                continue;
            };
            let met = self.with_heirs(relation, |r| self.own(r));
            for c in met.into_iter().filter(|c| effect.meets(c)) {
                let own = c.columns.iter().map(|a| ColumnId {
                    relation: relation.oid,
                    attnum: *a,
                });
                found.extend(own);
                found.extend(c.others.into_iter().map(|(_, other)| other));
            }
            for key in &relation.referenced_by {
                let next = match effect.change {
                    Effected::Gone => key.effect(true),
                    Effected::Set { .. } if effect.touches(&key.columns) => key.effect(false),
                    Effected::Set { .. } => None,
                };
                seen.extend(next.filter(|next| !seen.contains(next)));
            }
        }
        found
    }
}
