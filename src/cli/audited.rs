//! The audit log of commands that handle stored values: each run leaves a record, or does not happen.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::audit::Record;
use crate::server::config::Config;
use crate::server::record;

/// Why a run could not be recorded.
#[derive(Debug, Error)]
pub enum AuditError {
    /// There is nowhere to record it.
    #[error(
        "the configuration names no audit log, and every use of this command is recorded: `audit: FILE`"
    )]
    NoLog,
    /// The log cannot be written.
    #[error("{}: {}", .0.display(), .1)]
    Write(PathBuf, #[source] io::Error),
}

/// Where the configuration has it.
pub(super) struct AuditLog(PathBuf);

impl AuditLog {
    pub(super) fn of(config: &Config) -> Result<Self, AuditError> {
        config.audit.clone().map(Self).ok_or(AuditError::NoLog)
    }

    /// Appends a record; it is on the disk when this returns.
    pub(super) fn write(&self, about: Record) -> Result<(), AuditError> {
        record(&self.0, about).map_err(|e| AuditError::Write(self.0.clone(), e))
    }
}
