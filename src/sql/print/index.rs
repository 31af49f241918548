//! What is made and read of temporary tables beside rows: CREATE INDEX, DROP INDEX, ANALYZE.

use super::{Printed, Printer};
use crate::ident::Ident;
use crate::sql::tree::{CreateIndex, IndexKey, Name};

impl Printer<'_> {
    pub(super) fn create_index(&mut self, index: &CreateIndex) -> Printed {
        self.push(if index.unique {
            "CREATE UNIQUE INDEX "
        } else {
            "CREATE INDEX "
        });
        if index.if_not_exists {
            self.push("IF NOT EXISTS ");
        }
        if let Some(name) = &index.name {
            self.ident(name)?;
            self.push(" ");
        }
        self.push("ON ");
        self.qualified(&index.table, "a table to index")?;
        if let Some(method) = &index.method {
            self.push(" USING ");
            self.ident(method)?;
        }
        let outer = std::mem::replace(&mut self.bare, true);
        self.push(" (");
        self.separated(&index.keys, ", ", Self::index_key)?;
        self.push(")");
        self.bare = outer;
        if !index.include.is_empty() {
            self.push(" INCLUDE (");
            self.idents(&index.include)?;
            self.push(")");
        }
        self.push(match index.nulls_distinct {
            Some(true) => " NULLS DISTINCT",
            Some(false) => " NULLS NOT DISTINCT",
            None => "",
        });
        let outer = std::mem::replace(&mut self.bare, true);
        self.filter(index.filter.as_ref())?;
        self.bare = outer;
        Ok(())
    }

    fn index_key(&mut self, key: &IndexKey) -> Printed {
        self.index_element(&key.element)?;
        self.sorted(key.direction, key.nulls);
        Ok(())
    }

    pub(super) fn analyze(&mut self, tables: &[(Name, Vec<Ident>)]) -> Printed {
        self.push("ANALYZE ");
        self.separated(tables, ", ", |p, (name, columns)| {
            p.qualified(name, "a table to analyze")?;
            if !columns.is_empty() {
                p.push(" (");
                p.idents(columns)?;
                p.push(")");
            }
            Ok(())
        })
    }

    /// `DROP TABLE` and `DROP INDEX`
    pub(super) fn drop(
        &mut self,
        what: &str,
        if_exists: bool,
        names: &[Name],
        cascade: bool,
    ) -> Printed {
        self.push("DROP ");
        self.push(what);
        self.push(if if_exists { " IF EXISTS " } else { " " });
        self.separated(names, ", ", |p, n| p.qualified(n, "what to drop"))?;
        self.push(if cascade { " CASCADE" } else { "" });
        Ok(())
    }
}
