//! What is read right before a statement: what temporary tables hold that it compares with tokens, and
//! the values whose tokens PostgreSQL is to look up.
//!
//! Nobody but the session changes its temporary tables, and nothing is sent between the reading and the
//! statement, so what was read is what the statement finds. Of other tables somebody may change a value in
//! between; the statement then fails when it meets it. The message that needs it waits until all
//! before it is answered, is offered again when the answer is here, and is then sent with it. Before a
//! Query the reading is a Query of its own: what it reads is the same in the transaction that follows.
//! Before a Bind it is part of the client's own pipeline, and fails as its Bind would have.
//!
//! Deliberately absent: what is made of the values (`plan::Uploads`).

use std::sync::Arc;
use std::time::Instant;

use super::portals::Portal;
use super::prepared::Prepared;
use super::replies::{Expected, Sent};
use super::{Fatal, Io, Session, Step, to_upstream};
use crate::audit::Outcome;
use crate::pg::{Oid, sqlstate};
use crate::plan::{Plan, Refusal, UploadRow, Uploaded};
use crate::wire::frontend::{Bind, FrontendMessage, Target};
use crate::wire::{DataRow, backend, frame};

/// What a session knows of its uploads.
#[derive(Default)]
pub(super) struct Uploads {
    /// What has to be known before the client's message.
    pub(super) reading: Reading,
    /// Messages of the extended protocol came since the last Sync.
    pub(super) open: bool,
    /// How many statements were sent to be executed.
    pub(super) executed: u64,
}

/// What the reading for the client's next message has come to.
#[derive(Default)]
pub(super) enum Reading {
    /// There is none.
    #[default]
    No,
    /// It begins when all before it is answered.
    Waits,
    /// PostgreSQL was asked.
    Asked,
    /// It is here.
    Done(Uploaded),
    /// It failed, and the client was told so in place of its Query's answer.
    Failed,
}

impl Reading {
    /// May the client's message be offered? `answered`: PostgreSQL owes nothing.
    pub(super) fn takes_client(&self, answered: bool) -> bool {
        match self {
            Self::No | Self::Done(_) | Self::Failed => true,
            Self::Waits => answered,
            Self::Asked => false,
        }
    }
}

/// Does a message leave a pipeline open, or end it? `None`: neither.
pub(super) fn opens(message: &FrontendMessage<'_>) -> Option<bool> {
    match message {
        FrontendMessage::Bind(_)
        | FrontendMessage::Close(_)
        | FrontendMessage::Describe(_)
        | FrontendMessage::Execute(_)
        | FrontendMessage::Parse(_) => Some(true),
        FrontendMessage::FunctionCall(_) | FrontendMessage::Query(_) | FrontendMessage::Sync => {
            Some(false)
        }
        FrontendMessage::CopyData(_)
        | FrontendMessage::CopyDone
        | FrontendMessage::CopyFail(_)
        | FrontendMessage::Flush
        | FrontendMessage::Terminate => None,
    }
}

/// A reading under way.
pub(super) struct Read {
    uploaded: Uploaded,
    due: Due,
    /// It is a Query; else Parse, Bind, Execute and Close.
    query: bool,
    failed: bool,
    /// The statement it is for.
    plan: Arc<Plan>,
    pub(super) segment: u64,
}

/// What PostgreSQL says next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Parsed,
    Bound,
    Description,
    /// Rows, then CommandComplete.
    Rows,
    Closed,
    Ready,
}

impl Due {
    fn first(query: bool) -> Self {
        if query {
            Self::Description
        } else {
            Self::Parsed
        }
    }
}

impl Read {
    /// Takes the row at the front of `bytes`; says how many bytes it is.
    pub(super) fn row(&mut self, bytes: &[u8]) -> Result<usize, Fatal> {
        let first = frame::frames(bytes, &frame::Limits::BACKEND).next();
        let Some(Ok(frame)) = first.filter(|_| self.due == Due::Rows && !self.failed) else {
            return Err(unexpected());
        };
        let row = DataRow::read(frame::body(frame.bytes)).map_err(|_| unexpected())?;
        let mut values = row.values.iter();
        let (Some(Some(upload)), Some(value), None) = (values.next(), values.next(), values.next())
        else {
            return Err(unexpected());
        };
        let row = UploadRow { upload, value };
        self.uploaded.add(&row).ok_or_else(unexpected)?;
        Ok(frame.end())
    }

    /// Takes another message.
    fn take(&mut self, tag: u8) -> Result<(), Fatal> {
        self.due = match (self.due, tag) {
            _ if self.failed => return Err(unexpected()),
            (Due::Parsed, backend::PARSE_COMPLETE) => Due::Bound,
            (Due::Bound, backend::BIND_COMPLETE) | (Due::Description, backend::ROW_DESCRIPTION) => {
                Due::Rows
            }
            (Due::Rows, backend::COMMAND_COMPLETE) if self.query => Due::Ready,
            (Due::Rows, backend::COMMAND_COMPLETE) => Due::Closed,
            (Due::Closed, backend::CLOSE_COMPLETE) => Due::Ready,
            _ => return Err(unexpected()),
        };
        Ok(())
    }

    /// ReadyForQuery came, or what ends it in a pipeline.
    pub(super) fn ended(self) -> Result<Reading, Fatal> {
        match (self.failed, self.due) {
            (true, _) => Ok(Reading::Failed),
            (false, Due::Ready) => Ok(Reading::Done(self.uploaded)),
            (false, _) => Err(unexpected()),
        }
    }
}

impl Session {
    /// Reads what the first statement of a Query needs. The Query is to be offered again.
    pub(super) fn read_for_query(
        &mut self,
        plan: &Arc<Plan>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        if self.uploads.open {
            self.refuse_query(&not_synced(), "", io)?;
            return Ok(Step::Continue);
        }
        self.read(plan, None, io)?;
        Ok(Step::Later)
    }

    /// What a statement needs that is bound now; `None` while it is being read.
    pub(super) fn read_for_bind(
        &mut self,
        bind: &Bind<'_>,
        prepared: &Prepared,
        io: &mut Io<'_>,
    ) -> Result<Option<Uploaded>, Fatal> {
        let plan = &prepared.plan;
        if let Reading::Done(uploaded) = std::mem::take(&mut self.uploads.reading)
            && uploaded.is_for(plan)
        {
            return Ok(Some(uploaded));
        }
        self.read(plan, Some((prepared.declared(), bind)), io)?;
        Ok(None)
    }

    fn read(
        &mut self,
        plan: &Arc<Plan>,
        bind: Option<(&[Oid], &Bind<'_>)>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let Some(uploads) = plan.uploads() else {
            return Ok(());
        };
        if !self.replies.is_empty() {
            // What is before it may fill the table.
            self.uploads.reading = Reading::Waits;
            to_upstream::flush(io.upstream);
            return Ok(());
        }
        let sql = uploads.read().as_str();
        let query = bind.is_none();
        if let Some((declared, bind)) = bind {
            let (types, bound) = uploads.bind(declared, (bind.formats, bind.values));
            // The unnamed portal may be the client's.
            let portal = self.names.fresh();
            let portal = portal.as_str().as_bytes();
            to_upstream::parse(io.upstream, b"", sql, &types)?;
            let values = bound.values.iter().map(Option::as_deref);
            to_upstream::bind(io.upstream, portal, b"", &bound.formats, values, &[])?;
            to_upstream::execute(io.upstream, portal, 0)?;
            to_upstream::close(io.upstream, Target::Portal, portal)?;
            to_upstream::flush(io.upstream);
            self.uploads.open = true;
        } else {
            to_upstream::query(io.upstream, sql)?;
        }
        let segment = if query {
            self.next_segment()
        } else {
            self.segment
        };
        self.replies.push(Expected::Read(Box::new(Read {
            uploaded: Uploaded::new(uploads),
            due: Due::first(query),
            query,
            failed: false,
            plan: Arc::clone(plan),
            segment,
        })));
        self.uploads.reading = Reading::Asked;
        Ok(())
    }

    /// Is a Query due that was not sent as one?
    pub(super) fn is_bound_query(&mut self) -> bool {
        let head = self.replies.head();
        matches!(
            head,
            Some(Expected::Query {
                sent: Sent::Bound | Sent::Held,
                failed: false,
                ..
            })
        )
    }

    /// Is the message one of a reading's own?
    pub(super) fn is_read(&mut self, tag: u8) -> bool {
        let anywhere = [
            backend::ERROR,
            backend::NOTICE,
            backend::NOTIFICATION,
            backend::PARAMETER_STATUS,
            backend::READY,
        ];
        matches!(self.replies.head(), Some(Expected::Read(_))) && !anywhere.contains(&tag)
    }

    /// A message of a reading, but a row.
    pub(super) fn on_read(&mut self, tag: u8) -> Result<(), Fatal> {
        let Some(Expected::Read(read)) = self.replies.head() else {
            return Err(unexpected());
        };
        read.take(tag)?;
        if read.due == Due::Ready
            && !read.query
            && let Some(Expected::Read(read)) = self.replies.pop()
        {
            self.uploads.reading = read.ended()?;
        }
        Ok(())
    }

    /// An error came in its place: the statement's own answer.
    pub(super) fn read_failed(&mut self, sqlstate: &str, now: Instant) {
        let Some(Expected::Read(read)) = self.replies.head() else {
            return;
        };
        read.failed = true;
        let (plan, query) = (Arc::clone(&read.plan), read.query);
        if !query {
            self.uploads.reading = Reading::No;
            self.skipping = !self.replies.skip_to_sync();
        }
        if let Ok(ticket) = self.ticket(Some(&plan)) {
            ticket.finish(|record| {
                record.decision = Outcome::Error;
                record.sqlstate = Some(sqlstate.to_owned());
                record.at = Some(now);
            });
        }
    }

    /// Does a portal find what was read when it was bound? PostgreSQL lets some statements read only when
    /// they are first executed.
    pub(super) fn still_holds(&self, portal: &Portal) -> Result<(), Refusal> {
        if portal.prepared.plan.uploads().is_some()
            && portal.begun.set(()).is_ok()
            && portal.after != self.uploads.executed
        {
            return Err(not_bound_now());
        }
        Ok(())
    }
}

/// What stands before a statement in one string is not done when the string is sent.
pub(super) fn not_alone() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "a statement that is given tokens must be alone in its query string, or in a transaction block",
    )
    .detail("They are read, and decoded or made, right before it is sent.")
    .hint("Send the statements one by one, or BEGIN first.")
}

fn not_synced() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "a query that is given tokens cannot follow a pipeline without Sync",
    )
    .hint("Send Sync first.")
}

fn not_bound_now() -> Refusal {
    Refusal::error(
        sqlstate::INVALID_CURSOR_STATE,
        "portal was given tokens of what was stored before another statement was executed",
    )
    .hint("Bind it again, and execute it next.")
}

fn unexpected() -> Fatal {
    Fatal::unexpected("the server sent a message the proxy did not expect")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Due, Read, Reading};
    use crate::plan::{Plan, Uploaded, plan_verbatim, upload_tests};
    use crate::policy::{Grants, Treatment};
    use crate::wire::backend;

    fn read(query: bool) -> Read {
        let mut grants = Grants::for_tests("r", Treatment::Clear, []);
        grants.unrestricted = true;
        let plan: Arc<Plan> = Arc::new(plan_verbatim(&grants).unwrap());
        Read {
            uploaded: Uploaded::new(&upload_tests::uploads("up", 25)),
            due: Due::first(query),
            query,
            failed: false,
            plan,
            segment: 0,
        }
    }

    fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            match value {
                None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(value);
                }
            }
        }
        let mut frame = vec![backend::DATA_ROW];
        frame.extend_from_slice(&i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    }

    const QUERY: [u8; 2] = [backend::ROW_DESCRIPTION, backend::COMMAND_COMPLETE];
    const PIPELINE: [u8; 4] = [
        backend::PARSE_COMPLETE,
        backend::BIND_COMPLETE,
        backend::COMMAND_COMPLETE,
        backend::CLOSE_COMPLETE,
    ];

    #[test]
    fn a_reading_takes_its_messages_in_order_and_no_others() {
        for (query, order) in [(true, &QUERY[..]), (false, &PIPELINE[..])] {
            for (at, due) in order.iter().enumerate() {
                for other in QUERY.iter().chain(&PIPELINE).chain(&[backend::NO_DATA]) {
                    let mut read = read(query);
                    for before in &order[..at] {
                        read.take(*before).unwrap();
                    }
                    assert_eq!(
                        read.take(*other).is_ok(),
                        other == due,
                        "{query} {at} {other}"
                    );
                }
            }
            let mut read = read(query);
            assert!(self::read(query).ended().is_err());
            for tag in order {
                read.take(*tag).unwrap();
            }
            assert!(matches!(read.ended(), Ok(Reading::Done(_))));
        }
    }

    #[test]
    fn rows_come_where_they_are_due_and_are_those_asked_for() {
        let good = row(&[Some(b"0"), Some(b"tok")]);
        let mut read = read(true);
        assert!(read.row(&good).is_err());
        read.take(backend::ROW_DESCRIPTION).unwrap();
        assert_eq!(read.row(&[&good[..], b"D"].concat()).ok(), Some(good.len()));
        assert_eq!(
            read.row(&row(&[Some(b"0"), None])).ok(),
            Some(good.len() - 3)
        );
        for bad in [
            row(&[]),
            row(&[Some(b"0")]),
            row(&[None, Some(b"tok")]),
            row(&[Some(b"1"), Some(b"tok")]),
            row(&[Some(b"0"), Some(b"tok"), Some(b"x")]),
            good[..good.len() - 1].to_vec(),
        ] {
            assert!(read.row(&bad).is_err());
        }
        read.failed = true;
        assert!(read.row(&good).is_err());
        assert!(matches!(read.ended(), Ok(Reading::Failed)));
    }

    #[test]
    fn the_client_waits_while_postgresql_is_asked() {
        let uploaded = || Uploaded::new(&upload_tests::uploads("up", 25));
        for (reading, before, after) in [
            (Reading::No, true, true),
            (Reading::Waits, false, true),
            (Reading::Asked, false, false),
            (Reading::Done(uploaded()), true, true),
            (Reading::Failed, true, true),
        ] {
            assert_eq!(reading.takes_client(false), before);
            assert_eq!(reading.takes_client(true), after);
        }
    }
}
