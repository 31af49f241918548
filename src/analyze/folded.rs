//! Functions that leave every reversible token as it is: `lower(email)`, `trim(email)`.
//!
//! PostgreSQL would fold the stored value. A token of the kind `siv` has small letters, digits and `_`
//! only, so the folded token is the token, and the column is written in the call's place: what is
//! grouped, joined or compared in small letters goes on working. Deliberately absent: functions whose
//! value depends on what a token looks like; it changes with the key.

use super::scope::{Found, Scope, Visible};
use super::{Analyzer, ColumnForm, column_form};
use crate::catalog::Function;
use crate::mask::token::TokenKind;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::sql::tree::{Call, Expr, Name, TypeName};

/// The functions, each of one text.
const FOLDS: [&str; 4] = ["lower", "btrim", "ltrim", "rtrim"];

impl Analyzer<'_> {
    /// Writes a column of tokens for a call that leaves each as it is.
    pub(super) fn unfold(&self, e: &mut Expr, scope: &Scope<'_>) {
        if let Expr::Call(call) = e
            && self.prints
            && let Some(column) = self.folded(call, scope)
        {
            *e = Expr::Cast(Box::new(column), TypeName::builtin("text", 0));
        }
    }

    fn folded(&self, call: &Call, scope: &Scope<'_>) -> Option<Expr> {
        let mut text = call.only_argument()?;
        self.is_fold(&call.function).then_some(())?;
        while let Expr::Cast(inner, ty) = text {
            self.is_text(ty).then_some(())?;
            text = inner;
        }
        match text {
            Expr::Name(name) => {
                let Ok(Found::Column(column)) = scope.find(name) else {
                    return None;
                };
                self.has_tokens(column).then(|| text.clone())
            }
            Expr::Call(inner) => self.folded(inner, scope),
            _ => None,
        }
    }

    /// Is every value a token, or NULL? Of an encrypted column PostgreSQL has the cell.
    fn has_tokens(&self, column: &Visible) -> bool {
        let has_tokens = |source| {
            let Some((relation, column)) = self.lineage.column(source) else {
                return false;
            };
            let form = column_form(relation, column.attnum, self.grounds);
            matches!(&form, Ok(ColumnForm::Rule(rule))
                if matches!(&rule.treatment, Treatment::Token(token)
                    if token.kind() == TokenKind::Siv && token.cells().is_none()))
                && column.deterministic
                && matches!(column.type_oid, oid::TEXT | oid::VARCHAR)
        };
        matches!(column.ty, Some(oid::TEXT | oid::VARCHAR))
            && !column.sources.is_empty()
            && column.sources.iter().all(|s| has_tokens(*s))
    }

    /// text or varchar, of any length.
    fn is_text(&self, ty: &TypeName) -> bool {
        let any = ty.typmods.is_empty() && ty.array_dims == 0;
        let named = self.find_type(&ty.name);
        any && named.is_ok_and(|t| matches!(t.oid, oid::TEXT | oid::VARCHAR))
    }

    /// Is it PostgreSQL's own function, whatever the search path? Others of the name must be for types
    /// that no text is of.
    fn is_fold(&self, name: &Name) -> bool {
        let function = match name.parts.as_slice() {
            [function] => function,
            [schema, function] if *schema == "pg_catalog" => function,
            _ => return false,
        };
        let own = |f: &Function| f.schema == "pg_catalog";
        FOLDS.contains(&function.as_str())
            && (self.grounds.catalog.functions.get(function)).is_some_and(|all| {
                all.iter().any(own) && all.iter().all(|f| own(f) || self.is_foreign(&f.args))
            })
    }

    /// Is a type among them that the server did not come with?
    fn is_foreign(&self, types: &[Oid]) -> bool {
        types.iter().any(|ty| {
            let known = self.grounds.catalog.types.get(ty);
            known.is_some_and(|t| t.schema != "pg_catalog")
        })
    }
}
