//! The command line: one file per command, and the throwaway PostgreSQL that `demo` and the tests
//! share. Nothing here decides what a role may see.

pub mod audited;
pub mod bank;
pub mod cluster;
pub mod config;
pub mod demo;
mod dsn;
pub mod encrypt;
pub mod explain;
pub mod keys;
pub mod log;
pub mod out;
pub mod policy;
pub mod serve;
pub mod token;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A PostgreSQL proxy that masks and tokenizes columns by role.
#[derive(Parser, Debug)]
#[command(name = "pgveil", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show what the proxy does: a PostgreSQL, a sample bank, three roles side by side
    Demo(demo::DemoArgs),
    /// Run the proxy
    Serve(serve::ServeArgs),
    /// Work with the policy: what which role may see
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Work with the keys of tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Turn values into tokens of a domain, and back
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Turn the values of an encrypted column into cells, in the table itself; or count them
    Encrypt(encrypt::EncryptArgs),
    /// Turn the cells of an encrypted column into values again
    Decrypt(encrypt::DecryptArgs),
    /// Work with pgveil.yaml
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand, Debug)]
enum PolicyCommand {
    /// Check the policy; exit code 1 on any error
    Check(policy::CheckArgs),
    /// Show what each role gets of each column
    Matrix(policy::MatrixArgs),
    /// Show what a role gets of each column of a statement; exit code 1 if it is refused
    Explain(explain::ExplainArgs),
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Check the configuration and the policy it names; exit code 1 on any error
    Check(config::CheckArgs),
}

impl Cli {
    /// Runs the command. Exit code 0 is success, 1 a fault found or a command that failed, 2 a
    /// command line that says nothing (clap's).
    pub fn run(self) -> ExitCode {
        let mut stdout = io::stdout();
        let result = match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Serve(args) => {
                log::start();
                serve::run(&args)
                    .map(|()| ExitCode::SUCCESS)
                    .map_err(io::Error::other)
            }
            Command::Policy(PolicyCommand::Check(args)) => policy::check(&args, &mut stdout),
            Command::Policy(PolicyCommand::Matrix(args)) => policy::matrix(&args, &mut stdout),
            Command::Policy(PolicyCommand::Explain(args)) => explain::explain(&args, &mut stdout),
            Command::Keys(command) => keys::run(command, &mut stdout)
                .map(|()| ExitCode::SUCCESS)
                .map_err(io::Error::other),
            Command::Token(command) => {
                token::run(command, &mut io::stdin(), &mut stdout).map_err(io::Error::other)
            }
            Command::Encrypt(args) => {
                encrypt::encrypt(&args, &mut stdout).map_err(io::Error::other)
            }
            Command::Decrypt(args) => {
                encrypt::decrypt(&args, &mut stdout).map_err(io::Error::other)
            }
            Command::Config(ConfigCommand::Check(args)) => config::check(&args, &mut stdout),
        };
        match result {
            Ok(code) => code,
            // The reader has seen enough: `pgveil policy matrix | head`.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(e) => {
                out::note(format_args!("pgveil: {e}"));
                ExitCode::FAILURE
            }
        }
    }
}
