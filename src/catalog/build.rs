//! Text rows of the catalog queries → [`Catalog`]. Pure: what a live server answers, a test can
//! answer too.
//!
//! Deliberately absent: tolerance. A row of another shape than [`super::queries`] asks for means that
//! nobody knows what was read, so there is no catalog.

mod below;
mod routines;

use std::collections::HashMap;
use std::sync::Arc;

use super::queries::Part;
use super::rows::{Row, fingerprint};
use super::{
    Catalog, Check, Column, ForeignKey, Index, Relation, RelationKind, TypeInfo, TypeKind,
};
use crate::ident::Ident;
use crate::pg::Oid;

/// One query's rows: text format, NULL is `None`.
pub type Rows = Vec<Vec<Option<String>>>;

/// All queries' rows.
pub type CatalogRows = HashMap<Part, Rows>;

/// Rows that are not what the query asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildError {
    /// Which query.
    pub part: Part,
    /// What is wrong; never contains a field's text.
    pub what: &'static str,
}

/// Builds a catalog. Relations whose schema was not read (temporary ones) are left out.
pub fn build(rows: &CatalogRows) -> Result<Catalog, BuildError> {
    let mut builder = Builder::new(rows);
    builder.server()?;
    builder.schemas()?;
    builder.collations()?;
    builder.extensions()?;
    builder.types()?;
    builder.relations()?;
    builder.columns()?;
    builder.inheritance()?;
    builder.indexes()?;
    builder.constraints()?;
    builder.views()?;
    builder.functions()?;
    builder.operators()?;
    builder.casts()?;
    builder.tests()?;
    Ok(builder.finish())
}

/// OIDs of the catalogs whose rows extensions own (fixed in `pg_type.h` and the like).
const PG_TYPE: Oid = 1247;

struct Builder<'a> {
    rows: &'a CatalogRows,
    catalog: Catalog,
    relations: HashMap<Oid, Relation>,
    /// Collation OID → name, deterministic.
    collations: HashMap<Oid, ((Ident, Ident), bool)>,
    /// Type OID → its default collation, 0 for none.
    type_collations: HashMap<Oid, Oid>,
    /// (catalog's OID, object's OID) → extension.
    extensions: HashMap<(Oid, Oid), Arc<str>>,
    /// `format_type` texts repeat.
    type_texts: HashMap<&'a str, Arc<str>>,
}

impl<'a> Builder<'a> {
    fn new(rows: &'a CatalogRows) -> Self {
        Self {
            rows,
            catalog: Catalog::default(),
            relations: HashMap::new(),
            collations: HashMap::new(),
            type_collations: HashMap::new(),
            extensions: HashMap::new(),
            type_texts: HashMap::new(),
        }
    }

    /// The rows of one query.
    fn part(&self, part: Part) -> Result<impl Iterator<Item = Row<'a>> + use<'a>, BuildError> {
        let rows = self.rows.get(&part).ok_or(BuildError {
            part,
            what: "was not read",
        })?;
        Ok(rows.iter().map(move |fields| Row { part, fields }))
    }

    fn schema(&self, oid: Oid) -> Option<Ident> {
        self.catalog.schemas.get(&oid).cloned()
    }

    fn extension(&self, class: Oid, object: Oid) -> Option<Arc<str>> {
        self.extensions.get(&(class, object)).cloned()
    }

    fn server(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Server)? {
            self.catalog.version = row.number(0)?;
            row.text(1)?.clone_into(&mut self.catalog.database);
        }
        Ok(())
    }

    fn schemas(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Schemas)? {
            self.catalog.schemas.insert(row.number(0)?, row.ident(1)?);
        }
        Ok(())
    }

    fn collations(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Collations)? {
            let Some(schema) = self.schema(row.number(1)?) else {
                continue;
            };
            let name = (schema, row.ident(2)?);
            let deterministic = row.boolean(3)?;
            self.collations
                .insert(row.number(0)?, (name.clone(), deterministic));
            self.catalog.collations.insert(name, deterministic);
        }
        Ok(())
    }

    fn extensions(&mut self) -> Result<(), BuildError> {
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        for row in self.part(Part::Extensions)? {
            let name = row.text(2)?;
            let name = names.entry(name).or_insert_with(|| Arc::from(name)).clone();
            self.extensions
                .insert((row.number(0)?, row.number(1)?), name);
        }
        Ok(())
    }

    fn types(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Types)? {
            let oid: Oid = row.number(0)?;
            let Some(schema) = self.schema(row.number(1)?) else {
                continue;
            };
            let kind = match row.text(3)? {
                "b" => TypeKind::Base,
                "c" => TypeKind::Composite {
                    relation: row.number(6)?,
                },
                "d" => TypeKind::Domain {
                    base: row.number(7)?,
                    typmod: row.number(8)?,
                    has_check: row.boolean(11)?,
                    not_null: row.boolean(9)?,
                },
                "e" => TypeKind::Enum,
                "r" | "m" => TypeKind::Range,
                "p" => TypeKind::Pseudo,
                _ => return Err(row.wrong("unknown typtype")),
            };
            let category = row.text(4)?.bytes().next().unwrap_or(0);
            let element: Oid = row.number(5)?;
            let name = row.ident(2)?;
            self.type_collations.insert(oid, row.number(10)?);
            self.catalog
                .type_names
                .insert((schema.clone(), name.clone()), oid);
            let info = TypeInfo {
                oid,
                schema,
                name,
                kind,
                array_element: (category == b'A' && element != 0).then_some(element),
                category,
                preferred: row.boolean(12)?,
                length: row.number(13)?,
                extension: self.extension(PG_TYPE, oid),
            };
            self.catalog.types.insert(oid, info);
        }
        self.inherit_checks();
        Ok(())
    }

    /// A domain over a domain has the checks and NOT NULL of both.
    fn inherit_checks(&mut self) {
        let domains: Vec<Oid> = self
            .catalog
            .types
            .values()
            .filter(|t| matches!(t.kind, TypeKind::Domain { .. }))
            .map(|t| t.oid)
            .collect();
        for oid in domains {
            let (mut check, mut strict, mut current) = (false, false, oid);
            for _ in 0..32 {
                let Some(TypeKind::Domain {
                    base,
                    has_check,
                    not_null,
                    ..
                }) = self.catalog.types.get(&current).map(|t| &t.kind)
                else {
                    break;
                };
                check |= has_check;
                strict |= not_null;
                current = *base;
            }
            if let Some(TypeKind::Domain {
                has_check,
                not_null,
                ..
            }) = self.catalog.types.get_mut(&oid).map(|t| &mut t.kind)
            {
                *has_check = check;
                *not_null = strict;
            }
        }
    }

    fn relations(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Relations)? {
            let oid: Oid = row.number(0)?;
            let Some(schema) = self.schema(row.number(1)?) else {
                continue;
            };
            let kind = match row.text(3)? {
                "r" => RelationKind::Table,
                "p" => RelationKind::PartitionedTable,
                "v" => RelationKind::View,
                "m" => RelationKind::MaterializedView,
                "f" => RelationKind::ForeignTable,
                "S" => RelationKind::Sequence,
                "c" => RelationKind::CompositeType,
                _ => return Err(row.wrong("unknown relkind")),
            };
            let relation = Relation {
                oid,
                schema,
                name: row.ident(2)?,
                kind,
                columns: Vec::new(),
                attributes: row.number(10)?,
                placed: row.boolean(11)?,
                row_type: row.number(4)?,
                parents: Vec::new(),
                children: Vec::new(),
                generated_below: Vec::new(),
                primary_key: Vec::new(),
                indexes: Vec::new(),
                checks: Vec::new(),
                foreign_keys: Vec::new(),
                referenced_by: Vec::new(),
                partition_key: row.attributes(9)?,
                definition: None,
                rule_row: None,
                inner_views: Vec::new(),
                security_barrier: row.boolean(7)?,
                row_security: row.boolean(5)?,
                rules: row.boolean(8)?,
                rewritten: row.boolean(12)?,
                deferrable: row.boolean(13)?,
                temporary: row.boolean(6)?,
            };
            self.relations.insert(oid, relation);
        }
        Ok(())
    }

    fn columns(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Columns)? {
            let type_oid: Oid = row.number(3)?;
            let text = row.text(5)?;
            let type_sql = self
                .type_texts
                .entry(text)
                .or_insert_with(|| Arc::from(text))
                .clone();
            let collation: Oid = row.number(6)?;
            let default = self.type_collations.get(&self.catalog.base_type(type_oid));
            let own = (collation != 0 && default != Some(&collation))
                .then(|| self.collations.get(&collation))
                .flatten();
            let column = Column {
                attnum: row.number(1)?,
                name: row.ident(2)?,
                type_oid,
                typmod: row.number(4)?,
                type_sql,
                collation: own.map(|(name, _)| name.clone()),
                // An unknown collation is one of another encoding: not deterministic, to be safe.
                deterministic: collation == 0
                    || self.collations.get(&collation).is_some_and(|(_, d)| *d),
                not_null: row.boolean(7)?,
                generated: row.optional(8)?.map(Arc::from),
                has_default: row.boolean(9)?,
                default_oid: row.number(13)?,
                counting_default: row.boolean(10)?,
                inputs: row.attributes(11)?,
                computed_when_written: row.boolean(12)?,
                computed_when_read: row.boolean(14)?,
                default: row.optional(15)?.map(Arc::from),
                identity: row.optional(16)?.map(|always| always == "t"),
            };
            if let Some(relation) = self.relations.get_mut(&row.number(0)?) {
                relation.columns.push(column);
            }
        }
        Ok(())
    }

    fn inheritance(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Inheritance)? {
            let (child, parent): (Oid, Oid) = (row.number(0)?, row.number(1)?);
            // Partitioned indexes inherit too; they are no relations here.
            if !self.relations.contains_key(&parent) {
                continue;
            }
            if let Some(relation) = self.relations.get_mut(&child) {
                relation.parents.push(parent);
                if let Some(relation) = self.relations.get_mut(&parent) {
                    relation.children.push(child);
                }
            }
        }
        Ok(())
    }

    fn indexes(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Indexes)? {
            let keys: usize = row.number(6)?;
            let index = Index {
                name: row.ident(1)?,
                columns: row.attributes(2)?,
                keys,
                unique: row.boolean(3)?,
                exclusion: row.boolean(7)?,
                code_points: row.boolean(8)?,
                expression_columns: row.attributes(5)?,
                nulls_not_distinct: row.boolean(9)?,
                immediate: row.boolean(10)?,
                attached: row.boolean(11)?,
                computed: row.attributes(12)?,
                predicate: row.attributes(13)?,
                tells_apart: row.boolean(14)?,
            };
            if let Some(relation) = self.relations.get_mut(&row.number(0)?) {
                // Until the end of a transaction a deferred key is none, and one that is not valid may not be.
                if row.boolean(4)? && index.immediate && index.tells_apart {
                    relation.primary_key = index.columns.iter().take(keys).copied().collect();
                }
                relation.indexes.push(index);
            }
        }
        Ok(())
    }

    fn constraints(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Constraints)? {
            let (oid, other): (Oid, Oid) = (row.number(0)?, row.number(3)?);
            let (columns, other_columns) = (row.attributes(2)?, row.attributes(4)?);
            let (on_delete, on_update) = (row.action(5)?, row.action(6)?);
            let set = row.attributes(7)?;
            let validated = row.boolean(8)?;
            if matches!(row.text(1)?, "c" | "n") {
                if let Some(relation) = self.relations.get_mut(&oid) {
                    relation.checks.push(Check { columns, validated });
                }
                continue;
            }
            if let Some(relation) = self.relations.get_mut(&other) {
                relation.referenced_by.push(ForeignKey {
                    columns: other_columns.clone(),
                    other: oid,
                    other_columns: columns.clone(),
                    on_delete,
                    on_update,
                    set: set.clone(),
                    validated,
                });
            }
            if let Some(relation) = self.relations.get_mut(&oid) {
                relation.foreign_keys.push(ForeignKey {
                    columns,
                    other,
                    other_columns,
                    on_delete,
                    on_update,
                    set,
                    validated,
                });
            }
        }
        Ok(())
    }

    fn views(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Views)? {
            if let Some(relation) = self.relations.get_mut(&row.number(0)?) {
                relation.definition = Some(Arc::from(row.text(1)?));
                relation.rule_row = Some([row.text(2)?, row.text(3)?].map(Arc::from));
                relation.inner_views = row.numbers(4)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Catalog {
        self.generated_below();
        self.triggers_below();
        for (oid, relation) in self.relations {
            let name = (relation.schema.clone(), relation.name.clone());
            // A composite type is not selectable, but its name is taken.
            self.catalog.relation_names.insert(name, oid);
            self.catalog.relations.insert(oid, Arc::new(relation));
        }
        self.catalog.fingerprint = fingerprint(self.rows);
        self.catalog
    }
}
