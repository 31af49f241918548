//! What operators and functions give, by the analyzer and by PostgreSQL: every operator, and every function
//! that means several things with one, two or three arguments, over many types and constants of no type.
//!
//! Deliberately absent: functions of one meaning, which give what `pg_proc` says, and those a restricted role
//! may not call.

use super::*;

const TYPES: &[&str] = &[
    "int2",
    "int4",
    "int8",
    "numeric",
    "float4",
    "float8",
    "money",
    "text",
    "varchar",
    "bpchar",
    "char",
    "name",
    "bytea",
    "bool",
    "bit",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "json",
    "jsonb",
    "uuid",
    "inet",
    "cidr",
    "oid",
    "regclass",
    "point",
    "tsquery",
    "tsvector",
    "_text",
    "_int4",
    "_numeric",
    "int4range",
    "int8multirange",
];
/// Those of functions of two arguments, and of three: there are many.
const FEWER: &[&str] = &[
    "int4",
    "int8",
    "numeric",
    "float8",
    "text",
    "varchar",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "jsonb",
    "bytea",
    "_text",
];
const FEWEST: &[&str] = &[
    "int4",
    "numeric",
    "text",
    "date",
    "timestamp",
    "timestamptz",
    "interval",
];

#[test]
fn operators_and_functions_give_what_postgresql_says() {
    let stage = Stage::build();
    let server = stage.connect("clinic");
    let clear = Grants::for_tests("anyone", Treatment::Clear, []);
    server.run(&asked()).unwrap();
    let rows = server.run("SELECT e, ty, given FROM said").unwrap();
    let (mut allowed, mut untold) = (0, Vec::new());
    for row in rows {
        let [Some(e), Some(ty), Some(given)] = row.as_slice() else {
            panic!("a row of three");
        };
        let Ok(lineage) = lineage(
            &stage,
            &clear,
            &format!("SELECT {e} FROM (SELECT {given}) v"),
        ) else {
            continue;
        };
        allowed += 1;
        match lineage.outputs[0].ty {
            Some(told) => assert_eq!(told.to_string(), *ty, "{e}"),
            None => untold.push(e.clone()),
        }
    }
    assert!(allowed > 3_500, "{allowed} expressions");
    assert!(
        untold.len() * 50 < allowed,
        "{} of {allowed}: {untold:#?}",
        untold.len()
    );
}

/// Has PostgreSQL tell the type of every expression that it takes. It executes none.
fn asked() -> String {
    let list = |types: &[&str]| {
        let names: Vec<String> = types.iter().map(|t| format!("'{t}'")).collect();
        format!("unnest(ARRAY[{}, NULL])", names.join(", "))
    };
    // What is written for an argument, and the column it stands for.
    let (mut arms, all) = (Vec::new(), list(TYPES));
    for kind in ["b", "l"] {
        let symbols = format!(
            "(SELECT DISTINCT oprname FROM pg_operator
              WHERE oprkind = '{kind}' AND oprnamespace = 'pg_catalog'::regnamespace) o"
        );
        arms.push(if kind == "b" {
            format!("SELECT format('(%s OPERATOR(pg_catalog.%s) %s)', arg(a), oprname, arg(b)), ARRAY[a, b] FROM {symbols}, {all} a, {all} b")
        } else {
            format!("SELECT format('(OPERATOR(pg_catalog.%s) %s)', oprname, arg(a)), ARRAY[a] FROM {symbols}, {all} a")
        });
    }
    for (count, types) in [(1, TYPES), (2, FEWER), (3, FEWEST)] {
        let names = &["a", "b", "c"][..count];
        let args: Vec<String> = names.iter().map(|n| format!("arg({n})")).collect();
        let from: Vec<String> = names
            .iter()
            .map(|n| format!("{} {n}", list(types)))
            .collect();
        arms.push(format!(
            "SELECT format('pg_catalog.%I(%s)', proname, concat_ws(', ', {})), ARRAY[{}]
             FROM (SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
                   AND pronargs = {count} GROUP BY proname HAVING count(*) > 1) f, {}",
            args.join(", "),
            names.join(", "),
            from.join(", "),
        ));
    }
    format!(
        "CREATE FUNCTION pg_temp.arg(a text) RETURNS text LANGUAGE sql AS
           $$SELECT CASE WHEN a IS NULL THEN '''1''' ELSE format('v.%I', a) END$$;
         CREATE TEMP TABLE said (e text, ty oid, given text);
         DO $do$ DECLARE e text; types text[]; given text; BEGIN
           FOR e, types IN {} LOOP
             CONTINUE WHEN array_remove(types, NULL) = '{{}}';
             SELECT string_agg(format('NULL::pg_catalog.%I AS %I', t, t), ', ') INTO given
             FROM (SELECT DISTINCT t FROM unnest(types) t WHERE t IS NOT NULL) t;
             BEGIN
               EXECUTE format('INSERT INTO said SELECT %L, pg_typeof((SELECT %s FROM (SELECT %s) v WHERE false)), %L', e, e, given, given);
             EXCEPTION WHEN others THEN NULL;
             END;
           END LOOP;
         END $do$",
        arms.join(" UNION ALL ").replace("arg(", "pg_temp.arg("),
    )
}
