//! The only module that may look inside a value.
//!
//! A mask is a *total*, deterministic, NULL-exact function of one value, bound to a column's type and
//! typmod ([`CompiledMask`]). It has an SQL form ([`CompiledMask::sql`]) of `pg_catalog` builtins
//! only, every name qualified, and masks of text also have a Rust form ([`CompiledMask::apply`]) for
//! the wire. The two agree on every input; `tests/mask.rs` proves it against PostgreSQL.

mod bare;
mod column_type;
mod constant;
mod decimal;
mod description;
mod json;
mod json_question;
#[expect(clippy::module_inception, reason = "mask/mask.rs defines Mask")]
mod mask;
mod network;
mod number;
mod partial;
mod partial_wire;
mod question;
mod row;
mod short;
mod sql_text;
mod temporal;
pub mod token;

pub use self::bare::BareNames;
pub use self::column_type::{ColumnType, null_sql};
pub use self::description::{
    FieldShape, ShapeMismatch, parse_row_description, rewrite_row_description,
};
pub use self::json::{JsonAction, JsonMask, JsonOther};
pub use self::mask::{CompiledMask, Mask, MaskError};
pub use self::partial::Partial;
pub use self::question::Question;
pub use self::row::{MalformedRow, OutputRule, RowMasker, Transform};
pub use self::temporal::Unit;
pub use self::token::TokenColumn;
