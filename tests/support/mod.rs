//! What the tests against a real PostgreSQL share: a stage (cluster, clinic, proxy), a client that
//! keeps every byte it receives, and the tap that searches those bytes for what it must not see.

#[expect(dead_code, reason = "nothing is cancelled here")]
pub(crate) mod client;
mod listening;
pub(crate) mod stage;
mod tap;
