//! `pg_input_is_valid(text, type)` and `pg_input_error_info(text, type)`, PostgreSQL 16: the type is named by a
//! text, and its input function is called, with what tests a domain of the database's own.

use super::{Analyzer, Resolve};
use crate::catalog::TypeKind;
use crate::refusal::Refusal;
use crate::sql::parse;
use crate::sql::tree::{
    Call, CallArg, Expr, Literal, Query, SelectItem, SetExpr, Statement, TypeName,
};

pub(super) const READS_INPUT: &[&str] = &["pg_input_error_info", "pg_input_is_valid"];

impl Analyzer<'_> {
    /// Refuses all types but PostgreSQL's own, as far as they ask no catalog.
    pub(super) fn reads_input(&self, call: &Call) -> Resolve<()> {
        let refused = || {
            Refusal::denied("only input of PostgreSQL's own types can be tested")
                .detail("Another type's input may call functions of the database's own.")
                .hint("Name the type by a string constant, as in 'numeric(10,2)'.")
                .at(call.function.position)
        };
        let named = match call.args.as_slice() {
            [
                _,
                CallArg {
                    value: Expr::Literal(Literal::String(named)),
                    ..
                },
            ] => named.value(),
            _ => return Err(refused()),
        };
        let mut ty = type_of(named).ok_or_else(refused)?;
        self.type_name(&mut ty)?;
        let [schema, name] = ty.name.parts.as_slice() else {
            return Err(refused());
        };
        let found = self.grounds.catalog.type_by_name(schema, name);
        let plain = found.is_some_and(|t| {
            let asks = name.as_str().starts_with("reg");
            *schema == "pg_catalog" && !asks && matches!(t.kind, TypeKind::Base)
        });
        if plain { Ok(()) } else { Err(refused()) }
    }
}

/// The type that a text names.
fn type_of(text: &str) -> Option<TypeName> {
    let mut statements = parse(&format!("SELECT NULL::{text}")).ok()?;
    let (Some(only), true) = (statements.pop(), statements.is_empty()) else {
        return None;
    };
    let Statement::Query(query) = only.statement else {
        return None;
    };
    let Query {
        body: SetExpr::Select(select),
        ..
    } = *query
    else {
        return None;
    };
    match select.items.as_slice() {
        [
            SelectItem::Expr {
                expr: Expr::Cast(inner, ty),
                alias: None,
            },
        ] if matches!(**inner, Expr::Literal(Literal::Null)) && select.from.is_empty() => {
            Some(ty.clone())
        }
        _ => None,
    }
}
