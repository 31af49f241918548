//! Policy: parsed, self-consistent. Knows no database; `bind` brings it together with one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bound::DefaultTreatment;
use super::classes::{Class, ClassName, ColumnClass};
use super::document::Draft;
use super::encrypt::EncryptedColumn;
use super::error::{Errors, PolicyError};
use super::masks::MaskDef;
use super::names::{ColumnName, QualifiedName};
use super::role::{ClientIdentity, Mode, Role, RoleError, RoleName, role_for};
use super::source::{SourceFile, Span};
use super::tests_section::PolicyTest;
use super::time::Date;
use super::tokens::TokenDef;
use super::treat::{Treat, Word};
use super::write::Writes;

/// A policy that agrees with itself: every name in it is defined in it, and every cell has one
/// answer.
pub struct Policy {
    /// `mode`
    pub mode: Mode,
    /// `databases`; empty for any.
    pub databases: Vec<String>,
    /// `defaults.unclassified_column`
    pub unclassified: DefaultTreatment,
    /// Where that is said.
    pub unclassified_span: Span,
    /// `classes`
    pub classes: BTreeMap<ClassName, Class>,
    /// `columns`
    pub columns: BTreeMap<ColumnName, ColumnClass>,
    /// `masks`
    pub masks: BTreeMap<Arc<str>, MaskDef>,
    /// `tokens`
    pub tokens: BTreeMap<Arc<str>, TokenDef>,
    /// `encrypt`
    pub encrypted: BTreeMap<ColumnName, EncryptedColumn>,
    /// `roles`
    pub roles: BTreeMap<RoleName, Role>,
    /// `functions.allow`
    pub functions: Vec<(QualifiedName, Span)>,
    /// `tests`
    pub tests: Vec<PolicyTest>,
    /// Warnings and notes: what the policy says and nothing acts on, among others.
    pub notes: Vec<PolicyError>,
    pub(crate) treat: Treat,
    pub(crate) write: Writes,
}

/// What a role gets of a column, and why.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The treatment.
    pub word: Word,
    /// What decided.
    pub reason: Reason,
    /// Where that is said. For a missing cell: where the column got its class.
    pub span: Span,
}

/// Which rank of the language decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// `treat.column`
    Column,
    /// `treat.class`
    Class,
    /// `treat.level`
    Level,
    /// The column has a class and no cell: deny.
    MissingCell,
    /// The column has no class: the role's `unclassified_column`, or that of `defaults`.
    Unclassified,
    /// The role never reads data (`console`).
    Console,
}

impl Policy {
    /// Reads the files of a policy directory, in any order.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub fn parse(files: &[Arc<SourceFile>]) -> Result<Self, Errors> {
        Draft::read(files).finish()
    }

    /// The next moment, in Unix seconds, at which what the policy says becomes something else by
    /// itself: a token domain expires.
    pub fn next_end(&self, today: Date) -> Option<i64> {
        let days = self.tokens.values().filter_map(|domain| domain.expires);
        days.filter(|last| today <= *last).map(Date::end).min()
    }

    /// The role a client acts as: exactly one.
    ///
    /// # Errors
    /// No role matches, more than one does, or the one has expired.
    pub fn role_for(&self, client: &ClientIdentity<'_>) -> Result<&Role, RoleError> {
        role_for(&self.roles, client)
    }

    /// What a role gets of a column: column beats class beats level, a missing cell is deny.
    ///
    /// Every command that says what a role sees asks this function, and binding does too.
    pub fn answer(&self, role: &Role, column: &ColumnName) -> Answer {
        let class = self.columns.get(column);
        if role.console {
            return self.default_answer(role);
        }
        let name = &role.name;
        let by_column = self.treat.column.get(&(column.clone(), Arc::clone(name)));
        let by_class = class.and_then(|c| self.treat.class.get(&(c.class.clone(), name.clone())));
        let by_level = class
            .and_then(|c| self.classes.get(&c.class))
            .and_then(|c| self.treat.level.get(&(c.level, Arc::clone(name))));
        let found = [
            (by_column, Reason::Column),
            (by_class, Reason::Class),
            (by_level, Reason::Level),
        ];
        for (cell, reason) in found {
            if let Some(cell) = cell {
                return Answer {
                    word: cell.word.clone(),
                    reason,
                    span: cell.span.clone(),
                };
            }
        }
        class.map_or_else(
            || self.default_answer(role),
            |class| Answer {
                word: Word::Deny,
                reason: Reason::MissingCell,
                span: class.span.clone(),
            },
        )
    }

    /// What a role gets of a column that has neither a class nor a rule of its own.
    pub fn default_answer(&self, role: &Role) -> Answer {
        if role.console {
            return Answer {
                word: Word::Deny,
                reason: Reason::Console,
                span: role.span.clone(),
            };
        }
        let (treatment, span) = match &role.unclassified {
            Some((own, span)) => (*own, span),
            None => (self.unclassified, &self.unclassified_span),
        };
        let word = match treatment {
            DefaultTreatment::Clear => Word::Clear,
            DefaultTreatment::Nullify => Word::Nullify,
            DefaultTreatment::Deny => Word::Deny,
        };
        Answer {
            word,
            reason: Reason::Unclassified,
            span: span.clone(),
        }
    }

    /// Every column the policy names, by class, by `treat.column` or by `encrypt`, with where.
    pub fn named_columns(&self) -> BTreeMap<&ColumnName, &Span> {
        let encrypted = self.encrypted.iter().map(|(name, e)| (name, &e.span));
        let classified = self.columns.iter().map(|(name, class)| (name, &class.span));
        let treated = self.treat.columns.iter();
        encrypted.chain(treated).chain(classified).collect()
    }

    /// Does the policy speak about this database?
    pub fn covers(&self, database: &str) -> bool {
        self.databases.is_empty() || self.databases.iter().any(|d| d == database)
    }

    /// Does the role see every column there can be as stored, in any database? No role does where some
    /// are stored encrypted.
    pub fn is_unrestricted(&self, role: &Role) -> bool {
        let clear = |column| self.answer(role, column).word == Word::Clear;
        !role.console
            && self.encrypted.is_empty()
            && self.default_answer(role).word == Word::Clear
            && self.named_columns().into_keys().all(clear)
    }

    /// The token domains some role sees some column in.
    pub fn used_domains(&self) -> BTreeSet<Arc<str>> {
        let mut used = BTreeSet::new();
        for column in self.named_columns().keys() {
            for role in self.roles.values() {
                if let Word::Token(domain) = self.answer(role, column).word {
                    used.insert(domain);
                }
            }
        }
        used
    }
}
