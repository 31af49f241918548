//! `treat`: what a role gets of a column, by class, by level and by column.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use super::classes::{ClassName, LEVELS, Level};
use super::error::{Faults, PolicyError};
use super::names::ColumnName;
use super::read::{Fields, entries, text};
use super::role::RoleName;
use super::source::{Span, shown};
use super::suggest::nearest;
use super::yaml::Node;

/// A treatment as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Word {
    /// `clear`
    Clear,
    /// `mask(NAME)`
    Mask(Arc<str>),
    /// `token(DOMAIN)`
    Token(Arc<str>),
    /// `nullify`
    Nullify,
    /// `deny`
    Deny,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("clear"),
            Self::Mask(name) => write!(f, "mask({name})"),
            Self::Token(name) => write!(f, "token({name})"),
            Self::Nullify => f.write_str("nullify"),
            Self::Deny => f.write_str("deny"),
        }
    }
}

/// A cell of the table class (or level, or column) × role.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What the role gets.
    pub word: Word,
    /// Where it says so.
    pub span: Span,
}

/// The cells, one map per rank.
#[derive(Default)]
pub(crate) struct Treat {
    pub(crate) class: Cells<ClassName>,
    pub(crate) level: Cells<Level>,
    pub(crate) column: Cells<ColumnName>,
    /// Where each role is named, to report roles that do not exist.
    pub(crate) roles: Vec<(RoleName, Span)>,
    /// Where each class is named.
    pub(crate) classes: Vec<(ClassName, Span)>,
    /// Where each column is named.
    pub(crate) columns: BTreeMap<ColumnName, Span>,
}

pub(crate) type Cells<K> = BTreeMap<(K, RoleName), Cell>;

impl Treat {
    /// Adds one file's `treat`.
    pub(super) fn read(&mut self, node: &Node, faults: &mut Faults) {
        let Some(mut fields) = Fields::open(node, "treat", faults) else {
            return;
        };
        let (class, level, column) = (
            fields.take("class"),
            fields.take("level"),
            fields.take("column"),
        );
        fields.finish(faults);
        if let Some(entries) = class.and_then(|n| entries(n, "treat.class", faults)) {
            for (key, node) in entries {
                let name: ClassName = Arc::from(key.text.as_str());
                self.classes.push((Arc::clone(&name), key.span.clone()));
                row(
                    &mut self.class,
                    &mut self.roles,
                    &name,
                    &key.text,
                    node,
                    faults,
                );
            }
        }
        if let Some(entries) = level.and_then(|n| entries(n, "treat.level", faults)) {
            for (key, node) in entries {
                match LEVELS.iter().find(|(name, _)| *name == key.text) {
                    Some((_, level)) => {
                        row(
                            &mut self.level,
                            &mut self.roles,
                            level,
                            &key.text,
                            node,
                            faults,
                        );
                    }
                    None => {
                        let message = format!("`{}` is not a level", shown(&key.text));
                        faults.push(PolicyError::at(&key.span, message).help("C1, C2 or C3"));
                    }
                }
            }
        }
        if let Some(entries) = column.and_then(|n| entries(n, "treat.column", faults)) {
            for (key, node) in entries {
                let Some(name) = ColumnName::parse(&key.text) else {
                    let message = format!("`{}` is not a column", shown(&key.text));
                    faults.push(PolicyError::at(&key.span, message).help("schema.table.column"));
                    continue;
                };
                self.columns
                    .entry(name.clone())
                    .or_insert_with(|| key.span.clone());
                row(
                    &mut self.column,
                    &mut self.roles,
                    &name,
                    &key.text,
                    node,
                    faults,
                );
            }
        }
    }
}

/// One row of the table: role → treatment.
fn row<K: Ord + Clone>(
    cells: &mut Cells<K>,
    roles: &mut Vec<(RoleName, Span)>,
    name: &K,
    shown_name: &str,
    node: &Node,
    faults: &mut Faults,
) {
    let Some(entries) = entries(node, &format!("treat of `{}`", shown(shown_name)), faults) else {
        return;
    };
    for (role, value) in entries {
        let role_name: RoleName = Arc::from(role.text.as_str());
        roles.push((Arc::clone(&role_name), role.span.clone()));
        let Some(word) = parse_word(value, faults) else {
            continue;
        };
        match cells.entry((name.clone(), role_name)) {
            Entry::Vacant(cell) => {
                cell.insert(Cell {
                    word,
                    span: value.span.clone(),
                });
            }
            Entry::Occupied(first) => {
                let message = format!(
                    "two answers for `{}` and role `{}`: {} here, {} before",
                    shown(shown_name),
                    shown(&role.text),
                    word,
                    first.get().word,
                );
                faults.push(
                    PolicyError::at(&value.span, message).related(&first.get().span, "before"),
                );
            }
        }
    }
}

/// `clear`, `mask(NAME)`, `token(DOMAIN)`, `nullify`, `deny`
pub(super) fn parse_word(node: &Node, faults: &mut Faults) -> Option<Word> {
    const WORDS: [&str; 5] = ["clear", "mask(NAME)", "token(DOMAIN)", "nullify", "deny"];
    let found = text(node, "a treatment", faults)?;
    match found {
        "clear" => return Some(Word::Clear),
        "nullify" => return Some(Word::Nullify),
        "deny" => return Some(Word::Deny),
        _ => {}
    }
    let call = found
        .strip_suffix(')')
        .and_then(|call| call.split_once('('));
    if let Some((function, name)) = call {
        let name = name.trim();
        match function {
            "mask" if !name.is_empty() => return Some(Word::Mask(Arc::from(name))),
            "token" if !name.is_empty() => return Some(Word::Token(Arc::from(name))),
            _ => {}
        }
    }
    let error = PolicyError::at(&node.span, format!("`{}` is not a treatment", shown(found)));
    let near = match call {
        Some((_, name)) if name.trim().is_empty() => None,
        Some((function, name)) => nearest(function, ["mask", "token"])
            .map(|f| format!("did you mean `{f}({})`?", shown(name.trim()))),
        None => {
            nearest(found, ["clear", "nullify", "deny"]).map(|w| format!("did you mean `{w}`?"))
        }
    };
    faults.push(error.help(near.unwrap_or_else(|| format!("one of {}", WORDS.join(", ")))));
    None
}

/// The name inside `mask(…)` or `token(…)`, for carets.
pub(super) fn name_span(cell: &Cell) -> Span {
    match &cell.word {
        Word::Mask(name) => cell.span.part("mask(".len(), name.chars().count()),
        Word::Token(name) => cell.span.part("token(".len(), name.chars().count()),
        Word::Clear | Word::Nullify | Word::Deny => cell.span.clone(),
    }
}
