//! What names are visible here: FROM items, CTEs, outer queries.
//!
//! Follows PostgreSQL's `parse_relation.c`: an unqualified name is a column of the nearest query that
//! has one, and only then a whole row; two candidates at one level are an error.

use std::sync::Arc;

use super::Resolve;
use super::alike::Alike;
use super::lineage::Source;
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::policy::Rule;
use crate::refusal::Refusal;
use crate::sql::tree::{Column, Expr, Name, Position, RelationId};

/// A column as a FROM item or a join shows it.
#[derive(Clone)]
pub(super) struct Visible {
    pub(super) name: Ident,
    /// How a reference to it is written.
    pub(super) reference: Column,
    pub(super) sources: Vec<Source>,
    pub(super) tainted: bool,
    pub(super) ty: Option<Oid>,
    /// Are equal values of it one?
    pub(super) alike: Alike,
    /// How many digits every value has behind the point, if it is a number and that is known.
    pub(super) scale: Option<u16>,
    /// The role may not name it.
    pub(super) denied: bool,
    /// The rule of the token domain whose end is why.
    pub(super) expired: Option<Arc<Rule>>,
    /// PostgreSQL knows its origin.
    pub(super) named: bool,
    /// The two sides of a column merged by USING, where neither alone is its value.
    pub(super) merged: Option<Box<(Expr, Expr)>>,
}

impl Visible {
    /// How a reference to it is written. A merged column is written out: a bare name could be
    /// captured by whatever PostgreSQL sees nearer.
    pub(super) fn expr(&self) -> Expr {
        self.expr_at(Position::default())
    }

    /// The same, where the client wrote it.
    pub(super) fn expr_at(&self, position: Position) -> Expr {
        match &self.merged {
            Some(sides) => Expr::Coalesce(vec![sides.0.clone(), sides.1.clone()]),
            None => Expr::Column(Column {
                position,
                ..self.reference.clone()
            }),
        }
    }
}

/// A FROM item that can qualify names.
#[derive(Clone)]
pub(super) struct Item {
    /// The client's name for it.
    pub(super) alias: Ident,
    /// Ours: unique along the scope chain.
    pub(super) printed: Ident,
    pub(super) columns: Vec<Visible>,
    pub(super) relation: Option<RelationId>,
    /// Schema and name, when it was written without an alias.
    pub(super) unaliased: Option<(Ident, Ident)>,
    pub(super) kind: ItemKind,
    /// As one value its fields have these columns' names. A function's value has none, a relation's
    /// keeps those of the relation.
    pub(super) fields: bool,
    /// As one value it is its only column: a function that gives no rows (`makeWholeRowVar`).
    pub(super) scalar: bool,
}

/// What a FROM item is to names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    /// It qualifies columns, and is a row.
    Plain,
    /// It qualifies columns, but is not printed: an alias of a join, whose columns are those of the
    /// items inside.
    Join,
    /// It is printed, but an alias of the join around it has taken its place.
    Hidden,
}

/// A common table expression in scope.
pub(super) struct CteEntry {
    pub(super) name: Ident,
    pub(super) columns: Vec<super::lineage::OutputColumn>,
    /// How many of them PostgreSQL lets an alias list name: not those of SEARCH and CYCLE.
    pub(super) own: usize,
}

/// CTEs of one WITH, and those outside it.
#[derive(Clone, Copy)]
pub(super) struct CteFrame<'p> {
    pub(super) parent: Option<&'p CteFrame<'p>>,
    pub(super) entries: &'p [CteEntry],
}

impl<'p> CteFrame<'p> {
    /// The nearest CTE of that name.
    pub(super) fn find(&self, name: &Ident) -> Option<&'p CteEntry> {
        let mut frame = Some(*self);
        while let Some(f) = frame {
            if let Some(e) = f.entries.iter().rev().find(|e| e.name == *name) {
                return Some(e);
            }
            frame = f.parent.copied();
        }
        None
    }
}

/// The FROM items of one query, and the queries around it.
#[derive(Clone, Copy)]
pub(super) struct Scope<'p> {
    pub(super) parent: Option<&'p Scope<'p>>,
    pub(super) items: &'p [Item],
    pub(super) columns: &'p [Visible],
}

/// What is around a query: outer queries and CTEs.
#[derive(Clone, Copy)]
pub(super) struct Env<'p> {
    pub(super) outer: Option<&'p Scope<'p>>,
    pub(super) ctes: Option<&'p CteFrame<'p>>,
}

/// What a name turned out to be.
pub(super) enum Found<'p> {
    Column(&'p Visible),
    WholeRow(&'p Item),
}

impl Item {
    /// Is this the item a name means?
    pub(super) fn answers_to(&self, alias: &Ident) -> bool {
        self.kind != ItemKind::Hidden && self.alias == *alias
    }
}

impl<'p> Scope<'p> {
    /// Resolves a name of one to three parts.
    pub(super) fn find(&self, name: &Name) -> Resolve<Found<'p>> {
        match name.parts.as_slice() {
            [column] => self.find_unqualified(column, name.position),
            [alias, column] => {
                let item = self.item(alias, name.position)?;
                item_column(item, column, name.position).map(Found::Column)
            }
            [schema, table, column] => {
                let item = self.qualified_item(schema, table, name.position)?;
                item_column(item, column, name.position).map(Found::Column)
            }
            _ => Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "cross-database references are not supported",
            )
            .at(name.position)),
        }
    }

    /// Resolves the qualifier of `t.*` or `s.t.*`.
    pub(super) fn find_item(&self, name: &Name) -> Resolve<&'p Item> {
        match name.parts.as_slice() {
            [alias] => self.item(alias, name.position),
            [schema, table] => self.qualified_item(schema, table, name.position),
            _ => Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "cross-database references are not supported",
            )
            .at(name.position)),
        }
    }

    fn find_unqualified(&self, column: &Ident, position: Position) -> Resolve<Found<'p>> {
        let mut scope = Some(*self);
        while let Some(s) = scope {
            let mut matches = s.columns.iter().filter(|c| c.name == *column);
            if let Some(found) = matches.next() {
                if matches.next().is_some() {
                    return Err(Refusal::error(
                        sqlstate::AMBIGUOUS_COLUMN,
                        format!("column reference \"{column}\" is ambiguous"),
                    )
                    .at(position));
                }
                if found.denied {
                    return Err(denied(column, found, position));
                }
                return Ok(Found::Column(found));
            }
            scope = s.parent.copied();
        }
        match self.item_opt(column) {
            Some(item) => Ok(Found::WholeRow(item)),
            None => Err(no_column(column, position)),
        }
    }

    /// The nearest item with that alias.
    pub(super) fn item_opt(&self, alias: &Ident) -> Option<&'p Item> {
        let mut scope = Some(*self);
        while let Some(s) = scope {
            if let Some(item) = s.items.iter().find(|i| i.answers_to(alias)) {
                return Some(item);
            }
            scope = s.parent.copied();
        }
        None
    }

    fn item(&self, alias: &Ident, position: Position) -> Resolve<&'p Item> {
        self.item_opt(alias).ok_or_else(|| {
            Refusal::error(
                sqlstate::UNDEFINED_TABLE,
                format!("missing FROM-clause entry for table \"{alias}\""),
            )
            .at(position)
        })
    }

    fn qualified_item(
        &self,
        schema: &Ident,
        table: &Ident,
        position: Position,
    ) -> Resolve<&'p Item> {
        let mut scope = Some(*self);
        while let Some(s) = scope {
            let hit = s.items.iter().find(|i| {
                i.kind != ItemKind::Hidden
                    && i.unaliased
                        .as_ref()
                        .is_some_and(|(sc, t)| sc == schema && t == table)
            });
            if let Some(item) = hit {
                return Ok(item);
            }
            scope = s.parent.copied();
        }
        Err(Refusal::error(
            sqlstate::UNDEFINED_TABLE,
            format!("missing FROM-clause entry for table \"{table}\""),
        )
        .at(position))
    }

    /// Is this printed alias taken anywhere along the chain?
    pub(super) fn prints(&self, alias: &Ident) -> bool {
        let mut scope = Some(*self);
        while let Some(s) = scope {
            if s.items.iter().any(|i| i.printed == *alias) {
                return true;
            }
            scope = s.parent.copied();
        }
        false
    }
}

/// A column of one item by name.
pub(super) fn item_column<'p>(
    item: &'p Item,
    column: &Ident,
    position: Position,
) -> Resolve<&'p Visible> {
    let mut matches = item.columns.iter().filter(|c| c.name == *column);
    match (matches.next(), matches.next()) {
        (Some(c), None) if c.denied => Err(denied(column, c, position)),
        (Some(c), None) => Ok(c),
        (Some(_), Some(_)) => Err(Refusal::error(
            sqlstate::AMBIGUOUS_COLUMN,
            format!("column reference \"{column}\" is ambiguous"),
        )
        .at(position)),
        (None, _) => Err(Refusal::error(
            sqlstate::UNDEFINED_COLUMN,
            format!("column {}.{column} does not exist", item.alias),
        )
        .at(position)),
    }
}

fn no_column(column: &Ident, position: Position) -> Refusal {
    Refusal::error(
        sqlstate::UNDEFINED_COLUMN,
        format!("column \"{column}\" does not exist"),
    )
    .at(position)
}

fn denied(column: &Ident, found: &Visible, position: Position) -> Refusal {
    let expired = found.expired.as_ref().and_then(|rule| rule.ended());
    let why = expired.unwrap_or_else(|| "The policy denies this column to the role.".to_owned());
    Refusal::denied(format!("permission denied for column {column}"))
        .detail(why)
        .hint("Leave the column out; * does not include it.")
        .at(position)
}
