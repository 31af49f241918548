//! From a fresh socket to an authenticated client.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::negotiate::{Negotiated, linger, negotiate};
use super::reply::Reply;
use super::scram::{ScramError, ScramServer};
use super::stream::ClientStream;
use super::tcp::Tcp;
use super::tls::ServerTls;
use super::verifier::ScramVerifier;
use crate::ident;
use crate::limits;
use crate::pg::sqlstate;
use crate::wire::frame::{self, HEADER_BYTES};
use crate::wire::frontend::SaslInitialResponse;
use crate::wire::startup::{StartupError, StartupMessage, protocol};
use crate::wire::write::backend as write;
use crate::wire::{Limits, Malformed, Report, WriteError};

/// What [`Credentials::lookup`] returns.
pub type Lookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ScramVerifier>, Unavailable>> + Send + 'a>>;

/// Verifiers are kept elsewhere, and that cannot be asked now. Nothing to do with the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unavailable {
    /// Nobody answers, or not as expected.
    #[error("cannot connect to the database server")]
    Unreachable,
    /// It will do later.
    #[error("the database system is starting up")]
    Starting,
    /// It takes no more connections.
    #[error("sorry, too many clients already")]
    Full,
}

impl Unavailable {
    fn sqlstate(self) -> &'static str {
        match self {
            Self::Unreachable => sqlstate::CANNOT_CONNECT,
            Self::Starting => sqlstate::CANNOT_CONNECT_NOW,
            Self::Full => sqlstate::TOO_MANY_CONNECTIONS,
        }
    }
}

/// Where verifiers come from.
pub trait Credentials: Send + Sync {
    /// The verifier of a user; no verifier runs an exchange that fails, so that names cannot be probed.
    fn lookup<'a>(&'a self, user: &'a str) -> Lookup<'a>;
}

/// What every connection is accepted with.
pub struct Acceptor {
    tls: Option<ServerTls>,
    credentials: Arc<dyn Credentials>,
    tcp: Tcp,
    /// Makes unknown users' salts; of this process only.
    secret: [u8; 32],
}

impl Acceptor {
    /// Fails only if the system has no randomness.
    pub fn new(tls: Option<ServerTls>, credentials: Arc<dyn Credentials>) -> io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(Self {
            tls,
            credentials,
            tcp: Tcp::default(),
            secret,
        })
    }

    /// The same with other settings of TCP.
    #[must_use]
    pub fn with_tcp(self, tcp: Tcp) -> Self {
        Self { tcp, ..self }
    }
}

/// Why a connection did not become a session. The client has been told, where it could be.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// The socket failed, or ended inside a packet.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    /// The first packet is wrong.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// More than an SSLRequest came before TLS.
    #[error("received unencrypted data after SSL request")]
    DataBeforeTls,
    /// A TLS handshake, and there is no TLS here.
    #[error("received direct TLS connection request, but TLS is not configured")]
    UnexpectedTls,
    /// A TLS handshake that does not say it is for PostgreSQL.
    #[error("received direct SSL connection request without ALPN protocol negotiation extension")]
    NoAlpn,
    /// `tls.required`
    #[error("connections without TLS are not accepted")]
    TlsRequired,
    /// A user or database name PostgreSQL would cut.
    #[error("identifier is longer than 63 bytes")]
    NameTooLong,
    /// Not a password message.
    #[error("expected SASL response")]
    ExpectedPassword,
    /// A password message that is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An answer that could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The exchange failed before the password was checked.
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// The wrong password, or an unknown user.
    #[error("password authentication failed for user \"{0}\"")]
    Password(String),
    /// The verifier cannot be had.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Nothing came of it in [`limits::AUTHENTICATION_TIMEOUT`].
    #[error("canceling authentication due to timeout")]
    Timeout,
}

impl AcceptError {
    /// The SQLSTATE the client is told, if it is told anything.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Startup(StartupError::Version(..)) => sqlstate::FEATURE_NOT_SUPPORTED,
            Self::Startup(StartupError::NoUser) | Self::TlsRequired => {
                sqlstate::INVALID_AUTHORIZATION
            }
            Self::Startup(StartupError::NotUtf8) => sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            Self::NameTooLong => sqlstate::NAME_TOO_LONG,
            Self::Io(_) | Self::Handshake(_) => sqlstate::CONNECTION_FAILURE,
            Self::Unavailable(why) => why.sqlstate(),
            Self::Scram(error) => error.sqlstate(),
            Self::Password(_) => sqlstate::INVALID_PASSWORD,
            Self::Timeout => sqlstate::QUERY_CANCELED,
            Self::Malformed(malformed) => malformed.sqlstate(),
            Self::Startup(_)
            | Self::DataBeforeTls
            | Self::UnexpectedTls
            | Self::NoAlpn
            | Self::ExpectedPassword
            | Self::Write(_) => sqlstate::PROTOCOL_VIOLATION,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TlsRequired => Some("Connect with sslmode=require or stronger."),
            Self::DataBeforeTls => Some(
                "This could be either a client-software bug or evidence of an attempted \
                 man-in-the-middle attack.",
            ),
            _ => None,
        }
    }
}

/// What became of a connection.
pub enum Accepted {
    /// An authenticated client that waits for AuthenticationOk.
    Session(ClientConnection),
    /// A cancel request.
    Cancel {
        /// To be closed once it is done: the client takes that for the answer, and goes on.
        stream: ClientStream,
        /// The process.
        pid: i32,
        /// The secret.
        key: Bytes,
    },
    /// It left without a word.
    Gone,
}

/// An authenticated client. It has been sent everything up to AuthenticationSASLContinue, and nothing
/// after.
pub struct ClientConnection {
    /// Where to go on.
    pub stream: ClientStream,
    /// AuthenticationSASLFinal: what comes next goes with it, as PostgreSQL has it, since the client has
    /// nothing to say to it.
    pub unsent: Reply,
    /// What it asked for.
    pub startup: StartupParameters,
    /// Who it is.
    pub identity: Authenticated,
}

impl ClientConnection {
    /// Says why it is not to be, and closes, so that the client has a chance to read it.
    pub async fn dismiss(self, report: &Report<'_>) {
        let last = self.unsent.error(report);
        close(self.stream, &last.into_bytes()).await;
    }
}

/// What a client asked for in its startup packet.
#[derive(Clone)]
pub struct StartupParameters {
    /// `user`
    pub user: String,
    /// `database`; the user's name if it was not given.
    pub database: String,
    /// `options`, as sent: command-line arguments for a backend.
    pub options: Option<String>,
    /// `replication`, as sent.
    pub replication: Option<String>,
    /// All other settings, in order.
    pub params: Vec<(String, String)>,
    /// The agreed minor version of protocol 3: 0, 1 or 2. From 2 on, cancel keys may be long.
    pub minor: u16,
}

/// Proof that authentication succeeded. Made only here.
#[derive(Clone)]
pub struct Authenticated {
    login: Arc<str>,
    peer: SocketAddr,
    tls_cert_cn: Option<String>,
}

impl Authenticated {
    /// The user that proved its password.
    pub fn login(&self) -> &Arc<str> {
        &self.login
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The common name of its certificate, if it showed one that the CA signed. It need not be the
    /// login.
    pub fn tls_cert_cn(&self) -> Option<&str> {
        self.tls_cert_cn.as_deref()
    }
}

/// Takes a fresh socket to what it wants to be. An error has already been told to the client.
pub async fn accept(tcp: TcpStream, acceptor: &Acceptor) -> Result<Accepted, AcceptError> {
    // Neither fails but for a client that is gone, and a cancel request is one even then.
    let (peer, set) = (tcp.peer_addr(), acceptor.tcp.apply(&tcp));
    let outcome = timeout(limits::AUTHENTICATION_TIMEOUT, async {
        match negotiate(tcp, acceptor.tls.as_ref()).await? {
            Negotiated::Gone => Ok(Accepted::Gone),
            Negotiated::Cancel { stream, pid, key } => Ok(Accepted::Cancel { stream, pid, key }),
            Negotiated::Startup {
                stream,
                message,
                common_name,
            } => {
                let peer = set.and(peer).map_err(|e| (None, e.into()))?;
                session(stream, message, common_name, peer, acceptor).await
            }
        }
    });
    match outcome.await {
        Err(_) => Err(AcceptError::Timeout),
        Ok(Ok(accepted)) => Ok(accepted),
        Ok(Err((None, error))) => Err(error),
        Ok(Err((Some(stream), error))) => {
            match error {
                AcceptError::Io(_) => {}
                // What has no length is no packet: PostgreSQL closes without a word, and a driver that
                // says good-bye before it has said who it is takes that for the end it asked for.
                AcceptError::Startup(StartupError::Length | StartupError::CancelLength) => {
                    close(stream, &[]).await;
                }
                _ => refuse(stream, &error).await,
            }
            Err(error)
        }
    }
}

async fn session(
    mut stream: ClientStream,
    message: StartupMessage,
    tls_cert_cn: Option<String>,
    peer: SocketAddr,
    acceptor: &Acceptor,
) -> Result<Accepted, (Option<ClientStream>, AcceptError)> {
    match authenticate(&mut stream, message, acceptor).await {
        Ok((startup, unsent)) => Ok(Accepted::Session(ClientConnection {
            identity: Authenticated {
                login: Arc::from(startup.user.as_str()),
                peer,
                tls_cert_cn,
            },
            stream,
            unsent,
            startup,
        })),
        Err(error) => Err((Some(stream), error)),
    }
}

async fn authenticate(
    stream: &mut ClientStream,
    message: StartupMessage,
    acceptor: &Acceptor,
) -> Result<(StartupParameters, Reply), AcceptError> {
    let mut out = BytesMut::with_capacity(limits::WELCOME_BYTES);
    if message.needs_negotiation() {
        write::negotiate_protocol_version(
            &mut out,
            protocol(message.agreed_minor()),
            &message.protocol_options,
        )?;
    }
    let startup = parameters(message)?;
    let verifier = acceptor.credentials.lookup(&startup.user).await?;
    let end_point = acceptor.tls.as_ref().and_then(|tls| tls.end_point.as_ref());
    let binding = end_point.filter(|_| stream.is_tls()).map(|h| h.to_vec());
    let mut scram = ScramServer::new(&startup.user, verifier, binding, nonce()?, &acceptor.secret);

    write::authentication_sasl(&mut out, scram.mechanisms())?;
    send(stream, &mut out).await?;
    let body = password_message(stream).await?;
    let initial = SaslInitialResponse::read(&body)?;
    let first = scram.first(initial.mechanism, initial.data.unwrap_or_default())?;
    write::authentication_sasl_continue(&mut out, first.as_bytes())?;
    send(stream, &mut out).await?;
    let body = password_message(stream).await?;
    let last = scram.finish(&body).map_err(|error| match error {
        ScramError::Password => AcceptError::Password(startup.user.clone()),
        error => AcceptError::Scram(error),
    })?;
    write::authentication_sasl_final(&mut out, last.as_bytes())?;
    Ok((startup, Reply::authenticated(out)))
}

fn parameters(message: StartupMessage) -> Result<StartupParameters, AcceptError> {
    let minor = message.agreed_minor();
    let own = |name: &str| message.get(name).map(str::to_owned);
    let user = own("user").filter(|user| !user.is_empty());
    let user = user.ok_or(StartupError::NoUser)?;
    let database = own("database").filter(|database| !database.is_empty());
    let database = database.unwrap_or_else(|| user.clone());
    if user.len().max(database.len()) > ident::MAX_BYTES {
        return Err(AcceptError::NameTooLong);
    }
    let (options, replication) = (own("options"), own("replication"));
    let mut params = message.params;
    params.retain(|(name, _)| {
        !matches!(
            name.as_str(),
            "user" | "database" | "options" | "replication"
        )
    });
    Ok(StartupParameters {
        user,
        database,
        options,
        replication,
        params,
        minor,
    })
}

/// Our part of a nonce.
fn nonce() -> Result<String, AcceptError> {
    let mut bytes = [0; limits::SCRAM_NONCE_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(STANDARD.encode(bytes))
}

async fn send(stream: &mut ClientStream, out: &mut BytesMut) -> Result<(), AcceptError> {
    stream.write_all(out).await?;
    stream.flush().await?;
    out.clear();
    Ok(())
}

/// The body of one password message, read to its exact length.
async fn password_message(stream: &mut ClientStream) -> Result<Vec<u8>, AcceptError> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let Ok(Some((_, total))) = frame::header(&header, &Limits::FRONTEND_AUTHENTICATION) else {
        return Err(AcceptError::ExpectedPassword);
    };
    let mut body = vec![0; total.saturating_sub(HEADER_BYTES)];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn refuse(stream: ClientStream, error: &AcceptError) {
    let message = error.to_string();
    let mut report = Report::fatal(error.sqlstate(), &message);
    report.hint = error.hint();
    dismiss(stream, &report).await;
}

/// Says why and closes, so that the client has a chance to read it.
pub async fn dismiss(stream: ClientStream, report: &Report<'_>) {
    let mut out = BytesMut::new();
    write::error(&mut out, report);
    close(stream, &out).await;
}

/// Ends a connection, with these last bytes.
pub async fn close(mut stream: ClientStream, last: &[u8]) {
    let farewell = async {
        stream.write_all(last).await?;
        stream.flush().await?;
        stream.shutdown().await?;
        linger(&mut stream).await
    };
    // The connection ends either way; a client that does not listen loses only its own error.
    drop(timeout(limits::LINGER, farewell).await);
}
