//! Writes that a constraint answers: "is this value taken?" is an equality probe of what is stored,
//! whatever the role sees of it. So is an error from what PostgreSQL computes of a written column
//! together with one the role does not see. Such a write needs `probe(column)` in the policy, and is
//! audited.

use std::sync::Arc;

use super::dml::Target;
use super::generated::{ColumnForm, column_form};
use super::stored::{Keeps, is_null_or_default, keeps_own};
use super::{Analyzer, Resolve};
use crate::catalog::{Constraint, ConstraintKind, Relation};
use crate::ident::Ident;
use crate::mask::token::TokenKind;
use crate::pg::AttrNumber;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{AssignmentTarget, Expr};

/// A column a statement writes to.
pub(super) struct Written {
    pub(super) column: Ident,
    /// Nothing but NULL or its default.
    pub(super) null: bool,
    /// Its default, perhaps.
    pub(super) default: bool,
    /// What is there, perhaps.
    pub(super) kept: bool,
}

impl Written {
    /// What is given to a column of a new row, DEFAULT if nothing.
    pub(super) fn of(t: &AssignmentTarget, value: Option<&Expr>) -> Self {
        Self {
            null: is_null_or_default(value),
            default: value.is_none(),
            ..Self::some(t)
        }
    }

    /// What is assigned to a column of a row that is there; `None` if that is what it has.
    pub(super) fn assigned(
        t: &AssignmentTarget,
        value: Option<&Expr>,
        target: &Target,
    ) -> Option<Self> {
        let keeps = value.map_or(Keeps::Nothing, |e| keeps_own(e, target, &t.column));
        (keeps != Keeps::All).then(|| Self {
            kept: keeps == Keeps::Some,
            ..Self::of(t, value)
        })
    }

    /// Any value.
    pub(super) fn some(t: &AssignmentTarget) -> Self {
        Self {
            column: t.column.clone(),
            null: false,
            default: false,
            kept: false,
        }
    }
}

/// What is done with rows.
#[derive(Clone, Copy)]
pub(super) enum Change<'w> {
    /// New ones, with these columns.
    Insert(&'w [Written]),
    /// There already; columns that are not written keep their values, which are tested too.
    Update(&'w [Written]),
    /// Gone.
    Delete,
}

/// Where the value of a column comes from, when a row is tested.
#[derive(Clone, Copy, Default)]
struct Origin {
    /// From the role, if it knows it.
    given: bool,
    /// From the role, which knows its token only.
    decoded: bool,
    /// It is NULL, or may be.
    null: bool,
    /// From the column's default.
    default: bool,
    /// From the row that is there.
    kept: bool,
}

impl Origin {
    /// From the role or the column's default: a value, perhaps.
    fn is_set(self) -> bool {
        self.given || self.decoded || self.default
    }

    /// A value that the role does not know.
    fn is_unknown(self) -> bool {
        self.decoded || self.default || self.kept
    }

    /// NULL, in every row.
    fn is_null(self) -> bool {
        self.null && !self.is_set() && !self.kept
    }
}

/// The row that is tested.
struct Tested<'a> {
    target: &'a Target,
    change: Change<'a>,
    /// Columns to which a token of the role is written, decoded.
    decoded: Vec<AttrNumber>,
    /// Columns to which it can write nothing but NULL or the default: a parameter has to be NULL.
    irreversible: Vec<AttrNumber>,
}

impl Tested<'_> {
    fn is_stored(&self) -> bool {
        matches!(self.change, Change::Update(_))
    }

    fn origin(&self, attnum: AttrNumber) -> Origin {
        let Some(column) = self.target.relation.attribute(attnum) else {
            return Origin::default();
        };
        if column.generated.is_some() {
            // It is what its inputs are.
            let mut origin = Origin::default();
            for input in column.inputs.iter().filter(|a| **a != attnum) {
                let input = self.origin(*input);
                origin.given |= input.given;
                origin.decoded |= input.decoded;
                // Of NULL it may make a value.
                origin.default |= input.default || input.null;
                origin.kept |= input.kept;
            }
            return origin;
        }
        let (written, stored) = match self.change {
            Change::Insert(written) => (written, false),
            Change::Update(written) => (written, true),
            Change::Delete => return Origin::default(),
        };
        let default = column.has_default;
        match written.iter().find(|w| w.column == column.name) {
            Some(w) => {
                let null = w.null || self.irreversible.contains(&attnum);
                let decoded = !null && self.decoded.contains(&attnum);
                Origin {
                    given: !null && !decoded,
                    decoded,
                    null,
                    default: w.default && default,
                    kept: w.kept,
                }
            }
            None => Origin {
                null: !stored && !default,
                default: !stored && default,
                kept: stored,
                ..Origin::default()
            },
        }
    }

    /// The columns among those hidden from the role of which the change's success tells.
    fn told(&self, constraint: &Constraint, hidden: &[AttrNumber]) -> Vec<AttrNumber> {
        let deletes = matches!(self.change, Change::Delete);
        match constraint.kind {
            ConstraintKind::Remote => hidden.to_vec(),
            ConstraintKind::CascadedDelete if !deletes => Vec::new(),
            ConstraintKind::Referenced | ConstraintKind::CascadedUpdate
                if !deletes && !self.is_stored() =>
            {
                Vec::new()
            }
            ConstraintKind::CascadedDelete | ConstraintKind::Referenced if deletes => {
                hidden.to_vec()
            }
            _ if deletes => Vec::new(),
            kind if kind.combines() && constraint.others.is_empty() => {
                self.combined(constraint, hidden)
            }
            _ if constraint.unmet && self.is_stored() => hidden.to_vec(),
            _ if self.touches(constraint, hidden) => hidden.to_vec(),
            _ if self.is_stored() => Vec::new(),
            _ => self.defaults(constraint, hidden),
        }
    }

    /// Does the role write what the constraint tests?
    fn touches(&self, constraint: &Constraint, hidden: &[AttrNumber]) -> bool {
        let (Change::Insert(written) | Change::Update(written)) = self.change else {
            return false;
        };
        let relation = &self.target.relation;
        // One of these is generated of it, whatever NULL becomes.
        let makes = |a: AttrNumber, these: &[AttrNumber]| {
            let mut made = these.iter().filter_map(|made| relation.attribute(*made));
            made.any(|c| c.generated.is_some() && (c.inputs.contains(&a) || c.inputs.contains(&0)))
        };
        let attnums = written.iter().filter_map(|w| relation.column(&w.column));
        attnums.map(|c| c.attnum).any(|a| {
            let origin = self.origin(a);
            constraint.columns.contains(&a)
                && if self.is_stored() {
                    origin.is_set() || constraint.nulls || makes(a, &constraint.columns)
                } else {
                    (origin.given || origin.decoded) && (hidden.contains(&a) || makes(a, hidden))
                }
        })
    }

    /// Those of a new row that the role leaves to their defaults beside columns it does not: these are
    /// tested as if they were written. So is NULL where it is looked at as any other value, by what is
    /// compared with other rows.
    fn defaults(&self, constraint: &Constraint, hidden: &[AttrNumber]) -> Vec<AttrNumber> {
        let strict = &constraint.strict;
        if strict.iter().any(|a| self.origin(*a).is_null()) {
            return Vec::new();
        }
        let compares = matches!(
            constraint.kind,
            ConstraintKind::Unique | ConstraintKind::Exclude
        );
        let open = |attnum: AttrNumber| {
            let origin = self.origin(attnum);
            let null = compares && constraint.nulls && !strict.contains(&attnum);
            origin.default || null && origin.null
        };
        let beside = |attnum: AttrNumber| {
            let mut others = constraint.columns.iter().filter(|a| **a != attnum);
            others.any(|a| self.origin(*a).is_set() || open(*a))
        };
        let told = hidden.iter().copied();
        told.filter(|a| open(*a) && beside(*a)).collect()
    }

    /// Those whose values the role does not know, and which are computed with what it writes.
    fn combined(&self, constraint: &Constraint, hidden: &[AttrNumber]) -> Vec<AttrNumber> {
        let (Change::Insert(written) | Change::Update(written)) = self.change else {
            return Vec::new();
        };
        let relation = &self.target.relation;
        let steered: Vec<AttrNumber> = written
            .iter()
            .filter_map(|w| relation.column(&w.column))
            .map(|c| c.attnum)
            .filter(|a| constraint.steers.contains(a))
            .filter(|a| constraint.nulls || self.origin(*a).is_set())
            .collect();
        let told = hidden.iter().copied();
        told.filter(|a| self.origin(*a).is_unknown() && steered.iter().any(|s| s != a))
            .collect()
    }
}

impl Analyzer<'_> {
    /// Refuses a write whose success would tell of values the role does not see, unless the policy
    /// lets it probe them.
    pub(super) fn probes(&mut self, target: &Target, change: Change<'_>) -> Resolve<()> {
        let relation = &target.relation;
        if relation.temporary {
            return Ok(());
        }
        let (mut decoded, mut irreversible) = (Vec::new(), Vec::new());
        if let Change::Insert(written) | Change::Update(written) = change {
            for w in written {
                let Some(c) = relation.column(&w.column) else {
                    continue;
                };
                if self.takes_tokens(target, &w.column)? {
                    decoded.push(c.attnum);
                } else if self.is_coded(target, &w.column)? {
                    irreversible.push(c.attnum);
                }
            }
        }
        let tested = Tested {
            target,
            change,
            decoded,
            irreversible,
        };
        for constraint in self.grounds.catalog.constraints(relation) {
            let hidden = self.hidden_of(relation, &constraint)?;
            for attnum in tested.told(&constraint, &hidden) {
                let Some(column) = relation.attribute(attnum) else {
                    continue;
                };
                let hidden = !column_form(relation, attnum, self.grounds)?.shows_values();
                if !target.grant.may_probe(&column.name, hidden) {
                    return Err(refused(&tested, &column.name, constraint.kind));
                }
                if let Some(id) = target.item.relation {
                    self.lineage.probed.insert((id, attnum));
                }
            }
        }
        if let Change::Update(written) = change {
            self.no_lock_awaited(target, written)?;
        }
        Ok(())
    }

    /// The columns of a constraint that the role does not see clearly, on either side.
    fn hidden_of(
        &self,
        relation: &Arc<Relation>,
        constraint: &Constraint,
    ) -> Resolve<Vec<AttrNumber>> {
        let hides = |relation: &Arc<Relation>, attnum| -> Resolve<bool> {
            let form = column_form(relation, attnum, self.grounds)?;
            // A token of this kind is as long as its value, and some.
            if let ColumnForm::Rule(rule) = &form
                && let Treatment::Token(token) = &rule.treatment
                && constraint.by_length
                && token.kind() == TokenKind::Siv
            {
                return Ok(false);
            }
            Ok(!form.shows_values())
        };
        let mut hidden = Vec::new();
        for attnum in &constraint.columns {
            if !hidden.contains(attnum) && hides(relation, *attnum)? {
                hidden.push(*attnum);
            }
        }
        for (attnum, other) in &constraint.others {
            let unseen = match self.grounds.catalog.relation_by_oid(other.relation) {
                Some(relation) => hides(relation, other.attnum)?,
                None => true,
            };
            if unseen && !hidden.contains(attnum) {
                hidden.push(*attnum);
            }
        }
        Ok(hidden)
    }
}

fn refused(tested: &Tested<'_>, column: &Ident, kind: ConstraintKind) -> Refusal {
    let relation = &tested.target.relation;
    let verb = match tested.change {
        Change::Insert(_) | Change::Update(_) => "write",
        Change::Delete => "delete",
    };
    let tests = if kind.combines() {
        "combines with"
    } else {
        "tests against"
    };
    let hint = if kind.combines() {
        "Leave out what is combined with it; or the policy's"
    } else {
        match tested.change {
            Change::Update(_) => "Leave the column out; or the policy's",
            Change::Insert(w) if w.iter().any(|w| w.column == *column && !w.null) => {
                "Leave the column out; or the policy's"
            }
            // Left out, it has its default, which no other value the role may write replaces.
            Change::Insert(_) | Change::Delete => "The policy's",
        }
    };
    Refusal::denied(format!(
        "permission denied to {verb} what {} {tests} column {column} of {}",
        kind.words(),
        relation.name
    ))
    .detail("Whether the write succeeds would tell of stored values the role does not see.")
    .hint(format!(
        "{hint} write section may allow it: probe({column})."
    ))
}
