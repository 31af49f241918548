//! Every expression form, exhaustively: what it reads, and how.
//!
//! One flat `match`; the list is the documentation. [`Info::sources`] is not empty only for forms that
//! hand a column through unchanged.

use super::alike::Alike;
use super::compare::Pair;
use super::harmless::meeting;
use super::held::hold_outputs;
use super::lineage::{Source, Uses};
use super::literal::is_constant;
use super::operators::NO_OPERAND;
use super::operators::operator_uses;
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{BoolTest, Expr, Operator, Query, Subscript};

/// What is known of an expression.
#[derive(Clone, Default)]
pub(super) struct Info {
    /// Base columns it hands through unchanged.
    pub(super) sources: Vec<Source>,
    /// A column the role does not see clearly went into it.
    pub(super) tainted: bool,
    /// Its type, when known.
    pub(super) ty: Option<Oid>,
    /// It is the constant NULL.
    pub(super) null: bool,
    /// Are equal values of it one?
    pub(super) alike: Alike,
    /// How many digits every value has behind the point, if it is a number and that is known.
    pub(super) scale: Option<u16>,
    /// As of an output column: PostgreSQL knows its origin.
    pub(super) named: bool,
    /// Types of its fields, if it is a row written out.
    pub(super) row: Vec<Option<Oid>>,
}

impl Info {
    pub(super) fn computed(tainted: bool, ty: Option<Oid>) -> Self {
        Self {
            tainted,
            ty,
            ..Self::default()
        }
    }
}

/// The scope and CTEs an expression stands in.
#[derive(Clone, Copy)]
pub(super) struct At<'s, 'p> {
    pub(super) scope: &'s Scope<'p>,
    pub(super) ctes: Option<&'s CteFrame<'p>>,
}

impl Analyzer<'_> {
    /// Resolves an expression. The caller marks how it uses [`Info::sources`].
    pub(super) fn expr(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let bool_of = |tainted| Info::computed(tainted, Some(oid::BOOL));
        self.unfold(e, scope);
        match e {
            Expr::Name(name) => {
                let name = name.clone();
                self.name(e, &name, scope)
            }
            // Already resolved: an output number, or an expression met twice.
            Expr::Column(_) | Expr::WholeRow { .. } | Expr::Constant { .. } | Expr::Held { .. } => {
                Err(Refusal::error(
                    sqlstate::INTERNAL_ERROR,
                    "expression is resolved twice",
                ))
            }
            Expr::Star(name) => {
                let name = name.clone();
                self.star_value(e, &name, scope)
            }
            Expr::Param(n) => Ok(self.parameter(*n)),
            Expr::Literal(l) => Ok(Info::of_literal(l)),
            Expr::SystemValue(value) => {
                let value = *value;
                Ok(self.system_value(e, value))
            }
            Expr::Unary(op, inner) => {
                let info = self.consumed(inner, scope, ctes, Uses::COMPUTE)?;
                let ty = self.operator(op, NO_OPERAND, info.ty)?;
                let scale = info.scale;
                Ok(Info {
                    scale,
                    ..Info::computed(info.tainted, ty)
                })
            }
            Expr::Binary(l, op, r) => {
                if let Some((field, info)) = self.json_field(l, op, r, scope)? {
                    *e = field;
                    return Ok(info);
                }
                self.binary(e, scope, ctes)
            }
            Expr::And(list) | Expr::Or(list) => {
                let mut tainted = false;
                for inner in list {
                    tainted |= self.compute(inner, scope, ctes)?;
                }
                Ok(bool_of(tainted))
            }
            Expr::Not(inner) => Ok(bool_of(self.compute(inner, scope, ctes)?)),
            Expr::Test(inner, test) => {
                let asks = matches!(test, BoolTest::Null | BoolTest::NotNull);
                let uses = if asks { Uses::PRESENCE } else { Uses::COMPUTE };
                let tainted = self.consumed(inner, scope, ctes, uses)?.tainted;
                if asks {
                    self.row_of_any_type(inner);
                }
                Ok(bool_of(tainted))
            }
            Expr::IsDistinct { .. } => self.distinct(e, At { scope, ctes }),
            Expr::Between {
                expr, low, high, ..
            } => {
                let mut infos = Vec::with_capacity(3);
                for inner in [expr, low, high] {
                    infos.push(self.consumed(inner, scope, ctes, Uses::ORDER)?);
                }
                if let [x, low, high] = infos.as_slice() {
                    self.written_out(e, x.ty, &[low.ty, high.ty])?;
                }
                Ok(bool_of(infos.iter().any(|i| i.tainted)))
            }
            Expr::InList { expr, list, .. } => {
                let listed = self.in_list(expr, list, scope, ctes)?;
                self.list_written_out(e, &listed)?;
                Ok(bool_of(listed.tainted))
            }
            Expr::InQuery { expr, query, .. } => {
                let (tainted, pairs) = self.in_query(expr, query, None, scope, ctes)?;
                match pairs.as_slice() {
                    [(l, r)] => self.written_out(e, *l, &[*r])?,
                    _ => self.no_foreign_rows(&pairs)?,
                }
                Ok(bool_of(tainted))
            }
            Expr::QuantifiedQuery {
                left, op, query, ..
            } => self
                .in_query(left, query, Some(op), scope, ctes)
                .map(|(tainted, _)| bool_of(tainted)),
            Expr::QuantifiedArray { .. } => self.quantified_array(e, At { scope, ctes }),
            Expr::Exists(query) => {
                let before = self.hidden;
                self.query(
                    query,
                    Env {
                        outer: Some(scope),
                        ctes,
                    },
                )?;
                Ok(bool_of(self.hidden != before))
            }
            Expr::Subquery(query) => {
                let before = self.hidden;
                let outputs = self.query(
                    query,
                    Env {
                        outer: Some(scope),
                        ctes,
                    },
                )?;
                let mut info = self.one_column(outputs)?;
                info.tainted |= self.hidden != before;
                Ok(info)
            }
            Expr::ArrayQuery(query) => {
                let before = self.hidden;
                let env = Env {
                    outer: Some(scope),
                    ctes,
                };
                let outputs = self.computed_query(query, env)?;
                let given = outputs.first().and_then(|o| o.ty);
                // Of arrays it makes an array of one more dimension, which is of the same type.
                let array = self.element_type(given).and(given);
                let ty = array.or_else(|| self.array_of(given));
                Ok(Info::computed(self.hidden != before, ty))
            }
            Expr::Array(items) => {
                let (tainted, types) = self.all(items.iter_mut(), scope, ctes)?;
                let nested = items.iter().any(|i| matches!(i, Expr::Array(_)));
                let common = self.common(&types);
                let ty = if nested {
                    common
                } else {
                    self.array_of(common)
                };
                Ok(Info::computed(tainted, ty))
            }
            Expr::Row { fields, .. } => self.row(fields, scope, ctes),
            Expr::Case {
                operand,
                branches,
                otherwise,
            } => {
                let (operand, otherwise) = (operand.as_deref_mut(), otherwise.as_deref_mut());
                let (info, compared) = self.case(operand, branches, otherwise, scope, ctes)?;
                compared.map_or(Ok(()), |c| self.list_written_out(e, &c))?;
                Ok(info)
            }
            Expr::Coalesce(list) => {
                let values = list.iter_mut().map(|e| {
                    let info = self.expr(e, scope, ctes)?;
                    Ok((e, info))
                });
                let values = values.collect::<Resolve<Vec<_>>>()?;
                self.choice(values)
            }
            Expr::Greatest(list) | Expr::Least(list) => {
                let (tainted, types) = self.all(list.iter_mut(), scope, ctes)?;
                Ok(Info::computed(tainted, self.common(&types)))
            }
            Expr::Grouping(list) => {
                let (tainted, _) = self.all(list.iter_mut(), scope, ctes)?;
                Ok(Info::computed(tainted, Some(oid::INT4)))
            }
            Expr::NullIf(a, b) => {
                let (info, second) = self.nullif((a, b), scope, ctes)?;
                self.written_out(e, info.ty, &[second])?;
                Ok(info)
            }
            Expr::Cast(inner, ty) => {
                let info = self.expr(inner, scope, ctes)?;
                let from = info.ty;
                let info = self.cast(inner, info, ty)?;
                if info.ty == Some(oid::TEXT) {
                    self.row_of_any_type(inner);
                }
                self.shown_cast(inner, from, info.ty);
                Ok(info)
            }
            Expr::Collate(inner, collation) => {
                let info = self.consumed(inner, scope, ctes, Uses::COMPUTE)?;
                self.collation(collation)?;
                Ok(Info::computed(info.tainted, info.ty))
            }
            Expr::Call(_) => self.call(e, At { scope, ctes }),
            Expr::Subscripts(inner, subscripts) => {
                let info = self.consumed(inner, scope, ctes, Uses::COMPUTE)?;
                let mut tainted = info.tainted;
                for s in subscripts.iter_mut() {
                    let parts = match s {
                        Subscript::Index(i) => [Some(i), None],
                        Subscript::Slice(lo, hi) => [lo.as_mut(), hi.as_mut()],
                    };
                    for inner in parts.into_iter().flatten() {
                        tainted |= self.compute(inner, scope, ctes)?;
                    }
                }
                let slice = subscripts.iter().any(|s| matches!(s, Subscript::Slice(..)));
                let ty = if slice {
                    info.ty
                } else {
                    self.element_type(info.ty)
                };
                Ok(Info::computed(tainted, ty))
            }
            Expr::Field(..) => self.field(e, scope, ctes),
            Expr::CurrentOf(_) => Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "CURRENT OF is not an expression",
            )),
            Expr::Keyword(form) => self.keyword_value(form, scope, ctes),
        }
    }

    /// Resolves an expression and marks how it is used.
    pub(super) fn consumed(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
        uses: Uses,
    ) -> Resolve<Info> {
        let mut info = self.expr(e, scope, ctes)?;
        self.lineage.mark_all(&info.sources, uses);
        info.sources.clear();
        Ok(info)
    }

    fn binary(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let Expr::Binary(l, op, r) = e else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not an operator"));
        };
        let uses = operator_uses(op);
        if let (Expr::Row { .. }, Expr::Subquery(query)) = (&**l, &mut **r) {
            return self.row_of_query((l, op, query), At { scope, ctes });
        }
        if uses == Uses::EQUALITY
            && let (Expr::Row { fields: a, .. }, Expr::Row { fields: b, .. }) = (&mut **l, &mut **r)
            && a.len() == b.len()
        {
            let mut tainted = false;
            let mut pairs = Vec::with_capacity(a.len());
            for (x, y) in a.iter_mut().zip(b) {
                let l = self.operand(x, scope, ctes)?;
                let r = self.operand(y, scope, ctes)?;
                self.compare_held([x, y], [&l, &r])?;
                tainted |= l.tainted || r.tainted;
                pairs.push((l.ty, r.ty));
            }
            self.rows_written_out(e, &pairs)?;
            return Ok(Info::computed(tainted, Some(oid::BOOL)));
        }
        let mut left = self.expr(l, scope, ctes)?;
        let mut right = self.expr(r, scope, ctes)?;
        if uses == Uses::ORDER && !left.row.is_empty() && left.row.len() == right.row.len() {
            let pairs = left.row.iter().copied().zip(right.row.iter().copied());
            self.rows_written_out(e, &pairs.collect::<Vec<_>>())?;
            let tainted = left.tainted || right.tainted;
            return Ok(Info::computed(tainted, Some(oid::BOOL)));
        }
        let mut ty = self.operator(op, left.ty, right.ty)?;
        let op_symbol = op.symbol.clone();
        let constant = (is_constant(l), is_constant(r));
        let types = [meeting(l, left.ty), meeting(r, right.ty)];
        self.decide(op, [l, r], types);
        if uses != Uses::COMPUTE {
            self.meet(&types);
        }
        self.meet_text(&op_symbol, types);
        if let ("+" | "-" | "*" | "/" | "%", Some(l), Some(r)) = (&*op.symbol, left.ty, right.ty) {
            ty = ty.or_else(|| Self::widest(&[l, r]));
        }
        if uses == Uses::EQUALITY {
            self.constant(l, &mut left, false);
            self.constant(r, &mut right, false);
            self.searched_operand([l, r], [&left, &right]);
            self.compare_sides(e, [&left, &right])?;
        } else {
            self.lineage.mark_all(&left.sources, uses);
            self.lineage.mark_all(&right.sources, uses);
        }
        let tainted = left.tainted || right.tainted;
        Ok(self.made_alike(
            op_symbol.as_ref(),
            [(constant.0, &left), (constant.1, &right)],
            Info::computed(tainted, ty),
        ))
    }

    /// `x IN (query)`, `x op ANY (query)`.
    pub(super) fn in_query(
        &mut self,
        left: &mut Expr,
        query: &mut Query,
        op: Option<&mut Operator>,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(bool, Vec<Pair>)> {
        let uses = op.as_ref().map_or(Uses::EQUALITY, |o| operator_uses(o));
        let fields = match left {
            Expr::Row { fields, .. } => fields.as_mut_slice(),
            other => std::slice::from_mut(other),
        };
        let mut lefts = Vec::with_capacity(fields.len());
        for f in fields.iter_mut() {
            lefts.push(self.operand(f, scope, ctes)?);
        }
        let outputs = self.query(
            query,
            Env {
                outer: Some(scope),
                ctes,
            },
        )?;
        if outputs.len() != lefts.len() {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                if outputs.len() > lefts.len() {
                    "subquery has too many columns"
                } else {
                    "subquery has too few columns"
                },
            ));
        }
        for ((field, l), o) in fields.iter().zip(&lefts).zip(&outputs) {
            self.meet(&[meeting(field, l.ty), o.ty]);
        }
        if let Some(op) = op {
            self.operator(
                op,
                lefts.first().and_then(|l| l.ty),
                outputs.first().and_then(|o| o.ty),
            )?;
        }
        let mut tainted = false;
        let mut held = Vec::with_capacity(outputs.len());
        for ((field, l), o) in fields.iter_mut().zip(&lefts).zip(&outputs) {
            let mut inside = None;
            if uses == Uses::EQUALITY && (l.null || o.null) {
                self.lineage.mark_all(&l.sources, Uses::PRESENCE);
                self.lineage.mark_all(&o.sources, Uses::PRESENCE);
            } else if uses == Uses::EQUALITY {
                inside = self.compare_output(field, l, o)?;
            } else {
                self.lineage.mark_all(&l.sources, uses);
                self.lineage.mark_all(&o.sources, uses);
            }
            held.push(inside);
            tainted |= l.tainted || o.tainted;
        }
        hold_outputs(query, &held);
        let pairs = lefts.iter().zip(&outputs).map(|(l, o)| (l.ty, o.ty));
        Ok((tainted, pairs.collect()))
    }

    /// A scalar subquery hands its one column through.
    fn one_column(&mut self, outputs: Vec<super::lineage::OutputColumn>) -> Resolve<Info> {
        let mut outputs = outputs.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(o), None) => Ok(Info {
                sources: o.sources,
                tainted: o.tainted,
                // What has no type yet becomes a text here.
                ty: o.ty.or(o.null.then_some(oid::TEXT)),
                null: o.null,
                alike: o.alike,
                scale: o.scale,
                named: false,
                row: Vec::new(),
            }),
            _ => Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "subquery must return only one column",
            )),
        }
    }
}
