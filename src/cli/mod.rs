//! The commands, one file each.

pub mod config;
pub mod policy;
pub mod serve;
