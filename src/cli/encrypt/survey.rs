//! How much of a column is cells: counted, all of it, in one snapshot.

use std::collections::BTreeMap;

use super::database::{Database, Fault};
use super::target::{CELL, Target};
use crate::mask::token::CellState;

/// What is in a column, without its NULLs.
#[derive(Default, Debug)]
pub(super) struct Coverage {
    /// All of it.
    pub(super) rows: u64,
    /// Cells of the key that makes them now.
    pub(super) current: u64,
    /// Cells of other keys, by their ids.
    pub(super) older: BTreeMap<String, u64>,
    /// Values nobody has encrypted.
    pub(super) plain: u64,
    /// What looks like a cell and does not open.
    pub(super) broken: u64,
    /// Where one of those is: table and ctid.
    pub(super) broken_at: Option<(String, String)>,
}

impl Coverage {
    /// Counts a column. Values stay in PostgreSQL: what does not begin like a cell is counted only.
    pub(super) async fn count(db: &mut Database, target: &Target) -> Result<Self, Fault> {
        db.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let counted = Self::within(db, target).await;
        db.run("ROLLBACK").await?;
        counted
    }

    async fn within(db: &mut Database, target: &Target) -> Result<Self, Fault> {
        let mut found = Self::default();
        let column = target.quoted();
        for leaf in &target.leaves {
            let sql = format!(
                "SELECT t.ctid, CASE WHEN substr(t.{column}::text, 1, 4) = '{CELL}' COLLATE \"C\" \
                 THEN t.{column}::text END FROM ONLY {} AS t WHERE t.{column} IS NOT NULL",
                leaf.sql
            );
            db.each(&sql, &[], |row| {
                found.rows += 1;
                let [tid, stored] = row else {
                    return;
                };
                let Some(stored) = stored else {
                    found.plain += 1;
                    return;
                };
                match target.cells.state(stored) {
                    CellState::Current => found.current += 1,
                    CellState::Older => {
                        let id = stored.get(CELL.len()..CELL.len() + 4).unwrap_or_default();
                        let id = String::from_utf8_lossy(id).into_owned();
                        *found.older.entry(id).or_default() += 1;
                    }
                    CellState::Plain => found.plain += 1,
                    CellState::Broken => {
                        found.broken += 1;
                        found.broken_at.get_or_insert_with(|| {
                            let tid = String::from_utf8_lossy(tid.unwrap_or_default());
                            (leaf.shown.clone(), tid.into_owned())
                        });
                    }
                }
            })
            .await?;
        }
        Ok(found)
    }

    /// Cells of other keys, of all of them.
    pub(super) fn older(&self) -> u64 {
        self.older.values().sum()
    }

    /// Every value is a current cell.
    pub(super) fn is_whole(&self) -> bool {
        self.current == self.rows
    }

    /// No value is a cell.
    pub(super) fn is_clear(&self) -> bool {
        self.plain == self.rows
    }

    /// Current cells in tenths of a percent: 1000 only if there is nothing else.
    pub(super) fn tenths(&self) -> u64 {
        if self.is_whole() {
            return 1_000;
        }
        let tenths = u128::from(self.current) * 1_000 / u128::from(self.rows.max(1));
        u64::try_from(tenths).unwrap_or(0).min(999)
    }

    /// `100 %`, `99.9 %`
    pub(super) fn percent(&self) -> String {
        match self.tenths() {
            1_000 => "100 %".to_owned(),
            tenths => format!("{}.{} %", tenths / 10, tenths % 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;

    #[test]
    fn a_hundred_percent_is_said_of_all_only() {
        let shown = |current, rows| {
            let coverage = Coverage {
                rows,
                current,
                ..Coverage::default()
            };
            coverage.percent()
        };
        assert_eq!(shown(0, 0), "100 %");
        assert_eq!(shown(10, 10), "100 %");
        assert_eq!(shown(9_999_999, 10_000_000), "99.9 %");
        assert_eq!(shown(1, 3), "33.3 %");
        assert_eq!(shown(0, 7), "0.0 %");
        assert_eq!(shown(u64::MAX - 1, u64::MAX), "99.9 %");
    }
}
