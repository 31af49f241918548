//! When a peer that says nothing is taken for gone. The same on both sides of the proxy.
//!
//! A peer that vanishes without a FIN (a laptop shut, a NAT entry forgotten, a machine that lost its
//! power) leaves a connection that looks alive for ever. Only TCP's own questions find that out.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How connections are kept alive, and when they are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Silence before TCP asks.
    pub idle: Duration,
    /// Between two questions.
    pub interval: Duration,
    /// Questions without an answer after which the peer is gone.
    pub probes: u32,
    /// How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT). The kernel's own patience, some
    /// 15 minutes, when absent: on Linux the bound also ends a peer that lives and has merely not read
    /// for so long.
    pub user_timeout: Option<Duration>,
}

impl Default for Tcp {
    /// NAT boxes forget after five minutes; a peer that vanished is noticed within four.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(120),
            interval: Duration::from_secs(30),
            probes: 4,
            user_timeout: None,
        }
    }
}

impl Tcp {
    /// Sets a fresh connection up; its small messages are sent at once, too.
    pub fn apply(&self, tcp: &TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let socket = SockRef::from(tcp);
        let keepalive = TcpKeepalive::new()
            .with_time(self.idle)
            .with_interval(self.interval)
            .with_retries(self.probes);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}
