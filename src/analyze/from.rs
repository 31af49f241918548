//! FROM: relations, joins, derived tables, functions; what names they bring into scope.

use std::sync::Arc;

use super::lineage::{OutputColumn, Source, Uses};
use super::query::rename;
use super::scope::{Env, Item, ItemKind, Scope, Visible};
use super::view::ViewForm;
use super::{Analyzer, Resolve, merge_sources};
use crate::catalog::{Relation, RelationKind, TypeKind};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Column, Expr, JoinConstraint, JoinKind, Name, Operator, Query, RelationRef, SetExpr, Statement,
    TableAlias, TableRef,
};

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
                        name: self.fresh_alias(&Ident::exact("unnamed")),
                        columns: Vec::new(),
                    },
                };
                let outputs = rename(outputs, &named.columns, &named.name)?;
                let printed = self.unique(&named.name, &lateral_scope);
                // Names differ from the query's own only by the alias list, printed as such.
                *alias = Some(TableAlias {
                    name: printed.clone(),
                    columns: outputs.iter().map(|o| o.name.clone()).collect(),
                });
                Ok(single(derived_item(named.name, printed, outputs)))
            }
            TableRef::Function(f) => {
                let (alias, outputs) = self.table_function(f, &lateral_scope, env.ctes)?;
                let printed = self.unique(&alias, &lateral_scope);
                f.alias = Some(TableAlias {
                    name: printed.clone(),
                    columns: if f.columns.is_empty() {
                        outputs.iter().map(|o| o.name.clone()).collect()
                    } else {
                        Vec::new()
                    },
                });
                Ok(single(derived_item(alias, printed, outputs)))
            }
            TableRef::Keyword(t) => {
                let (alias, outputs) = self.keyword_table(t, &lateral_scope, env.ctes)?;
                let printed = self.unique(&alias, &lateral_scope);
                t.alias = Some(TableAlias {
                    name: printed.clone(),
                    columns: outputs.iter().map(|o| o.name.clone()).collect(),
                });
                Ok(single(derived_item(alias, printed, outputs)))
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

    fn join(
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
            self.compare(&l.sources, &r.sources);
            let mut op = Operator {
                schema: None,
                symbol: "=".into(),
            };
            self.operator(&mut op, l.ty, r.ty)?;
            equal.push(Expr::Binary(Box::new(l.expr()), op, Box::new(r.expr())));
            let same = l.ty.is_some() && l.ty == r.ty;
            let (side, sources, sides) = match kind {
                JoinKind::Inner | JoinKind::Left | JoinKind::Cross if same => {
                    (l, l.sources.clone(), None)
                }
                JoinKind::Right if same => (r, r.sources.clone(), None),
                JoinKind::Right => (r, self.both_sides(l, r), Some((r.expr(), l.expr()))),
                _ => (l, self.both_sides(l, r), Some((l.expr(), r.expr()))),
            };
            merged.push(Visible {
                name: name.clone(),
                reference: side.reference.clone(),
                sources,
                tainted: l.tainted || r.tainted,
                ty: if same { l.ty } else { None },
                denied: false,
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
            r.alias = Some(TableAlias {
                name: printed.clone(),
                columns: outputs.iter().map(|o| o.name.clone()).collect(),
            });
            return Ok(single(derived_item(alias.name, printed, outputs)));
        }
        let relation = self.find_relation(&r.name)?;
        if let RelationKind::View | RelationKind::MaterializedView = relation.kind {
            let form = super::view::view_form(&relation, self.grounds)?;
            if let ViewForm::Expand(query) = form.as_ref() {
                return self.expand_view(table, &relation, query, scope);
            }
        }
        self.base_relation(r, &relation, scope).map(single)
    }

    /// A base relation, masked or not.
    pub(super) fn base_relation(
        &mut self,
        r: &mut RelationRef,
        relation: &Arc<Relation>,
        scope: &Scope<'_>,
    ) -> Resolve<Item> {
        self.selectable(relation, r.name.position)?;
        let id = self.add_relation(relation)?;
        let unaliased = r
            .alias
            .is_none()
            .then(|| (relation.schema.clone(), relation.name.clone()));
        let alias = r.alias.take().unwrap_or(TableAlias {
            name: relation.name.clone(),
            columns: Vec::new(),
        });
        let printed = self.unique(&alias.name, scope);
        let mut columns = Vec::with_capacity(relation.columns.len());
        let mut names = alias.columns.iter();
        for c in &relation.columns {
            let treatment = self.column_treatment(relation, c)?;
            let denied = matches!(treatment, Treatment::Deny);
            // A denied column does not take part in the alias list: it is not in the masked copy.
            let name = if denied {
                c.name.clone()
            } else {
                names.next().unwrap_or(&c.name).clone()
            };
            columns.push(Visible {
                name,
                reference: Column {
                    qualifier: Some(printed.clone()),
                    name: c.name.clone(),
                    base: Some((id, c.attnum)),
                },
                sources: vec![Source {
                    relation: id,
                    attnum: c.attnum,
                }],
                tainted: !matches!(treatment, Treatment::Clear),
                ty: (c.type_oid != 0).then_some(c.type_oid),
                denied,
                named: !relation.temporary,
                merged: None,
            });
        }
        if names.next().is_some() {
            return Err(Refusal::error(
                "42P10",
                format!(
                    "table \"{}\" has fewer columns than its alias list",
                    alias.name
                ),
            )
            .at(r.name.position));
        }
        r.name = Name {
            parts: vec![relation.schema.clone(), relation.name.clone()],
            position: r.name.position,
        };
        r.id = Some(id);
        r.alias = Some(TableAlias {
            name: printed.clone(),
            columns: Vec::new(),
        });
        if let Some(sample) = &mut r.sample {
            let none = Scope {
                parent: None,
                items: &[],
                columns: &[],
            };
            for e in sample.args.iter_mut().chain(&mut sample.repeatable) {
                self.compute(e, &none, None)?;
            }
            if !matches!(sample.method.parts.as_slice(), [m] if *m == "bernoulli" || *m == "system")
            {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "only the tablesample methods bernoulli and system are supported",
                ));
            }
        }
        Ok(Item {
            alias: alias.name,
            printed,
            columns,
            relation: Some(id),
            unaliased,
            kind: ItemKind::Plain,
        })
    }

    /// May this relation stand in FROM?
    fn selectable(&self, relation: &Relation, position: usize) -> Resolve<()> {
        let schema = relation.schema.as_str();
        if matches!(schema, "pg_catalog" | "information_schema") {
            if crate::catalog::allow::catalog_relation(schema, relation.name.as_str()) {
                return Ok(());
            }
            return Err(Refusal::denied(format!(
                "permission denied for system relation {}",
                relation.name
            ))
            .detail("It is not among the catalogs a restricted role may read.")
            .at(position));
        }
        match relation.kind {
            RelationKind::CompositeType => Err(Refusal::error(
                "42809",
                format!("\"{}\" is a composite type", relation.name),
            )
            .at(position)),
            RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence => self.no_extension_view(relation, position),
        }
    }

    /// Relations of extensions (`pg_stat_statements`) show what other sessions ran.
    fn no_extension_view(&self, relation: &Relation, position: usize) -> Resolve<()> {
        let extension = self
            .grounds
            .catalog
            .types
            .get(&relation.row_type)
            .and_then(|t| t.extension.as_deref());
        match extension {
            Some(e) => Err(Refusal::denied(format!(
                "permission denied for relation {} of extension {e}",
                relation.name
            ))
            .at(position)),
            None => Ok(()),
        }
    }

    /// Finds a relation by the client's search path.
    pub(super) fn find_relation(&self, name: &Name) -> Resolve<Arc<Relation>> {
        let catalog = self.grounds.catalog;
        // PostgreSQL looks for relations in the temporary schema first.
        let temporary = match name.parts.as_slice() {
            [table] => self.grounds.temp.get(table),
            [schema, table] if *schema == crate::catalog::temp::SCHEMA => {
                self.grounds.temp.get(table)
            }
            _ => None,
        };
        if let Some(found) = temporary {
            return Ok(Arc::clone(found));
        }
        let found = match name.parts.as_slice() {
            [table] => self
                .grounds
                .search_path
                .schemas()
                .iter()
                .find_map(|schema| catalog.relation(schema, table)),
            [schema, table] => catalog.relation(schema, table),
            [database, schema, table] if *database == catalog.database.as_str() => {
                catalog.relation(schema, table)
            }
            _ => None,
        };
        found.cloned().ok_or_else(|| {
            let written: Vec<&str> = name.parts.iter().map(Ident::as_str).collect();
            Refusal::error(
                sqlstate::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", written.join(".")),
            )
            .at(name.position)
        })
    }

    /// The client's alias, or a fresh one if it is already printed around here: an inner alias must
    /// not capture a reference to an outer one.
    pub(super) fn unique(&mut self, alias: &Ident, scope: &Scope<'_>) -> Ident {
        let mut printed = alias.clone();
        // A client may have written the very name that is made up here.
        while scope.prints(&printed) {
            printed = self.fresh_alias(alias);
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

/// `(a JOIN b …) AS j (x, y)`: the join's columns under one name. The alias is not printed: PostgreSQL
/// would number its columns over whole tables, and ours may be derived ones with fewer. Each column
/// stays a reference to the item inside, which no other name reaches any more.
fn join_alias(mut joined: Brought, alias: TableAlias) -> Resolve<Brought> {
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
            },
            name: o.name,
            sources: o.sources,
            tainted: o.tainted,
            ty: o.ty,
            denied: false,
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
