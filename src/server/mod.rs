//! The process: configuration, listener, relay, reload, audit sink, admin endpoints.

pub mod config;
pub mod policy_files;
