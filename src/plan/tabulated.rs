//! Reversible tokens that PostgreSQL is to compute with: it cannot make them, so it is given all those of
//! a column, and looks them up.
//!
//! Right before the statement the proxy reads the column, makes its tokens, and gives the statement a map
//! from each value's text to its token. The masked relation looks up each value there, as it would hash
//! it for a token of kind `hmac`, and everything above it has the token's text: it is ordered, cut, matched
//! and joined as on the masked copy. A value that another session wrote after the reading is not in the
//! map, and nobody can say what its token is: the statement fails, and is tried again.
//!
//! It costs a reading of the column, so it is done where nothing else will do, and for columns whose
//! values are not too many (`limits`).
//!
//! Deliberately absent: columns that the statement writes to, which have to be what they were read; values that
//! would be kept in permanent tables, where others would take them for what was stored; and encrypted columns, of
//! which PostgreSQL's text is not a value's only one.

use std::fmt::Write as _;
use std::sync::Arc;

use super::decide::{Decisions, Place};
use super::narrowed::Narrowed;
use super::uploads::{Entry, Upload};
use crate::analyze::lineage::{Lineage, Source};
use crate::analyze::{ColumnForm, Grounds};
use crate::catalog::{Column, Relation};
use crate::ident::Ident;
use crate::limits;
use crate::mask::TokenColumn;
use crate::mask::token::TokenType;
use crate::pg::AttrNumber;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::print::{INNER_ALIAS, UNREAD, map_mark};

/// A refusal, and the columns of tokens without which it would not be.
pub(super) struct Obstacle {
    refusal: Arc<Refusal>,
    columns: Vec<Source>,
}

impl Obstacle {
    pub(super) fn of(refusal: Refusal, columns: Vec<Source>) -> Self {
        Self {
            refusal: Arc::new(refusal),
            columns,
        }
    }
}

impl From<Refusal> for Obstacle {
    fn from(refusal: Refusal) -> Self {
        Self::of(refusal, Vec::new())
    }
}

/// May PostgreSQL be given lists of tokens to look up what it is to compute with?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tabulate {
    /// Where nothing else will do.
    Yes,
    /// The statement has no place for them, or there is another way.
    No,
}

impl Decisions {
    /// Binds, and has PostgreSQL look up the tokens of what is in the way until nothing is. That ends,
    /// because columns are only ever added to those that it looks up.
    pub(super) fn bound(
        mut self,
        lineage: &Lineage,
        tabulate: Tabulate,
        grounds: Grounds<'_>,
    ) -> Result<Self, Refusal> {
        loop {
            match self.bind(lineage, grounds) {
                Ok(()) => {
                    let unsure = self.unsure(lineage);
                    let unsure = unsure.filter(|_| tabulate == Tabulate::Yes);
                    if !unsure.is_some_and(|obstacle| self.tabulate(&obstacle, lineage)) {
                        return Ok(self);
                    }
                }
                Err(obstacle) => {
                    if tabulate == Tabulate::No || !self.tabulate(&obstacle, lineage) {
                        return Err(Arc::unwrap_or_clone(obstacle.refusal));
                    }
                }
            }
        }
    }

    /// Has PostgreSQL look up the tokens of the columns that are in the way. Were there any?
    fn tabulate(&mut self, obstacle: &Obstacle, lineage: &Lineage) -> bool {
        let mut any = false;
        for source in &obstacle.columns {
            let Some(decided) = self.columns.get_mut(source) else {
                continue;
            };
            if decided.tabulated.is_some() || !tabulable(*source, &decided.form, lineage) {
                continue;
            }
            decided.place = Place::Source;
            decided.tabulated = Some(Arc::clone(&obstacle.refusal));
            any = true;
        }
        any
    }

    /// The columns whose tokens are looked up, those of one relation once, and which of them each
    /// reference is.
    pub(super) fn tabulated(
        &self,
        lineage: &Lineage,
        narrowed: &Narrowed,
    ) -> (Vec<Upload>, Vec<(Source, usize)>) {
        let mut list: Vec<Upload> = Vec::new();
        let mut places = Vec::new();
        for (source, decided) in &self.columns {
            let (Some(refusal), Some(token)) = (&decided.tabulated, token(&decided.form)) else {
                continue;
            };
            let (
                Some((relation, _)),
                Source::Column {
                    relation: id,
                    attnum,
                },
            ) = (lineage.column(*source), *source)
            else {
                continue;
            };
            let among = narrowed.get(&id);
            let column = (Arc::clone(relation), attnum);
            let same = |upload: &Upload| upload.is_of(&column);
            let place = list.iter().position(same).unwrap_or(list.len());
            match list.get_mut(place) {
                Some(upload) => upload.widen(among),
                None => list.push(Upload::new(
                    Arc::clone(token),
                    Entry::Token(Arc::clone(refusal), among.cloned()),
                    vec![column],
                )),
            }
            places.push((*source, place));
        }
        (list, places)
    }
}

/// Can all that the column shows be looked up by what it holds? What becomes of a row that is written is not
/// known before, but for columns that an UPDATE or DELETE leaves alone.
fn tabulable(source: Source, form: &ColumnForm, lineage: &Lineage) -> bool {
    let Source::Column {
        relation: id,
        attnum,
    } = source
    else {
        return false;
    };
    let (Some(used), Some(token)) = (lineage.relation(id), token(form)) else {
        return false;
    };
    let changes = used.inserted || used.assigned.contains(&attnum);
    let of_two_keys = token.takes_older() && is_given(source, lineage);
    token.is_reversible()
        && keeps_type(token)
        && !(token.is_encrypted()
            || used.relation.temporary
            || of_two_keys
            || changes
            || lineage.keeps_tainted)
}

/// Is it compared with tokens that the client gives? One of an older key is good too, and is another text.
fn is_given(source: Source, lineage: &Lineage) -> bool {
    lineage.equalities.iter().any(|e| {
        let both = || e.left.iter().chain(&e.right);
        let given = e.held.is_some() || both().any(|s| matches!(s, Source::List(_)));
        given && both().any(|s| *s == source)
    })
}

/// What is printed is typed as what was analyzed.
fn keeps_type(token: &TokenColumn) -> bool {
    match token.token_type() {
        TokenType::Text => true,
        TokenType::Uuid => token.type_oid() == oid::UUID,
        TokenType::Integer => token.type_oid() == token.output_type().0,
    }
}

fn token(form: &ColumnForm) -> Option<&Arc<TokenColumn>> {
    match form {
        ColumnForm::Rule(rule) => match &rule.treatment {
            Treatment::Token(token) => Some(token),
            Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => None,
        },
        _ => None,
    }
}

/// The token of an operand, looked up in a map. NULL is NULL, and so is what has no token; another value
/// that the map has not fails, by a function that is asked for what it has not: no planner calls it before
/// there is a value, and it says nothing of that. Nothing is looked up for rows that are not `among` those
/// that were read.
pub(super) fn lookup_sql(
    token: &TokenColumn,
    column: &Column,
    operand: &str,
    (map, among): (usize, Option<&str>),
) -> String {
    let map = map_mark(map);
    let text = format!("CAST({operand} AS \"pg_catalog\".\"text\")");
    let unread = format!(
        "\"pg_catalog\".\"encode\"(\"pg_catalog\".\"convert_to\"({text}, '{UNREAD}'), 'hex')"
    );
    let found =
        format!("COALESCE(\"pg_catalog\".\"jsonb_object_field_text\"({map}, {text}), {unread})");
    let (ty, collation) = match token.token_type() {
        TokenType::Text => ("varchar", column.collation.as_ref()),
        TokenType::Uuid => ("uuid", None),
        TokenType::Integer if token.type_oid() == oid::INT4 => ("int4", None),
        TokenType::Integer => ("int8", None),
    };
    let mut typed = format!("CAST({found} AS \"pg_catalog\".\"{ty}\")");
    if let Some((schema, name)) = collation {
        // Writing to a String cannot fail.
        write!(typed, " COLLATE {}.{}", schema.quoted(), name.quoted()).unwrap_or_default();
    }
    let token = match token.fits_sql(operand) {
        Some(fits) => format!("CASE WHEN {fits} THEN {typed} END"),
        None => format!("CASE WHEN {operand} IS NULL THEN NULL ELSE {typed} END"),
    };
    match among {
        Some(among) => format!("CASE WHEN {among} THEN {token} END"),
        None => token,
    }
}

/// What reads every value of a column, of the rows `among` which they are, but no more rows than may be: a
/// row too many has NULL for its value, as a value that is too long has.
///
/// What has no token is not read: nothing may follow from values that the role sees as NULL.
pub(super) fn read_arm(
    token: &TokenColumn,
    (relation, attnum): &(Arc<Relation>, AttrNumber),
    among: Option<&str>,
    number: usize,
) -> Option<String> {
    let name = relation.attribute(*attnum)?.name.quoted();
    let row = Ident::exact(INNER_ALIAS).quoted();
    let value = format!("{row}.{name}");
    let mut shown = (token.fits_sql(&value)).unwrap_or_else(|| format!("{value} IS NOT NULL"));
    if let Some(among) = among {
        shown = format!("{shown} AND {among}");
    }
    Some(format!(
        "(SELECT {number}, CASE WHEN \"pg_catalog\".\"row_number\"() OVER () \
         OPERATOR(\"pg_catalog\".<=) {rows} THEN CAST(\"r\".{name} AS \"pg_catalog\".\"text\") \
         COLLATE \"pg_catalog\".\"C\" END FROM (SELECT {value} FROM {schema}.{table} AS {row} \
         WHERE {shown} LIMIT {limit}) AS \"r\")",
        rows = limits::TABULATED_ROWS,
        schema = relation.schema.quoted(),
        table = relation.name.quoted(),
        limit = limits::TABULATED_ROWS.saturating_add(1),
    ))
}

/// A column has too many values for it.
pub(super) fn too_many(refusal: &Refusal) -> Refusal {
    let detail = refusal.detail.clone().unwrap_or_default();
    refusal.clone().detail(format!(
        "{detail} PostgreSQL is given the tokens of a column's values to do so, of at most {} different \
         ones in {} rows; it has more, or longer ones. Of a column whose rows WHERE picks by comparisons \
         of clear columns with constants, only those rows are read.",
        limits::UPLOADED_TOKENS,
        limits::TABULATED_ROWS,
    ))
}
