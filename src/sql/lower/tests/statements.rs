//! Statements other than queries.

use super::show::{expr, names, ty};
use super::{one, refusal};
use crate::sql::parse::parse;
use crate::sql::tree::*;

#[test]
fn inserts() {
    let Statement::Insert(i) = one(
        "WITH w AS (SELECT 1) INSERT INTO s.t AS x (a, b[1], c.d) OVERRIDING USER VALUE VALUES (1, DEFAULT, 'x'), (2, 3, 4) \
         ON CONFLICT (lower(a)) WHERE b DO UPDATE SET a = EXCLUDED.a, (b, c) = (DEFAULT, 1) WHERE y RETURNING *, a AS z",
    ) else {
        panic!()
    };
    assert!(i.with.is_some() && i.overriding == Some(Overriding::User));
    assert_eq!(names(&i.target.name), "s.t");
    assert_eq!(i.columns.len(), 3);
    assert!(
        matches!(i.columns[1].path.as_slice(), [Step::Subscript(_)])
            && matches!(i.columns[2].path.as_slice(), [Step::Field(_)])
    );
    let InsertSource::Values(rows) = &i.source else {
        panic!()
    };
    assert!(rows.len() == 2 && rows[0][1].is_none() && rows[1][1].is_some());
    let Some((Some(ConflictTarget::Index(on, Some(_))), ConflictAction::Update(set, Some(_)))) =
        &i.on_conflict
    else {
        panic!()
    };
    assert_eq!(expr(&on[0].key), "lower(a)");
    assert!(matches!(&set[1], Assignment::Row(t, v) if t.len() == 2 && v[0].is_none()));
    assert_eq!(i.returning.len(), 2);

    assert!(
        matches!(one("INSERT INTO t (SELECT 1)"), Statement::Insert(i) if i.columns.is_empty() && matches!(i.source, InsertSource::Query(_)))
    );
    assert!(
        matches!(one("INSERT INTO t VALUES (1) UNION SELECT 2"), Statement::Insert(i) if matches!(i.source, InsertSource::Query(_)))
    );
    assert!(refusal("INSERT INTO t VALUES (DEFAULT) UNION SELECT 2").starts_with("42601"));
    assert!(refusal("INSERT INTO t x VALUES (1)").starts_with("42601"));
    assert!(refusal("INSERT OVERWRITE t VALUES (1)").starts_with("42601"));
}

#[test]
fn updates_and_deletes() {
    let Statement::Update(u) = one(
        "UPDATE ONLY t x SET a = DEFAULT, b[1:2] = c, (d, e) = (SELECT 1, 2) FROM u WHERE x.i = u.i RETURNING x.*",
    ) else {
        panic!()
    };
    assert!(u.target.only && u.target.alias.is_some() && u.from.len() == 1 && u.filter.is_some());
    assert!(matches!(&u.assignments[0], Assignment::One(_, None)));
    assert!(
        matches!(&u.assignments[1], Assignment::One(t, Some(_)) if matches!(t.path[0], Step::Subscript(Subscript::Slice(..))))
    );
    assert!(matches!(&u.assignments[2], Assignment::Query(t, _) if t.len() == 2));
    assert!(refusal("UPDATE t set SET a = 1").starts_with("42601"));
    let Statement::Delete(d) = one("DELETE FROM t USING u, v WHERE true") else {
        panic!()
    };
    assert!(d.using.len() == 2 && d.filter.is_some() && d.target.alias.is_none());
    assert!(
        matches!(one("UPDATE t SET a = 1 WHERE CURRENT OF c"), Statement::Update(u) if matches!(&u.filter, Some(Expr::CurrentOf(c)) if *c == "c"))
    );
    assert!(refusal("UPDATE t SET a = 1 WHERE CURRENT OF c AND true").starts_with("42601"));
    assert!(refusal("SELECT 1 FROM t WHERE CURRENT OF c").starts_with("42601"));
    assert!(refusal("UPDATE t SET a = 1 LIMIT 1").starts_with("42601"));
}

#[test]
fn merges() {
    let Statement::Merge(m) = one(
        "WITH w AS (SELECT 1) MERGE INTO ONLY t AS x USING w ON x.i = w.i \
         WHEN MATCHED AND w.a THEN UPDATE SET a = 1, (b, c) = (DEFAULT, 2) WHEN MATCHED THEN DELETE \
         WHEN NOT MATCHED BY TARGET THEN INSERT (a, b) OVERRIDING USER VALUE VALUES (1, DEFAULT) \
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES WHEN NOT MATCHED BY SOURCE THEN DO NOTHING",
    ) else {
        panic!()
    };
    assert!(m.with.is_some() && m.target.only && m.returning.is_empty());
    let [update, delete, insert, defaults, nothing] = m.branches.as_slice() else {
        panic!()
    };
    assert!(update.condition.is_some() && delete.condition.is_none());
    assert!(matches!(&update.action, MergeAction::Update(set) if set.len() == 2));
    assert!(delete.rows == MergeRows::Matched && matches!(delete.action, MergeAction::Delete));
    assert!(insert.rows == MergeRows::SourceOnly);
    assert!(
        matches!(&insert.action, MergeAction::Insert { columns, overriding: Some(Overriding::User), values: Some(v) } if columns.len() == 2 && v[1].is_none())
    );
    assert!(matches!(
        &defaults.action,
        MergeAction::Insert { values: None, .. }
    ));
    assert!(
        nothing.rows == MergeRows::TargetOnly && matches!(nothing.action, MergeAction::Nothing)
    );
    for bad in [
        "MERGE INTO t USING u ON true",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN INSERT DEFAULT VALUES",
        "MERGE INTO t USING u ON true WHEN NOT MATCHED THEN DELETE",
        "MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT VALUES (1), (2)",
        "MERGE INTO t USING u ON true WHEN MATCHED DO NOTHING",
    ] {
        assert!(refusal(bad).starts_with("42601"), "{bad}");
    }
}

#[test]
fn settings() {
    let set = |text: &str| match one(text) {
        Statement::Set {
            local,
            name,
            values,
        } => format!("{local} {name} [{}]", values.join("|")),
        _ => panic!("{text}"),
    };
    assert_eq!(
        set("SET search_path = public, \"Foo\", 'b''r'"),
        "false search_path [public|Foo|b'r]"
    );
    assert_eq!(
        set("SET LOCAL Statement_Timeout TO 100"),
        "true statement_timeout [100]"
    );
    assert_eq!(set("SET SESSION x.y = -3"), "false x.y [-3]");
    assert_eq!(set("SET TIME ZONE LOCAL"), "false timezone []");
    assert_eq!(set("SET TIME ZONE -7"), "false timezone [-7]");
    assert_eq!(set("SET NAMES 'utf8'"), "false client_encoding [utf8]");
    assert_eq!(set("SET SCHEMA 'x'"), "false search_path [x]");
    assert_eq!(set("SET a TO DEFAULT"), "false a []");
    assert_eq!(set("SET a = on"), "false a [on]");
    assert!(
        matches!(one("SHOW TRANSACTION ISOLATION LEVEL"), Statement::Show(n) if &*n == "transaction_isolation")
    );
    assert!(matches!(one("SHOW a.b"), Statement::Show(n) if &*n == "a.b"));
    assert!(matches!(one("RESET ALL"), Statement::Reset(n) if &*n == "all"));
    assert!(
        matches!(one("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"), Statement::SetTransaction { session: true, modes } if modes.len() == 1)
    );
    assert!(refusal("SET ROLE x").starts_with("0A000"));
    assert!(
        matches!(one("SET CONSTRAINTS ALL DEFERRED"), Statement::SetConstraints { names, deferred: true } if names.is_empty())
    );
    assert!(
        matches!(one("SET CONSTRAINTS a, s.b IMMEDIATE"), Statement::SetConstraints { names, deferred: false } if names.len() == 2 && names[1].parts.len() == 2)
    );
    assert_eq!(set("SET constraints = 1"), "false constraints [1]");
    for wrong in [
        "SET CONSTRAINTS DEFERRED",
        "SET CONSTRAINTS ALL",
        "SET CONSTRAINTS a b DEFERRED",
    ] {
        assert!(refusal(wrong).starts_with("42601"), "{wrong}");
    }
}

#[test]
fn transactions() {
    let t = |text: &str| match one(text) {
        Statement::Transaction(t) => t,
        _ => panic!("{text}"),
    };
    assert!(
        matches!(t("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY DEFERRABLE"), Transaction::Begin(m) if m.len() == 3)
    );
    assert!(matches!(t("START TRANSACTION"), Transaction::Start(m) if m.is_empty()));
    assert!(matches!(t("END AND CHAIN"), Transaction::Commit(true)));
    assert!(matches!(t("ABORT"), Transaction::Rollback(false)));
    assert!(matches!(t("ROLLBACK TO SAVEPOINT a"), Transaction::RollbackTo(n) if n == "a"));
    assert!(matches!(t("RELEASE a"), Transaction::Release(n) if n == "a"));
    assert!(refusal("PREPARE TRANSACTION 'x'").starts_with("0A000"));
}

#[test]
fn cursors() {
    let fetch = |text: &str| match one(text) {
        Statement::Fetch {
            is_move,
            amount,
            cursor,
        } => {
            let amount = match amount {
                FetchAmount::Forward(n) => format!("forward {n:?}"),
                FetchAmount::Backward(n) => format!("backward {n:?}"),
                FetchAmount::Absolute(n) => format!("absolute {n}"),
                FetchAmount::Relative(n) => format!("relative {n}"),
            };
            format!("{is_move} {amount} {cursor}")
        }
        _ => panic!("{text}"),
    };
    for (text, what) in [
        ("FETCH c", "false forward Some(1) c"),
        ("FETCH next", "false forward Some(1) next"),
        ("FETCH NEXT FROM c", "false forward Some(1) c"),
        ("FETCH IN c", "false forward Some(1) c"),
        ("FETCH -5 c", "false forward Some(-5) c"),
        ("FETCH ALL c", "false forward None c"),
        ("FETCH FORWARD c", "false forward Some(1) c"),
        ("FETCH BACKWARD ALL IN c", "false backward None c"),
        ("FETCH PRIOR c", "false backward Some(1) c"),
        ("FETCH FIRST c", "false absolute 1 c"),
        ("FETCH LAST c", "false absolute -1 c"),
        ("FETCH RELATIVE -2 FROM c", "false relative -2 c"),
        ("MOVE 3 c", "true forward Some(3) c"),
    ] {
        assert_eq!(fetch(text), what, "{text}");
    }
    assert!(matches!(
        one("DECLARE c BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1"),
        Statement::Declare {
            binary: true,
            scroll: Some(false),
            insensitive: Some(true),
            hold: true,
            ..
        }
    ));
    assert!(matches!(one("CLOSE ALL"), Statement::Close(None)));
}

#[test]
fn copies() {
    let options = |text: &str| match one(text) {
        Statement::Copy(c) => c
            .options
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect::<Vec<_>>()
            .join(" "),
        _ => panic!("{text}"),
    };
    assert_eq!(
        options("COPY t (a, b) FROM STDIN WITH (FORMAT CSV, HEADER, NULL '', FORCE_QUOTE *)"),
        "format=csv header=true null= force_quote=*"
    );
    assert_eq!(
        options("COPY t TO STDOUT WITH CSV HEADER DELIMITER AS ';'"),
        "format=csv header=true delimiter=;"
    );
    assert!(
        matches!(one("COPY (SELECT 1) TO STDOUT"), Statement::Copy(c) if matches!(c.source, CopySource::Query(_)) && c.direction == CopyDirection::To)
    );
    let Statement::Copy(from) = one(
        "COPY t FROM STDIN WITH (FORMAT csv, FORCE_NULL (a, b), FORCE_NOT_NULL (c)) WHERE a > 1",
    ) else {
        panic!()
    };
    assert!(from.filter.is_some() && from.options.len() == 1);
    let forced: Vec<(&str, usize)> = from.forced.iter().map(|(n, c)| (&**n, c.len())).collect();
    assert_eq!(forced, [("force_null", 2), ("force_not_null", 1)]);
    assert!(
        matches!(one("COPY t TO STDOUT CSV FORCE QUOTE a, b"), Statement::Copy(c) if c.forced.len() == 1 && c.forced[0].1.len() == 2)
    );
    assert!(refusal("COPY t TO STDOUT WHERE a").starts_with("42601"));
    for text in ["COPY t TO '/tmp/x'", "COPY t FROM PROGRAM 'x'"] {
        assert!(refusal(text).starts_with("0A000"), "{text}");
    }
}

#[test]
fn scratch_tables() {
    let Statement::CreateTable(t) = one(
        "CREATE TEMP TABLE IF NOT EXISTS t (a int PRIMARY KEY, b text NOT NULL DEFAULT 'x' || 'y', UNIQUE (a, b)) ON COMMIT DROP",
    ) else {
        panic!()
    };
    assert!(t.temporary && t.if_not_exists && t.columns[0].primary_key && t.columns[1].not_null);
    assert_eq!(t.columns[1].ty.as_ref().map(ty).unwrap(), "text");
    assert_eq!(
        t.columns[1].default.as_ref().map(expr).unwrap(),
        "('x' || 'y')"
    );
    assert!(!t.keys[0].primary && t.on_commit.as_deref() == Some("drop"));
    let Statement::CreateTable(t) =
        one("CREATE TABLE pg_temp.t (a, b) AS SELECT 1, 2 WITH NO DATA")
    else {
        panic!()
    };
    assert!(t.temporary && t.columns.len() == 2 && matches!(t.query, Some((_, true))));
    assert!(matches!(one("CREATE TABLE t (a int)"), Statement::CreateTable(t) if !t.temporary));
    assert!(
        matches!(one("TRUNCATE TABLE ONLY (a), b.c * RESTART IDENTITY"), Statement::Truncate { names, restart: true, cascade: false } if names.len() == 2)
    );
    assert!(
        matches!(one("DROP TABLE IF EXISTS a, b.c CASCADE"), Statement::DropTable { kind: DropKind::Table, if_exists: true, names, cascade: true } if names.len() == 2)
    );
    for text in [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TEMP TABLE t (a int REFERENCES b)",
        "CREATE TEMP TABLE t (a int GENERATED ALWAYS AS (1) STORED)",
        "CREATE TEMP TABLE t (CONSTRAINT c FOREIGN KEY (a) REFERENCES b)",
        "CREATE TEMP TABLE t (a int) INHERITS (b)",
        "DROP TYPE v",
    ] {
        assert!(
            refusal(text).starts_with("0A000"),
            "{text}: {}",
            refusal(text)
        );
    }
}

#[test]
fn small_statements() {
    assert!(
        matches!(one("EXPLAIN ANALYZE VERBOSE SELECT 1"), Statement::Explain { options, .. } if options.len() == 2)
    );
    assert!(
        matches!(one("EXPLAIN (SELECT 1)"), Statement::Explain { options, .. } if options.is_empty())
    );
    assert!(
        matches!(one("PREPARE p (int, text) AS INSERT INTO t VALUES ($1)"), Statement::Prepare { types, .. } if types.len() == 2)
    );
    assert!(
        matches!(one("EXECUTE p (1, now())"), Statement::Execute { args, .. } if args.len() == 2)
    );
    assert!(matches!(
        one("DEALLOCATE PREPARE ALL"),
        Statement::Deallocate(None)
    ));
    assert!(matches!(one("DISCARD TEMPORARY"), Statement::Discard(w) if &*w == "temp"));
    assert!(matches!(one("NOTIFY c, 'x''y'"), Statement::Notify(_, Some(p)) if &*p == "x'y"));
    assert!(matches!(one("UNLISTEN *"), Statement::Unlisten(None)));
    for text in [
        "GRANT SELECT ON t TO u",
        "DO 'x'",
        "CALL p()",
        "VACUUM",
        "LOCK t",
    ] {
        assert!(refusal(text).starts_with("0A000"), "{text}");
    }
    assert_eq!(refusal("FOO BAR"), "42601 syntax error at or near \"foo\"");
    assert_eq!(
        refusal("SELECT a FROM"),
        "42601 syntax error at end of input"
    );
    // A message never quotes a constant.
    assert_eq!(
        refusal("SELECT 1 'secret'"),
        "42601 syntax error at or near a constant"
    );
}

#[test]
fn texts_of_several_statements() {
    let text = " ; SELECT 1 ; -- x\n; UPDATE t SET a = ';' ; ";
    let parsed = parse(text).unwrap();
    let cuts: Vec<_> = parsed
        .iter()
        .map(|p| text.get(p.start..p.end).unwrap())
        .collect();
    assert_eq!(cuts, ["SELECT 1", "UPDATE t SET a = ';'"]);
    assert!(parse(" /* only */ ; ").unwrap().is_empty());
    assert!(parse("").unwrap().is_empty());
    assert!(refusal("SELECT (1; SELECT 2)").starts_with("42601"));
    assert!(refusal("SELECT 1; SELEC 2").starts_with("42601"));
}
