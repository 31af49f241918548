//! The addresses of `upstream.address`: which of them is the primary, which does not answer, and where
//! to connect next.
//!
//! What a connection finds out is remembered for a few checks, so that one address that is down does
//! not cost every session its timeout. With several addresses a task looks at all of them all the
//! time: after a failover sessions go to the new primary whether or not one of them has run into the
//! old one. Deliberately absent: any opinion on who should be primary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::config::{TargetSession, Upstream};
use super::{Shared, upstreams};
use crate::pg::sqlstate;
use crate::upstream::{ConnectError, Dial, Rows, UpstreamConnection, UpstreamOptions, connect_by};

/// What was last found at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    /// Nobody has looked, or not for long.
    Unknown,
    /// It takes writes, or nobody asked for more than an answer.
    Up,
    /// It is in recovery.
    Standby,
    /// It does not answer, or says that it cannot now.
    Down,
}

/// One address.
struct Host {
    name: String,
    port: u16,
    found: Mutex<(Condition, Option<Instant>)>,
}

impl Host {
    fn note(&self, condition: Condition) -> Condition {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *found, (condition, Some(Instant::now()))).0
    }

    fn condition(&self, memory: Duration) -> Condition {
        match *self.found.lock().unwrap_or_else(PoisonError::into_inner) {
            (condition, Some(at)) if at.elapsed() < memory => condition,
            _ => Condition::Unknown,
        }
    }
}

/// All addresses.
pub(super) struct Hosts {
    known: Vec<Host>,
    target: TargetSession,
    interval: Duration,
    dial: Dial,
    /// How often sessions were sent somewhere else.
    generation: AtomicU64,
}

impl Hosts {
    /// Nothing is known yet.
    pub(super) fn new(upstream: &Upstream, dial: Dial) -> Self {
        let hosts = upstream.addresses.iter().map(|address| {
            let (name, port) = split(address);
            Host {
                name: name.to_owned(),
                port,
                found: Mutex::new((Condition::Unknown, None)),
            }
        });
        Self {
            known: hosts.collect(),
            target: upstream.target,
            interval: upstream.check_interval,
            dial,
            generation: AtomicU64::new(0),
        }
    }

    /// Changes when the server that sessions go to is another: what is connected to the one before is
    /// of the past.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Where the next connection would be tried first.
    pub(super) fn likeliest(&self) -> Option<(&str, u16)> {
        let first = self.in_order().into_iter().next()?;
        Some((first.name.as_str(), first.port))
    }

    /// Connects to the first address that will do. A server that says no is the answer.
    pub(super) async fn reach(
        &self,
        mut options: UpstreamOptions,
    ) -> Result<UpstreamConnection, ConnectError> {
        let mut last = ConnectError::Protocol("no address is configured");
        for host in self.in_order() {
            match self.attempt(host, &mut options).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    let elsewhere = goes_on(&error);
                    last = error;
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    async fn attempt(
        &self,
        host: &Host,
        options: &mut UpstreamOptions,
    ) -> Result<UpstreamConnection, ConnectError> {
        host.name.clone_into(&mut options.host);
        options.port = host.port;
        let connected = connect_by(options, &self.dial).await;
        let judged = match connected {
            Ok(mut connection) => self
                .judge(&mut connection, options)
                .await
                .map(|()| connection),
            Err(error) => Err(error),
        };
        let condition = match &judged {
            Ok(_) => Condition::Up,
            Err(ConnectError::Standby) => Condition::Standby,
            Err(error) if goes_on(error) => Condition::Down,
            // It answers, and what it says is about the login.
            Err(_) => return judged,
        };
        if host.note(condition) != condition {
            let (host, port) = (&host.name, host.port);
            tracing::info!(host, port, ?condition, "upstream address");
            if condition == Condition::Up {
                self.generation.fetch_add(1, Ordering::AcqRel);
            }
        }
        judged
    }

    async fn judge(
        &self,
        connection: &mut UpstreamConnection,
        options: &UpstreamOptions,
    ) -> Result<(), ConnectError> {
        if self.target == TargetSession::Any {
            return Ok(());
        }
        if in_recovery(connection, options).await? {
            return Err(ConnectError::Standby);
        }
        Ok(())
    }

    /// The likeliest first; in the order of the configuration among equals.
    fn in_order(&self) -> Vec<&Host> {
        let mut hosts: Vec<&Host> = self.known.iter().collect();
        hosts.sort_by_key(|host| match host.condition(self.memory()) {
            Condition::Up if self.target == TargetSession::Primary => 0,
            Condition::Up | Condition::Unknown => 1,
            Condition::Standby => 2,
            Condition::Down => 3,
        });
        hosts
    }

    /// One missed check is no reason to forget the one before.
    fn memory(&self) -> Duration {
        self.interval.saturating_mul(3)
    }

    /// Looks at every address all the time; for ever.
    pub(super) async fn watch(shared: Arc<Shared>) {
        let hosts = &shared.hosts;
        if hosts.known.len() < 2 {
            return;
        }
        loop {
            let before = hosts.generation();
            let looks = hosts.known.iter().map(|host| {
                let database = shared.listed_database();
                let mut options =
                    upstreams::catalog_options(&shared.config.upstream, &shared.tls, &database);
                async move { drop(hosts.attempt(host, &mut options).await) }
            });
            futures::future::join_all(looks).await;
            if hosts.generation() != before {
                for database in &shared.databases {
                    database.request();
                }
            }
            tokio::time::sleep(hosts.interval).await;
        }
    }
}

/// The next address may be the primary, or simply up.
fn goes_on(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Unreachable(_)
            | ConnectError::Timeout
            | ConnectError::Io(_)
            | ConnectError::Standby
    ) || matches!(
        error.sqlstate(),
        sqlstate::CANNOT_CONNECT_NOW | sqlstate::ADMIN_SHUTDOWN | sqlstate::CRASH_SHUTDOWN
    )
}

/// From PostgreSQL 14 on the server says so itself; before, it is asked. A physical replication
/// connection can be asked nothing, and takes what it finds.
async fn in_recovery(
    connection: &mut UpstreamConnection,
    options: &UpstreamOptions,
) -> Result<bool, ConnectError> {
    let said = connection
        .parameters
        .iter()
        .find(|(n, _)| n == "in_hot_standby");
    if let Some((_, value)) = said {
        return Ok(value == "on");
    }
    if options.params.iter().any(|(name, _)| name == "replication") {
        return Ok(false);
    }
    let rows: Rows = connection
        .simple_query_text("SELECT pg_catalog.pg_is_in_recovery()")
        .await?;
    let answer = rows.into_iter().flatten().next().flatten();
    Ok(answer.as_deref() == Some(b"t"))
}

/// `host:port`; `[::1]:5432` for IPv6. Without a port PostgreSQL's own.
fn split(address: &str) -> (&str, u16) {
    const PORT: u16 = 5432;
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host, port.parse().unwrap_or(PORT))
        }
        _ => (address, PORT),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::config::{Login, UpstreamTlsMode};
    use super::{Condition, Dial, Hosts, TargetSession, Upstream, split};

    #[test]
    fn addresses_split_at_the_port() {
        assert_eq!(split("db:5433"), ("db", 5433));
        assert_eq!(split("db"), ("db", 5432));
        assert_eq!(split("[::1]:6000"), ("::1", 6000));
        assert_eq!(split("::1"), ("::1", 5432));
    }

    fn hosts(target: TargetSession, memory: Duration) -> Hosts {
        let upstream = Upstream {
            addresses: ["a:1", "b:1", "c:1", "d:1"].map(str::to_owned).to_vec(),
            target,
            connect_timeout: Duration::from_secs(1),
            check_interval: memory,
            tls: UpstreamTlsMode::Disable,
            ca: None,
            logins: BTreeMap::new(),
            catalog: Login {
                user: String::new(),
                password: None,
            },
        };
        Hosts::new(&upstream, Dial::default())
    }

    fn order(hosts: &Hosts) -> String {
        hosts.in_order().iter().map(|h| h.name.as_str()).collect()
    }

    #[test]
    fn what_is_known_to_be_the_primary_is_tried_first_and_what_is_down_last() {
        let hosts = hosts(TargetSession::Primary, Duration::from_secs(600));
        assert_eq!(order(&hosts), "abcd");
        hosts.known[0].note(Condition::Down);
        hosts.known[1].note(Condition::Standby);
        hosts.known[3].note(Condition::Up);
        assert_eq!(order(&hosts), "dcba");
    }

    #[test]
    fn any_server_will_do_in_the_order_of_the_list() {
        let hosts = hosts(TargetSession::Any, Duration::from_secs(600));
        hosts.known[1].note(Condition::Up);
        assert_eq!(order(&hosts), "abcd");
        hosts.known[0].note(Condition::Down);
        assert_eq!(order(&hosts), "bcda");
    }

    #[test]
    fn what_was_found_is_forgotten_after_a_while() {
        for (memory, known) in [(Duration::from_secs(600), "bcda"), (Duration::ZERO, "abcd")] {
            let hosts = hosts(TargetSession::Primary, memory);
            hosts.known[0].note(Condition::Down);
            std::thread::sleep(Duration::from_millis(10));
            assert_eq!(order(&hosts), known);
        }
    }
}
