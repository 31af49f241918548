//! From a fresh socket to a startup packet: direct TLS, SSLRequest, GSSENCRequest, CancelRequest.
//!
//! Every packet is read to its exact length, so that nothing sent in the clear can be waiting in a
//! buffer when TLS begins (the class of CVE-2021-23214). Bytes that arrived together with an
//! SSLRequest are refused outright.

use std::io;

use bytes::Bytes;
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::accept::AcceptError;
use super::certificate::common_name;
use super::stream::ClientStream;
use super::tls::{ALPN, ServerTls};
use crate::wire::startup::{self, StartupMessage, StartupPacket};

/// The first byte of a TLS handshake record.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What the first packets came to.
pub(super) enum Negotiated {
    /// A session, not yet authenticated.
    Startup {
        /// Where it goes on.
        stream: ClientStream,
        /// What it asked for.
        message: StartupMessage,
        /// Whom its certificate names.
        common_name: Option<String>,
    },
    /// A cancel request.
    Cancel {
        /// The client waits for its end.
        stream: ClientStream,
        /// The process.
        pid: i32,
        /// The secret.
        key: Bytes,
    },
    /// It left without a word, as load balancers do.
    Gone,
}

/// A refusal, with the stream to say it on, if there still is one.
pub(super) type Refused = (Option<ClientStream>, AcceptError);

/// Reads packets until one starts something.
pub(super) async fn negotiate(
    tcp: TcpStream,
    tls: Option<&ServerTls>,
) -> Result<Negotiated, Refused> {
    let mut first = [0; 1];
    match tcp.peek(&mut first).await {
        Ok(0) => return Ok(Negotiated::Gone),
        Ok(_) => {}
        Err(error) => return Err((None, error.into())),
    }
    if first == [HANDSHAKE_RECORD] {
        let Some(tls) = tls else {
            return Err((None, AcceptError::UnexpectedTls));
        };
        let stream = handshake(tcp, tls, true).await?;
        return in_tls(stream).await;
    }
    in_clear(tcp, tls).await
}

async fn in_clear(mut tcp: TcpStream, tls: Option<&ServerTls>) -> Result<Negotiated, Refused> {
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let packet = match read_packet(&mut tcp).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Negotiated::Gone),
            Err(error) => return Err((Some(ClientStream::Plain(tcp)), error)),
        };
        let answer = match packet {
            StartupPacket::Ssl if !asked_tls => {
                asked_tls = true;
                if let Some(tls) = tls {
                    return upgrade(tcp, tls).await;
                }
                b'N'
            }
            StartupPacket::GssEnc if !asked_gss => {
                asked_gss = true;
                b'N'
            }
            StartupPacket::Cancel { pid, key } => {
                let stream = ClientStream::Plain(tcp);
                return Ok(Negotiated::Cancel { stream, pid, key });
            }
            StartupPacket::Startup(message) => {
                let stream = ClientStream::Plain(tcp);
                if tls.is_some_and(|tls| tls.required) {
                    return Err((Some(stream), AcceptError::TlsRequired));
                }
                let common_name = None;
                return Ok(Negotiated::Startup {
                    stream,
                    message,
                    common_name,
                });
            }
            repeated => return Err((Some(ClientStream::Plain(tcp)), repeated_request(&repeated))),
        };
        if let Err(error) = tcp.write_all(&[answer]).await {
            return Err((None, error.into()));
        }
    }
}

async fn upgrade(mut tcp: TcpStream, tls: &ServerTls) -> Result<Negotiated, Refused> {
    if has_more(&tcp) {
        let stream = ClientStream::Plain(tcp);
        return Err((Some(stream), AcceptError::DataBeforeTls));
    }
    if let Err(error) = tcp.write_all(b"S").await {
        return Err((None, error.into()));
    }
    let stream = handshake(tcp, tls, false).await?;
    in_tls(stream).await
}

/// Bytes are waiting that the client sent before it knew the answer.
fn has_more(tcp: &TcpStream) -> bool {
    let mut byte = [0; 1];
    matches!(tcp.peek(&mut byte).now_or_never(), Some(Ok(1)))
}

async fn handshake(tcp: TcpStream, tls: &ServerTls, direct: bool) -> Result<ClientStream, Refused> {
    let stream = match tls.acceptor.accept(tcp).await {
        Ok(stream) => stream,
        Err(error) => return Err((None, AcceptError::Handshake(error))),
    };
    // Without a request in the clear, only ALPN says that the client means PostgreSQL: another
    // protocol's client, tricked into connecting, would not (the ALPACA attack).
    let agreed = stream.get_ref().1.alpn_protocol() == Some(ALPN);
    let stream = ClientStream::Tls(Box::new(stream));
    if direct && !agreed {
        return Err((Some(stream), AcceptError::NoAlpn));
    }
    Ok(stream)
}

async fn in_tls(mut stream: ClientStream) -> Result<Negotiated, Refused> {
    match read_packet(&mut stream).await {
        Ok(Some(StartupPacket::Startup(message))) => {
            let common_name = match &stream {
                ClientStream::Plain(_) => None,
                ClientStream::Tls(tls) => {
                    let chain = tls.get_ref().1.peer_certificates();
                    chain.and_then(<[_]>::first).and_then(|c| common_name(c))
                }
            };
            Ok(Negotiated::Startup {
                stream,
                message,
                common_name,
            })
        }
        Ok(Some(StartupPacket::Cancel { pid, key })) => Ok(Negotiated::Cancel { stream, pid, key }),
        Ok(Some(repeated)) => Err((Some(stream), repeated_request(&repeated))),
        Ok(None) => Ok(Negotiated::Gone),
        Err(error) => Err((Some(stream), error)),
    }
}

/// A second request for encryption is an unknown protocol, as PostgreSQL has it.
fn repeated_request(packet: &StartupPacket) -> AcceptError {
    let minor = if *packet == StartupPacket::GssEnc {
        5680
    } else {
        5679
    };
    AcceptError::Startup(startup::StartupError::Version(1234, minor))
}

/// One packet, to its exact length; `None` if the client left before its first byte.
async fn read_packet<S>(stream: &mut S) -> Result<Option<StartupPacket>, AcceptError>
where
    S: tokio::io::AsyncRead + Unpin,
{
    let mut length = [0; 4];
    let here = stream.read(&mut length).await?;
    if here == 0 {
        return Ok(None);
    }
    stream
        .read_exact(length.get_mut(here..).unwrap_or_default())
        .await?;
    let mut body = vec![0; startup::body_length(length)?];
    stream.read_exact(&mut body).await?;
    Ok(Some(StartupPacket::read(&body)?))
}

/// Reads away what the client still sends, briefly: closing a socket with unread bytes resets it, and
/// the reset overtakes the error the client was sent.
pub(super) async fn linger(stream: &mut ClientStream) -> io::Result<()> {
    let mut scratch = [0; 4096];
    let mut left = crate::limits::LINGER_BYTES;
    while left > 0 {
        match stream.read(&mut scratch).await? {
            0 => break,
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}
