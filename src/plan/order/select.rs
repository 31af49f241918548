//! Queries: whether the order of their rows is seen, whether something fixes it, and where the key
//! goes if nothing does.

use std::cell::Cell;

use super::super::decide::Place;
use super::calls::resorts;
use super::changes::counted;
use super::identity::{self, Identity, base};
use super::key::{self, as_items, order_key, same_text, wrap, wrap_on, wrap_ties};
use super::{Level, Order, Reader, any, raising};
use crate::analyze::lineage::Source;
use crate::catalog::RelationKind;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Distinct, Expr, GroupItem, Limit, Literal, Node, Query, Select, SelectItem, SetExpr, SetOp,
    TableRef, Walked,
};

/// What is known of the rows of a query's body.
struct Body {
    /// They come in an order that tells nothing, or there is one at most.
    settled: bool,
    /// What tells them apart, of a SELECT.
    identity: Option<Identity>,
}

impl Order<'_> {
    /// Adds what a query needs. Do its rows come in an order that tells nothing?
    pub(super) fn query(&mut self, q: &mut Query, reader: Reader) -> Result<bool, Refusal> {
        let (scope, first) = (self.ctes.len(), self.met.len());
        let parted = q.with.is_some() && (self.telling || raising::query(q));
        let pushed = self.pushed;
        self.pushed |= parted;
        self.with(q.with.as_mut(), Reader::of_failing(self.pushed))?;
        self.pushed = pushed;
        let limited = q
            .limit
            .as_ref()
            .is_some_and(|l| l.count.is_some() || l.offset.is_some());
        if let SetExpr::Query(inner) = &mut q.body
            && q.order_by.is_empty()
            && !limited
        {
            let settled = self.query(inner, reader)?;
            self.ctes.truncate(scope);
            return Ok(settled);
        }
        // Then a key may stand above what the select list calls.
        let keyed = limited || matches!(reader, Reader::Client | Reader::Sequence);
        let body = self.body(q, keyed && q.order_by.is_empty())?;
        if let Some(limit) = &mut q.limit {
            self.loose(limit.count.iter_mut().chain(&mut limit.offset))?;
        }
        self.ctes.truncate(scope);
        let met = self.met.get(first..).unwrap_or_default();
        let compared = self.compares(met);
        if body.settled || !(compared || any(&self.indexed, met)) {
            return Ok(true);
        }
        let distinct_on =
            matches!(&q.body, SetExpr::Select(s) if matches!(s.distinct, Some(Distinct::On(_))));
        let ordered = limited || !q.order_by.is_empty() || distinct_on;
        // By an error, whoever stops at a row tells which it was.
        let stops = matches!(reader, Reader::Existence | Reader::Member);
        let fails = |q: &mut Query| {
            self.telling || raising::query(q) || q.any_within(&mut |node| self.names_failing(node))
        };
        // EXISTS does not ask how many there are, nor in which order.
        let asked = limited && reader == Reader::Member;
        let told = stops && !asked && fails(q);
        let seen = match reader {
            Reader::Existence => told,
            Reader::Member => ordered || told,
            Reader::Sequence => true,
            Reader::Client | Reader::Join => ordered || compared,
            Reader::Set => ordered,
            Reader::Loop => limited,
        };
        if !seen {
            // A condition on what a window function gives may end its reading, unless it is kept out.
            let around = matches!(reader, Reader::Set | Reader::Join);
            if around && !limited && has_window(&mut q.body) && fails(q) {
                let limit = q.limit.get_or_insert_with(Limit::none);
                limit.offset.get_or_insert_with(zero);
            }
            return Ok(false);
        }
        if reader == Reader::Loop {
            return Err(no_loop());
        }
        let whole = matches!(reader, Reader::Client | Reader::Sequence);
        if whole && !compared && self.reads_heap(q) {
            return Ok(false);
        }
        if told {
            // Without this EXISTS would not sort, and sorting reads every row first.
            let limit = q.limit.get_or_insert_with(Limit::none);
            limit.offset.get_or_insert_with(zero);
        }
        if told || !self.fixed(q, body.identity.as_ref()) {
            add_key(q, compared)?;
        }
        Ok(true)
    }

    /// `SELECT columns FROM one_table LIMIT n`, as every tool sends it to look at a table: does
    /// PostgreSQL have no other way than to read the table itself? Then the rows are the first ones of
    /// the unlimited read, whatever the indexes hold, and need not all be read to draw some of them.
    ///
    /// PostgreSQL reads by an index for a condition, for an order that is wanted, or because the index
    /// holds every column that is. So there must be no condition and no order, and every index must
    /// lack a column that the client gets.
    fn reads_heap(&self, q: &Query) -> bool {
        let SetExpr::Select(s) = &q.body else {
            return false;
        };
        let [TableRef::Relation(r)] = s.from.as_slice() else {
            return false;
        };
        let plain = q.with.is_none()
            && q.order_by.is_empty()
            && s.distinct.is_none()
            && s.filter.is_none()
            && s.group_by.is_empty()
            && s.having.is_none()
            && s.windows.is_empty()
            && r.sample.is_none();
        let Some(relation) = r.id.and_then(|id| self.lineage.relation(id)) else {
            return false;
        };
        let table = &relation.relation;
        if !plain || table.kind != RelationKind::Table || !table.children.is_empty() {
            return false;
        }
        // A column that becomes NULL or a constant is not read.
        let mut read = Vec::new();
        for item in as_items(&s.items) {
            let Some((id, attnum)) = base(item) else {
                return false;
            };
            let source = Source::Column {
                relation: id,
                attnum,
            };
            let decided = self.decisions.columns.get(&source);
            if decided.is_some_and(|d| matches!(d.place, Place::Stored | Place::Output)) {
                // A column that is computed is read as what it is computed from.
                let computed = table.attribute(attnum).filter(|c| c.computed_when_read);
                match computed {
                    Some(column) => read.extend(&column.inputs),
                    None => read.push(attnum),
                }
            }
        }
        (table.indexes.iter()).all(|i| read.iter().any(|a| !i.columns.contains(a)))
    }

    fn body(&mut self, q: &mut Query, keyed: bool) -> Result<Body, Refusal> {
        let of_rows = |settled| Body {
            settled,
            identity: None,
        };
        match &mut q.body {
            SetExpr::Select(s) => {
                let keys = q.order_by.iter_mut().map(|o| &mut o.expr);
                self.select(s, &mut keys.collect::<Vec<_>>(), keyed)
            }
            SetExpr::Query(inner) => self.query(inner, Reader::Set).map(of_rows),
            SetExpr::Values(rows) => {
                self.loose(rows.iter_mut().flatten())?;
                Ok(of_rows(true))
            }
            SetExpr::Chain { first, rest } => {
                self.arms(first, rest)?;
                Ok(of_rows(false))
            }
        }
    }

    /// Is it the name of a query of WITH, around it, that may fail?
    pub(super) fn names_failing(&self, node: Node<'_>) -> bool {
        match node {
            Node::Table(TableRef::Relation(r)) if r.id.is_none() => {
                self.seen(r).is_some_and(|cte| cte.failing)
            }
            _ => false,
        }
    }

    fn arms(&mut self, first: &mut SetExpr, rest: &mut [(SetOp, bool, SetExpr)]) -> Walked {
        self.arm(first)?;
        rest.iter_mut().try_for_each(|(_, _, arm)| self.arm(arm))
    }

    fn arm(&mut self, arm: &mut SetExpr) -> Walked {
        // DISTINCT ON chooses by order, and an arm has no place to write one.
        if let SetExpr::Select(s) = arm
            && matches!(s.distinct, Some(Distinct::On(_)))
        {
            let body = std::mem::replace(arm, SetExpr::Values(Vec::new()));
            *arm = SetExpr::Query(Box::new(key::alone(body)));
        }
        match arm {
            SetExpr::Select(s) => self.select(s, &mut [], false).map(drop),
            SetExpr::Query(q) => self.query(q, Reader::Set).map(drop),
            SetExpr::Values(rows) => self.loose(rows.iter_mut().flatten()),
            SetExpr::Chain { first, rest } => self.arms(first, rest),
        }
    }

    /// `keyed`: if its rows get a key, that stands above the select list.
    fn select(
        &mut self,
        s: &mut Select,
        order_by: &mut [&mut Expr],
        keyed: bool,
    ) -> Result<Body, Refusal> {
        let first = self.met.len();
        let mut calls = self.counting.get();
        let failing = self.pushed
            || self.telling
            || raising::looked_for(s)
            || (s.from.iter_mut()).any(|t| t.any_within(&mut |node| self.names_failing(node)))
            || (s.filter.iter_mut()).any(|e| e.any_within(&mut |node| self.names_failing(node)));
        let several = !matches!(s.from.as_slice(), [one] if !matches!(one, TableRef::Join { .. }))
            || s.filter.as_mut().is_some_and(Expr::has_query);
        // By an error a join tells how far it read.
        let pushed = std::mem::replace(&mut self.pushed, failing);
        let mut settled = self.tables(&mut s.from, Reader::of_failing(failing && several))?;
        self.pushed = pushed;
        let joined = self.counting.get();
        let beside = self.met.len();
        if let Some(filter) = &mut s.filter {
            self.loose([filter])?;
        }
        // What WHERE reads may be joined, and then rows come in its order.
        let read = self.met.get(beside..).unwrap_or_default();
        let joins = any(&self.indexed, read) || self.compares(read);
        settled &= !joins;
        // What one subquery calls for its own rows is judged there.
        let alone = matches!(
            s.from.as_slice(),
            [TableRef::Relation(_) | TableRef::Derived { .. }]
        );
        if alone && !joins {
            calls = joined;
        }
        let met = self.met.get(first..).unwrap_or_default();
        let compared = self.compares(met);
        let clear = |b| self.clear(b);
        let reader = identity::Reader {
            lineage: self.lineage,
            clear: &clear,
        };
        let level = Level {
            exposed: !settled && (compared || any(&self.indexed, met))
                || compared && resorts(s, order_by),
            failing,
            grouped: (s.group_by.iter()).any(|g| matches!(g, GroupItem::Expr(_))),
            identity: Identity::of(&s.from, s.filter.as_ref(), reader),
            windows: s.windows.clone(),
            aliases: s.from.iter().flat_map(TableRef::aliases).cloned().collect(),
            aggregates: Cell::new(false),
            windowed: Cell::new(false),
            gathers_calls: Cell::new(false),
        };
        let (below, beneath) = (self.counting.get(), self.beneath.get());
        for item in &mut s.items {
            if let SelectItem::Expr { expr, .. } = item {
                self.expr(expr, &level)?;
            }
        }
        let listed = self.counting.get();
        let beneath = self.beneath.get() > beneath;
        for item in &mut s.group_by {
            self.group_item(item, &level)?;
        }
        if let Some(having) = &mut s.having {
            self.expr(having, &level)?;
        }
        if let Some(Distinct::On(keys)) = &mut s.distinct {
            keys.iter_mut().try_for_each(|e| self.expr(e, &level))?;
        }
        for (_, window) in &mut s.windows {
            window.parts(&mut |part| self.part(part, &level))?;
        }
        order_by.iter_mut().try_for_each(|e| self.expr(e, &level))?;
        let regrouped = !s.group_by.is_empty() || s.distinct.is_some() || level.windowed.get();
        // PostgreSQL calls what is in the select list after it has sorted, and all else before, with
        // what is in subqueries of the select list.
        let grouped = regrouped || level.aggregates.get();
        // Of all rows together there is one result, and one call.
        let once = level.aggregates.get() && !regrouped && !level.gathers_calls.get();
        let before = beneath || below > calls || self.counting.get() > listed;
        if level.exposed && (before || listed > below && !once && (grouped || !keyed)) {
            return Err(counted());
        }
        let one = s.group_by.is_empty() && (level.aggregates.get() || s.having.is_some());
        Ok(Body {
            settled: one || s.from.is_empty() || settled && !(compared && regrouped),
            identity: Some(level.identity),
        })
    }

    fn group_item(&mut self, item: &mut GroupItem, level: &Level) -> Walked {
        match item {
            GroupItem::Empty => Ok(()),
            GroupItem::Expr(e) => self.expr(e, level),
            GroupItem::List(list) => list.iter_mut().try_for_each(|e| self.expr(e, level)),
            GroupItem::Rollup(sets) | GroupItem::Cube(sets) => {
                let mut all = sets.iter_mut().flatten();
                all.try_for_each(|e| self.expr(e, level))
            }
            GroupItem::Sets(sets) => sets.iter_mut().try_for_each(|i| self.group_item(i, level)),
        }
    }

    /// Do the sort keys leave nothing open?
    fn fixed(&self, q: &Query, identity: Option<&Identity>) -> bool {
        let (SetExpr::Select(s), Some(identity)) = (&q.body, identity) else {
            return false;
        };
        let keys: Vec<&Expr> = q
            .order_by
            .iter()
            .map(|o| key::meant(&o.expr, &s.items))
            .collect();
        let covers = |e: &Expr| keys.iter().any(|k| same_text(k, e));
        if let Some(Distinct::All) = s.distinct {
            return as_items(&s.items).all(covers);
        }
        if !s.group_by.is_empty() {
            return s.group_by.iter().all(|g| match g {
                GroupItem::Expr(e) => covers(key::meant(e, &s.items)),
                GroupItem::Empty
                | GroupItem::List(_)
                | GroupItem::Rollup(_)
                | GroupItem::Cube(_)
                | GroupItem::Sets(_) => false,
            });
        }
        self.identified(identity, keys.into_iter())
    }

    /// Do the clear columns among some keys tell all rows apart?
    pub(super) fn identified<'e>(
        &self,
        identity: &Identity,
        keys: impl Iterator<Item = &'e Expr>,
    ) -> bool {
        let columns = keys.filter_map(base).filter(|b| self.clear(*b));
        identity.fixed_by(&columns.collect::<Vec<_>>())
    }
}

/// Adds the last key, in the query or around it. `compared`: DISTINCT ON may sort by tokens as they are
/// stored.
fn add_key(q: &mut Query, compared: bool) -> Walked {
    let ties = q.limit.as_ref().is_some_and(|l| l.with_ties);
    if let SetExpr::Select(s) = &mut q.body
        && let Some(Distinct::On(keys)) = &s.distinct
    {
        if ties || compared {
            wrap_on(q)?;
        } else {
            key::unsorted(keys, &s.items, &mut q.order_by);
        }
    }
    if ties {
        return wrap_ties(q);
    }
    let sorts = matches!(&q.body, SetExpr::Select(s) if !matches!(s.distinct, Some(Distinct::All)));
    if !sorts {
        return wrap(q);
    }
    q.order_by.push(order_key());
    Ok(())
}

fn zero() -> Expr {
    Expr::Literal(Literal::Number("0".into()))
}

fn no_loop() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "LIMIT in a recursive query is not supported over a relation whose row order is protected",
    )
    .detail(
        "An index holds a protected column, and PostgreSQL takes no sort key that would hide its \
         order there.",
    )
    .hint("Put LIMIT and ORDER BY on the query that reads the recursive one.")
}

/// Does a query read the CTE that it is?
pub(super) fn names(q: &mut Query, name: &Ident) -> bool {
    q.any_within(&mut |node| match node {
        Node::Table(TableRef::Relation(r)) => r.id.is_none() && r.name.parts.last() == Some(name),
        _ => false,
    })
}

/// Has a SELECT window functions?
fn has_window(body: &mut SetExpr) -> bool {
    let SetExpr::Select(s) = body else {
        return false;
    };
    s.items.iter_mut().any(|item| match item {
        SelectItem::Expr { expr, .. } => {
            expr.any_within(&mut |node| matches!(node, Node::Expr(e) if is_window(e)))
        }
        SelectItem::Star(..) | SelectItem::FieldStar(_) => false,
    })
}

fn is_window(e: &Expr) -> bool {
    matches!(e, Expr::Call(call) if call.over.is_some())
}
