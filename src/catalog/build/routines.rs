//! Functions, operators and casts.

use std::collections::HashMap;

use super::{BuildError, Builder};
use crate::catalog::queries::Part;
use crate::catalog::rows::Row;
use crate::catalog::{Called, Cast, CastContext, Function, FunctionKind, OperatorInfo, Volatility};
use crate::ident::Ident;
use crate::pg::Oid;

/// OIDs of the catalogs whose rows extensions own (fixed in `pg_proc.h` and the like).
const PG_PROC: Oid = 1255;
const PG_OPERATOR: Oid = 2617;

impl Builder<'_> {
    pub(super) fn functions(&mut self) -> Result<(), BuildError> {
        let mut out_columns: HashMap<Oid, Vec<(Ident, Oid)>> = HashMap::new();
        for row in self.part(Part::OutColumns)? {
            let column = (row.ident(1)?, row.number(2)?);
            out_columns.entry(row.number(0)?).or_default().push(column);
        }
        for row in self.part(Part::Functions)? {
            let oid: Oid = row.number(0)?;
            let Some(schema) = self.schema(row.number(1)?) else {
                continue;
            };
            let function = Function {
                oid,
                schema,
                kind: match row.text(3)? {
                    "f" => FunctionKind::Function,
                    "a" => FunctionKind::Aggregate,
                    "w" => FunctionKind::Window,
                    "p" => FunctionKind::Procedure,
                    _ => return Err(row.wrong("unknown prokind")),
                },
                volatility: match row.text(4)? {
                    "i" => Volatility::Immutable,
                    "s" => Volatility::Stable,
                    "v" => Volatility::Volatile,
                    _ => return Err(row.wrong("unknown provolatile")),
                },
                args: row.numbers(5)?,
                defaults: row.number(6)?,
                variadic: row.boolean(7)?,
                result: row.number(8)?,
                returns_set: row.boolean(9)?,
                out_columns: out_columns.remove(&oid).unwrap_or_default(),
                extension: self.extension(PG_PROC, oid),
            };
            self.catalog
                .functions
                .entry(row.ident(2)?)
                .or_default()
                .push(function);
        }
        Ok(())
    }

    pub(super) fn operators(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Operators)? {
            let oid: Oid = row.number(0)?;
            let Some(schema) = self.schema(row.number(1)?) else {
                continue;
            };
            let operator = OperatorInfo {
                schema,
                left: row.number(3)?,
                right: row.number(4)?,
                result: row.number(5)?,
                extension: self.extension(PG_OPERATOR, oid),
            };
            self.catalog
                .operators
                .entry(Box::from(row.text(2)?))
                .or_default()
                .push(operator);
        }
        Ok(())
    }

    pub(super) fn casts(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Casts)? {
            let context = match row.text(2)? {
                "i" => CastContext::Implicit,
                "a" => CastContext::Assignment,
                "e" => CastContext::Explicit,
                _ => return Err(row.wrong("unknown castcontext")),
            };
            let function = match row.optional(4)? {
                None => None,
                Some(_) => Some(self.called(&row, 3)?),
            };
            let types = (row.number(0)?, row.number(1)?);
            let cast = Cast { context, function };
            self.catalog.casts.insert(types, cast);
        }
        Ok(())
    }

    pub(super) fn tests(&mut self) -> Result<(), BuildError> {
        for row in self.part(Part::Tests)? {
            let called = self.called(&row, 1)?;
            let tests = self.catalog.tests.entry(row.number(0)?);
            tests.or_default().push(called);
        }
        Ok(())
    }

    /// A function by three fields: OID, schema's OID, name.
    fn called(&self, row: &Row<'_>, first: usize) -> Result<Called, BuildError> {
        let field = |n: usize| first.saturating_add(n);
        let schema = self.schema(row.number(field(1))?);
        Ok(Called {
            schema: schema.unwrap_or_else(|| Ident::exact("")),
            name: row.ident(field(2))?,
            extension: self.extension(PG_PROC, row.number(first)?),
        })
    }
}
