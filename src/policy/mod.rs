//! What roles may see: the policy language, and its binding to a catalog.

mod bound;

pub use self::bound::{BoundPolicy, DefaultTreatment, Grants, Rule, Treatment, WriteGrant};
