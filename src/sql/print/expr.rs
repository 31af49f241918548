//! Expressions. What [`Printer::expr`] writes is always a `c_expr` of PostgreSQL's grammar: it can
//! stand as an operand anywhere, so no caller thinks about precedence.

use super::{Printed, Printer, RelationForm, WHOLE_ROW, unresolved};
use crate::ident::Ident;
use crate::sql::tree::{
    BoolTest, Column, Expr, Literal, Operator, Position, Query, RelationId, Subscript, SystemValue,
};

impl Printer<'_> {
    /// An expression, self-delimited.
    pub(super) fn expr(&mut self, expr: &Expr) -> Printed {
        match expr {
            Expr::Name(name) => {
                self.resolved(false, "a column name")?;
                self.name(name)
            }
            Expr::Star(name) => {
                self.resolved(false, "a star")?;
                self.name(name)?;
                self.push(".*");
                Ok(())
            }
            Expr::Column(column) => self.column(column),
            Expr::WholeRow { qualifier, base } => self.whole_row(qualifier, *base),
            Expr::Param(0) => Err(unresolved("parameter $0")),
            Expr::Param(n) => self.param(*n),
            Expr::Constant { list, member, expr } => {
                let rewrite = self.rewrite;
                match rewrite.constants.get(&(*list, *member)).map(Vec::as_slice) {
                    Some([sql]) => {
                        self.mark(written_at(expr));
                        self.push(sql);
                        Ok(())
                    }
                    Some(_) => Err(unresolved("a constant that is several")),
                    None => self.expr(expr),
                }
            }
            Expr::Held { held, expr } => self.held(*held, expr),
            Expr::Literal(literal) => self.literal(literal),
            Expr::SystemValue(value) => {
                self.system_value(*value);
                Ok(())
            }
            Expr::Unary(op, operand) => {
                self.push("(");
                self.operator(op)?;
                self.push(" ");
                self.expr(operand)?;
                self.push(")");
                Ok(())
            }
            Expr::Binary(left, op, right) if self.is_search(left, right) => {
                self.search(left, op, right)
            }
            Expr::Binary(left, op, right) if self.is_blind_join(left, op, right) => {
                self.blind_join(left, op, right)
            }
            Expr::Binary(left, op, right) => self.binary(left, op, right),
            Expr::And(operands) => self.junction(operands, " AND "),
            Expr::Or(operands) => self.junction(operands, " OR "),
            Expr::Not(operand) => {
                self.push("(NOT ");
                self.expr(operand)?;
                self.push(")");
                Ok(())
            }
            Expr::Test(operand, test) => {
                self.push("(");
                self.expr(operand)?;
                self.push(test_words(*test));
                self.push(")");
                Ok(())
            }
            Expr::IsDistinct { .. }
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::InQuery { .. }
            | Expr::QuantifiedArray { .. }
            | Expr::QuantifiedQuery { .. } => self.comparison(expr),
            Expr::Exists(query) => self.enclosed("EXISTS (", query),
            Expr::Subquery(query) => self.enclosed("(", query),
            Expr::ArrayQuery(query) => self.enclosed("ARRAY(", query),
            Expr::Array(items) => {
                self.push("ARRAY[");
                self.members(items)?;
                self.push("]");
                Ok(())
            }
            Expr::Row { fields, .. } => self.function_form("ROW(", fields),
            Expr::Case {
                operand,
                branches,
                otherwise,
            } => self.case(operand.as_deref(), branches, otherwise.as_deref()),
            Expr::Coalesce(args) => self.function_form("COALESCE(", args),
            Expr::NullIf(left, right) => {
                self.push("NULLIF(");
                self.expr(left)?;
                self.push(", ");
                self.expr(right)?;
                self.push(")");
                Ok(())
            }
            Expr::Greatest(args) => self.function_form("GREATEST(", args),
            Expr::Least(args) => self.function_form("LEAST(", args),
            Expr::Grouping(args) => self.function_form("GROUPING(", args),
            Expr::Cast(operand, ty) => {
                self.push("CAST(");
                self.expr(operand)?;
                self.push(" AS ");
                self.type_name(ty)?;
                self.push(")");
                Ok(())
            }
            Expr::Collate(operand, collation) => {
                self.push("(");
                self.expr(operand)?;
                self.push(" ");
                self.mark(collation.position);
                self.push("COLLATE ");
                self.qualified(collation, "a collation name")?;
                self.push(")");
                Ok(())
            }
            Expr::Call(call) => self.call(call),
            Expr::Subscripts(operand, subscripts) => {
                self.push("(");
                self.expr(operand)?;
                self.push(")");
                self.subscripts(subscripts)
            }
            Expr::Field(operand, field) => {
                self.push("(");
                self.expr(operand)?;
                self.push(").");
                self.ident(field)
            }
            Expr::Keyword(form) => self.keyword_form(form),
            Expr::CurrentOf(cursor) => {
                self.push("CURRENT OF ");
                self.ident(cursor)
            }
        }
    }

    fn param(&mut self, n: u16) -> Printed {
        if self.placing {
            self.push(&format!("\0${n}\0"));
        }
        let rewrite = self.rewrite;
        let n = match &rewrite.params {
            None => n,
            Some(numbers) => *numbers
                .get(&n)
                .ok_or_else(|| unresolved("a parameter without a number"))?,
        };
        self.push("$");
        self.push(&n.to_string());
        Ok(())
    }

    /// `(a op b)`
    pub(super) fn binary(&mut self, left: &Expr, op: &Operator, right: &Expr) -> Printed {
        self.push("(");
        self.expr(left)?;
        self.push(" ");
        self.operator(op)?;
        self.push(" ");
        self.expr(right)?;
        self.push(")");
        Ok(())
    }

    /// `a, b`
    pub(super) fn list(&mut self, items: &[Expr]) -> Printed {
        self.separated(items, ", ", Self::expr)
    }

    fn column(&mut self, column: &Column) -> Printed {
        self.reads(column.qualifier.as_ref(), &column.name);
        self.mark(column.position);
        if self.bare {
            return self.ident(&column.name);
        }
        let start = self.out.len();
        if let Some(qualifier) = &column.qualifier {
            self.ident(qualifier)?;
            self.push(".");
        }
        self.ident(&column.name)?;
        let rewrite = self.rewrite;
        let Some((relation, attnum)) = column.base else {
            return Ok(());
        };
        if let Some(RelationForm::InPlace(masks)) = rewrite.relations.get(&relation)
            && let Some(mask) = masks.get(&attnum)
        {
            let Some(qualifier) = &column.qualifier else {
                return Err(unresolved("a masked column without its relation"));
            };
            self.out.truncate(start);
            self.push("(");
            self.form(&mask.apply(&qualifier.quoted()))?;
            self.push(")");
        }
        Ok(())
    }

    /// `COALESCE("alias".*)`: the whole row and nothing else. The bare alias would be captured by any
    /// column of that name, `"alias".*` alone is expanded in a select list or a row.
    fn whole_row(&mut self, qualifier: &Ident, base: Option<RelationId>) -> Printed {
        let rewrite = self.rewrite;
        let form = base.and_then(|id| rewrite.relations.get(&id));
        let stored = match form {
            None => true,
            Some(RelationForm::InPlace(masks)) => masks.is_empty(),
            Some(RelationForm::Derived(_)) => false,
        };
        if stored {
            self.push("COALESCE(");
            self.ident(qualifier)?;
            self.push(".*)");
            return Ok(());
        }
        if let Some(row) = base.and_then(|id| rewrite.rows.get(&id)) {
            self.form(&row.apply(&qualifier.quoted()))?;
            return Ok(());
        }
        match form {
            Some(RelationForm::Derived(derived)) if derived.whole_row.is_some() => {
                self.ident(qualifier)?;
                self.push(".");
                self.ident(&Ident::exact(WHOLE_ROW))
            }
            // The stored row, or a row of another type: never.
            None | Some(RelationForm::Derived(_) | RelationForm::InPlace(_)) => {
                Err(unresolved("a whole row without a masked form"))
            }
        }
    }

    fn junction(&mut self, operands: &[Expr], word: &str) -> Printed {
        if operands.is_empty() {
            return Err(unresolved("AND or OR of nothing"));
        }
        self.push("(");
        self.separated(operands, word, Self::expr)?;
        self.push(")");
        Ok(())
    }

    /// `KEYWORD(a, b)`
    fn function_form(&mut self, opening: &str, args: &[Expr]) -> Printed {
        self.push(opening);
        self.list(args)?;
        self.push(")");
        Ok(())
    }

    /// `opening query)`
    pub(super) fn enclosed(&mut self, opening: &str, query: &Query) -> Printed {
        self.push(opening);
        self.subquery(query)?;
        self.push(")");
        Ok(())
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Printed {
        self.push("CASE ");
        if let Some(operand) = operand {
            self.expr(operand)?;
            self.push(" ");
        }
        for (condition, result) in branches {
            self.push("WHEN ");
            self.expr(condition)?;
            self.push(" THEN ");
            self.expr(result)?;
            self.push(" ");
        }
        if let Some(otherwise) = otherwise {
            self.push("ELSE ");
            self.expr(otherwise)?;
            self.push(" ");
        }
        self.push("END");
        Ok(())
    }

    /// `[e]`, `[lo:hi]`
    pub(super) fn subscripts(&mut self, subscripts: &[Subscript]) -> Printed {
        for subscript in subscripts {
            self.push("[");
            match subscript {
                Subscript::Index(index) => self.expr(index)?,
                Subscript::Slice(low, high) => {
                    if let Some(low) = low {
                        self.expr(low)?;
                    }
                    // The blank keeps `:` from joining what stands beside it.
                    self.push(" : ");
                    if let Some(high) = high {
                        self.expr(high)?;
                    }
                }
            }
            self.push("]");
        }
        Ok(())
    }

    fn system_value(&mut self, value: SystemValue) {
        let (word, precision) = match value {
            SystemValue::CurrentDate => ("CURRENT_DATE", None),
            SystemValue::CurrentTime(p) => ("CURRENT_TIME", p),
            SystemValue::CurrentTimestamp(p) => ("CURRENT_TIMESTAMP", p),
            SystemValue::LocalTime(p) => ("LOCALTIME", p),
            SystemValue::LocalTimestamp(p) => ("LOCALTIMESTAMP", p),
            SystemValue::CurrentUser => ("CURRENT_USER", None),
            SystemValue::CurrentRole => ("CURRENT_ROLE", None),
            SystemValue::SessionUser => ("SESSION_USER", None),
            SystemValue::User => ("USER", None),
            SystemValue::CurrentCatalog => ("CURRENT_CATALOG", None),
            SystemValue::CurrentSchema => ("CURRENT_SCHEMA", None),
        };
        self.push(word);
        if let Some(precision) = precision {
            self.push("(");
            self.push(&precision.to_string());
            self.push(")");
        }
    }
}

/// Where a constant stands.
fn written_at(constant: &Expr) -> Position {
    match constant {
        Expr::Literal(Literal::Number(text) | Literal::String(text)) => text.position(),
        _ => Position::default(),
    }
}

fn test_words(test: BoolTest) -> &'static str {
    match test {
        BoolTest::Null => " IS NULL",
        BoolTest::NotNull => " IS NOT NULL",
        BoolTest::True => " IS TRUE",
        BoolTest::NotTrue => " IS NOT TRUE",
        BoolTest::False => " IS FALSE",
        BoolTest::NotFalse => " IS NOT FALSE",
        BoolTest::Unknown => " IS UNKNOWN",
        BoolTest::NotUnknown => " IS NOT UNKNOWN",
    }
}
