//! The byte stream to PostgreSQL, with or without TLS.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::Stream;

/// The byte stream to PostgreSQL. Flush after writing: TLS keeps bytes back.
pub type UpstreamStream = Stream<TlsStream<TcpStream>>;

impl UpstreamStream {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}
