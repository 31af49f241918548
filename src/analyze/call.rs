//! Function, aggregate and window calls, in expressions and in FROM.

use super::expr::{At, Info};
use super::functions::Chosen;
use super::lineage::{OutputColumn, Uses};
use super::query::rename;
use super::scope::{CteFrame, Scope};
use super::{Analyzer, Resolve};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Call, CallArg, Expr, Literal, Name, Operator, Quantifier, Query, Select, SelectItem, SetExpr,
    SystemValue, TableAlias, TableFunction, TableRef, TypeName,
};

/// Literals in the text of a definition: quoted strings, but not the names in `'seq'::regclass`.
const LITERALS: &str = "'([^']|'')*'(?!::regclass)";

/// Functions whose first argument, a literal, names a relation.
const NAMES_RELATION: &[&str] = &[
    "nextval",
    "currval",
    "to_regclass",
    "pg_relation_size",
    "pg_total_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_get_serial_sequence",
];

/// Functions that return the row type of their first argument.
const POPULATES: &[&str] = &[
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
];

/// `pg_*_is_visible`: the catalog and its namespace column.
const VISIBILITY: &[(&str, &str, &str)] = &[
    ("pg_table_is_visible", "pg_class", "relnamespace"),
    ("pg_type_is_visible", "pg_type", "typnamespace"),
    ("pg_function_is_visible", "pg_proc", "pronamespace"),
    ("pg_operator_is_visible", "pg_operator", "oprnamespace"),
    ("pg_opclass_is_visible", "pg_opclass", "opcnamespace"),
    ("pg_opfamily_is_visible", "pg_opfamily", "opfnamespace"),
    ("pg_conversion_is_visible", "pg_conversion", "connamespace"),
    ("pg_collation_is_visible", "pg_collation", "collnamespace"),
    (
        "pg_statistics_obj_is_visible",
        "pg_statistic_ext",
        "stxnamespace",
    ),
    ("pg_ts_parser_is_visible", "pg_ts_parser", "prsnamespace"),
    ("pg_ts_dict_is_visible", "pg_ts_dict", "dictnamespace"),
    (
        "pg_ts_template_is_visible",
        "pg_ts_template",
        "tmplnamespace",
    ),
    ("pg_ts_config_is_visible", "pg_ts_config", "cfgnamespace"),
];

impl Analyzer<'_> {
    /// A call in an expression; the expression may become something else.
    pub(super) fn call(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Info> {
        if let Some(info) = self.functional_notation(e, at)? {
            return Ok(info);
        }
        if let Some(mut replaced) = self.own_state(e)? {
            let info = self.expr(&mut replaced, at.scope, at.ctes);
            *e = replaced;
            return info;
        }
        let Expr::Call(call) = e else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not a call"));
        };
        let (chosen, tainted) = self.resolve_call(call, at)?;
        if chosen.scrub {
            let inner = std::mem::replace(e, Expr::Literal(Literal::Null));
            *e = scrubbed(inner);
            return Ok(Info {
                tainted,
                ty: Some(oid::TEXT),
                ..Info::default()
            });
        }
        Ok(Info {
            tainted,
            ty: chosen.result,
            ..Info::default()
        })
    }

    /// Resolves a call's name, arguments and clauses.
    fn resolve_call(&mut self, call: &mut Call, at: At<'_, '_>) -> Resolve<(Chosen, bool)> {
        let mut infos = Vec::with_capacity(call.args.len());
        for arg in &mut call.args {
            infos.push(self.expr(&mut arg.value, at.scope, at.ctes)?);
        }
        let mut chosen = self.choose_function(&call.function, (!call.star).then_some(&infos))?;
        if POPULATES.iter().any(|f| chosen.is_builtin(f)) {
            chosen.result = infos.first().and_then(|i| i.ty);
        }
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
        if NAMES_RELATION.iter().any(|f| chosen.is_builtin(f))
            && let Some(first) = call.args.first_mut()
        {
            const REGCLASS: crate::pg::Oid = 2205;
            self.object_literal(&mut first.value, REGCLASS);
        }
        // count() of rows is as clear as the rows; everything else carries its arguments' taint.
        let mut tainted = infos.iter().any(|i| i.tainted);
        tainted |= self.sort_keys(&mut call.order_by, at.scope, at.ctes)?;
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
        Ok((chosen, tainted))
    }

    /// `email(c)` is `c.email` when no such function exists and `c` is a whole row.
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
        if call.star || self.function_exists(&call.function) {
            return Ok(None);
        }
        let (Expr::Name(n) | Expr::Star(n)) = value else {
            return Ok(None);
        };
        if self.row_item(n, at.scope)?.is_none() {
            return Ok(None);
        }
        *e = Expr::Field(Box::new(Expr::Name(n.clone())), function.clone());
        self.expr(e, at.scope, at.ctes).map(Some)
    }

    /// Calls that ask about state the proxy keeps itself: the search path.
    fn own_state(&self, e: &Expr) -> Resolve<Option<Expr>> {
        let Expr::Call(call) = e else { return Ok(None) };
        let name = match call.function.parts.as_slice() {
            [f] => f,
            [s, f] if *s == "pg_catalog" => f,
            _ => return Ok(None),
        };
        if *name == "set_config" {
            return Err(Refusal::denied("permission denied for function set_config")
                .hint("Use SET, for the settings a restricted role may change.")
                .at(call.function.position));
        }
        if *name == "current_setting" {
            // Dotted settings belong to extensions and to the proxy, which keeps token keys there.
            let plain = matches!(
                call.args.first(),
                Some(CallArg { value: Expr::Literal(Literal::String(s)), name: None, .. })
                    if !s.contains('.')
            );
            if !plain {
                return Err(
                    Refusal::denied("permission denied for function current_setting")
                        .detail("A restricted role may ask for built-in settings, by literal name.")
                        .hint("Name the setting: current_setting('timezone').")
                        .at(call.function.position),
                );
            }
        }
        if *name == "current_schema" && call.args.is_empty() {
            return Ok(Some(self.current_schema()));
        }
        if let ("current_schemas", [arg]) = (name.as_str(), call.args.as_slice()) {
            let implicit = matches!(arg.value, Expr::Literal(Literal::Bool(true)));
            let schemas = self
                .existing_schemas(implicit)
                .into_iter()
                .map(|s| text(s.as_str()));
            return Ok(Some(Expr::Cast(
                Box::new(Expr::Array(schemas.collect())),
                catalog_type("name", 1),
            )));
        }
        let visibility = VISIBILITY.iter().find(|(f, _, _)| name.as_str() == *f);
        if let (Some((_, catalog, column)), [arg]) = (visibility, call.args.as_slice()) {
            return Ok(Some(self.is_visible(catalog, column, arg.value.clone())));
        }
        Ok(None)
    }

    /// `current_schema` of the client's search path.
    pub(super) fn current_schema(&self) -> Expr {
        let first = self.existing_schemas(false).into_iter().next();
        let value = first.map_or(Expr::Literal(Literal::Null), |s| text(s.as_str()));
        Expr::Cast(Box::new(value), catalog_type("name", 0))
    }

    fn existing_schemas(&self, implicit: bool) -> Vec<Ident> {
        let catalog = self.grounds.catalog;
        self.grounds
            .search_path
            .schemas()
            .iter()
            .enumerate()
            .filter(|(n, s)| implicit || *n > 0 || **s != "pg_catalog")
            .map(|(_, s)| s.clone())
            .filter(|s| catalog.schemas.values().any(|known| known == s))
            .collect()
    }

    /// `(SELECT ns = ANY (<OIDs of the client's search path>) FROM catalog WHERE oid = arg)`.
    fn is_visible(&self, catalog: &str, column: &str, arg: Expr) -> Expr {
        let path = self.grounds.search_path.schemas();
        let known = &self.grounds.catalog.schemas;
        // In order, so that one statement is always printed the same way.
        let oids: std::collections::BTreeSet<crate::pg::Oid> = known
            .iter()
            .filter(|(_, name)| path.contains(name))
            .map(|(oid, _)| *oid)
            .collect();
        let oids: Vec<String> = oids.iter().map(ToString::to_string).collect();
        let list = Expr::Cast(
            Box::new(text(&format!("{{{}}}", oids.join(",")))),
            catalog_type("oid", 1),
        );
        // Columns and alias get names no client can have written, so that `arg` is not captured.
        let (row, key, namespace) = ("pgveil v", "pgveil o", "pgveil n");
        let inner = Query::simple(Select {
            items: vec![item(bare("oid"), key), item(bare(column), namespace)],
            from: vec![TableRef::relation(&["pg_catalog", catalog])],
            ..Select::default()
        });
        let equals = |schema: &str| Operator {
            schema: Some(Ident::exact(schema)),
            symbol: "=".into(),
        };
        Expr::Subquery(Box::new(Query::simple(Select {
            items: vec![item(
                Expr::QuantifiedArray {
                    left: Box::new(bare(namespace)),
                    op: equals("pg_catalog"),
                    quantifier: Quantifier::Any,
                    array: Box::new(list),
                },
                "visible",
            )],
            from: vec![TableRef::Derived {
                lateral: false,
                query: Box::new(inner),
                alias: Some(TableAlias {
                    name: Ident::exact(row),
                    columns: Vec::new(),
                }),
            }],
            filter: Some(Expr::Binary(
                Box::new(bare(key)),
                equals("pg_catalog"),
                Box::new(arg),
            )),
            ..Select::default()
        })))
    }

    /// A function, or several, in FROM: its alias and columns.
    pub(super) fn table_function(
        &mut self,
        f: &mut TableFunction,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(Ident, Vec<OutputColumn>)> {
        let default = f
            .functions
            .first()
            .and_then(|i| i.call.function.parts.last())
            .cloned();
        let alias = f.alias.take().unwrap_or(TableAlias {
            name: default.unwrap_or_else(|| Ident::exact("function")),
            columns: Vec::new(),
        });
        let mut outputs = Vec::new();
        let alone = f.functions.len() == 1;
        for item in &mut f.functions {
            if item.call.over.is_some() || item.call.filter.is_some() {
                return Err(Refusal::error(
                    "42809",
                    "window functions and FILTER are not allowed in functions in FROM",
                ));
            }
            let (chosen, tainted) = self.resolve_call(&mut item.call, At { scope, ctes })?;
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
                self.columns_of(&chosen, &item.call, &column_name)?
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
            outputs.extend(columns.into_iter().map(|(name, ty)| OutputColumn {
                name,
                sources: Vec::new(),
                tainted,
                ty,
                null: false,
                named: false,
            }));
        }
        if f.ordinality {
            outputs.push(OutputColumn {
                name: Ident::exact("ordinality"),
                sources: Vec::new(),
                tainted: false,
                ty: Some(oid::INT8),
                null: false,
                named: false,
            });
        }
        let outputs = rename(outputs, &alias.columns, &alias.name)?;
        Ok((alias.name, outputs))
    }

    fn columns_of(
        &self,
        chosen: &Chosen,
        call: &Call,
        alias: &Ident,
    ) -> Resolve<Vec<(Ident, Option<crate::pg::Oid>)>> {
        if chosen.is_builtin("unnest") && call.args.len() > 1 {
            return Ok(call
                .args
                .iter()
                .map(|_| (chosen.name.clone(), None))
                .collect());
        }
        if !chosen.out_columns.is_empty() {
            // A single named OUT parameter names the column, whatever the alias.
            return Ok(chosen
                .out_columns
                .iter()
                .map(|(n, t)| (n.clone(), Some(*t)))
                .collect());
        }
        match chosen.result {
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

/// The call with the literals of its text replaced.
fn scrubbed(call: Expr) -> Expr {
    let arg = |value| CallArg {
        name: None,
        value,
        variadic: false,
    };
    let catalog = |n: &str| Name {
        parts: vec![Ident::exact("pg_catalog"), Ident::exact(n)],
        position: 0,
    };
    let as_text = Expr::Cast(Box::new(call), catalog_type("text", 0));
    Expr::Call(Box::new(Call {
        function: catalog("regexp_replace"),
        args: vec![
            arg(as_text),
            arg(text(LITERALS)),
            arg(text("'…'")),
            arg(text("g")),
        ],
        star: false,
        distinct: false,
        order_by: Vec::new(),
        within_group: false,
        filter: None,
        over: None,
    }))
}

/// The same scrub, over SQL text, for catalog columns that hold definitions.
pub(crate) fn scrub_sql(operand: &str) -> String {
    let literals = LITERALS.replace('\'', "''");
    format!("\"pg_catalog\".\"regexp_replace\"({operand}, '{literals}', '''…''', 'g')")
}

fn text(s: &str) -> Expr {
    Expr::Literal(Literal::String(s.into()))
}

fn bare(name: &str) -> Expr {
    Expr::Name(Name {
        parts: vec![Ident::exact(name)],
        position: 0,
    })
}

fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::Expr {
        expr,
        alias: Some(Ident::exact(alias)),
    }
}

fn catalog_type(name: &str, array_dims: u8) -> TypeName {
    TypeName {
        name: Name {
            parts: vec![Ident::exact("pg_catalog"), Ident::exact(name)],
            position: 0,
        },
        typmods: Vec::new(),
        interval_fields: None,
        array_dims,
    }
}

impl Query {
    /// A query of one SELECT and nothing else.
    fn simple(select: Select) -> Self {
        Self {
            with: None,
            body: SetExpr::Select(Box::new(select)),
            order_by: Vec::new(),
            limit: None,
            locking: Vec::new(),
        }
    }
}

impl Analyzer<'_> {
    /// `CURRENT_SCHEMA` asks about the proxy's own state; the others are PostgreSQL's to answer.
    pub(super) fn system_value(&self, e: &mut Expr, value: SystemValue) -> Info {
        if value == SystemValue::CurrentSchema {
            // A literal and a `pg_catalog` type: nothing left to resolve.
            *e = self.current_schema();
        }
        Info::default()
    }
}
