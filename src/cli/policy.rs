//! `pgveil policy check` and `pgveil policy matrix`: the policy, without a database.
//!
//! Deliberately absent: any rule of the language. Both ask [`Policy`], which is what the proxy
//! enforces.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::policy::{Format, Matrix, Policy, PolicyError, Severity, render};
use crate::server::policy_files;

/// `pgveil policy check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The policy's directory, or one file.
    #[arg(default_value = "policies")]
    pub dir: PathBuf,
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
    let result = policy_files::load(&args.dir);
    let summary = result.as_ref().ok().map(summary);
    let messages = match result {
        Ok(policy) => policy.notes,
        Err(errors) => errors.into_vec(),
    };
    report(&messages, args.format, summary, out)
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
