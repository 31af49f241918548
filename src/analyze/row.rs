//! Rows as values: whole rows, ROW constructors, and fields of composite values.

use super::alike::Alike;
use super::compare::no_rows;
use super::expr::{At, Info};
use super::functions::Chosen;
use super::lineage::Uses;
use super::scope::{CteFrame, Found, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::catalog::RelationKind;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::refusal::Refusal;
use crate::sql::tree::{Call, Expr, Name, Operator, Query};

/// Of a row they show the names of its fields and what is in them, and not its type.
const NAMES_AND_VALUES: &[&str] = &[
    "concat",
    "concat_ws",
    "format",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

impl Analyzer<'_> {
    /// The arguments of a call that are whole rows.
    pub(super) fn rows_handed_to(&mut self, chosen: &Chosen, call: &Call) {
        if NAMES_AND_VALUES.iter().any(|f| chosen.is_builtin(f)) {
            for arg in &call.args {
                self.row_of_any_type(&arg.value);
            }
        }
    }

    pub(super) fn whole_row(
        &mut self,
        columns: &[Visible],
        relation: Option<crate::sql::tree::RelationId>,
    ) -> Resolve<Info> {
        let mut tainted = false;
        for c in columns {
            if c.denied {
                return Err(
                    Refusal::denied("whole-row reference includes a denied column")
                        .detail(format!("The policy denies column {} to the role.", c.name))
                        .hint("Name the columns you need."),
                );
            }
            // A function's columns of one name are printed under others, which a row would show.
            if c.reference.base.is_none() && c.merged.is_none() && c.reference.name != c.name {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("whole-row reference to two columns named {}", c.name),
                )
                .hint("Give the function's columns names: unnest(…) AS t (a, b)."));
            }
            // All that is decided of a whole row is decided of its columns.
            self.lineage.mark_all(&c.sources, Uses::COMPUTE);
            self.mentioned(c);
            tainted |= c.tainted;
        }
        let mut ty = None;
        if let Some(r) = relation.and_then(|id| self.lineage.relation_mut(id)) {
            r.whole_row = true;
            r.typed_rows += 1;
            ty = Some(r.relation.row_type);
        }
        Ok(Info::computed(tainted, ty))
    }

    /// The whole row went where its type does not show.
    pub(super) fn row_of_any_type(&mut self, e: &Expr) {
        if let Expr::WholeRow { base: Some(id), .. } = e
            && let Some(used) = self.lineage.relation_mut(*id)
        {
            used.typed_rows = used.typed_rows.saturating_sub(1);
        }
    }

    /// `count(t.*)` counts the rows of a table that an outer join has not left out, whatever is in them:
    /// as many have a `ctid`. Of the row itself the role may not see everything.
    pub(super) fn counted_rows(&self, call: &mut Call, scope: &Scope<'_>) -> Resolve<()> {
        let counts = (call.function.parts.last()).is_some_and(|f| *f == "count");
        let [arg] = call.args.as_mut_slice() else {
            return Ok(());
        };
        let (Expr::Name(n) | Expr::Star(n)) = &arg.value else {
            return Ok(());
        };
        // What a window counts may be grouped.
        let rows = counts && call.over.is_none() && !call.distinct;
        if !rows || arg.variadic || n.parts.len() > 1 {
            return Ok(());
        }
        // What is not found is said where it is looked for.
        let item = match &arg.value {
            Expr::Star(n) => scope.find_item(n).ok(),
            _ => self.row_item(n, scope).ok().flatten(),
        };
        let Some(item) = item.filter(|i| i.kind == ItemKind::Plain) else {
            return Ok(());
        };
        let hidden = item.columns.iter().any(|c| c.denied || c.tainted);
        let relation = item.relation.and_then(|id| self.lineage.relation(id));
        let Some(relation) = relation.map(|used| &used.relation) else {
            return Ok(());
        };
        let stored = matches!(
            relation.kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
        );
        if hidden
            && stored
            && self.is_only_builtin(&call.function)
            && self.partition_tells(relation)?.is_none()
        {
            let mut ctid = n.clone();
            ctid.parts.push(Ident::exact("ctid"));
            arg.value = Expr::Name(ctid);
        }
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        fields: &mut Vec<Expr>,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let mut expanded = Vec::with_capacity(fields.len());
        let mut types = Vec::with_capacity(fields.len());
        let mut tainted = false;
        // Rows are equal if their fields are.
        let mut alike = true;
        for mut f in fields.drain(..) {
            if let Expr::Star(name) = &f {
                for c in scope.find_item(name)?.columns.iter().filter(|c| !c.denied) {
                    self.lineage.mark_all(&c.sources, Uses::COMPUTE);
                    self.mentioned(c);
                    tainted |= c.tainted;
                    alike &= self.is_kept(c.alike)
                        || c.scale.is_some()
                        || c.ty.is_some_and(|ty| self.is_alike_type(ty));
                    expanded.push(c.expr_at(name.position));
                    types.push(c.ty);
                }
            } else {
                let info = self.consumed(&mut f, scope, ctes, Uses::COMPUTE)?;
                tainted |= info.tainted;
                alike &= self.is_alike(&f, &info);
                types.push(info.ty);
                expanded.push(f);
            }
        }
        *fields = expanded;
        Ok(Info {
            alike: if alike { Alike::Made } else { Alike::Unknown },
            row: types,
            ..Info::computed(tainted, Some(oid::RECORD))
        })
    }

    /// `(a, b) = (query)`: its one row is compared field by field, as IN does with each of its rows.
    pub(super) fn row_of_query(
        &mut self,
        (row, op, query): (&mut Expr, &mut Operator, &mut Query),
        At { scope, ctes }: At<'_, '_>,
    ) -> Resolve<Info> {
        let before = self.hidden;
        let symbol = op.symbol.clone();
        let (tainted, pairs) = self.in_query(row, query, Some(op), scope, ctes)?;
        for (l, r) in &pairs {
            self.meet(&[*l, *r]);
            if self.keyword_operator(&symbol, *l, *r)?.is_some() {
                return Err(no_rows());
            }
        }
        let tainted = tainted || self.hidden != before;
        Ok(Info::computed(tainted, Some(oid::BOOL)))
    }

    /// `(e).field`: a column, when `e` is a whole row; else a field of a composite value.
    pub(super) fn field(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let row = match e {
            Expr::Field(inner, field) => match inner.as_ref() {
                Expr::Name(n) | Expr::Star(n) => Some((n.clone(), field.clone())),
                _ => None,
            },
            _ => None,
        };
        if let Some((name, field)) = row
            && let Some(info) = self.row_field(&name, &field, scope, e)?
        {
            return Ok(info);
        }
        let Expr::Field(inner, field) = e else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not a field"));
        };
        let info = self.consumed(inner, scope, ctes, Uses::COMPUTE)?;
        let fields = self.fields_of(inner, info.ty);
        let known = fields.and_then(|f| f.into_iter().find(|(name, _)| name == field));
        if known.is_none() {
            self.no_function_of_field(field)?;
        }
        Ok(Info::computed(info.tainted, known.and_then(|(_, ty)| ty)))
    }

    /// Where there is no such field PostgreSQL reads `(e).f` as the call `f(e)`, and as a cast if `f`
    /// is a type.
    fn no_function_of_field(&self, field: &Ident) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        let called = Ident::exact("pg_catalog");
        let function = catalog
            .functions
            .get(field)
            .is_some_and(|all| all.iter().any(|f| f.schema == called));
        if function || catalog.type_by_name(&called, field).is_some() {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("\"{field}\" is not known to be a field of this value"),
            )
            .hint(format!("To call a function, write {field}(…).")));
        }
        Ok(())
    }

    /// `(t).col` where `t` is a FROM item. `None` if `t` is something else.
    pub(super) fn row_field(
        &mut self,
        name: &Name,
        field: &Ident,
        scope: &Scope<'_>,
        e: &mut Expr,
    ) -> Resolve<Option<Info>> {
        let Some(item) = self.row_item(name, scope)? else {
            return Ok(None);
        };
        let c = super::scope::item_column(item, field, name.position)?.clone();
        let info = self.visible(&c);
        *e = c.expr_at(name.position);
        Ok(Some(info))
    }

    /// The FROM item a name means as a whole row, if it does not mean a column.
    pub(super) fn row_item<'p>(
        &self,
        name: &Name,
        scope: &Scope<'p>,
    ) -> Resolve<Option<&'p super::scope::Item>> {
        Ok(match scope.find(name)? {
            Found::WholeRow(item) => Some(item),
            Found::Column(_) => None,
        })
    }
}
