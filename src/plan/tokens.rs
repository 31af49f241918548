//! Reversible tokens on stored values: what may be compared with them, and which constants of a statement
//! are tokens.
//!
//! A list of constants that meets a token column (in an equality, or in one output) is a list of
//! tokens of its domain. Its members are decoded, so that PostgreSQL compares plaintext with plaintext
//! and an index serves; one that is no token becomes a value that no row has. A list that meets
//! anything else as well stays what it is, and then the column's tokens are looked up (`tabulated`), or
//! the comparison is refused.
//!
//! Deliberately absent: what is printed in the constants' place (`decoded`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::decide::{Decisions, Place};
use super::subject::Subject;
use super::tabulated::Obstacle;
use crate::analyze::lineage::{Lineage, List, Member, Source, Uses, Value};
use crate::analyze::{ColumnForm, Grounds, column_form};
use crate::catalog::Column;
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::mask::token::{NotDecoded, TokenType};
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::policy::{Rule, Treatment};
use crate::sql::tree::ListId;

/// A list whose members are tokens.
pub(super) struct TokenList {
    rule: Arc<Rule>,
    pub(super) token: Arc<TokenColumn>,
    /// Only tokens will do: the value is shown or stored.
    pub(super) exact: bool,
    /// Nothing beside a member settles its type.
    pub(super) placed: bool,
    /// The columns they meet.
    columns: Arc<[Source]>,
}

/// Lists that meet, and what they meet.
#[derive(Default)]
struct Group {
    /// The column that makes them tokens, its rule and type.
    first: Option<Met>,
    /// They meet something that is not of that column's domain and type.
    mixed: bool,
    uses: Uses,
    exact: bool,
    /// The columns of tokens among what they meet.
    columns: Vec<Source>,
}

struct Met {
    table: Ident,
    column: Ident,
    type_oid: Oid,
    rule: Arc<Rule>,
}

impl Group {
    fn meets(&mut self, table: &Ident, column: &Column, rule: &Arc<Rule>) {
        match &self.first {
            Some(first) => {
                self.mixed |=
                    !alike(&first.rule, rule) || !same_type(first.type_oid, column.type_oid);
            }
            None => {
                self.first = Some(Met {
                    table: table.clone(),
                    column: column.name.clone(),
                    type_oid: column.type_oid,
                    rule: Arc::clone(rule),
                });
            }
        }
    }
}

impl Decisions {
    /// Finds the lists of tokens.
    pub(super) fn bind_lists(
        &mut self,
        lineage: &Lineage,
        grounds: Grounds<'_>,
    ) -> Result<(), Obstacle> {
        let roots = roots(lineage);
        let mut groups: BTreeMap<ListId, Group> = BTreeMap::new();
        for (sources, foreign) in meetings(lineage) {
            let Some(root) = lists(&sources).next().and_then(|id| find(&roots, id)) else {
                continue;
            };
            let group = groups.entry(root).or_default();
            group.mixed |= foreign;
            for s in &sources {
                let Some((relation, column)) = lineage.column(*s) else {
                    group.mixed |= matches!(s, Source::Column { .. });
                    continue;
                };
                match self.stored_token(*s) {
                    Some(rule) => {
                        group.meets(&relation.name, column, rule);
                        group.columns.push(*s);
                    }
                    None => group.mixed = true,
                }
            }
        }
        for (id, list) in all_lists(lineage) {
            let Some(root) = find(&roots, id) else {
                continue;
            };
            let group = groups.entry(root).or_default();
            // What has nothing but NULLs may be used for anything.
            if !list.members.is_empty() {
                group.uses = group.uses.with(list.uses);
                group.exact |= list.uses.has(Uses::IDENTITY) || !list.stored.is_empty();
            }
            for (relation, attnum) in &list.stored {
                if let ColumnForm::Rule(rule) = column_form(relation, *attnum, grounds)?
                    && let Some(column) = relation.attribute(*attnum)
                {
                    group.meets(&relation.name, column, &rule);
                }
            }
        }
        let shown = Uses::IDENTITY.with(Uses::PRESENCE).with(Uses::EQUALITY);
        for (id, list) in all_lists(lineage) {
            let Some(group) = find(&roots, id).and_then(|root| groups.get(&root)) else {
                continue;
            };
            let Some(met) = &group.first else { continue };
            let Treatment::Token(token) = &met.rule.treatment else {
                continue;
            };
            let in_the_way = |refusal| Err(Obstacle::of(refusal, group.columns.clone()));
            if !group.uses.within(shown) {
                return in_the_way(met.subject().token_use(group.uses));
            }
            // What is written to a column is a value there; compared with it, it would be one too.
            let compared = group.uses != Uses::NONE && !token.is_reversible();
            let numbers = token.token_type() != TokenType::Integer
                && (list.members.iter()).any(|m| matches!(m.value, Value::Number { .. }));
            // What is cut somewhere else than in a column of that length is no token any more.
            let cut = list.members.iter().any(|m| m.length.is_some()) && !list.is_only_stored();
            if group.mixed || compared || numbers || cut {
                return in_the_way(met.subject().token_compared());
            }
            self.lists.insert(
                id,
                TokenList {
                    rule: Arc::clone(&met.rule),
                    token: Arc::clone(token),
                    exact: group.exact,
                    placed: list.placed,
                    columns: group.columns.as_slice().into(),
                },
            );
        }
        self.verify_shown(lineage)
    }

    /// Columns beside which a parameter is shown: of those that drivers bind there, few are tokens. What
    /// is compared as well is an uploaded list, which an index serves.
    pub(super) fn unsure(&self, lineage: &Lineage) -> Option<Obstacle> {
        let shown = |(id, list): &(&ListId, &TokenList)| {
            let written = lineage.list(**id);
            let written = written.filter(|l| l.stored.is_empty() && !l.uses.has(Uses::EQUALITY));
            let param = |m: &Member| matches!(m.value, Value::Param(_));
            list.exact && written.is_some_and(|l| l.members.iter().any(param))
        };
        let (_, list) = self.lists.iter().find(shown)?;
        let refusal = super::subject::not_decoded(NotDecoded::NoToken, &list.token);
        Some(Obstacle::of(refusal, list.columns.to_vec()))
    }

    /// What is shown among tokens has to be one.
    fn verify_shown(&self, lineage: &Lineage) -> Result<(), Obstacle> {
        for (id, list) in self.lists.iter().filter(|(_, list)| list.exact) {
            let Some(written) = lineage.list(*id) else {
                continue;
            };
            for member in &written.members {
                list.constant(written, member)
                    .map_err(|refusal| Obstacle::of(refusal, list.columns.to_vec()))?;
            }
        }
        Ok(())
    }

    /// Stored values may be compared only between columns this role sees tokenized in one domain:
    /// joining a tokenized column with a clear one of the same data would undo the tokens.
    pub(super) fn verify_equalities(&self, lineage: &Lineage) -> Result<(), Obstacle> {
        for e in &lineage.equalities {
            if e.held.is_some_and(|id| self.held.contains_key(&id)) {
                continue;
            }
            for (mine, other) in [(&e.left, &e.right), (&e.right, &e.left)] {
                // The constants may be several texts each, the values of a column are one.
                let searched = lineage.is_searched(other);
                for s in mine {
                    let Some(rule) = self.stored_token(*s) else {
                        continue;
                    };
                    let Some((relation, column)) = lineage.column(*s) else {
                        continue;
                    };
                    let partner = |o: &Source| match o {
                        Source::List(id) => self
                            .lists
                            .get(id)
                            .is_some_and(|list| alike(&list.rule, rule)),
                        Source::Column { .. } => {
                            self.stored_token(*o).is_some_and(|r| alike(r, rule))
                                && lineage
                                    .column(*o)
                                    .is_some_and(|(_, c)| same_type(c.type_oid, column.type_oid))
                        }
                    };
                    let several =
                        matches!(&rule.treatment, Treatment::Token(token) if token.texts() > 1);
                    let refused = other.is_empty() || several && !searched;
                    if refused || !other.iter().all(partner) {
                        let subject = Subject {
                            table: &relation.name,
                            column: &column.name,
                            rule,
                        };
                        let mut columns = other.iter().filter_map(|o| lineage.column(*o));
                        let temporary = columns.find(|(relation, _)| relation.temporary);
                        let refusal = match temporary {
                            Some((relation, _)) => subject.token_in_temporary(&relation.name),
                            None => subject.token_compared(),
                        };
                        return Err(Obstacle::of(refusal, vec![*s]));
                    }
                }
            }
        }
        Ok(())
    }

    /// The rule of a column whose stored values stand for reversible tokens.
    pub(super) fn stored_token(&self, s: Source) -> Option<&Arc<Rule>> {
        let d = self.columns.get(&s)?;
        match &d.form {
            ColumnForm::Rule(rule)
                if d.place == Place::Output && matches!(rule.treatment, Treatment::Token(_)) =>
            {
                Some(rule)
            }
            _ => None,
        }
    }

    /// Does a list of tokens stand where rows come from it? What is only stored is compared nowhere.
    pub(super) fn lists_rows(&self, lineage: &Lineage) -> bool {
        let mut lists = self.lists.keys().filter_map(|id| lineage.list(*id));
        lists.any(|list| list.placed && !list.is_only_stored())
    }

    /// The rule of a list of tokens.
    pub(super) fn token_list(&self, s: Source) -> Option<&Rule> {
        match s {
            Source::List(id) => self.lists.get(&id).map(|list| list.rule.as_ref()),
            Source::Column { .. } => None,
        }
    }
}

impl Met {
    fn subject(&self) -> Subject<'_> {
        Subject {
            table: &self.table,
            column: &self.column,
            rule: &self.rule,
        }
    }
}

/// Sources whose values come together, and whether something unknown is among them.
fn meetings(lineage: &Lineage) -> impl Iterator<Item = (Vec<Source>, bool)> {
    let compared = lineage.equalities.iter().map(|e| {
        let both = e.left.iter().chain(&e.right).copied().collect();
        (both, e.left.is_empty() || e.right.is_empty())
    });
    let shown = lineage.outputs.iter().map(|o| (o.sources.clone(), false));
    compared.chain(shown)
}

fn lists(sources: &[Source]) -> impl Iterator<Item = ListId> {
    sources.iter().filter_map(|s| match s {
        Source::List(id) => Some(*id),
        Source::Column { .. } => None,
    })
}

fn all_lists(lineage: &Lineage) -> impl Iterator<Item = (ListId, &List)> {
    (0_u32..).map(ListId).zip(&lineage.lists)
}

/// For each list, one that stands for all it meets.
fn roots(lineage: &Lineage) -> HashMap<ListId, ListId> {
    let mut roots = HashMap::new();
    for (sources, _) in meetings(lineage) {
        let mut met = lists(&sources).filter_map(|id| find(&roots, id));
        let Some(first) = met.next() else { continue };
        let others: Vec<ListId> = met.filter(|id| *id != first).collect();
        roots.extend(others.into_iter().map(|id| (id, first)));
    }
    roots
}

/// Follows a list to the one that stands for it. Each step leads to another list, and none leads back.
fn find(roots: &HashMap<ListId, ListId>, mut id: ListId) -> Option<ListId> {
    for _ in 0..=roots.len() {
        match roots.get(&id) {
            Some(next) => id = *next,
            None => return Some(id),
        }
    }
    None
}

/// Are equal tokens of both equal stored values? A list of values for a column whose stored ones cannot be
/// compared is alike with it too.
pub(super) fn alike(a: &Rule, b: &Rule) -> bool {
    match (&a.treatment, &b.treatment) {
        (Treatment::Token(a), Treatment::Token(b)) => a.shows_like(b),
        _ => false,
    }
}

/// Do equal values of both types have equal bytes?
pub(super) fn same_type(x: Oid, y: Oid) -> bool {
    let textual = |t: Oid| matches!(t, oid::TEXT | oid::VARCHAR);
    x == y || textual(x) && textual(y)
}
