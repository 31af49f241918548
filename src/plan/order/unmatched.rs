//! Rows to which none belongs, found where looking may fail.
//!
//! Deliberately absent: NOT EXISTS and NOT IN, which read all rows where one may fail (`select`).

use super::{Order, any, raising};
use crate::ident::Ident;
use crate::sql::tree::{
    BoolTest, Expr, JoinConstraint, JoinKind, Node, Part, RelationId, SelectItem, Statement,
    TableRef,
};

impl Order<'_> {
    /// Does a statement look for rows to which none belongs, where that may fail? Where a join has left its
    /// rows out PostgreSQL stops at the first that is found, and then a row failed before or it did not.
    pub(super) fn looks_for_none(&self, statement: &mut Statement) -> bool {
        let absent = self.absent(statement);
        !absent.names.is_empty() && statement.any_within(&mut |node| absent.is_asked_for(node))
    }

    fn absent(&self, statement: &mut Statement) -> Absent {
        let mut names = Vec::new();
        // Of whose queries one may fail.
        let with = statement.any_within(&mut |node| match node {
            Node::Query(q) => raising::with(q.with.as_mut()),
            _ => false,
        });
        let _all = statement.any_within(&mut |node| {
            if let Node::Table(table) = node {
                self.left_out(table, with, &mut names);
            }
            false
        });
        if !names.is_empty() {
            // PostgreSQL takes queries in FROM apart, and asks inside what is asked of their columns.
            let _all = statement.any_within(&mut |node| {
                match node {
                    Node::Table(table @ TableRef::Derived { .. }) => add(table, &mut names),
                    Node::Table(TableRef::Relation(r)) if r.id.is_none() => {
                        names.extend(r.alias.as_ref().map(|a| a.name.clone()));
                    }
                    _ => {}
                }
                false
            });
        }
        Absent { names }
    }

    /// Adds what an outer join leaves out where looking for it may fail, in an order that tells.
    fn left_out(&self, table: &mut TableRef, with: bool, names: &mut Vec<Ident>) {
        let TableRef::Join {
            left,
            right,
            kind,
            constraint,
            ..
        } = table
        else {
            return;
        };
        let compares = match constraint {
            JoinConstraint::On(on) => raising::expr(on) || self.lineage.failing && !is_of_keys(on),
            JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => false,
        };
        let mut side = |side: &mut TableRef| {
            let named = with && reads(side, &|id| id.is_none());
            let fails = compares || named || raising::table(side);
            let exposed = |id: Option<RelationId>| {
                id.is_none_or(|id| {
                    self.listed || any(&self.indexed, &[id]) || any(&self.compared, &[id])
                })
            };
            if fails && reads_itself(side, &exposed) {
                add(side, names);
            }
        };
        match kind {
            JoinKind::Inner | JoinKind::Cross => {}
            JoinKind::Left => side(right),
            JoinKind::Right => side(left),
            JoinKind::Full => {
                side(left);
                side(right);
            }
        }
    }
}

/// Is a relation, or a query of WITH, like this that PostgreSQL reads in its own order? Queries get a random one.
fn reads_itself(table: &TableRef, like: &dyn Fn(Option<RelationId>) -> bool) -> bool {
    match table {
        TableRef::Relation(r) => like(r.id),
        TableRef::Join { left, right, .. } => reads_itself(left, like) || reads_itself(right, like),
        TableRef::Derived { .. } | TableRef::Function(_) | TableRef::Keyword(_) => false,
    }
}

/// Is a relation in it, or a query of WITH, like this?
fn reads(table: &mut TableRef, like: &dyn Fn(Option<RelationId>) -> bool) -> bool {
    table.any_within(&mut |node| matches!(node, Node::Table(TableRef::Relation(r)) if like(r.id)))
}

/// What may be absent from a row because looking for it found none, and may fail.
struct Absent {
    names: Vec<Ident>,
}

impl Absent {
    /// Is something that may be absent asked whether it is NULL? Turned round, `IS NOT NULL` asks that too.
    fn is_asked_for(&self, node: Node<'_>) -> bool {
        let e = match node {
            Node::Expr(e) => e,
            // Who reads it may turn it round.
            Node::Item(SelectItem::Expr { expr, .. }) => return self.has_value(expr),
            _ => return false,
        };
        match e {
            Expr::And(_) | Expr::Or(_) => false,
            Expr::Test(value, BoolTest::Null | BoolTest::Unknown) => self.is_in(value),
            Expr::IsDistinct { negated: true, .. } => self.is_in(e),
            e => e.any_part(|part| match part {
                Part::Expr(inner) => self.has_value(inner),
                Part::Query(_) => false,
            }),
        }
    }

    /// Does it say that it is not NULL?
    fn has_value(&self, e: &mut Expr) -> bool {
        match e {
            Expr::Test(value, BoolTest::NotNull | BoolTest::NotUnknown) => self.is_in(value),
            Expr::IsDistinct { negated: false, .. } => self.is_in(e),
            Expr::And(list) | Expr::Or(list) => list.iter_mut().any(|e| self.has_value(e)),
            _ => false,
        }
    }

    fn is_in(&self, e: &mut Expr) -> bool {
        e.any_within(&mut |node| match node {
            Node::Expr(Expr::Column(c)) => {
                (c.qualifier.as_ref()).is_none_or(|q| self.names.contains(q))
            }
            Node::Expr(Expr::WholeRow { qualifier, .. }) => self.names.contains(qualifier),
            _ => false,
        })
    }
}

fn add(table: &TableRef, names: &mut Vec<Ident>) {
    names.extend(table.aliases().into_iter().cloned());
}

/// Does it say that columns are equal, and nothing else?
fn is_of_keys(on: &Expr) -> bool {
    let column = |e: &Expr| matches!(e, Expr::Column(_));
    on.conjuncts().into_iter().all(
        |e| matches!(e, Expr::Binary(l, op, r) if &*op.symbol == "=" && column(l) && column(r)),
    )
}
