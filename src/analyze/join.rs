//! Joins: ON, USING and NATURAL, and the columns the latter two merge.
//!
//! PostgreSQL is sent comparisons only. USING would compare stored values wherever a mask goes in
//! place, and the merged column of a full join has no qualifier that keeps an inner query from
//! capturing it.

use super::from::Brought;
use super::lineage::Uses;
use super::scope::{Env, Item, Scope, Visible};
use super::{Analyzer, Resolve, merge_sources};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, JoinConstraint, JoinKind, Literal, Operator};

impl Analyzer<'_> {
    /// The names a join brings into scope; its condition resolved.
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
                *constraint = JoinConstraint::On(Expr::Literal(Literal::Bool(true)));
            } else {
                *constraint = if shared.is_empty() {
                    JoinConstraint::On(Expr::Literal(Literal::Bool(true)))
                } else {
                    JoinConstraint::Using(shared, None)
                };
            }
        }
        let merged = match constraint {
            JoinConstraint::Using(names, alias) => {
                if alias.is_some() {
                    return Err(Refusal::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        "an alias of JOIN … USING is not supported",
                    )
                    .hint("Qualify the columns with one of the joined tables."));
                }
                let names = names.clone();
                let (merged, condition) = self.using(&names, &lhs, &rhs, kind)?;
                *constraint = JoinConstraint::On(condition);
                merged
            }
            JoinConstraint::On(e) => {
                self.on(e, &lhs, &rhs, env, outside)?;
                Vec::new()
            }
            JoinConstraint::None | JoinConstraint::Natural => Vec::new(),
        };
        let mut out = Brought::default();
        let kept = |c: &&Visible| !merged.iter().any(|m| m.name == c.name);
        let rest: Vec<Visible> = lhs
            .columns
            .iter()
            .chain(&rhs.columns)
            .filter(kept)
            .cloned()
            .collect();
        out.columns = merged.iter().cloned().chain(rest).collect();
        out.items = lhs.items;
        out.items.extend(rhs.items);
        Ok(out)
    }

    /// ON sees the two sides (and, under LATERAL rules, what is further out).
    fn on(
        &mut self,
        condition: &mut Expr,
        lhs: &Brought,
        rhs: &Brought,
        env: Env<'_>,
        outside: &Brought,
    ) -> Resolve<()> {
        let items: Vec<Item> = lhs.items.iter().chain(&rhs.items).cloned().collect();
        let columns: Vec<Visible> = lhs.columns.iter().chain(&rhs.columns).cloned().collect();
        let outer = Scope {
            parent: env.outer,
            items: &outside.items,
            columns: &outside.columns,
        };
        let scope = Scope {
            parent: Some(&outer),
            items: &items,
            columns: &columns,
        };
        self.compute(condition, &scope, env.ctes).map(drop)
    }

    /// The merged columns of USING, and the comparisons it means. PostgreSQL is sent the comparisons:
    /// USING would compare stored values wherever a mask goes in place, and its merged column has no
    /// qualifier that keeps an inner query from capturing it.
    fn using(
        &mut self,
        names: &[Ident],
        lhs: &Brought,
        rhs: &Brought,
        kind: JoinKind,
    ) -> Resolve<(Vec<Visible>, Expr)> {
        let mut merged = Vec::with_capacity(names.len());
        let mut conditions = Vec::with_capacity(names.len());
        for name in names {
            let l = unique_column(&lhs.columns, name, "left")?;
            let r = unique_column(&rhs.columns, name, "right")?;
            self.compare(&l.sources, &r.sources);
            let same = l.ty.is_some() && l.ty == r.ty;
            let (written, sources) = match kind {
                JoinKind::Inner | JoinKind::Left | JoinKind::Cross if same => {
                    (l.written(), l.sources.clone())
                }
                JoinKind::Right if same => (r.written(), r.sources.clone()),
                _ => {
                    let mut both = l.sources.clone();
                    merge_sources(&mut both, &r.sources);
                    if l.sources.is_empty() || r.sources.is_empty() {
                        self.lineage.mark_all(&both, Uses::COMPUTE);
                        both.clear();
                    }
                    (Expr::Coalesce(vec![l.written(), r.written()]), both)
                }
            };
            let mut equals = Operator {
                schema: None,
                symbol: "=".into(),
            };
            self.operator(&mut equals, l.ty, r.ty)?;
            conditions.push(Expr::Binary(
                Box::new(l.written()),
                equals,
                Box::new(r.written()),
            ));
            let (reference, written) = match written {
                Expr::Column(c) => (c, None),
                other => (l.reference.clone(), Some(Box::new(other))),
            };
            merged.push(Visible {
                name: name.clone(),
                reference,
                merged: written,
                sources,
                tainted: l.tainted || r.tainted,
                ty: if same { l.ty } else { None },
                denied: false,
            });
        }
        let condition = match conditions.pop() {
            Some(only) if conditions.is_empty() => only,
            Some(last) => {
                conditions.push(last);
                Expr::And(conditions)
            }
            None => Expr::Literal(Literal::Bool(true)),
        };
        Ok((merged, condition))
    }
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
