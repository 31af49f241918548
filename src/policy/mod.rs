//! What roles may see: the policy language, and its binding to a catalog.
//!
//! ```text
//! files ── yaml ── read ── sections ── check ──▶ Policy ── bind(catalog, keys) ──▶ BoundPolicy
//! ```
//!
//! *Classify once, treat per class per role.* `columns` says what a column is, `treat` what a role
//! gets of it: column beats class beats level, and a missing cell is `deny`. There are no
//! priorities and no first match; two answers at one rank are an error that names both places.
//!
//! A column without a class gets `defaults.unclassified_column`, or the role's own, which is how an
//! application that owns the database says so:
//!
//! ```yaml
//! roles:
//!   app: {match: {login: app}, kind: service, unclassified_column: clear}
//! ```
//!
//! A role whose every classified column is clear and whose own default is clear is *unrestricted*
//! ([`Grants::unrestricted`]): its statements are not analyzed. A missing cell stays `deny` and keeps
//! the role restricted, whatever its default says.
//!
//! Deliberately absent: a default for `defaults.unclassified_column`, reading files (the server
//! hands over bytes), and clocks (callers say what day it is).

mod bind;
mod bound;
mod check;
mod classes;
mod document;
mod encrypt;
mod error;
mod inherit;
mod json_mask;
mod later;
mod masks;
mod matrix;
mod memo;
mod names;
mod network;
mod observe;
mod policy;
mod predict;
pub(crate) mod read;
mod render;
mod role;
mod settings;
mod source;
mod strength;
mod suggest;
mod tests_section;
pub(crate) mod time;
mod tokens;
mod treat;
mod treatment;
mod write;
mod write_bind;
pub(crate) mod yaml;

pub use self::bind::{Binding, bind, bind_without_keys, check_against};
pub use self::bound::{BoundPolicy, DefaultTreatment, Grants, Rule, Treatment, WriteGrant};
pub use self::classes::{Class, ClassName, ColumnClass, Level};
pub use self::encrypt::EncryptedColumn;
pub use self::error::{Errors, PolicyError, Severity};
pub(crate) use self::error::{Excerpt, Faults};
pub use self::json_mask::JsonAction;
pub use self::masks::{MaskDef, MaskSyntax};
pub use self::matrix::Matrix;
pub use self::memo::Memo;
pub use self::names::{ColumnName, QualifiedName, TablePattern};
pub use self::observe::Observation;
pub use self::policy::{Answer, Policy, Reason};
pub use self::render::{Format, render};
pub use self::role::{ClientIdentity, Mode, Role, RoleError, RoleKind, RoleName};
pub use self::settings::{SettingPattern, is_name as is_setting_name, may_set};
pub(crate) use self::source::shown;
pub use self::source::{SourceFile, Span};
pub(crate) use self::suggest::nearest;
pub use self::tests_section::{Check, PolicyTest};
pub use self::time::Date;
pub use self::tokens::{TokenDef, TokenFormat, TokenKind};
pub use self::treat::{Cell, Word};
pub use self::write::WriteRule;

/// Reads a policy of one file, for the fuzzer and for tests: any bytes give a policy or messages.
///
/// # Errors
/// Everything that is wrong in it.
pub fn parse_policy_bytes(name: &str, bytes: &[u8]) -> Result<Policy, Errors> {
    Policy::parse(&[SourceFile::new(name, bytes)?])
}
