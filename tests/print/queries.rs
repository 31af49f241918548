//! Queries: aggregates, windows, grouping, set operations, CTEs, limits, locks.

use super::*;

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
