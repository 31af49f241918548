//! `pgveil serve`: runs the proxy until SIGTERM or SIGINT; SIGHUP loads the policy again.

use std::future::Future;
use std::net::SocketAddr;
use std::panic;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sd_notify::NotifyState;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::limits;
use crate::policy::Errors;
use crate::server::config::Config;
use crate::server::{Running, Shutdown, StartError, start};

/// `pgveil serve`
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = "pgveil.yaml")]
    pub config: PathBuf,
}

/// Why `serve` ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(Errors),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The runtime or a signal handler could not be set up.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Runs the proxy until it is told to stop.
pub fn run(args: &ServeArgs) -> Result<(), ServeError> {
    let config = Config::load(&args.config).map_err(ServeError::Config)?;
    quiet_panics();
    runtime()?.block_on(serve_until_signalled(config))
}

/// A runtime whose threads can parse, walk and drop the deepest statement that is accepted.
pub fn runtime() -> std::io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("pgveil")
        .thread_stack_size(limits::STACK_BYTES)
        .build()
}

/// Runs the proxy until `shutdown` resolves; `on_ready` is told where it listens.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()>,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let running = start(config).await?;
    on_ready(running.addr);
    shutdown.await;
    running.shutdown().await;
    Ok(())
}

async fn serve_until_signalled(config: Config) -> Result<(), ServeError> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut pause = signal(SignalKind::user_defined1())?;
    let mut resume = signal(SignalKind::user_defined2())?;
    let reuse_port = config.reuse_port;
    let running = start(config).await?;
    tracing::info!(addr = %running.addr, "listening");
    notify(&[NotifyState::Ready]);
    let order = loop {
        tokio::select! {
            _ = hangup.recv() => reload(&running),
            // PgBouncer's signals.
            _ = pause.recv() => running.pause(),
            _ = resume.recv() => running.resume(),
            () = either(&mut terminate, &mut interrupt) => break None,
            how = running.ordered() => break Some(how),
        }
    };
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    // How long clients are left alone. A second signal ends that.
    let patience = match order {
        Some(Shutdown::WaitForClients) => Duration::MAX,
        // A successor takes the new ones; those that are here may leave by themselves.
        None if reuse_port => limits::DRAIN,
        None | Some(Shutdown::Now | Shutdown::WaitForServers) => Duration::ZERO,
    };
    if order == Some(Shutdown::Now) {
        running.kill_sessions();
    }
    if !patience.is_zero() {
        tokio::select! {
            left = timeout(patience, running.wait_for_clients()) => drop(left),
            () = either(&mut terminate, &mut interrupt) => {}
        }
    }
    tokio::select! {
        () = running.shutdown() => {}
        // Asked twice: now.
        () = either(&mut terminate, &mut interrupt) => {}
    }
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn reload(running: &Running) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    // What is wrong with it is in the log; the old policy stays in force.
    drop(running.reload());
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "service manager not notified");
    }
}

/// A panic's message can quote data; its place cannot.
fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        tracing::error!(place = place.as_deref().unwrap_or("?"), "panic");
    }));
}
