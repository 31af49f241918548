//! The door to the client: TLS, the startup packet, SCRAM; after that, only [`Reply`].
//!
//! [`accept`] takes a fresh socket to an authenticated [`ClientConnection`], a cancel request, or
//! nothing. It reads exactly the bytes of each step, so nothing sent before TLS or before
//! authentication can be taken for something said after it. AuthenticationOk and what follows are
//! the session's to send, once PostgreSQL is ready behind it.
//!
//! Deliberately absent: who may log in ([`Credentials`] is given), and every password: a
//! [`ScramVerifier`] cannot be turned back into one.

mod accept;
mod certificate;
mod negotiate;
mod reply;
mod scram;
mod stream;
mod tcp;
mod tls;
mod verifier;

pub use self::accept::{
    AcceptError, Accepted, Acceptor, Authenticated, ClientConnection, Credentials, Lookup,
    StartupParameters, Unavailable, accept, close, dismiss,
};
pub use self::certificate::{common_name, end_point_hash, valid_until};
pub use self::reply::Reply;
pub use self::scram::{ScramError, ScramServer};
pub use self::stream::{ClientStream, Stream};
pub use self::tcp::Tcp;
pub(crate) use self::tls::{ALPN, certificates, roots};
pub use self::tls::{ServerTls, TlsError};
pub use self::verifier::{InvalidVerifier, ScramVerifier};
