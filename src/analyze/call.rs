//! Function, aggregate and window calls, in expressions and in FROM.

use super::alike::Alike;
use super::expr::{At, Info};
use super::functions::Chosen;
use super::input::READS_INPUT;
use super::lineage::{OutputColumn, Uses};
use super::object_name::ObjectKind;
use super::own_state;
use super::query::rename;
use super::scope::{CteFrame, Scope};
use super::{Analyzer, Resolve};
use crate::catalog::{CastContext, TypeKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::refusal::Refusal;
use crate::sql::tree::{Call, CallArg, Expr, Literal, Name, Position, TableAlias, TableFunction};

/// Functions that return the row type of their first argument.
const POPULATES: &[&str] = &[
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
];

impl Analyzer<'_> {
    /// A call in an expression; the expression may become something else.
    pub(super) fn call(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Info> {
        if let Some(info) = self.functional_notation(e, at)? {
            return Ok(info);
        }
        if let Some(info) = self.set_config(e, at)? {
            return Ok(info);
        }
        if let Some(mut replaced) = self.own_state(e) {
            self.lineage.rewritten |= own_state::is_kept_back(e);
            let info = self.expr(&mut replaced, at.scope, at.ctes);
            *e = replaced;
            return info;
        }
        let Expr::Call(call) = e else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not a call"));
        };
        let (chosen, tainted, (alike, scale)) = self.resolve_call(call, at)?;
        if chosen.is_builtin("current_setting") && !self.shows_settings() {
            let theirs = std::mem::replace(e, Expr::Literal(Literal::Null));
            self.lineage.rewritten |= !names_setting(&theirs);
            *e = self.kept_setting(theirs);
            return Ok(Info {
                tainted,
                ty: chosen.result,
                ..Info::default()
            });
        }
        if chosen.scrub {
            self.lineage.rewritten = true;
            self.scrub(e, &chosen, at.scope);
            return Ok(Info {
                tainted,
                ty: Some(oid::TEXT),
                ..Info::default()
            });
        }
        if chosen.is_builtin("format_type") {
            self.shown_name(ObjectKind::Type, e);
        }
        Ok(Info {
            tainted,
            ty: chosen.result,
            alike,
            scale,
            ..Info::default()
        })
    }

    /// Resolves a call's name, arguments and clauses.
    fn resolve_call(
        &mut self,
        call: &mut Call,
        at: At<'_, '_>,
    ) -> Resolve<(Chosen, bool, (Alike, Option<u16>))> {
        self.counted_rows(call, at.scope)?;
        let mut infos = Vec::with_capacity(call.args.len());
        for arg in &mut call.args {
            infos.push(self.expr(&mut arg.value, at.scope, at.ctes)?);
        }
        for info in &infos {
            self.no_hidden_cast(info.ty)?;
        }
        let positional = !call.star && call.args.iter().all(|a| a.name.is_none());
        let args = (!call.star).then_some(infos.as_slice());
        let mut chosen = self.choose_function(&call.function, args, positional)?;
        self.lineage.acts |= chosen.acts;
        for (info, wanted) in infos.iter().zip(&chosen.args) {
            self.convertible(info, *wanted, CastContext::Implicit)?;
        }
        // What stands for `pg_settings` is the proxy's own.
        if chosen.is_builtin("current_setting") && !self.shows_settings() {
            self.current_setting(call)?;
        }
        if READS_INPUT.iter().any(|f| chosen.is_builtin(f)) {
            self.reads_input(call)?;
        }
        if POPULATES.iter().any(|f| chosen.is_builtin(f)) {
            chosen.result = infos.first().and_then(|i| i.ty);
            chosen.result.map_or(Ok(()), |ty| self.no_hidden_test(ty))?;
        }
        self.rows_handed_to(&chosen, call);
        let uses = argument_uses(&chosen, call);
        for (n, info) in infos.iter().enumerate() {
            let node_tree = n == 0 && chosen.is_builtin("pg_get_expr");
            self.lineage.mark_all(
                &info.sources,
                if node_tree { Uses::NODE_TREE } else { uses },
            );
            if uses == Uses::EQUALITY {
                self.compare(&info.sources, &info.sources);
            }
        }
        let types: Vec<_> = infos.iter().map(|i| i.ty).collect();
        self.named_arguments((&chosen.schema, &chosen.name), &mut call.args, &types);
        // count() of rows is as clear as the rows; everything else carries its arguments' taint.
        let mut tainted = infos.iter().any(|i| i.tainted);
        if tainted && chosen.is_builtin("pg_column_size") {
            return Err(no_stored_size(call.function.position));
        }
        let sorted = self.sorted(&mut call.order_by, at.scope, at.ctes)?;
        tainted |= sorted.iter().any(|info| info.tainted);
        call.harmless = self.is_harmless_call(call, &chosen, &infos);
        let like = self.told_by(call, &mut chosen, &infos, &sorted);
        if let Some(filter) = &mut call.filter {
            tainted |= self.compute(filter, at.scope, at.ctes)?;
        }
        if let Some(over) = &mut call.over {
            tainted |= self.window(over, at.scope, at.ctes)?;
        }
        call.function = Name {
            parts: vec![chosen.schema.clone(), chosen.name.clone()],
            position: call.function.position,
        };
        Ok((chosen, tainted, like))
    }

    /// `email(c)` is `c.email` when no such function takes a row and `c` is one.
    fn functional_notation(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Option<Info>> {
        let Expr::Call(call) = e else { return Ok(None) };
        let (
            [function],
            [
                CallArg {
                    name: None,
                    value,
                    variadic: false,
                },
            ],
        ) = (call.function.parts.as_slice(), call.args.as_slice())
        else {
            return Ok(None);
        };
        if call.star || self.takes_a_row(&call.function) {
            return Ok(None);
        }
        let (Expr::Name(n) | Expr::Star(n)) = value else {
            return Ok(None);
        };
        // A text's `name(…)` and the like take no row, but may be all that is meant.
        // A system column is no column of the list, and is found elsewhere.
        let item = self.row_item(n, at.scope).ok().flatten();
        if item.is_none_or(|i| i.columns.iter().all(|c| c.name != *function)) {
            return Ok(None);
        }
        *e = Expr::Field(Box::new(Expr::Name(n.clone())), function.clone());
        self.expr(e, at.scope, at.ctes).map(Some)
    }

    /// A function, or several, in FROM: its alias and columns, and whether it gives values rather than rows.
    pub(super) fn table_function(
        &mut self,
        f: &mut TableFunction,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(Ident, Vec<OutputColumn>, bool)> {
        let default = f
            .functions
            .first()
            .and_then(|i| i.call.function.parts.last())
            .cloned();
        let alias = f.alias.take().unwrap_or(TableAlias {
            name: default.unwrap_or_else(|| Ident::exact("function")),
            columns: Vec::new(),
        });
        one_array_each(f);
        let mut outputs = Vec::new();
        let alone = f.functions.len() == 1;
        let mut scalar = alone && !f.ordinality && f.columns.is_empty();
        for item in &mut f.functions {
            if item.call.over.is_some() || item.call.filter.is_some() {
                return Err(Refusal::error(
                    "42809",
                    "window functions and FILTER are not allowed in functions in FROM",
                ));
            }
            // Its type comes with Parse, or PostgreSQL asks for one.
            let mut values = item.call.args.iter().map(|a| &a.value);
            let parameter = values.all(|v| matches!(v, Expr::Param(_)));
            let (chosen, tainted, _) = self.resolve_call(&mut item.call, At { scope, ctes })?;
            let mut lists = Vec::new();
            if chosen.is_builtin("unnest") {
                for arg in &mut item.call.args {
                    lists.push(self.array_constants(&mut arg.value, true));
                }
            }
            let mut lists = lists.into_iter();
            if chosen.scrub {
                return Err(Refusal::denied(format!(
                    "function {} may not stand in FROM for a restricted role",
                    chosen.name
                )));
            }
            let column_name = if alone {
                alias.name.clone()
            } else {
                chosen.name.clone()
            };
            let defs = if alone && !f.columns.is_empty() {
                &mut f.columns
            } else {
                &mut item.columns
            };
            let columns = if defs.is_empty() {
                self.columns_of(&chosen, &column_name, parameter)?
            } else {
                let mut typed = Vec::with_capacity(defs.len());
                for d in defs {
                    if let Some(c) = &mut d.collation {
                        self.collation(c)?;
                    }
                    typed.push((d.name.clone(), Some(self.type_name(&mut d.ty)?)));
                }
                typed
            };
            scalar &= chosen.result.is_some_and(|ty| {
                let found = self.grounds.catalog.types.get(&ty);
                found.is_some_and(|t| {
                    !matches!(t.kind, TypeKind::Composite { .. } | TypeKind::Pseudo)
                })
            });
            outputs.extend(columns.into_iter().map(|(name, ty)| OutputColumn {
                sources: lists.next().unwrap_or_default(),
                ..OutputColumn::computed(name, ty, tainted)
            }));
        }
        if f.ordinality {
            let name = Ident::exact("ordinality");
            outputs.push(OutputColumn::computed(name, Some(oid::INT8), false));
        }
        let outputs = rename(outputs, &alias.columns, &alias.name)?;
        scalar &= outputs.len() == 1;
        Ok((alias.name, outputs, scalar))
    }

    fn columns_of(
        &self,
        chosen: &Chosen,
        alias: &Ident,
        parameter: bool,
    ) -> Resolve<Vec<(Ident, Option<crate::pg::Oid>)>> {
        if !chosen.out_columns.is_empty() {
            // A single named OUT parameter names the column, whatever the alias.
            return Ok(chosen
                .out_columns
                .iter()
                .map(|(n, t)| (n.clone(), Some(*t)))
                .collect());
        }
        match chosen.result {
            // A row of unknown columns would be taken for one value.
            None if chosen.gives_any && !parameter => Err(unknown_columns(&chosen.name)),
            None => Ok(vec![(alias.clone(), None)]),
            Some(result) => match self.function_columns(result, alias) {
                Some(columns) => Ok(columns.into_iter().map(|(n, t)| (n, Some(t))).collect()),
                None => Err(Refusal::error(
                    sqlstate::SYNTAX_ERROR,
                    "a column definition list is required for functions returning \"record\"",
                )),
            },
        }
    }
}

/// A mask is computed, and what is computed takes other room than what is stored.
fn no_stored_size(position: Position) -> Refusal {
    Refusal::denied("cannot tell how much room a protected column takes")
        .detail("pg_column_size() is of the value as it is stored, and what the role sees is not.")
        .hint("octet_length(column::text) is of what the role sees.")
        .at(position)
}

fn unknown_columns(function: &Ident) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("the columns of {function}(…) in FROM are not known"),
    )
    .detail("What it is given may be rows, and then each of their columns is one of its own.")
    .hint("Cast its argument to the type it has, such as text[].")
}

/// `unnest(a, b)` in FROM is short for `ROWS FROM (unnest(a), unnest(b))`, but only under its bare
/// name, and names are printed qualified.
fn one_array_each(f: &mut TableFunction) {
    let several = |call: &Call| {
        matches!(call.function.parts.as_slice(), [name] if *name == "unnest")
            && call.args.len() > 1
            && !call.distinct
            && call.order_by.is_empty()
            && call.args.iter().all(|a| a.name.is_none() && !a.variadic)
    };
    if !(f.functions.iter()).any(|item| several(&item.call) && item.columns.is_empty()) {
        return;
    }
    f.rows_from = true;
    let items = std::mem::take(&mut f.functions);
    for mut item in items {
        if !several(&item.call) || !item.columns.is_empty() {
            f.functions.push(item);
            continue;
        }
        for arg in std::mem::take(&mut item.call.args) {
            let mut one = item.clone();
            one.call.args.push(arg);
            f.functions.push(one);
        }
    }
}

/// How a function uses its arguments.
fn argument_uses(chosen: &Chosen, call: &Call) -> Uses {
    if chosen.is_builtin("count") {
        return if call.distinct {
            Uses::EQUALITY
        } else {
            Uses::PRESENCE
        };
    }
    if chosen.is_builtin("min") || chosen.is_builtin("max") {
        return Uses::ORDER;
    }
    Uses::COMPUTE
}

/// Is the setting's name in the text? Whose name it may be is looked at there.
fn names_setting(e: &Expr) -> bool {
    matches!(e, Expr::Call(call)
        if matches!(call.args.first().map(|a| &a.value), Some(Expr::Literal(Literal::String(_)))))
}
