//! (being built)
pub mod introspect;
