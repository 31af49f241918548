//! WITH: common table expressions, loops, and the columns SEARCH and CYCLE add.

use super::lineage::{OutputColumn, Uses};
use super::query::rename;
use super::scope::{CteEntry, CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Cte, SetExpr, SetOp, Statement, With};

impl Analyzer<'_> {
    /// Resolves WITH, and then a statement that writes, in which its CTEs are visible and which is no
    /// list of results itself.
    pub(super) fn beneath<T>(
        &mut self,
        with: Option<&mut With>,
        env: Env<'_>,
        body: impl FnOnce(&mut Self, Env<'_>) -> Resolve<T>,
    ) -> Resolve<T> {
        let mut entries = Vec::new();
        if let Some(with) = with {
            self.with(with, env, &mut entries)?;
        }
        let frame = CteFrame {
            parent: env.ctes,
            entries: &entries,
        };
        let env = Env {
            outer: env.outer,
            ctes: Some(&frame),
        };
        let nested = std::mem::replace(&mut self.top_level, false);
        let outcome = body(self, env);
        self.top_level = nested;
        outcome
    }

    /// Resolves WITH, adding its CTEs to `entries` as they become visible.
    pub(super) fn with(
        &mut self,
        with: &mut With,
        env: Env<'_>,
        entries: &mut Vec<CteEntry>,
    ) -> Resolve<()> {
        for cte in &mut with.ctes {
            if entries.iter().any(|e| e.name == cte.name) {
                return Err(Refusal::error(
                    sqlstate::DUPLICATE_ALIAS,
                    format!("WITH query name \"{}\" specified more than once", cte.name),
                ));
            }
            let outputs = if with.recursive && mentions(cte) {
                self.recursive_cte(cte, env, entries)?
            } else {
                let frame = CteFrame {
                    parent: env.ctes,
                    entries,
                };
                let inner = Env {
                    outer: env.outer,
                    ctes: Some(&frame),
                };
                self.cte_body(cte, inner)?
            };
            let mut columns = rename(outputs, &cte.columns, &cte.name)?;
            let own = columns.len();
            self.added_columns(cte, &mut columns)?;
            entries.push(CteEntry {
                name: cte.name.clone(),
                columns,
                own,
            });
        }
        Ok(())
    }

    fn cte_body(&mut self, cte: &mut Cte, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let top = self.top_level;
        match cte.body.as_mut() {
            Statement::Query(q) => self.query(q, env),
            Statement::Insert(i) if top => self.insert(i, env),
            Statement::Update(u) if top => self.update(u, env),
            Statement::Delete(d) if top => self.delete(d, env),
            Statement::Merge(m) if top => self.merge(m, env),
            _ => Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "WITH clause containing a data-modifying statement must be at the top level",
            )),
        }
    }

    /// The columns SEARCH and CYCLE add: rows of the columns they name, so as tainted as those. What
    /// they name has no origin any more (see [`Self::recursive_cte`]); PostgreSQL refuses them on a CTE
    /// that is no loop.
    fn added_columns(&mut self, cte: &mut Cte, columns: &mut Vec<OutputColumn>) -> Resolve<()> {
        let (search, cycle) = (&cte.search, &mut cte.cycle);
        let named = search.iter().flat_map(|s| &s.by);
        let named = named.chain(cycle.iter().flat_map(|c| &c.columns));
        for name in named {
            let Some(column) = columns.iter().find(|c| c.name == *name) else {
                return Err(Refusal::error(
                    sqlstate::UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" of a SEARCH or CYCLE clause is not in the WITH query"
                    ),
                ));
            };
            self.lineage.mark_all(&column.sources, Uses::COMPUTE);
        }
        if let Some((value, otherwise)) = cycle.as_mut().and_then(|c| c.values.as_mut()) {
            let none = Scope {
                parent: None,
                items: &[],
                columns: &[],
            };
            self.compute(value, &none, None)?;
            self.compute(otherwise, &none, None)?;
        }
        let tainted = columns.iter().any(|c| c.tainted);
        let added = search.iter().map(|s| &s.set);
        let added = added.chain(cycle.iter().flat_map(|c| [&c.mark, &c.path]));
        columns.extend(added.map(|name| OutputColumn::computed(name.clone(), None, tainted)));
        Ok(())
    }

    /// `r AS (first UNION [ALL] recursive)`. The first term's columns are used as values (compute):
    /// what flows round the loop has no single origin.
    fn recursive_cte(
        &mut self,
        cte: &mut Cte,
        env: Env<'_>,
        before: &mut Vec<CteEntry>,
    ) -> Resolve<Vec<OutputColumn>> {
        let malformed = || {
            Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "recursive query must have the form non-recursive-term UNION [ALL] recursive-term",
            )
        };
        let Statement::Query(q) = cte.body.as_mut() else {
            return Err(malformed());
        };
        if q.with.is_some() || !q.order_by.is_empty() || !q.locking.is_empty() {
            return Err(malformed());
        }
        let SetExpr::Chain { first, rest } = &mut q.body else {
            return Err(malformed());
        };
        let Some(((SetOp::Union, all, recursive), base)) = rest.split_last_mut() else {
            return Err(malformed());
        };
        let frame = CteFrame {
            parent: env.ctes,
            entries: before,
        };
        let outside = Env {
            outer: env.outer,
            ctes: Some(&frame),
        };
        let mut outputs = self.set_expr(first, outside)?;
        for (op, every, arm) in base {
            let right = self.set_expr(arm, outside)?;
            outputs = self.merge_arms(outputs, right, (*op, *every, arm.position()))?;
        }
        for o in &mut outputs {
            self.lineage.mark_all(&o.sources, Uses::COMPUTE);
            o.sources.clear();
            // NULL the first time round only.
            o.null = false;
        }
        let columns = rename(outputs.clone(), &cte.columns, &cte.name)?;
        before.push(CteEntry {
            name: cte.name.clone(),
            own: columns.len(),
            columns,
        });
        let frame = CteFrame {
            parent: env.ctes,
            entries: before,
        };
        let inside = Env {
            outer: env.outer,
            ctes: Some(&frame),
        };
        let right = self.set_expr(recursive, inside);
        before.pop();
        let arms = (SetOp::Union, *all, recursive.position());
        let merged = self.merge_arms(outputs, right?, arms)?;
        if let Some(limit) = &mut q.limit {
            self.limit(limit, env)?;
        }
        // Taint found in the recursive term reaches every column of the loop.
        let tainted = merged.iter().any(|o| o.tainted);
        Ok(merged
            .into_iter()
            .map(|o| OutputColumn { tainted, ..o })
            .collect())
    }
}

/// Could the CTE refer to itself? Under RECURSIVE, a body that is a UNION is treated as a loop only
/// if its last arm names the CTE in some FROM.
fn mentions(cte: &Cte) -> bool {
    let Statement::Query(q) = cte.body.as_ref() else {
        return false;
    };
    super::from::query_mentions(q, &cte.name)
}
