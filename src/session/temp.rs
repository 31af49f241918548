//! Temporary tables as the session's transactions made and unmade them.

use std::sync::Arc;

use crate::catalog::{Relation, TempTables};
use crate::ident::Ident;

/// The tables now, and as they were where a rollback may lead.
#[derive(Clone, Default)]
pub(crate) struct Temp {
    now: Tables,
    committed: Tables,
    savepoints: Vec<(Ident, Tables)>,
}

#[derive(Clone, Default)]
struct Tables {
    tables: TempTables,
    /// `ON COMMIT DROP`
    transient: Vec<Ident>,
}

impl Temp {
    /// What planning sees.
    pub(crate) fn tables(&self) -> &TempTables {
        &self.now.tables
    }

    pub(crate) fn create(&mut self, table: &Arc<Relation>, drop_on_commit: bool) {
        if self.now.tables.len() >= crate::limits::TEMP_TABLES {
            return;
        }
        if drop_on_commit {
            self.now.transient.push(table.name.clone());
        }
        self.now.tables.add(Arc::clone(table));
    }

    pub(crate) fn drop(&mut self, names: &[Ident]) {
        for name in names {
            self.now.tables.remove(name);
        }
    }

    /// `DISCARD TEMP`; cannot be rolled back to, for PostgreSQL refuses `DISCARD ALL` in a block and
    /// a table dropped in vain is only reported missing.
    pub(crate) fn discard(&mut self) {
        self.now.tables.clear();
    }

    pub(crate) fn savepoint(&mut self, name: Ident) {
        self.savepoints.push((name, self.now.clone()));
    }

    pub(crate) fn release(&mut self, name: &Ident) {
        if let Some(at) = self.savepoints.iter().rposition(|(n, _)| n == name) {
            self.savepoints.truncate(at);
        }
    }

    pub(crate) fn rollback_to(&mut self, name: &Ident) {
        if let Some(at) = self.savepoints.iter().rposition(|(n, _)| n == name) {
            self.savepoints.truncate(at.saturating_add(1));
            if let Some((_, then)) = self.savepoints.last() {
                self.now = then.clone();
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        let transient = std::mem::take(&mut self.now.transient);
        self.now.tables.retain(|name| !transient.contains(name));
        self.savepoints.clear();
        self.committed = self.now.clone();
    }

    pub(crate) fn rollback(&mut self) {
        self.savepoints.clear();
        self.now = self.committed.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::Temp;
    use crate::catalog::temp::temp_table;
    use crate::ident::Ident;

    fn id(name: &str) -> Ident {
        Ident::exact(name)
    }

    #[test]
    fn rollback_forgets_and_commit_keeps() {
        let mut temp = Temp::default();
        temp.create(&temp_table(&id("a"), &[]), false);
        temp.commit();
        temp.create(&temp_table(&id("b"), &[]), false);
        temp.drop(&[id("a")]);
        temp.rollback();
        assert!(temp.tables().get(&id("a")).is_some());
        assert!(temp.tables().get(&id("b")).is_none());
    }

    #[test]
    fn savepoints_nest() {
        let mut temp = Temp::default();
        temp.savepoint(id("s"));
        temp.create(&temp_table(&id("a"), &[]), false);
        temp.savepoint(id("t"));
        temp.create(&temp_table(&id("b"), &[]), false);
        temp.rollback_to(&id("t"));
        assert_eq!(temp.tables().len(), 1);
        temp.rollback_to(&id("s"));
        assert!(temp.tables().is_empty());
    }

    #[test]
    fn on_commit_drop_ends_with_the_transaction() {
        let mut temp = Temp::default();
        temp.create(&temp_table(&id("a"), &[]), true);
        assert_eq!(temp.tables().len(), 1);
        temp.commit();
        assert!(temp.tables().is_empty());
    }
}
