//! An index for one statement. A query in an expression, and a LATERAL one that is not taken apart, runs
//! for each row around it; where it looks for a mask, it would compute that of every row of its relation
//! each time, which took minutes. So it looks the rows up:
//!
//! ```sql
//! (WITH "pgveil index" AS MATERIALIZED (SELECT hash(t.phone) AS h, t.ctid AS c FROM (…) AS t)
//!  SELECT max(t.at) FROM (…) AS t WHERE t.phone = u.phone AND t.ctid = ANY (
//!    (SELECT array_agg(c ORDER BY h) FROM "pgveil index")[
//!      width_bucket(hash(u.phone) - 1, (SELECT array_agg(h ORDER BY h) FROM "pgveil index")) + 1 :
//!      width_bucket(hash(u.phone), (SELECT array_agg(h ORDER BY h) FROM "pgveil index"))]))
//! ```
//!
//! PostgreSQL makes the arrays once, because nothing in them is of a row around, finds the places of a
//! hash by bisection and reads the rows by their `ctid`, which does not change within a snapshot. The
//! condition says nothing new: the rows it leaves out are of other masks.
//!
//! Deliberately absent: EXISTS and IN, which PostgreSQL makes a join of or hashes; views, partitioned
//! tables and those with children, where a `ctid` is not a row's own; large tables, whose rows an array
//! would not hold, and those with privileges on single columns, of which `ctid` is none; statements that lock
//! rows, which may have another `ctid` by then; relations of which the query asks something that an index of
//! a clear column may serve.

use super::handed::Open;
use super::hidden::Hidden;
use crate::catalog::RelationKind;
use crate::ident::Ident;
use crate::pg::AttrNumber;
use crate::sql::tree::{
    BoolTest, Call, Column, Cte, Expr, Literal, Name, Operator, Part, Position, Quantifier, Query,
    RelationId, RelationRef, Select, SelectItem, SetExpr, Statement, Subscript, TableAlias,
    TableRef, TypeName, With,
};

/// The name of the index. A blank is in it, as in every name of the proxy's own.
const INDEX: &str = "pgveil index";

/// What is known of a query that runs for each row around it.
#[derive(Default)]
pub(super) struct Repeated {
    /// The relations that an index can be made of.
    plain: Vec<(RelationId, RelationRef)>,
    indexes: Vec<Cte>,
}

impl Repeated {
    /// Gives the query its indexes.
    pub(super) fn finish(self, q: &mut Query) {
        if self.indexes.is_empty() {
            return;
        }
        let with = q.with.get_or_insert(With {
            recursive: false,
            ctes: Vec::new(),
        });
        with.ctes.splice(0..0, self.indexes);
    }
}

/// Does a LATERAL query run for each row before it? PostgreSQL takes others apart.
pub(super) fn is_lateral(q: &Query) -> bool {
    let SetExpr::Select(s) = &q.body else {
        return false;
    };
    let calls = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::Expr {
                expr: Expr::Call(_),
                ..
            }
        )
    };
    q.limit.is_some() || s.items.iter().all(calls)
}

impl Hidden<'_> {
    /// Looks at a query that runs for each row around it.
    pub(super) fn repeated(&self, q: &mut Query) -> Option<Repeated> {
        // A row that is locked may have been given another place meanwhile.
        let SetExpr::Select(s) = &mut q.body else {
            return None;
        };
        if self.fences.locks {
            return None;
        }
        let mut plain = Vec::new();
        for table in &s.from {
            self.plain(table, &mut plain);
        }
        plain.retain(|(id, _)| !self.has_other_way(s, *id));
        Some(Repeated {
            plain,
            indexes: Vec::new(),
        })
    }

    fn plain(&self, table: &TableRef, plain: &mut Vec<(RelationId, RelationRef)>) {
        match table {
            TableRef::Relation(r) => {
                let used = r.id.and_then(|id| Some((id, self.lineage.relation(id)?)));
                let Some((id, used)) = used.filter(|_| r.sample.is_none()) else {
                    return;
                };
                let rows = matches!(
                    used.relation.kind,
                    RelationKind::Table | RelationKind::MaterializedView
                );
                let own = used.relation.children.is_empty() && !used.relation.temporary;
                if rows && own && used.relation.placed && !self.looks_up(id) {
                    plain.push((id, (**r).clone()));
                }
            }
            TableRef::Join {
                left,
                right,
                alias: None,
                ..
            } => {
                self.plain(left, plain);
                self.plain(right, plain);
            }
            TableRef::Join { .. }
            | TableRef::Derived { .. }
            | TableRef::Function(_)
            | TableRef::Keyword(_) => {}
        }
    }

    /// Could an index of a clear column serve a condition?
    fn has_other_way(&self, s: &mut Select, id: RelationId) -> bool {
        let used = self.lineage.relation(id);
        let indexed = |attnum: AttrNumber| {
            self.treated((id, attnum)).is_none()
                && self.is_guarded_text((id, attnum)).is_none()
                && used.is_some_and(|used| {
                    let first = |i: &crate::catalog::Index| i.columns.first() == Some(&attnum);
                    used.relation.indexes.iter().any(first)
                })
        };
        let of = |c: &Column| c.base.is_some_and(|(r, attnum)| r == id && indexed(attnum));
        s.filter.iter_mut().any(|filter| names(filter, &of))
    }

    /// `inner.ctid = ANY (…)`: `inner` is of the query that is walked, `outer` of one around it.
    pub(super) fn looked_up(
        &mut self,
        inner: &Column,
        outer: &Column,
        open: &Open,
    ) -> Option<Expr> {
        let (id, _) = inner.base?;
        let plain = &self.repeats.as_ref()?.plain;
        let relation = plain.iter().find(|(r, _)| *r == id)?.1.clone();
        let there = self.present(inner, open);
        let there = there.unwrap_or_else(|| Expr::Column(inner.clone()));
        let there = Expr::Test(Box::new(there), BoolTest::NotNull);
        let row = self.column(inner, open, |_| Some(row_sql()))?;
        self.fences.open.insert(id);
        let repeats = self.repeats.as_mut()?;
        let name = Ident::exact(&format!("{INDEX} {}", repeats.indexes.len()));
        repeats.indexes.push(Cte {
            name: name.clone(),
            columns: Vec::new(),
            materialized: Some(true),
            body: Box::new(Statement::Query(Box::new(query(Select {
                items: vec![item(hash(inner), "h"), item(row.clone(), "c")],
                from: vec![TableRef::Relation(Box::new(relation))],
                filter: Some(there),
                ..Select::default()
            })))),
            search: None,
            cycle: None,
        });
        let one = || Expr::Literal(Literal::Number("1".into()));
        let place = |hash: Expr| Expr::builtin_call("width_bucket", [hash, gathered(&name, "h")]);
        let low = binary(place(binary(hash(outer), "-", one())), "+", one());
        let high = place(hash(outer));
        let rows = Expr::Subscripts(
            Box::new(gathered(&name, "c")),
            vec![Subscript::Slice(Some(low), Some(high))],
        );
        Some(Expr::QuantifiedArray {
            left: Box::new(row),
            op: Operator::builtin("="),
            quantifier: Quantifier::Any,
            array: Box::new(rows),
        })
    }
}

/// Does an expression name such a column, outside the queries in it?
fn names(e: &mut Expr, of: &dyn Fn(&Column) -> bool) -> bool {
    match e {
        Expr::Column(c) => of(c),
        _ => e.any_part(|part| match part {
            Part::Expr(inner) => names(inner, of),
            Part::Query(_) => false,
        }),
    }
}

/// Where a row is.
fn row_sql() -> String {
    format!(
        "{}.\"ctid\"",
        Ident::exact(crate::sql::print::INNER_ALIAS).quoted()
    )
}

/// A number that is the same for equal texts, and has one before it.
fn hash(text: &Column) -> Expr {
    let text = Expr::Cast(
        Box::new(Expr::Column(text.clone())),
        TypeName::builtin("text", 0),
    );
    let seed = Expr::Literal(Literal::Number("0".into()));
    let half = Expr::Literal(Literal::Number("1".into()));
    binary(
        Expr::builtin_call("hashtextextended", [text, seed]),
        ">>",
        half,
    )
}

/// All values of one column of an index, in the order of its hashes.
fn gathered(index: &Ident, column: &str) -> Expr {
    let of = |name: &str| {
        Expr::Column(Column {
            qualifier: Some(index.clone()),
            name: Ident::exact(name),
            base: None,
            position: Position::default(),
        })
    };
    let mut all = Call::plain(Name::builtin("array_agg"), [of(column)]);
    all.order_by = vec![of("h").into_order_item()];
    let from = TableRef::Relation(Box::new(RelationRef {
        name: Name::made(vec![index.clone()]),
        only: false,
        alias: Some(TableAlias {
            name: index.clone(),
            columns: Vec::new(),
        }),
        sample: None,
        id: None,
    }));
    Expr::Subquery(Box::new(query(Select {
        items: vec![item(Expr::Call(Box::new(all)), "a")],
        from: vec![from],
        ..Select::default()
    })))
}

/// A number of rows, computed as the statement runs.
pub(super) fn once(count: Expr) -> Expr {
    let count = Expr::Cast(Box::new(count), TypeName::builtin("int8", 0));
    Expr::Subquery(Box::new(query(Select {
        items: vec![item(count, "n")],
        ..Select::default()
    })))
}

fn query(select: Select) -> Query {
    Query {
        with: None,
        body: SetExpr::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        locking: Vec::new(),
    }
}

fn item(expr: Expr, name: &str) -> SelectItem {
    SelectItem::Expr {
        expr,
        alias: Some(Ident::exact(name)),
    }
}

fn binary(left: Expr, symbol: &str, right: Expr) -> Expr {
    Expr::Binary(Box::new(left), Operator::builtin(symbol), Box::new(right))
}
