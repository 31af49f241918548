//! One run: checks, rounds until nothing is left, and what comes after.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use tokio::time::sleep;

use super::checks::{Weight, obstacles};
use super::database::Database;
use super::progress::Progress;
use super::report::next_step;
use super::survey::Coverage;
use super::target::Target;
use super::turn::{Turner, broken};
use super::vacuum::{Vacuum, vacuum};
use super::{EncryptError, Place, Turn};
use crate::cli::out::note;
use crate::limits::{ENCRYPT_PATIENCE, ENCRYPT_PAUSE};
use crate::policy::EncryptedColumn;

/// A run that may begin.
pub(super) struct Job<'p> {
    turn: Turn,
    entry: &'p EncryptedColumn,
    db: Database,
    target: Target,
    pub(super) progress: Progress,
}

impl<'p> Job<'p> {
    /// Checks everything that can be checked before the first batch.
    pub(super) async fn begin(
        turn: Turn,
        place: &'p Place,
        entry: &'p EncryptedColumn,
    ) -> Result<Self, EncryptError> {
        let mut db = place.connect(turn.application()).await?;
        let target = Target::find(&mut db, entry, &place.ring).await?;
        lock(&mut db, &target).await?;
        let mut in_the_way = target.strange.clone();
        let mut only_turning = Vec::new();
        let found = obstacles(&mut db, entry, &target.family, &place.policy.encrypted).await?;
        for obstacle in found {
            match obstacle.weight {
                Weight::Refused => in_the_way.push(obstacle.text),
                Weight::NotWhileTurning => only_turning.push(obstacle.text),
                Weight::Warning => note(format_args!("pgveil: warning: {}", obstacle.text)),
            }
        }
        let mut job = Self {
            turn,
            entry,
            db,
            target,
            progress: Progress::new(entry.column.to_string()),
        };
        // What was encrypted by mistake can be decrypted whatever is in the way now.
        if turn == Turn::Encrypt && !in_the_way.is_empty() {
            return Err(job.refused(&in_the_way));
        }
        if !entry.backfill || !only_turning.is_empty() {
            job.look_first(&only_turning).await?;
        }
        Ok(job)
    }

    fn refused(&self, why: &[String]) -> EncryptError {
        let column = &self.entry.column;
        EncryptError::Refused(format!("{column} cannot be turned: {}", why.join("; ")))
    }

    /// Without `backfill` the proxy compares what is stored, and takes for granted that it is cells of
    /// one key. Values that stand among such cells are found by no comparison: to encrypt them makes
    /// that better and nothing worse. Anything else has to be said to the proxy first.
    async fn look_first(&mut self, only_turning: &[String]) -> Result<(), EncryptError> {
        let coverage = Coverage::count(&mut self.db, &self.target).await?;
        let done = match self.turn {
            Turn::Encrypt => coverage.is_whole(),
            Turn::Decrypt => coverage.is_clear(),
        };
        if done {
            return Ok(());
        }
        if !only_turning.is_empty() {
            return Err(self.refused(only_turning));
        }
        let strays = self.turn == Turn::Encrypt && coverage.older() == 0 && coverage.current > 0;
        if self.entry.backfill || strays {
            return Ok(());
        }
        let why = match self.turn {
            Turn::Decrypt => "cells and values will stand side by side".to_owned(),
            Turn::Encrypt if coverage.older() > 0 => format!(
                "{} of {} values are cells of another key than {}",
                coverage.older(),
                coverage.rows,
                self.target.cells.key_id()
            ),
            Turn::Encrypt => format!("none of {} values is a cell", coverage.rows),
        };
        Err(EncryptError::Refused(format!(
            "{column}: {why}, and the policy does not say so: the proxy would compare what cannot be \
             compared. Write this, RELOAD, and begin again:\nencrypt:\n  {column}: {{key: {key}, \
             backfill: true}}",
            column = self.entry.column,
            key = self.entry.key
        )))
    }

    /// Round after round, until a count in one snapshot finds nothing left.
    pub(super) async fn work(&mut self) -> Result<Coverage, EncryptError> {
        let mut patience = (Instant::now(), 0);
        loop {
            let mut turner = Turner::new(&mut self.db, &self.target, self.turn, &mut self.progress);
            let round = turner.round().await;
            let faults = std::mem::take(&mut turner.faults);
            self.progress.clear();
            for fault in &faults {
                note(format_args!("pgveil: {fault}"));
            }
            round?;
            let coverage = Coverage::count(&mut self.db, &self.target).await?;
            if let Some((table, tid)) = &coverage.broken_at {
                return Err(EncryptError::Stopped(broken(table, tid)));
            }
            let left = match self.turn {
                Turn::Encrypt => coverage.rows - coverage.current,
                Turn::Decrypt => coverage.rows - coverage.plain,
            };
            if left == 0 {
                return Ok(coverage);
            }
            if !faults.is_empty() {
                return Err(EncryptError::Stopped(format!(
                    "{left} of {} values are left: see above",
                    coverage.rows
                )));
            }
            if self.progress.turned() > patience.1 {
                patience = (Instant::now(), self.progress.turned());
            } else if patience.0.elapsed() > ENCRYPT_PATIENCE {
                return Err(EncryptError::Stopped(format!(
                    "{left} of {} values are left, in rows that other transactions have locked: begin \
                     again when those have ended",
                    coverage.rows
                )));
            }
            sleep(ENCRYPT_PAUSE).await;
        }
    }

    /// Says what was done, rids the table of old versions, and says what comes next.
    pub(super) async fn finish(
        mut self,
        place: &Place,
        coverage: &Coverage,
        how: Vacuum,
        out: &mut dyn Write,
    ) -> Result<ExitCode, EncryptError> {
        let (column, turned) = (&self.entry.column, self.progress.turned());
        let seconds = self.progress.elapsed().as_secs();
        if self.turn == Turn::Decrypt {
            writeln!(
                out,
                "{column}: decrypted {turned} cells in {seconds} s; none of {} values is a cell",
                coverage.rows
            )?;
            writeln!(
                out,
                "{}",
                next_step(self.turn, self.entry, &self.target, place)
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(
            out,
            "{column}: encrypted {turned} values in {seconds} s; {} of {} are cells of key {} ({})",
            coverage.percent(),
            coverage.rows,
            self.entry.key,
            self.target.cells.key_id()
        )?;
        let mut said = |what: &str| note(format_args!("pgveil: {what}"));
        let removed = vacuum(&mut self.db, &self.target, how, &mut said).await?;
        for left in &removed.left {
            note(format_args!("pgveil: warning: {left}"));
        }
        writeln!(
            out,
            "{}",
            next_step(self.turn, self.entry, &self.target, place)
        )?;
        Ok(if removed.is_done {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// One run on a table at a time. The lock of one that was killed goes with its server process, which
/// may have a statement to end first.
async fn lock(db: &mut Database, target: &Target) -> Result<(), EncryptError> {
    /// `pgve`, as the upper half of the lock's number.
    const OURS: i64 = 0x7067_7665 << 32;
    let number = OURS | target.root.parse::<u32>().map_or(0, i64::from);
    let started = Instant::now();
    loop {
        let sql = "SELECT pg_try_advisory_lock($1::int8)";
        if db.value(sql, &[&number.to_string()]).await? == "t" {
            return Ok(());
        }
        if started.elapsed() > ENCRYPT_PATIENCE {
            return Err(EncryptError::Refused(format!(
                "another pgveil encrypt or decrypt works on {}",
                target.column.table
            )));
        }
        sleep(ENCRYPT_PAUSE).await;
    }
}
