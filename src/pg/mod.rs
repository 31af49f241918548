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

/// An array of them as text: `{1,2}`.
pub fn oid_array<'o>(oids: impl IntoIterator<Item = &'o Oid>) -> String {
    let oids: Vec<String> = oids.into_iter().map(Oid::to_string).collect();
    format!("{{{}}}", oids.join(","))
}

/// The same as SQL.
pub fn oid_array_sql<'o>(oids: impl IntoIterator<Item = &'o Oid>) -> String {
    format!("'{}'::\"pg_catalog\".\"oid\"[]", oid_array(oids))
}

/// The first version that reads `0x1F` and `1_000`, as `server_version_num` gives it.
pub const LATER_NUMBERS: u32 = 160_000;
