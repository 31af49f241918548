//! Type names (`Typename` of gram.y) and typed literals: SQL's spellings become `pg_catalog` names as
//! PostgreSQL's grammar makes them; any other name stays as written.

use sqlparser::tokenizer::Token;

use super::names::system_name;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::Unsupported;
use crate::sql::scan::keyword;
use crate::sql::tree::{Expr, Literal, Name, Position, TypeName};

/// Fields of an interval type, longest form first.
const INTERVAL_FIELDS: &[(&[&str], &str)] = &[
    (&["year", "to", "month"], "YEAR TO MONTH"),
    (&["day", "to", "hour"], "DAY TO HOUR"),
    (&["day", "to", "minute"], "DAY TO MINUTE"),
    (&["day", "to", "second"], "DAY TO SECOND"),
    (&["hour", "to", "minute"], "HOUR TO MINUTE"),
    (&["hour", "to", "second"], "HOUR TO SECOND"),
    (&["minute", "to", "second"], "MINUTE TO SECOND"),
    (&["year"], "YEAR"),
    (&["month"], "MONTH"),
    (&["day"], "DAY"),
    (&["hour"], "HOUR"),
    (&["minute"], "MINUTE"),
    (&["second"], "SECOND"),
];

/// A type by name, with modifiers and nothing else.
pub(super) fn plain(name: Name, typmods: Vec<i64>) -> TypeName {
    TypeName {
        name,
        typmods,
        interval_fields: None,
        array_dims: 0,
    }
}

impl Front<'_, '_> {
    /// A type, with array bounds. `SETOF` and `%TYPE` are refused.
    pub(super) fn type_name(&mut self) -> Lowered<TypeName> {
        if self.is("setof") {
            return self.unsupported("SETOF");
        }
        let mut ty = self.simple_type(false)?;
        if self.is_symbol("%") && self.is_at(1, "type") {
            return self.unsupported("%TYPE");
        }
        if self.eat("array") {
            ty.array_dims = 1;
            if self.take(&Token::LBracket) {
                self.integer()?;
                self.expect_token(&Token::RBracket)?;
            }
            return Ok(ty);
        }
        while self.take(&Token::LBracket) {
            if !self.next_is(&Token::RBracket) {
                // PostgreSQL reads the bound and ignores it.
                self.integer()?;
            }
            self.expect_token(&Token::RBracket)?;
            ty.array_dims = ty.array_dims.checked_add(1).ok_or_else(|| self.syntax())?;
        }
        Ok(ty)
    }

    /// `SimpleTypename`; a character type in front of a constant has no implied length.
    fn simple_type(&mut self, constant: bool) -> Lowered<TypeName> {
        let position = self.place();
        let system = |name: &str, typmods| Ok(plain(system_name(name, position), typmods));
        let Some(word) = self.word().map(str::to_owned) else {
            return self.generic_type();
        };
        // A qualified name is never SQL's spelling.
        if *self.peek_at(1) == Token::Period {
            return self.generic_type();
        }
        match word.as_str() {
            "int" | "integer" => self.after(|_| system("int4", Vec::new())),
            "smallint" => self.after(|_| system("int2", Vec::new())),
            "bigint" => self.after(|_| system("int8", Vec::new())),
            "real" => self.after(|_| system("float4", Vec::new())),
            "boolean" => self.after(|_| system("bool", Vec::new())),
            "float" => self.after(|front| match front.typmods()?.as_slice() {
                [] | [25..=53] => system("float8", Vec::new()),
                [1..=24] => system("float4", Vec::new()),
                _ => Err(Unsupported::syntax(
                    "precision for type float must be between 1 and 53 bits",
                    position.byte(),
                )),
            }),
            "double" => {
                self.advance();
                self.expect("precision")?;
                system("float8", Vec::new())
            }
            "decimal" | "dec" | "numeric" => self.after(|front| {
                let typmods = front.typmods()?;
                system("numeric", typmods)
            }),
            "bit" => self.after(|front| {
                let varying = front.eat("varying");
                let typmods = front.typmods()?;
                if varying {
                    return system("varbit", typmods);
                }
                if typmods.is_empty() && !constant {
                    return system("bit", vec![1]);
                }
                system("bit", typmods)
            }),
            "character" | "char" | "nchar" | "varchar" | "national" => {
                self.character_type(constant, position)
            }
            "time" | "timestamp" => self.time_type(&word, position),
            "interval" => {
                self.advance();
                self.interval_type(position)
            }
            _ => self.generic_type(),
        }
    }

    fn after<T>(&mut self, then: impl FnOnce(&mut Self) -> Lowered<T>) -> Lowered<T> {
        self.advance();
        then(self)
    }

    fn character_type(&mut self, constant: bool, position: Position) -> Lowered<TypeName> {
        let varying = if self.eat("varchar") {
            true
        } else {
            self.eat("national");
            if !(self.eat("character") || self.eat("char") || self.eat("nchar")) {
                return Err(self.syntax());
            }
            self.eat("varying")
        };
        let mut typmods = self.typmods()?;
        if !varying && !constant && typmods.is_empty() {
            typmods.push(1);
        }
        let name = if varying { "varchar" } else { "bpchar" };
        Ok(plain(system_name(name, position), typmods))
    }

    fn time_type(&mut self, word: &str, position: Position) -> Lowered<TypeName> {
        self.advance();
        let typmods = self.typmods()?;
        let zone = self.eat_all(&["with", "time", "zone"]);
        if !zone {
            self.eat_all(&["without", "time", "zone"]);
        }
        let name = match (word, zone) {
            ("time", false) => "time",
            ("time", true) => "timetz",
            (_, false) => "timestamp",
            (_, true) => "timestamptz",
        };
        Ok(plain(system_name(name, position), typmods))
    }

    /// After `INTERVAL`: `(p)`, or fields of which the last may be `SECOND(p)`.
    fn interval_type(&mut self, position: Position) -> Lowered<TypeName> {
        let mut ty = plain(system_name("interval", position), self.typmods()?);
        if ty.typmods.is_empty() {
            self.interval_fields(&mut ty)?;
        }
        Ok(ty)
    }

    fn interval_fields(&mut self, ty: &mut TypeName) -> Lowered<()> {
        for (words, name) in INTERVAL_FIELDS {
            if self.eat_all(words) {
                ty.interval_fields = Some((*name).into());
                if words.last() == Some(&"second") && ty.typmods.is_empty() {
                    ty.typmods = self.typmods()?;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// `name`, `schema.name`, with modifiers.
    fn generic_type(&mut self) -> Lowered<TypeName> {
        let position = self.place();
        let usable = match self.peek() {
            Token::Word(word) => {
                word.quote_style.is_some()
                    || keyword::is_function_name(&word.value)
                    || (*self.peek_at(1) == Token::Period && self.is_col_id_at(0))
            }
            _ => false,
        };
        if !usable {
            return Err(self.syntax());
        }
        let mut parts: Vec<Ident> = vec![self.label()?];
        while self.take(&Token::Period) {
            if parts.len() >= 2 {
                return self.unsupported("a type name with that many parts");
            }
            parts.push(self.label()?);
        }
        let typmods = self.typmods()?;
        Ok(plain(Name { parts, position }, typmods))
    }

    /// `(n, …)`, or nothing.
    fn typmods(&mut self) -> Lowered<Vec<i64>> {
        if !self.next_is(&Token::LParen) {
            return Ok(Vec::new());
        }
        self.parenthesised(Self::signed_integer)
    }

    pub(super) fn signed_integer(&mut self) -> Lowered<i64> {
        if self.take_symbol("-") {
            return Ok(self.integer()?.saturating_neg());
        }
        self.take_symbol("+");
        self.integer()
    }

    /// An integer constant.
    pub(super) fn integer(&mut self) -> Lowered<i64> {
        let value = self.number().and_then(|text| text.parse().ok());
        let value = value.ok_or_else(|| self.syntax())?;
        self.advance();
        Ok(value)
    }

    /// Does one of SQL's type spellings start a typed literal here? Otherwise it is a column.
    pub(super) fn starts_typed_literal(&self, word: &str) -> bool {
        let next = self.peek_at(1);
        let string_or_length = self.is_string_at(1) || *next == Token::LParen;
        match word {
            "int" | "integer" | "smallint" | "bigint" | "real" | "boolean" => self.is_string_at(1),
            "float" | "decimal" | "dec" | "numeric" | "varchar" | "interval" => string_or_length,
            "bit" | "char" | "character" | "nchar" => string_or_length || self.is_at(1, "varying"),
            "national" => self.is_at(1, "char") || self.is_at(1, "character"),
            "double" => self.is_at(1, "precision"),
            "time" | "timestamp" => {
                string_or_length
                    || (self.is_at(1, "with") || self.is_at(1, "without")) && self.is_at(2, "time")
            }
            _ => false,
        }
    }

    /// `type 'text'`, which is a cast of an untyped constant; `interval 'text' fields`.
    pub(super) fn typed_literal(&mut self) -> Lowered<Expr> {
        let position = self.place();
        let interval = self.is("interval");
        let mut ty = if interval {
            self.advance();
            let typmods = self.typmods()?;
            plain(system_name("interval", position), typmods)
        } else {
            self.simple_type(true)?
        };
        let value = self.string_constant()?;
        if interval && ty.typmods.is_empty() {
            self.interval_fields(&mut ty)?;
        }
        Ok(Expr::Cast(
            Box::new(Expr::Literal(Literal::String(value))),
            ty,
        ))
    }
}
