//! Runs tests/corpus/policy: YAML in, "ok" with remarks or the exact messages out.
//!
//! A case's input is one file, or several: a line `=== NAME` begins the next one. `policy` cases get
//! a file with `version`, `mode` and `defaults` unless they say `bare`. `config` cases see the
//! variables and secret files listed in [`Surroundings`].

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its stage has failed"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use datadriven::{TestCase, walk};
use pgveil::policy::{
    ClientIdentity, Date, Errors, Format, Matrix, Policy, PolicyError, SourceFile, render,
};
use pgveil::server::config::{Config, Outside};
use proptest::prelude::*;

const BASE: &str = "version: 1\nmode: enforce\ndefaults: {unclassified_column: deny}\n";

#[test]
fn corpus() {
    walk("tests/corpus/policy", |file| file.run(run));
}

fn run(case: &mut TestCase) -> String {
    let bare = case.take_flag("bare").unwrap();
    let format = match case.try_take_arg::<String>("format").unwrap().as_deref() {
        None => None,
        Some("json") => Some(Format::Json),
        Some("sarif") => Some(Format::Sarif),
        Some(other) => panic!("format {other}"),
    };
    case.expect_empty().unwrap();
    let files = files(&case.input);
    let result = match case.directive.as_str() {
        "policy" => policy(&files, bare).map(|p| p.notes),
        "predict" => policy(&files, bare).map(|p| p.predicted()),
        "matrix" => return matrix(&files, bare),
        "config" => config(&files),
        other => panic!("directive {other}"),
    };
    let (messages, last) = match result {
        Ok(notes) => (notes, "ok\n"),
        Err(errors) => (errors.into_vec(), ""),
    };
    match format {
        Some(format) => render(&messages, format),
        None => messages.iter().map(ToString::to_string).collect::<String>() + last,
    }
}

fn files(input: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in input.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            files.push((name.to_owned(), String::new()));
        } else {
            if files.is_empty() {
                files.push(("p.yaml".to_owned(), String::new()));
            }
            writeln!(files.last_mut().unwrap().1, "{}", unescaped(line)).unwrap();
        }
    }
    files
}

/// Corpus files are plain text; what cannot stand in them is written in words.
fn unescaped(line: &str) -> String {
    line.replace("<TAB>", "\t")
        .replace("<ESC>", "\u{1b}")
        .replace("<CR>", "\r")
}

fn policy(files: &[(String, String)], bare: bool) -> Result<Policy, Errors> {
    let base = (!bare).then(|| ("base.yaml".to_owned(), BASE.to_owned()));
    let mut sources = Vec::new();
    for (name, text) in base.iter().chain(files) {
        sources.push(SourceFile::new(name, text.as_bytes())?);
    }
    Policy::parse(&sources)
}

fn matrix(files: &[(String, String)], bare: bool) -> String {
    match policy(files, bare) {
        Ok(policy) => Matrix::of(&policy).table(),
        Err(errors) => errors.to_string(),
    }
}

struct Surroundings;

impl Outside for Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        let known = BTreeMap::from([("APP_PASSWORD", "secret"), ("EMPTY", "")]);
        known.get(name).map(|v| (*v).to_owned())
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("/etc/pgveil/app.secret") {
            return Ok("secret\n".to_owned());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
}

fn config(files: &[(String, String)]) -> Result<Vec<PolicyError>, Errors> {
    let empty = ("p.yaml".to_owned(), String::new());
    let (name, text) = files.first().unwrap_or(&empty);
    let file = SourceFile::new(name, text.as_bytes())?;
    Config::parse(&file, Path::new("/etc/pgveil"), &Surroundings).map(|_| Vec::new())
}

/// The folder's own files, as the binary reads them: nothing in them is only said and not done.
#[test]
fn the_sample_policy_loads_without_a_remark() {
    let policy = match pgveil::server::policy_files::load(Path::new("policies")) {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors}"),
    };
    assert!(policy.notes.is_empty(), "{:?}", policy.notes);
}

/// A policy of everything the language has, enforced or not.
#[test]
fn the_whole_language_loads() {
    match pgveil::server::policy_files::load(Path::new("tests/corpus/language")) {
        Ok(policy) => {
            let said: Vec<&str> = policy.notes.iter().map(|n| n.message.as_str()).collect();
            for section in ["limits", "rows", "combine", "audit", "predicates", "grant"] {
                let line = format!("`{section}`: accepted, not enforced in this version");
                assert_eq!(said.iter().filter(|s| **s == line).count(), 1, "{section}");
            }
        }
        Err(errors) => panic!("{errors}"),
    }
}

fn client<'a>(login: &'a str, address: &str) -> ClientIdentity<'a> {
    ClientIdentity {
        login,
        groups: &[],
        address: address.parse().ok(),
        certificate: None,
        today: Date::parse("2026-11-21").unwrap(),
    }
}

const ROLES: &str = "
roles:
  app: {match: {login: bank, cidr: [10.20.0.0/16, 10.21.0.0/16], tls_cert: bank-app}, kind: service}
  batch: {match: {login: bank, cidr: 10.21.0.0/16}, kind: service}
  group: {match: {group: dba}, kind: human}
  both: {match: {login: wang, group: dba}, kind: human}
  partner: {match: {login: acme}, kind: third_party, expires: 2026-11-21}
  gone: {match: {login: old}, kind: third_party, expires: 2026-11-20}
";

/// A session has exactly one role, and everything a match says must hold.
#[test]
fn clients_have_one_role() {
    let text = format!("{BASE}{ROLES}");
    let policy = pgveil::policy::parse_policy_bytes("p.yaml", text.as_bytes()).unwrap();
    let role = |client: ClientIdentity<'_>| match policy.role_for(&client) {
        Ok(role) => role.name.to_string(),
        Err(error) => error.to_string(),
    };
    let groups = ["dba".to_owned()];
    let certified = |address| ClientIdentity {
        certificate: Some("bank-app"),
        ..client("bank", address)
    };
    let nobody = |login: &str| format!("no role matches login \"{login}\"");
    assert_eq!(role(certified("10.20.1.1")), "app");
    // A dual-stack socket shows the same client like this.
    assert_eq!(role(certified("::ffff:10.20.1.1")), "app");
    assert_eq!(role(client("bank", "10.20.1.1")), nobody("bank"));
    assert_eq!(role(client("bank", "10.21.1.1")), "batch");
    assert_eq!(
        role(certified("10.21.1.1")),
        "login \"bank\" matches more than one role: app, batch"
    );
    assert_eq!(role(client("bank", "10.22.1.1")), nobody("bank"));
    // A Unix socket has no address, so no network holds it.
    assert_eq!(role(client("bank", "-")), nobody("bank"));
    assert_eq!(role(client("Bank", "10.21.1.1")), nobody("Bank"));
    assert_eq!(role(client("wang", "10.0.0.1")), nobody("wang"));
    let grouped = |login| ClientIdentity {
        groups: &groups,
        ..client(login, "10.0.0.1")
    };
    assert_eq!(role(grouped("li")), "group");
    assert_eq!(
        role(grouped("wang")),
        "login \"wang\" matches more than one role: both, group"
    );
    // The last day counts.
    assert_eq!(role(client("acme", "10.0.0.1")), "partner");
    assert_eq!(
        role(client("old", "10.0.0.1")),
        "role \"gone\" expired on 2026-11-20"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Any bytes give a policy or messages, and the messages can be printed in every format.
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    /// Text of YAML's own characters and the language's own words reaches deeper.
    #[test]
    fn yaml_like_text_never_panics(parts in proptest::collection::vec(part(), 0..60)) {
        survive(parts.concat().as_bytes());
    }
}

fn part() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "\n",
        "\n  ",
        "\n    ",
        " ",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "&a ",
        "*a",
        "!!str ",
        "!",
        "? ",
        "| ",
        ">\n ",
        "# ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "<<: ",
        "~",
        "\\",
        "\t",
        "\r\n",
        "张",
        "classes:",
        "columns:",
        "crm.a:",
        "masks:",
        "treat:",
        "roles:",
        "write:",
        "level: C1",
        "mask(a)",
        "update(",
        ")",
        "0",
        "-1.5",
        "true",
        "on",
        "version: 1",
    ])
}

fn survive(bytes: &[u8]) {
    match pgveil::policy::parse_policy_bytes("p.yaml", bytes) {
        Ok(policy) => drop(Matrix::of(&policy).html()),
        Err(errors) => {
            let messages = errors.into_vec();
            assert!(!messages.is_empty());
            for format in [Format::Human, Format::Json, Format::Sarif] {
                assert!(!render(&messages, format).is_empty());
            }
        }
    }
    if let Ok(file) = SourceFile::new("p.yaml", bytes) {
        drop(Config::parse(&file, Path::new("/"), &Surroundings));
    }
}
