//! Cancel requests: the keys clients hold, and what they stand for upstream.
//!
//! A client is given a key of the proxy's; the upstream's never leaves it. With one upstream connection
//! per client the client may be given the upstream's process number, so that `pg_backend_pid()` says
//! what its driver knows. A client that borrows connections cancels on the one it has, or its wait for one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::{UpstreamConnection, secure};
use super::error::ConnectError;
use super::stream::UpstreamStream;
use super::tls::UpstreamTls;
use crate::client::Tcp;
use crate::limits;
use crate::wire::startup;

/// The server a connection went to, for cancelling it: the same address, even if its name has others.
#[derive(Clone)]
pub struct CancelTarget {
    address: SocketAddr,
    host: Arc<str>,
    tls: Option<UpstreamTls>,
}

impl CancelTarget {
    pub(super) fn new(address: SocketAddr, host: &str, tls: &UpstreamTls, encrypted: bool) -> Self {
        Self {
            address,
            host: Arc::from(host),
            tls: encrypted.then(|| tls.clone()),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Asks the server to cancel what `pid` runs, over TLS if the connection itself is, and waits until the
/// server has taken the request. The server does not say what came of it.
pub async fn cancel(target: &CancelTarget, pid: i32, key: &[u8]) -> Result<(), ConnectError> {
    let request = async {
        let tcp = TcpStream::connect(target.address)
            .await
            .map_err(ConnectError::Unreachable)?;
        Tcp::default().apply(&tcp)?;
        let mut stream = match &target.tls {
            None => UpstreamStream::Plain(tcp),
            Some(tls) => match secure(tcp, &target.host, tls).await? {
                UpstreamStream::Plain(_) => return Err(ConnectError::NoTls),
                encrypted @ UpstreamStream::Tls(_) => encrypted,
            },
        };
        let mut out = BytesMut::new();
        startup::write_cancel(&mut out, pid, key)?;
        stream.write_all(&out).await?;
        stream.flush().await?;
        // The server closes without an answer once the signal is sent. How it closes is not news.
        let mut byte = [0; 1];
        drop(stream.read(&mut byte).await);
        Ok(())
    };
    timeout(limits::CONNECT_TIMEOUT, request)
        .await
        .unwrap_or(Err(ConnectError::Timeout))
}

/// What a client's key stands for.
#[derive(Clone)]
pub struct Upstream {
    /// Where.
    pub target: CancelTarget,
    /// The process.
    pub pid: i32,
    /// The upstream's own key.
    pub key: Bytes,
}

/// There are [`limits::CANCEL_KEYS`] sessions, or no randomness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("sorry, too many clients already")]
pub struct RegistryFull;

/// A connection that is lent: who borrows it may cancel what runs on it, and nobody gets it while a
/// cancel request for it is on its way.
pub struct Lease {
    upstream: Upstream,
    on_the_way: AtomicUsize,
}

impl Lease {
    /// Nobody cancels anything.
    pub fn new(connection: &UpstreamConnection) -> Self {
        let (pid, key) = &connection.backend_key;
        Self {
            upstream: Upstream {
                target: connection.cancel_target().clone(),
                pid: *pid,
                key: key.clone(),
            },
            on_the_way: AtomicUsize::new(0),
        }
    }

    /// No cancel request is on its way.
    pub fn is_calm(&self) -> bool {
        self.on_the_way.load(Ordering::Acquire) == 0
    }
}

/// Which connection a client has now, if it has one.
#[derive(Default)]
pub struct Borrowed(Mutex<Has>);

/// What a client can cancel.
#[derive(Default)]
enum Has {
    #[default]
    Nothing,
    /// Its wait for a connection.
    Wait(oneshot::Sender<()>),
    /// What runs on the one it has.
    Lease(Arc<Lease>),
}

impl Borrowed {
    /// It has this one now.
    pub fn set(&self, lease: Option<Arc<Lease>>) {
        *self.has() = lease.map_or(Has::Nothing, Has::Lease);
    }

    /// It waits for one now; says when that is cancelled.
    pub fn waits(&self) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        *self.has() = Has::Wait(cancel);
        cancelled
    }

    fn has(&self) -> MutexGuard<'_, Has> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key stands for.
enum Held {
    Own(Upstream),
    Borrowed(Arc<Borrowed>),
}

/// A cancel request that may be sent; the connection stays with its client until this is dropped.
pub struct Cancel {
    upstream: Option<Upstream>,
    lease: Option<Arc<Lease>>,
}

impl Cancel {
    /// What to cancel. `None`: a wait for a connection, which is over now.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease {
            lease.on_the_way.fetch_sub(1, Ordering::Release);
        }
    }
}

struct Entry {
    key: Bytes,
    held: Held,
}

/// Keys of all live sessions. Several upstream servers may use one process number, so a number can
/// have several keys.
#[derive(Default)]
pub struct CancelRegistry {
    entries: DashMap<i32, Vec<Entry>>,
    count: AtomicUsize,
}

impl CancelRegistry {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Issues a key for a session that uses `upstream`, under the upstream's process number. `minor` is
    /// the client's: before 3.2 keys have four bytes. The key is void when the registration is dropped.
    pub fn register(
        self: &Arc<Self>,
        upstream: Upstream,
        minor: u16,
    ) -> Result<Registration, RegistryFull> {
        self.issue(upstream.pid, Held::Own(upstream), minor)
    }

    /// Issues a key for a session that borrows its connections, under the number `pid`.
    pub fn register_borrower(
        self: &Arc<Self>,
        pid: i32,
        borrowed: Arc<Borrowed>,
        minor: u16,
    ) -> Result<Registration, RegistryFull> {
        self.issue(pid, Held::Borrowed(borrowed), minor)
    }

    fn issue(
        self: &Arc<Self>,
        pid: i32,
        held: Held,
        minor: u16,
    ) -> Result<Registration, RegistryFull> {
        let mut key = vec![
            0;
            if minor < 2 {
                4
            } else {
                limits::CANCEL_KEY_BYTES
            }
        ];
        getrandom::fill(&mut key).map_err(|_| RegistryFull)?;
        let key = Bytes::from(key);
        if self.count.fetch_add(1, Ordering::Relaxed) >= limits::CANCEL_KEYS {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(RegistryFull);
        }
        let entry = Entry {
            key: key.clone(),
            held,
        };
        self.entries.entry(pid).or_default().push(entry);
        Ok(Registration {
            registry: Arc::clone(self),
            pid,
            key,
        })
    }

    /// What a client's key stands for now. Keys are compared in constant time.
    pub fn find(&self, pid: i32, key: &[u8]) -> Option<Cancel> {
        let entries = self.entries.get(&pid)?;
        let found = entries
            .iter()
            .find(|entry| bool::from(entry.key.ct_eq(key)));
        match &found?.held {
            Held::Own(upstream) => Some(Cancel {
                upstream: Some(upstream.clone()),
                lease: None,
            }),
            Held::Borrowed(borrowed) => {
                // Under the lock: whoever gives the connection back takes it out first.
                let mut has = borrowed.has();
                if let Has::Lease(lease) = &*has {
                    lease.on_the_way.fetch_add(1, Ordering::Acquire);
                    return Some(Cancel {
                        upstream: Some(lease.upstream.clone()),
                        lease: Some(Arc::clone(lease)),
                    });
                }
                match std::mem::take(&mut *has) {
                    // It may have got one, or given up, this very moment.
                    Has::Wait(cancel) => cancel.send(()).ok().map(|()| Cancel {
                        upstream: None,
                        lease: None,
                    }),
                    Has::Nothing | Has::Lease(_) => None,
                }
            }
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remove(&self, pid: i32, key: &[u8]) {
        if let Some(mut entries) = self.entries.get_mut(&pid) {
            entries.retain(|entry| entry.key != key);
        }
        self.entries
            .remove_if(&pid, |_, entries| entries.is_empty());
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A key in force; void when dropped.
pub struct Registration {
    registry: Arc<CancelRegistry>,
    pid: i32,
    key: Bytes,
}

impl Registration {
    /// The process number to give the client.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The secret to give the client.
    pub fn key(&self) -> &Bytes {
        &self.key
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.remove(self.pid, &self.key);
    }
}
