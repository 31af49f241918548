//! Expressions that reversible tokens go into, and whose value no more of a token decides than what all
//! have in common: how it begins, its characters, its length. `left(email, 3)`, `length(email)`,
//! `upper(email) LIKE '%@%'`.
//!
//! PostgreSQL does not have the token, but it can be given one of the same outline
//! ([`Expr::Outline`]), and what it computes of that is what it would compute of the token. Which
//! expressions those are is decided before names are resolved, because afterwards they are other
//! expressions with weaker uses; what is not decided here stays as it was written, and is *compute*.
//!
//! Deliberately absent: what is known of tokens ([`Known`]).

mod form;

use self::form::Form;
use super::own_state::catalog_type;
use super::scope::{Scope, Visible};
use super::{Analyzer, ColumnForm, column_form};
use crate::catalog::Column;
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::mask::token::Known;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::sql::tree::{BoolTest, Call, Constant, Expr, Literal, Name, Operator, TypeName};

/// How many calls deep a token is looked for: each is looked at once from every one around it.
const DEPTH: usize = 12;

impl Analyzer<'_> {
    /// Puts outlines in the place of the tokens an expression reads, if it has the same value of them.
    pub(super) fn outline(&self, e: &mut Expr, scope: &Scope<'_>) {
        let may = self.outlines
            && matches!(
                e,
                Expr::Call(_)
                    | Expr::Binary(..)
                    | Expr::Test(..)
                    | Expr::InList { .. }
                    | Expr::IsDistinct { .. }
            );
        if !may {
            return;
        }
        let mut reader = Reader {
            analyzer: self,
            scope,
            draws: false,
        };
        if reader.is_decided(e, DEPTH) {
            reader.draws = true;
            reader.is_decided(e, DEPTH);
        } else {
            reader.simplify(e, DEPTH);
        }
    }

    /// What is known of the tokens of a column; `None` if it is none of tokens.
    fn known(&self, c: &Visible) -> Option<Known> {
        if !matches!(c.ty, Some(oid::TEXT | oid::VARCHAR)) {
            return None;
        }
        let mut known: Option<(String, Known)> = None;
        for source in &c.sources {
            let (relation, column) = self.lineage.column(*source)?;
            let form = column_form(relation, column.attnum, self.grounds).ok()?;
            let ColumnForm::Rule(rule) = form else {
                return None;
            };
            let Treatment::Token(token) = &rule.treatment else {
                return None;
            };
            let one = of_column(column, token)?;
            match &known {
                None => known = Some((token.key_id().to_owned(), one)),
                Some((key, _)) if key == token.key_id() => {}
                Some(_) => return None,
            }
        }
        known.map(|(_, known)| known)
    }

    /// A column as it is, or as text.
    fn is_plain(&self, e: &Expr) -> bool {
        match e {
            Expr::Name(_) => true,
            Expr::Cast(inner, ty) => self.is_text(ty) && self.is_plain(inner),
            _ => false,
        }
    }

    /// text or varchar, of any length.
    fn is_text(&self, ty: &TypeName) -> bool {
        let any = ty.typmods.is_empty() && ty.array_dims == 0;
        let named = self.find_type(&ty.name);
        any && named.is_ok_and(|t| matches!(t.oid, oid::TEXT | oid::VARCHAR))
    }

    /// Is a function of this name PostgreSQL's own, whatever the search path, for texts and numbers?
    fn is_own_function(&self, name: &Name) -> bool {
        let Some(function) = own_name(name) else {
            return false;
        };
        let all = self.grounds.catalog.functions.get(function);
        all.is_some_and(|all| {
            let own = |f: &crate::catalog::Function| f.schema == "pg_catalog";
            all.iter().any(own) && all.iter().all(|f| own(f) || self.is_foreign(&f.args))
        })
    }

    fn is_own_operator(&self, op: &Operator) -> bool {
        let all = self.grounds.catalog.operators.get(&op.symbol);
        let named = op.schema.as_ref().is_none_or(|s| *s == "pg_catalog");
        named
            && all.is_some_and(|all| {
                all.iter()
                    .all(|o| o.schema == "pg_catalog" || self.is_foreign(&[o.left, o.right]))
            })
    }

    /// Is a type among them that texts, numbers and constants are not of?
    fn is_foreign(&self, types: &[Oid]) -> bool {
        types.iter().any(|ty| {
            let known = self.grounds.catalog.types.get(ty);
            known.is_some_and(|t| t.schema != "pg_catalog")
        })
    }
}

/// A text column of tokens, under a collation whose equality is that of bytes.
fn of_column(column: &Column, token: &TokenColumn) -> Option<Known> {
    let text = matches!(column.type_oid, oid::TEXT | oid::VARCHAR);
    let known = token.known()?;
    (text && column.deterministic).then_some(known)
}

/// One look at an expression: first whether it is decided, then to draw the outlines.
struct Reader<'r> {
    analyzer: &'r Analyzer<'r>,
    scope: &'r Scope<'r>,
    draws: bool,
}

impl Reader<'_> {
    /// Writes a column of tokens for a call that leaves each as it is: `lower(email)`. Is it one now?
    fn simplify(&self, e: &mut Expr, depth: usize) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return false;
        };
        let Expr::Call(call) = e else {
            return self.analyzer.is_plain(e) && self.form(e, depth).is_some();
        };
        let leaves = ["lower", "btrim", "ltrim", "rtrim", "replace", "split_part"];
        let name = own_name(&call.function).map_or("", Ident::as_str);
        if !leaves.contains(&name) || !is_scalar(call) {
            return false;
        }
        let Some(first) = call.args.first_mut() else {
            return false;
        };
        if !self.simplify(&mut first.value, deeper) {
            return false;
        }
        let mut token = first.value.clone();
        while let Expr::Cast(inner, _) = token {
            token = *inner;
        }
        let same = self
            .form(e, depth)
            .is_some_and(|form| form.known.is_token());
        if same {
            *e = Expr::Cast(Box::new(token), catalog_type("text", 0));
        }
        same
    }

    /// Is the value the same of the token and of its outline?
    fn is_decided(&self, e: &mut Expr, depth: usize) -> bool {
        match e {
            Expr::Call(call) => {
                self.is_decided_call(call, depth)
                    || self.form(e, depth).is_some_and(|f| f.known.is_whole())
            }
            Expr::Binary(l, op, r) => {
                let op = op.clone();
                self.is_decided_search(l, &op, r, depth)
                    || self.form(e, depth).is_some_and(|f| f.known.is_whole())
            }
            // None of what forms are made of is NULL but of NULL.
            Expr::Test(inner, BoolTest::Null | BoolTest::NotNull) => {
                !self.analyzer.is_plain(inner) && self.form(inner, depth).is_some()
            }
            Expr::InList { expr, list, .. } => {
                let form = self.compared(expr, depth);
                form.is_some_and(|f| list.iter().all(|m| is_never(&f, m)))
            }
            Expr::IsDistinct { left, right, .. } => self.is_never(left, right, depth),
            _ => false,
        }
    }

    fn is_decided_call(&self, call: &mut Call, depth: usize) -> bool {
        let Some(name) = own_name(&call.function).map(|n| n.as_str().to_owned()) else {
            return false;
        };
        let asks = matches!(
            name.as_str(),
            "length"
                | "char_length"
                | "character_length"
                | "octet_length"
                | "bit_length"
                | "ascii"
                | "position"
                | "strpos"
                | "starts_with"
                | "count"
        );
        if !asks || !self.analyzer.is_own_function(&call.function) || call.distinct {
            return false;
        }
        if name != "count" && !is_scalar(call) {
            return false;
        }
        let named = call.args.iter().any(|a| a.name.is_some() || a.variadic);
        let mut args = call.args.iter_mut().map(|a| &mut a.value);
        let (Some(first), second, None, false) = (args.next(), args.next(), args.next(), named)
        else {
            return false;
        };
        if name == "count" && self.analyzer.is_plain(first) {
            return false;
        }
        let Some(form) = self.form(first, depth) else {
            return false;
        };
        let known = &form.known;
        match (name.as_str(), second) {
            ("count", None) => true,
            ("length" | "char_length" | "character_length", None) => known.is_measured(),
            ("octet_length" | "bit_length", None) => known.is_measured() && known.is_ascii(),
            ("ascii", None) => known.has_first(),
            ("position" | "strpos", Some(needle)) if form.is_searched_by_bytes() => {
                string(needle).is_some_and(|needle| known.finds(needle))
            }
            ("starts_with", Some(text)) if form.is_searched_by_bytes() => {
                string(text).is_some_and(|text| known.decides_beginning(text))
            }
            _ => false,
        }
    }

    /// `x LIKE '…'`, `x ~ '…'`, `x = '…'`
    fn is_decided_search(&self, l: &mut Expr, op: &Operator, r: &mut Expr, depth: usize) -> bool {
        if !self.analyzer.is_own_operator(op) {
            return false;
        }
        match &*op.symbol {
            "=" | "<>" => self.is_never(l, r, depth) || self.is_never(r, l, depth),
            "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "^@" => {
                let Some(form) = self.form(l, depth).filter(Form::is_searched_by_bytes) else {
                    return false;
                };
                string(r).is_some_and(|pattern| match &*op.symbol {
                    "~~" | "!~~" => form.known.decides_like(pattern),
                    "~~*" | "!~~*" => form.known.decides_ilike(pattern),
                    "^@" => form.known.decides_beginning(pattern),
                    _ => form.known.decides_regex(pattern),
                })
            }
            _ => false,
        }
    }

    /// Is what tokens go into never equal to a constant? Tokens themselves are for the planner to
    /// compare: it may be one of them.
    fn is_never(&self, e: &mut Expr, constant: &Expr, depth: usize) -> bool {
        let form = self.compared(e, depth);
        form.is_some_and(|form| is_never(&form, constant))
    }

    fn compared(&self, e: &mut Expr, depth: usize) -> Option<Form> {
        if self.analyzer.is_plain(e) {
            return None;
        }
        self.form(e, depth).filter(Form::is_searched_by_bytes)
    }
}

fn is_never(form: &Form, constant: &Expr) -> bool {
    match constant {
        Expr::Literal(Literal::Null) => true,
        _ => string(constant).is_some_and(|text| form.known.is_never(text)),
    }
}

/// A string constant, looked at.
fn string(e: &Expr) -> Option<&str> {
    string_of(e).map(Constant::value)
}

fn string_of(e: &Expr) -> Option<&Constant> {
    match e {
        Expr::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

/// The name of a function that may be PostgreSQL's own.
fn own_name(name: &Name) -> Option<&Ident> {
    match name.parts.as_slice() {
        [function] => Some(function),
        [schema, function] if *schema == "pg_catalog" => Some(function),
        _ => None,
    }
}

/// A call of a function of one row's values.
fn is_scalar(call: &Call) -> bool {
    !call.star
        && !call.distinct
        && !call.within_group
        && call.order_by.is_empty()
        && call.filter.is_none()
        && call.over.is_none()
}
