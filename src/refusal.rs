//! Refusal: why a statement will not run, in words its author can act on. Never a value.

use crate::pg::sqlstate;

/// A decision not to run a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// 42501, 0A000, or the SQLSTATE PostgreSQL would give (42P01, 42703, 42601 …).
    pub sqlstate: &'static str,
    /// Primary message: lower case, no full stop.
    pub message: String,
    /// Full sentences; the rule and its place.
    pub detail: Option<String>,
    /// Full sentences; a query that works.
    pub hint: Option<String>,
    /// Byte offset in the client's text.
    pub position: Option<usize>,
}

impl Refusal {
    /// The policy says no.
    pub fn denied(message: impl Into<String>) -> Self {
        Self {
            sqlstate: sqlstate::INSUFFICIENT_PRIVILEGE,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// Another SQLSTATE.
    pub fn error(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            sqlstate: state,
            ..Self::denied(message)
        }
    }

    /// With a DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a HINT.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a position.
    #[must_use]
    pub fn at(mut self, position: impl Into<Option<usize>>) -> Self {
        self.position = position.into();
        self
    }
}
