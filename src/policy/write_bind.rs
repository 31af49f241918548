//! `write` and `functions` against a catalog.

use std::collections::{HashMap, HashSet};

use super::bound::{Grants, Treatment, WriteGrant};
use super::error::{Faults, PolicyError};
use super::names::{QualifiedName, TablePattern};
use super::policy::Policy;
use super::source::shown;
use super::treatment::closest;
use super::write::WriteRule;
use crate::catalog::{Catalog, ColumnId, Constraint, ConstraintKind, Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::{AttrNumber, Oid};

/// Schemas whose relations are PostgreSQL's own.
pub(super) fn is_system_schema(schema: &Ident) -> bool {
    let name = schema.as_str();
    matches!(name, "pg_catalog" | "information_schema") || name.starts_with("pg_toast")
}

/// What a role may write, by table. A table's own line replaces its schema's.
pub(super) fn writes(
    policy: &Policy,
    role: &str,
    catalog: &Catalog,
    faults: &mut Faults,
) -> HashMap<Oid, WriteGrant> {
    let mut grants = HashMap::new();
    let Some(rules) = policy.write.rules.get(role) else {
        return grants;
    };
    for rule in rules.values() {
        if let TablePattern::Schema(schema) = &rule.pattern {
            whole_schema(schema, rule, catalog, &mut grants, faults);
        }
    }
    for rule in rules.values() {
        if let TablePattern::One(name) = &rule.pattern {
            match catalog.relation(&name.schema, &name.name) {
                Some(relation) if writable(relation) => {
                    grants.insert(relation.oid, grant(rule, Some(relation), faults));
                }
                Some(_) => faults.at(&rule.span, format!("{name} cannot be written")),
                None => {
                    let known = catalog.relations.values().filter(|r| writable(r));
                    let known = known.map(|r| super::bind::qualified(r).to_string());
                    let near = closest(&name.to_string(), known);
                    let message = format!("the database has no table {name}");
                    faults.push(PolicyError::at(&rule.span, message).suggest(near.as_deref()));
                }
            }
        }
    }
    grants
}

fn whole_schema(
    schema: &Ident,
    rule: &WriteRule,
    catalog: &Catalog,
    grants: &mut HashMap<Oid, WriteGrant>,
    faults: &mut Faults,
) {
    if !catalog.schemas.values().any(|s| s == schema) || is_system_schema(schema) {
        let known = catalog.schemas.values().filter(|s| !is_system_schema(s));
        let near = closest(schema.as_str(), known.map(|s| s.as_str().to_owned()));
        let message = format!("the database has no schema {}", shown(schema.as_str()));
        faults.push(PolicyError::at(&rule.span, message).suggest(near.as_deref()));
        return;
    }
    for relation in catalog.relations.values() {
        if relation.schema == *schema && writable(relation) {
            grants.insert(relation.oid, grant(rule, None, faults));
        }
    }
}

/// Every write, for a role from which nothing is kept but how some columns are stored.
pub(super) fn all_writes(catalog: &Catalog) -> HashMap<Oid, WriteGrant> {
    let writable = catalog.relations.values().filter(|r| writable(r));
    writable
        .map(|relation| (relation.oid, WriteGrant::everything()))
        .collect()
}

fn writable(relation: &Relation) -> bool {
    let kind = match relation.kind {
        RelationKind::Table
        | RelationKind::PartitionedTable
        | RelationKind::View
        | RelationKind::ForeignTable => true,
        RelationKind::MaterializedView | RelationKind::Sequence | RelationKind::CompositeType => {
            false
        }
    };
    kind && !is_system_schema(&relation.schema)
}

fn grant(rule: &WriteRule, relation: Option<&Relation>, faults: &mut Faults) -> WriteGrant {
    if let Some(relation) = relation {
        for (column, span) in rule.update.iter().chain(&rule.probe) {
            if relation.column(column).is_none() {
                let known = relation.columns.iter().map(|c| c.name.as_str().to_owned());
                let near = closest(column.as_str(), known);
                let message = format!("{} has no column {}", rule.pattern, shown(column.as_str()));
                faults.push(PolicyError::at(span, message).suggest(near.as_deref()));
            }
        }
    }
    let columns: HashSet<Ident> = rule
        .update
        .iter()
        .map(|(column, _)| column.clone())
        .collect();
    WriteGrant {
        insert: rule.insert,
        delete: rule.delete,
        updates: rule.update_all || !columns.is_empty(),
        // Without `updates` this says nothing; an empty set is the safer nothing.
        update: if rule.update_all { None } else { Some(columns) },
        plaintext: rule.plaintext,
        probe: if rule.all {
            None
        } else {
            Some(rule.probe.iter().map(|(c, _)| c.clone()).collect())
        },
    }
}

/// Says which granted writes a constraint would answer from values the role does not see: whether they
/// will be refused, or answered because of `all`.
pub(super) fn probes(policy: &Policy, grants: &Grants, catalog: &Catalog, faults: &mut Faults) {
    let Some(rules) = policy.write.rules.get(&*grants.role) else {
        return;
    };
    if grants.unrestricted {
        return;
    }
    let mut tables: Vec<(QualifiedName, &Relation, &WriteGrant)> = grants
        .write
        .iter()
        .filter_map(|(oid, grant)| {
            let relation: &Relation = catalog.relation_by_oid(*oid)?;
            Some((super::bind::qualified(relation), relation, grant))
        })
        .collect();
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, relation, grant) in tables {
        let one = rules.get(&TablePattern::One(name.clone()));
        let rule = one.or_else(|| rules.get(&TablePattern::Schema(name.schema.clone())));
        let Some(rule) = rule else { continue };
        let mut said: Vec<&Ident> = Vec::new();
        for constraint in catalog.constraints(relation) {
            for (column, hidden) in tested(&constraint, relation, grants, grant) {
                let granted = grant.probe.is_some() && grant.may_probe(column, hidden);
                if said.contains(&column) || granted {
                    continue;
                }
                said.push(column);
                let role = shown(&grants.role);
                let (may, help) = if grant.probe.is_none() {
                    (
                        "may",
                        "`all` allows that; insert, update and delete do not".to_owned(),
                    )
                } else {
                    (
                        "cannot",
                        format!("to allow it all the same, add probe({column})"),
                    )
                };
                let allowed = grant.probe.is_none();
                let what = answered(constraint.kind, column, &name, allowed);
                let message = format!("role `{role}` {may} {what}");
                faults.push(PolicyError::at(&rule.span, message).warning().help(help));
            }
        }
    }
}

/// A write that a constraint answers, and what it tells: it does, or it would.
fn answered(kind: ConstraintKind, column: &Ident, table: &QualifiedName, allowed: bool) -> String {
    let tells = |who: &str, what: &str| {
        if allowed {
            format!(", and {who} then tells {what}")
        } else {
            format!(": {who} would tell {what}")
        }
    };
    if kind.combines() {
        let tells = tells("an error", "of its values");
        let words = kind.words();
        return format!("write what {words} of {table} combines with {column}{tells}");
    }
    let tells = tells(kind.words(), "whether a value is stored");
    match kind {
        ConstraintKind::CascadedDelete => {
            format!("delete rows of {table}, and what refers to them changes{tells}")
        }
        ConstraintKind::CascadedUpdate => {
            format!("change {column} of {table}, and what refers to it changes{tells}")
        }
        ConstraintKind::Referenced => format!("write or delete {column} of {table}{tells}"),
        _ => format!("write {column} of {table}{tells}"),
    }
}

/// The columns of which a constraint tells in a write the role was granted, and whether they are
/// hidden from it themselves, not what they are compared with.
fn tested<'r>(
    constraint: &Constraint,
    relation: &'r Relation,
    grants: &Grants,
    grant: &WriteGrant,
) -> Vec<(&'r Ident, bool)> {
    let treatment = |relation, attnum| &grants.rule(ColumnId { relation, attnum }).treatment;
    let hidden = |attnum: AttrNumber| {
        let others = constraint.others.iter().filter(|(mine, _)| *mine == attnum);
        let mut others = others.map(|(_, other)| treatment(other.relation, other.attnum));
        match treatment(relation.oid, attnum) {
            // It cannot be named at all.
            Treatment::Deny => constraint.kind.combines(),
            seen if seen.shows_values() => others.any(|t| !t.shows_values()),
            Treatment::Clear => false,
            Treatment::Mask(_) | Treatment::Token(_) | Treatment::Nullify => true,
        }
    };
    let columns: Vec<(AttrNumber, &Ident)> = constraint
        .columns
        .iter()
        .filter_map(|a| Some((*a, &relation.attribute(*a)?.name)))
        .collect();
    let named = |c: &Ident| grant.update.as_ref().is_none_or(|cols| cols.contains(c));
    let updated = grant.updates && columns.iter().any(|(_, c)| named(c));
    let answers = match constraint.kind {
        ConstraintKind::CascadedDelete => grant.delete,
        ConstraintKind::CascadedUpdate => updated,
        ConstraintKind::Referenced => updated || grant.delete,
        ConstraintKind::Remote => grant.updates || grant.insert || grant.delete,
        ConstraintKind::Generated | ConstraintKind::Index | ConstraintKind::Partition => {
            grant.updates
        }
        ConstraintKind::Check
        | ConstraintKind::Exclude
        | ConstraintKind::ForeignKey
        | ConstraintKind::Unique => updated || grant.insert,
    };
    if !answers {
        return Vec::new();
    }
    let steered = |beside: AttrNumber| {
        let mut steers = constraint.steers.iter().filter(|a| **a != beside);
        steers.any(|a| relation.attribute(*a).is_some_and(|c| named(&c.name)))
    };
    let hidden = columns.into_iter().filter(|(a, _)| hidden(*a));
    let hidden = hidden.filter(|(a, _)| !constraint.kind.combines() || steered(*a));
    let shown = |a: AttrNumber| treatment(relation.oid, a).shows_values();
    hidden.map(|(a, c)| (c, !shown(a))).collect()
}

/// The functions roles may call.
pub(super) fn functions(
    policy: &Policy,
    catalog: &Catalog,
    faults: &mut Faults,
) -> HashSet<(Ident, Ident)> {
    let mut allowed = HashSet::new();
    for (name, span) in &policy.functions {
        let overloads = catalog
            .functions
            .get(&name.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if overloads.iter().any(|f| f.schema == name.schema) {
            allowed.insert((name.schema.clone(), name.name.clone()));
            continue;
        }
        let known = catalog.functions.iter().flat_map(|(function, overloads)| {
            let own = overloads.iter().filter(|f| !is_system_schema(&f.schema));
            own.map(move |f| format!("{}.{function}", f.schema))
        });
        let near = closest(&name.to_string(), known);
        let message = format!("the database has no function {name}");
        faults.push(PolicyError::at(span, message).suggest(near.as_deref()));
    }
    allowed
}
