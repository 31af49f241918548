//! `tests`: what a policy promises, written by the people who wrote the policy.

use super::error::{Faults, PolicyError};
use super::names::ColumnName;
use super::read::{Fields, list, scalar, text};
use super::source::{Span, shown};
use super::yaml::{Key, Node};

/// One entry of `tests`.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// What it promises.
    pub name: String,
    /// Where.
    pub span: Span,
    /// The role.
    pub role: String,
    /// Where the role is named.
    pub role_span: Span,
    /// The promise.
    pub check: Check,
}

/// What a test checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// One value of one column.
    Value {
        /// The column.
        column: ColumnName,
        /// The stored value.
        input: String,
        /// What the role sees: a value, or the word `deny` or `nullify`.
        output: String,
    },
    /// A statement's rows.
    Rows {
        /// The statement.
        sql: String,
        /// The rows.
        rows: Vec<Vec<String>>,
    },
}

/// Reads one entry.
pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<PolicyTest> {
    let what = format!("test `{}`", shown(&key.text));
    let mut fields = Fields::open(node, &what, faults)?;
    let role_node = fields.require("as", faults);
    let role = role_node.and_then(|n| text(n, "as", faults));
    let column = fields.take("column");
    let (input, output) = (fields.take("in"), fields.take("out"));
    let (sql, rows) = (fields.take("sql"), fields.take("rows"));
    fields.finish(faults);
    let check = match (column, input, output, sql, rows) {
        (Some(column), Some(input), Some(output), None, None) => Check::Value {
            column: read_column(column, faults)?,
            input: scalar(input, "in", faults)?.text.clone(),
            output: scalar(output, "out", faults)?.text.clone(),
        },
        (None, None, None, Some(sql), Some(rows)) => Check::Rows {
            sql: text(sql, "sql", faults)?.to_owned(),
            rows: read_rows(rows, faults)?,
        },
        _ => {
            faults.push(
                PolicyError::at(&key.span, format!("{what} is neither of the two forms"))
                    .help("{as, column, in, out} or {as, sql, rows}"),
            );
            return None;
        }
    };
    Some(PolicyTest {
        name: key.text.clone(),
        span: key.span.clone(),
        role: role?.to_owned(),
        role_span: role_node?.span.clone(),
        check,
    })
}

fn read_column(node: &Node, faults: &mut Faults) -> Option<ColumnName> {
    let found = text(node, "column", faults)?;
    let name = ColumnName::parse(found);
    if name.is_none() {
        let message = format!("`{}` is not a column", shown(found));
        faults.push(PolicyError::at(&node.span, message).help("schema.table.column"));
    }
    name
}

fn read_rows(node: &Node, faults: &mut Faults) -> Option<Vec<Vec<String>>> {
    let rows = list(node, "rows", faults)?.iter().map(|row| {
        let values = list(row, "a row", faults)?.iter();
        values
            .map(|v| Some(scalar(v, "a value", faults)?.text.clone()))
            .collect()
    });
    rows.collect()
}
