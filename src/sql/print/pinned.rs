//! Where the checks of [`Pin`] are written: into the WHERE of the outermost SELECT, UPDATE or DELETE that
//! has the relations in its FROM, at any depth of FROM items. PostgreSQL reads FROM before WHERE
//! (transformSelectStmt and its kin), and locks what it meets, so that a name looked up in the WHERE is
//! looked up under that lock; and it evaluates a condition without columns once, before it reads the
//! first row.
//!
//! A subquery in an expression has checks of its own. It may be read, and wait for its locks, after
//! the WHERE around it; and it may run although that WHERE does not (HAVING without GROUP BY), or
//! before the checks in it.
//!
//! Deliberately absent: what the checks say (`plan::pin`).

use super::{Pin, Printed, Printer};
use crate::sql::tree::{Expr, Query, RelationRef};

/// Reading a setting that does not exist is an error with a text of our own: no statement of a
/// restricted role may name a setting with a dot.
pub const MOVED: &str = "pgveil.catalog_moved";

/// The same, for a view in a transaction whose snapshot is older than the statement.
pub const UNPROVEN: &str = "pgveil.view_not_proven";

/// An encoding that does not exist, for a value that was not there when its column was read.
pub const UNREAD: &str = "pgveil.value_not_read";

/// Where the checks go.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// There is no WHERE.
    New(usize),
    /// Behind `WHERE`.
    Before(usize),
    /// `WHERE CURRENT OF` takes nothing beside it; the cursor's own statement has the checks, and its
    /// locks.
    None,
}

impl Printer<'_> {
    /// Starts to gather relations, unless that has begun further out.
    pub(super) fn begin_pinned(&mut self) -> bool {
        let outermost = self.met.is_none() && !self.rewrite.pins.is_empty();
        if outermost {
            self.met = Some(self.target.into_iter().collect());
        }
        outermost
    }

    /// A query in an expression.
    pub(super) fn subquery(&mut self, query: &Query) -> Printed {
        let around = self.met.take();
        let target = self.target;
        if around.is_some() {
            self.target = None;
        }
        self.query(query)?;
        self.target = target;
        self.met = around;
        Ok(())
    }

    /// There is no place for checks here: what is inside carries its own.
    pub(super) fn cancel_pinned(&mut self, outermost: bool) {
        if outermost {
            self.met = None;
        }
    }

    /// A relation is written here.
    pub(super) fn meet(&mut self, relation: &RelationRef) {
        if let (Some(met), Some(id)) = (&mut self.met, relation.id) {
            met.push(id);
        }
    }

    /// ` WHERE …`, and where in it there is room.
    pub(super) fn pinned_filter(
        &mut self,
        filter: Option<&Expr>,
    ) -> Result<Place, super::Unsupported> {
        let start = self.out.len();
        let Some(filter) = filter else {
            return Ok(Place::New(start));
        };
        self.push(" WHERE ");
        let inside = self.out.len();
        self.expr(filter)?;
        Ok(match filter {
            Expr::CurrentOf(_) => Place::None,
            _ => Place::Before(inside),
        })
    }

    /// Writes the checks of what was met.
    pub(super) fn end_pinned(&mut self, outermost: bool, place: Place) {
        if !outermost {
            return;
        }
        let mut checks: Vec<&str> = Vec::new();
        for id in self.met.take().unwrap_or_default() {
            let pin = self.rewrite.pins.get(&id);
            for check in pin.map_or(&[] as &[String], |p| &p.checks) {
                if !checks.contains(&check.as_str()) {
                    checks.push(check);
                }
            }
        }
        if checks.is_empty() {
            return;
        }
        let check = proven(&checks);
        let check = if self.placing {
            format!("\0(\0{check}\0)\0")
        } else {
            check
        };
        match place {
            Place::New(at) => self.out.insert_str(at, &format!(" WHERE {check}")),
            Place::Before(at) => self.out.insert_str(at, &format!("{check} AND ")),
            Place::None => {}
        }
    }

    /// ` ("a", "b")` after a relation's alias.
    pub(super) fn by_position(&mut self, relation: &RelationRef) -> Printed {
        let rewrite = self.rewrite;
        let pin: Option<&Pin> = relation.id.and_then(|id| rewrite.pins.get(&id));
        let columns = pin.map_or(&[] as &[_], |p| &p.columns);
        if !columns.is_empty() {
            self.push(" (");
            self.idents(columns)?;
            self.push(")");
        }
        Ok(())
    }
}

/// The checks as one condition, which is true or an error.
pub fn proven<S: AsRef<str>>(checks: &[S]) -> String {
    condition(checks, &format!("'{MOVED}'"))
}

/// The same, with an error that cannot come before the condition is asked for.
pub fn proven_late<S: AsRef<str>>(checks: &[S]) -> String {
    condition(checks, &format!("(SELECT '{MOVED}')"))
}

fn condition<S: AsRef<str>>(checks: &[S], setting: &str) -> String {
    let checks: Vec<&str> = checks.iter().map(AsRef::as_ref).collect();
    format!(
        "CASE WHEN {} THEN true ELSE \"pg_catalog\".\"current_setting\"({setting}) IS NULL END",
        checks.join(" AND ")
    )
}
