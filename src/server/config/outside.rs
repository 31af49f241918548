//! What a configuration takes from its surroundings: variables, and files with secrets.

use std::fs;
use std::io;
use std::path::Path;

/// What a configuration takes from its surroundings.
pub trait Outside {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// A file with a secret in it.
    ///
    /// # Errors
    /// It cannot be read.
    fn secret(&self, path: &Path) -> io::Result<String>;
}

/// The process's own environment and file system.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Outside for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}
