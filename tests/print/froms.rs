//! FROM items, themselves and rewritten.

use super::*;

#[test]
fn from_items_print() {
    let mut s = Session::new("items");
    let t = |alias: &str, n| from(relation("t", alias, n));
    let join = |left, right, kind, constraint, alias| TableRef::Join {
        left: Box::new(left),
        right: Box::new(right),
        kind,
        constraint,
        alias,
    };
    let same_id = JoinConstraint::On(binary(column("a", "id"), "=", column("b", "id")));
    for kind in [
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
    ] {
        let joined = join(t("a", 0), t("b", 1), kind, same_id.clone(), None);
        assert_eq!(s.rows(plain(vec![count_star()], vec![joined])), ["3"]);
    }
    let cross = join(
        t("a", 0),
        t("b", 1),
        JoinKind::Cross,
        JoinConstraint::None,
        None,
    );
    let three = join(t("c", 2), cross, JoinKind::Left, same_id.clone(), None);
    // The condition belongs to the outer join: c LEFT JOIN (a CROSS JOIN b) ON a.id = b.id.
    assert_eq!(s.rows(plain(vec![count_star()], vec![three])), ["9"]);
    let using = JoinConstraint::Using(vec![id("id")], Some(id("u")));
    let merged = join(t("a", 0), t("b", 1), JoinKind::Full, using, None);
    let sum = call("sum", vec![column("u", "id")]);
    assert_eq!(s.rows(plain(vec![sum], vec![merged])), ["6"]);
    let mut renamed = alias("j").unwrap();
    renamed.columns = vec![id("first")];
    let named = join(
        t("a", 0),
        t("b", 1),
        JoinKind::Inner,
        same_id,
        Some(renamed),
    );
    assert_eq!(
        s.rows(plain(
            vec![call("max", vec![column("j", "first")])],
            vec![named]
        )),
        ["3"]
    );

    let lateral = TableRef::Derived {
        lateral: true,
        query: Box::new(plain(
            vec![binary(column("a", "id"), "*", number("2"))],
            Vec::new(),
        )),
        alias: alias("l"),
    };
    let total = call("sum", vec![column("l", "c0")]);
    assert_eq!(s.rows(plain(vec![total], vec![t("a", 0), lateral])), ["12"]);

    let mut sampled = relation("t", "x", 0);
    sampled.only = true;
    sampled.sample = Some(TableSample {
        method: name(&["pg_catalog", "bernoulli"]),
        args: vec![number("100")],
        repeatable: Some(number("7")),
    });
    assert_eq!(
        s.rows(plain(vec![count_star()], vec![from(sampled.clone())])),
        ["3"]
    );
    let derived = DerivedRelation {
        fenced: false,
        filter: None,
        columns: vec![DerivedColumn {
            name: id("id"),
            sql: "\"t\".\"id\" * 10".to_owned(),
        }],
        whole_row: None,
    };
    let rewrite = Rewrite {
        relations: [(RelationId(0), RelationForm::Derived(derived))].into(),
        ..Rewrite::default()
    };
    let sum = call("sum", vec![base("x", "id", 0, 1)]);
    let masked = statement(plain(vec![sum], vec![from(sampled)]));
    assert_eq!(s.rewritten(&masked, &rewrite), ["60"]);

    let function = |functions: Vec<RowsFromItem>, ordinality, columns: &[&str]| TableFunction {
        rows_from: functions.len() > 1,
        functions,
        ordinality,
        lateral: true,
        alias: alias("f").map(|mut a| {
            a.columns = columns.iter().map(|c| id(c)).collect();
            a
        }),
        columns: Vec::new(),
    };
    let series = |n: &str| RowsFromItem {
        call: bare_call("generate_series", vec![number("1"), number(n)]),
        columns: Vec::new(),
    };
    let one = TableRef::Function(Box::new(function(vec![series("2")], true, &["a", "n"])));
    let star = |c: &[&str]| c.iter().map(|c| column("f", c)).collect::<Vec<_>>();
    assert_eq!(s.rows(plain(star(&["a", "n"]), vec![one])), ["1|1", "2|2"]);
    let two = function(vec![series("2"), series("1")], false, &["a", "b"]);
    let two = TableRef::Function(Box::new(two));
    assert_eq!(s.rows(plain(star(&["a", "b"]), vec![two])), ["1|1", "2|~"]);
    let definition = |name: &str, internal: &str| ColumnDef {
        name: id(name),
        ty: ty(internal, &[], 0),
        collation: (internal == "text").then(|| build::name(&["pg_catalog", "C"])),
    };
    let record = RowsFromItem {
        call: bare_call(
            "json_to_record",
            vec![cast(string("{\"a\":1,\"b\":\"x\"}"), "json")],
        ),
        columns: Vec::new(),
    };
    let mut defined = function(vec![record.clone()], false, &[]);
    defined.columns = vec![definition("a", "int4"), definition("b", "text")];
    let defined = TableRef::Function(Box::new(defined));
    assert_eq!(s.rows(plain(star(&["a", "b"]), vec![defined])), ["1|x"]);
    let inside = RowsFromItem {
        columns: vec![definition("a", "int4")],
        ..record
    };
    let inside = TableRef::Function(Box::new(function(vec![inside, series("1")], false, &[])));
    assert_eq!(s.rows(plain(vec![column("f", "a")], vec![inside])), ["1"]);
}

#[test]
fn whole_rows_come_from_the_masked_form() {
    let mut s = Session::new("wholes");
    let row = Expr::WholeRow {
        qualifier: id("p"),
        base: Some(RelationId(0)),
    };
    assert_eq!(
        s.over(vec![call("row_to_json", vec![row.clone()])]),
        r#"{"id":1,"email":"ada@x.org","city":"Paris","n":[1,2,3],"score":1.5}"#
    );
    let derived = DerivedRelation {
        fenced: false,
        filter: None,
        columns: vec![DerivedColumn {
            name: id("id"),
            sql: "\"t\".\"id\"".to_owned(),
        }],
        whole_row: Some("ROW(\"t\".\"id\", 'm', NULL, NULL, NULL)::\"s\".\"t\"".to_owned()),
    };
    let rewrite = |form| Rewrite {
        relations: [(RelationId(0), form)].into(),
        ..Rewrite::default()
    };
    let json = statement({
        let mut select = select(
            vec![call("row_to_json", vec![row])],
            vec![from(relation("t", "p", 0))],
        );
        select.filter = Some(binary(base("p", "id", 0, 1), "=", number("1")));
        query(body(select))
    });
    let masked = s.rewritten(&json, &rewrite(RelationForm::Derived(derived)));
    assert_eq!(
        masked,
        [r#"{"id":1,"email":"m","city":null,"n":null,"score":null}"#]
    );
    let without = RelationForm::Derived(DerivedRelation::default());
    assert!(print(&json, &rewrite(without)).is_err());
}
