//! The door to PostgreSQL: TLS, authentication, cancel; after that, only [`Request`].
//!
//! [`connect`] takes options to an [`UpstreamConnection`] that has seen its first ReadyForQuery.
//!
//! Deliberately absent: reconnecting, and any choice of what to run.

mod cancel;
mod connection;
mod error;
pub mod introspect;
mod login;
mod own;
mod request;
mod stream;
mod tls;

pub use self::cancel::{
    Borrowed, Cancel, CancelRegistry, CancelTarget, Lease, Registration, RegistryFull, Upstream,
    cancel,
};
pub use self::connection::{Dial, Rows, UpstreamConnection, UpstreamOptions, connect, connect_by};
pub use self::error::{ConnectError, ServerError};
pub use self::own::Values;
pub use self::request::Request;
pub use self::stream::UpstreamStream;
pub use self::tls::{TlsMode, UpstreamTls};
