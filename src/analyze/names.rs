//! Types and collations by name: found by the client's search path, written with their
//! schema.

use std::sync::Arc;

use super::casts::tests_value;
use super::expr::Info;
use super::likeness::scale_of;
use super::lineage::{Source, Uses};
use super::{Analyzer, Resolve};
use crate::catalog::{CastContext, TypeInfo};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Name, TypeName};

impl Analyzer<'_> {
    /// Resolves a type's name in place; array dimensions are counted in the OID.
    pub(super) fn type_name(&self, ty: &mut TypeName) -> Resolve<Oid> {
        let catalog = self.grounds.catalog;
        let info = self.find_type(&ty.name)?;
        ty.name = Name {
            parts: vec![info.schema.clone(), info.name.clone()],
            position: ty.name.position,
        };
        self.no_hidden_test(info.oid)?;
        if ty.array_dims == 0 {
            return Ok(info.oid);
        }
        let element = info.oid;
        catalog
            .types
            .values()
            .find(|t| t.array_element == Some(element))
            .map(|t| t.oid)
            .ok_or_else(|| no_type(&ty.name))
    }

    pub(super) fn find_type(&self, name: &Name) -> Resolve<&TypeInfo> {
        let catalog = self.grounds.catalog;
        let found = match name.parts.as_slice() {
            [t] => self
                .grounds
                .search_path
                .schemas()
                .iter()
                .find_map(|schema| catalog.type_by_name(schema, t)),
            [schema, t] => catalog.type_by_name(schema, t),
            _ => None,
        };
        found.ok_or_else(|| no_type(name))
    }

    /// A cast. Keeps the use it wraps when it changes nothing: varchar to text, a domain to its base.
    pub(super) fn cast(
        &mut self,
        inner: &mut Expr,
        info: Info,
        ty: &mut TypeName,
    ) -> Resolve<Info> {
        let target = self.converted(ty, info.tainted)?;
        self.convertible(&info, target, CastContext::Explicit)?;
        let catalog = self.grounds.catalog;
        self.named_cast(inner, info.ty, target);
        self.parameter_cast(inner, target);
        let base = info.ty.map(|t| catalog.base_type(t));
        let textual = |t: Oid| matches!(t, oid::TEXT | oid::VARCHAR);
        let keeps = ty.typmods.is_empty()
            && ty.array_dims == 0
            && base
                .is_some_and(|b| textual(b) && textual(target) || b == target && b != oid::BPCHAR)
            || ty.typmods.is_empty() && ty.array_dims == 0 && textual(target) && self.texts(&info);
        if keeps && ty.interval_fields.is_none() {
            // Where a length is dropped PostgreSQL describes no column any more.
            let unlimited =
                |s: &Source| self.lineage.column(*s).is_none_or(|(_, c)| c.typmod == -1);
            let same = info.ty == Some(target) && info.sources.iter().all(unlimited);
            return Ok(Info {
                named: info.named && same,
                ty: Some(target),
                ..info
            });
        }
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        Ok(Info {
            tainted: info.tainted,
            ty: Some(target),
            null: info.null,
            alike: self.cast_alike((inner, &info), target),
            scale: cast_scale((ty, target), &info),
            named: false,
            sources: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Is it a text, or a parameter or constant that is one beside tokens? Its type may be open as long as
    /// a parameter's is.
    fn texts(&self, info: &Info) -> bool {
        let textual = |s: &Source| match s {
            Source::List(_) => true,
            Source::Column { .. } => (self.lineage.column(*s))
                .is_some_and(|(_, c)| matches!(c.type_oid, oid::TEXT | oid::VARCHAR)),
        };
        let open = matches!(info.ty, None | Some(oid::UNKNOWN));
        open && !info.sources.is_empty() && info.sources.iter().all(textual)
    }

    /// The type something is converted to, resolved; refuses a domain's constraint over a protected
    /// value.
    pub(super) fn converted(&self, ty: &mut TypeName, tainted: bool) -> Resolve<Oid> {
        let target = self.type_name(ty)?;
        if tainted && self.tested(target) {
            return Err(tests_value(ty.name.parts.last()));
        }
        Ok(target)
    }

    /// Resolves a collation in place.
    pub(super) fn collation(&mut self, name: &mut Name) -> Resolve<()> {
        let catalog = self.grounds.catalog;
        let schemas = self.grounds.search_path.schemas();
        let found = match name.parts.as_slice() {
            [c] => schemas
                .iter()
                .map(|s| (s.clone(), c.clone()))
                .find(|key| catalog.collations.contains_key(key)),
            [s, c] => {
                Some((s.clone(), c.clone())).filter(|key| catalog.collations.contains_key(key))
            }
            _ => None,
        };
        let (schema, collation) = found.ok_or_else(|| {
            Refusal::error(
                sqlstate::UNDEFINED_OBJECT,
                format!(
                    "collation \"{}\" does not exist",
                    name.parts.last().map_or("", Ident::as_str)
                ),
            )
            .at(name.position)
        })?;
        let found = (schema, collation);
        self.lineage.collations = true;
        self.lineage.collated |= catalog.collations.get(&found) != Some(&true);
        name.parts = vec![found.0, found.1];
        Ok(())
    }

    /// The element type of an array type.
    pub(super) fn element_type(&self, ty: Option<Oid>) -> Option<Oid> {
        self.grounds
            .catalog
            .types
            .get(&self.grounds.catalog.base_type(ty?))?
            .array_element
    }

    /// The extension that owns a type, if any.
    pub(super) fn type_extension(&self, ty: Option<Oid>) -> Option<Arc<str>> {
        let catalog = self.grounds.catalog;
        catalog
            .types
            .get(&catalog.base_type(ty?))?
            .extension
            .clone()
    }
}

fn no_type(name: &Name) -> Refusal {
    let written: Vec<&str> = name.parts.iter().map(Ident::as_str).collect();
    Refusal::error(
        sqlstate::UNDEFINED_OBJECT,
        format!("type \"{}\" does not exist", written.join(".")),
    )
    .at(name.position)
}

/// The scale of what is cast to a numeric.
fn cast_scale((ty, target): (&TypeName, Oid), info: &Info) -> Option<u16> {
    match ty.typmods.as_slice() {
        _ if target != oid::NUMERIC || ty.array_dims > 0 => None,
        [] => scale_of(info),
        [_] => Some(0),
        [_, scale, ..] => u16::try_from(*scale).ok(),
    }
}
