//! What the client asked for while it had no connection, and then cancelled: it is answered here, as
//! PostgreSQL would have answered it.
//!
//! The first message that PostgreSQL can be interrupted at fails; of the extended protocol the rest is skipped
//! up to Sync. A Close before it is done: it concerns nothing but the client's names. Outside a transaction,
//! where a client has no connection, nothing else is left behind.

use bytes::BytesMut;

use super::front::cstr;
use super::walk::Walk;
use super::{Link, LinkError};
use crate::pg::sqlstate;
use crate::wire::Report;
use crate::wire::backend::TransactionStatus;
use crate::wire::frame::{Limits, body};
use crate::wire::frontend;
use crate::wire::write::backend as to_client;

/// How far what was cancelled is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Cancelled {
    /// Nothing is cancelled.
    #[default]
    No,
    /// The client is not told yet.
    Due,
    /// What comes up to Sync is skipped.
    Skipping,
    /// It is answered; the rest of its last message is still to come.
    Ending,
}

impl Link {
    /// What the client asks for is for no connection.
    pub fn cancel(&mut self) {
        self.cancelled = Cancelled::Due;
    }

    /// What comes next is for [`Link::take_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.cancelled != Cancelled::No
    }

    /// Takes what the client sent, as far as it is cancelled, and says how many bytes of it that is.
    pub fn take_cancelled(
        &mut self,
        bytes: &[u8],
        reply: &mut BytesMut,
    ) -> Result<usize, LinkError> {
        let mut walk = Walk::new(bytes, &mut self.up_left);
        loop {
            if self.cancelled == Cancelled::Ending && !walk.is_within() {
                self.cancelled = Cancelled::No;
            }
            if self.cancelled == Cancelled::No {
                break;
            }
            let next = walk.next(Limits::FRONTEND).map_err(|_| LinkError::Client)?;
            let Some((tag, total)) = next else { break };
            let due = self.cancelled == Cancelled::Due;
            match tag {
                frontend::TERMINATE => {
                    self.cancelled = Cancelled::No;
                    break;
                }
                frontend::SYNC => {
                    to_client::ready(reply, TransactionStatus::Idle);
                    self.cancelled = Cancelled::Ending;
                }
                frontend::QUERY | frontend::FUNCTION_CALL if due => {
                    tell(reply);
                    to_client::ready(reply, TransactionStatus::Idle);
                    self.cancelled = Cancelled::Ending;
                }
                frontend::CLOSE if due => {
                    let Some(whole) = walk.rest().get(..total) else {
                        break;
                    };
                    self.closed(body(whole))?;
                    to_client::close_complete(reply);
                }
                frontend::PARSE | frontend::BIND | frontend::DESCRIBE | frontend::EXECUTE
                    if due =>
                {
                    tell(reply);
                    self.cancelled = Cancelled::Skipping;
                }
                _ => {}
            }
            walk.pass(total);
        }
        let (used, _) = walk.finish(&mut self.up_left, &mut Vec::new());
        // There was nothing to interrupt.
        if self.cancelled == Cancelled::Due && used == bytes.len() && self.up_left == 0 {
            self.cancelled = Cancelled::No;
        }
        Ok(used)
    }

    /// A name means nothing any more.
    fn closed(&mut self, body: &[u8]) -> Result<(), LinkError> {
        let (kind, rest) = body.split_first().ok_or(LinkError::Client)?;
        let (name, _) = cstr(rest)?;
        if *kind == b'S' && name.is_empty() {
            self.unnamed = None;
        } else if *kind == b'S' {
            self.names.remove(name);
        }
        Ok(())
    }
}

fn tell(reply: &mut BytesMut) {
    let message = "canceling statement due to user request";
    to_client::error(reply, &Report::error(sqlstate::QUERY_CANCELED, message));
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::Link;
    use crate::wire::frontend;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    /// The types of what it answers to these, and how many bytes it leaves.
    fn answered(link: &mut Link, bytes: &[u8]) -> (String, usize) {
        let mut reply = BytesMut::new();
        let used = link.take_cancelled(bytes, &mut reply).unwrap();
        let mut kinds = String::new();
        let mut rest = &reply[..];
        while let Some((kind, after)) = rest.split_first() {
            let length = i32::from_be_bytes(*after.first_chunk().unwrap());
            kinds.push(char::from(*kind));
            rest = &after[usize::try_from(length).unwrap()..];
        }
        (kinds, bytes.len() - used)
    }

    fn cancelled() -> Link {
        let mut link = Link::new();
        link.cancel();
        link
    }

    #[test]
    fn one_query_fails_and_no_more() {
        let query = frame(frontend::QUERY, b"SELECT 1\0");
        let mut link = cancelled();
        let two = [&query[..], &query].concat();
        assert_eq!(answered(&mut link, &two), ("EZ".to_owned(), query.len()));
        assert!(!link.is_cancelled());
    }

    #[test]
    fn the_extended_protocol_is_skipped_up_to_sync() {
        let (parse, execute) = (
            frame(frontend::PARSE, b"s\0x\0\0\0"),
            frame(frontend::EXECUTE, b"\0\0\0\0\0"),
        );
        let (sync, query) = (frame(frontend::SYNC, b""), frame(frontend::QUERY, b"x\0"));
        let mut link = cancelled();
        assert_eq!(
            answered(&mut link, &[&parse[..], &execute].concat()),
            ("E".to_owned(), 0)
        );
        assert!(link.is_cancelled());
        // Sync comes later, and a Query before it is skipped too.
        let rest = [&query[..], &sync, &query].concat();
        assert_eq!(answered(&mut link, &rest), ("Z".to_owned(), query.len()));
        assert!(!link.is_cancelled());
    }

    #[test]
    fn a_close_is_done_and_what_cannot_be_interrupted_is_answered() {
        let close = frame(frontend::CLOSE, b"Ss\0");
        let (sync, query) = (frame(frontend::SYNC, b""), frame(frontend::QUERY, b"x\0"));
        let mut link = cancelled();
        assert_eq!(
            answered(&mut link, &[&close[..], &query].concat()),
            ("3EZ".to_owned(), 0)
        );
        let mut link = cancelled();
        assert_eq!(
            answered(&mut link, &[&close[..], &sync].concat()),
            ("3Z".to_owned(), 0)
        );
        assert!(!link.is_cancelled());
        let mut link = cancelled();
        assert_eq!(
            answered(&mut link, &frame(frontend::FLUSH, b"")),
            (String::new(), 0)
        );
        assert!(!link.is_cancelled());
        let mut link = cancelled();
        let terminate = frame(frontend::TERMINATE, b"");
        assert_eq!(
            answered(&mut link, &terminate),
            (String::new(), terminate.len())
        );
    }

    #[test]
    fn a_message_may_come_in_pieces() {
        let parse = frame(frontend::PARSE, b"s\0x\0\0\0");
        for (bytes, expected) in [
            (frame(frontend::QUERY, b"SELECT 1\0"), "EZ"),
            (frame(frontend::CLOSE, b"Ss\0"), "3"),
            ([parse, frame(frontend::SYNC, b"")].concat(), "EZ"),
        ] {
            let mut link = cancelled();
            let (mut told, mut kept) = (String::new(), Vec::new());
            for byte in &bytes {
                assert!(link.is_cancelled());
                kept.push(*byte);
                let (kinds, left) = answered(&mut link, &kept);
                told.push_str(&kinds);
                kept.drain(..kept.len() - left);
            }
            assert_eq!(told, expected);
            assert!(!link.is_cancelled());
        }
    }
}
