//! ON CONFLICT: which index is meant, and what DO UPDATE reads. The row proposed for insertion is the
//! client's own, so reading it is no use of a stored column. What the client leaves to a default is the owner's.

use super::dml::{Target, no_grant};
use super::generated::column_form;
use super::insert::StoredLists;
use super::lineage::Source;
use super::probe::Written;
use super::scope::{CteFrame, Env, Item, ItemKind, Scope, Visible};
use super::{Analyzer, ColumnForm, Resolve};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Column, ConflictAction, ConflictTarget, Expr, IndexElement, Name, Position,
};

impl Analyzer<'_> {
    pub(super) fn on_conflict(
        &mut self,
        conflict: Option<&mut ConflictTarget>,
        action: &mut ConflictAction,
        (target, lists, written): (&Target, &StoredLists, &[Written]),
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
        let mut columns = proposed(target, Some(&excluded));
        // Tokens are decoded by now: what is done with them is tracked as with a token column.
        for c in &mut columns {
            c.denied |= self.has_own_default(target, &c.reference.name, written)?;
            let stored = lists.get(&c.reference.name).into_iter().flatten();
            c.sources.extend(stored.map(|id| Source::List(*id)));
        }
        let items = [
            target.item.clone(),
            Item {
                alias: excluded.clone(),
                printed: excluded,
                columns,
                relation: None,
                unaliased: None,
                kind: ItemKind::Plain,
                fields: false,
                scalar: false,
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

    /// Is a protected column of the proposed row, in some row, the owner's and not the client's: its default?
    pub(super) fn has_own_default(
        &self,
        target: &Target,
        column: &Ident,
        written: &[Written],
    ) -> Resolve<bool> {
        let given = |w: &Written| w.column == *column && !w.default;
        let attribute = target.relation.columns.iter().find(|c| c.name == *column);
        match attribute.filter(|a| a.has_default && !written.iter().any(given)) {
            None => Ok(false),
            Some(a) => Ok(!matches!(
                column_form(&target.relation, a.attnum, self.grounds)?,
                ColumnForm::Clear
            )),
        }
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
        let items = [proposed_row(target, columns)];
        let [item] = &items;
        let scope = Scope {
            parent: None,
            items: &items,
            columns: &item.columns,
        };
        for element in elements {
            self.index_element(element, &scope, ctes)?;
        }
        if let Some(filter) = filter {
            self.compute(filter, &scope, ctes)?;
        }
        Ok(())
    }

    /// What an index is of.
    pub(super) fn index_element(
        &mut self,
        element: &mut IndexElement,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        self.compute(&mut element.key, scope, ctes)?;
        if let Some(collation) = &mut element.collation {
            self.collation(collation)?;
        }
        element.opclass.as_mut().map_or(Ok(()), system_opclass)
    }
}

/// The target's columns as a row proposed by the client has them: its own values, so no use of them is
/// a use of the stored column.
pub(super) fn proposed(target: &Target, qualifier: Option<&Ident>) -> Vec<Visible> {
    let columns = target.item.columns.iter();
    columns
        .map(|c| Visible {
            reference: Column {
                qualifier: qualifier.cloned(),
                name: c.reference.name.clone(),
                base: None,
                position: Position::default(),
            },
            sources: Vec::new(),
            tainted: false,
            ..c.clone()
        })
        .collect()
}

/// A row of the target that is not a relation: it has no system columns, and is no value as a whole.
pub(super) fn proposed_row(target: &Target, columns: Vec<Visible>) -> Item {
    Item {
        columns,
        relation: None,
        unaliased: None,
        kind: ItemKind::Join,
        ..target.item.clone()
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
                "only operator classes of pg_catalog are supported",
            )
            .hint("In ON CONFLICT name the constraint: ON CONFLICT ON CONSTRAINT name.")
            .at(opclass.position));
        }
    };
    opclass.parts = vec![Ident::exact("pg_catalog"), name];
    Ok(())
}
