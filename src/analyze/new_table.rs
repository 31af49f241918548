//! What a new temporary table and its indexes say of themselves: conditions and keys over its own columns, and tables
//! it is like.
//!
//! A table's shape is no secret, but a denied column is not there to be copied, nor a default that gives what
//! the role would not see. A default is its owner's expression: the role's, where it could have written it.

use std::sync::Arc;

use super::lineage::Lineage;
use super::scope::Scope;
use super::view::{CATALOG_PATH, NO_TEMP, definition};
use super::{Analyzer, Grounds, Resolve};
use crate::catalog::temp::SCHEMA;
use crate::catalog::{Column, Relation};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{CreateIndex, Expr, Name, RelationRef, SelectItem, SetExpr};

/// What `LIKE t` names.
pub enum Like {
    /// A temporary table of the session: PostgreSQL copies it, whatever is included.
    Temporary(Arc<Relation>),
    /// The columns of another as the role sees them.
    Columns(Arc<Relation>, Vec<LikeColumn>),
}

/// A column of a permanent table as a role sees it.
pub struct LikeColumn {
    /// Without its default, if the role does not see what that would give.
    pub column: Column,
    /// No two of its values look the same.
    pub distinct: bool,
}

/// Resolves the conditions of a new table in place.
pub fn analyze_checks(
    table: &Arc<Relation>,
    checks: &mut [(Option<Ident>, Expr)],
    grounds: Grounds<'_>,
) -> Resolve<Lineage> {
    over(table, grounds, |analyzer, scope| {
        for (_, condition) in checks {
            analyzer.compute(condition, scope, None)?;
        }
        Ok(())
    })
}

/// Resolves what a new index is of in place.
pub fn analyze_index(
    table: &Arc<Relation>,
    index: &mut CreateIndex,
    grounds: Grounds<'_>,
) -> Resolve<Lineage> {
    over(table, grounds, |analyzer, scope| {
        for key in &mut index.keys {
            analyzer.index_element(&mut key.element, scope, None)?;
        }
        if let Some(filter) = &mut index.filter {
            analyzer.compute(filter, scope, None)?;
        }
        Ok(())
    })
}

/// With the columns of a table in scope.
fn over(
    table: &Arc<Relation>,
    grounds: Grounds<'_>,
    resolve: impl FnOnce(&mut Analyzer<'_>, &Scope<'_>) -> Resolve<()>,
) -> Resolve<Lineage> {
    let mut analyzer = Analyzer::new(grounds);
    let none = Scope {
        parent: None,
        items: &[],
        columns: &[],
    };
    let mut reference = RelationRef {
        name: Name::made(vec![table.schema.clone(), table.name.clone()]),
        only: false,
        alias: None,
        sample: None,
        id: None,
    };
    let item = analyzer.base_relation(&mut reference, table, &none)?;
    let items = [item];
    let scope = Scope {
        parent: None,
        items: &items,
        columns: items.first().map_or(&[], |item| &item.columns),
    };
    resolve(&mut analyzer, &scope)?;
    Ok(analyzer.lineage)
}

/// Resolves a collation in place. Are texts equal under it only if they are the same?
pub fn resolve_collation(name: &mut Name, grounds: Grounds<'_>) -> Resolve<bool> {
    let mut analyzer = Analyzer::new(grounds);
    analyzer.collation(name)?;
    Ok(!analyzer.lineage.collated)
}

/// PostgreSQL's error, if there is no relation of that name.
pub fn relation_exists(name: &Name, grounds: Grounds<'_>) -> Resolve<()> {
    Analyzer::new(grounds).find_relation(name).map(|_| ())
}

/// Finds the table a new one is like.
pub fn like(name: &Name, grounds: Grounds<'_>) -> Resolve<Like> {
    let analyzer = Analyzer::new(grounds);
    let relation = analyzer.find_relation(name)?;
    if relation.schema == SCHEMA {
        return Ok(Like::Temporary(relation));
    }
    analyzer.selectable(&relation, name.position)?;
    let mut columns = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        let mut copy = column.clone();
        let treatment = analyzer.column_treatment(&relation, column)?;
        let distinct = matches!(treatment, Treatment::Clear | Treatment::Token(_));
        match treatment {
            Treatment::Clear => {}
            Treatment::Deny => continue,
            Treatment::Mask(_) => copy.default = None,
            // The role sees NULL there, and tokens longer than what they stand for.
            Treatment::Nullify => (copy.not_null, copy.default) = (false, None),
            Treatment::Token(token) => {
                (copy.not_null, copy.default) = (false, None);
                (copy.type_oid, copy.typmod) = (token.output_type().0, -1);
            }
        }
        columns.push(LikeColumn {
            column: copy,
            distinct,
        });
    }
    Ok(Like::Columns(relation, columns))
}

/// A default of the database's own as an expression of the role's: it calls nothing that the role may not.
pub fn analyze_default(expression: &str, grounds: Grounds<'_>) -> Resolve<Expr> {
    let unknown = || {
        Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "a default of this table cannot be analyzed",
        )
    };
    let mut expr = match definition(&format!("SELECT {expression}"))?.body {
        SetExpr::Select(s) => match s.items.into_iter().next() {
            Some(SelectItem::Expr { expr, .. }) => expr,
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    let grounds = Grounds {
        search_path: &CATALOG_PATH,
        temp: &NO_TEMP,
        ..grounds
    };
    let read = super::analyze_values(std::slice::from_mut(&mut expr), grounds)?;
    if !read.relations.is_empty() {
        return Err(unknown());
    }
    Ok(expr)
}
