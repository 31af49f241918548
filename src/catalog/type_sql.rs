//! A type as SQL: qualified, quoted, with its modifiers, so that it means one type whatever the
//! search path is.
//!
//! `format_type` (kept in [`Column::type_sql`](super::Column)) prints built-in types under SQL
//! spellings, which is what people read; this is what is sent.

use super::{Catalog, Column, TypeKind};
use crate::mask::ColumnType;
use crate::pg::Oid;
use crate::pg::types::oid;

/// `bittypmodin`'s types and `time(p)`'s have their modifier as it is.
const BIT: Oid = 1560;
const VARBIT: Oid = 1562;
const TIMETZ: Oid = 1266;

/// `VARHDRSZ`: modifiers of varchar, bpchar and numeric count from it.
const HEADER: i32 = 4;

impl Catalog {
    /// A type with its modifier: `"pg_catalog"."varchar"(160)`, `"pg_catalog"."int4"[]`,
    /// `"crm"."address"`. `None` for an unknown type, and for a modifier only the type's own
    /// `typmodout` could print (those of extensions).
    pub fn type_sql(&self, oid: Oid, typmod: i32) -> Option<String> {
        let info = self.types.get(&oid)?;
        // Array types are named after their element, `int2vector` and `oidvector` are not.
        if let Some(element) = info.array_element
            && info.name.as_str().starts_with('_')
        {
            return self.type_sql(element, typmod).map(|sql| sql + "[]");
        }
        let mut sql = info.schema.quoted();
        sql.push('.');
        info.name.quote_into(&mut sql);
        if typmod >= 0 {
            sql.push_str(&modifier(oid, typmod)?);
        }
        Some(sql)
    }

    /// A column's type as masks see it: a domain is its base type, with the modifier the domain
    /// gives. `None` when the catalog does not know the type.
    pub fn column_type(&self, column: &Column) -> Option<ColumnType> {
        let (base, typmod) = self.unfold(column.type_oid, column.typmod);
        let sql = match self.type_sql(base, typmod) {
            Some(sql) => sql,
            // A modifier of an extension's type: `format_type` has printed it, and qualified it.
            None if base == column.type_oid && self.is_foreign(base) => column.type_sql.to_string(),
            // A domain over such a type: without the modifier, which cuts nothing.
            None => self.type_sql(base, -1)?,
        };
        let element = self.types.get(&base).and_then(|t| t.array_element);
        let element = element.and_then(|element| self.element_type(element, typmod, column));
        Some(ColumnType {
            oid: base,
            typmod,
            sql: sql.into(),
            collation: column.collation.clone(),
            element: element.map(Box::new),
            domain: base != column.type_oid,
        })
    }

    /// Elements have their array's modifier and collation. An array of arrays does not exist.
    fn element_type(&self, element: Oid, typmod: i32, column: &Column) -> Option<ColumnType> {
        let (base, typmod) = self.unfold(element, typmod);
        let sql = self
            .type_sql(base, typmod)
            .or_else(|| self.type_sql(base, -1))?;
        Some(ColumnType {
            oid: base,
            typmod,
            sql: sql.into(),
            collation: column.collation.clone(),
            element: None,
            domain: base != element,
        })
    }

    /// Through domains to the base type and the effective modifier, as `getBaseTypeAndTypmod`.
    fn unfold(&self, oid: Oid, typmod: i32) -> (Oid, i32) {
        let (mut current, mut effective) = (oid, typmod);
        for _ in 0..32 {
            match self.types.get(&current).map(|t| &t.kind) {
                Some(TypeKind::Domain { base, typmod, .. }) => {
                    current = *base;
                    effective = *typmod;
                }
                _ => break,
            }
        }
        (current, effective)
    }

    fn is_foreign(&self, oid: Oid) -> bool {
        self.types
            .get(&oid)
            .is_some_and(|t| t.schema != "pg_catalog")
    }
}

/// A built-in type's modifier as the numbers its `typmodin` takes; empty when it means nothing.
fn modifier(oid: Oid, typmod: i32) -> Option<String> {
    match oid {
        oid::VARCHAR | oid::BPCHAR => {
            let length = typmod.checked_sub(HEADER).filter(|l| *l > 0)?;
            Some(format!("({length})"))
        }
        oid::NUMERIC => {
            // numeric_typmod_precision and numeric_typmod_scale: 11 signed bits of scale.
            let packed = typmod.checked_sub(HEADER).filter(|p| *p >= 0)?;
            let precision = (packed >> 16) & 0xffff;
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            Some(format!("({precision}, {scale})"))
        }
        oid::TIME | TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | BIT | VARBIT => {
            Some(format!("({typmod})"))
        }
        oid::INTERVAL => {
            // INTERVAL_RANGE and INTERVAL_PRECISION; 0xffff is INTERVAL_FULL_PRECISION.
            let (range, precision) = ((typmod >> 16) & 0x7fff, typmod & 0xffff);
            if precision == 0xffff {
                Some(format!("({range})"))
            } else {
                Some(format!("({range}, {precision})"))
            }
        }
        _ => None,
    }
}
