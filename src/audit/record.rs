//! The shape of one audit record, and its JSON.
//!
//! The JSON is written by hand, field by field: it is made once for every statement of a restricted
//! role, and nothing of it is worth an allocation.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::plan::Facts;

/// Who acts: fixed for the length of a session.
#[derive(Clone, Debug, Default)]
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
    /// All of this as it stands in every record, and the begin of a decision's id behind it.
    pub told: OnceLock<Told>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session began.
    Login,
    /// A session ended.
    Logout,
    /// A statement of a restricted role.
    Statement,
    /// A command of the console.
    Admin,
    /// Values were turned into tokens on the command line, or back.
    Token,
    /// The stored cells of a column were encrypted on the command line, or decrypted.
    Encrypt,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// One record. Names and counts only.
#[derive(Clone)]
pub struct Record {
    /// What it is about.
    pub event: Event,
    /// Who acts.
    pub who: Arc<Who>,
    /// The decision's number within the session; refusals show it to the user, behind the session's.
    pub decision_number: Option<u64>,
    /// How it ended.
    pub decision: Outcome,
    /// `SELECT`, `UPDATE`, …; empty when the text was not understood.
    pub kind: &'static str,
    /// What a command is about: a database, a session's number, a token domain, a column.
    pub target: Option<String>,
    /// What the planner says of the statement; absent when it was not understood.
    pub facts: Option<Arc<Facts>>,
    /// Rows sent to the client.
    pub rows: u64,
    /// Bytes of row data sent to the client.
    pub bytes: u64,
    /// From sending to the last reply, in microseconds.
    pub duration_us: u64,
    /// The SQLSTATE, when it is a refusal or an error.
    pub sqlstate: Option<String>,
    /// Of an observed role: `mask` or `refuse`.
    pub would: Option<Outcome>,
    /// Why it was refused, or would have been, without any word of the client's.
    pub reason: Option<String>,
    /// When it ended; absent: when it is written.
    pub at: Option<Instant>,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Statement => "statement",
            Self::Admin => "admin",
            Self::Token => "token",
            Self::Encrypt => "encrypt",
        }
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Mask => "mask",
            Self::Refuse => "refuse",
            Self::Error => "error",
            Self::Abandoned => "abandoned",
            Self::Observe => "observe",
            Self::Unexpected => "unexpected",
        }
    }
}

impl Record {
    /// A record that says nothing yet.
    pub fn new(event: Event, who: Arc<Who>) -> Self {
        Self {
            event,
            who,
            decision_number: None,
            decision: Outcome::Abandoned,
            kind: "",
            target: None,
            facts: None,
            rows: 0,
            bytes: 0,
            duration_us: 0,
            sqlstate: None,
            would: None,
            reason: None,
            at: None,
        }
    }

    /// The statement is planned, and this is said of it.
    #[must_use]
    pub fn with_facts(self, facts: Arc<Facts>) -> Self {
        Self {
            kind: facts.kind,
            facts: Some(facts),
            ..self
        }
    }

    /// The decision's number, as refusals show it to the user.
    pub fn id(&self) -> Option<String> {
        let number = self.decision_number?;
        Some(format!("{}-{number}", self.who.session))
    }

    /// A protected column was involved.
    pub fn is_protected(&self) -> bool {
        self.facts.as_ref().is_some_and(|f| !f.columns.is_empty())
    }

    /// Appends the fields of its JSON object, without the braces and without the time.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // What is in almost every record is written in as few pieces as can be.
        out.extend_from_slice(b"\"event\":\"");
        out.extend_from_slice(self.event.name().as_bytes());
        let who = self.who.told.get_or_init(|| told_who(&self.who));
        if let Some(number) = self.decision_number {
            out.extend_from_slice(&who.with_id);
            digits(out, number);
            out.push(b'"');
        } else {
            out.extend_from_slice(who.alone());
        }
        out.extend_from_slice(b",\"decision\":\"");
        out.extend_from_slice(self.decision.name().as_bytes());
        out.push(b'"');
        if let Some(target) = &self.target {
            field(out, "target", target);
        }
        match &self.facts {
            Some(facts) => out.extend_from_slice(facts.told.get_or_make(|| told_facts(facts))),
            None if !self.kind.is_empty() => field(out, "kind", self.kind),
            None => {}
        }
        number(out, b",\"rows\":", self.rows);
        number(out, b",\"bytes\":", self.bytes);
        number(out, b",\"duration_us\":", self.duration_us);
        if let Some(sqlstate) = &self.sqlstate {
            field(out, "sqlstate", sqlstate);
        }
        if let Some(would) = self.would {
            field(out, "would", would.name());
        }
        if let Some(reason) = &self.reason {
            field(out, "reason", reason);
        }
    }
}

/// A [`Who`] as it stands in its records.
#[derive(Clone, Debug)]
pub struct Told {
    /// The quote that ends the event, the fields, and `,"id":"1f-`.
    with_id: Box<[u8]>,
    /// Bytes of it before the id.
    alone: usize,
}

impl Told {
    fn alone(&self) -> &[u8] {
        self.with_id.get(..self.alone).unwrap_or_default()
    }
}

fn told_who(who: &Who) -> Told {
    let mut out = vec![b'"'];
    field(&mut out, "session", &who.session);
    field(&mut out, "login", &who.login);
    field(&mut out, "role", &who.role);
    field(&mut out, "peer", &who.peer);
    field(&mut out, "database", &who.database);
    field(&mut out, "application_name", &who.application_name);
    let alone = out.len();
    name(&mut out, "id");
    out.push(b'"');
    escaped(&mut out, &who.session);
    out.push(b'-');
    let with_id = out.into();
    Told { with_id, alone }
}

/// The kind of a statement, `relations` (read or written), and `columns`: the protected ones used, and how.
fn told_facts(facts: &Facts) -> Box<[u8]> {
    let mut made = Vec::new();
    let out = &mut made;
    if !facts.kind.is_empty() {
        field(out, "kind", facts.kind);
    }
    if !facts.relations.is_empty() {
        name(out, "relations");
        list(out, &facts.relations, |out, relation| string(out, relation));
    }
    if !facts.columns.is_empty() {
        name(out, "columns");
        list(out, &facts.columns, |out, (column, treatment)| {
            out.extend_from_slice(b"{\"column\":");
            string(out, column);
            field(out, "treatment", treatment);
            out.push(b'}');
        });
    }
    made.into()
}

fn list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// `,"name":`
fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn field(out: &mut Vec<u8>, key: &str, value: &str) {
    name(out, key);
    string(out, value);
}

/// `key` as it stands before the number.
fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    digits(out, value);
}

fn digits(out: &mut Vec<u8>, value: u64) {
    let (mut text, mut rest, mut length) = ([b'0'; 20], value, 0_usize);
    for digit in text.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        length = length.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    let start = text.len().saturating_sub(length);
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    escaped(out, value);
    out.push(b'"');
}

/// A text as it stands between a JSON string's quotes.
fn escaped(out: &mut Vec<u8>, value: &str) {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a way out in the middle: the compiler looks at many bytes at a time.
    if !value.bytes().fold(false, |any, byte| any | special(byte)) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                if write!(out, "\\u{byte:04x}").is_err() {
                    // Writing to a Vec does not fail.
                }
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Event, Outcome, Record, Who};
    use crate::plan::Facts;

    fn json(record: &Record) -> serde_json::Value {
        let mut out = b"{".to_vec();
        record.write(&mut out);
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_record_is_one_json_object_whatever_its_texts_hold() {
        let odd = "a\"b\\c\u{1}\n\t\u{7f}名\u{10ffff}";
        let who = Who {
            session: "1f".to_owned(),
            login: odd.to_owned(),
            role: "support".to_owned(),
            peer: "[::1]:5".to_owned(),
            database: odd.to_owned(),
            ..Who::default()
        };
        let facts = Facts {
            kind: "SELECT",
            relations: vec![odd.to_owned(), "s.t".to_owned()],
            oids: vec![7],
            columns: vec![(odd.to_owned(), "token"), ("s.t.c".to_owned(), "nullify")],
            ..Facts::default()
        };
        let record = Record {
            decision_number: Some(12),
            decision: Outcome::Mask,
            rows: 9,
            bytes: u64::MAX,
            duration_us: 10,
            sqlstate: Some("42501".to_owned()),
            would: Some(Outcome::Refuse),
            reason: Some(odd.to_owned()),
            target: Some(odd.to_owned()),
            ..Record::new(Event::Statement, Arc::new(who)).with_facts(Arc::new(facts))
        };
        let expected = serde_json::json!({
            "event": "statement", "session": "1f", "login": odd, "role": "support",
            "peer": "[::1]:5", "database": odd, "application_name": "", "id": "1f-12",
            "decision": "mask", "kind": "SELECT", "target": odd, "relations": [odd, "s.t"],
            "columns": [
                {"column": odd, "treatment": "token"},
                {"column": "s.t.c", "treatment": "nullify"},
            ],
            "rows": 9, "bytes": u64::MAX, "duration_us": 10, "sqlstate": "42501",
            "would": "refuse", "reason": odd,
        });
        assert_eq!(json(&record), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let json = json(&Record::new(Event::Logout, Arc::default()));
        let known: Vec<&String> = json.as_object().unwrap().keys().collect();
        let always = ["event", "session", "login", "role", "peer", "database"];
        let rest = [
            "application_name",
            "decision",
            "rows",
            "bytes",
            "duration_us",
        ];
        assert_eq!(known, [&always[..], &rest].concat());
        assert_eq!(json["decision"], "abandoned");
    }
}
