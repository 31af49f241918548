//! What is read.

use super::*;

#[test]
fn a_database_is_read_as_it_is() {
    shop("shop");
    let catalog = read("shop").catalog;
    assert_eq!(catalog.database, "shop");
    assert!(catalog.version >= 150_000, "{}", catalog.version);

    let odd = relation(&catalog, "Odd Names");
    assert_eq!(odd.kind, RelationKind::Table);
    assert_eq!(
        column_names(odd),
        [
            "id", "e \"mail", "mobile", "tags", "home", "mood", "price", "twice"
        ]
    );
    assert_eq!(
        odd.columns.iter().map(|c| c.attnum).collect::<Vec<_>>(),
        [1, 3, 4, 5, 6, 7, 8, 9]
    );
    assert_eq!(odd.primary_key, [1]);
    let column = |name| odd.column(&Ident::exact(name)).unwrap();
    let mail = column("e \"mail");
    let nocase = (Ident::exact("crm"), Ident::exact("nocase"));
    assert!(mail.collation == Some(nocase) && mail.not_null);
    assert_ne!(mail.deterministic, icu());
    assert_eq!(&*mail.type_sql, "character varying(160)");
    assert!(column("tags").collation.is_none() && column("tags").deterministic);
    assert_eq!(&*column("mobile").type_sql, "crm.mobile");
    assert!(column("id").has_default && column("mood").has_default);
    assert!(column("id").counting_default && !column("mood").counting_default);
    assert!(!column("price").has_default && column("price").generated.is_none());
    assert!(
        column("twice")
            .generated
            .as_deref()
            .unwrap()
            .contains("price")
    );

    let by_mail = odd.indexes.iter().find(|i| i.name == "by_mail").unwrap();
    assert_eq!(by_mail.columns, [0, 1, 8]);
    let mut named = by_mail.expression_columns.clone();
    named.sort_unstable();
    assert_eq!(
        named,
        [1, 3, 4, 8],
        "of the expression, the predicate, and the plain ones"
    );
    assert!(!by_mail.unique && !by_mail.exclusion && by_mail.keys == 2);
    assert_eq!(
        (&*by_mail.computed, &*by_mail.predicate),
        (&[3][..], &[4][..])
    );
    let twice = column("twice");
    assert!(twice.computed_when_written && twice.inputs == [8]);
    assert!(!column("price").computed_when_written && column("price").inputs.is_empty());

    let bills = relation(&catalog, "bills");
    assert_eq!(bills.checks, [[2]]);
    let [to_buyer] = bills.foreign_keys.as_slice() else {
        panic!()
    };
    assert_eq!(
        (&*to_buyer.columns, to_buyer.other, &*to_buyer.other_columns),
        (&[1][..], odd.oid, &[1][..])
    );
    let [of_bills] = odd.referenced_by.as_slice() else {
        panic!()
    };
    assert_eq!((&*of_bills.columns, of_bills.other), (&[1][..], bills.oid));
    assert!(
        bills
            .indexes
            .iter()
            .any(|i| i.exclusion && i.columns == [1, 2])
    );

    let log = relation(&catalog, "log");
    let now = relation(&catalog, "log_now");
    assert_eq!(log.kind, RelationKind::PartitionedTable);
    assert_eq!(
        (&*log.partition_key, &*log.primary_key),
        (&[2][..], &[2, 1][..])
    );
    assert_eq!(relation(&catalog, "bins").partition_key, [2, 0]);
    assert_eq!(
        (log.children.as_slice(), now.parents.as_slice()),
        (&[now.oid][..], &[log.oid][..])
    );
    assert!(log.row_security && !now.row_security);

    let mails = relation(&catalog, "mails");
    assert!(mails.security_barrier && mails.kind == RelationKind::View && !mails.rules);
    assert!(
        mails
            .definition
            .as_deref()
            .unwrap()
            .contains("FROM crm.\"Odd Names\"")
    );
    assert!(relation(&catalog, "counts").definition.is_some());
    assert!(relation(&catalog, "ruled").rules && !log.rules);
    assert_eq!(relation(&catalog, "counter").kind, RelationKind::Sequence);
    assert_eq!(
        column_names(relation(&catalog, "address")),
        ["street", "Post Code"]
    );

    let class = catalog
        .relation(&Ident::exact("pg_catalog"), &Ident::exact("pg_class"))
        .unwrap();
    assert_eq!(
        (class.oid, class.columns[1].name.as_str()),
        (1259, "relname")
    );
    assert!(
        catalog
            .schemas
            .values()
            .all(|s| !s.as_str().starts_with("pg_toast"))
    );
}

#[test]
fn types_functions_and_operators_are_read_as_they_are() {
    shop("shop2");
    let catalog = read("shop2").catalog;
    let crm = Ident::exact("crm");
    let ty = |name| catalog.type_by_name(&crm, &Ident::exact(name)).unwrap();
    // The domain on top has no check of its own.
    let TypeKind::Domain {
        base,
        has_check,
        not_null,
        ..
    } = ty("mobile").kind
    else {
        panic!()
    };
    assert!(base == ty("phone").oid && has_check && not_null);
    assert_eq!(catalog.base_type(ty("mobile").oid), 1043);
    assert!(ty("mood").kind == TypeKind::Enum);
    assert_eq!(ty("_mood").array_element, Some(ty("mood").oid));
    let row = relation(&catalog, "address").oid;
    assert!(ty("address").kind == TypeKind::Composite { relation: row });

    let cast = &catalog.casts[&(23, ty("mood").oid)];
    assert_eq!(cast.context, CastContext::Assignment);
    let called = cast.function.as_ref().unwrap();
    assert!(called.schema == crm && called.name == "felt" && called.extension.is_none());
    let to_text = &catalog.casts[&(1043, 25)];
    assert!(to_text.context == CastContext::Implicit && to_text.function.is_none());
    assert!(catalog.types[&25].preferred && !catalog.types[&1043].preferred);

    let pair = &catalog.functions["pair"][0];
    assert!(pair.schema == crm && pair.kind == FunctionKind::Function && !pair.returns_set);
    assert!(pair.volatility == Volatility::Stable && pair.defaults == 1 && pair.args == [23, 23]);
    let out: Vec<_> = pair
        .out_columns
        .iter()
        .map(|(n, t)| (n.as_str(), *t))
        .collect();
    assert_eq!(out, [("a", 25), ("column2", 23)]);
    let many = &catalog.functions["many"][0];
    assert!(
        many.variadic && many.returns_set && many.args == [1009] && many.out_columns.is_empty()
    );
    let extension = catalog.functions["similarity"][0].extension.as_deref();
    assert_eq!(extension, Some("pg_trgm"));
    let count = catalog.functions["count"]
        .iter()
        .find(|f| f.args.is_empty())
        .unwrap();
    assert!(count.kind == FunctionKind::Aggregate && count.extension.is_none());
    let plus = catalog.operators["+"]
        .iter()
        .find(|o| (o.left, o.right) == (23, 23))
        .unwrap();
    assert!(plus.schema == "pg_catalog" && plus.result == 23 && plus.extension.is_none());
    let similar = &catalog.operators["%"]
        .iter()
        .find(|o| o.schema == crm)
        .unwrap();
    assert_eq!(similar.extension.as_deref(), Some("pg_trgm"));
    assert_eq!(
        catalog.collations.get(&(crm, Ident::exact("nocase"))),
        Some(&!icu())
    );
}

#[test]
fn indexes_in_the_order_of_code_points_are_known() {
    let other = if icu() {
        "(provider = icu, locale = 'und')"
    } else {
        "FROM \"C\""
    };
    database(
        "ordered",
        &format!(
            "CREATE COLLATION other {other}; \
             CREATE TABLE t (a text, b varchar(9), c text COLLATE \"POSIX\", d text COLLATE other, n int); \
             CREATE INDEX a_yes ON t (a DESC, n); CREATE UNIQUE INDEX b_yes ON t (b) INCLUDE (n); \
             CREATE INDEX c_yes ON t (c); CREATE INDEX d_icu ON t (d); \
             CREATE INDEX c_other ON t (c COLLATE \"C\"); CREATE INDEX d_other ON t (d COLLATE \"C\"); \
             CREATE INDEX a_pattern ON t (a text_pattern_ops); CREATE INDEX a_hash ON t USING hash (a); \
             CREATE INDEX a_part ON t (a) WHERE n > 0; CREATE INDEX n_first ON t (n, a); \
             CREATE INDEX a_lower ON t (lower(a))"
        ),
    );
    let read = read("ordered");
    let table = read.catalog.relations.values().find(|r| r.name == "t");
    let mut found: Vec<&str> = (table.unwrap().indexes.iter())
        .filter(|i| i.code_points)
        .map(|i| i.name.as_str())
        .filter(|name| icu() || *name != "d_icu")
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["a_yes", "b_yes", "c_yes"]);
}
