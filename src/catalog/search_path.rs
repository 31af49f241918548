//! Where unqualified names are looked for, in order (PostgreSQL's manual, 5.9.3).
//!
//! The client's search path is the proxy's own state: PostgreSQL's stays `pg_catalog, pg_temp`,
//! because the printer qualifies every name.

use crate::ident::Ident;

/// A client's search path, `"$user"` already resolved.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SearchPath {
    schemas: Vec<Ident>,
}

impl SearchPath {
    /// From the setting's elements. `pg_catalog` is searched first unless it is listed.
    pub fn new(listed: &[Ident]) -> Self {
        let mut schemas = Vec::with_capacity(listed.len().saturating_add(1));
        if !listed.iter().any(|s| *s == "pg_catalog") {
            schemas.push(Ident::exact("pg_catalog"));
        }
        schemas.extend(listed.iter().cloned());
        Self { schemas }
    }

    /// The schemas, in lookup order, `pg_catalog` included.
    pub fn schemas(&self) -> &[Ident] {
        &self.schemas
    }
}
