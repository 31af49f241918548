//! The command line: one file per command, and the throwaway PostgreSQL that `demo` and the tests
//! share. Nothing here decides what a role may see.

pub mod bank;
pub mod cluster;
pub mod config;
pub mod out;
pub mod policy;
