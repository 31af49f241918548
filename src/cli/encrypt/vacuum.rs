//! After the last batch: the old versions of the rows, their index entries and the samples of the
//! statistics still hold what is no longer in the column.
//!
//! VACUUM frees old versions, but leaves their bytes in the free space of the pages, where a superuser
//! can read them; VACUUM FULL writes the table anew. Neither can remove what an open snapshot may still
//! see, so those are waited for. Deliberately absent: what was written before, in the WAL, in archives,
//! backups and on standbys.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::time::sleep;

use super::database::{Database, Fault};
use super::target::Target;
use crate::limits::{ENCRYPT_PATIENCE, ENCRYPT_PAUSE};

/// `--vacuum`
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vacuum {
    /// VACUUM, and REINDEX CONCURRENTLY: nobody is held up, and bytes stay in free space
    Plain,
    /// VACUUM FULL: nothing is left, and nobody can use the table meanwhile
    Full,
    /// Nothing
    None,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Removed {
    /// What is left to somebody else, or to another moment.
    pub(super) left: Vec<String>,
    /// Nothing was in the way that will not be there another time.
    pub(super) is_done: bool,
}

/// Who may still see what was replaced before a transaction id, as far as this login is told. A
/// transaction of another database counts as soon as it writes: the snapshot that VACUUM FULL itself
/// takes begins before it.
const HOLDERS: &str = "\
SELECT concat('process ', a.pid, ' (', a.usename, ', ', a.application_name, ')')
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid()
  AND (age(a.backend_xid) > age($1::xid)
       OR age(a.backend_xmin) > age($1::xid)
          AND (a.datname = current_database() OR a.datname IS NULL))
  AND NOT (a.backend_type = 'autovacuum worker' AND a.query ~ '^autovacuum: VACUUM (?!ANALYZE)')
UNION ALL
SELECT concat('prepared transaction ', p.gid) FROM pg_prepared_xacts p
WHERE age(p.transaction) > age($1::xid)
UNION ALL
SELECT concat('replication slot ', s.slot_name) FROM pg_replication_slots s
WHERE age(s.xmin) > age($1::xid)
ORDER BY 1";

/// This login sees what other sessions hold; it may vacuum the catalog.
const RIGHTS: &str = "\
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       r.rolsuper OR pg_has_role(current_user, d.datdba, 'USAGE')
FROM pg_roles r, pg_database d
WHERE r.rolname = current_user AND d.datname = current_database()";

/// Tables that VACUUM would pass over with a warning.
const NOT_OWNED: &str = "\
SELECT c.oid::regclass FROM unnest($1::oid[]) AS o (oid) JOIN pg_class c ON c.oid = o.oid
WHERE NOT pg_has_role(current_user, c.relowner, 'USAGE') ORDER BY 1";

const INDEXES: &str = "\
SELECT concat(quote_ident(n.nspname), '.', quote_ident(x.relname))
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2
WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid
  AND a.attnum = ANY (i.indkey::int2[])
ORDER BY 1";

/// Does what can be done, and says what is left.
pub(super) async fn vacuum(
    db: &mut Database,
    target: &Target,
    how: Vacuum,
    said: &mut dyn FnMut(&str),
) -> Result<Removed, Fault> {
    let mut left = Vec::new();
    let mut missed = Vec::new();
    if how == Vacuum::None {
        left.push(format!(
            "old versions of rows, index entries and statistics still hold values: pgveil encrypt {} \
             --vacuum full",
            target.column
        ));
        return Ok(Removed {
            left,
            is_done: true,
        });
    }
    let rights = db.rows(RIGHTS, &[]).await?.into_iter().next();
    let right = |n| {
        rights
            .as_ref()
            .and_then(|r: &Vec<String>| r.get(n))
            .is_some_and(|r| r == "t")
    };
    let (sees_all, vacuums_catalog) = (right(0), right(1));
    if !vacuums_catalog {
        let foreign = db.rows(NOT_OWNED, &[&target.family]).await?;
        let foreign: Vec<String> = foreign.into_iter().flatten().collect();
        if !foreign.is_empty() {
            left.push(format!(
                "old versions of rows, index entries and statistics still hold values, and this login \
                 does not own {}: begin again as somebody who does",
                foreign.join(", ")
            ));
            return Ok(Removed {
                left,
                is_done: false,
            });
        }
    }
    if !sees_all {
        left.push(
            "this login does not see what snapshots other sessions hold (pg_read_all_stats): old \
             versions may have stayed"
                .to_owned(),
        );
    }
    // What waits for old transactions waits for as long as they last; nothing is held up behind it.
    db.run("SET lock_timeout = 0").await?;
    let mut held = settle(db, ENCRYPT_PATIENCE, said).await?;
    for leaf in &target.leaves {
        match how {
            Vacuum::Full => {
                said(&format!("VACUUM FULL {}", leaf.shown));
                let sql = format!("VACUUM (FULL, ANALYZE) {}", leaf.sql);
                missed.extend(alone(db, &sql).await?);
            }
            Vacuum::Plain | Vacuum::None => {
                said(&format!("VACUUM {}", leaf.shown));
                db.run(&format!("VACUUM (ANALYZE) {}", leaf.sql)).await?;
            }
        }
    }
    for parent in &target.parents {
        db.run(&format!("ANALYZE {parent}")).await?;
    }
    if how == Vacuum::Plain && held.is_empty() {
        for index in indexes(db, target).await? {
            said(&format!("REINDEX {index}"));
            db.run(&format!("REINDEX INDEX CONCURRENTLY {index}"))
                .await?;
        }
    }
    // The samples that ANALYZE has just replaced are old versions, too.
    let patience = if held.is_empty() {
        ENCRYPT_PATIENCE
    } else {
        Duration::ZERO
    };
    held.extend(settle(db, patience, said).await?);
    held.sort();
    held.dedup();
    let catalog = ["pg_statistic", "pg_statistic_ext_data"];
    for table in catalog.iter().filter(|_| vacuums_catalog) {
        match how {
            Vacuum::Full => {
                let sql = format!("VACUUM (FULL) pg_catalog.{table}");
                missed.extend(alone(db, &sql).await?);
            }
            Vacuum::Plain | Vacuum::None => db.run(&format!("VACUUM pg_catalog.{table}")).await?,
        }
    }
    if !vacuums_catalog {
        left.push(
            "the older statistics still hold values, and only a superuser or the database's owner may \
             say: VACUUM FULL pg_statistic, pg_statistic_ext_data"
                .to_owned(),
        );
    }
    if !held.is_empty() {
        missed.push(format!(
            "old versions that hold values could not be removed, because of {}: begin again when there \
             is no such thing any more",
            held.join(", ")
        ));
    }
    let is_done = missed.is_empty();
    left.extend(missed);
    if how == Vacuum::Plain {
        left.push(format!(
            "bytes of old versions stay in the free space of the table's pages, where a superuser can \
             read them, until VACUUM FULL: in a quiet hour, pgveil encrypt {} --vacuum full",
            target.column
        ));
    }
    Ok(Removed { left, is_done })
}

/// Waits until nobody can see what has been replaced by now; or says who still can.
async fn settle(
    db: &mut Database,
    patience: Duration,
    said: &mut dyn FnMut(&str),
) -> Result<Vec<String>, Fault> {
    let now = db.value("SELECT pg_current_xact_id()::xid", &[]).await?;
    let started = Instant::now();
    let mut is_said = false;
    loop {
        let holders: Vec<String> = (db.rows(HOLDERS, &[&now]).await?)
            .into_iter()
            .flatten()
            .collect();
        if holders.is_empty() || started.elapsed() > patience {
            return Ok(holders);
        }
        if !is_said && started.elapsed() > ENCRYPT_PAUSE * 5 {
            is_said = true;
            said(&format!("waiting for {}", holders.join(", ")));
        }
        sleep(ENCRYPT_PAUSE).await;
    }
}

/// Runs what needs a table for itself, or says why it could not. Behind its wait everybody else waits:
/// so each is short.
async fn alone(db: &mut Database, sql: &str) -> Result<Option<String>, Fault> {
    let started = Instant::now();
    db.run("SET lock_timeout = '2s'").await?;
    let left = loop {
        match db.run(sql).await {
            Ok(()) => break None,
            Err(fault) if !fault.is_passing() => return Err(fault),
            Err(_) if started.elapsed() < ENCRYPT_PATIENCE => sleep(ENCRYPT_PAUSE).await,
            Err(fault) => break Some(format!("{sql}: {fault}")),
        }
    };
    db.run("SET lock_timeout = 0").await?;
    Ok(left)
}

async fn indexes(db: &mut Database, target: &Target) -> Result<Vec<String>, Fault> {
    let column = target.column.column.as_str();
    let rows = db.rows(INDEXES, &[&target.family, column]).await?;
    Ok(rows.into_iter().flatten().collect())
}
