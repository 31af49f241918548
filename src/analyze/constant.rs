//! Constants and parameters that are compared with something, or stand in a list that may be: what
//! a client may mean as tokens.
//!
//! Each is wrapped in the tree ([`Expr::Constant`]), so that the planner can have another text
//! printed in its place. Deliberately absent: what a token is, and which lists are of tokens.

use super::compare::{Listed, types_among};
use super::expr::{At, Info};
use super::harmless::meeting;
use super::likeness::{FIXED, Likeness};
use super::lineage::{List, Source, Uses};
use super::literal::{is_constant, written_scale};
use super::member::{constant_form, is_null, number_form, push_cast_down};
use super::operators::operator_uses;
use super::scope::{CteFrame, Scope};
use super::{Analyzer, Resolve, merge_sources};
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, ListId, Literal, Quantifier};

impl Analyzer<'_> {
    /// Resolves one side of a comparison; a constant becomes the only member of a list.
    pub(super) fn operand(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let mut info = self.expr(e, scope, ctes)?;
        self.constant(e, &mut info, false);
        Ok(info)
    }

    /// Makes a list of an item of a select list, if it is a constant, or the members of an array of
    /// them.
    pub(super) fn selected_constant(&mut self, e: &mut Expr, info: &mut Info) {
        if let Expr::Call(call) = e
            && let [arg] = call.args.as_mut_slice()
            && matches!(call.function.parts.as_slice(),
                [schema, name] if *schema == "pg_catalog" && *name == "unnest")
        {
            info.sources
                .extend(self.array_constants(&mut arg.value, true));
            return;
        }
        // Most numbers of a select list are no tokens, and none has the type of another's column.
        if number_form(e).is_none() {
            self.constant(e, info, true);
        }
    }

    /// Makes a list of a resolved expression, if it is a constant.
    pub(super) fn constant(&mut self, e: &mut Expr, info: &mut Info, placed: bool) {
        let mut list = None;
        self.member(&mut list, e, placed);
        info.sources.extend(list.map(Source::List));
    }

    /// Adds a resolved expression to a list, if it is a constant; the list is made for the first.
    pub(super) fn member(&mut self, list: &mut Option<ListId>, e: &mut Expr, placed: bool) -> bool {
        let Some(member) = constant_form(e) else {
            return false;
        };
        let id = match *list {
            Some(id) => Some(id),
            None => self.new_list(placed),
        };
        let Some(id) = id else { return false };
        *list = Some(id);
        let Some(l) = self.lineage.list_mut(id) else {
            return false;
        };
        let Ok(number) = u32::try_from(l.members.len()) else {
            return false;
        };
        l.members.push(member);
        let written = std::mem::replace(e, Expr::Literal(Literal::Null));
        *e = Expr::Constant {
            list: id,
            member: number,
            expr: Box::new(written),
        };
        true
    }

    /// A list without members yet.
    pub(super) fn new_list(&mut self, placed: bool) -> Option<ListId> {
        let id = u32::try_from(self.lineage.lists.len()).map(ListId).ok()?;
        self.lineage.lists.push(List::new(placed));
        Some(id)
    }

    /// The constants of a resolved array: its members, or one that says all of it.
    pub(super) fn array_constants(&mut self, e: &mut Expr, placed: bool) -> Vec<Source> {
        push_cast_down(e);
        let mut list = None;
        match e {
            Expr::Array(items) => {
                let constant =
                    |e: &Expr| is_null(e) || constant_form(e).is_some_and(|member| !member.array);
                if items.iter().all(constant) {
                    for item in items {
                        self.member(&mut list, item, placed);
                    }
                }
            }
            // What is not cast is an array by what it is compared with.
            whole => {
                let array = constant_form(whole).is_some_and(|m| m.array || m.cast.is_none());
                if array
                    && self.member(&mut list, whole, placed)
                    && let Some(l) = list.and_then(|id| self.lineage.list_mut(id))
                {
                    l.members.iter_mut().for_each(|m| m.array = true);
                }
            }
        }
        if let Some(l) = list.and_then(|id| self.lineage.list_mut(id)) {
            l.unnested = placed;
        }
        list.into_iter().map(Source::List).collect()
    }

    /// Two compared sides. With the constant NULL the answer says at most whether there is a value.
    pub(super) fn compare_infos(&mut self, left: &Info, right: &Info) {
        if left.null || right.null {
            self.lineage.mark_all(&left.sources, Uses::PRESENCE);
            self.lineage.mark_all(&right.sources, Uses::PRESENCE);
            if has_type(left) && has_type(right) {
                self.typed_beside(&left.sources);
                self.typed_beside(&right.sources);
            }
        } else {
            self.compare(&left.sources, &right.sources);
        }
    }

    /// `x IN (a, b)`; rows are compared field by field.
    pub(super) fn in_list(
        &mut self,
        expr: &mut Expr,
        list: &mut [Expr],
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Listed> {
        if let Expr::Row { fields, .. } = expr
            && list
                .iter()
                .all(|m| matches!(m, Expr::Row { fields: f, .. } if f.len() == fields.len()))
        {
            return self.in_rows(fields, list, scope, ctes);
        }
        let left = self.operand(expr, scope, ctes)?;
        self.lineage.mark_all(&left.sources, Uses::SEARCH);
        let mut listed = Listed {
            tainted: left.tainted,
            left: left.ty,
            ..Listed::default()
        };
        let mut constants = None;
        for member in list {
            let right = self.expr(member, scope, ctes)?;
            listed.tainted |= right.tainted;
            listed.members.push(right.ty);
            let fields = left.row.iter().copied().zip(right.row.iter().copied());
            listed.rows.extend(fields);
            if !self.member(&mut constants, member, false) {
                self.compare_infos(&left, &right);
            }
        }
        if let Some(id) = constants {
            let constants = [Source::List(id)];
            self.searched(&constants);
            self.compare(&left.sources, &constants);
        }
        Ok(listed)
    }

    /// `x op ANY (array)`
    pub(super) fn quantified_array(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Info> {
        let Expr::QuantifiedArray {
            left,
            op,
            quantifier,
            array,
        } = e
        else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not ANY or ALL"));
        };
        let l = self.operand(left, at.scope, at.ctes)?;
        let uses = operator_uses(op);
        let a = self.consumed(array, at.scope, at.ctes, Uses::COMPUTE)?;
        if uses == Uses::EQUALITY {
            let members = self.array_constants(array, false);
            if let ("=", Quantifier::Any) | ("<>", Quantifier::All) = (&*op.symbol, quantifier) {
                self.searched(&members);
            }
            self.compare(&l.sources, &members);
        } else {
            self.lineage.mark_all(&l.sources, uses);
        }
        let member = self.element_type(a.ty);
        let open = member.is_none() && is_constant(array);
        let met = if open { Some(oid::UNKNOWN) } else { member };
        self.meet(&[meeting(left, l.ty), met]);
        self.operator(op, l.ty, member)?;
        let tainted = l.tainted || a.tainted;
        Ok(Info::computed(tainted, Some(oid::BOOL)))
    }

    /// One of a comparison's operands is looked for in the other, if that is a constant.
    pub(super) fn searched_operand(&mut self, operands: [&Expr; 2], infos: [&Info; 2]) {
        let [left, right] = operands.map(|e| matches!(e, Expr::Constant { .. }));
        match infos {
            [_, info] if right && !left => self.searched(&info.sources),
            [info, _] if left && !right => self.searched(&info.sources),
            _ => {}
        }
    }

    /// Nothing else is done with these constants.
    pub(super) fn searched(&mut self, constants: &[Source]) {
        for s in constants {
            if let Source::List(id) = s
                && let Some(list) = self.lineage.list_mut(*id)
            {
                list.searched = true;
            }
        }
    }

    fn in_rows(
        &mut self,
        fields: &mut [Expr],
        rows: &mut [Expr],
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Listed> {
        let mut listed = Listed::default();
        let mut lefts = Vec::with_capacity(fields.len());
        for f in fields {
            let left = self.operand(f, scope, ctes)?;
            listed.tainted |= left.tainted;
            lefts.push((left, None));
        }
        for row in rows {
            let Expr::Row { fields, .. } = row else {
                continue;
            };
            for (f, (left, constants)) in fields.iter_mut().zip(&mut lefts) {
                let right = self.expr(f, scope, ctes)?;
                listed.tainted |= right.tainted;
                listed.rows.push((left.ty, right.ty));
                if !self.member(constants, f, false) {
                    self.compare_infos(left, &right);
                }
            }
        }
        for (left, constants) in lefts {
            if let Some(id) = constants {
                self.compare(&left.sources, &[Source::List(id)]);
            }
        }
        Ok(listed)
    }

    /// `CASE x WHEN a THEN …`: its value is one of the results, and the rest is a comparison.
    pub(super) fn case(
        &mut self,
        operand: Option<&mut Expr>,
        branches: &mut [(Expr, Expr)],
        otherwise: Option<&mut Expr>,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(Info, Option<Listed>)> {
        let mut tainted = false;
        let mut whens = Vec::new();
        let mut results = Vec::with_capacity(branches.len().saturating_add(1));
        let operand = match operand {
            Some(e) => Some(self.operand(e, scope, ctes)?),
            None => None,
        };
        if let Some(operand) = &operand {
            tainted |= operand.tainted;
            self.lineage.mark_all(&operand.sources, Uses::EQUALITY);
        }
        for (when, then) in branches {
            match &operand {
                Some(operand) => {
                    let when = self.operand(when, scope, ctes)?;
                    tainted |= when.tainted;
                    self.compare_infos(operand, &when);
                    whens.push(when.ty);
                }
                None => tainted |= self.compute(when, scope, ctes)?,
            }
            let info = self.expr(then, scope, ctes)?;
            results.push((then, info));
        }
        if let Some(e) = otherwise {
            let info = self.expr(e, scope, ctes)?;
            results.push((e, info));
        }
        let mut info = self.choice(results)?;
        info.tainted |= tainted;
        let compared = operand.map(|operand| Listed {
            left: operand.ty,
            members: whens,
            ..Listed::default()
        });
        Ok((info, compared))
    }

    /// One of several values, with the type they have in common. A constant among columns is one of
    /// theirs, as in a set operation.
    pub(super) fn choice(&mut self, values: Vec<(&mut Expr, Info)>) -> Resolve<Info> {
        let columns = values.iter().any(|(_, info)| !info.sources.is_empty());
        let met: Vec<_> = values.iter().map(|(e, info)| meeting(e, info.ty)).collect();
        self.meet(&met);
        let mut known = Vec::with_capacity(values.len());
        let values: Vec<Info> = values
            .into_iter()
            .map(|(e, mut info)| {
                if columns && info.sources.is_empty() {
                    self.constant(e, &mut info, false);
                }
                if info.scale == Some(FIXED) {
                    info.scale = written_scale(e).or(info.scale);
                }
                known.push(Likeness::of(e, &info));
                info
            })
            .collect();
        let (alike, scale) = self.among(&known);
        let types = types_among(values.iter().map(|v| (v.null, v.ty)));
        self.no_hidden_tests_among(types.iter().copied(), false)?;
        let common = self.common(&types);
        if common.is_none() {
            for v in &values {
                self.no_hidden_cast(v.ty)?;
            }
        }
        Ok(Info {
            ty: common,
            alike,
            scale,
            ..self.one_of(values)
        })
    }

    /// `NULLIF(a, b)`: its value is `a` or NULL, and says whether they are equal. The types of both.
    pub(super) fn nullif(
        &mut self,
        (a, b): (&mut Expr, &mut Expr),
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(Info, Option<Oid>)> {
        let left = self.expr(a, scope, ctes)?;
        let right = self.operand(b, scope, ctes)?;
        let info = Info {
            alike: self.selected_alike(a, &left),
            scale: left.scale,
            ..Info::computed(left.tainted || right.tainted, left.ty)
        };
        if left.sources.is_empty() || !left.row.is_empty() || !right.row.is_empty() {
            self.lineage.mark_all(&left.sources, Uses::COMPUTE);
            self.lineage.mark_all(&right.sources, Uses::COMPUTE);
            return Ok((info, right.ty));
        }
        self.lineage.mark_all(&left.sources, Uses::EQUALITY);
        self.compare_infos(&left, &right);
        // Its type comes from both.
        self.typed_beside(&left.sources);
        let sources = left.sources;
        Ok((Info { sources, ..info }, right.ty))
    }

    /// A value that is one of several, unchanged: as in a set operation, it has sources only while all
    /// of them bring some, or are the constant NULL.
    fn one_of(&mut self, values: Vec<Info>) -> Info {
        let mut sources = Vec::new();
        for v in &values {
            merge_sources(&mut sources, &v.sources);
        }
        if values.iter().any(|v| v.sources.is_empty() && !v.null) {
            self.lineage.mark_all(&sources, Uses::COMPUTE);
            sources.clear();
        }
        let constant = |v: &Info| {
            v.null && has_type(v) || v.sources.iter().any(|s| matches!(s, Source::List(_)))
        };
        if values.iter().any(constant) {
            self.typed_beside(&sources);
        }
        // A NULL of a wider type makes them all of that.
        let typed = |v: &&Info| has_type(v);
        let textual = |ty: Option<Oid>| matches!(ty, Some(oid::TEXT | oid::VARCHAR));
        let mut types = values.iter().filter(typed).map(|v| v.ty);
        if let Some(first) = types.next()
            && values.iter().any(|v| v.null)
            && types.any(|ty| ty != first && !(textual(ty) && textual(first)))
        {
            self.lineage.mark_all(&sources, Uses::COMPUTE);
        }
        Info {
            sources,
            tainted: values.iter().any(|v| v.tainted),
            ..Info::default()
        }
    }
}

/// Has it a type of its own, whatever it stands beside?
fn has_type(info: &Info) -> bool {
    info.ty.is_some_and(|ty| ty != oid::UNKNOWN)
}
