//! Joins: what both sides show, and what USING and NATURAL merge.

use super::from::Brought;

use super::likeness::Likeness;
use super::lineage::{Source, Uses};
use super::scope::{Env, Item, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve, merge_sources};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, JoinConstraint, JoinKind, Operator, TableAlias};

impl Analyzer<'_> {
    pub(super) fn join(
        &mut self,
        lhs: Brought,
        rhs: Brought,
        kind: JoinKind,
        constraint: &mut JoinConstraint,
        env: Env<'_>,
        outside: &Brought,
    ) -> Resolve<Brought> {
        if matches!(constraint, JoinConstraint::Natural) {
            let shared: Vec<Ident> = lhs
                .columns
                .iter()
                .filter(|l| !l.denied && rhs.columns.iter().any(|r| !r.denied && r.name == l.name))
                .map(|l| l.name.clone())
                .collect();
            if shared.is_empty() && kind != JoinKind::Inner {
                *constraint =
                    JoinConstraint::On(Expr::Literal(crate::sql::tree::Literal::Bool(true)));
            } else {
                *constraint = if shared.is_empty() {
                    JoinConstraint::On(Expr::Literal(crate::sql::tree::Literal::Bool(true)))
                } else {
                    JoinConstraint::Using(shared, None)
                };
            }
        }
        let mut on = None;
        let mut using_alias = None;
        let merged = match constraint {
            JoinConstraint::Using(names, alias) => {
                using_alias = alias.take();
                let names = names.clone();
                let (merged, condition) = self.using(&names, &lhs, &rhs, kind)?;
                on = Some(condition);
                merged
            }
            JoinConstraint::On(_) | JoinConstraint::None | JoinConstraint::Natural => Vec::new(),
        };
        if let Some(condition) = on {
            *constraint = JoinConstraint::On(condition);
            let mut out = joined(lhs, rhs, &merged);
            if let Some(alias) = using_alias {
                out.items.push(joined_item(alias, merged));
            }
            return Ok(out);
        }
        let out = joined(lhs, rhs, &[]);
        if let JoinConstraint::On(e) = constraint {
            // ON sees the two sides (and, under LATERAL rules, what is further out).
            let outer = Scope {
                parent: env.outer,
                items: &outside.items,
                columns: &outside.columns,
            };
            let scope = Scope {
                parent: Some(&outer),
                items: &out.items,
                columns: &out.columns,
            };
            self.compute(e, &scope, env.ctes)?;
        }
        Ok(out)
    }

    /// The merged columns of USING, and what it compares. Both are written out, because PostgreSQL
    /// would look the names up in tables whose columns may have other names there than here.
    fn using(
        &mut self,
        names: &[Ident],
        lhs: &Brought,
        rhs: &Brought,
        kind: JoinKind,
    ) -> Resolve<(Vec<Visible>, Expr)> {
        let mut merged = Vec::with_capacity(names.len());
        let mut equal = Vec::with_capacity(names.len());
        for name in names {
            let l = unique_column(&lhs.columns, name, "left")?;
            let r = unique_column(&rhs.columns, name, "right")?;
            let infos = [self.visible(l), self.visible(r)];
            let mut op = Operator {
                schema: None,
                ..Operator::builtin("=")
            };
            self.meet(&[l.ty, r.ty]);
            self.operator(&mut op, l.ty, r.ty)?;
            let sides = [l.expr(), r.expr()];
            self.decide(&mut op, sides.each_ref(), [l.ty, r.ty]);
            let [left, right] = sides.map(Box::new);
            let mut equality = Expr::Binary(left, op, right);
            self.compare_sides(&mut equality, infos.each_ref())?;
            equal.push(equality);
            let same = l.ty.is_some() && l.ty == r.ty;
            let (side, sources, sides) = match kind {
                JoinKind::Inner | JoinKind::Left | JoinKind::Cross if same => {
                    (l, l.sources.clone(), None)
                }
                JoinKind::Right if same => (r, r.sources.clone(), None),
                JoinKind::Right => (r, self.both_sides(l, r), Some((r.expr(), l.expr()))),
                _ => (l, self.both_sides(l, r), Some((l.expr(), r.expr()))),
            };
            let known = match sides {
                None => vec![Likeness::of_visible(side)],
                Some(_) => vec![Likeness::of_visible(l), Likeness::of_visible(r)],
            };
            let (alike, scale) = self.among(&known);
            merged.push(Visible {
                name: name.clone(),
                reference: side.reference.clone(),
                sources,
                tainted: l.tainted || r.tainted,
                ty: if same { l.ty } else { None },
                alike,
                scale,
                denied: false,
                expired: None,
                named: side.named,
                merged: sides.map_or_else(|| side.merged.clone(), |s| Some(Box::new(s))),
            });
        }
        let condition = match equal.len() {
            1 => equal.swap_remove(0),
            _ => Expr::And(equal),
        };
        Ok((merged, condition))
    }

    /// Sources of a column that is now one side, now the other.
    fn both_sides(&mut self, l: &Visible, r: &Visible) -> Vec<Source> {
        let mut both = l.sources.clone();
        merge_sources(&mut both, &r.sources);
        if l.sources.is_empty() || r.sources.is_empty() {
            self.lineage.mark_all(&both, Uses::COMPUTE);
            both.clear();
        }
        both
    }
}

/// `(a JOIN b …) AS j (x, y)`: the join's columns under one name. The alias is not printed: PostgreSQL
/// would number its columns over whole tables, and ours may be derived ones with fewer. Each column
/// stays a reference to the item inside, which no other name reaches any more.
pub(super) fn join_alias(mut joined: Brought, alias: TableAlias) -> Resolve<Brought> {
    let mut names = alias.columns.into_iter();
    for c in joined.columns.iter_mut().filter(|c| !c.denied) {
        if let Some(name) = names.next() {
            c.name = name;
        }
    }
    if names.next().is_some() {
        return Err(Refusal::error(
            "42P10",
            format!(
                "join expression \"{}\" has fewer columns than its alias list",
                alias.name
            ),
        ));
    }
    for item in &mut joined.items {
        item.kind = match item.kind {
            ItemKind::Plain | ItemKind::Hidden => ItemKind::Hidden,
            ItemKind::Join => ItemKind::Join,
        };
    }
    joined.items.retain(|i| i.kind == ItemKind::Hidden);
    let item = joined_item(alias.name, joined.columns.clone());
    joined.items.push(item);
    Ok(joined)
}

/// A name for columns of a join.
fn joined_item(alias: Ident, columns: Vec<Visible>) -> Item {
    Item {
        printed: alias.clone(),
        alias,
        columns,
        relation: None,
        unaliased: None,
        kind: ItemKind::Join,
        fields: false,
        scalar: false,
    }
}

/// What a join shows: merged columns first, then the others of both sides.
fn joined(lhs: Brought, rhs: Brought, merged: &[Visible]) -> Brought {
    let others = lhs.columns.into_iter().chain(rhs.columns);
    let others = others.filter(|c| !merged.iter().any(|m| m.name == c.name));
    let columns = merged.iter().cloned().chain(others).collect();
    let mut items = lhs.items;
    items.extend(rhs.items);
    Brought { items, columns }
}

fn unique_column<'c>(columns: &'c [Visible], name: &Ident, side: &str) -> Resolve<&'c Visible> {
    let mut hits = columns.iter().filter(|c| c.name == *name && !c.denied);
    match (hits.next(), hits.next()) {
        (Some(c), None) => Ok(c),
        (Some(_), Some(_)) => Err(Refusal::error(
            sqlstate::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
        (None, _) => Err(Refusal::error(
            sqlstate::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
    }
}
