//! Operators, constants, calls, types.

use super::{expr, refusal, select};
use crate::sql::tree::*;

#[test]
fn operators_bind_as_in_postgresql() {
    for (text, tree) in [
        ("1 + 2 * 3 ^ 2", "(1 + (2 * (3 ^ 2)))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("- 2 ^ 2", "((- 2) ^ 2)"),
        ("@ -5 + 2", "(@ ((- 5) + 2))"),
        ("|/ 4 + 5", "(|/ (4 + 5))"),
        ("a = b || c", "(a = (b || c))"),
        ("a + b || c", "((a + b) || c)"),
        ("a || b -> c", "((a || b) -> c)"),
        ("NOT a = b OR c AND d", "((NOT (a = b)) OR (c AND d))"),
        ("a AND b AND c OR d OR e", "((a AND b AND c) OR d OR e)"),
        ("a AND (b OR c)", "(a AND (b OR c))"),
        ("a = b IS TRUE", "((a = b) IS TRUE)"),
        ("a <> -1 BETWEEN 1 AND 1", "(a <> ((- 1) BETWEEN 1 AND 1))"),
        ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 AND 2) AND b)"),
        ("a LIKE b || c", "(a ~~ (b || c))"),
        ("a = b IN (1, 2)", "(a = (b IN (1, 2)))"),
        ("- a::int", "(- CAST(a AS pg_catalog.int4))"),
        (
            "a + b::text COLLATE \"C\"",
            "(a + (CAST(b AS text) COLLATE \"C\"))",
        ),
        ("- a COLLATE \"C\"", "((- a) COLLATE \"C\")"),
        (
            "a IS DISTINCT FROM b AND c",
            "((a IS DISTINCT FROM b) AND c)",
        ),
        ("1 + NOT a = b", "(1 + (NOT (a = b)))"),
        (
            "1 OPERATOR(pg_catalog.+) 2 * 3",
            "(1 OPERATOR(pg_catalog.+) (2 * 3))",
        ),
        (
            "a ISNULL AND b NOTNULL",
            "((a IS NULL) AND (b IS NOT NULL))",
        ),
        ("(1 < 2) = true", "((1 < 2) = true)"),
        ("a != b", "(a <> b)"),
        (
            "a AT TIME ZONE 'x' || 'y'",
            "(pg_catalog.timezone('x', a) || 'y')",
        ),
        (
            "a || b AT LOCAL AT TIME ZONE 'x'",
            "(a || pg_catalog.timezone('x', pg_catalog.timezone(b)))",
        ),
        ("a @>-1", "(a @>- 1)"),
    ] {
        assert_eq!(expr(text), tree, "{text}");
    }
    for text in [
        "1 < 2 < 3",
        "1 = 2 = 3",
        "a <> b >= c",
        "a = b = ANY (c)",
        "a LIKE b LIKE c",
        "a BETWEEN 1 AND 2 IN (3)",
        "a IS DISTINCT FROM b IS NULL",
    ] {
        assert!(
            refusal(&format!("SELECT {text}")).starts_with("42601"),
            "{text}"
        );
    }
}

#[test]
fn comments_and_literals_cannot_hide_anything() {
    assert_eq!(expr("1 <>/* 2, 'x */ 1 -- '"), "(1 <> 1)");
    let items = select("SELECT 1 <>/* 2, 'x */ 1, ssn FROM patients -- '").items;
    assert_eq!(items.len(), 2);
    assert_eq!(
        expr(r"'\'' , ssn FROM patients --'"),
        r"'\'' , ssn FROM patients --'"
    );
}

#[test]
fn sugar_becomes_the_calls_of_the_grammar() {
    for (text, tree) in [
        ("EXTRACT(YEAR FROM a)", "pg_catalog.extract('year', a)"),
        ("EXTRACT('epoch' FROM a)", "pg_catalog.extract('epoch', a)"),
        ("POSITION('a' IN b)", "pg_catalog.position(b, 'a')"),
        ("SUBSTRING(a FROM 1 FOR 2)", "pg_catalog.substring(a, 1, 2)"),
        ("SUBSTRING(a FOR 2 FROM 1)", "pg_catalog.substring(a, 1, 2)"),
        (
            "SUBSTRING(a FOR 2)",
            "pg_catalog.substring(a, 1, CAST(2 AS pg_catalog.int4))",
        ),
        ("SUBSTRING(a, 1)", "substring(a, 1)"),
        (
            "SUBSTRING(a SIMILAR b ESCAPE '#')",
            "pg_catalog.substring(a, b, '#')",
        ),
        (
            "OVERLAY(a PLACING b FROM 1 FOR 2)",
            "pg_catalog.overlay(a, b, 1, 2)",
        ),
        ("TRIM(a)", "pg_catalog.btrim(a)"),
        ("TRIM(LEADING 'x' FROM a)", "pg_catalog.ltrim(a, 'x')"),
        ("TRIM(TRAILING FROM a)", "pg_catalog.rtrim(a)"),
        ("TRIM(BOTH FROM a)", "pg_catalog.btrim(a)"),
        ("NORMALIZE(a, NFC)", "pg_catalog.normalize(a, 'NFC')"),
        (
            "a IS NOT NFD NORMALIZED",
            "(NOT pg_catalog.is_normalized(a, 'NFD'))",
        ),
        (
            "a LIKE b ESCAPE '!'",
            "(a ~~ pg_catalog.like_escape(b, '!'))",
        ),
        ("a NOT ILIKE b", "(a !~~* b)"),
        (
            "a NOT SIMILAR TO b ESCAPE '!'",
            "(a !~ pg_catalog.similar_to_escape(b, '!'))",
        ),
        ("a LIKE ANY (b)", "(a ~~ ANY(b))"),
        ("a NOT LIKE ALL (SELECT b)", "(a !~~ ALL QUERY)"),
        ("(a, b) OVERLAPS (c, d)", "pg_catalog.overlaps(a, b, c, d)"),
        ("COLLATION FOR (a)", "pg_catalog.pg_collation_for(a)"),
        ("a @@ SOME (b)", "(a @@ ANY(b))"),
    ] {
        assert_eq!(expr(text), tree, "{text}");
    }
}

#[test]
fn types_get_their_internal_names() {
    for (text, ty) in [
        ("int", "pg_catalog.int4"),
        ("INTEGER[]", "pg_catalog.int4[]"),
        ("int ARRAY[3]", "pg_catalog.int4[]"),
        ("text[][4]", "text[][]"),
        ("float(24)", "pg_catalog.float4"),
        ("float(25)", "pg_catalog.float8"),
        ("double precision", "pg_catalog.float8"),
        ("dec(5, 2)", "pg_catalog.numeric(5, 2)"),
        ("numeric(3, -1)", "pg_catalog.numeric(3, -1)"),
        ("char", "pg_catalog.bpchar(1)"),
        ("\"char\"", "char"),
        ("character varying(5)", "pg_catalog.varchar(5)"),
        ("national character(4)", "pg_catalog.bpchar(4)"),
        ("varchar", "pg_catalog.varchar"),
        ("bit", "pg_catalog.bit(1)"),
        ("bit varying(3)", "pg_catalog.varbit(3)"),
        ("timestamp(3) with time zone", "pg_catalog.timestamptz(3)"),
        ("time without time zone", "pg_catalog.time"),
        (
            "interval day to second(3)",
            "pg_catalog.interval DAY TO SECOND(3)",
        ),
        ("interval(2)", "pg_catalog.interval(2)"),
        ("public.mytype", "public.mytype"),
        ("pg_catalog.int4", "pg_catalog.int4"),
        ("geometry(4326)", "geometry(4326)"),
    ] {
        assert_eq!(
            expr(&format!("a::{text}")),
            format!("CAST(a AS {ty})"),
            "{text}"
        );
        assert_eq!(
            expr(&format!("CAST(a AS {text})")),
            format!("CAST(a AS {ty})"),
            "{text}"
        );
    }
    assert!(refusal("SELECT a::setof int").starts_with("0A000"));
    assert!(refusal("SELECT a::t.b%TYPE").starts_with("0A000"));
    assert!(refusal("SELECT a::float(54)").starts_with("42601"));
}

#[test]
fn typed_literals_are_casts_and_type_words_may_be_columns() {
    for (text, tree) in [
        ("date '2020-01-01'", "CAST('2020-01-01' AS date)"),
        ("inet '1.2.3.4' + 1", "(CAST('1.2.3.4' AS inet) + 1)"),
        ("public.dm '1'", "CAST('1' AS public.dm)"),
        ("char 'abc'", "CAST('abc' AS pg_catalog.bpchar)"),
        ("N'abc'", "CAST('abc' AS pg_catalog.bpchar)"),
        (
            "interval '1' year to month",
            "CAST('1' AS pg_catalog.interval YEAR TO MONTH)",
        ),
        (
            "interval(3) '1 day'",
            "CAST('1 day' AS pg_catalog.interval(3))",
        ),
        (
            "timestamp with time zone 'x'",
            "CAST('x' AS pg_catalog.timestamptz)",
        ),
        ("interval", "interval"),
        ("x.timestamp", "x.timestamp"),
        ("X'1f'", "X'1f'"),
    ] {
        assert_eq!(expr(text), tree, "{text}");
    }
}

#[test]
fn names_calls_and_subscripts() {
    for (text, tree) in [
        ("t.col[1]", "(t.col)[1]"),
        ("c['a'][1:2][:][2:]", "(c)['a'][1:2][:][2:]"),
        ("(c[2:3])[1]", "((c)[2:3])[1]"),
        ("((c[2:3]))[1][2]", "((c)[2:3])[1][2]"),
        ("(c[1]).d[2][3]", "(((c)[1]).d)[2][3]"),
        ("(x).field.sub", "((x).field).sub"),
        ("(ARRAY[1, 2])[1]", "(ARRAY[1, 2])[1]"),
        ("ARRAY[[1], [2]]", "ARRAY[ARRAY[1], ARRAY[2]]"),
        ("count(*)", "count(*)"),
        ("count(t.*)", "count(t.*)"),
        ("pg_catalog.left(a, 1)", "pg_catalog.left(a, 1)"),
        ("\"extract\"(a)", "extract(a)"),
        (
            "f(DISTINCT a ORDER BY b DESC) FILTER (WHERE c)",
            "f(DISTINCT a ORDER BY b DESC) FILTER (WHERE c)",
        ),
        ("f(a => 1, b := 2)", "f(a => 1, b => 2)"),
        ("f(1, VARIADIC b)", "f(1, VARIADIC b)"),
        (
            "p(0.5) WITHIN GROUP (ORDER BY a)",
            "p(0.5) WITHIN GROUP (ORDER BY a)",
        ),
        ("sum(a) OVER w", "sum(a) OVER w"),
        (
            "sum(a) OVER (w PARTITION BY b ORDER BY c RANGE BETWEEN '1 d'::interval PRECEDING AND CURRENT ROW EXCLUDE TIES)",
            "sum(a) OVER (w PARTITION BY b ORDER BY c RANGE BETWEEN CAST('1 d' AS pg_catalog.interval) PRECEDING AND CURRENT ROW EXCLUDE TIES)",
        ),
        ("(1, 2) = ROW(3, 4)", "(ROW(1, 2) = ROW(3, 4))"),
        ("a = ANY ((SELECT b))", "(a = ANY QUERY)"),
        ("a IN ((SELECT 1), 2)", "(a IN (QUERY, 2))"),
        ("a IN ((SELECT 1) UNION SELECT 2)", "(a IN QUERY)"),
        ("((SELECT 1)) + 1", "(QUERY + 1)"),
    ] {
        assert_eq!(expr(text), tree, "{text}");
    }
    for text in [
        "SELECT select",
        "SELECT left FROM t",
        "SELECT f(1)[1]",
        "SELECT f(1).x",
        "SELECT t.$1",
        "SELECT a 'x'  FROM t AS 'y'",
        "SELECT 1 AS 'x'",
        "SELECT [1]",
        "SELECT f(VARIADIC a, b)",
        "SELECT between(1, 2)",
        "SELECT 5 !",
        "SELECT a.b.c.d.e",
        "SELECT CURRENT_DATE()",
        "SELECT a(+)",
    ] {
        assert!(
            refusal(text).starts_with("42601"),
            "{text}: {}",
            refusal(text)
        );
    }
    assert!(refusal("SELECT 1 WHERE (x).* = 1").starts_with("0A000"));
}

#[test]
fn positions_are_bytes_of_the_clients_text() {
    let shaped = crate::sql::Shaped::scan("SELECT 'é', t . ssn").unwrap();
    let (mut parsed, _) = shaped.parse().unwrap();
    let Statement::Query(query) = parsed.remove(0).statement else {
        panic!()
    };
    let SetExpr::Select(select) = query.body else {
        panic!()
    };
    let SelectItem::Expr {
        expr: Expr::Name(name),
        ..
    } = &select.items[1]
    else {
        panic!()
    };
    assert_eq!(name.position.byte(), Some("SELECT 'é', ".len()));
}
