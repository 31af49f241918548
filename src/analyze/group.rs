//! GROUP BY: what rows are grouped by, and whether equal values of it may differ.
//!
//! Deliberately absent: what is shown of those that do (`plan::order`).

use super::lineage::{OutputColumn, Source};
use super::query::{output_by_name, output_number, position_literal};
use super::select::Inside;
use super::{Analyzer, Resolve};
use crate::pg::Oid;
use crate::sql::tree::{Column, Expr, GroupItem, Literal, Select, SelectItem};

impl Analyzer<'_> {
    pub(super) fn group_by(
        &mut self,
        s: &mut Select,
        inside: Inside<'_, '_>,
        outputs: &[OutputColumn],
    ) -> Resolve<()> {
        let (mut keys, mut found) = (Vec::new(), Vec::new());
        for item in &mut s.group_by {
            self.group_item(item, inside, outputs, &s.items, &mut keys, &mut found)?;
        }
        for (at, keyed) in found.into_iter().enumerate() {
            match keyed {
                Keyed::Alike => {}
                Keyed::Apart(Some(ty)) => {
                    s.spelled.push((at, ty));
                    self.lineage.spelled = true;
                }
                Keyed::Apart(None) => self.lineage.apart = true,
            }
        }
        self.functional_dependency(&keys);
        if s.group_by.is_empty() {
            return Ok(());
        }
        // What is selected has to be written as it is grouped by, though nobody may look at it: its
        // constants mean the same.
        let constant = |source: &Source| matches!(source, Source::List(_));
        for o in outputs.iter().filter(|o| o.sources.iter().any(constant)) {
            self.grouped(&o.sources);
        }
        Ok(())
    }

    fn group_item(
        &mut self,
        item: &mut GroupItem,
        inside: Inside<'_, '_>,
        outputs: &[OutputColumn],
        items: &[SelectItem],
        keys: &mut Vec<Column>,
        found: &mut Vec<Keyed>,
    ) -> Resolve<()> {
        match item {
            GroupItem::Empty => {}
            GroupItem::Expr(e) => {
                found.push(self.group_expr(e, inside, outputs)?);
                let key = match e {
                    Expr::Literal(Literal::Number(n)) => n
                        .value()
                        .parse::<usize>()
                        .ok()
                        .and_then(|n| items.get(n.checked_sub(1)?))
                        .and_then(|i| match i {
                            SelectItem::Expr {
                                expr: Expr::Column(c),
                                ..
                            } => Some(c.clone()),
                            _ => None,
                        }),
                    Expr::Column(c) => Some(c.clone()),
                    _ => None,
                };
                keys.extend(key);
            }
            GroupItem::List(list) => {
                for e in list {
                    found.push(self.group_expr(e, inside, outputs)?);
                }
            }
            GroupItem::Rollup(sets) | GroupItem::Cube(sets) => {
                for e in sets.iter_mut().flatten() {
                    found.push(self.group_expr(e, inside, outputs)?);
                }
            }
            GroupItem::Sets(sets) => {
                for inner in sets {
                    self.group_item(inner, inside, outputs, items, &mut Vec::new(), found)?;
                }
            }
        }
        Ok(())
    }

    /// A bare name in GROUP BY is an input column first, an output column second.
    fn group_expr(
        &mut self,
        e: &mut Expr,
        inside: Inside<'_, '_>,
        outputs: &[OutputColumn],
    ) -> Resolve<Keyed> {
        if let Expr::Name(n) = e
            && n.parts.len() == 1
        {
            let input = inside
                .scope
                .columns
                .iter()
                .any(|c| n.parts.first() == Some(&c.name));
            if !input && let Some(position) = output_by_name(n, outputs)? {
                *e = position_literal(position);
                return Ok(self.grouped_output(position, outputs));
            }
        }
        if let Some(position) = output_number(e, outputs.len(), "GROUP BY")? {
            if matches!(e, Expr::Unary(..)) {
                *e = position_literal(position);
            }
            return Ok(self.grouped_output(position, outputs));
        }
        let info = self.expr(e, inside.scope, inside.ctes)?;
        self.grouped(&info.sources);
        Ok(if self.is_alike(e, &info) {
            Keyed::Alike
        } else {
            Keyed::Apart(info.ty)
        })
    }

    fn grouped_output(&mut self, position: usize, outputs: &[OutputColumn]) -> Keyed {
        let Some(output) = outputs.get(position) else {
            return Keyed::Apart(None);
        };
        self.grouped(&output.sources);
        if self.shows_alike(output) {
            Keyed::Alike
        } else {
            Keyed::Apart(output.ty)
        }
    }

    /// When a relation's whole primary key is grouped by, its other columns may stand ungrouped
    /// (SQL:1999 functional dependency). PostgreSQL sees that only of a base relation, so its masks go
    /// in place.
    fn functional_dependency(&mut self, keys: &[Column]) {
        for (index, r) in self.lineage.relations.iter_mut().enumerate() {
            let key = &r.relation.primary_key;
            let grouped = !key.is_empty()
                && key.iter().all(|attnum| {
                    keys.iter()
                        .filter_map(|k| k.base)
                        .any(|(id, a)| usize::try_from(id.0) == Ok(index) && a == *attnum)
                });
            r.in_place |= grouped;
        }
    }
}

/// What is known of equal values that rows are grouped by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyed {
    /// They are one (`alike`).
    Alike,
    /// They may differ, and are of this type.
    Apart(Option<Oid>),
}
