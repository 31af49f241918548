//! Relations by name: which one is meant, whether it may be read, what it brings into scope.

use std::sync::Arc;

use super::lineage::{Source, Uses};
use super::scope::{Item, ItemKind, Scope, Visible};
use super::{Analyzer, Resolve};
use crate::catalog::{Column as CatalogColumn, Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{Column, Name, Position, RelationRef, TableAlias};

impl Analyzer<'_> {
    /// A base relation, masked or not.
    pub(super) fn base_relation(
        &mut self,
        r: &mut RelationRef,
        relation: &Arc<Relation>,
        scope: &Scope<'_>,
    ) -> Resolve<Item> {
        self.selectable(relation, r.name.position)?;
        self.no_partition_alone(relation, r.name.position)?;
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
                    position: Position::default(),
                },
                sources: vec![Source::Column {
                    relation: id,
                    attnum: c.attnum,
                }],
                tainted: !matches!(treatment, Treatment::Clear),
                ty: seen_type(c, &treatment),
                alike: self.stored_alike(relation, c),
                scale: column_scale(c),
                denied,
                expired: if denied {
                    self.expired(relation, c)?
                } else {
                    None
                },
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
            // Whether a row is in it follows from where the row is.
            self.no_place_told(relation, "TABLESAMPLE", r.name.position)?;
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
            sample.method.parts.insert(0, Ident::exact("pg_catalog"));
        }
        Ok(Item {
            alias: alias.name,
            printed,
            columns,
            relation: Some(id),
            unaliased,
            kind: ItemKind::Plain,
            fields: alias.columns.is_empty(),
            scalar: false,
        })
    }

    /// May this relation stand in FROM?
    pub(super) fn selectable(&self, relation: &Relation, position: Position) -> Resolve<()> {
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
    fn no_extension_view(&self, relation: &Relation, position: Position) -> Resolve<()> {
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

    /// Are tokens of another type than what they stand for, as the text of an integer's is?
    pub(super) fn is_retyped(&self, source: Source) -> bool {
        let Some((relation, column)) = self.lineage.column(source) else {
            return false;
        };
        let treatment = self.column_treatment(relation, column);
        treatment.is_ok_and(|t| seen_type(column, &t) != seen_type(column, &Treatment::Clear))
    }

    /// PostgreSQL is to have a token of these columns where it would have something of another type for it.
    pub(super) fn typed_beside(&mut self, sources: &[Source]) {
        for s in sources {
            if self.is_retyped(*s) {
                self.lineage.mark(*s, Uses::COMPUTE);
            }
        }
    }

    /// Finds a relation by the client's search path.
    pub(super) fn find_relation(&self, name: &Name) -> Resolve<Arc<Relation>> {
        let catalog = self.grounds.catalog;
        let temporary = match name.parts.as_slice() {
            // PostgreSQL looks for relations in the temporary schema first, if the path does not list it.
            [table] => {
                let hidden = catalog.is_before_temp(self.grounds.search_path, table);
                (self.grounds.temp.get(table)).filter(|_| !hidden)
            }
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
}

/// `numeric(p,s)` has s digits behind the point (numeric.c: its typmod is p and s, and 4).
fn column_scale(column: &CatalogColumn) -> Option<u16> {
    let typmod = column.typmod.checked_sub(4).filter(|t| *t >= 0)?;
    (column.type_oid == oid::NUMERIC)
        .then(|| u16::try_from(typmod & 0x7ff).ok())
        .flatten()
}

/// The type the role sees a column to be of. Texts of all kinds are one.
fn seen_type(column: &CatalogColumn, treatment: &Treatment) -> Option<Oid> {
    let stored = column.type_oid;
    let ty = match treatment {
        Treatment::Token(_) if matches!(stored, oid::TEXT | oid::VARCHAR | oid::BPCHAR) => stored,
        Treatment::Token(token) => token.output_type().0,
        _ => stored,
    };
    (ty != 0).then_some(ty)
}
