//! `write` and `functions` against a catalog.

use std::collections::{HashMap, HashSet};

use super::bound::WriteGrant;
use super::error::{Faults, PolicyError};
use super::names::TablePattern;
use super::policy::Policy;
use super::source::shown;
use super::treatment::closest;
use super::write::WriteRule;
use crate::catalog::{Catalog, Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::Oid;

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
        for (column, span) in &rule.update {
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
    }
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
