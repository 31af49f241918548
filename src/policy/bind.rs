//! Policy × Catalog → BoundPolicy: names become `ColumnId`s, masks compile, keys are found.
//!
//! Views and materialized views are not expanded here: the analyzer follows them to their tables. A
//! policy may still classify their columns, and must for what a materialized view computes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::bound::{BoundPolicy, Grants, Rule, Treatment};
use super::encrypt::EncryptedColumn;
use super::error::{Errors, Faults, PolicyError};
use super::inherit::{Joined, families, heirs, strictest};
use super::names::{ColumnName, QualifiedName};
use super::observe::Observation;
use super::policy::{Answer, Policy, Reason};
use super::role::Role;
use super::source::Span;
use super::time::Date;
use super::treat::Word;
use super::treatment::{Keys, Treatments, closest};
use super::write_bind::{all_writes, functions, is_system_schema, probes, writes};
use crate::catalog::{Catalog, ColumnId, Relation, RelationKind};
use crate::ident::Ident;
use crate::mask::token::KeyRing;
use crate::pg::Oid;

/// A bound policy, and what binding it had to say.
pub struct Binding {
    /// The policy.
    pub policy: BoundPolicy,
    /// Warnings: cut results, masks that are not built yet, clashes between parents and children.
    pub warnings: Vec<PolicyError>,
}

/// Binds a policy to a catalog.
///
/// # Errors
/// Names that match nothing, masks and tokens that do not fit their columns, keys the ring lacks:
/// all of them, not the first.
pub fn bind(
    policy: &Policy,
    catalog: &Catalog,
    keys: &KeyRing,
    today: Date,
) -> Result<Binding, Errors> {
    let mut binder = Binder::new(policy, catalog, Keys::Ring(keys), today);
    let policy = binder.bind();
    let warnings = binder.faults.finish()?;
    Ok(Binding { policy, warnings })
}

/// Does everything [`bind`] does but look for keys: for `policy check`, which has no key ring.
///
/// # Errors
/// As [`bind`].
pub fn check_against(
    policy: &Policy,
    catalog: &Catalog,
    today: Date,
) -> Result<Vec<PolicyError>, Errors> {
    let keys = Keys::placeholder().ok_or_else(|| PolicyError::error("no placeholder key"))?;
    let mut binder = Binder::new(policy, catalog, keys, today);
    // Bound with a placeholder key: must not be used.
    drop(binder.bind());
    binder.faults.finish()
}

/// Binds with a placeholder for every key: enough to say what a role gets and where, and of no use
/// for a value.
pub fn bind_without_keys(
    policy: &Policy,
    catalog: &Catalog,
    today: Date,
) -> Result<Binding, Errors> {
    let keys = Keys::placeholder().ok_or_else(|| PolicyError::error("no placeholder key"))?;
    let mut binder = Binder::new(policy, catalog, keys, today);
    let policy = binder.bind();
    let warnings = binder.faults.finish()?;
    Ok(Binding { policy, warnings })
}

/// A relation's name as policies write it.
pub(super) fn qualified(relation: &Relation) -> QualifiedName {
    QualifiedName {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
    }
}

struct Binder<'a> {
    policy: &'a Policy,
    catalog: &'a Catalog,
    treatments: Treatments<'a>,
    today: Date,
    faults: Faults,
}

/// The columns of one family: all of them, and those the policy names.
type Family = (Vec<ColumnId>, Vec<ColumnId>);

impl<'a> Binder<'a> {
    fn new(policy: &'a Policy, catalog: &'a Catalog, keys: Keys<'a>, today: Date) -> Self {
        let treatments = Treatments::new(policy, catalog, keys, today);
        Self {
            policy,
            catalog,
            treatments,
            today,
            faults: Faults::default(),
        }
    }

    fn bind(&mut self) -> BoundPolicy {
        if !self.policy.covers(&self.catalog.database) {
            let message = format!(
                "the policy is for {}, and this database is {}",
                self.policy.databases.join(", "),
                self.catalog.database
            );
            self.faults.push(PolicyError::error(message).warning());
        }
        let named = self.resolve();
        let families = families(self.catalog, &named.keys().copied().collect());
        let encrypted = self.encrypted(&named, &families);
        let stored: Vec<ColumnId> = encrypted.keys().copied().collect();
        self.treatments.encrypt(encrypted);
        let system = Arc::new(self.system_relations());
        let functions = Arc::new(functions(self.policy, self.catalog, &mut self.faults));
        let mut roles = HashMap::new();
        for role in self.policy.roles.values() {
            let grants = self.grants(role, (&named, &families, &stored), &system, &functions);
            roles.insert(Arc::clone(&role.name), Arc::new(grants));
        }
        BoundPolicy { roles }
    }

    /// The columns the policy names, as the database knows them.
    fn resolve(&mut self) -> BTreeMap<ColumnId, &'a ColumnName> {
        let mut named = BTreeMap::new();
        let mut missing: BTreeSet<&QualifiedName> = BTreeSet::new();
        for (name, span) in self.policy.named_columns() {
            let table = &name.table;
            let Some(relation) = self.catalog.relation(&table.schema, &table.name) else {
                // One message per table, where the table is named.
                if missing.insert(table) {
                    let class = self.policy.columns.get(name);
                    self.no_table(table, class.map_or(span, |c| &c.table_span));
                }
                continue;
            };
            if is_system_schema(&relation.schema) {
                self.faults.at(
                    span,
                    format!("{table} is PostgreSQL's own and is always clear"),
                );
                continue;
            }
            if matches!(
                relation.kind,
                RelationKind::Sequence | RelationKind::CompositeType
            ) {
                self.faults
                    .at(span, format!("{table} is not a table or view"));
                continue;
            }
            if let Some(column) = relation.column(&name.column) {
                let id = ColumnId {
                    relation: relation.oid,
                    attnum: column.attnum,
                };
                named.insert(id, name);
                continue;
            }
            let known = relation.columns.iter().map(|c| c.name.as_str().to_owned());
            let near = closest(name.column.as_str(), known);
            let message = format!("{table} has no column {}", name.column);
            self.faults
                .push(PolicyError::at(span, message).suggest(near.as_deref()));
        }
        named
    }

    fn no_table(&mut self, table: &QualifiedName, span: &Span) {
        let user = || {
            self.catalog.relations.values().filter(|r| {
                !is_system_schema(&r.schema)
                    && !matches!(r.kind, RelationKind::Sequence | RelationKind::CompositeType)
            })
        };
        // The right table in the wrong schema is the likelier slip.
        let elsewhere = user()
            .filter(|r| r.name == table.name)
            .map(|r| qualified(r).to_string());
        let near = elsewhere
            .min()
            .or_else(|| closest(&table.to_string(), user().map(|r| qualified(r).to_string())));
        let message = format!("the database has no table {table}");
        self.faults
            .push(PolicyError::at(span, message).suggest(near.as_deref()));
    }

    fn system_relations(&self) -> HashSet<Oid> {
        let relations = self.catalog.relations.values();
        relations
            .filter(|r| is_system_schema(&r.schema))
            .map(|r| r.oid)
            .collect()
    }

    fn grants(
        &mut self,
        role: &Role,
        (named, families, stored): (&BTreeMap<ColumnId, &ColumnName>, &[Family], &[ColumnId]),
        system: &Arc<HashSet<Oid>>,
        functions: &Arc<HashSet<(Ident, Ident)>>,
    ) -> Grants {
        let mut rules = HashMap::new();
        if !role.console {
            for family in families {
                self.family(role, named, family, &mut rules);
            }
        }
        self.shown_by_default(role, stored, &mut rules);
        let default = self.default_rule(role);
        let every = |fits: fn(&Treatment) -> bool| {
            fits(&default.treatment) && rules.values().all(|rule| fits(&rule.treatment))
        };
        let unrestricted = every(|treatment| matches!(treatment, Treatment::Clear));
        let sees_all = !unrestricted && every(Treatment::shows_values);
        let observed = self.policy.observation(role) == Observation::On;
        let write = if sees_all && !self.policy.write.rules.contains_key(&*role.name) {
            all_writes(self.catalog)
        } else {
            writes(self.policy, &role.name, self.catalog, &mut self.faults)
        };
        let grants = Grants {
            role: Arc::clone(&role.name),
            unrestricted,
            observe: observed && !unrestricted,
            rules,
            default: Arc::new(default),
            clear: Arc::new(Rule {
                treatment: Treatment::Clear,
                class: Arc::from("system"),
                origin: Arc::from("built in"),
                name: Arc::from(""),
                expired: None,
            }),
            system_relations: Arc::clone(system),
            functions: Arc::clone(functions),
            write,
            settings: Arc::clone(&role.settings),
            memo: super::memo::Memo::default(),
        };
        probes(self.policy, &grants, self.catalog, &mut self.faults);
        grants
    }

    /// The columns that are stored encrypted: those the policy names, with their partitions, children
    /// and parents, whose rows they share.
    fn encrypted(
        &mut self,
        named: &BTreeMap<ColumnId, &'a ColumnName>,
        families: &[Family],
    ) -> HashMap<ColumnId, &'a EncryptedColumn> {
        let mut encrypted: HashMap<ColumnId, &'a EncryptedColumn> = HashMap::new();
        for (members, own) in families {
            let said = own.iter().filter_map(|id| {
                let name: &ColumnName = named.get(id)?;
                self.policy.encrypted.get(name)
            });
            let said: Vec<&'a EncryptedColumn> = said.collect();
            let Some((first, others)) = said.split_first() else {
                continue;
            };
            for other in others {
                if (&other.key, other.backfill) != (&first.key, first.backfill) {
                    let message = format!(
                        "{} and {} share their rows, and are encrypted differently",
                        first.column, other.column
                    );
                    let error = PolicyError::at(&other.span, message);
                    self.faults.push(error.related(&first.span, "the other"));
                }
            }
            for id in members {
                if let Some(why) = self.unfit(*id) {
                    let message = format!("{} cannot be encrypted: {why}", first.column);
                    self.faults.at(&first.span, message);
                }
                encrypted.insert(*id, *first);
            }
        }
        encrypted
    }

    /// Why a column cannot hold encrypted cells, whatever its type.
    fn unfit(&self, id: ColumnId) -> Option<&'static str> {
        let relation = self.catalog.relation_by_oid(id.relation)?;
        let column = relation.attribute(id.attnum)?;
        if !matches!(
            relation.kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
        ) {
            return Some("it is a view's: encrypt the table's column");
        }
        if column.generated.is_some() {
            return Some("it is generated, from values PostgreSQL does not have");
        }
        if column.has_default {
            return Some("it has a default, which PostgreSQL would store as it is");
        }
        if !column.deterministic {
            return Some("its collation is not deterministic, and compares cells by their letters");
        }
        (relation.partition_key)
            .contains(&id.attnum)
            .then_some("its table is partitioned by it")
    }

    /// Encrypted columns that no class and no rule speaks about: what the role's default shows of them.
    fn shown_by_default(
        &mut self,
        role: &Role,
        stored: &[ColumnId],
        rules: &mut HashMap<ColumnId, Arc<Rule>>,
    ) {
        let answer = self.policy.default_answer(role);
        for id in stored {
            if rules.contains_key(id) {
                continue;
            }
            let Some(name) = self.name_of(*id) else {
                continue;
            };
            let bound = self.treatments.bind(&answer, *id, &name, &mut self.faults);
            let rule = Rule {
                treatment: bound.unwrap_or(Treatment::Deny),
                class: Arc::from("unclassified"),
                origin: answer.span.origin(),
                name: Arc::from(""),
                expired: None,
            };
            rules.insert(*id, Arc::new(rule));
        }
    }

    /// The rules of one family of columns for one role.
    fn family(
        &mut self,
        role: &Role,
        named: &BTreeMap<ColumnId, &ColumnName>,
        (members, own): &Family,
        rules: &mut HashMap<ColumnId, Arc<Rule>>,
    ) {
        let answers: BTreeMap<ColumnId, Answer> = own
            .iter()
            .filter_map(|id| Some((*id, self.policy.answer(role, named.get(id)?))))
            .collect();
        let Some(Joined {
            column,
            answer,
            clash,
        }) = strictest(&answers)
        else {
            return;
        };
        if let (Some((a, b)), Some(name)) = (clash, named.get(&column)) {
            let message = format!(
                "{name} and a parent or child of it are treated differently ({} and {}): \
                 role `{}` gets NULL",
                a.word, b.word, role.name
            );
            self.faults.push(
                PolicyError::at(&b.span, message)
                    .warning()
                    .related(&a.span, "and"),
            );
        }
        let class = named
            .get(&column)
            .and_then(|name| self.policy.columns.get(*name));
        let class = class.map_or_else(|| Arc::from("unclassified"), |c| Arc::clone(&c.class));
        // Protection goes both ways, clear only down: a parent nobody classified keeps the default,
        // because it has rows of its own.
        let ruled: Vec<ColumnId> = match answer.word {
            Word::Clear => {
                let ruled = answers
                    .iter()
                    .filter(|(_, a)| a.reason != Reason::Unclassified);
                let ruled: Vec<ColumnId> = ruled.map(|(id, _)| *id).collect();
                heirs(self.catalog, &ruled).into_iter().collect()
            }
            _ => members.clone(),
        };
        let expired = match &answer.word {
            Word::Token(domain) => self.policy.tokens.get(domain),
            Word::Clear | Word::Mask(_) | Word::Nullify | Word::Deny => None,
        };
        let expired = expired.and_then(|domain| domain.expired(self.today));
        for id in &ruled {
            let Some(name) = self.name_of(*id) else {
                continue;
            };
            let bound = self.treatments.bind(&answer, *id, &name, &mut self.faults);
            let rule = Rule {
                // What cannot be bound was reported; until then nobody sees it.
                treatment: bound.unwrap_or(Treatment::Deny),
                class: Arc::clone(&class),
                origin: answer.span.origin(),
                name: match &answer.word {
                    Word::Mask(name) | Word::Token(name) => Arc::clone(name),
                    Word::Clear | Word::Nullify | Word::Deny => Arc::from(""),
                },
                expired,
            };
            rules.insert(*id, Arc::new(rule));
        }
    }

    fn name_of(&self, id: ColumnId) -> Option<ColumnName> {
        let relation = self.catalog.relation_by_oid(id.relation)?;
        let column = relation.attribute(id.attnum)?.name.clone();
        Some(ColumnName {
            table: qualified(relation),
            column,
        })
    }

    fn default_rule(&self, role: &Role) -> Rule {
        let answer = self.policy.default_answer(role);
        Rule {
            treatment: match answer.word {
                Word::Clear => Treatment::Clear,
                Word::Nullify => Treatment::Nullify,
                Word::Deny | Word::Mask(_) | Word::Token(_) => Treatment::Deny,
            },
            class: Arc::from("unclassified"),
            origin: answer.span.origin(),
            name: Arc::from(""),
            expired: None,
        }
    }
}
