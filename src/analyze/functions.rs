//! Which function a call means, and whether a restricted role may call it.
//!
//! A name is enough to allow a function, all overloads together: the lists in `catalog::allow` are by
//! name. What a call must settle is the schema. One that could mean a builtin or an owner's function
//! is refused rather than guessed (an owner's `app.left(varchar, int)` once captured a mask).

use super::expr::Info;
use super::polymorphic::{alike, gives_any, takes_rows};
use super::{Analyzer, Resolve};
use crate::catalog::allow::{FunctionUse, extension_function, system_function};
use crate::catalog::{Function, FunctionKind, Volatility};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::Name;

/// The function a call means.
pub(super) struct Chosen {
    pub(super) schema: Ident,
    pub(super) name: Ident,
    /// Its text can quote literals of definitions.
    pub(super) scrub: bool,
    pub(super) result: Option<Oid>,
    /// Types of its arguments, when one overload is left and is not PostgreSQL's own.
    pub(super) args: Vec<Oid>,
    /// Columns when it stands in FROM, when known without the types of the arguments.
    pub(super) out_columns: Vec<(Ident, Oid)>,
    /// It may give values of any type: `unnest(anyarray)`.
    pub(super) gives_any: bool,
    /// It may write something.
    pub(super) acts: bool,
}

impl Chosen {
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.schema == "pg_catalog" && self.name == name
    }
}

impl Analyzer<'_> {
    /// May a call of that name with a row as its only argument be meant? Of an owner's functions any
    /// may take one.
    pub(super) fn takes_a_row(&self, name: &Name) -> bool {
        self.candidates(name)
            .into_iter()
            .any(|f| f.schema != "pg_catalog" || arity(f, 1) && takes_rows(f))
    }

    /// Can only a function of PostgreSQL's own be meant?
    pub(super) fn is_only_builtin(&self, name: &Name) -> bool {
        let mut found = self.candidates(name).into_iter();
        found.all(|f| f.schema == "pg_catalog")
    }

    fn candidates(&self, name: &Name) -> Vec<&Function> {
        let (schema, function) = match name.parts.as_slice() {
            [f] => (None, f),
            [s, f] => (Some(s), f),
            _ => return Vec::new(),
        };
        let all = self
            .grounds
            .catalog
            .functions
            .get(function)
            .map_or(&[][..], Vec::as_slice);
        all.iter()
            .filter(|f| match schema {
                Some(s) => f.schema == *s,
                None => self.grounds.search_path.schemas().contains(&f.schema),
            })
            .collect()
    }

    /// Decides what a call means; `args` is `None` for `f(*)`.
    pub(super) fn choose_function(
        &self,
        name: &Name,
        args: Option<&[Info]>,
        positional: bool,
    ) -> Resolve<Chosen> {
        let function = name
            .parts
            .last()
            .cloned()
            .unwrap_or_else(|| Ident::exact(""));
        let found = self.candidates(name);
        if found.is_empty() {
            return Err(Refusal::error(
                sqlstate::UNDEFINED_FUNCTION,
                format!("function {} does not exist", written(name)),
            )
            .at(name.position));
        }
        let count = args.map_or(0, <[Info]>::len);
        let fitting: Vec<&Function> = found
            .iter()
            .copied()
            .filter(|f| args.is_none() || arity(f, count))
            .collect();
        let fitting = if fitting.is_empty() { found } else { fitting };
        let schema = self.one_schema(name, &fitting, args.unwrap_or_default())?;
        let overloads: Vec<&Function> =
            fitting.into_iter().filter(|f| f.schema == schema).collect();
        let use_ = self.function_use(&overloads, &schema, &function);
        if overloads.iter().any(|f| f.kind == FunctionKind::Procedure) {
            return Err(
                Refusal::error("42809", format!("{} is a procedure", written(name)))
                    .at(name.position),
            );
        }
        let scrub = match use_ {
            FunctionUse::Allow => false,
            FunctionUse::Scrub => true,
            FunctionUse::Refuse => {
                return Err(Refusal::denied(format!(
                    "permission denied for function {}",
                    written(name)
                ))
                .detail("It is not among the functions a restricted role may call.")
                .hint(if schema == "pg_catalog" {
                    "Use a function of the columns themselves."
                } else {
                    "The policy may allow it: functions: {allow: [schema.name]}."
                })
                .at(name.position));
            }
        };
        for f in &overloads {
            let types = alike(f, args.unwrap_or_default()).map(|info| info.ty);
            self.no_hidden_tests_among(types, true)?;
        }
        let best = self.best_overload(&overloads, args.unwrap_or_default(), positional);
        let (result, out_columns) = match best {
            Some(f) => (
                self.result_type(f, args.unwrap_or_default()),
                f.out_columns.clone(),
            ),
            None => (agreed_result(&overloads), agreed_columns(&overloads)),
        };
        let args = match best {
            Some(f) if schema != "pg_catalog" => f.args.clone(),
            _ => Vec::new(),
        };
        let volatile = |f: &&Function| f.volatility == Volatility::Volatile;
        let acts = schema != "pg_catalog" && overloads.iter().any(volatile);
        Ok(Chosen {
            acts,
            args,
            schema,
            name: function,
            scrub,
            result: result.filter(|r| !self.polymorphic(*r)),
            out_columns,
            gives_any: overloads.iter().any(|f| gives_any(f)),
        })
    }

    /// The schema all plausible meanings share, or a refusal.
    fn one_schema(&self, name: &Name, fitting: &[&Function], args: &[Info]) -> Resolve<Ident> {
        if let Some(schema) = self.only_taking(fitting, args) {
            return Ok(schema.clone());
        }
        let argument_extensions: Vec<_> = args
            .iter()
            .filter_map(|a| self.type_extension(a.ty))
            .collect();
        // An extension's overload of a builtin (citext's `replace`) is meant only when one of its own
        // types is among the arguments.
        let plausible: Vec<&&Function> = fitting
            .iter()
            .filter(|f| match &f.extension {
                Some(e) if fitting.iter().any(|g| g.schema == "pg_catalog") => {
                    argument_extensions.contains(e)
                }
                _ => true,
            })
            .collect();
        let meant: Vec<&&Function> = if plausible.iter().any(|f| f.extension.is_some()) {
            plausible
                .iter()
                .filter(|f| f.schema != "pg_catalog")
                .copied()
                .collect()
        } else {
            plausible
        };
        let first = meant.first().map(|f| f.schema.clone());
        match first {
            Some(schema) if meant.iter().all(|f| f.schema == schema) => Ok(schema),
            _ => Err(
                Refusal::denied(format!("function {} could mean two things", written(name)))
                    .detail("Functions of that name exist in several schemas of the search path.")
                    .hint("Qualify it with its schema, such as pg_catalog.")
                    .at(name.position),
            ),
        }
    }

    /// The schema of all functions that take such arguments, where some are an extension's and the others
    /// PostgreSQL's own: a text does not become a `citext` by itself.
    fn only_taking<'f>(&self, fitting: &[&'f Function], args: &[Info]) -> Option<&'f Ident> {
        let ours = |f: &Function| f.schema == "pg_catalog";
        let both = fitting.iter().any(|f| ours(f)) && !fitting.iter().all(|f| ours(f));
        if !both || fitting.iter().any(|f| !ours(f) && f.extension.is_none()) {
            return None;
        }
        let takes = |f: &&&Function| {
            let known = args.iter().zip(&f.args);
            f.variadic
                || known
                    .into_iter()
                    .all(|(a, want)| a.ty.is_none_or(|ty| self.goes(ty, *want)))
        };
        let mut taking = fitting.iter().filter(takes).map(|f| &f.schema);
        let first = taking.next()?;
        taking.all(|schema| schema == first).then_some(first)
    }

    fn function_use(&self, overloads: &[&Function], schema: &Ident, name: &Ident) -> FunctionUse {
        if matches!(schema.as_str(), "pg_catalog" | "information_schema") {
            return system_function(schema.as_str(), name.as_str());
        }
        if self
            .grounds
            .grants
            .functions
            .contains(&(schema.clone(), name.clone()))
        {
            return FunctionUse::Allow;
        }
        let mut extensions = overloads.iter().map(|f| f.extension.as_deref());
        match extensions.next() {
            Some(Some(e)) if extensions.all(|other| other == Some(e)) => {
                extension_function(e, name.as_str())
            }
            _ => FunctionUse::Refuse,
        }
    }

    /// The one overload the known argument types leave.
    fn best_overload<'f>(
        &self,
        overloads: &[&'f Function],
        args: &[Info],
        positional: bool,
    ) -> Option<&'f Function> {
        if let [only] = overloads {
            return Some(only);
        }
        let catalog = self.grounds.catalog;
        let mut exact = overloads.iter().filter(|f| {
            f.args.len() == args.len()
                && args.iter().zip(&f.args).all(|(a, want)| {
                    a.ty.is_none_or(|t| t == oid::UNKNOWN || catalog.base_type(t) == *want)
                })
        });
        if let Some(first) = exact.next() {
            if exact.all(|f| f.result == first.result && f.out_columns == first.out_columns) {
                return Some(first);
            }
        } else if let Some(only) = self.polymorphic_overload(overloads, args) {
            return Some(only);
        }
        let plain = |f: &&Function| !f.variadic && f.args.len() == args.len();
        if !positional || !overloads.iter().all(plain) {
            return None;
        }
        let types = args.iter().map(|a| a.ty.map(|t| catalog.base_type(t)));
        self.selected(overloads, &types.collect::<Option<Vec<Oid>>>()?)
    }

    /// `anyelement` and its kin say nothing about the result.
    pub(super) fn polymorphic(&self, ty: Oid) -> bool {
        self.grounds
            .catalog
            .types
            .get(&ty)
            .is_none_or(|t| matches!(t.kind, crate::catalog::TypeKind::Pseudo))
    }
}

/// The type that every overload returns, whichever it is.
fn agreed_result(overloads: &[&Function]) -> Option<Oid> {
    let (first, rest) = overloads.split_first()?;
    let agreed = rest.iter().all(|f| f.result == first.result);
    agreed.then_some(first.result)
}

/// OUT columns every overload shares by name.
fn agreed_columns(overloads: &[&Function]) -> Vec<(Ident, Oid)> {
    let Some(first) = overloads.first() else {
        return Vec::new();
    };
    let names = |f: &Function| {
        f.out_columns
            .iter()
            .map(|(n, _)| n.clone())
            .collect::<Vec<_>>()
    };
    if overloads.iter().all(|f| names(f) == names(first)) {
        first.out_columns.clone()
    } else {
        Vec::new()
    }
}

fn arity(f: &Function, count: usize) -> bool {
    let most = f.args.len();
    let least = most.saturating_sub(usize::from(f.defaults));
    if f.variadic {
        count >= least.saturating_sub(1)
    } else {
        (least..=most).contains(&count)
    }
}

/// A name as the client wrote it.
pub(super) fn written(name: &Name) -> String {
    name.parts
        .iter()
        .map(Ident::as_str)
        .collect::<Vec<_>>()
        .join(".")
}
