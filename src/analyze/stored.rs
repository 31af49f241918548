//! What becomes of a value that is written to a column of tokens: a token the client wrote becomes what it
//! stands for, whichever way it takes to the column.
//!
//! Constants and parameters are tokens in VALUES and SET as much as in a list that rows come from (VALUES,
//! `unnest($1)`, a select list), through CASE and COALESCE; each is a member of a list (`constant`), and
//! here the list learns where its values are stored. The column's own value stays as it is stored, and
//! is no use of it: nobody sees more for it.
//!
//! Deliberately absent: whether a constraint would tell of such a value (`probe`), and decoding
//! (`plan::tokens`).

use std::sync::Arc;

use super::dml::Target;
use super::expr::Info;
use super::lineage::{OutputColumn, Source, Uses, Value};
use super::member::{constant_form, kept_type, length};
use super::scope::Scope;
use super::{Analyzer, Resolve};
use crate::catalog;
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::mask::token::TokenType;
use crate::pg::types::oid;
use crate::pg::{AttrNumber, Oid};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{Column, Expr, ListId, Literal, Query, SelectItem, SetExpr, TypeName};

/// Why a column takes no value.
pub(crate) const IRREVERSIBLE: &str =
    "The role sees it as irreversible tokens: only NULL or DEFAULT may be written.";

/// The table and column a value goes to.
type Into<'t> = (&'t Target, &'t Ident);

/// A value on its way to a column of tokens.
struct Way<'a> {
    target: &'a Target,
    column: &'a catalog::Column,
    token: Arc<TokenColumn>,
    /// Is what is written not what is stored?
    coded: bool,
    scope: &'a Scope<'a>,
}

impl Analyzer<'_> {
    /// Resolved as `info`, a value is written to a column: may it be? Finds the lists it is one of.
    pub(super) fn store_value(
        &mut self,
        (e, info): (&mut Expr, &Info),
        (target, name): Into<'_>,
        scope: &Scope<'_>,
        lists: &mut Vec<ListId>,
    ) -> Resolve<bool> {
        let Some((column, token)) = self.stored_as_token(target, name)? else {
            self.lineage.mark_all(&info.sources, Uses::COMPUTE);
            return Ok(true);
        };
        if self.store_lists(&info.sources, (target, name), lists)? {
            return Ok(true);
        }
        let way = Way {
            target,
            column: &column,
            token,
            coded: self.is_coded(target, name)?,
            scope,
        };
        let stored = self.store_branches(e, &way, true, lists)?;
        for source in &info.sources {
            // With `plaintext` what is beside the column's own value is written as it is seen.
            if !stored || !way.coded && Some(*source) != way.source() {
                self.lineage.mark(*source, Uses::COMPUTE);
            }
        }
        Ok(stored || !way.coded)
    }

    /// The same of a column of a query.
    pub(super) fn store_output(
        &mut self,
        output: &OutputColumn,
        into: Option<Into<'_>>,
        lists: &mut Vec<ListId>,
    ) -> Resolve<bool> {
        let info = Info {
            sources: output.sources.clone(),
            null: output.null,
            ..Info::computed(output.tainted, output.ty)
        };
        self.store_sources(&info, into, lists)
    }

    /// The same of a value of which nothing is known but where it comes from.
    pub(super) fn store_sources(
        &mut self,
        info: &Info,
        into: Option<Into<'_>>,
        lists: &mut Vec<ListId>,
    ) -> Resolve<bool> {
        if let Some(into) = into
            && self.store_lists(&info.sources, into, lists)?
        {
            return Ok(true);
        }
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        let coded = match into {
            Some((target, name)) => self.is_coded(target, name)?,
            None => false,
        };
        Ok(info.null || !coded)
    }

    /// Casts to the column's own type, length included, are what storing does anyway: of a token nothing is
    /// cut for the length of what it stands for.
    pub(super) fn drop_own_length(
        &mut self,
        e: &mut Expr,
        target: &Target,
        name: &Ident,
    ) -> Resolve<()> {
        let Some((column, _)) = self.stored_as_token(target, name)? else {
            return Ok(());
        };
        if let Expr::Cast(_, ty) = e
            && ty.array_dims == 0
            && length(ty) == Some(column.typmod)
            && self.type_name(&mut ty.clone())? == column.type_oid
        {
            ty.typmods.clear();
        }
        Ok(())
    }

    /// Stores the values of lists, if they are nothing else.
    fn store_lists(
        &mut self,
        sources: &[Source],
        (target, name): Into<'_>,
        lists: &mut Vec<ListId>,
    ) -> Resolve<bool> {
        let Some((column, token)) = self.stored_as_token(target, name)? else {
            return Ok(false);
        };
        if sources.is_empty() || !self.is_coded(target, name)? {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(sources.len());
        for s in sources {
            match s {
                Source::List(id) if self.storable(*id, &column, &token) => found.push(*id),
                Source::List(_) | Source::Column { .. } => return Ok(false),
            }
        }
        for id in found {
            if let Some(l) = self.lineage.list_mut(id) {
                l.store(&target.relation, column.attnum);
            }
            lists.push(id);
        }
        Ok(true)
    }

    /// Are elements of arrays stored?
    pub(super) fn stores_elements(&self) -> bool {
        let mut lists = self.lineage.lists.iter();
        lists.any(|list| list.unnested && !list.stored.is_empty())
    }

    /// Can each member be a token of the column, or NULL?
    fn storable(&self, id: ListId, column: &catalog::Column, token: &TokenColumn) -> bool {
        let Some(list) = self.lineage.list(id) else {
            return false;
        };
        list.members.iter().all(|m| {
            let typed = match m.value {
                // A number is no text, and so no token but of integers.
                Value::Number { .. } => token.token_type() == TokenType::Integer,
                Value::Text(_) | Value::Param(_) => true,
            };
            // What a parameter holds is known when it is bound, and may be NULL.
            let takes = token.is_written() || m.may_be_null();
            typed && takes && m.length.is_none_or(|length| length == column.typmod)
        })
    }

    /// A value that is one of several, and none but the last decides which: is each a token, NULL or the
    /// column's own?
    fn store_branches(
        &mut self,
        e: &mut Expr,
        way: &Way<'_>,
        last: bool,
        lists: &mut Vec<ListId>,
    ) -> Resolve<bool> {
        if is_null_or_default(Some(e)) {
            return Ok(true);
        }
        let into = (way.target, &way.column.name);
        if way.coded && constant_form(e).is_some() {
            let mut list = None;
            self.member(&mut list, e, false);
            let sources: Vec<Source> = list.into_iter().map(Source::List).collect();
            return self.store_lists(&sources, into, lists);
        }
        if is_own(e, way.target, way.column.attnum) {
            if !(last || way.says_null()) {
                return Ok(false);
            }
            if let Expr::Column(c) = e {
                // What stands for it where it is read does not stand for it here.
                c.base = None;
            }
            return Ok(true);
        }
        match e {
            Expr::Constant { list, .. } if way.coded => {
                self.store_lists(&[Source::List(*list)], into, lists)
            }
            Expr::Column(c) if way.coded => {
                let mut columns = way.scope.items.iter().flat_map(|item| &item.columns);
                let is_it = |of: &Column| of.qualifier == c.qualifier && of.name == c.name;
                let sources = columns.find(|v| is_it(&v.reference));
                let sources = sources.map_or_else(Vec::new, |v| v.sources.clone());
                self.store_lists(&sources, into, lists)
            }
            Expr::Cast(inner, ty) if way.keeps(ty) => self.store_branches(inner, way, last, lists),
            Expr::Case {
                branches,
                otherwise,
                ..
            } => {
                let results = branches.iter_mut().map(|(_, then)| then);
                let mut stored = true;
                for result in results.chain(otherwise.as_deref_mut()) {
                    stored &= self.store_branches(result, way, last, lists)?;
                }
                Ok(stored)
            }
            Expr::Coalesce(items) => {
                let count = items.len();
                let mut stored = true;
                for (n, item) in items.iter_mut().enumerate() {
                    let last = last && n.saturating_add(1) == count;
                    stored &= self.store_branches(item, way, last, lists)?;
                }
                Ok(stored)
            }
            _ => Ok(!way.coded),
        }
    }

    /// The column, if the role sees it as tokens.
    fn stored_as_token(
        &self,
        target: &Target,
        name: &Ident,
    ) -> Resolve<Option<(catalog::Column, Arc<TokenColumn>)>> {
        let Some(c) = target.relation.column(name) else {
            return Ok(None);
        };
        Ok(match self.column_treatment(&target.relation, c)? {
            Treatment::Token(token) => Some((c.clone(), token)),
            Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => None,
        })
    }

    /// Is what is written to a column stored as something else: a token as what it stands for, a value
    /// as an encrypted cell?
    pub(super) fn takes_tokens(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let token = self.stored_as_token(target, column)?;
        Ok(token
            .is_some_and(|(_, t)| t.is_encrypted() || t.is_reversible() && !target.grant.plaintext))
    }

    /// Is what is written to a column not what is stored, if it can be written at all? `plaintext` in the
    /// policy's write section lets a role write values to a column it sees as tokens; an encrypted one
    /// stays encrypted.
    pub(super) fn is_coded(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let token = self.stored_as_token(target, column)?;
        Ok(token.is_some_and(|(_, t)| t.is_encrypted() || !target.grant.plaintext))
    }

    /// What is written to a column cannot become what is stored there.
    pub(super) fn unstorable(&self, target: &Target, column: &Ident) -> Resolve<Refusal> {
        let table = &target.relation.name;
        let token = self.stored_as_token(target, column)?;
        if let Some(cells) = token.as_ref().and_then(|(_, token)| token.cells()) {
            return Ok(Refusal::denied(format!(
                "cannot encrypt what is written to column {column} of {table}"
            ))
            .detail(format!(
                "It is stored encrypted with key \"{}\": what PostgreSQL computes cannot be encrypted on \
                 its way.",
                cells.name()
            ))
            .hint(
                "Write a string constant, a parameter, NULL or DEFAULT in VALUES, SET or unnest(), or COPY it, \
                 or leave the column out.",
            ));
        }
        let refusal = Refusal::denied(format!(
            "cannot write to tokenized column {column} of {table}"
        ));
        if !self.takes_tokens(target, column)? {
            return Ok(refusal
                .detail(IRREVERSIBLE)
                .hint("Leave the column out, or write as a role that sees it clearly."));
        }
        Ok(refusal
            .detail("Only a token, NULL or DEFAULT may be written to a column the role sees as tokens.")
            .hint(
                "Write the token as a string constant or a parameter in VALUES, SET or unnest(), or COPY it, \
                 leave the column out, or write as a role that sees it clearly.",
            ))
    }
}

impl Way<'_> {
    /// The column it goes to, as it is read.
    fn source(&self) -> Option<Source> {
        Some(Source::Column {
            relation: self.target.item.relation?,
            attnum: self.column.attnum,
        })
    }

    /// Is it NULL where the role sees NULL, and nowhere else?
    fn says_null(&self) -> bool {
        !self.token.is_guarded()
    }

    /// Does a cast to this type leave values of the column as they are?
    fn keeps(&self, ty: &TypeName) -> bool {
        let textual = |t: Oid| matches!(t, oid::TEXT | oid::VARCHAR);
        let own = self.column.type_oid;
        let kept = kept_type(ty).filter(|kept| !kept.array && kept.length.is_none());
        kept.is_some_and(|kept| kept.oid == own || textual(kept.oid) && textual(own))
    }
}

/// Is it this column of the row that is written?
fn is_own(e: &Expr, target: &Target, attnum: AttrNumber) -> bool {
    let base = target.item.relation.map(|id| (id, attnum));
    matches!(e, Expr::Column(c) if base.is_some() && c.base == base)
}

/// Is it what is there already?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// In no row.
    Nothing,
    /// In some, perhaps.
    Some,
    /// In every row.
    All,
}

/// Does an assigned value, after `store_value`, leave what the column holds?
pub(super) fn keeps_own(e: &Expr, target: &Target, name: &Ident) -> Keeps {
    match e {
        Expr::Column(c) if c.base.is_none() => {
            let own = c.qualifier.as_ref() == Some(&target.item.printed) && c.name == *name;
            if own { Keeps::All } else { Keeps::Nothing }
        }
        Expr::Cast(inner, _) => keeps_own(inner, target, name),
        Expr::Case {
            branches,
            otherwise,
            ..
        } => {
            let results = branches.iter().map(|(_, then)| then);
            some_keep(results.chain(otherwise.as_deref()), target, name)
        }
        Expr::Coalesce(items) => some_keep(items.iter(), target, name),
        _ => Keeps::Nothing,
    }
}

fn some_keep<'e>(
    mut results: impl Iterator<Item = &'e Expr>,
    target: &Target,
    name: &Ident,
) -> Keeps {
    if results.any(|e| keeps_own(e, target, name) != Keeps::Nothing) {
        Keeps::Some
    } else {
        Keeps::Nothing
    }
}

pub(super) fn is_null_or_default(value: Option<&Expr>) -> bool {
    match value {
        None | Some(Expr::Literal(Literal::Null)) => true,
        Some(Expr::Cast(inner, _)) => is_null_or_default(Some(inner)),
        Some(_) => false,
    }
}

pub(super) fn query_gives_null(q: &Query, n: usize) -> bool {
    let SetExpr::Select(s) = &q.body else {
        return false;
    };
    matches!(
        s.items.get(n),
        Some(SelectItem::Expr {
            expr: Expr::Literal(Literal::Null),
            ..
        })
    )
}
