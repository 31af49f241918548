//! The shape of one audit record, as it stands in the JSON line.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::plan::Facts;

/// Who acts: fixed for the length of a session.
#[derive(Clone, Serialize, Debug, PartialEq, Eq, Default)]
pub struct Who {
    /// Session number of this process, hexadecimal.
    pub session: String,
    /// The name that authenticated.
    pub login: String,
    /// The policy's role.
    pub role: String,
    /// The client's address.
    pub peer: String,
    /// Database.
    pub database: String,
    /// `application_name` of the startup message.
    pub application_name: String,
}

/// What a record is about.
#[derive(Clone, Copy, Serialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A session began.
    Login,
    /// A session ended.
    Logout,
    /// A statement of a restricted role.
    Statement,
    /// A command of the console.
    Admin,
}

/// How it ended.
#[derive(Clone, Copy, Serialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Ran; nothing protected was involved.
    Allow,
    /// Ran; protected columns were masked, tokenized or nullified.
    Mask,
    /// Did not run: the proxy refused it.
    Refuse,
    /// PostgreSQL answered with an error.
    Error,
    /// Its reply never came: a message before it failed, or the session ended.
    Abandoned,
    /// Went through as it was: the role is observed, and `would` says what enforcing had done.
    Observe,
    /// A reply came that the plan does not explain; the session was closed.
    Unexpected,
}

/// A protected column and what was done with it.
#[derive(Clone, Serialize, Debug, PartialEq, Eq)]
pub struct ColumnUse {
    /// `schema.relation.column`
    pub column: String,
    /// `mask at the output`, `mask at the source`, `token`, `nullify`; `probe` when a constraint compared
    /// what was written with its stored values
    pub treatment: &'static str,
}

/// One record. Names and counts only.
#[derive(Clone, Serialize, Debug)]
pub struct Record {
    /// What it is about.
    pub event: Event,
    /// Who acts.
    #[serde(flatten, serialize_with = "serialize_who")]
    pub who: Arc<Who>,
    /// The decision's number within the session; refusals show it to the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How it ended.
    pub decision: Outcome,
    /// `SELECT`, `UPDATE`, …; empty when the text was not understood.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub kind: &'static str,
    /// What a command of the console is about: a database, or a session's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Relations read or written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<String>,
    /// Protected columns used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnUse>,
    /// Rows sent to the client.
    pub rows: u64,
    /// Bytes of row data sent to the client.
    pub bytes: u64,
    /// From sending to the last reply, in microseconds.
    pub duration_us: u64,
    /// The SQLSTATE, when it is a refusal or an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Of an observed role: `mask` or `refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<Outcome>,
    /// Why it was refused, or would have been, without any word of the client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn serialize_who<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    who.serialize(serializer)
}

impl Record {
    /// A record that says nothing yet.
    pub fn new(event: Event, who: Arc<Who>) -> Self {
        Self {
            event,
            who,
            id: None,
            decision: Outcome::Abandoned,
            kind: "",
            target: None,
            relations: Vec::new(),
            columns: Vec::new(),
            rows: 0,
            bytes: 0,
            duration_us: 0,
            sqlstate: None,
            would: None,
            reason: None,
        }
    }

    /// Takes over what the planner says of the statement.
    pub fn set_facts(&mut self, facts: &Facts) {
        self.kind = facts.kind;
        self.relations.clone_from(&facts.relations);
        self.columns = facts
            .columns
            .iter()
            .map(|(column, treatment)| ColumnUse {
                column: column.clone(),
                treatment,
            })
            .collect();
    }
}
