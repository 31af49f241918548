//! Operators written as words, and what follows an expression: IS, IN, BETWEEN, LIKE, SIMILAR, AT
//! TIME ZONE, AT LOCAL, COLLATE, OVERLAPS, `::`, OPERATOR(…), and `op ANY/ALL (…)`.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::dialect::strength;
use super::names::{operator, system_name};
use super::{Front, Lowered};
use crate::sql::tree::{BoolTest, Call, Expr, Literal, Name, Operator, Position, Quantifier};

/// How tightly the next token binds as an infix operator; 0 when it is none.
pub(super) fn strength_of_next(parser: &Parser<'_>) -> u8 {
    let index = parser.get_current_index().saturating_add(1);
    let word_after = || match &parser.token_at(index.saturating_add(1)).token {
        Token::Word(word) if word.quote_style.is_none() => word.value.as_str(),
        _ => "",
    };
    match &parser.token_at(index).token {
        Token::CustomBinaryOperator(symbol) => match symbol.as_str() {
            ":=" | "=>" | ".." => 0,
            "::" => strength::CAST,
            symbol if is_comparison(symbol) => strength::COMPARISON,
            "+" | "-" => strength::ADD,
            "*" | "/" | "%" => strength::MULTIPLY,
            "^" => strength::POWER,
            _ => strength::OTHER,
        },
        Token::Word(word) if word.quote_style.is_none() => match word.value.as_str() {
            "or" => strength::OR,
            "and" => strength::AND,
            "is" | "isnull" | "notnull" => strength::IS,
            "between" | "in" | "like" | "ilike" | "overlaps" => strength::BETWEEN,
            "similar" if word_after() == "to" => strength::BETWEEN,
            "not"
                if matches!(
                    word_after(),
                    "between" | "in" | "like" | "ilike" | "similar"
                ) =>
            {
                strength::BETWEEN
            }
            "at" if matches!(word_after(), "time" | "local") => strength::AT,
            "collate" => strength::COLLATE,
            "operator" if parser.token_at(index.saturating_add(1)).token == Token::LParen => {
                strength::OTHER
            }
            _ => 0,
        },
        _ => 0,
    }
}

/// The six symbols that bind as comparisons.
pub(super) fn is_comparison(symbol: &str) -> bool {
    matches!(symbol, "=" | "<" | ">" | "<=" | ">=" | "<>")
}

impl Front<'_, '_> {
    /// The right side of an operator that does not associate: another of its kind may not follow.
    fn right_side(&mut self, strength: u8) -> Lowered<Expr> {
        let right = self.expr_above(strength)?;
        if strength_of_next(self.parser) == strength {
            return Err(self.syntax());
        }
        Ok(right)
    }

    /// Must the next operator be read here rather than by sqlparser?
    pub(super) fn is_special_infix(&self) -> bool {
        match self.peek() {
            Token::CustomBinaryOperator(symbol) => symbol == "::" || self.quantifier_at(1),
            Token::Word(_) => !self.is_any(&["and", "or"]),
            _ => false,
        }
    }

    fn quantifier_at(&self, ahead: usize) -> bool {
        matches!(self.word_at(ahead), Some("any" | "some" | "all"))
            && *self.peek_at(ahead.saturating_add(1)) == Token::LParen
    }

    /// An operator and its right side, `left` being read.
    pub(super) fn special_infix(&mut self, left: Expr) -> Lowered<Expr> {
        if self.take_symbol("::") {
            let ty = self.type_name()?;
            return Ok(Expr::Cast(Box::new(left), ty));
        }
        if self.symbol_at(0).is_some() {
            let op = self.any_operator(false)?;
            return self.quantified(left, op);
        }
        let position = self.place();
        let negated = self.eat("not");
        let Some(word) = self.word().map(str::to_owned) else {
            return Err(self.syntax());
        };
        self.advance();
        match word.as_str() {
            "is" => self.is_test(left, position),
            "isnull" => Ok(Expr::Test(Box::new(left), BoolTest::Null)),
            "notnull" => Ok(Expr::Test(Box::new(left), BoolTest::NotNull)),
            "in" => self.in_list(left, negated),
            "between" => self.between(left, negated),
            "like" => self.like(left, if negated { "!~~" } else { "~~" }, position),
            "ilike" => self.like(left, if negated { "!~~*" } else { "~~*" }, position),
            "similar" => {
                self.expect("to")?;
                self.similar(left, negated, position)
            }
            // Versions before 17 have no such function.
            "at" if self.eat("local") => Ok(system_call("timezone", vec![left], position)),
            "at" => {
                self.expect("time")?;
                self.expect("zone")?;
                let zone = self.expr_above(strength::AT)?;
                Ok(system_call("timezone", vec![zone, left], position))
            }
            "collate" => {
                // There PostgreSQL complains of it.
                let collation = Name {
                    position,
                    ..self.any_name(2)?
                };
                Ok(Expr::Collate(Box::new(left), collation))
            }
            "overlaps" => self.overlaps(left, position),
            "operator" => {
                let op = self.any_operator(true)?;
                if self.quantifier_at(0) {
                    return self.quantified(left, op);
                }
                let right = self.expr_above(strength::OTHER)?;
                Ok(Expr::Binary(Box::new(left), op, Box::new(right)))
            }
            _ => Err(self.syntax()),
        }
    }

    /// `ANY (…)`, `ALL (…)`, after the operator.
    fn quantified(&mut self, left: Expr, op: Operator) -> Lowered<Expr> {
        let quantifier = if self.eat("all") {
            Quantifier::All
        } else if self.eat("any") || self.eat("some") {
            Quantifier::Any
        } else {
            return Err(self.syntax());
        };
        let left = Box::new(left);
        if self.engine.opens_query(self.index()) {
            let query = Box::new(self.parenthesised_query()?);
            return Ok(Expr::QuantifiedQuery {
                left,
                op,
                quantifier,
                query,
            });
        }
        self.expect_token(&Token::LParen)?;
        let array = Box::new(self.expr()?);
        self.expect_token(&Token::RParen)?;
        Ok(Expr::QuantifiedArray {
            left,
            op,
            quantifier,
            array,
        })
    }

    fn is_test(&mut self, left: Expr, position: Position) -> Lowered<Expr> {
        let negated = self.eat("not");
        let choose = |plain, not| if negated { not } else { plain };
        let test = match self.word() {
            Some("null") => choose(BoolTest::Null, BoolTest::NotNull),
            Some("true") => choose(BoolTest::True, BoolTest::NotTrue),
            Some("false") => choose(BoolTest::False, BoolTest::NotFalse),
            Some("unknown") => choose(BoolTest::Unknown, BoolTest::NotUnknown),
            Some("distinct") => {
                self.advance();
                self.expect("from")?;
                let right = self.right_side(strength::IS)?;
                return Ok(Expr::IsDistinct {
                    left: Box::new(left),
                    right: Box::new(right),
                    negated,
                });
            }
            Some("normalized" | "nfc" | "nfd" | "nfkc" | "nfkd") => {
                return self.is_normalized(left, negated, position);
            }
            Some("document") => return Ok(self.is_document(left, negated)),
            Some("json") => return Ok(self.is_json(left, negated)),
            Some(_) | None => return Err(self.syntax()),
        };
        self.advance();
        Ok(Expr::Test(Box::new(left), test))
    }

    fn is_normalized(&mut self, left: Expr, negated: bool, position: Position) -> Lowered<Expr> {
        let mut args = vec![left];
        if !self.is("normalized") {
            let form = self.word().unwrap_or_default().to_ascii_uppercase();
            args.push(Expr::Literal(Literal::String(form.into())));
            self.advance();
        }
        self.expect("normalized")?;
        let call = system_call("is_normalized", args, position);
        Ok(if negated {
            Expr::Not(Box::new(call))
        } else {
            call
        })
    }

    fn in_list(&mut self, left: Expr, negated: bool) -> Lowered<Expr> {
        let expr = Box::new(left);
        if self.engine.opens_query(self.index()) {
            let query = Box::new(self.parenthesised_query()?);
            return Ok(Expr::InQuery {
                expr,
                query,
                negated,
            });
        }
        let list = self.parenthesised(Self::expr)?;
        Ok(Expr::InList {
            expr,
            list,
            negated,
        })
    }

    fn between(&mut self, left: Expr, negated: bool) -> Lowered<Expr> {
        let symmetric = self.eat("symmetric");
        if !symmetric {
            self.eat("asymmetric");
        }
        let low = self.expr_above(strength::BETWEEN)?;
        self.expect("and")?;
        let high = self.right_side(strength::BETWEEN)?;
        Ok(Expr::Between {
            expr: Box::new(left),
            low: Box::new(low),
            high: Box::new(high),
            negated,
            symmetric,
        })
    }

    fn like(&mut self, left: Expr, symbol: &str, position: Position) -> Lowered<Expr> {
        if self.quantifier_at(0) {
            return self.quantified(left, operator(symbol));
        }
        let mut pattern = self.right_side(strength::BETWEEN)?;
        if self.eat("escape") {
            let escape = self.right_side(strength::BETWEEN)?;
            pattern = system_call("like_escape", vec![pattern, escape], position);
        }
        Ok(Expr::Binary(
            Box::new(left),
            operator(symbol),
            Box::new(pattern),
        ))
    }

    fn similar(&mut self, left: Expr, negated: bool, position: Position) -> Lowered<Expr> {
        let mut args = vec![self.right_side(strength::BETWEEN)?];
        if self.eat("escape") {
            args.push(self.right_side(strength::BETWEEN)?);
        }
        Ok(Expr::Binary(
            Box::new(left),
            operator(if negated { "!~" } else { "~" }),
            Box::new(system_call("similar_to_escape", args, position)),
        ))
    }

    fn overlaps(&mut self, left: Expr, position: Position) -> Lowered<Expr> {
        let right = self.expr_above(strength::BETWEEN)?;
        match (left, right) {
            (
                Expr::Row {
                    fields: mut all, ..
                },
                Expr::Row { fields, .. },
            ) if all.len() == 2 && fields.len() == 2 => {
                all.extend(fields);
                Ok(system_call("overlaps", all, position))
            }
            _ => Err(crate::sql::Unsupported::syntax(
                "wrong number of parameters on a side of OVERLAPS expression",
                position.byte(),
            )),
        }
    }
}

/// The call gram.y makes of special syntax.
pub(super) fn system_call(name: &str, args: Vec<Expr>, position: Position) -> Expr {
    Expr::Call(Box::new(Call::plain(system_name(name, position), args)))
}
