//! Messages for people (carets), for programs (JSON) and for code review tools (SARIF 2.1.0).

use std::fmt;

use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::error::{Excerpt, PolicyError, Severity};
use super::source::Span;

/// How `policy check` and `config check` print messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// With source lines and carets.
    Human,
    /// One JSON array.
    Json,
    /// A SARIF 2.1.0 log.
    Sarif,
}

/// All messages in one text, ending in a line end unless it is empty.
pub fn render(messages: &[PolicyError], format: Format) -> String {
    match format {
        Format::Human => messages.iter().map(|m| format!("{m}\n")).collect(),
        Format::Json => pretty(&Value::Array(messages.iter().map(json_of).collect())),
        Format::Sarif => pretty(&sarif(messages)),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

pub(super) fn human(error: &PolicyError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{}: {}", word(error.severity), error.message)?;
    let gutter = error.at.as_ref().map_or(1, |s| s.line.to_string().len());
    if let Some(span) = &error.at {
        excerpt(span, &error.excerpt, gutter, f)?;
    }
    for (span, what) in &error.related {
        writeln!(f, "{:gutter$} = {what}: {span}", "")?;
    }
    if let Some(help) = &error.help {
        writeln!(f, "{:gutter$} = help: {help}", "")?;
    }
    Ok(())
}

/// The place, its line, and carets under it. Wide characters take two columns on a terminal.
fn excerpt(span: &Span, shown: &Excerpt, gutter: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{:gutter$}--> {span}", "")?;
    let Some(line) = span
        .file
        .line(span.line)
        .and_then(|line| visible(line, shown))
    else {
        return Ok(());
    };
    let before = usize::try_from(span.column.saturating_sub(1)).unwrap_or(0);
    let length = usize::try_from(span.length).unwrap_or(1);
    let indent: usize = line.chars().take(before).map(width).sum();
    let marked: usize = line.chars().skip(before).take(length).map(width).sum();
    writeln!(f, "{:gutter$} |", "")?;
    let shown = format!("{:gutter$} | {line}", span.line);
    writeln!(f, "{}", shown.trim_end())?;
    writeln!(
        f,
        "{:gutter$} | {:indent$}{}",
        "",
        "",
        "^".repeat(marked.max(1))
    )
}

/// The line as it may be shown: one column per tab, no control characters, no secrets.
fn visible(line: &str, shown: &Excerpt) -> Option<String> {
    let hidden: &[(u32, u32)] = match shown {
        Excerpt::Whole => &[],
        Excerpt::Hiding(parts) => parts,
        Excerpt::None => return None,
    };
    let replace = |(column, c): (u32, char)| match c {
        _ if hidden
            .iter()
            .any(|(from, n)| (*from..from.saturating_add(*n)).contains(&column)) =>
        {
            '*'
        }
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Some((1..).zip(line.chars()).map(replace).collect())
}

fn width(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// Columns a text takes on a terminal.
pub(crate) fn text_width(text: &str) -> usize {
    text.width()
}

fn json_of(error: &PolicyError) -> Value {
    let mut out = json!({"severity": word(error.severity), "message": error.message});
    let Some(map) = out.as_object_mut() else {
        return out;
    };
    if let Some(span) = &error.at {
        map.extend(place(span));
    }
    if let Some(help) = &error.help {
        map.insert("help".to_owned(), json!(help));
    }
    if !error.related.is_empty() {
        let related = error.related.iter().map(|(span, what)| {
            let mut entry = place(span);
            entry.insert("message".to_owned(), json!(what));
            Value::Object(entry)
        });
        map.insert("related".to_owned(), related.collect());
    }
    out
}

fn place(span: &Span) -> serde_json::Map<String, Value> {
    let mut map = serde_json::Map::new();
    map.insert("file".to_owned(), json!(&**span.file()));
    map.insert("line".to_owned(), json!(span.line));
    map.insert("column".to_owned(), json!(span.column));
    map.insert(
        "end_column".to_owned(),
        json!(span.column.saturating_add(span.length)),
    );
    map
}

fn sarif(messages: &[PolicyError]) -> Value {
    let results: Vec<Value> = messages.iter().map(sarif_result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pgveil",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [{"id": "policy", "shortDescription": {"text": "the policy language"}}],
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn sarif_result(error: &PolicyError) -> Value {
    let text = match &error.help {
        Some(help) => format!("{} ({help})", error.message),
        None => error.message.clone(),
    };
    let location = |span: &Span| {
        json!({"physicalLocation": {
            "artifactLocation": {"uri": &**span.file()},
            "region": {
                "startLine": span.line,
                "startColumn": span.column,
                "endColumn": span.column.saturating_add(span.length),
            },
        }})
    };
    let related: Vec<Value> = error
        .related
        .iter()
        .map(|(span, what)| {
            let mut place = location(span);
            if let Some(map) = place.as_object_mut() {
                map.insert("message".to_owned(), json!({"text": what}));
            }
            place
        })
        .collect();
    json!({
        "ruleId": "policy",
        "level": word(error.severity),
        "message": {"text": text},
        "locations": error.at.as_ref().map(location).into_iter().collect::<Vec<_>>(),
        "relatedLocations": related,
    })
}
