//! Observing a session that is not enforced: what its client sends is copied on the way, and planned
//! beside.
//!
//! The session never waits for this. What finds no room is dropped and counted; planning runs on a
//! thread of its own, one statement of the whole process at a time, so that it takes at most one core;
//! and a panic in it ends the observing, not the session. Deliberately absent: any word to the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Semaphore, mpsc};

use super::Shared;
use super::database::Database;
use super::metrics::Metrics;
use crate::limits;
use crate::session::{Observer, Seen, Verdict};
use crate::wire::frame::HEADER_BYTES;
use crate::wire::{TransactionStatus, backend, frontend};

/// What all observers of the process share.
pub(crate) struct Observing {
    /// Bytes of texts that wait to be planned.
    waiting: AtomicUsize,
    /// Who may plan now.
    turn: Semaphore,
}

impl Default for Observing {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            turn: Semaphore::new(1),
        }
    }
}

/// A text in the room all of them share; dropping it makes room again.
struct Text {
    bytes: Bytes,
    shared: Arc<Shared>,
}

impl Text {
    fn admit(bytes: Bytes, shared: &Arc<Shared>) -> Option<Self> {
        let fits = |taken: usize| {
            let sum = taken.checked_add(bytes.len())?;
            (sum <= limits::OBSERVED_BYTES).then_some(sum)
        };
        let waiting = &shared.observing.waiting;
        waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .ok()?;
        Some(Self {
            bytes,
            shared: Arc::clone(shared),
        })
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let waiting = &self.shared.observing.waiting;
        waiting.fetch_sub(self.bytes.len(), Ordering::AcqRel);
    }
}

/// What an observer is told.
enum Heard {
    /// The body of a Query or Parse.
    Text {
        tag: u8,
        text: Text,
        segment: u64,
    },
    TooLong(u64),
    FunctionCall(u64),
    Ready {
        segment: u64,
        status: TransactionStatus,
        failed: bool,
    },
}

/// Where a session's relay drops copies of what it forwards.
#[derive(Clone)]
pub(super) struct Ear {
    sender: mpsc::Sender<Heard>,
    shared: Arc<Shared>,
}

impl Ear {
    /// Starts to observe a session.
    pub(super) fn open(shared: &Arc<Shared>, database: &Arc<Database>, observer: Observer) -> Self {
        let (sender, receiver) = mpsc::channel(limits::OBSERVED_MESSAGES);
        let task = observe(Arc::clone(shared), Arc::clone(database), observer, receiver);
        // Ends with the session: its senders are the session's.
        drop(tokio::spawn(task));
        Self {
            sender,
            shared: Arc::clone(shared),
        }
    }

    fn tell(&self, heard: Heard) {
        if self.sender.try_send(heard).is_err() {
            Metrics::add(&self.shared.metrics.observations_dropped);
        }
    }

    /// PostgreSQL is ready for the `segment`-th time.
    pub(super) fn ready(&self, segment: u64, status: TransactionStatus, failed: bool) {
        self.tell(Heard::Ready {
            segment,
            status,
            failed,
        });
    }
}

/// Cuts the client's stream into messages, and copies the texts among them.
pub(super) struct Tap {
    ear: Ear,
    header: [u8; HEADER_BYTES],
    /// Bytes of `header` that are there.
    have: usize,
    /// Bytes of the body still to come.
    left: usize,
    text: Option<BytesMut>,
    /// How many ReadyForQuery the client was owed so far.
    segments: u64,
}

impl Tap {
    pub(super) fn new(ear: Ear) -> Self {
        Self {
            ear,
            header: [0; HEADER_BYTES],
            have: 0,
            left: 0,
            text: None,
            segments: 0,
        }
    }

    /// Takes bytes that were found to be well-formed frames.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                let (body, rest) = bytes.split_at(n);
                if let Some(text) = &mut self.text {
                    text.extend_from_slice(body);
                }
                self.left = self.left.saturating_sub(n);
                bytes = rest;
                if self.left == 0 {
                    self.end();
                }
                continue;
            }
            let (first, rest) = bytes.split_at(1);
            if let (Some(slot), [byte]) = (self.header.get_mut(self.have), first) {
                *slot = *byte;
            }
            self.have = self.have.saturating_add(1);
            bytes = rest;
            if self.have == HEADER_BYTES {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        self.have = 0;
        let [tag, length @ ..] = self.header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.left = length.saturating_sub(4);
        let next = self.segments.saturating_add(1);
        match tag {
            frontend::QUERY | frontend::PARSE if length > limits::STATEMENT_FRAME_BYTES => {
                self.ear.tell(Heard::TooLong(next));
            }
            frontend::QUERY | frontend::PARSE => {
                self.text = Some(BytesMut::with_capacity(self.left.min(limits::READ_BYTES)));
            }
            frontend::FUNCTION_CALL => self.ear.tell(Heard::FunctionCall(next)),
            _ => {}
        }
        if self.left == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        let [tag, ..] = self.header;
        let segment = self.segments.saturating_add(1);
        if matches!(
            tag,
            frontend::QUERY | frontend::SYNC | frontend::FUNCTION_CALL
        ) {
            self.segments = segment;
        }
        let Some(text) = self.text.take() else {
            return;
        };
        match Text::admit(text.freeze(), &self.ear.shared) {
            Some(text) => self.ear.tell(Heard::Text { tag, text, segment }),
            None => Metrics::add(&self.ear.shared.metrics.observations_dropped),
        }
    }
}

/// What the relay of an observed session tells, of both directions.
pub(super) struct Hearing {
    tap: Tap,
    ear: Ear,
    segments: u64,
    failed: bool,
}

impl Hearing {
    pub(super) fn new(ear: Ear) -> Self {
        Self {
            tap: Tap::new(ear.clone()),
            ear,
            segments: 0,
            failed: false,
        }
    }

    /// Well-formed frames of the client's.
    pub(super) fn asked(&mut self, bytes: &[u8]) {
        self.tap.feed(bytes);
    }

    /// A message of PostgreSQL's.
    pub(super) fn answered(&mut self, tag: u8, body: &[u8]) {
        match tag {
            backend::ERROR => self.failed = true,
            backend::READY => {
                self.segments = self.segments.saturating_add(1);
                let failed = std::mem::take(&mut self.failed);
                if let Ok(status) = TransactionStatus::read(body) {
                    self.ear.ready(self.segments, status, failed);
                }
            }
            _ => {}
        }
    }
}

async fn observe(
    shared: Arc<Shared>,
    database: Arc<Database>,
    mut observer: Observer,
    mut receiver: mpsc::Receiver<Heard>,
) {
    while let Some(heard) = receiver.recv().await {
        let (segment, heard) = match heard {
            Heard::Ready {
                segment,
                status,
                failed,
            } => {
                observer.ready(segment, status, failed);
                continue;
            }
            Heard::TooLong(segment)
            | Heard::FunctionCall(segment)
            | Heard::Text { segment, .. } => (segment, heard),
        };
        Metrics::add(&shared.metrics.observed_statements);
        let mut last = false;
        let mut work = (observer, heard);
        loop {
            let Some(planned) = plan(&shared, &database, work, segment, last).await else {
                return;
            };
            let (back, verdict) = planned;
            work = back;
            if !verdict.unknown || last {
                count(&shared.metrics, verdict);
                break;
            }
            database.refresh().await;
            last = true;
        }
        observer = work.0;
    }
}

/// Plans on another thread; `None` if that panicked, or the process ends.
async fn plan(
    shared: &Arc<Shared>,
    database: &Arc<Database>,
    (mut observer, heard): (Observer, Heard),
    segment: u64,
    last: bool,
) -> Option<((Observer, Heard), Verdict)> {
    let published = database.current()?;
    let turn = shared.observing.turn.acquire().await.ok()?;
    let planned = tokio::task::spawn_blocking(move || {
        let seen = match &heard {
            Heard::Text { tag, text, .. } => text_of(*tag, &text.bytes),
            Heard::FunctionCall(_) => Some(Seen::FunctionCall),
            Heard::TooLong(_) | Heard::Ready { .. } => Some(Seen::TooLong),
        };
        // PostgreSQL refuses a malformed message itself.
        let verdict =
            seen.map(|seen| observer.statement(&seen, segment, &published.snapshot, last));
        ((observer, heard), verdict.unwrap_or_default())
    })
    .await;
    drop(turn);
    match planned {
        Ok(planned) => Some(planned),
        Err(error) => {
            if error.is_panic() {
                Metrics::add(&shared.metrics.panics);
                tracing::error!("observing a session panicked and was ended; the session goes on");
            }
            None
        }
    }
}

fn text_of(tag: u8, body: &[u8]) -> Option<Seen<'_>> {
    let text = if tag == frontend::QUERY {
        frontend::Query::read(body).ok()?.text
    } else {
        frontend::Parse::read(body).ok()?.query
    };
    Some(Seen::Text(text))
}

fn count(metrics: &Metrics, verdict: Verdict) {
    for (counter, n) in [
        (&metrics.observed_masked, verdict.masked),
        (&metrics.observed_refused, verdict.refused),
        (&metrics.observations_dropped, verdict.lost),
    ] {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
