//! Comparisons of a temporary table's values with a column of tokens: which of them may be looked up in
//! what was read (`uploads`), and where that stands in the statement.
//!
//! Only what comes unchanged from columns of temporary tables may, beside columns of one domain: a map of
//! all their values then has every value that can turn up. Deliberately absent: irreversible tokens, of
//! which the map would have to hold values.

use std::collections::HashMap;
use std::sync::Arc;

use super::decide::Decisions;
use super::param::Parameters;
use super::subject::Subject;
use super::tokens::{alike, same_type};
use super::uploads::{Fault, Given, Upload, Uploads, not_read};
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
use crate::sql::print::{HeldForm, Rewrite, quote};
use crate::sql::tree::HeldId;

/// A value of temporary tables that is compared with tokens.
pub(super) struct HeldToken {
    rule: Arc<Rule>,
    type_oid: Oid,
    upload: Upload,
}

impl Decisions {
    /// Finds what temporary tables hold that is compared with tokens.
    pub(super) fn bind_held(&mut self, lineage: &Lineage) -> Result<(), Refusal> {
        for (id, held) in (0_u32..).map(HeldId).zip(&lineage.held) {
            if let Some(token) = self.held_token(held, lineage)? {
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
        let upload = Upload {
            token: Arc::clone(token),
            collation: Some(collation.unwrap_or_else(default_collation)),
            columns,
        };
        Ok(Some(HeldToken {
            rule: Arc::clone(rule),
            type_oid: column.type_oid,
            upload,
        }))
    }

    /// What has to be read, and which of it each held value is looked up in.
    pub(super) fn uploads(&self) -> Option<(Uploads, Vec<(HeldId, usize)>)> {
        let mut found: Vec<(&HeldToken, Upload)> = Vec::new();
        let mut places = Vec::with_capacity(self.held.len());
        for (id, held) in &self.held {
            let same = |(other, upload): &(&HeldToken, Upload)| {
                alike(&other.rule, &held.rule)
                    && other.type_oid == held.type_oid
                    && upload.collation == held.upload.collation
            };
            let place = found.iter().position(same).unwrap_or(found.len());
            places.push((*id, place));
            match found.get_mut(place) {
                Some((_, upload)) => held.upload.columns.iter().for_each(|c| upload.add(c)),
                None => found.push((held, held.upload.clone())),
            }
        }
        let list: Vec<Upload> = found.into_iter().map(|(_, upload)| upload).collect();
        (!list.is_empty()).then(|| (Uploads::of(list), places))
    }
}

/// A statement's uploads in its rewrite.
#[derive(Default)]
pub(super) struct Placed {
    /// What its parameters became.
    pub(super) parameters: Option<Arc<Parameters>>,
    /// What has to be read and bound; `None` once it is written.
    pub(super) uploads: Option<Arc<Uploads>>,
    /// How it would be bound, if it is written.
    pub(super) unwritten: Option<HashMap<HeldId, HeldForm>>,
}

/// Writes tokens into a statement, constants and uploads.
pub(super) fn place(
    decisions: &Decisions,
    lineage: &Lineage,
    given: Given<'_>,
    rewrite: &mut Rewrite,
) -> Result<Placed, Refusal> {
    let Some((uploads, places)) = decisions.uploads() else {
        let numbered = decisions.decode(lineage, rewrite, 0)?;
        return Ok(Placed {
            parameters: numbered.map(|n| Arc::new(n.parameters)),
            ..Placed::default()
        });
    };
    let bound = |numbers: &[u16]| {
        let form = |(id, place): &(HeldId, usize)| {
            let (upload, n) = uploads.list.get(*place).zip(numbers.get(*place))?;
            Some((*id, upload.form(format!("${n}"), true)))
        };
        let forms: Option<HashMap<HeldId, HeldForm>> = places.iter().map(form).collect();
        forms.ok_or_else(not_read)
    };
    let count = uploads.list.len();
    if let Given::Written(Some(uploaded)) = given
        && uploaded.is_of(&uploads)
    {
        let maps = uploads.decoded(uploaded)?;
        let bytes = places.iter().filter_map(|(_, place)| maps.get(*place));
        let bytes: usize = bytes.map(|(map, _)| map.len()).sum();
        if bytes > limits::UPLOADED_TEXT_BYTES {
            return Err(Fault::Many.refusal());
        }
        for (id, place) in &places {
            let (upload, (map, wide)) =
                (uploads.list.get(*place).zip(maps.get(*place))).ok_or_else(not_read)?;
            let map = format!("CAST({} AS \"pg_catalog\".\"jsonb\")", quote(map)?);
            rewrite.held.insert(*id, upload.form(map, *wide));
        }
        let numbered = decisions.decode(lineage, rewrite, 0)?;
        let unwritten = Parameters::number(&lineage.params, Vec::new(), count)?;
        return Ok(Placed {
            parameters: numbered.map(|n| Arc::new(n.parameters)),
            uploads: None,
            unwritten: Some(bound(&unwritten.uploads)?),
        });
    }
    let numbered = decisions
        .decode(lineage, rewrite, count)?
        .ok_or_else(not_read)?;
    rewrite.held = bound(&numbered.uploads)?;
    Ok(Placed {
        parameters: Some(Arc::new(numbered.parameters)),
        uploads: Some(Arc::new(uploads)),
        unwritten: None,
    })
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
