//! Assignments of INSERT, UPDATE and MERGE: which columns may be written. What becomes of a value that is
//! written to a column of tokens is in `stored`.

use super::dml::Target;
use super::expr::Info;
use super::probe::{Change, Written};
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::catalog::{CastContext, Relation};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{Assignment, AssignmentTarget, Expr, Step, Subscript};

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
                Assignment::One(t, value) => {
                    written.extend(Written::assigned(t, value.as_ref(), target));
                }
                Assignment::Row(targets, values) => {
                    let pairs = targets.iter().zip(values);
                    let pairs =
                        pairs.filter_map(|(t, value)| Written::assigned(t, value.as_ref(), target));
                    written.extend(pairs);
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
                    let outer = Some(scope);
                    let outputs = self.query(q, Env { outer, ctes })?;
                    let mut harmless = Vec::with_capacity(targets.len());
                    for (n, o) in outputs.iter().enumerate() {
                        let into = targets.get(n).map(|t| (target, &t.column));
                        harmless.push(self.store_output(o, into, &mut Vec::new())?);
                    }
                    for (n, t) in targets.iter_mut().enumerate() {
                        let harmless = harmless.get(n) == Some(&true);
                        self.updated(t, target, scope, ctes, harmless)?;
                    }
                    for (t, o) in targets.iter().zip(&outputs) {
                        self.assignable(target, t, &Info::computed(o.tainted, o.ty))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Resolves an assigned value: may it be stored in a column of tokens?
    fn assigned(
        &mut self,
        value: Option<&mut Expr>,
        t: &AssignmentTarget,
        target: &Target,
        (scope, ctes): (&Scope<'_>, Option<&CteFrame<'_>>),
    ) -> Resolve<bool> {
        let Some(e) = value else { return Ok(true) };
        self.drop_own_length(e, target, &t.column)?;
        let info = self.expr(e, scope, ctes)?;
        self.assignable(target, t, &info)?;
        let mut lists = Vec::new();
        self.store_value((e, &info), (target, &t.column), scope, &mut lists)
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
                let tainted = self.compute(e, scope, ctes)?;
                self.keeps(target, tainted);
            }
        }
        Ok(())
    }

    /// May a value become the column's, as far as casts go? Into a part of a column any cast might be
    /// what PostgreSQL needs.
    pub(super) fn assignable(
        &mut self,
        target: &Target,
        t: &AssignmentTarget,
        info: &Info,
    ) -> Resolve<()> {
        self.keeps(target, info.tainted);
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
}

impl Analyzer<'_> {
    /// A value goes into the target.
    fn keeps(&mut self, target: &Target, tainted: bool) {
        self.lineage.keeps_tainted |= tainted && !target.relation.temporary;
    }
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
