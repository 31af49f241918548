//! `to_jsonb(t) ->> 'city'`: one field of a row made JSON. Only that column is read, so a row may have
//! others that could not be computed with.

use super::expr::Info;
use super::lineage::{Source, Uses};
use super::own_state::text;
use super::scope::{ItemKind, Scope};
use super::{Analyzer, Resolve};
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Call, CallArg, Expr, Literal, Name, Operator, TypeName};

impl Analyzer<'_> {
    /// What `to_jsonb(t) ->> 'c'` of a FROM item `t` is: the column itself if it is a text, else the
    /// same of an object with that one field. `None`: it is something else.
    pub(super) fn json_field(
        &mut self,
        left: &Expr,
        op: &Operator,
        key: &Expr,
        scope: &Scope<'_>,
    ) -> Resolve<Option<(Expr, Info)>> {
        let (Expr::Call(call), Expr::Literal(Literal::String(key))) = (left, key) else {
            return Ok(None);
        };
        // `->` would tell a NULL of the row from a row that is missing; `->>` does not.
        let (Some(row), "->>") = (row_argument(call), &*op.symbol) else {
            return Ok(None);
        };
        let builtin = op.schema.as_ref().is_none_or(|s| *s == "pg_catalog");
        let item = match self.row_item(row, scope)? {
            Some(item) if item.kind == ItemKind::Plain && item.fields && builtin => item,
            _ => return Ok(None),
        };
        let record = Info::computed(false, Some(oid::RECORD));
        let chosen = self.choose_function(&call.function, Some(&[record]), true)?;
        let Some((object, ty)) = OBJECTS
            .iter()
            .find_map(|(of, object, ty)| chosen.is_builtin(of).then_some((*object, *ty)))
        else {
            return Ok(None);
        };
        let mut columns = item
            .columns
            .iter()
            .filter(|c| !c.denied && c.name.as_str() == key.value());
        let (Some(column), None) = (columns.next(), columns.next()) else {
            return Ok(None);
        };
        let info = self.visible(column);
        // What JSON gives has the default collation.
        let collated = |s: &Source| {
            self.lineage
                .column(*s)
                .is_none_or(|(_, c)| c.collation.is_some())
        };
        let plain = !info.sources.is_empty() && !info.sources.iter().any(collated);
        if plain && matches!(info.ty, Some(oid::TEXT | oid::VARCHAR)) {
            let cast = Expr::Cast(Box::new(column.expr()), TypeName::builtin("text", 0));
            let text = Info {
                ty: Some(oid::TEXT),
                named: false,
                ..info
            };
            return Ok(Some((cast, text)));
        }
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        let arg = |value| CallArg {
            name: None,
            value,
            variadic: false,
        };
        let args = vec![arg(text(key.value())), arg(column.expr())];
        let object = Expr::Call(Box::new(Call {
            function: Name {
                position: call.function.position,
                ..Name::builtin(object)
            },
            args,
            ..Call::clone(call)
        }));
        let mut op = op.clone();
        self.operator(&mut op, Some(ty), None)?;
        let field = Expr::Binary(Box::new(object), op, Box::new(text(key.value())));
        Ok(Some((field, Info::computed(info.tainted, Some(oid::TEXT)))))
    }
}

/// Functions that make JSON of a row, and those that make the same of fields.
const OBJECTS: &[(&str, &str, Oid)] = &[
    ("to_jsonb", "jsonb_build_object", oid::JSONB),
    ("to_json", "json_build_object", oid::JSON),
    ("row_to_json", "json_build_object", oid::JSON),
];

/// The one argument of a plain call, if it is a name.
fn row_argument(call: &Call) -> Option<&Name> {
    match call.only_argument()? {
        Expr::Name(name) | Expr::Star(name) => Some(name),
        _ => None,
    }
}
