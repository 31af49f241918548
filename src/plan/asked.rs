//! What a statement asks of one masked column, as a [`Question`] that its relation answers.
//!
//! Deliberately absent: the answers, which are `mask`'s.

use super::decide::Place;
use super::handed::Open;
use super::hidden::Hidden;
use crate::analyze::ColumnForm;
use crate::analyze::lineage::Source;
use crate::catalog::Index;
use crate::mask::{CompiledMask, Question};
use crate::pg::AttrNumber;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::sql::tree::{Column, Expr, Literal, RelationId};

impl Hidden<'_> {
    /// `column op 'constant'`
    pub(super) fn compared(
        &mut self,
        c: &Column,
        symbol: &str,
        value: &str,
        open: &Open,
    ) -> Option<Expr> {
        let (question, negated) = match symbol {
            "=" => (Question::Equals(value), false),
            "<>" => (Question::Equals(value), true),
            "~~" => (Question::Like(value), false),
            "!~~" => (Question::Like(value), true),
            "->" => (Question::Member(value), false),
            "->>" => (Question::MemberText(value), false),
            "#>" => (Question::At(value), false),
            "#>>" => (Question::AtText(value), false),
            "?" => (Question::HasKey(value), false),
            "@>" => (Question::Contains(value), false),
            _ => return None,
        };
        let mask = self.mask(c)?;
        if matches!(question, Question::Equals(_) | Question::Like(_)) && !self.is_text(c) {
            return None;
        }
        let ordered = self.chooses && !self.exactly && !negated && self.is_ordered(c);
        let answer = self.column(c, open, |x| mask.ask(question, x, ordered))?;
        self.fences.open.extend(c.base.map(|(id, _)| id));
        Some(if negated {
            Expr::Not(Box::new(answer))
        } else {
            answer
        })
    }

    /// Is it a text, of a collation under which equal texts are the same bytes?
    fn is_text(&self, c: &Column) -> bool {
        let attribute = |(id, attnum): (RelationId, AttrNumber)| {
            self.lineage.relation(id)?.relation.attribute(attnum)
        };
        c.base
            .and_then(attribute)
            .is_some_and(|c| matches!(c.type_oid, oid::TEXT | oid::VARCHAR) && c.deterministic)
    }

    /// Is there an index of its texts in the order of their code points?
    fn is_ordered(&self, c: &Column) -> bool {
        let Some((relation, attnum)) = c.base else {
            return false;
        };
        let used = self.lineage.relation(relation);
        let first = |i: &Index| i.code_points && i.columns.first() == Some(&attnum);
        used.is_some_and(|used| used.relation.indexes.iter().any(first))
    }

    /// The string a constant is, if it is printed as it was written.
    pub(super) fn text<'e>(&self, e: &'e Expr) -> Option<&'e str> {
        match e {
            Expr::Literal(Literal::String(text)) => Some(text.value()),
            Expr::Constant { list, member, expr }
                if !self.rewrite.constants.contains_key(&(*list, *member)) =>
            {
                self.text(expr)
            }
            _ => None,
        }
    }

    fn treatment(&self, c: &Column) -> Option<&Treatment> {
        self.treated(c.base?)
    }

    /// How a column is treated that is masked at the source.
    pub(super) fn treated(
        &self,
        (relation, attnum): (RelationId, AttrNumber),
    ) -> Option<&Treatment> {
        let decided = self
            .decisions
            .columns
            .get(&Source::Column { relation, attnum })?;
        match &decided.form {
            ColumnForm::Rule(rule) if decided.place == Place::Source => Some(&rule.treatment),
            _ => None,
        }
    }

    pub(super) fn mask(&self, c: &Column) -> Option<std::sync::Arc<CompiledMask>> {
        match self.treatment(c)? {
            Treatment::Mask(mask) => Some(std::sync::Arc::clone(mask)),
            _ => None,
        }
    }
}
