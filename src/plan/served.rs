//! An index of stored values serves a comparison with tokens that keep a shape (`kind: ff1`).
//!
//! Such a column is `CASE WHEN <it is of the shape> THEN value END`, of which no index is. Where rows are
//! chosen, the stored value is compared as well: a token stands for a value of the shape, so that the
//! one comparison is true where the other is. Elsewhere it would not do: a value without a token is
//! NULL, and the stored value's answer is false.
//!
//! Deliberately absent: targets of writes, which have no derived table.

use super::handed::Open;
use super::hidden::Hidden;
use crate::analyze::lineage::Source;
use crate::pg::AttrNumber;
use crate::pg::types::oid;
use crate::sql::tree::{Expr, Literal, Operator, Quantifier, RelationId, Walked};

impl Hidden<'_> {
    /// A condition that chooses rows.
    pub(super) fn condition(&mut self, condition: &mut Expr, open: &Open) -> Walked {
        self.opened(condition, open);
        self.served(condition, open);
        let filters = std::mem::replace(&mut self.filters, true);
        let done = self.expr(condition, open);
        self.filters = filters;
        done
    }

    /// Has an index serve what it can of a condition: those that must all hold, or one of which must.
    fn served(&mut self, condition: &mut Expr, open: &Open) {
        match condition {
            Expr::And(all) | Expr::Or(all) => all.iter_mut().for_each(|e| self.served(e, open)),
            comparison => {
                if let Some(stored) = self.stored(comparison, open) {
                    let tokens = std::mem::replace(comparison, Expr::Literal(Literal::Null));
                    *comparison = Expr::And(vec![stored, tokens]);
                }
            }
        }
    }

    /// The same comparison of the stored value, in a hidden column.
    fn stored(&mut self, comparison: &Expr, open: &Open) -> Option<Expr> {
        let (c, members, array) = match comparison {
            Expr::Binary(l, op, r) if is_equality(op) => match (&**l, &**r) {
                (Expr::Column(c), constant) | (constant, Expr::Column(c)) => {
                    (c, vec![self.decoded(constant)?], None)
                }
                _ => return None,
            },
            Expr::InList {
                expr,
                list,
                negated: false,
            } => {
                let Expr::Column(c) = &**expr else {
                    return None;
                };
                let members = list.iter().map(|m| self.decoded(m));
                (c, members.collect::<Option<Vec<_>>>()?, None)
            }
            Expr::QuantifiedArray {
                left,
                op,
                quantifier: Quantifier::Any,
                array,
            } if is_equality(op) => {
                let Expr::Column(c) = &**left else {
                    return None;
                };
                match &**array {
                    Expr::Array(items) => {
                        let members = items.iter().map(|m| self.decoded(m));
                        (c, members.collect::<Option<Vec<_>>>()?, None)
                    }
                    whole => (c, Vec::new(), Some(self.decoded(whole)?)),
                }
            }
            _ => return None,
        };
        self.is_guarded_text(c.base?)?;
        self.fences.open.extend(c.base.map(|(id, _)| id));
        self.column(c, open, |x| {
            let equal = |value: &String| format!("{x} OPERATOR(\"pg_catalog\".=) {value}");
            let any = array.iter().map(|array| equal(&format!("ANY ({array})")));
            let all: Vec<String> = members.iter().map(equal).chain(any).collect();
            (!all.is_empty()).then(|| format!("({})", all.join(" OR ")))
        })
    }

    /// The SQL of what a constant stands for, if it is a token, or a list of them.
    fn decoded(&self, constant: &Expr) -> Option<String> {
        match constant {
            Expr::Constant { list, member, .. } => {
                match self.rewrite.constants.get(&(*list, *member))?.as_slice() {
                    [one] => Some(one.clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Do the column's stored values stand for tokens, of which not every value has one?
    pub(super) fn is_guarded_text(
        &self,
        (relation, attnum): (RelationId, AttrNumber),
    ) -> Option<()> {
        let source = Source::Column { relation, attnum };
        self.decisions.columns.get(&source)?.guard()?;
        let (_, column) = self.lineage.column(source)?;
        matches!(column.type_oid, oid::TEXT | oid::VARCHAR).then_some(())
    }
}

fn is_equality(op: &Operator) -> bool {
    &*op.symbol == "=" && op.schema.as_ref().is_some_and(|s| *s == "pg_catalog")
}
