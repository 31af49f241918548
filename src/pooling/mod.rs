//! One server session lent to many clients, a transaction at a time: what has to be true for nobody
//! to notice.
//!
//! Two questions, answered without sockets. What may a statement leave behind in its session
//! ([`Residue`])? A connection goes back only when the answer is *nothing*, or when PostgreSQL itself
//! was asked what is left ([`probe`]); what cannot be asked for keeps the session with its client.
//! And how are prepared statements found again on another connection ([`Link`])? Under names of the
//! proxy's own, made there when they are missed.
//!
//! Deliberately absent: the connections, their number and the line before them (`server::pool`).

mod expected;
mod known;
mod link;
pub mod probe;
mod recent;
mod residue;
mod routines;
mod statements;
mod words;

pub use self::known::Known;
pub use self::link::{Link, LinkError, Rest, Taken, Upward};
pub use self::residue::{Residue, residue};
pub use self::routines::Routines;
pub use self::statements::{Statement, Statements};
