//! The only module that may look inside a value.
//!
//! A mask is a *total*, deterministic, NULL-exact function of one value, bound to a column's type and
//! typmod ([`CompiledMask`]). It has an SQL form ([`CompiledMask::sql`]) of `pg_catalog` builtins
//! only, every name qualified, and masks of text also have a Rust form ([`CompiledMask::apply`]) for
//! the wire. The two agree on every input; `tests/mask.rs` proves it against PostgreSQL.

mod column_type;
mod mask;
mod row;
pub mod token;

pub use self::column_type::ColumnType;
pub use self::mask::{CompiledMask, Mask, MaskError};
pub use self::row::{OutputRule, RowMasker, Transform};
pub use self::token::TokenColumn;
