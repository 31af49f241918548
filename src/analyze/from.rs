//! FROM: relations, joins, derived tables, functions; what names they bring into scope.

use super::join::join_alias;
use super::lineage::OutputColumn;
use super::query::rename;
use super::scope::{Env, Item, ItemKind, Scope, Visible};
use super::view::ViewForm;
use super::{Analyzer, Grounds, Resolve, made_up};
use crate::catalog::{RelationKind, TypeKind};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{
    Column, Node, Position, Query, RowsFromItem, SetExpr, Statement, TableAlias, TableFunction,
    TableRef,
};

/// Columns a FROM clause may bring into scope.
const SCOPE_COLUMNS: usize = 20_000;

/// What one FROM item, or a join of several, brings into scope.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) items: Vec<Item>,
    pub(super) columns: Vec<Visible>,
}

impl Analyzer<'_> {
    /// All of FROM, left to right.
    pub(super) fn tables(
        &mut self,
        from: &mut [TableRef],
        env: Env<'_>,
    ) -> Resolve<(Vec<Item>, Vec<Visible>)> {
        let mut all = Brought::default();
        for table in from {
            let brought = self.table_ref(table, env, &all)?;
            no_duplicates(&all.items, &brought.items)?;
            all.items.extend(brought.items);
            all.columns.extend(brought.columns);
            within_bounds(&all)?;
        }
        Ok((all.items, all.columns))
    }

    /// One FROM item; `left` is what stands to its left, which LATERAL may see.
    fn table_ref(
        &mut self,
        table: &mut TableRef,
        env: Env<'_>,
        left: &Brought,
    ) -> Resolve<Brought> {
        let lateral_scope = Scope {
            parent: env.outer,
            items: &left.items,
            columns: &left.columns,
        };
        if let TableRef::Function(f) = table
            && let Some(view) = settings_view(f)
        {
            *table = view;
        }
        if let TableRef::Function(f) = table
            && let Some(query) = self.own_state_table(f)
        {
            *table = query;
        }
        match table {
            TableRef::Relation(_) => self.relation_ref(table, env, &lateral_scope),
            TableRef::Derived {
                lateral,
                query,
                alias,
            } => {
                let inner = if *lateral {
                    Env {
                        outer: Some(&lateral_scope),
                        ..env
                    }
                } else {
                    env
                };
                let outputs = self.query(query, inner)?;
                let named = match alias.take() {
                    Some(a) => a,
                    None => TableAlias {
                        name: self.fresh_alias(),
                        columns: Vec::new(),
                    },
                };
                let outputs = rename(outputs, &named.columns, &named.name)?;
                let printed = self.unique(&named.name, &lateral_scope);
                // Names differ from the query's own only by the alias list, printed as such, and where
                // two are the same, of which `*` means both.
                let mut item = derived_item(named.name, printed.clone(), outputs);
                number_twins(&mut item.columns);
                let columns = item.columns.iter().map(|c| c.reference.name.clone());
                *alias = Some(TableAlias {
                    name: printed,
                    columns: columns.collect(),
                });
                Ok(single(item))
            }
            TableRef::Function(f) => {
                let (alias, outputs, scalar) = self.table_function(f, &lateral_scope, env.ctes)?;
                let printed = self.unique(&alias, &lateral_scope);
                let mut item = derived_item(alias, printed.clone(), outputs);
                number_twins(&mut item.columns);
                let columns = item.columns.iter().map(|c| c.reference.name.clone());
                f.alias = Some(TableAlias {
                    name: printed,
                    columns: if f.columns.is_empty() {
                        columns.collect()
                    } else {
                        Vec::new()
                    },
                });
                item.fields = false;
                item.scalar = scalar;
                Ok(single(item))
            }
            TableRef::Keyword(t) => {
                let (alias, outputs) = self.keyword_table(t, &lateral_scope, env.ctes)?;
                let printed = self.unique(&alias, &lateral_scope);
                t.alias = Some(TableAlias {
                    name: printed.clone(),
                    columns: outputs.iter().map(|o| o.name.clone()).collect(),
                });
                let fields = false;
                let item = derived_item(alias, printed, outputs);
                Ok(single(Item { fields, ..item }))
            }
            TableRef::Join {
                left: l,
                right: r,
                kind,
                constraint,
                alias,
            } => {
                let lhs = self.table_ref(l, env, left)?;
                let mut visible = Brought {
                    items: left.items.iter().chain(&lhs.items).cloned().collect(),
                    columns: left.columns.iter().chain(&lhs.columns).cloned().collect(),
                };
                within_bounds(&visible)?;
                let rhs = self.table_ref(r, env, &visible)?;
                no_duplicates(&visible.items, &rhs.items)?;
                visible.items.extend(rhs.items.iter().cloned());
                let joined = self.join(lhs, rhs, *kind, constraint, env, left)?;
                match alias.take() {
                    Some(a) => join_alias(joined, a),
                    None => Ok(joined),
                }
            }
        }
    }

    /// A relation, view, or CTE by name.
    fn relation_ref(
        &mut self,
        table: &mut TableRef,
        env: Env<'_>,
        scope: &Scope<'_>,
    ) -> Resolve<Brought> {
        let TableRef::Relation(r) = table else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not a relation"));
        };
        if let [only] = r.name.parts.as_slice()
            && let Some(cte) = env.ctes.and_then(|c| c.find(only))
        {
            let alias = r.alias.take().unwrap_or(TableAlias {
                name: only.clone(),
                columns: Vec::new(),
            });
            let outputs = rename(cte.columns.clone(), &alias.columns, &alias.name)?;
            let printed = self.unique(&alias.name, scope);
            let mut item = derived_item(alias.name, printed.clone(), outputs);
            number_twins(&mut item.columns);
            let own = item.columns.iter().take(cte.own);
            r.alias = Some(TableAlias {
                name: printed,
                columns: own.map(|c| c.reference.name.clone()).collect(),
            });
            return Ok(single(item));
        }
        let relation = self.find_relation(&r.name)?;
        if let Some(query) = self.settings_query(&relation)? {
            return self.expand_view(table, &relation, &query, scope);
        }
        if let RelationKind::View | RelationKind::MaterializedView = relation.kind {
            let form = super::view::view_form(&relation, self.grounds)?;
            if let ViewForm::Expand(query) = form.as_ref() {
                return self.expand_view(table, &relation, query, scope);
            }
            self.lineage.failing |= super::plain::may_fail(&relation, self.grounds, 0);
        }
        self.base_relation(r, &relation, scope).map(single)
    }

    /// The client's alias, or a fresh one if it is already printed around here: an inner alias must
    /// not capture a reference to an outer one. It depends on the surroundings only: an expression
    /// written twice, in GROUP BY and in the select list, must be printed twice the same way, or
    /// PostgreSQL does not see that it is one.
    pub(super) fn unique(&mut self, alias: &Ident, scope: &Scope<'_>) -> Ident {
        let mut printed = alias.clone();
        let mut number = 0_u32;
        // A client may have written the very name that is made up here.
        while scope.prints(&printed) {
            number = number.saturating_add(1);
            printed = made_up(alias, number);
        }
        printed
    }

    /// The columns a value of this type has when it stands in FROM.
    pub(super) fn function_columns(&self, result: Oid, alias: &Ident) -> Option<Vec<(Ident, Oid)>> {
        let catalog = self.grounds.catalog;
        let base = catalog.base_type(result);
        match catalog.types.get(&base).map(|t| &t.kind) {
            Some(TypeKind::Composite { relation }) => {
                let relation = catalog.relation_by_oid(*relation)?;
                Some(
                    relation
                        .columns
                        .iter()
                        .map(|c| (c.name.clone(), c.type_oid))
                        .collect(),
                )
            }
            _ if base == oid::RECORD => None,
            _ => Some(vec![(alias.clone(), result)]),
        }
    }
}

/// `SELECT * FROM unnest(a, b)` has two columns of one name: each needs its own to be printed.
fn number_twins(columns: &mut [Visible]) {
    for n in 1..columns.len() {
        let (before, after) = columns.split_at_mut(n);
        let Some(column) = after.first_mut() else {
            return;
        };
        if before.iter().any(|b| b.name == column.name) {
            let number = u32::try_from(n).unwrap_or(u32::MAX);
            column.reference.name = made_up(&column.name, number);
        }
    }
}

/// `pg_show_all_settings()` is what the view `pg_settings` reads, and the view's columns have rules.
fn settings_view(f: &mut TableFunction) -> Option<TableRef> {
    let [RowsFromItem { call, columns }] = f.functions.as_slice() else {
        return None;
    };
    let named = match call.function.parts.as_slice() {
        [name] => *name == "pg_show_all_settings",
        [schema, name] => *schema == "pg_catalog" && *name == "pg_show_all_settings",
        _ => false,
    };
    if !named || !call.args.is_empty() || f.ordinality || !columns.is_empty() {
        return None;
    }
    let mut view = TableRef::relation(&["pg_catalog", "pg_settings"]);
    if let TableRef::Relation(r) = &mut view {
        r.name.position = call.function.position;
        let default = || TableAlias {
            name: Ident::exact("pg_show_all_settings"),
            columns: Vec::new(),
        };
        r.alias = Some(f.alias.take().unwrap_or_else(default));
    }
    Some(view)
}

/// Columns in scope are copied for each join: their number is bounded before their product is paid.
fn within_bounds(brought: &Brought) -> Resolve<()> {
    if brought.columns.len() > SCOPE_COLUMNS {
        return Err(super::too_complex());
    }
    Ok(())
}

pub(super) fn single(item: Item) -> Brought {
    Brought {
        columns: item.columns.clone(),
        items: vec![item],
    }
}

/// An item whose columns are a query's outputs.
pub(super) fn derived_item(alias: Ident, printed: Ident, outputs: Vec<OutputColumn>) -> Item {
    let columns = outputs
        .into_iter()
        .map(|o| Visible {
            reference: Column {
                qualifier: Some(printed.clone()),
                name: o.name.clone(),
                base: None,
                position: Position::default(),
            },
            name: o.name,
            sources: o.sources,
            tainted: o.tainted,
            ty: o.ty,
            alike: o.alike,
            scale: o.scale,
            denied: false,
            expired: None,
            named: o.named,
            merged: None,
        })
        .collect();
    Item {
        alias,
        printed,
        columns,
        relation: None,
        unaliased: None,
        kind: ItemKind::Plain,
        fields: true,
        scalar: false,
    }
}

fn no_duplicates(before: &[Item], new: &[Item]) -> Resolve<()> {
    for i in new {
        let twice = before.iter().any(|b| {
            b.answers_to(&i.alias)
                && i.kind != ItemKind::Hidden
                && (b.unaliased.is_none() || b.unaliased == i.unaliased)
        });
        if twice {
            return Err(Refusal::error(
                sqlstate::DUPLICATE_ALIAS,
                format!("table name \"{}\" specified more than once", i.alias),
            ));
        }
    }
    Ok(())
}

/// Does a statement name several relations, or one several times? Names that can only be those of WITH aside.
pub(super) fn reads_several(statement: &mut Statement, grounds: Grounds<'_>) -> bool {
    let (mut read, mut with) = (Vec::new(), Vec::new());
    let _all: bool = statement.any_within(&mut |node| {
        match node {
            Node::Table(TableRef::Relation(r)) => read.push(r.name.parts.clone()),
            // What it changes.
            Node::Change(_) => read.push(Vec::new()),
            Node::Query(Query { with: Some(w), .. }) => {
                with.extend(w.ctes.iter().map(|cte| cte.name.clone()));
            }
            _ => {}
        }
        false
    });
    let known = |name: &Ident| {
        let mut schemas = grounds.search_path.schemas().iter();
        schemas.any(|schema| grounds.catalog.relation(schema, name).is_some())
    };
    let base =
        |name: &&Vec<Ident>| !matches!(name.as_slice(), [one] if with.contains(one) && !known(one));
    read.iter().filter(base).count() > 1
}

/// Does a query name a relation `name` anywhere in its FROM clauses? Decides whether a CTE under
/// RECURSIVE is a loop; a subquery in an expression cannot hold the recursive reference in
/// PostgreSQL, so those are not searched.
pub(super) fn query_mentions(q: &Query, name: &Ident) -> bool {
    let in_with = q.with.as_ref().is_some_and(|w| {
        w.ctes
            .iter()
            .any(|c| matches!(c.body.as_ref(), Statement::Query(q) if query_mentions(q, name)))
    });
    in_with || body_mentions(&q.body, name)
}

fn body_mentions(body: &SetExpr, name: &Ident) -> bool {
    match body {
        SetExpr::Select(s) => s.from.iter().any(|t| table_mentions(t, name)),
        SetExpr::Query(q) => query_mentions(q, name),
        SetExpr::Values(_) => false,
        SetExpr::Chain { first, rest } => {
            body_mentions(first, name) || rest.iter().any(|(_, _, b)| body_mentions(b, name))
        }
    }
}

fn table_mentions(table: &TableRef, name: &Ident) -> bool {
    match table {
        TableRef::Relation(r) => matches!(r.name.parts.as_slice(), [n] if n == name),
        TableRef::Derived { query, .. } => query_mentions(query, name),
        TableRef::Function(_) | TableRef::Keyword(_) => false,
        TableRef::Join { left, right, .. } => {
            table_mentions(left, name) || table_mentions(right, name)
        }
    }
}
