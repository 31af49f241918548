//! From options to a connection that is ready for its first query.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::cancel::CancelTarget;
use super::error::{ConnectError, ServerError};
use super::login;
use super::request::Request;
use super::stream::UpstreamStream;
use super::tls::UpstreamTls;
use crate::client::Tcp;
use crate::limits;
use crate::wire::frame::{self, FrameBuffer, Limits};
use crate::wire::startup;
use crate::wire::write::frontend as write;
use crate::wire::{BackendMessage, backend};

/// Where to connect, as whom, with which settings.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// A host name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// TLS.
    pub tls: UpstreamTls,
    /// The login.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<Zeroizing<String>>,
    /// The database.
    pub database: String,
    /// Settings of the startup packet: RESET and DISCARD return to them.
    pub params: Vec<(String, String)>,
    /// The minor version of protocol 3 to ask for; servers may have less.
    pub minor: u16,
}

/// A connection that has seen its first ReadyForQuery.
pub struct UpstreamConnection {
    /// Where requests go. Flush after writing.
    pub stream: UpstreamStream,
    /// What has been read and not taken.
    pub buffer: FrameBuffer,
    /// The settings the server reported, in order.
    pub parameters: Vec<(String, String)>,
    /// The notices that came before the first ReadyForQuery, as whole messages.
    pub notices: BytesMut,
    /// The process and its cancel key.
    pub backend_key: (i32, Bytes),
    /// The agreed minor version.
    pub minor: u16,
    target: CancelTarget,
}

/// How to dial: what is the same for every connection of a process.
#[derive(Clone, Copy, Debug)]
pub struct Dial {
    /// From the first packet to the first ReadyForQuery.
    pub timeout: Duration,
    /// TCP's own settings.
    pub tcp: Tcp,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            timeout: limits::CONNECT_TIMEOUT,
            tcp: Tcp::default(),
        }
    }
}

/// Connects, authenticates, and waits for ReadyForQuery.
pub async fn connect(options: &UpstreamOptions) -> Result<UpstreamConnection, ConnectError> {
    connect_by(options, &Dial::default()).await
}

/// The same, dialling in a way of one's own.
pub async fn connect_by(
    options: &UpstreamOptions,
    dial: &Dial,
) -> Result<UpstreamConnection, ConnectError> {
    timeout(dial.timeout, establish(options, &dial.tcp))
        .await
        .unwrap_or(Err(ConnectError::Timeout))
}

async fn establish(
    options: &UpstreamOptions,
    settings: &Tcp,
) -> Result<UpstreamConnection, ConnectError> {
    let tcp = TcpStream::connect((options.host.as_str(), options.port))
        .await
        .map_err(ConnectError::Unreachable)?;
    settings.apply(&tcp)?;
    let address = tcp.peer_addr()?;
    let stream = secure(tcp, &options.host, &options.tls).await?;
    let target = CancelTarget::new(address, &options.host, &options.tls, stream.is_tls());
    let mut params = vec![
        ("user", options.user.as_str()),
        ("database", options.database.as_str()),
    ];
    params.extend(options.params.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let mut out = BytesMut::new();
    startup::write_startup(&mut out, options.minor, &params)?;
    let mut connection = UpstreamConnection {
        stream,
        buffer: FrameBuffer::new(),
        parameters: Vec::new(),
        notices: BytesMut::new(),
        backend_key: (0, Bytes::new()),
        minor: options.minor,
        target,
    };
    connection.write(&out).await?;
    login::login(&mut connection, options, address.ip().is_loopback()).await?;
    Ok(connection)
}

/// Starts TLS, if it is wanted and there.
pub(super) async fn secure(
    mut tcp: TcpStream,
    host: &str,
    tls: &UpstreamTls,
) -> Result<UpstreamStream, ConnectError> {
    let Some(connector) = tls.connector() else {
        return Ok(UpstreamStream::Plain(tcp));
    };
    let mut request = BytesMut::new();
    startup::write_ssl_request(&mut request);
    tcp.write_all(&request).await?;
    // One byte exactly: what follows it is TLS, or an attack (CVE-2021-23222).
    match tcp.read_u8().await? {
        b'S' => {}
        b'N' if tls.optional() => return Ok(UpstreamStream::Plain(tcp)),
        b'N' => return Err(ConnectError::NoTls),
        // An error text here is not authenticated and not shown (CVE-2024-10977).
        _ => return Err(ConnectError::Protocol("invalid response to SSLRequest")),
    }
    let mut byte = [0; 1];
    if matches!(tcp.peek(&mut byte).now_or_never(), Some(Ok(1))) {
        return Err(ConnectError::DataBeforeTls);
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| ConnectError::Tls("host is neither a name nor an address".to_owned()))?;
    let stream = connector.connect(name, tcp).await;
    let stream = stream.map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(UpstreamStream::Tls(Box::new(stream)))
}

impl UpstreamConnection {
    /// How to cancel what runs here.
    pub fn cancel_target(&self) -> &CancelTarget {
        &self.target
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.target.address()
    }

    /// Writes a request and flushes.
    pub async fn send(&mut self, request: &Request) -> Result<(), ConnectError> {
        self.write(request.as_bytes()).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next whole frame: its type and all its bytes.
    pub async fn next_frame(&mut self, limits: &Limits) -> Result<(u8, Bytes), ConnectError> {
        loop {
            if let Some(found) = self.buffer.next_frame(limits)? {
                return Ok(found);
            }
            if self.stream.read_buf(&mut self.buffer.room()).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// The next frame of an answer that has failed already, or not.
    pub(super) async fn next_of_answer(
        &mut self,
        failed: Option<&ServerError>,
    ) -> Result<(u8, Bytes), ConnectError> {
        match (self.next_frame(&Limits::BACKEND).await, failed) {
            (Ok(frame), _) => Ok(frame),
            // What it said last says more than that it is gone.
            (Err(_), Some(error)) => Err(error.clone().into()),
            (Err(error), None) => Err(error),
        }
    }

    /// Runs one of the proxy's own queries and gives its rows in text format. Only for introspection
    /// and housekeeping: nothing of a client's goes in here.
    pub async fn simple_query_text(&mut self, sql: &str) -> Result<Rows, ConnectError> {
        self.simple_query_beside(sql, &mut Vec::new()).await
    }

    /// The same on a connection that somebody uses: what PostgreSQL says meanwhile that is no answer
    /// (notifications, notices, settings) is theirs, and comes as whole frames.
    pub async fn simple_query_beside(
        &mut self,
        sql: &str,
        theirs: &mut Vec<u8>,
    ) -> Result<Rows, ConnectError> {
        let mut out = BytesMut::new();
        write::query(&mut out, sql)?;
        self.write(&out).await?;
        let mut rows = Vec::new();
        let mut failed: Option<ServerError> = None;
        loop {
            let (tag, bytes) = self.next_of_answer(failed.as_ref()).await?;
            if matches!(
                tag,
                backend::NOTIFICATION | backend::NOTICE | backend::PARAMETER_STATUS
            ) {
                theirs.extend_from_slice(&bytes);
            }
            match BackendMessage::read(tag, frame::body(&bytes))? {
                BackendMessage::DataRow(row) => {
                    let row = row.values.iter().map(|v| v.map(<[u8]>::to_vec));
                    rows.push(row.collect());
                }
                BackendMessage::Error(error) => failed = Some(ServerError::new(&error)),
                BackendMessage::ParameterStatus(status) => self.set_parameter(&status),
                BackendMessage::Ready(_) => break,
                BackendMessage::CopyIn(_) | BackendMessage::CopyBoth(_) => {
                    return Err(ConnectError::Protocol("a query began a COPY"));
                }
                _ => {}
            }
        }
        failed.map_or(Ok(rows), |error| Err(error.into()))
    }

    pub(super) fn set_parameter(&mut self, status: &backend::ParameterStatus<'_>) {
        let name = String::from_utf8_lossy(status.name);
        let value = String::from_utf8_lossy(status.value).into_owned();
        match self.parameters.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.parameters.push((name.into_owned(), value)),
        }
    }
}

/// Rows of text values; `None` is NULL.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;
