//! INSERT, UPDATE, DELETE: what a write reads, and whether the role may write there.
//!
//! A write acts on the stored database; what its expressions read, they read masked. The target stays
//! a base relation, so its masks stand in place of each column reference: `UPDATE t SET city = email`
//! stores a mask. RETURNING is a result like any other.
//!
//! Deliberately absent: MERGE (`merge`), and writes through views.

use std::sync::Arc;

use super::lineage::OutputColumn;
use super::scope::{CteFrame, Env, Item, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::catalog::{Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::{Treatment, WriteGrant};
use crate::refusal::Refusal;
use crate::sql::tree::{
    Assignment, AssignmentTarget, Column, ConflictAction, ConflictTarget, Delete, Expr,
    IndexElement, Insert, InsertSource, Literal, Name, Query, RelationRef, SelectItem, SetExpr,
    Step, Subscript, Update,
};

/// A write's target, resolved.
pub(super) struct Target {
    pub(super) relation: Arc<Relation>,
    pub(super) item: Item,
    pub(super) grant: WriteGrant,
}

impl Analyzer<'_> {
    pub(super) fn insert(&mut self, i: &mut Insert, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let mut entries = Vec::new();
        if let Some(with) = &mut i.with {
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
        let outputs = self.insert_body(i, env);
        self.top_level = nested;
        outputs
    }

    fn insert_body(&mut self, i: &mut Insert, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let target = self.target(&mut i.target, "INSERT")?;
        if !target.grant.insert {
            return Err(no_grant(&target.relation, "INSERT"));
        }
        let width = self.insert_source(&mut i.source, env)?;
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
        self.inserted_values(i, &target)?;
        if let Some((conflict, action)) = &mut i.on_conflict {
            self.on_conflict(conflict.as_mut(), action, &target, env)?;
        }
        let items = [target.item.clone()];
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &target.item.columns,
        };
        self.select_list(&mut i.returning, &scope, env.ctes)
    }

    /// Resolves what is inserted; its width.
    fn insert_source(&mut self, source: &mut InsertSource, env: Env<'_>) -> Resolve<usize> {
        match source {
            InsertSource::DefaultValues => Ok(0),
            InsertSource::Query(q) => Ok(self.computed_query(q, env)?.len()),
            InsertSource::Values(rows) => {
                let scope = Scope {
                    parent: env.outer,
                    items: &[],
                    columns: &[],
                };
                let width = rows.first().map_or(0, Vec::len);
                for row in rows {
                    if row.len() != width {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "VALUES lists must all be the same length",
                        ));
                    }
                    for e in row.iter_mut().flatten() {
                        self.compute(e, &scope, env.ctes)?;
                    }
                }
                Ok(width)
            }
        }
    }

    /// Token columns take NULL or DEFAULT; anything else would have to be a token, decoded.
    fn inserted_values(&mut self, i: &Insert, target: &Target) -> Resolve<()> {
        for (n, c) in i.columns.iter().enumerate() {
            if !self.is_token(target, &c.column)? || target.grant.plaintext {
                continue;
            }
            let harmless = match &i.source {
                InsertSource::DefaultValues => true,
                InsertSource::Values(rows) => rows
                    .iter()
                    .all(|r| r.get(n).is_some_and(|v| is_null_or_default(v.as_ref()))),
                InsertSource::Query(q) => query_gives_null(q, n),
            };
            if !harmless {
                return Err(token_write(&target.relation, &c.column));
            }
        }
        Ok(())
    }

    fn on_conflict(
        &mut self,
        conflict: Option<&mut ConflictTarget>,
        action: &mut ConflictAction,
        target: &Target,
        env: Env<'_>,
    ) -> Resolve<()> {
        if let Some(ConflictTarget::Index(elements, filter)) = conflict {
            self.conflict_index(elements, filter.as_mut(), target, env.ctes)?;
        }
        let ConflictAction::Update(assignments, filter) = action else {
            return Ok(());
        };
        if !target.grant.updates {
            return Err(no_grant(&target.relation, "UPDATE"));
        }
        // `excluded` is the row proposed for insertion: the client's own values, or masks.
        let excluded = Ident::exact("excluded");
        let columns = proposed(target, Some(&excluded));
        let items = [
            target.item.clone(),
            Item {
                alias: excluded.clone(),
                printed: excluded,
                columns,
                relation: None,
                unaliased: None,
                kind: ItemKind::Plain,
            },
        ];
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &target.item.columns,
        };
        self.assignments(assignments, target, &scope, env.ctes)?;
        if let Some(f) = filter {
            self.compute(f, &scope, env.ctes)?;
        }
        Ok(())
    }

    /// What an index is chosen by is compared with the index's own definition, never with a row: it is
    /// written raw, and nothing of it is a use. PostgreSQL compares stored values in that index, as its
    /// unique constraint does for any INSERT.
    fn conflict_index(
        &mut self,
        elements: &mut [IndexElement],
        filter: Option<&mut Expr>,
        target: &Target,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        let columns = proposed(target, None);
        let items = [row_item(target, columns)];
        let [item] = &items;
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &item.columns,
        };
        for element in elements {
            self.compute(&mut element.key, &scope, ctes)?;
            if let Some(collation) = &mut element.collation {
                self.collation(collation)?;
            }
            if let Some(opclass) = &mut element.opclass {
                system_opclass(opclass)?;
            }
        }
        if let Some(filter) = filter {
            self.compute(filter, &scope, ctes)?;
        }
        Ok(())
    }

    pub(super) fn update(&mut self, u: &mut Update, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let outermost = env.ctes.is_none();
        let mut entries = Vec::new();
        if let Some(with) = &mut u.with {
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
        let outputs = self.select_list(&mut u.returning, &scope, env.ctes);
        self.top_level = nested;
        outputs
    }

    pub(super) fn delete(&mut self, d: &mut Delete, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let outermost = env.ctes.is_none();
        let mut entries = Vec::new();
        if let Some(with) = &mut d.with {
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
        let target = self.target(&mut d.target, "DELETE")?;
        if !target.grant.delete {
            return Err(no_grant(&target.relation, "DELETE"));
        }
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
        let outputs = self.select_list(&mut d.returning, &scope, env.ctes);
        self.top_level = nested;
        outputs
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
            Some(WriteGrant {
                insert: true,
                delete: true,
                update: None,
                updates: true,
                plaintext: true,
            })
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
        if let Some(used) = item.relation.and_then(|id| self.lineage.relation_mut(id)) {
            used.written = true;
        }
        Ok(Target {
            relation,
            item,
            grant,
        })
    }

    pub(super) fn assignments(
        &mut self,
        assignments: &mut [Assignment],
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        for a in assignments {
            match a {
                Assignment::One(t, value) => {
                    self.updated(t, target, scope, ctes, is_null_or_default(value.as_ref()))?;
                    if let Some(e) = value {
                        self.compute(e, scope, ctes)?;
                    }
                }
                Assignment::Row(targets, values) => {
                    for (t, v) in targets.iter_mut().zip(values.iter_mut()) {
                        self.updated(t, target, scope, ctes, is_null_or_default(v.as_ref()))?;
                        if let Some(e) = v {
                            self.compute(e, scope, ctes)?;
                        }
                    }
                    if targets.len() != values.len() {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "number of columns does not match number of values",
                        ));
                    }
                }
                Assignment::Query(targets, q) => {
                    for t in targets.iter_mut() {
                        self.updated(t, target, scope, ctes, false)?;
                    }
                    self.computed_query(
                        q,
                        Env {
                            outer: Some(scope),
                            ctes,
                        },
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Checks that a column may be updated.
    fn updated(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
        null: bool,
    ) -> Resolve<()> {
        self.assignment_target(t, target, scope, ctes)?;
        if target
            .grant
            .update
            .as_ref()
            .is_some_and(|cols| !cols.contains(&t.column))
        {
            return Err(Refusal::denied(format!(
                "permission denied to update column {} of {}",
                t.column, target.relation.name
            ))
            .hint("The policy's write section names the columns a role may update.")
            .at(t.position));
        }
        if !null && !target.grant.plaintext && self.is_token(target, &t.column)? {
            return Err(token_write(&target.relation, &t.column).at(t.position));
        }
        Ok(())
    }

    pub(super) fn assignment_target(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        let c = target
            .item
            .columns
            .iter()
            .find(|c| c.reference.name == t.column);
        match c {
            None => {
                return Err(Refusal::error(
                    sqlstate::UNDEFINED_COLUMN,
                    format!(
                        "column \"{}\" of relation \"{}\" does not exist",
                        t.column, target.relation.name
                    ),
                )
                .at(t.position));
            }
            Some(c) if c.denied => {
                return Err(
                    Refusal::denied(format!("permission denied for column {}", t.column))
                        .at(t.position),
                );
            }
            // A subscripted or field assignment keeps the rest of the stored value.
            Some(c) if c.tainted && !t.path.is_empty() => {
                return Err(Refusal::denied(format!(
                    "cannot assign to a part of protected column {}",
                    t.column
                ))
                .at(t.position));
            }
            Some(_) => {}
        }
        for step in &mut t.path {
            let parts = match step {
                Step::Field(_) => [None, None],
                Step::Subscript(Subscript::Index(i)) => [Some(i), None],
                Step::Subscript(Subscript::Slice(lo, hi)) => [lo.as_mut(), hi.as_mut()],
            };
            for e in parts.into_iter().flatten() {
                self.compute(e, scope, ctes)?;
            }
        }
        Ok(())
    }

    fn is_token(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let Some(c) = target.relation.column(column) else {
            return Ok(false);
        };
        Ok(matches!(
            self.column_treatment(&target.relation, c)?,
            Treatment::Token(_)
        ))
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
            // It sees the row that was sent, whose columns PostgreSQL lets it name bare.
            let items = [row_item(&target, proposed(&target, None))];
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
        for c in columns {
            let mut t = AssignmentTarget {
                column: c.clone(),
                path: Vec::new(),
                position: 0,
            };
            self.assignment_target(&mut t, &target, &none, None)?;
            if !target.grant.plaintext && self.is_token(&target, c)? {
                return Err(token_write(&target.relation, c));
            }
        }
        Ok(())
    }
}

/// The target's columns as a row proposed by the client has them: its own values, so no use of them is
/// a use of the stored column.
fn proposed(target: &Target, qualifier: Option<&Ident>) -> Vec<Visible> {
    let columns = target.item.columns.iter();
    columns
        .map(|c| Visible {
            reference: Column {
                qualifier: qualifier.cloned(),
                name: c.reference.name.clone(),
                base: None,
            },
            sources: Vec::new(),
            tainted: false,
            ..c.clone()
        })
        .collect()
}

/// A row of the target that is not a relation: it has no system columns, and is no value as a whole.
fn row_item(target: &Target, columns: Vec<Visible>) -> Item {
    Item {
        columns,
        relation: None,
        unaliased: None,
        kind: ItemKind::Join,
        ..target.item.clone()
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

/// Operator classes are not in the catalog snapshot: only PostgreSQL's own can be named.
fn system_opclass(opclass: &mut Name) -> Resolve<()> {
    let name = match opclass.parts.as_slice() {
        [name] => name.clone(),
        [schema, name] if *schema == "pg_catalog" => name.clone(),
        _ => {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "only operator classes of pg_catalog are supported in ON CONFLICT",
            )
            .hint("Name the constraint: ON CONFLICT ON CONSTRAINT name.")
            .at(opclass.position));
        }
    };
    opclass.parts = vec![Ident::exact("pg_catalog"), name];
    Ok(())
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

fn is_null_or_default(value: Option<&Expr>) -> bool {
    matches!(value, None | Some(Expr::Literal(Literal::Null)))
}

fn query_gives_null(q: &Query, n: usize) -> bool {
    let SetExpr::Select(s) = &q.body else {
        return false;
    };
    matches!(
        s.items.get(n),
        Some(SelectItem::Expr {
            expr: Expr::Literal(Literal::Null),
            ..
        })
    )
}

pub(super) fn no_grant(relation: &Relation, what: &str) -> Refusal {
    Refusal::denied(format!("permission denied for table {}", relation.name))
        .detail(format!("The policy does not let the role {what} here."))
        .hint("The policy's write section lists the tables a role may write to.")
}

fn token_write(relation: &Relation, column: &Ident) -> Refusal {
    Refusal::denied(format!(
        "cannot write to tokenized column {column} of {}",
        relation.name
    ))
    .detail("Only NULL and DEFAULT may be written to a column the role sees as tokens.")
    .hint("Leave the column out, or write as a role that sees it clearly.")
}
