//! The command line: one file per command, and the throwaway PostgreSQL that `demo` and the tests
//! share. Nothing here decides what a role may see.

pub mod cluster;
pub mod keys;
pub mod out;
