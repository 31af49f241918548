//! Comparisons of a reversible token with what is never a token: a mask that leaves its mark, NULL, a
//! text that is too short.
//!
//! The stored values may be equal for all that, so PostgreSQL must not compare them: the comparison is
//! written out as what it is on tokens, which takes no more than whether both have a value. An equality
//! becomes `((a IS NULL OR b IS NULL) AND NULL)`, of which PostgreSQL's planner makes false where it
//! chooses rows.
//!
//! Grants are asked here, and not in `plan::decide`, because what is left is another expression with
//! weaker uses. Deliberately absent: columns that may hold tokens, as every clear text may, and constants,
//! which are the planner's (`plan::tokens`).

use super::expr::{At, Info};
use super::lineage::{Source, Uses};
use super::{Analyzer, ColumnForm, Resolve, column_form};
use crate::catalog::Column;
use crate::mask::token::{TokenKind, too_short_for_tokens};
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::refusal::Refusal;
use crate::sql::tree::{BoolTest, Expr, Literal};

/// What of a source decides whether its values can be tokens.
struct Side {
    column: Column,
    form: ColumnForm,
}

impl Analyzer<'_> {
    /// `a IS [NOT] DISTINCT FROM b`
    pub(super) fn distinct(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Info> {
        let Expr::IsDistinct { left, right, .. } = e else {
            return Err(Refusal::error(sqlstate::INTERNAL_ERROR, "not IS DISTINCT"));
        };
        let l = self.operand(left, at.scope, at.ctes)?;
        let r = self.operand(right, at.scope, at.ctes)?;
        let ours = self.keyword_operator("=", l.ty, r.ty)?.is_none();
        if !ours {
            self.compare_infos(&l, &r);
        } else if self.compare_sides(e, [&l, &r])? {
            return Ok(Info::computed(l.tainted || r.tainted, Some(oid::BOOL)));
        }
        self.written_out(e, l.ty, &[r.ty])?;
        Ok(Info::computed(l.tainted || r.tainted, Some(oid::BOOL)))
    }

    /// Records what a comparison compares, or writes it out. Did it?
    pub(super) fn compare_sides(&mut self, e: &mut Expr, sides: [&Info; 2]) -> Resolve<bool> {
        if let Some(known) = self.apart(e, sides) {
            *e = known;
            return Ok(true);
        }
        match e {
            Expr::Binary(l, _, r)
            | Expr::IsDistinct {
                left: l, right: r, ..
            } => self.compare_held([&mut **l, &mut **r], sides)?,
            _ => {
                let [left, right] = sides;
                self.compare_infos(left, right);
            }
        }
        Ok(false)
    }

    /// The comparison written out, if one side is tokens and the other never one of them. Marks what is
    /// left of the uses.
    pub(super) fn apart(&mut self, comparison: &Expr, sides: [&Info; 2]) -> Option<Expr> {
        let [left, right] = sides.map(|info| self.sides(&info.sources));
        let (left, right) = (left?, right?);
        let mut pairs = left.iter().flat_map(|l| right.iter().map(move |r| (l, r)));
        if !pairs.all(|(l, r)| never_equal(l, r)) {
            return None;
        }
        let known = known(comparison)?;
        for info in sides {
            self.lineage.mark_all(&info.sources, Uses::PRESENCE);
        }
        Some(known)
    }

    /// The columns a value comes from; `None` if it comes from anything else.
    fn sides(&self, sources: &[Source]) -> Option<Vec<Side>> {
        let side = |s: &Source| {
            let (relation, column) = self.lineage.column(*s)?;
            let form = column_form(relation, column.attnum, self.grounds).ok()?;
            let type_oid = self.grounds.catalog.base_type(column.type_oid);
            let column = Column {
                type_oid,
                ..column.clone()
            };
            Some(Side { column, form })
        };
        let sides: Option<Vec<Side>> = sources.iter().map(side).collect();
        sides.filter(|sides| !sides.is_empty())
    }
}

/// What a comparison is of values that are never equal.
fn known(comparison: &Expr) -> Option<Expr> {
    let both = |l: &Expr, r: &Expr, test: BoolTest| {
        let of = |e: &Expr| Expr::Test(Box::new(e.clone()), test);
        vec![of(l), of(r)]
    };
    let unknown = Expr::Literal(Literal::Null);
    Some(match comparison {
        Expr::Binary(l, op, r) if op.schema.as_ref().is_some_and(|s| *s == "pg_catalog") => {
            match &*op.symbol {
                "=" => Expr::And(vec![Expr::Or(both(l, r, BoolTest::Null)), unknown]),
                "<>" => Expr::Or(vec![Expr::And(both(l, r, BoolTest::NotNull)), unknown]),
                _ => return None,
            }
        }
        Expr::IsDistinct {
            left,
            right,
            negated: false,
        } => Expr::Or(both(left, right, BoolTest::NotNull)),
        Expr::IsDistinct {
            left,
            right,
            negated: true,
        } => Expr::And(both(left, right, BoolTest::Null)),
        _ => return None,
    })
}

/// Is one a token and the other never equal to it?
fn never_equal(a: &Side, b: &Side) -> bool {
    is_apart(a, b) || is_apart(b, a)
}

/// Is the first a token, and the second none? Texts of one collation only: of two PostgreSQL would
/// compare nothing.
fn is_apart(token: &Side, other: &Side) -> bool {
    let ColumnForm::Rule(rule) = &token.form else {
        return false;
    };
    let siv = matches!(&rule.treatment, Treatment::Token(token) if token.kind() == TokenKind::Siv);
    let (column, form) = (&token.column, &other.form);
    let other = &other.column;
    if !siv || !column.deterministic || !matches!(column.type_oid, oid::TEXT | oid::VARCHAR) {
        return false;
    }
    let text = matches!(other.type_oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR);
    text && column.collation == other.collation
        && match form {
            ColumnForm::Rule(rule) => match &rule.treatment {
                // Of two domains it would be as true, but who joins them is mistaken more often than not.
                Treatment::Token(_) | Treatment::Deny => false,
                Treatment::Mask(mask) => mask.makes_no_token(),
                Treatment::Nullify => true,
                Treatment::Clear => is_short(other),
            },
            ColumnForm::Clear => is_short(other),
            ColumnForm::Scrub
            | ColumnForm::NodeTree
            | ColumnForm::Size(_)
            | ColumnForm::Null
            | ColumnForm::Generated(_) => false,
        }
}

/// Has the column's type no room for a token? A varchar's typmod is its length and 4.
fn is_short(column: &Column) -> bool {
    usize::try_from(column.typmod.saturating_sub(4)).is_ok_and(too_short_for_tokens)
}
