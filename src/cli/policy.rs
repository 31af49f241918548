//! `pgveil policy check` and `pgveil policy matrix`: the policy, and with `--dsn` or `-c` whether it
//! fits a database.
//!
//! Deliberately absent: any rule of the language. Both ask [`Policy`], which is what the proxy
//! enforces, and a database is judged by the code that binds a policy to it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::dsn;
use super::encrypt;
use super::serve::runtime;
use crate::policy::{Errors, Format, Matrix, Policy, PolicyError, Severity, check_against, render};
use crate::server::config::{Config, Upstream};
use crate::server::{policy_files, read_catalog, today};

/// `pgveil policy check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The policy's directory, or one file [default: policies, or what the configuration says].
    pub dir: Option<PathBuf>,
    /// Check against the databases of this configuration, as its catalog login.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check against this database: postgresql://user@host:port/database?sslmode=… The password may
    /// stand in PGPASSWORD instead.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub dsn: Option<String>,
    /// With --config: the database, if the policy does not name it.
    #[arg(short, long, value_name = "NAME", requires = "config")]
    pub database: Option<String>,
    /// How messages are printed.
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub format: MessageFormat,
}

/// `--format` of the commands that check.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageFormat {
    /// With source lines and carets.
    Human,
    /// One JSON array.
    Json,
    /// A SARIF 2.1.0 log, for code review tools.
    Sarif,
}

impl From<MessageFormat> for Format {
    fn from(format: MessageFormat) -> Self {
        match format {
            MessageFormat::Human => Self::Human,
            MessageFormat::Json => Self::Json,
            MessageFormat::Sarif => Self::Sarif,
        }
    }
}

/// `pgveil policy matrix`
#[derive(Args, Clone, Debug)]
pub struct MatrixArgs {
    /// The policy's directory, or one file.
    #[arg(default_value = "policies")]
    pub dir: PathBuf,
    /// How the matrix is printed.
    #[arg(long, value_enum, default_value_t = MatrixFormat::Table)]
    pub format: MatrixFormat,
}

/// `--format` of `policy matrix`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatrixFormat {
    /// Columns aligned for a terminal.
    Table,
    /// Comma-separated values.
    Csv,
    /// One HTML page.
    Html,
}

/// Checks a policy and prints what it finds; exit code 1 on any error.
///
/// # Errors
/// `out` cannot be written.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> io::Result<ExitCode> {
    let (messages, summary) = match checked(args) {
        Ok((messages, summary)) => (messages, Some(summary)),
        Err(errors) => (errors.into_vec(), None),
    };
    report(&messages, args.format, summary, out)
}

/// What checking has to say, and its last line.
fn checked(args: &CheckArgs) -> Result<(Vec<PolicyError>, String), Errors> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let dir = args.dir.as_deref();
    let dir = dir.or(config.as_ref().map(|c| c.policies.as_path()));
    let mut policy = policy_files::load(dir.unwrap_or(Path::new("policies")))?;
    let mut messages = std::mem::take(&mut policy.notes);
    messages.extend(policy.predicted());
    let mut summary = summary(&policy);
    let named = args.dsn.as_deref().map(dsn::parse).transpose();
    let named = named.map_err(|e| PolicyError::error(format!("--dsn: {e}")))?;
    let (upstream, databases) = match (config, named) {
        (Some(config), _) => {
            let databases = match &args.database {
                Some(database) => vec![database.clone()],
                None => policy.databases.clone(),
            };
            (config.upstream, databases)
        }
        (None, Some((upstream, database))) => (upstream, vec![database]),
        (None, None) => return Ok((messages, summary)),
    };
    if databases.is_empty() {
        let error = PolicyError::error("the policy is for any database: which one is meant?");
        return Err(error.help("say it: --database NAME").into());
    }
    for database in databases {
        messages.extend(against(&policy, &upstream, &database)?);
        summary.push_str("; fits ");
        summary.push_str(&database);
    }
    Ok((messages, summary))
}

fn against(
    policy: &Policy,
    upstream: &Upstream,
    database: &str,
) -> Result<Vec<PolicyError>, Errors> {
    let fault = |what: String| PolicyError::error(format!("database {database}: {what}"));
    let runtime = runtime().map_err(|e| fault(e.to_string()))?;
    let catalog = runtime.block_on(read_catalog(upstream, database));
    let mut messages = check_against(policy, &catalog.map_err(fault)?, today())?;
    messages.extend(runtime.block_on(encrypt::check(policy, upstream, database))?);
    Ok(messages)
}

fn summary(policy: &Policy) -> String {
    let count =
        |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    format!(
        "ok: {}, {}, {}, {}",
        count(policy.classes.len(), "class", "classes"),
        count(policy.columns.len(), "column", "columns"),
        count(policy.roles.len(), "role", "roles"),
        count(policy.tests.len(), "test", "tests"),
    )
}

/// Prints messages; 1 if one of them is an error.
pub(super) fn report(
    messages: &[PolicyError],
    format: MessageFormat,
    summary: Option<String>,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    out.write_all(render(messages, format.into()).as_bytes())?;
    let errors = messages
        .iter()
        .filter(|m| m.severity == Severity::Error)
        .count();
    if format == MessageFormat::Human {
        match (errors, summary) {
            (0, Some(summary)) => writeln!(out, "{summary}")?,
            (0, None) => {}
            (1, _) => writeln!(out, "1 error")?,
            (n, _) => writeln!(out, "{n} errors")?,
        }
    }
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints role × column; exit code 1 if the policy has errors.
///
/// # Errors
/// `out` cannot be written.
pub fn matrix(args: &MatrixArgs, out: &mut dyn Write) -> io::Result<ExitCode> {
    let policy = match policy_files::load(&args.dir) {
        Ok(policy) => policy,
        Err(errors) => return report(&errors.into_vec(), MessageFormat::Human, None, out),
    };
    let matrix = Matrix::of(&policy);
    let text = match args.format {
        MatrixFormat::Table => matrix.table(),
        MatrixFormat::Csv => matrix.csv(),
        MatrixFormat::Html => matrix.html(),
    };
    out.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
