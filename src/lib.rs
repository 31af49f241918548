//! pgveil: a PostgreSQL proxy that masks columns by role.
//!
//! Modules are listed in layer order: a module may import only from modules above it.

pub mod analyze;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod ident;
pub mod limits;
pub mod mask;
pub mod pg;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod sql;
pub mod upstream;
pub mod wire;
