//! A standby of a throwaway cluster, by streaming replication: for tests of failover.

use std::process::Stdio;

use super::account::Account;
use super::{Cluster, ClusterError, SUPERUSER, Scratch, clean_command, failed};

impl Cluster {
    /// A copy by `pg_basebackup` that follows this cluster until it is promoted.
    pub fn standby(&self) -> Result<Self, ClusterError> {
        let scratch = Scratch::new()?;
        let mut backup = clean_command(self.binaries.join("pg_basebackup"));
        Account::apply(scratch.account, &mut backup);
        backup
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync"])
            .args(["-U", SUPERUSER, "-p", &self.port.to_string(), "-h"])
            .arg(&self.scratch.folder)
            .arg("-D")
            .arg(scratch.data());
        backup.current_dir(&scratch.folder).stdin(Stdio::null());
        let output = backup.output().map_err(|e| failed("pg_basebackup", e))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(ClusterError::Program("pg_basebackup", words));
        }
        // With the same settings: some may not be lower than the primary's.
        let (server, port) = scratch.start(&self.binaries, &self.options)?;
        Ok(Self {
            binaries: self.binaries.clone(),
            options: self.options.clone(),
            port,
            server,
            scratch,
        })
    }

    /// Stops the server as a crash would, clients and all; the files stay until the cluster is dropped.
    pub fn crash(&mut self) -> Result<(), ClusterError> {
        self.stop().map_err(|e| failed("pg_ctl", e))
    }
}
