//! Writes, with masks in place, and COPY.

use super::*;

fn key(key: Expr, collation: Option<Name>) -> IndexElement {
    IndexElement {
        key,
        collation,
        opclass: None,
    }
}

fn target(column: &str) -> AssignmentTarget {
    AssignmentTarget {
        column: id(column),
        path: Vec::new(),
        position: pgveil::sql::tree::Position::default(),
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
    let mask = InPlace::new(|alias| format!("pg_catalog.upper({alias}.\"k\")"));
    let rewrite = Rewrite {
        relations: [(RelationId(0), RelationForm::InPlace([(2, mask)].into()))].into(),
        ..Rewrite::default()
    };
    let k = || base("w", "k", 0, 2);
    let mut upsert = insert(&["k"], InsertSource::Values(vec![vec![Some(string("a"))]]));
    let longer = binary(call("length", vec![k()]), "+", number("40"));
    let update = ConflictAction::Update(
        vec![Assignment::One(target("v"), Some(longer))],
        Some(binary(k(), "=", string("A"))),
    );
    let unique = ConflictTarget::Index(vec![key(k(), None)], None);
    upsert.on_conflict = Some((Some(unique), update));
    let upsert = Statement::Insert(Box::new(upsert));
    assert_eq!(s.rewritten(&upsert, &rewrite), ["A|41"]);
    for target in [
        None,
        Some(ConflictTarget::Constraint(id("w_k_key"))),
        Some(ConflictTarget::Index(
            vec![key(k(), Some(name(&["pg_catalog", "default"])))],
            Some(binary(k(), "<>", string(""))),
        )),
    ] {
        let mut nothing = insert(&["k"], InsertSource::Values(vec![vec![Some(string("a"))]]));
        nothing.on_conflict = Some((target, ConflictAction::Nothing));
        let nothing = Statement::Insert(Box::new(nothing));
        assert!(s.rewritten(&nothing, &rewrite).is_empty());
    }

    let pair = AssignmentTarget {
        path: vec![Step::Field(id("b"))],
        ..target("p")
    };
    let element = AssignmentTarget {
        path: vec![Step::Subscript(Subscript::Index(number("2")))],
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
        ..Rewrite::default()
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
            forced: Vec::new(),
            filter: None,
        }))
    };
    let table = || relation("t", "t", 0);
    let columns = vec![id("id"), id("city")];
    let to = copy(
        CopySource::Relation(Box::new(table()), columns.clone()),
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
        ..Rewrite::default()
    };
    assert!(
        print(&to, &masked).is_err(),
        "COPY would read the table itself"
    );
    let from = copy(
        CopySource::Relation(Box::new(table()), columns),
        CopyDirection::From,
        &[],
    );
    assert!(print(&from, &masked).is_ok());
    let all = copy(
        CopySource::Relation(Box::new(table()), Vec::new()),
        CopyDirection::From,
        &[],
    );
    assert!(print(&all, &plain_rewrite).is_err());
}
