//! `write` and `functions`: what a role may change, and which functions of the database it may call.
//!
//! A UNIQUE, EXCLUDE, FOREIGN KEY or CHECK constraint compares what a role writes with stored values,
//! so the write's success says whether a value is stored. So does the deletion of what other tables refer
//! to, and a change of it, by what referential actions then meet there. What PostgreSQL computes of the
//! row may fail by values the role did not write: a generated column, an index's expression or
//! predicate, the length of an index entry, the partition it goes to. Three words let it:
//! `probe(email)`, `update(email)` where the role does not see that column itself, and `all`, of every
//! column. With `insert` or `update` alone such a write is refused. What is let through is audited, and
//! `policy check` names it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::error::{Faults, PolicyError};
use super::names::{QualifiedName, TablePattern};
use super::read::{Fields, entries, list, one_or_list, text};
use super::role::RoleName;
use super::source::{Span, shown};
use super::suggest::nearest;
use super::yaml::Node;
use crate::ident::Ident;

/// One line of `write`.
#[derive(Clone, Debug)]
pub struct WriteRule {
    /// The table or schema.
    pub pattern: TablePattern,
    /// Where.
    pub span: Span,
    /// `all`: INSERT, UPDATE and DELETE, and what constraints answer to them.
    pub all: bool,
    /// INSERT.
    pub insert: bool,
    /// DELETE.
    pub delete: bool,
    /// UPDATE of every column.
    pub update_all: bool,
    /// UPDATE of these.
    pub update: Vec<(Ident, Span)>,
    /// Plaintext may be written to token columns.
    pub plaintext: bool,
    /// Constraints may compare what is written with stored values of these columns.
    pub probe: Vec<(Ident, Span)>,
}

/// `write`: role → rules.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) rules: BTreeMap<RoleName, BTreeMap<TablePattern, WriteRule>>,
    /// Where each role is named.
    pub(crate) roles: Vec<(RoleName, Span)>,
}

impl Writes {
    /// Adds one file's `write`.
    pub(super) fn read(&mut self, node: &Node, faults: &mut Faults) {
        let Some(roles) = entries(node, "write", faults) else {
            return;
        };
        for (role, tables) in roles {
            let name: RoleName = Arc::from(role.text.as_str());
            self.roles.push((Arc::clone(&name), role.span.clone()));
            let what = format!("write of role `{}`", shown(&role.text));
            let Some(tables) = entries(tables, &what, faults) else {
                continue;
            };
            let rules = self.rules.entry(name).or_default();
            for (table, allowed) in tables {
                let Some(pattern) = TablePattern::parse(&table.text) else {
                    let message = format!("`{}` is not a table", shown(&table.text));
                    let error = PolicyError::at(&table.span, message);
                    faults.push(error.help("write schema.table or schema.*"));
                    continue;
                };
                let rule = read_rule(pattern.clone(), &table.span, allowed, faults);
                match rules.entry(pattern) {
                    Entry::Vacant(free) => {
                        free.insert(rule);
                    }
                    Entry::Occupied(first) => {
                        let message = format!("write of {} is said twice", first.key());
                        let error = PolicyError::at(&table.span, message);
                        faults.push(error.related(&first.get().span, "first"));
                    }
                }
            }
        }
    }
}

fn read_rule(pattern: TablePattern, span: &Span, node: &Node, faults: &mut Faults) -> WriteRule {
    let mut rule = WriteRule {
        pattern,
        span: span.clone(),
        all: false,
        insert: false,
        delete: false,
        update_all: false,
        update: Vec::new(),
        plaintext: false,
        probe: Vec::new(),
    };
    for (word, at) in rejoined(node, faults) {
        grant(&mut rule, &word, &at, faults);
    }
    rule
}

fn grant(rule: &mut WriteRule, word: &str, at: &Span, faults: &mut Faults) {
    const WORDS: [&str; 5] = ["all", "insert", "update", "delete", "plaintext"];
    match word {
        "all" => {
            rule.all = true;
            (rule.insert, rule.delete, rule.update_all) = (true, true, true);
        }
        "insert" => rule.insert = true,
        "delete" => rule.delete = true,
        "update" => rule.update_all = true,
        "plaintext" => rule.plaintext = true,
        _ => {
            let columns = |what: &str| word.strip_prefix(what)?.strip_suffix(')');
            if let Some(columns) = columns("update(") {
                rule.update
                    .extend(named(rule, "update", columns, at, faults));
                return;
            }
            if let Some(columns) = columns("probe(") {
                rule.probe.extend(named(rule, "probe", columns, at, faults));
                return;
            }
            let error = PolicyError::at(at, format!("`{}` is not a write", shown(word)));
            let near = nearest(word, WORDS);
            faults.push(match near {
                Some(_) => error.suggest(near),
                None => error.help(
                    "all, insert, update, update(column, …), delete, plaintext, probe(column, …)",
                ),
            });
        }
    }
}

/// The columns in `update(…)` or `probe(…)`.
fn named(
    rule: &WriteRule,
    what: &str,
    columns: &str,
    at: &Span,
    faults: &mut Faults,
) -> Vec<(Ident, Span)> {
    if let TablePattern::Schema(_) = rule.pattern {
        faults.at(
            at,
            "columns can be named for one table only, not for a whole schema",
        );
        return Vec::new();
    }
    let mut named = Vec::new();
    for column in columns.split(',').map(str::trim) {
        if column.is_empty() {
            faults.at(at, format!("{what}() names no column"));
        } else {
            named.push((Ident::exact(column), at.clone()));
        }
    }
    named
}

/// The words of a list. To YAML `[update(a, b)]` is a list of two, `update(a` and `b)`: they are put
/// together again.
fn rejoined(node: &Node, faults: &mut Faults) -> Vec<(String, Span)> {
    let mut out: Vec<(String, Span)> = Vec::new();
    let mut open = false;
    for item in one_or_list(node) {
        let Some(word) = text(item, "a write", faults) else {
            continue;
        };
        match out.last_mut() {
            Some((last, _)) if open => {
                last.push_str(", ");
                last.push_str(word);
            }
            _ => out.push((word.to_owned(), item.span.clone())),
        }
        open = out
            .last()
            .is_some_and(|(w, _)| w.contains('(') && !w.contains(')'));
    }
    out
}

/// Reads `functions`.
pub(super) fn read_functions(
    node: &Node,
    functions: &mut Vec<(QualifiedName, Span)>,
    faults: &mut Faults,
) {
    let Some(mut fields) = Fields::open(node, "functions", faults) else {
        return;
    };
    let allowed = fields
        .take("allow")
        .and_then(|n| list(n, "functions.allow", faults));
    fields.finish(faults);
    for item in allowed.unwrap_or_default() {
        let Some(name) = text(item, "a function", faults) else {
            continue;
        };
        match QualifiedName::parse(name) {
            Some(name) => functions.push((name, item.span.clone())),
            None => faults.push(
                PolicyError::at(&item.span, format!("`{}` is not a function", shown(name)))
                    .help("write schema.function, without arguments"),
            ),
        }
    }
}
