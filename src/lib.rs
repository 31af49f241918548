//! pgveil: a PostgreSQL proxy that masks columns by role.
//!
//! For a role R, imagine the *masked copy* of the database: every protected cell replaced by what R
//! may see of it. Whatever R sends, the proxy returns what the same statement could return on that
//! copy, or refuses it with a PostgreSQL error that says why. There is no third outcome.
//!
//! # A statement's way through
//!
//! ```text
//!          client                                                    PostgreSQL
//!            │ ▲                                                        ▲ │
//!   client:: │ │ Reply                                        Request   │ │ upstream::
//!            ▼ │                                                        │ ▼
//!    ┌───────┴─┴─────────────────────── session ────────────────────────┴─┴───────┐
//!    │                     no sockets, no clocks, no await                        │
//!    │                                                                            │
//!    │   text ──▶ sql ──────▶ analyze ──────▶ plan ──────▶ Plan ──▶ Request       │
//!    │             Statement     Lineage        │            │                    │
//!    │                             ▲            ▼            └────▶ RowMasker     │
//!    │                         catalog       Refusal                    │         │
//!    │                             └─ snapshot ─┘               rows ───┴▶ masked │
//!    │                                 policy                                     │
//!    └──────────────────────────────────────┬─────────────────────────────────────┘
//!                                           ▼
//!                                         audit
//! ```
//!
//! A client's text becomes our own small [tree](sql::tree); [`analyze::analyze`] resolves its names
//! against the [`catalog::Catalog`] and writes down how every column is used, a
//! [`Lineage`](analyze::lineage::Lineage); [`plan::plan_statement`] decides, by that and by the role's
//! [`policy::Grants`], on a [`plan::Plan`] or a [`refusal::Refusal`]. The plan's text is printed anew
//! from the tree: what was checked is what runs. Masks stand in that text, *at the source*, or are
//! applied to the rows that come back, *at the output*.
//!
//! # Three sentences
//!
//! 1. **Two doors.** Bytes reach PostgreSQL only as an [`upstream::Request`] and a client only as a
//!    [`client::Reply`] or as messages the session has judged: a statement of a restricted role needs a
//!    [`plan::Plan`], which only [`plan`] can make, and its rows a [`mask::RowMasker`], which can only be
//!    made by checking the result's shape.
//! 2. **Analysis does not decide, and the decision does not know SQL.** [`analyze`] says for every
//!    reference to a column whether it is used as identity, presence, equality, order or in a
//!    computation, and which outputs it reaches; [`plan`] chooses from that and from the treatment alone.
//! 3. **Doubt is a refusal.** What cannot be parsed, resolved or classified becomes a PostgreSQL error
//!    with a reason, and no setting inverts that.
//!
//! # Layers
//!
//! A module may name only itself and those before it in this list; `tests/tidy.rs` keeps it so. All but
//! the two doors, [`server`] and [`cli`] are pure: no async, no files or sockets, no clocks, no
//! randomness.
//!
//! 1. [`ident`]: names as PostgreSQL folds and compares them.
//! 2. [`limits`]: every bound in the program, each with its reason.
//! 3. [`pg`]: facts fixed by PostgreSQL, such as type OIDs and SQLSTATEs.
//! 4. [`refusal`]: why a statement will not run, without any value in it.
//! 5. [`wire`]: protocol messages and bytes.
//! 6. [`mask`]: the only module that looks inside a value; masks and [tokens](mask::token).
//! 7. [`catalog`]: what the database looks like, at one moment.
//! 8. [`policy`]: the policy language, and its binding to a catalog.
//! 9. [`snapshot`]: a catalog and a bound policy that belong together.
//! 10. [`sql`]: text to tree and back; sqlparser's own tree and printer stay inside.
//! 11. [`analyze`]: tree and catalog to lineage.
//! 12. [`plan`]: lineage and grants to a plan or a refusal.
//! 13. [`audit`]: what happened, in identifiers and counts.
//! 14. [`pooling`]: a conversation that changes its connection, and what it may leave behind.
//! 15. [`client`]: the door to the client.
//! 16. [`upstream`]: the door to PostgreSQL.
//! 17. [`session`]: a restricted role's conversation, as a machine.
//! 18. [`server`]: the process: listener, snapshots, audit writer, metrics.
//! 19. [`cli`]: the commands.
//!
//! A first hour: `tests/corpus/plan` shows what the product does, as text; [`plan`] how it is decided;
//! [`analyze`] how it is known what a statement reads; [`policy`] what a policy can say.

// In layer order; the empty lines keep rustfmt from sorting them.

pub mod ident;

pub mod limits;

pub mod pg;

pub mod refusal;

pub mod wire;

pub mod mask;

pub mod catalog;

pub mod policy;

pub mod snapshot;

pub mod sql;

pub mod analyze;

pub mod plan;

pub mod audit;

pub mod pooling;

pub mod client;

pub mod upstream;

pub mod session;

pub mod server;

pub mod cli;
