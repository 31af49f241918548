//! Where each protected column of a statement is masked, or why it cannot be: the table of uses ×
//! treatments, column reference by column reference.
//!
//! | use | nullify, constant | other mask | reversible token | token with an SQL form |
//! |---|---|---|---|---|
//! | identity | source | output (text) or source | output | output |
//! | presence | source | output or source | output | output |
//! | equality | source | source | stored values, with the same domain or with tokens (`tokens`); else refuse | stored values, with the same domain; else source |
//! | order, compute | source | source | tabulated (`tabulated`); else refuse | source |
//!
//! Of an encrypted column that is being filled no two stored values are compared: search, the weaker half of
//! equality, is all it allows, with a list that has every text a value may be stored as.
//!
//! Deliberately absent: SQL forms. A use is all this knows of a statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::held::HeldToken;
use super::subject::Subject;
use super::tabulated::{Obstacle, Tabulate};
use super::tokens::{TokenList, alike, same_type};

use crate::analyze::lineage::{Lineage, OutputColumn, Source, Uses};
use crate::analyze::{ColumnForm, Grounds, column_form};
use crate::catalog::Column;
use crate::mask::{OutputRule, TokenColumn, Transform};
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{HeldId, ListId};

/// Where a column is masked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it is clear.
    Stored,
    /// In PostgreSQL.
    Source,
    /// In the DataRow stream.
    Output,
}

/// One used column's form and place.
pub(super) struct Decided {
    pub(super) form: ColumnForm,
    pub(super) place: Place,
    /// PostgreSQL looks its tokens up in a list of them all (`tabulated`); what is said if that is too
    /// long.
    pub(super) tabulated: Option<Arc<Refusal>>,
}

impl Decided {
    /// The tokens of a column whose stored values stand for them, if not every value has one.
    pub(super) fn guard(&self) -> Option<&TokenColumn> {
        match &self.form {
            ColumnForm::Rule(rule) => match &rule.treatment {
                Treatment::Token(token) => Some(&**token).filter(|token| token.is_guarded()),
                Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => {
                    None
                }
            },
            _ => None,
        }
    }

    /// PostgreSQL is given an expression in the column's place.
    pub(super) fn is_expression(&self) -> bool {
        self.place == Place::Source || self.guard().is_some()
    }
}

/// What was decided for a statement.
pub(super) struct Decisions {
    pub(super) columns: BTreeMap<Source, Decided>,
    /// Constants that are tokens.
    pub(super) lists: BTreeMap<ListId, TokenList>,
    /// What temporary tables hold that is compared with tokens.
    pub(super) held: BTreeMap<HeldId, HeldToken>,
}

/// Where the rows go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Through a `RowMasker`, to the client.
    Rows,
    /// The same, as the client fetches them: a cursor.
    Cursor,
    /// Into a temporary table, which keeps their order; masked at the source.
    Table,
    /// Past it (COPY), so everything is masked at the source.
    Stream,
}

/// Decides every column of a statement. Marks the outputs' uses first, because only here it is known
/// where they go.
pub(super) fn decide(
    lineage: &mut Lineage,
    (delivery, tabulate): (Delivery, Tabulate),
    grounds: Grounds<'_>,
) -> Result<Decisions, Refusal> {
    let reach = match delivery {
        Delivery::Rows | Delivery::Cursor => Uses::IDENTITY,
        Delivery::Table | Delivery::Stream => Uses::COMPUTE,
    };
    let outputs = std::mem::take(&mut lineage.outputs);
    for o in &outputs {
        lineage.mark_all(&o.sources, reach);
    }
    lineage.outputs = outputs;
    let mut columns = BTreeMap::new();
    for (index, r) in (0_u32..).zip(&lineage.relations) {
        for (attnum, uses) in &r.columns {
            let source = Source::Column {
                relation: crate::sql::tree::RelationId(index),
                attnum: *attnum,
            };
            let form = column_form(&r.relation, *attnum, grounds)?;
            let place = first_place(&form, *uses);
            let decided = Decided {
                form,
                place,
                tabulated: None,
            };
            columns.insert(source, decided);
        }
    }
    let decisions = Decisions {
        columns,
        lists: BTreeMap::new(),
        held: BTreeMap::new(),
    };
    decisions.bound(lineage, tabulate, grounds)
}

/// The place a column's own uses allow.
fn first_place(form: &ColumnForm, uses: Uses) -> Place {
    let shown = Uses::IDENTITY.with(Uses::PRESENCE);
    match form {
        ColumnForm::Clear => Place::Stored,
        // That there is an expression says nothing about what is in it.
        ColumnForm::NodeTree
            if uses != Uses::NONE && uses.within(Uses::NODE_TREE.with(Uses::PRESENCE)) =>
        {
            Place::Stored
        }
        ColumnForm::Scrub
        | ColumnForm::Size(_)
        | ColumnForm::Null
        | ColumnForm::NodeTree
        | ColumnForm::Generated(_) => Place::Source,
        ColumnForm::Rule(rule) => match &rule.treatment {
            Treatment::Clear => Place::Stored,
            Treatment::Nullify | Treatment::Deny => Place::Source,
            Treatment::Mask(m) => {
                // Mentioned and used for nothing known: the source, so that a use the analyzer missed
                // meets a mask.
                let output =
                    m.at_output() && !m.is_constant() && uses.within(shown) && uses != Uses::NONE;
                if output { Place::Output } else { Place::Source }
            }
            Treatment::Token(t) => {
                if has_sql(t) && !uses.within(shown.with(Uses::EQUALITY)) {
                    Place::Source
                } else {
                    Place::Output
                }
            }
        },
    }
}

/// Can PostgreSQL compute the token?
fn has_sql(t: &TokenColumn) -> bool {
    t.at_source()
}

impl Decisions {
    /// Settles the places, and finds what the tokens of the statement are.
    pub(super) fn bind(&mut self, lineage: &Lineage, grounds: Grounds<'_>) -> Result<(), Obstacle> {
        loop {
            self.settle(lineage);
            if !self.settle_equalities(lineage) {
                break;
            }
        }
        self.lists.clear();
        self.held.clear();
        self.bind_lists(lineage, grounds)?;
        self.bind_held(lineage)?;
        self.verify(lineage)
    }

    /// The columns that meet in one output must be masked in one place and in one way; where they
    /// differ, each is masked where it comes from. Repeats until nothing moves, which ends because
    /// columns only ever move to the source.
    fn settle(&mut self, lineage: &Lineage) {
        let mut moved = true;
        while moved {
            moved = false;
            for o in &lineage.outputs {
                if !self.agree(o, lineage) {
                    for s in &o.sources {
                        moved |= self.demote(*s);
                    }
                }
            }
        }
    }

    /// Tokens that PostgreSQL can compute are compared as stored where that gives the same answer: an
    /// index serves, and nothing is hashed. Where it does not, they are computed. Did anything move?
    fn settle_equalities(&mut self, lineage: &Lineage) -> bool {
        let mut moved = false;
        for e in &lineage.equalities {
            if !self.comparable(&e.left, &e.right, lineage) {
                for s in e.left.iter().chain(&e.right) {
                    moved |= self.computable(*s) && self.demote(*s);
                }
            }
        }
        // What is grouped has no other side.
        for (index, r) in (0_u32..).zip(&lineage.relations) {
            for (attnum, uses) in &r.columns {
                let source = Source::Column {
                    relation: crate::sql::tree::RelationId(index),
                    attnum: *attnum,
                };
                let bytes = r.relation.attribute(*attnum).is_some_and(equal_bytes);
                if uses.has(Uses::EQUALITY) && !bytes {
                    moved |= self.computable(source) && self.demote(source);
                }
            }
        }
        moved
    }

    /// Is it a token that PostgreSQL can compute?
    fn computable(&self, s: Source) -> bool {
        self.stored_token(s)
            .is_some_and(|rule| matches!(&rule.treatment, Treatment::Token(t) if has_sql(t)))
    }

    /// Are both sides columns of one domain and type, as they are stored?
    fn comparable(&self, left: &[Source], right: &[Source], lineage: &Lineage) -> bool {
        let mut all = left.iter().chain(right);
        let of = |s: &Source| {
            let (_, column) = lineage.column(*s)?;
            Some((self.stored_token(*s)?, column.type_oid))
        };
        let Some((rule, ty)) = all.next().and_then(of) else {
            return false;
        };
        !left.is_empty()
            && !right.is_empty()
            && all.all(|s| of(s).is_some_and(|(r, t)| alike(r, rule) && same_type(t, ty)))
    }

    fn demote(&mut self, s: Source) -> bool {
        match self.columns.get_mut(&s) {
            Some(d) if d.place == Place::Output => {
                d.place = Place::Source;
                true
            }
            _ => false,
        }
    }

    fn agree(&self, o: &OutputColumn, lineage: &Lineage) -> bool {
        let constants = o.sources.iter().any(|s| matches!(s, Source::List(_)));
        let mut first: Option<(&Decided, (u32, i32))> = None;
        for s in &o.sources {
            if let Source::List(_) = s {
                continue;
            }
            let (Some(d), Some((_, c))) = (self.columns.get(s), lineage.column(*s)) else {
                return false;
            };
            // A constant is masked by nobody; among reversible tokens it is one of them.
            if constants && !reversible(&d.form) {
                return false;
            }
            let ty = (c.type_oid, c.typmod);
            match &first {
                None => first = Some((d, ty)),
                Some((f, t)) => {
                    if f.place != d.place || *t != ty || !same_rule(&f.form, &d.form) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Refuses what no place allows.
    fn verify(&self, lineage: &Lineage) -> Result<(), Obstacle> {
        for (s, d) in &self.columns {
            if d.tabulated.is_some() {
                continue;
            }
            let ColumnForm::Rule(rule) = &d.form else {
                continue;
            };
            let Source::Column { relation, attnum } = *s else {
                continue;
            };
            let Some(r) = lineage.relation(relation) else {
                continue;
            };
            let Some(c) = r.relation.attribute(attnum) else {
                continue;
            };
            let subject = Subject {
                table: &r.relation.name,
                column: &c.name,
                rule,
            };
            let in_the_way = |refusal| Err(Obstacle::of(refusal, vec![*s]));
            match &rule.treatment {
                Treatment::Deny => return Err(subject.denied().into()),
                Treatment::Token(t) if !has_sql(t) => {
                    let uses = r.columns.get(&attnum).copied().unwrap_or_default();
                    let stored = Uses::IDENTITY.with(Uses::PRESENCE).with(Uses::EQUALITY);
                    if d.place == Place::Source || !uses.within(stored) {
                        return in_the_way(subject.token_use(uses));
                    }
                    let compares = t.compares()
                        || t.is_reversible()
                            && uses.within(Uses::IDENTITY.with(Uses::PRESENCE).with(Uses::SEARCH));
                    if uses.has(Uses::EQUALITY) && !compares {
                        return in_the_way(subject.token_use(uses));
                    }
                    if uses.has(Uses::EQUALITY) && !equal_bytes(c) {
                        return in_the_way(subject.token_collation());
                    }
                }
                Treatment::Clear
                | Treatment::Mask(_)
                | Treatment::Token(_)
                | Treatment::Nullify => {}
            }
        }
        self.verify_equalities(lineage)
    }

    /// The rules of the result's columns.
    pub(super) fn output_rules(&self, lineage: &Lineage) -> Vec<OutputRule> {
        lineage
            .outputs
            .iter()
            .enumerate()
            .map(|(at, o)| {
                let mut rule = self.output_rule(o, lineage);
                // PostgreSQL names no table if an expression stands there (`order::spelled`).
                if lineage.respelled.contains(&at) {
                    rule.origin = rule.origin.or(rule.expect.take());
                }
                rule
            })
            .collect()
    }

    fn output_rule(&self, o: &OutputColumn, lineage: &Lineage) -> OutputRule {
        let mut rule = OutputRule {
            transform: lineage.shown(o),
            expect: None,
            origin: None,
            name: None,
        };
        let columns = o
            .sources
            .iter()
            .filter_map(|s| Some((s, self.columns.get(s)?)));
        let Some((source, decided)) = columns.into_iter().next() else {
            let list = o.sources.iter().find_map(|s| match s {
                Source::List(id) => self.lists.get(id),
                Source::Column { .. } => None,
            });
            if let Some(list) = list {
                rule.transform = Transform::Token(Arc::clone(&list.token));
            }
            return rule;
        };
        let base = lineage
            .column(*source)
            .filter(|_| o.named)
            .map(|(relation, column)| (relation.oid, column.attnum));
        match (&decided.form, decided.place) {
            (ColumnForm::Rule(r), Place::Output) => {
                // What has no token is NULL, by an expression: PostgreSQL names no table.
                match decided.guard() {
                    Some(_) => rule.origin = base,
                    None => rule.expect = base,
                }
                rule.transform = match &r.treatment {
                    Treatment::Mask(m) => Transform::Mask(Arc::clone(m)),
                    Treatment::Token(t) => Transform::Token(Arc::clone(t)),
                    Treatment::Clear | Treatment::Nullify | Treatment::Deny => Transform::Pass,
                };
            }
            (_, Place::Source) => rule.origin = base,
            // A renamed column, a swapped table: PostgreSQL says what it really read.
            (_, Place::Stored | Place::Output) => rule.expect = base,
        }
        rule
    }
}

/// Is it a token that can be turned back?
fn reversible(form: &ColumnForm) -> bool {
    matches!(form, ColumnForm::Rule(rule)
        if matches!(&rule.treatment, Treatment::Token(t) if t.is_reversible()))
}

/// Is it the same mask or domain, of the same class? Of clear columns nobody needs to know.
fn same_rule(a: &ColumnForm, b: &ColumnForm) -> bool {
    match (a, b) {
        (ColumnForm::Rule(x), ColumnForm::Rule(y)) => match (&x.treatment, &y.treatment) {
            (Treatment::Mask(_), Treatment::Mask(_)) => x.name == y.name,
            (Treatment::Token(_), Treatment::Token(_)) => alike(x, y),
            _ => false,
        },
        _ => false,
    }
}

/// Are equal values of the column equal byte by byte?
fn equal_bytes(column: &Column) -> bool {
    byte_equal(column.type_oid) && column.deterministic
}

/// Types whose SQL equality is equality of the bytes that are encrypted.
fn byte_equal(ty: u32) -> bool {
    matches!(
        ty,
        oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::UUID
            | oid::BYTEA
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::DATE
            | oid::BOOL
    )
}

#[cfg(test)]
mod tests {
    use super::byte_equal;
    use crate::pg::types::oid;

    /// Policies give no such column tokens today; what is decided must not rest on that.
    #[test]
    fn values_of_types_with_several_spellings_are_not_compared() {
        let several = [
            ("1.0 = 1.00", oid::NUMERIC),
            ("-0 = 0", oid::FLOAT8),
            ("'1 day' = '24 hours'", oid::INTERVAL),
            ("'1.0' = '1.00'", oid::JSONB),
            ("ROW(1.0) = ROW(1.00)", oid::RECORD),
        ];
        for (why, ty) in several {
            assert!(!byte_equal(ty), "{why}");
        }
        for ty in [oid::TEXT, oid::VARCHAR, oid::BPCHAR, oid::UUID, oid::INT8] {
            assert!(byte_equal(ty), "{ty}");
        }
    }
}
