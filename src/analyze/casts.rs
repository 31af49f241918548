//! Casts: which functions they run, and which constraints they test.
//!
//! A cast between two types may call a function of the database's own, like any call of it, and
//! PostgreSQL applies some casts where none is written. Such a function is allowed as a call of it
//! would be. Binary coercion and conversion by input and output run nobody's function.

use super::expr::Info;
use super::operators::NO_OPERAND;
use super::{Analyzer, Resolve};
use crate::catalog::allow::{FunctionUse, builtin_function, extension_function};
use crate::catalog::{Called, Cast, CastContext, TypeKind};
use crate::ident::Ident;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::refusal::Refusal;

/// How deep types may be made of types.
const DEPTH: usize = 16;

impl Analyzer<'_> {
    /// May a value be converted to a type, as `context` allows it?
    pub(super) fn convertible(&self, info: &Info, to: Oid, context: CastContext) -> Resolve<()> {
        self.fields_convertible(info.ty, &info.row, to, context, 0)
    }

    fn fields_convertible(
        &self,
        from: Option<Oid>,
        row: &[Option<Oid>],
        to: Oid,
        context: CastContext,
        depth: usize,
    ) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        let to = catalog.base_type(to);
        // A literal is read by the type's own input function.
        if from == Some(oid::UNKNOWN) || depth > DEPTH {
            return Ok(());
        }
        let from = from.map(|t| catalog.base_type(t));
        if from == Some(to) && from != Some(oid::RECORD) {
            return Ok(());
        }
        let known = from.and_then(|f| catalog.casts.get(&(f, to)));
        // A parameter becomes what it is cast to, unless the client has declared it otherwise; to the
        // database's own types that would be refused, from PostgreSQL's own types nothing is to fear.
        let own = catalog
            .types
            .get(&to)
            .is_none_or(|t| t.schema != "pg_catalog");
        let any = catalog.casts.iter();
        let any = any.filter(|((_, target), _)| from.is_none() && own && *target == to);
        for cast in known.into_iter().chain(any.map(|(_, cast)| cast)) {
            if cast.context <= context {
                self.cast_allowed(cast, to)?;
            }
        }
        let element = |t: Oid| catalog.types.get(&t).and_then(|t| t.array_element);
        if let Some(inner) = element(to) {
            let of = match from {
                Some(f) => element(f),
                None => None,
            };
            if from.is_none() || of.is_some() {
                self.fields_convertible(of, &[], inner, context, depth.saturating_add(1))?;
            }
        }
        // A row is converted field by field.
        if from.is_none_or(|f| f == oid::RECORD)
            && let Some(fields) = self.composite_fields(to)
        {
            for (n, (_, field)) in fields.iter().enumerate() {
                let from = row.get(n).copied().flatten();
                self.fields_convertible(from, &[], *field, context, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    /// Refuses a value that PostgreSQL would convert by itself, with a function the role may not
    /// call, where an operand or argument of another type is wanted.
    pub(super) fn no_hidden_cast(&self, from: Option<Oid>) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        let Some(from) = from.filter(|f| Some(*f) != NO_OPERAND) else {
            return Ok(());
        };
        let from = catalog.base_type(from);
        // What becomes of PostgreSQL's own types is decided by what asks for another.
        if catalog
            .types
            .get(&from)
            .is_none_or(|t| t.schema == "pg_catalog")
        {
            return Ok(());
        }
        for ((source, target), cast) in &catalog.casts {
            // An extension's type and its casts come together; who allows the one has the other.
            let hidden = cast.context == CastContext::Implicit
                && cast.function.as_ref().is_none_or(|f| f.extension.is_none());
            if *source == from && hidden {
                self.cast_allowed(cast, *target)?;
            }
        }
        Ok(())
    }

    fn cast_allowed(&self, cast: &Cast, to: Oid) -> Resolve<()> {
        let Some(called) = &cast.function else {
            return Ok(());
        };
        if self.may_be_called(called) {
            return Ok(());
        }
        let ty = self.grounds.catalog.types.get(&to);
        let ty = ty.map_or_else(String::new, |t| format!(" to type {}", t.name));
        Err(runs(called, &format!("a cast{ty}")))
    }

    fn may_be_called(&self, called: &Called) -> bool {
        let Called { schema, name, .. } = called;
        let listed = if *schema == "pg_catalog" {
            builtin_function(name.as_str())
        } else {
            match &called.extension {
                Some(e) => extension_function(e, name.as_str()),
                None => FunctionUse::Refuse,
            }
        };
        let named = || (schema.clone(), name.clone());
        listed == FunctionUse::Allow || self.grounds.grants.functions.contains(&named())
    }

    /// Refuses a type that a value cannot become without a call, by a domain's constraint, of a
    /// function the role may not call: it would be told what the function makes of values it chose.
    pub(super) fn no_hidden_test(&self, ty: Oid) -> Resolve<()> {
        // Few databases have any.
        if self.grounds.catalog.tests.is_empty() {
            return Ok(());
        }
        self.no_hidden_test_within(ty, 0)
    }

    fn no_hidden_test_within(&self, ty: Oid, depth: usize) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        let Some(info) = catalog.types.get(&ty) else {
            return Ok(());
        };
        if depth > DEPTH {
            return Err(Refusal::denied(format!(
                "type {} is made of too many types",
                info.name
            )));
        }
        let mut tests = catalog.tests.get(&ty).into_iter().flatten();
        if let Some(called) = tests.find(|c| !self.may_be_called(c)) {
            let refusal = runs(called, &format!("a value of type {}", info.name));
            return Err(refusal);
        }
        let deeper = depth.saturating_add(1);
        if let Some(element) = info.array_element {
            self.no_hidden_test_within(element, deeper)?;
        }
        match &info.kind {
            TypeKind::Domain { base, .. } => self.no_hidden_test_within(*base, deeper),
            TypeKind::Composite { relation } => {
                let relation = catalog.relation_by_oid(*relation);
                let columns = relation.map_or(&[][..], |r| &r.columns);
                columns
                    .iter()
                    .try_for_each(|c| self.no_hidden_test_within(c.type_oid, deeper))
            }
            // Of a range, `tests` knows what tests its bounds.
            TypeKind::Range | TypeKind::Base | TypeKind::Enum | TypeKind::Pseudo => Ok(()),
        }
    }

    /// The same for values of several types, of which PostgreSQL makes one: a constant beside an
    /// array of a domain becomes such an array. A domain itself becomes its base type there, but
    /// not where a function takes `anyelement` or its kin.
    pub(super) fn no_hidden_tests_among(
        &self,
        types: impl Iterator<Item = Option<Oid>> + Clone,
        polymorphic: bool,
    ) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        if catalog.tests.is_empty() {
            return Ok(());
        }
        let first = types.clone().next().flatten();
        if first.is_some() && types.clone().all(|t| t == first) {
            return Ok(());
        }
        let domain = |ty: Oid| {
            let info = catalog.types.get(&ty);
            info.is_some_and(|t| matches!(t.kind, TypeKind::Domain { .. }))
        };
        types
            .flatten()
            .filter(|ty| polymorphic || !domain(*ty))
            .try_for_each(|ty| self.no_hidden_test(ty))
    }

    /// Would a value of this type be tested, by a domain's constraint, as it becomes one?
    pub(super) fn tested(&self, ty: Oid) -> bool {
        self.tested_within(ty, 0)
    }

    fn tested_within(&self, ty: Oid, depth: usize) -> bool {
        let catalog = self.grounds.catalog;
        let Some(info) = catalog.types.get(&ty) else {
            return true;
        };
        if depth > DEPTH {
            return true;
        }
        let deeper = depth.saturating_add(1);
        let element = info.array_element;
        if element.is_some_and(|e| self.tested_within(e, deeper)) {
            return true;
        }
        match &info.kind {
            TypeKind::Domain {
                base,
                has_check,
                not_null,
                ..
            } => *has_check || *not_null || self.tested_within(*base, deeper),
            TypeKind::Composite { relation } => {
                let relation = catalog.relation_by_oid(*relation);
                relation.is_none_or(|r| {
                    r.columns
                        .iter()
                        .any(|c| self.tested_within(c.type_oid, deeper))
                })
            }
            // What its bounds are is not in the catalog that is read.
            TypeKind::Range => info.schema != "pg_catalog",
            TypeKind::Base | TypeKind::Enum | TypeKind::Pseudo => false,
        }
    }
}

fn runs(called: &Called, what: &str) -> Refusal {
    let Called { schema, name, .. } = called;
    Refusal::denied(format!(
        "permission denied for function {schema}.{name}, which {what} would run"
    ))
    .detail("It is not among the functions a restricted role may call.")
    .hint(format!(
        "The policy may allow it: functions: {{allow: [{schema}.{name}]}}."
    ))
}

/// A cast that tests a protected value.
pub(super) fn tests_value(name: Option<&Ident>) -> Refusal {
    Refusal::denied(format!(
        "cannot cast a protected column to domain {}",
        name.map_or("", Ident::as_str)
    ))
    .detail("The domain's constraint would test the value.")
    .hint("Cast to the domain's base type.")
}
