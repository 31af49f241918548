//! PostgreSQL's messages: each is matched to what is due, and nothing else reaches the client.

mod described;
mod ready;

use std::sync::Arc;
use std::time::Instant;

use super::copy_in::Counting;
use super::diagnostic;
use super::errors::{fields, notice_to_client};
use super::missing::duplicate_portal;
use super::replies::{Behind, Expected, Running, Sent};
use super::transaction::Completion;
use super::{Fatal, Io, Session, startup, to_client, to_upstream, untold};
use crate::audit::Outcome;
use crate::limits;
use crate::pg::sqlstate::{DUPLICATE_CURSOR, UNDEFINED_PARAMETER};
use crate::wire::Diagnostic;
use crate::wire::backend::{self, BackendMessage};
use crate::wire::frame;

/// Rows that are put together before they are passed on: so few that they are still in the processor's
/// nearest cache then.
const AT_HAND: usize = 4 * 1024;

impl Session {
    /// Takes one whole frame of PostgreSQL.
    pub fn on_upstream(
        &mut self,
        tag: u8,
        whole: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        if tag == backend::DATA_ROW {
            return self.on_rows(whole, io).map(drop);
        }
        let start = io.client.len();
        self.take_upstream(tag, whole, now, io)?;
        let told = self.in_clients(start, io);
        told.or_else(|why| self.cannot_tell(why, io))
    }

    fn take_upstream(
        &mut self,
        tag: u8,
        whole: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let body = frame::body(whole);
        if self.is_read(tag) {
            return self.on_read(tag);
        }
        if self.unheard && untold::is_answer(tag) || self.is_untold(tag, now, io)? {
            return Ok(());
        }
        if tag == backend::ROW_DESCRIPTION {
            // Mostly it is one that was read before.
            self.on_description(Some(body), io)?;
            self.replies.locals(io.client);
            return Ok(());
        }
        match BackendMessage::read(tag, body).map_err(|_| malformed())? {
            BackendMessage::Notice(notice) => notice_to_client(&notice, io)?,
            // Triggers notify with raw rows.
            BackendMessage::Notification(_) => {}
            BackendMessage::ParameterStatus(p) => {
                let name = crate::wire::utf8(p.name).unwrap_or_default();
                if startup::is_reported(name) {
                    io.client.extend_from_slice(whole);
                }
            }
            BackendMessage::Error(error) => self.on_error(&error, now, io)?,
            BackendMessage::Ready(status) => self.on_ready(status, whole, io)?,
            BackendMessage::CommandComplete(tag) => self.on_complete(tag, whole, now, io)?,
            message @ (BackendMessage::EmptyQuery | BackendMessage::PortalSuspended) => {
                self.on_end(&message, whole, now, io)?;
            }
            BackendMessage::NoData => self.on_description(None, io)?,
            BackendMessage::ParameterDescription(types) => {
                let types: Vec<_> = types.iter().collect();
                self.on_parameters(&types, whole, io)?;
            }
            BackendMessage::ParseComplete => self.on_parsed(whole, io)?,
            BackendMessage::BindComplete => self.on_bound(whole, io)?,
            BackendMessage::CloseComplete => self.on_closed(whole, io)?,
            message @ (BackendMessage::CopyIn(_)
            | BackendMessage::CopyOut(_)
            | BackendMessage::CopyData(_)
            | BackendMessage::CopyDone) => self.on_copy_message(&message, whole, io)?,
            BackendMessage::Authentication(_)
            | BackendMessage::BackendKeyData(_)
            | BackendMessage::CopyBoth(_)
            | BackendMessage::DataRow(_)
            | BackendMessage::FunctionCallResponse(_)
            | BackendMessage::NegotiateProtocolVersion(_)
            | BackendMessage::RowDescription(_) => return Err(unexpected()),
        }
        self.replies.locals(io.client);
        Ok(())
    }

    /// The statement at the head that is running.
    pub(super) fn running_head(&mut self) -> Result<&mut Running, Fatal> {
        match self.replies.head() {
            Some(Expected::Query {
                running,
                failed: false,
                ..
            }) => running.front_mut().ok_or_else(unexpected),
            Some(Expected::Execute { running, .. }) => Ok(running),
            _ => Err(unexpected()),
        }
    }

    /// Takes what is at the front of `bytes`, rows or the data of COPY TO, as [`Self::on_rows`] and
    /// [`Self::on_copied`].
    pub fn on_data(
        &mut self,
        tag: u8,
        bytes: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<usize, Fatal> {
        if tag == backend::DATA_ROW {
            self.on_rows(bytes, io)
        } else {
            self.on_copied(bytes, now, io)
        }
    }

    /// Takes the rows at the front of `bytes`, as many as are there and go out together; says how
    /// many bytes they are. The first is there.
    pub fn on_rows(&mut self, bytes: &[u8], io: &mut Io<'_>) -> Result<usize, Fatal> {
        if let Some(Expected::Read(read)) = self.replies.head() {
            return read.row(bytes);
        }
        if self.untold.is_some() {
            return Ok(untold::rows(bytes));
        }
        if let Some(Expected::Execute { running, portal }) = self.replies.head()
            && running.rows.is_none()
        {
            running.rows = Some(portal.prepared.rows(portal.formats.as_slice())?);
        }
        let encoding = self.confirmed.settings.encoding();
        let mut masked = std::mem::take(&mut self.scratch);
        let running = self.running_head()?;
        let rows = running.rows.as_ref().ok_or_else(unexpected)?;
        let before = io.client.len();
        let (mut at, mut count) = (0_usize, 0_u64);
        masked.clear();
        for frame in frame::frames(bytes, &frame::Limits::BACKEND) {
            let frame = match frame {
                Ok(frame) if frame.tag == backend::DATA_ROW => frame,
                // Whoever takes the next message says what is wrong with it.
                Ok(_) | Err(_) => break,
            };
            rows.row(frame.bytes, &mut masked)?;
            if !encoding.is_same() {
                if let Err(why) = rows.recode(&masked, io.client, encoding) {
                    running.count = running.count.saturating_add(count);
                    // The row is nobody's, and neither is what follows it.
                    self.cannot_tell(why, io)?;
                    return Ok(frame.end());
                }
                masked.clear();
            } else if masked.len() >= AT_HAND {
                io.client.extend_from_slice(&masked);
                masked.clear();
            }
            (at, count) = (frame.end(), count.saturating_add(1));
            let sent = io.client.len().saturating_sub(before);
            if sent.saturating_add(masked.len()) >= limits::READ_BYTES {
                break;
            }
        }
        io.client.extend_from_slice(&masked);
        let sent = io.client.len().saturating_sub(before);
        if count == 0 {
            return Err(unexpected());
        }
        running.count = running.count.saturating_add(count);
        running.bytes = running
            .bytes
            .saturating_add(u64::try_from(sent).unwrap_or(0));
        masked.shrink_to(limits::PENDING_BYTES);
        self.scratch = masked;
        Ok(at)
    }

    fn on_parsed(&mut self, whole: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        if self.is_bound_query() {
            return Ok(());
        }
        let Some(Expected::Parse {
            name,
            prepared,
            visible,
            text: _,
        }) = self.replies.pop()
        else {
            return Err(unexpected());
        };
        self.confirmed.prepared.insert(name, prepared.entry());
        if visible {
            io.client.extend_from_slice(whole);
        }
        Ok(())
    }

    fn on_bound(&mut self, whole: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        if self.is_bound_query() {
            return Ok(());
        }
        let Some(Expected::Bind { instead }) = self.replies.pop() else {
            return Err(unexpected());
        };
        if let Some(instead) = instead {
            let (name, portal) = *instead;
            self.portals.bind(&name, portal);
        }
        io.client.extend_from_slice(whole);
        Ok(())
    }

    fn on_closed(&mut self, whole: &[u8], io: &mut Io<'_>) -> Result<(), Fatal> {
        if let Some(Expected::Counting { counting, .. }) = self.replies.head() {
            *counting = Counting::Closed;
            return Ok(());
        }
        let Some(Expected::Close {
            statement,
            upstream,
            visible,
        }) = self.replies.pop()
        else {
            return Err(unexpected());
        };
        if let Some(upstream) = upstream {
            self.details.remove(&upstream);
        }
        if let Some(name) = statement {
            self.confirmed.prepared.remove(&name);
        }
        if visible {
            io.client.extend_from_slice(whole);
        }
        Ok(())
    }

    fn on_complete(
        &mut self,
        tag: &[u8],
        whole: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        self.was_described()?;
        let running = self.running_head()?;
        running.finish(Outcome::Allow, None, now);
        let completion = if tag == b"ROLLBACK" {
            Completion::RolledBack
        } else {
            Completion::AsPlanned
        };
        let (plan, hidden) = (Arc::clone(&running.plan), running.hidden);
        self.copy_synced = false;
        self.confirmed.apply(plan.effect(), completion);
        if plan.facts().defers {
            self.confirmed.defer();
        }
        self.advance();
        self.all_is_told(io);
        if hidden {
            return Ok(());
        }
        // Upstream it may be a SELECT, of what the proxy knows or of what it returns.
        let count = tag.strip_prefix(b"SELECT ").map(String::from_utf8_lossy);
        match (plan.facts().kind, plan.facts().changes, count) {
            ("SHOW", _, _) => to_client::command_complete(io.client, "SHOW")?,
            (_, Some(kind), Some(count)) => {
                to_client::command_complete(io.client, &format!("{kind} {count}"))?;
            }
            _ => io.client.extend_from_slice(whole),
        }
        Ok(())
    }

    /// EmptyQueryResponse, PortalSuspended
    fn on_end(
        &mut self,
        message: &BackendMessage<'_>,
        whole: &[u8],
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let suspended = matches!(message, BackendMessage::PortalSuspended);
        match self.replies.head() {
            // A string of nothing but comments: no statement was planned for it.
            Some(Expected::Query {
                running,
                failed: false,
                ..
            }) if running.is_empty() && !suspended => {}
            Some(Expected::Execute { running, .. }) => {
                running.finish(Outcome::Allow, None, now);
                self.advance();
            }
            _ => return Err(unexpected()),
        }
        io.client.extend_from_slice(whole);
        Ok(())
    }

    /// The statement at the head is done.
    pub(super) fn advance(&mut self) {
        match self.replies.head() {
            Some(Expected::Query { running, .. }) => {
                if let Some(done) = running.pop_front() {
                    self.replies.effect_done(done.plan.effect());
                }
            }
            _ => {
                if let Some(Expected::Execute { running, .. }) = self.replies.pop() {
                    self.replies.spare(running);
                }
            }
        }
    }

    fn on_error(
        &mut self,
        error: &Diagnostic<'_>,
        now: Instant,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let mut fields = fields(error);
        self.copy_in = false;
        self.misfit = false;
        self.copy_export = None;
        self.waits_for = None;
        self.moved |= diagnostic::catalog_moved(&fields);
        if self.nameless {
            fields.forget_names();
        }
        if matches!(fields.severity, "FATAL" | "PANIC") {
            return self.error_to_client(&fields, None, io);
        }
        if self.unheard {
            return Ok(());
        }
        let sqlstate = fields.sqlstate;
        let ordered = self.tells_order(&fields);
        let position = self.origin(&fields);
        match self.replies.head() {
            // A statement's time runs on until Execute or Sync, also while PostgreSQL owes nothing.
            None if self.uploads.open => self.skipping = true,
            None | Some(Expected::Counting { .. }) => return Err(unexpected()),
            Some(Expected::Bind {
                instead: Some(instead),
            }) => {
                // PostgreSQL knows it by another name.
                self.fault = (sqlstate == DUPLICATE_CURSOR).then(|| duplicate_portal(&instead.0));
                self.skipping = !self.replies.skip_to_sync();
            }
            Some(Expected::Refusal { .. }) => {
                if let Some(Expected::Refusal {
                    reply,
                    aborted,
                    simple,
                }) = self.replies.pop()
                {
                    let aborted = aborted.filter(|_| self.confirmed.is_aborted());
                    io.client.extend_from_slice(&aborted.unwrap_or(reply));
                    self.failed = true;
                    if !simple {
                        self.skipping = !self.replies.skip_to_sync();
                        self.forget_skipped();
                    }
                }
                return Ok(());
            }
            Some(Expected::Query {
                running,
                behind,
                failed,
                sent,
                ..
            }) => {
                if let Some(running) = running.front_mut() {
                    running.finish(Outcome::Error, Some(sqlstate), now);
                }
                *failed = true;
                if std::mem::replace(sent, Sent::Bound) == Sent::Held {
                    // PostgreSQL skips up to it.
                    to_upstream::sync(io.upstream);
                }
                self.parts.failed |= matches!(behind, Behind::More);
                if let Behind::Refused(refused) = behind
                    && self.untold.is_none()
                    && running.is_empty()
                    && sqlstate == UNDEFINED_PARAMETER
                {
                    io.client.extend_from_slice(refused);
                    self.failed = true;
                    return Ok(());
                }
                self.copy_failed(io)?;
            }
            Some(Expected::Read(_)) => self.read_failed(sqlstate, now),
            // ReadyForQuery follows in any case: a deferred constraint failed at the commit.
            Some(Expected::Sync { .. } | Expected::Ready { .. }) => {}
            Some(Expected::Execute { running, .. }) => {
                running.finish(Outcome::Error, Some(sqlstate), now);
                self.skipping = !self.replies.skip_to_sync();
                self.copy_failed(io)?;
            }
            Some(_) => self.skipping = !self.replies.skip_to_sync(),
        }
        self.failed = true;
        self.forget_skipped();
        if self.untold.take().is_some() {
            return Ok(());
        }
        self.own_error(&fields, (ordered, position), io)
    }
}

fn malformed() -> Fatal {
    Fatal::unexpected("malformed message from the server")
}

pub(super) fn unexpected() -> Fatal {
    Fatal::unexpected("the server sent a message the proxy did not expect")
}
