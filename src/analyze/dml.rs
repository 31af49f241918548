//! INSERT, UPDATE, DELETE: what a write reads, and whether the role may write there.
//!
//! A write acts on the stored database; what its expressions read, they read masked. The target stays
//! a base relation, so its masks stand in place of each column reference: `UPDATE t SET city = email`
//! stores a mask. RETURNING is a result like any other.
//!
//! Deliberately absent: MERGE (`merge`), and writes through views.

use std::collections::HashMap;
use std::sync::Arc;

use super::assign::{is_null_or_default, query_gives_null};
use super::conflict::{proposed, proposed_row};
use super::expr::Info;
use super::lineage::{OutputColumn, Uses};
use super::probe::{Change, Written};
use super::scope::{Env, Item, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::catalog::{Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::WriteGrant;
use crate::refusal::Refusal;
use crate::sql::tree::{
    AssignmentTarget, Delete, Expr, Insert, InsertSource, ListId, RelationRef, Update,
};

/// The tokens an INSERT gives for each token column.
pub(super) type StoredLists = HashMap<Ident, ListId>;

/// A write's target, resolved.
pub(super) struct Target {
    pub(super) relation: Arc<Relation>,
    pub(super) item: Item,
    pub(super) grant: WriteGrant,
}

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
        let lists = self.inserted_values(i, &target)?;
        let written: Vec<Written> = i
            .columns
            .iter()
            .enumerate()
            .map(|(n, c)| Written {
                column: c.column.clone(),
                null: gives_null(i, n),
                default: gives_default(i, n),
            })
            .collect();
        self.probes(&target, Change::Insert(&written))?;
        if let Some((conflict, action)) = &mut i.on_conflict {
            self.on_conflict(conflict.as_mut(), action, (&target, &lists), env)?;
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
                let outputs = self.computed_query(q, env)?;
                let values = outputs.iter().map(|o| Info::computed(o.tainted, o.ty));
                Ok((outputs.len(), values.enumerate().collect()))
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
                        ));
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

    /// Token columns take tokens, NULL or DEFAULT. Returns the tokens of each.
    fn inserted_values(&mut self, i: &mut Insert, target: &Target) -> Resolve<StoredLists> {
        let mut lists = StoredLists::new();
        for (n, c) in i.columns.iter().enumerate() {
            if !self.is_coded(target, &c.column)? {
                continue;
            }
            let mut list = None;
            let harmless = match &mut i.source {
                InsertSource::DefaultValues => true,
                InsertSource::Values(rows) => {
                    let mut harmless = true;
                    for value in rows.iter_mut().map(|row| row.get_mut(n)) {
                        harmless &= match value {
                            Some(Some(e)) => {
                                is_null_or_default(Some(e))
                                    || self.stored(&mut list, e, target, &c.column)?
                            }
                            Some(None) => true,
                            None => false,
                        };
                    }
                    harmless
                }
                InsertSource::Query(q) => query_gives_null(q, n),
            };
            if !harmless {
                return Err(self.unstorable(target, &c.column)?);
            }
            lists.extend(list.map(|id| (c.column.clone(), id)));
        }
        Ok(lists)
    }

    pub(super) fn update(&mut self, u: &mut Update, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let outermost = env.ctes.is_none();
        let mut with = u.with.take();
        let body = |at: &mut Self, env: Env<'_>| at.update_body(u, outermost, env);
        let outputs = self.beneath(with.as_mut(), env, body);
        u.with = with;
        outputs
    }

    fn update_body(
        &mut self,
        u: &mut Update,
        outermost: bool,
        env: Env<'_>,
    ) -> Resolve<Vec<OutputColumn>> {
        let target = self.target(&mut u.target, "UPDATE")?;
        if !target.grant.updates {
            return Err(no_grant(&target.relation, "UPDATE"));
        }
        current_of(u.filter.as_ref(), outermost)?;
        let (items, columns) = self.with_target(&target, &mut u.from, env)?;
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &columns,
        };
        self.assignments(&mut u.assignments, &target, &scope, env.ctes)?;
        if let Some(f) = &mut u.filter
            && !matches!(f, Expr::CurrentOf(_))
        {
            self.compute(f, &scope, env.ctes)?;
        }
        self.select_list(&mut u.returning, &scope, env.ctes)
    }

    pub(super) fn delete(&mut self, d: &mut Delete, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let outermost = env.ctes.is_none();
        let mut with = d.with.take();
        let body = |at: &mut Self, env: Env<'_>| at.delete_body(d, outermost, env);
        let outputs = self.beneath(with.as_mut(), env, body);
        d.with = with;
        outputs
    }

    fn delete_body(
        &mut self,
        d: &mut Delete,
        outermost: bool,
        env: Env<'_>,
    ) -> Resolve<Vec<OutputColumn>> {
        let target = self.target(&mut d.target, "DELETE")?;
        if !target.grant.delete {
            return Err(no_grant(&target.relation, "DELETE"));
        }
        self.probes(&target, Change::Delete)?;
        current_of(d.filter.as_ref(), outermost)?;
        let (items, columns) = self.with_target(&target, &mut d.using, env)?;
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &columns,
        };
        if let Some(f) = &mut d.filter
            && !matches!(f, Expr::CurrentOf(_))
        {
            self.compute(f, &scope, env.ctes)?;
        }
        self.select_list(&mut d.returning, &scope, env.ctes)
    }

    /// The target's columns and those of FROM / USING.
    pub(super) fn with_target(
        &mut self,
        target: &Target,
        from: &mut [crate::sql::tree::TableRef],
        env: Env<'_>,
    ) -> Resolve<(Vec<Item>, Vec<Visible>)> {
        // FROM items get aliases that differ from the target's.
        let own = [target.item.clone()];
        let outer = Scope {
            parent: None,
            items: &own,
            columns: &[],
        };
        let (mut items, mut columns) = self.tables(
            from,
            Env {
                outer: Some(&outer),
                ctes: env.ctes,
            },
        )?;
        if items.iter().any(|i| i.alias == target.item.alias) {
            return Err(Refusal::error(
                sqlstate::DUPLICATE_ALIAS,
                format!(
                    "table name \"{}\" specified more than once",
                    target.item.alias
                ),
            ));
        }
        items.insert(0, target.item.clone());
        columns.splice(0..0, target.item.columns.iter().cloned());
        Ok((items, columns))
    }

    /// Resolves and checks the table written to.
    pub(super) fn target(&mut self, r: &mut RelationRef, what: &str) -> Resolve<Target> {
        let position = r.name.position;
        let relation = self.find_relation(&r.name)?;
        let writable = match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {
                !relation.rules
                    && !matches!(
                        relation.schema.as_str(),
                        "pg_catalog" | "information_schema"
                    )
            }
            RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::Sequence
            | RelationKind::CompositeType => false,
        };
        let grant = if relation.temporary {
            Some(WriteGrant::everything())
        } else {
            self.grounds.grants.write.get(&relation.oid).cloned()
        };
        let Some(grant) = grant.filter(|_| writable) else {
            return Err(no_grant(&relation, what).at(position));
        };
        let none = Scope {
            parent: None,
            items: &[],
            columns: &[],
        };
        let item = self.base_relation(r, &relation, &none)?;
        self.lineage.nameless |= self.partition_tells(&relation)?.is_some();
        if let Some(used) = item.relation.and_then(|id| self.lineage.relation_mut(id)) {
            used.written = true;
            used.inserted = !matches!(what, "UPDATE" | "DELETE");
        }
        Ok(Target {
            relation,
            item,
            grant,
        })
    }

    /// COPY FROM: the columns written, checked and made explicit.
    pub(super) fn copy_from(
        &mut self,
        r: &mut RelationRef,
        columns: &mut Vec<Ident>,
        filter: Option<&mut Expr>,
    ) -> Resolve<()> {
        let target = self.target(r, "COPY FROM")?;
        if let Some(filter) = filter {
            // It sees the row that was sent, whose columns PostgreSQL lets it name bare. Tokens are
            // decoded by then: what is asked of them is asked of stored values.
            let mut columns = proposed(&target, None);
            for (c, stored) in columns.iter_mut().zip(&target.item.columns) {
                if self.takes_tokens(&target, &c.reference.name)? {
                    c.sources.clone_from(&stored.sources);
                    c.tainted = true;
                }
            }
            let items = [proposed_row(&target, columns)];
            let [item] = &items;
            let scope = Scope {
                parent: None,
                items: &items,
                columns: &item.columns,
            };
            self.compute(filter, &scope, None)?;
        }
        if !target.grant.insert {
            return Err(no_grant(&target.relation, "INSERT"));
        }
        if columns.is_empty() {
            *columns = visible_columns(&target.item, usize::MAX)?
                .into_iter()
                .filter(|c| {
                    target
                        .relation
                        .column(&c.column)
                        .is_some_and(|c| c.generated.is_none())
                })
                .map(|c| c.column)
                .collect();
        }
        let none = Scope {
            parent: None,
            items: &[],
            columns: &[],
        };
        let mut written = Vec::new();
        for c in columns {
            let mut t = AssignmentTarget {
                column: c.clone(),
                path: Vec::new(),
                position: 0,
            };
            self.assignment_target(&mut t, &target, &none, None)?;
            written.push(Written::some(&t));
            let token = self.is_coded(&target, c)?;
            if token && !self.takes_tokens(&target, c)? {
                return Err(self.unstorable(&target, c)?);
            }
        }
        self.probes(&target, Change::Insert(&written))
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

/// `WHERE CURRENT OF` names a cursor of the session, which the planner has looked up for the
/// statement itself only.
fn current_of(filter: Option<&Expr>, outermost: bool) -> Resolve<()> {
    match filter {
        Some(Expr::CurrentOf(_)) if !outermost => Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "WHERE CURRENT OF inside WITH is not supported for restricted roles",
        )),
        _ => Ok(()),
    }
}

/// The columns an INSERT without a list means: the first ones the role may name.
pub(super) fn visible_columns(item: &Item, width: usize) -> Resolve<Vec<AssignmentTarget>> {
    let visible: Vec<AssignmentTarget> = item
        .columns
        .iter()
        .filter(|c| !c.denied)
        .take(width)
        .map(|c| AssignmentTarget {
            column: c.reference.name.clone(),
            path: Vec::new(),
            position: 0,
        })
        .collect();
    if width != usize::MAX && visible.len() < width {
        return Err(Refusal::error(
            sqlstate::SYNTAX_ERROR,
            "INSERT has more expressions than target columns",
        ));
    }
    Ok(visible)
}

pub(super) fn no_grant(relation: &Relation, what: &str) -> Refusal {
    Refusal::denied(format!("permission denied for table {}", relation.name))
        .detail(format!("The policy does not let the role {what} here."))
        .hint("The policy's write section lists the tables a role may write to.")
}
