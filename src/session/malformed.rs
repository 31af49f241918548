//! A message that cannot be read, because its body is none of its type's or its text is too long: an error
//! as any other, where PostgreSQL has a way to go on.
//!
//! Deliberately absent: lengths and types that cannot be; they end the session before it sees them.

use super::copy_in::UNEXPECTED_IN_COPY;
use super::errors::in_failed;
use super::missing::{ident, missing_statement};
use super::{Fatal, Io, Session};
use crate::pg::sqlstate;
use crate::plan::Refusal;
use crate::sql::parse::too_long;
use crate::wire::{Formats, Reader, frontend};

impl Session {
    /// Takes a message whose body is none of its type's.
    pub fn on_malformed(&mut self, tag: u8, body: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        const MALFORMED: &str = "invalid message format";
        let start = io.client.len();
        let refusal = Refusal::error(sqlstate::PROTOCOL_VIOLATION, MALFORMED);
        match tag {
            _ if self.copy_in => return Err(Fatal::protocol(MALFORMED)),
            frontend::QUERY
            | frontend::FUNCTION_CALL
            | frontend::PARSE
            | frontend::BIND
            | frontend::DESCRIBE
            | frontend::EXECUTE
            | frontend::CLOSE
                if self.skipping => {}
            frontend::QUERY | frontend::FUNCTION_CALL => self.refuse_query(&refusal, "", io)?,
            frontend::BIND => {
                let (refusal, late) = match bind_up_to_values(body) {
                    Some((statement, late)) => match self.missing(statement) {
                        Some(missing) => (missing, false),
                        None => (refusal, late),
                    },
                    None => (refusal, false),
                };
                let aborted = late.then(in_failed);
                self.refuse_with(&refusal, "", aborted, io)?;
            }
            frontend::PARSE | frontend::DESCRIBE | frontend::EXECUTE | frontend::CLOSE => {
                self.refuse_extended(&refusal, "", io)?;
            }
            _ => return Err(Fatal::protocol(MALFORMED)),
        }
        self.replies.locals(io.client);
        self.in_clients(start, io)
    }

    /// Takes a Query, or a Parse (of the unnamed statement if `unnamed`), whose text is too long to be
    /// looked at, and is not here.
    pub fn on_long(&mut self, tag: u8, unnamed: bool, io: &mut Io<'_>) -> Result<(), Fatal> {
        let start = io.client.len();
        if self.copy_in {
            return Err(Fatal::protocol(UNEXPECTED_IN_COPY));
        }
        if self.skipping {
            return Ok(());
        }
        let refusal = Refusal::from(too_long());
        let parse = tag == frontend::PARSE;
        if !parse || unnamed {
            self.drop_unnamed(io)?;
        }
        if parse {
            self.refuse_extended(&refusal, "", io)?;
        } else {
            self.refuse_query(&refusal, "", io)?;
        }
        self.uploads.open = parse;
        self.replies.locals(io.client);
        self.in_clients(start, io)
    }
    /// There is no statement of this name.
    fn missing(&self, statement: &[u8]) -> Option<Refusal> {
        let name = ident(statement).ok()?;
        let known = self.speculative.prepared.contains_key(&name);
        (!known).then(|| missing_statement(&name))
    }
}

/// The statement of a malformed Bind, if its name can be read, and whether how many formats and values there are
/// can be: PostgreSQL looks at that before it looks at whether the transaction is aborted, and reads on after.
fn bind_up_to_values(body: &[u8]) -> Option<(&[u8], bool)> {
    let mut reader = Reader::new(body);
    reader.cstr().ok()?;
    let statement = reader.cstr().ok()?;
    let formats = Formats::read(&mut reader);
    Some((statement, formats.is_ok() && reader.u16().is_ok()))
}
