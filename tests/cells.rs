//! `pgveil encrypt`, `decrypt` and `encrypt --status` as processes of their own against PostgreSQL.
//!
//! Deliberately absent: what the proxy does with encrypted columns.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "cells/checks.rs"]
mod checks;
#[path = "support/client.rs"]
#[expect(dead_code, reason = "other binaries use the rest of it")]
mod client;
#[path = "cells/killed.rs"]
mod killed;
#[path = "support/listening.rs"]
mod listening;
#[path = "cells/remains.rs"]
mod remains;
#[path = "cells/rotated.rs"]
mod rotated;
#[path = "cells/searched.rs"]
mod searched;
#[path = "cells/stage.rs"]
mod stage;
#[path = "cells/turned.rs"]
mod turned;
