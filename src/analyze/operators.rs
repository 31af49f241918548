//! Operators: which one a symbol means, by the client's search path and the operands' types.
//!
//! Follows PostgreSQL's `parse_oper.c`: an operator of exactly these types, else the one candidate that is
//! left (`candidates`). Where an operand's type is not known here, an operator of the other operand's own
//! type is taken, then one of `pg_catalog`.

use super::lineage::Uses;
use super::{Analyzer, Resolve};
use crate::catalog::OperatorInfo;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::Operator;

/// The left operand of a prefix operator.
pub(super) const NO_OPERAND: Option<Oid> = Some(0);

impl Analyzer<'_> {
    /// Resolves an operator in place; its result type, when known. Only `pg_catalog`'s operators and
    /// those of extensions are allowed: an owner's operator runs an owner's function.
    pub(super) fn operator(
        &self,
        op: &mut Operator,
        left: Option<Oid>,
        right: Option<Oid>,
    ) -> Resolve<Option<Oid>> {
        let (chosen, certain) = self.chosen(op, left, right)?;
        op.schema = Some(chosen.schema.clone());
        if &*op.symbol == "||"
            && chosen.schema == "pg_catalog"
            && let Some(array) = self.longer_array(left, right)
        {
            return Ok(Some(array));
        }
        Ok(Some(chosen.result).filter(|ty| certain && !self.polymorphic(*ty)))
    }

    /// The operator a keyword (`IN`, `BETWEEN`, …) stands for, if it is none of `pg_catalog`: then
    /// PostgreSQL, whose search path is ours, would take another.
    pub(super) fn keyword_operator(
        &self,
        symbol: &str,
        left: Option<Oid>,
        right: Option<Oid>,
    ) -> Resolve<Option<Operator>> {
        let mut op = Operator {
            schema: None,
            ..Operator::builtin(symbol)
        };
        self.operator(&mut op, left, right)?;
        let ours = op.schema.as_ref().is_some_and(|s| *s == "pg_catalog");
        Ok((!ours).then_some(op))
    }

    /// The operator, and whether its types are those of the operands.
    fn chosen(
        &self,
        op: &Operator,
        left: Option<Oid>,
        right: Option<Oid>,
    ) -> Resolve<(&OperatorInfo, bool)> {
        self.no_hidden_cast(left)?;
        self.no_hidden_cast(right)?;
        self.no_hidden_tests_among([left, right].into_iter(), false)?;
        let visible = self.visible_operators(op, left == NO_OPERAND);
        let allowed = |o: &&OperatorInfo| o.schema == "pg_catalog" || o.extension.is_some();
        let own = |t: Option<Oid>| t.map(|t| self.grounds.catalog.base_type(t));
        let (left, right) = (own(left), own(right));
        let (ours, others): (Vec<&OperatorInfo>, Vec<&OperatorInfo>) =
            visible.iter().partition(|o| o.schema == "pg_catalog");
        let found = match (left, right) {
            (Some(l), Some(r)) => {
                let known = self.resolved(&visible, [l, r]);
                // PostgreSQL would take none, or this module knows less of the types than it does.
                // That is no matter where only its own operators are in question.
                let theirs = others
                    .iter()
                    .any(|o| [o.left, o.right].contains(&l) || [o.left, o.right].contains(&r));
                if known.is_none() && theirs {
                    return Err(no_operator(&op.symbol));
                }
                let guess = || self.guessed(&ours, left, right).map(|(o, _)| (o, false));
                known.map(|o| (o, true)).or_else(guess)
            }
            _ => self.guessed(&visible, left, right),
        };
        match found {
            Some((found, certain)) if allowed(&found) => Ok((found, certain)),
            Some(_) => Err(no_operator(&op.symbol)
                .detail("It is an operator of the database's own, and would run its function.")),
            None => Err(no_operator(&op.symbol)),
        }
    }

    /// Operators of that name, those of the same types in a later schema left out.
    fn visible_operators(&self, op: &Operator, prefix: bool) -> Vec<&OperatorInfo> {
        let catalog = self.grounds.catalog;
        let all = catalog
            .operators
            .get(&op.symbol)
            .map_or(&[][..], Vec::as_slice);
        let mut visible: Vec<&OperatorInfo> = Vec::new();
        let path = match &op.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => self.grounds.search_path.schemas(),
        };
        for schema in path {
            let before = visible.len();
            for o in all.iter().filter(|o| o.schema == *schema) {
                let hidden = visible
                    .iter()
                    .take(before)
                    .any(|v| v.left == o.left && v.right == o.right);
                if !hidden && (o.left == 0) == prefix {
                    visible.push(o);
                }
            }
        }
        visible
    }

    /// Where a type is not known.
    fn guessed<'o>(
        &self,
        visible: &[&'o OperatorInfo],
        left: Option<Oid>,
        right: Option<Oid>,
    ) -> Option<(&'o OperatorInfo, bool)> {
        let known = |t: Option<Oid>| t.filter(|t| *t != oid::UNKNOWN);
        let (l, r) = (known(left), known(right));
        let fits = |want: Oid, have: Option<Oid>| have.is_none_or(|h| h == want);
        let exact = |o: &&&OperatorInfo| {
            (l.is_some() || r.is_some()) && fits(o.left, l) && fits(o.right, r)
        };
        let ours = |o: &&&OperatorInfo| o.schema == "pg_catalog";
        let allowed = |o: &&&OperatorInfo| o.extension.is_some();
        let found = |o: &&'o OperatorInfo| (*o, exact(&o));
        let first = visible.iter().filter(ours).find(exact);
        let first = first.or_else(|| visible.iter().filter(allowed).find(exact));
        let first = first.or_else(|| visible.iter().find(ours));
        first.or_else(|| visible.first()).map(found)
    }

    /// The operator PostgreSQL takes for operands of these types; `None` if it takes none, or cannot
    /// decide.
    fn resolved<'o>(
        &self,
        visible: &[&'o OperatorInfo],
        types: [Oid; 2],
    ) -> Option<&'o OperatorInfo> {
        let assumed = match types {
            [l, oid::UNKNOWN] if l != 0 => [l, l],
            [oid::UNKNOWN, r] => [r, r],
            other => other,
        };
        let exact = visible.iter().find(|o| [o.left, o.right] == assumed);
        exact.copied().or_else(|| self.selected(visible, &types))
    }
}

fn no_operator(symbol: &str) -> Refusal {
    Refusal::error(
        sqlstate::UNDEFINED_FUNCTION,
        format!("operator {symbol} does not exist for these types, or is not allowed to the role"),
    )
    .hint("Cast the operands.")
}

/// What a comparison does to its operands. Every operator not named here computes.
pub(super) fn operator_uses(op: &Operator) -> Uses {
    match &*op.symbol {
        "=" | "<>" => Uses::EQUALITY,
        "<" | "<=" | ">" | ">=" => Uses::ORDER,
        _ => Uses::COMPUTE,
    }
}
