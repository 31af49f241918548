//! SELECT: the select list, WHERE, GROUP BY, HAVING, windows, DISTINCT, ORDER BY and locking.

use super::colname::{column_name, is_named_by_star};
use super::lineage::{Equality, OutputColumn, Source, Uses};
use super::scope::{CteFrame, Env, Found, Item, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{
    Distinct, Expr, Locking, Name, OrderItem, Position, Select, SelectItem, Star,
};

/// PostgreSQL's `MaxTupleAttributeNumber`.
const SELECT_LIST: usize = 1664;

/// The scope of a SELECT's clauses.
#[derive(Clone, Copy)]
pub(super) struct Inside<'s, 'p> {
    pub(super) scope: &'s Scope<'p>,
    pub(super) ctes: Option<&'s CteFrame<'p>>,
}

impl Analyzer<'_> {
    pub(super) fn select(
        &mut self,
        s: &mut Select,
        order_by: &mut [OrderItem],
        locking: &mut [Locking],
        env: Env<'_>,
    ) -> Resolve<Vec<OutputColumn>> {
        if s.into.is_some() {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "SELECT INTO is not supported for restricted roles",
            )
            .hint("Use the query itself, or a common table expression."));
        }
        let outside = std::mem::replace(&mut self.groups, !s.group_by.is_empty());
        let (items, columns) = self.tables(&mut s.from, env)?;
        let scope = Scope {
            parent: env.outer,
            items: &items,
            columns: &columns,
        };
        let inside = Inside {
            scope: &scope,
            ctes: env.ctes,
        };
        if let Some(filter) = &mut s.filter {
            self.compute(filter, &scope, env.ctes)?;
        }
        let outputs = self.select_list(&mut s.items, &scope, env.ctes)?;
        self.group_by(s, inside, &outputs)?;
        if let Some(having) = &mut s.having {
            self.compute(having, &scope, env.ctes)?;
        }
        for (_, w) in &mut s.windows {
            self.window(w, &scope, env.ctes)?;
        }
        match &mut s.distinct {
            None => {}
            Some(Distinct::All) => {
                for o in &outputs {
                    self.lineage.mixed |= !self.shows_alike(o);
                    self.grouped(&o.sources);
                }
            }
            Some(Distinct::On(keys)) => {
                for key in keys {
                    self.output_or_input(key, inside, &outputs, Uses::EQUALITY, "DISTINCT ON")?;
                }
            }
        }
        for item in order_by {
            self.order_item(item, inside, &outputs)?;
        }
        self.locks |= !locking.is_empty();
        for lock in locking {
            Self::locking(lock, &items)?;
        }
        self.groups = outside;
        Ok(outputs)
    }

    /// Expands stars, names every column.
    pub(super) fn select_list(
        &mut self,
        items: &mut Vec<SelectItem>,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Vec<OutputColumn>> {
        let mut expanded = Vec::with_capacity(items.len());
        let mut outputs = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            match item {
                SelectItem::Expr { mut expr, alias } => {
                    let late = alias.is_none() && is_named_by_star(&expr);
                    let mut name = alias.unwrap_or_else(|| column_name(&expr));
                    let mut info = self.expr(&mut expr, scope, ctes)?;
                    if late {
                        name = column_name(&expr);
                    }
                    let alike = self.selected_alike(&expr, &info);
                    self.selected_constant(&mut expr, &mut info);
                    outputs.push(OutputColumn {
                        name: name.clone(),
                        sources: info.sources,
                        tainted: info.tainted,
                        ty: info.ty,
                        null: info.null,
                        alike,
                        scale: info.scale,
                        named: info.named,
                    });
                    expanded.push(SelectItem::Expr {
                        expr,
                        alias: Some(name),
                    });
                }
                SelectItem::Star(Star::All(position)) => {
                    if scope.items.is_empty() {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    self.expand(scope.columns, position, &mut expanded, &mut outputs);
                }
                SelectItem::Star(Star::Of(name)) => {
                    let item = scope.find_item(&name)?;
                    self.expand(&item.columns, name.position, &mut expanded, &mut outputs);
                }
                SelectItem::FieldStar(inner) => {
                    self.expand_fields(inner, scope, ctes, &mut expanded, &mut outputs)?;
                }
            }
            // Stars of stars double with each level: the limit holds at each.
            if outputs.len() > SELECT_LIST {
                return Err(Refusal::error(
                    "54011",
                    format!("target lists can have at most {SELECT_LIST} entries"),
                ));
            }
        }
        *items = expanded;
        Ok(outputs)
    }

    fn expand(
        &mut self,
        columns: &[Visible],
        position: Position,
        items: &mut Vec<SelectItem>,
        outputs: &mut Vec<OutputColumn>,
    ) {
        for c in columns.iter().filter(|c| !c.denied) {
            self.lineage.mark_all(&c.sources, Uses::NONE);
            self.mentioned(c);
            items.push(SelectItem::Expr {
                expr: c.expr_at(position),
                alias: Some(c.name.clone()),
            });
            outputs.push(OutputColumn {
                name: c.name.clone(),
                sources: c.sources.clone(),
                tainted: c.tainted,
                ty: c.ty,
                null: false,
                alike: c.alike,
                scale: c.scale,
                named: c.named && c.merged.is_none(),
            });
        }
    }

    /// `(x).*`: a whole row's columns, or a composite's fields.
    fn expand_fields(
        &mut self,
        mut inner: Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
        items: &mut Vec<SelectItem>,
        outputs: &mut Vec<OutputColumn>,
    ) -> Resolve<()> {
        if let Expr::Name(n) = &inner
            && let Found::WholeRow(item) = scope.find(n)?
        {
            self.expand(&item.columns, n.position, items, outputs);
            return Ok(());
        }
        let info = self.expr(&mut inner, scope, ctes)?;
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        let fields = self.fields_of(&inner, info.ty).ok_or_else(|| {
            Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "the fields of this composite value are not known",
            )
            .hint("Name the fields: (x).a, (x).b.")
        })?;
        for (name, ty) in fields {
            items.push(SelectItem::Expr {
                expr: Expr::Field(Box::new(inner.clone()), name.clone()),
                alias: Some(name.clone()),
            });
            outputs.push(OutputColumn::computed(name, ty, info.tainted));
        }
        Ok(())
    }

    fn locking(lock: &mut Locking, items: &[Item]) -> Resolve<()> {
        for name in &mut lock.of {
            let [alias] = name.parts.as_slice() else {
                return Err(Refusal::error(
                    sqlstate::SYNTAX_ERROR,
                    "FOR UPDATE must specify unqualified relation names",
                )
                .at(name.position));
            };
            let item = items.iter().find(|i| i.answers_to(alias)).ok_or_else(|| {
                Refusal::error(
                    sqlstate::UNDEFINED_TABLE,
                    format!("relation \"{alias}\" in FOR UPDATE clause not found in FROM clause"),
                )
                .at(name.position)
            })?;
            if item.kind != ItemKind::Plain {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "FOR UPDATE cannot be applied to a join",
                )
                .at(name.position));
            }
            *name = Name {
                parts: vec![item.printed.clone()],
                position: name.position,
            };
        }
        Ok(())
    }

    /// Values of one column compared with each other. Where set operations brought several columns
    /// together, they are compared with one another too.
    pub(super) fn grouped(&mut self, sources: &[Source]) {
        self.compare(sources, sources);
    }

    /// A key to sort by or to be distinct on.
    pub(super) fn keyed(&mut self, sources: &[Source], uses: Uses) {
        if uses == Uses::EQUALITY {
            self.grouped(sources);
        } else {
            self.lineage.mark_all(sources, uses);
        }
    }

    /// Compared columns: marks both sides and remembers the pair.
    pub(super) fn compare(&mut self, left: &[Source], right: &[Source]) {
        let uses = if self.lineage.is_searched(left) || self.lineage.is_searched(right) {
            Uses::SEARCH
        } else {
            Uses::EQUALITY
        };
        self.lineage.mark_all(left, uses);
        self.lineage.mark_all(right, uses);
        self.lineage.equalities.push(Equality {
            left: left.to_vec(),
            right: right.to_vec(),
            held: None,
        });
    }

    /// The fields of a resolved expression of this type, with types where they are known: a composite type's,
    /// or what a function is declared to return, if there is but one that it can be.
    pub(super) fn fields_of(&self, e: &Expr, ty: Option<Oid>) -> Option<Vec<(Ident, Option<Oid>)>> {
        if let Some(fields) = ty.and_then(|ty| self.composite_fields(ty)) {
            return Some(fields.into_iter().map(|(n, ty)| (n, Some(ty))).collect());
        }
        let Expr::Call(call) = e else { return None };
        let mut overloads = self.grounds.catalog.overloads(&call.function.parts);
        let declared = &overloads.next()?.out_columns;
        let one = declared.len() > 1 && overloads.all(|f| f.out_columns == *declared);
        let known = |ty: Oid| (!self.polymorphic(ty)).then_some(ty);
        one.then(|| {
            let fields = declared.iter();
            fields.map(|(n, ty)| (n.clone(), known(*ty))).collect()
        })
    }

    pub(super) fn composite_fields(&self, ty: Oid) -> Option<Vec<(Ident, Oid)>> {
        use crate::catalog::TypeKind;
        let base = self.grounds.catalog.base_type(ty);
        let TypeKind::Composite { relation } = self.grounds.catalog.types.get(&base)?.kind else {
            return None;
        };
        let relation = self.grounds.catalog.relation_by_oid(relation)?;
        Some(
            relation
                .columns
                .iter()
                .map(|c| (c.name.clone(), c.type_oid))
                .collect(),
        )
    }
}
