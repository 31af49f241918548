//! Reserved room for one record: no ticket, no request.

use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};

use super::{Outcome, Record};

/// Where records are handed over. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Sender<Record>);

/// The sink is full or its writer has failed: nothing that needs a record may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkUnavailable;

/// A bounded sink and the end its writer reads from.
pub fn channel(capacity: usize) -> (Sink, Receiver<Record>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Sink(sender), receiver)
}

impl Sink {
    /// Reserves room for `record`, which is sent when the ticket is finished or dropped.
    pub fn reserve(&self, record: Record) -> Result<Ticket, SinkUnavailable> {
        match self.0.clone().try_reserve_owned() {
            Ok(permit) => Ok(Ticket {
                permit: Some(permit),
                record: Some(record),
            }),
            Err(_) => Err(SinkUnavailable),
        }
    }

    /// The writer is gone for good.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Free slots: a caller that finds few waits before it reads more statements.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

/// Room for one record. Dropping it unfinished records [`Outcome::Abandoned`].
#[must_use = "dropping a ticket records the statement as abandoned"]
pub struct Ticket {
    permit: Option<OwnedPermit<Record>>,
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
        if let (Some(permit), Some(record)) = (self.permit.take(), self.record.take()) {
            drop(permit.send(record));
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
        let got = receiver.try_recv().unwrap();
        assert_eq!((got.decision, got.rows), (Outcome::Mask, 3));
    }

    #[test]
    fn a_dropped_ticket_is_recorded_as_abandoned() {
        let (sink, mut receiver) = channel(2);
        drop(sink.reserve(record()).unwrap());
        assert_eq!(receiver.try_recv().unwrap().decision, Outcome::Abandoned);
    }

    #[test]
    fn a_full_sink_gives_no_ticket_and_recovers() {
        let (sink, mut receiver) = channel(1);
        let ticket = sink.reserve(record()).unwrap();
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
        drop(ticket);
        assert!(receiver.try_recv().is_ok());
        assert!(sink.reserve(record()).is_ok());
    }

    #[test]
    fn a_closed_sink_gives_no_ticket() {
        let (sink, receiver) = channel(4);
        drop(receiver);
        assert!(sink.is_closed());
        assert_eq!(sink.reserve(record()).err(), Some(SinkUnavailable));
    }
}
