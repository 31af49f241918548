//! What a mask has to know of the column it is bound to.

use std::sync::Arc;

use crate::ident::Ident;
use crate::pg::Oid;

/// A column's type as masks see it: domains are already their base type, because that is what
/// `RowDescription` shows and what a mask may produce.
#[derive(Clone)]
pub struct ColumnType {
    /// The base type (`varchar` for a domain over `varchar(24)`).
    pub oid: Oid,
    /// The effective typmod: the column's own, or the domain's.
    pub typmod: i32,
    /// The base type as SQL, qualified and with typmod: `pg_catalog.varchar(160)`,
    /// `"crm"."address"`, `pg_catalog.text[]`. Every masked value is cast to it.
    pub sql: Arc<str>,
    /// A collation that is not the type's default: (schema, name).
    pub collation: Option<(Ident, Ident)>,
    /// The element's type, for arrays.
    pub element: Option<Box<ColumnType>>,
}
