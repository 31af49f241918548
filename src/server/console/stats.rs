//! What has been done by database, ever and on average.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;
use crate::server::Shared;
use crate::server::registry::Totals;

type ByDatabase = BTreeMap<Arc<str>, Totals>;

/// The totals as they were at the ends of the last two periods.
pub(crate) struct Stats {
    began: Instant,
    ends: Mutex<[Option<(Instant, ByDatabase)>; 2]>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ends: Mutex::new([None, None]),
        }
    }
}

/// One database's row.
pub(super) struct Row {
    pub(super) database: Arc<str>,
    pub(super) total: Totals,
    /// What was done in `period`.
    pub(super) recent: Totals,
    pub(super) period: Duration,
}

/// Ends one period after the other, as long as the process lives.
pub(crate) async fn keep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(limits::STATS_PERIOD).await;
        let now = (Instant::now(), shared.registry.totals());
        let mut ends = shared
            .stats
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let [_, last] = std::mem::take(&mut *ends);
        *ends = [last, Some(now)];
    }
}

/// Every database's row. The averages are the last whole period's, as PgBouncer's; before there was
/// one, of the time since the process began.
pub(super) fn rows(shared: &Shared) -> Vec<Row> {
    let totals = shared.registry.totals();
    let ends = shared
        .stats
        .ends
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let [before, last] = &*ends;
    let (from, since) = match before {
        Some((at, sums)) => (*at, Some(sums)),
        None => (shared.stats.began, None),
    };
    let (to, until) = match last {
        Some((at, sums)) => (*at, sums),
        None => (Instant::now(), &totals),
    };
    let of = |sums: &ByDatabase, name: &str| sums.get(name).copied().unwrap_or_default();
    let row = |(database, total): (&Arc<str>, &Totals)| Row {
        database: Arc::clone(database),
        total: *total,
        recent: of(until, database).minus(since.map_or(Totals::default(), |s| of(s, database))),
        period: to.saturating_duration_since(from),
    };
    totals.iter().map(row).collect()
}
