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

/// The first version that reads `0x1F` and `1_000`, as `server_version_num` gives it.
pub const LATER_NUMBERS: u32 = 160_000;
