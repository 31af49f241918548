//! Comparisons of a temporary table's values with a column of tokens: which of them may be looked up in
//! what was read (`uploads`), and where that stands in the statement.
//!
//! Only what comes unchanged from columns of temporary tables may, beside columns of one domain: a map of
//! all their values then has every value that can turn up. Deliberately absent: irreversible tokens, of
//! which the map would have to hold values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Decisions;
use super::narrowed::Narrowed;
use super::param::Parameters;
use super::subject::Subject;
use super::tabulated::Obstacle;
use super::tokens::{alike, same_type};
use super::uploads::{Entry, Fault, Given, Upload, Uploads, not_read};
use crate::analyze::lineage::{Held, Lineage, Source};
use crate::catalog::Column;
use crate::ident::Ident;
use crate::limits;
use crate::mask::TokenColumn;
use crate::mask::token::TokenType;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::policy::{Rule, Treatment};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, quote};
use crate::sql::tree::HeldId;

/// A value of temporary tables that is compared with tokens.
pub(super) struct HeldToken {
    rule: Arc<Rule>,
    type_oid: Oid,
    upload: Upload,
}

impl Decisions {
    /// Finds what temporary tables hold that is compared with tokens.
    pub(super) fn bind_held(&mut self, lineage: &Lineage) -> Result<(), Obstacle> {
        for (id, held) in (0_u32..).map(HeldId).zip(&lineage.held) {
            let token = self.held_token(held, lineage);
            let token = token.map_err(|refusal| Obstacle::of(refusal, held.beside.clone()))?;
            if let Some(token) = token {
                self.held.insert(id, token);
            }
        }
        Ok(())
    }

    /// `None` where it is compared with more than columns of one domain.
    fn held_token(&self, held: &Held, lineage: &Lineage) -> Result<Option<HeldToken>, Refusal> {
        let mut found: Option<(Subject<'_>, &Arc<Rule>, &Column)> = None;
        for s in &held.beside {
            let (Some(rule), Some((relation, column))) =
                (self.stored_token(*s), lineage.column(*s))
            else {
                return Ok(None);
            };
            let same = |(_, first, c): &(Subject<'_>, &Arc<Rule>, &Column)| {
                alike(first, rule)
                    && same_type(c.type_oid, column.type_oid)
                    && c.collation == column.collation
            };
            match &found {
                Some(first) if !same(first) => return Ok(None),
                Some(_) => {}
                None => {
                    let subject = Subject {
                        table: &relation.name,
                        column: &column.name,
                        rule,
                    };
                    found = Some((subject, rule, column));
                }
            }
        }
        let Some((subject, rule, column)) = found else {
            return Ok(None);
        };
        let Treatment::Token(token) = &rule.treatment else {
            return Ok(None);
        };
        // What is given for an irreversible token is taken for a value, and tells whether that is stored.
        if !token.is_reversible() || !token.compares() || token.texts() != 1 {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(held.sources.len());
        for s in &held.sources {
            let (Source::Column { relation, attnum }, Some((table, held))) =
                (*s, lineage.column(*s))
            else {
                return Ok(None);
            };
            if !may_hold(token, held) {
                return Err(subject.token_in_column(&table.name, &held.name, token));
            }
            let used = lineage.relation(relation);
            if used.is_none_or(|r| r.inserted || r.assigned.contains(&attnum)) {
                return Err(subject.token_in_written(&table.name));
            }
            columns.push((Arc::clone(table), attnum));
        }
        let collation = column.collation.clone();
        let upload = Upload::new(
            Arc::clone(token),
            Entry::Plain(Some(collation.unwrap_or_else(default_collation))),
            columns,
        );
        Ok(Some(HeldToken {
            rule: Arc::clone(rule),
            type_oid: column.type_oid,
            upload,
        }))
    }

    /// What has to be read of temporary tables, and which of it each held value is looked up in.
    fn held_uploads(&self) -> (Vec<Upload>, Vec<(HeldId, usize)>) {
        let mut found: Vec<(&HeldToken, Upload)> = Vec::new();
        let mut places = Vec::with_capacity(self.held.len());
        for (id, held) in &self.held {
            let same = |(other, upload): &(&HeldToken, Upload)| {
                alike(&other.rule, &held.rule)
                    && other.type_oid == held.type_oid
                    && upload.collation() == held.upload.collation()
            };
            let place = found.iter().position(same).unwrap_or(found.len());
            places.push((*id, place));
            match found.get_mut(place) {
                Some((_, upload)) => upload.add(&held.upload),
                None => found.push((held, held.upload.clone())),
            }
        }
        let list = found.into_iter().map(|(_, upload)| upload).collect();
        (list, places)
    }
}

/// A statement's uploads in its rewrite.
#[derive(Default)]
pub(super) struct Placed {
    /// What its parameters became.
    pub(super) parameters: Option<Arc<Parameters>>,
    /// What has to be read and bound; `None` once it is written.
    pub(super) uploads: Option<Arc<Uploads>>,
    /// The maps as they would be bound, if they are written.
    pub(super) unwritten: Option<Vec<String>>,
    /// The map in which the tokens of a column are looked up.
    pub(super) tabulated: BTreeMap<Source, usize>,
    /// Of which rows of a reference they are.
    pub(super) narrowed: Narrowed,
}

/// Writes tokens into a statement, constants and uploads.
pub(super) fn place(
    decisions: &Decisions,
    lineage: &Lineage,
    narrowed: Narrowed,
    given: Given<'_>,
    rewrite: &mut Rewrite,
) -> Result<Placed, Refusal> {
    let (mut list, held) = decisions.held_uploads();
    let (columns, references) = decisions.tabulated(lineage, &narrowed);
    let first = list.len();
    list.extend(columns);
    if list.is_empty() {
        let numbered = decisions.decode(lineage, rewrite, 0)?;
        return Ok(Placed {
            parameters: numbered.map(|n| Arc::new(n.parameters)),
            ..Placed::default()
        });
    }
    let count = list.len();
    let uploads = Uploads::of(list)?;
    let references = references.into_iter();
    let tabulated = references
        .map(|(source, place)| (source, first.saturating_add(place)))
        .collect();
    let form = |(id, place): &(HeldId, usize), wide: Option<&[bool]>| {
        let upload = uploads.list.get(*place)?;
        let wide = wide.map_or(Some(true), |wide| wide.get(*place).copied())?;
        Some((*id, upload.form(*place, wide)))
    };
    if let Given::Written(Some(uploaded)) = given
        && uploaded.is_of(&uploads)
    {
        let made = uploads.made(uploaded)?;
        let wide: Vec<bool> = made.iter().map(|made| made.wide).collect();
        // What the client has put there is bounded: how long the text gets tells of what it stands for.
        let each = held.iter().map(|(_, place)| uploaded.bytes_of(*place));
        if each.sum::<usize>() > limits::UPLOADED_TEXT_BYTES {
            return Err(Fault::Many.refusal());
        }
        let forms = held.iter().map(|held| form(held, Some(&wide)));
        rewrite.held = forms.collect::<Option<_>>().ok_or_else(not_read)?;
        for made in &made {
            let map = quote(&made.map)?;
            (rewrite.maps).push(format!("CAST({map} AS \"pg_catalog\".\"jsonb\")"));
        }
        let numbered = decisions.decode(lineage, rewrite, 0)?;
        let unwritten = Parameters::number(lineage, Vec::new(), count)?;
        return Ok(Placed {
            parameters: numbered.map(|n| Arc::new(n.parameters)),
            uploads: None,
            unwritten: Some(bound(&unwritten.uploads)),
            tabulated,
            narrowed,
        });
    }
    let numbered = decisions
        .decode(lineage, rewrite, count)?
        .ok_or_else(not_read)?;
    let forms = held.iter().map(|held| form(held, None));
    rewrite.held = forms.collect::<Option<_>>().ok_or_else(not_read)?;
    rewrite.maps = bound(&numbered.uploads);
    Ok(Placed {
        parameters: Some(Arc::new(numbered.parameters)),
        uploads: Some(Arc::new(uploads)),
        unwritten: None,
        tabulated,
        narrowed,
    })
}

fn bound(numbers: &[u16]) -> Vec<String> {
    numbers.iter().map(|n| format!("${n}")).collect()
}

/// Is it of a type PostgreSQL would compare with the tokens, as what it says?
fn may_hold(token: &TokenColumn, column: &Column) -> bool {
    match token.token_type() {
        TokenType::Text => matches!(column.type_oid, oid::TEXT | oid::VARCHAR),
        TokenType::Uuid => column.type_oid == oid::UUID,
        TokenType::Integer => matches!(column.type_oid, oid::INT2 | oid::INT4 | oid::INT8),
    }
}

fn default_collation() -> (Ident, Ident) {
    (Ident::exact("pg_catalog"), Ident::exact("default"))
}
