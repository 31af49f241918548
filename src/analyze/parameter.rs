//! Parameters: their types, and when they are converted.

use super::Analyzer;
use super::expr::Info;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::Expr;

impl Analyzer<'_> {
    /// `$n`, of the type the client has declared.
    pub(super) fn parameter(&mut self, n: u16) -> Info {
        let times = self.lineage.params.entry(n).or_default();
        *times = times.saturating_add(1);
        let declared = usize::from(n).checked_sub(1);
        let declared: Option<&Oid> = declared.and_then(|n| self.grounds.declared.get(n));
        let known = |ty: &Oid| *ty != oid::UNKNOWN && self.grounds.catalog.types.contains_key(ty);
        let ty = declared.copied().filter(known);
        if ty.is_none() {
            self.lineage.open_params.insert(n);
        }
        Info {
            ty,
            ..Info::default()
        }
    }

    /// A parameter is cast, if `e` is one.
    pub(super) fn parameter_cast(&mut self, e: &Expr, to: Oid) {
        match e {
            Expr::Constant { expr, .. } => self.parameter_cast(expr, to),
            Expr::Param(n) if !matches!(to, oid::TEXT | oid::VARCHAR) => {
                self.lineage.cast_params.push((*n, to));
            }
            _ => {}
        }
    }

    /// Is a parameter converted when a row asks for it? It is of the type it is cast to, unless the client has
    /// declared another, or it stands elsewhere too.
    pub(super) fn converts_late(&self) -> bool {
        let cast = &self.lineage.cast_params;
        cast.iter().any(|(n, to)| {
            let declared = usize::from(*n).checked_sub(1);
            let declared = declared.and_then(|n| self.grounds.declared.get(n)).copied();
            let written = self
                .lineage
                .params
                .get(n)
                .map_or(0, |times| *times as usize);
            match declared.filter(|ty| !matches!(*ty, 0 | oid::UNKNOWN)) {
                Some(ty) => ty != *to,
                None => cast.iter().filter(|one| *one == &(*n, *to)).count() < written,
            }
        })
    }
}
