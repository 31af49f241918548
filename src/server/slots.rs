//! Room for upstream connections: at most `pool.size` per (database, login), the rest wait in line.
//!
//! Deliberately absent: connections kept between sessions. A session's upstream connection is its
//! own from login to logout, so nothing of one session can be seen by the next.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A place for one upstream connection, free again when dropped.
pub(super) type Slot = OwnedSemaphorePermit;

/// All places.
pub(super) struct Slots {
    size: usize,
    patience: Duration,
    places: DashMap<(String, String), Arc<Semaphore>>,
}

impl Slots {
    /// `size` places per (database, login).
    pub(super) fn new(size: u32, patience: Duration) -> Self {
        Self {
            size: usize::try_from(size)
                .unwrap_or(usize::MAX)
                .clamp(1, Semaphore::MAX_PERMITS),
            patience,
            places: DashMap::new(),
        }
    }

    /// Waits for a place, first come first served; `None` after `pool.queue_timeout`.
    pub(super) async fn take(&self, database: &str, login: &str) -> Option<Slot> {
        let key = (database.to_owned(), login.to_owned());
        let semaphore = Arc::clone(
            &self
                .places
                .entry(key)
                .or_insert_with(|| Arc::new(Semaphore::new(self.size))),
        );
        timeout(self.patience, semaphore.acquire_owned())
            .await
            .ok()?
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Slots;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_slot_is_dropped() {
        let slots = Slots::new(1, Duration::from_secs(5));
        let first = slots.take("db", "login").await.unwrap();
        assert!(slots.take("db", "other").await.is_some());
        let waiting = slots.take("db", "login");
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(first);
        assert!(waiting.await.is_some());
    }
}
