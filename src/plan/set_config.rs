//! `SELECT set_config('search_path', '…', …)`, alone or among calls for other settings: SET of what is the
//! proxy's own state.
//!
//! Drivers and dump programs send it instead of SET, PostgREST before every request, with parameters. Other
//! settings are PostgreSQL's, and the analyzer lets such calls stand anywhere.

use super::plan::{Effect, Plan};
use crate::analyze::is_text;
use crate::catalog::split_search_path;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Literal, Query, Select, SelectItem, SetExpr, TypeName};
use crate::wire::Values;

/// If the query is such calls and nothing else, the one for the search path becomes the text it returns,
/// and what it does is returned.
pub(super) fn search_path(query: &mut Query) -> Result<Option<Effect>, Refusal> {
    let bare = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.locking.is_empty();
    let SetExpr::Select(select) = &mut query.body else {
        return Ok(None);
    };
    let Some((item, alias)) = only_call(select).filter(|_| bare) else {
        return Ok(None);
    };
    let Some((given, local)) = call(item) else {
        return Ok(None);
    };
    let effect = match &given {
        Expr::Literal(Literal::String(value)) => Effect::SearchPath {
            local,
            path: Some(elements(value.value())?),
            written: Some(value.value().into()),
        },
        Expr::Param(parameter) => Effect::BoundSearchPath {
            local,
            parameter: *parameter,
        },
        _ => return Ok(None),
    };
    *item = Expr::Cast(Box::new(given), TypeName::builtin("text", 0));
    alias.get_or_insert_with(|| Ident::exact("set_config"));
    Ok(Some(effect))
}

impl Plan {
    /// What it does to the session, only the values tell that are bound to it.
    pub fn is_completed_by_values(&self) -> bool {
        matches!(self.effect(), Effect::BoundSearchPath { .. })
    }

    /// The same with what these values do to the session; `None` where they make no difference.
    pub fn with_values(&self, values: &Values<'_>) -> Result<Option<Self>, Refusal> {
        let Effect::BoundSearchPath { local, parameter } = *self.effect() else {
            return Ok(None);
        };
        let value = values.iter().nth(usize::from(parameter).saturating_sub(1));
        let Some(Some(value)) = value else {
            return Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "the search path as a parameter is no text",
            )
            .hint("Use RESET search_path."));
        };
        let written = std::str::from_utf8(value).map_err(|_e| no_path())?;
        let mut plan = self.carried_to(self);
        plan.set_effect(Effect::SearchPath {
            local,
            path: Some(elements(written)?),
            written: Some(written.into()),
        });
        Ok(Some(plan))
    }
}

fn elements(path: &str) -> Result<Vec<Ident>, Refusal> {
    split_search_path(path).ok_or_else(no_path)
}

fn no_path() -> Refusal {
    Refusal::error(
        sqlstate::INVALID_PARAMETER_VALUE,
        "invalid value for parameter \"search_path\"",
    )
}

/// Of `SELECT set_config(…), set_config(…)` without any clause the one item that sets the search path.
fn only_call(select: &mut Select) -> Option<(&mut Expr, &mut Option<Ident>)> {
    let bare = select.distinct.is_none()
        && select.into.is_none()
        && select.from.is_empty()
        && select.filter.is_none()
        && select.group_by.is_empty()
        && select.having.is_none()
        && select.windows.is_empty();
    if !bare {
        return None;
    }
    let mut found = None;
    for item in &mut select.items {
        let SelectItem::Expr { expr, alias } = item else {
            return None;
        };
        if arguments(expr)?.0.eq_ignore_ascii_case("search_path") {
            if found.is_some() {
                return None;
            }
            found = Some((expr, alias));
        }
    }
    found
}

/// The value and `is_local` of `set_config('search_path', value, is_local)`, which is literal.
fn call(item: &Expr) -> Option<(Expr, bool)> {
    let (_, value, local) = arguments(item)?;
    let value = match value {
        Expr::Cast(inner, ty) if is_text(ty) => &**inner,
        value => value,
    };
    match local {
        Expr::Literal(Literal::Bool(local)) => Some((value.clone(), *local)),
        _ => None,
    }
}

/// The arguments of `set_config('name', …, …)`.
fn arguments(item: &Expr) -> Option<(&str, &Expr, &Expr)> {
    let Expr::Call(call) = item else { return None };
    let named = match call.function.parts.as_slice() {
        [f] => *f == "set_config",
        [s, f] => *s == "pg_catalog" && *f == "set_config",
        _ => false,
    };
    let [name, value, local] = call.args.as_slice() else {
        return None;
    };
    match &name.value {
        Expr::Literal(Literal::String(name)) if named => {
            Some((name.value(), &value.value, &local.value))
        }
        _ => None,
    }
}
