//! The latest refusals, for SHOW DENIED: what the audit log says of them, kept at hand.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::{Outcome, Record};
use crate::limits;

/// One refusal.
pub(crate) struct Denial {
    /// As in the audit log.
    pub(crate) time: String,
    /// As in the audit log: identifiers and SQLSTATE, and no value.
    pub(crate) record: Record,
}

/// The last [`limits::DENIED`] of them.
#[derive(Default)]
pub(crate) struct Denials {
    latest: Mutex<VecDeque<Denial>>,
}

impl Denials {
    /// Remembers a record, if it is one of a refusal.
    pub(crate) fn note(&self, time: &str, record: &Record) {
        if record.decision != Outcome::Refuse {
            return;
        }
        let mut latest = self.lock();
        if latest.len() >= limits::DENIED {
            latest.pop_front();
        }
        latest.push_back(Denial {
            time: time.to_owned(),
            record: record.clone(),
        });
    }

    /// Looks at each, the newest first.
    pub(crate) fn each(&self, look: impl FnMut(&Denial)) {
        self.lock().iter().rev().for_each(look);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Denial>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Denials;
    use crate::audit::{Event, Outcome, Record, Who};
    use crate::limits;

    #[test]
    fn refusals_are_remembered_up_to_a_bound_the_newest_first() {
        let denials = Denials::default();
        let mut record = Record::new(Event::Statement, Arc::new(Who::default()));
        for n in 0..limits::DENIED + 2 {
            record.decision = Outcome::Refuse;
            denials.note(&n.to_string(), &record);
            record.decision = Outcome::Mask;
            denials.note("masked", &record);
        }
        let mut times = Vec::new();
        denials.each(|denial| times.push(denial.time.clone()));
        assert_eq!(times.len(), limits::DENIED);
        assert_eq!(times[0], (limits::DENIED + 1).to_string());
        assert_eq!(times.last().unwrap(), "2");
    }
}
