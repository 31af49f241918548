//! Operands: constants, names, calls, parentheses, rows, CASE, arrays, prefix operators
//! (`c_expr` of gram.y).

use sqlparser::tokenizer::Token;

use super::dialect::strength;
use super::infix::system_call;
use super::names::operator;
use super::tokens::STAR;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::Unsupported;
use crate::sql::scan::keyword;
use crate::sql::tree::{Expr, Literal, Name, SystemValue, TypeName};

impl Front<'_, '_> {
    /// One operand. Only a column, a parameter and parentheses may be followed by `.` or `[`.
    pub(super) fn operand_with_indirection(&mut self) -> Lowered<Expr> {
        let open = matches!(self.peek(), Token::LParen | Token::Placeholder(_));
        let operand = self.operand()?;
        let wants = matches!(self.peek(), Token::Period | Token::LBracket);
        if wants && !open && !matches!(operand, Expr::Name(_)) {
            return Err(self.syntax());
        }
        Ok(operand)
    }

    /// One operand, prefix operators included.
    pub(super) fn operand(&mut self) -> Lowered<Expr> {
        match self.peek() {
            Token::Word(word) if word.quote_style.is_none() => {
                let word = word.value.clone();
                self.word_operand(&word)
            }
            Token::Word(_) => self.named(),
            Token::LParen => self.parentheses(),
            Token::CustomBinaryOperator(symbol) => {
                let symbol = symbol.clone();
                self.prefix(&symbol)
            }
            _ => self.constant(),
        }
    }

    fn constant(&mut self) -> Lowered<Expr> {
        let literal = match self.peek() {
            Token::Number(place, _) => {
                let constant = self.engine.constant(place);
                Literal::Number(constant.ok_or_else(|| self.syntax())?)
            }
            Token::SingleQuotedString(place) => {
                let constant = self.engine.constant(place);
                Literal::String(constant.ok_or_else(|| self.syntax())?)
            }
            Token::HexStringLiteral(digits) => Literal::Bits {
                hex: true,
                digits: digits.as_str().into(),
            },
            Token::SingleQuotedByteStringLiteral(digits) => Literal::Bits {
                hex: false,
                digits: digits.as_str().into(),
            },
            Token::Placeholder(name) => {
                let number = name.strip_prefix('$').and_then(|n| n.parse().ok());
                let number = number.ok_or_else(|| self.syntax())?;
                self.advance();
                return Ok(Expr::Param(number));
            }
            _ => return Err(self.syntax()),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    /// `+ e`, `- e`, or any operator PostgreSQL's grammar calls `Op`. The comparison and arithmetic
    /// symbols are none.
    fn prefix(&mut self, symbol: &str) -> Lowered<Expr> {
        let strength = match symbol {
            "+" | "-" => strength::SIGN,
            "*" | "/" | "%" | "^" | "=" | "<" | ">" | "<=" | ">=" | "<>" | "::" | ":=" | "=>"
            | ".." => return Err(self.syntax()),
            _ => strength::OTHER,
        };
        self.advance();
        let operand = self.expr_above(strength)?;
        Ok(Expr::Unary(operator(symbol), Box::new(operand)))
    }

    fn literal(&mut self, literal: Literal) -> Expr {
        self.advance();
        Expr::Literal(literal)
    }

    fn word_operand(&mut self, word: &str) -> Lowered<Expr> {
        let opens = *self.peek_at(1) == Token::LParen;
        match word {
            "null" => Ok(self.literal(Literal::Null)),
            "true" => Ok(self.literal(Literal::Bool(true))),
            "false" => Ok(self.literal(Literal::Bool(false))),
            "not" => {
                self.advance();
                let operand = self.expr_above(strength::NOT)?;
                Ok(Expr::Not(Box::new(operand)))
            }
            "case" => self.case(),
            "array" => self.array(),
            "row" if opens => {
                self.advance();
                let fields = self.row_fields()?;
                Ok(Expr::Row {
                    fields,
                    explicit: true,
                })
            }
            "exists" if opens => {
                self.advance();
                if !self.engine.opens_query(self.index()) {
                    return Err(self.syntax());
                }
                Ok(Expr::Exists(Box::new(self.parenthesised_query()?)))
            }
            "operator" if opens => {
                self.advance();
                let op = self.any_operator(true)?;
                let operand = self.expr_above(strength::OTHER)?;
                Ok(Expr::Unary(op, Box::new(operand)))
            }
            "unique" => self.unsupported("the UNIQUE predicate"),
            "collation" if self.is_at(1, "for") => {
                let position = self.place();
                self.advance();
                self.advance();
                self.expect_token(&Token::LParen)?;
                let value = self.expr()?;
                self.expect_token(&Token::RParen)?;
                Ok(system_call("pg_collation_for", vec![value], position))
            }
            _ => match self.system_value(word)? {
                Some(value) => Ok(value),
                None if opens && Self::is_special_call(word) => self.special_call(word),
                None if self.starts_typed_literal(word) => self.typed_literal(),
                None => self.named(),
            },
        }
    }

    fn system_value(&mut self, word: &str) -> Lowered<Option<Expr>> {
        let opens = *self.peek_at(1) == Token::LParen;
        let value = match word {
            "current_date" => SystemValue::CurrentDate,
            "current_user" => SystemValue::CurrentUser,
            "current_role" => SystemValue::CurrentRole,
            "session_user" => SystemValue::SessionUser,
            "user" => SystemValue::User,
            "current_catalog" => SystemValue::CurrentCatalog,
            "current_schema" if !opens && *self.peek_at(1) != Token::Period => {
                SystemValue::CurrentSchema
            }
            "current_time" | "current_timestamp" | "localtime" | "localtimestamp" => {
                self.advance();
                let precision = self.time_precision()?;
                return Ok(Some(Expr::SystemValue(match word {
                    "current_time" => SystemValue::CurrentTime(precision),
                    "current_timestamp" => SystemValue::CurrentTimestamp(precision),
                    "localtime" => SystemValue::LocalTime(precision),
                    _ => SystemValue::LocalTimestamp(precision),
                })));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Expr::SystemValue(value)))
    }

    fn time_precision(&mut self) -> Lowered<Option<u8>> {
        if !self.take(&Token::LParen) {
            return Ok(None);
        }
        let precision = self.integer()?;
        self.expect_token(&Token::RParen)?;
        // PostgreSQL reduces larger ones to 6 with a warning.
        Ok(Some(u8::try_from(precision.clamp(0, 6)).unwrap_or(6)))
    }

    /// `( query )`, `( e )`, or an implicit row of two or more.
    fn parentheses(&mut self) -> Lowered<Expr> {
        if self.engine.opens_query(self.index()) {
            return Ok(Expr::Subquery(Box::new(self.parenthesised_query()?)));
        }
        let mut fields = self.parenthesised(Self::expr)?;
        if fields.len() > 1 {
            return Ok(Expr::Row {
                fields,
                explicit: false,
            });
        }
        // Parentheses live on as the shape of the tree.
        fields.pop().ok_or_else(|| self.syntax())
    }

    /// `( e, … )`, possibly empty.
    fn row_fields(&mut self) -> Lowered<Vec<Expr>> {
        self.expect_token(&Token::LParen)?;
        let fields = if self.next_is(&Token::RParen) {
            Vec::new()
        } else {
            self.list(Self::expr)?
        };
        self.expect_token(&Token::RParen)?;
        Ok(fields)
    }

    fn case(&mut self) -> Lowered<Expr> {
        self.expect("case")?;
        let operand = if self.is("when") {
            None
        } else {
            Some(Box::new(self.expr()?))
        };
        let mut branches = Vec::new();
        while self.eat("when") {
            let when = self.expr()?;
            self.expect("then")?;
            branches.push((when, self.expr()?));
        }
        if branches.is_empty() {
            return Err(self.syntax());
        }
        let otherwise = if self.eat("else") {
            Some(Box::new(self.expr()?))
        } else {
            None
        };
        self.expect("end")?;
        Ok(Expr::Case {
            operand,
            branches,
            otherwise,
        })
    }

    fn array(&mut self) -> Lowered<Expr> {
        self.expect("array")?;
        if self.engine.opens_query(self.index()) {
            return Ok(Expr::ArrayQuery(Box::new(self.parenthesised_query()?)));
        }
        self.array_elements()
    }

    /// `[ … ]`; an element may be a bare `[ … ]` itself.
    fn array_elements(&mut self) -> Lowered<Expr> {
        self.expect_token(&Token::LBracket)?;
        let elements = if self.next_is(&Token::RBracket) {
            Vec::new()
        } else if self.next_is(&Token::LBracket) {
            self.list(Self::array_elements)?
        } else {
            self.list(Self::expr)?
        };
        self.expect_token(&Token::RBracket)?;
        Ok(Expr::Array(elements))
    }

    /// A name, and what it turns out to be: a column, `t.*`, a call, or the type of a literal.
    fn named(&mut self) -> Lowered<Expr> {
        let position = self.place();
        let (first, quoted) = match self.peek() {
            Token::Word(word) => (word.value.clone(), word.quote_style.is_some()),
            _ => return Err(self.syntax()),
        };
        let column = quoted || keyword::is_column_name(&first);
        let function = quoted || keyword::is_function_name(&first);
        if first == STAR || !(column || function) {
            return Err(self.syntax());
        }
        self.advance();
        let mut parts = vec![Ident::exact(&first)];
        let mut star = false;
        while self.next_is(&Token::Period) {
            self.advance();
            if parts.len() >= 4 {
                return Err(Unsupported::syntax(
                    "improper qualified name (too many dotted names)",
                    position.byte(),
                ));
            }
            if self.is_star_label() {
                self.advance();
                star = true;
                break;
            }
            parts.push(self.label()?);
        }
        let name = Name { parts, position };
        let qualified = name.parts.len() > 1;
        if star {
            return if column {
                Ok(Expr::Star(name))
            } else {
                Err(self.syntax())
            };
        }
        // A qualified function or type needs a ColId in front, an unqualified one its own class.
        let callable = if qualified { column } else { function };
        if callable && self.next_is(&Token::LParen) {
            return self.call(name).map(|call| Expr::Call(Box::new(call)));
        }
        if callable && self.is_string_at(0) {
            let ty = TypeName {
                name,
                typmods: Vec::new(),
                interval_fields: None,
                array_dims: 0,
            };
            let value = self.string_constant()?;
            return Ok(Expr::Cast(
                Box::new(Expr::Literal(Literal::String(value))),
                ty,
            ));
        }
        if column {
            Ok(Expr::Name(name))
        } else {
            Err(self.syntax())
        }
    }
}
