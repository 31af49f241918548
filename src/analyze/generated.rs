//! Columns as a role sees them: clear, under a rule, or generated from others.

use super::view::{
    CATALOG_PATH, NO_TEMP, ViewForm, definition, denied_rule, is_system, not_analyzable, view_form,
};
use std::sync::Arc;

use super::lineage::Lineage;
use super::scope::Scope;
use super::sizes::Untold;
use super::{Analyzer, Grounds, Resolve};
use crate::catalog::allow::{CatalogColumn, catalog_column};
use crate::catalog::{Column, ColumnId, Relation, RelationKind};
use crate::ident::Ident;
use crate::pg::{AttrNumber, sqlstate};
use crate::policy::{Rule, Treatment};
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, RelationRef, SelectItem, SetExpr, TableAlias};

/// What a column of a base relation is to a role.
pub enum ColumnForm {
    /// As stored.
    Clear,
    /// A rule of the policy.
    Rule(Arc<Rule>),
    /// A catalog column with SQL text: its literals are scrubbed.
    Scrub,
    /// A catalog column with a node tree: only `pg_get_expr` may read it.
    NodeTree,
    /// A catalog column that says how large relations are: of these not.
    Size(Arc<Untold>),
    /// A catalog column nobody restricted may read: NULL.
    Null,
    /// A generated column, recomputed from what the role sees of its inputs.
    Generated(Box<Generated>),
}

impl ColumnForm {
    /// Does the role see the values themselves, however they are stored?
    pub fn shows_values(&self) -> bool {
        match self {
            Self::Clear => true,
            Self::Rule(rule) => rule.treatment.shows_values(),
            Self::Scrub | Self::NodeTree | Self::Size(_) | Self::Null | Self::Generated(_) => false,
        }
    }
}

/// A generated column's expression over the relation aliased [`crate::sql::print::INNER_ALIAS`].
pub struct Generated {
    /// The expression, resolved.
    pub expr: Expr,
    /// What it reads.
    pub lineage: Lineage,
}

/// What a column is to the role. Total.
pub fn column_form(
    relation: &Arc<Relation>,
    attnum: AttrNumber,
    grounds: Grounds<'_>,
) -> Resolve<ColumnForm> {
    if attnum < 0 || relation.temporary {
        return Ok(ColumnForm::Clear);
    }
    let Some(column) = relation.attribute(attnum) else {
        return Err(Refusal::error(
            sqlstate::UNDEFINED_COLUMN,
            "column does not exist",
        ));
    };
    if is_system(relation) {
        let seen = catalog_column(
            relation.schema.as_str(),
            relation.name.as_str(),
            column.name.as_str(),
        );
        return Ok(match seen {
            CatalogColumn::Clear => ColumnForm::Clear,
            CatalogColumn::Scrub => ColumnForm::Scrub,
            CatalogColumn::NodeTree => ColumnForm::NodeTree,
            CatalogColumn::Size => super::sizes::size_form(grounds)?,
            CatalogColumn::Null => ColumnForm::Null,
        });
    }
    let id = ColumnId {
        relation: relation.oid,
        attnum,
    };
    if let Some(rule) = grounds.grants.explicit(id) {
        return Ok(rule_form(rule));
    }
    if let RelationKind::View | RelationKind::MaterializedView = relation.kind {
        return Ok(match view_form(relation, grounds)?.as_ref() {
            ViewForm::Columns(rules) => rules.get(&attnum).map_or(ColumnForm::Clear, rule_form),
            ViewForm::Plain | ViewForm::Expand(_) => ColumnForm::Clear,
        });
    }
    let rule = grounds.grants.rule(id);
    if !matches!(rule.treatment, Treatment::Clear) {
        return Ok(rule_form(rule));
    }
    let own = match &column.generated {
        None => ColumnForm::Clear,
        Some(_) if reads_denied(relation, column, grounds) => {
            return Ok(ColumnForm::Rule(denied_rule(
                "a generated column computed from a denied one",
            )));
        }
        Some(expression) => {
            let generated = generated(relation, expression, grounds)?;
            if protected_uses(&generated.lineage, grounds)? {
                ColumnForm::Generated(Box::new(generated))
            } else {
                ColumnForm::Clear
            }
        }
    };
    // What is stored there is not what the relation's own expression gives.
    for (_, heir) in (relation.generated_below.iter()).filter(|(a, _)| *a == attnum) {
        let below = grounds.catalog.relation_by_oid(*heir);
        let below = below.and_then(|heir| Some((heir, heir.column(&column.name)?.attnum)));
        let clear = match below {
            Some((heir, attnum)) => {
                matches!(column_form(heir, attnum, grounds)?, ColumnForm::Clear)
            }
            None => false,
        };
        if !(clear && matches!(own, ColumnForm::Clear)) {
            return Ok(ColumnForm::Rule(denied_rule(
                "a column that a partition or an heir generates otherwise",
            )));
        }
    }
    Ok(own)
}

/// Is an input of a generated column denied? Then the masked copy has neither.
fn reads_denied(relation: &Relation, column: &Column, grounds: Grounds<'_>) -> bool {
    let denied = |attnum: AttrNumber| {
        let id = ColumnId {
            relation: relation.oid,
            attnum,
        };
        matches!(grounds.grants.rule(id).treatment, Treatment::Deny)
    };
    if column.inputs.contains(&0) {
        return relation.columns.iter().any(|c| denied(c.attnum));
    }
    column.inputs.iter().any(|a| denied(*a))
}

fn rule_form(rule: &Arc<Rule>) -> ColumnForm {
    match rule.treatment {
        Treatment::Clear => ColumnForm::Clear,
        Treatment::Mask(_) | Treatment::Token(_) | Treatment::Nullify | Treatment::Deny => {
            ColumnForm::Rule(Arc::clone(rule))
        }
    }
}

/// Does a lineage use a column the role does not see clearly?
pub(super) fn protected_uses(lineage: &Lineage, grounds: Grounds<'_>) -> Resolve<bool> {
    for r in &lineage.relations {
        for attnum in r.columns.keys() {
            if !matches!(
                column_form(&r.relation, *attnum, grounds)?,
                ColumnForm::Clear
            ) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Parses and resolves a generated column's expression.
pub(super) fn generated(
    relation: &Arc<Relation>,
    expression: &str,
    grounds: Grounds<'_>,
) -> Resolve<Generated> {
    let mut expr = match definition(&format!("SELECT {expression}"))?.body {
        SetExpr::Select(s) => match s.items.into_iter().next() {
            Some(SelectItem::Expr { expr, .. }) => expr,
            _ => return Err(not_analyzable(relation)),
        },
        _ => return Err(not_analyzable(relation)),
    };
    let grounds = Grounds {
        search_path: &CATALOG_PATH,
        temp: &NO_TEMP,
        ..grounds
    };
    let mut analyzer = Analyzer::new(grounds);
    // Its own generated columns cannot be inputs (PostgreSQL forbids it), so this ends.
    let mut plain = relation.as_ref().clone();
    plain.columns.retain(|c| c.generated.is_none());
    let plain = Arc::new(plain);
    let mut reference = RelationRef {
        name: crate::sql::tree::Name::made(vec![relation.schema.clone(), relation.name.clone()]),
        only: false,
        alias: Some(TableAlias {
            name: Ident::exact(crate::sql::print::INNER_ALIAS),
            columns: Vec::new(),
        }),
        sample: None,
        id: None,
    };
    let none = Scope {
        parent: None,
        items: &[],
        columns: &[],
    };
    let item = analyzer.base_relation(&mut reference, &plain, &none)?;
    let columns = item.columns.clone();
    let items = [item];
    let scope = Scope {
        parent: None,
        items: &items,
        columns: &columns,
    };
    analyzer.compute(&mut expr, &scope, None)?;
    Ok(Generated {
        expr,
        lineage: analyzer.lineage,
    })
}
