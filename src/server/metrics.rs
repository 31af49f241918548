//! Counters, and their Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The process's counters.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Connections accepted.
    pub(crate) connections: AtomicU64,
    /// Logins that failed.
    pub(crate) failed_logins: AtomicU64,
    /// Sessions now.
    pub(crate) sessions: AtomicU64,
    /// Sessions of restricted roles, ever.
    pub(crate) restricted_sessions: AtomicU64,
    /// Sessions of unrestricted roles, ever.
    pub(crate) unrestricted_sessions: AtomicU64,
    /// Sessions of observed roles, ever.
    pub(crate) observed_sessions: AtomicU64,
    /// Messages of observed roles that were planned.
    pub(crate) observed_statements: AtomicU64,
    /// Statements of theirs that would have been masked.
    pub(crate) observed_masked: AtomicU64,
    /// Statements of theirs that would have been refused.
    pub(crate) observed_refused: AtomicU64,
    /// What of theirs was not planned or not recorded, for want of room.
    pub(crate) observations_dropped: AtomicU64,
    /// Sessions that ended with a protocol fault.
    pub(crate) faults: AtomicU64,
    /// Tasks that panicked.
    pub(crate) panics: AtomicU64,
    /// Cancel requests forwarded.
    pub(crate) cancels: AtomicU64,
    /// Snapshots published.
    pub(crate) snapshots: AtomicU64,
    /// Reloads that failed, of policy or catalog.
    pub(crate) failed_reloads: AtomicU64,
}

impl Metrics {
    /// One more.
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn sub(counter: &AtomicU64) {
        counter.fetch_sub(1, Ordering::Relaxed);
    }

    /// Prometheus text format.
    pub(crate) fn render(&self) -> String {
        let rows: [(&str, &str, &str, &AtomicU64); 15] = [
            (
                "connections_total",
                "counter",
                "Connections accepted.",
                &self.connections,
            ),
            (
                "failed_logins_total",
                "counter",
                "Logins that failed.",
                &self.failed_logins,
            ),
            ("sessions", "gauge", "Sessions now.", &self.sessions),
            (
                "restricted_sessions_total",
                "counter",
                "Sessions of restricted roles.",
                &self.restricted_sessions,
            ),
            (
                "unrestricted_sessions_total",
                "counter",
                "Sessions of unrestricted roles.",
                &self.unrestricted_sessions,
            ),
            (
                "observed_sessions_total",
                "counter",
                "Sessions of observed roles.",
                &self.observed_sessions,
            ),
            (
                "observed_statements_total",
                "counter",
                "Messages of observed roles that were planned.",
                &self.observed_statements,
            ),
            (
                "observed_masked_total",
                "counter",
                "Statements of observed roles that would have been masked.",
                &self.observed_masked,
            ),
            (
                "observed_refused_total",
                "counter",
                "Statements of observed roles that would have been refused.",
                &self.observed_refused,
            ),
            (
                "observations_dropped_total",
                "counter",
                "What of observed roles was not planned or not recorded, for want of room.",
                &self.observations_dropped,
            ),
            (
                "protocol_faults_total",
                "counter",
                "Sessions ended by a protocol fault.",
                &self.faults,
            ),
            (
                "panics_total",
                "counter",
                "Tasks that panicked.",
                &self.panics,
            ),
            (
                "cancels_total",
                "counter",
                "Cancel requests forwarded.",
                &self.cancels,
            ),
            (
                "snapshots_total",
                "counter",
                "Snapshots published.",
                &self.snapshots,
            ),
            (
                "failed_reloads_total",
                "counter",
                "Reloads of policy or catalog that failed.",
                &self.failed_reloads,
            ),
        ];
        let mut out = String::new();
        for (name, kind, help, value) in rows {
            let value = value.load(Ordering::Relaxed);
            let written = write!(
                out,
                "# HELP pgveil_{name} {help}\n# TYPE pgveil_{name} {kind}\npgveil_{name} {value}\n"
            );
            // Writing to a String does not fail.
            if written.is_err() {
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn every_metric_has_help_type_and_value() {
        let metrics = Metrics::default();
        Metrics::add(&metrics.cancels);
        let text = metrics.render();
        assert!(text.contains("# TYPE pgveil_cancels_total counter\npgveil_cancels_total 1\n"));
        assert_eq!(text.lines().count() % 3, 0);
    }
}
