//! Questions about masked columns that the masked relation answers itself, in hidden columns: cheaper
//! than a mask of every row that is then compared.
//!
//! | in the statement | the hidden column |
//! |---|---|
//! | `mask IS NULL` | is there a value? |
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

use std::collections::{BTreeMap, HashMap};

use super::decide::{Decisions, Place};
use super::once::once;
use super::order::raising;
use crate::analyze::ColumnForm;
use crate::analyze::lineage::{Lineage, Source};
use crate::catalog::Index;
use crate::ident::Ident;
use crate::mask::{CompiledMask, Question};
use crate::pg::AttrNumber;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::print::{DerivedColumn, INNER_ALIAS, RelationForm, Rewrite};
use crate::sql::tree::{
    BoolTest, Column, Distinct, Expr, GroupItem, JoinConstraint, Literal, Operator, OrderItem,
    Part, Query, RelationId, Select, SelectItem, SetExpr, Statement, TableRef, Walked,
};

/// A longer list is compared with the mask, once.
const MAX_MEMBERS: usize = 4;

/// Relations whose columns may be asked about here, with their aliases.
pub(super) type Open = BTreeMap<RelationId, Ident>;

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
    chooses: bool,
    /// And to be false is the same there as to be NULL.
    pub(super) filters: bool,
    /// Not with a range that is wider than what the mask shows: that a row fails would tell of it.
    exactly: bool,
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
    let exactly = raising::everywhere(lineage) || raising::choosing(query);
    let mut hidden = Hidden {
        exactly,
        lineage,
        decisions,
        rewrite,
        made: HashMap::new(),
        outermost: true,
        chooses: false,
        filters: false,
    };
    hidden.query(query, &Open::new())
}

impl Hidden<'_> {
    fn query(&mut self, q: &mut Query, open: &Open) -> Walked {
        let outermost = std::mem::take(&mut self.outermost);
        for cte in q.with.iter_mut().flat_map(|w| &mut w.ctes) {
            if let Statement::Query(body) = &mut *cte.body {
                self.query(body, open)?;
            }
        }
        match &mut q.body {
            SetExpr::Select(select) => {
                let partial = q.limit.is_some() || !outermost;
                self.select(select, &mut q.order_by, open)?;
                once(
                    select,
                    &mut q.order_by,
                    partial,
                    self.lineage,
                    self.decisions,
                )
            }
            body => self.body(body, open),
        }
    }

    fn body(&mut self, body: &mut SetExpr, open: &Open) -> Walked {
        match body {
            SetExpr::Select(select) => self.select(select, &mut [], open),
            SetExpr::Query(q) => self.query(q, open),
            SetExpr::Values(rows) => self.exprs(rows.iter_mut().flatten(), open),
            SetExpr::Chain { first, rest } => {
                self.body(first, open)?;
                rest.iter_mut()
                    .try_for_each(|(_, _, arm)| self.body(arm, open))
            }
        }
    }

    fn select(&mut self, s: &mut Select, order_by: &mut [OrderItem], open: &Open) -> Walked {
        let mut rows = open.clone();
        for table in &s.from {
            self.relations(table, &mut rows);
        }
        let chooses = std::mem::replace(&mut self.chooses, true);
        for table in &mut s.from {
            self.table(table, &rows)?;
        }
        (s.filter.iter_mut()).try_for_each(|filter| self.condition(filter, &rows))?;
        self.chooses = false;
        // What stands after GROUP BY must be grouped, and there a column is, not what is asked of it.
        let seen = if s.group_by.is_empty() { &rows } else { open };
        if s.group_by.iter_mut().any(GroupItem::has_query) {
            self.chooses = chooses;
            return Ok(());
        }
        let items = s.items.iter_mut().filter_map(|i| match i {
            SelectItem::Expr { expr, .. } => Some(expr),
            SelectItem::Star(_) | SelectItem::FieldStar(_) => None,
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
    fn relations(&self, table: &TableRef, rows: &mut Open) {
        match table {
            TableRef::Relation(r) => {
                let Some((id, alias)) = r.id.zip(r.alias.as_ref()) else {
                    return;
                };
                if let Some(RelationForm::Derived(_)) = self.rewrite.relations.get(&id) {
                    rows.insert(id, alias.name.clone());
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

    fn table(&mut self, table: &mut TableRef, rows: &Open) -> Walked {
        match table {
            TableRef::Derived { query, .. } => self.query(query, rows),
            TableRef::Join {
                left,
                right,
                constraint,
                ..
            } => {
                self.table(left, rows)?;
                self.table(right, rows)?;
                match constraint {
                    JoinConstraint::On(on) => self.condition(on, rows),
                    JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {
                        Ok(())
                    }
                }
            }
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
            Part::Query(q) => self.query(q, open),
        }
    }

    pub(super) fn expr(&mut self, e: &mut Expr, open: &Open) -> Walked {
        if let Some(answer) = self.answer(e, open) {
            *e = answer;
            return Ok(());
        }
        let filters = self.filters;
        self.filters &= matches!(e, Expr::And(_) | Expr::Or(_));
        let done = e.parts(&mut |part| self.part(part, open));
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
                self.exact(c)?;
                let present = self.column(c, open, |x| Some(format!("({x} IS NOT NULL)")))?;
                let test = match test {
                    BoolTest::NotNull => BoolTest::True,
                    // Of a row that an outer join leaves out, a hidden column is NULL too.
                    _ => BoolTest::NotTrue,
                };
                Some(Expr::Test(Box::new(present), test))
            }
            _ => None,
        }
    }

    /// `column op 'constant'`
    fn compared(&mut self, c: &Column, symbol: &str, value: &str, open: &Open) -> Option<Expr> {
        let (question, negated) = match symbol {
            "=" => (Question::Equals(value), false),
            "<>" => (Question::Equals(value), true),
            "~~" => (Question::Like(value), false),
            "!~~" => (Question::Like(value), true),
            "->" => (Question::Member(value), false),
            "->>" => (Question::MemberText(value), false),
            "#>" => (Question::At(value), false),
            "#>>" => (Question::AtText(value), false),
            "?" => (Question::HasKey(value), false),
            "@>" => (Question::Contains(value), false),
            _ => return None,
        };
        let mask = self.mask(c)?;
        if matches!(question, Question::Equals(_) | Question::Like(_)) && !self.is_text(c) {
            return None;
        }
        let ordered = self.chooses && !self.exactly && !negated && self.is_ordered(c);
        let answer = self.column(c, open, |x| mask.ask(question, x, ordered))?;
        Some(if negated {
            Expr::Not(Box::new(answer))
        } else {
            answer
        })
    }

    /// A hidden column of the relation `c` is of, from the stored column's SQL.
    pub(super) fn column(
        &mut self,
        c: &Column,
        open: &Open,
        sql: impl FnOnce(&str) -> Option<String>,
    ) -> Option<Expr> {
        let (id, attnum) = c.base?;
        if open.get(&id) != c.qualifier.as_ref() {
            return None;
        }
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
        }))
    }

    fn treatment(&self, c: &Column) -> Option<&Treatment> {
        let (relation, attnum) = c.base?;
        let decided = self
            .decisions
            .columns
            .get(&Source::Column { relation, attnum })?;
        match &decided.form {
            ColumnForm::Rule(rule) if decided.place == Place::Source => Some(&rule.treatment),
            _ => None,
        }
    }

    fn mask(&self, c: &Column) -> Option<std::sync::Arc<CompiledMask>> {
        match self.treatment(c)? {
            Treatment::Mask(mask) => Some(std::sync::Arc::clone(mask)),
            _ => None,
        }
    }

    /// Masks and tokens are NULL for NULL only; of a constant, composite values may be otherwise.
    fn exact(&self, c: &Column) -> Option<()> {
        match self.treatment(c)? {
            Treatment::Mask(mask) => (!mask.is_constant()).then_some(()),
            // What has no token is NULL.
            Treatment::Token(token) => (!token.is_guarded()).then_some(()),
            Treatment::Clear | Treatment::Nullify | Treatment::Deny => None,
        }
    }

    /// Is it a text, of a collation under which equal texts are the same bytes?
    fn is_text(&self, c: &Column) -> bool {
        let attribute = |(id, attnum): (RelationId, AttrNumber)| {
            self.lineage.relation(id)?.relation.attribute(attnum)
        };
        c.base
            .and_then(attribute)
            .is_some_and(|c| matches!(c.type_oid, oid::TEXT | oid::VARCHAR) && c.deterministic)
    }

    /// Is there an index of its texts in the order of their code points?
    fn is_ordered(&self, c: &Column) -> bool {
        let Some((relation, attnum)) = c.base else {
            return false;
        };
        let used = self.lineage.relation(relation);
        let first = |i: &Index| i.code_points && i.columns.first() == Some(&attnum);
        used.is_some_and(|used| used.relation.indexes.iter().any(first))
    }

    /// The string a constant is, if it is printed as it was written.
    fn text<'e>(&self, e: &'e Expr) -> Option<&'e str> {
        match e {
            Expr::Literal(Literal::String(text)) => Some(text.value()),
            Expr::Constant { list, member, expr }
                if !self.rewrite.constants.contains_key(&(*list, *member)) =>
            {
                self.text(expr)
            }
            _ => None,
        }
    }
}

pub(super) fn is_builtin(op: &Operator) -> bool {
    op.schema.as_ref().is_some_and(|s| *s == "pg_catalog")
}
