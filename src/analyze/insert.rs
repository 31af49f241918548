//! INSERT: the columns it means, what it gives each of them, and what is done where a row is there already.
//!
//! Deliberately absent: what becomes of a value in a column of tokens (`stored`), and DO UPDATE (`conflict`).

use std::collections::HashMap;

use super::dml::{Target, no_grant, visible_columns};
use super::expr::Info;
use super::lineage::{OutputColumn, Uses};
use super::probe::{Change, Written};
use super::scope::{Env, Scope};
use super::stored::{is_null_or_default, query_gives_null};
use super::{Analyzer, Resolve};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Insert, InsertSource, ListId, Query, SelectItem, SetExpr};

/// The tokens an INSERT gives for each column of them.
pub(super) type StoredLists = HashMap<Ident, Vec<ListId>>;

impl Analyzer<'_> {
    pub(super) fn insert(&mut self, i: &mut Insert, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let mut with = i.with.take();
        let outputs = self.beneath(with.as_mut(), env, |at, env| at.insert_body(i, env));
        i.with = with;
        outputs
    }

    fn insert_body(&mut self, i: &mut Insert, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let target = self.target(&mut i.target, "INSERT")?;
        if !target.grant.insert {
            return Err(no_grant(&target.relation, "INSERT"));
        }
        let (width, values) = self.insert_source(&mut i.source, env)?;
        if i.columns.is_empty() && !matches!(i.source, InsertSource::DefaultValues) {
            i.columns = visible_columns(&target.item, width)?;
        }
        let none = Scope {
            parent: None,
            items: &[],
            columns: &[],
        };
        for c in &mut i.columns {
            self.assignment_target(c, &target, &none, env.ctes)?;
        }
        for (n, info) in &values {
            if let Some(c) = i.columns.get(*n) {
                self.assignable(&target, c, info)?;
            }
        }
        let lists = self.inserted_values(i, &target, &values)?;
        let written: Vec<Written> = i
            .columns
            .iter()
            .enumerate()
            .map(|(n, c)| Written {
                column: c.column.clone(),
                null: gives_null(i, n),
                default: gives_default(i, n),
                kept: false,
            })
            .collect();
        self.probes(&target, Change::Insert(&written))?;
        if let Some((conflict, action)) = &mut i.on_conflict {
            self.on_conflict(conflict.as_mut(), action, (&target, &lists, &written), env)?;
        }
        let items = [target.item.clone()];
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &target.item.columns,
        };
        self.select_list(&mut i.returning, &scope, env.ctes)
    }

    /// Resolves what is inserted; its width, and its values by position.
    fn insert_source(
        &mut self,
        source: &mut InsertSource,
        env: Env<'_>,
    ) -> Resolve<(usize, Vec<(usize, Info)>)> {
        match source {
            InsertSource::DefaultValues => Ok((0, Vec::new())),
            InsertSource::Query(q) => {
                let outputs = self.query(q, env)?;
                let width = outputs.len();
                let values = outputs.into_iter().map(|o| Info {
                    sources: o.sources,
                    null: o.null,
                    ..Info::computed(o.tainted, o.ty)
                });
                Ok((width, values.enumerate().collect()))
            }
            InsertSource::Values(rows) => {
                let scope = Scope {
                    parent: env.outer,
                    items: &[],
                    columns: &[],
                };
                let width = rows.first().map_or(0, Vec::len);
                let mut values = Vec::new();
                for row in rows {
                    if row.len() != width {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "VALUES lists must all be the same length",
                        )
                        .at(row
                            .first()
                            .and_then(Option::as_ref)
                            .map(Expr::position)
                            .unwrap_or_default()));
                    }
                    for (n, e) in row.iter_mut().enumerate() {
                        if let Some(e) = e {
                            let info = self.consumed(e, &scope, env.ctes, Uses::COMPUTE)?;
                            values.push((n, info));
                        }
                    }
                }
                Ok((width, values))
            }
        }
    }

    /// Columns of tokens take tokens, NULL or DEFAULT. Returns the tokens of each.
    fn inserted_values(
        &mut self,
        i: &mut Insert,
        target: &Target,
        values: &[(usize, Info)],
    ) -> Resolve<StoredLists> {
        let none = Scope {
            parent: None,
            items: &[],
            columns: &[],
        };
        let mut lists = StoredLists::new();
        if let InsertSource::Query(q) = &mut i.source {
            for (n, info) in values {
                let into = i.columns.get(*n).map(|c| (target, &c.column));
                let mut stored = Vec::new();
                let harmless = match (into, selected(q, *n)) {
                    (Some(into), Some(e)) => {
                        self.store_value((e, info), into, &none, &mut stored)?
                    }
                    _ => self.store_sources(info, into, &mut stored)?,
                };
                if let Some((_, column)) = into {
                    if !harmless && self.is_coded(target, column)? {
                        return Err(self.unstorable(target, column)?);
                    }
                    lists.insert(column.clone(), stored);
                }
            }
            return Ok(lists);
        }
        for (n, c) in i.columns.iter().enumerate() {
            if !self.is_coded(target, &c.column)? {
                continue;
            }
            let mut stored = Vec::new();
            let mut harmless = true;
            if let InsertSource::Values(rows) = &mut i.source {
                for value in rows.iter_mut().map(|row| row.get_mut(n)) {
                    harmless &= match value {
                        Some(Some(e)) => {
                            let info = Info::default();
                            self.store_value((e, &info), (target, &c.column), &none, &mut stored)?
                        }
                        Some(None) => true,
                        None => false,
                    };
                }
            }
            if !harmless {
                return Err(self.unstorable(target, &c.column)?);
            }
            if stored.is_empty() && !gives_default(i, n) {
                stored.extend(self.new_list(false));
            }
            lists.insert(c.column.clone(), stored);
        }
        Ok(lists)
    }
}

/// An item of the select list whose values go to the target as they come.
fn selected(q: &mut Query, n: usize) -> Option<&mut Expr> {
    let SetExpr::Select(s) = &mut q.body else {
        return None;
    };
    // What is grouped, made distinct or sorted by is more than an item.
    if s.distinct.is_some() || !s.group_by.is_empty() || !q.order_by.is_empty() {
        return None;
    }
    match s.items.get_mut(n)? {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star(..) | SelectItem::FieldStar(_) => None,
    }
}

/// Is a column given its default in some row?
fn gives_default(i: &Insert, n: usize) -> bool {
    match &i.source {
        InsertSource::DefaultValues => true,
        InsertSource::Values(rows) => rows.iter().any(|r| matches!(r.get(n), Some(None))),
        InsertSource::Query(_) => false,
    }
}

/// Is a column given nothing but NULL or its default?
fn gives_null(i: &Insert, n: usize) -> bool {
    match &i.source {
        InsertSource::DefaultValues => true,
        InsertSource::Values(rows) => rows
            .iter()
            .all(|r| r.get(n).is_some_and(|v| is_null_or_default(v.as_ref()))),
        InsertSource::Query(q) => query_gives_null(q, n),
    }
}
