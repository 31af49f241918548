//! Whole rows: the masked columns as one value, of the relation's own row type where a token of each column
//! has room in it.

use super::{ALIAS, Writer};
use crate::analyze::ColumnForm;
use crate::catalog::Column;
use crate::ident::Ident;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::print::{InPlace, WHOLE_ROW};

impl Writer<'_> {
    pub(super) fn whole_row(&self, alias: &str) -> Result<String, Refusal> {
        let fits = (self.relation.relation.columns.iter()).try_for_each(|c| self.fits(c));
        match fits {
            Err(_) if self.relation.typed_rows == 0 => self.named_row(alias),
            fits => fits.and_then(|()| self.typed_row(alias)),
        }
    }

    /// A record of the masked columns under their names, where nothing shows its type.
    fn named_row(&self, alias: &str) -> Result<String, Refusal> {
        let mut columns = String::new();
        for c in &self.relation.relation.columns {
            if !columns.is_empty() {
                columns.push_str(", ");
            }
            columns.push_str(&self.column_sql(c.attnum, alias)?);
            columns.push_str(" AS ");
            c.name.quote_into(&mut columns);
        }
        let row = Ident::exact(WHOLE_ROW).quoted();
        Ok(format!(
            "(SELECT COALESCE({row}.*) FROM (SELECT {columns}) AS {row})"
        ))
    }

    /// `ROW(masked columns)::schema.table`, so that the row's type and field names stay.
    fn typed_row(&self, alias: &str) -> Result<String, Refusal> {
        let relation = &self.relation.relation;
        let mut sql = String::from("ROW(");
        for (n, c) in relation.columns.iter().enumerate() {
            if n > 0 {
                sql.push_str(", ");
            }
            sql.push_str(&self.column_sql(c.attnum, alias)?);
        }
        sql.push_str(")::");
        relation.schema.quote_into(&mut sql);
        sql.push('.');
        relation.name.quote_into(&mut sql);
        Ok(sql)
    }

    /// A field of the row has the column's own type, and a token may have no room in it.
    fn fits(&self, column: &Column) -> Result<(), Refusal> {
        match self.decided(column.attnum).map(|d| &d.form) {
            Some(ColumnForm::Rule(rule)) => match &rule.treatment {
                Treatment::Token(t) if !t.fits(column.type_oid, column.typmod) => {
                    let table = &self.relation.relation.name;
                    Err(Refusal::denied(format!(
                        "cannot use whole rows of {table}: tokens do not fit column {}",
                        column.name
                    ))
                    .detail(format!(
                        "Its type is {}, and the tokens of domain \"{}\" are longer or of another type.",
                        column.type_sql, rule.name
                    ))
                    .hint(
                        "Show the row by to_jsonb(…) or as text, or name the columns you need.",
                    ))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The same beside a grouped primary key, where no derived table fits. A row that an outer join has
    /// left out has no key, and is NULL.
    pub(super) fn row_in_place(&self) -> Result<InPlace, Refusal> {
        let key = self.key(ALIAS)?;
        let row = self.whole_row(ALIAS)?;
        let template = format!("CASE WHEN {key} IS NULL THEN NULL ELSE {row} END");
        Ok(InPlace::new(move |alias| template.replace(ALIAS, alias)))
    }
}
