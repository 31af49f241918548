//! Every numeric bound in the program, each with its reason.

use std::time::Duration;

/// Prepared statements of the protocol one pooled connection holds at most: the longest unused gives
/// way. PgBouncer's default is 200; PostgreSQL takes some 10 KiB for each.
pub const STATEMENTS_PER_SERVER: usize = 500;

/// Between two looks whether a cancel request is over, and from its end until its signal has been
/// delivered for certain.
pub const CANCEL_PAUSE: Duration = Duration::from_millis(10);

/// Bytes of SQL text a restricted role may send: what is long in long texts is strings. Each byte of one
/// takes six while it is analyzed, and a nanosecond, or six where quotes are doubled. Unrestricted roles are
/// bounded by [`FRAME_BYTES`] only.
pub const SQL_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// A Query or Parse longer than this has no such text, also if that becomes shorter in UTF-8 (four bytes of
/// EUC_TW are three) and 65,535 types stand behind it. Its bytes are let by and not kept.
pub const STATEMENT_FRAME_BYTES: usize = 2 * SQL_TEXT_BYTES;

/// Tokens in one analyzed text: each takes some 250 bytes while it is analyzed, and a microsecond; a text
/// made to be slow (thousands of relations, and names looked for in each) takes a second in all.
pub const SQL_TOKENS: usize = 200_000;

/// A Query of an unrestricted role up to this length is read whole where connections are lent, to see whether
/// it leaves something behind; a longer one counts as one that does.
pub const READ_WHOLE_BYTES: usize = 1024 * 1024;

/// Chain links (binary operators, AND/OR, set operations, `::`, `[`) outside row lists at one
/// parenthesis level: left-deep chains recurse once per link in sqlparser's `Drop`.
pub const SQL_CHAIN: usize = 1_000;

/// Parenthesis and bracket nesting, and sqlparser's own recursion limit.
pub const SQL_DEPTH: usize = 100;

/// Statements in one simple Query message.
pub const STATEMENTS_PER_MESSAGE: usize = 1_000;

/// Stack of every worker thread: deep trees are parsed, walked and dropped on it.
pub const STACK_BYTES: usize = 16 * 1024 * 1024;

/// A frame before authentication: PostgreSQL's own MAX_STARTUP_PACKET_LENGTH is 10,000.
pub const STARTUP_FRAME_BYTES: usize = 10_000;

/// A frame after authentication: PostgreSQL's PQ_LARGE_MESSAGE_LIMIT is 1 GiB less one.
pub const FRAME_BYTES: usize = 1024 * 1024 * 1024 - 1;

/// Settings of unknown names that PostgreSQL is asked for, by name, when a lent connection comes back. Who
/// sets more keeps its connection.
pub const HIDDEN_SETTINGS: usize = 256;

/// Prepared statements and portals of one restricted session.
pub const STATEMENTS_PER_SESSION: usize = 10_000;

/// Bytes of one policy or configuration file. A bank with ten thousand classified columns needs
/// about half a megabyte.
pub const POLICY_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Files of one policy directory.
pub const POLICY_FILES: usize = 10_000;

/// Nesting of maps and lists in a policy file; the language itself needs five.
pub const POLICY_DEPTH: usize = 32;
/// A frontend message without bulk data: PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, and the type byte.
pub const SMALL_FRAME_BYTES: usize = 10_001;

/// A client's answer during authentication: PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, with room for the
/// header.
pub const AUTHENTICATION_FRAME_BYTES: usize = 65_540;

/// A backend message without bulk data: libpq's bound for types it does not expect to be long.
pub const BACKEND_FRAME_BYTES: usize = 30_001;

/// A ParameterDescription: 65,535 OIDs, their count and the header.
pub const PARAMETER_DESCRIPTION_BYTES: usize = 5 + 2 + 65_535 * 4;

/// One read from a socket: two TLS records, or four of PostgreSQL's writes. A read that is filled is followed
/// by another at once; after one that is not, the runtime waits to be told that there is more, which
/// costs as much as the read.
pub const READ_BYTES: usize = 32 * 1024;

/// One field of an error the proxy writes: longer texts help nobody and cost every client.
pub const REPORT_FIELD_BYTES: usize = 16 * 1024;

/// The notices a server sends before it is ready: the first beyond it is the last that is kept.
pub const STARTUP_NOTICES_BYTES: usize = 16 * 1024;

/// From accept to the end of authentication: PostgreSQL's own `authentication_timeout`.
pub const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(60);

/// From the first packet to PostgreSQL until its first ReadyForQuery: a server that is starting up
/// answers at once that it is; a silent one must not hold a client for long.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a closed client's last bytes are read away, so that the reset does not overtake the error
/// it was sent.
pub const LINGER: Duration = Duration::from_secs(2);

/// Bytes read away at most in that time.
pub const LINGER_BYTES: usize = 256 * 1024;

/// Live sessions that can be cancelled; above it a session cannot begin.
pub const CANCEL_KEYS: usize = 100_000;

/// A cancel key of protocol 3.2, in bytes: beyond guessing.
pub const CANCEL_KEY_BYTES: usize = 32;

/// SCRAM iterations of the answer to an unknown user: PostgreSQL's default, so that most known users
/// look the same.
pub const SCRAM_ITERATIONS: u32 = 4096;

/// Bytes of randomness in a SCRAM nonce: PostgreSQL's SCRAM_RAW_NONCE_LEN.
pub const SCRAM_NONCE_BYTES: usize = 18;

/// Room for what a session begins with: the end of authentication, some 15 settings, the cancel key. More
/// grows.
pub const WELCOME_BYTES: usize = 1024;

/// Messages of one observed session that wait to be planned; more are dropped and counted.
pub const OBSERVED_MESSAGES: usize = 256;

/// Bytes of texts of all observed sessions that wait to be planned.
pub const OBSERVED_BYTES: usize = 16 * 1024 * 1024;

/// Audit records on their way to the writer: some seconds of the busiest session.
pub const AUDIT_RECORDS: usize = 8 * 1024;

/// How long a finished audit record may wait for others before they are written together: what a
/// crash of the process may lose.
pub const AUDIT_LINGER: Duration = Duration::from_millis(20);

/// Bytes of audit records kept room for between two writes; a statement's record takes some hundred.
pub const AUDIT_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes of the plans of one snapshot that are kept to be used again: some ten thousand.
pub const CACHED_PLANS_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of one such plan's text and key. A longer statement is sent too seldom to be worth it.
pub const CACHED_PLAN_BYTES: usize = 32 * 1024;

/// Plans of one shape that is planned differently for different constants (ORDER BY 1, ORDER BY 2).
pub const PLANS_OF_ONE_SHAPE: usize = 16;

/// Bytes of a client's Query whose room is kept for its next one.
pub const KEPT_QUERY_BYTES: usize = 4 * 1024;

/// Bytes waiting for one peer above which the other is not read: what a peer does not take is not
/// fetched for it.
pub const PENDING_BYTES: usize = 64 * 1024;

/// Defaults of columns that a role is shown as they stand: their OIDs are in the text of each statement
/// that reads any, some 60 KiB of it. With more of them, literals are hidden in all.
pub const SHOWN_DEFAULTS: usize = 10_000;

/// Between two looks at whether the catalog changed. The probe reads a few counters.
pub const CATALOG_POLL: Duration = Duration::from_secs(1);

/// Between two attempts to read the catalog when the first failed.
pub const CATALOG_RETRY: Duration = Duration::from_secs(2);

/// How long a login waits for the first snapshot of its database, and a statement for a newer one.
pub const SNAPSHOT_WAIT: Duration = Duration::from_secs(10);

/// How old the catalog may be on which a session's first statement is decided. Asking whether it is still
/// so takes PostgreSQL about a millisecond.
pub const CATALOG_RECENT: Duration = Duration::from_millis(100);

/// How long a statement with an unknown name waits for a fresh catalog.
pub const REFRESH_WAIT: Duration = Duration::from_secs(2);

/// From SIGTERM to the end, for sessions that are not idle.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How long a predecessor goes on accepting beside its successor: handshakes that were under way are
/// over, from the other side of the Earth too.
pub const HAND_OVER: Duration = Duration::from_millis(500);

/// After accept failed (no file descriptors, mostly) before it is tried again.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// From a connection to the admin endpoint to the end of its request's headers.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Waiting connections the kernel keeps: PostgreSQL's own `max_connections` is often 100, bursts are
/// several times that.
pub const BACKLOG: u32 = 1024;

/// Databases followed at once; each holds one connection and one catalog.
pub const DATABASES: usize = 256;

/// Refusals that SHOW DENIED remembers: some kilobytes each at most, and more than a person reads.
pub const DENIED: usize = 1_000;

/// Bytes of one command of the console: its longest names a database.
pub const COMMAND_BYTES: usize = 1_024;

/// Prepared statements, and portals, of one console session: drivers prepare what they repeat.
pub const COMMANDS_PREPARED: usize = 256;

/// How often PAUSE looks whether everything has been released.
pub const PAUSE_POLL: Duration = Duration::from_millis(20);

/// What the averages of SHOW STATS are taken over: PgBouncer's `stats_period`.
pub const STATS_PERIOD: Duration = Duration::from_secs(60);

/// Temporary tables of one restricted session that the proxy remembers; one more works, but cannot be
/// named.
pub const TEMP_TABLES: usize = 1_000;

/// Bytes of values one run of `pgveil token` takes: some million of them.
pub const TOKEN_INPUT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a key ring's passphrase that a command prints: what wraps a key is some hundred.
pub const PASSPHRASE_BYTES: usize = 4 * 1024;

/// Between two looks whether the command that printed a passphrase has ended.
pub const PASSPHRASE_POLL: Duration = Duration::from_millis(5);

/// Bytes of one row of a COPY into a column of tokens, which waits here until it is whole; and of a
/// value in it. PostgreSQL's own bound is one GiB.
pub const COPY_ROW_BYTES: usize = 64 * 1024 * 1024;

/// Cells that `pgveil encrypt` turns in one transaction at most: their rows are locked for some tens of
/// milliseconds.
pub const CELLS_PER_BATCH: usize = 1_000;

/// Bytes of them, unless one alone is longer: a batch is held in memory twice.
pub const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// What a transaction of `pgveil encrypt` should take: one that takes longer is followed by smaller
/// ones.
pub const BATCH_TIME: Duration = Duration::from_millis(100);

/// Pages that one statement of `pgveil encrypt` looks through for cells to turn: 32 MiB.
pub const PAGES_PER_LOOK: u64 = 4_096;

/// How long `pgveil encrypt` tries again what a lock of somebody else keeps it from.
pub const ENCRYPT_PATIENCE: Duration = Duration::from_secs(30);

/// Between two such attempts.
pub const ENCRYPT_PAUSE: Duration = Duration::from_millis(200);

/// Rows that `pgveil encrypt` names as impossible to turn before it gives up: enough to see what they
/// have in common.
pub const ENCRYPT_FAULTS: usize = 10;

/// Different values that are read for one statement, of temporary tables that it compares with tokens, or
/// of columns whose tokens PostgreSQL is given: all of them are decoded or made tokens, which takes about a
/// microsecond each, before the session does anything else.
pub const UPLOADED_TOKENS: usize = 100_000;

/// Bytes of them.
pub const UPLOADED_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one of them: a token is not twice as long as what it stands for.
pub const UPLOADED_TOKEN_BYTES: usize = 8 * 1024;

/// Rows of a column whose tokens PostgreSQL is given to compute with: reading them takes some tenths of a
/// second.
pub const TABULATED_ROWS: usize = 1_000_000;

/// Bytes of what they stand for in the text of one statement, which has it once for each comparison.
pub const UPLOADED_TEXT_BYTES: usize = 64 * 1024 * 1024;
