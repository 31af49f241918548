//! A policy directory → the files of a [`Policy`]. The only place that reads policy files from disk.
//!
//! Deliberately absent: following symbolic links out of the directory tree in circles (depth is
//! bounded), and any meaning of file names: every `*.yaml` below the directory counts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::limits::{POLICY_DEPTH, POLICY_FILES};
use crate::policy::{Errors, Policy, PolicyError, SourceFile};

/// Reads and parses every `*.yaml` below a directory, or a single file.
///
/// # Errors
/// Everything that is wrong: files that cannot be read, and what [`Policy::parse`] finds.
pub fn load(path: &Path) -> Result<Policy, Errors> {
    Policy::parse(&read(path)?)
}

/// The files themselves, in order of name.
///
/// # Errors
/// Directories and files that cannot be read, are too many, or are not text.
pub fn read(path: &Path) -> Result<Vec<Arc<SourceFile>>, Errors> {
    let mut reader = Reader::default();
    if path.is_dir() {
        reader.directory(path, POLICY_DEPTH);
    } else {
        reader.file(path);
    }
    if reader.errors.is_empty() && reader.files.is_empty() {
        let message = format!("{}: there is no *.yaml here", path.display());
        reader.errors.push(PolicyError::error(message));
    }
    if reader.errors.is_empty() {
        Ok(reader.files)
    } else {
        Err(reader.errors.into())
    }
}

#[derive(Default)]
struct Reader {
    files: Vec<Arc<SourceFile>>,
    errors: Vec<PolicyError>,
}

impl Reader {
    fn fail(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        self.errors
            .push(PolicyError::error(format!("{}: {error}", path.display())));
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            self.fail(path, &"directories are nested too deeply");
            return;
        };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.fail(path, &error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.fail(path, &error),
            }
        }
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.directory(&path, depth);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                self.file(&path);
            } else if path.extension().is_some_and(|e| e == "yml") {
                // Silently leaving out half a policy would be worse than this.
                self.fail(&path, &"policy files end in .yaml");
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if self.files.len() >= POLICY_FILES {
            return self.fail(path, &format!("more than {POLICY_FILES} files"));
        }
        match fs::read(path) {
            Ok(bytes) => match SourceFile::new(&path.display().to_string(), &bytes) {
                Ok(file) => self.files.push(file),
                Err(error) => self.errors.push(error),
            },
            Err(error) => self.fail(path, &error),
        }
    }
}
