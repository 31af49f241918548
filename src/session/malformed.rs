//! A message whose body is none of its type's: an error as any other, where PostgreSQL has a way to go on.
//!
//! Deliberately absent: lengths and types that cannot be; they end the session before it sees them.

use super::{Fatal, Io, Session};
use crate::pg::sqlstate;
use crate::plan::Refusal;
use crate::wire::frontend;

impl Session {
    /// Takes such a message.
    pub fn on_malformed(&mut self, tag: u8, io: &mut Io<'_>) -> Result<(), Fatal> {
        const MALFORMED: &str = "invalid message format";
        let start = io.client.len();
        let refusal = Refusal::error(sqlstate::PROTOCOL_VIOLATION, MALFORMED);
        match tag {
            _ if self.copy_in => return Err(Fatal::protocol(MALFORMED)),
            frontend::QUERY | frontend::FUNCTION_CALL => {
                if !self.skipping {
                    self.refuse_query(&refusal, "", io)?;
                }
            }
            frontend::PARSE
            | frontend::BIND
            | frontend::DESCRIBE
            | frontend::EXECUTE
            | frontend::CLOSE => {
                if !self.skipping {
                    self.refuse_extended(&refusal, "", io)?;
                }
            }
            _ => return Err(Fatal::protocol(MALFORMED)),
        }
        self.replies.locals(io.client);
        self.in_clients(start, io)
    }
}
