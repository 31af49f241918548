//! What decides, besides the role's rights, whether a row may be written: constraints, which answer
//! with an error, and so tell something of the values they compare.

use super::{Catalog, ColumnId, Relation};
use crate::pg::AttrNumber;

/// What kind of constraint it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConstraintKind {
    /// CHECK
    Check,
    /// EXCLUDE
    Exclude,
    /// FOREIGN KEY, of this relation
    ForeignKey,
    /// FOREIGN KEY of another relation, which refers to this one
    Referenced,
    /// UNIQUE, PRIMARY KEY or a unique index
    Unique,
}

/// A constraint as a write meets it.
#[derive(Clone)]
pub struct Constraint {
    /// What it is.
    pub kind: ConstraintKind,
    /// Columns of the relation whose values it looks at.
    pub columns: Vec<AttrNumber>,
    /// Columns of another relation that they are compared with.
    pub others: Vec<(AttrNumber, ColumnId)>,
    /// A NULL is looked at like any other value.
    pub nulls: bool,
}

impl ConstraintKind {
    /// As SQL calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Check => "CHECK",
            Self::Exclude => "EXCLUDE",
            Self::ForeignKey | Self::Referenced => "FOREIGN KEY",
            Self::Unique => "UNIQUE",
        }
    }
}

impl Catalog {
    /// Constraints that a write to a relation meets, those of its partitions and heirs included; all
    /// columns are the relation's own.
    pub fn constraints(&self, relation: &Relation) -> Vec<Constraint> {
        let mut found = own(relation);
        let mut below: Vec<_> = relation.children.clone();
        let mut seen = below.clone();
        while let Some(child) = below.pop().and_then(|oid| self.relation_by_oid(oid)) {
            let renumbered = |attnum: &AttrNumber| {
                let name = &child.attribute(*attnum)?.name;
                relation.column(name).map(|c| c.attnum)
            };
            for mut c in own(child) {
                c.others = c
                    .others
                    .into_iter()
                    .filter_map(|(a, other)| Some((renumbered(&a)?, other)))
                    .collect();
                c.columns = c.columns.iter().filter_map(renumbered).collect();
                found.push(c);
            }
            for oid in &child.children {
                if !seen.contains(oid) {
                    seen.push(*oid);
                    below.push(*oid);
                }
            }
        }
        found
    }
}

fn own(relation: &Relation) -> Vec<Constraint> {
    let all = || {
        relation
            .columns
            .iter()
            .map(|c| c.attnum)
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for index in relation.indexes.iter().filter(|i| i.unique || i.exclusion) {
        let keys = index.columns.iter().take(index.keys);
        let mut columns: Vec<AttrNumber> = keys.copied().filter(|a| *a > 0).collect();
        columns.extend(&index.expression_columns);
        let expressions = index.columns.contains(&0);
        // An expression over the row as a whole names no column.
        if expressions && index.expression_columns.is_empty() {
            columns = all();
        }
        found.push(Constraint {
            kind: if index.exclusion {
                ConstraintKind::Exclude
            } else {
                ConstraintKind::Unique
            },
            columns,
            others: Vec::new(),
            nulls: expressions || !index.expression_columns.is_empty(),
        });
    }
    for columns in &relation.checks {
        found.push(Constraint {
            kind: ConstraintKind::Check,
            columns: if columns.is_empty() || columns.contains(&0) {
                all()
            } else {
                columns.clone()
            },
            others: Vec::new(),
            nulls: true,
        });
    }
    let keys = relation.foreign_keys.iter();
    let keys = keys.map(|k| (ConstraintKind::ForeignKey, k));
    let referring = relation.referenced_by.iter();
    for (kind, key) in keys.chain(referring.map(|k| (ConstraintKind::Referenced, k))) {
        let other = |attnum: &AttrNumber| ColumnId {
            relation: key.other,
            attnum: *attnum,
        };
        let pairs = key.columns.iter().zip(&key.other_columns);
        found.push(Constraint {
            kind,
            columns: key.columns.clone(),
            others: pairs.map(|(mine, theirs)| (*mine, other(theirs))).collect(),
            nulls: false,
        });
    }
    found
}
