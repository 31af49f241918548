//! What a run leaves behind in words: audit records, coverage, the next step.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::survey::Coverage;
use super::target::Target;
use super::{EncryptError, Place, Turn};
use crate::audit::{Event, Outcome, Record, Who};
use crate::cli::audited::AuditLog;
use crate::cli::out::user;
use crate::pg::sqlstate;
use crate::policy::EncryptedColumn;

impl Turn {
    fn kind(self) -> &'static str {
        match self {
            Self::Encrypt => "ENCRYPT",
            Self::Decrypt => "DECRYPT",
        }
    }

    /// `application_name`, in PostgreSQL and in the audit log.
    pub(super) fn application(self) -> &'static str {
        match self {
            Self::Encrypt => "pgveil encrypt",
            Self::Decrypt => "pgveil decrypt",
        }
    }
}

/// The audit records of one run.
pub(super) struct Records {
    who: Arc<Who>,
    /// The login in PostgreSQL.
    login: String,
    turn: Turn,
    column: String,
    audit: AuditLog,
}

impl Records {
    pub(super) fn new(
        turn: Turn,
        place: &Place,
        column: &str,
        audit: AuditLog,
    ) -> Result<Self, EncryptError> {
        Ok(Self {
            who: Arc::new(Who {
                login: user()?,
                database: place.database.clone(),
                application_name: turn.application().to_owned(),
                ..Who::default()
            }),
            login: place.upstream.catalog.user.clone(),
            turn,
            column: column.to_owned(),
            audit,
        })
    }

    pub(super) fn begun(&self) -> Result<(), EncryptError> {
        self.write(Outcome::Allow, 0, format!("begun as {}", self.login))
    }

    pub(super) fn refused(&self, why: &str) -> Result<(), EncryptError> {
        self.write(Outcome::Refuse, 0, why.to_owned())
    }

    pub(super) fn ended(
        &self,
        turned: u64,
        done: Result<&Coverage, &EncryptError>,
    ) -> Result<(), EncryptError> {
        match done {
            Ok(coverage) => {
                let cells = coverage.current + coverage.older();
                let said = format!("ended: {cells} of {} values are cells", coverage.rows);
                self.write(Outcome::Allow, turned, said)
            }
            Err(error) => self.write(Outcome::Error, turned, error.to_string()),
        }
    }

    fn write(&self, outcome: Outcome, rows: u64, reason: String) -> Result<(), EncryptError> {
        let mut about = Record::new(Event::Encrypt, Arc::clone(&self.who));
        about.kind = self.turn.kind();
        about.target = Some(self.column.clone());
        about.decision = outcome;
        about.rows = rows;
        about.reason = Some(reason);
        about.sqlstate =
            (outcome == Outcome::Refuse).then(|| sqlstate::OBJECT_NOT_IN_STATE.to_owned());
        Ok(self.audit.write(about)?)
    }
}

/// What to do when a run has ended.
pub(super) fn next_step(
    turn: Turn,
    entry: &EncryptedColumn,
    target: &Target,
    place: &Place,
) -> String {
    let column = &entry.column;
    if turn == Turn::Decrypt {
        return format!("next: take {column} out of `encrypt`, and RELOAD");
    }
    let older: Vec<&str> = target.key_ids.iter().skip(1).map(String::as_str).collect();
    let others = (place.policy.encrypted.values())
        .filter(|other| other.key == entry.key && other.column != *column)
        .count();
    match (entry.backfill, older.is_empty()) {
        (false, _) => "nothing is left to do".to_owned(),
        (true, true) => format!("next: take `backfill: true` away from {column}, and RELOAD"),
        (true, false) => format!(
            "next: {}pgveil keys retire {}; then take `backfill: true` away, and RELOAD",
            if others > 0 {
                format!(
                    "when `pgveil encrypt --status` says 100 % of every column of key `{}`: ",
                    entry.key
                )
            } else {
                String::new()
            },
            older.join(", ")
        ),
    }
}

/// `pgveil encrypt --status`: counts one column, or all of them.
pub(super) async fn status(
    place: &Place,
    column: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, EncryptError> {
    let entries: Vec<&EncryptedColumn> = match column {
        Some(column) => vec![place.entry(column)?],
        None => place.policy.encrypted.values().collect(),
    };
    let mut db = place.connect("pgveil encrypt --status").await?;
    let mut counted = Vec::new();
    for entry in entries {
        let target = Target::find(&mut db, entry, &place.ring).await?;
        let coverage = Coverage::count(&mut db, &target).await?;
        counted.push((entry, target, coverage));
    }
    let is_whole = counted.iter().all(|(_, _, coverage)| coverage.is_whole());
    if json {
        let columns: Vec<_> = (counted.iter())
            .map(|(entry, target, coverage)| in_json(entry, target, coverage))
            .collect();
        writeln!(out, "{}", serde_json::Value::from(columns))?;
    } else {
        table(&counted, out)?;
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn in_json(entry: &EncryptedColumn, target: &Target, coverage: &Coverage) -> serde_json::Value {
    let tenths = coverage.tenths();
    let percent: serde_json::Value = if tenths.is_multiple_of(10) {
        (tenths / 10).into()
    } else {
        u32::try_from(tenths)
            .map_or(0.0, |tenths| f64::from(tenths) / 10.0)
            .into()
    };
    json!({
        "column": entry.column.to_string(),
        "key": entry.key,
        "key_id": target.cells.key_id(),
        "backfill": entry.backfill,
        "rows": coverage.rows,
        "current": coverage.current,
        "older": coverage.older,
        "plain": coverage.plain,
        "broken": coverage.broken,
        "percent": percent,
    })
}

type Counted<'a> = (&'a EncryptedColumn, Target, Coverage);

fn table(counted: &[Counted<'_>], out: &mut dyn Write) -> io::Result<()> {
    let head = [
        "column", "key", "rows", "cells", "older", "plain", "broken", "coverage",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    for (entry, target, coverage) in counted {
        let older: Vec<String> = (coverage.older.iter())
            .map(|(id, cells)| format!("{cells} ({id})"))
            .collect();
        lines.push([
            entry.column.to_string(),
            format!("{} ({})", entry.key, target.cells.key_id()),
            coverage.rows.to_string(),
            coverage.current.to_string(),
            if older.is_empty() {
                "0".to_owned()
            } else {
                older.join(", ")
            },
            coverage.plain.to_string(),
            coverage.broken.to_string(),
            coverage.percent(),
        ]);
    }
    for line in &lines {
        let mut text = String::new();
        for (at, cell) in line.iter().enumerate() {
            let widths = lines
                .iter()
                .filter_map(|line| line.get(at))
                .map(|c| c.width());
            let pad = " ".repeat(widths.max().unwrap_or(0).saturating_sub(cell.width()));
            // Names to the left, numbers to the right.
            let parts = if at < 2 {
                [cell, pad.as_str()]
            } else {
                [pad.as_str(), cell]
            };
            if at > 0 {
                text.push_str("  ");
            }
            text.push_str(&parts.concat());
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
