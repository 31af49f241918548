//! Do some columns tell every row of a FROM clause from every other? Then an order by them leaves
//! nothing open.
//!
//! A row of a join is known when each relation's row is: by its primary key, or because a key column
//! equals a constant or a column of a row that is known. Relations without a primary key, and what is
//! no relation, are never known.

use crate::analyze::lineage::Lineage;
use crate::catalog::{Relation, RelationKind};
use crate::pg::AttrNumber;
use crate::sql::tree::{Expr, JoinConstraint, JoinKind, RelationId, RelationRef, TableRef};

/// A column of one reference to a base relation.
pub(super) type Base = (RelationId, AttrNumber);

/// What tells the rows of a FROM clause apart.
#[derive(Default)]
pub(super) struct Identity {
    /// Each relation and its primary key.
    keys: Vec<(RelationId, Vec<AttrNumber>)>,
    /// Something has no key.
    keyless: bool,
    /// `to` has one value for each row of `from`'s relation; for all rows if there is none.
    links: Vec<(Option<Base>, Base)>,
}

/// What a FROM clause is read with.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) lineage: &'a Lineage,
    /// Is the column compared as it is stored, and shown so?
    pub(super) clear: &'a dyn Fn(Base) -> bool,
}

impl Identity {
    pub(super) fn of(from: &[TableRef], filter: Option<&Expr>, reader: Reader<'_>) -> Self {
        let mut identity = Self::default();
        for table in from {
            identity.table(table, reader);
        }
        if let Some(filter) = filter {
            identity.condition(filter, reader, &|_| true);
        }
        identity
    }

    /// A row of this relation is known beforehand.
    pub(super) fn extend(&mut self, relation: Option<RelationId>) {
        self.keys.extend(relation.map(|id| (id, Vec::new())));
    }

    /// Do these columns, of which only clear ones count, tell all rows apart?
    pub(super) fn fixed_by(&self, columns: &[Base]) -> bool {
        if self.keyless {
            return false;
        }
        let mut given = columns.to_vec();
        let mut known: Vec<RelationId> = Vec::new();
        loop {
            let before = (given.len(), known.len());
            for (relation, key) in &self.keys {
                if !known.contains(relation) && key.iter().all(|a| given.contains(&(*relation, *a)))
                {
                    known.push(*relation);
                }
            }
            for (from, to) in &self.links {
                let follows = from.is_none_or(|(relation, _)| known.contains(&relation));
                if follows && !given.contains(to) {
                    given.push(*to);
                }
            }
            if known.len() == self.keys.len() {
                return true;
            }
            if before == (given.len(), known.len()) {
                return false;
            }
        }
    }

    fn table(&mut self, table: &TableRef, reader: Reader<'_>) {
        match table {
            TableRef::Relation(r) => match r.id.and_then(|id| Some((id, key(r, reader)?))) {
                Some(known) => self.keys.push(known),
                None => self.keyless = true,
            },
            TableRef::Derived { .. } | TableRef::Function(_) | TableRef::Keyword(_) => {
                self.keyless = true;
            }
            TableRef::Join {
                left,
                right,
                kind,
                constraint,
                alias: _,
            } => {
                let first = self.keys.len();
                self.table(left, reader);
                let second = self.keys.len();
                self.table(right, reader);
                let JoinConstraint::On(condition) = constraint else {
                    return;
                };
                // A row without a match is there once for each row of the side that is kept, so only
                // the other side's row follows from it.
                let (skipped, counted) = match kind {
                    JoinKind::Inner | JoinKind::Cross => (0, usize::MAX),
                    JoinKind::Left => (second, usize::MAX),
                    JoinKind::Right => (first, second.saturating_sub(first)),
                    JoinKind::Full => return,
                };
                let side = self.keys.iter().map(|(id, _)| *id);
                let side: Vec<RelationId> = side.skip(skipped).take(counted).collect();
                self.condition(condition, reader, &|id| side.contains(&id));
            }
        }
    }

    /// `key = column` and `key = constant` among conditions that must all hold.
    fn condition(&mut self, e: &Expr, reader: Reader<'_>, determines: &dyn Fn(RelationId) -> bool) {
        match e {
            Expr::And(list) => {
                for inner in list {
                    self.condition(inner, reader, determines);
                }
            }
            Expr::Binary(l, op, r)
                if &*op.symbol == "=" && op.schema.as_ref().is_some_and(|s| *s == "pg_catalog") =>
            {
                let [left, right] = op.decides;
                for (to, from, decides) in [(l, r, left), (r, l, right)] {
                    let Some(to) =
                        base(to).filter(|b| decides && (reader.clear)(*b) && determines(b.0))
                    else {
                        continue;
                    };
                    match base(from) {
                        Some(from) if (reader.clear)(from) => self.links.push((Some(from), to)),
                        None if constant(from, reader.lineage) => self.links.push((None, to)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The column an expression is, if it is one of a base relation.
pub(super) fn base(e: &Expr) -> Option<Base> {
    match e {
        Expr::Column(c) => c.base,
        _ => None,
    }
}

fn constant(e: &Expr, lineage: &Lineage) -> bool {
    match e {
        Expr::Literal(_) => true,
        Expr::Param(n) => is_of_one_type(*n, lineage),
        Expr::Cast(inner, _) | Expr::Constant { expr: inner, .. } => constant(inner, lineage),
        _ => false,
    }
}

/// A parameter that stands elsewhere too may have its type from there.
pub(super) fn is_of_one_type(n: u16, lineage: &Lineage) -> bool {
    !lineage.open_params.contains(&n) || lineage.params.get(&n) == Some(&1)
}

/// The primary key, if it holds for all the rows that are read. It does not reach the rows of tables
/// that inherit.
fn key(r: &RelationRef, reader: Reader<'_>) -> Option<Vec<AttrNumber>> {
    let relation: &Relation = &reader.lineage.relation(r.id?)?.relation;
    let whole = match relation.kind {
        RelationKind::PartitionedTable => true,
        RelationKind::Table => r.only || relation.children.is_empty(),
        RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable
        | RelationKind::Sequence
        | RelationKind::CompositeType => false,
    };
    let key = &relation.primary_key;
    (whole && !key.is_empty()).then(|| key.clone())
}
