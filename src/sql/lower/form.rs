//! Building forms with a grammar of their own, piece by piece.

use super::{Front, Lowered};
use crate::sql::tree::{Expr, KeywordForm, Piece};

/// A form under construction.
pub(super) struct Form(Vec<Piece>);

impl Form {
    pub(super) fn new(opening: &'static str) -> Self {
        Self(vec![Piece::Word(opening)])
    }

    /// A form that begins with a value.
    pub(super) fn of(expr: Expr) -> Self {
        Self(vec![Piece::Word("("), Piece::Expr(expr)])
    }

    pub(super) fn word(&mut self, word: &'static str) {
        self.push(Piece::Word(word));
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.0.push(piece);
    }

    pub(super) fn done(self, name: Option<&'static str>) -> KeywordForm {
        KeywordForm {
            name,
            pieces: self.0,
        }
    }

    pub(super) fn expr(self, name: &'static str) -> Expr {
        Expr::Keyword(Box::new(self.done(Some(name))))
    }

    /// A predicate: it has no name, and closes the parenthesis of [`Form::of`].
    pub(super) fn predicate(mut self) -> Expr {
        self.word(")");
        Expr::Keyword(Box::new(self.done(None)))
    }
}

impl Front<'_, '_> {
    /// A value.
    pub(super) fn form_expr(&mut self, form: &mut Form) -> Lowered<()> {
        form.push(Piece::Expr(self.expr()?));
        Ok(())
    }

    /// `b_expr`: nothing weaker than a comparison.
    pub(super) fn form_bare_expr(&mut self, form: &mut Form) -> Lowered<()> {
        let expr = self.expr_above(super::dialect::strength::IS)?;
        form.push(Piece::Expr(expr));
        Ok(())
    }

    /// `c_expr`
    pub(super) fn form_operand(&mut self, form: &mut Form) -> Lowered<()> {
        let expr = self.expr_above(super::dialect::strength::CAST)?;
        form.push(Piece::Expr(expr));
        Ok(())
    }

    pub(super) fn form_type(&mut self, form: &mut Form) -> Lowered<()> {
        form.push(Piece::Type(self.type_name()?));
        Ok(())
    }

    /// The words, when they come next; they are written as `as_written`.
    pub(super) fn form_words(
        &mut self,
        form: &mut Form,
        words: &[&str],
        written: &'static str,
    ) -> bool {
        let found = self.eat_all(words);
        if found {
            form.word(written);
        }
        found
    }

    /// The first of the choices that comes next.
    pub(super) fn form_choice(
        &mut self,
        form: &mut Form,
        choices: &[(&[&str], &'static str)],
    ) -> bool {
        choices
            .iter()
            .any(|(words, written)| self.form_words(form, words, written))
    }
}
