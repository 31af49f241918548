//! Masks computed once before they are joined. PostgreSQL pulls a masked relation up and puts the mask
//! wherever the column stands: into the hash of a row, and again into the comparison with each row of the
//! same hash. And it takes those for so dear that a nested loop of them looks no worse.
//!
//! So the relation is fenced (`OFFSET 0`) where its masks, or what is made of them, are keys of a join: no
//! index serves those, and it is read as a whole. Deliberately absent: relations of which something else is asked, which
//! an index may serve or which leaves few rows to mask, and statements that lock rows.

use std::collections::BTreeSet;

use super::handed::Open;
use super::hidden::Hidden;
use crate::analyze::lineage::Source;
use crate::sql::print::RelationForm;
use crate::sql::tree::{Column, Expr, Part, Query, RelationId};

/// What is known of the relations of a statement.
#[derive(Default)]
pub(super) struct Fences {
    /// Their masks are keys of joins.
    pub(super) joined: BTreeSet<RelationId>,
    /// They have to stay open.
    pub(super) open: BTreeSet<RelationId>,
    /// The statement locks rows.
    pub(super) locks: bool,
}

impl Hidden<'_> {
    /// Notes what a condition asks of its relations besides their masks.
    pub(super) fn opened(&mut self, condition: &mut Expr, open: &Open) {
        if let Expr::And(all) = condition {
            return all.iter_mut().for_each(|e| self.opened(e, open));
        }
        let mut columns = Vec::new();
        gather(condition, &mut columns);
        let order = matches!(condition, Expr::Binary(_, op, _)
            if matches!(&*op.symbol, "<" | ">" | "<=" | ">=" | "<>"));
        let first = columns.first().and_then(|c| c.qualifier.clone());
        if order && columns.iter().any(|c| c.qualifier != first) {
            return;
        }
        // A key of a join, or of what IN makes one of.
        let keys = match condition {
            Expr::Binary(_, op, _) => {
                &*op.symbol == "=" && columns.iter().any(|c| c.qualifier != first)
            }
            Expr::InQuery { negated, .. } => !*negated,
            _ => false,
        };
        let of_level = |c: &Column| c.qualifier.iter().all(|q| self.level.contains(q));
        let joins = matches!(condition, Expr::Binary(..)) && columns.iter().all(of_level);
        for c in &columns {
            match self.origin(c, open) {
                Some(base) if self.treated(base).is_some() => {
                    if keys && self.rewrite.computed.contains(&base) {
                        self.fences.joined.insert(base.0);
                        self.joins |= joins;
                    }
                }
                Some(base) => {
                    self.fences.open.insert(base.0);
                }
                None => {
                    let behind = self.behind(c, open);
                    self.fences.open.extend(behind);
                }
            }
        }
    }

    /// Leaves the relations of a query open that takes some of its rows only.
    pub(super) fn limited(&mut self, q: &Query, relations: impl Iterator<Item = RelationId>) {
        if q.limit.is_some() {
            self.fences.open.extend(relations);
        }
    }

    /// Are tokens of a relation looked up? That fails of one that was not read, so it is not to be done of
    /// rows that nobody asks for.
    pub(super) fn looks_up(&self, id: RelationId) -> bool {
        self.decisions.columns.iter().any(|(source, decided)| {
            let own = matches!(source, Source::Column { relation, .. } if *relation == id);
            own && decided.tabulated.is_some()
        })
    }

    /// Puts up the fences.
    pub(super) fn fence(&mut self) {
        if self.fences.locks {
            return;
        }
        for id in self.fences.joined.difference(&self.fences.open) {
            if self.looks_up(*id) {
                continue;
            }
            if let Some(RelationForm::Derived(derived)) = self.rewrite.relations.get_mut(id) {
                derived.fenced = true;
            }
        }
    }
}

/// The columns of an expression, but not those of queries in it.
fn gather(e: &mut Expr, columns: &mut Vec<Column>) {
    if let Expr::Column(c) = e {
        columns.push(c.clone());
        return;
    }
    // No part can be missed: there is nothing here that fails.
    let _all = e.any_part(|part| {
        if let Part::Expr(inner) = part {
            gather(inner, columns);
        }
        false
    });
}
