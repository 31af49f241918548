//! One step down an expression: its operands and the subqueries in it, in the order they are written.
//!
//! Every form is matched and no field is skipped, so a new one does not compile until it says what is
//! inside it. Deliberately absent: FROM, and what a query holds (`within`): most who walk those want to
//! know which clause it is in.

use super::expr::{Expr, Subscript};
use super::keyword::{KeywordForm, Piece};
use super::query::{GroupItem, OrderItem, Query};
use super::window::{FrameBound, Window};
use crate::refusal::Refusal;

/// Something inside an expression.
pub enum Part<'e> {
    /// An operand.
    Expr(&'e mut Expr),
    /// A subquery.
    Query(&'e mut Query),
}

/// What a walk returns.
pub type Walked = Result<(), Refusal>;

/// What is done with each part.
pub type Visit<'v> = dyn FnMut(Part<'_>) -> Walked + 'v;

impl Expr {
    /// Is one of its parts like this? Asked of each until one is.
    pub fn any_part(&mut self, like: impl FnMut(Part<'_>) -> bool) -> bool {
        any(like, |visit| self.parts(visit))
    }

    /// A condition as those that must all hold.
    pub fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(all) => all.iter().flat_map(Self::conjuncts).collect(),
            one => vec![one],
        }
    }

    /// Is there a query in it?
    pub fn has_query(&mut self) -> bool {
        self.any_part(|part| match part {
            Part::Expr(inner) => inner.has_query(),
            Part::Query(_) => true,
        })
    }

    /// Visits what is directly inside.
    pub fn parts(&mut self, visit: &mut Visit<'_>) -> Walked {
        match self {
            Self::Name(_)
            | Self::Column(_)
            | Self::WholeRow {
                qualifier: _,
                base: _,
            }
            | Self::Param(_)
            | Self::Literal(_)
            | Self::SystemValue(_)
            | Self::Star(_)
            | Self::CurrentOf(_) => Ok(()),
            Self::Constant {
                list: _,
                member: _,
                expr: e,
            }
            | Self::Held { held: _, expr: e }
            | Self::Unary(_, e)
            | Self::Not(e)
            | Self::Test(e, _)
            | Self::Cast(e, _)
            | Self::Collate(e, _)
            | Self::Field(e, _) => visit(Part::Expr(e)),
            Self::Binary(a, _, b)
            | Self::NullIf(a, b)
            | Self::IsDistinct {
                left: a,
                right: b,
                negated: _,
            }
            | Self::QuantifiedArray {
                left: a,
                op: _,
                quantifier: _,
                array: b,
            } => {
                visit(Part::Expr(a))?;
                visit(Part::Expr(b))
            }
            Self::And(list)
            | Self::Or(list)
            | Self::Array(list)
            | Self::Row {
                fields: list,
                explicit: _,
            }
            | Self::Coalesce(list)
            | Self::Greatest(list)
            | Self::Least(list)
            | Self::Grouping(list) => each(list, visit),
            Self::Between {
                expr,
                low,
                high,
                negated: _,
                symmetric: _,
            } => {
                visit(Part::Expr(expr))?;
                visit(Part::Expr(low))?;
                visit(Part::Expr(high))
            }
            Self::InList {
                expr,
                list,
                negated: _,
            } => {
                visit(Part::Expr(expr))?;
                each(list, visit)
            }
            Self::InQuery {
                expr: left,
                query,
                negated: _,
            }
            | Self::QuantifiedQuery {
                left,
                op: _,
                quantifier: _,
                query,
            } => {
                visit(Part::Expr(left))?;
                visit(Part::Query(query))
            }
            Self::Exists(q) | Self::Subquery(q) | Self::ArrayQuery(q) => visit(Part::Query(q)),
            Self::Case {
                operand,
                branches,
                otherwise,
            } => {
                each(operand.as_deref_mut(), visit)?;
                each(branches.iter_mut().flat_map(|(w, t)| [w, t]), visit)?;
                each(otherwise.as_deref_mut(), visit)
            }
            Self::Call(call) => {
                each(call.args.iter_mut().map(|a| &mut a.value), visit)?;
                sort_keys(&mut call.order_by, visit)?;
                each(call.filter.as_deref_mut(), visit)?;
                match &mut call.over {
                    Some(over) => over.parts(visit),
                    None => Ok(()),
                }
            }
            Self::Subscripts(e, subscripts) => {
                visit(Part::Expr(e))?;
                for subscript in subscripts {
                    match subscript {
                        Subscript::Index(i) => visit(Part::Expr(i))?,
                        Subscript::Slice(lo, hi) => {
                            each(lo.iter_mut().chain(hi.iter_mut()), visit)?;
                        }
                    }
                }
                Ok(())
            }
            Self::Keyword(form) => form.parts(visit),
        }
    }
}

impl GroupItem {
    /// Is there a query in one of its expressions?
    pub fn has_query(&mut self) -> bool {
        match self {
            Self::Empty => false,
            Self::Expr(e) => e.has_query(),
            Self::List(list) => list.iter_mut().any(Expr::has_query),
            Self::Rollup(sets) | Self::Cube(sets) => sets.iter_mut().flatten().any(Expr::has_query),
            Self::Sets(items) => items.iter_mut().any(Self::has_query),
        }
    }
}

/// Is one of those that a walk visits like this?
fn any(
    mut like: impl FnMut(Part<'_>) -> bool,
    walk: impl FnOnce(&mut Visit<'_>) -> Walked,
) -> bool {
    let mut found = false;
    let walked = walk(&mut |part| {
        found = found || like(part);
        Ok(())
    });
    found || walked.is_err()
}

impl KeywordForm {
    /// Is one of its parts like this?
    pub fn any_part(&mut self, like: impl FnMut(Part<'_>) -> bool) -> bool {
        any(like, |visit| self.parts(visit))
    }

    /// Visits the values and subqueries in its places.
    pub fn parts(&mut self, visit: &mut Visit<'_>) -> Walked {
        for piece in &mut self.pieces {
            match piece {
                Piece::Word(_) | Piece::Type(_) | Piece::Name(_) | Piece::String(_) => {}
                Piece::Expr(e) | Piece::Labelled(e, _) => visit(Part::Expr(e))?,
                Piece::Query(q) => visit(Part::Query(q))?,
                Piece::OrderBy(items) => sort_keys(items, visit)?,
                Piece::Over(window) => window.parts(visit)?,
            }
        }
        Ok(())
    }
}

impl Window {
    /// Is one of its parts like this?
    pub fn any_part(&mut self, like: impl FnMut(Part<'_>) -> bool) -> bool {
        any(like, |visit| self.parts(visit))
    }

    /// Visits its keys and the offsets of its frame.
    pub fn parts(&mut self, visit: &mut Visit<'_>) -> Walked {
        each(&mut self.partition_by, visit)?;
        sort_keys(&mut self.order_by, visit)?;
        let Some(frame) = &mut self.frame else {
            return Ok(());
        };
        for bound in [Some(&mut frame.start), frame.end.as_mut()]
            .into_iter()
            .flatten()
        {
            match bound {
                FrameBound::Preceding(e) | FrameBound::Following(e) => visit(Part::Expr(e))?,
                FrameBound::UnboundedPreceding
                | FrameBound::CurrentRow
                | FrameBound::UnboundedFollowing => {}
            }
        }
        Ok(())
    }
}

fn sort_keys(items: &mut [OrderItem], visit: &mut Visit<'_>) -> Walked {
    each(items.iter_mut().map(|i| &mut i.expr), visit)
}

fn each<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>, visit: &mut Visit<'_>) -> Walked {
    exprs.into_iter().try_for_each(|e| visit(Part::Expr(e)))
}
