//! What PostgreSQL leaves on a row when it tests a foreign key that refers to it: a lock, and the number of the
//! transaction that took it, in `xmax`. Where the role does not see the foreign key, or what it refers to, they
//! would tell its value.

use std::sync::Arc;

use super::dml::Target;
use super::generated::{ColumnForm, column_form};
use super::probe::Written;
use super::view::DEPTH;
use super::{Analyzer, Grounds, Resolve, is_system};
use crate::catalog::{ForeignKey, Index, Relation, RelationKind};
use crate::ident::Ident;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::Position;

impl Analyzer<'_> {
    /// Does a foreign key refer to its rows, or to those of the tables below a view, that the role does not see as
    /// it sees them?
    fn is_tied(&self, relation: &Arc<Relation>) -> Resolve<bool> {
        here_or_below(relation, self.grounds, &is_referred_to)
    }

    fn ties(&self, relation: &Arc<Relation>, key: &ForeignKey) -> Resolve<bool> {
        let Some(referring) = self.grounds.catalog.relation_by_oid(key.other) else {
            return Ok(true);
        };
        let token = |form: &ColumnForm| match form {
            ColumnForm::Rule(rule) => match rule.treatment {
                Treatment::Token(_) => Some(Arc::clone(&rule.name)),
                _ => None,
            },
            _ => None,
        };
        for (mine, theirs) in key.columns.iter().zip(&key.other_columns) {
            let theirs = column_form(referring, *theirs, self.grounds)?;
            let mine = column_form(relation, *mine, self.grounds)?;
            if theirs.shows_values() && mine.shows_values() {
                continue;
            }
            // Tokens of one domain tell what belongs together by themselves.
            if token(&theirs).is_none() || token(&theirs) != token(&mine) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses an update that waits for such a lock, unless the policy lets the role probe what is referred to: it
    /// does if it changes a column of any unique index. What ON CONFLICT updates is locked so if one is generated.
    pub(super) fn no_lock_awaited(&mut self, target: &Target, written: &[Written]) -> Resolve<()> {
        let mut probed = Vec::new();
        for own in self.family(&target.relation) {
            if !changes_key(own, written) {
                continue;
            }
            for key in &own.referenced_by {
                if !self.ties(own, key)? {
                    continue;
                }
                for column in key.columns.iter().filter_map(|a| own.attribute(*a)) {
                    let hidden = !column_form(own, column.attnum, self.grounds)?.shows_values();
                    if !target.grant.may_probe(&column.name, hidden) {
                        return Err(awaits(own, &column.name));
                    }
                    probed.extend(target.relation.column(&column.name).map(|c| c.attnum));
                }
            }
        }
        if let Some(id) = target.item.relation {
            let probed = probed.into_iter().map(|attnum| (id, attnum));
            self.lineage.probed.extend(probed);
        }
        Ok(())
    }

    /// Refuses a system column of which the foreign key's test leaves something.
    pub(super) fn no_lock_told(
        &self,
        relation: &Arc<Relation>,
        column: &Ident,
        position: Position,
    ) -> Resolve<()> {
        if !self.is_tied(relation)? {
            return Ok(());
        }
        Err(Refusal::denied(format!(
            "permission denied for {column} of {}",
            relation.name
        ))
        .detail("It would tell which rows a foreign key refers to that the role does not see.")
        .hint("xmin is the version of a row.")
        .at(position))
    }

    /// The same of the rows that a statement locks: another session sees which of them are locked already.
    pub(super) fn no_lock_seen(&self) -> Resolve<()> {
        for used in &self.lineage.relations {
            if self.is_tied(&used.relation)? {
                return Err(Refusal::denied(format!(
                    "cannot lock rows of {} by SELECT",
                    used.relation.name
                ))
                .detail(
                    "Which of them are locked already would tell which rows a foreign key refers to that \
                     the role does not see.",
                )
                .hint("Leave out FOR UPDATE and its kin."));
            }
        }
        Ok(())
    }
}

/// Is there a protected column in the relation, in one that a view of it reads, or in one that refers to it? How
/// PostgreSQL goes through such a relation, and what it leaves on its rows, tells of values.
pub fn is_beside_protected(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<bool> {
    here_or_below(relation, grounds, &|relation, grounds| {
        if is_system(relation) {
            return Ok(false);
        }
        for column in &relation.columns {
            let form = column_form(relation, column.attnum, grounds)?;
            if !matches!(form, ColumnForm::Clear) {
                return Ok(true);
            }
        }
        is_referred_to(relation, grounds)
    })
}

/// Is a column written that a unique index holds (`INDEX_ATTR_BITMAP_KEY`)?
fn changes_key(relation: &Relation, written: &[Written]) -> bool {
    let is_key =
        |index: &&Index| index.unique && index.computed.is_empty() && index.predicate.is_empty();
    let keys = relation.indexes.iter().filter(is_key);
    let mut columns = keys
        .flat_map(|index| index.columns.iter().take(index.keys))
        .filter_map(|attnum| relation.attribute(*attnum));
    columns.any(|c| c.generated.is_some() || written.iter().any(|w| w.column == c.name))
}

fn awaits(relation: &Relation, column: &Ident) -> Refusal {
    Refusal::denied(format!(
        "permission denied to write what a unique index of {} holds",
        relation.name
    ))
    .detail(
        "Whether the write waits for another session would tell which rows a foreign key refers to that the role \
         does not see.",
    )
    .hint(format!(
        "Leave the column out; or the policy's write section may allow it: probe({column})."
    ))
}

fn is_referred_to(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<bool> {
    let analyzer = Analyzer::new(grounds);
    for own in analyzer.family(relation) {
        for key in &own.referenced_by {
            if analyzer.ties(own, key)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

type Asked<'a> = &'a dyn Fn(&Arc<Relation>, Grounds<'_>) -> Resolve<bool>;

/// Is it so of the relation or, where it is a view, of one that it reads? Of one that is too deep it may be.
pub(super) fn here_or_below(
    relation: &Arc<Relation>,
    grounds: Grounds<'_>,
    is: Asked<'_>,
) -> Resolve<bool> {
    if is(relation, grounds)? {
        return Ok(true);
    }
    if relation.kind != RelationKind::View || is_system(relation) {
        return Ok(false);
    }
    let deeper = Grounds {
        views: grounds.views.saturating_add(1),
        ..grounds
    };
    if deeper.views > DEPTH {
        return Ok(true);
    }
    for used in super::exposed::below(relation, deeper)? {
        if here_or_below(&used.relation, deeper, is)? {
            return Ok(true);
        }
    }
    Ok(false)
}
