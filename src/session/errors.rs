//! Errors and notices on their way to the client: sanitized, or the proxy's own.
//!
//! Deliberately absent: what they may say (`diagnostic`), and what they do to the session (`answers`).

use bytes::BytesMut;

use super::diagnostic::{self, Fields};
use super::replies::Expected;
use super::{Fatal, Io, Session, to_client};
use crate::audit::Outcome;
use crate::pg::sqlstate;
use crate::plan::{Effect, Refusal, SET_CONSTRAINTS};
use crate::sql::Pointer;
use crate::wire::{Diagnostic, Report, backend};

impl Session {
    /// Would an error of what is running tell of the order of its rows? What comes of its text, and what
    /// has nothing to do with rows, would not.
    pub(super) fn tells_order(&mut self, fields: &Fields<'_>) -> bool {
        let (running, query) = match self.replies.head() {
            Some(Expected::Query { running, .. }) => (running.front(), true),
            Some(Expected::Execute { running, .. }) => (Some(&**running), false),
            _ => (None, false),
        };
        let ends = running.is_none_or(|running| {
            matches!(running.plan.effect(), Effect::Commit)
                || running.plan.facts().kind == SET_CONSTRAINTS
                || !self.confirmed.block
        });
        let of_text = fields.position.is_some() && fields.sqlstate.starts_with("42");
        let before = if let Some(running) = running.filter(|running| running.plan.facts().ordered) {
            // PostgreSQL describes what is only read before it makes the first row; of the rest, what it says of
            // a text has a place in the text.
            query
                && match running.plan.outputs() {
                    Some(_) if running.plan.facts().described => running.rows.is_none(),
                    _ => of_text,
                }
        } else {
            // The rows of a cursor WITH HOLD are made when its transaction ends, and constraints tested.
            let states = [&self.confirmed, &self.speculative];
            let deferred = ends && self.confirmed.is_deferring();
            of_text || !(deferred || states.iter().any(|s| s.holds_order()))
        };
        !before && !is_outside(fields) && diagnostic::pin_failed(fields).is_none()
    }

    /// Where in the client's text an error of the statement at the head points, in characters from 1.
    pub(super) fn origin(&mut self, fields: &Fields<'_>) -> Option<usize> {
        let position = fields.position?;
        if diagnostic::pin_failed(fields).is_some() {
            return None;
        }
        let (plan, begins, text) = match self.replies.head()? {
            Expected::Query { running, text, .. } => {
                let running = running.front().filter(|running| !running.hidden)?;
                (&running.plan, running.begins, text.as_slice())
            }
            Expected::Parse { prepared, text, .. } => (&prepared.plan, 0, text.as_deref()?),
            _ => return None,
        };
        let character = position.checked_sub(1)?.checked_sub(begins)?;
        let text = crate::wire::utf8(text).ok()?;
        let pointer = match fields.sqlstate {
            sqlstate::CANNOT_COERCE => Pointer::Cast,
            _ => Pointer::Leftmost,
        };
        let byte = plan.sql().origin(character, text, pointer)?;
        self::character(text, byte)
    }

    /// Why the proxy made PostgreSQL fail, if it did. `ordered`: which error came would tell of the order
    /// of rows; `position`: where in the client's text it points.
    pub(super) fn own_error(
        &mut self,
        fields: &Fields<'_>,
        (ordered, position): (bool, Option<usize>),
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        match self.fault.take() {
            None if ordered => {
                let report = Report {
                    detail: Some(
                        "Which of its errors came first would tell which row did, and so the order in \
                         which protected values are stored.",
                    ),
                    hint: Some(
                        "The audit log has the SQLSTATE. Divide by nullif(…, 0), and cast what matches \
                         a pattern; or leave in one thing at a time that can fail.",
                    ),
                    ..Report::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        "the statement failed while it computed with rows whose order is protected",
                    )
                };
                to_client::error(io.client, &report);
                Ok(())
            }
            Some(fault) => {
                let report = Report {
                    detail: fault.detail.as_deref(),
                    hint: fault.hint.as_deref(),
                    ..Report::error(fault.sqlstate, &fault.message)
                };
                to_client::error(io.client, &report);
                Ok(())
            }
            None => self.error_to_client(fields, position, io),
        }
    }

    fn decision_id(&self) -> String {
        format!("{}-{}", self.who.session, self.decisions)
    }

    /// What the client is told in place of a refusal in an aborted transaction: PostgreSQL looks at that as soon
    /// as it has read what the text says.
    pub(super) fn in_aborted(refusal: &Refusal) -> Option<BytesMut> {
        let first = [
            sqlstate::SYNTAX_ERROR,
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            sqlstate::PROTOCOL_VIOLATION,
        ];
        (!first.contains(&refusal.sqlstate)).then(in_failed)
    }

    /// The refusal as the client sees it, and its record.
    pub(super) fn refusal(&mut self, refusal: &Refusal, text: &str) -> BytesMut {
        if let Ok(ticket) = self.ticket(None) {
            ticket.finish(|record| {
                record.decision = Outcome::Refuse;
                record.sqlstate = Some(refusal.sqlstate.to_owned());
                record.reason = Some(diagnostic::reason(refusal));
            });
        }
        let id = self.decision_id();
        let detail = match &refusal.detail {
            Some(detail) => format!("{detail} Decision {id}."),
            None => format!("Decision {id}."),
        };
        let mut out = BytesMut::new();
        let report = Report {
            detail: Some(&detail),
            hint: refusal.hint.as_deref(),
            position: refusal.position.and_then(|byte| character(text, byte)),
            ..Report::error(refusal.sqlstate, &refusal.message)
        };
        to_client::error(&mut out, &report);
        out
    }

    pub(super) fn error_to_client(
        &self,
        fields: &Fields<'_>,
        position: Option<usize>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let path = self.confirmed.settings.search_path();
        let mut sanitized = diagnostic::error(fields, path.schemas());
        if let Some(position) = position {
            sanitized.push((b'P', position.to_string()));
        }
        let fields = sanitized
            .iter()
            .map(|(code, text)| (*code, text.as_bytes()));
        crate::wire::write::backend::diagnostic_fields(io.client, backend::ERROR, fields)?;
        Ok(())
    }
}

/// What an aborted transaction says to almost everything.
pub(super) fn in_failed() -> BytesMut {
    let mut out = BytesMut::new();
    let report = Report::error(
        sqlstate::IN_FAILED_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    );
    to_client::error(&mut out, &report);
    out
}

pub(super) fn fields<'a>(diagnostic: &Diagnostic<'a>) -> Fields<'a> {
    let mut fields = Fields::default();
    for (code, value) in diagnostic.iter() {
        if let Ok(value) = crate::wire::utf8(value) {
            fields.set(code, value);
        }
    }
    fields
}

pub(super) fn notice_to_client(notice: &Diagnostic<'_>, io: &mut Io<'_>) -> Result<(), Fatal> {
    if let Some(sanitized) = diagnostic::notice(&fields(notice)) {
        let fields = sanitized
            .iter()
            .map(|(code, text)| (*code, text.as_bytes()));
        crate::wire::write::backend::diagnostic_fields(io.client, backend::NOTICE, fields)?;
    }
    Ok(())
}

/// PostgreSQL counts a position in characters from 1.
fn character(text: &str, byte: usize) -> Option<usize> {
    text.get(..byte)
        .map(|before| before.chars().count().saturating_add(1))
}

/// Has an error nothing to do with any row? What a function says of the transaction or the session (25006, 55000) it
/// says when a row asks it, and whom another session stands in the way of (class 40, 55P03) is a row.
fn is_outside(fields: &Fields<'_>) -> bool {
    // It is in the way of a standby's recovery.
    let interrupted = fields.file == Some("postgres.c");
    let class = fields.sqlstate.get(..2).unwrap_or_default();
    match class {
        "25" => fields.sqlstate != sqlstate::READ_ONLY_TRANSACTION,
        "40" => interrupted,
        _ => ["08", "53", "57"].contains(&class),
    }
}
