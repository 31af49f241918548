//! Plays `tests/corpus/tools`: what drivers, ORMs and database tools send of their own accord. A
//! restricted role must get the answer PostgreSQL gives the same upstream user, save columns the
//! contract hides, which the case names.
//!
//! Deliberately absent: the tools. Their statements were recorded as PostgreSQL received them; where a
//! tool could not be run, the file says so.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use crate::support::client::{Client, Message};
use crate::support::stage::{Role, Stage};

/// The clinic with a wing beside it: one of everything that tools ask about.
fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        Stage::build(Some(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools"),
        ))
    })
}

/// Words of stored values. Catalogs are full of object identifiers and times, among whose digits the
/// tap finds pieces of telephone numbers.
const SECRETS: [&str; 8] = [
    "qvorlund",
    "zhemmick",
    "pfannquist",
    "brixwell",
    "kjollvart",
    "vurghild",
    "zq7719xk",
    "欧阳晓楠",
];

/// Views of what the server is doing: no two answers are the same.
const OF_THE_MOMENT: [&str; 3] = ["pg_stat_activity", "pg_stat_database", "pg_locks"];

const RESTRICTED: [Role; 2] = [Role::Support, Role::Analyst];

/// One file: its statements share sessions, as those of a tool do.
pub(crate) struct Tool {
    restricted: Vec<Client>,
    /// PostgreSQL itself, twice: what differs between the two belongs to a session or a moment.
    direct: [Client; 2],
    /// With the proxy's search path upstream, where names are printed with their schemas.
    pinned: Client,
    oids: HashMap<String, String>,
}

impl Tool {
    pub(crate) fn new() -> Self {
        let stage = stage();
        let mut pinned = stage.direct("clinic");
        ask(&mut pinned, "SET search_path = pg_catalog, pg_temp");
        Self {
            restricted: RESTRICTED.map(|role| stage.connect(role)).into(),
            direct: [stage.direct("clinic"), stage.direct("clinic")],
            pinned,
            oids: HashMap::new(),
        }
    }

    /// `ask`: one statement.
    pub(crate) fn ask(&mut self, sql: &str) -> String {
        let sql = self.fill(sql);
        let direct = self.direct.each_mut().map(|client| ask(client, &sql));
        let pinned = ask(&mut self.pinned, &sql);
        let mut verdicts = Vec::new();
        for (role, client) in RESTRICTED.into_iter().zip(&mut self.restricted) {
            let proxied = ask(client, &sql);
            let received = String::from_utf8_lossy(&client.take_received()).to_lowercase();
            let leak = SECRETS.iter().find(|secret| received.contains(**secret));
            assert!(leak.is_none(), "LEAK to {role:?}: {leak:?} after: {sql}");
            verdicts.push(if OF_THE_MOMENT.iter().any(|view| sql.contains(view)) {
                hidden_now(&proxied, &direct)
            } else {
                verdict(&proxied, &direct, &pinned)
            });
        }
        by_role(&verdicts)
    }

    /// `play`: one statement a line, in a session of its own, which is rolled back. Only what is not
    /// simply answered is shown.
    pub(crate) fn play(&mut self, script: &str) -> String {
        let lines: Vec<String> = script.lines().map(|line| self.fill(line)).collect();
        let played = |mut client: Client, role: Option<Role>| {
            let mut outcomes = Vec::new();
            for line in &lines {
                outcomes.push(ask(&mut client, line));
                if let Some(role) = role {
                    stage().assert_silent(role, &mut client, line);
                }
            }
            outcomes
        };
        let direct = || played(stage().direct("clinic"), None);
        let direct = [direct(), direct()];
        let restricted = RESTRICTED.map(|role| played(stage().connect(role), Some(role)));
        let mut out = String::new();
        for n in 0..lines.len() {
            let of = [direct[0][n].clone(), direct[1][n].clone()];
            let verdicts: Vec<String> = (restricted.iter())
                .map(|played| match verdict(&played[n], &of, &of[0]) {
                    said if said.starts_with("answered") && is_any(&lines[n]) => "answered".into(),
                    said => said,
                })
                .collect();
            let said = by_role(&verdicts);
            if said != "answered\n" {
                let start: String = lines[n].chars().take(40).collect();
                let said = said.trim_end().replace('\n', "\n  ");
                writeln!(out, "{start}…\n  {said}").unwrap();
            }
        }
        if out.is_empty() {
            out.push_str("answered\n");
        }
        out
    }

    /// Object identifiers are new in every cluster: `{regclass wing.beds}` stands for one.
    fn fill(&mut self, sql: &str) -> String {
        let mut out = String::new();
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once('{') {
            out += before;
            let found = after.split_once('}').and_then(|(inside, after)| {
                let (kind, name) = inside.split_once(' ')?;
                Some((self.oid(inside, kind, name)?, after))
            });
            let (oid, after) = found.unwrap_or(("{".to_owned(), after));
            (out, rest) = (out + &oid, after);
        }
        out + rest
    }

    fn oid(&mut self, key: &str, kind: &str, name: &str) -> Option<String> {
        let query = match kind {
            "database" => format!("SELECT oid FROM pg_database WHERE datname = '{name}'"),
            "publication" => format!("SELECT oid FROM pg_publication WHERE pubname = '{name}'"),
            "trigger" => format!("SELECT oid FROM pg_trigger WHERE tgname = '{name}'"),
            _ if kind.starts_with("reg") => format!("SELECT '{name}'::{kind}::oid"),
            _ => return None,
        };
        if !self.oids.contains_key(key) {
            let found = ask(&mut self.direct[0], &query);
            let oid = found.results[0].rows[0][0].clone().unwrap();
            self.oids.insert(key.to_owned(), oid);
        }
        self.oids.get(key).cloned()
    }
}

/// Which rows a limit leaves is free without ORDER BY, and the proxy draws them; a cursor's are taken
/// as its query has them, which another line says.
fn is_any(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    (sql.contains(" limit ") && !sql.contains("order by")) || sql.starts_with("fetch")
}

/// What came back for one message or one extended query.
#[derive(Clone, PartialEq, Eq)]
struct Outcome {
    results: Vec<Answered>,
    /// SQLSTATE, message and detail.
    error: Option<[String; 3]>,
}

#[derive(Clone, PartialEq, Eq, Default)]
struct Answered {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    tag: String,
}

/// Sends a statement: by the simple protocol, or, where it ends in `\bind 'a' NULL`, by the extended
/// one with these parameters.
fn ask(client: &mut Client, sql: &str) -> Outcome {
    match sql.rsplit_once("\\bind ") {
        None => client.send(b'Q', format!("{sql}\0").as_bytes()),
        Some((sql, values)) => {
            client.send(b'P', format!("\0{}\0\0\0", sql.trim_end()).as_bytes());
            let values = parameters(values);
            let mut bind = vec![0, 0, 0, 0];
            bind.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
            for value in values {
                let length = value
                    .as_ref()
                    .map_or(-1, |v| i32::try_from(v.len()).unwrap());
                bind.extend(length.to_be_bytes());
                bind.extend(value.unwrap_or_default().bytes());
            }
            bind.extend([0, 0]);
            client.send(b'B', &bind);
            client.send(b'D', b"P\0");
            client.send(b'E', &[0, 0, 0, 0, 0]);
            client.send(b'S', &[]);
        }
    }
    outcome(&client.until_ready())
}

/// `'a' NULL 'it''s'`
fn parameters(text: &str) -> Vec<Option<String>> {
    let doubled = text.trim().replace("''", "\u{1}");
    let mut out = Vec::new();
    // Between quotes and outside them by turns; outside, NULL is a value, and what looks like a
    // doubled quote an empty string.
    for (n, part) in doubled.split('\'').enumerate() {
        if n % 2 == 1 {
            out.push(Some(part.replace('\u{1}', "'")));
        } else {
            let words = part.split_whitespace();
            out.extend(words.map(|word| (word == "\u{1}").then(String::new)));
        }
    }
    out
}

fn outcome(messages: &[Message]) -> Outcome {
    let mut out = Outcome {
        results: Vec::new(),
        error: None,
    };
    let mut current = Answered::default();
    for message in messages {
        match message.kind {
            b'T' => current.columns = column_names(&message.body),
            b'D' => current.rows.push(
                (message.values().into_iter())
                    .map(|v| v.map(|v| String::from_utf8_lossy(&v).into_owned()))
                    .collect(),
            ),
            b'C' => {
                current.tag = String::from_utf8_lossy(&message.body).into_owned();
                out.results.push(std::mem::take(&mut current));
            }
            b'E' => out.error = Some(error(message)),
            _ => {}
        }
    }
    out
}

fn column_names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = &rest[end + 19..];
    }
    names
}

/// SQLSTATE, message and detail, without the decision's number.
fn error(message: &Message) -> [String; 3] {
    let [state, text] = message.error();
    let mut fields = message.body.split(|byte| *byte == 0);
    let detail = fields.find_map(|f| f.strip_prefix(b"D"));
    let detail = String::from_utf8_lossy(detail.unwrap_or_default()).into_owned();
    // Nor where the policy file lies.
    let detail = detail.split("Decision ").next().unwrap();
    let detail = detail.split(" (/").next().unwrap().trim().to_owned();
    [state, text, detail]
}

fn by_role(verdicts: &[String]) -> String {
    if verdicts.iter().all(|v| *v == verdicts[0]) {
        return format!("{}\n", verdicts[0]);
    }
    let lines = RESTRICTED.iter().zip(verdicts);
    lines.fold(String::new(), |out, (role, verdict)| {
        out + &format!("{role:?}: {verdict}\n").to_lowercase()
    })
}

/// `answered`, and how the answer differs from PostgreSQL's own; or the refusal.
fn verdict(proxied: &Outcome, direct: &[Outcome; 2], pinned: &Outcome) -> String {
    match (&proxied.error, &direct[0].error) {
        (Some([state, text, _]), Some([same, words, _])) if state == same => {
            return if text == words {
                format!("PostgreSQL itself: {state} {text}")
            } else {
                format!("PostgreSQL itself: {state}")
            };
        }
        (Some([state, text, detail]), _) => {
            let detail = if detail.is_empty() {
                ""
            } else {
                &format!(" ({detail})")
            };
            return format!("refused {state}: {text}{detail}");
        }
        (None, Some([state, ..])) => return format!("answered, where PostgreSQL says {state}"),
        (None, None) => {}
    }
    let commands = |o: &Outcome| {
        let tags = o.results.iter().map(|r| r.tag.clone());
        let words = |t: String| t.trim_end_matches(|c: char| !c.is_alphabetic()).to_owned();
        tags.map(words).collect::<Vec<_>>()
    };
    if commands(proxied) != commands(&direct[0]) {
        return format!("WRONG tags: {:?}", commands(proxied));
    }
    let mut notes = Vec::new();
    for (n, (ours, theirs)) in proxied.results.iter().zip(&direct[0].results).enumerate() {
        let again = &direct[1].results[n];
        let pinned = pinned.results.get(n).unwrap_or(theirs);
        notes.extend(differences(ours, theirs, again, pinned));
    }
    if notes.is_empty() {
        return "answered".to_owned();
    }
    format!("answered; {}", notes.join("; "))
}

/// Which columns are NULL that are not for PostgreSQL's own client.
fn hidden_now(proxied: &Outcome, direct: &[Outcome; 2]) -> String {
    if proxied.error.is_some() {
        return verdict(proxied, direct, &direct[0]);
    }
    let (ours, theirs) = (&proxied.results[0], &direct[0].results[0]);
    assert_eq!(ours.columns, theirs.columns);
    let empty = |of: &Answered, n: usize| of.rows.iter().all(|row| row[n].is_none());
    let hidden: Vec<&str> = (0..ours.columns.len())
        .filter(|n| empty(ours, *n) && !empty(theirs, *n))
        .map(|n| ours.columns[n].as_str())
        .collect();
    match hidden.as_slice() {
        [] => "answered, as of the moment".to_owned(),
        names => format!("answered, as of the moment; NULL: {}", names.join(", ")),
    }
}

/// Names the columns in which the answers differ, each with the reason that holds. The others must be
/// equal row by row.
fn differences(
    ours: &Answered,
    theirs: &Answered,
    again: &Answered,
    pinned: &Answered,
) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let denied: Vec<&str> = (theirs.columns.iter().map(String::as_str))
        .filter(|name| !ours.columns.iter().any(|c| c == name))
        .collect();
    let [theirs, again, pinned] = &[theirs, again, pinned].map(|a| without(a, &denied));
    if ours.columns != theirs.columns {
        return vec![format!("WRONG columns: {}", ours.columns.join(", "))];
    }
    if !denied.is_empty() {
        reasons.push(("without", denied));
    }
    let mut equal = Vec::new();
    // Rows that differ only where both are NULL are one under DISTINCT.
    let once = ours.rows.len() != theirs.rows.len();
    let column = |of, n| column(of, n, once);
    let scrubbed = |of, n| scrubbed(of, n, once);
    if once {
        reasons.push(("other number of rows", Vec::new()));
    }
    for (n, name) in theirs.columns.iter().enumerate() {
        let reason = if column(ours, n) == column(theirs, n) {
            equal.push(n);
            continue;
        } else if column(ours, n).iter().all(Option::is_none) {
            "NULL"
        } else if column(theirs, n) != column(again, n) {
            "of the session"
        } else if column(ours, n) == column(pinned, n) {
            "with schemas"
        } else if column(ours, n) == scrubbed(theirs, n) || column(ours, n) == scrubbed(pinned, n) {
            "literals hidden"
        } else {
            "hidden or masked"
        };
        match reasons.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let rows = rows_of(theirs, &equal, once);
    if rows_of(ours, &equal, once) != rows && rows_of(again, &equal, once) == rows {
        let names = equal.iter().map(|n| theirs.columns[*n].as_str());
        reasons.push(("WRONG: other rows", names.collect()));
    }
    (reasons.into_iter())
        .map(|(reason, names)| match names.as_slice() {
            [] => reason.to_owned(),
            names => format!("{reason}: {}", names.join(", ")),
        })
        .collect()
}

/// Without columns the policy denies.
fn without(of: &Answered, denied: &[&str]) -> Answered {
    let kept: Vec<usize> = (0..of.columns.len())
        .filter(|n| !denied.contains(&of.columns[*n].as_str()))
        .collect();
    Answered {
        columns: kept.iter().map(|n| of.columns[*n].clone()).collect(),
        rows: (of.rows.iter())
            .map(|row| kept.iter().map(|n| row[*n].clone()).collect())
            .collect(),
        tag: of.tag.clone(),
    }
}

/// A column's values in a fixed order: that of rows is free without ORDER BY.
fn column(of: &Answered, n: usize, once: bool) -> Vec<Option<String>> {
    in_order(of.rows.iter().map(|row| row[n].clone()), once)
}

fn scrubbed(of: &Answered, n: usize, once: bool) -> Vec<Option<String>> {
    let values = of.rows.iter().map(|row| row[n].as_deref());
    in_order(values.map(|value| value.map(without_literals)), once)
}

fn in_order<T: Ord>(values: impl Iterator<Item = T>, once: bool) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort();
    if once {
        values.dedup();
    }
    values
}

/// A definition without its quoted strings, and without the body of a function.
fn without_literals(text: &str) -> String {
    let text = match text.split_once("\nAS ") {
        Some((head, _)) => format!("{head}\nAS …"),
        None => text.to_owned(),
    };
    // Between quotes and outside them by turns; a doubled quote is neither's end.
    let doubled = text.replace("''", "\u{1}");
    let parts: Vec<&str> = doubled.split('\'').collect();
    let mut out = String::new();
    for (n, part) in parts.iter().enumerate() {
        let name = (parts.get(n + 1)).is_some_and(|after| after.starts_with("::regclass"));
        match n % 2 {
            0 => out += &part.replace('\u{1}', "'…'"),
            _ if name => out = out + "'" + part + "'",
            _ => out += "'…'",
        }
    }
    out
}

fn rows_of(of: &Answered, columns: &[usize], once: bool) -> Vec<Vec<Option<String>>> {
    let pick = |row: &Vec<Option<String>>| columns.iter().map(|n| row[*n].clone()).collect();
    in_order(of.rows.iter().map(pick), once)
}
