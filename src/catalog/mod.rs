//! What the database looks like: an immutable picture of schemas, relations, columns, types,
//! functions and operators at one moment.
//!
//! `upstream::introspect` fills it from `pg_catalog`; nothing here does I/O.
//!
//! Deliberately absent: privileges (PostgreSQL checks them itself), and any text that can hold data
//! (statistics, defaults, partition bounds).

pub mod allow;
pub mod build;
mod constraint;
mod effect;
pub mod queries;
mod relation;
mod rows;
mod search_path;
pub mod temp;
mod type_sql;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::constraint::{Constraint, ConstraintKind};
pub use self::relation::{
    Action, Check, Column, ColumnId, ForeignKey, Index, Relation, RelationKind,
};
pub use self::search_path::{SearchPath, split_search_path};
pub use self::temp::TempTables;
pub use self::types::{
    Called, Cast, CastContext, Function, FunctionKind, OperatorInfo, TypeInfo, TypeKind, Volatility,
};
use crate::ident::Ident;
use crate::pg::Oid;

/// An immutable picture of the database at one moment.
#[derive(Default)]
pub struct Catalog {
    /// `server_version_num`, such as 150018.
    pub version: u32,
    /// The database's name.
    pub database: String,
    /// Schema OID → name.
    pub schemas: HashMap<Oid, Ident>,
    /// Relations by OID: tables, views, materialized views, partitioned and foreign tables,
    /// sequences, of every schema, `pg_catalog` and `information_schema` included. No indexes, no
    /// TOAST tables.
    pub relations: HashMap<Oid, Arc<Relation>>,
    /// (schema, relation) → OID.
    pub relation_names: HashMap<(Ident, Ident), Oid>,
    /// Types by OID.
    pub types: HashMap<Oid, TypeInfo>,
    /// (schema, type) → OID.
    pub type_names: HashMap<(Ident, Ident), Oid>,
    /// Functions by name, of every schema.
    pub functions: HashMap<Ident, Vec<Function>>,
    /// Operators by symbol, of every schema.
    pub operators: HashMap<Box<str>, Vec<OperatorInfo>>,
    /// Casts, by source and target type.
    pub casts: HashMap<(Oid, Oid), Cast>,
    /// What PostgreSQL calls with a value of a type: functions in a domain's constraints and in those
    /// of the domains it is made of, by the domain or the range type over it; and those the database's
    /// own types are ordered by.
    pub tests: HashMap<Oid, Vec<Called>>,
    /// (schema, collation), with whether it is deterministic.
    pub collations: HashMap<(Ident, Ident), bool>,
    /// A hash of what was read; equal hashes mean an unchanged catalog.
    pub fingerprint: u64,
}

impl Catalog {
    /// A relation by schema and name.
    pub fn relation(&self, schema: &Ident, name: &Ident) -> Option<&Arc<Relation>> {
        // Idents are `Arc`s: cloning is a counter, not a copy.
        let oid = self.relation_names.get(&(schema.clone(), name.clone()))?;
        self.relations.get(oid)
    }

    /// Is a table of that name found before the session's temporary ones? Only if the path lists `pg_temp`.
    pub fn is_before_temp(&self, path: &SearchPath, name: &Ident) -> bool {
        let mut before = path.before_temp().iter();
        before.any(|schema| self.relation(schema, name).is_some())
    }

    /// A relation by OID.
    pub fn relation_by_oid(&self, oid: Oid) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// A type by schema and name.
    pub fn type_by_name(&self, schema: &Ident, name: &Ident) -> Option<&TypeInfo> {
        let oid = self.type_names.get(&(schema.clone(), name.clone()))?;
        self.types.get(oid)
    }

    /// Functions by schema and name.
    pub fn overloads<'a>(&'a self, name: &'a [Ident]) -> impl Iterator<Item = &'a Function> {
        let found = match name {
            [schema, function] => self.functions.get(function).map(|all| (schema, all)),
            _ => None,
        };
        let all = found
            .into_iter()
            .flat_map(|(schema, all)| all.iter().map(move |f| (schema, f)));
        all.filter(|(schema, f)| f.schema == **schema)
            .map(|(_, f)| f)
    }

    /// May a call give something else each time? Of a function nobody knows, too.
    pub fn is_volatile(&self, name: &[Ident]) -> bool {
        let mut overloads = self.overloads(name).peekable();
        overloads.peek().is_none() || overloads.any(|f| f.volatility == Volatility::Volatile)
    }

    /// The base type of a domain (of a domain …), or the type itself.
    pub fn base_type(&self, oid: Oid) -> Oid {
        let mut current = oid;
        for _ in 0..32 {
            match self.types.get(&current).map(|t| &t.kind) {
                Some(TypeKind::Domain { base, .. }) => current = *base,
                _ => return current,
            }
        }
        current
    }
}
