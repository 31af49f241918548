//! `a = b` of masked columns of two relations, where it chooses rows: written so that PostgreSQL finds the
//! plan it would find for stored columns.
//!
//! Deliberately absent: whatever is not a condition. There FALSE is not NULL.

use super::hidden::{Hidden, Open};
use crate::ident::Ident;
use crate::sql::tree::{BoolTest, Column, Expr, Name, Operator};

impl Hidden<'_> {
    /// `a = b` of two masked relations. PostgreSQL has no statistics of a computed column and takes it
    /// for 200 distinct values, so a join of 2,000 rows with 10,000 looked like 100,000 rows worth a
    /// nested loop that a LIMIT ends soon; it ran for 26 s, and for 50 ms with two conditions, whose
    /// selectivities multiply. The second says nothing new: equal masks are both there. Under "C" equal
    /// texts are the same bytes, as under every deterministic collation, and are sorted much faster.
    pub(super) fn joined(
        &mut self,
        l: &Column,
        op: &Operator,
        r: &Column,
        open: &Open,
    ) -> Option<Expr> {
        if !self.filters {
            return None;
        }
        let computed = |c: &Column| c.base.filter(|b| self.rewrite.computed.contains(b));
        let (left, right) = (computed(l)?, computed(r)?);
        let both = open.contains_key(&left.0) && open.contains_key(&right.0);
        // Of columns with collations of their own PostgreSQL may know none to compare by.
        let collation = |(id, attnum)| {
            let column = self.lineage.relation(id)?.relation.attribute(attnum)?;
            Some(&column.collation)
        };
        if left.0 == right.0 || !both || collation(left)? != collation(right)? {
            return None;
        }
        let present = |x: &str| Some(format!("pg_catalog.num_nonnulls({x})"));
        let there = (
            self.column(l, open, present)?,
            self.column(r, open, present)?,
        );
        let bytes = |c: &Column| {
            let parts = vec![Ident::exact("pg_catalog"), Ident::exact("C")];
            let collation = Name { parts, position: 0 };
            Box::new(Expr::Collate(Box::new(Expr::Column(c.clone())), collation))
        };
        // Not as an equality PostgreSQL could join by.
        let there = Expr::Binary(Box::new(there.0), op.clone(), Box::new(there.1));
        Some(Expr::And(vec![
            Expr::Binary(bytes(l), op.clone(), bytes(r)),
            Expr::Test(Box::new(there), BoolTest::NotFalse),
        ]))
    }
}
