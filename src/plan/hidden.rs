//! Questions about masked columns that the masked relation answers itself, in hidden columns: cheaper
//! than a mask of every row that is then compared.
//!
//! | in the statement | the hidden column |
//! |---|---|
//! | `mask IS NULL` | the stored value, for that test alone (see `present`) |
//! | `mask = 'constant'`, `IN`, `LIKE 'beginning%'`, a member of a document | [`CompiledMask::ask`] |
//! | `mask = mask` of two relations | is there a value, as a number (see [`Hidden::joined`]) |
//!
//! A hidden column is a function of what the mask shows, NULL for NULL, so that the statement means the
//! same and an outer join may take it for the column it stands for.
//!
//! On the way, what is grouped is masked [`once`], and indexes serve tokens (`served`).
//!
//! Deliberately absent: grouped columns, beside which a new one would not be grouped, relations masked in
//! place, which have no derived table, and queries that are grouped by, which have to stay what they are.

use std::collections::{BTreeSet, HashMap};

use super::decide::Decisions;
use super::fenced::Fences;
use super::handed::{Handed, Open};
use super::indexed::{Repeated, is_lateral};
use super::once::once;
use super::order::raising;
use crate::analyze::lineage::Lineage;
use crate::ident::Ident;
use crate::refusal::Refusal;
use crate::sql::print::{DerivedColumn, INNER_ALIAS, RelationForm, Rewrite};
use crate::sql::tree::{
    BoolTest, Column, Distinct, Expr, GroupItem, Operator, OrderItem, Part, Query, RelationId,
    Select, SelectItem, SetExpr, Statement, TableRef, Walked,
};

/// A longer list is compared with the mask, once.
const MAX_MEMBERS: usize = 4;

/// One walk over one resolved statement.
pub(super) struct Hidden<'a> {
    pub(super) lineage: &'a Lineage,
    pub(super) decisions: &'a Decisions,
    pub(super) rewrite: &'a mut Rewrite,
    /// Hidden columns by relation and SQL.
    made: HashMap<(RelationId, String), Ident>,
    /// No query has been entered yet.
    outermost: bool,
    /// What is walked chooses rows, so that an index may serve it.
    pub(super) chooses: bool,
    /// And to be false is the same there as to be NULL.
    pub(super) filters: bool,
    /// Not with a condition that is wider than what the mask shows: that a row fails would tell of it.
    pub(super) exactly: bool,
    /// The aliases of the FROM items of the query that is walked.
    pub(super) level: BTreeSet<Ident>,
    /// And those of them whose rows the join whose condition is walked may leave out.
    pub(super) nullable: BTreeSet<Ident>,
    /// Queries that hand columns of masked relations on; none where someone reads whole rows of queries.
    pub(super) handed: Vec<Handed>,
    /// Columns that are NULL only in rows that a join has left out, whose condition has compared them.
    pub(super) proved: Vec<Column>,
    /// The query that comes next runs for each row around it.
    each_row: bool,
    /// What is known of the query that is walked, if it does.
    pub(super) repeats: Option<Repeated>,
    /// Masks of one FROM item of it are compared with another.
    pub(super) joins: bool,
    pub(super) fences: Fences,
    pub(super) hands: bool,
}

/// Moves the questions of a query into its masked relations.
pub(super) fn hide(
    statement: &mut Statement,
    lineage: &Lineage,
    decisions: &Decisions,
    rewrite: &mut Rewrite,
) -> Result<(), Refusal> {
    let Statement::Query(query) = statement else {
        return Ok(());
    };
    let mut hidden = Hidden {
        exactly: raising::everywhere(lineage) || raising::choosing(query),
        hands: !super::handed::whole_rows(query),
        handed: Vec::new(),
        level: BTreeSet::new(),
        nullable: BTreeSet::new(),
        proved: Vec::new(),
        each_row: false,
        repeats: None,
        joins: false,
        fences: Fences::default(),
        lineage,
        decisions,
        rewrite,
        made: HashMap::new(),
        outermost: true,
        chooses: false,
        filters: false,
    };
    hidden.query(query, &Open::default())?;
    hidden.fence();
    Ok(())
}

impl Hidden<'_> {
    /// Walks a query, and says which it is among those that hand columns on.
    fn query(&mut self, q: &mut Query, open: &Open) -> Result<Option<usize>, Refusal> {
        let outermost = std::mem::take(&mut self.outermost);
        let Some(with) = &mut q.with else {
            return self.bodied(q, open, outermost);
        };
        let each_row = std::mem::take(&mut self.each_row);
        let mut seen = open.clone();
        if with.recursive {
            seen.forget(with);
        }
        for cte in &mut with.ctes {
            let handed = match &mut *cte.body {
                Statement::Query(body) => self.query(body, &seen)?,
                _ => None,
            };
            let plain = cte.search.is_none() && cte.cycle.is_none();
            self.name(cte, handed.filter(|_| plain), &mut seen);
        }
        self.each_row = each_row;
        let handed = self.bodied(q, &seen, outermost)?;
        if let Some(with) = &mut q.with {
            self.write_with(with);
        }
        Ok(handed)
    }

    fn bodied(
        &mut self,
        q: &mut Query,
        open: &Open,
        outermost: bool,
    ) -> Result<Option<usize>, Refusal> {
        let partial = q.limit.is_some() || !outermost;
        // PostgreSQL locks the rows of queries in FROM along with those of the query around them.
        self.fences.locks |= !q.locking.is_empty();
        let repeats = std::mem::take(&mut self.each_row).then(|| self.repeated(q));
        let SetExpr::Select(select) = &mut q.body else {
            return self.body(&mut q.body, open).map(|()| None);
        };
        let around = std::mem::replace(&mut self.repeats, repeats.flatten());
        let rows = self.select(select, &mut q.order_by, open)?;
        if let Some(repeats) = std::mem::replace(&mut self.repeats, around) {
            repeats.finish(q);
        }
        let own = rows
            .relations
            .keys()
            .filter(|id| !open.relations.contains_key(id));
        self.limited(q, own.copied().filter(|_| !rows.joins));
        if rows.joins {
            super::joined::limit_later(q);
        }
        let handed = self.hands(q, &rows);
        let SetExpr::Select(select) = &mut q.body else {
            return Ok(handed);
        };
        once(
            select,
            &mut q.order_by,
            partial,
            self.lineage,
            self.decisions,
        )?;
        Ok(handed)
    }

    fn body(&mut self, body: &mut SetExpr, open: &Open) -> Walked {
        match body {
            SetExpr::Select(select) => {
                let around = self.repeats.take();
                self.select(select, &mut [], open)?;
                self.repeats = around;
                Ok(())
            }
            SetExpr::Query(q) => self.query(q, open).map(|_| ()),
            SetExpr::Values(rows) => self.exprs(rows.iter_mut().flatten(), open),
            SetExpr::Chain { first, rest } => {
                self.body(first, open)?;
                rest.iter_mut()
                    .try_for_each(|(_, _, arm)| self.body(arm, open))
            }
        }
    }

    /// Walks a SELECT, and returns what may be asked about in it.
    fn select(
        &mut self,
        s: &mut Select,
        order_by: &mut [OrderItem],
        open: &Open,
    ) -> Result<Open, Refusal> {
        let level = s.from.iter().flat_map(TableRef::aliases).cloned().collect();
        let level = std::mem::replace(&mut self.level, level);
        let nullable = std::mem::take(&mut self.nullable);
        let proved = std::mem::take(&mut self.proved);
        let joins = std::mem::take(&mut self.joins);
        let mut rows = open.within(&s.from);
        for table in &s.from {
            self.relations(table, &mut rows);
        }
        self.clauses(s, order_by, &mut rows, open)?;
        for table in &mut s.from {
            self.write_table(table);
        }
        rows.joins = std::mem::replace(&mut self.joins, joins);
        self.level = level;
        self.nullable = nullable;
        self.proved = proved;
        Ok(rows)
    }

    fn clauses(
        &mut self,
        s: &mut Select,
        order_by: &mut [OrderItem],
        rows: &mut Open,
        open: &Open,
    ) -> Walked {
        let chooses = std::mem::replace(&mut self.chooses, true);
        for table in &mut s.from {
            self.table(table, rows)?;
        }
        (s.filter.iter_mut()).try_for_each(|filter| self.condition(filter, rows))?;
        self.chooses = false;
        // What stands after GROUP BY must be grouped, and there a column is, not what is asked of it.
        let seen = if s.group_by.is_empty() { &*rows } else { open };
        if s.group_by.iter_mut().any(GroupItem::has_query) {
            self.chooses = chooses;
            return Ok(());
        }
        let items = s.items.iter_mut().filter_map(|i| match i {
            SelectItem::Expr { expr, .. } => Some(expr),
            SelectItem::Star(..) | SelectItem::FieldStar(_) => None,
        });
        self.exprs(items, seen)?;
        if let Some(Distinct::On(keys)) = &mut s.distinct {
            self.exprs(keys, seen)?;
        }
        self.exprs(&mut s.having, seen)?;
        for (_, window) in &mut s.windows {
            window.parts(&mut |part| self.part(part, seen))?;
        }
        self.exprs(order_by.iter_mut().map(|o| &mut o.expr), seen)?;
        self.chooses = chooses;
        Ok(())
    }

    /// The masked relations of a FROM item, but not those behind the alias of a join.
    fn relations(&mut self, table: &TableRef, rows: &mut Open) {
        match table {
            TableRef::Relation(r) => {
                let Some(alias) = r.alias.as_ref() else {
                    return;
                };
                match (r.id, r.name.parts.as_slice()) {
                    (Some(id), _) => {
                        if let Some(RelationForm::Derived(_)) = self.rewrite.relations.get(&id) {
                            rows.relations.insert(id, alias.name.clone());
                        }
                    }
                    (None, [cte]) => self.refer(cte, alias, rows),
                    (None, _) => {}
                }
            }
            TableRef::Join {
                left,
                right,
                alias: None,
                ..
            } => {
                self.relations(left, rows);
                self.relations(right, rows);
            }
            TableRef::Join { .. }
            | TableRef::Derived { .. }
            | TableRef::Function(_)
            | TableRef::Keyword(_) => {}
        }
    }

    pub(super) fn table(&mut self, table: &mut TableRef, rows: &mut Open) -> Walked {
        match table {
            TableRef::Derived {
                query,
                alias,
                lateral,
            } => {
                self.each_row = *lateral && is_lateral(query);
                let handed = self.query(query, rows)?;
                if let Some(alias) = alias {
                    self.call(alias, handed, rows);
                }
                Ok(())
            }
            TableRef::Join { alias: Some(_), .. } => self.join(table, &mut rows.clone()),
            TableRef::Join { .. } => self.join(table, rows),
            TableRef::Function(f) => {
                let args = f.functions.iter_mut().flat_map(|i| &mut i.call.args);
                self.exprs(args.map(|a| &mut a.value), rows)
            }
            TableRef::Relation(_) | TableRef::Keyword(_) => Ok(()),
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e mut Expr>, open: &Open) -> Walked {
        exprs.into_iter().try_for_each(|e| self.expr(e, open))
    }

    fn part(&mut self, part: Part<'_>, open: &Open) -> Walked {
        match part {
            Part::Expr(e) => self.expr(e, open),
            Part::Query(q) => self.query(q, open).map(|_| ()),
        }
    }

    pub(super) fn expr(&mut self, e: &mut Expr, open: &Open) -> Walked {
        if let Some(answer) = self.answer(e, open) {
            *e = answer;
            return Ok(());
        }
        let filters = self.filters;
        self.filters &= matches!(e, Expr::And(_) | Expr::Or(_));
        self.each_row = matches!(e, Expr::Subquery(_) | Expr::ArrayQuery(_));
        let done = e.parts(&mut |part| self.part(part, open));
        self.each_row = false;
        self.filters = filters;
        done
    }

    /// What stands for an expression that a hidden column answers.
    fn answer(&mut self, e: &Expr, open: &Open) -> Option<Expr> {
        match e {
            Expr::Binary(left, op, right) if is_builtin(op) => {
                match (&**left, &*op.symbol, &**right) {
                    (Expr::Column(l), "=", Expr::Column(r)) => self.joined(l, op, r, open),
                    (Expr::Column(c), symbol, constant)
                    | (constant, symbol @ ("=" | "<>"), Expr::Column(c)) => {
                        // A constant beside any other column is not looked at.
                        self.mask(c)?;
                        self.compared(c, symbol, self.text(constant)?, open)
                    }
                    _ => None,
                }
            }
            Expr::InList {
                expr,
                list,
                negated,
            } if list.len() <= MAX_MEMBERS => {
                let Expr::Column(c) = &**expr else {
                    return None;
                };
                self.mask(c)?;
                let chooses = self.chooses;
                self.chooses &= !negated;
                let members: Option<Vec<Expr>> = list
                    .iter()
                    .map(|m| self.compared(c, "=", self.text(m)?, open))
                    .collect();
                self.chooses = chooses;
                let any = match members?.as_slice() {
                    [one] => one.clone(),
                    many => Expr::Or(many.to_vec()),
                };
                Some(if *negated {
                    Expr::Not(Box::new(any))
                } else {
                    any
                })
            }
            Expr::Test(inner, test @ (BoolTest::Null | BoolTest::NotNull)) => {
                let Expr::Column(c) = &**inner else {
                    return None;
                };
                let present = self.present(c, open)?;
                Some(Expr::Test(Box::new(present), *test))
            }
            _ => None,
        }
    }

    /// A hidden column of the relation `c` is of, from the stored column's SQL.
    pub(super) fn column(
        &mut self,
        c: &Column,
        open: &Open,
        sql: impl FnOnce(&str) -> Option<String>,
    ) -> Option<Expr> {
        let (id, _) = c.base?;
        if open.relations.get(&id) != c.qualifier.as_ref() {
            return None;
        }
        self.made(c, sql)
    }

    /// The same, of a relation that is known to have hidden columns.
    pub(super) fn made(
        &mut self,
        c: &Column,
        sql: impl FnOnce(&str) -> Option<String>,
    ) -> Option<Expr> {
        let (id, attnum) = c.base?;
        let relation = &self.lineage.relation(id)?.relation;
        let mut stored = Ident::exact(INNER_ALIAS).quoted();
        stored.push('.');
        relation.attribute(attnum)?.name.quote_into(&mut stored);
        let sql = sql(&stored)?;
        let Some(RelationForm::Derived(derived)) = self.rewrite.relations.get_mut(&id) else {
            return None;
        };
        let made = self.made.entry((id, sql)).or_insert_with_key(|(_, sql)| {
            // A blank is in it so that no tool makes such a column by accident; should someone have
            // done so on purpose, the next number is taken.
            let taken = |name: &Ident| {
                relation.columns.iter().any(|c| c.name == *name)
                    || derived.columns.iter().any(|c| c.name == *name)
            };
            let mut number = 0_u32;
            let mut name = Ident::exact("pgveil 0");
            while taken(&name) {
                number = number.saturating_add(1);
                name = Ident::exact(&format!("pgveil {number}"));
            }
            derived.columns.push(DerivedColumn {
                name: name.clone(),
                sql: sql.clone(),
            });
            name
        });
        Some(Expr::Column(Column {
            qualifier: c.qualifier.clone(),
            name: made.clone(),
            base: None,
            position: c.position,
        }))
    }
}

pub(super) fn is_builtin(op: &Operator) -> bool {
    op.schema.as_ref().is_some_and(|s| *s == "pg_catalog")
}
