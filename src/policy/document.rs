//! The files of a policy, merged: which section goes where.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::bound::DefaultTreatment;
use super::check;
use super::classes::{self, Class, ColumnClass};
use super::encrypt::{self, EncryptedColumn};
use super::error::{Errors, Faults, PolicyError};
use super::later::{self, Unenforced};
use super::masks::{self, MaskDef};
use super::names::{ColumnName, QualifiedName};
use super::policy::Policy;
use super::read::{Fields, entries, integer, texts, word};
use super::role::{self, DEFAULTS, MODES, Mode, Role};
use super::source::{SourceFile, Span, shown};
use super::suggest::nearest;
use super::tests_section::{self, PolicyTest};
use super::tokens::{self, TokenDef};
use super::treat::Treat;
use super::write::{self, Writes};
use super::yaml::{self, Key, Node};

/// Top-level keys, for suggestions.
const SECTIONS: [&str; 19] = [
    "version",
    "mode",
    "databases",
    "defaults",
    "classes",
    "columns",
    "masks",
    "tokens",
    "encrypt",
    "roles",
    "treat",
    "write",
    "functions",
    "predicates",
    "limits",
    "rows",
    "audit",
    "combine",
    "tests",
];

/// A policy while it is being put together.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) faults: Faults,
    pub(super) mode: Option<(Mode, Span)>,
    pub(super) databases: Vec<String>,
    pub(super) unclassified: Option<(DefaultTreatment, Span)>,
    pub(super) classes: BTreeMap<Arc<str>, Class>,
    pub(super) columns: BTreeMap<ColumnName, ColumnClass>,
    pub(super) masks: BTreeMap<Arc<str>, MaskDef>,
    pub(super) tokens: BTreeMap<Arc<str>, TokenDef>,
    pub(super) encrypted: BTreeMap<ColumnName, EncryptedColumn>,
    pub(super) roles: BTreeMap<Arc<str>, Role>,
    pub(super) treat: Treat,
    pub(super) write: Writes,
    pub(super) functions: Vec<(QualifiedName, Span)>,
    pub(super) tests: Vec<PolicyTest>,
    pub(super) unenforced: Vec<Unenforced>,
    /// Where each section that may stand only once stands.
    once: BTreeMap<&'static str, Span>,
}

impl Draft {
    /// Reads all files.
    pub(super) fn read(files: &[Arc<SourceFile>]) -> Self {
        let mut draft = Self::default();
        for file in files {
            let Some(root) = yaml::parse(file, &mut draft.faults) else {
                continue;
            };
            draft.document(&root);
        }
        draft
    }

    /// The policy, if nothing is wrong.
    pub(super) fn finish(mut self) -> Result<Policy, Errors> {
        check::check(&mut self);
        let Self {
            faults,
            mode,
            unclassified,
            ..
        } = self;
        let notes = faults.finish()?;
        // `check` reported what is missing; this arm only satisfies the types.
        let (Some((mode, _)), Some((unclassified, unclassified_span))) = (mode, unclassified)
        else {
            return Err(PolicyError::error("the policy is incomplete").into());
        };
        Ok(Policy {
            mode,
            databases: self.databases,
            unclassified,
            unclassified_span,
            classes: self.classes,
            columns: self.columns,
            masks: self.masks,
            tokens: self.tokens,
            encrypted: self.encrypted,
            roles: self.roles,
            functions: self.functions,
            tests: self.tests,
            notes,
            treat: self.treat,
            write: self.write,
        })
    }

    fn document(&mut self, root: &Node) {
        let Some(sections) = entries(root, "a policy file", &mut self.faults) else {
            return;
        };
        if sections.iter().any(|(key, _)| key.text == "grant") {
            later::read_grant(root, &mut self.unenforced, &mut self.faults);
            return;
        }
        for (key, node) in sections {
            self.section(key, node);
        }
    }

    fn section(&mut self, key: &Key, node: &Node) {
        let faults = &mut self.faults;
        match key.text.as_str() {
            "version" => {
                if self.first("version", key) {
                    integer(node, "version", 1..=1, &mut self.faults);
                }
            }
            "mode" => {
                if self.first("mode", key) {
                    let mode = word(node, "mode", MODES, &mut self.faults);
                    self.mode = mode.map(|m| (m, node.span.clone()));
                }
            }
            "databases" => {
                if self.first("databases", key) {
                    let names = texts(node, "a database", &mut self.faults);
                    self.databases = names.into_iter().map(|(name, _)| name).collect();
                }
            }
            "defaults" => {
                if self.first("defaults", key) {
                    self.defaults(node);
                }
            }
            "classes" => each(node, "classes", classes::read, &mut self.classes, faults),
            "masks" => each(node, "masks", masks::read, &mut self.masks, faults),
            "tokens" => each(node, "tokens", tokens::read, &mut self.tokens, faults),
            "roles" => each(node, "roles", role::read, &mut self.roles, faults),
            "columns" => self.columns(node),
            "encrypt" => self.encrypt(node),
            "treat" => self.treat.read(node, faults),
            "write" => self.write.read(node, faults),
            "functions" => write::read_functions(node, &mut self.functions, faults),
            "tests" => {
                let tests = entries(node, "tests", faults).unwrap_or_default().iter();
                self.tests
                    .extend(tests.filter_map(|(k, n)| tests_section::read(k, n, faults)));
            }
            _ => {
                if !later::read(key, node, &mut self.unenforced, faults) {
                    let message = format!("unknown section `{}`", shown(&key.text));
                    let error = PolicyError::at(&key.span, message);
                    let near = nearest(&key.text, SECTIONS);
                    faults.push(match near {
                        Some(_) => error.suggest(near),
                        None => error.help(format!("sections are {}", SECTIONS.join(", "))),
                    });
                }
            }
        }
    }

    /// A section that may stand in one file only.
    fn first(&mut self, section: &'static str, key: &Key) -> bool {
        match self.once.entry(section) {
            Entry::Vacant(free) => {
                free.insert(key.span.clone());
                true
            }
            Entry::Occupied(first) => {
                let error = PolicyError::at(&key.span, format!("`{section}` is said twice"));
                self.faults.push(error.related(first.get(), "first"));
                false
            }
        }
    }

    pub(super) fn has(&self, section: &'static str) -> bool {
        self.once.contains_key(section)
    }

    fn defaults(&mut self, node: &Node) {
        let faults = &mut self.faults;
        let Some(mut fields) = Fields::open(node, "defaults", faults) else {
            return;
        };
        if let Some(node) = fields.require("unclassified_column", faults) {
            let found = word(node, "unclassified_column", DEFAULTS, faults);
            self.unclassified = found.map(|t| (t, node.span.clone()));
        }
        // Nothing inverts these; they may be written down for the reader.
        for key in ["unparsed_sql", "unknown_login"] {
            if let Some(node) = fields.take(key) {
                word(node, key, &[("deny", ())], faults);
            }
        }
        fields.finish(faults);
    }

    fn encrypt(&mut self, node: &Node) {
        let columns = entries(node, "encrypt", &mut self.faults).unwrap_or_default();
        for (key, value) in columns {
            let Some(column) = encrypt::read(key, value, &mut self.faults) else {
                continue;
            };
            match self.encrypted.entry(column.column.clone()) {
                Entry::Vacant(free) => {
                    free.insert(column);
                }
                Entry::Occupied(first) => {
                    let message = format!("column {} is encrypted twice", first.key());
                    let error = PolicyError::at(&column.span, message);
                    self.faults.push(error.related(&first.get().span, "first"));
                }
            }
        }
    }

    fn columns(&mut self, node: &Node) {
        let tables = entries(node, "columns", &mut self.faults).unwrap_or_default();
        for (table, columns) in tables {
            for column in classes::read_columns(table, columns, &mut self.faults) {
                match self.columns.entry(column.column.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(column);
                    }
                    Entry::Occupied(first) => {
                        let message = format!("column {} is classified twice", first.key());
                        let error = PolicyError::at(&column.span, message);
                        self.faults.push(error.related(&first.get().span, "first"));
                    }
                }
            }
        }
    }
}

/// Reads every entry of a section and merges it with what other files said.
fn each<T: Defined>(
    node: &Node,
    section: &'static str,
    read: fn(&Key, &Node, &mut Faults) -> Option<T>,
    into: &mut BTreeMap<Arc<str>, T>,
    faults: &mut Faults,
) {
    for (key, value) in entries(node, section, faults).unwrap_or_default() {
        if let Some(first) = into.get(key.text.as_str()) {
            let message = format!("`{}` is defined twice in {section}", shown(&key.text));
            faults.push(PolicyError::at(&key.span, message).related(first.span(), "first"));
            continue;
        }
        match read(key, value, faults) {
            Some(entry) => {
                into.insert(Arc::from(key.text.as_str()), entry);
            }
            None => {
                faults.unreadable.insert(key.text.clone());
            }
        }
    }
}

/// Something with a name and a place.
trait Defined {
    fn span(&self) -> &Span;
}

impl Defined for Class {
    fn span(&self) -> &Span {
        &self.span
    }
}

impl Defined for MaskDef {
    fn span(&self) -> &Span {
        &self.span
    }
}

impl Defined for TokenDef {
    fn span(&self) -> &Span {
        &self.span
    }
}

impl Defined for Role {
    fn span(&self) -> &Span {
        &self.span
    }
}
