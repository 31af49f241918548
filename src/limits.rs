//! Every numeric bound in the program, each with its reason.

/// Bytes of SQL text a restricted role may send. Parsing costs some 270 bytes of memory per byte of
/// text; unrestricted roles are bounded by [`FRAME_BYTES`] only.
pub const SQL_TEXT_BYTES: usize = 1024 * 1024;

/// Tokens in one analyzed text. A statement of this size parses in some tens of milliseconds.
pub const SQL_TOKENS: usize = 50_000;

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

/// Prepared statements and portals of one restricted session.
pub const STATEMENTS_PER_SESSION: usize = 10_000;

/// A frontend message without bulk data: PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, and the type byte.
pub const SMALL_FRAME_BYTES: usize = 10_001;

/// A client's answer during authentication: PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, with room for the
/// header.
pub const AUTHENTICATION_FRAME_BYTES: usize = 65_540;

/// A backend message without bulk data: libpq's bound for types it does not expect to be long.
pub const BACKEND_FRAME_BYTES: usize = 30_001;

/// A ParameterDescription: 65,535 OIDs, their count and the header.
pub const PARAMETER_DESCRIPTION_BYTES: usize = 5 + 2 + 65_535 * 4;

/// One read from a socket: a few TLS records, or some hundred rows.
pub const READ_BYTES: usize = 32 * 1024;

/// One field of an error the proxy writes: longer texts help nobody and cost every client.
pub const REPORT_FIELD_BYTES: usize = 16 * 1024;
