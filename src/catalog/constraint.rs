//! What decides, besides the role's rights, whether a row may be written: constraints, which answer
//! with an error, and so tell something of the values they compare; and what PostgreSQL computes of
//! several columns of a row, which may fail: generated columns, and entries of indexes.

use super::{Catalog, Check, Column, ColumnId, Index, Relation, RelationKind, TypeKind};
use crate::pg::types::oid;
use crate::pg::{AttrNumber, Oid};

/// Entries of an index shorter than this fit, whatever its access method: btree's limit is 2,704 bytes
/// where a page has 8 kB, and no other's is smaller.
const ALWAYS_FITS: usize = 2_600;

/// What kind of constraint it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConstraintKind {
    /// What a referential action meets in another relation, when rows of this one are deleted
    CascadedDelete,
    /// The same, when keys of this one change
    CascadedUpdate,
    /// CHECK
    Check,
    /// EXCLUDE
    Exclude,
    /// FOREIGN KEY, of this relation
    ForeignKey,
    /// A column that is generated when a row is written
    Generated,
    /// An index, of which expressions or the predicate are computed, or whose entries are of limited
    /// length
    Index,
    /// A partition of the relation, which takes only some rows
    Partition,
    /// FOREIGN KEY of another relation, which refers to this one
    Referenced,
    /// Whatever the server behind a foreign table tests, which is not known here
    Remote,
    /// UNIQUE, PRIMARY KEY or a unique index
    Unique,
}

/// A constraint as a write meets it.
#[derive(Clone)]
pub struct Constraint {
    /// What it is.
    pub kind: ConstraintKind,
    /// Columns of the relation whose values it looks at, with what generated ones are computed from.
    pub columns: Vec<AttrNumber>,
    /// Columns of another relation that they are compared with.
    pub others: Vec<(AttrNumber, ColumnId)>,
    /// A NULL is looked at like any other value.
    pub nulls: bool,
    /// A NULL in one of these, and nothing is tested.
    pub strict: Vec<AttrNumber>,
    /// What is written to one of these can make the write fail, depending on the other columns; of
    /// generated columns and indexes only.
    pub steers: Vec<AttrNumber>,
    /// It fails by the length of the values alone.
    pub by_length: bool,
    /// Stored rows may not meet it, and are asked when they are written again.
    pub unmet: bool,
}

impl ConstraintKind {
    /// As a message calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Check => "a CHECK constraint",
            Self::Exclude => "an EXCLUDE constraint",
            Self::ForeignKey | Self::Referenced | Self::CascadedDelete | Self::CascadedUpdate => {
                "a FOREIGN KEY constraint"
            }
            Self::Generated => "a generated column",
            Self::Index => "an index",
            Self::Partition => "a partition",
            Self::Remote => "the server of a foreign table",
            Self::Unique => "a UNIQUE constraint",
        }
    }

    /// Does it compute something of the row's own columns, and compare it with no other row?
    pub fn combines(self) -> bool {
        match self {
            Self::Generated | Self::Index | Self::Partition => true,
            Self::CascadedDelete
            | Self::CascadedUpdate
            | Self::Check
            | Self::Exclude
            | Self::ForeignKey
            | Self::Referenced
            | Self::Remote
            | Self::Unique => false,
        }
    }
}

impl Catalog {
    /// Constraints that a write to a relation meets, those of its partitions and heirs included, and
    /// what referential actions meet in other relations; all columns are the relation's own.
    pub fn constraints(&self, relation: &Relation) -> Vec<Constraint> {
        self.with_heirs(relation, |r| {
            let mut found = self.own(r);
            found.extend(self.effects(r));
            found
        })
    }

    /// What a partition alone asks of a row that comes to it: expressions, even of one column, whose values
    /// the rows of other partitions do not have, and columns that are NOT NULL.
    fn apart(&self, child: &Relation, relation: &Relation) -> Vec<Constraint> {
        let mut found = Vec::new();
        for index in child.indexes.iter().filter(|i| !i.attached) {
            for columns in [&index.computed, &index.predicate] {
                found.extend(computed(ConstraintKind::Index, child, columns));
            }
            found.extend(self.limited(child, index));
        }
        for column in &child.columns {
            let above = relation.column(&column.name);
            let same = above.is_some_and(|c| c.generated == column.generated);
            if column.computed_when_written && !same {
                let kind = ConstraintKind::Generated;
                found.extend(computed(kind, child, &column.inputs));
            }
            if column.not_null && !above.is_some_and(|c| c.not_null) {
                found.push(Constraint {
                    columns: vec![column.attnum],
                    nulls: true,
                    ..Constraint::new(ConstraintKind::Check)
                });
            }
        }
        found
    }

    /// What is found of a relation, its partitions and heirs.
    pub(super) fn with_heirs(
        &self,
        relation: &Relation,
        find: impl Fn(&Relation) -> Vec<Constraint>,
    ) -> Vec<Constraint> {
        let mut found = find(relation);
        let mut divided = expanded(relation, &relation.partition_key);
        let mut below: Vec<_> = relation.children.clone();
        let mut seen = below.clone();
        while let Some(child) = below.pop().and_then(|oid| self.relation_by_oid(oid)) {
            let renumbered = |attnum: &AttrNumber| {
                let name = &child.attribute(*attnum)?.name;
                relation.column(name).map(|c| c.attnum)
            };
            let moved = if divided.is_empty() {
                Vec::new()
            } else {
                self.apart(child, relation)
            };
            let met = find(child).into_iter().map(|c| (c, false));
            for (mut c, apart) in met.chain(moved.into_iter().map(|c| (c, true))) {
                // What only the child has is compared all the same.
                let of_child = |attnum: &AttrNumber| ColumnId {
                    relation: child.oid,
                    attnum: *attnum,
                };
                let own = c.columns.iter().filter(|a| renumbered(a).is_none());
                let own: Vec<_> = own.map(|a| (*a, of_child(a))).collect();
                let shared = c.columns.iter().find_map(renumbered);
                c.others = c
                    .others
                    .into_iter()
                    .chain(own)
                    .filter_map(|(a, other)| Some((renumbered(&a).or(shared)?, other)))
                    .collect();
                for columns in [&mut c.columns, &mut c.strict, &mut c.steers] {
                    *columns = columns.iter().filter_map(renumbered).collect();
                }
                // One that not every row meets tells which rows are in this partition.
                if apart || !found.iter().any(|f| f.tests_like(&c)) {
                    c.columns.extend(&divided);
                }
                if apart && c.kind.combines() {
                    c.steers.extend(&divided);
                }
                found.push(c);
            }
            let keys = expanded(child, &child.partition_key);
            divided.extend(keys.iter().filter_map(renumbered));
            for oid in &child.children {
                if !seen.contains(oid) {
                    seen.push(*oid);
                    below.push(*oid);
                }
            }
        }
        found
    }

    pub(super) fn own(&self, relation: &Relation) -> Vec<Constraint> {
        let mut found = Vec::new();
        if relation.kind == RelationKind::ForeignTable {
            found.push(Constraint {
                columns: expanded(relation, &[0]),
                nulls: true,
                unmet: true,
                ..Constraint::new(ConstraintKind::Remote)
            });
        }
        for index in &relation.indexes {
            if index.unique || index.exclusion {
                found.push(unique(relation, index));
            }
            for columns in [&index.computed, &index.predicate] {
                found.extend(combined(ConstraintKind::Index, relation, columns));
            }
            found.extend(self.limited(relation, index));
        }
        for column in relation.columns.iter().filter(|c| c.computed_when_written) {
            found.extend(combined(
                ConstraintKind::Generated,
                relation,
                &column.inputs,
            ));
        }
        if !relation.partition_key.is_empty() {
            found.extend(self.parts(relation));
        }
        for Check { columns, validated } in &relation.checks {
            let all = columns.is_empty() || columns.contains(&0);
            found.push(Constraint {
                columns: expanded(relation, if all { &[0] } else { columns }),
                nulls: true,
                unmet: !validated,
                ..Constraint::new(ConstraintKind::Check)
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
            let referenced = kind == ConstraintKind::Referenced;
            found.push(Constraint {
                columns: expanded(relation, &key.columns),
                others: pairs.map(|(mine, theirs)| (*mine, other(theirs))).collect(),
                // A key that is set to NULL is one that was referred to.
                nulls: referenced,
                strict: if referenced {
                    Vec::new()
                } else {
                    key.columns.clone()
                },
                unmet: !referenced && !key.validated,
                ..Constraint::new(kind)
            });
        }
        found
    }

    /// Whether there is a partition for a row: its keys at this level, and at those above, decide.
    fn parts(&self, relation: &Relation) -> Option<Constraint> {
        let mut keys = expanded(relation, &relation.partition_key);
        let mut above = relation.parents.first();
        while let Some(parent) = above.and_then(|oid| self.relation_by_oid(*oid)) {
            let names = expanded(parent, &parent.partition_key);
            let names = names.iter().filter_map(|a| parent.attribute(*a));
            keys.extend(names.filter_map(|c| Some(relation.column(&c.name)?.attnum)));
            above = parent.parents.first();
        }
        combined(ConstraintKind::Partition, relation, &keys)
    }

    /// An index whose entries could be too long: how much of one column fits tells how long the others
    /// are, and whether a row is in the index at all tells what the predicate says of it.
    fn limited(&self, relation: &Relation, index: &Index) -> Option<Constraint> {
        let plain = || {
            let columns = index.columns.iter().filter(|a| **a > 0);
            columns.filter_map(|a| relation.attribute(*a))
        };
        if !index.columns.contains(&0) {
            let lengths = plain().map(|c| self.longest(c));
            let longest = lengths.reduce(|a, b| a?.checked_add(b?)).flatten();
            if longest.is_some_and(|l| l <= ALWAYS_FITS) {
                return None;
            }
        }
        let computed = expanded(relation, &index.computed);
        let computed = computed.iter().filter_map(|a| relation.attribute(*a));
        let varying = plain().chain(computed).filter(|c| self.varies(c.type_oid));
        let mut steers = Vec::new();
        for column in varying {
            steers.push(column.attnum);
            steers.extend(&column.inputs);
        }
        let mut columns: Vec<AttrNumber> = plain()
            .filter(|c| self.varies(c.type_oid))
            .map(|c| c.attnum)
            .collect();
        columns.extend(expanded(relation, &index.computed));
        columns.extend(expanded(relation, &index.predicate));
        Some(Constraint {
            columns,
            steers,
            by_length: true,
            ..Constraint::new(ConstraintKind::Index)
        })
    }

    /// Are a type's values of different lengths?
    fn varies(&self, type_oid: Oid) -> bool {
        let base = self.types.get(&self.base_type(type_oid));
        base.is_none_or(|t| t.length < 0)
    }

    /// How many bytes a column's value takes at most, if that is known.
    fn longest(&self, column: &Column) -> Option<usize> {
        let (mut ty, mut typmod) = (self.types.get(&column.type_oid)?, column.typmod);
        for _ in 0..32 {
            let TypeKind::Domain {
                base, typmod: own, ..
            } = ty.kind
            else {
                break;
            };
            typmod = if typmod < 0 { own } else { typmod };
            ty = self.types.get(&base)?;
        }
        // A typmod counts the four bytes of a value's length.
        let declared = usize::try_from(typmod.checked_sub(4)?).ok();
        match ty.oid {
            _ if ty.length > 0 => usize::try_from(ty.length).ok(),
            oid::VARCHAR | oid::BPCHAR => declared?.checked_mul(4)?.checked_add(4),
            // Four digits in two bytes: never more than its digits, and what says where the point is.
            oid::NUMERIC => (declared? >> 16).checked_add(16),
            oid::INET | oid::CIDR => Some(24),
            _ => None,
        }
    }
}

impl Constraint {
    pub(super) fn new(kind: ConstraintKind) -> Self {
        Self {
            kind,
            columns: Vec::new(),
            others: Vec::new(),
            nulls: false,
            strict: Vec::new(),
            steers: Vec::new(),
            by_length: false,
            unmet: false,
        }
    }

    /// Does it look at the same columns, in the same way?
    fn tests_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.columns == other.columns
            && self.others == other.others
            && self.nulls == other.nulls
            && self.strict == other.strict
            && self.steers == other.steers
            && self.unmet == other.unmet
    }
}

/// Columns with what generated ones among them are computed from; 0 is all of them.
fn expanded(relation: &Relation, columns: &[AttrNumber]) -> Vec<AttrNumber> {
    if columns.contains(&0) {
        return relation.columns.iter().map(|c| c.attnum).collect();
    }
    let mut found: Vec<AttrNumber> = columns.iter().copied().filter(|a| *a > 0).collect();
    let generated = columns.iter().filter_map(|a| relation.attribute(*a));
    found.extend(generated.flat_map(|c| &c.inputs));
    found
}

fn unique(relation: &Relation, index: &Index) -> Constraint {
    let keys = index.columns.iter().take(index.keys);
    let mut columns: Vec<AttrNumber> = keys.copied().filter(|a| *a > 0).collect();
    let strict = if index.nulls_not_distinct {
        Vec::new()
    } else {
        columns.clone()
    };
    columns.extend(&index.expression_columns);
    let expressions = index.columns.contains(&0);
    // An expression over the row as a whole names no column.
    if expressions && index.expression_columns.is_empty() {
        columns = vec![0];
    }
    Constraint {
        columns: expanded(relation, &columns),
        nulls: expressions || !index.expression_columns.is_empty() || index.nulls_not_distinct,
        strict,
        ..Constraint::new(if index.exclusion {
            ConstraintKind::Exclude
        } else {
            ConstraintKind::Unique
        })
    }
}

/// What is computed of several columns.
fn combined(
    kind: ConstraintKind,
    relation: &Relation,
    columns: &[AttrNumber],
) -> Option<Constraint> {
    computed(kind, relation, columns).filter(|c| c.columns.len() > 1)
}

/// What is computed.
fn computed(
    kind: ConstraintKind,
    relation: &Relation,
    columns: &[AttrNumber],
) -> Option<Constraint> {
    let columns = expanded(relation, columns);
    (!columns.is_empty()).then(|| Constraint {
        steers: columns.clone(),
        columns,
        nulls: true,
        ..Constraint::new(kind)
    })
}
