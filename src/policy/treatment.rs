//! A treatment as written, bound to a column: masks compiled, token keys found.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::bound::Treatment;
use super::error::{Faults, PolicyError};
use super::json_mask;
use super::masks::{MaskDef, MaskSyntax};
use super::names::ColumnName;
use super::policy::{Answer, Policy};
use super::source::{Span, shown};
use super::strength::{self, Loss};
use super::suggest::nearest;
use super::time::Date;
use super::tokens::TokenDef;
use super::treat::Word;
use crate::catalog::{Catalog, ColumnId};
use crate::mask::token::{KeyRing, TokenKey};
use crate::mask::{ColumnType, CompiledMask, JsonAction, JsonMask, JsonOther, Mask, TokenColumn};

/// Where token keys come from.
pub(super) enum Keys<'a> {
    /// The ring.
    Ring(&'a KeyRing),
    /// Nowhere: only types are checked, and what is bound is thrown away.
    Placeholder([Arc<TokenKey>; 1]),
}

impl Keys<'_> {
    /// For checking without a ring.
    pub(super) fn placeholder() -> Option<Self> {
        TokenKey::new("aaaa", Zeroizing::new([0; _])).map(|key| Self::Placeholder([Arc::new(key)]))
    }
}

/// Binds treatments, each (mask, column) and (domain, column) once.
pub(super) struct Treatments<'a> {
    policy: &'a Policy,
    catalog: &'a Catalog,
    keys: Keys<'a>,
    today: Date,
    bound: HashMap<(Word, ColumnId), Option<Treatment>>,
    /// Masks, domains and types something was said about.
    said: BTreeSet<String>,
}

impl<'a> Treatments<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        catalog: &'a Catalog,
        keys: Keys<'a>,
        today: Date,
    ) -> Self {
        Self {
            policy,
            catalog,
            keys,
            today,
            bound: HashMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// `None` after reporting that it cannot be bound.
    pub(super) fn bind(
        &mut self,
        answer: &Answer,
        column: ColumnId,
        name: &ColumnName,
        faults: &mut Faults,
    ) -> Option<Treatment> {
        match &answer.word {
            Word::Clear => return Some(Treatment::Clear),
            Word::Nullify => return Some(Treatment::Nullify),
            Word::Deny => return Some(Treatment::Deny),
            Word::Mask(_) | Word::Token(_) => {}
        }
        let key = (answer.word.clone(), column);
        if let Some(known) = self.bound.get(&key) {
            return known.clone();
        }
        let treatment = self.fresh(answer, column, name, faults);
        self.bound.insert(key, treatment.clone());
        treatment
    }

    fn fresh(
        &mut self,
        answer: &Answer,
        column: ColumnId,
        name: &ColumnName,
        faults: &mut Faults,
    ) -> Option<Treatment> {
        let relation = self.catalog.relation_by_oid(column.relation)?;
        let ty = self.catalog.column_type(relation.attribute(column.attnum)?);
        let Some(ty) = ty else {
            let message = format!("the type of {name} cannot be masked: use nullify or deny");
            faults.at(&answer.span, message);
            return None;
        };
        match &answer.word {
            Word::Mask(mask) => self.mask(self.policy.masks.get(mask)?, answer, name, &ty, faults),
            Word::Token(domain) => {
                self.token(self.policy.tokens.get(domain)?, answer, name, &ty, faults)
            }
            Word::Clear | Word::Nullify | Word::Deny => None,
        }
    }

    fn mask(
        &mut self,
        definition: &MaskDef,
        answer: &Answer,
        name: &ColumnName,
        ty: &ColumnType,
        faults: &mut Faults,
    ) -> Option<Treatment> {
        let what = format!("mask `{}`", shown(&definition.name));
        let Some(mask) = built(&definition.syntax, self.policy) else {
            self.missing(&what, &definition.span, faults);
            return Some(Treatment::Deny);
        };
        match CompiledMask::compile(&mask, ty) {
            Ok(compiled) => {
                if let Some(loss) = strength::loss(&mask, ty)
                    && self.said.insert(format!("{what} {}", ty.sql))
                {
                    let said = |loss: &str| {
                        PolicyError::at(&definition.span, format!("{what} on {name}: {loss}"))
                    };
                    faults.push(match &loss {
                        Loss::Usual(loss) => said(loss).warning(),
                        Loss::Rare(loss) => said(loss).note(),
                    });
                }
                Some(Treatment::Mask(Arc::new(compiled)))
            }
            Err(error) => {
                let message = format!("{what} does not fit {name}: {error}");
                let error = PolicyError::at(&answer.span, message);
                faults.push(error.related(&definition.span, "the mask"));
                None
            }
        }
    }

    fn token(
        &mut self,
        definition: &TokenDef,
        answer: &Answer,
        name: &ColumnName,
        ty: &ColumnType,
        faults: &mut Faults,
    ) -> Option<Treatment> {
        let what = format!("token domain `{}`", shown(&definition.name));
        let Some(kind) = definition.built() else {
            self.missing(&what, &definition.span, faults);
            return Some(Treatment::Deny);
        };
        if let Some(last) = definition.expired(self.today) {
            if self.said.insert(what.clone()) {
                let message = format!("{what} expired on {last}: its columns are denied");
                faults.push(PolicyError::at(&definition.span, message).warning());
            }
            return Some(Treatment::Deny);
        }
        let keys = match &self.keys {
            Keys::Ring(ring) => ring.get(&definition.key),
            Keys::Placeholder(keys) => Some(keys.as_slice()),
        };
        let Some(keys) = keys else {
            if self.said.insert(what) {
                let message = format!("the key ring has no key `{}`", shown(&definition.key));
                let help = format!(
                    "make it: pgveil keys new {} --ring FILE",
                    shown(&definition.key)
                );
                faults.push(PolicyError::at(&definition.key_span, message).help(help));
            }
            return None;
        };
        match TokenColumn::bind(&definition.name, kind, keys, ty) {
            Ok(bound) => {
                if keys.len() > 1 && !kind.says_its_key() && self.said.insert(what.clone()) {
                    let message = format!(
                        "{what} goes on with key {} of `{}`, not the newest: its tokens do not say \
                         which key made them, and change when that one is retired",
                        bound.key_id(),
                        shown(&definition.key)
                    );
                    faults.push(PolicyError::at(&definition.key_span, message).note());
                }
                Some(Treatment::Token(Arc::new(bound)))
            }
            Err(error) => {
                let message = format!("{what} does not fit {name}: {error}");
                let error = PolicyError::at(&answer.span, message);
                faults.push(error.related(&definition.span, "the token domain"));
                None
            }
        }
    }

    /// The language has it, this version has not: deny is what cannot reveal more than the policy
    /// meant.
    fn missing(&mut self, what: &str, at: &Span, faults: &mut Faults) {
        if self.said.insert(format!("{what} is missing")) {
            let message = format!("{what} is not built in this version: its columns are denied");
            faults.push(PolicyError::at(at, message).warning());
        }
    }
}

impl Policy {
    /// The mask of that name, if it is defined and built.
    pub fn mask(&self, name: &str) -> Option<Mask> {
        built(&self.masks.get(name)?.syntax, self)
    }
}

/// The mask of `crate::mask`, or `None` if it has none for it yet.
fn built(syntax: &MaskSyntax, policy: &Policy) -> Option<Mask> {
    Some(match syntax {
        MaskSyntax::Constant(value) => Mask::Constant(value.clone()),
        MaskSyntax::Keep(partial) => Mask::Partial(partial.clone()),
        MaskSyntax::Truncate { unit, timezone } => Mask::Truncate {
            unit: *unit,
            timezone: timezone.clone(),
        },
        MaskSyntax::RoundTo(step) => Mask::RoundTo(step.clone()),
        MaskSyntax::Round(digits) => Mask::Round(*digits),
        MaskSyntax::Clamp { top, bottom } => Mask::Clamp {
            top: top.clone(),
            bottom: bottom.clone(),
        },
        MaskSyntax::Network { v4, v6 } => Mask::Network { v4: *v4, v6: *v6 },
        MaskSyntax::Json {
            paths,
            nullify_other,
        } => {
            let paths = paths
                .iter()
                .map(|(path, action)| Some((path.clone(), json_action(action, policy)?)));
            let other = if *nullify_other {
                JsonOther::Nullify
            } else {
                JsonOther::Clear
            };
            Mask::Json(JsonMask {
                paths: paths.collect::<Option<_>>()?,
                other,
            })
        }
        MaskSyntax::AdminLevels(_) | MaskSyntax::Fake(_) => return None,
    })
}

fn json_action(action: &json_mask::JsonAction, policy: &Policy) -> Option<JsonAction> {
    Some(match action {
        json_mask::JsonAction::Clear => JsonAction::Clear,
        json_mask::JsonAction::Nullify => JsonAction::Nullify,
        json_mask::JsonAction::Constant {
            text,
            string: false,
        } => JsonAction::Constant(text.clone()),
        json_mask::JsonAction::Constant { text, string: true } => {
            JsonAction::Constant(serde_json::Value::from(text.as_str()).to_string())
        }
        json_mask::JsonAction::Mask(name) => {
            let inner = &policy.masks.get(name.as_str())?.syntax;
            // A document inside a document is not a thing, and would not end.
            if matches!(inner, MaskSyntax::Json { .. }) {
                return None;
            }
            JsonAction::Mask(Box::new(built(inner, policy)?))
        }
    })
}

/// The nearest of the names, as a suggestion.
pub(super) fn closest<I>(word: &str, names: I) -> Option<String>
where
    I: IntoIterator<Item = String>,
{
    let names: Vec<String> = names.into_iter().collect();
    nearest(word, names.iter().map(String::as_str)).map(str::to_owned)
}
