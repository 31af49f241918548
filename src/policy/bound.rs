//! A policy that agrees with a catalog: every name is a `ColumnId`, every mask is compiled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::settings::{SettingPattern, may_set};
use super::time::Date;
use crate::catalog::ColumnId;
use crate::ident::Ident;
use crate::mask::{CompiledMask, TokenColumn};
use crate::pg::Oid;

/// What a role sees of a column. No `Default`: someone has to decide.
#[derive(Clone)]
pub enum Treatment {
    /// As stored.
    Clear,
    /// Masked.
    Mask(Arc<CompiledMask>),
    /// Tokenized.
    Token(Arc<TokenColumn>),
    /// NULL.
    Nullify,
    /// Absent.
    Deny,
}

impl Treatment {
    /// Does the role see the values themselves, however they are stored?
    pub fn shows_values(&self) -> bool {
        match self {
            Self::Clear => true,
            Self::Token(token) => token.shows_values(),
            Self::Mask(_) | Self::Nullify | Self::Deny => false,
        }
    }
}

/// A treatment with where it was written.
#[derive(Clone)]
pub struct Rule {
    /// What the role gets.
    pub treatment: Treatment,
    /// The column's class, `unclassified` if it has none.
    pub class: Arc<str>,
    /// `policies/treat.yaml:12`
    pub origin: Arc<str>,
    /// The mask's or domain's name, empty otherwise.
    pub name: Arc<str>,
    /// The last day of the token domain of that name, which is over: that is why it is denied.
    pub expired: Option<Date>,
}

impl Rule {
    /// Why the column is denied, if that is because its token domain is over.
    pub fn ended(&self) -> Option<String> {
        let last = self.expired?;
        Some(format!(
            "The role saw tokens of domain \"{}\" ({}), which expired on {last}.",
            self.name, self.origin
        ))
    }
}

/// What `unclassified_column` says, in `defaults` or of one role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultTreatment {
    /// `clear`
    Clear,
    /// `nullify`
    Nullify,
    /// `deny`
    Deny,
}

/// What a role may write to one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteGrant {
    /// INSERT is allowed.
    pub insert: bool,
    /// DELETE is allowed.
    pub delete: bool,
    /// `None`: every column; `Some`: these.
    pub update: Option<HashSet<Ident>>,
    /// UPDATE is allowed at all.
    pub updates: bool,
    /// `plaintext` was granted for token columns.
    pub plaintext: bool,
    /// Columns by which a constraint may tell of stored values; `None`: every column.
    pub probe: Option<HashSet<Ident>>,
}

impl WriteGrant {
    /// Every write, for a table of which nothing is kept from the role: there is nothing to probe.
    pub fn everything() -> Self {
        Self {
            insert: true,
            delete: true,
            update: None,
            updates: true,
            plaintext: true,
            probe: Some(HashSet::new()),
        }
    }

    /// May a constraint over this column tell of stored values? `update(column)` says so of a column
    /// that is hidden itself; of one the role sees, it does not say that what is compared with it may
    /// be told.
    pub fn may_probe(&self, column: &Ident, hidden: bool) -> bool {
        let Some(probe) = &self.probe else {
            return true;
        };
        let updates = || self.update.as_ref().is_some_and(|u| u.contains(column));
        probe.contains(column) || hidden && updates()
    }
}

/// One role's view of a [`BoundPolicy`]. Total: every column has a rule.
pub struct Grants {
    /// The role's name.
    pub role: Arc<str>,
    /// Every cell is clear and the role's default is clear: statements go through verbatim.
    pub unrestricted: bool,
    /// `mode: observe` applies: statements go through as they are, and what the rules would have done
    /// is recorded. The rules themselves are those of `enforce`.
    pub observe: bool,
    /// Rules of classified columns that are not the default (inherited to partitions, children,
    /// identity columns of views).
    pub(crate) rules: HashMap<ColumnId, Arc<Rule>>,
    /// What an unlisted column of a user relation gets.
    pub(crate) default: Arc<Rule>,
    /// Clear, for catalogs and temporary tables.
    pub(crate) clear: Arc<Rule>,
    /// Relations whose columns are clear whatever the default says: system catalogs.
    pub(crate) system_relations: Arc<HashSet<Oid>>,
    /// The database's own functions this role may call, by (schema, name).
    pub functions: Arc<HashSet<(Ident, Ident)>>,
    /// Writable tables.
    pub write: HashMap<Oid, WriteGrant>,
    /// Custom settings the role may set and read.
    pub settings: Arc<[SettingPattern]>,
    /// What follows from all this and the catalog.
    pub memo: super::memo::Memo,
}

impl Grants {
    /// Grants put together by hand, for tests of the modules that read them: one role, a default, and
    /// rules per column. No functions, no writes, no system catalogs; not unrestricted, not observed.
    /// Everything else goes through [`super::bind`].
    pub fn for_tests(
        role: &str,
        default: Treatment,
        rules: impl IntoIterator<Item = (ColumnId, Treatment)>,
    ) -> Self {
        let rule = |treatment, class: &str| {
            Arc::new(Rule {
                treatment,
                class: Arc::from(class),
                origin: Arc::from("test"),
                name: Arc::from(""),
                expired: None,
            })
        };
        Self {
            role: Arc::from(role),
            unrestricted: false,
            observe: false,
            rules: rules
                .into_iter()
                .map(|(id, t)| (id, rule(t, "test")))
                .collect(),
            default: rule(default, "unclassified"),
            clear: rule(Treatment::Clear, "system"),
            system_relations: Arc::default(),
            functions: Arc::default(),
            write: HashMap::new(),
            settings: Arc::default(),
            memo: super::memo::Memo::default(),
        }
    }

    /// May the role set and read this setting with a dot in its name (lower case)?
    pub fn may_set(&self, name: &str) -> bool {
        may_set(&self.settings, name)
    }

    /// What the role sees of a column. Total; system columns (negative attnum) are clear.
    pub fn rule(&self, column: ColumnId) -> &Arc<Rule> {
        if column.attnum < 0 || self.system_relations.contains(&column.relation) {
            return &self.clear;
        }
        self.rules.get(&column).unwrap_or(&self.default)
    }
}

impl Grants {
    /// The role's own text goes to PostgreSQL.
    pub fn is_verbatim(&self) -> bool {
        self.unrestricted || self.observe
    }

    /// Settings the role's upstream sessions start with: the keys of its tokens with an SQL form. None
    /// for a session that could show them.
    pub fn session_settings(&self) -> Vec<(String, Zeroizing<String>)> {
        let mut settings: Vec<(String, Zeroizing<String>)> = Vec::new();
        if self.is_verbatim() {
            return settings;
        }
        for rule in self.rules.values().chain([&self.default]) {
            let Treatment::Token(token) = &rule.treatment else {
                continue;
            };
            for (name, value) in token.pad_settings() {
                if !settings.iter().any(|(n, _)| *n == name) {
                    settings.push((name, value));
                }
            }
        }
        settings
    }
}

impl Grants {
    /// Does a session that started with these settings have every key its statements may read?
    pub fn has_settings(&self, started_with: &[String]) -> bool {
        let mut rules = self.rules.values().chain([&self.default]);
        self.is_verbatim()
            || rules.all(|rule| match &rule.treatment {
                Treatment::Token(token) => {
                    (token.pads_read().iter().flatten()).all(|name| started_with.contains(name))
                }
                Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => {
                    true
                }
            })
    }

    /// The rule of a column the policy speaks about, itself or by inheritance.
    pub fn explicit(&self, column: ColumnId) -> Option<&Arc<Rule>> {
        self.rules.get(&column)
    }
}

/// A policy bound to one catalog: one [`Grants`] per role.
pub struct BoundPolicy {
    /// Role name → grants.
    pub roles: HashMap<Arc<str>, Arc<Grants>>,
}
