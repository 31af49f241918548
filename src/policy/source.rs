//! A file of the policy and places in it.
//!
//! Deliberately absent: reading from disk. The server hands over bytes.

use std::fmt;
use std::sync::Arc;

use super::error::PolicyError;
use crate::limits::POLICY_FILE_BYTES;

/// One YAML file: the name shown to people, and its text with line ends as `\n`.
pub struct SourceFile {
    name: Arc<str>,
    text: String,
}

impl SourceFile {
    /// Checks size, encoding and characters. `name` is shown in messages as it is.
    ///
    /// # Errors
    /// The file is larger than [`POLICY_FILE_BYTES`], is not UTF-8, or holds control characters.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Arc<Self>, PolicyError> {
        let fault = |message: String| PolicyError::error(format!("{name}: {message}"));
        if bytes.len() > POLICY_FILE_BYTES {
            return Err(fault(format!("is larger than {POLICY_FILE_BYTES} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + bytes
                .iter()
                .take(e.valid_up_to())
                .filter(|b| **b == b'\n')
                .count();
            fault(format!("line {line} is not UTF-8"))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let file = Arc::new(Self {
            name: Arc::from(name),
            text,
        });
        match file.control_character() {
            Some(span) => Err(PolicyError::at(&span, "control characters are not allowed")),
            None => Ok(file),
        }
    }

    /// The name shown in messages.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A line, counted from 1, without its end.
    pub(crate) fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.text.split('\n').nth(index)
    }

    fn control_character(self: &Arc<Self>) -> Option<Span> {
        let (mut line, mut column) = (1, 1);
        for c in self.text.chars() {
            match c {
                '\n' => (line, column) = (line + 1, 1),
                c if c.is_control() && c != '\t' => {
                    return Some(Span {
                        file: Arc::clone(self),
                        line,
                        column,
                        length: 1,
                    });
                }
                _ => column += 1,
            }
        }
        None
    }
}

/// A place in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone)]
pub struct Span {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters on the first line.
    pub(crate) length: u32,
}

impl Span {
    /// `policies/treat.yaml`
    pub fn file(&self) -> &Arc<str> {
        &self.file.name
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, from 1, in characters.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// Characters on the first line; `u32::MAX` when it goes on.
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// `policies/treat.yaml:12`, as audit records and messages name a rule.
    pub fn origin(&self) -> Arc<str> {
        Arc::from(format!("{}:{}", self.file.name, self.line))
    }

    /// The part of a scalar's span that starts `skip` characters in and is `length` long: what a
    /// message about one word of a longer value points at.
    pub(crate) fn part(&self, skip: usize, length: usize) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file: Arc::clone(&self.file),
            line: self.line,
            column: self.column.saturating_add(small(skip)),
            length: small(length).max(1),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.name, self.line, self.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text of a file as it may stand in a message: one line, no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
