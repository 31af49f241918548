//! Snapshot: a catalog and a bound policy that belong together, with their epoch. One `Arc`, swapped
//! whole.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::policy::BoundPolicy;

/// A catalog and the policy bound to it.
pub struct Snapshot {
    /// The database as it was.
    pub catalog: Arc<Catalog>,
    /// The policy, bound to that catalog.
    pub policy: Arc<BoundPolicy>,
    /// Grows by one with each published snapshot.
    pub epoch: u64,
}
