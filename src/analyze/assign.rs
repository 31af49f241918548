//! Assignments of INSERT, UPDATE and MERGE: which columns may be written, and what tokens become.

use std::sync::Arc;

use super::dml::Target;
use super::expr::Info;
use super::lineage::{Source, Uses, Value};
use super::member::{constant_form, number_form};
use super::probe::{Change, Written};
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::catalog::{CastContext, Relation};
use crate::ident::Ident;
use crate::mask::token::TokenType;
use crate::pg::sqlstate;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Assignment, AssignmentTarget, Expr, ListId, Literal, Query, SelectItem, SetExpr, Step,
    Subscript,
};

/// Why a column takes no value.
pub(crate) const IRREVERSIBLE: &str =
    "The role sees it as irreversible tokens: only NULL or DEFAULT may be written.";

impl Analyzer<'_> {
    pub(super) fn assignments(
        &mut self,
        assignments: &mut [Assignment],
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        self.each_assigned(assignments, target, scope, ctes)?;
        let mut written = Vec::new();
        for a in assignments.iter() {
            match a {
                Assignment::One(t, value) => written.push(Written::of(t, value.as_ref())),
                Assignment::Row(targets, values) => {
                    let pairs = targets.iter().zip(values);
                    written.extend(pairs.map(|(t, value)| Written::of(t, value.as_ref())));
                }
                Assignment::Query(targets, _) => {
                    written.extend(targets.iter().map(Written::some));
                }
            }
        }
        self.probes(target, Change::Update(&written))
    }

    fn each_assigned(
        &mut self,
        assignments: &mut [Assignment],
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        for a in assignments {
            match a {
                Assignment::One(t, value) => {
                    let harmless = self.assigned(value.as_mut(), t, target, (scope, ctes))?;
                    self.updated(t, target, scope, ctes, harmless)?;
                }
                Assignment::Row(targets, values) => {
                    for (t, v) in targets.iter_mut().zip(values.iter_mut()) {
                        let harmless = self.assigned(v.as_mut(), t, target, (scope, ctes))?;
                        self.updated(t, target, scope, ctes, harmless)?;
                    }
                    if targets.len() != values.len() {
                        return Err(Refusal::error(
                            sqlstate::SYNTAX_ERROR,
                            "number of columns does not match number of values",
                        ));
                    }
                }
                Assignment::Query(targets, q) => {
                    for t in targets.iter_mut() {
                        self.updated(t, target, scope, ctes, false)?;
                    }
                    let outer = Some(scope);
                    let outputs = self.computed_query(q, Env { outer, ctes })?;
                    for (t, o) in targets.iter().zip(&outputs) {
                        self.assignable(target, t, &Info::computed(o.tainted, o.ty))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Resolves an assigned value: may it be stored in a token column? A token may, and the column's
    /// own value of the row proposed for insertion, which is one.
    fn assigned(
        &mut self,
        value: Option<&mut Expr>,
        t: &AssignmentTarget,
        target: &Target,
        (scope, ctes): (&Scope<'_>, Option<&CteFrame<'_>>),
    ) -> Resolve<bool> {
        let Some(e) = value else { return Ok(true) };
        let info = self.expr(e, scope, ctes)?;
        self.assignable(target, t, &info)?;
        let relation = &target.relation;
        if let [Source::List(id)] = info.sources.as_slice()
            && let Some((stored, attnum)) = self.lineage.list(*id).and_then(|l| l.stored.as_ref())
            && Arc::ptr_eq(stored, relation)
            && relation.column(&t.column).map(|c| c.attnum) == Some(*attnum)
        {
            return Ok(true);
        }
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        if is_null_or_default(Some(e)) || !self.is_coded(target, &t.column)? {
            return Ok(true);
        }
        self.stored(&mut None, e, target, &t.column)
    }

    /// Makes a value that is stored in a token column a member of a list, if it is a constant and the
    /// column's tokens can be turned back.
    pub(super) fn stored(
        &mut self,
        list: &mut Option<ListId>,
        e: &mut Expr,
        target: &Target,
        column: &Ident,
    ) -> Resolve<bool> {
        let relation = &target.relation;
        let Some(c) = relation.column(column) else {
            return Ok(false);
        };
        // A number is no text, and so no token but of integers.
        let fits = number_form(e).is_none()
            || matches!(self.column_treatment(relation, c)?,
                Treatment::Token(token) if token.token_type() == TokenType::Integer);
        // What a parameter holds is known when it is bound, and may be NULL.
        let takes = self.takes_tokens(target, column)?
            || self.is_coded(target, column)?
                && constant_form(e).is_some_and(|m| matches!(m.value, Value::Param(_)));
        if !fits || !takes || !self.member(list, e, false) {
            return Ok(false);
        }
        if let Some(l) = list.and_then(|id| self.lineage.list_mut(id)) {
            l.stored = Some((Arc::clone(relation), c.attnum));
        }
        Ok(true)
    }

    /// Checks that a column may be updated.
    fn updated(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
        null: bool,
    ) -> Resolve<()> {
        self.assignment_target(t, target, scope, ctes)?;
        if target
            .grant
            .update
            .as_ref()
            .is_some_and(|cols| !cols.contains(&t.column))
        {
            return Err(Refusal::denied(format!(
                "permission denied to update column {} of {}",
                t.column, target.relation.name
            ))
            .hint("The policy's write section names the columns a role may update.")
            .at(t.position));
        }
        if !null && self.is_coded(target, &t.column)? {
            return Err(self.unstorable(target, &t.column)?.at(t.position));
        }
        Ok(())
    }

    pub(super) fn assignment_target(
        &mut self,
        t: &mut AssignmentTarget,
        target: &Target,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<()> {
        let c = target
            .item
            .columns
            .iter()
            .find(|c| c.reference.name == t.column);
        match c {
            None => {
                return Err(no_column(&t.column, &target.relation).at(t.position));
            }
            Some(c) if c.denied => {
                return Err(
                    Refusal::denied(format!("permission denied for column {}", t.column))
                        .at(t.position),
                );
            }
            // A subscripted or field assignment keeps the rest of the stored value.
            Some(c) if c.tainted && !t.path.is_empty() => {
                return Err(Refusal::denied(format!(
                    "cannot assign to a part of protected column {}",
                    t.column
                ))
                .at(t.position));
            }
            Some(c) => {
                if let Some((id, attnum)) = c.reference.base
                    && let Some(used) = self.lineage.relation_mut(id)
                {
                    used.assigned.push(attnum);
                }
            }
        }
        for step in &mut t.path {
            let parts = match step {
                Step::Field(_) => [None, None],
                Step::Subscript(Subscript::Index(i)) => [Some(i), None],
                Step::Subscript(Subscript::Slice(lo, hi)) => [lo.as_mut(), hi.as_mut()],
            };
            for e in parts.into_iter().flatten() {
                self.compute(e, scope, ctes)?;
            }
        }
        Ok(())
    }

    /// May a value become the column's, as far as casts go? Into a part of a column any cast might be
    /// what PostgreSQL needs.
    pub(super) fn assignable(
        &self,
        target: &Target,
        t: &AssignmentTarget,
        info: &Info,
    ) -> Resolve<()> {
        let Some(column) = target.relation.column(&t.column) else {
            return Ok(());
        };
        // A constant NULL becomes any type.
        if column.type_oid == 0 || info.null {
            return Ok(());
        }
        if t.path.is_empty() {
            return self.convertible(info, column.type_oid, CastContext::Assignment);
        }
        let element = self.element_type(Some(column.type_oid));
        let fields = self.composite_fields(element.unwrap_or(column.type_oid));
        let fields = fields.unwrap_or_default().into_iter().map(|(_, ty)| ty);
        for part in element.into_iter().chain(fields) {
            self.convertible(info, part, CastContext::Assignment)?;
        }
        Ok(())
    }

    /// Is what is written to a column stored as something else: a token as what it stands for, a value
    /// as an encrypted cell?
    pub(super) fn takes_tokens(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let Some(c) = target.relation.column(column) else {
            return Ok(false);
        };
        Ok(match self.column_treatment(&target.relation, c)? {
            Treatment::Token(t) => t.is_encrypted() || t.is_reversible() && !target.grant.plaintext,
            Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => false,
        })
    }

    /// What is written to a column cannot become what is stored there.
    pub(super) fn unstorable(&self, target: &Target, column: &Ident) -> Resolve<Refusal> {
        let table = &target.relation.name;
        let treatment = match target.relation.column(column) {
            Some(c) => self.column_treatment(&target.relation, c)?,
            None => Treatment::Deny,
        };
        if let Treatment::Token(token) = &treatment
            && let Some(cells) = token.cells()
        {
            return Ok(Refusal::denied(format!(
                "cannot encrypt what is written to column {column} of {table}"
            ))
            .detail(format!(
                "It is stored encrypted with key \"{}\": what PostgreSQL computes cannot be encrypted on \
                 its way.",
                cells.name()
            ))
            .hint(
                "Write a string constant, a parameter, NULL or DEFAULT in VALUES or SET, or COPY it, or \
                 leave the column out.",
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
                "Write the token as a string constant or a parameter in VALUES or SET, or COPY it, leave \
                 the column out, or write as a role that sees it clearly.",
            ))
    }

    /// Is what is written to a column not what is stored, if it can be written at all? `plaintext` in the
    /// policy's write section lets a role write values to a column it sees as tokens; an encrypted one
    /// stays encrypted.
    pub(super) fn is_coded(&self, target: &Target, column: &Ident) -> Resolve<bool> {
        let Some(c) = target.relation.column(column) else {
            return Ok(false);
        };
        Ok(match self.column_treatment(&target.relation, c)? {
            Treatment::Token(t) => t.is_encrypted() || !target.grant.plaintext,
            Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => false,
        })
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

/// The target of a write, or what is copied, has no such column.
pub(super) fn no_column(name: &Ident, relation: &Relation) -> Refusal {
    Refusal::error(
        sqlstate::UNDEFINED_COLUMN,
        format!(
            "column \"{name}\" of relation \"{}\" does not exist",
            relation.name
        ),
    )
}
