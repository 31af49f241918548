//! Role × column, as `policy matrix` shows it.
//!
//! Asks [`Policy::answer`], which is what binding asks: the matrix cannot disagree with the proxy.

use super::observe::Observation;
use super::policy::{Answer, Policy};
use super::render::text_width;
use super::role::Role;
use super::treat::Word;

/// What every role gets of every column the policy names.
pub struct Matrix {
    /// `column`, `class`, then the roles.
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Matrix {
    /// The matrix of a policy; its last row is about all other columns.
    pub fn of(policy: &Policy) -> Self {
        let roles: Vec<_> = policy.roles.values().collect();
        let mut header = vec!["column".to_owned(), "class".to_owned()];
        header.extend(roles.iter().map(|r| match policy.observation(r) {
            Observation::On => format!("{} (observed)", r.name),
            _ => r.name.to_string(),
        }));
        let mut rows: Vec<Vec<String>> = Vec::new();
        for column in policy.named_columns().keys() {
            let class = policy.columns.get(*column).map_or("-", |c| &*c.class);
            let mut row = vec![column.to_string(), class.to_owned()];
            row.extend(
                roles
                    .iter()
                    .map(|r| cell(policy, r, &policy.answer(r, column))),
            );
            rows.push(row);
        }
        let mut other = vec!["(any other)".to_owned(), "-".to_owned()];
        let default = |role: &&Role| cell(policy, role, &policy.default_answer(role));
        other.extend(roles.iter().map(default));
        rows.push(other);
        Self { header, rows }
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.header).chain(&self.rows)
    }

    /// Aligned for a terminal.
    pub fn table(&self) -> String {
        let mut widths = vec![0; self.header.len()];
        for line in self.lines() {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = text_width(cell).max(*width);
            }
        }
        let mut out = String::new();
        for (i, line) in self.lines().enumerate() {
            let mut text = String::new();
            for (width, cell) in widths.iter().zip(line) {
                let padding = (width + 2).saturating_sub(text_width(cell));
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', padding));
            }
            out.push_str(text.trim_end());
            out.push('\n');
            if i == 0 {
                let total = widths
                    .iter()
                    .map(|w| w + 2)
                    .sum::<usize>()
                    .saturating_sub(2);
                out.extend(std::iter::repeat_n('-', total));
                out.push('\n');
            }
        }
        out
    }

    /// Comma-separated values, RFC 4180.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for line in self.lines() {
            let cells: Vec<String> = line.iter().map(|cell| csv_cell(cell)).collect();
            out.push_str(&cells.join(","));
            out.push_str("\r\n");
        }
        out
    }

    /// One page, no scripts, no outside files.
    pub fn html(&self) -> String {
        let mut out = String::from(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <title>Who sees what</title>\n<style>\n\
             body { font: 14px/1.4 system-ui, sans-serif; margin: 2em }\n\
             table { border-collapse: collapse }\n\
             th, td { border: 1px solid #ccc; padding: .2em .6em; text-align: left }\n\
             thead th { position: sticky; top: 0; background: #eee }\n\
             .clear { background: #fff } .mask { background: #e8f1ff } .token { background: #efe8ff }\n\
             .nullify { background: #f2f2f2 } .deny { background: #ffe9e6 }\n\
             </style>\n<table>\n<thead><tr>",
        );
        for cell in &self.header {
            out.push_str("<th>");
            out.push_str(&escaped(cell));
            out.push_str("</th>");
        }
        out.push_str("</tr></thead>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                // The first two cells are the column and its class, the others treatments.
                let kind = if i < 2 {
                    ""
                } else {
                    cell.split('(').next().unwrap_or_default().trim_end()
                };
                out.push_str("<td class=\"");
                out.push_str(&escaped(kind));
                out.push_str("\">");
                out.push_str(&escaped(cell));
                out.push_str("</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</table>\n</html>\n");
        out
    }
}

/// What the role gets. An observed one gets everything; what it would get stands in parentheses.
fn cell(policy: &Policy, role: &Role, answer: &Answer) -> String {
    match (policy.observation(role), &answer.word) {
        (Observation::On, word) if *word != Word::Clear => format!("clear (enforced: {word})"),
        (_, word) => word.to_string(),
    }
}

/// A cell of the CSV. Spreadsheets run what begins with these characters, so it is kept text.
fn csv_cell(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@']) && cell != "-";
    let text = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
