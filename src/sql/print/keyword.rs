//! Forms with a grammar of their own: their pieces, in order.

use super::{Printed, Printer, unresolved};
use crate::sql::tree::{KeywordForm, KeywordTable, Piece};

impl Printer<'_> {
    pub(super) fn keyword_form(&mut self, form: &KeywordForm) -> Printed {
        self.separated(&form.pieces, " ", Self::piece)
    }

    pub(super) fn keyword_table(&mut self, table: &KeywordTable) -> Printed {
        self.push(if table.lateral { "LATERAL " } else { "" });
        self.keyword_form(&table.form)?;
        self.alias(table.alias.as_ref())
    }

    fn piece(&mut self, piece: &Piece) -> Printed {
        match piece {
            Piece::Word(word) => {
                self.push(word);
                Ok(())
            }
            Piece::Expr(expr) => self.expr(expr),
            Piece::Labelled(expr, label) => {
                self.expr(expr)?;
                let Some(label) = label else {
                    return Ok(());
                };
                self.push(" AS ");
                self.ident(label)
            }
            Piece::Query(query) => self.subquery(query),
            Piece::Type(ty) => self.type_name(ty),
            Piece::Name(name) => self.ident(name),
            Piece::String(value) => self.string(value),
            Piece::OrderBy(items) if items.is_empty() => Err(unresolved("ORDER BY of nothing")),
            Piece::OrderBy(items) => self.order_by(items),
            Piece::Over(window) => self.over(window),
        }
    }
}
