//! Changes.

use super::*;

#[test]
fn every_change_is_noticed_and_nothing_else() {
    shop("probed");
    let noticed = [
        "ALTER TABLE crm.ruled ADD b text",
        "ALTER TABLE crm.ruled RENAME b TO c",
        "ALTER TABLE crm.ruled ALTER c TYPE varchar(3)",
        "ALTER TABLE crm.ruled ALTER c SET NOT NULL",
        "ALTER TABLE crm.ruled ALTER c SET DEFAULT 'x'",
        "ALTER TABLE crm.ruled DROP c",
        "ALTER TABLE crm.ruled RENAME TO unruly",
        "ALTER TABLE crm.unruly SET SCHEMA public",
        "ALTER TABLE public.unruly ENABLE ROW LEVEL SECURITY",
        "DROP RULE quiet ON public.unruly",
        "BEGIN; ALTER TABLE crm.log RENAME TO x; ALTER TABLE crm.counts RENAME TO log;
         ALTER TABLE crm.x RENAME TO counts; COMMIT",
        "CREATE OR REPLACE VIEW crm.mails WITH (security_barrier = off)
           AS SELECT \"e \"\"mail\" AS mail FROM crm.\"Odd Names\"",
        "ALTER VIEW crm.mails SET (security_barrier)",
        "CREATE INDEX by_price ON crm.\"Odd Names\" (price)",
        "DROP INDEX crm.by_price",
        "ALTER DOMAIN crm.phone ADD CHECK (VALUE <> '+2')",
        "ALTER DOMAIN crm.phone DROP NOT NULL",
        "ALTER TYPE crm.address ADD ATTRIBUTE city text",
        "ALTER SCHEMA crm RENAME TO shop",
        "CREATE OR REPLACE FUNCTION shop.many(VARIADIC text[]) RETURNS SETOF int VOLATILE
           LANGUAGE sql AS 'SELECT 2'",
        "ALTER TABLE shop.counts DETACH PARTITION shop.log_now",
        "ALTER TABLE shop.counts ATTACH PARTITION shop.log_now FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)",
        "ALTER TABLE shop.\"Odd Names\" ADD CONSTRAINT dear CHECK (price > 0)",
        "ALTER TABLE shop.\"Odd Names\" DROP CONSTRAINT dear",
        "CREATE CAST (shop.address AS text) WITH INOUT AS ASSIGNMENT",
        "CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "ALTER EXTENSION pg_trgm DROP FUNCTION shop.show_trgm(text)",
        "CREATE COLLATION shop.c FROM \"C\"",
        "DROP COLLATION shop.c",
        "DROP TABLE public.unruly",
    ];
    let silent = [
        "INSERT INTO shop.\"Odd Names\" (\"e \"\"mail\", price) VALUES ('a', 1), ('b', 2)",
        "ANALYZE",
        "VACUUM",
        "CREATE TEMP TABLE passing (a int PRIMARY KEY CHECK (a > 0), b text DEFAULT 'x')",
        "TRUNCATE shop.\"Odd Names\", shop.bills",
        "REFRESH MATERIALIZED VIEW shop.log",
        "REINDEX TABLE shop.\"Odd Names\"",
        "SELECT nextval('shop.counter')",
        "CREATE ROLE passing_by",
    ];
    Runtime::new().unwrap().block_on(async {
        let mut observer = connection("probed").await;
        let mut actor = connection("probed").await;
        let first = introspect(&mut observer).await.unwrap();
        let mut last = probe(&mut observer).await.unwrap();
        assert_eq!(first.probe, last);
        for sql in noticed {
            assert!(actor.simple_query_text(sql).await.is_ok(), "{sql}");
            let now = probe(&mut observer).await.unwrap();
            assert_ne!(last, now, "not noticed: {sql}");
            last = now;
        }
        for sql in silent {
            assert!(actor.simple_query_text(sql).await.is_ok(), "{sql}");
            assert_eq!(
                last,
                probe(&mut observer).await.unwrap(),
                "noticed for nothing: {sql}"
            );
        }
        let second = introspect(&mut observer).await.unwrap();
        let third = introspect(&mut observer).await.unwrap();
        assert_ne!(first.catalog.fingerprint, second.catalog.fingerprint);
        assert_eq!(second.catalog.fingerprint, third.catalog.fingerprint);
    });
}
