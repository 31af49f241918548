//! Masks computed once per row of a grouped query that uses them several times: `left(phone, 3)`,
//! `min(phone)` and `max(phone)` are three masks of every row, because PostgreSQL pulls the masked
//! relation up and puts the mask wherever the column stands.
//!
//! So what GROUP BY reads, FROM and WHERE, becomes a subquery with `OFFSET 0`, which is not pulled up:
//!
//! ```sql
//! SELECT left("pgveil rows"."c0", 3), min("pgveil rows"."c0")
//! FROM (SELECT "c"."phone" AS "c0" FROM (…) AS "c" WHERE … OFFSET 0) AS "pgveil rows" GROUP BY 1
//! ```
//!
//! Grouping reads all rows anyway, and joins, conditions and indexes stay inside. Deliberately absent:
//! queries without GROUP BY, whose order or LIMIT an index may serve; conditions on groups that
//! PostgreSQL would move below them; a grouped primary key, beside which other columns stand ungrouped;
//! whole rows and subqueries.

use std::collections::BTreeSet;

use super::decide::{Decisions, Place};
use crate::analyze::ColumnForm;
use crate::analyze::lineage::{Lineage, Source};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::sql::tree::{
    Column, Distinct, Expr, GroupItem, Limit, Literal, OrderItem, Part, Query, Select, SelectItem,
    SetExpr, TableAlias, TableRef, Walked,
};

/// The alias of the rows that are grouped. A blank is in it, as in every name of the proxy's own.
const ROWS: &str = "pgveil rows";

/// One column of the rows.
struct Used {
    column: Column,
    /// How often it is used inside expressions.
    times: usize,
    /// It is a key or an item itself: grouped by, it is computed once for all of these.
    bare: bool,
}

/// What the clauses from GROUP BY on use of FROM.
#[derive(Default)]
struct Clauses {
    used: Vec<Used>,
    /// Something could not stand over a subquery.
    barred: bool,
}

/// Puts the rows of a grouped SELECT into a subquery if that saves masks. `partial`: something around
/// it, a LIMIT or a condition, may let PostgreSQL read a part of them only.
pub(super) fn once(
    select: &mut Select,
    order_by: &mut [OrderItem],
    partial: bool,
    lineage: &Lineage,
    decisions: &Decisions,
) -> Walked {
    let mut aliases = BTreeSet::new();
    let plain = select.from.iter().all(|t| named(t, lineage, &mut aliases));
    if select.group_by.is_empty() || select.into.is_some() || !plain {
        return Ok(());
    }
    let mut clauses = Clauses::default();
    each(select, order_by, &mut |e| clauses.clause(e, &aliases))?;
    clauses.barred |= select.having.as_mut().is_some_and(filters);
    let costly = |c: &Column| is_costly(c, lineage, decisions);
    let often = |u: &Used| u.times.saturating_add(u.bare.into()) > 1;
    let saves = clauses.used.iter().any(|u| often(u) && costly(&u.column));
    // Only of a clear column: there an index would serve.
    let stops = partial && !clauses.used.iter().all(|u| costly(&u.column));
    if clauses.barred || !saves || stops {
        return Ok(());
    }
    let used = clauses.used;
    each(select, order_by, &mut |e| replace(e, &used))?;
    let items = used.into_iter().enumerate().map(|(n, u)| SelectItem::Expr {
        expr: Expr::Column(u.column),
        alias: Some(column_name(n)),
    });
    let rows = Select {
        items: items.collect(),
        from: std::mem::take(&mut select.from),
        filter: select.filter.take(),
        ..Select::default()
    };
    select.from = vec![TableRef::Derived {
        lateral: false,
        query: Box::new(Query {
            with: None,
            body: SetExpr::Select(Box::new(rows)),
            order_by: Vec::new(),
            limit: Some(Limit {
                count: None,
                offset: Some(Expr::Literal(Literal::Number("0".into()))),
                with_ties: false,
            }),
            locking: Vec::new(),
        }),
        alias: Some(TableAlias {
            name: Ident::exact(ROWS),
            columns: Vec::new(),
        }),
    }];
    Ok(())
}

fn column_name(n: usize) -> Ident {
    Ident::exact(&format!("c{n}"))
}

/// Gathers the names of a FROM item; false if a primary key of it is grouped by, or it has no name.
fn named(table: &TableRef, lineage: &Lineage, aliases: &mut BTreeSet<Ident>) -> bool {
    let (alias, inside) = match table {
        TableRef::Relation(r) => {
            let used = r.id.and_then(|id| lineage.relation(id));
            (&r.alias, used.is_none_or(|r| !r.in_place))
        }
        TableRef::Derived { alias, .. } => (alias, true),
        TableRef::Function(f) => (&f.alias, true),
        TableRef::Keyword(k) => (&k.alias, true),
        TableRef::Join {
            left, right, alias, ..
        } => {
            let both = named(left, lineage, aliases) && named(right, lineage, aliases);
            if alias.is_none() {
                return both;
            }
            (alias, both)
        }
    };
    let Some(alias) = alias else { return false };
    aliases.insert(alias.name.clone());
    inside
}

/// Visits the expressions of the clauses that read grouped rows.
fn each(
    s: &mut Select,
    order_by: &mut [OrderItem],
    visit: &mut impl FnMut(&mut Expr) -> Walked,
) -> Walked {
    for item in &mut s.items {
        if let SelectItem::Expr { expr, .. } = item {
            visit(expr)?;
        }
    }
    for item in &mut s.group_by {
        keys(item, visit)?;
    }
    if let Some(Distinct::On(keys)) = &mut s.distinct {
        keys.iter_mut().try_for_each(&mut *visit)?;
    }
    s.having.iter_mut().try_for_each(&mut *visit)?;
    for (_, window) in &mut s.windows {
        window.parts(&mut |part| match part {
            Part::Expr(e) => visit(e),
            // `look` has seen that there is none.
            Part::Query(_) => Ok(()),
        })?;
    }
    order_by.iter_mut().try_for_each(|o| visit(&mut o.expr))
}

fn keys(item: &mut GroupItem, visit: &mut impl FnMut(&mut Expr) -> Walked) -> Walked {
    match item {
        GroupItem::Empty => Ok(()),
        GroupItem::Expr(e) => visit(e),
        GroupItem::Rollup(sets) | GroupItem::Cube(sets) => {
            sets.iter_mut().flatten().try_for_each(visit)
        }
        GroupItem::Sets(items) => items.iter_mut().try_for_each(|i| keys(i, visit)),
        GroupItem::List(list) => list.iter_mut().try_for_each(visit),
    }
}

/// Does a HAVING ask for something that PostgreSQL would ask before it groups?
fn filters(having: &mut Expr) -> bool {
    fn calls(e: &mut Expr) -> bool {
        let mut found = matches!(e, Expr::Call(_) | Expr::Keyword(_));
        let walked = e.parts(&mut |part| {
            if let Part::Expr(e) = part {
                found |= calls(e);
            }
            Ok(())
        });
        found && walked.is_ok()
    }
    match having {
        Expr::And(all) => all.iter_mut().any(|e| !calls(e)),
        one => !calls(one),
    }
}

impl Clauses {
    /// A whole item or key.
    fn clause(&mut self, e: &mut Expr, aliases: &BTreeSet<Ident>) -> Walked {
        self.look(e, aliases)?;
        if let Expr::Column(c) = e
            && let Some(used) = self.used.iter_mut().find(|u| u.column == *c)
        {
            used.bare = true;
            used.times = used.times.saturating_sub(1);
        }
        Ok(())
    }

    fn look(&mut self, e: &mut Expr, aliases: &BTreeSet<Ident>) -> Walked {
        match e {
            Expr::Column(c) => {
                match &c.qualifier {
                    Some(q) if aliases.contains(q) => self.uses(c),
                    // Of a query around this one.
                    Some(_) => {}
                    None => self.barred = true,
                }
                Ok(())
            }
            Expr::WholeRow { .. } => {
                self.barred = true;
                Ok(())
            }
            _ => e.parts(&mut |part| match part {
                Part::Expr(e) => self.look(e, aliases),
                Part::Query(_) => {
                    self.barred = true;
                    Ok(())
                }
            }),
        }
    }

    fn uses(&mut self, c: &Column) {
        let known = self.used.iter_mut().find(|u| u.column == *c);
        match known {
            Some(used) => used.times = used.times.saturating_add(1),
            None => self.used.push(Used {
                column: c.clone(),
                times: 1,
                bare: false,
            }),
        }
    }
}

fn replace(e: &mut Expr, used: &[Used]) -> Walked {
    if let Expr::Column(c) = e {
        if let Some(n) = used.iter().position(|u| u.column == *c) {
            *c = Column {
                qualifier: Some(Ident::exact(ROWS)),
                name: column_name(n),
                base: None,
                position: c.position,
            };
        }
        return Ok(());
    }
    e.parts(&mut |part| match part {
        Part::Expr(e) => replace(e, used),
        Part::Query(_) => Ok(()),
    })
}

/// Is it a mask that takes longer than handing a row on?
fn is_costly(c: &Column, lineage: &Lineage, decisions: &Decisions) -> bool {
    let Some((relation, attnum)) = c.base else {
        return false;
    };
    let source = Source::Column { relation, attnum };
    let Some(decided) = decisions.columns.get(&source) else {
        return false;
    };
    let wide = lineage.column(source).is_some_and(|(_, c)| {
        matches!(
            c.type_oid,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NUMERIC | oid::JSON | oid::JSONB
        )
    });
    decided.place == Place::Source
        && match &decided.form {
            ColumnForm::Rule(rule) => match &rule.treatment {
                Treatment::Mask(mask) => wide && !mask.is_constant(),
                Treatment::Token(_) => true,
                Treatment::Clear | Treatment::Nullify | Treatment::Deny => false,
            },
            _ => false,
        }
}
