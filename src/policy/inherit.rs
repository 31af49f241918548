//! Columns that hold the same data under several relations: partitions, inheritance children and
//! their parents.
//!
//! A parent's rows are its children's rows, so a rule for one is a rule for all, both ways. When
//! several relations of a family have rules of their own, the stricter one holds for the family.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Answer, Reason};
use super::treat::Word;
use crate::catalog::{Catalog, ColumnId};

/// The families of the given columns, each in order and with its members that were given.
pub(super) fn families(
    catalog: &Catalog,
    named: &BTreeSet<ColumnId>,
) -> Vec<(Vec<ColumnId>, Vec<ColumnId>)> {
    let mut seen: BTreeSet<ColumnId> = BTreeSet::new();
    let mut families = Vec::new();
    for start in named {
        if seen.contains(start) {
            continue;
        }
        let members = family(catalog, *start);
        let own = members.intersection(named).copied().collect();
        seen.extend(&members);
        families.push((members.into_iter().collect(), own));
    }
    families
}

/// Everything reached from one column over `pg_inherits`, in both directions, by column name.
fn family(catalog: &Catalog, start: ColumnId) -> BTreeSet<ColumnId> {
    let mut members = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        let Some(relation) = catalog.relation_by_oid(id.relation) else {
            continue;
        };
        let Some(column) = relation.attribute(id.attnum) else {
            continue;
        };
        for other in relation.parents.iter().chain(&relation.children) {
            let found = catalog
                .relation_by_oid(*other)
                .and_then(|r| r.column(&column.name));
            if let Some(found) = found {
                let id = ColumnId {
                    relation: *other,
                    attnum: found.attnum,
                };
                if members.insert(id) {
                    open.push(id);
                }
            }
        }
    }
    members
}

/// The given columns and what inherits them: children, children of children.
pub(super) fn heirs(catalog: &Catalog, own: &[ColumnId]) -> BTreeSet<ColumnId> {
    let mut members: BTreeSet<ColumnId> = own.iter().copied().collect();
    let mut open = own.to_vec();
    while let Some(id) = open.pop() {
        let relation = catalog.relation_by_oid(id.relation);
        let name = relation.and_then(|r| Some((r, &r.attribute(id.attnum)?.name)));
        let Some((relation, name)) = name else {
            continue;
        };
        for child in &relation.children {
            let found = catalog.relation_by_oid(*child).and_then(|r| r.column(name));
            if let Some(found) = found {
                let id = ColumnId {
                    relation: *child,
                    attnum: found.attnum,
                };
                if members.insert(id) {
                    open.push(id);
                }
            }
        }
    }
    members
}

/// What holds for a whole family.
pub(super) struct Joined<'a> {
    /// The member whose answer it is.
    pub(super) column: ColumnId,
    pub(super) answer: Answer,
    /// Two members said different things that cannot be ordered: the family is nullified.
    pub(super) clash: Option<(&'a Answer, &'a Answer)>,
}

/// The strictest of the answers; `None` if nobody has a rule.
///
/// The order is clear < mask, token < nullify < deny. Two different masks reveal different parts of
/// one value, so together they are nullify.
pub(super) fn strictest(answers: &BTreeMap<ColumnId, Answer>) -> Option<Joined<'_>> {
    let mut ruled = answers
        .iter()
        .filter(|(_, a)| a.reason != Reason::Unclassified);
    let (column, first) = ruled.next()?;
    let mut joined = Joined {
        column: *column,
        answer: first.clone(),
        clash: None,
    };
    for (column, answer) in ruled {
        let (old, new) = (strictness(&joined.answer.word), strictness(&answer.word));
        if new > old {
            joined.answer = answer.clone();
            joined.column = *column;
        } else if new == old && joined.answer.word != answer.word {
            joined.clash = answers.get(&joined.column).map(|other| (other, answer));
            joined.answer.word = Word::Nullify;
        }
    }
    // A clash below a stricter rule decides nothing.
    if joined.answer.word != Word::Nullify {
        joined.clash = None;
    }
    Some(joined)
}

fn strictness(word: &Word) -> u8 {
    match word {
        Word::Clear => 0,
        Word::Mask(_) | Word::Token(_) => 1,
        Word::Nullify => 2,
        Word::Deny => 3,
    }
}
