//! PolicyError: where, what is wrong, what would be right.
//!
//! A run reports every error it can find, not the first; [`Errors`] holds them in file order.
//! How they look is `render.rs`.

use std::collections::BTreeSet;
use std::fmt;

use super::render;
use super::source::Span;

/// How much a message weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted, but says more than what happens.
    Warning,
    /// Worth knowing.
    Note,
}

/// One message about a policy or a configuration file. The wording is PostgreSQL's: lower case, no
/// full stop.
#[derive(Clone, Debug)]
pub struct PolicyError {
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub at: Option<Span>,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that matter, each with what it is.
    pub related: Vec<(Span, String)>,
    /// What of the source line may be shown.
    pub(crate) excerpt: Excerpt,
}

/// What of a source line may be shown in a message.
#[derive(Clone, Debug, Default)]
pub(crate) enum Excerpt {
    /// All of it.
    #[default]
    Whole,
    /// All but these columns (from, length): somebody wrote a password there.
    Hiding(Vec<(u32, u32)>),
    /// Nothing.
    None,
}

impl PolicyError {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            at: None,
            help: None,
            related: Vec::new(),
            excerpt: Excerpt::Whole,
        }
    }

    /// An error at a place.
    pub fn at(span: &Span, message: impl Into<String>) -> Self {
        Self {
            at: Some(span.clone()),
            ..Self::error(message)
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// The same as a note.
    #[must_use]
    pub fn note(self) -> Self {
        Self {
            severity: Severity::Note,
            ..self
        }
    }

    /// With what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// With "did you mean", when something is near enough.
    #[must_use]
    pub(crate) fn suggest(self, nearest: Option<&str>) -> Self {
        match nearest {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// With another place.
    #[must_use]
    pub(crate) fn related(mut self, span: &Span, what: impl Into<String>) -> Self {
        self.related.push((span.clone(), what.into()));
        self
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::human(self, f)
    }
}

/// Everything that is wrong, in file order. Never empty when it is an `Err`.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<PolicyError>);

impl Errors {
    pub(crate) fn new(mut list: Vec<PolicyError>) -> Self {
        sort(&mut list);
        Self(list)
    }

    /// The messages.
    pub fn iter(&self) -> std::slice::Iter<'_, PolicyError> {
        self.0.iter()
    }

    /// The messages themselves.
    pub fn into_vec(self) -> Vec<PolicyError> {
        self.0
    }
}

impl From<Vec<PolicyError>> for Errors {
    fn from(list: Vec<PolicyError>) -> Self {
        Self::new(list)
    }
}

impl From<PolicyError> for Errors {
    fn from(error: PolicyError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// By file, line and column; messages without a place first.
pub(crate) fn sort(list: &mut [PolicyError]) {
    let key = |e: &PolicyError| {
        e.at.as_ref()
            .map(|s| (s.file().to_string(), s.line, s.column))
    };
    list.sort_by_cached_key(|e| (e.severity, key(e)));
}

/// Collects messages while the files are read.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) list: Vec<PolicyError>,
    /// A file could not be read as YAML: names it would have defined are not missed.
    pub(crate) broken: bool,
    /// Names whose definition could not be read: they are not reported as undefined.
    pub(crate) unreadable: BTreeSet<String>,
}

impl Faults {
    pub(crate) fn push(&mut self, error: PolicyError) {
        self.list.push(error);
    }

    pub(crate) fn at(&mut self, span: &Span, message: impl Into<String>) {
        self.push(PolicyError::at(span, message));
    }

    pub(crate) fn failed(&self) -> bool {
        self.list.iter().any(|e| e.severity == Severity::Error)
    }

    /// Errors as `Err`; else the warnings and notes.
    pub(crate) fn finish(self) -> Result<Vec<PolicyError>, Errors> {
        if self.failed() {
            return Err(Errors::new(self.list));
        }
        Ok(Errors::new(self.list).into_vec())
    }
}
