//! SQL/JSON of PostgreSQL 16 and 17: constructors, aggregates, queries, `IS JSON`, `JSON_TABLE`. Older
//! servers give their own error for what they do not know.

use sqlparser::tokenizer::Token;

use super::form::Form;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{Expr, KeywordTable, Name, Piece};

type Choice<'w> = (&'w [&'w str], &'static str);

impl Front<'_, '_> {
    /// A call of `JSON…` or `MERGE_ACTION`; the cursor is at the word, a parenthesis follows.
    pub(super) fn json_call(&mut self, word: &str) -> Lowered<Expr> {
        if word == "json_object" {
            return self.json_object();
        }
        let query = self.engine.opens_query(self.index().saturating_add(1));
        self.advance();
        self.expect_token(&Token::LParen)?;
        match word {
            "json_array" => {
                let mut form = Form::new("JSON_ARRAY(");
                if query {
                    form.push(Piece::Query(Box::new(self.query()?)));
                    self.json_format(&mut form)?;
                } else if !self.is("returning") && !self.next_is(&Token::RParen) {
                    self.json_values(&mut form)?;
                    self.json_on_null(&mut form);
                }
                self.json_returning(&mut form)?;
                self.json_end(form, "json_array")
            }
            "json" => {
                let mut form = Form::new("JSON(");
                self.json_value(&mut form)?;
                self.json_unique(&mut form);
                self.json_end(form, "json")
            }
            "json_scalar" => {
                let mut form = Form::new("JSON_SCALAR(");
                self.form_expr(&mut form)?;
                self.json_end(form, "json_scalar")
            }
            "json_serialize" => {
                let mut form = Form::new("JSON_SERIALIZE(");
                self.json_value(&mut form)?;
                self.json_returning(&mut form)?;
                self.json_end(form, "json_serialize")
            }
            "json_objectagg" => {
                let mut form = Form::new("JSON_OBJECTAGG(");
                self.json_key_value(&mut form)?;
                self.json_on_null(&mut form);
                self.json_unique(&mut form);
                self.json_returning(&mut form)?;
                self.json_aggregate(form, "json_objectagg")
            }
            "json_arrayagg" => {
                let mut form = Form::new("JSON_ARRAYAGG(");
                self.json_value(&mut form)?;
                if self.is("order") {
                    form.word("ORDER BY");
                    form.push(Piece::OrderBy(self.order_by()?));
                }
                self.json_on_null(&mut form);
                self.json_returning(&mut form)?;
                self.json_aggregate(form, "json_arrayagg")
            }
            "json_exists" => {
                let mut form = Form::new("JSON_EXISTS(");
                self.json_path(&mut form)?;
                self.json_behaviors(&mut form)?;
                self.json_end(form, "json_exists")
            }
            "json_value" => {
                let mut form = Form::new("JSON_VALUE(");
                self.json_path(&mut form)?;
                self.json_returning(&mut form)?;
                self.json_behaviors(&mut form)?;
                self.json_end(form, "json_value")
            }
            "json_query" => {
                let mut form = Form::new("JSON_QUERY(");
                self.json_path(&mut form)?;
                self.json_returning(&mut form)?;
                self.json_wrapping(&mut form);
                self.json_behaviors(&mut form)?;
                self.json_end(form, "json_query")
            }
            "merge_action" => self.json_end(Form::new("MERGE_ACTION("), "merge_action"),
            _ => Err(self.syntax()),
        }
    }

    fn json_end(&mut self, mut form: Form, name: &'static str) -> Lowered<Expr> {
        self.expect_token(&Token::RParen)?;
        form.word(")");
        Ok(form.expr(name))
    }

    /// An aggregate's closing parenthesis, FILTER and OVER.
    fn json_aggregate(&mut self, mut form: Form, name: &'static str) -> Lowered<Expr> {
        self.expect_token(&Token::RParen)?;
        form.word(")");
        if let Some(filter) = self.filter_clause()? {
            form.word("FILTER (WHERE");
            form.push(Piece::Expr(*filter));
            form.word(")");
        }
        if self.eat("over") {
            form.word("OVER");
            form.push(Piece::Over(Box::new(self.over()?)));
        }
        Ok(form.expr(name))
    }

    /// `JSON_OBJECT(key VALUE v, …)`, `JSON_OBJECT(key : v)`, or the function of that name.
    fn json_object(&mut self) -> Lowered<Expr> {
        let position = self.place();
        let name = Name {
            parts: vec![Ident::exact("json_object")],
            position,
        };
        self.advance();
        let named = matches!(self.symbol_at(2), Some(":=" | "=>"));
        if named || self.is_at(1, "variadic") {
            return Ok(Expr::Call(Box::new(self.call(name)?)));
        }
        self.expect_token(&Token::LParen)?;
        let mut form = Form::new("JSON_OBJECT(");
        if !self.is("returning") && !self.next_is(&Token::RParen) {
            let key = self.expr()?;
            if !self.is("value") && !self.next_is(&Token::Colon) {
                let mut args = vec![key];
                if self.take(&Token::Comma) {
                    args.extend(self.list(Self::expr)?);
                }
                self.expect_token(&Token::RParen)?;
                let call = crate::sql::tree::Call::plain(name, args);
                return Ok(Expr::Call(Box::new(self.call_tail(call)?)));
            }
            form.push(Piece::Expr(key));
            self.json_pair(&mut form)?;
            while self.take(&Token::Comma) {
                form.word(",");
                self.json_key_value(&mut form)?;
            }
            self.json_on_null(&mut form);
            self.json_unique(&mut form);
        }
        self.json_returning(&mut form)?;
        self.json_end(form, "json_object")
    }

    fn json_key_value(&mut self, form: &mut Form) -> Lowered<()> {
        self.form_expr(form)?;
        self.json_pair(form)
    }

    /// After the key. Printed keys are self-delimited, so VALUE fits where the colon stood.
    fn json_pair(&mut self, form: &mut Form) -> Lowered<()> {
        if !self.take(&Token::Colon) {
            self.expect("value")?;
        }
        form.word("VALUE");
        self.json_value(form)
    }

    /// `e [FORMAT JSON]`
    fn json_value(&mut self, form: &mut Form) -> Lowered<()> {
        self.form_expr(form)?;
        self.json_format(form)
    }

    fn json_values(&mut self, form: &mut Form) -> Lowered<()> {
        self.json_value(form)?;
        while self.take(&Token::Comma) {
            form.word(",");
            self.json_value(form)?;
        }
        Ok(())
    }

    fn json_format(&mut self, form: &mut Form) -> Lowered<()> {
        if !self.form_words(form, &["format", "json"], "FORMAT JSON") || !self.eat("encoding") {
            return Ok(());
        }
        let encodings: &[Choice<'_>] = &[
            (&["utf8"], "ENCODING UTF8"),
            (&["utf16"], "ENCODING UTF16"),
            (&["utf32"], "ENCODING UTF32"),
        ];
        if self.form_choice(form, encodings) {
            Ok(())
        } else {
            self.unsupported("this JSON encoding")
        }
    }

    fn json_returning(&mut self, form: &mut Form) -> Lowered<()> {
        if !self.form_words(form, &["returning"], "RETURNING") {
            return Ok(());
        }
        self.form_type(form)?;
        self.json_format(form)
    }

    fn json_on_null(&mut self, form: &mut Form) {
        let choices: &[Choice<'_>] = &[
            (&["null", "on", "null"], "NULL ON NULL"),
            (&["absent", "on", "null"], "ABSENT ON NULL"),
        ];
        self.form_choice(form, choices);
    }

    fn json_unique(&mut self, form: &mut Form) {
        let choices: &[Choice<'_>] = &[
            (&["with", "unique"], "WITH UNIQUE KEYS"),
            (&["without", "unique"], "WITHOUT UNIQUE KEYS"),
        ];
        if self.form_choice(form, choices) {
            self.eat("keys");
        }
    }

    /// `value, path [PASSING …]`
    fn json_path(&mut self, form: &mut Form) -> Lowered<()> {
        self.json_value(form)?;
        self.expect_token(&Token::Comma)?;
        form.word(",");
        self.form_expr(form)?;
        self.json_passing(form)
    }

    fn json_passing(&mut self, form: &mut Form) -> Lowered<()> {
        if !self.form_words(form, &["passing"], "PASSING") {
            return Ok(());
        }
        loop {
            self.json_value(form)?;
            self.expect("as")?;
            form.word("AS");
            form.push(Piece::Name(self.label()?));
            if !self.take(&Token::Comma) {
                return Ok(());
            }
            form.word(",");
        }
    }

    /// Wrapper and quotes.
    fn json_wrapping(&mut self, form: &mut Form) {
        const WITHOUT: &str = "WITHOUT WRAPPER";
        const CONDITIONAL: &str = "WITH CONDITIONAL WRAPPER";
        const UNCONDITIONAL: &str = "WITH UNCONDITIONAL WRAPPER";
        let wrappers: &[Choice<'_>] = &[
            (&["without", "wrapper"], WITHOUT),
            (&["without", "array", "wrapper"], WITHOUT),
            (&["with", "conditional", "wrapper"], CONDITIONAL),
            (&["with", "conditional", "array", "wrapper"], CONDITIONAL),
            (&["with", "unconditional", "wrapper"], UNCONDITIONAL),
            (
                &["with", "unconditional", "array", "wrapper"],
                UNCONDITIONAL,
            ),
            (&["with", "wrapper"], UNCONDITIONAL),
            (&["with", "array", "wrapper"], UNCONDITIONAL),
        ];
        self.form_choice(form, wrappers);
        let quotes: &[Choice<'_>] = &[
            (&["keep", "quotes"], "KEEP QUOTES"),
            (&["omit", "quotes"], "OMIT QUOTES"),
        ];
        if self.form_choice(form, quotes) {
            self.eat_all(&["on", "scalar", "string"]);
        }
    }

    /// `… ON EMPTY`, `… ON ERROR`: at most one of each, in this order, which PostgreSQL checks.
    fn json_behaviors(&mut self, form: &mut Form) -> Lowered<()> {
        let ends: &[Choice<'_>] = &[
            (&["on", "empty"], "ON EMPTY"),
            (&["on", "error"], "ON ERROR"),
        ];
        while self.json_behavior(form)? {
            if !self.form_choice(form, ends) {
                return Err(self.syntax());
            }
        }
        Ok(())
    }

    fn json_behavior(&mut self, form: &mut Form) -> Lowered<bool> {
        if self.form_words(form, &["default"], "DEFAULT") {
            self.form_expr(form)?;
            return Ok(true);
        }
        let behaviors: &[Choice<'_>] = &[
            (&["error"], "ERROR"),
            (&["null"], "NULL"),
            (&["true"], "TRUE"),
            (&["false"], "FALSE"),
            (&["unknown"], "UNKNOWN"),
            (&["empty", "array"], "EMPTY ARRAY"),
            (&["empty", "object"], "EMPTY OBJECT"),
            (&["empty"], "EMPTY ARRAY"),
        ];
        Ok(self.form_choice(form, behaviors))
    }

    /// After `IS [NOT]`, at `JSON`.
    pub(super) fn is_json(&mut self, left: Expr, negated: bool) -> Expr {
        self.advance();
        let mut form = Form::of(left);
        form.word(if negated { "IS NOT JSON" } else { "IS JSON" });
        let kinds: &[Choice<'_>] = &[
            (&["value"], "VALUE"),
            (&["array"], "ARRAY"),
            (&["object"], "OBJECT"),
            (&["scalar"], "SCALAR"),
        ];
        self.form_choice(&mut form, kinds);
        self.json_unique(&mut form);
        form.predicate()
    }

    /// `JSON_TABLE(…)`; the cursor is at the word.
    pub(super) fn json_table(&mut self, lateral: bool) -> Lowered<KeywordTable> {
        self.advance();
        self.expect_token(&Token::LParen)?;
        let mut form = Form::new("JSON_TABLE(");
        self.json_value(&mut form)?;
        self.expect_token(&Token::Comma)?;
        form.word(",");
        self.form_expr(&mut form)?;
        self.json_path_name(&mut form)?;
        self.json_passing(&mut form)?;
        let mut columns = Vec::new();
        self.json_columns(&mut form, &mut columns)?;
        self.json_behaviors(&mut form)?;
        self.expect_token(&Token::RParen)?;
        form.word(")");
        Ok(KeywordTable {
            lateral,
            form: form.done(Some("json_table")),
            columns,
            alias: self.table_alias()?,
        })
    }

    fn json_path_name(&mut self, form: &mut Form) -> Lowered<()> {
        if self.form_words(form, &["as"], "AS") {
            form.push(Piece::Name(self.label()?));
        }
        Ok(())
    }

    /// `COLUMNS ( … )`
    fn json_columns(&mut self, form: &mut Form, columns: &mut Vec<Ident>) -> Lowered<()> {
        self.expect("columns")?;
        self.expect_token(&Token::LParen)?;
        form.word("COLUMNS (");
        loop {
            self.json_column(form, columns)?;
            if !self.take(&Token::Comma) {
                break;
            }
            form.word(",");
        }
        self.expect_token(&Token::RParen)?;
        form.word(")");
        Ok(())
    }

    fn json_column(&mut self, form: &mut Form, columns: &mut Vec<Ident>) -> Lowered<()> {
        let nested = self.is("nested")
            && (self.is_string_at(1) || self.is_at(1, "path") && self.is_string_at(2));
        if nested {
            self.advance();
            self.eat("path");
            form.word("NESTED PATH");
            form.push(Piece::String(self.string()?));
            self.json_path_name(form)?;
            return self.json_columns(form, columns);
        }
        let name = self.col_id()?;
        columns.push(name.clone());
        form.push(Piece::Name(name));
        if self.form_words(form, &["for", "ordinality"], "FOR ORDINALITY") {
            return Ok(());
        }
        self.form_type(form)?;
        if !self.form_words(form, &["exists"], "EXISTS") {
            self.json_format(form)?;
        }
        if self.form_words(form, &["path"], "PATH") {
            form.push(Piece::String(self.string()?));
        }
        self.json_wrapping(form);
        self.json_behaviors(form)
    }
}
