//! Sessions end to end: a real client, the proxy in this process, a real PostgreSQL.
//!
//! `unrestricted` holds what must be exactly as without a proxy; `restricted` what a role with
//! masked columns sees of the protocol itself, `wire` that message by message. What it sees of the
//! data is `e2e`'s.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "session/again.rs"]
mod again;
#[path = "session/binds.rs"]
mod binds;
#[path = "session/cancelled.rs"]
mod cancelled;
#[path = "support/client.rs"]
mod client;
#[path = "session/console.rs"]
mod console;
#[path = "session/copy_syncs.rs"]
mod copy_syncs;
#[path = "session/encodings.rs"]
mod encodings;
#[path = "session/failover.rs"]
mod failover;
#[path = "session/faults.rs"]
mod faults;
#[path = "session/leaving.rs"]
mod leaving;
#[path = "session/long.rs"]
mod long;
#[path = "session/observed.rs"]
mod observed;
#[path = "session/pooled.rs"]
mod pooled;
#[path = "session/process.rs"]
mod process;
#[path = "session/reload.rs"]
mod reload;
#[path = "session/restart.rs"]
mod restart;
#[path = "session/restricted.rs"]
mod restricted;
#[path = "session/returned.rs"]
mod returned;
#[path = "session/rotation.rs"]
mod rotation;
#[path = "session/sequences.rs"]
mod sequences;
#[path = "session/serving.rs"]
mod serving;
#[path = "session/settings.rs"]
mod settings;
#[path = "session/shaped.rs"]
mod shaped;
#[path = "session/stage.rs"]
mod stage;
#[path = "session/strings.rs"]
mod strings;
#[path = "session/unrestricted.rs"]
mod unrestricted;
#[path = "session/untold.rs"]
mod untold;
#[path = "session/wire.rs"]
mod wire;
