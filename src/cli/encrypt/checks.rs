//! What stands in the way of encrypting a column: everything in the catalog that computes with its
//! values, or would go on holding them.
//!
//! Deliberately absent: functions and views, which may read the column in any way. The proxy judges
//! what statements do with it.

use std::collections::BTreeMap;

use super::connect;
use super::database::{Database, Fault};
use super::target::family;
use crate::policy::{ColumnName, EncryptedColumn, Errors, Policy, PolicyError};
use crate::server::config::Upstream;

/// One thing in the way.
pub(super) struct Obstacle {
    pub(super) weight: Weight,
    pub(super) text: String,
}

/// How much it is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weight {
    /// The column cannot hold cells.
    Refused,
    /// It can, but not while values are turned into cells.
    NotWhileTurning,
    /// Somebody should know.
    Warning,
}

/// Kind, table, name of what it is, and what else there is to say of it. `mentions` are expressions as
/// PostgreSQL stores them, without what only asks whether the column is NULL.
const OBSTACLES: &str = r"
WITH RECURSIVE col AS (
  SELECT c.oid, c.oid::regclass::text AS shown, c.relreplident, c.relrowsecurity,
         a.attnum, a.atttypid, a.attcollation, a.attgenerated, n.nspname, c.relname,
         ':varattno (0|' || a.attnum || ') ' AS mention
  FROM unnest($1::oid[]) AS o (oid) JOIN pg_class c ON c.oid = o.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2
   AND a.attnum > 0 AND NOT a.attisdropped),
domains AS (
  SELECT t.oid, t.typname, t.typbasetype, t.typtype, t.typdefault
  FROM pg_type t WHERE t.oid IN (SELECT atttypid FROM col)
  UNION
  SELECT t.oid, t.typname, t.typbasetype, t.typtype, t.typdefault
  FROM domains d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd'),
expressions AS (
  SELECT 'computed'::text AS kind, d.adrelid AS oid, a.attname::text AS name, d.adbin::text AS tree
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  WHERE a.attgenerated <> ''
  UNION ALL
  SELECT 'check', k.conrelid, k.conname, k.conbin::text
  FROM pg_constraint k WHERE k.contype = 'c'
  UNION ALL
  SELECT 'index expression', i.indrelid, x.relname,
         concat(i.indexprs::text, i.indpred::text)
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
  UNION ALL
  SELECT 'partition key', p.partrelid, '', p.partexprs::text FROM pg_partitioned_table p
  UNION ALL
  SELECT 'policy', p.polrelid, p.polname, concat(p.polqual::text, p.polwithcheck::text)
  FROM pg_policy p),
mentions AS (
  SELECT e.kind, e.oid, e.name,
         regexp_replace(e.tree, '\{NULLTEST :arg \{VAR [^{}]*\} [^{}]*\}', '', 'g') AS tree
  FROM expressions e WHERE e.oid IN (SELECT oid FROM col) AND e.tree IS NOT NULL)
SELECT m.kind, col.shown, m.name, '', '', '' FROM mentions m JOIN col ON col.oid = m.oid
WHERE m.tree ~ col.mention
UNION ALL
SELECT 'generated', shown, '', '', '', '' FROM col WHERE attgenerated <> ''
UNION ALL
SELECT 'default', col.shown, '', '', '', ''
FROM col JOIN pg_attrdef d ON d.adrelid = col.oid AND d.adnum = col.attnum
WHERE col.attgenerated = '' AND pg_get_expr(d.adbin, d.adrelid) !~* '^null(::.*)?$'
UNION ALL
SELECT DISTINCT 'default', 'domain ' || d.typname, '', '', '', '' FROM domains d
WHERE d.typdefault IS NOT NULL
UNION ALL
SELECT 'check', 'domain ' || d.typname, k.conname, '', '', ''
FROM domains d JOIN pg_constraint k ON k.contypid = d.oid AND k.contype = 'c'
UNION ALL
SELECT 'partition key', col.shown, '', '', '', ''
FROM col JOIN pg_partitioned_table p ON p.partrelid = col.oid
WHERE col.attnum = ANY (p.partattrs::int2[])
UNION ALL
SELECT 'collation', col.shown, c.collname, '', '', ''
FROM col JOIN pg_collation c ON c.oid = col.attcollation AND NOT c.collisdeterministic
UNION ALL
SELECT 'exclude', col.shown, k.conname, '', '', ''
FROM col JOIN pg_constraint k ON k.conrelid = col.oid AND k.contype = 'x'
 AND col.attnum = ANY (k.conkey)
UNION ALL
SELECT 'from', col.shown, k.conname, n.nspname, c.relname, a.attname || k.confupdtype::text
FROM col JOIN pg_constraint k ON k.conrelid = col.oid AND k.contype = 'f' AND k.conparentid = 0
 AND col.attnum = ANY (k.conkey)
JOIN pg_attribute a ON a.attrelid = k.confrelid
 AND a.attnum = k.confkey[array_position(k.conkey, col.attnum)]
JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'to', col.shown, k.conname, n.nspname, c.relname, a.attname || k.confupdtype::text
FROM col JOIN pg_constraint k ON k.confrelid = col.oid AND k.contype = 'f' AND k.conparentid = 0
 AND col.attnum = ANY (k.confkey)
JOIN pg_attribute a ON a.attrelid = k.conrelid
 AND a.attnum = k.conkey[array_position(k.confkey, col.attnum)]
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'rule', col.shown, r.rulename, '', '', ''
FROM col JOIN pg_rewrite r ON r.ev_class = col.oid AND r.ev_type = '2'
UNION ALL
SELECT 'trigger', col.shown, string_agg(t.tgname, ', ' ORDER BY t.tgname), '', '', ''
FROM col JOIN pg_trigger t ON t.tgrelid = col.oid AND NOT t.tgisinternal
 AND t.tgtype & 16 <> 0 AND t.tgenabled <> 'D'
GROUP BY col.shown
UNION ALL
SELECT 'replica identity', col.shown, '', '', '', '' FROM col
WHERE relreplident = 'f' OR EXISTS (
  SELECT FROM pg_index i WHERE i.indrelid = col.oid AND col.attnum = ANY (i.indkey::int2[])
   AND (i.indisreplident OR i.indisprimary AND relreplident = 'd'))
UNION ALL
SELECT DISTINCT 'publication', $3, p.pubname, '', '', ''
FROM col JOIN pg_publication_tables p ON p.schemaname = col.nspname AND p.tablename = col.relname
UNION ALL
SELECT DISTINCT 'materialized view', col.shown, v.oid::regclass::text, '', '', ''
FROM col JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = col.oid
 AND d.refobjsubid = col.attnum AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'm'
UNION ALL
SELECT 'other index', col.shown, x.relname, m.amname, '', ''
FROM col JOIN pg_index i ON i.indrelid = col.oid AND col.attnum = ANY (i.indkey::int2[])
JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
WHERE m.amname NOT IN ('btree', 'hash')
UNION ALL
SELECT 'invalid index', col.shown, x.relname, '', '', ''
FROM col JOIN pg_index i ON i.indrelid = col.oid AND col.attnum = ANY (i.indkey::int2[])
JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
WHERE NOT i.indisvalid
ORDER BY 1, 2, 3";

/// Everything in the way of a column, by the catalog: `family` are its tables' OIDs.
pub(super) async fn obstacles(
    db: &mut Database,
    entry: &EncryptedColumn,
    family: &str,
    encrypted: &BTreeMap<ColumnName, EncryptedColumn>,
) -> Result<Vec<Obstacle>, Fault> {
    let table = entry.column.table.to_string();
    let parameters = [family, entry.column.column.as_str(), &table];
    let rows = db.rows(OBSTACLES, &parameters).await?;
    let mut found = Vec::new();
    for row in rows {
        let Ok([kind, table, name, schema, other, column]) = <[String; 6]>::try_from(row) else {
            continue;
        };
        if matches!(kind.as_str(), "from" | "to") {
            let key = ForeignKey {
                is_from: kind == "from",
                name: &name,
                table: &table,
                other: [&schema, &other, &column],
            };
            found.extend(key.judged(entry, encrypted));
            continue;
        }
        let (weight, text) = said(&kind, &table, &name, &schema);
        found.push(Obstacle { weight, text });
    }
    Ok(found)
}

/// What `policy check` says of a policy's encrypted columns, beyond what binding them says.
///
/// # Errors
/// The catalog cannot be read.
pub(in crate::cli) async fn check(
    policy: &Policy,
    upstream: &Upstream,
    database: &str,
) -> Result<Vec<PolicyError>, Errors> {
    let mut messages = Vec::new();
    if policy.encrypted.is_empty() {
        return Ok(messages);
    }
    let fault = |what: String| PolicyError::error(format!("database {database}: {what}"));
    let connected = connect(upstream, database, "pgveil policy check").await;
    let mut db = connected.map_err(fault)?;
    for entry in policy.encrypted.values() {
        let found = match family(&mut db, &entry.column).await {
            Ok(Some(family)) => obstacles(&mut db, entry, &family, &policy.encrypted).await,
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        for obstacle in found.map_err(|error| fault(error.to_string()))? {
            let (said, is_error) = match obstacle.weight {
                Weight::Refused => ("cannot be encrypted", true),
                Weight::NotWhileTurning => ("cannot be turned by pgveil encrypt as it is", false),
                Weight::Warning => ("is encrypted", false),
            };
            let message = format!("{} {said}: {}", entry.column, obstacle.text);
            let message = PolicyError::at(&entry.span, message);
            messages.push(if is_error { message } else { message.warning() });
        }
    }
    Ok(messages)
}

fn said(kind: &str, table: &str, name: &str, more: &str) -> (Weight, String) {
    use Weight::{Refused, Warning};
    match kind {
        "computed" => (
            Refused,
            format!(
                "column {name} of {table} is generated from it, and would be computed from cells"
            ),
        ),
        "check" => (
            Refused,
            format!("constraint {name} of {table} checks it, and would check cells"),
        ),
        "index expression" => (
            Refused,
            format!("index {name} of {table} computes with it, and would hold what comes of cells"),
        ),
        "partition key" => (
            Refused,
            format!("{table} is partitioned by it: cells would belong to other partitions"),
        ),
        "generated" => (Refused, format!("it is a generated column in {table}")),
        "default" => (
            Refused,
            format!("{table} has a default for it, which is no cell: drop the default"),
        ),
        "collation" => (
            Refused,
            format!(
                "its collation {name} in {table} is nondeterministic: values that are equal there \
                 have cells that are not"
            ),
        ),
        "exclude" => (
            Refused,
            format!("constraint {name} of {table} excludes rows by it, and would compare cells"),
        ),
        "rule" => (
            Refused,
            format!("rule {name} rewrites UPDATE of {table}, and nothing could be turned"),
        ),
        "policy" => (
            Warning,
            format!("row security policy {name} of {table} reads it, and will see cells"),
        ),
        "trigger" => (
            Warning,
            format!("triggers of {table} run for every row that is turned, and see cells: {name}"),
        ),
        "replica identity" => (
            Warning,
            format!("it is part of the replica identity of {table}: old values go into the WAL"),
        ),
        "publication" => (
            Warning,
            format!("publication {name} sends {table} to subscribers: they get cells"),
        ),
        "materialized view" => (
            Warning,
            format!("materialized view {name} holds values of it until it is refreshed"),
        ),
        "other index" => (
            Warning,
            format!("index {name} of {table} is of kind {more}: it finds nothing in cells"),
        ),
        _ => (
            Warning,
            format!(
                "index {name} of {table} is invalid and may hold values: drop it (REINDEX \
                 CONCURRENTLY leaves one behind when it is interrupted)"
            ),
        ),
    }
}

/// A foreign key of the column, or to it.
struct ForeignKey<'a> {
    is_from: bool,
    name: &'a str,
    table: &'a str,
    /// Schema, table, and column with the letter of ON UPDATE.
    other: [&'a str; 3],
}

impl ForeignKey<'_> {
    fn judged(
        &self,
        entry: &EncryptedColumn,
        encrypted: &BTreeMap<ColumnName, EncryptedColumn>,
    ) -> Option<Obstacle> {
        let [schema, table, last] = self.other;
        let mut letters = last.chars();
        let action = letters.next_back();
        let other = ColumnName::of(schema, table, letters.as_str());
        let shown = format!(
            "foreign key {} {} {other}",
            self.name,
            if self.is_from {
                "refers to"
            } else {
                "comes from"
            }
        );
        let key = &entry.key;
        if encrypted.get(&other).is_none_or(|other| other.key != *key) {
            return Some(Obstacle {
                weight: Weight::Refused,
                text: format!("{shown}, which is not encrypted under key `{key}`"),
            });
        }
        if action != Some('c') {
            return Some(Obstacle {
                weight: Weight::NotWhileTurning,
                text: format!(
                    "{shown}, and cells of one are not yet cells of the other: drop it, encrypt both \
                     columns, add it again (or let it say ON UPDATE CASCADE)"
                ),
            });
        }
        self.is_from.then(|| Obstacle {
            weight: Weight::Warning,
            text: format!(
                "{shown}: encrypt that one first, and its cells come to {} by ON UPDATE CASCADE",
                self.table
            ),
        })
    }
}
