//! `mode: observe`: a role whose statements go through as they are, while what `enforce` would have
//! masked or refused is recorded.
//!
//! It is for roles that are unrestricted today, to see what a policy would do to them. It lifts the
//! role's own masks and nothing else: where another rule of the language is in force, so are the masks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::bound::{Grants, WriteGrant};
use super::classes::{Class, ClassName, ColumnClass, Level};
use super::encrypt::EncryptedColumn;
use super::memo::Memo;
use super::names::ColumnName;
use super::policy::Policy;
use super::role::{Mode, Role, RoleKind};
use crate::catalog::Catalog;

/// What became of a role's `mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation<'a> {
    /// `enforce`, or nothing is masked anyway.
    Off,
    /// Statements go through; what enforcing would have done is recorded.
    On,
    /// `observe` is said and does not apply: a console role never reads data.
    Console,
    /// `observe` is said and does not apply: statements that went through as they are would read and
    /// write cells where there should be values.
    Encrypted(&'a ColumnName),
    /// `observe` is said and does not apply: the role is a human, who never sees this C3 column clear.
    Secret(&'a ColumnName),
}

/// Decides it for one role.
pub(super) fn observation<'a>(
    mode: Mode,
    role: &Role,
    (classes, columns): (
        &BTreeMap<ClassName, Class>,
        &'a BTreeMap<ColumnName, ColumnClass>,
    ),
    encrypted: &'a BTreeMap<ColumnName, EncryptedColumn>,
) -> Observation<'a> {
    if role.mode.unwrap_or(mode) == Mode::Enforce {
        return Observation::Off;
    }
    if role.console {
        return Observation::Console;
    }
    if let Some(column) = encrypted.keys().next() {
        return Observation::Encrypted(column);
    }
    let secret = |class: &ColumnClass| {
        let class = classes.get(&class.class);
        class.is_none_or(|class| class.level == Level::C3)
    };
    let mut secrets = columns.iter().filter(|(_, class)| secret(class));
    match secrets.next() {
        Some((column, _)) if role.kind == RoleKind::Human => Observation::Secret(column),
        _ => Observation::On,
    }
}

impl Policy {
    /// What becomes of a role's `mode`. Binding, the matrix and `explain` all ask this.
    pub fn observation(&self, role: &Role) -> Observation<'_> {
        match observation(
            self.mode,
            role,
            (&self.classes, &self.columns),
            &self.encrypted,
        ) {
            Observation::On if self.is_unrestricted(role) => Observation::Off,
            found => found,
        }
    }

    /// Does the role's statements' text go through as it is, in any database?
    pub fn is_verbatim(&self, role: &Role) -> bool {
        self.is_unrestricted(role) || self.observation(role) == Observation::On
    }
}

impl Grants {
    /// What the role would have if the policy kept nothing from it, in the same database: with this a
    /// statement that the policy refuses can still be analyzed, to name what it reads.
    #[must_use]
    pub fn lifted(&self, catalog: &Catalog) -> Self {
        let everything = WriteGrant::everything();
        let functions = catalog.functions.iter().flat_map(|(name, overloads)| {
            let schemas = overloads.iter().map(|function| function.schema.clone());
            schemas.map(|schema| (schema, name.clone()))
        });
        Self {
            role: Arc::clone(&self.role),
            unrestricted: false,
            observe: true,
            rules: HashMap::new(),
            default: Arc::clone(&self.clear),
            clear: Arc::clone(&self.clear),
            system_relations: Arc::clone(&self.system_relations),
            functions: Arc::new(functions.collect()),
            write: catalog
                .relations
                .keys()
                .map(|oid| (*oid, everything.clone()))
                .collect(),
            settings: Arc::clone(&self.settings),
            memo: Memo::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::bound::{Grants, Treatment};
    use crate::catalog::ColumnId;
    use crate::mask::token::{TokenKey, TokenKind};
    use crate::mask::{ColumnType, TokenColumn};
    use crate::pg::types::oid;

    #[test]
    fn a_session_that_can_show_its_settings_gets_no_keys_in_them() {
        let ty = ColumnType {
            oid: oid::TEXT,
            typmod: -1,
            sql: "pg_catalog.text".into(),
            collation: None,
            element: None,
            domain: false,
        };
        let key = Arc::new(TokenKey::new("aaaa", Zeroizing::new([7; 64])).expect("an id"));
        let token = TokenColumn::bind("d", TokenKind::Hmac, &[key], &ty).expect("fits");
        let column = ColumnId {
            relation: 1,
            attnum: 1,
        };
        let rules = [(column, Treatment::Token(Arc::new(token)))];
        let mut grants = Grants::for_tests("app", Treatment::Clear, rules);
        assert!(!grants.session_settings().is_empty());
        grants.observe = true;
        assert!(grants.session_settings().is_empty());
    }
}
