//! Which of several functions or operators PostgreSQL takes for arguments of these types.
//!
//! Follows `func_match_argtypes` and `func_select_candidate` of its `parse_func.c`, as told in "Operator
//! Type Resolution" and "Function Type Resolution" of its manual. Deliberately absent: variadic functions,
//! defaults, and arguments by name.

use super::Analyzer;
use crate::catalog::{CastContext, Function, OperatorInfo, TypeKind};
use crate::pg::Oid;
use crate::pg::types::oid;

/// Pseudo-types that take many types.
pub(super) const ANY: Oid = 2276;
pub(super) const ANYARRAY: Oid = 2277;
pub(super) const ANYELEMENT: Oid = 2283;
pub(super) const ANYNONARRAY: Oid = 2776;
const ANYENUM: Oid = 3500;
pub(super) const ANYRANGE: Oid = 3831;
pub(super) const ANYMULTIRANGE: Oid = 4537;
pub(super) const ANYCOMPATIBLE: Oid = 5077;
pub(super) const ANYCOMPATIBLEARRAY: Oid = 5078;
pub(super) const ANYCOMPATIBLENONARRAY: Oid = 5079;
pub(super) const ANYCOMPATIBLEMULTIRANGE: Oid = 4538;
pub(super) const ANYCOMPATIBLERANGE: Oid = 5080;

/// `pg_type.typcategory` of strings.
const STRING: u8 = b'S';

/// What is called with arguments of given types.
pub(super) trait Candidate {
    /// The types it takes.
    fn takes(&self, n: usize) -> Oid;
}

impl Candidate for OperatorInfo {
    fn takes(&self, n: usize) -> Oid {
        if n == 0 { self.left } else { self.right }
    }
}

impl Candidate for Function {
    fn takes(&self, n: usize) -> Oid {
        self.args.get(n).copied().unwrap_or_default()
    }
}

impl Analyzer<'_> {
    /// The one PostgreSQL takes; `None` if it takes none, or cannot decide. No type, 0, is that of no
    /// operand.
    pub(super) fn selected<'c, C: Candidate>(
        &self,
        candidates: &[&'c C],
        types: &[Oid],
    ) -> Option<&'c C> {
        let goes = |c: &C, (n, ty): (usize, &Oid)| *ty == 0 || self.goes(*ty, c.takes(n));
        let mut left = candidates.to_vec();
        left.retain(|c| types.iter().enumerate().all(|given| goes(c, given)));
        let count = |c: &C, counts: &dyn Fn(Oid, Oid) -> bool| {
            (types.iter().enumerate())
                .filter(|(n, t)| **t != oid::UNKNOWN && counts(**t, c.takes(*n)))
                .count()
        };
        keep_best(&mut left, |c| count(c, &|t, a| t == a));
        let preferred = |t, a| t == a || self.preferred(a) && self.category(a) == self.category(t);
        keep_best(&mut left, |c| count(c, &preferred));
        for (n, ty) in types.iter().enumerate() {
            if left.len() > 1 && *ty == oid::UNKNOWN {
                self.by_category(&mut left, n);
            }
        }
        // One that is not known is of the type that all the others are of.
        let mut known = types.iter().filter(|t| **t != oid::UNKNOWN);
        if left.len() > 1
            && types.contains(&oid::UNKNOWN)
            && let Some(one) = known.next()
            && known.all(|t| t == one)
        {
            let mut taking = left.clone();
            taking.retain(|c| (0..types.len()).all(|n| self.goes(*one, c.takes(n))));
            if let [only] = taking.as_slice() {
                return Some(only);
            }
        }
        match left.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// An argument of unknown type is a string if it may be one, else of the one category there is.
    fn by_category<C: Candidate>(&self, left: &mut Vec<&C>, n: usize) {
        let categories: Vec<u8> = left.iter().map(|c| self.category(c.takes(n))).collect();
        let wanted = match categories.as_slice() {
            all if all.contains(&STRING) => STRING,
            [first, rest @ ..] if rest.iter().all(|c| c == first) => *first,
            _ => return,
        };
        left.retain(|c| self.category(c.takes(n)) == wanted);
        if left.iter().any(|c| self.preferred(c.takes(n))) {
            left.retain(|c| self.preferred(c.takes(n)));
        }
    }

    fn category(&self, ty: Oid) -> u8 {
        let ty = self.grounds.catalog.types.get(&ty);
        ty.map_or(0, |t| t.category)
    }

    fn preferred(&self, ty: Oid) -> bool {
        let ty = self.grounds.catalog.types.get(&ty);
        ty.is_some_and(|t| t.preferred)
    }

    /// Does PostgreSQL convert the one type to the other by itself?
    pub(super) fn goes(&self, from: Oid, to: Oid) -> bool {
        let catalog = self.grounds.catalog;
        let (from, to) = (catalog.base_type(from), catalog.base_type(to));
        let Some(source) = catalog.types.get(&from) else {
            return false;
        };
        if from == to || from == oid::UNKNOWN {
            return true;
        }
        match to {
            ANY | ANYELEMENT | ANYCOMPATIBLE => true,
            ANYARRAY | ANYCOMPATIBLEARRAY => source.array_element.is_some(),
            ANYNONARRAY | ANYCOMPATIBLENONARRAY => source.array_element.is_none(),
            ANYENUM => source.kind == TypeKind::Enum,
            ANYRANGE | ANYCOMPATIBLERANGE => source.kind == TypeKind::Range,
            oid::RECORD => matches!(source.kind, TypeKind::Composite { .. }),
            _ => {
                let implicit = |from, to| {
                    let cast = catalog.casts.get(&(from, to));
                    cast.is_some_and(|c| c.context == CastContext::Implicit)
                };
                let element = |t| catalog.types.get(&t).and_then(|t| t.array_element);
                implicit(from, to)
                    || matches!((element(from), element(to)), (Some(f), Some(t)) if f == t || implicit(f, t))
            }
        }
    }
}

/// Keeps those that count most, if any counts.
fn keep_best<C>(left: &mut Vec<&C>, count: impl Fn(&C) -> usize) {
    let best = left.iter().map(|c| count(c)).max().unwrap_or(0);
    left.retain(|c| count(c) == best);
}
