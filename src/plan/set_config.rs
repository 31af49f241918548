//! `SELECT set_config('search_path', '…', …)`, alone: SET of what is the proxy's own state.
//!
//! Drivers and dump programs send it instead of SET. Other settings are PostgreSQL's, and the
//! analyzer lets such calls stand anywhere.

use super::plan::Effect;
use crate::catalog::split_search_path;
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Constant, Expr, Literal, Name, Query, Select, SelectItem, SetExpr, TypeName,
};

/// If the query is that call and nothing else, the call becomes the text it returns, and what it
/// does is returned.
pub(super) fn search_path(query: &mut Query) -> Result<Option<Effect>, Refusal> {
    let bare = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.locking.is_empty();
    let SetExpr::Select(select) = &mut query.body else {
        return Ok(None);
    };
    let Some((item, alias)) = only_item(select).filter(|_| bare) else {
        return Ok(None);
    };
    let Some((value, local)) = call(item) else {
        return Ok(None);
    };
    let path = split_search_path(value.value()).ok_or_else(|| {
        Refusal::error(
            sqlstate::INVALID_PARAMETER_VALUE,
            "invalid value for parameter \"search_path\"",
        )
    })?;
    *item = Expr::Cast(Box::new(Expr::Literal(Literal::String(value))), text());
    alias.get_or_insert_with(|| Ident::exact("set_config"));
    Ok(Some(Effect::SearchPath {
        local,
        path: Some(path),
    }))
}

/// The item of `SELECT item` without any clause.
fn only_item(select: &mut Select) -> Option<(&mut Expr, &mut Option<Ident>)> {
    let bare = select.distinct.is_none()
        && select.into.is_none()
        && select.from.is_empty()
        && select.filter.is_none()
        && select.group_by.is_empty()
        && select.having.is_none()
        && select.windows.is_empty();
    match select.items.as_mut_slice() {
        [SelectItem::Expr { expr, alias }] if bare => Some((expr, alias)),
        _ => None,
    }
}

/// The value and `is_local` of `set_config('search_path', value, is_local)`, all literal.
fn call(item: &Expr) -> Option<(Constant, bool)> {
    let Expr::Call(call) = item else { return None };
    let named = match call.function.parts.as_slice() {
        [f] => *f == "set_config",
        [s, f] => *s == "pg_catalog" && *f == "set_config",
        _ => false,
    };
    let [name, value, local] = call.args.as_slice() else {
        return None;
    };
    match (&name.value, &value.value, &local.value) {
        (
            Expr::Literal(Literal::String(name)),
            Expr::Literal(Literal::String(value)),
            Expr::Literal(Literal::Bool(local)),
        ) if named && name.value().eq_ignore_ascii_case("search_path") => {
            Some((value.clone(), *local))
        }
        _ => None,
    }
}

fn text() -> TypeName {
    TypeName {
        name: Name {
            parts: vec![Ident::exact("pg_catalog"), Ident::exact("text")],
            position: 0,
        },
        typmods: Vec::new(),
        interval_fields: None,
        array_dims: 0,
    }
}
