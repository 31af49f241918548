//! `a = b` of masked columns of two relations, where it chooses rows, and whether there is a value: written
//! so that PostgreSQL finds the plan it would find for stored columns.
//!
//! Deliberately absent: whatever is not a condition. There FALSE is not NULL.

use std::collections::BTreeSet;

use super::handed::Open;
use super::hidden::{Hidden, is_builtin};
use crate::catalog::Column as Attribute;
use crate::ident::Ident;
use crate::pg::AttrNumber;
use crate::policy::Treatment;
use crate::sql::tree::{
    BoolTest, Column, Expr, JoinConstraint, JoinKind, Literal, Name, Operator, Query, RelationId,
    TableRef, Walked,
};

impl Hidden<'_> {
    /// A join, and the FROM items in it.
    pub(super) fn join(&mut self, join: &mut TableRef, rows: &mut Open) -> Walked {
        let TableRef::Join {
            left,
            right,
            kind,
            constraint,
            ..
        } = join
        else {
            return Ok(());
        };
        self.table(left, rows)?;
        self.table(right, rows)?;
        let JoinConstraint::On(on) = constraint else {
            return Ok(());
        };
        let out = match kind {
            JoinKind::Left => right.aliases(),
            JoinKind::Right => left.aliases(),
            JoinKind::Inner | JoinKind::Full | JoinKind::Cross => Vec::new(),
        };
        self.nullable = out.into_iter().cloned().collect();
        let nullable = &self.nullable;
        let proved = compared(on).into_iter().filter(|c| is_of(c, nullable));
        self.proved.extend(proved.cloned());
        let done = self.condition(on, rows);
        self.nullable.clear();
        done
    }

    /// The stored value of a column, to be tested for NULL and for nothing else: masks and tokens are NULL
    /// exactly where it is. PostgreSQL knows how often it is, and that rows of an outer join without it are
    /// those that have no other side, which it then finds as such.
    ///
    /// A value without a token is NULL too, but where a join has compared it, it has one.
    pub(super) fn present(&mut self, c: &Column, open: &Open) -> Option<Expr> {
        let origin = self.origin(c, open)?;
        let exact = match self.treated(origin) {
            // Of a constant, composite values may be otherwise.
            Some(Treatment::Mask(mask)) => !mask.is_constant(),
            Some(Treatment::Token(token)) => !token.is_guarded(),
            Some(Treatment::Clear | Treatment::Nullify | Treatment::Deny) => false,
            None => self.is_guarded_text(origin).is_some() && self.proved.contains(c),
        };
        if !exact {
            return None;
        }
        self.carried(c, open, &str::to_owned)
    }

    /// `a = b` of two masked relations. PostgreSQL has no statistics of a computed column and takes it
    /// for 200 distinct values, so a join of 2,000 rows with 10,000 looked like 100,000 rows worth a
    /// nested loop that a LIMIT ends soon; it ran for 26 s, and for 50 ms with two conditions, whose
    /// selectivities multiply. The second says nothing new: equal masks are both there. It is an equality
    /// too, or a merge would be taken for as long as the first alone would make it. Under "C" equal
    /// texts are the same bytes, as under every deterministic collation, and are sorted much faster.
    pub(super) fn joined(
        &mut self,
        l: &Column,
        op: &Operator,
        r: &Column,
        open: &Open,
    ) -> Option<Expr> {
        if !self.filters || l.qualifier == r.qualifier {
            return None;
        }
        let (left, right) = (self.origin(l, open)?, self.origin(r, open)?);
        let (a, b) = (self.attribute(left)?, self.attribute(right)?);
        // Of columns with collations of their own PostgreSQL may know none to compare by.
        if a.collation != b.collation {
            return None;
        }
        let same_type = a.type_oid == b.type_oid && a.deterministic && b.deterministic;
        let computed = |c| self.rewrite.computed.contains(&c);
        if !(computed(left) && computed(right)) {
            let guarded = same_type
                && self.is_guarded_text(left).is_some()
                && self.is_guarded_text(right).is_some();
            return guarded.then(|| self.stored_alike(l, op, r, open)).flatten();
        }
        let bytes = |c: &Column| {
            let column = Box::new(Expr::Column(c.clone()));
            Box::new(Expr::Collate(column, Name::builtin("C")))
        };
        self.fences.joined.extend([left.0, right.0]);
        let mut all = vec![Expr::Binary(bytes(l), op.clone(), bytes(r))];
        // A query inside another is compared by that alone: PostgreSQL hashes its rows once then.
        let of_level = (is_of(l, &self.level), is_of(r, &self.level));
        match of_level {
            (true, false) => all.extend(self.looked_up(l, r, open)),
            (false, true) => all.extend(self.looked_up(r, l, open)),
            _ => {}
        }
        if of_level == (true, true) {
            let number = |x: &str| format!("pg_catalog.num_nonnulls({x})");
            let there = (
                Box::new(self.carried(l, open, &number)?),
                Box::new(self.carried(r, open, &number)?),
            );
            all.push(Expr::Binary(there.0, op.clone(), there.1));
        }
        for c in [l, r] {
            if is_of(c, &self.nullable)
                && let Some(present) = self.present(c, open)
            {
                all.push(Expr::Test(Box::new(present), BoolTest::NotNull));
            }
        }
        Some(match all.as_slice() {
            [one] => one.clone(),
            _ => Expr::And(all),
        })
    }

    /// The same of tokens that keep a shape, of one domain: whether a value has a token follows from the
    /// value, so that it is asked of one side only, and an index of the stored values serves. Where a row
    /// could make the statement fail, PostgreSQL must not meet two equal values without a token: there the
    /// tokens are looked up.
    fn stored_alike(&mut self, l: &Column, op: &Operator, r: &Column, open: &Open) -> Option<Expr> {
        if self.exactly {
            let (inner, outer) = match (is_of(l, &self.level), is_of(r, &self.level)) {
                (true, false) => (l, r),
                (false, true) => (r, l),
                _ => return None,
            };
            let found = self.looked_up(inner, outer, open)?;
            let side = |c: &Column| Box::new(Expr::Column(c.clone()));
            return Some(Expr::And(vec![
                Expr::Binary(side(l), op.clone(), side(r)),
                found,
            ]));
        }
        let stored = |h: &mut Self, c| h.carried(c, open, &str::to_owned).map(Box::new);
        let equal = Expr::Binary(stored(self, l)?, op.clone(), stored(self, r)?);
        let asked = [&self.nullable, &self.level];
        let of_one = |set: &&BTreeSet<Ident>| is_of(l, set) != is_of(r, set);
        let right = asked
            .into_iter()
            .find(of_one)
            .is_some_and(|set| is_of(r, set));
        let guarded = Expr::Column(if right { r.clone() } else { l.clone() });
        let there = Expr::Test(Box::new(guarded), BoolTest::NotNull);
        Some(Expr::And(vec![equal, there]))
    }

    fn attribute(&self, (id, attnum): (RelationId, AttrNumber)) -> Option<&Attribute> {
        self.lineage.relation(id)?.relation.attribute(attnum)
    }
}

/// Is it a column of one of these?
fn is_of(c: &Column, aliases: &BTreeSet<Ident>) -> bool {
    c.qualifier.as_ref().is_some_and(|q| aliases.contains(q))
}

/// The columns that are equal to something wherever the condition holds.
fn compared(on: &Expr) -> Vec<&Column> {
    match on {
        Expr::And(all) => all.iter().flat_map(compared).collect(),
        Expr::Binary(l, op, r) if is_builtin(op) && &*op.symbol == "=" => match (&**l, &**r) {
            (Expr::Column(l), Expr::Column(r)) => vec![l, r],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Keeps a LIMIT from PostgreSQL's planner, which reads how many rows are wanted from a constant. It knows
/// too little of a join of masks to tell when a nested loop would have found them: it took 100 rows of
/// 30,000 for a matter of moments, and ran for 7 s.
pub(super) fn limit_later(q: &mut Query) {
    let Some(limit) = q.limit.as_mut().filter(|limit| !limit.with_ties) else {
        return;
    };
    let constant = match &limit.count {
        Some(Expr::Literal(Literal::Number(n))) => n.value().bytes().all(|b| b.is_ascii_digit()),
        Some(Expr::Param(_)) => true,
        _ => false,
    };
    if constant && let Some(count) = limit.count.take() {
        limit.count = Some(super::indexed::once(count));
    }
}
