//! Row order is an answer: where rows are seen in an order that clear and masked values leave open,
//! PostgreSQL would fill it in from what it stores. An index on (department, salary) hands out the
//! lowest paid under `LIMIT 1`; grouping by stored token values hands the tokens out in the order of
//! the plaintexts. So such a place gets a last sort key that says nothing.
//!
//! | seen in an order | what it gets |
//! |---|---|
//! | ORDER BY, LIMIT, OFFSET, DISTINCT ON, cursors, `ARRAY(query)` | a last sort key, below the LIMIT |
//! | DISTINCT, set operations, WITH TIES under any of these | the same, over the query as a derived table |
//! | `array_agg(x)` and every aggregate not known to ignore order | a last sort key of its own |
//! | `row_number`, `lag`, a ROWS frame … | a last sort key in the window |
//! | tokens compared as stored | a last sort key of the statement, limited or not |
//! | `INSERT … SELECT`, `CREATE TABLE AS` | the same as a cursor: the target keeps the order |
//! | what UPDATE and DELETE in WITH return | a last sort key of the query that reads it |
//! | what they return to the client, changed in the order of tokens or where rows of its own come among them | the same: they are put in WITH (`returned`) |
//! | what they return in WITH, changed in the order of tokens | refused |
//! | a volatile function or default that may tell one row from the next (`nextval`, `clock_timestamp`) where no key stands above it | refused |
//!
//! Of equal values that look otherwise GROUP BY shows the first: one is shown that all of them decide
//! (`spelled`), or it is refused (`calls::apart`). DISTINCT and set operations read their rows in a random
//! order then (`shuffled`).
//!
//! Which of several errors comes first tells of the order too: where a statement may fail in several ways,
//! they are one (`ways`).
//!
//! The key is a random value of each row, `gen_random_uuid()`: PostgreSQL draws it from its strong
//! random source as the rows go by. There is no secret for a client to learn or for the proxy to keep,
//! no primary key is needed, and each execution of a statement prepared once draws anew.
//!
//! Nothing is added where it would change nothing: no index of the relations involved holds a column
//! the role does not see, PostgreSQL has only the table itself to read from (`SELECT * FROM t LIMIT 5`:
//! the beginning of the unlimited read, see below), the keys include a primary key (or cover the
//! groups), one row is all there can be, or the rows come from one subquery that is in such an order
//! already.
//!
//! Deliberately absent: unlimited reads without ORDER BY, whose order is documented as not covered;
//! and portals with a row limit, because PostgreSQL plans without knowing of it, so what they hand out
//! is the beginning of that same unlimited read.

mod calls;
mod changes;
mod distinct;
mod early;
mod identity;
mod key;
mod level;
pub(super) mod raising;
mod returned;
mod select;
mod shuffled;
mod spelled;
mod unmatched;
mod ways;
mod with;

use std::cell::Cell;

pub(super) use self::changes::assigned;
use self::identity::Base;
use self::level::{Gathers, Level, Reader};
use self::with::Seen;
use super::decide::{Decisions, Delivery, Place};
use crate::analyze::lineage::{Lineage, Source, Uses};
use crate::analyze::{ColumnForm, Grounds, exposed_order, places_rows};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Assignment, ConflictAction, Expr, InsertSource, JoinKind, Node, Part, Query, RelationId,
    SelectItem, Statement, TableRef, Walked,
};

/// One walk over one resolved statement.
struct Order<'a> {
    lineage: &'a Lineage,
    decisions: &'a Decisions,
    grounds: Grounds<'a>,
    /// By relation reference: an index may hand its rows out in an order that tells.
    indexed: Vec<bool>,
    /// By relation reference: tokens of it are compared as stored.
    compared: Vec<bool>,
    /// A list of tokens has rows of its own: wherever those come together, they are compared as
    /// stored.
    listed: bool,
    /// Relation references met so far, with those behind the names of CTEs.
    met: Vec<RelationId>,
    ctes: Vec<Seen>,
    /// A query around this one is exposed: an aggregate here may be an aggregate of its rows.
    above: bool,
    /// A row may make the statement fail wherever it is looked at, or is locked: either tells that it was.
    telling: bool,
    /// The role may put rows of its own among them.
    placing: bool,
    /// What is walked next is the statement itself, which a SELECT may be put around.
    whole: bool,
    /// One has to be: what it returns comes in an order that tells.
    returned: bool,
    /// PostgreSQL may move a condition here, from the SELECT around, that may fail.
    pushed: bool,
    /// Calls met so far whose results may tell in which order they were called.
    counting: Cell<usize>,
    /// Those of them in subqueries of expressions, which PostgreSQL does not see when it decides what
    /// comes after a sort.
    beneath: Cell<usize>,
}

/// Adds the keys a statement needs. Would the error it fails with tell of the order of its rows?
pub(super) fn settle(
    statement: &mut Statement,
    delivery: Delivery,
    lineage: &Lineage,
    decisions: &Decisions,
    grounds: Grounds<'_>,
) -> Result<bool, Refusal> {
    let mut compared = vec![false; lineage.relations.len()];
    for (source, decided) in &decisions.columns {
        let stored = decided.place == Place::Output
            && matches!(&decided.form, ColumnForm::Rule(r)
                if matches!(&r.treatment, Treatment::Token(t) if !t.shows_values()));
        let Source::Column { relation, attnum } = *source else {
            continue;
        };
        let uses = lineage
            .relation(relation)
            .and_then(|r| r.columns.get(&attnum));
        if stored && uses.is_some_and(|u| u.has(Uses::EQUALITY)) {
            set(&mut compared, relation);
        }
    }
    let order = Order {
        indexed: lineage
            .relations
            .iter()
            .map(|r| exposed_order(&r.relation, grounds))
            .collect(),
        compared,
        listed: decisions.lists_rows(lineage),
        lineage,
        decisions,
        grounds,
        met: Vec::new(),
        ctes: Vec::new(),
        above: false,
        telling: false,
        placing: false,
        whole: true,
        returned: false,
        pushed: false,
        counting: Cell::new(0),
        beneath: Cell::new(0),
    };
    let exposed = order.indexed.iter().chain(&order.compared);
    if !order.listed && !exposed.copied().any(|e| e) {
        return Ok(false);
    }
    if lineage.apart {
        return Err(calls::apart());
    }
    if lineage.mixed {
        shuffled::shuffle(statement)?;
    }
    if order.looks_for_none(statement) {
        return Err(calls::none_found());
    }
    let told = !order.is_one(statement) && ways::in_several_ways(statement, lineage, grounds);
    let placing = (lineage.relations.iter()).any(|used| places_rows(&used.relation, grounds));
    let reader = match delivery {
        Delivery::Cursor | Delivery::Table => Reader::Sequence,
        // Where a row of the role's own comes among the others tells of them.
        Delivery::Rows | Delivery::Stream if placing => Reader::Sequence,
        Delivery::Rows | Delivery::Stream => Reader::Client,
    };
    let mut order = order;
    order.placing = placing;
    let locks = |node: Node<'_>| matches!(node, Node::Query(q) if !q.locking.is_empty());
    order.telling = raising::everywhere(lineage) || statement.any_within(&mut { locks });
    order.distinct(statement)?;
    order.statement(statement, reader)?;
    if lineage.spelled {
        order.show_spelled(statement)?;
    }
    if order.returned {
        returned::shuffle(statement)?;
    }
    Ok(told)
}

fn set(list: &mut [bool], id: RelationId) {
    if let Some(e) = usize::try_from(id.0).ok().and_then(|n| list.get_mut(n)) {
        *e = true;
    }
}

fn any(list: &[bool], ids: &[RelationId]) -> bool {
    ids.iter().any(|id| {
        usize::try_from(id.0)
            .ok()
            .and_then(|n| list.get(n))
            .is_none_or(|e| *e)
    })
}

impl Order<'_> {
    fn statement(&mut self, statement: &mut Statement, reader: Reader) -> Walked {
        let (scope, first) = (self.ctes.len(), self.met.len());
        let whole = std::mem::take(&mut self.whole);
        match statement {
            Statement::Query(q) => {
                self.query(q, reader)?;
            }
            Statement::Insert(i) => {
                self.with(i.with.as_mut(), Reader::Join)?;
                match &mut i.source {
                    InsertSource::DefaultValues => {}
                    InsertSource::Values(rows) => {
                        self.loose(rows.iter_mut().flatten().flatten())?;
                    }
                    InsertSource::Query(q) => {
                        self.query(q, Reader::Sequence)?;
                    }
                }
                if let Some((_, ConflictAction::Update(assignments, filter))) = &mut i.on_conflict {
                    self.assignments(assignments)?;
                    self.loose(filter.iter_mut())?;
                }
                self.loose(returned(&mut i.returning))?;
            }
            Statement::Update(u) => {
                self.with(u.with.as_mut(), Reader::Sequence)?;
                let calls = self.counting.get();
                let settled = self.sources(&mut u.from)?;
                if !settled && self.told_by_match(&u.target, &u.from, u.filter.as_ref()) {
                    let of = &u.from;
                    self.no_match_told(of, u.assignments.iter_mut().flat_map(assigned))?;
                }
                let found = self.finds(&u.target, &u.from, &mut u.filter);
                let looked = self.counting.get();
                self.assignments(&mut u.assignments)?;
                self.defaults(&u.target, &u.assignments);
                let assigned = self.counting.get().saturating_sub(looked);
                self.loose(u.filter.iter_mut())?;
                if !settled && self.told_by_match(&u.target, &u.from, u.filter.as_ref()) {
                    self.no_match_told(&u.from, returned(&mut u.returning))?;
                }
                // One row is all that they are called for.
                let calls = calls.saturating_add(if found.one { assigned } else { 0 });
                let of = self.changes((first, calls), &found, whole)?;
                self.returning(&u.target, &mut u.returning, reader, of)?;
            }
            Statement::Delete(d) => {
                self.with(d.with.as_mut(), Reader::Sequence)?;
                let calls = self.counting.get();
                let settled = self.sources(&mut d.using)?;
                if !settled && self.told_by_match(&d.target, &d.using, d.filter.as_ref()) {
                    self.no_match_told(&d.using, returned(&mut d.returning))?;
                }
                let found = self.finds(&d.target, &d.using, &mut d.filter);
                self.loose(d.filter.iter_mut())?;
                let of = self.changes((first, calls), &found, whole)?;
                self.returning(&d.target, &mut d.returning, reader, of)?;
            }
            // MERGE reads no protected column; the rest reads no relation.
            _ => {}
        }
        self.ctes.truncate(scope);
        Ok(())
    }

    fn assignments(&mut self, assignments: &mut [Assignment]) -> Walked {
        for a in assignments {
            match a {
                Assignment::One(_, value) => self.loose(value.iter_mut())?,
                Assignment::Row(_, values) => self.loose(values.iter_mut().flatten())?,
                Assignment::Query(_, q) => {
                    self.query(q, Reader::Set)?;
                }
            }
        }
        Ok(())
    }

    /// FROM items, left to right, for a `reader` of the queries among them. Is there one, of rows in an order
    /// that tells nothing?
    fn tables(&mut self, from: &mut [TableRef], reader: Reader) -> Result<bool, Refusal> {
        let alone = from.len() == 1;
        let mut settled = false;
        for table in from {
            settled = self.table(table, reader)? && alone;
        }
        Ok(settled)
    }

    fn table(&mut self, table: &mut TableRef, reader: Reader) -> Result<bool, Refusal> {
        match table {
            TableRef::Relation(r) => {
                if let Some(sample) = &mut r.sample {
                    self.loose(sample.args.iter_mut().chain(&mut sample.repeatable))?;
                }
                if let Some(id) = r.id {
                    self.met.push(id);
                    return Ok(false);
                }
                let (settled, read, calls) = self.seen(r).map_or_else(Default::default, |c| {
                    (c.settled, c.relations.clone(), c.calls)
                });
                self.met.extend(read);
                self.count(calls);
                Ok(settled)
            }
            // What it calls may be called again for each row of what it is joined with.
            TableRef::Derived { query, .. } => self.query(query, reader),
            TableRef::Function(f) => {
                for item in &mut f.functions {
                    self.loose(item.call.args.iter_mut().map(|a| &mut a.value))?;
                    let name = &item.call.function.parts;
                    let again = !item.call.args.iter().all(|a| self.is_constant(&a.value));
                    if again && self.counts(name) {
                        self.count(1);
                    }
                }
                Ok(false)
            }
            TableRef::Keyword(k) => {
                let level = Level::outside();
                k.form.parts(&mut |part| self.part(part, &level))?;
                Ok(false)
            }
            TableRef::Join {
                left,
                right,
                kind,
                constraint,
                ..
            } => {
                // Which rows it leaves out a join may find at the first that matches (`unmatched`).
                let side = |left_out: bool| match reader {
                    Reader::Join if left_out => Reader::Sequence,
                    reader => reader,
                };
                let (of_left, of_right) = match kind {
                    JoinKind::Inner | JoinKind::Cross => (false, false),
                    JoinKind::Left => (false, true),
                    JoinKind::Right => (true, false),
                    JoinKind::Full => (true, true),
                };
                self.table(left, side(of_left))?;
                self.table(right, side(of_right))?;
                if let crate::sql::tree::JoinConstraint::On(e) = constraint {
                    self.loose([e])?;
                }
                Ok(false)
            }
        }
    }

    /// Expressions that stand at no level of a SELECT where order could be seen.
    fn loose<'e>(&mut self, exprs: impl IntoIterator<Item = &'e mut Expr>) -> Walked {
        let level = Level::outside();
        exprs.into_iter().try_for_each(|e| self.expr(e, &level))
    }

    fn part(&mut self, part: Part<'_>, level: &Level) -> Walked {
        match part {
            Part::Expr(e) => self.expr(e, level),
            Part::Query(q) => self.inner(q, Reader::Member, level),
        }
    }

    /// A subquery of an expression.
    fn inner(&mut self, q: &mut Query, reader: Reader, level: &Level) -> Walked {
        let above = self.above;
        self.above |= level.exposed;
        let calls = self.counting.get();
        let pushed = std::mem::replace(&mut self.pushed, false);
        self.query(q, reader)?;
        self.pushed = pushed;
        let calls = self.counting.get().saturating_sub(calls);
        self.beneath.set(self.beneath.get().saturating_add(calls));
        self.above = above;
        Ok(())
    }

    fn expr(&mut self, e: &mut Expr, level: &Level) -> Walked {
        let calls = self.counting.get();
        match e {
            Expr::Exists(q) => return self.inner(q, Reader::Existence, level),
            Expr::ArrayQuery(q) => return self.inner(q, Reader::Sequence, level),
            // PostgreSQL asks for it once.
            Expr::Subquery(q) if self.is_one_row_query(q) => {
                let calls = (self.counting.get(), self.beneath.get());
                self.inner(q, Reader::Set, level)?;
                self.counting.set(calls.0);
                self.beneath.set(calls.1);
                return Ok(());
            }
            // JSON_ARRAY(query) keeps their order.
            Expr::Keyword(form) => form.parts(&mut |part| match part {
                Part::Expr(inner) => self.expr(inner, level),
                Part::Query(q) => self.inner(q, Reader::Sequence, level),
            })?,
            // It has one row, or is an error.
            Expr::Subquery(q) => return self.inner(q, Reader::Set, level),
            _ => e.parts(&mut |part| self.part(part, level))?,
        }
        let gathers = match e {
            Expr::Call(call) => call.over.is_some() || self.is_aggregate(&call.function.parts),
            Expr::Keyword(_) => true,
            _ => return Ok(()),
        };
        if gathers && self.counting.get() > calls {
            level.gathers_calls.set(true);
        }
        let of = if self.above && level.reaches_out(e) {
            Gathers::Above
        } else {
            Gathers::Own
        };
        match e {
            Expr::Call(call) => self.call(call, level, of),
            Expr::Keyword(form) => self.keyword(form, level, of),
            _ => Ok(()),
        }
    }

    /// Are tokens among what these bring compared as stored?
    fn compares(&self, met: &[RelationId]) -> bool {
        self.listed || any(&self.compared, met)
    }

    /// Is a column compared as it is stored, and shown so?
    fn clear(&self, (relation, attnum): Base) -> bool {
        let source = Source::Column { relation, attnum };
        let decided = self.decisions.columns.get(&source);
        decided.is_some_and(|d| d.place == Place::Stored)
    }
}

/// The expressions of a select list.
pub(super) fn returned(items: &mut [SelectItem]) -> impl Iterator<Item = &mut Expr> {
    items.iter_mut().filter_map(|i| match i {
        SelectItem::Expr { expr, .. } => Some(expr),
        SelectItem::Star(..) | SelectItem::FieldStar(_) => None,
    })
}
