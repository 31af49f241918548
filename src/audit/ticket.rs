//! Reserved room for one record: no ticket, no request.
//!
//! A finished record is written as text into a buffer that all sessions share, and that its writer
//! takes whole. The writer is woken when the first record comes, waits a moment for more, and is
//! asked to hurry only for a refusal and when half of the room is taken: most records wake nobody.
//!
//! Deliberately absent: async. A ticket is taken and finished without waiting; only the writer waits,
//! on a thread of its own.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Outcome, Record};

/// Finished records as text, in order.
#[derive(Default)]
pub struct Batch {
    text: Vec<u8>,
    lines: Vec<Line>,
}

struct Line {
    /// Where it ends in the text.
    end: usize,
    at: Option<Instant>,
    /// Refusals are rare, and wanted whole.
    refused: Option<Box<Record>>,
}

/// One finished record.
pub struct Written<'b> {
    /// The fields of its JSON object, but the time.
    pub fields: &'b [u8],
    /// When it ended, if that is known.
    pub at: Option<Instant>,
    /// The record itself, if it is a refusal's.
    pub refused: Option<&'b Record>,
}

impl Batch {
    fn push(&mut self, record: &Record) {
        record.write(&mut self.text);
        self.lines.push(Line {
            end: self.text.len(),
            at: record.at,
            refused: (record.decision == Outcome::Refuse).then(|| Box::new(record.clone())),
        });
    }

    /// The records.
    pub fn lines(&self) -> impl Iterator<Item = Written<'_>> {
        let starts = std::iter::once(0).chain(self.lines.iter().map(|line| line.end));
        starts.zip(&self.lines).map(|(start, line)| Written {
            fields: self.text.get(start..line.end).unwrap_or_default(),
            at: line.at,
            refused: line.refused.as_deref(),
        })
    }

    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        // One rush is not remembered for ever.
        self.text.shrink_to(crate::limits::AUDIT_BUFFER_BYTES);
    }
}

/// What waits for the writer.
#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// Half of the room is taken, or a refusal is among them.
    urgent: bool,
    /// No sink and no ticket is left.
    ended: bool,
}

/// The buffer, and the slots taken in it: by tickets, and by records the writer has not taken.
struct Buffer {
    capacity: usize,
    taken: AtomicUsize,
    closed: AtomicBool,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, record: &Record) {
        let mut waiting = self.lock();
        let first = waiting.batch.lines.is_empty();
        waiting.batch.push(record);
        // A refusal is looked for at once; there are few.
        let urgent = record.decision == Outcome::Refuse
            || waiting.batch.lines.len() >= self.capacity.div_ceil(2);
        let hurry = urgent && !waiting.urgent;
        waiting.urgent |= urgent;
        drop(waiting);
        if first || hurry {
            self.wake.notify_one();
        }
    }

    fn hurry(&self) {
        let hurry = !std::mem::replace(&mut self.lock().urgent, true);
        if hurry {
            self.wake.notify_one();
        }
    }
}

/// What sinks and tickets hold: the last one to go ends the writer.
struct Senders(Arc<Buffer>);

impl Drop for Senders {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.wake.notify_one();
    }
}

/// Where records are handed over. Cheap to clone.
#[derive(Clone)]
pub struct Sink {
    senders: Arc<Senders>,
}

/// The writer's end. Dropping it closes the sink: no more tickets are given.
pub struct Records {
    buffer: Arc<Buffer>,
}

/// The sink is full or its writer has failed: nothing that needs a record may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkUnavailable;

/// A bounded sink and the end its writer reads from.
pub fn channel(capacity: usize) -> (Sink, Records) {
    let buffer = Arc::new(Buffer {
        capacity: capacity.max(1),
        taken: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
        waiting: Mutex::default(),
        wake: Condvar::new(),
    });
    let sink = Sink {
        senders: Arc::new(Senders(Arc::clone(&buffer))),
    };
    (sink, Records { buffer })
}

impl Sink {
    /// Reserves room for `record`, which is handed over when the ticket is finished or dropped.
    pub fn reserve(&self, record: Record) -> Result<Ticket, SinkUnavailable> {
        self.reserve_below(self.buffer().capacity, record)
    }

    /// The same for a record nothing waits for: only while at least half of the room is free, so that
    /// it is never the reason why a statement that needs a ticket gets none.
    pub fn reserve_spare(&self, record: Record) -> Result<Ticket, SinkUnavailable> {
        self.reserve_below(self.buffer().capacity.div_ceil(2), record)
    }

    fn reserve_below(&self, most: usize, record: Record) -> Result<Ticket, SinkUnavailable> {
        if self.is_closed() {
            return Err(SinkUnavailable);
        }
        let buffer = self.buffer();
        let free = |taken: usize| (taken < most).then(|| taken.saturating_add(1));
        let reserved = (buffer.taken).fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
        if reserved.is_err() {
            // What is finished may be all that is in the way.
            buffer.hurry();
            return Err(SinkUnavailable);
        }
        Ok(Ticket {
            sink: self.clone(),
            record: Some(record),
        })
    }

    /// The writer is gone for good.
    pub fn is_closed(&self) -> bool {
        self.buffer().closed.load(Ordering::Acquire)
    }

    fn buffer(&self) -> &Buffer {
        &self.senders.0
    }
}

impl Records {
    /// Exchanges `batch` for the records that are finished. Waits for the first, and then as long as
    /// `linger` for more. Breaks when there are none and every sink and ticket is gone.
    pub fn wait(&mut self, batch: &mut Batch, linger: Duration) -> ControlFlow<()> {
        batch.clear();
        let buffer = &*self.buffer;
        let empty = |waiting: &mut Waiting| waiting.batch.lines.is_empty() && !waiting.ended;
        let waiting =
            (buffer.wake.wait_while(buffer.lock(), empty)).unwrap_or_else(PoisonError::into_inner);
        let calm = |waiting: &mut Waiting| !waiting.urgent && !waiting.ended;
        let (mut waiting, _) = (buffer.wake.wait_timeout_while(waiting, linger, calm))
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut waiting.batch);
        waiting.urgent = false;
        let ended = waiting.ended;
        drop(waiting);
        buffer.taken.fetch_sub(batch.lines.len(), Ordering::AcqRel);
        if ended && batch.lines.is_empty() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.buffer.closed.store(true, Ordering::Release);
    }
}

/// Room for one record. Dropping it unfinished records [`Outcome::Abandoned`].
#[must_use = "dropping a ticket records the statement as abandoned"]
pub struct Ticket {
    sink: Sink,
    record: Option<Record>,
}

impl Ticket {
    /// Records the outcome.
    pub fn finish(mut self, complete: impl FnOnce(&mut Record)) {
        if let Some(record) = self.record.as_mut() {
            complete(record);
        }
        self.send();
    }

    fn send(&mut self) {
        if let Some(record) = self.record.take() {
            // It fits: its slot was reserved. A writer that is gone has said so in the log.
            self.sink.buffer().push(&record);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(record) = self.record.as_mut() {
            record.decision = Outcome::Abandoned;
        }
        self.send();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::{Event, Outcome, Record, Who};
    use super::{Batch, Records, SinkUnavailable, channel};

    fn record() -> Record {
        Record::new(Event::Statement, Arc::new(Who::default()))
    }

    /// What is there now, or what comes first.
    fn taken(records: &mut Records) -> Vec<serde_json::Value> {
        let mut batch = Batch::default();
        let went_on = records.wait(&mut batch, Duration::ZERO);
        assert_eq!(went_on.is_break(), batch.lines.is_empty());
        let json = |fields: &[u8]| {
            serde_json::from_slice(&[b"{", fields, b"}"].concat()).expect("fields of an object")
        };
        batch.lines().map(|line| json(line.fields)).collect()
    }

    #[test]
    fn a_finished_ticket_carries_its_outcome() {
        let (sink, mut records) = channel(2);
        sink.reserve(record()).unwrap().finish(|r| {
            r.decision = Outcome::Mask;
            r.rows = 3;
        });
        let got = taken(&mut records);
        assert_eq!(
            (&got[0]["decision"], &got[0]["rows"]),
            (&"mask".into(), &3.into())
        );
    }

    #[test]
    fn a_dropped_ticket_is_recorded_as_abandoned() {
        let (sink, mut records) = channel(2);
        drop(sink.reserve(record()).unwrap());
        assert_eq!(taken(&mut records)[0]["decision"], "abandoned");
    }

    #[test]
    fn a_full_sink_gives_no_ticket_and_recovers() {
        let (sink, mut records) = channel(1);
        let ticket = sink.reserve(record()).unwrap();
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
        drop(ticket);
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
        assert_eq!(taken(&mut records).len(), 1);
        assert!(sink.reserve(record()).is_ok());
    }

    #[test]
    fn spare_records_leave_half_of_the_room() {
        let (sink, mut records) = channel(4);
        let held: Vec<_> = (0..2).map(|_| sink.reserve_spare(record())).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(sink.reserve_spare(record()).err(), Some(SinkUnavailable));
        assert!(sink.reserve(record()).is_ok());
        drop(held);
        assert_eq!(taken(&mut records).len(), 3);
        assert!(sink.reserve_spare(record()).is_ok());
    }

    #[test]
    fn a_closed_sink_gives_no_ticket() {
        let (sink, records) = channel(4);
        drop(records);
        assert!(sink.is_closed());
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
    }

    #[test]
    fn every_record_is_taken_once_and_in_order_and_then_it_ends() {
        let (sink, mut records) = channel(8);
        let writer = thread::spawn(move || {
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            while records.wait(&mut batch, Duration::from_micros(50)) == ControlFlow::Continue(()) {
                assert!(batch.lines.len() <= 8);
                for line in batch.lines() {
                    let json = [b"{", line.fields, b"}"].concat();
                    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
                    seen.push(json["rows"].as_u64().unwrap());
                }
            }
            seen
        });
        for rows in 0..1_000 {
            let ticket = loop {
                match sink.reserve(record()) {
                    Ok(ticket) => break ticket,
                    Err(SinkUnavailable) => thread::yield_now(),
                }
            };
            ticket.finish(|r| r.rows = rows);
        }
        drop(sink);
        assert!(writer.join().unwrap().into_iter().eq(0..1_000));
    }

    #[test]
    fn a_refusal_does_not_wait_for_others() {
        let (sink, mut records) = channel(64);
        let start = Instant::now();
        let ticket = sink.reserve(record()).unwrap();
        ticket.finish(|r| r.decision = Outcome::Refuse);
        let mut batch = Batch::default();
        let went_on = records.wait(&mut batch, Duration::from_secs(60));
        assert!(went_on.is_continue());
        assert!(batch.lines().all(|line| line.refused.is_some()));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn half_of_the_room_does_not_wait_for_the_rest() {
        let (sink, mut records) = channel(4);
        let start = Instant::now();
        let writer = thread::spawn(move || {
            let mut batch = Batch::default();
            assert!(
                records
                    .wait(&mut batch, Duration::from_secs(60))
                    .is_continue()
            );
            batch.lines.len()
        });
        for _ in 0..2 {
            drop(sink.reserve(record()).unwrap());
        }
        assert_eq!(writer.join().unwrap(), 2);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
