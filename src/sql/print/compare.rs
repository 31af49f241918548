//! Comparisons that are keywords of the grammar: DISTINCT FROM, BETWEEN, IN, ANY and ALL.

use super::{Printed, Printer, unresolved};
use crate::sql::tree::{Expr, HeldId, Operator, Quantifier};

impl<'a> Printer<'a> {
    /// Are columns of two relations compared for equality, both computed? `plan::hidden` has seen to
    /// those of derived tables; these are masked in place.
    pub(super) fn is_blind_join(&self, left: &Expr, op: &Operator, right: &Expr) -> bool {
        let computed = |e: &Expr| match e {
            Expr::Column(c) => c.base.filter(|b| self.rewrite.computed.contains(b)),
            _ => None,
        };
        &*op.symbol == "="
            && op.schema.as_ref().is_some_and(|s| *s == "pg_catalog")
            && matches!((computed(left), computed(right)), (Some(l), Some(r)) if l.0 != r.0)
    }

    /// `a = b` with `hashtext(a) = hashtext(b)` beside it, which says nothing new: equal texts have
    /// equal hashes, and NULL stays NULL. PostgreSQL has no statistics of a computed column and takes
    /// it for 200 distinct values, so a join of 2,000 rows with 10,000 looked like 100,000 rows worth
    /// a nested loop that a LIMIT ends soon; it ran for 26 s, and for 50 ms with two conditions, whose
    /// selectivities multiply.
    pub(super) fn blind_join(&mut self, left: &Expr, op: &Operator, right: &Expr) -> Printed {
        self.push("(");
        self.binary(left, op, right)?;
        self.push(" AND (\"pg_catalog\".\"hashtext\"(");
        self.expr(left)?;
        self.push(") OPERATOR(\"pg_catalog\".=) \"pg_catalog\".\"hashtext\"(");
        self.expr(right)?;
        self.push(")))");
        Ok(())
    }

    /// What a value of a temporary table stands for: strict, immutable, and without an error of its own.
    pub(super) fn held(&mut self, held: HeldId, expr: &Expr) -> Printed {
        let rewrite = self.rewrite;
        let Some(form) = rewrite.held.get(&held) else {
            return self.expr(expr);
        };
        self.push(if form.cast.is_some() { "(CAST(" } else { "(" });
        self.push("\"pg_catalog\".\"jsonb_object_field_text\"(");
        self.map(form.map)?;
        self.push(", CAST(");
        self.expr(expr)?;
        self.push(" AS \"pg_catalog\".\"text\"))");
        if let Some(ty) = form.cast {
            self.push(" AS \"pg_catalog\".\"");
            self.push(ty);
            self.push("\")");
        }
        if let Some((schema, name)) = &form.collation {
            self.push(" COLLATE ");
            self.ident(schema)?;
            self.push(".");
            self.ident(name)?;
        }
        self.push(")");
        Ok(())
    }

    /// DISTINCT FROM, BETWEEN, IN, ANY and ALL.
    pub(super) fn comparison(&mut self, expr: &Expr) -> Printed {
        self.push("(");
        match expr {
            Expr::IsDistinct {
                left,
                right,
                negated,
            } => {
                self.expr(left)?;
                self.push(if *negated {
                    " IS NOT DISTINCT FROM "
                } else {
                    " IS DISTINCT FROM "
                });
                self.expr(right)?;
            }
            Expr::Between {
                expr,
                low,
                high,
                negated,
                symmetric,
            } => {
                self.expr(expr)?;
                self.push(if *negated {
                    " NOT BETWEEN "
                } else {
                    " BETWEEN "
                });
                self.push(if *symmetric { "SYMMETRIC " } else { "" });
                self.expr(low)?;
                self.push(" AND ");
                self.expr(high)?;
            }
            Expr::InList {
                expr,
                list,
                negated,
            } => {
                // PostgreSQL reads `IN ((SELECT …))` as IN over the query, not over its one value.
                if list.is_empty() || matches!(list.as_slice(), [Expr::Subquery(_)]) {
                    self.resolved(false, "IN with a lone subquery for a list")?;
                }
                self.expr(expr)?;
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                if self.shape && list.iter().all(is_constant) {
                    self.push("?");
                } else {
                    self.members(list)?;
                }
                self.push(")");
            }
            Expr::InQuery {
                expr,
                query,
                negated,
            } => {
                self.expr(expr)?;
                self.enclosed(if *negated { " NOT IN (" } else { " IN (" }, query)?;
            }
            Expr::QuantifiedArray {
                left,
                op,
                quantifier,
                array,
            } => {
                // `ANY ((SELECT …))` would be the query form too.
                if matches!(**array, Expr::Subquery(_)) {
                    self.resolved(false, "ANY or ALL with a lone subquery for an array")?;
                }
                self.quantified(left, op, *quantifier)?;
                self.expr(array)?;
                self.push(")");
            }
            Expr::QuantifiedQuery {
                left,
                op,
                quantifier,
                query,
            } => {
                self.quantified(left, op, *quantifier)?;
                self.subquery(query)?;
                self.push(")");
            }
            _ => return Err(unresolved("a comparison")),
        }
        self.push(")");
        Ok(())
    }

    /// Is a side of a comparison a constant that is several?
    pub(super) fn is_search(&self, left: &Expr, right: &Expr) -> bool {
        self.several(left).is_some() || self.several(right).is_some()
    }

    /// `x IN (a, b)` for `x = c`, where the constant is both.
    pub(super) fn search(&mut self, left: &Expr, op: &Operator, right: &Expr) -> Printed {
        let (operand, texts) = match (self.several(left), self.several(right)) {
            (Some(texts), None) => (right, texts),
            (None, Some(texts)) => (left, texts),
            _ => return Err(unresolved("constants that are several")),
        };
        let ours = op.schema.as_ref().is_some_and(|s| *s == "pg_catalog");
        let word = match &*op.symbol {
            "=" if ours => " IN (",
            "<>" if ours => " NOT IN (",
            _ => return Err(unresolved("a constant that is several")),
        };
        self.push("(");
        self.expr(operand)?;
        self.push(word);
        self.push(&texts.join(", "));
        self.push("))");
        Ok(())
    }

    /// The members of a list, and of those that are several all.
    pub(super) fn members(&mut self, list: &[Expr]) -> Printed {
        self.separated(list, ", ", |p, member| match p.several(member) {
            Some(texts) => {
                p.push(&texts.join(", "));
                Ok(())
            }
            None => p.expr(member),
        })
    }

    fn several(&self, e: &Expr) -> Option<&'a [String]> {
        let Expr::Constant { list, member, .. } = e else {
            return None;
        };
        let rewrite = self.rewrite;
        let texts = rewrite.constants.get(&(*list, *member))?;
        (texts.len() != 1).then_some(texts.as_slice())
    }

    fn quantified(&mut self, left: &Expr, op: &Operator, quantifier: Quantifier) -> Printed {
        self.expr(left)?;
        self.push(" ");
        self.operator(op)?;
        self.push(match quantifier {
            Quantifier::Any => " ANY (",
            Quantifier::All => " ALL (",
        });
        Ok(())
    }
}

/// A constant or parameter, for the shape: lists of them have one shape whatever their length.
fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(_) | Expr::Param(_))
}
