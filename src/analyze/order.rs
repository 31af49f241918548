//! ORDER BY and windows: what is sorted by, and which of the names is meant.

use super::expr::Info;
use super::lineage::{OutputColumn, Uses};
use super::query::{output_by_name, output_number, position_literal};
use super::scope::{CteFrame, Scope};
use super::select::Inside;
use super::{Analyzer, Resolve};
use crate::sql::tree::{Expr, OrderItem, Window};

impl Analyzer<'_> {
    pub(super) fn order_item(
        &mut self,
        item: &mut OrderItem,
        inside: Inside<'_, '_>,
        outputs: &[OutputColumn],
    ) -> Resolve<()> {
        self.output_or_input(&mut item.expr, inside, outputs, Uses::ORDER, "ORDER BY")?;
        if let Some(op) = &mut item.using {
            self.operator(op, None, None)?;
        }
        Ok(())
    }

    /// ORDER BY and DISTINCT ON: a bare name is an output column first; a number is one.
    pub(super) fn output_or_input(
        &mut self,
        e: &mut Expr,
        inside: Inside<'_, '_>,
        outputs: &[OutputColumn],
        uses: Uses,
        clause: &str,
    ) -> Resolve<()> {
        let position = match e {
            Expr::Name(n) => output_by_name(n, outputs)?,
            _ => output_number(e, outputs.len(), clause)?,
        };
        if let Some(position) = position {
            if let Some(o) = outputs.get(position) {
                self.keyed(&o.sources, uses);
            }
            *e = position_literal(position);
            return Ok(());
        }
        let info = self.expr(e, inside.scope, inside.ctes)?;
        self.keyed(&info.sources, uses);
        Ok(())
    }

    /// PARTITION BY and ORDER BY of a window. Numbers and names have no special meaning there.
    pub(super) fn window(
        &mut self,
        w: &mut Window,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<bool> {
        let mut tainted = false;
        for e in &mut w.partition_by {
            let info = self.expr(e, scope, ctes)?;
            self.grouped(&info.sources);
            tainted |= info.tainted;
        }
        tainted |= self.sort_keys(&mut w.order_by, scope, ctes)?;
        if let Some(frame) = &mut w.frame {
            let bounds = [Some(&mut frame.start), frame.end.as_mut()];
            for bound in bounds.into_iter().flatten() {
                use crate::sql::tree::FrameBound;
                match bound {
                    FrameBound::Preceding(e) | FrameBound::Following(e) => {
                        tainted |= self.compute(e, scope, ctes)?;
                    }
                    FrameBound::UnboundedPreceding
                    | FrameBound::CurrentRow
                    | FrameBound::UnboundedFollowing => {}
                }
            }
        }
        Ok(tainted)
    }

    /// Sort keys that are plain expressions: of windows and aggregates.
    pub(super) fn sort_keys(
        &mut self,
        items: &mut [OrderItem],
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<bool> {
        let infos = self.sorted(items, scope, ctes)?;
        Ok(infos.iter().any(|info| info.tainted))
    }

    /// The same, and what is known of each.
    pub(super) fn sorted(
        &mut self,
        items: &mut [OrderItem],
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Vec<Info>> {
        let mut infos = Vec::with_capacity(items.len());
        for item in items {
            let info = self.expr(&mut item.expr, scope, ctes)?;
            self.lineage.mark_all(&info.sources, Uses::ORDER);
            if let Some(op) = &mut item.using {
                self.operator(op, info.ty, info.ty)?;
            }
            infos.push(info);
        }
        Ok(infos)
    }
}
