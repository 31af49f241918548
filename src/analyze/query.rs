//! Query expressions: WITH, set operations, VALUES, ORDER BY and LIMIT around them.

use super::likeness::Likeness;
use super::lineage::{Equality, OutputColumn, Source, Uses};
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve, merge_sources};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Constant, Expr, Limit, Literal, Name, OrderItem, Position, Query, SetExpr, SetOp,
};

impl Analyzer<'_> {
    /// Resolves a query; the outputs' sources are not marked yet, because only the consumer knows how
    /// they are used.
    pub(super) fn query(&mut self, q: &mut Query, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let mut entries = Vec::new();
        if let Some(with) = &mut q.with {
            self.with(with, env, &mut entries)?;
        }
        let frame;
        let env = if entries.is_empty() {
            env
        } else {
            frame = CteFrame {
                parent: env.ctes,
                entries: &entries,
            };
            Env {
                outer: env.outer,
                ctes: Some(&frame),
            }
        };
        let was_top = std::mem::replace(&mut self.top_level, false);
        let result = self.query_body(q, env);
        self.top_level = was_top;
        result
    }

    fn query_body(&mut self, q: &mut Query, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let outputs = match &mut q.body {
            SetExpr::Select(s) => self.select(s, &mut q.order_by, &mut q.locking, env)?,
            SetExpr::Query(inner) if q.order_by.is_empty() => self.query(inner, env)?,
            body => {
                let outputs = self.set_expr(body, env)?;
                self.order_by_outputs(&mut q.order_by, &outputs)?;
                if !q.locking.is_empty() {
                    return Err(Refusal::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT or VALUES",
                    ));
                }
                outputs
            }
        };
        if let Some(limit) = &mut q.limit {
            self.limit(limit, env)?;
        }
        Ok(outputs)
    }

    pub(super) fn limit(&mut self, limit: &mut Limit, env: Env<'_>) -> Resolve<()> {
        let none = Scope {
            parent: env.outer,
            items: &[],
            columns: &[],
        };
        for (clause, e) in [("LIMIT", &mut limit.count), ("OFFSET", &mut limit.offset)] {
            let Some(e) = e else { continue };
            let column = match e {
                Expr::Name(name) => name.parts.last().cloned(),
                _ => None,
            };
            if let Err(refusal) = self.compute(e, &none, env.ctes) {
                let read = self.lineage.relations.iter();
                let known = |column| read.clone().any(|r| r.relation.column(column).is_some());
                return Err(if column.as_ref().is_some_and(known) {
                    let message = format!("argument of {clause} must not contain variables");
                    Refusal::error(sqlstate::INVALID_COLUMN_REFERENCE, message).at(refusal.position)
                } else {
                    refusal
                });
            }
        }
        Ok(())
    }

    pub(super) fn set_expr(
        &mut self,
        body: &mut SetExpr,
        env: Env<'_>,
    ) -> Resolve<Vec<OutputColumn>> {
        match body {
            SetExpr::Select(s) => self.select(s, &mut Vec::new(), &mut Vec::new(), env),
            SetExpr::Query(q) => self.query(q, env),
            SetExpr::Values(rows) => self.values(rows, env),
            SetExpr::Chain { first, rest } => {
                let mut outputs = self.set_expr(first, env)?;
                for (op, all, arm) in rest {
                    let right = self.set_expr(arm, env)?;
                    outputs = self.merge_arms(outputs, right, (*op, *all, arm.position()))?;
                }
                Ok(outputs)
            }
        }
    }

    /// Outputs of a set operation. A column keeps its sources only while every arm brings some, or
    /// the constant NULL, if that has no say in the type: a literal or an expression in one arm must
    /// not be masked along with the column of another.
    pub(super) fn merge_arms(
        &mut self,
        left: Vec<OutputColumn>,
        right: Vec<OutputColumn>,
        (op, all, position): (SetOp, bool, Position),
    ) -> Resolve<Vec<OutputColumn>> {
        if left.len() != right.len() {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                format!(
                    "each {} query must have the same number of columns",
                    op_word(op)
                ),
            )
            .at(position));
        }
        let compares = !all || op != SetOp::Union;
        let mut merged = Vec::with_capacity(left.len());
        for (mut l, r) in left.into_iter().zip(right) {
            let of = |o: &OutputColumn| {
                if o.null && o.ty.is_none() {
                    Some(oid::UNKNOWN)
                } else {
                    o.ty
                }
            };
            self.meet(&[of(&l), of(&r)]);
            let (alike, scale) = match op {
                // What is left are rows of the first arm.
                SetOp::Except if !all => (l.alike, l.scale),
                _ => self.among(&[Likeness::of_output(&l), Likeness::of_output(&r)]),
            };
            if compares {
                let shown = match op {
                    SetOp::Except if !all => self.shows_alike(&l),
                    _ => self.is_kept(alike) || scale.is_some(),
                };
                self.lineage.mixed |= !shown;
                self.lineage.mark_all(&l.sources, Uses::EQUALITY);
                self.lineage.mark_all(&r.sources, Uses::EQUALITY);
                self.lineage.equalities.push(Equality {
                    left: l.sources.clone(),
                    right: r.sources.clone(),
                    held: None,
                });
            }
            let keeps = |one: &OutputColumn, other: &OutputColumn| {
                !one.sources.is_empty() || one.null && one.is_neutral_to(other)
            };
            for (one, other) in [(&l, &r), (&r, &l)] {
                if one.null && one.ty.is_some() {
                    self.typed_beside(&other.sources);
                }
            }
            if keeps(&l, &r) && keeps(&r, &l) {
                merge_sources(&mut l.sources, &r.sources);
            } else {
                self.lineage.mark_all(&l.sources, Uses::COMPUTE);
                self.lineage.mark_all(&r.sources, Uses::COMPUTE);
                l.sources.clear();
            }
            l.tainted |= r.tainted;
            if l.ty != r.ty {
                self.no_hidden_cast(l.ty)?;
                self.no_hidden_cast(r.ty)?;
                self.no_hidden_tests_among([l.ty, r.ty].into_iter(), false)?;
                l.ty = if l.ty.is_none() || l.null && l.is_neutral_to(&r) {
                    r.ty
                } else if r.null && r.is_neutral_to(&l) {
                    l.ty
                } else {
                    None
                };
            }
            (l.alike, l.scale) = (alike, scale);
            l.null &= r.null;
            if l.null {
                // What has no type yet becomes a text here.
                l.ty = l.ty.or(Some(oid::TEXT));
            }
            l.named = false;
            merged.push(l);
        }
        Ok(merged)
    }

    fn values(&mut self, rows: &mut [Vec<Expr>], env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let scope = Scope {
            parent: env.outer,
            items: &[],
            columns: &[],
        };
        let width = rows.first().map_or(0, Vec::len);
        let mut outputs: Vec<OutputColumn> = (1..=width)
            .map(|n| OutputColumn::computed(Ident::exact(&format!("column{n}")), None, false))
            .collect();
        // A column of nothing but constants and NULLs is a list; any other is computed.
        let mut lists = vec![(None, true, Vec::new()); width];
        for row in rows {
            if row.len() != width {
                return Err(Refusal::error(
                    sqlstate::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                )
                .at(row.first().map(Expr::position).unwrap_or_default()));
            }
            for ((e, o), (list, constant, types)) in
                row.iter_mut().zip(&mut outputs).zip(&mut lists)
            {
                let open = matches!(e, Expr::Param(_));
                let info = self.expr(e, &scope, env.ctes)?;
                self.lineage.mark_all(&info.sources, Uses::COMPUTE);
                *constant &= self.member(list, e, true) || info.null;
                o.tainted |= info.tainted;
                // What has no type yet becomes one of the others', or a text.
                let untyped = (open || info.null) && info.ty.is_none();
                if !untyped && info.ty != Some(oid::UNKNOWN) && !types.contains(&info.ty) {
                    types.push(info.ty);
                }
                let among = types.iter().copied().chain([info.ty]);
                self.no_hidden_tests_among(among, false)?;
            }
        }
        for (o, (list, constant, types)) in outputs.iter_mut().zip(lists) {
            // All become one type, as they are read.
            self.meet(&types);
            o.ty = if types.is_empty() {
                Some(oid::TEXT)
            } else {
                self.common(&types)
            };
            // Of nothing but NULLs it is a list as well, without members.
            let list = list.or_else(|| if constant { self.new_list(true) } else { None });
            o.sources.extend(list.map(Source::List));
            if !constant {
                self.lineage.mark_all(&o.sources, Uses::COMPUTE);
                o.sources.clear();
            }
        }
        Ok(outputs)
    }

    /// ORDER BY of a set operation: output columns only, by name or number. Names become numbers, so
    /// that nothing in PostgreSQL's wider scope can capture them.
    fn order_by_outputs(
        &mut self,
        order_by: &mut [OrderItem],
        outputs: &[OutputColumn],
    ) -> Resolve<()> {
        for item in order_by {
            let position = match &item.expr {
                Expr::Name(n) => match output_by_name(n, outputs)? {
                    Some(p) => p,
                    None => {
                        return Err(Refusal::error(
                            sqlstate::UNDEFINED_COLUMN,
                            format!("column \"{}\" does not exist", last(n)),
                        )
                        .at(n.position));
                    }
                },
                e => output_number(e, outputs.len(), "ORDER BY")?.ok_or_else(|| {
                    Refusal::error(
                        sqlstate::FEATURE_NOT_SUPPORTED,
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                    )
                    .detail("Only result column names can be used, not expressions or functions.")
                })?,
            };
            self.sort_output(item, position, outputs)?;
        }
        Ok(())
    }

    /// Makes a sort key of an output column's number.
    pub(super) fn sort_output(
        &mut self,
        item: &mut OrderItem,
        position: usize,
        outputs: &[OutputColumn],
    ) -> Resolve<()> {
        if let Some(o) = outputs.get(position) {
            self.lineage.mark_all(&o.sources, Uses::ORDER);
        }
        item.expr = position_literal(position);
        if let Some(op) = &mut item.using {
            self.operator(op, None, None)?;
        }
        Ok(())
    }
}

/// Applies column aliases, of which there may be fewer than columns.
pub(super) fn rename(
    mut outputs: Vec<OutputColumn>,
    names: &[Ident],
    of: &Ident,
) -> Resolve<Vec<OutputColumn>> {
    if names.len() > outputs.len() {
        return Err(Refusal::error(
            "42P10",
            format!(
                "table \"{of}\" has {} columns available but {} columns specified",
                outputs.len(),
                names.len()
            ),
        ));
    }
    for (o, n) in outputs.iter_mut().zip(names) {
        o.name = n.clone();
    }
    Ok(outputs)
}

/// The output a bare name means, if any. Several of one name are fine when PostgreSQL would find them
/// equal; it is asked by number, so the first is as good, provided they have one origin.
pub(super) fn output_by_name(name: &Name, outputs: &[OutputColumn]) -> Resolve<Option<usize>> {
    let [only] = name.parts.as_slice() else {
        return Ok(None);
    };
    let mut hits = outputs.iter().enumerate().filter(|(_, o)| o.name == *only);
    let Some((position, first)) = hits.next() else {
        return Ok(None);
    };
    if hits.any(|(_, o)| o.sources != first.sources || o.sources.is_empty()) {
        return Err(Refusal::error(
            sqlstate::AMBIGUOUS_COLUMN,
            format!("ORDER BY \"{only}\" is ambiguous"),
        )
        .at(name.position));
    }
    Ok(Some(position))
}

/// Which output column a constant means, counted from 0; `None` for what is no constant. A minus before a
/// number is part of it.
pub(super) fn output_number(e: &Expr, count: usize, clause: &str) -> Resolve<Option<usize>> {
    let (mut inner, mut negative) = (e, false);
    while let Expr::Unary(op, operand) = inner
        && op.schema.is_none()
        && *op.symbol == *"-"
        && matches!(
            **operand,
            Expr::Unary(..) | Expr::Literal(Literal::Number(_))
        )
    {
        (inner, negative) = (operand, !negative);
    }
    let Expr::Literal(constant) = inner else {
        return Ok(None);
    };
    let number = match constant {
        Literal::Number(number) => Some(number),
        Literal::Null | Literal::Bool(_) | Literal::String(_) | Literal::Bits { .. } => None,
    };
    let position = number.map_or_else(Position::default, Constant::position);
    // What is no int4 is no integer yet.
    let Some(n) = number.and_then(|n| n.value().parse::<i32>().ok()) else {
        return Err(Refusal::error(
            sqlstate::SYNTAX_ERROR,
            format!("non-integer constant in {clause}"),
        )
        .at(position));
    };
    let n = if negative { n.saturating_neg() } else { n };
    let found = usize::try_from(n).ok().filter(|n| (1..=count).contains(n));
    let Some(found) = found else {
        return Err(Refusal::error(
            sqlstate::INVALID_COLUMN_REFERENCE,
            format!("{clause} position {n} is not in select list"),
        )
        .at(position));
    };
    Ok(Some(found.saturating_sub(1)))
}

/// An output column's number as an expression.
pub(super) fn position_literal(position: usize) -> Expr {
    Expr::Literal(Literal::Number(
        position.saturating_add(1).to_string().into(),
    ))
}

fn last(name: &Name) -> String {
    name.parts
        .last()
        .map_or_else(String::new, |p| p.as_str().to_owned())
}

fn op_word(op: SetOp) -> &'static str {
    match op {
        SetOp::Union => "UNION",
        SetOp::Intersect => "INTERSECT",
        SetOp::Except => "EXCEPT",
    }
}
