//! Sections of the language that are read strictly and not enforced yet: `limits`, `rows`, `audit`,
//! `combine`, `predicates` and break-glass grants.
//!
//! They are checked now, so that a policy written today is right when they start to act; `policy
//! check` says in one line each that they do not. Names in them are not compared with the rest of
//! the policy.

use super::error::{Faults, PolicyError};
use super::names::ColumnName;
use super::read::{Fields, entries, integer, list, scalar, text, texts, word};
use super::source::{Span, shown};
use super::time::duration;
use super::yaml::{Key, Node};

/// A section that was found and does nothing yet.
#[derive(Clone, Debug)]
pub(crate) struct Unenforced {
    pub(crate) section: &'static str,
    /// Without it somebody sees or does more than the policy says.
    pub(crate) weakens: bool,
    pub(crate) span: Span,
}

/// Reads one of these sections; false if the key is not one of them.
pub(super) fn read(
    key: &Key,
    node: &Node,
    found: &mut Vec<Unenforced>,
    faults: &mut Faults,
) -> bool {
    type Reader = fn(&Node, &mut Faults);
    const SECTIONS: &[(&str, bool, Reader)] = &[
        ("limits", true, limits),
        ("rows", true, rows),
        ("combine", true, combine),
        ("audit", true, audit),
        ("predicates", false, predicates),
    ];
    let Some((section, weakens, reader)) = SECTIONS.iter().find(|(s, _, _)| *s == key.text) else {
        return false;
    };
    reader(node, faults);
    found.push(Unenforced {
        section,
        weakens: *weakens,
        span: key.span.clone(),
    });
    true
}

fn limits(node: &Node, faults: &mut Faults) {
    const COPY: &[(&str, ())] = &[("allow", ()), ("deny", ())];
    for (role, node) in entries(node, "limits", faults).unwrap_or_default() {
        let what = format!("limits of role `{}`", shown(&role.text));
        let Some(mut fields) = Fields::open(node, &what, faults) else {
            continue;
        };
        let subjects = fields.take("subjects");
        let rows = fields.take("rows_per_query");
        let copy = fields.take("copy_out");
        fields.finish(faults);
        if let Some(node) = subjects
            && let Some(rate) = text(node, "subjects", faults)
        {
            let (count, unit) = rate.split_once('/').unwrap_or((rate, ""));
            if count.parse::<u64>().is_err() || !matches!(unit, "minute" | "hour" | "day") {
                let message = format!("subjects is a rate, not `{}`", shown(rate));
                faults.push(PolicyError::at(&node.span, message).help("write it like 60/hour"));
            }
        }
        rows.map(|n| integer(n, "rows_per_query", 1..=i64::MAX, faults));
        copy.map(|n| word(n, "copy_out", COPY, faults));
    }
}

fn column(node: &Node, faults: &mut Faults) {
    if let Some(name) = text(node, "a column", faults) {
        column_name(name, &node.span, faults);
    }
}

fn column_name(name: &str, at: &Span, faults: &mut Faults) {
    if ColumnName::parse(name).is_none() {
        let message = format!("`{}` is not a column", shown(name));
        faults.push(PolicyError::at(at, message).help("schema.table.column"));
    }
}

fn rows(node: &Node, faults: &mut Faults) {
    let Some(mut fields) = Fields::open(node, "rows", faults) else {
        return;
    };
    let subject = fields.require("subject", faults);
    let (links, when) = (fields.take("links"), fields.take("when"));
    fields.finish(faults);
    if let Some(node) = subject {
        column(node, faults);
    }
    for (from, to) in links
        .and_then(|n| entries(n, "rows.links", faults))
        .unwrap_or_default()
    {
        column_name(&from.text, &from.span, faults);
        column(to, faults);
    }
    for (name, node) in when
        .and_then(|n| entries(n, "rows.when", faults))
        .unwrap_or_default()
    {
        let what = format!("row condition `{}`", shown(&name.text));
        let Some(mut fields) = Fields::open(node, &what, faults) else {
            continue;
        };
        let test = fields.require("test", faults);
        let (hide, treat) = (fields.take("hide_from"), fields.take("treat_as"));
        fields.finish(faults);
        test.map(|n| text(n, "test", faults));
        hide.map(|n| texts(n, "a role", faults));
        treat.map(|n| text(n, "treat_as", faults));
        if hide.is_none() && treat.is_none() {
            faults.at(
                &name.span,
                format!("{what} needs `hide_from` or `treat_as`"),
            );
        }
    }
}

fn combine(node: &Node, faults: &mut Faults) {
    for (name, node) in entries(node, "combine", faults).unwrap_or_default() {
        let what = format!("combination `{}`", shown(&name.text));
        let Some(mut fields) = Fields::open(node, &what, faults) else {
            continue;
        };
        let classes = fields.require("classes", faults);
        let unless = fields.take("deny_unless");
        fields.finish(faults);
        classes.map(|n| texts(n, "a class", faults));
        unless.map(|n| texts(n, "a role", faults));
    }
}

fn predicates(node: &Node, faults: &mut Faults) {
    for (class, node) in entries(node, "predicates", faults).unwrap_or_default() {
        let what = format!("predicates of `{}`", shown(&class.text));
        for (_, operators) in entries(node, &what, faults).unwrap_or_default() {
            for operator in list(operators, "predicates", faults).unwrap_or_default() {
                word(operator, "a predicate", &[("eq", ())], faults);
            }
        }
    }
}

/// Records of who saw what may not be thrown away earlier.
const AUDIT_DAYS: u64 = 180;

fn audit(node: &Node, faults: &mut Faults) {
    const FIXED: &[(&str, &[(&str, ())])] = &[
        ("sql_literals", &[("redact", ())]),
        ("result_values", &[("never", ())]),
        ("subjects", &[("keyed_hash", ())]),
        ("chain", &[("sha256", ()), ("sm3", ())]),
        ("on_sink_failure", &[("deny_protected", ()), ("deny", ())]),
    ];
    let Some(mut fields) = Fields::open(node, "audit", faults) else {
        return;
    };
    let keep = fields.take("keep");
    for (key, words) in FIXED {
        fields.take(key).map(|n| word(n, key, words, faults));
    }
    let (sinks, alerts) = (fields.take("sinks"), fields.take("alerts"));
    fields.finish(faults);
    if let Some(node) = keep
        && let Some(kept) = duration(node, "keep", faults)
        && kept.as_secs() < AUDIT_DAYS * 86_400
    {
        faults.at(
            &node.span,
            format!("audit records are kept for at least {AUDIT_DAYS}d"),
        );
    }
    for (name, node) in sinks
        .and_then(|n| entries(n, "audit.sinks", faults))
        .unwrap_or_default()
    {
        strings(
            node,
            &format!("sink `{}`", shown(&name.text)),
            &["file", "rotate", "syslog", "format"],
            faults,
        );
    }
    for (name, node) in alerts
        .and_then(|n| entries(n, "audit.alerts", faults))
        .unwrap_or_default()
    {
        strings(
            node,
            &format!("alert `{}`", shown(&name.text)),
            &["when", "notify"],
            faults,
        );
    }
}

/// A map of strings with these keys.
fn strings(node: &Node, what: &str, keys: &[&'static str], faults: &mut Faults) {
    if let Some(mut fields) = Fields::open(node, what, faults) {
        for key in keys {
            fields.take(key).map(|n| text(n, key, faults));
        }
        fields.finish(faults);
    }
}

/// Reads a break-glass grant: a whole file, marked by its key `grant`.
pub(super) fn read_grant(node: &Node, found: &mut Vec<Unenforced>, faults: &mut Faults) {
    const TREAT: &[(&str, ())] = &[("clear", ())];
    let Some(mut fields) = Fields::open(node, "a grant", faults) else {
        return;
    };
    for key in ["grant", "to", "role", "reason", "from", "until"] {
        fields.require(key, faults).map(|n| text(n, key, faults));
    }
    let columns = fields
        .require("columns", faults)
        .and_then(|n| list(n, "columns", faults));
    let subjects = fields
        .take("subjects")
        .and_then(|n| list(n, "subjects", faults));
    let treat = fields.require("treat", faults);
    let approved = fields.require("approved_by", faults);
    fields.finish(faults);
    columns
        .unwrap_or_default()
        .iter()
        .for_each(|n| column(n, faults));
    subjects.unwrap_or_default().iter().for_each(|n| {
        scalar(n, "a subject", faults);
    });
    treat.map(|n| word(n, "treat", TREAT, faults));
    approved.map(|n| texts(n, "an approver", faults));
    let span = node.span.clone();
    found.push(Unenforced {
        section: "grant",
        weakens: false,
        span,
    });
}
