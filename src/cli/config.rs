//! `pgveil config check`: the configuration, its secrets and the policy it names, without a
//! connection to anything.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::policy::{MessageFormat, report};
use crate::policy::{Errors, PolicyError};
use crate::server::config::Config;
use crate::server::policy_files;

/// `pgveil config check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(default_value = "pgveil.yaml")]
    pub file: PathBuf,
    /// How messages are printed.
    #[arg(long, value_enum, default_value_t = MessageFormat::Human)]
    pub format: MessageFormat,
}

/// Checks a configuration and prints what it finds; exit code 1 on any error.
///
/// # Errors
/// `out` cannot be written.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> io::Result<ExitCode> {
    let result = messages(args);
    let summary = result.is_ok().then(|| "ok".to_owned());
    let messages = result.unwrap_or_else(Errors::into_vec);
    report(&messages, args.format, summary, out)
}

fn messages(args: &CheckArgs) -> Result<Vec<PolicyError>, Errors> {
    let config = Config::load(&args.file)?;
    let policy = policy_files::load(&config.policies)?;
    let mut messages = policy.notes;
    for role in config.upstream.logins.keys().filter(|r| *r != "*") {
        if !policy.roles.contains_key(role.as_str()) {
            let message = format!("upstream.logins names role `{role}`, which the policy has not");
            messages.push(PolicyError::error(message));
        }
    }
    Ok(messages)
}
