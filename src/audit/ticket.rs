//! Reserved room for one record: no ticket, no request.
//!
//! Deliberately absent: async. A ticket is taken and finished without waiting; only the writer waits,
//! on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Outcome, Record};

/// Slots taken: by tickets, and by records the writer has not fetched. Never more than the queue
/// holds, so handing over a record cannot block.
struct Slots {
    capacity: usize,
    taken: AtomicUsize,
    closed: AtomicBool,
}

/// Where records are handed over. Cheap to clone.
#[derive(Clone)]
pub struct Sink {
    sender: SyncSender<Record>,
    slots: Arc<Slots>,
}

/// The writer's end. Dropping it closes the sink: no more tickets are given.
pub struct Records {
    receiver: Receiver<Record>,
    slots: Arc<Slots>,
}

/// The sink is full or its writer has failed: nothing that needs a record may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkUnavailable;

/// A bounded sink and the end its writer reads from.
pub fn channel(capacity: usize) -> (Sink, Records) {
    let capacity = capacity.max(1);
    let (sender, receiver) = sync_channel(capacity);
    let slots = Arc::new(Slots {
        capacity,
        taken: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
    });
    let sink = Sink {
        sender,
        slots: Arc::clone(&slots),
    };
    (sink, Records { receiver, slots })
}

impl Sink {
    /// Reserves room for `record`, which is sent when the ticket is finished or dropped.
    pub fn reserve(&self, record: Record) -> Result<Ticket, SinkUnavailable> {
        self.reserve_below(self.slots.capacity, record)
    }

    /// The same for a record nothing waits for: only while at least half of the room is free, so that
    /// it is never the reason why a statement that needs a ticket gets none.
    pub fn reserve_spare(&self, record: Record) -> Result<Ticket, SinkUnavailable> {
        self.reserve_below(self.slots.capacity.div_ceil(2), record)
    }

    fn reserve_below(&self, most: usize, record: Record) -> Result<Ticket, SinkUnavailable> {
        if self.is_closed() {
            return Err(SinkUnavailable);
        }
        let free = |taken: usize| (taken < most).then(|| taken.saturating_add(1));
        self.slots
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
            .map_err(|_| SinkUnavailable)?;
        Ok(Ticket {
            sink: self.clone(),
            record: Some(record),
        })
    }

    /// The writer is gone for good.
    pub fn is_closed(&self) -> bool {
        self.slots.closed.load(Ordering::Acquire)
    }
}

impl Records {
    /// The next record, waited for; `None` when every sink and ticket is gone.
    pub fn wait(&mut self) -> Option<Record> {
        let record = self.receiver.recv().ok()?;
        self.slots.taken.fetch_sub(1, Ordering::AcqRel);
        Some(record)
    }

    /// The next record, if there is one now.
    pub fn next_now(&mut self) -> Option<Record> {
        let record = self.receiver.try_recv().ok()?;
        self.slots.taken.fetch_sub(1, Ordering::AcqRel);
        Some(record)
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.slots.closed.store(true, Ordering::Release);
    }
}

/// Room for one record. Dropping it unfinished records [`Outcome::Abandoned`].
#[must_use = "dropping a ticket records the statement as abandoned"]
pub struct Ticket {
    sink: Sink,
    record: Option<Record>,
}

impl Ticket {
    /// Fills in what is known before the outcome is.
    #[must_use = "dropping a ticket records the statement as abandoned"]
    pub fn with(mut self, fill: impl FnOnce(&mut Record)) -> Self {
        if let Some(record) = self.record.as_mut() {
            fill(record);
        }
        self
    }

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
            drop(self.sink.sender.try_send(record));
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
    use std::sync::Arc;

    use super::super::{Event, Outcome, Record, Who};
    use super::{SinkUnavailable, channel};

    fn record() -> Record {
        Record::new(Event::Statement, Arc::new(Who::default()))
    }

    #[test]
    fn a_finished_ticket_carries_its_outcome() {
        let (sink, mut receiver) = channel(2);
        sink.reserve(record()).unwrap().finish(|r| {
            r.decision = Outcome::Mask;
            r.rows = 3;
        });
        let got = receiver.next_now().unwrap();
        assert_eq!((got.decision, got.rows), (Outcome::Mask, 3));
    }

    #[test]
    fn a_dropped_ticket_is_recorded_as_abandoned() {
        let (sink, mut receiver) = channel(2);
        drop(sink.reserve(record()).unwrap());
        assert_eq!(receiver.next_now().unwrap().decision, Outcome::Abandoned);
    }

    #[test]
    fn a_full_sink_gives_no_ticket_and_recovers() {
        let (sink, mut receiver) = channel(1);
        let ticket = sink.reserve(record()).unwrap();
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
        drop(ticket);
        assert!(receiver.next_now().is_some());
        assert!(sink.reserve(record()).is_ok());
    }

    #[test]
    fn spare_records_leave_half_of_the_room() {
        let (sink, mut receiver) = channel(4);
        let held: Vec<_> = (0..2).map(|_| sink.reserve_spare(record())).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(sink.reserve_spare(record()).err(), Some(SinkUnavailable));
        assert!(sink.reserve(record()).is_ok());
        drop(held);
        while receiver.next_now().is_some() {}
        assert!(sink.reserve_spare(record()).is_ok());
    }

    #[test]
    fn a_closed_sink_gives_no_ticket() {
        let (sink, receiver) = channel(4);
        drop(receiver);
        assert!(sink.is_closed());
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
    }
}
