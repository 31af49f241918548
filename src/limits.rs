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

/// Bytes of one policy or configuration file. A bank with ten thousand classified columns needs
/// about half a megabyte.
pub const POLICY_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Files of one policy directory.
pub const POLICY_FILES: usize = 10_000;

/// Nesting of maps and lists in a policy file; the language itself needs five.
pub const POLICY_DEPTH: usize = 32;
