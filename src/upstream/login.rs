//! From the startup packet to the first ReadyForQuery, as libpq does it.

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};

use super::connection::{UpstreamConnection, UpstreamOptions};
use super::error::{ConnectError, ServerError};
use super::stream::UpstreamStream;
use crate::client::end_point_hash;
use crate::limits;
use crate::wire::BackendMessage;
use crate::wire::backend::Authentication;
use crate::wire::frame::{self, Limits};
use crate::wire::startup::protocol;
use crate::wire::write::frontend as write;

/// How far an exchange has come.
enum Progress {
    /// Nothing was asked of us.
    Unasked,
    /// A password was sent, in one way or another.
    Answered,
    /// SCRAM waits for the server's first message.
    ScramFirst(Box<ScramSha256>),
    /// SCRAM waits for the server's proof, without which the server may be anyone.
    ScramLast(Box<ScramSha256>),
    /// Finished.
    Done,
}

/// Answers until the server is ready.
pub(super) async fn login(
    connection: &mut UpstreamConnection,
    options: &UpstreamOptions,
    local: bool,
) -> Result<(), ConnectError> {
    let mut progress = Progress::Unasked;
    loop {
        let (tag, bytes) = connection.next_frame(&Limits::BACKEND_STARTUP).await?;
        let done = matches!(progress, Progress::Done);
        match BackendMessage::read(tag, frame::body(&bytes))? {
            BackendMessage::Authentication(step) if !done => {
                progress = answer(connection, options, local, step, progress).await?;
            }
            BackendMessage::Error(error) => return Err(ServerError::new(&error).into()),
            // Of a server that has proved who it is; a few are enough.
            BackendMessage::Notice(_) => {
                if done && connection.notices.len() < limits::STARTUP_NOTICES_BYTES {
                    connection.notices.extend_from_slice(&bytes);
                }
            }
            BackendMessage::NegotiateProtocolVersion(negotiate) if !done => {
                let lower = protocol(0)..=protocol(options.minor);
                if !lower.contains(&negotiate.version) || !negotiate.options.is_empty() {
                    return Err(ConnectError::Protocol("invalid protocol negotiation"));
                }
                let minor = negotiate.version.saturating_sub(protocol(0));
                connection.minor = u16::try_from(minor).unwrap_or(0);
            }
            BackendMessage::ParameterStatus(status) if done => connection.set_parameter(&status),
            BackendMessage::BackendKeyData(key) if done => {
                connection.backend_key = (key.pid, Bytes::copy_from_slice(key.key));
            }
            BackendMessage::Ready(_) if done => return Ok(()),
            _ => return Err(ConnectError::Protocol("unexpected message during startup")),
        }
    }
}

async fn answer(
    connection: &mut UpstreamConnection,
    options: &UpstreamOptions,
    local: bool,
    step: Authentication<'_>,
    progress: Progress,
) -> Result<Progress, ConnectError> {
    let mut out = BytesMut::new();
    let next = match (step, progress) {
        (Authentication::Ok, Progress::Unasked | Progress::Answered) => Progress::Done,
        (Authentication::Ok, _) => {
            return Err(ConnectError::Authentication(
                "server skipped the end of its SCRAM exchange",
            ));
        }
        (Authentication::Cleartext, Progress::Unasked) => {
            if !(local || connection.stream.is_tls()) {
                return Err(ConnectError::Authentication(
                    "server asks for a cleartext password over an unencrypted connection",
                ));
            }
            write::password(&mut out, password(options)?)?;
            Progress::Answered
        }
        (Authentication::Md5(salt), Progress::Unasked) => {
            let hash = md5_hash(options.user.as_bytes(), password(options)?, salt);
            write::password(&mut out, hash.as_bytes())?;
            Progress::Answered
        }
        (Authentication::Sasl(mechanisms), Progress::Unasked) => {
            let (mechanism, binding) = choose(mechanisms, &connection.stream)?;
            let scram = ScramSha256::new(password(options)?, binding);
            write::sasl_initial(&mut out, mechanism, scram.message())?;
            Progress::ScramFirst(Box::new(scram))
        }
        (Authentication::SaslContinue(data), Progress::ScramFirst(mut scram)) => {
            scram
                .update(data)
                .map_err(|_| ConnectError::Authentication("invalid SCRAM message of the server"))?;
            write::sasl_response(&mut out, scram.message())?;
            Progress::ScramLast(scram)
        }
        (Authentication::SaslFinal(data), Progress::ScramLast(mut scram)) => {
            scram.finish(data).map_err(|_| {
                ConnectError::Authentication("server does not know the password either")
            })?;
            Progress::Answered
        }
        (Authentication::Other(_), _) => {
            return Err(ConnectError::Authentication(
                "server asks for a method that is not supported",
            ));
        }
        _ => return Err(ConnectError::Protocol("authentication out of order")),
    };
    if !out.is_empty() {
        connection.write(&out).await?;
    }
    Ok(next)
}

fn password(options: &UpstreamOptions) -> Result<&[u8], ConnectError> {
    let password = options.password.as_ref();
    let password = password.ok_or(ConnectError::Authentication("no password supplied"))?;
    Ok(password.as_bytes())
}

/// The best of the offered mechanisms that can be done.
fn choose(
    mechanisms: &[u8],
    stream: &UpstreamStream,
) -> Result<(&'static str, ChannelBinding), ConnectError> {
    let offered = |name: &str| mechanisms.split(|b| *b == 0).any(|m| m == name.as_bytes());
    let hash = match stream {
        UpstreamStream::Plain(_) => None,
        UpstreamStream::Tls(tls) => {
            let chain = tls.get_ref().1.peer_certificates();
            chain.and_then(<[_]>::first).and_then(|c| end_point_hash(c))
        }
    };
    match hash {
        Some(hash) if offered(SCRAM_SHA_256_PLUS) => {
            let binding = ChannelBinding::tls_server_end_point(hash);
            Ok((SCRAM_SHA_256_PLUS, binding))
        }
        _ if !offered(SCRAM_SHA_256) => Err(ConnectError::Authentication(
            "server offers no SASL mechanism that is supported",
        )),
        // We could and the server does not offer it: saying so lets the server notice a downgrade.
        Some(_) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
    }
}
