//! Types as SQL.

use super::*;

/// Each spelling as the column's type, and what the catalog says of it, cast to and measured again.
#[test]
fn a_type_means_the_same_to_postgresql() {
    let spellings = [
        "varchar",
        "varchar(160)",
        "char",
        "char(7)",
        "bpchar",
        "\"char\"",
        "text",
        "name",
        "bit",
        "bit(3)",
        "varbit(9)",
        "numeric",
        "numeric(5,2)",
        "numeric(3,-2)",
        "numeric(2,5)",
        "time(3)",
        "timetz(2)",
        "timestamp",
        "timestamp(0)",
        "timestamptz(3)",
        "interval",
        "interval(2)",
        "interval year",
        "interval year to month",
        "interval day to second(3)",
        "interval second(1)",
        "interval hour to minute",
        "int2vector",
        "oidvector",
        "int4[]",
        "varchar(3)[]",
        "numeric(4,1)[][]",
        "crm.mobile",
        "crm.mobile[]",
        "crm.address",
        "crm.address[]",
        "crm.mood",
        "crm.\"T y\"\"pe\"",
        "crm.two",
        "int4range",
        "jsonb",
        "uuid",
        "bytea",
        "crm.gtrgm",
    ];
    let columns: Vec<String> = spellings
        .iter()
        .enumerate()
        .map(|(i, s)| format!("c{i} {s}"))
        .collect();
    let schema = format!(
        "CREATE TYPE crm.\"T y\"\"pe\" AS (a int); CREATE DOMAIN crm.two AS numeric(6,3)[];
         CREATE TABLE crm.types ({});",
        columns.join(", ")
    );
    shop("types");
    cluster().run("types", &schema).unwrap();
    let catalog = read("types").catalog;
    let types = relation(&catalog, "types");
    assert_eq!(types.columns.len(), spellings.len());
    let casts: Vec<String> = types
        .columns
        .iter()
        .map(|c| {
            format!(
                "CAST(NULL AS {}) AS {}",
                catalog.column_type(c).unwrap().sql,
                c.name
            )
        })
        .collect();
    cluster()
        .run(
            "types",
            &format!(
                "SET search_path = ''; CREATE TABLE crm.again AS SELECT {}",
                casts.join(", ")
            ),
        )
        .unwrap();
    let measure = |table: &str| {
        // The base type and modifier that RowDescription would show.
        let sql = format!(
            "WITH RECURSIVE r AS (
               SELECT attnum, atttypid AS ty, atttypmod AS typmod FROM pg_attribute
               WHERE attrelid = 'crm.{table}'::regclass AND attnum > 0
               UNION ALL SELECT attnum, typbasetype, typtypmod FROM r JOIN pg_type t ON t.oid = ty
               WHERE typtype = 'd')
             SELECT attnum, ty, typmod FROM r JOIN pg_type t ON t.oid = ty
             WHERE typtype <> 'd' ORDER BY attnum"
        );
        cluster().run("types", &sql).unwrap()
    };
    let (given, again) = (measure("types"), measure("again"));
    for ((given, again), spelling) in given.lines().zip(again.lines()).zip(spellings) {
        assert_eq!(given, again, "{spelling}");
    }
    let of = |i: usize| catalog.column_type(&types.columns[i]).unwrap();
    assert_eq!(&*of(1).sql, "\"pg_catalog\".\"varchar\"(160)");
    let phones = spellings.iter().position(|s| *s == "crm.mobile").unwrap();
    assert_eq!(
        (of(phones).oid, &*of(phones).sql),
        (1043, "\"pg_catalog\".\"varchar\"(24)")
    );
    let array = spellings.iter().position(|s| *s == "varchar(3)[]").unwrap();
    assert_eq!(
        &*of(array).element.unwrap().sql,
        "\"pg_catalog\".\"varchar\"(3)"
    );
}
