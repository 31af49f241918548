//! Functions to which something is named: by a text, or by an argument of an OID type, to which a text is
//! converted.
//!
//! Deliberately absent: how a name is found (`object_name`).

use super::Analyzer;
use super::object_name::{ObjectKind, as_text, converted, textual};
use crate::ident::Ident;
use crate::pg::Oid;
use crate::sql::tree::{CallArg, Expr, TypeName};

/// How a function takes a name.
#[derive(Clone, Copy)]
enum Taken {
    /// As a text.
    Text,
    /// As a text, or as an OID in its place.
    TextOrOid,
    /// As the OID type: a text is converted first.
    Converted,
}

/// Functions to which something is named by a text, what, by which argument, and how.
const NAMED: &[(&str, ObjectKind, usize, Taken)] = &[
    ("to_regclass", ObjectKind::Relation, 0, Taken::Text),
    ("regclass", ObjectKind::Relation, 0, Taken::Text),
    ("to_regtype", ObjectKind::Type, 0, Taken::Text),
    ("to_regproc", ObjectKind::Function, 0, Taken::Text),
    (
        "pg_get_serial_sequence",
        ObjectKind::Relation,
        0,
        Taken::Text,
    ),
    ("pg_get_viewdef", ObjectKind::Relation, 0, Taken::TextOrOid),
    (
        "row_security_active",
        ObjectKind::Relation,
        0,
        Taken::TextOrOid,
    ),
];

/// Functions to which a role may be said before what they are asked about, with how many arguments they
/// have if it is not.
const ROLE_FIRST: &[(&str, ObjectKind, usize)] = &[
    ("has_table_privilege", ObjectKind::Relation, 2),
    ("has_any_column_privilege", ObjectKind::Relation, 2),
    ("has_sequence_privilege", ObjectKind::Relation, 2),
    ("has_column_privilege", ObjectKind::Relation, 3),
    ("has_type_privilege", ObjectKind::Type, 2),
];

impl Analyzer<'_> {
    /// The arguments by which a function is told what is meant, `types` being those of its arguments.
    pub(super) fn named_arguments(
        &mut self,
        (schema, function): (&Ident, &Ident),
        args: &mut [CallArg],
        types: &[Option<Oid>],
    ) {
        let count = args.len();
        let builtin = *schema == "pg_catalog";
        let role_first = ROLE_FIRST.iter().find(|(f, ..)| builtin && function == f);
        let found = match role_first {
            Some((_, kind, without)) => {
                (count.checked_sub(*without)).map(|at| (*kind, at, Taken::TextOrOid))
            }
            None => (NAMED.iter().find(|(f, ..)| builtin && function == f))
                .map(|(_, kind, at, taken)| (*kind, *at, *taken)),
        };
        if let Some((kind, at, taken)) = found {
            if let (Some(arg), Some(ty)) = (args.get_mut(at), types.get(at)) {
                self.named_argument((kind, taken), &mut arg.value, *ty);
            }
            return;
        }
        // An argument that has a name of its own may be any of them.
        if args.iter().any(|a| a.name.is_some()) {
            return;
        }
        let name = [schema.clone(), function.clone()];
        for (at, (arg, ty)) in args.iter_mut().zip(types).enumerate() {
            if let Some(kind) = self.converted_argument(&name, at) {
                self.named_argument((kind, Taken::Converted), &mut arg.value, *ty);
            }
        }
    }

    /// The OID type that every function of a name takes in one place.
    fn converted_argument(&self, name: &[Ident], at: usize) -> Option<ObjectKind> {
        let mut overloads = self.grounds.catalog.overloads(name);
        let first = *overloads.next()?.args.get(at)?;
        overloads
            .all(|f| f.args.get(at).is_none_or(|ty| *ty == first))
            .then(|| ObjectKind::of(first))
            .flatten()
    }

    fn named_argument(
        &mut self,
        (kind, taken): (ObjectKind, Taken),
        name: &mut Expr,
        ty: Option<Oid>,
    ) {
        if self.constant_name(kind, name) || !textual(name, ty) {
            return;
        }
        if let Taken::Converted = taken {
            if let Expr::Param(n) = &*name {
                return self.named_parameter(*n, kind);
            }
            // PostgreSQL converts no text to the others unasked.
            if kind != ObjectKind::Relation {
                return;
            }
        }
        let Some(found) = self.found_by_path(kind, name) else {
            return;
        };
        *name = match taken {
            Taken::Text => Expr::Coalesce(vec![as_text(found), as_text(name.clone())]),
            Taken::TextOrOid => {
                let found = Expr::Coalesce(vec![found, converted(kind, name)]);
                Expr::Cast(Box::new(found), TypeName::builtin("oid", 0))
            }
            Taken::Converted => Expr::Coalesce(vec![found, converted(kind, name)]),
        };
    }
}
