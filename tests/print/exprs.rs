//! Expressions: structure, predicates, keyword forms, calls.

use super::*;

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
