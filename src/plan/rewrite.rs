//! Decisions → how the printer writes each base relation.
//!
//! A masked relation is a *simple* derived table (no volatile function, LIMIT, DISTINCT or set
//! operation), so that PostgreSQL pulls it up: indexes on clear columns serve, row locks pass through,
//! and operators see only the mask.

mod row;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::decide::{Decided, Decisions, Place};
use super::held::Placed;
use super::subject::Subject;
use super::tabulated::lookup_sql;
use crate::analyze::lineage::{Lineage, RelationUse, Source};
use crate::analyze::{ColumnForm, Generated, Grounds, column_form, scrub_sql};
use crate::catalog::{Catalog, Column, RelationKind, allow};
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::pg::types::oid;
use crate::pg::{AttrNumber, sqlstate};
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::print::{
    DerivedColumn, DerivedRelation, INNER_ALIAS, InPlace, RelationForm, Rewrite, print_expr,
};
use crate::sql::tree::{Expr, Node, RelationId};

/// In-place masks are written once over this stand-in for the relation's alias. It has NULs in it, which no SQL and no
/// name has, so that it is nothing a client wrote. The real one is put in at each reference.
const ALIAS: &str = "\0:alias:\0";

/// The same as a name, for as long as an expression is printed, in which there can be no NUL.
const NAMED_ALIAS: &str = "\u{1}alias\u{1}";

/// Names of the system columns, by attribute number.
const SYSTEM_COLUMNS: &[(AttrNumber, &str)] = &[
    (-1, "ctid"),
    (-2, "xmin"),
    (-3, "cmin"),
    (-4, "xmax"),
    (-5, "cmax"),
    (-6, "tableoid"),
];

/// How every base relation of a statement is written.
pub(super) fn relations(
    lineage: &Lineage,
    decisions: &Decisions,
    placed: &Placed,
    grounds: Grounds<'_>,
    rewrite: &mut Rewrite,
) -> Result<(), Refusal> {
    for (index, r) in (0_u32..).zip(&lineage.relations) {
        let id = RelationId(index);
        if let Some(pin) = super::pin::pin(r, grounds.catalog) {
            rewrite.pins.insert(id, pin);
        }
        let masked = r.columns.keys().any(|a| {
            decisions
                .columns
                .get(&Source::Column {
                    relation: id,
                    attnum: *a,
                })
                .is_some_and(Decided::is_expression)
        });
        let masked = masked || hidden_rows(r).is_some();
        let hidden_row = r.whole_row && masked;
        if !masked {
            continue;
        }
        rewrite.computed.extend(computed(r, id, decisions));
        if r.written && hidden_row {
            return Err(Refusal::denied(format!(
                "cannot return whole rows of {}, which has protected columns",
                r.relation.name
            ))
            .hint("Name the columns you need."));
        }
        let writer = Writer {
            relation: r,
            id,
            decisions,
            placed,
            among: match placed.narrowed.get(&id) {
                Some(among) => Some(condition(among, rewrite)?),
                None => None,
            },
            grounds,
        };
        let form = if r.in_place || r.written {
            if hidden_row {
                rewrite.rows.insert(id, writer.row_in_place()?);
            }
            RelationForm::InPlace(writer.in_place()?)
        } else {
            RelationForm::Derived(writer.derived(hidden_row)?)
        };
        rewrite.relations.insert(id, form);
    }
    Ok(())
}

/// The text columns of a reference that are masked at the source, under collations whose equality is
/// that of bytes.
fn computed(
    used: &RelationUse,
    id: RelationId,
    decisions: &Decisions,
) -> Vec<(RelationId, AttrNumber)> {
    let attnums = used.columns.keys().copied();
    let computed = attnums.filter(|attnum| {
        let source = Source::Column {
            relation: id,
            attnum: *attnum,
        };
        let masked = decisions.columns.get(&source).is_some_and(|d| {
            let ColumnForm::Rule(rule) = &d.form else {
                return false;
            };
            let varied = match &rule.treatment {
                Treatment::Mask(m) => !m.is_constant(),
                Treatment::Token(_) => true,
                Treatment::Clear | Treatment::Nullify | Treatment::Deny => false,
            };
            d.place == Place::Source && varied
        });
        let text = used
            .relation
            .attribute(*attnum)
            .is_some_and(|c| matches!(c.type_oid, oid::TEXT | oid::VARCHAR) && c.deterministic);
        masked && text
    });
    computed.map(|attnum| (id, attnum)).collect()
}

/// Rows of the server's own catalogs that are not shown.
fn hidden_rows(used: &RelationUse) -> Option<(&'static str, &'static str)> {
    let relation = &used.relation;
    allow::hidden_rows(relation.schema.as_str(), relation.name.as_str())
}

struct Writer<'a> {
    relation: &'a RelationUse,
    id: RelationId,
    decisions: &'a Decisions,
    /// The maps in which tokens are looked up.
    placed: &'a Placed,
    /// Of which rows they are, over [`ALIAS`].
    among: Option<String>,
    grounds: Grounds<'a>,
}

impl Writer<'_> {
    fn decided(&self, attnum: AttrNumber) -> Option<&Decided> {
        self.decisions.columns.get(&Source::Column {
            relation: self.id,
            attnum,
        })
    }

    fn derived(&self, whole_row: bool) -> Result<DerivedRelation, Refusal> {
        let inner = Ident::exact(INNER_ALIAS).quoted();
        let mut columns = Vec::with_capacity(self.relation.columns.len());
        for attnum in self.relation.columns.keys() {
            let name = self.name(*attnum)?;
            let sql = self.column_sql(*attnum, &inner)?;
            columns.push(DerivedColumn { name, sql });
        }
        let whole_row = if whole_row {
            Some(self.whole_row(&inner)?)
        } else {
            None
        };
        let filter = hidden_rows(self.relation).map(|(column, values)| {
            let column = column_of(&inner, &Ident::exact(column));
            let values = values.replace(' ', ",");
            format!("{column} OPERATOR(\"pg_catalog\".<>) ALL ('{{{values}}}')")
        });
        Ok(DerivedRelation {
            columns,
            whole_row,
            filter,
            fenced: self.reads_view() && self.looks_up(),
        })
    }

    fn in_place(&self) -> Result<HashMap<AttrNumber, InPlace>, Refusal> {
        let mut map = HashMap::new();
        for attnum in self.relation.columns.keys() {
            if self.decided(*attnum).is_none_or(|d| !d.is_expression()) {
                continue;
            }
            let template = self.column_sql(*attnum, ALIAS)?;
            map.insert(
                *attnum,
                InPlace::new(move |alias| template.replace(ALIAS, alias)),
            );
        }
        Ok(map)
    }

    /// What stands for a column: itself, or its mask. `alias` is the relation's, quoted.
    fn column_sql(&self, attnum: AttrNumber, alias: &str) -> Result<String, Refusal> {
        let operand = column_of(alias, &self.name(attnum)?);
        match self.decided(attnum) {
            Some(d) if d.place == Place::Source => match &d.form {
                ColumnForm::Generated(g) => self.recomputed(g, attnum, alias),
                form => self.masked_sql(form, attnum, (alias, &operand)),
            },
            // Its tokens are made of what comes back; what has none is NULL from the beginning.
            Some(d) => Ok((d.guard())
                .and_then(|token| token.guarded_sql(&operand))
                .unwrap_or(operand)),
            None => Ok(operand),
        }
    }

    fn recomputed(
        &self,
        generated: &Generated,
        attnum: AttrNumber,
        alias: &str,
    ) -> Result<String, Refusal> {
        let column = self.relation.relation.attribute(attnum);
        let sql = generated_sql(generated, column, alias, self.grounds)?;
        if !self.relation.in_place {
            return Ok(sql);
        }
        // A row that an outer join has left out has no key, and nothing is computed of it.
        let key = self.key(alias)?;
        let null = null_sql(self.grounds.catalog, column)?;
        Ok(format!(
            "CASE WHEN {key} IS NULL THEN {null} ELSE {sql} END"
        ))
    }

    /// A column of the primary key beside which a relation is masked in place.
    fn key(&self, alias: &str) -> Result<String, Refusal> {
        let attnum = self.relation.relation.primary_key.first();
        let name = self.name(*attnum.ok_or_else(no_sql_form)?)?;
        Ok(column_of(alias, &name))
    }

    fn masked_sql(
        &self,
        form: &ColumnForm,
        attnum: AttrNumber,
        (alias, operand): (&str, &str),
    ) -> Result<String, Refusal> {
        let column = self.relation.relation.attribute(attnum);
        let null = || null_sql(self.grounds.catalog, column);
        match form {
            ColumnForm::Clear => Ok(operand.to_owned()),
            ColumnForm::Scrub => {
                let definition = format!("({operand})::\"pg_catalog\".\"text\"");
                Ok(scrub_sql(&definition, self.grounds))
            }
            ColumnForm::Size(untold) => Ok(untold.sql(alias, operand)),
            ColumnForm::Null | ColumnForm::NodeTree => null(),
            // Has no operand of its own.
            ColumnForm::Generated(_) => Err(no_sql_form()),
            ColumnForm::Rule(rule) => match &rule.treatment {
                Treatment::Clear => Ok(operand.to_owned()),
                Treatment::Nullify => null(),
                Treatment::Mask(m) => Ok(m.sql(operand)),
                Treatment::Token(t) => (t.sql(operand))
                    .or_else(|| self.looked_up(t, attnum, (alias, operand)))
                    .ok_or_else(no_sql_form),
                Treatment::Deny => Err(Refusal::denied("permission denied for column")),
            },
        }
    }

    /// PostgreSQL may compute with rows of the tables behind a view that the view does not show, and of
    /// which the list of its tokens knows nothing.
    fn reads_view(&self) -> bool {
        self.relation.relation.kind == RelationKind::View
    }

    /// Are tokens of it looked up?
    fn looks_up(&self) -> bool {
        (self.placed.tabulated.keys())
            .any(|s| matches!(s, Source::Column { relation, .. } if *relation == self.id))
    }

    /// A token that PostgreSQL cannot make, in the list of them all.
    fn looked_up(
        &self,
        token: &TokenColumn,
        attnum: AttrNumber,
        (alias, operand): (&str, &str),
    ) -> Option<String> {
        let source = Source::Column {
            relation: self.id,
            attnum,
        };
        let column = self.relation.relation.attribute(attnum)?;
        let map = *self.placed.tabulated.get(&source)?;
        let among = self.among.as_ref();
        let among = among.map(|among| among.replace(ALIAS, alias));
        Some(lookup_sql(token, column, operand, (map, among.as_deref())))
    }

    fn name(&self, attnum: AttrNumber) -> Result<Ident, Refusal> {
        if let Some(c) = self.relation.relation.attribute(attnum) {
            return Ok(c.name.clone());
        }
        SYSTEM_COLUMNS
            .iter()
            .find(|(a, _)| *a == attnum)
            .map(|(_, n)| Ident::exact(n))
            .ok_or_else(|| Refusal::error(sqlstate::UNDEFINED_COLUMN, "column does not exist"))
    }
}

/// A column of an alias that is quoted already.
fn column_of(alias: &str, column: &Ident) -> String {
    let mut out = alias.to_owned();
    out.push('.');
    column.quote_into(&mut out);
    out
}

fn null_sql(catalog: &Catalog, column: Option<&Column>) -> Result<String, Refusal> {
    let column = column.ok_or_else(no_sql_form)?;
    let ty = catalog.column_type(column).ok_or_else(no_sql_form)?;
    Ok(crate::mask::null_sql(&ty))
}

/// A generated column, recomputed from masked inputs of the relation of that alias, and cast to its own type.
fn generated_sql(
    generated: &Generated,
    column: Option<&Column>,
    alias: &str,
    grounds: Grounds<'_>,
) -> Result<String, Refusal> {
    let column = column.ok_or_else(no_sql_form)?;
    let mut rewrite = Rewrite::default();
    for (index, r) in (0_u32..).zip(&generated.lineage.relations) {
        let id = RelationId(index);
        let mut columns = BTreeMap::new();
        for attnum in r.columns.keys() {
            let form = column_form(&r.relation, *attnum, grounds)?;
            if let ColumnForm::Rule(rule) = &form
                && matches!(&rule.treatment, Treatment::Token(t) if !t.at_source())
                && let Some(input) = r.relation.attribute(*attnum)
            {
                let subject = Subject {
                    table: &r.relation.name,
                    column: &input.name,
                    rule,
                };
                return Err(subject.token_generates(&column.name));
            }
            let place = if matches!(form, ColumnForm::Clear) {
                Place::Stored
            } else {
                Place::Source
            };
            columns.insert(
                Source::Column {
                    relation: id,
                    attnum: *attnum,
                },
                Decided {
                    form,
                    place,
                    tabulated: None,
                },
            );
        }
        let decisions = Decisions {
            columns,
            lists: BTreeMap::new(),
            held: BTreeMap::new(),
        };
        let writer = Writer {
            relation: r,
            id,
            decisions: &decisions,
            placed: &Placed::default(),
            among: None,
            grounds,
        };
        rewrite
            .relations
            .insert(id, RelationForm::InPlace(writer.in_place()?));
    }
    let (sql, _) = over_alias(&generated.expr, &rewrite)?;
    let sql = sql.replace(ALIAS, alias);
    let ty = grounds
        .catalog
        .column_type(column)
        .ok_or_else(no_sql_form)?;
    Ok(format!("({sql})::{}", ty.sql))
}

/// An expression over the columns of one relation, whose alias is [`ALIAS`] then, and how often it was the name.
fn over_alias(e: &Expr, rewrite: &Rewrite) -> Result<(String, usize), Refusal> {
    let mut e = e.clone();
    let _all: bool = e.any_within(&mut |node| {
        if let Node::Expr(Expr::Column(c)) = node {
            c.qualifier = Some(Ident::exact(NAMED_ALIAS));
        }
        false
    });
    let sql = print_expr(&e, rewrite)?;
    let name = Ident::exact(NAMED_ALIAS).quoted();
    Ok((sql.replace(&name, ALIAS), sql.matches(&name).count()))
}

/// The same of a condition with the client's constants, each column of which is written once. In one that has
/// the name in it the alias would be the client's to place.
fn condition(e: &Expr, rewrite: &Rewrite) -> Result<String, Refusal> {
    let mut columns = 0_usize;
    let _all: bool = e.clone().any_within(&mut |node| {
        columns = columns.saturating_add(usize::from(matches!(node, Node::Expr(Expr::Column(_)))));
        false
    });
    match over_alias(e, rewrite)? {
        (sql, names) if names == columns => Ok(sql),
        _ => Err(no_sql_form()),
    }
}

fn no_sql_form() -> Refusal {
    Refusal::denied("a protected column cannot be masked in this place")
}

/// Names of nothing: for plans that read no relation.
pub(super) fn shared(rules: Vec<crate::mask::OutputRule>) -> Arc<[crate::mask::OutputRule]> {
    Arc::from(rules)
}
