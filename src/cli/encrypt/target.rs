//! The column that is worked on: its tables, its type, its keys.
//!
//! A column is encrypted in its table and in all that share its rows: what inherits it, and what it is
//! inherited from. What has rows of its own is a *leaf*: a plain table, a partition, a parent that is no
//! partitioned table.

use super::EncryptError;
use super::database::{Database, Fault};
use crate::ident::Ident;
use crate::mask::ColumnType;
use crate::mask::token::{Cells, KeyRing};
use crate::policy::{ColumnName, EncryptedColumn, QualifiedName};

/// A column of cells, in one database.
pub(super) struct Target {
    /// As the policy names it.
    pub(super) column: ColumnName,
    /// OID of the table that is named.
    pub(super) root: String,
    /// OIDs of all tables that have the column, as an array.
    pub(super) family: String,
    /// Those that are partitioned, quoted.
    pub(super) parents: Vec<String>,
    /// Those with rows of their own.
    pub(super) leaves: Vec<Leaf>,
    /// Those that are neither: foreign tables, and tables that are no heap.
    pub(super) strange: Vec<String>,
    /// How its cells are made and read.
    pub(super) cells: Cells,
    /// Ids of the keys of its name, the newest first.
    pub(super) key_ids: Vec<String>,
}

/// A table with rows.
pub(super) struct Leaf {
    /// OID.
    pub(super) oid: String,
    /// Its name, quoted.
    pub(super) sql: String,
    /// Its name, for people.
    pub(super) shown: String,
}

const NAMED: &str = "\
WITH RECURSIVE named AS (
  SELECT c.oid, c.relkind, a.attname, a.atttypid, a.atttypmod
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3),
base AS (
  SELECT atttypid AS oid, atttypmod AS typmod FROM named
  UNION ALL
  SELECT t.typbasetype, t.typtypmod FROM base JOIN pg_type t ON t.oid = base.oid
  WHERE t.typtype = 'd')
SELECT c.oid, c.relkind, c.relpersistence, b.oid, b.typmod, format_type(b.oid, b.typmod)
FROM named JOIN pg_class c ON c.oid = named.oid, base b JOIN pg_type t ON t.oid = b.oid
WHERE t.typtype <> 'd'";

const FAMILY: &str = "\
WITH RECURSIVE family AS (
  SELECT $1::oid AS oid
  UNION
  SELECT a.attrelid FROM family f JOIN pg_inherits i ON f.oid IN (i.inhparent, i.inhrelid)
  JOIN pg_attribute a ON a.attrelid IN (i.inhparent, i.inhrelid) AND a.attname = $2
   AND a.attnum > 0 AND NOT a.attisdropped)
SELECT c.oid, n.nspname, c.relname, c.relkind, COALESCE(m.amname, '')
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am m ON m.oid = c.relam
ORDER BY n.nspname, c.relname";

/// OIDs of all tables that share a column's rows, as an array; `None` if there is no such column.
pub(super) async fn family(
    db: &mut Database,
    column: &ColumnName,
) -> Result<Option<String>, Fault> {
    let (table, name) = (&column.table, column.column.as_str());
    let names = [table.schema.as_str(), table.name.as_str(), name];
    let Some(root) = db.rows(NAMED, &names).await?.into_iter().flatten().next() else {
        return Ok(None);
    };
    let members = db.rows(FAMILY, &[&root, name]).await?;
    let oids: Vec<String> = (members.into_iter())
        .filter_map(|row| row.into_iter().next())
        .collect();
    Ok(Some(format!("{{{}}}", oids.join(","))))
}

impl Target {
    /// Finds the column of a policy's entry in the database.
    pub(super) async fn find(
        db: &mut Database,
        entry: &EncryptedColumn,
        ring: &KeyRing,
    ) -> Result<Self, EncryptError> {
        let column = &entry.column;
        let unfit = |why: String| EncryptError::Unfit(format!("{column}: {why}"));
        let keys = ring.get(&entry.key).unwrap_or_default();
        if keys.is_empty() {
            return Err(unfit(format!("the key ring has no key `{}`", entry.key)));
        }
        let QualifiedName { schema, name } = &column.table;
        let names = [schema.as_str(), name.as_str(), column.column.as_str()];
        let named = db.rows(NAMED, &names).await?.into_iter().next();
        let Some([root, kind, persistence, oid, typmod, ty]) =
            named.and_then(|row| <[String; 6]>::try_from(row).ok())
        else {
            return Err(unfit("the database has no such table or column".to_owned()));
        };
        if !matches!(kind.as_str(), "r" | "p") || persistence == "t" {
            return Err(unfit(format!("{} is not a table", column.table)));
        }
        let ty = ColumnType {
            oid: oid.parse().unwrap_or(0),
            typmod: typmod.parse().unwrap_or(0),
            sql: ty.into(),
            collation: None,
            element: None,
            domain: false,
        };
        let cells = Cells::bind(&entry.key, keys, &ty, entry.backfill);
        let cells = cells.map_err(|why| unfit(why.to_string()))?;
        let key_ids = keys.iter().map(|key| key.id().to_owned()).collect();
        let mut target = Self {
            column: column.clone(),
            family: format!("{{{root}}}"),
            root,
            parents: Vec::new(),
            leaves: Vec::new(),
            strange: Vec::new(),
            cells,
            key_ids,
        };
        target.read_family(db).await?;
        Ok(target)
    }

    async fn read_family(&mut self, db: &mut Database) -> Result<(), Fault> {
        let mut oids = Vec::new();
        let column = self.column.column.as_str().to_owned();
        for row in db.rows(FAMILY, &[&self.root, &column]).await? {
            let Ok([oid, schema, name, kind, method]) = <[String; 5]>::try_from(row) else {
                continue;
            };
            let name = QualifiedName {
                schema: Ident::exact(&schema),
                name: Ident::exact(&name),
            };
            let shown = name.to_string();
            let sql = format!("{}.{}", name.schema.quoted(), name.name.quoted());
            match (kind.as_str(), method.as_str()) {
                ("r", "heap") => self.leaves.push(Leaf {
                    oid: oid.clone(),
                    sql,
                    shown,
                }),
                ("p", _) => self.parents.push(sql),
                ("f", _) => self.strange.push(format!("{shown} is a foreign table")),
                (_, other) => self
                    .strange
                    .push(format!("{shown} is stored by {other}, which is not heap")),
            }
            oids.push(oid);
        }
        self.family = format!("{{{}}}", oids.join(","));
        Ok(())
    }

    /// The column's name, quoted.
    pub(super) fn quoted(&self) -> String {
        self.column.column.quoted()
    }

    /// What a current cell begins with.
    pub(super) fn prefix(&self) -> String {
        format!("{CELL}{}", self.cells.key_id())
    }

    /// Pages of all leaves, in order.
    pub(super) async fn pages(&self, db: &mut Database) -> Result<Vec<u64>, Fault> {
        const PAGES: &str = "SELECT pg_relation_size(o.oid) \
            / current_setting('block_size')::int8 \
            FROM unnest($1::oid[]) WITH ORDINALITY AS o (oid, n) ORDER BY o.n";
        let oids: Vec<&str> = self.leaves.iter().map(|leaf| leaf.oid.as_str()).collect();
        let rows = db
            .rows(PAGES, &[&format!("{{{}}}", oids.join(","))])
            .await?;
        let pages = rows.into_iter().flatten();
        Ok(pages.map(|pages| pages.parse().unwrap_or(0)).collect())
    }
}

/// What every cell begins with.
pub(super) const CELL: &str = "enc_";
