//! Which rows of a relation can be in a statement's result at all, so that no more of it is read for
//! its tokens than has to be (`tabulated`).
//!
//! A row that a relation adds to a query's FROM is in what the query chooses only if every part of the
//! query's WHERE, split at its ANDs, is true. A part that compares a column of the row that the role sees
//! as it is stored with constants says which rows are not, whatever else is asked; the tokens of those
//! rows are NULL there, and are not read. Comparisons are never true of NULL, so it makes no difference
//! which side of an outer join the relation is on.
//!
//! Deliberately absent: conditions of joins, of the queries around, and with anything computed in them.
//! They would narrow more; what is not found narrows nothing, and that is no fault.

use std::collections::BTreeMap;

use super::decide::{Decisions, Place};
use super::hidden::is_builtin;
use super::order::{assigned, returned};
use crate::analyze::ColumnForm;
use crate::analyze::lineage::{Lineage, Source};
use crate::ident::Ident;
use crate::sql::print::INNER_ALIAS;
use crate::sql::tree::{
    Column, Expr, InsertSource, Part, Position, Quantifier, Query, RelationId, RelationRef, Select,
    SetExpr, Statement, TableRef, TypeName,
};

/// By reference what is true of each row that can be chosen, over the relation as [`INNER_ALIAS`].
pub(super) type Narrowed = BTreeMap<RelationId, Expr>;

/// What is known of the references whose tokens are looked up.
pub(super) fn narrowed(
    statement: &mut Statement,
    lineage: &Lineage,
    decisions: &Decisions,
) -> Narrowed {
    let mut walk = Walk {
        lineage,
        decisions,
        found: Narrowed::new(),
    };
    let looked_up = decisions.columns.values().any(|d| d.tabulated.is_some());
    if looked_up {
        walk.statement(statement);
    }
    walk.found
}

struct Walk<'a> {
    lineage: &'a Lineage,
    decisions: &'a Decisions,
    found: Narrowed,
}

impl Walk<'_> {
    fn statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => {
                if let InsertSource::Query(query) = &mut insert.source {
                    self.query(query);
                }
            }
            Statement::Update(u) => {
                self.chosen(&u.target, &mut u.from, &mut u.filter);
                let assigned = u.assignments.iter_mut().flat_map(assigned);
                assigned
                    .chain(returned(&mut u.returning))
                    .for_each(|e| self.expr(e));
            }
            Statement::Delete(d) => {
                self.chosen(&d.target, &mut d.using, &mut d.filter);
                returned(&mut d.returning).for_each(|e| self.expr(e));
            }
            _ => {}
        }
    }

    fn query(&mut self, q: &mut Query) {
        for cte in q.with.iter_mut().flat_map(|w| &mut w.ctes) {
            self.statement(&mut cte.body);
        }
        self.body(&mut q.body);
        q.order_by.iter_mut().for_each(|o| self.expr(&mut o.expr));
    }

    fn body(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(q) => self.query(q),
            SetExpr::Values(rows) => rows.iter_mut().flatten().for_each(|e| self.expr(e)),
            SetExpr::Chain { first, rest } => {
                self.body(first);
                for (_, _, arm) in rest {
                    self.body(arm);
                }
            }
        }
    }

    fn select(&mut self, s: &mut Select) {
        let mut own = Vec::new();
        for table in &mut s.from {
            self.table(table, &mut own);
        }
        self.conditions(s.filter.as_ref(), &own);
        returned(&mut s.items)
            .chain(&mut s.filter)
            .chain(&mut s.having)
            .for_each(|e| self.expr(e));
    }

    /// The rows of a target that are changed. What is returned of them is what they are then, so conditions of
    /// what is assigned, or follows from it, say nothing (`stored`).
    fn chosen(&mut self, target: &RelationRef, from: &mut [TableRef], filter: &mut Option<Expr>) {
        let mut own: Vec<RelationId> = target.id.into_iter().collect();
        for table in from {
            self.table(table, &mut own);
        }
        self.conditions(filter.as_ref(), &own);
        if let Some(filter) = filter {
            self.expr(filter);
        }
    }

    fn conditions(&mut self, filter: Option<&Expr>, own: &[RelationId]) {
        for condition in filter.into_iter().flat_map(Expr::conjuncts) {
            if let Some((relation, condition)) = self.condition(condition)
                && own.contains(&relation)
            {
                self.add(relation, condition);
            }
        }
    }

    /// The relations whose rows a FROM item adds, one of each to a row of its own.
    fn table(&mut self, table: &mut TableRef, own: &mut Vec<RelationId>) {
        match table {
            TableRef::Relation(r) => own.extend(r.id),
            TableRef::Derived { query, .. } => self.query(query),
            TableRef::Join { left, right, .. } => {
                self.table(left, own);
                self.table(right, own);
            }
            TableRef::Function(_) | TableRef::Keyword(_) => {}
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        // The walk itself fails for nothing.
        let _: bool = e.any_part(|part| {
            match part {
                Part::Expr(inner) => self.expr(inner),
                Part::Query(q) => self.query(q),
            }
            false
        });
    }

    fn add(&mut self, relation: RelationId, condition: Expr) {
        let conditions = (self.found.entry(relation)).or_insert_with(|| Expr::And(Vec::new()));
        if let Expr::And(all) = conditions {
            all.push(condition);
        }
    }

    /// A comparison of a column with constants, as it is written over its relation.
    fn condition(&self, e: &Expr) -> Option<(RelationId, Expr)> {
        let compared = |symbol: &str| matches!(symbol, "=" | "<" | ">" | "<=" | ">=");
        match e {
            Expr::Binary(left, op, right) if is_builtin(op) && compared(&op.symbol) => {
                if let Expr::Column(column) = &**left {
                    let (relation, column) = self.stored(column)?;
                    let right = self.constant(right)?;
                    return Some((
                        relation,
                        Expr::Binary(Box::new(column), op.clone(), Box::new(right)),
                    ));
                }
                let Expr::Column(column) = &**right else {
                    return None;
                };
                let (relation, column) = self.stored(column)?;
                let left = self.constant(left)?;
                Some((
                    relation,
                    Expr::Binary(Box::new(left), op.clone(), Box::new(column)),
                ))
            }
            Expr::InList {
                expr,
                list,
                negated: false,
            } => {
                let (relation, column) = self.stored_operand(expr)?;
                let list: Option<Vec<Expr>> = list.iter().map(|e| self.constant(e)).collect();
                Some((
                    relation,
                    Expr::InList {
                        expr: Box::new(column),
                        list: list?,
                        negated: false,
                    },
                ))
            }
            Expr::Between {
                expr,
                low,
                high,
                negated: false,
                symmetric,
            } => {
                let (relation, column) = self.stored_operand(expr)?;
                Some((
                    relation,
                    Expr::Between {
                        expr: Box::new(column),
                        low: Box::new(self.constant(low)?),
                        high: Box::new(self.constant(high)?),
                        negated: false,
                        symmetric: *symmetric,
                    },
                ))
            }
            Expr::QuantifiedArray {
                left,
                op,
                quantifier: Quantifier::Any,
                array,
            } if is_builtin(op) && compared(&op.symbol) => {
                let (relation, column) = self.stored_operand(left)?;
                Some((
                    relation,
                    Expr::QuantifiedArray {
                        left: Box::new(column),
                        op: op.clone(),
                        quantifier: Quantifier::Any,
                        array: Box::new(self.constant(array)?),
                    },
                ))
            }
            _ => None,
        }
    }

    fn stored_operand(&self, e: &Expr) -> Option<(RelationId, Expr)> {
        match e {
            Expr::Column(column) => self.stored(column),
            _ => None,
        }
    }

    /// A column that the role sees as it is stored, and that the statement leaves as it is, of a reference whose
    /// rows WHERE chooses one by one.
    fn stored(&self, column: &Column) -> Option<(RelationId, Expr)> {
        let (relation, attnum) = column.base?;
        let used = self.lineage.relation(relation)?;
        let decided = (self.decisions.columns).get(&Source::Column { relation, attnum });
        let clear =
            decided.is_none_or(|d| d.place == Place::Stored && matches!(d.form, ColumnForm::Clear));
        // What is computed as it is read may fail, and a condition beside it may see to it that it is not.
        let found = used.relation.attribute(attnum)?;
        let clear = clear && !found.computed_when_read;
        let name = found.name.clone();
        let over_relation = Expr::Column(Column {
            qualifier: Some(Ident::exact(INNER_ALIAS)),
            name,
            base: None,
            position: Position::default(),
        });
        // What is returned is what it is then.
        let below = || {
            used.relation
                .generated_below
                .iter()
                .any(|(a, _)| *a == attnum)
        };
        let follows = found.generated.is_some() || below() || used.relation.rewritten;
        let assigned = used.assigned.contains(&attnum) || !used.assigned.is_empty() && follows;
        let stays = !used.in_place && !used.inserted && !assigned;
        (clear && stays).then_some((relation, over_relation))
    }

    /// What is the same for every row, and the same when it is read as when the statement runs.
    fn constant(&self, e: &Expr) -> Option<Expr> {
        match e {
            Expr::Literal(_) => Some(e.clone()),
            // Its type comes from what it is compared with, if it is compared with nothing else.
            Expr::Param(n) => {
                let plain = self.lineage.params.get(n) == Some(&1)
                    && !self.lineage.named.contains_key(n)
                    && (self.lineage.settings.iter()).all(|(other, _)| other != n);
                plain.then(|| e.clone())
            }
            Expr::Constant { expr, .. } => self.constant(expr),
            Expr::Unary(op, inner) if is_builtin(op) && *op.symbol == *"-" => {
                let inner = Box::new(self.constant(inner)?);
                Some(Expr::Unary(op.clone(), inner))
            }
            Expr::Cast(inner, ty) if is_plain(ty) => {
                let inner = Box::new(self.constant(inner)?);
                Some(Expr::Cast(inner, ty.clone()))
            }
            Expr::Array(members) => {
                let members: Option<Vec<Expr>> = members.iter().map(|m| self.constant(m)).collect();
                Some(Expr::Array(members?))
            }
            _ => None,
        }
    }
}

/// Types of which a text always says the same.
fn is_plain(ty: &TypeName) -> bool {
    const PLAIN: &[&str] = &[
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "text",
        "varchar",
        "bpchar",
        "date",
        "timestamp",
        "timestamptz",
        "time",
        "uuid",
    ];
    match ty.name.parts.as_slice() {
        [schema, name] => *schema == "pg_catalog" && PLAIN.contains(&name.as_str()),
        _ => false,
    }
}

/// The parameters of a condition.
pub(super) fn params(condition: &mut Expr) -> Vec<u16> {
    let mut found = Vec::new();
    gather(condition, &mut found);
    found
}

fn gather(e: &mut Expr, found: &mut Vec<u16>) {
    if let Expr::Param(n) = e {
        found.push(*n);
    }
    let _: bool = e.any_part(|part| {
        if let Part::Expr(inner) = part {
            gather(inner, found);
        }
        false
    });
}
