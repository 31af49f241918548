//! Runs tests/corpus/policy: YAML in, "ok" with remarks or the exact messages out.
//!
//! A case's input is one file, or several: a line `=== NAME` begins the next one. `policy` cases get
//! a file with `version`, `mode` and `defaults` unless they say `bare`. `config` cases see the
//! variables and secret files listed in [`Surroundings`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use datadriven::{TestCase, walk};
use pgveil::policy::{Errors, Format, Matrix, Policy, PolicyError, SourceFile, render};
use pgveil::server::config::{Config, Outside};

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
