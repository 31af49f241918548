//! From the server: answers to messages the client did not send are kept from it, ends of segments are
//! counted.

use super::front::cstr;
use super::walk::Walk;
use super::{Link, LinkError, Taken, Unnamed};
use crate::pooling::expected::Due;
use crate::pooling::known::Known;
use crate::pooling::residue::Residue;
use crate::pooling::statements::{self, Statements};
use crate::wire::backend;
use crate::wire::frame::{Limits, body};

impl Link {
    /// Takes what the server sent. If `same` is false, `out` holds what goes to the client instead.
    /// `heard` is told each CommandComplete, error and ReadyForQuery, by type and body.
    pub fn take_server(
        &mut self,
        bytes: &[u8],
        known: &mut Known,
        statements: &Statements,
        out: &mut Vec<u8>,
        mut heard: impl FnMut(u8, &[u8]),
    ) -> Result<Taken, LinkError> {
        let mut walk = Walk::new(bytes, &mut self.down_left);
        while let Some((tag, total)) = walk.next(Limits::BACKEND).map_err(|_| LinkError::Server)? {
            match tag {
                backend::DATA_ROW | backend::COPY_DATA | backend::ROW_DESCRIPTION => {
                    walk.pass(total);
                }
                backend::READY
                | backend::COMMAND_COMPLETE
                | backend::ERROR
                | backend::PARAMETER_STATUS
                | backend::PARSE_COMPLETE
                | backend::CLOSE_COMPLETE => {
                    let Some(frame) = walk.rest().get(..total) else {
                        break;
                    };
                    if tag == backend::ERROR && is_outdated(frame) {
                        self.names.values().for_each(|s| statements.retire(s));
                    }
                    if matches!(
                        tag,
                        backend::READY | backend::COMMAND_COMPLETE | backend::ERROR
                    ) {
                        heard(tag, body(frame));
                    }
                    self.server_message(tag, frame, &mut walk, known, out)?;
                }
                backend::COPY_IN => {
                    let begins = self.expected.copy_begins();
                    self.copying = !begins.ended;
                    // A Sync that it ignores closed nothing.
                    self.open |= self.copying && !self.expected.is_query();
                    self.synced = begins.synced;
                    self.ahead = false;
                    walk.pass(total);
                }
                _ => walk.pass(total),
            }
        }
        let (used, same) = walk.finish(&mut self.down_left, out);
        Ok(Taken {
            used,
            same,
            left: false,
            queries: 0,
        })
    }

    fn server_message(
        &mut self,
        tag: u8,
        frame: &[u8],
        walk: &mut Walk<'_>,
        known: &mut Known,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkError> {
        let (total, body) = (frame.len(), body(frame));
        match tag {
            backend::READY => {
                if self.ready(body, known)? {
                    walk.pass(total);
                } else {
                    walk.replace(total, out);
                }
            }
            backend::COMMAND_COMPLETE => {
                self.synced = false;
                if matches!(body, b"DISCARD ALL\0" | b"DEALLOCATE ALL\0") {
                    known.clear();
                    self.names.clear();
                    self.unnamed = None;
                }
                walk.pass(total);
            }
            backend::PARAMETER_STATUS => {
                self.note(Residue::SETTINGS);
                let (name, rest) = cstr(body).map_err(|_| LinkError::Server)?;
                let (value, _) = cstr(rest).map_err(|_| LinkError::Server)?;
                self.setting(name, value);
                walk.pass(total);
            }
            backend::ERROR if self.expected.takes_skips() => {
                self.fails();
                walk.replace(total, out);
            }
            backend::ERROR => {
                self.told = true;
                self.fails();
                match self.in_clients_words(body) {
                    Some(body) => {
                        walk.replace(total, out);
                        statements::head(backend::ERROR, body.len(), out);
                        out.extend_from_slice(&body);
                    }
                    None => walk.pass(total),
                }
            }
            _ => {
                let due = self.expected.answered().ok_or(LinkError::Server)?;
                let of_unnamed = matches!(due, Due::Passed | Due::Made(0) | Due::Unmade(0));
                self.unnamed_made |= of_unnamed;
                match (tag, due) {
                    (backend::PARSE_COMPLETE, Due::Made(_))
                    | (backend::CLOSE_COMPLETE, Due::Unmade(_) | Due::Reached | Due::Dropped(..)) =>
                    {
                        walk.replace(total, out);
                    }
                    (backend::CLOSE_COMPLETE, Due::Counted { .. }) => {
                        self.counted();
                        walk.replace(total, out);
                    }
                    (
                        backend::PARSE_COMPLETE,
                        Due::Parsed(..) | Due::Here(_) | Due::Passed | Due::Doomed,
                    )
                    | (backend::CLOSE_COMPLETE, Due::Closed(..) | Due::PortalClosed) => {
                        walk.pass(total);
                    }
                    (backend::CLOSE_COMPLETE, Due::Here(_)) => {
                        walk.replace(total, out);
                        statements::head(backend::PARSE_COMPLETE, 0, out);
                    }
                    _ => return Err(LinkError::Server),
                }
            }
        }
        Ok(())
    }

    /// The end of a segment; true if the client is told. What of it was not answered was skipped after an
    /// error.
    fn ready(&mut self, status: &[u8], known: &mut Known) -> Result<bool, LinkError> {
        let counted = self.is_counted();
        let mut skipped = Vec::new();
        while counted.is_none() {
            match self.expected.pop() {
                Some(Due::Query | Due::Sync) => break,
                Some(due) => skipped.push(due),
                None => return Err(LinkError::Server),
            }
        }
        // The last first, so that a name means in the end what it meant before.
        for due in skipped.into_iter().rev() {
            self.undo(due, known);
        }
        // A COPY that never asked for its data leaves the mark of their end.
        self.expected.drop_copy_ends();
        self.in_transaction = status != b"I";
        self.failed = status == b"E";
        self.told = false;
        self.ahead = false;
        if !self.in_transaction {
            self.altered = !self.found.is_none();
            self.transactions = self.transactions.wrapping_add(1);
        }
        Ok(counted.unwrap_or(true))
    }

    /// What was sent was skipped.
    fn undo(&mut self, due: Due, known: &mut Known) {
        match due {
            Due::Made(0) | Due::Unmade(0) => self.unnamed_here = false,
            Due::Made(id) => known.forget(id),
            Due::Parsed(name, id) => {
                known.forget(id);
                self.names.remove(&name);
            }
            Due::Here(name) => {
                self.names.remove(&name);
            }
            // An unnamed Parse that failed leaves no unnamed statement; one that was skipped leaves the
            // one before, which may be somebody else's, or the client's, of which the text is gone.
            Due::Passed => {
                if !self.expected.has_passed() {
                    self.unnamed = self.unnamed_made.then(Unnamed::lost);
                    self.unnamed_here = self.unnamed_made;
                }
            }
            Due::Closed(name, Some(statement)) | Due::Dropped(name, statement) => {
                self.names.insert(name, statement);
            }
            // Still there, under a name that will be made again: that must not fail.
            Due::Unmade(id) => known.keep(id),
            Due::Closed(_, None)
            | Due::PortalClosed
            | Due::CopyEnd
            | Due::Doomed
            | Due::Reached
            | Due::Counted { .. }
            | Due::Skips
            | Due::Query
            | Due::Sync => {}
        }
    }

    /// An error's text with the client's names for its statements, if it names one.
    fn in_clients_words(&self, body: &[u8]) -> Option<Vec<u8>> {
        let at = memchr::memmem::find(body, statements::PREFIX)?;
        let digits = body.get(at.checked_add(statements::PREFIX.len())?..)?;
        let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let end = at
            .saturating_add(statements::PREFIX.len())
            .saturating_add(len);
        let own = body.get(at..end)?;
        let id = statements::number(own)?;
        let found = self.names.iter().find(|(_, statement)| statement.id == id);
        let mut text = body.get(..at)?.to_vec();
        text.extend_from_slice(found.map_or(&b"?"[..], |(name, _)| name));
        text.extend_from_slice(body.get(end..)?);
        Some(text)
    }
}

/// `cached plan must not change result type`: no other error comes from this function of plancache.c.
/// Drivers prepare the text again and expect another statement.
fn is_outdated(frame: &[u8]) -> bool {
    memchr::memmem::find(frame, b"RRevalidateCachedQuery\0").is_some()
}
