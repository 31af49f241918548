//! `pgveil encrypt` and `pgveil decrypt`: the values of a column of `encrypt` to cells, and back, in
//! the table itself; and `pgveil encrypt --status`: how far that is.
//!
//! They talk to PostgreSQL, not to the proxy, which goes on serving meanwhile: the policy tells it, by
//! `backfill: true`, that values and cells stand side by side. What has been done is seen in the table
//! alone, so a run may be ended at any moment and begun again. Each run leaves a record in the audit
//! log when it begins and when it ends, with counts.

mod checks;
mod database;
mod job;
mod progress;
mod report;
mod survey;
mod target;
mod turn;
mod vacuum;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use thiserror::Error;

pub(super) use self::checks::check;
use self::database::{Database, Fault};
use self::job::Job;
use self::report::Records;
use self::turn::Stop;
pub use self::vacuum::Vacuum;
use super::audited::{AuditError, AuditLog};
use super::{dsn, serve::runtime};
use crate::mask::token::KeyRing;
use crate::policy::{ColumnName, EncryptedColumn, Errors, Policy, PolicyError, nearest};
use crate::server::config::{Config, Upstream};
use crate::server::{connect_to_work, keys, policy_files};

/// `pgveil encrypt`
#[derive(Args, Debug)]
pub struct EncryptArgs {
    /// The column: schema.table.column, as `encrypt` of the policy names it
    #[arg(required_unless_present = "status")]
    column: Option<String>,
    /// Count instead, this column or all of `encrypt`; exit code 0 if all values are current cells
    #[arg(long, conflicts_with = "vacuum")]
    status: bool,
    /// With --status: one JSON array
    #[arg(long, requires = "status")]
    json: bool,
    /// What rids the table of the old versions of its rows
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Vacuum::Plain)]
    vacuum: Vacuum,
    /// Where it is done.
    #[command(flatten)]
    place: PlaceArgs,
}

/// `pgveil decrypt`
#[derive(Args, Debug)]
pub struct DecryptArgs {
    /// The column: schema.table.column, as `encrypt` of the policy names it
    column: String,
    /// Where it is done.
    #[command(flatten)]
    place: PlaceArgs,
}

/// The configuration, and the database it is done in.
#[derive(Args, Debug)]
pub struct PlaceArgs {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = "pgveil.yaml")]
    config: PathBuf,
    /// Work in this database, as this user: postgresql://user@host:port/database?sslmode=… The password
    /// may stand in PGPASSWORD instead [default: the catalog login, where the configuration says]
    #[arg(long, value_name = "URL")]
    dsn: Option<String>,
    /// Without --dsn: the database, if the policy names several or none
    #[arg(short, long, value_name = "NAME", conflicts_with = "dsn")]
    database: Option<String>,
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Encrypt,
    Decrypt,
}

/// Why a run did not do what it was asked.
#[derive(Debug, Error)]
pub enum EncryptError {
    /// Configuration, policy or key ring are wrong.
    #[error("{0}")]
    Setting(Errors),
    /// It must be recorded, and is not.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The policy has no such column.
    #[error("`encrypt` of the policy does not name {0}{1}")]
    Unknown(String, String),
    /// The column, its table or its keys do not fit.
    #[error("{0}")]
    Unfit(String),
    /// Something is in the way, and nothing was done.
    #[error("{0}")]
    Refused(String),
    /// It began and could not end.
    #[error("{0}")]
    Stopped(String),
    /// PostgreSQL refused, or is gone.
    #[error("database {0}: {1}")]
    Database(String, String),
    /// A stream failed.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl From<Errors> for EncryptError {
    fn from(errors: Errors) -> Self {
        Self::Setting(errors)
    }
}

impl From<Fault> for EncryptError {
    fn from(fault: Fault) -> Self {
        Self::Stopped(fault.to_string())
    }
}

impl From<Stop> for EncryptError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(fault) => fault.into(),
            Stop::Said(why) => Self::Stopped(why),
        }
    }
}

/// What a run works with.
struct Place {
    config: Config,
    policy: Policy,
    ring: KeyRing,
    upstream: Upstream,
    database: String,
}

impl Place {
    fn of(args: &PlaceArgs) -> Result<Self, EncryptError> {
        let config = Config::load(&args.config)?;
        let policy = policy_files::load(&config.policies)?;
        let named = args.dsn.as_deref().map(dsn::parse).transpose();
        let named = named.map_err(|e| Errors::from(PolicyError::error(format!("--dsn: {e}"))))?;
        let (upstream, database) = match (named, &args.database, policy.databases.as_slice()) {
            (Some((upstream, database)), _, _) => (upstream, database),
            (None, Some(database), _) | (None, None, [database]) => {
                (config.upstream.clone(), database.clone())
            }
            (None, None, _) => {
                let error =
                    PolicyError::error("the policy is not for one database: which is meant?");
                return Err(Errors::from(error.help("say it: --database NAME")).into());
            }
        };
        if !policy.covers(&database) {
            let error = PolicyError::error(format!("the policy is not for database {database}"));
            return Err(Errors::from(error).into());
        }
        let ring = keys(&config)?;
        Ok(Self {
            config,
            policy,
            ring,
            upstream,
            database,
        })
    }

    async fn connect(&self, name: &str) -> Result<Database, EncryptError> {
        connect(&self.upstream, &self.database, name)
            .await
            .map_err(|e| EncryptError::Database(self.database.clone(), e))
    }

    fn entry(&self, column: &str) -> Result<&EncryptedColumn, EncryptError> {
        let found = ColumnName::parse(column).and_then(|name| self.policy.encrypted.get(&name));
        found.ok_or_else(|| {
            let known: Vec<String> = (self.policy.encrypted.keys())
                .map(ToString::to_string)
                .collect();
            let near = nearest(column, known.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!(": did you mean {near}?"));
            EncryptError::Unknown(column.to_owned(), near)
        })
    }
}

/// A connection that waits for nobody for long.
async fn connect(upstream: &Upstream, database: &str, name: &str) -> Result<Database, String> {
    let settings = [
        ("application_name", name),
        ("lock_timeout", "2s"),
        // Short statements only.
        ("jit", "off"),
    ];
    let connection = connect_to_work(upstream, database, &settings).await?;
    Ok(Database::new(connection))
}

/// Runs `pgveil encrypt`. Exit code 0 if all values are cells of the current key.
///
/// # Errors
/// It did not begin, or did not end; what was turned is turned.
pub fn encrypt(args: &EncryptArgs, out: &mut dyn Write) -> Result<ExitCode, EncryptError> {
    match (&args.column, args.status) {
        (Some(column), false) => run(Turn::Encrypt, column, args.vacuum, &args.place, out),
        (column, _) => {
            let place = Place::of(&args.place)?;
            let status = report::status(&place, column.as_deref(), args.json, out);
            runtime()?.block_on(status)
        }
    }
}

/// Runs `pgveil decrypt`. Exit code 0 if no cell is left.
///
/// # Errors
/// It did not begin, or did not end; what was turned is turned.
pub fn decrypt(args: &DecryptArgs, out: &mut dyn Write) -> Result<ExitCode, EncryptError> {
    run(Turn::Decrypt, &args.column, Vacuum::None, &args.place, out)
}

fn run(
    turn: Turn,
    column: &str,
    how: Vacuum,
    place: &PlaceArgs,
    out: &mut dyn Write,
) -> Result<ExitCode, EncryptError> {
    let place = Place::of(place)?;
    let audit = AuditLog::of(&place.config)?;
    let entry = place.entry(column)?;
    let records = Records::new(turn, &place, column, audit)?;
    runtime()?.block_on(async {
        let mut job = Job::begin(turn, &place, entry).await.inspect_err(|error| {
            // That it could not be recorded either is the lesser message.
            records.refused(&error.to_string()).unwrap_or_default();
        })?;
        records.begun()?;
        let done = job.work().await;
        records.ended(job.progress.turned(), done.as_ref())?;
        job.finish(&place, &done?, how, out).await
    })
}
