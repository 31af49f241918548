//! Calls with all their clauses, windows, sort keys.

use super::{Printed, Printer, unresolved};
use crate::sql::tree::{
    Call, CallArg, FrameBound, FrameExclusion, FrameUnits, NullsOrder, OrderItem, SortDirection,
    Window, WindowFrame,
};

impl Printer<'_> {
    /// A call with all its clauses.
    pub(super) fn call(&mut self, call: &Call) -> Printed {
        self.qualified(&call.function, "a function name")?;
        self.push("(");
        if call.star {
            if !call.args.is_empty() || call.distinct || !call.order_by.is_empty() {
                return Err(unresolved("a call with * and arguments"));
            }
            self.push("*");
        }
        if call.distinct {
            self.push("DISTINCT ");
        }
        self.separated(&call.args, ", ", Self::argument)?;
        if call.args.iter().rev().skip(1).any(|a| a.variadic) {
            return Err(unresolved("VARIADIC before the last argument"));
        }
        if !call.order_by.is_empty() && !call.within_group {
            self.push(" ORDER BY ");
            self.order_by(&call.order_by)?;
        }
        self.push(")");
        if call.within_group {
            self.push(" WITHIN GROUP (ORDER BY ");
            self.order_by(&call.order_by)?;
            self.push(")");
        }
        if let Some(filter) = &call.filter {
            self.push(" FILTER (WHERE ");
            self.expr(filter)?;
            self.push(")");
        }
        if let Some(window) = &call.over {
            self.push(" OVER ");
            self.over(window)?;
        }
        Ok(())
    }

    /// What follows OVER: a name, or a definition.
    pub(super) fn over(&mut self, window: &Window) -> Printed {
        match &window.base {
            Some(name) if window.is_reference => self.ident(name),
            _ => self.window(window),
        }
    }

    fn argument(&mut self, arg: &CallArg) -> Printed {
        if arg.variadic {
            self.push("VARIADIC ");
        }
        if let Some(name) = &arg.name {
            self.ident(name)?;
            self.push(" => ");
        }
        self.expr(&arg.value)
    }

    /// `(base PARTITION BY … ORDER BY … frame)`
    pub(super) fn window(&mut self, window: &Window) -> Printed {
        if window.is_reference {
            return Err(unresolved("a window reference as a definition"));
        }
        self.push("(");
        if let Some(base) = &window.base {
            self.ident(base)?;
        }
        if !window.partition_by.is_empty() {
            self.push(" PARTITION BY ");
            self.list(&window.partition_by)?;
        }
        if !window.order_by.is_empty() {
            self.push(" ORDER BY ");
            self.order_by(&window.order_by)?;
        }
        if let Some(frame) = &window.frame {
            self.frame(frame)?;
        }
        self.push(")");
        Ok(())
    }

    fn frame(&mut self, frame: &WindowFrame) -> Printed {
        self.push(match frame.units {
            FrameUnits::Rows => " ROWS ",
            FrameUnits::Range => " RANGE ",
            FrameUnits::Groups => " GROUPS ",
        });
        if let Some(end) = &frame.end {
            self.push("BETWEEN ");
            self.bound(&frame.start)?;
            self.push(" AND ");
            self.bound(end)?;
        } else {
            self.bound(&frame.start)?;
        }
        self.push(match frame.exclusion {
            None => "",
            Some(FrameExclusion::CurrentRow) => " EXCLUDE CURRENT ROW",
            Some(FrameExclusion::Group) => " EXCLUDE GROUP",
            Some(FrameExclusion::Ties) => " EXCLUDE TIES",
            Some(FrameExclusion::NoOthers) => " EXCLUDE NO OTHERS",
        });
        Ok(())
    }

    fn bound(&mut self, bound: &FrameBound) -> Printed {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
            FrameBound::Preceding(offset) => {
                self.expr(offset)?;
                self.push(" PRECEDING");
            }
            FrameBound::Following(offset) => {
                self.expr(offset)?;
                self.push(" FOLLOWING");
            }
        }
        Ok(())
    }

    /// Sort keys.
    pub(super) fn order_by(&mut self, items: &[OrderItem]) -> Printed {
        self.separated(items, ", ", |p, item| {
            p.expr(&item.expr)?;
            if let Some(using) = &item.using {
                p.push(" USING ");
                p.operator(using)?;
            }
            p.sorted(item.direction, item.nulls);
            Ok(())
        })
    }

    /// `[ASC | DESC] [NULLS FIRST | LAST]`
    pub(super) fn sorted(&mut self, direction: SortDirection, nulls: NullsOrder) {
        self.push(match direction {
            SortDirection::Default => "",
            SortDirection::Asc => " ASC",
            SortDirection::Desc => " DESC",
        });
        self.push(match nulls {
            NullsOrder::Default => "",
            NullsOrder::First => " NULLS FIRST",
            NullsOrder::Last => " NULLS LAST",
        });
    }
}
