//! Calls with a grammar of their own: CAST, COALESCE, EXTRACT, SUBSTRING and their kin. Most become
//! the `pg_catalog` call that gram.y makes of them.

use sqlparser::tokenizer::Token;

use super::infix::system_call;
use super::names::system_name;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{Expr, Literal, Name, Position};

impl Front<'_, '_> {
    /// Words that are not function names but may be followed by a parenthesis.
    pub(super) fn is_special_call(word: &str) -> bool {
        matches!(
            word,
            "cast"
                | "coalesce"
                | "nullif"
                | "greatest"
                | "least"
                | "grouping"
                | "extract"
                | "position"
                | "substring"
                | "overlay"
                | "trim"
                | "normalize"
                | "treat"
                | "xmlconcat"
                | "xmlelement"
                | "xmlexists"
                | "xmlforest"
                | "xmlparse"
                | "xmlpi"
                | "xmlroot"
                | "xmlserialize"
                | "json"
                | "json_array"
                | "json_arrayagg"
                | "json_exists"
                | "json_object"
                | "json_objectagg"
                | "json_query"
                | "json_scalar"
                | "json_serialize"
                | "json_value"
                | "merge_action"
        )
    }

    pub(super) fn special_call(&mut self, word: &str) -> Lowered<Expr> {
        let position = self.place();
        if word.starts_with("xml") {
            return self.xml_call(word);
        }
        if word.starts_with("json") || word == "merge_action" {
            return self.json_call(word);
        }
        self.advance();
        self.expect_token(&Token::LParen)?;
        let expr = match word {
            "cast" => {
                let expr = self.expr()?;
                self.expect("as")?;
                Expr::Cast(Box::new(expr), self.type_name()?)
            }
            // gram.y makes a call of the type's name.
            "treat" => {
                let expr = self.expr()?;
                self.expect("as")?;
                let ty = self.type_name()?;
                let function = ty.name.parts.last().map_or("", Ident::as_str);
                system_call(function, vec![expr], position)
            }
            "coalesce" => Expr::Coalesce(self.list(Self::expr)?),
            "greatest" => Expr::Greatest(self.list(Self::expr)?),
            "least" => Expr::Least(self.list(Self::expr)?),
            "grouping" => Expr::Grouping(self.list(Self::expr)?),
            "nullif" => {
                let left = self.expr()?;
                self.expect_token(&Token::Comma)?;
                Expr::NullIf(Box::new(left), Box::new(self.expr()?))
            }
            "extract" => self.extract(position)?,
            "position" => {
                // b_expr IN b_expr
                let needle = self.expr_above(super::dialect::strength::BETWEEN)?;
                self.expect("in")?;
                let text = self.expr()?;
                system_call("position", vec![text, needle], position)
            }
            "substring" => return self.substring(position),
            "overlay" => return self.overlay(position),
            "trim" => self.trim(position)?,
            "normalize" => {
                let mut args = vec![self.expr()?];
                if self.take(&Token::Comma) {
                    args.push(self.normal_form()?);
                }
                system_call("normalize", args, position)
            }
            _ => return Err(self.syntax()),
        };
        self.expect_token(&Token::RParen)?;
        Ok(expr)
    }

    /// `EXTRACT(field FROM e)`: the field is a word, or a string constant.
    fn extract(&mut self, position: Position) -> Lowered<Expr> {
        let field = if self.is_string_at(0) {
            self.string()?
        } else {
            self.label()?.as_str().into()
        };
        self.expect("from")?;
        let source = self.expr()?;
        let field = Expr::Literal(Literal::String(field.into()));
        Ok(system_call("extract", vec![field, source], position))
    }

    fn normal_form(&mut self) -> Lowered<Expr> {
        let form = match self.word() {
            Some(form @ ("nfc" | "nfd" | "nfkc" | "nfkd")) => form.to_ascii_uppercase(),
            Some(_) | None => return Err(self.syntax()),
        };
        self.advance();
        Ok(Expr::Literal(Literal::String(form.into())))
    }

    /// The plain-call form of a special word: an ordinary call of an unqualified function, found by
    /// the search path.
    fn ordinary(&mut self, word: &str, args: Vec<Expr>, position: Position) -> Lowered<Expr> {
        self.expect_token(&Token::RParen)?;
        let name = Name {
            parts: vec![Ident::exact(word)],
            position,
        };
        Ok(Expr::Call(Box::new(crate::sql::tree::Call::plain(
            name, args,
        ))))
    }

    /// `SUBSTRING(e FROM a FOR b)` in its six orders, `SIMILAR … ESCAPE`, or the comma form.
    fn substring(&mut self, position: Position) -> Lowered<Expr> {
        if self.next_is(&Token::RParen) {
            return self.ordinary("substring", Vec::new(), position);
        }
        let text = self.expr()?;
        if self.take(&Token::Comma) {
            let mut args = vec![text];
            args.extend(self.list(Self::expr)?);
            return self.ordinary("substring", args, position);
        }
        if self.next_is(&Token::RParen) {
            return self.ordinary("substring", vec![text], position);
        }
        if self.eat("similar") {
            let pattern = self.expr()?;
            self.expect("escape")?;
            let escape = self.expr()?;
            self.expect_token(&Token::RParen)?;
            return Ok(system_call(
                "substring",
                vec![text, pattern, escape],
                position,
            ));
        }
        let (mut from, mut length) = (None, None);
        loop {
            if from.is_none() && self.eat("from") {
                from = Some(self.expr()?);
            } else if length.is_none() && self.eat("for") {
                length = Some(self.expr()?);
            } else {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        let args = match (from, length) {
            (Some(from), Some(length)) => vec![text, from, length],
            (Some(from), None) => vec![text, from],
            // gram.y: start at 1, and the length is cast to int4 so that no text variant matches.
            (None, Some(length)) => vec![
                text,
                Expr::Literal(Literal::Number("1".into())),
                Expr::Cast(
                    Box::new(length),
                    crate::sql::tree::TypeName {
                        name: system_name("int4", position),
                        typmods: Vec::new(),
                        interval_fields: None,
                        array_dims: 0,
                    },
                ),
            ],
            (None, None) => return Err(self.syntax()),
        };
        Ok(system_call("substring", args, position))
    }

    fn overlay(&mut self, position: Position) -> Lowered<Expr> {
        let text = self.expr()?;
        if self.take(&Token::Comma) {
            let mut args = vec![text];
            args.extend(self.list(Self::expr)?);
            return self.ordinary("overlay", args, position);
        }
        self.expect("placing")?;
        let mut args = vec![text, self.expr()?];
        self.expect("from")?;
        args.push(self.expr()?);
        if self.eat("for") {
            args.push(self.expr()?);
        }
        self.expect_token(&Token::RParen)?;
        Ok(system_call("overlay", args, position))
    }

    /// `TRIM([BOTH|LEADING|TRAILING] [chars] FROM e)`, `TRIM(e, chars)`
    fn trim(&mut self, position: Position) -> Lowered<Expr> {
        let function = if self.eat("leading") {
            "ltrim"
        } else if self.eat("trailing") {
            "rtrim"
        } else {
            self.eat("both");
            "btrim"
        };
        if self.eat("from") {
            let args = self.list(Self::expr)?;
            return Ok(system_call(function, args, position));
        }
        let first = self.expr()?;
        let mut args;
        if self.eat("from") {
            args = self.list(Self::expr)?;
            args.push(first);
        } else {
            args = vec![first];
            if self.take(&Token::Comma) {
                args.extend(self.list(Self::expr)?);
            }
        }
        Ok(system_call(function, args, position))
    }
}
