//! Where commands talk to people: results to standard output, progress to standard error.
//!
//! Deliberately absent: `println!`, which panics on a closed pipe (`pgveil policy matrix | head`).

use std::fmt;
use std::io::{self, Write as _};

/// Writes a line to standard output; a closed pipe is the reader's wish, not a failure.
pub fn line(text: impl fmt::Display) {
    write_line(&mut io::stdout().lock(), &text);
}

/// Writes text to standard output as it is, and flushes it.
pub fn text(text: impl fmt::Display) {
    let mut stdout = io::stdout().lock();
    if write!(stdout, "{text}").is_ok() {
        stdout.flush().unwrap_or_default();
    }
}

/// Writes a line to standard error.
pub fn note(text: impl fmt::Display) {
    write_line(&mut io::stderr().lock(), &text);
}

/// Who runs the command, as far as it is known: the operating system's user.
///
/// # Errors
/// There is no room for a temporary file.
pub fn user() -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    // A file of one's own says whose it is.
    let user = tempfile::tempfile()?.metadata()?.uid();
    Ok(format!("uid {user}"))
}

fn write_line(to: &mut impl io::Write, text: &dyn fmt::Display) {
    if writeln!(to, "{text}").is_ok() {
        to.flush().unwrap_or_default();
    }
}
