//! Comparisons written with keywords (`IN`, `BETWEEN`, `IS DISTINCT FROM`, `CASE x WHEN`, `NULLIF`)
//! and of rows: PostgreSQL looks their operators up by its search path, which upstream is not the
//! client's. Where the client's gives an operator of an extension (citext's `=`), the comparison is
//! written out with that operator by name.

use super::harmless::meeting;
use super::lineage::Uses;
use super::scope::{CteFrame, Scope};
use super::{Analyzer, Resolve};
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{BoolTest, Expr, Literal, Operator, Part, Quantifier};

/// Types of the two sides of a comparison, where known.
pub(super) type Pair = (Option<Oid>, Option<Oid>);

/// What an IN list, or CASE, compares.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) tainted: bool,
    /// The type of what is looked for.
    pub(super) left: Option<Oid>,
    /// Types of the members, in order; none of rows that are compared field by field.
    pub(super) members: Vec<Option<Oid>>,
    /// Fields of rows, whichever member they are of.
    pub(super) rows: Vec<Pair>,
}

impl Analyzer<'_> {
    /// Writes a comparison out if PostgreSQL would take another operator for its keyword. `left` is
    /// the type of what is compared, `others` those of what it is compared with, in order.
    pub(super) fn written_out(
        &mut self,
        e: &mut Expr,
        left: Option<Oid>,
        others: &[Option<Oid>],
    ) -> Resolve<()> {
        let symbols = match e {
            Expr::Between { .. } => [">=", "<="].as_slice(),
            Expr::IsDistinct { .. }
            | Expr::InList { .. }
            | Expr::InQuery { .. }
            | Expr::Case { .. }
            | Expr::NullIf(..) => &["="],
            _ => return Ok(()),
        };
        self.meet_written(e, left, others);
        let mut ops = Vec::with_capacity(others.len());
        for (n, other) in others.iter().enumerate() {
            let symbol = symbols.get(n).or_else(|| symbols.last()).unwrap_or(&"=");
            ops.push(self.keyword_operator(symbol, left, *other)?);
        }
        if ops.iter().all(Option::is_none) {
            return Ok(());
        }
        // PostgreSQL finds one type for the members of a list, whatever the operators of each would be.
        if let Expr::InList { .. } = e
            && ops.windows(2).any(|two| two.first() != two.last())
        {
            return Err(mixed());
        }
        let symmetric = matches!(
            e,
            Expr::Between {
                symmetric: true,
                ..
            }
        );
        let shape = std::mem::replace(e, Expr::Literal(Literal::Null));
        let of = |n: usize, symbol: &str| {
            let op = ops.get(n).cloned().flatten();
            op.map_or_else(
                || Operator::builtin(symbol),
                |op| Operator {
                    symbol: symbol.into(),
                    ..op
                },
            )
        };
        *e = match shape {
            Expr::IsDistinct {
                left,
                right,
                negated,
            } => {
                self.repeatable(&left)?;
                self.repeatable(&right)?;
                distinct(*left, of(0, "="), *right, negated)
            }
            Expr::Between {
                expr,
                low,
                high,
                negated,
                ..
            } => {
                self.repeatable(&expr)?;
                if symmetric {
                    self.repeatable(&low)?;
                    self.repeatable(&high)?;
                }
                let within = |low: &Expr, high: &Expr, first: usize, second: usize| {
                    Expr::And(vec![
                        binary(&expr, of(first, ">="), low),
                        binary(&expr, of(second, "<="), high),
                    ])
                };
                let mut all = within(&low, &high, 0, 1);
                if symmetric {
                    all = Expr::Or(vec![all, within(&high, &low, 1, 0)]);
                }
                not_if(negated, all)
            }
            Expr::InList {
                expr,
                list,
                negated,
            } => {
                self.repeatable(&expr)?;
                let members = list.iter().enumerate();
                let each = members.map(|(n, member)| binary(&expr, of(n, "="), member));
                not_if(negated, any_of(each.collect()))
            }
            Expr::InQuery {
                expr,
                query,
                negated,
            } => not_if(
                negated,
                Expr::QuantifiedQuery {
                    left: expr,
                    op: of(0, "="),
                    quantifier: Quantifier::Any,
                    query,
                },
            ),
            Expr::Case {
                operand: Some(operand),
                branches,
                otherwise,
            } => {
                self.repeatable(&operand)?;
                let branches = branches.into_iter().enumerate();
                let branches =
                    branches.map(|(n, (when, then))| (binary(&operand, of(n, "="), &when), then));
                Expr::Case {
                    operand: None,
                    branches: branches.collect(),
                    otherwise,
                }
            }
            Expr::NullIf(a, b) => {
                self.repeatable(&a)?;
                Expr::Case {
                    operand: None,
                    branches: vec![(binary(&a, of(0, "="), &b), Expr::Literal(Literal::Null))],
                    otherwise: Some(a),
                }
            }
            other => other,
        };
        Ok(())
    }

    /// The same of an IN list or a CASE.
    pub(super) fn list_written_out(&mut self, e: &mut Expr, listed: &Listed) -> Resolve<()> {
        self.no_foreign_rows(&listed.rows)?;
        self.written_out(e, listed.left, &listed.members)
    }

    /// Rows are compared column by column, with operators of one name. Where one of them is not
    /// `pg_catalog`'s, `=` and `<>` are written out; the others have no such form.
    pub(super) fn rows_written_out(&mut self, e: &mut Expr, pairs: &[Pair]) -> Resolve<()> {
        let Expr::Binary(left, op, right) = e else {
            return Ok(());
        };
        let symbol = op.symbol.clone();
        let named = op.schema.is_some();
        self.operator(op, None, None)?;
        if named {
            return Ok(());
        }
        let mut ops = Vec::with_capacity(pairs.len());
        for (l, r) in pairs {
            self.meet(&[*l, *r]);
            ops.push(self.keyword_operator(&symbol, *l, *r)?);
        }
        if ops.iter().all(Option::is_none) {
            op.schema = Operator::builtin(&symbol).schema;
            return Ok(());
        }
        let (Expr::Row { fields: a, .. }, Expr::Row { fields: b, .. }) = (&**left, &**right) else {
            return Err(no_rows());
        };
        let each = a
            .iter()
            .zip(b)
            .zip(ops)
            .map(|((a, b), op)| binary(a, op.unwrap_or_else(|| Operator::builtin(&symbol)), b));
        *e = match &*symbol {
            "=" => all_of(each.collect()),
            "<>" => any_of(each.collect()),
            _ => return Err(no_rows()),
        };
        Ok(())
    }

    /// Refuses to compare rows with rows that cannot be written out.
    pub(super) fn no_foreign_rows(&mut self, pairs: &[Pair]) -> Resolve<()> {
        for (l, r) in pairs {
            self.meet(&[*l, *r]);
            if self.keyword_operator("=", *l, *r)?.is_some() {
                return Err(no_rows());
            }
        }
        Ok(())
    }

    /// What is written out is written more than once: it must give the same each time.
    fn repeatable(&self, e: &Expr) -> Resolve<()> {
        let mut left = vec![e.clone()];
        while let Some(mut next) = left.pop() {
            if let Expr::Call(call) = &next
                && self.grounds.catalog.is_volatile(&call.function.parts)
            {
                return Err(not_twice());
            }
            next.parts(&mut |part| match part {
                Part::Expr(inner) => {
                    left.push(inner.clone());
                    Ok(())
                }
                Part::Query(_) => Err(not_twice()),
            })?;
        }
        Ok(())
    }

    /// Several expressions, all consumed by something unknown: is one tainted, and their types.
    pub(super) fn all<'e>(
        &mut self,
        list: impl Iterator<Item = &'e mut Expr>,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(bool, Vec<Option<Oid>>)> {
        let (mut tainted, mut found) = (false, Vec::new());
        for inner in list {
            let info = self.consumed(inner, scope, ctes, Uses::COMPUTE)?;
            tainted |= info.tainted;
            self.no_hidden_cast(info.ty)?;
            found.push((info.null, meeting(inner, info.ty)));
        }
        let types = types_among(found.into_iter());
        self.meet(&types);
        self.no_hidden_tests_among(types.iter().copied(), false)?;
        Ok((tainted, types))
    }

    /// The one type of several values; literals take any.
    pub(super) fn common(&self, types: &[Option<Oid>]) -> Option<Oid> {
        let known = types.iter().filter(|t| **t != Some(oid::UNKNOWN));
        let mut known = known.copied();
        let Some(first) = known.next() else {
            return (!types.is_empty()).then_some(oid::TEXT);
        };
        let first = first?;
        if known.clone().all(|t| t == Some(first)) {
            return Some(first);
        }
        let all: Option<Vec<Oid>> = known.chain([Some(first)]).collect();
        let all = all?;
        let textual = |ty: &Oid| matches!(*ty, oid::TEXT | oid::VARCHAR);
        Self::widest(&all).or_else(|| all.iter().all(textual).then_some(oid::TEXT))
    }

    /// The array type of an element type.
    pub(super) fn array_of(&self, element: Option<Oid>) -> Option<Oid> {
        let element = element?;
        let types = self.grounds.catalog.types.values();
        let mut arrays = types.filter(|t| t.array_element == Some(element));
        arrays.next().map(|t| t.oid)
    }
}

/// `a IS DISTINCT FROM b`, with an operator.
fn distinct(left: Expr, op: Operator, right: Expr, negated: bool) -> Expr {
    let test = |e: &Expr, test| Expr::Test(Box::new(e.clone()), test);
    let case = Expr::Case {
        operand: None,
        branches: vec![
            (test(&left, BoolTest::Null), test(&right, BoolTest::NotNull)),
            (
                test(&right, BoolTest::Null),
                Expr::Literal(Literal::Bool(true)),
            ),
        ],
        otherwise: Some(Box::new(Expr::Not(Box::new(binary(&left, op, &right))))),
    };
    not_if(negated, case)
}

fn binary(left: &Expr, op: Operator, right: &Expr) -> Expr {
    Expr::Binary(Box::new(left.clone()), op, Box::new(right.clone()))
}

fn not_if(negated: bool, e: Expr) -> Expr {
    if negated { Expr::Not(Box::new(e)) } else { e }
}

fn any_of(mut each: Vec<Expr>) -> Expr {
    match each.len() {
        1 => each.swap_remove(0),
        _ => Expr::Or(each),
    }
}

fn all_of(mut each: Vec<Expr>) -> Expr {
    match each.len() {
        1 => each.swap_remove(0),
        _ => Expr::And(each),
    }
}

fn not_twice() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "this comparison uses an operator of an extension, and compares a value that may change",
    )
    .detail("It is written out with the operator by name, and the value with it several times.")
    .hint("Compute the value in a subquery in FROM, and compare its column.")
}

fn mixed() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "the members of this IN list are of several types, one of them an extension's",
    )
    .hint("Cast them to one type.")
}

pub(super) fn no_rows() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "rows with columns of an extension's type cannot be compared this way",
    )
    .hint("Compare the columns one by one.")
}

/// The types of several values, of which each is a constant NULL or not, to find what they have in common:
/// a NULL takes any, as a literal does, and that which a cast gave it where there is nothing else.
pub(super) fn types_among(
    values: impl Iterator<Item = (bool, Option<Oid>)> + Clone,
) -> Vec<Option<Oid>> {
    let unknown = Some(oid::UNKNOWN);
    let types = values
        .clone()
        .map(|(null, ty)| if null { unknown } else { ty });
    if types.clone().any(|ty| ty != unknown) {
        return types.collect();
    }
    values.map(|(_, ty)| ty.or(unknown)).collect()
}
