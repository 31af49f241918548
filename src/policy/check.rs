//! What can only be said of the whole policy: names that exist, cells that are allowed, sections
//! that do nothing yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classes::Level;
use super::document::Draft;
use super::error::{Faults, PolicyError};
use super::json_mask::JsonAction;
use super::masks::MaskSyntax;
use super::observe::{Observation, observation};
use super::role::{Mode, Role, RoleKind};
use super::source::{Span, shown};
use super::suggest::nearest;
use super::tests_section::Check;
use super::tokens::TokenKind;
use super::treat::{Cell, Word, name_span};

/// Reports everything that single sections could not see.
pub(super) fn check(draft: &mut Draft) {
    // Read before `faults` is borrowed.
    let missing: Vec<&str> = ["version", "mode", "defaults"]
        .into_iter()
        .filter(|section| !draft.has(section))
        .collect();
    let mut faults = std::mem::take(&mut draft.faults);
    if !faults.broken {
        for section in missing {
            faults.push(match section {
                "defaults" => PolicyError::error("the policy does not say `defaults`")
                    .help("add `defaults: {unclassified_column: deny}`"),
                "mode" => {
                    PolicyError::error("the policy does not say `mode`").help("add `mode: enforce`")
                }
                _ => {
                    PolicyError::error("the policy does not say `version`").help("add `version: 1`")
                }
            });
        }
        names(draft, &mut faults);
    }
    roles(draft, &mut faults);
    credentials(draft, &mut faults);
    remarks(draft, &mut faults);
    draft.faults = faults;
}

/// Reports a name that nothing defines.
fn unknown<V>(
    what: &str,
    name: &str,
    at: &Span,
    defined: &BTreeMap<Arc<str>, V>,
    faults: &mut Faults,
) {
    if !defined.contains_key(name) && !faults.unreadable.contains(name) {
        let near = nearest(name, defined.keys().map(|k| &**k));
        let message = format!("there is no {what} `{}`", shown(name));
        faults.push(PolicyError::at(at, message).suggest(near));
    }
}

fn names(draft: &Draft, faults: &mut Faults) {
    for column in draft.columns.values() {
        unknown(
            "class",
            &column.class,
            &column.class_span,
            &draft.classes,
            faults,
        );
    }
    for (class, span) in &draft.treat.classes {
        unknown("class", class, span, &draft.classes, faults);
    }
    for (role, span) in draft.treat.roles.iter().chain(&draft.write.roles) {
        unknown("role", role, span, &draft.roles, faults);
    }
    for cell in cells(draft) {
        match &cell.word {
            Word::Mask(name) => unknown("mask", name, &name_span(cell), &draft.masks, faults),
            Word::Token(name) => {
                unknown(
                    "token domain",
                    name,
                    &name_span(cell),
                    &draft.tokens,
                    faults,
                );
            }
            Word::Clear | Word::Nullify | Word::Deny => {}
        }
    }
    for mask in draft.masks.values() {
        if let MaskSyntax::Json { paths, .. } = &mask.syntax {
            for (_, action) in paths {
                if let JsonAction::Mask(name) = action {
                    unknown("mask", name, &mask.span, &draft.masks, faults);
                }
            }
        }
    }
    for token in draft.tokens.values() {
        for (role, span) in &token.detokenize {
            unknown("role", role, span, &draft.roles, faults);
        }
    }
    for test in &draft.tests {
        unknown("role", &test.role, &test.role_span, &draft.roles, faults);
        if let Check::Value { column, .. } = &test.check
            && !draft.columns.contains_key(column)
            && !draft.treat.columns.contains_key(column)
        {
            let known: Vec<String> = draft.columns.keys().map(ToString::to_string).collect();
            let near = nearest(&column.to_string(), known.iter().map(String::as_str));
            let message = format!("the policy does not name column {column}");
            faults.push(PolicyError::at(&test.span, message).suggest(near));
        }
    }
}

fn cells(draft: &Draft) -> impl Iterator<Item = &Cell> {
    let treat = &draft.treat;
    treat
        .class
        .values()
        .chain(treat.level.values())
        .chain(treat.column.values())
}

/// Two roles that one client certainly matches both.
fn roles(draft: &Draft, faults: &mut Faults) {
    let all: Vec<&Role> = draft.roles.values().collect();
    for (i, a) in all.iter().enumerate() {
        for b in all
            .iter()
            .skip(i + 1)
            .filter(|b| a.matching.collides(&b.matching))
        {
            let message = format!(
                "roles `{}` and `{}` match the same login: nobody could connect with it",
                shown(&a.name),
                shown(&b.name)
            );
            faults.push(PolicyError::at(&b.span, message).related(&a.span, "the other role"));
        }
    }
}

/// C3 is never clear for people, whichever rank says so.
fn credentials(draft: &Draft, faults: &mut Faults) {
    let human = |name: &str| {
        draft
            .roles
            .get(name)
            .is_some_and(|r| r.kind == RoleKind::Human)
    };
    let secret = |class: &str| {
        draft
            .classes
            .get(class)
            .is_some_and(|c| c.level == Level::C3)
    };
    let mut refuse = |what: String, role: &str, cell: &Cell| {
        if cell.word == Word::Clear && human(role) {
            let message = format!(
                "{what} is C3, which role `{}`, a human, never sees clear",
                shown(role)
            );
            let error = PolicyError::at(&cell.span, message);
            faults.push(error.help("use mask(NAME), token(DOMAIN), nullify or deny"));
        }
    };
    for ((class, role), cell) in &draft.treat.class {
        if secret(class) {
            refuse(format!("class `{}`", shown(class)), role, cell);
        }
    }
    for ((level, role), cell) in &draft.treat.level {
        if *level == Level::C3 {
            refuse("level C3".to_owned(), role, cell);
        }
    }
    for ((column, role), cell) in &draft.treat.column {
        if draft.columns.get(column).is_some_and(|c| secret(&c.class)) {
            refuse(format!("column {column}"), role, cell);
        }
    }
}

/// What `observe` does, and where it does nothing.
fn observed(draft: &Draft, faults: &mut Faults) {
    let (mode, at) = match &draft.mode {
        Some((mode, span)) => (*mode, Some(span)),
        None => (Mode::Enforce, None),
    };
    let mut lifted: Vec<String> = Vec::new();
    let mut said = Vec::new();
    for role in draft.roles.values() {
        let name = format!("`{}`", shown(&role.name));
        let barred = match observation(
            mode,
            role,
            (&draft.classes, &draft.columns),
            &draft.encrypted,
        ) {
            Observation::Off => continue,
            Observation::On if role.mode.is_some() => {
                said.push((&role.span, lifts(&format!("role {name}"))));
                continue;
            }
            Observation::On => {
                lifted.push(name);
                continue;
            }
            Observation::Console => "a console role never reads data".to_owned(),
            Observation::Encrypted(column) => {
                format!("{column} is stored encrypted, and has to be decrypted for it")
            }
            Observation::Secret(column) => {
                format!("{column} is C3, which a human never sees clear")
            }
        };
        let message = format!(
            "`mode: observe` does not apply to role {name}, whose masks stay in force: {barred}"
        );
        said.push((&role.span, message));
    }
    if let (Mode::Observe, Some(span)) = (mode, at) {
        let message = match lifted.as_slice() {
            [] => "`mode: observe` applies to no role".to_owned(),
            roles => lifts(&roles.join(", ")),
        };
        faults.push(PolicyError::at(span, message).warning());
    }
    for (span, message) in said {
        faults.push(PolicyError::at(span, message).warning());
    }
}

fn lifts(whose: &str) -> String {
    format!(
        "`mode: observe` of {whose}: data is shown as stored, and what `enforce` would mask or refuse \
         is only recorded"
    )
}

/// What is accepted and does less than it says.
fn remarks(draft: &Draft, faults: &mut Faults) {
    const LATER: &str = "accepted, not enforced in this version";
    observed(draft, faults);
    let mut said: Vec<&str> = Vec::new();
    for found in &draft.unenforced {
        if said.contains(&found.section) {
            continue;
        }
        said.push(found.section);
        let error = PolicyError::at(&found.span, format!("`{}`: {LATER}", found.section));
        faults.push(if found.weakens {
            error.warning()
        } else {
            error.note()
        });
    }
    for token in draft.tokens.values() {
        if let (TokenKind::Hmac, Some((_, span))) = (token.kind, token.detokenize.first()) {
            let message = format!(
                "token domain `{}` is hmac: its tokens cannot be turned back, `detokenize` lets a role \
                 make them only",
                shown(&token.name)
            );
            faults.push(PolicyError::at(span, message).warning());
        }
    }
    let mut keys: BTreeMap<&str, (Vec<&str>, &Span)> = BTreeMap::new();
    for role in draft.roles.values() {
        for (key, span) in &role.unenforced {
            keys.entry(key)
                .or_insert((Vec::new(), span))
                .0
                .push(&role.name);
        }
        if !role.matching.groups.is_empty() {
            keys.entry("match.group")
                .or_insert((Vec::new(), &role.span))
                .0
                .push(&role.name);
        }
    }
    for (key, (roles, span)) in keys {
        let roles = roles.join(", ");
        faults.push(match key {
            // Groups are not read from anywhere yet: such a role matches nobody, which is safe.
            "match.group" => PolicyError::at(
                span,
                format!(
                    "`match.group`: no login has a group in this version, so nobody matches {roles}"
                ),
            )
            .warning(),
            "review_by" => PolicyError::at(span, format!("`review_by` of {roles}: {LATER}")).note(),
            _ => PolicyError::at(span, format!("`{key}` of {roles}: {LATER}")).warning(),
        });
    }
}
