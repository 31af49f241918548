//! Functions that ask about the session itself: answered from what the proxy knows, because the
//! upstream session has another search path.

use super::Analyzer;
use super::expr::Info;
use crate::catalog::temp::SCHEMA;
use crate::ident::Ident;
use crate::sql::parse;
use crate::sql::tree::{
    BoolTest, Call, Expr, Literal, Query, RowsFromItem, Select, SelectItem, SetExpr, Statement,
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
            return asked_for_nothing(call, "oid");
        }
        if SIZES.contains(&name.as_str()) && self.tells_no_size() {
            let other = ["pg_database_size", "pg_tablespace_size"].contains(&name.as_str());
            return asked_for_nothing(call, if other { "text" } else { "regclass" });
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
            let of = |implicit| {
                (
                    Expr::Literal(Literal::Bool(implicit)),
                    self.schemas(implicit),
                )
            };
            if let Expr::Literal(Literal::Bool(implicit)) = &arg.value {
                return Some(self.schemas(*implicit));
            }
            let asked = Expr::Cast(Box::new(arg.value.clone()), TypeName::builtin("bool", 0));
            return Some(Expr::Case {
                operand: Some(Box::new(asked)),
                branches: vec![of(true), of(false)],
                otherwise: None,
            });
        }
        let visibility = VISIBILITY.iter().find(|(f, _)| name.as_str() == *f);
        match (visibility, call.args.as_slice()) {
            (Some((_, of)), [arg]) => self.is_visible(of, arg.value.clone()),
            _ => None,
        }
    }

    /// Would sizes tell which of the role's own updates an index took part in?
    fn tells_no_size(&self) -> bool {
        super::sizes::untold(self.grounds).map_or(true, |untold| untold.written)
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
        let column = column.as_ref().unwrap_or(&name);
        Some(one(name.as_str(), column.as_str(), value, true))
    }

    /// `current_schema` of the client's search path.
    pub(super) fn current_schema(&self) -> Expr {
        let first = self.existing_schemas(false).into_iter().next();
        let value = first.map_or(Expr::Literal(Literal::Null), |s| text(s.as_str()));
        Expr::Cast(Box::new(value), TypeName::builtin("name", 0))
    }

    /// `current_schemas(implicit)`: those of the path that there are, the session's own among them.
    fn schemas(&self, implicit: bool) -> Expr {
        let own = || {
            let of = select(
                "SELECT nspname FROM pg_catalog.pg_namespace \
                 WHERE oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()",
            );
            of.map(Expr::Subquery)
        };
        let path = self.grounds.search_path.schemas();
        let listed = path.iter().any(|s| *s == SCHEMA);
        let known = self.existing_schemas(implicit);
        let first = (implicit && !listed).then(own).flatten();
        let rest = path.iter().filter_map(|s| {
            if *s == SCHEMA {
                own()
            } else {
                known.contains(s).then(|| text(s.as_str()))
            }
        });
        let array = Expr::Array(first.into_iter().chain(rest).collect());
        let names = Expr::Cast(Box::new(array), TypeName::builtin("name", 1));
        // Of its own it may have none.
        Expr::builtin_call("array_remove", [names, Expr::Literal(Literal::Null)])
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

    /// Is an object what its bare name means: is its schema in the client's path, and none before it has one
    /// that is called the same?
    fn is_visible(&self, of: &Visibility, arg: Expr) -> Option<Expr> {
        let path = self.path_oids(of.temporary);
        let position =
            |row: &str| format!("pg_catalog.array_position({path}, {row}.{})", of.schema);
        let catalog = format!("pg_catalog.{}", of.catalog);
        let same = of.identity.iter().fold(String::new(), |same, column| {
            same + &format!("e.{column} OPERATOR(pg_catalog.=) v.{column} AND ")
        });
        let question = format!(
            "SELECT {own} IS NOT NULL AND NOT EXISTS (SELECT FROM {catalog} AS e \
             WHERE {same}{before} OPERATOR(pg_catalog.<) {own}) AS visible \
             FROM {catalog} AS v WHERE v.oid OPERATOR(pg_catalog.=) a.asked",
            own = position("v"),
            before = position("e"),
        );
        let mut query = select(&question)?;
        if let SetExpr::Select(outer) = &mut query.body {
            // It stands in a query without a FROM, so that no name in it is captured.
            let asked = Expr::Cast(Box::new(arg), TypeName::builtin("oid", 0));
            outer.from.insert(0, one("a", "asked", asked, false));
        }
        Some(Expr::Subquery(query))
    }

    /// The client's path as an array of OIDs, in order; `temporary`: with the session's own schema, which is
    /// first if it is not listed.
    fn path_oids(&self, temporary: bool) -> String {
        const OWN: &str = "pg_catalog.pg_my_temp_schema()";
        let path = self.grounds.search_path.schemas();
        let known = &self.grounds.catalog.schemas;
        let listed = path.iter().any(|s| *s == SCHEMA);
        let first = (temporary && !listed).then(|| OWN.to_owned());
        let rest = path.iter().filter_map(|schema| {
            if *schema == SCHEMA {
                return temporary.then(|| OWN.to_owned());
            }
            let of = known.iter().find(|(_, name)| *name == schema);
            of.map(|(oid, _)| oid.to_string())
        });
        let oids: Vec<String> = first.into_iter().chain(rest).collect();
        format!("ARRAY[{}]::pg_catalog.oid[]", oids.join(", "))
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

/// Functions that say how much room something takes.
const SIZES: &[&str] = &[
    "pg_database_size",
    "pg_indexes_size",
    "pg_relation_size",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
];

/// Is what a call tells kept back, and not only the session's own?
pub(super) fn is_kept_back(e: &Expr) -> bool {
    let Expr::Call(call) = e else { return false };
    let name = call.function.parts.last().map(Ident::as_str);
    name.is_some_and(|name| name == "pg_stat_get_numscans" || SIZES.contains(&name))
}

/// NULL. The question is asked all the same: it may be a parameter, or nothing there is.
fn asked_for_nothing(call: &Call, ty: &str) -> Option<Expr> {
    let null = Expr::Literal(Literal::Null);
    let null = Expr::Cast(Box::new(null), TypeName::builtin("int8", 0));
    let asked = call.args.first().map(|a| a.value.clone())?;
    let asked = Expr::Cast(Box::new(asked), TypeName::builtin(ty, 0));
    Some(Expr::Case {
        operand: None,
        branches: vec![(Expr::Test(Box::new(asked), BoolTest::Null), null.clone())],
        otherwise: Some(Box::new(null)),
    })
}

/// What a function `pg_*_is_visible` asks of.
struct Visibility {
    catalog: &'static str,
    /// Its column of schemas.
    schema: &'static str,
    /// What two objects of different schemas have in common that are called the same.
    identity: &'static [&'static str],
    /// Some are temporary.
    temporary: bool,
}

const fn of(
    catalog: &'static str,
    schema: &'static str,
    identity: &'static [&'static str],
) -> Visibility {
    Visibility {
        catalog,
        schema,
        identity,
        temporary: false,
    }
}

const fn of_temporary(
    catalog: &'static str,
    schema: &'static str,
    identity: &'static [&'static str],
) -> Visibility {
    Visibility {
        temporary: true,
        ..of(catalog, schema, identity)
    }
}

const VISIBILITY: &[(&str, Visibility)] = &[
    (
        "pg_table_is_visible",
        of_temporary("pg_class", "relnamespace", &["relname"]),
    ),
    (
        "pg_type_is_visible",
        of_temporary("pg_type", "typnamespace", &["typname"]),
    ),
    (
        "pg_function_is_visible",
        of("pg_proc", "pronamespace", &["proname", "proargtypes"]),
    ),
    (
        "pg_operator_is_visible",
        of(
            "pg_operator",
            "oprnamespace",
            &["oprname", "oprleft", "oprright"],
        ),
    ),
    (
        "pg_opclass_is_visible",
        of("pg_opclass", "opcnamespace", &["opcname", "opcmethod"]),
    ),
    (
        "pg_opfamily_is_visible",
        of("pg_opfamily", "opfnamespace", &["opfname", "opfmethod"]),
    ),
    (
        "pg_conversion_is_visible",
        of("pg_conversion", "connamespace", &["conname"]),
    ),
    (
        "pg_collation_is_visible",
        of("pg_collation", "collnamespace", &["collname"]),
    ),
    (
        "pg_statistics_obj_is_visible",
        of("pg_statistic_ext", "stxnamespace", &["stxname"]),
    ),
    (
        "pg_ts_parser_is_visible",
        of("pg_ts_parser", "prsnamespace", &["prsname"]),
    ),
    (
        "pg_ts_dict_is_visible",
        of("pg_ts_dict", "dictnamespace", &["dictname"]),
    ),
    (
        "pg_ts_template_is_visible",
        of("pg_ts_template", "tmplnamespace", &["tmplname"]),
    ),
    (
        "pg_ts_config_is_visible",
        of("pg_ts_config", "cfgnamespace", &["cfgname"]),
    ),
];

/// `(SELECT value AS column) AS name`
fn one(name: &str, column: &str, value: Expr, lateral: bool) -> TableRef {
    let select = Select {
        items: vec![SelectItem::Expr {
            expr: value,
            alias: Some(Ident::exact(column)),
        }],
        ..Select::default()
    };
    TableRef::Derived {
        lateral,
        query: Box::new(Query::simple(select)),
        alias: Some(TableAlias {
            name: Ident::exact(name),
            columns: Vec::new(),
        }),
    }
}

/// A query of the proxy's own.
fn select(sql: &str) -> Option<Box<Query>> {
    match parse(sql).ok()?.pop()?.statement {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

pub(super) fn text(s: &str) -> Expr {
    Expr::Literal(Literal::String(s.into()))
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
