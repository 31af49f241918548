//! Lineage: for every reference to a relation, how each of its columns is used; for every output
//! column, which base columns reach it unchanged.
//!
//! The lattice is a set of uses per column reference, joined by union, so `analyze` is monotone:
//! wrapping a query in a subquery or CTE can add uses, never lose one. Deliberately absent:
//! treatments; what a use means for a role is `plan::decide`'s business.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Relation;
use crate::ident::Ident;
use crate::pg::{AttrNumber, Oid};
use crate::sql::tree::RelationId;

/// A column of one reference to a base relation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Which reference.
    pub relation: RelationId,
    /// Which column.
    pub attnum: AttrNumber,
}

/// How a column reference is used: a set, from weakest to strongest.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Uses(u8);

impl Uses {
    /// Mentioned, nothing more yet.
    pub const NONE: Self = Self(0);
    /// Reaches, unchanged, a column of a result sent to the client.
    pub const IDENTITY: Self = Self(1);
    /// `IS [NOT] NULL`, `count(col)`.
    pub const PRESENCE: Self = Self(2);
    /// Compared for equality, grouped, made distinct.
    pub const EQUALITY: Self = Self(4);
    /// Compared for order, sorted, `min`, `max`.
    pub const ORDER: Self = Self(8);
    /// Anything else.
    pub const COMPUTE: Self = Self(16);
    /// First argument of `pg_get_expr`: the one place where a node tree may be read.
    pub const NODE_TREE: Self = Self(32);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is every use of `self` among those of `allowed`?
    pub const fn within(self, allowed: Self) -> bool {
        self.0 & !allowed.0 == 0
    }

    /// Do they share a use?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One reference to a base relation.
pub struct RelationUse {
    /// The relation.
    pub relation: Arc<Relation>,
    /// Columns mentioned, and how they are used.
    pub columns: BTreeMap<AttrNumber, Uses>,
    /// The whole row is used as a value.
    pub whole_row: bool,
    /// Masks go in place of each reference, because a derived table does not fit here: the primary
    /// key is grouped by, and other columns depend on it.
    pub in_place: bool,
    /// The target of a write.
    pub written: bool,
    /// Columns of the target that are assigned.
    pub assigned: Vec<AttrNumber>,
}

/// Two sides compared for equality; an empty side is not a column (a literal, an expression).
pub struct Equality {
    /// Sources of the left side.
    pub left: Vec<Source>,
    /// Sources of the right side.
    pub right: Vec<Source>,
}

/// A column of a query's result.
#[derive(Clone)]
pub struct OutputColumn {
    /// Its name.
    pub name: Ident,
    /// Base columns that reach it unchanged; several when set operations merge them.
    pub sources: Vec<Source>,
    /// A column the role does not see clearly went into it.
    pub tainted: bool,
    /// Its type, when known.
    pub ty: Option<Oid>,
    /// It is the constant NULL.
    pub null: bool,
    /// PostgreSQL names its one source in `RowDescription`: a chain of bare references leads there.
    pub named: bool,
}

/// What a statement reads and returns.
#[derive(Default)]
pub struct Lineage {
    /// References to base relations, by [`RelationId`].
    pub relations: Vec<RelationUse>,
    /// Equality comparisons between columns.
    pub equalities: Vec<Equality>,
    /// Columns of the result.
    pub outputs: Vec<OutputColumn>,
}

impl Lineage {
    /// One relation reference.
    pub fn relation(&self, id: RelationId) -> Option<&RelationUse> {
        self.relations.get(usize::try_from(id.0).ok()?)
    }

    /// One relation reference, to add to.
    pub fn relation_mut(&mut self, id: RelationId) -> Option<&mut RelationUse> {
        self.relations.get_mut(usize::try_from(id.0).ok()?)
    }

    /// Adds a use of a column.
    pub fn mark(&mut self, source: Source, uses: Uses) {
        if let Some(r) = self.relation_mut(source.relation) {
            let u = r.columns.entry(source.attnum).or_default();
            *u = u.with(uses);
        }
    }

    /// Adds a use of several columns.
    pub fn mark_all(&mut self, sources: &[Source], uses: Uses) {
        for s in sources {
            self.mark(*s, uses);
        }
    }
}
