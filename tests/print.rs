//! The printer against PostgreSQL: every form of the tree is accepted, means what the tree says, and
//! carries any name and any string unchanged.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "print/build.rs"]
mod build;

use std::sync::OnceLock;

use build::*;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::sql::print::{
    DerivedColumn, DerivedRelation, InPlace, RelationForm, Rewrite, print, print_type,
};
use pgveil::sql::tree::{
    Assignment, AssignmentTarget, BoolTest, Call, CallArg, ColumnDef, ConflictAction,
    ConflictTarget, Copy, CopyDirection, CopySource, CreateTable, Delete, Distinct, Expr,
    FetchAmount, FrameBound, FrameExclusion, FrameUnits, GroupItem, Insert, InsertSource,
    IsolationLevel, JoinConstraint, JoinKind, Limit, Literal, LockStrength, LockWait, Locking,
    NullsOrder, OrderItem, Overriding, Quantifier, Query, RelationId, RowsFromItem, SetExpr, SetOp,
    SortDirection, Statement, Subscript, SystemValue, TableFunction, TableRef, TableSample,
    TempColumn, Transaction, TransactionMode, TypeName, Update, Window, WindowFrame,
};
use pgveil::upstream::{TlsMode, UpstreamConnection, UpstreamOptions, UpstreamTls, connect};
use proptest::prelude::*;
use tokio::runtime::Runtime;

const SCHEMA: &str = "
CREATE SCHEMA s;
CREATE TABLE s.t (id int PRIMARY KEY, email text, city varchar(20), n int[], score numeric);
INSERT INTO s.t VALUES (1, 'ada@x.org', 'Paris', '{1,2,3}', 1.5), (2, 'bob@y.org', 'Rome', NULL, 2),
                       (3, NULL, 'Paris', '{}', NULL);
CREATE TYPE s.pair AS (a int, b text);
CREATE TABLE s.w (id int GENERATED ALWAYS AS IDENTITY, k text UNIQUE, v int DEFAULT 7, p s.pair,
                  a int[]);
CREATE INDEX ON s.w (lower(k));
";

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.run("template1", SCHEMA).unwrap();
        cluster
    })
}

/// A session on a database of its own, with the search path the proxy pins.
struct Session {
    runtime: Runtime,
    connection: UpstreamConnection,
}

impl Session {
    fn new(database: &str) -> Self {
        cluster()
            .run("postgres", &format!("CREATE DATABASE {database}"))
            .unwrap();
        let options = UpstreamOptions {
            host: cluster().address().ip().to_string(),
            port: cluster().address().port(),
            tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
            user: SUPERUSER.to_owned(),
            password: None,
            database: database.to_owned(),
            params: vec![
                ("search_path".to_owned(), "pg_catalog, pg_temp".to_owned()),
                ("client_encoding".to_owned(), "UTF8".to_owned()),
                ("standard_conforming_strings".to_owned(), "on".to_owned()),
            ],
            minor: 0,
        };
        let runtime = Runtime::new().unwrap();
        let connection = runtime.block_on(connect(&options)).unwrap();
        Self {
            runtime,
            connection,
        }
    }

    /// Rows as lines, columns separated by `|`, NULL as `~`.
    fn run(&mut self, sql: &str) -> Vec<String> {
        let rows = self
            .runtime
            .block_on(self.connection.simple_query_text(sql));
        let rows = rows.unwrap_or_else(|error| panic!("{}: {sql}", error.sqlstate()));
        let field =
            |f: Option<Vec<u8>>| f.map_or("~".to_owned(), |f| String::from_utf8(f).unwrap());
        rows.into_iter()
            .map(|row| row.into_iter().map(field).collect::<Vec<_>>().join("|"))
            .collect()
    }

    fn rewritten(&mut self, statement: &Statement, rewrite: &Rewrite) -> Vec<String> {
        let sql = print(statement, rewrite).unwrap();
        self.run(sql.as_str())
    }

    fn print(&mut self, statement: &Statement) -> Vec<String> {
        self.rewritten(statement, &Rewrite::default())
    }

    fn rows(&mut self, query: Query) -> Vec<String> {
        self.print(&statement(query))
    }

    /// One row of expressions, without FROM.
    fn values(&mut self, exprs: Vec<Expr>) -> String {
        self.rows(plain(exprs, Vec::new())).join("\n")
    }

    /// One row of expressions over the row of `s.t` with id 1, aliased `p`.
    fn over(&mut self, exprs: Vec<Expr>) -> String {
        let mut select = select(exprs, vec![from(relation("t", "p", 0))]);
        select.filter = Some(binary(column("p", "id"), "=", number("1")));
        self.rows(query(body(select))).join("\n")
    }
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn one() -> Query {
    plain(vec![number("1")], Vec::new())
}

#[test]
fn structure_never_depends_on_precedence() {
    let mut s = Session::new("structure");
    let sum = binary(number("2"), "+", number("3"));
    let product = binary(sum.clone(), "*", number("4"));
    let power = binary(unary("-", number("2")), "^", number("2"));
    let chain = binary(number("10"), "-", binary(number("4"), "-", number("3")));
    assert_eq!(s.values(vec![product, power, chain]), "20|4|9");
    // NOT (false = false) is false; (NOT false) = false is false; AND under OR and OR under AND.
    let t = || boolean(true);
    let f = || boolean(false);
    let not = Expr::Not(boxed(binary(f(), "=", f())));
    let and_of_or = Expr::And(vec![f(), Expr::Or(vec![t(), t()])]);
    let or_of_and = Expr::Or(vec![t(), Expr::And(vec![f(), f()])]);
    let compare = binary(Expr::Test(boxed(null()), BoolTest::Null), "=", f());
    assert_eq!(
        s.values(vec![not, and_of_or, or_of_and, compare]),
        "f|f|t|f"
    );
    // `a || b COLLATE "C"`, `-1 :: text`, subscripts and fields of anything.
    let collated = Expr::Collate(
        boxed(binary(string("a"), "||", string("b"))),
        name(&["pg_catalog", "C"]),
    );
    let array = Expr::Array(vec![number("7"), number("8"), number("9")]);
    let index = |e, i: &str| Expr::Subscripts(boxed(e), vec![Subscript::Index(number(i))]);
    let slice = Expr::Subscripts(
        boxed(array.clone()),
        vec![Subscript::Slice(Some(number("2")), None)],
    );
    let row = Expr::Cast(
        boxed(Expr::Row {
            fields: vec![number("5"), string("x")],
            explicit: false,
        }),
        TypeName {
            name: name(&["s", "pair"]),
            ..ty("", &[], 0)
        },
    );
    assert_eq!(
        s.values(vec![
            collated,
            cast(number("-1"), "text"),
            index(array, "2"),
            slice,
            Expr::Field(boxed(row), id("b")),
        ]),
        "ab|-1|8|{8,9}|x"
    );
}

#[test]
fn every_predicate_prints() {
    let mut s = Session::new("predicates");
    let tests = [
        BoolTest::Null,
        BoolTest::NotNull,
        BoolTest::True,
        BoolTest::NotTrue,
        BoolTest::False,
        BoolTest::NotFalse,
        BoolTest::Unknown,
        BoolTest::NotUnknown,
    ];
    let of = |value: Expr| {
        tests
            .map(|t| Expr::Test(boxed(cast(value.clone(), "bool")), t))
            .to_vec()
    };
    assert_eq!(s.values(of(boolean(true))), "f|t|t|f|f|t|f|t");
    assert_eq!(s.values(of(null())), "t|f|f|t|f|t|t|f");
    let distinct = |negated| Expr::IsDistinct {
        left: boxed(null()),
        right: boxed(number("1")),
        negated,
    };
    let between = |low: &str, high: &str, negated, symmetric| Expr::Between {
        expr: boxed(number("2")),
        low: boxed(number(low)),
        high: boxed(number(high)),
        negated,
        symmetric,
    };
    let list = |negated| Expr::InList {
        expr: boxed(number("2")),
        list: vec![number("1"), number("2")],
        negated,
    };
    assert_eq!(
        s.values(vec![
            distinct(false),
            distinct(true),
            between("1", "3", false, false),
            between("3", "1", false, false),
            between("3", "1", false, true),
            between("3", "1", true, true),
            list(false),
            list(true),
        ]),
        "t|f|t|f|t|f|t|f"
    );
    let pair = || Expr::Row {
        fields: vec![number("1"), number("2")],
        explicit: false,
    };
    let in_query = |negated| Expr::InQuery {
        expr: boxed(pair()),
        query: Box::new(plain(vec![number("1"), number("2")], Vec::new())),
        negated,
    };
    let array = Expr::Array(vec![number("1"), number("2")]);
    let any = |op: &str, quantifier| Expr::QuantifiedArray {
        left: boxed(number("2")),
        op: operator(op),
        quantifier,
        array: boxed(array.clone()),
    };
    let all = Expr::QuantifiedQuery {
        left: boxed(number("1")),
        op: operator("<="),
        quantifier: Quantifier::All,
        query: Box::new(query(SetExpr::Values(vec![
            vec![number("1")],
            vec![number("2")],
        ]))),
    };
    assert_eq!(
        s.values(vec![
            in_query(false),
            in_query(true),
            binary(pair(), "=", pair()),
            any("=", Quantifier::Any),
            any("=", Quantifier::All),
            all,
            Expr::Exists(Box::new(one())),
            Expr::Subquery(Box::new(one())),
            Expr::ArrayQuery(Box::new(one())),
            // LIKE, through its operator.
            binary(string("abc"), "~~", string("a%")),
        ]),
        "t|f|t|t|f|t|t|1|{1}|t"
    );
    // PostgreSQL would read both as the query forms.
    let lone = || Expr::Subquery(Box::new(one()));
    let list = Expr::InList {
        expr: boxed(number("1")),
        list: vec![lone()],
        negated: false,
    };
    let array = Expr::QuantifiedArray {
        left: boxed(number("1")),
        op: operator("="),
        quantifier: Quantifier::Any,
        array: boxed(lone()),
    };
    for refused in [list, array] {
        let query = plain(vec![refused], Vec::new());
        assert!(print(&statement(query), &Rewrite::default()).is_err());
    }
}

#[test]
fn keyword_forms_and_calls_print() {
    let mut s = Session::new("forms");
    let case = Expr::Case {
        operand: Some(boxed(number("2"))),
        branches: vec![(number("1"), string("a")), (number("2"), string("b"))],
        otherwise: Some(boxed(string("c"))),
    };
    let searched = Expr::Case {
        operand: None,
        branches: vec![(boolean(false), string("a"))],
        otherwise: None,
    };
    assert_eq!(
        s.values(vec![
            case,
            searched,
            Expr::Coalesce(vec![null(), number("3")]),
            Expr::NullIf(boxed(number("1")), boxed(number("1"))),
            Expr::Greatest(vec![number("1"), number("9")]),
            Expr::Least(vec![number("1"), number("9")]),
            Expr::Row {
                fields: vec![number("1")],
                explicit: true
            },
            Expr::Literal(Literal::Bits {
                hex: true,
                digits: "1F".into()
            }),
            Expr::Literal(Literal::Bits {
                hex: false,
                digits: "01".into()
            }),
            number("1.5e3"),
        ]),
        "b|~|3|~|9|1|(1)|00011111|01|1500"
    );
    let named = |name: Option<&str>, value, variadic| CallArg {
        name: name.map(id),
        value,
        variadic,
    };
    let interval = Call {
        args: vec![named(Some("hours"), number("3"), false)],
        ..bare_call("make_interval", Vec::new())
    };
    let variadic = Call {
        args: vec![
            named(None, string("%s-%s"), false),
            named(None, Expr::Array(vec![string("a"), string("b")]), true),
        ],
        ..bare_call("format", Vec::new())
    };
    assert_eq!(
        s.values(vec![
            Expr::Call(Box::new(interval)),
            Expr::Call(Box::new(variadic))
        ]),
        "03:00:00|a-b"
    );
    let system = [
        SystemValue::CurrentDate,
        SystemValue::CurrentTime(None),
        SystemValue::CurrentTime(Some(2)),
        SystemValue::CurrentTimestamp(Some(0)),
        SystemValue::LocalTime(None),
        SystemValue::LocalTimestamp(Some(3)),
        SystemValue::CurrentUser,
        SystemValue::CurrentRole,
        SystemValue::SessionUser,
        SystemValue::User,
        SystemValue::CurrentCatalog,
        SystemValue::CurrentSchema,
    ];
    let printed = s.values(system.map(Expr::SystemValue).to_vec());
    assert!(
        printed.ends_with("|postgres|postgres|postgres|postgres|forms|pg_catalog"),
        "{printed}"
    );
}

#[test]
fn aggregates_and_windows_print() {
    let mut s = Session::new("aggregates");
    let t = || vec![from(relation("t", "p", 0))];
    let city = || column("p", "city");
    let desc = OrderItem {
        direction: SortDirection::Desc,
        nulls: NullsOrder::Last,
        ..by(column("p", "id"))
    };
    let agg = Call {
        order_by: vec![desc.clone()],
        filter: Some(boxed(binary(column("p", "id"), "<", number("3")))),
        ..bare_call(
            "string_agg",
            vec![cast(column("p", "id"), "text"), string(",")],
        )
    };
    let distinct = Call {
        distinct: true,
        ..bare_call("count", vec![city()])
    };
    let mode = Call {
        within_group: true,
        order_by: vec![by(city())],
        ..bare_call("mode", vec![])
    };
    let calls = [agg, distinct, mode].map(|c| Expr::Call(Box::new(c)));
    assert_eq!(
        s.rows(plain([vec![count_star()], calls.to_vec()].concat(), t())),
        ["3|2,1|2|Paris"]
    );

    let frame = |units, exclusion| WindowFrame {
        units,
        start: FrameBound::Preceding(boxed(binary(number("2"), "-", number("1")))),
        end: Some(FrameBound::Following(boxed(number("1")))),
        exclusion,
    };
    let window = |base: Option<&str>, frame| Window {
        base: base.map(id),
        is_reference: false,
        partition_by: Vec::new(),
        order_by: if base.is_none() {
            vec![by(column("p", "id"))]
        } else {
            Vec::new()
        },
        frame,
    };
    let reference = Window {
        is_reference: true,
        ..window(Some("w"), None)
    };
    let sum = |window| {
        let call = bare_call("sum", vec![column("p", "id")]);
        Expr::Call(Box::new(Call {
            over: Some(Box::new(window)),
            ..call
        }))
    };
    let partitioned = Window {
        partition_by: vec![city()],
        frame: Some(WindowFrame {
            units: FrameUnits::Range,
            start: FrameBound::UnboundedPreceding,
            end: Some(FrameBound::CurrentRow),
            exclusion: Some(FrameExclusion::NoOthers),
        }),
        ..window(None, None)
    };
    let mut select = select(
        vec![
            column("p", "id"),
            sum(reference),
            sum(window(Some("w"), Some(frame(FrameUnits::Rows, None)))),
            sum(window(
                Some("w"),
                Some(frame(FrameUnits::Groups, Some(FrameExclusion::Group))),
            )),
            sum(partitioned),
        ],
        t(),
    );
    select.windows = vec![(id("w"), window(None, None))];
    let mut ordered = query(body(select));
    ordered.order_by = vec![by(number("1"))];
    assert_eq!(s.rows(ordered), ["1|1|3|2|1", "2|3|6|4|2", "3|6|5|2|4"]);
}

#[test]
fn grouping_and_distinct_print() {
    let mut s = Session::new("grouping");
    let t = || vec![from(relation("t", "p", 0))];
    let city = || column("p", "city");
    let id_ = || column("p", "id");
    let grouped = |group_by: Vec<GroupItem>| {
        let mut select = select(vec![count_star()], t());
        select.group_by = group_by;
        let mut grouped = query(body(select));
        grouped.order_by = vec![by(number("1"))];
        grouped
    };
    let pair = |explicit| Expr::Row {
        fields: vec![city(), id_()],
        explicit,
    };
    assert_eq!(s.rows(grouped(vec![GroupItem::Expr(city())])), ["1", "2"]);
    assert_eq!(
        s.rows(grouped(vec![GroupItem::Expr(pair(false))])),
        ["1", "1", "1"]
    );
    assert_eq!(
        s.rows(grouped(vec![GroupItem::Expr(pair(true))])),
        ["1", "1", "1"]
    );
    assert_eq!(s.rows(grouped(vec![GroupItem::Empty])), ["3"]);
    assert_eq!(
        s.rows(grouped(vec![GroupItem::Rollup(vec![vec![city()]])])),
        ["1", "2", "3"]
    );
    let cube = GroupItem::Cube(vec![vec![city(), id_()], vec![id_()]]);
    assert_eq!(s.rows(grouped(vec![cube])).len(), 10);
    let sets = GroupItem::Sets(vec![
        GroupItem::Empty,
        GroupItem::Expr(city()),
        GroupItem::List(vec![city(), id_()]),
    ]);
    assert_eq!(s.rows(grouped(vec![sets])), ["1", "1", "1", "1", "2", "3"]);
    let mut select = select(vec![Expr::Grouping(vec![city()]), city()], t());
    select.group_by = vec![GroupItem::Rollup(vec![vec![city()]])];
    select.group_distinct = true;
    select.having = Some(binary(count_star(), ">", number("1")));
    let mut having = query(body(select));
    having.order_by = vec![by(number("1"))];
    assert_eq!(s.rows(having), ["0|Paris", "1|~"]);

    let mut on = build::select(vec![city(), id_()], t());
    on.distinct = Some(Distinct::On(vec![city()]));
    let mut on = query(body(on));
    let using = OrderItem {
        using: Some(operator(">")),
        ..by(id_())
    };
    on.order_by = vec![by(city()), using];
    assert_eq!(s.rows(on), ["Paris|3", "Rome|2"]);
    let mut all = build::select(vec![city()], t());
    all.distinct = Some(Distinct::All);
    assert_eq!(s.rows(query(body(all))).len(), 2);
    assert_eq!(
        s.rows(plain(Vec::new(), t())),
        ["", "", ""],
        "an empty select list"
    );
}

#[test]
fn set_operations_keep_their_grouping() {
    let mut s = Session::new("sets");
    let arm = |n: &str| body(select(vec![number(n)], Vec::new()));
    let rows = |s: &mut Session, first, rest| {
        let mut chain = query(SetExpr::Chain {
            first: Box::new(first),
            rest,
        });
        chain.order_by = vec![by(number("1"))];
        s.rows(chain).join(" ")
    };
    // (1 UNION 2) INTERSECT 2, which unparenthesised would be 1 UNION (2 INTERSECT 2).
    let flat = vec![
        (SetOp::Union, false, arm("2")),
        (SetOp::Intersect, false, arm("2")),
    ];
    assert_eq!(rows(&mut s, arm("1"), flat), "2");
    let tight = SetExpr::Chain {
        first: Box::new(arm("2")),
        rest: vec![(SetOp::Intersect, false, arm("2"))],
    };
    assert_eq!(
        rows(&mut s, arm("1"), vec![(SetOp::Union, false, tight)]),
        "1 2"
    );
    // (1 EXCEPT 1) UNION ALL 1 UNION ALL 1; and 1 EXCEPT (1 UNION ALL 1).
    let left = vec![
        (SetOp::Except, false, arm("1")),
        (SetOp::Union, true, arm("1")),
        (SetOp::Union, true, arm("1")),
    ];
    assert_eq!(rows(&mut s, arm("1"), left), "1 1");
    let right = SetExpr::Chain {
        first: Box::new(arm("1")),
        rest: vec![(SetOp::Union, true, arm("1"))],
    };
    assert_eq!(
        rows(&mut s, arm("1"), vec![(SetOp::Except, false, right)]),
        ""
    );
    // Twice loose, twice tight: ((1 UNION 2) INTERSECT 2 UNION 3) INTERSECT 3.
    let twice = vec![
        (SetOp::Union, false, arm("2")),
        (SetOp::Intersect, false, arm("2")),
        (SetOp::Union, false, arm("3")),
        (SetOp::Intersect, false, arm("3")),
    ];
    assert_eq!(rows(&mut s, arm("1"), twice), "3");
    // An arm with its own ORDER BY and LIMIT; a long chain; VALUES.
    let mut limited = query(SetExpr::Values(vec![vec![number("8")], vec![number("9")]]));
    limited.order_by = vec![OrderItem {
        direction: SortDirection::Desc,
        ..by(number("1"))
    }];
    limited.limit = Some(Limit {
        count: Some(number("1")),
        offset: None,
        with_ties: false,
    });
    let arms = vec![(SetOp::Union, true, SetExpr::Query(Box::new(limited)))];
    assert_eq!(rows(&mut s, arm("1"), arms), "1 9");
    let long: Vec<_> = (0..600).map(|_| (SetOp::Union, true, arm("1"))).collect();
    assert_eq!(rows(&mut s, arm("1"), long).len(), 601 * 2 - 1);
    let or = Expr::Or((0..900).map(|_| boolean(false)).collect());
    assert_eq!(s.values(vec![or]), "f");
}

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
        columns: vec![DerivedColumn {
            name: id("id"),
            sql: "\"t\".\"id\" * 10".to_owned(),
        }],
        whole_row: None,
    };
    let rewrite = Rewrite {
        relations: [(RelationId(0), RelationForm::Derived(derived))].into(),
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
fn ctes_limits_and_locks_print() {
    let mut s = Session::new("ctes");
    let mut counting = query(SetExpr::Chain {
        first: Box::new(body(select(vec![number("1")], Vec::new()))),
        rest: vec![(SetOp::Union, true, {
            let next = binary(column("r", "c0"), "+", number("1"));
            let mut step = select(vec![next], vec![cte_ref("Count", "r")]);
            step.filter = Some(binary(column("r", "c0"), "<", number("5")));
            body(step)
        })],
    });
    let mut outer = plain(
        vec![call("sum", vec![column("x", "c0")])],
        vec![cte_ref("Count", "x")],
    );
    outer.with = Some(with(vec![("Count", statement(counting.clone()))], true));
    assert_eq!(s.rows(outer), ["15"]);
    // A name that is no CTE here would be looked up by PostgreSQL's search path.
    let stray = statement(plain(vec![count_star()], vec![cte_ref("Count", "x")]));
    assert!(print(&stray, &Rewrite::default()).is_err());
    counting.with = Some(with(vec![("Count", statement(one()))], false));
    assert_eq!(
        s.rows(counting).len(),
        2,
        "not recursive: the CTE is the one before"
    );

    let ids = |limit: Limit| {
        let mut ids = plain(vec![column("p", "id")], vec![from(relation("t", "p", 0))]);
        ids.order_by = vec![by(column("p", "city"))];
        ids.limit = Some(limit);
        ids
    };
    let limit = |count: Option<&str>, offset: Option<&str>, with_ties| Limit {
        count: count.map(number),
        offset: offset.map(number),
        with_ties,
    };
    assert_eq!(s.rows(ids(limit(Some("1"), Some("2"), false))), ["2"]);
    assert_eq!(s.rows(ids(limit(None, Some("2"), false))), ["2"]);
    assert_eq!(
        s.rows(ids(limit(Some("1"), None, true))).len(),
        2,
        "two live in Paris"
    );
    assert_eq!(s.rows(ids(limit(Some("1"), Some("1"), true))).len(), 1);
    let strengths = [
        LockStrength::Update,
        LockStrength::NoKeyUpdate,
        LockStrength::Share,
        LockStrength::KeyShare,
    ];
    for strength in strengths {
        for wait in [LockWait::Block, LockWait::NoWait, LockWait::SkipLocked] {
            let mut locked = plain(vec![column("p", "id")], vec![from(relation("t", "p", 0))]);
            locked.locking = vec![Locking {
                strength,
                of: vec![name(&["p"])],
                wait,
            }];
            assert_eq!(s.rows(locked).len(), 3);
        }
    }
}

/// PostgreSQL's own name for each type that was cast to.
#[test]
fn types_print_as_postgresql_means_them() {
    let mut s = Session::new("types");
    let interval = |fields: Option<&str>, typmods: &[i64]| TypeName {
        interval_fields: fields.map(Into::into),
        ..ty("interval", typmods, 0)
    };
    let cases = [
        (ty("varchar", &[160], 0), "character varying(160)"),
        (ty("varchar", &[], 2), "character varying[]"),
        (ty("bpchar", &[3], 0), "character(3)"),
        (ty("bpchar", &[], 0), "bpchar"),
        (ty("char", &[], 0), "\"char\""),
        (ty("bit", &[3], 0), "bit(3)"),
        (ty("varbit", &[9], 0), "bit varying(9)"),
        (ty("numeric", &[5, 2], 0), "numeric(5,2)"),
        (ty("numeric", &[3, -2], 1), "numeric(3,-2)[]"),
        (ty("timestamp", &[0], 0), "timestamp(0) without time zone"),
        (ty("timestamptz", &[3], 0), "timestamp(3) with time zone"),
        (ty("time", &[1], 0), "time(1) without time zone"),
        (ty("timetz", &[], 0), "time with time zone"),
        (interval(None, &[]), "interval"),
        (interval(None, &[3]), "interval(3)"),
        (interval(None, &[0x7fff, 3]), "interval(3)"),
        (interval(Some("YEAR"), &[]), "interval year"),
        (interval(Some("YEAR"), &[4]), "interval year"),
        (interval(Some("MONTH"), &[]), "interval month"),
        (interval(Some("DAY"), &[]), "interval day"),
        (interval(Some("HOUR"), &[]), "interval hour"),
        (interval(Some("MINUTE"), &[]), "interval minute"),
        (interval(Some("SECOND"), &[]), "interval second"),
        (interval(Some("SECOND"), &[2]), "interval second(2)"),
        (
            interval(Some("YEAR TO MONTH"), &[]),
            "interval year to month",
        ),
        (interval(Some("DAY TO HOUR"), &[]), "interval day to hour"),
        (
            interval(Some("DAY TO MINUTE"), &[]),
            "interval day to minute",
        ),
        (
            interval(Some("DAY TO SECOND"), &[3]),
            "interval day to second(3)",
        ),
        (
            interval(Some("DAY TO SECOND"), &[7176, 3]),
            "interval day to second(3)",
        ),
        (
            interval(Some("HOUR TO MINUTE"), &[]),
            "interval hour to minute",
        ),
        (
            interval(Some("HOUR TO SECOND"), &[]),
            "interval hour to second",
        ),
        (
            interval(Some("MINUTE TO SECOND"), &[0]),
            "interval minute to second(0)",
        ),
        (
            TypeName {
                name: name(&["s", "pair"]),
                ..ty("", &[], 1)
            },
            "s.pair[]",
        ),
    ];
    for (i, (ty, expected)) in cases.into_iter().enumerate() {
        let sql = print_type(&ty).unwrap();
        s.run(&format!(
            "CREATE TABLE s.x{i} AS SELECT CAST(NULL AS {sql}) AS x"
        ));
        let named = s.run(&format!(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = 's.x{i}'::regclass AND attnum = 1"
        ));
        assert_eq!(named, [expected], "{sql}");
    }
    for bad in [interval(Some("EON"), &[]), interval(Some("YEAR"), &[3])] {
        assert!(print_type(&bad).is_err());
    }
    assert_eq!(
        s.values(vec![cast(string("2026-01-02"), "date")]),
        "2026-01-02"
    );
}

fn target(column: &str) -> AssignmentTarget {
    AssignmentTarget {
        column: id(column),
        subscripts: Vec::new(),
        fields: Vec::new(),
        position: 0,
    }
}

fn insert(columns: &[&str], source: InsertSource) -> Insert {
    Insert {
        with: None,
        target: relation("w", "w", 0),
        columns: columns.iter().map(|c| target(c)).collect(),
        overriding: None,
        source,
        on_conflict: None,
        returning: items(vec![base("w", "k", 0, 2), column("w", "v")]),
    }
}

#[test]
fn writes_print_with_masks_in_place() {
    let mut s = Session::new("writes");
    let run = |s: &mut Session, insert: Insert| s.print(&Statement::Insert(Box::new(insert)));
    let rows = vec![
        vec![Some(string("a")), None],
        vec![Some(string("b")), Some(number("2"))],
    ];
    assert_eq!(
        run(&mut s, insert(&["k", "v"], InsertSource::Values(rows))),
        ["a|7", "b|2"]
    );
    let mut identity = insert(
        &["id", "k"],
        InsertSource::Query(Box::new(plain(vec![number("9"), string("c")], Vec::new()))),
    );
    identity.overriding = Some(Overriding::System);
    assert_eq!(run(&mut s, identity.clone()), ["c|7"]);
    identity.overriding = Some(Overriding::User);
    identity.source = InsertSource::Values(vec![vec![Some(number("9")), Some(string("d"))]]);
    assert_eq!(run(&mut s, identity), ["d|7"]);
    assert_eq!(
        run(&mut s, insert(&[], InsertSource::DefaultValues)),
        ["~|7"]
    );
    let positional = insert(&[], InsertSource::Values(vec![vec![Some(string("a"))]]));
    assert!(
        print(
            &Statement::Insert(Box::new(positional)),
            &Rewrite::default()
        )
        .is_err()
    );

    // ON CONFLICT names the index by bare columns, and masks only what is read.
    let mask = InPlace::new(|operand| format!("pg_catalog.upper({operand})"));
    let rewrite = Rewrite {
        relations: [(RelationId(0), RelationForm::InPlace([(2, mask)].into()))].into(),
    };
    let k = || base("w", "k", 0, 2);
    let mut upsert = insert(&["k"], InsertSource::Values(vec![vec![Some(string("a"))]]));
    let longer = binary(call("length", vec![k()]), "+", number("40"));
    let update = ConflictAction::Update(
        vec![Assignment::One(target("v"), Some(longer))],
        Some(binary(k(), "=", string("A"))),
    );
    let unique = ConflictTarget::Index(vec![k()], None);
    upsert.on_conflict = Some((Some(unique), update));
    let upsert = Statement::Insert(Box::new(upsert));
    assert_eq!(s.rewritten(&upsert, &rewrite), ["A|41"]);
    for target in [
        None,
        Some(ConflictTarget::Constraint(id("w_k_key"))),
        Some(ConflictTarget::Index(
            vec![Expr::Collate(boxed(k()), name(&["pg_catalog", "default"]))],
            Some(binary(k(), "<>", string(""))),
        )),
    ] {
        let mut nothing = insert(&["k"], InsertSource::Values(vec![vec![Some(string("a"))]]));
        nothing.on_conflict = Some((target, ConflictAction::Nothing));
        let nothing = Statement::Insert(Box::new(nothing));
        assert!(s.rewritten(&nothing, &rewrite).is_empty());
    }

    let pair = AssignmentTarget {
        fields: vec![id("b")],
        ..target("p")
    };
    let element = AssignmentTarget {
        subscripts: vec![Subscript::Index(number("2"))],
        ..target("a")
    };
    let update = Update {
        with: None,
        target: relation("w", "x", 0),
        assignments: vec![
            Assignment::One(pair, Some(string("q"))),
            Assignment::One(element, Some(number("5"))),
            Assignment::Row(
                vec![target("k"), target("v")],
                vec![Some(base("x", "k", 0, 2)), None],
            ),
        ],
        from: vec![from(relation("t", "p", 1))],
        filter: Some(Expr::And(vec![
            binary(base("x", "k", 0, 2), "=", string("B")),
            binary(column("p", "id"), "=", number("1")),
        ])),
        returning: items(vec![
            column("x", "k"),
            column("x", "v"),
            column("x", "p"),
            column("x", "a"),
        ]),
    };
    let update = Statement::Update(Box::new(update));
    assert_eq!(
        s.rewritten(&update, &rewrite),
        ["B|7|(,q)|[2:2]={5}"],
        "what is stored is the mask"
    );
    let mut by_query = Update {
        with: Some(with(vec![("c", statement(one()))], false)),
        target: relation("w", "x", 0),
        assignments: vec![Assignment::Query(
            vec![target("v")],
            Box::new(plain(vec![column("y", "c0")], vec![cte_ref("c", "y")])),
        )],
        from: Vec::new(),
        filter: None,
        returning: Vec::new(),
    };
    assert!(
        s.print(&Statement::Update(Box::new(by_query.clone())))
            .is_empty()
    );
    by_query.target.id = Some(RelationId(7));
    let derived = RelationForm::Derived(DerivedRelation::default());
    let derived = Rewrite {
        relations: [(RelationId(7), derived)].into(),
    };
    assert!(print(&Statement::Update(Box::new(by_query)), &derived).is_err());

    let delete = Delete {
        with: None,
        target: relation("w", "x", 0),
        using: vec![from(relation("t", "p", 1))],
        filter: Some(binary(base("x", "k", 0, 2), "=", string("A"))),
        returning: items(vec![column("x", "v")]),
    };
    assert_eq!(
        s.rewritten(&Statement::Delete(Box::new(delete)), &rewrite)
            .len(),
        1
    );
    assert_eq!(
        s.run("SELECT k FROM s.w WHERE k = 'a'"),
        Vec::<String>::new()
    );
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
        columns: vec![DerivedColumn {
            name: id("id"),
            sql: "\"t\".\"id\"".to_owned(),
        }],
        whole_row: Some("ROW(\"t\".\"id\", 'm', NULL, NULL, NULL)::\"s\".\"t\"".to_owned()),
    };
    let rewrite = |form| Rewrite {
        relations: [(RelationId(0), form)].into(),
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

#[test]
fn utility_statements_print() {
    let mut s = Session::new("utility");
    use Statement as S;
    let mode = [
        TransactionMode::Isolation(IsolationLevel::RepeatableRead),
        TransactionMode::ReadOnly,
        TransactionMode::Deferrable(false),
    ];
    let plain_select = || {
        Box::new(plain(
            vec![column("p", "id")],
            vec![from(relation("t", "p", 0))],
        ))
    };
    let set = |name: &str, values: &[&str], local| S::Set {
        local,
        name: name.into(),
        values: values.iter().map(|v| (*v).into()).collect(),
    };
    let fetch = |amount, is_move| S::Fetch {
        is_move,
        amount,
        cursor: id("Cur"),
    };
    let savepoint = || id("sp \"1");
    let temp = CreateTable {
        name: name(&["Tmp"]),
        temporary: true,
        if_not_exists: true,
        columns: vec![
            TempColumn {
                name: id("a"),
                ty: Some(ty("int4", &[], 0)),
                not_null: true,
                primary_key: true,
                unique: false,
                default: Some(binary(number("1"), "+", number("1"))),
            },
            TempColumn {
                name: id("b"),
                ty: Some(ty("varchar", &[3], 0)),
                not_null: false,
                primary_key: false,
                unique: true,
                default: None,
            },
        ],
        keys: vec![(false, vec![id("a"), id("b")])],
        on_commit: Some("preserve rows".into()),
        query: None,
    };
    let temp_as = CreateTable {
        name: name(&["pg_temp", "As"]),
        columns: vec![TempColumn {
            name: id("renamed"),
            ty: None,
            not_null: false,
            primary_key: false,
            unique: false,
            default: None,
        }],
        keys: Vec::new(),
        on_commit: None,
        query: Some((Box::new(one()), true)),
        ..temp.clone()
    };
    let mut into = select(vec![number("1")], Vec::new());
    into.into = Some((name(&["Into"]), true));
    let explain = |options: &[(&str, &str)]| S::Explain {
        options: options
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect(),
        statement: Box::new(statement(one())),
    };
    let steps: Vec<(S, usize)> = vec![
        (set("timezone", &["Europe/Paris"], false), 0),
        (set("datestyle", &["ISO", "DMY"], false), 0),
        (set("pgveil.search_path", &["it's \\"], false), 0),
        (S::Show("timezone".into()), 1),
        (set("timezone", &[], false), 0),
        (S::Reset("datestyle".into()), 0),
        (
            S::SetTransaction {
                session: true,
                modes: mode.to_vec(),
            },
            0,
        ),
        (S::Transaction(Transaction::Begin(Vec::new())), 0),
        (
            S::SetTransaction {
                session: false,
                modes: vec![TransactionMode::ReadWrite],
            },
            0,
        ),
        (set("statement_timeout", &["30s"], true), 0),
        (S::Transaction(Transaction::Savepoint(savepoint())), 0),
        (S::Transaction(Transaction::RollbackTo(savepoint())), 0),
        (S::Transaction(Transaction::Release(savepoint())), 0),
        (
            S::Declare {
                name: id("Cur"),
                binary: false,
                scroll: Some(true),
                insensitive: Some(true),
                hold: true,
                query: plain_select(),
            },
            0,
        ),
        (fetch(FetchAmount::Forward(Some(2)), false), 2),
        (fetch(FetchAmount::Relative(-1), false), 1),
        (fetch(FetchAmount::Absolute(-1), false), 1),
        (fetch(FetchAmount::Backward(None), false), 2),
        (fetch(FetchAmount::Forward(None), true), 0),
        (S::Close(Some(id("Cur"))), 0),
        (
            S::Declare {
                name: id("Bin"),
                binary: true,
                scroll: Some(false),
                insensitive: Some(false),
                hold: false,
                query: plain_select(),
            },
            0,
        ),
        (S::Close(None), 0),
        (S::Transaction(Transaction::Commit(true)), 0),
        (S::Transaction(Transaction::Rollback(true)), 0),
        (S::Transaction(Transaction::Commit(false)), 0),
        (S::Transaction(Transaction::Begin(mode.to_vec())), 0),
        (S::Transaction(Transaction::Rollback(false)), 0),
        (S::Reset("all".into()), 0),
        (
            S::Prepare {
                name: id("P 1"),
                types: vec![ty("int4", &[], 0)],
                statement: Box::new(statement(plain(vec![Expr::Param(1)], Vec::new()))),
            },
            0,
        ),
        (
            S::Execute {
                name: id("P 1"),
                args: vec![number("3")],
            },
            1,
        ),
        (S::Deallocate(Some(id("P 1"))), 0),
        (S::Deallocate(None), 0),
        (S::CreateTable(Box::new(temp)), 0),
        (S::CreateTable(Box::new(temp_as)), 0),
        (statement(query(body(into))), 0),
        (
            S::DropTable {
                if_exists: true,
                names: vec![name(&["pg_temp", "Tmp"]), name(&["pg_temp", "none"])],
                cascade: true,
            },
            0,
        ),
        (explain(&[]), 1),
        (
            explain(&[("analyze", ""), ("timing", "off"), ("format", "json")]),
            1,
        ),
        (S::Listen(id("Chan")), 0),
        (S::Notify(id("Chan"), Some("it's".into())), 0),
        (S::Notify(id("Chan"), None), 0),
        (S::Unlisten(Some(id("Chan"))), 0),
        (S::Unlisten(None), 0),
        (S::Discard("plans".into()), 0),
        (S::Discard("temp".into()), 0),
        (S::Discard("all".into()), 0),
        (S::Empty, 0),
    ];
    for (step, rows) in steps {
        let sql = print(&step, &Rewrite::default()).unwrap();
        assert_eq!(s.run(sql.as_str()).len(), rows, "{}", sql.as_str());
    }
    assert!(s.print(&S::Show("all".into())).len() > 200);
}

#[test]
fn copy_prints_lists_and_options() {
    let copy = |source, direction, options: &[(&str, &str)]| {
        let options = options
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        Statement::Copy(Box::new(Copy {
            source,
            direction,
            options,
        }))
    };
    let table = || relation("t", "t", 0);
    let columns = vec![id("id"), id("city")];
    let to = copy(
        CopySource::Relation(table(), columns.clone()),
        CopyDirection::To,
        &[
            ("format", "csv"),
            ("header", "true"),
            ("null", "it's"),
            ("delimiter", ";"),
        ],
    );
    let plain_rewrite = Rewrite::default();
    let sql = print(&to, &plain_rewrite).unwrap();
    // psql is a client that speaks COPY.
    let out = cluster().run("template1", sql.as_str()).unwrap();
    assert_eq!(out.lines().next(), Some("id;city"));
    let of_query = copy(
        CopySource::Query(Box::new(statement(one()))),
        CopyDirection::To,
        &[],
    );
    let sql = print(&of_query, &plain_rewrite).unwrap();
    assert_eq!(cluster().run("template1", sql.as_str()).unwrap(), "1\n");
    let masked = Rewrite {
        relations: [(RelationId(0), RelationForm::InPlace([].into()))].into(),
    };
    assert!(
        print(&to, &masked).is_err(),
        "COPY would read the table itself"
    );
    let from = copy(
        CopySource::Relation(table(), columns),
        CopyDirection::From,
        &[],
    );
    assert!(print(&from, &masked).is_ok());
    let all = copy(
        CopySource::Relation(table(), Vec::new()),
        CopyDirection::From,
        &[],
    );
    assert!(print(&all, &plain_rewrite).is_err());
}

/// Anything PostgreSQL can hold in text: quotes, backslashes, comments, controls, any script.
fn text() -> impl Strategy<Value = String> {
    let tricky = prop::sample::select(vec![
        "'", "''", "\\", "\\'", "\"", "\"\"", "--", "/*", "*/", ";", "$$", "$1", "\n", "\r", "\t",
        "E'", "U&'", "\u{301}", "é", "𝄞", "\u{feff}", "%", "?",
    ]);
    let piece = prop_oneof![tricky.prop_map(str::to_owned), "[^\0]{0,3}"];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_and_name_arrives_unchanged(value in text(), other in text(), called in text()) {
        thread_local! {
            static SESSION: std::cell::RefCell<Session> = std::cell::RefCell::new(Session::new("strings"));
        }
        let mut called: String = called;
        while called.len() > 63 {
            called.pop();
        }
        if called.is_empty() {
            called.push('x');
        }
        SESSION.with_borrow_mut(|s| {
            // Both values in one statement: neither may run into the other.
            let inner = TableRef::Derived {
                lateral: false,
                query: Box::new(query(body({
                    let mut inner = select(Vec::new(), Vec::new());
                    inner.items = vec![item(string(&other), &called)];
                    inner
                }))),
                alias: alias(&called),
            };
            let keys = call("json_object_keys", vec![call("row_to_json", vec![
                Expr::WholeRow { qualifier: id("all of it"), base: None },
            ])]);
            let renamed = plain(
                vec![cast(string(&value), "text"), column(&called, &called), keys],
                vec![inner.clone(), TableRef::Derived {
                    lateral: false,
                    query: Box::new(query(body({
                        let mut outer = select(Vec::new(), vec![inner]);
                        outer.items = vec![item(column(&called, &called), &called)];
                        outer
                    }))),
                    alias: alias("all of it"),
                }],
            );
            let found = s.rows(renamed);
            prop_assert_eq!(found, [format!("{value}|{other}|{called}")]);
            Ok(())
        })?;
    }
}
