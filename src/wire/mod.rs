//! Messages ⇄ bytes: version 3 of the frontend/backend protocol, pure.
//!
//! The road of a message: a socket appends to a [`FrameBuffer`]; [`frame`] cuts exact frames, each
//! type and length checked against what may come now; [`frontend`], [`backend`], [`row`] and
//! [`startup`] read one body each and must use it up; [`write`](mod@write) makes the messages the
//! proxy itself sends. What nobody has to look into is forwarded by range, untouched.
//!
//! Deliberately absent: a codec that decodes everything. Cutting frames is four times cheaper than
//! decoding and encoding them, and a decoder that reads from a shared buffer is a smuggling hole.
//!
//! The protocol: <https://www.postgresql.org/docs/current/protocol.html>.

pub mod backend;
pub mod copy;
pub mod diagnostic;
pub mod frame;
pub mod frontend;
mod read;
pub mod row;
pub mod startup;
pub mod write;

pub use self::backend::{BackendMessage, TransactionStatus};
pub use self::diagnostic::{Diagnostic, field};
pub use self::frame::{Frame, FrameBuffer, FrameError, Limits};
pub use self::frontend::FrontendMessage;
pub use self::read::{Formats, Malformed, Reader, Values, ValuesIter, utf8};
pub use self::row::{DataRow, Field, RowDescription};
pub use self::write::WriteError;
pub use self::write::backend::Report;
