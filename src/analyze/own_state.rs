//! Functions that ask about the session itself: answered from what the proxy knows, because the
//! upstream session has another search path.

use super::Analyzer;
use super::expr::Info;
use crate::ident::Ident;
use crate::sql::tree::{
    Expr, Literal, Name, Operator, Quantifier, Query, RowsFromItem, Select, SelectItem, SetExpr,
    SystemValue, TableAlias, TableFunction, TableRef, TypeName,
};

impl Analyzer<'_> {
    /// Calls that ask about state the proxy keeps itself: the search path and the client's encoding.
    pub(super) fn own_state(&self, e: &Expr) -> Option<Expr> {
        let Expr::Call(call) = e else { return None };
        let name = match call.function.parts.as_slice() {
            [f] => f,
            [s, f] if *s == "pg_catalog" => f,
            _ => return None,
        };
        if *name == "current_schema" && call.args.is_empty() {
            return Some(self.current_schema());
        }
        // A counter, which the statistics views show as NULL too.
        if name.as_str() == "pg_stat_get_numscans" && call.args.len() == 1 {
            let null = Expr::Literal(Literal::Null);
            return Some(Expr::Cast(Box::new(null), TypeName::builtin("int8", 0)));
        }
        if name.as_str() == "current_setting"
            && let Some(Expr::Literal(Literal::String(setting))) =
                call.args.first().map(|a| &a.value)
        {
            match setting.value().to_ascii_lowercase().as_str() {
                "search_path" => return Some(self.search_path_setting()),
                "client_encoding" => return Some(self.encoding_setting()),
                _ => {}
            }
        }
        if *name == "pg_client_encoding" && call.args.is_empty() {
            let name = text(self.grounds.client_encoding.canonical().name());
            return Some(Expr::Cast(Box::new(name), TypeName::builtin("name", 0)));
        }
        if let ("current_schemas", [arg]) = (name.as_str(), call.args.as_slice()) {
            let implicit = matches!(arg.value, Expr::Literal(Literal::Bool(true)));
            let schemas = self
                .existing_schemas(implicit)
                .into_iter()
                .map(|s| text(s.as_str()));
            return Some(Expr::Cast(
                Box::new(Expr::Array(schemas.collect())),
                TypeName::builtin("name", 1),
            ));
        }
        let visibility = VISIBILITY.iter().find(|(f, _, _)| name.as_str() == *f);
        if let (Some((_, catalog, column)), [arg]) = (visibility, call.args.as_slice()) {
            return Some(self.is_visible(catalog, column, arg.value.clone()));
        }
        None
    }

    /// `current_setting('search_path')`: as the client has set it.
    pub(super) fn search_path_setting(&self) -> Expr {
        let set = text(self.grounds.search_path_text);
        Expr::Cast(Box::new(set), TypeName::builtin("text", 0))
    }

    /// `current_setting('client_encoding')`: the client's; PostgreSQL's is another.
    pub(super) fn encoding_setting(&self) -> Expr {
        let name = text(self.grounds.client_encoding.name());
        Expr::Cast(Box::new(name), TypeName::builtin("text", 0))
    }

    /// What is asked in FROM: `SELECT * FROM current_schema()`.
    pub(super) fn own_state_table(&self, f: &TableFunction) -> Option<TableRef> {
        let ([RowsFromItem { call, columns }], false) = (f.functions.as_slice(), f.ordinality)
        else {
            return None;
        };
        let call = Expr::Call(Box::new(call.clone()));
        let value = self.own_state(&call).filter(|_| columns.is_empty())?;
        let name = match &f.alias {
            Some(alias) => alias.name.clone(),
            None => super::colname::column_name(&call),
        };
        let column = (f.alias.as_ref()).and_then(|alias| alias.columns.first().cloned());
        let select = Select {
            items: vec![SelectItem::Expr {
                expr: value,
                alias: Some(column.unwrap_or_else(|| name.clone())),
            }],
            ..Select::default()
        };
        Some(TableRef::Derived {
            lateral: true,
            query: Box::new(Query::simple(select)),
            alias: Some(TableAlias {
                name,
                columns: Vec::new(),
            }),
        })
    }

    /// `current_schema` of the client's search path.
    pub(super) fn current_schema(&self) -> Expr {
        let first = self.existing_schemas(false).into_iter().next();
        let value = first.map_or(Expr::Literal(Literal::Null), |s| text(s.as_str()));
        Expr::Cast(Box::new(value), TypeName::builtin("name", 0))
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
            TypeName::builtin("oid", 1),
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

    /// `CURRENT_SCHEMA` asks about the proxy's own state; the others are PostgreSQL's to answer.
    pub(super) fn system_value(&self, e: &mut Expr, value: SystemValue) -> Info {
        if value == SystemValue::CurrentSchema {
            // A literal and a `pg_catalog` type: nothing left to resolve.
            *e = self.current_schema();
        }
        Info::default()
    }
}

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

pub(super) fn text(s: &str) -> Expr {
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
