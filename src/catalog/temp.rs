//! The temporary tables of one session: an overlay on the catalog, which has none.
//!
//! A restricted role's temporary tables hold what its statements may store, masks included, so their
//! columns are clear. The overlay has no OIDs, and a column's type only where its definition or its
//! query tells it. A mistake in it cannot leak: PostgreSQL is asked for `pg_temp.name`, which exists or does not.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Column, Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::{AttrNumber, Oid};

/// The alias PostgreSQL gives to a session's own temporary schema.
pub const SCHEMA: &str = "pg_temp";

/// Temporary tables by name.
#[derive(Clone, Default)]
pub struct TempTables(HashMap<Ident, Arc<Relation>>);

impl TempTables {
    /// A table by name.
    pub fn get(&self, name: &Ident) -> Option<&Arc<Relation>> {
        self.0.get(name)
    }

    /// Adds a table, unless one of that name exists (`IF NOT EXISTS`; without it PostgreSQL refuses).
    pub fn add(&mut self, table: Arc<Relation>) {
        self.0.entry(table.name.clone()).or_insert(table);
    }

    /// Removes a table.
    pub fn remove(&mut self, name: &Ident) {
        self.0.remove(name);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps the tables of which `keep` says so.
    pub fn retain(&mut self, keep: impl Fn(&Ident) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A temporary table from what its statement says: names, and types where known.
pub fn temp_table(name: &Ident, columns: &[(Ident, Option<Oid>)]) -> Arc<Relation> {
    let columns = (1..AttrNumber::MAX).zip(columns);
    Arc::new(Relation {
        oid: 0,
        schema: Ident::exact(SCHEMA),
        name: name.clone(),
        kind: RelationKind::Table,
        columns: columns
            .map(|(attnum, (name, ty))| Column {
                attnum,
                name: name.clone(),
                type_oid: ty.unwrap_or(0),
                typmod: -1,
                type_sql: Arc::from(""),
                collation: None,
                deterministic: true,
                not_null: false,
                generated: None,
                has_default: false,
                default_oid: 0,
                counting_default: false,
                inputs: Vec::new(),
                computed_when_written: false,
                computed_when_read: false,
                default: None,
                identity: None,
            })
            .collect(),
        attributes: 0,
        placed: false,
        row_type: 0,
        parents: Vec::new(),
        children: Vec::new(),
        generated_below: Vec::new(),
        primary_key: Vec::new(),
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        partition_key: Vec::new(),
        definition: None,
        rule_row: None,
        inner_views: Vec::new(),
        security_barrier: false,
        rewritten: false,
        deferrable: false,
        row_security: false,
        rules: false,
        temporary: true,
    })
}
