//! Settings, by name.
//!
//! Deliberately absent: `search_path` and `client_encoding`, which are the proxy's own state;
//! `lc_messages`, in whose language errors come, which the proxy reads; `array_nulls = off`, with which a
//! text means another array than the proxy reads in it.

/// Settings a restricted role may change. Nothing here changes how PostgreSQL reads a text, which
/// plan it chooses, or what it reports.
///
/// `lc_monetary`, `lc_numeric` and `lc_time` are how `to_char`, `to_number`, `to_date` and type `money`
/// write and read values. The mask is there before them: no mask of a number or a date calls them, and
/// of `money` there is none but a constant, so that no stored digit shows because another locale has fewer
/// behind the point. `escape_string_warning` warns of literals, and what is sent are the proxy's.
pub const SETTABLE: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "escape_string_warning",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "row_security",
    "statement_timeout",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
];

/// Settings of extensions that every role may change as well.
///
/// Those of pgvector say how many of the nearest an index finds. It is an index on the column that is
/// ordered by, which is clear: a mask is an expression no index is on. Any of the nearest it finds is an
/// answer that a copy with the masks written out could give. `ivfflat.probes` and `hnsw.ef_search` are part of what such a scan is
/// thought to cost, too, but which plan is chosen instead of it, a role can have anyway: it writes the order as an
/// expression that no index serves.
///
/// Those of `pg_trgm` are where its operators begin to hold, of masked values like of others; nothing but
/// the statistics of clear columns is compared with them for a plan.
///
/// How much memory a scan may take is not among them (`hnsw.scan_mem_multiplier`), as `work_mem` is not.
pub const SETTABLE_OF_EXTENSIONS: &[&str] = &[
    "hnsw.ef_search",
    "hnsw.iterative_scan",
    "hnsw.max_scan_tuples",
    "ivfflat.iterative_scan",
    "ivfflat.max_probes",
    "ivfflat.probes",
    "pg_trgm.similarity_threshold",
    "pg_trgm.strict_word_similarity_threshold",
    "pg_trgm.word_similarity_threshold",
];
