//! `pgveil demo`: a PostgreSQL, a sample bank, the proxy, and three roles asking it the same things.
//!
//! Deliberately absent: a database or a policy of the reader's own (`pgveil serve` is for those).
//! The policy comes with the binary, so that the demo works from any folder; `--policies` tries
//! another one on the same bank.

mod questions;
mod setting;
mod table;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::{bank, out};
use crate::cli::serve;
use crate::server;
use setting::Setting;

/// Everyone's password in the demo: it listens on the loopback interface and is gone in the end.
const PASSWORD: &str = "demo";

/// `pgveil demo`
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Show the three queries and exit.
    #[arg(long)]
    pub once: bool,
    /// Port of the proxy on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 6432)]
    pub port: u16,
    /// A policy directory to use instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Print the sample bank as SQL and exit.
    #[arg(long, conflicts_with_all = ["once", "port", "policies"])]
    pub sql: bool,
}

/// Runs the demo until Ctrl-C, or once.
pub fn run(args: &DemoArgs) -> io::Result<ExitCode> {
    if args.sql {
        out::text(bank::script());
        out::text(bank::login(PASSWORD));
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = start_bank().map_err(io::Error::other)?;
    let listen = setting::listen(args.port)?;
    let setting = Setting::write(
        cluster.address(),
        listen,
        PASSWORD,
        args.policies.as_deref(),
    )?;
    let runtime = serve::runtime()?;
    let done = runtime.block_on(present(&setting, listen, args));
    // The proxy's connections end before the server they lead to.
    drop(runtime);
    drop(cluster);
    done.map(|()| ExitCode::SUCCESS)
}

fn start_bank() -> Result<Cluster, ClusterError> {
    out::note("Starting a throwaway PostgreSQL ...");
    let cluster = Cluster::start(&ClusterOptions::default())?;
    let version = cluster.run("postgres", "SHOW server_version")?;
    let version = version.split_whitespace().next().unwrap_or_default();
    out::note(format_args!(
        "PostgreSQL {version} is up. Loading a bank with {} customers ...",
        bank::CUSTOMERS
    ));
    cluster.run("postgres", "CREATE DATABASE bank")?;
    cluster.run("bank", &bank::script())?;
    cluster.run("bank", &bank::login(PASSWORD))?;
    Ok(cluster)
}

async fn present(setting: &Setting, listen: SocketAddr, args: &DemoArgs) -> io::Result<()> {
    // Asked for before anything is shown, so that an early Ctrl-C is not lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = server::start(setting.config()?)
        .await
        .map_err(io::Error::other)?;
    out::note(format_args!("pgveil listens on {listen}.\n"));
    tokio::select! {
        shown = questions::show(listen, PASSWORD) => shown?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    }
    if !args.once {
        out::text(farewell(listen));
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        out::note("\nStopping; nothing is left behind.");
    }
    running.shutdown().await;
    Ok(())
}

fn farewell(listen: SocketAddr) -> String {
    let line = |role: &str| {
        let (host, port) = (listen.ip(), listen.port());
        format!("  psql 'postgresql://{role}:{PASSWORD}@{host}:{port}/bank'\n")
    };
    let lines: String = questions::ROLES.into_iter().map(line).collect();
    format!(
        "Try it yourself; tables are bank.customers, bank.accounts and bank.orders:\n\n{lines}\nCtrl-C stops everything.\n"
    )
}
