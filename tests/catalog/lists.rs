//! The allow-lists against the server: nothing forgotten, nothing internal allowed.

use super::*;

#[test]
fn every_function_of_the_server_has_been_considered() {
    let unknown: Vec<String> = lines(
        "SELECT DISTINCT pronamespace::regnamespace || ' ' || proname FROM pg_proc
         WHERE pronamespace::regnamespace::text IN ('pg_catalog', 'information_schema')",
    )
    .into_iter()
    .filter(|line| {
        let (schema, name) = line.split_once(' ').unwrap();
        !considered_function(schema, name)
    })
    .collect();
    assert!(
        unknown.is_empty(),
        "in no list of functions.txt: {unknown:?}"
    );
}

/// Operators are not listed: what they do is what their functions do, and those are.
#[test]
fn every_operator_of_the_server_is_an_allowed_function() {
    let refused: Vec<String> = lines(
        "SELECT DISTINCT p.proname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
         WHERE o.oprnamespace = 'pg_catalog'::regnamespace",
    )
    .into_iter()
    .filter(|name| builtin_function(name) != FunctionUse::Allow)
    .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Casts are not listed either.
#[test]
fn every_cast_of_the_server_is_an_allowed_function() {
    let refused: Vec<String> =
        lines("SELECT DISTINCT p.proname FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc")
            .into_iter()
            .filter(|name| builtin_function(name) != FunctionUse::Allow)
            .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// What takes or returns `internal` or `cstring` is PostgreSQL's own business, and nothing that can
/// read or write beyond its arguments is allowed by being volatile and overlooked.
#[test]
fn internal_functions_are_refused() {
    let allowed: Vec<String> = lines(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
         AND ('internal'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes)
              OR prorettype IN ('internal'::regtype, 'cstring'::regtype, 'trigger'::regtype))",
    )
    .into_iter()
    .filter(|name| builtin_function(name) != FunctionUse::Refuse)
    .collect();
    assert!(allowed.is_empty(), "{allowed:?}");
}

#[test]
fn every_catalog_column_of_the_server_has_been_considered() {
    let unknown: Vec<String> = lines(
        "SELECT n.nspname || ' ' || c.relname || ' ' || a.attname
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')",
    )
    .into_iter()
    .filter(|line| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let (schema, relation, column) = (next(), next(), next());
        !considered_relation(schema, relation) || !considered_column(schema, relation, column)
    })
    .collect();
    assert!(unknown.is_empty(), "not in columns.txt: {unknown:?}");
}

/// Types that hold trees or samples of data are never clear, whatever the column is called.
#[test]
fn trees_and_samples_are_never_clear() {
    let mut seen = 0;
    for line in lines(
        "SELECT c.relname || ' ' || a.attname || ' ' || a.atttypid::regtype
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
           AND a.atttypid IN ('pg_node_tree'::regtype, 'anyarray'::regtype,
                              'pg_mcv_list'::regtype)",
    ) {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let (relation, column, ty) = (next(), next(), next());
        let found = allow::catalog_column("pg_catalog", relation, column);
        let expected = if ty == "pg_node_tree" && allow::catalog_relation("pg_catalog", relation) {
            CatalogColumn::NodeTree
        } else {
            CatalogColumn::Null
        };
        assert_eq!(found, expected, "{line}");
        seen += 1;
    }
    assert!(seen > 20);
}
