//! Turning values into cells and cells into values, batch by batch.
//!
//! A batch is one short transaction: rows are found, locked unless somebody else has them (those come
//! in a later round), read under the lock, and written by their ctid. So what is written is what was
//! read, whoever changes the table meanwhile; and what was read never goes back to PostgreSQL, where it
//! might be logged. Nothing is remembered outside the table: a run that was killed is begun again and
//! finds what is left.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use zeroize::Zeroizing;

use super::Turn;
use super::database::{Database, Fault, array};
use super::progress::Progress;
use super::target::{CELL, Leaf, Target};
use crate::limits::{
    BATCH_BYTES, BATCH_TIME, CELLS_PER_BATCH, ENCRYPT_FAULTS, ENCRYPT_PATIENCE, ENCRYPT_PAUSE,
    PAGES_PER_LOOK,
};
use crate::mask::token::CellState;

/// Rows are found by where they are, however few pages there are to look through.
const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off";

/// Statements of a batch.
const STATEMENTS: u32 = 4;

/// Rows of a batch at least, if there are so many left: what takes longer with so few is not the rows.
const FEWEST: usize = 50;

/// Where a row is: page and number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tid(u64, u64);

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.0, self.1)
    }
}

impl Tid {
    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (page, number) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(Self(page.parse().ok()?, number.parse().ok()?))
    }
}

/// Why turning stopped.
pub(super) enum Stop {
    /// PostgreSQL, or the connection to it.
    Fault(Fault),
    /// Something in the column, said whole.
    Said(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Why a batch was not written.
enum Missed {
    Fault(Fault),
    /// One row looks like a cell and is none.
    Broken(Tid),
    /// A row's value cannot stand in the column as it is.
    Ambiguous,
    /// What was stored is not what was written, or was not stored.
    Trigger,
}

impl From<Fault> for Missed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A run over a column.
pub(super) struct Turner<'a> {
    pub(super) db: &'a mut Database,
    pub(super) target: &'a Target,
    pub(super) turn: Turn,
    pub(super) progress: &'a mut Progress,
    /// Rows that cannot be turned, each with its reason.
    pub(super) faults: Vec<String>,
    /// Cells of the next batch.
    size: usize,
    /// What a statement takes that does nothing.
    idle: Duration,
}

impl<'a> Turner<'a> {
    pub(super) fn new(
        db: &'a mut Database,
        target: &'a Target,
        turn: Turn,
        progress: &'a mut Progress,
    ) -> Self {
        Self {
            db,
            target,
            turn,
            progress,
            faults: Vec::new(),
            size: CELLS_PER_BATCH,
            idle: Duration::ZERO,
        }
    }

    /// Goes once through all that is there now, and turns what is not locked by somebody else.
    pub(super) async fn round(&mut self) -> Result<(), Stop> {
        let pages = self.target.pages(self.db).await?;
        self.progress.begin(pages.iter().sum());
        let mut before = 0;
        for (leaf, pages) in self.target.leaves.iter().zip(pages) {
            let mut from = 0;
            while from < pages {
                let to = from.saturating_add(PAGES_PER_LOOK).min(pages);
                self.look(leaf, from, to, before).await?;
                from = to;
            }
            before += pages;
            self.progress.step(before, 0);
        }
        Ok(())
    }

    /// Turns what is in some pages; `before` are those of other tables.
    async fn look(&mut self, leaf: &Leaf, from: u64, to: u64, before: u64) -> Result<(), Stop> {
        let (find, like) = self.find(leaf);
        let end = Tid(to, 0).to_string();
        let mut after = Tid(from, 0);
        loop {
            let (limit, mut found) = (self.size, Vec::new());
            let parameters = [
                after.to_string().into_bytes(),
                end.clone().into_bytes(),
                like.clone().into_bytes(),
                limit.to_string().into_bytes(),
            ];
            let parameters: Vec<&[u8]> = parameters.iter().map(Vec::as_slice).collect();
            let mut room = BATCH_BYTES;
            let find = self.db.each(&find, &parameters, |row| {
                let [Some(tid), Some(length)] = row else {
                    return;
                };
                let length = std::str::from_utf8(length)
                    .ok()
                    .and_then(|l| l.parse().ok());
                let length: u64 = length.unwrap_or(0);
                // The first one, however long it is; and none behind one that was left out, because the
                // next look begins behind the last.
                if room > 0 && (found.is_empty() || length <= room) {
                    found.extend(Tid::read(tid));
                    room = room.saturating_sub(length);
                } else {
                    room = 0;
                }
            });
            find.await?;
            let Some(last) = found.last().copied() else {
                break;
            };
            let started = Instant::now();
            self.batches(leaf, found, before).await?;
            self.adapt(started);
            after = last;
        }
        self.progress.step(before + to, 0);
        Ok(())
    }

    /// What finds the rows to be turned, and its third parameter.
    fn find(&self, leaf: &Leaf) -> (String, String) {
        let column = self.target.quoted();
        let (like, is_left) = match self.turn {
            Turn::Encrypt => (self.target.prefix(), "<>"),
            Turn::Decrypt => (CELL.to_owned(), "="),
        };
        let find = format!(
            "SELECT t.ctid, octet_length(t.{column}::text) FROM ONLY {} AS t \
             WHERE t.ctid > $1::tid AND t.ctid < $2::tid AND t.{column} IS NOT NULL \
             AND substr(t.{column}::text, 1, {}) COLLATE \"C\" {is_left} $3::text LIMIT $4::int8",
            leaf.sql,
            like.len()
        );
        (find, like)
    }

    /// Keeps transactions short. The way to the server and back is not shorter with fewer rows.
    fn adapt(&mut self, started: Instant) {
        let took = started.elapsed().saturating_sub(self.idle * STATEMENTS);
        if took > BATCH_TIME {
            self.size = (self.size / 2).max(FEWEST);
        } else if took < BATCH_TIME / 2 {
            self.size = (self.size * 2).min(CELLS_PER_BATCH);
        }
    }

    /// Turns some rows, in halves and halves of halves if one of them is in the way.
    async fn batches(&mut self, leaf: &Leaf, rows: Vec<Tid>, before: u64) -> Result<(), Stop> {
        let mut left = vec![rows];
        let mut patience = Instant::now();
        while let Some(mut rows) = left.pop() {
            let (first, count) = (rows.first().copied(), rows.len());
            let missed = match self.batch(leaf, &rows).await {
                Ok(turned) => {
                    patience = Instant::now();
                    let page = rows.last().map_or(0, |tid| tid.0);
                    self.progress.step(before + page, turned);
                    continue;
                }
                Err(missed) => missed,
            };
            let table = &leaf.shown;
            let why = match missed {
                Missed::Broken(tid) => return Err(Stop::Said(broken(table, &tid.to_string()))),
                Missed::Fault(fault) if fault.is_passing() => {
                    if patience.elapsed() > ENCRYPT_PATIENCE {
                        return Err(fault.into());
                    }
                    left.push(rows);
                    sleep(ENCRYPT_PAUSE).await;
                    continue;
                }
                Missed::Fault(fault) if !fault.is_of_a_row() => return Err(fault.into()),
                Missed::Fault(fault) => fault.to_string(),
                Missed::Ambiguous => format!(
                    "its value itself begins with {CELL}, and would be taken for a cell: change it \
                     through pgveil first"
                ),
                Missed::Trigger => {
                    "what is stored is not what was written: a trigger changes it, or keeps the row \
                     as it is"
                        .to_owned()
                }
            };
            if count > 1 {
                left.push(rows.split_off(count / 2));
                left.push(rows);
                continue;
            }
            let tid = first.map_or_else(String::new, |tid| tid.to_string());
            self.faults
                .push(format!("{table}, row at ctid {tid}: {why}"));
            if self.faults.len() >= ENCRYPT_FAULTS {
                return Err(Stop::Said("too many rows cannot be turned".to_owned()));
            }
        }
        Ok(())
    }

    /// One transaction.
    async fn batch(&mut self, leaf: &Leaf, rows: &[Tid]) -> Result<u64, Missed> {
        let started = Instant::now();
        self.db.run(BEGIN).await?;
        self.idle = started.elapsed();
        let done = match self.write(leaf, rows).await {
            Ok(turned) => match self.db.run("COMMIT").await {
                Ok(()) => return Ok(turned),
                Err(fault) => Err(fault.into()),
            },
            failed => failed,
        };
        // What was deferred fails with COMMIT, and then there is no transaction any more: a warning.
        self.db.run("ROLLBACK").await?;
        done
    }

    async fn write(&mut self, leaf: &Leaf, rows: &[Tid]) -> Result<u64, Missed> {
        let column = self.target.quoted();
        let lock = format!(
            "SELECT t.ctid, t.{column}::text FROM ONLY {} AS t \
             WHERE t.ctid = ANY ($1::tid[]) AND t.{column} IS NOT NULL FOR UPDATE SKIP LOCKED",
            leaf.sql
        );
        let tids: Vec<Vec<u8>> = rows.iter().map(|t| t.to_string().into_bytes()).collect();
        let tids = array(tids.iter().map(Vec::as_slice));
        let mut turned: Vec<(Tid, Zeroizing<Vec<u8>>)> = Vec::new();
        let mut missed = None;
        let (target, turn) = (self.target, self.turn);
        self.db
            .each(&lock, &[&tids], |row| {
                let [Some(tid), Some(stored)] = row else {
                    return;
                };
                let Some(tid) = Tid::read(tid) else {
                    return;
                };
                match turned_cell(target, turn, tid, stored) {
                    Ok(Some(new)) => turned.push((tid, new)),
                    Ok(None) => {}
                    Err(why) => {
                        missed.get_or_insert(why);
                    }
                }
            })
            .await?;
        if let Some(missed) = missed {
            return Err(missed);
        }
        if turned.is_empty() {
            return Ok(0);
        }
        let tids: Vec<Vec<u8>> = (turned.iter())
            .map(|(tid, _)| tid.to_string().into_bytes())
            .collect();
        let tids = array(tids.iter().map(Vec::as_slice));
        let new = Zeroizing::new(array(turned.iter().map(|(_, new)| new.as_slice())));
        let update = format!(
            "WITH new AS (SELECT * FROM unnest($1::tid[], $2::text[]) AS new (tid, cell)), \
             done AS (UPDATE ONLY {} AS t SET {column} = new.cell FROM new WHERE t.ctid = new.tid \
             RETURNING t.{column}::text COLLATE \"C\" IS NOT DISTINCT FROM new.cell AS same) \
             SELECT count(*) FILTER (WHERE same) FROM done",
            leaf.sql
        );
        let mut same = 0;
        self.db
            .each(&update, &[&tids, &new], |row| {
                let text = row.first().copied().flatten().unwrap_or_default();
                let text = std::str::from_utf8(text).unwrap_or_default();
                same = text.parse().unwrap_or(0);
            })
            .await?;
        if same == turned.len() {
            Ok(u64::try_from(same).unwrap_or(u64::MAX))
        } else {
            Err(Missed::Trigger)
        }
    }
}

/// What is stored, turned; `None` if that is done already.
fn turned_cell(
    target: &Target,
    turn: Turn,
    tid: Tid,
    stored: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, Missed> {
    let cells = &target.cells;
    match (turn, cells.state(stored)) {
        (_, CellState::Broken) => return Err(Missed::Broken(tid)),
        (Turn::Encrypt, CellState::Current) | (Turn::Decrypt, CellState::Plain) => return Ok(None),
        (Turn::Encrypt, CellState::Older | CellState::Plain)
        | (Turn::Decrypt, CellState::Current | CellState::Older) => {}
    }
    let mut new = Zeroizing::new(Vec::new());
    let done = cells.open(stored, |value| match turn {
        Turn::Encrypt => cells.seal(value, &mut new),
        Turn::Decrypt => {
            new.extend_from_slice(value);
            Some(())
        }
    });
    match done.flatten() {
        // A cell that holds something like a cell would be opened again.
        Some(()) if turn == Turn::Decrypt && new.starts_with(CELL.as_bytes()) => {
            Err(Missed::Ambiguous)
        }
        Some(()) => Ok(Some(new)),
        None => Err(Missed::Broken(tid)),
    }
}

/// What is said of a broken cell.
pub(super) fn broken(table: &str, tid: &str) -> String {
    format!(
        "{table}, row at ctid {tid}: what is stored begins with {CELL} and does not open: its key is \
         retired, or it was changed, or it is a value that only looks like a cell. Nothing is done to \
         it; put it right, and begin again"
    )
}

#[cfg(test)]
mod tests {
    use super::Tid;

    #[test]
    fn a_ctid_is_read_as_it_is_written() {
        let tid = Tid::read(b"(4294967294,291)").unwrap();
        assert_eq!(tid.to_string(), "(4294967294,291)");
        assert!(Tid(9, 300) < Tid(10, 1));
        for text in ["", "(1)", "1,2", "(1,2", "(a,1)"] {
            assert!(Tid::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
