//! What `LIKE t INCLUDING …` copies of a permanent table. It is written out: what PostgreSQL gets is a table
//! that the role could have made by itself.
//!
//! Deliberately absent: conditions and generated columns, which are copied of temporary tables only, and what
//! nobody sees of a table of one session: comments, storage, statistics, and indexes that are no keys.

use super::plan::PlanContext;
use super::statement::grounds;
use crate::analyze::LikeColumn;
use crate::catalog::{Index, Relation};
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{TempColumn, TempKey, TempLike};

/// A column: name, type, collation, NOT NULL, and what is included.
pub(super) fn column(
    copied: &LikeColumn,
    like: &TempLike,
    ctx: &PlanContext<'_>,
) -> Result<TempColumn, Refusal> {
    let column = &copied.column;
    let catalog = &ctx.snapshot.catalog;
    let Some(mut ty) = catalog.type_sql(column.type_oid, column.typmod) else {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("LIKE cannot copy the type of column {}", column.name),
        )
        .hint("Write the columns out.")
        .at(like.name.position));
    };
    if let Some((schema, collation)) = &column.collation {
        ty.push_str(" COLLATE ");
        schema.quote_into(&mut ty);
        ty.push('.');
        collation.quote_into(&mut ty);
    }
    let numbered = column.has_default && column.default_oid == 0;
    let identity = match column.identity {
        _ if !(numbered && includes(like, "identity")) => None,
        None => return Err(not_copied("identity", like)),
        known => known,
    };
    if column.generated.is_some() && includes(like, "generated") {
        return Err(not_copied("generated", like));
    }
    let set = column.has_default && !numbered && column.generated.is_none();
    let default = match &column.default {
        _ if !(set && includes(like, "defaults")) => None,
        None => {
            let message = format!(
                "permission denied for the default of column {}",
                column.name
            );
            return Err(Refusal::denied(message)
                .detail("The role does not see the column as it is stored.")
                .hint("EXCLUDING DEFAULTS leaves it out.")
                .at(like.name.position));
        }
        Some(text) => {
            let read = crate::analyze::analyze_default(text, grounds(ctx));
            // What it says there is not the client's text.
            Some(read.map_err(|refusal| refusal.at(like.name.position))?)
        }
    };
    Ok(TempColumn {
        name: column.name.clone(),
        ty: None,
        serial: None,
        identity,
        collation: None,
        copied: Some(ty.into()),
        not_null: column.not_null,
        primary_key: false,
        unique: false,
        default,
    })
}

/// Keys, if indexes are included: those of columns in which what is different looks different.
pub(super) fn keys(
    relation: &Relation,
    copied: &[LikeColumn],
    like: &TempLike,
) -> Result<Vec<TempKey>, Refusal> {
    let includes_any = like.options.iter().any(|(including, _)| *including);
    if includes_any && copied.len() < relation.columns.len() {
        return Err(Refusal::denied(
            "LIKE … INCLUDING is refused where the table has a denied column",
        )
        .hint("LIKE alone copies names, types and NOT NULL.")
        .at(like.name.position));
    }
    if includes(like, "constraints") && !relation.checks.is_empty() {
        return Err(not_copied("constraints", like));
    }
    if !includes(like, "indexes") {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    let mut primary = (!relation.primary_key.is_empty()).then_some(&relation.primary_key);
    for index in relation.indexes.iter().filter(|i| i.unique || i.exclusion) {
        if !is_plain(index) {
            return Err(not_copied("indexes", like));
        }
        let attributes = index.columns.get(..index.keys).unwrap_or_default();
        let named = attributes.iter().map(|attnum| {
            let column = copied.iter().find(|c| c.column.attnum == *attnum);
            column.filter(|c| c.distinct).map(|c| c.column.name.clone())
        });
        let is_primary = primary.is_some_and(|key| key.as_slice() == attributes);
        if is_primary {
            primary = None;
        }
        if let Some(columns) = named.collect() {
            keys.push(TempKey {
                name: None,
                primary: is_primary,
                columns,
            });
        }
    }
    Ok(keys)
}

/// Its columns are all there is to it.
fn is_plain(index: &Index) -> bool {
    let whole = index.predicate.is_empty() && index.expression_columns.is_empty();
    let columns = index.columns.iter().all(|attnum| *attnum != 0);
    let usual = !index.exclusion && index.immediate && !index.nulls_not_distinct;
    whole && columns && usual
}

/// The last option that speaks of it counts.
fn includes(like: &TempLike, what: &str) -> bool {
    let mut options = like.options.iter().rev();
    let last = options.find(|(_, option)| **option == *what || **option == *"all");
    last.is_some_and(|(including, _)| *including)
}

fn not_copied(what: &str, like: &TempLike) -> Refusal {
    let word = what.to_ascii_uppercase();
    Refusal::denied(format!(
        "LIKE … INCLUDING {word} of this table is not available to a restricted role"
    ))
    .detail("Conditions, indexes and generated columns may be expressions of its owner.")
    .hint(format!(
        "Add EXCLUDING {word}, or include DEFAULTS and what else is needed by name."
    ))
    .at(like.name.position)
}
