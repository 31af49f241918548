//! What of PostgreSQL itself a restricted role may use: functions and catalog columns, by name.
//!
//! The lists are data files beside this one, with their reasons, for anyone to read and argue with.
//! They cover PostgreSQL 15 to 18; what is not listed is refused (a function, a relation) or NULL (a
//! column). `tests/catalog.rs` walks a live server and fails on a name that nobody has considered.
//!
//! Deliberately absent: functions of the owner, which only a policy can name, and any decision that
//! depends on arguments.

mod columns;
mod functions;
mod settings;
mod unheeded;

pub use self::columns::{CatalogColumn, catalog_column, catalog_relation, hidden_rows};
pub use self::columns::{considered_column, considered_relation};
pub use self::functions::{
    FunctionUse, builtin_function, considered_function, extension_function, system_function,
};
pub use self::settings::{SETTABLE, SETTABLE_OF_EXTENSIONS};
pub use self::unheeded::{Unheeded, all_unheeded, unheeded};
