//! The log of the process: `tracing` to standard error, filtered by `PGVEIL_LOG`.
//!
//! Deliberately absent: values and SQL. Nothing that holds one can be formatted, so no filter can
//! bring one out.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable with the filter, in `tracing-subscriber`'s words: `info`, `pgveil=debug`.
const VARIABLE: &str = "PGVEIL_LOG";

/// Without the variable. rustls warns of every client that closes its connection politely.
const DEFAULT: &str = "info,rustls=error";

/// Begins to log; the first call of a process counts.
pub fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people: in a file they are dirt, and cost as much as the words.
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // A second subscriber is refused, which is what is wanted.
    log.with_writer(io::stderr)
        .finish()
        .try_init()
        .unwrap_or_default();
}
