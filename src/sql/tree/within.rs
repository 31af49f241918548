//! Everything inside a query, however deep, clause after clause: for who asks whether something is anywhere in it.
//!
//! Deliberately absent: MERGE, and what is no statement over rows.

use super::expr::Expr;
use super::from::{JoinConstraint, TableRef};
use super::query::{Distinct, GroupItem, Query, Select, SelectItem, SetExpr, With};
use super::statement::{Assignment, ConflictAction, InsertSource, Statement};
use super::walk::Part;

/// Something inside a query.
pub enum Node<'q> {
    /// An expression, before what is in it.
    Expr(&'q mut Expr),
    /// A FROM item, before what is in it.
    Table(&'q mut TableRef),
    /// An item of a select list, before its expression.
    Item(&'q mut SelectItem),
    /// A statement that is no query, before what is in it.
    Change(&'q mut Statement),
    /// A query, after what is in it.
    Query(&'q mut Query),
}

/// What is asked of each.
pub type Like<'l> = dyn FnMut(Node<'_>) -> bool + 'l;

impl Query {
    /// Is anything inside it like this? Asked until one is.
    pub fn any_within(&mut self, like: &mut Like<'_>) -> bool {
        with(&mut self.with, like)
            || body(&mut self.body, like)
            || self.order_by.iter_mut().any(|o| expr(&mut o.expr, like))
            || self.limit.iter_mut().any(|limit| {
                let mut numbers = limit.count.iter_mut().chain(&mut limit.offset);
                numbers.any(|e| expr(e, like))
            })
            || like(Node::Query(self))
    }
}

impl Statement {
    /// Is it like this, or anything inside it?
    pub fn any_within(&mut self, like: &mut Like<'_>) -> bool {
        if let Self::Query(q) = self {
            return q.any_within(like);
        }
        if like(Node::Change(self)) {
            return true;
        }
        match self {
            Self::Insert(i) => {
                with(&mut i.with, like)
                    || match &mut i.source {
                        InsertSource::DefaultValues => false,
                        InsertSource::Values(rows) => {
                            rows.iter_mut().flatten().flatten().any(|e| expr(e, like))
                        }
                        InsertSource::Query(q) => q.any_within(like),
                    }
                    || i.on_conflict
                        .as_mut()
                        .is_some_and(|(_, action)| match action {
                            ConflictAction::Nothing => false,
                            ConflictAction::Update(set, filter) => {
                                assigned(set, like) || filter.iter_mut().any(|e| expr(e, like))
                            }
                        })
                    || i.returning.iter_mut().any(|r| item(r, like))
            }
            Self::Update(u) => {
                with(&mut u.with, like)
                    || assigned(&mut u.assignments, like)
                    || u.from.iter_mut().any(|t| table(t, like))
                    || u.filter.iter_mut().any(|e| expr(e, like))
                    || u.returning.iter_mut().any(|r| item(r, like))
            }
            Self::Delete(d) => {
                with(&mut d.with, like)
                    || d.using.iter_mut().any(|t| table(t, like))
                    || d.filter.iter_mut().any(|e| expr(e, like))
                    || d.returning.iter_mut().any(|r| item(r, like))
            }
            _ => false,
        }
    }
}

impl Expr {
    /// Is it like this, or anything inside it?
    pub fn any_within(&mut self, like: &mut Like<'_>) -> bool {
        expr(self, like)
    }
}

impl TableRef {
    /// Is it like this, or anything inside it?
    pub fn any_within(&mut self, like: &mut Like<'_>) -> bool {
        table(self, like)
    }
}

fn with(with: &mut Option<With>, like: &mut Like<'_>) -> bool {
    let mut ctes = with.iter_mut().flat_map(|w| &mut w.ctes);
    ctes.any(|cte| cte.body.any_within(like))
}

fn assigned(assignments: &mut [Assignment], like: &mut Like<'_>) -> bool {
    assignments.iter_mut().any(|a| match a {
        Assignment::One(_, value) => value.iter_mut().any(|e| expr(e, like)),
        Assignment::Row(_, values) => values.iter_mut().flatten().any(|e| expr(e, like)),
        Assignment::Query(_, q) => q.any_within(like),
    })
}

fn body(b: &mut SetExpr, like: &mut Like<'_>) -> bool {
    match b {
        SetExpr::Select(s) => select(s, like),
        SetExpr::Query(q) => q.any_within(like),
        SetExpr::Values(rows) => rows.iter_mut().flatten().any(|e| expr(e, like)),
        SetExpr::Chain { first, rest } => {
            body(first, like) || rest.iter_mut().any(|(_, _, arm)| body(arm, like))
        }
    }
}

fn select(s: &mut Select, like: &mut Like<'_>) -> bool {
    let on = match &mut s.distinct {
        Some(Distinct::On(keys)) => keys.as_mut_slice(),
        Some(Distinct::All) | None => &mut [],
    };
    on.iter_mut().any(|e| expr(e, like))
        || s.items.iter_mut().any(|i| item(i, like))
        || s.from.iter_mut().any(|t| table(t, like))
        || s.filter.iter_mut().any(|e| expr(e, like))
        || s.group_by.iter_mut().any(|g| grouped(g, like))
        || s.having.iter_mut().any(|e| expr(e, like))
        || s.windows
            .iter_mut()
            .any(|(_, window)| window.any_part(|p| part(p, like)))
}

fn item(i: &mut SelectItem, like: &mut Like<'_>) -> bool {
    like(Node::Item(i))
        || match i {
            SelectItem::Expr { expr: e, .. } | SelectItem::FieldStar(e) => expr(e, like),
            SelectItem::Star(..) => false,
        }
}

fn grouped(g: &mut GroupItem, like: &mut Like<'_>) -> bool {
    match g {
        GroupItem::Empty => false,
        GroupItem::Expr(e) => expr(e, like),
        GroupItem::List(list) => list.iter_mut().any(|e| expr(e, like)),
        GroupItem::Rollup(sets) | GroupItem::Cube(sets) => {
            sets.iter_mut().flatten().any(|e| expr(e, like))
        }
        GroupItem::Sets(items) => items.iter_mut().any(|g| grouped(g, like)),
    }
}

fn table(t: &mut TableRef, like: &mut Like<'_>) -> bool {
    like(Node::Table(t))
        || match t {
            TableRef::Relation(r) => r.sample.as_mut().is_some_and(|sample| {
                let mut numbers = sample.args.iter_mut().chain(&mut sample.repeatable);
                numbers.any(|e| expr(e, like))
            }),
            TableRef::Derived { query, .. } => query.any_within(like),
            TableRef::Join {
                left,
                right,
                constraint,
                ..
            } => {
                let on = match constraint {
                    JoinConstraint::On(on) => expr(on, like),
                    JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {
                        false
                    }
                };
                on || table(left, like) || table(right, like)
            }
            TableRef::Function(f) => {
                let mut args = f.functions.iter_mut().flat_map(|i| &mut i.call.args);
                args.any(|a| expr(&mut a.value, like))
            }
            TableRef::Keyword(k) => k.form.any_part(|p| part(p, like)),
        }
}

fn expr(e: &mut Expr, like: &mut Like<'_>) -> bool {
    like(Node::Expr(e)) || e.any_part(|p| part(p, like))
}

fn part(p: Part<'_>, like: &mut Like<'_>) -> bool {
    match p {
        Part::Expr(e) => expr(e, like),
        Part::Query(q) => q.any_within(like),
    }
}
