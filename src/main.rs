//! The pgveil command: parses arguments, runs one command, maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use pgveil::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
