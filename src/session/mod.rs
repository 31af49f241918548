//! The conversation of a restricted role, as a machine: no sockets, no clocks, no await. The
//! server's relay feeds it the messages of both peers ([`Session::on_client`],
//! [`Session::on_upstream`]) and writes what it answers.
//!
//! No byte of the client's text goes upstream: a statement is planned, and what is sent is the
//! plan's. No row goes to the client that a plan did not announce. Every message of PostgreSQL is
//! matched to the reply that is due (`replies`); one that is not due ends the session.
//!
//! Unrestricted roles have no machine: `server::relay` forwards their frames.

mod answers;
mod binary;
mod bind;
mod copy_in;
mod copy_out;
mod describe;
pub mod diagnostic;
mod encoding;
mod errors;
mod extended;
mod malformed;
mod missing;
mod observe;
mod parts;
mod planning;
mod portals;
mod prepared;
mod renew;
mod replies;
mod reported;
mod rows;
mod settings;
mod simple;
mod startup;
mod temp;
mod transaction;
mod untold;
mod uploads;

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use foldhash::HashMap;

pub use self::observe::{Observer, Seen, Verdict};
use self::parts::Parts;
use self::planning::Names;
use self::portals::Portals;
use self::prepared::Prepared;
use self::replies::{Expected, Replies};
use self::reported::Reported;
pub use self::reported::at_welcome;
use self::rows::Latest;
pub use self::settings::USUAL_PATH;
pub use self::startup::{UpstreamStartup, is_reported, restricted, unrestricted};
use self::transaction::State;
use self::uploads::{Reading, Uploads};
use crate::audit::{Event, Record, Sink, Ticket, Who};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::plan::{CopyDecoder, CopyEncoder, Plan, PlanKey, Plans, Refusal};
use crate::snapshot::Snapshot;
use crate::wire::WriteError;
use crate::wire::backend::TransactionStatus;
use crate::wire::frontend::FrontendMessage;
use crate::wire::write::{backend as to_client, frontend as to_upstream};

/// A text no version of PostgreSQL can parse, in any state of a transaction: it fails before it is
/// looked at, and so aborts the transaction as the client's own statement would have.
const FAILING: &str = "pgveil refused this statement";

/// What PostgreSQL's grammar takes and its analysis never, as the last of a simple string: those before it
/// run. A Query has no parameters.
const FAILING_AT_ITS_TURN: &str = "SELECT $1 -- pgveil refused this statement";

/// What the session writes into.
pub struct Io<'a> {
    /// To the client.
    pub client: &'a mut BytesMut,
    /// To PostgreSQL.
    pub upstream: &'a mut BytesMut,
}

/// What a client's message led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Go on.
    Continue,
    /// The statement names something the catalog does not know. Nothing was changed: refresh the
    /// catalog and offer the message again, with `last` set.
    Unknown,
    /// PostgreSQL has to answer something first: offer the message again when more may be read.
    Later,
    /// The client said good-bye.
    Terminate,
}

/// The session has to end. The message is the proxy's own and quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// SQLSTATE
    pub sqlstate: &'static str,
    /// Primary message.
    pub message: &'static str,
}

impl Fatal {
    pub(crate) fn protocol(message: &'static str) -> Self {
        Self {
            sqlstate: sqlstate::PROTOCOL_VIOLATION,
            message,
        }
    }

    /// PostgreSQL answered something the plan does not explain.
    pub(crate) fn unexpected(message: &'static str) -> Self {
        Self {
            sqlstate: sqlstate::PROTOCOL_VIOLATION,
            message,
        }
    }
}

impl From<WriteError> for Fatal {
    fn from(_: WriteError) -> Self {
        Self {
            sqlstate: sqlstate::PROGRAM_LIMIT_EXCEEDED,
            message: "a message is too long to be sent",
        }
    }
}

/// What a client's message may look at.
pub struct Moment<'a> {
    /// Catalog and policy.
    pub snapshot: &'a Snapshot,
    /// Plans made on that snapshot before.
    pub plans: &'a Plans,
    /// Now.
    pub now: Instant,
    /// The catalog was refreshed for this very message: an unknown name is unknown.
    pub last: bool,
}

/// How a session starts.
pub struct Start {
    /// Its default search path, as it was written.
    pub search_path: String,
    /// Its client's encoding.
    pub encoding: Encoding,
    /// Its login upstream.
    pub user: Ident,
    /// PostgreSQL reports `search_path`.
    pub reports_path: bool,
}

/// The conversation of one restricted role.
pub struct Session {
    who: Arc<Who>,
    role: Arc<str>,
    sink: Sink,
    confirmed: State,
    speculative: State,
    /// Up to the end of the transaction, its deferred constraints included, errors name no table.
    nameless: bool,
    /// Speculative differs from confirmed by more than what is in flight.
    dirty: bool,
    /// An error came in the current segment.
    failed: bool,
    status: TransactionStatus,
    replies: Replies,
    /// By upstream name: what the extended protocol needs to know beyond the plan.
    details: HashMap<Ident, Arc<Prepared>>,
    portals: Portals,
    /// Up to the client's next Sync, its messages are discarded, as PostgreSQL does after an error.
    skipping: bool,
    reported: Reported,
    /// What the data of the running COPY is in, if it has to be converted.
    copy_encoding: Option<Encoding>,
    /// The begin of a character at the end of what came of it.
    copy_rest: Vec<u8>,
    /// What decodes the tokens in it.
    copy_tokens: Option<CopyDecoder>,
    /// What makes the data of a COPY TO.
    copy_export: Option<Box<CopyEncoder>>,
    /// What the client is told in place of the next error: the proxy's own reason for it.
    fault: Option<Refusal>,
    /// Upstream names of cursors that are to be closed there.
    doomed: Vec<Ident>,
    /// A statement was prepared anew, and what it returns has to be known before it is bound.
    waits_for: Option<Arc<Prepared>>,
    /// What temporary tables hold, where it is compared with tokens.
    uploads: Uploads,
    /// How far the client's Query has come, if it is sent in parts.
    parts: Parts,
    /// PostgreSQL waits for CopyData.
    copy_in: bool,
    /// Syncs went on to it among its data. PostgreSQL ignores those that it reads while it copies, and
    /// answers those that come behind what fails.
    copy_synced: bool,
    /// The client was told of an error that PostgreSQL knows nothing of: what that answers up to the
    /// next ReadyForQuery is nobody's.
    unheard: bool,
    /// The statement at the head failed here, because the client has no characters for what it returned:
    /// what else comes of it is nobody's.
    untold: Option<Fatal>,
    /// The Query that was sent last is of one statement, and ends no pipeline that no Sync has ended.
    alone: bool,
    /// It is of statements that change nothing, and ends no such pipeline either.
    reads: bool,
    /// PostgreSQL found that its catalog is not the snapshot's.
    moved: bool,
    /// What it described is not what was planned, so that the client was not told of it: an error has
    /// to follow.
    misfit: bool,
    segment: u64,
    names: Names,
    decisions: u64,
    /// Where rows are put together.
    scratch: Vec<u8>,
    /// What was made for the results of the last Query.
    latest: Latest,
    /// What a plan was last looked for by.
    key: PlanKey,
    /// The client's Query, until it is sent; then the room for the next one.
    query: Vec<u8>,
}

impl Session {
    /// A session that has just started.
    pub fn new(who: Arc<Who>, sink: Sink, start: Start) -> Self {
        let state = State::new(&start.search_path, start.encoding, start.user);
        let reported = Reported::new(&state.settings, start.reports_path);
        Self {
            role: Arc::from(who.role.as_str()),
            who,
            sink,
            confirmed: state.clone(),
            speculative: state,
            nameless: false,
            dirty: false,
            failed: false,
            status: TransactionStatus::Idle,
            replies: Replies::default(),
            details: HashMap::default(),
            portals: Portals::default(),
            skipping: false,
            doomed: Vec::new(),
            reported,
            copy_encoding: None,
            copy_rest: Vec::new(),
            copy_tokens: None,
            copy_export: None,
            fault: None,
            waits_for: None,
            uploads: Uploads::default(),
            parts: Parts::default(),
            copy_in: false,
            copy_synced: false,
            unheard: false,
            untold: None,
            alone: false,
            reads: false,
            moved: false,
            misfit: false,
            segment: 0,
            names: Names::default(),
            decisions: 0,
            scratch: Vec::new(),
            latest: Latest::default(),
            key: PlanKey::default(),
            query: Vec::new(),
        }
    }

    /// More client messages may be read now. Behind a COPY FROM not before PostgreSQL asks for the data
    /// or says that it will not: the data may be here already. While it copies always: it waits for more.
    /// Behind data with Syncs among them not before it says how the copy ended, and how many of them it
    /// answers.
    pub fn wants_client(&self) -> bool {
        self.copy_in
            || (!self.copy_synced
                && !self.replies.holds_for_copy()
                && self
                    .waits_for
                    .as_ref()
                    .is_none_or(|p| p.shape.get().is_some())
                && self.uploads.reading.takes_client(self.replies.is_empty())
                && !self.replies.unsettled(self.dirty)
                && !self.may_fail_to_tell()
                && !self.replies.holds_for_rest()
                && self.replies.len() < crate::limits::STATEMENTS_PER_SESSION)
    }

    /// Nothing is in flight and no transaction is open.
    pub fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.status == TransactionStatus::Idle
    }

    /// PostgreSQL's catalog was found to differ from the snapshot since this was last asked: read it
    /// again before the next statement is planned.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Takes one message of the client.
    pub fn on_client(
        &mut self,
        message: &FrontendMessage<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let start = io.client.len();
        let step = self.take_client(message, at, io)?;
        self.in_clients(start, io)?;
        Ok(step)
    }

    fn take_client(
        &mut self,
        message: &FrontendMessage<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        if let FrontendMessage::Terminate = message {
            return Ok(Step::Terminate);
        }
        if self.copy_in {
            return self.on_copy(message, io);
        }
        if self.skipping && !matches!(message, FrontendMessage::Sync) {
            self.uploads.reading = Reading::No;
            return Ok(Step::Continue);
        }
        let settings = &self.speculative.settings;
        let encoding = (self.parts.encoding).unwrap_or_else(|| settings.encoding());
        if encoding.is_same() {
            return self.understood(message, at, io);
        }
        match self.in_utf8(message, encoding) {
            Ok(None) => self.understood(message, at, io),
            Ok(Some((tag, body))) => {
                let message = FrontendMessage::read(tag, &body)
                    .map_err(|_| Fatal::protocol("invalid message format"))?;
                self.understood(&message, at, io)
            }
            Err(refusal) => {
                if matches!(message, FrontendMessage::Query(_)) {
                    self.refuse_query(&refusal, "", io)?;
                } else {
                    self.refuse_extended(&refusal, "", io)?;
                }
                Ok(Step::Continue)
            }
        }
    }

    /// Takes a message whose texts are UTF-8.
    fn understood(
        &mut self,
        message: &FrontendMessage<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let step = match message {
            FrontendMessage::Query(query) => self.on_query(query, at, io)?,
            FrontendMessage::Parse(parse) => self.on_parse(parse, at, io)?,
            FrontendMessage::Bind(bind) => self.on_bind(bind, at, io)?,
            FrontendMessage::Describe(named) => self.on_describe(named, at, io)?,
            FrontendMessage::Execute(execute) => self.on_execute(execute, at, io)?,
            FrontendMessage::Close(named) => self.on_close(named, io)?,
            FrontendMessage::FunctionCall(_) => self.on_function_call(io)?,
            FrontendMessage::Flush => {
                to_upstream::flush(io.upstream);
                Step::Continue
            }
            FrontendMessage::Sync => {
                self.skipping = false;
                to_upstream::sync(io.upstream);
                let segment = self.next_segment();
                self.replies.push(Expected::Sync { segment });
                Step::Continue
            }
            // After a COPY that failed PostgreSQL ignores the rest of its data.
            FrontendMessage::CopyData(_)
            | FrontendMessage::CopyDone
            | FrontendMessage::CopyFail(_) => Step::Continue,
            FrontendMessage::Terminate => Step::Terminate,
        };
        if step == Step::Continue {
            // What was read was for this message, and holds for no other.
            self.uploads.reading = Reading::No;
            self.parts = Parts::default();
            self.uploads.open = uploads::opens(message).unwrap_or(self.uploads.open);
        }
        self.replies.locals(io.client);
        Ok(step)
    }

    fn next_segment(&mut self) -> u64 {
        let segment = self.segment;
        self.segment = self.segment.saturating_add(1);
        segment
    }

    /// Room for the record of one more decision, with its number.
    fn ticket(&mut self, plan: Option<&Plan>) -> Result<Ticket, Refusal> {
        self.decisions = self.decisions.saturating_add(1);
        let mut record = Record::new(Event::Statement, Arc::clone(&self.who));
        record.decision_number = Some(self.decisions);
        if let Some(plan) = plan {
            record = record.with_facts(Arc::clone(plan.facts()));
        }
        self.sink.reserve(record).map_err(|_| {
            Refusal::error(
                sqlstate::INSUFFICIENT_RESOURCES,
                "the audit log cannot take another record",
            )
        })
    }
}
