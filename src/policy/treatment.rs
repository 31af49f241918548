//! A treatment as written, bound to a column: masks compiled, token keys found.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::bound::Treatment;
use super::encrypt::EncryptedColumn;
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
use crate::mask::token::{Cells, KeyRing, TokenKey};
use crate::mask::{
    ColumnType, CompiledMask, JsonAction, JsonMask, JsonOther, Mask, MaskError, TokenColumn,
};

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
    /// Columns that are stored encrypted.
    encrypted: HashMap<ColumnId, &'a EncryptedColumn>,
    bound: HashMap<(Word, ColumnId), Option<Treatment>>,
    /// Masks, domains and types something was said about.
    said: BTreeSet<String>,
}

/// A column, and what a role is to get of it.
struct Subject<'a> {
    answer: &'a Answer,
    name: &'a ColumnName,
    ty: &'a ColumnType,
    /// It is stored encrypted.
    cells: Option<Arc<Cells>>,
}

impl Subject<'_> {
    /// Reports that something does not fit the column.
    fn misfit(
        &self,
        what: &str,
        error: &MaskError,
        (defined, as_what): (&Span, &str),
        faults: &mut Faults,
    ) -> Option<Treatment> {
        let message = format!("{what} does not fit {}: {error}", self.name);
        let error = PolicyError::at(&self.answer.span, message);
        faults.push(error.related(defined, as_what));
        None
    }
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
            encrypted: HashMap::new(),
            bound: HashMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// Columns that are stored encrypted, from now on.
    pub(super) fn encrypt(&mut self, columns: HashMap<ColumnId, &'a EncryptedColumn>) {
        self.encrypted = columns;
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
            Word::Clear if !self.encrypted.contains_key(&column) => return Some(Treatment::Clear),
            Word::Nullify => return Some(Treatment::Nullify),
            Word::Deny => return Some(Treatment::Deny),
            Word::Clear | Word::Mask(_) | Word::Token(_) => {}
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
        let cells = match self.encrypted.get(&column) {
            Some(encrypted) => Some(self.cells(encrypted, name, &ty, faults)?),
            None => None,
        };
        let subject = Subject {
            answer,
            name,
            ty: &ty,
            cells,
        };
        match &answer.word {
            Word::Clear => {
                let shown = TokenColumn::decrypted(subject.cells?, &ty);
                Some(Treatment::Token(Arc::new(shown)))
            }
            Word::Mask(mask) => self.mask(self.policy.masks.get(mask)?, &subject, faults),
            Word::Token(domain) => self.token(self.policy.tokens.get(domain)?, &subject, faults),
            Word::Nullify | Word::Deny => None,
        }
    }

    /// What the cells of an encrypted column are made with.
    fn cells(
        &mut self,
        encrypted: &EncryptedColumn,
        name: &ColumnName,
        ty: &ColumnType,
        faults: &mut Faults,
    ) -> Option<Arc<Cells>> {
        let key = &encrypted.key;
        let what = format!("encrypted column {name}");
        let keys = self.keys_of(key, &encrypted.key_span, &what, faults)?;
        match Cells::bind(key, &keys, ty, encrypted.backfill) {
            Ok(cells) => Some(Arc::new(cells)),
            Err(error) => {
                if self.said.insert(what) {
                    faults.at(
                        &encrypted.span,
                        format!("{name} cannot be encrypted: {error}"),
                    );
                }
                None
            }
        }
    }

    /// The keys of a name, the newest first.
    fn keys_of(
        &mut self,
        key: &str,
        at: &Span,
        what: &str,
        faults: &mut Faults,
    ) -> Option<Vec<Arc<TokenKey>>> {
        let keys = match &self.keys {
            Keys::Ring(ring) => ring.get(key),
            Keys::Placeholder(keys) => Some(keys.as_slice()),
        };
        if keys.is_none() && self.said.insert(what.to_owned()) {
            let message = format!("the key ring has no key `{}`", shown(key));
            let help = format!("make it: pgveil keys new {} --ring FILE", shown(key));
            faults.push(PolicyError::at(at, message).help(help));
        }
        keys.map(<[_]>::to_vec)
    }

    fn mask(
        &mut self,
        definition: &MaskDef,
        subject: &Subject<'_>,
        faults: &mut Faults,
    ) -> Option<Treatment> {
        let Subject { name, ty, .. } = *subject;
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
                let compiled = Arc::new(compiled);
                let Some(cells) = subject.cells.clone().filter(|_| !compiled.is_constant()) else {
                    return Some(Treatment::Mask(compiled));
                };
                match TokenColumn::masked(&definition.name, compiled, cells, ty) {
                    Ok(bound) => Some(Treatment::Token(Arc::new(bound))),
                    Err(error) => {
                        subject.misfit(&what, &error, (&definition.span, "the mask"), faults)
                    }
                }
            }
            Err(error) => subject.misfit(&what, &error, (&definition.span, "the mask"), faults),
        }
    }

    fn token(
        &mut self,
        definition: &TokenDef,
        subject: &Subject<'_>,
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
        let keys = self.keys_of(&definition.key, &definition.key_span, &what, faults)?;
        let bound = TokenColumn::bind(&definition.name, kind, &keys, subject.ty);
        let bound = bound.map(|bound| bound.for_server(self.catalog.version));
        let bound = bound.and_then(|bound| match &subject.cells {
            Some(cells) => bound.over(Arc::clone(cells)),
            None => Ok(bound),
        });
        match bound {
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
                let domain = (&definition.span, "the token domain");
                subject.misfit(&what, &error, domain, faults)
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
