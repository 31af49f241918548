//! XML: constructors, `IS DOCUMENT`, `XMLTABLE`.

use sqlparser::tokenizer::Token;

use super::form::Form;
use super::infix::system_call;
use super::{Front, Lowered};
use crate::sql::tree::{Expr, KeywordTable, Piece};

impl Front<'_, '_> {
    /// A call of `XML…`; the cursor is at the word.
    pub(super) fn xml_call(&mut self, word: &str) -> Lowered<Expr> {
        let position = self.place();
        self.advance();
        self.expect_token(&Token::LParen)?;
        let expr = match word {
            "xmlconcat" => {
                let mut form = Form::new("XMLCONCAT(");
                self.form_exprs(&mut form)?;
                self.xml_end(form, "xmlconcat")?
            }
            "xmlelement" => self.xml_element()?,
            "xmlexists" => {
                let path = self.expr_above(super::dialect::strength::CAST)?;
                let document = self.xml_passing()?;
                self.expect_token(&Token::RParen)?;
                system_call("xmlexists", vec![path, document], position)
            }
            "xmlforest" => {
                let mut form = Form::new("XMLFOREST(");
                self.xml_labelled(&mut form)?;
                self.xml_end(form, "xmlforest")?
            }
            "xmlparse" => {
                let mut form = Form::new("XMLPARSE(");
                self.xml_content(&mut form)?;
                self.form_expr(&mut form)?;
                let spaces: &[(&[&str], _)] = &[
                    (&["preserve", "whitespace"], "PRESERVE WHITESPACE"),
                    (&["strip", "whitespace"], "STRIP WHITESPACE"),
                ];
                self.form_choice(&mut form, spaces);
                self.xml_end(form, "xmlparse")?
            }
            "xmlpi" => {
                let mut form = Form::new("XMLPI(");
                self.xml_name(&mut form)?;
                if self.take(&Token::Comma) {
                    form.word(",");
                    self.form_expr(&mut form)?;
                }
                self.xml_end(form, "xmlpi")?
            }
            "xmlroot" => self.xml_root()?,
            _ => {
                let mut form = Form::new("XMLSERIALIZE(");
                self.xml_content(&mut form)?;
                self.form_expr(&mut form)?;
                self.expect("as")?;
                form.word("AS");
                form.push(Piece::Type(self.type_name()?));
                let indents: &[(&[&str], _)] =
                    &[(&["no", "indent"], "NO INDENT"), (&["indent"], "INDENT")];
                self.form_choice(&mut form, indents);
                self.xml_end(form, "xmlserialize")?
            }
        };
        Ok(expr)
    }

    fn xml_end(&mut self, mut form: Form, name: &'static str) -> Lowered<Expr> {
        self.expect_token(&Token::RParen)?;
        form.word(")");
        Ok(form.expr(name))
    }

    /// `e, e, …`
    pub(super) fn form_exprs(&mut self, form: &mut Form) -> Lowered<()> {
        self.form_expr(form)?;
        while self.take(&Token::Comma) {
            form.word(",");
            self.form_expr(form)?;
        }
        Ok(())
    }

    /// `DOCUMENT` or `CONTENT`
    fn xml_content(&mut self, form: &mut Form) -> Lowered<()> {
        let kinds: &[(&[&str], _)] = &[(&["document"], "DOCUMENT"), (&["content"], "CONTENT")];
        if self.form_choice(form, kinds) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// `NAME label`
    fn xml_name(&mut self, form: &mut Form) -> Lowered<()> {
        self.expect("name")?;
        form.word("NAME");
        form.push(Piece::Name(self.label()?));
        Ok(())
    }

    /// `e [AS label], …`
    fn xml_labelled(&mut self, form: &mut Form) -> Lowered<()> {
        loop {
            let expr = self.expr()?;
            let label = if self.eat("as") {
                Some(self.label()?)
            } else {
                None
            };
            form.push(Piece::Labelled(expr, label));
            if !self.take(&Token::Comma) {
                return Ok(());
            }
            form.word(",");
        }
    }

    fn xml_element(&mut self) -> Lowered<Expr> {
        let mut form = Form::new("XMLELEMENT(");
        self.xml_name(&mut form)?;
        if self.take(&Token::Comma) {
            form.word(",");
            let attributes = self.is("xmlattributes") && *self.peek_at(1) == Token::LParen;
            if attributes {
                self.advance();
                self.advance();
                form.word("XMLATTRIBUTES(");
                self.xml_labelled(&mut form)?;
                self.expect_token(&Token::RParen)?;
                form.word(")");
            }
            if !attributes || self.take(&Token::Comma) {
                if attributes {
                    form.word(",");
                }
                self.form_exprs(&mut form)?;
            }
        }
        self.xml_end(form, "xmlelement")
    }

    fn xml_root(&mut self) -> Lowered<Expr> {
        let mut form = Form::new("XMLROOT(");
        self.form_expr(&mut form)?;
        self.expect_token(&Token::Comma)?;
        self.expect("version")?;
        form.word(", VERSION");
        if !self.form_words(&mut form, &["no", "value"], "NO VALUE") {
            self.form_expr(&mut form)?;
        }
        if self.take(&Token::Comma) {
            self.expect("standalone")?;
            form.word(", STANDALONE");
            let values: &[(&[&str], _)] = &[
                (&["yes"], "YES"),
                (&["no", "value"], "NO VALUE"),
                (&["no"], "NO"),
            ];
            if !self.form_choice(&mut form, values) {
                return Err(self.syntax());
            }
        }
        self.xml_end(form, "xmlroot")
    }

    /// `PASSING [BY REF|VALUE] e [BY REF|VALUE]`: PostgreSQL reads the mechanism and ignores it.
    fn xml_passing(&mut self) -> Lowered<Expr> {
        self.expect("passing")?;
        self.xml_mechanism();
        let document = self.expr_above(super::dialect::strength::CAST)?;
        self.xml_mechanism();
        Ok(document)
    }

    fn xml_mechanism(&mut self) {
        if !self.eat_all(&["by", "ref"]) {
            self.eat_all(&["by", "value"]);
        }
    }

    /// After `IS [NOT]`, at `DOCUMENT`.
    pub(super) fn is_document(&mut self, left: Expr, negated: bool) -> Expr {
        self.advance();
        let mut form = Form::of(left);
        form.word("IS DOCUMENT");
        let test = form.predicate();
        if negated {
            return Expr::Not(Box::new(test));
        }
        test
    }

    /// `XMLTABLE(…)`; the cursor is at the word.
    pub(super) fn xml_table(&mut self, lateral: bool) -> Lowered<KeywordTable> {
        self.advance();
        self.expect_token(&Token::LParen)?;
        let mut form = Form::new("XMLTABLE(");
        if self.is("xmlnamespaces") && *self.peek_at(1) == Token::LParen {
            self.xml_namespaces(&mut form)?;
        }
        self.form_operand(&mut form)?;
        form.word("PASSING");
        let document = self.xml_passing()?;
        form.push(Piece::Expr(document));
        self.expect("columns")?;
        form.word("COLUMNS");
        let mut columns = Vec::new();
        loop {
            let name = self.col_id()?;
            columns.push(name.clone());
            form.push(Piece::Name(name));
            self.xml_table_column(&mut form)?;
            if !self.take(&Token::Comma) {
                break;
            }
            form.word(",");
        }
        self.expect_token(&Token::RParen)?;
        form.word(")");
        Ok(KeywordTable {
            lateral,
            form: form.done(Some("xmltable")),
            columns,
            alias: self.table_alias()?,
        })
    }

    /// `XMLNAMESPACES(uri AS name, DEFAULT uri, …),`
    fn xml_namespaces(&mut self, form: &mut Form) -> Lowered<()> {
        self.advance();
        self.advance();
        form.word("XMLNAMESPACES(");
        loop {
            let default = self.form_words(form, &["default"], "DEFAULT");
            self.form_bare_expr(form)?;
            if !default {
                self.expect("as")?;
                form.word("AS");
                form.push(Piece::Name(self.label()?));
            }
            if !self.take(&Token::Comma) {
                break;
            }
            form.word(",");
        }
        self.expect_token(&Token::RParen)?;
        self.expect_token(&Token::Comma)?;
        form.word("),");
        Ok(())
    }

    /// After the column's name: its type and options, or FOR ORDINALITY.
    fn xml_table_column(&mut self, form: &mut Form) -> Lowered<()> {
        if self.form_words(form, &["for", "ordinality"], "FOR ORDINALITY") {
            return Ok(());
        }
        self.form_type(form)?;
        loop {
            if self.form_words(form, &["default"], "DEFAULT")
                || self.form_words(form, &["path"], "PATH")
            {
                self.form_bare_expr(form)?;
            } else if !self.form_words(form, &["not", "null"], "NOT NULL")
                && !self.form_words(form, &["null"], "NULL")
            {
                return Ok(());
            }
        }
    }
}
