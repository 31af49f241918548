//! Functions whose types follow from their arguments: `unnest(anyarray) returns anyelement`.

use super::Analyzer;
use super::candidates::{
    ANY, ANYARRAY, ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLEMULTIRANGE,
    ANYCOMPATIBLENONARRAY, ANYCOMPATIBLERANGE, ANYELEMENT, ANYMULTIRANGE, ANYNONARRAY, ANYRANGE,
};
use super::expr::Info;
use crate::catalog::Function;
use crate::pg::Oid;
use crate::pg::types::oid;

/// What an argument, or a result, is of the type all of its kin share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Element,
    Array,
}

/// `anyelement` and its kin agree with one another, and `anycompatible` and its kin do.
fn part(ty: Oid) -> Option<(Part, Oid)> {
    match ty {
        ANYELEMENT | ANYNONARRAY => Some((Part::Element, ANYELEMENT)),
        ANYARRAY => Some((Part::Array, ANYELEMENT)),
        ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => Some((Part::Element, ANYCOMPATIBLE)),
        ANYCOMPATIBLEARRAY => Some((Part::Array, ANYCOMPATIBLE)),
        _ => None,
    }
}

/// The arguments whose types `f` wants to agree.
pub(super) fn alike<'i>(f: &Function, args: &'i [Info]) -> impl Iterator<Item = &'i Info> + Clone {
    let last = f.args.last().filter(|_| f.variadic);
    let wanted = f
        .args
        .iter()
        .chain(std::iter::repeat_n(last, args.len()).flatten());
    args.iter()
        .zip(wanted)
        .filter(|(_, wanted)| is_polymorphic(**wanted))
        .map(|(info, _)| info)
}

fn is_polymorphic(ty: Oid) -> bool {
    let ranges = [
        ANYRANGE,
        ANYMULTIRANGE,
        ANYCOMPATIBLERANGE,
        ANYCOMPATIBLEMULTIRANGE,
    ];
    part(ty).is_some() || ranges.contains(&ty)
}

/// Does it take a value of any row type?
pub(super) fn takes_rows(f: &Function) -> bool {
    let first = f.args.first().copied();
    f.variadic
        || matches!(
            first,
            Some(ANY | ANYELEMENT | ANYNONARRAY | ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY)
        )
        || first == Some(oid::RECORD)
}

/// May it give a row, as one of the values it is given? (Of ranges there are none of rows.)
pub(super) fn gives_any(f: &Function) -> bool {
    let element = matches!(part(f.result), Some((Part::Element, _)));
    element && f.args.iter().any(|a| part(*a).is_some())
}

impl Analyzer<'_> {
    /// The type of what `f` gives; `None` if it cannot be told.
    pub(super) fn result_type(&self, f: &Function, args: &[Info]) -> Option<Oid> {
        let Some((wanted, family)) = part(f.result) else {
            return Some(f.result);
        };
        let mut elements = Vec::new();
        // A literal takes the type of the others.
        let typed = |i: &Info| !i.null && i.ty != Some(oid::UNKNOWN);
        let given = args.iter().zip(&f.args);
        for (info, declared) in given.filter(|(i, _)| typed(i)) {
            match part(*declared) {
                Some((Part::Element, of)) if of == family => elements.push(info.ty),
                Some((Part::Array, of)) if of == family => {
                    elements.push(self.element_type(info.ty));
                }
                _ => {}
            }
        }
        let element = self.common(&elements);
        match wanted {
            Part::Element => element,
            Part::Array => self.array_of(element),
        }
    }

    /// The type of an array beside another, or an element, that is added to it.
    pub(super) fn longer_array(&self, left: Option<Oid>, right: Option<Oid>) -> Option<Oid> {
        let own = |t: Option<Oid>| t.map(|t| self.grounds.catalog.base_type(t));
        let (left, right) = (own(left), own(right));
        let adds = |array: Option<Oid>, other: Option<Oid>| {
            let element = self.element_type(array)?;
            let known = other? == oid::UNKNOWN || other == array || other == Some(element);
            known.then_some(array)?
        };
        adds(left, right).or_else(|| adds(right, left))
    }

    /// The one of several overloads that takes whatever is an array, or whatever is none, if only
    /// that one takes these arguments.
    pub(super) fn polymorphic_overload<'f>(
        &self,
        overloads: &[&'f Function],
        args: &[Info],
    ) -> Option<&'f Function> {
        let mut fitting = overloads.iter().filter(|f| {
            f.args.len() == args.len()
                && args
                    .iter()
                    .zip(&f.args)
                    .all(|(a, want)| self.fits(a, *want))
        });
        let first = fitting.next()?;
        fitting.next().is_none().then_some(*first)
    }

    /// Only what is known fits: an unknown literal fits them all.
    fn fits(&self, given: &Info, wanted: Oid) -> bool {
        let Some(ty) = given.ty.filter(|t| *t != oid::UNKNOWN) else {
            return false;
        };
        let array = self.element_type(Some(ty)).is_some();
        match wanted {
            ANYNONARRAY | ANYCOMPATIBLENONARRAY => !array,
            ANY | ANYELEMENT | ANYCOMPATIBLE => true,
            ANYARRAY | ANYCOMPATIBLEARRAY => array,
            _ => self.grounds.catalog.base_type(ty) == wanted,
        }
    }
}
