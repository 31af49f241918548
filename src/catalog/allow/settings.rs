//! Settings, by name.
//!
//! Deliberately absent: `search_path` and `client_encoding`, which are the proxy's own state.

/// Settings a restricted role may change. Nothing here changes how PostgreSQL reads a text, which
/// plan it chooses, or what it reports.
pub const SETTABLE: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "row_security",
    "statement_timeout",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
];
