//! Facts fixed by PostgreSQL, not by us: type OIDs, SQLSTATEs, format codes, character sets, the form of
//! settings. No behaviour beyond looking them up.

pub mod encoding;
pub mod setting;
pub mod sqlstate;
pub mod types;

/// An object identifier.
pub type Oid = u32;

/// `pg_attribute.attnum`: positive for user columns, negative for system columns.
pub type AttrNumber = i16;
