//! Where a started proxy listens.

use std::net::SocketAddr;

/// Where a proxy listens, by its log: the port is the system's choice. One that was found free beforehand
/// would be somebody else's by the time the proxy takes it, now and then.
pub(crate) fn listening(log: &str) -> Option<SocketAddr> {
    // Whole lines only: the last one may still be on its way.
    let (whole, _) = log.rsplit_once('\n')?;
    let line = whole.lines().find(|line| line.contains("listening"))?;
    let (_, addr) = line.split_once("addr=")?;
    addr.split_whitespace().next()?.parse().ok()
}
