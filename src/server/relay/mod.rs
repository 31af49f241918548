//! The loops that await both peers: [`verbatim`] for unrestricted roles, [`pooled`] for those of them
//! whose connections are lent, [`restricted`] for the rest.
//!
//! Nothing is buffered without bound: a peer that does not take what is waiting for it keeps the other
//! from being read.

mod bytes;
pub(super) mod lease;
mod outgoing;
pub(super) mod pooled;
pub(super) mod restricted;
mod road;
pub(super) mod verbatim;
mod walk;

use std::io;

use crate::pg::sqlstate;
use crate::plan::plan_verbatim;
use crate::server::database::{Database, Failure};
use crate::session::Fatal;
use crate::wire::Report;

/// Why a relay ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client said good-bye, or left.
    Client,
    /// PostgreSQL closed the connection; what it said was passed on.
    Upstream,
    /// The process drains, and the session was idle.
    Drained,
    /// An administrator ended it.
    Killed,
    /// The policy no longer allows the session as it is.
    Revoked,
    /// No connection to PostgreSQL could be had, or one could not be made ready.
    Refused(Failure),
    /// A peer broke the protocol.
    Fault(&'static str),
    /// What is to be said to the client cannot be.
    Failed(Fatal),
    /// A socket failed.
    Io(io::Error),
}

/// The policy in force ended with a day, and the next could not be put into its place.
const OVER: Fatal = Fatal {
    sqlstate: sqlstate::ADMIN_SHUTDOWN,
    message: "terminating connection because the policy could not be renewed",
};

/// PostgreSQL computes tokens with keys it is given when a session starts.
const OTHER_KEY: Fatal = Fatal {
    sqlstate: sqlstate::ADMIN_SHUTDOWN,
    message: "terminating connection because its tokens have another key now",
};

/// The policy in force still lets this role's frames go by unread.
fn is_unrestricted(database: &Database, role: &str) -> bool {
    let Some(published) = database.current() else {
        return false;
    };
    let grants = published.snapshot.policy.roles.get(role);
    grants.is_some_and(|grants| plan_verbatim(grants).is_some())
}

/// The server is gone without an error: it crashed, was stopped at once, or a network came between.
fn lost() -> Report<'static> {
    Report::fatal(
        sqlstate::CONNECTION_FAILURE,
        "server closed the connection unexpectedly",
    )
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
