//! Columns whose treatment is not simply written in the policy: of views, materialized views,
//! generated columns and system catalogs.
//!
//! A view whose protected columns all reach its outputs by identity stays a view and is masked on
//! top, so that its owner's privileges and its security barrier keep working. Any other use of a
//! protected column inside (a join key, a filter, an expression) would answer from stored values, so
//! such a view is expanded into its query and masked below.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::generated::{ColumnForm, column_form, protected_uses};
use super::inlined::is_inlined;
use super::lineage::{Lineage, OutputColumn, Uses};
use super::scope::{Env, Scope};
use super::{Analyzer, Grounds, Resolve};
use crate::catalog::{Column, ColumnId, Relation, RelationKind, SearchPath, TempTables};
use crate::pg::{AttrNumber, sqlstate};
use crate::policy::{Rule, Treatment};
use crate::refusal::Refusal;
use crate::sql::tree::{Query, Statement, TableAlias, TableRef};

/// Definitions from the catalog name everything with its schema.
pub(super) static CATALOG_PATH: LazyLock<SearchPath> = LazyLock::new(|| SearchPath::new(&[]));

/// And no session's temporary table stands in for anything they name.
pub(super) static NO_TEMP: LazyLock<TempTables> = LazyLock::new(TempTables::default);

/// How deep views of views may go.
pub(super) const DEPTH: usize = 32;

/// What a view is to a role.
pub enum ViewForm {
    /// Nothing protected goes into it.
    Plain,
    /// It stays, and these of its columns are treated like the base columns they are.
    Columns(HashMap<AttrNumber, Arc<Rule>>),
    /// It is replaced by its query (unresolved).
    Expand(Box<Query>),
}

/// Is the relation part of the system catalogs?
pub fn is_system(relation: &Relation) -> bool {
    matches!(
        relation.schema.as_str(),
        "pg_catalog" | "information_schema"
    )
}

/// What a view is to the role.
pub fn view_form(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<Arc<ViewForm>> {
    if is_system(relation) || grounds.grants.unrestricted {
        return Ok(Arc::new(ViewForm::Plain));
    }
    if let Some(known) = grounds.grants.memo.get(relation.oid) {
        return Ok(known);
    }
    // Views can be made to go round in circles, with CREATE OR REPLACE.
    if grounds.views > DEPTH {
        return Err(not_analyzable(relation));
    }
    let form = new_view_form(relation, grounds)?;
    // Asked for each column of each view on top: without memory that is a power of the depth.
    grounds.grants.memo.keep(relation.oid, Arc::clone(&form));
    Ok(form)
}

fn new_view_form(relation: &Arc<Relation>, grounds: Grounds<'_>) -> Resolve<Arc<ViewForm>> {
    let Some(text) = relation.definition.as_deref() else {
        return Err(not_analyzable(relation));
    };
    let mut explicit = HashMap::new();
    for c in &relation.columns {
        let id = ColumnId {
            relation: relation.oid,
            attnum: c.attnum,
        };
        if let Some(rule) = grounds.grants.explicit(id) {
            explicit.insert(c.attnum, Arc::clone(rule));
        }
    }
    // Every column classified by the policy: the view is a table of its own.
    if explicit.len() == relation.columns.len() {
        return Ok(Arc::new(ViewForm::Columns(explicit)));
    }
    let query = definition(text).map_err(|_r| not_analyzable(relation))?;
    let inner = Grounds {
        search_path: &CATALOG_PATH,
        temp: &NO_TEMP,
        views: grounds.views.saturating_add(1),
        ..grounds
    };
    let mut analyzer = Analyzer::new(inner);
    let mut resolved = query.clone();
    let outputs = analyzer
        .query(
            &mut resolved,
            Env {
                outer: None,
                ctes: None,
            },
        )
        .map_err(|r| because(relation, &r))?;
    let lineage = analyzer.lineage;
    let materialized = relation.kind == RelationKind::MaterializedView;
    let inlined = !materialized && is_inlined(&mut resolved, &lineage, inner);
    if !inlined && !protected_uses(&lineage, inner)? {
        return Ok(Arc::new(if explicit.is_empty() {
            ViewForm::Plain
        } else {
            ViewForm::Columns(explicit)
        }));
    }
    if !inlined
        && let Some(mut rules) = identity_rules(relation, &lineage, &outputs, inner, materialized)?
    {
        rules.extend(explicit);
        return Ok(Arc::new(ViewForm::Columns(rules)));
    }
    if materialized {
        return Err(Refusal::denied(format!(
            "permission denied for materialized view {}",
            relation.name
        ))
        .detail("It was computed from protected columns, and holds what they held.")
        .hint("Query the tables it is made of, or have its columns classified in the policy."));
    }
    if relation.security_barrier || lineage.relations.iter().any(|r| r.relation.row_security) {
        return Err(
            Refusal::denied(format!("permission denied for view {}", relation.name))
                .detail(
                    "It computes with protected columns behind a security barrier or row security.",
                )
                .hint("Query the tables it is made of."),
        );
    }
    if !explicit.is_empty() {
        return Err(
            Refusal::denied(format!("permission denied for view {}", relation.name))
                .detail(
                    "It computes with protected columns, and the policy has rules for some of its \
                     columns only.",
                )
                .hint("Query the tables it is made of, or have all its columns classified."),
        );
    }
    Ok(Arc::new(ViewForm::Expand(Box::new(query))))
}

/// The rules of a view's columns, if every protected column goes only to outputs, unchanged. Of a
/// materialized view, computed outputs are denied instead.
fn identity_rules(
    view: &Relation,
    lineage: &Lineage,
    outputs: &[OutputColumn],
    grounds: Grounds<'_>,
    materialized: bool,
) -> Resolve<Option<HashMap<AttrNumber, Arc<Rule>>>> {
    for r in &lineage.relations {
        for (attnum, uses) in &r.columns {
            let clear = matches!(
                column_form(&r.relation, *attnum, grounds)?,
                ColumnForm::Clear
            );
            let only_identity = uses.within(Uses::IDENTITY);
            // What a materialized view computes is denied below; what it filtered by is history.
            let only_value = materialized && uses.within(Uses::IDENTITY.with(Uses::COMPUTE));
            if !clear && !only_identity && !only_value {
                return Ok(None);
            }
        }
    }
    let mut rules = HashMap::new();
    for (o, column) in outputs.iter().zip(&view.columns) {
        if !o.tainted {
            continue;
        }
        match output_rule(o, column, lineage, grounds)? {
            Some(rule) => {
                rules.insert(column.attnum, rule);
            }
            None if materialized => {
                rules.insert(
                    column.attnum,
                    denied_rule("a materialized view's column computed from protected columns"),
                );
            }
            None => return Ok(None),
        }
    }
    Ok(Some(rules))
}

/// The one rule of all sources of an output, if its type is theirs.
fn output_rule(
    output: &OutputColumn,
    column: &Column,
    lineage: &Lineage,
    grounds: Grounds<'_>,
) -> Resolve<Option<Arc<Rule>>> {
    let mut found: Option<Arc<Rule>> = None;
    for s in &output.sources {
        let Some((relation, base)) = lineage.column(*s) else {
            return Ok(None);
        };
        if base.type_oid != column.type_oid || base.typmod != column.typmod {
            return Ok(None);
        }
        let ColumnForm::Rule(rule) = column_form(relation, base.attnum, grounds)? else {
            return Ok(None);
        };
        match &found {
            Some(f) if f.class != rule.class || f.name != rule.name => return Ok(None),
            _ => found = Some(rule),
        }
    }
    Ok(found)
}

pub(super) fn denied_rule(origin: &str) -> Arc<Rule> {
    Arc::new(Rule {
        treatment: Treatment::Deny,
        class: "computed".into(),
        origin: origin.into(),
        name: "".into(),
        expired: None,
    })
}

/// Parses a definition read from the catalog.
pub(super) fn definition(text: &str) -> Resolve<Query> {
    let mut statements = crate::sql::parse(text)?.into_iter().map(|p| p.statement);
    match (statements.next(), statements.next()) {
        (Some(Statement::Query(q)), None) => Ok(*q),
        _ => Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "definition is not a single query",
        )),
    }
}

pub(super) fn not_analyzable(relation: &Relation) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("the definition of {} cannot be analyzed", relation.name),
    )
    .hint("Query the tables it is made of.")
}

/// A refusal inside a view's definition, in the words of the view.
fn because(relation: &Relation, inner: &Refusal) -> Refusal {
    Refusal::denied(format!("permission denied for view {}", relation.name))
        .detail(format!(
            "Its definition cannot be used by the role: {}.",
            inner.message
        ))
        .hint("Query the tables it is made of.")
}

impl Analyzer<'_> {
    /// The role's treatment of a column, of any kind of relation; what is not a rule of the policy
    /// counts as nullified, which is enough for taint and star expansion.
    pub(super) fn column_treatment(
        &self,
        relation: &Arc<Relation>,
        column: &Column,
    ) -> Resolve<Treatment> {
        Ok(match column_form(relation, column.attnum, self.grounds)? {
            ColumnForm::Clear => Treatment::Clear,
            ColumnForm::Rule(rule) => rule.treatment.clone(),
            ColumnForm::Scrub | ColumnForm::NodeTree | ColumnForm::Size(_) | ColumnForm::Null => {
                Treatment::Nullify
            }
            ColumnForm::Generated(g) => {
                let mut denied = false;
                for r in &g.lineage.relations {
                    for attnum in r.columns.keys() {
                        let form = column_form(&r.relation, *attnum, self.grounds)?;
                        denied |= matches!(&form, ColumnForm::Rule(r) if matches!(r.treatment, Treatment::Deny));
                    }
                }
                if denied {
                    Treatment::Deny
                } else {
                    Treatment::Nullify
                }
            }
        })
    }

    /// The rule that denies a column because its token domain is over.
    pub(super) fn expired(
        &self,
        relation: &Arc<Relation>,
        column: &Column,
    ) -> Resolve<Option<Arc<Rule>>> {
        Ok(match column_form(relation, column.attnum, self.grounds)? {
            ColumnForm::Rule(rule) => Some(rule).filter(|rule| rule.expired.is_some()),
            ColumnForm::Clear
            | ColumnForm::Scrub
            | ColumnForm::NodeTree
            | ColumnForm::Size(_)
            | ColumnForm::Null
            | ColumnForm::Generated(_) => None,
        })
    }

    /// Replaces a view by its query.
    pub(super) fn expand_view(
        &mut self,
        table: &mut TableRef,
        view: &Relation,
        query: &Query,
        scope: &Scope<'_>,
    ) -> Resolve<super::from::Brought> {
        let TableRef::Relation(r) = table else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not a relation"));
        };
        if self.expanding.contains(&view.oid) || self.expanding.len() > DEPTH {
            return Err(not_analyzable(view));
        }
        if r.sample.is_some() {
            return Err(Refusal::error(
                "42809",
                "TABLESAMPLE clause can only be applied to tables and materialized views",
            ));
        }
        let given = r.alias.take();
        let mut query = Box::new(query.clone());
        let temp = std::mem::replace(&mut self.grounds.temp, &NO_TEMP);
        let outside = std::mem::replace(&mut self.grounds.search_path, &CATALOG_PATH);
        self.expanding.push(view.oid);
        let outputs = self.query(
            &mut query,
            Env {
                outer: None,
                ctes: None,
            },
        );
        self.expanding.pop();
        self.grounds.search_path = outside;
        self.grounds.temp = temp;
        let mut outputs = outputs.map_err(|e| because(view, &e))?;
        for (o, c) in outputs.iter_mut().zip(&view.columns) {
            o.name = c.name.clone();
        }
        let alias = given.unwrap_or_else(|| TableAlias {
            name: view.name.clone(),
            columns: Vec::new(),
        });
        let outputs = super::query::rename(outputs, &alias.columns, &alias.name)?;
        let printed = self.unique(&alias.name, scope);
        *table = TableRef::Derived {
            lateral: false,
            query,
            alias: Some(TableAlias {
                name: printed.clone(),
                columns: outputs.iter().map(|o| o.name.clone()).collect(),
            }),
        };
        let item = super::from::derived_item(alias.name, printed, outputs);
        let fields = alias.columns.is_empty();
        Ok(super::from::single(super::scope::Item { fields, ..item }))
    }
}
