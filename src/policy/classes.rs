//! `classes` and `columns`: what kinds of data exist, and which column is of which kind.

use std::sync::Arc;

use super::error::{Faults, PolicyError};
use super::names::{ColumnName, QualifiedName};
use super::read::{Fields, entries, text, word};
use super::source::{Span, shown};
use super::yaml::{Key, Node};
use crate::ident::Ident;

/// A class's name.
pub type ClassName = Arc<str>;

/// JR/T 0171-2020: C3 is the most sensitive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Internal.
    C1,
    /// Personal.
    C2,
    /// Credentials, biometrics: never clear for people.
    C3,
}

impl Level {
    /// The word of the language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::C1 => "C1",
            Self::C2 => "C2",
            Self::C3 => "C3",
        }
    }
}

pub(crate) const LEVELS: &[(&str, Level)] =
    &[("C1", Level::C1), ("C2", Level::C2), ("C3", Level::C3)];

/// One entry of `classes`.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: ClassName,
    /// `level`
    pub level: Level,
    /// Where it is defined.
    pub span: Span,
}

/// One line of `columns`.
#[derive(Clone, Debug)]
pub struct ColumnClass {
    /// The column.
    pub column: ColumnName,
    /// Where its table is named.
    pub table_span: Span,
    /// Where the column is named.
    pub span: Span,
    /// Its class.
    pub class: ClassName,
    pub(crate) class_span: Span,
}

/// Reads one entry of `classes`.
pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<Class> {
    // GB/T 43697-2024 and the PIPL have these words; nothing acts on them yet but reports.
    const IMPACT: &[(&str, ())] = &[("core", ()), ("important", ()), ("general", ())];
    const PERSONAL: &[(&str, ())] = &[("none", ()), ("general", ()), ("sensitive", ())];
    const DETECT: &[(&str, ())] = &[
        ("pan", ()),
        ("cn_id", ()),
        ("cn_name", ()),
        ("cn_mobile", ()),
        ("cn_address", ()),
        ("cn_uscc", ()),
        ("email", ()),
    ];
    let what = format!("class `{}`", shown(&key.text));
    let mut fields = Fields::open(node, &what, faults)?;
    let level = fields
        .require("level", faults)
        .and_then(|n| word(n, "level", LEVELS, faults));
    for (name, words) in [("impact", IMPACT), ("pi", PERSONAL), ("detect", DETECT)] {
        if let Some(node) = fields.take(name) {
            word(node, name, words, faults);
        }
    }
    fields.finish(faults);
    Some(Class {
        name: Arc::from(key.text.as_str()),
        // Kept after an error, so that its name is not reported as unknown elsewhere.
        level: level.unwrap_or(Level::C3),
        span: key.span.clone(),
    })
}

/// Reads one table of `columns`.
pub(super) fn read_columns(key: &Key, node: &Node, faults: &mut Faults) -> Vec<ColumnClass> {
    let Some(table) = QualifiedName::parse(&key.text) else {
        faults.push(
            PolicyError::at(&key.span, format!("`{}` is not a table", shown(&key.text)))
                .help("write schema.table, and quote a part that holds a dot"),
        );
        return Vec::new();
    };
    let Some(columns) = entries(node, &format!("the columns of {table}"), faults) else {
        return Vec::new();
    };
    let read = columns.iter().filter_map(|(column, value)| {
        let class = text(value, "a class", faults)?;
        Some(ColumnClass {
            column: ColumnName {
                table: table.clone(),
                column: Ident::exact(&column.text),
            },
            table_span: key.span.clone(),
            span: column.span.clone(),
            class: Arc::from(class),
            class_span: value.span.clone(),
        })
    });
    read.collect()
}
