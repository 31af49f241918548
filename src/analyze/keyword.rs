//! XML and JSON forms: whatever goes in is computed with, whatever comes out is as tainted as that.

use super::expr::Info;
use super::lineage::OutputColumn;
use super::query::rename;
use super::scope::{CteFrame, Env, Scope};
use super::{Analyzer, Resolve};
use crate::ident::Ident;
use crate::sql::tree::{Expr, KeywordForm, KeywordTable, Piece};

impl Analyzer<'_> {
    /// Resolves every piece; is anything tainted?
    pub(super) fn keyword_form(
        &mut self,
        form: &mut KeywordForm,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<bool> {
        let mut tainted = false;
        for piece in &mut form.pieces {
            tainted |= match piece {
                Piece::Word(_) | Piece::Name(_) | Piece::String(_) | Piece::Type(_) => false,
                Piece::Expr(e) => self.compute(e, scope, ctes)?,
                Piece::Labelled(e, label) => {
                    // PostgreSQL labels with a column's name, which a mask or an alias may hide.
                    if let (Expr::Name(name), None) = (&*e, &label) {
                        *label = name.parts.last().cloned();
                    }
                    self.compute(e, scope, ctes)?
                }
                Piece::Query(q) => {
                    let before = self.hidden;
                    let outer = Some(scope);
                    self.computed_query(q, Env { outer, ctes })?;
                    self.hidden != before
                }
                Piece::OrderBy(items) => self.sort_keys(items, scope, ctes)?,
                Piece::Over(window) => self.window(window, scope, ctes)?,
            };
        }
        for piece in &mut form.pieces {
            if let Piece::Type(ty) = piece {
                self.converted(ty, tainted)?;
            }
        }
        Ok(tainted)
    }

    pub(super) fn keyword_value(
        &mut self,
        form: &mut KeywordForm,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<Info> {
        let tainted = self.keyword_form(form, scope, ctes)?;
        Ok(Info {
            tainted,
            ..Info::default()
        })
    }

    /// `XMLTABLE` or `JSON_TABLE`: the client's alias, and the columns under it. The alias is taken
    /// out; the caller writes the one that is printed.
    pub(super) fn keyword_table(
        &mut self,
        table: &mut KeywordTable,
        scope: &Scope<'_>,
        ctes: Option<&CteFrame<'_>>,
    ) -> Resolve<(Ident, Vec<OutputColumn>)> {
        let tainted = self.keyword_form(&mut table.form, scope, ctes)?;
        let outputs = table
            .columns
            .iter()
            .map(|name| OutputColumn::computed(name.clone(), None, tainted))
            .collect();
        let (name, columns) = match table.alias.take() {
            Some(alias) => (alias.name, alias.columns),
            None => (
                Ident::exact(table.form.name.unwrap_or_default()),
                Vec::new(),
            ),
        };
        let outputs = rename(outputs, &columns, &name)?;
        Ok((name, outputs))
    }
}
