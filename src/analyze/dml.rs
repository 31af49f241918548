//! UPDATE, DELETE and the target of any write: what a write reads, and whether the role may write there.
//!
//! A write acts on the stored database; what its expressions read, they read masked. The target stays
//! a base relation, so its masks stand in place of each column reference: `UPDATE t SET city = email`
//! stores a mask. RETURNING is a result like any other.
//!
//! Deliberately absent: INSERT (`insert`), MERGE (`merge`), and writes through views.

use std::sync::Arc;

use super::conflict::{proposed, proposed_row};
use super::lineage::OutputColumn;
use super::probe::{Change, Written};
use super::scope::{Env, Item, Scope, Visible};
use super::view::is_system;
use super::{Analyzer, Resolve};
use crate::catalog::{Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::WriteGrant;
use crate::refusal::Refusal;
use crate::sql::tree::{AssignmentTarget, Delete, Expr, Position, RelationRef, Update};

/// A write's target, resolved.
pub(super) struct Target {
    pub(super) relation: Arc<Relation>,
    pub(super) item: Item,
    pub(super) grant: WriteGrant,
}

impl Analyzer<'_> {
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
        match &mut u.filter {
            // There is no place for the checks of what is stored.
            Some(Expr::CurrentOf(_)) if self.stores_elements() => {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "WHERE CURRENT OF cannot store tokens from unnest()",
                )
                .hint("Write the token itself: SET column = $1."));
            }
            None | Some(Expr::CurrentOf(_)) => {}
            Some(filter) => {
                self.compute(filter, &scope, env.ctes)?;
            }
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
        let is_view = relation.kind == RelationKind::View && !is_system(&relation);
        let Some(grant) = grant.filter(|_| writable) else {
            let refusal = if is_view { no_view } else { no_grant };
            return Err(refusal(&relation, what).at(position));
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
        (columns, defaults): (&mut Vec<Ident>, bool),
        filter: Option<&mut Expr>,
    ) -> Resolve<()> {
        let target = self.target(r, "COPY FROM")?;
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
                position: Position::default(),
            };
            self.assignment_target(&mut t, &target, &none, None)?;
            written.push(Written {
                default: defaults,
                ..Written::some(&t)
            });
        }
        if let Some(filter) = filter {
            self.copied_rows(filter, &target, &written)?;
        }
        self.probes(&target, Change::Insert(&written))
    }

    /// WHERE of COPY FROM sees the row that was sent, whose columns PostgreSQL lets it name bare. Tokens
    /// are decoded by then: what is asked of them is asked of stored values. What the client leaves to a
    /// default is the owner's.
    fn copied_rows(
        &mut self,
        filter: &mut Expr,
        target: &Target,
        written: &[Written],
    ) -> Resolve<()> {
        let mut columns = proposed(target, None);
        for (c, stored) in columns.iter_mut().zip(&target.item.columns) {
            let name = &c.reference.name;
            c.denied |= self.has_own_default(target, name, written)?;
            if self.takes_tokens(target, name)? {
                c.sources.clone_from(&stored.sources);
                c.tainted = true;
            }
        }
        let items = [proposed_row(target, columns)];
        let [item] = &items;
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &item.columns,
        };
        self.compute(filter, &scope, None)?;
        Ok(())
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
            position: Position::default(),
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

fn no_view(relation: &Relation, what: &str) -> Refusal {
    Refusal::denied(format!(
        "{what} is not supported for view {}",
        relation.name
    ))
    .detail("What a restricted role writes is checked for tables only, whatever the policy grants.")
    .hint("Write to the table that the view reads.")
}

pub(super) fn no_grant(relation: &Relation, what: &str) -> Refusal {
    Refusal::denied(format!("permission denied for table {}", relation.name))
        .detail(format!("The policy does not let the role {what} here."))
        .hint("The policy's write section lists the tables a role may write to.")
}
