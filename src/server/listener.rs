//! The listening socket, and how it is given up.
//!
//! With SO_REUSEPORT a successor listens on the same port before its predecessor stops. The kernel then
//! keeps a queue of connections for each of them, and whatever is in a queue when its socket is closed
//! is reset. So the predecessor has new connections sent to its successor ([`steer`]), accepts what was
//! under way to itself, and closes when nothing can come any more. Where that is not to be had (only
//! Linux has it), it makes its queue as short as it can be, and the last microseconds are left to chance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::metrics::Metrics;
use super::{Shared, StartError, connection};
use crate::limits;

/// Listens on an address.
pub(super) fn listen(addr: SocketAddr, reuse_port: bool) -> Result<TcpListener, StartError> {
    let bound = || {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        if reuse_port {
            socket.set_reuseport(true)?;
        }
        socket.bind(addr)?;
        let listener = socket.listen(limits::BACKLOG)?;
        if reuse_port && let Err(error) = steer(&listener, Towards::Anyone) {
            tracing::debug!(%error, "what a predecessor ordered stays in force");
        }
        Ok(listener)
    };
    bound().map_err(|e| StartError::Listen(addr, e))
}

/// Accepts until the process stops listening; gives back the sessions that still run.
pub(super) async fn accept_all(listener: TcpListener, shared: Arc<Shared>) -> JoinSet<()> {
    let mut sessions = JoinSet::new();
    let mut drain = shared.drain.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&mut sessions, &shared, stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = sessions.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    Metrics::add(&shared.metrics.panics);
                    tracing::error!("a session panicked and was ended");
                }
            }
            () = draining(&mut drain) => break,
        }
    }
    if shared.config.reuse_port {
        hand_over(listener, |stream| admit(&mut sessions, &shared, stream)).await;
    }
    sessions
}

fn admit(sessions: &mut JoinSet<()>, shared: &Arc<Shared>, stream: TcpStream) {
    Metrics::add(&shared.metrics.connections);
    let shared = Arc::clone(shared);
    let open = Open::count(&shared);
    sessions.spawn(async move {
        connection::serve(shared, stream).await;
        drop(open);
    });
}

/// One connection, from accept on.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Accepts what has come or is about to, and closes.
async fn hand_over(listener: TcpListener, mut admit: impl FnMut(TcpStream)) {
    if let Err(error) = steer(&listener, Towards::Successor) {
        tracing::debug!(%error, "new connections cannot be sent to the successor only");
        // No room for half-open connections any more: those that begin now are in no queue that could
        // be lost (the kernel sends cookies, or lets the client ask again).
        if let Err(error) = SockRef::from(&listener).listen(0) {
            tracing::debug!(%error, "the queue of the listener stays as long as it is");
        }
    }
    let moment = tokio::time::sleep(limits::HAND_OVER);
    tokio::pin!(moment);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream),
                Err(_) => tokio::time::sleep(limits::ACCEPT_PAUSE).await,
            },
            () = &mut moment => break,
        }
    }
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        admit(stream);
    }
}

/// Which of the sockets that share a port gets a new connection.
#[derive(Debug, Clone, Copy)]
enum Towards {
    /// Each its part, as the kernel does it by itself.
    Anyone,
    /// The second oldest: whoever leaves is the oldest. Without a successor, whoever there is.
    Successor,
}

/// Tells the kernel who gets the connections that begin from now on, for all sockets of the port, until
/// somebody tells it otherwise (socket(7), `SO_ATTACH_REUSEPORT_CBPF`).
#[cfg(target_os = "linux")]
fn steer(listener: &TcpListener, towards: Towards) -> std::io::Result<()> {
    use nix::libc::{sock_filter, sock_fprog};
    use nix::sys::socket::setsockopt;
    use nix::sys::socket::sockopt::AttachReusePortCbpf;

    /// `BPF_RET | BPF_K`: the answer is the constant, the number of a socket in order of listen().
    const RETURN: u16 = 0x06;
    let socket = match towards {
        // There is no such socket, and then the kernel chooses as if nobody had told it anything.
        Towards::Anyone => u32::MAX,
        Towards::Successor => 1,
    };
    let mut program = [sock_filter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: socket,
    }];
    let program = sock_fprog {
        len: 1,
        filter: program.as_mut_ptr(),
    };
    Ok(setsockopt(listener, AttachReusePortCbpf, &program)?)
}

/// See the other.
#[cfg(not(target_os = "linux"))]
fn steer(_: &TcpListener, _: Towards) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

async fn draining(drain: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone.
    drop(drain.wait_for(|drain| *drain).await);
}
