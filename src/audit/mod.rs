//! What happened: one record per statement of a restricted role, one per login and logout of the
//! others.
//!
//! A record holds identifiers, counts and SQLSTATEs. It never holds a value, a literal or SQL text:
//! there is no field one could be put into.
//!
//! Room for a record is reserved *before* the statement is sent ([`Sink::reserve`]), so finishing
//! never blocks and never fails: no [`Ticket`], no statement. Finished records wait as text in one
//! buffer, which the writer takes whole: it is woken once for many. Deliberately absent: the file
//! the records go to (`server::audit`) and the clock that stamps them.

mod record;
mod ticket;

pub use self::record::{Event, Outcome, Record, Who};
pub use self::ticket::{Batch, Records, Sink, SinkUnavailable, Ticket, Written, channel};
