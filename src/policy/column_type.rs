//! A catalog column → what masks have to know of its type.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::catalog::{Catalog, Column, TypeKind};
use crate::mask::ColumnType;
use crate::pg::Oid;
use crate::pg::types::oid;

/// Domains of domains; PostgreSQL itself has no limit, but a cycle cannot exist.
const DOMAIN_DEPTH: usize = 32;

/// The column's type, domains resolved. `None` for a type the catalog does not have, or with a
/// modifier that cannot be written down: such a column cannot be masked.
pub(crate) fn column_type(catalog: &Catalog, column: &Column) -> Option<ColumnType> {
    let (base, typmod) = base(catalog, column.type_oid, column.typmod)?;
    let mut ty = written(catalog, base, typmod)?;
    ty.collation.clone_from(&column.collation);
    Some(ty)
}

/// Through domains, to the base type and the modifier that holds for it.
fn base(catalog: &Catalog, type_oid: Oid, typmod: i32) -> Option<(Oid, i32)> {
    let (mut current, mut modifier) = (type_oid, typmod);
    for _ in 0..DOMAIN_DEPTH {
        match &catalog.types.get(&current)?.kind {
            TypeKind::Domain { base, typmod, .. } => {
                current = *base;
                // The innermost modifier is the one PostgreSQL enforces; outer ones cannot exist.
                if *typmod >= 0 {
                    modifier = *typmod;
                }
            }
            _ => return Some((current, modifier)),
        }
    }
    None
}

fn written(catalog: &Catalog, type_oid: Oid, typmod: i32) -> Option<ColumnType> {
    let info = catalog.types.get(&type_oid)?;
    let (element, mut sql) = match info.array_element {
        Some(inner) => {
            let (inner, inner_typmod) = base(catalog, inner, typmod)?;
            let element = written(catalog, inner, inner_typmod)?;
            let sql = format!("{}[]", element.sql);
            (Some(Box::new(element)), sql)
        }
        None => (None, String::new()),
    };
    if element.is_none() {
        if info.schema == "pg_catalog" {
            sql.push_str("pg_catalog.");
            // "char" would be read as char(1) without its quotes.
            if type_oid == oid::CHAR {
                sql.push_str("\"char\"");
            } else {
                sql.push_str(info.name.as_str());
            }
        } else {
            info.schema.quote_into(&mut sql);
            sql.push('.');
            info.name.quote_into(&mut sql);
        }
        modifier(type_oid, typmod, &mut sql)?;
    }
    Some(ColumnType {
        oid: type_oid,
        typmod,
        sql: Arc::from(sql),
        collation: None,
        element,
    })
}

/// A type's modifier as `format_type` writes it. `None` for types whose modifier we cannot write.
fn modifier(type_oid: Oid, typmod: i32, sql: &mut String) -> Option<()> {
    const BIT: Oid = 1560;
    const VARBIT: Oid = 1562;
    const TIMETZ: Oid = 1266;
    if typmod < 0 {
        return Some(());
    }
    let _ = match type_oid {
        oid::VARCHAR | oid::BPCHAR => write!(sql, "({})", typmod.checked_sub(4)?),
        oid::NUMERIC => {
            let packed = typmod.checked_sub(4)?;
            // An 11-bit two's complement, as in numeric_typmod_scale().
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            write!(sql, "({},{scale})", (packed >> 16) & 0xffff)
        }
        BIT | VARBIT | oid::TIME | TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            write!(sql, "({typmod})")
        }
        _ => return None,
    };
    Some(())
}
