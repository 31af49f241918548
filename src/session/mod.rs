//! The conversation, as a machine: no sockets, no clocks, no await. The server's relay feeds it the
//! messages of both peers and writes what it answers.

mod diagnostic;
mod settings;
mod startup;
mod transaction;

pub use self::startup::{UpstreamStartup, is_reported, restricted, unrestricted};
pub use self::transaction::TransactionStatus;
