//! Queries: WITH, set operations, SELECT, VALUES, and the clauses around them.

use super::pinned::Place;
use super::{Printed, Printer, RelationForm, Unsupported, unresolved};
use crate::ident::Ident;
use crate::sql::tree::{
    Cte, Distinct, Expr, GroupItem, Limit, Literal, LockStrength, LockWait, Locking, Query, Select,
    SelectItem, SetExpr, SetOp, Star, With,
};

impl Printer<'_> {
    /// A query without parentheses around it.
    pub(super) fn query(&mut self, query: &Query) -> Printed {
        let scope = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        // A sort key may have to be the very text of an item, so it shares the SELECT's checks.
        let outermost = self.begin_pinned();
        let place = match &query.body {
            SetExpr::Select(select) => self.select(select)?,
            body => {
                self.cancel_pinned(outermost);
                self.set_expr(body)?;
                Place::None
            }
        };
        if !query.order_by.is_empty() {
            self.push(" ORDER BY ");
            self.order_by(&query.order_by)?;
        }
        self.end_pinned(outermost, place);
        if let Some(limit) = &query.limit {
            self.limit(limit)?;
        }
        for locking in &query.locking {
            self.locking(locking)?;
        }
        self.ctes.truncate(scope);
        Ok(())
    }

    /// `WITH …`, with its names put in scope; the caller truncates [`Printer::ctes`] afterwards.
    pub(super) fn with(&mut self, with: &With) -> Printed {
        self.push(if with.recursive {
            "WITH RECURSIVE "
        } else {
            "WITH "
        });
        if with.recursive {
            self.ctes.extend(with.ctes.iter().map(|c| c.name.clone()));
        }
        self.separated(&with.ctes, ", ", |p, cte| {
            p.cte(cte)?;
            if !with.recursive {
                p.ctes.push(cte.name.clone());
            }
            Ok(())
        })?;
        self.push(" ");
        Ok(())
    }

    fn cte(&mut self, cte: &Cte) -> Printed {
        self.ident(&cte.name)?;
        if !cte.columns.is_empty() {
            self.push(" (");
            self.idents(&cte.columns)?;
            self.push(")");
        }
        self.push(match cte.materialized {
            None => " AS (",
            Some(true) => " AS MATERIALIZED (",
            Some(false) => " AS NOT MATERIALIZED (",
        });
        self.statement(&cte.body)?;
        self.push(")");
        if let Some(search) = &cte.search {
            self.push(if search.depth_first {
                " SEARCH DEPTH FIRST BY "
            } else {
                " SEARCH BREADTH FIRST BY "
            });
            self.idents(&search.by)?;
            self.push(" SET ");
            self.ident(&search.set)?;
        }
        if let Some(cycle) = &cte.cycle {
            self.push(" CYCLE ");
            self.idents(&cycle.columns)?;
            self.push(" SET ");
            self.ident(&cycle.mark)?;
            if let Some((value, otherwise)) = &cycle.values {
                self.push(" TO ");
                self.cycle_mark(value)?;
                self.push(" DEFAULT ");
                self.cycle_mark(otherwise)?;
            }
            self.push(" USING ");
            self.ident(&cycle.path)?;
        }
        Ok(())
    }

    /// A constant, where the grammar takes nothing else: `1`, `'x'`, `type 'x'`.
    fn cycle_mark(&mut self, value: &Expr) -> Printed {
        match value {
            Expr::Literal(_) => self.expr(value),
            Expr::Cast(inner, ty) if matches!(**inner, Expr::Literal(Literal::String(_))) => {
                self.type_name(ty)?;
                self.push(" ");
                self.expr(inner)
            }
            _ => Err(unresolved("a mark of CYCLE that is not a constant")),
        }
    }

    fn set_expr(&mut self, body: &SetExpr) -> Printed {
        match body {
            SetExpr::Select(select) => {
                let outermost = self.begin_pinned();
                let place = self.select(select)?;
                self.end_pinned(outermost, place);
                Ok(())
            }
            SetExpr::Query(query) => {
                self.push("(");
                self.query(query)?;
                self.push(")");
                Ok(())
            }
            SetExpr::Values(rows) => {
                self.push("VALUES ");
                if self.shape && rows.len() > 1 {
                    self.values_row(rows.first().map_or(&[], Vec::as_slice))?;
                    self.push(", …");
                    return Ok(());
                }
                self.separated(rows, ", ", |p, row| p.values_row(row))
            }
            SetExpr::Chain { first, rest } => self.chain(first, rest),
        }
    }

    fn values_row(&mut self, row: &[Expr]) -> Printed {
        self.push("(");
        self.list(row)?;
        self.push(")");
        Ok(())
    }

    /// A left-associative chain. INTERSECT binds tighter, so what stands to the left of one is put
    /// in parentheses when it holds a UNION or EXCEPT.
    fn chain(&mut self, first: &SetExpr, rest: &[(SetOp, bool, SetExpr)]) -> Printed {
        let mut loose = false;
        let mut close_before = Vec::new();
        for (i, (op, _, _)) in rest.iter().enumerate() {
            match op {
                SetOp::Intersect if loose => {
                    close_before.push(i);
                    loose = false;
                }
                SetOp::Intersect => {}
                SetOp::Union | SetOp::Except => loose = true,
            }
        }
        for _ in &close_before {
            self.push("(");
        }
        self.arm(first)?;
        let mut closing = close_before.into_iter().peekable();
        for (i, (op, all, arm)) in rest.iter().enumerate() {
            if closing.next_if_eq(&i).is_some() {
                self.push(")");
            }
            self.push(match op {
                SetOp::Union => " UNION ",
                SetOp::Intersect => " INTERSECT ",
                SetOp::Except => " EXCEPT ",
            });
            self.push(if *all { "ALL " } else { "" });
            self.arm(arm)?;
        }
        Ok(())
    }

    fn arm(&mut self, arm: &SetExpr) -> Printed {
        match arm {
            SetExpr::Chain { first, rest } => {
                self.push("(");
                self.chain(first, rest)?;
                self.push(")");
                Ok(())
            }
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => self.set_expr(arm),
        }
    }

    /// One SELECT, up to its WINDOW clause, and where its checks go.
    fn select(&mut self, select: &Select) -> Result<Place, Unsupported> {
        self.push("SELECT");
        match &select.distinct {
            None => {}
            Some(Distinct::All) => self.push(" DISTINCT"),
            Some(Distinct::On(keys)) => {
                self.push(" DISTINCT ON (");
                self.list(keys)?;
                self.push(")");
            }
        }
        if !select.items.is_empty() {
            self.push(" ");
            self.items(&select.items)?;
        }
        if let Some((name, temporary)) = &select.into {
            self.resolved(*temporary, "INTO a table that is not temporary")?;
            self.push(if *temporary {
                " INTO TEMPORARY TABLE "
            } else {
                " INTO TABLE "
            });
            self.name(name)?;
        }
        if !select.from.is_empty() {
            self.push(" FROM ");
            self.separated(&select.from, ", ", Self::table_ref)?;
        }
        let place = self.pinned_filter(select.filter.as_ref())?;
        if !select.group_by.is_empty() {
            self.push(if select.group_distinct {
                " GROUP BY DISTINCT "
            } else {
                " GROUP BY "
            });
            self.separated(&select.group_by, ", ", Self::group_item)?;
        }
        if let Some(having) = &select.having {
            self.push(" HAVING ");
            self.expr(having)?;
        }
        if !select.windows.is_empty() {
            self.push(" WINDOW ");
            self.separated(&select.windows, ", ", |p, (name, window)| {
                p.ident(name)?;
                p.push(" AS ");
                p.window(window)
            })?;
        }
        Ok(place)
    }

    /// A select list or RETURNING list: `expr AS "name"`, so that no name depends on how PostgreSQL
    /// would call an expression.
    pub(super) fn items(&mut self, items: &[SelectItem]) -> Printed {
        self.separated(items, ", ", |p, item| match item {
            SelectItem::Expr { expr, alias } => {
                p.resolved(alias.is_some(), "a select item without a name")?;
                p.expr(expr)?;
                if let Some(alias) = alias.as_ref().filter(|a| !p.is_called(expr, a)) {
                    p.push(" AS ");
                    p.ident(alias)?;
                }
                Ok(())
            }
            SelectItem::Star(star) => {
                p.resolved(false, "a star")?;
                if let Star::Of(name) = star {
                    p.name(name)?;
                    p.push(".");
                }
                p.push("*");
                Ok(())
            }
            SelectItem::FieldStar(expr) => {
                p.resolved(false, "a star")?;
                p.push("(");
                p.expr(expr)?;
                p.push(").*");
                Ok(())
            }
        })
    }

    /// Is it a column of that name, written as itself?
    fn is_called(&self, expr: &Expr, alias: &Ident) -> bool {
        let Expr::Column(column) = expr else {
            return false;
        };
        let masked = column.base.is_some_and(|(id, attnum)| {
            matches!(self.rewrite.relations.get(&id),
                Some(RelationForm::InPlace(masks)) if masks.contains_key(&attnum))
        });
        column.name == *alias && !masked
    }

    fn group_item(&mut self, item: &GroupItem) -> Printed {
        match item {
            // `(a, b)` is two keys, `ROW(a, b)` is one.
            GroupItem::Expr(Expr::Row {
                fields,
                explicit: false,
            }) if fields.len() > 1 => self.values_row(fields),
            GroupItem::Expr(expr) => self.expr(expr),
            GroupItem::Empty => {
                self.push("()");
                Ok(())
            }
            GroupItem::Rollup(sets) => self.grouping("ROLLUP (", sets),
            GroupItem::Cube(sets) => self.grouping("CUBE (", sets),
            GroupItem::Sets(items) => {
                self.push("GROUPING SETS (");
                self.separated(items, ", ", Self::group_item)?;
                self.push(")");
                Ok(())
            }
            GroupItem::List(keys) => self.values_row(keys),
        }
    }

    fn grouping(&mut self, opening: &str, sets: &[Vec<Expr>]) -> Printed {
        self.push(opening);
        self.separated(sets, ", ", |p, set| match set.as_slice() {
            [] => Err(unresolved("an empty grouping element")),
            [one] => p.expr(one),
            many => p.values_row(many),
        })?;
        self.push(")");
        Ok(())
    }

    fn limit(&mut self, limit: &Limit) -> Printed {
        if let Some(offset) = &limit.offset {
            self.push(" OFFSET (");
            self.expr(offset)?;
            self.push(")");
        }
        match (&limit.count, limit.with_ties) {
            (None, false) => {}
            (None, true) => return Err(unresolved("WITH TIES without a count")),
            (Some(count), false) => {
                self.push(" LIMIT (");
                self.expr(count)?;
                self.push(")");
            }
            (Some(count), true) => {
                self.push(" FETCH FIRST (");
                self.expr(count)?;
                self.push(") ROWS WITH TIES");
            }
        }
        Ok(())
    }

    fn locking(&mut self, locking: &Locking) -> Printed {
        self.push(match locking.strength {
            LockStrength::Update => " FOR UPDATE",
            LockStrength::NoKeyUpdate => " FOR NO KEY UPDATE",
            LockStrength::Share => " FOR SHARE",
            LockStrength::KeyShare => " FOR KEY SHARE",
        });
        if !locking.of.is_empty() {
            self.push(" OF ");
            self.separated(&locking.of, ", ", |p, name| {
                p.resolved(name.parts.len() == 1, "FOR UPDATE OF a qualified name")?;
                p.name(name)
            })?;
        }
        self.push(match locking.wait {
            LockWait::Block => "",
            LockWait::NoWait => " NOWAIT",
            LockWait::SkipLocked => " SKIP LOCKED",
        });
        Ok(())
    }
}
