//! Clauses of queries.

use std::fmt::Write as _;

use super::show::{expr, exprs, list, names, order, ty, window};
use super::{query, refusal, select};
use crate::sql::tree::*;

fn from(item: &TableRef) -> String {
    let alias = |a: &Option<TableAlias>| match a {
        None => String::new(),
        Some(a) if a.columns.is_empty() => format!(" {}", a.name),
        Some(a) => format!(" {}({})", a.name, list(&a.columns, ToString::to_string)),
    };
    match item {
        TableRef::Relation(r) => format!(
            "{}{}{}{}",
            if r.only { "ONLY " } else { "" },
            names(&r.name),
            alias(&r.alias),
            r.sample
                .as_ref()
                .map(|s| format!(" SAMPLE {}({})", names(&s.method), exprs(&s.args)))
                .unwrap_or_default()
        ),
        TableRef::Derived {
            lateral, alias: a, ..
        } => {
            format!(
                "{}QUERY{}",
                if *lateral { "LATERAL " } else { "" },
                alias(a)
            )
        }
        TableRef::Function(f) => format!(
            "{}{}[{}]{}{}",
            if f.lateral { "LATERAL " } else { "" },
            if f.rows_from { "ROWS FROM" } else { "" },
            list(&f.functions, |i| super::show::call(&i.call)),
            if f.ordinality { " ORD" } else { "" },
            alias(&f.alias) + &list(&f.columns, |c| format!(" {}:{}", c.name, ty(&c.ty)))
        ),
        TableRef::Keyword(t) => format!(
            "{}({}){}",
            super::show::pieces(&t.form),
            list(&t.columns, ToString::to_string),
            alias(&t.alias)
        ),
        TableRef::Join {
            left,
            right,
            kind,
            constraint,
            alias: a,
        } => format!(
            "({} {} {}{}){}",
            from(left),
            match kind {
                JoinKind::Inner => "JOIN",
                JoinKind::Left => "LEFT",
                JoinKind::Right => "RIGHT",
                JoinKind::Full => "FULL",
                JoinKind::Cross => "CROSS",
            },
            from(right),
            match constraint {
                JoinConstraint::On(e) => format!(" ON {}", expr(e)),
                JoinConstraint::Using(c, None) =>
                    format!(" USING {}", list(c, ToString::to_string)),
                JoinConstraint::Using(c, Some(a)) =>
                    format!(" USING {} AS {a}", list(c, ToString::to_string)),
                JoinConstraint::Natural => " NATURAL".into(),
                JoinConstraint::None => String::new(),
            },
            alias(a)
        ),
    }
}

fn froms(text: &str) -> String {
    list(&select(&format!("SELECT 1 FROM {text}")).from, from)
}

#[test]
fn from_items() {
    for (text, tree) in [
        ("ONLY t", "ONLY t"),
        ("ONLY (s.t) x", "ONLY s.t x"),
        ("t * x", "t x"),
        ("a semi JOIN b ON true", "(a semi JOIN b ON true)"),
        ("a JOIN b JOIN c ON x ON y", "(a JOIN (b JOIN c ON x) ON y)"),
        (
            "a JOIN b ON x LEFT JOIN c USING (i, j) AS k",
            "((a JOIN b ON x) LEFT c USING i, j AS k)",
        ),
        ("(a JOIN b USING (i)) AS j(x)", "(a JOIN b USING i) j(x)"),
        (
            "a CROSS JOIN b NATURAL FULL JOIN c",
            "((a CROSS b) FULL c NATURAL)",
        ),
        ("a, LATERAL (SELECT 1) x", "a, LATERAL QUERY x"),
        ("(SELECT 1) AS x(a, b)", "QUERY x(a, b)"),
        ("((SELECT 1) x JOIN t ON true)", "(QUERY x JOIN t ON true)"),
        ("f(1) WITH ORDINALITY AS g(a, b)", "[f(1)] ORD g(a, b)"),
        (
            "f(1) AS (a int, b text)",
            "[f(1)] a:pg_catalog.int4,  b:text",
        ),
        ("s.f(1) g(a int[])", "[s.f(1)] g a:pg_catalog.int4[]"),
        ("ROWS FROM (f(1), g(2)) x", "ROWS FROM[f(1), g(2)] x"),
        ("t x TABLESAMPLE system (10)", "t x SAMPLE system(10)"),
        ("left('a', 1) x", "[left('a', 1)] x"),
    ] {
        assert_eq!(froms(text), tree, "{text}");
    }
    for text in [
        "(t)",
        "t AS select",
        "t left",
        "a JOIN b",
        "a CROSS JOIN b ON true",
        "t x y",
        "t WITH (NOLOCK)",
    ] {
        assert!(
            refusal(&format!("SELECT 1 FROM {text}")).starts_with("42601"),
            "{text}"
        );
    }
    assert!(refusal("SELECT 1 FROM a.d.s.t").starts_with("0A000"));
}

#[test]
fn select_lists() {
    assert!(select("SELECT FROM t").items.is_empty());
    assert!(matches!(
        select("SELECT *").items[0],
        SelectItem::Star(Star::All(_))
    ));
    assert!(
        matches!(&select("SELECT s.t.*").items[0], SelectItem::Star(Star::Of(n)) if names(n) == "s.t")
    );
    assert!(
        matches!(&select("SELECT (t.x).*").items[0], SelectItem::FieldStar(e) if expr(e) == "t.x")
    );
    let items = select("SELECT a b, c AS select, d value, e \"F\"").items;
    let aliases = list(&items, |i| match i {
        SelectItem::Expr { alias: Some(a), .. } => a.to_string(),
        _ => panic!(),
    });
    assert_eq!(aliases, "b, select, value, F");
    assert!(refusal("SELECT 1 year").starts_with("42601"));
    // T-SQL's TOP is a function call here, as in PostgreSQL: `top(5)` with the label `a`.
    assert!(matches!(&select("SELECT TOP (5) a").items[0],
        SelectItem::Expr { expr: e, alias: Some(a) } if expr(e) == "top(5)" && *a == "a"));
    assert!(matches!(
        select("SELECT DISTINCT a").distinct,
        Some(Distinct::All)
    ));
    assert!(
        matches!(select("SELECT DISTINCT ON (a, b) c").distinct, Some(Distinct::On(l)) if l.len() == 2)
    );
    assert!(matches!(select("SELECT 1 INTO TEMP x").into, Some((n, true)) if names(&n) == "x"));
    assert!(matches!(select("SELECT INTO x FROM y").into, Some((n, false)) if names(&n) == "x"));
}

fn group(item: &GroupItem) -> String {
    let lists = |l: &[Vec<Expr>]| list(l, |x| format!("({})", exprs(x)));
    match item {
        GroupItem::Expr(e) => expr(e),
        GroupItem::Empty => "()".into(),
        GroupItem::Rollup(l) => format!("ROLLUP({})", lists(l)),
        GroupItem::Cube(l) => format!("CUBE({})", lists(l)),
        GroupItem::Sets(l) => format!("SETS({})", list(l, group)),
        GroupItem::List(l) => format!("({})", exprs(l)),
    }
}

#[test]
fn grouping_and_windows() {
    let s = select(
        "SELECT 1 FROM t GROUP BY DISTINCT a, (b, c), GROUPING SETS ((a), (), ROLLUP (a, (b, c)), CUBE (d)) \
         HAVING x WINDOW w AS (PARTITION BY a), v AS (w ORDER BY b)",
    );
    assert_eq!(
        list(&s.group_by, group),
        "a, (b, c), SETS(a, (), ROLLUP((a), (b, c)), CUBE((d)))"
    );
    assert!(s.group_distinct);
    assert_eq!(
        list(&s.windows, |(n, w)| format!("{n} {}", window(w))),
        "w (PARTITION BY a), v (w ORDER BY b)"
    );
}

fn body(e: &SetExpr) -> String {
    match e {
        SetExpr::Select(s) => list(&s.items, |i| match i {
            SelectItem::Expr { expr: e, .. } => expr(e),
            SelectItem::Star(..) => format!("* FROM {}", list(&s.from, from)),
            SelectItem::FieldStar(_) => panic!(),
        }),
        SetExpr::Query(q) => format!("({})", body(&q.body)),
        SetExpr::Values(rows) => format!("VALUES {}", list(rows, |r| exprs(r))),
        SetExpr::Chain { first, rest } => {
            let mut out = format!("[{}", body(first));
            for (op, all, arm) in rest {
                let name = match op {
                    SetOp::Union => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                };
                write!(
                    out,
                    " {name}{} {}",
                    if *all { " ALL" } else { "" },
                    body(arm)
                )
                .unwrap();
            }
            out + "]"
        }
    }
}

#[test]
fn set_operations() {
    for (text, tree) in [
        (
            "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
            "[1 UNION ALL 2 EXCEPT 3]",
        ),
        (
            "SELECT 1 UNION SELECT 2 INTERSECT SELECT 3",
            "[1 UNION [2 INTERSECT 3]]",
        ),
        (
            "SELECT 1 INTERSECT SELECT 2 UNION SELECT 3",
            "[[1 INTERSECT 2] UNION 3]",
        ),
        (
            "(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3",
            "[([1 UNION 2]) INTERSECT 3]",
        ),
        ("VALUES (1), (2)", "VALUES 1, 2"),
        ("TABLE ONLY s.t", "* FROM ONLY s.t"),
        ("SELECT 1 UNION ALL TABLE t", "[1 UNION ALL * FROM t]"),
    ] {
        assert_eq!(body(&query(text).body), tree, "{text}");
    }
}

#[test]
fn order_limit_and_locking() {
    let q = query(
        "SELECT 1 FROM t ORDER BY a DESC NULLS LAST, b USING OPERATOR(s.<), c USING > OFFSET 2 ROWS FETCH FIRST (1 + 1) ROWS WITH TIES",
    );
    assert_eq!(
        order(&q.order_by),
        "a DESC NULLS LAST, b USING OPERATOR(s.<), c USING >"
    );
    let limit = q.limit.unwrap();
    assert_eq!(limit.count.as_ref().map(expr).unwrap(), "(1 + 1)");
    assert_eq!(limit.offset.as_ref().map(expr).unwrap(), "2");
    assert!(limit.with_ties);
    let all = query("SELECT 1 LIMIT ALL").limit.unwrap();
    assert!(all.count.is_none() && all.offset.is_none());
    let q = query(
        "SELECT 1 FROM a, b FOR NO KEY UPDATE OF a, b NOWAIT FOR KEY SHARE SKIP LOCKED LIMIT 1",
    );
    assert_eq!(q.locking.len(), 2);
    assert!(q.locking[0].strength == LockStrength::NoKeyUpdate && q.locking[0].of.len() == 2);
    assert!(q.locking[0].wait == LockWait::NoWait && q.locking[1].wait == LockWait::SkipLocked);
    assert!(q.limit.is_some());
    for text in [
        "SELECT 1 LIMIT 1, 2",
        "SELECT 1 LIMIT 1 LIMIT 2",
        "SELECT 1 FOR UPDATE LIMIT 1 FOR UPDATE",
        "SELECT 1 ORDER BY 1 UNION SELECT 2",
    ] {
        assert!(refusal(text).starts_with("42601"), "{text}");
    }
}

#[test]
fn common_table_expressions() {
    let q = query(
        "WITH RECURSIVE x(a) AS NOT MATERIALIZED (SELECT 1), \
         y AS MATERIALIZED (DELETE FROM t RETURNING *), z AS (WITH q AS (TABLE u) TABLE q) TABLE x",
    );
    let with = q.with.unwrap();
    assert!(with.recursive);
    assert_eq!(
        list(&with.ctes, |c| format!("{} {:?}", c.name, c.materialized)),
        "x Some(false), y Some(true), z None"
    );
    assert!(matches!(*with.ctes[1].body, Statement::Delete(_)));
    assert!(matches!(&*with.ctes[2].body, Statement::Query(q) if q.with.is_some()));
    let q = query(
        "WITH RECURSIVE x AS (TABLE t) SEARCH BREADTH FIRST BY a, b SET c CYCLE a SET d TO 'x' DEFAULT 'y' USING e TABLE x",
    );
    let cte = &q.with.as_ref().unwrap().ctes[0];
    let (search, cycle) = (cte.search.as_ref().unwrap(), cte.cycle.as_ref().unwrap());
    assert!(!search.depth_first && search.by.len() == 2 && search.set == "c");
    assert!(cycle.columns.len() == 1 && cycle.mark == "d" && cycle.path == "e");
    assert!(cycle.values.is_some());
    assert!(refusal("WITH x AS (COPY t TO STDOUT) TABLE x").starts_with("42601"));
}
