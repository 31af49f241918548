//! Settings of a restricted session: those that are kept for it and not obeyed, over connections of its
//! own and over lent ones. `corpus/tools/settings.test` holds them against PostgreSQL's.

use tokio_postgres::NoTls;

use super::pooled::{DATABASE, lending, restricted, started, value};
use super::stage::{Stage, code, options};

/// What the server itself works with, whatever the client sees.
const SHOWN: &str = "SELECT setting FROM pg_settings WHERE name = 'work_mem'";

#[tokio::test]
async fn what_is_kept_at_startup_is_what_reset_returns_to() {
    let stage = Stage::shared();
    let lent = lending(1);
    for addr in [stage.addr, lent.addr] {
        let mut with = options(addr, "support");
        with.options("-c work_mem=64MB -c jit=of --random-page-cost=1.10");
        let (client, connection) = with.connect(NoTls).await.unwrap();
        drop(tokio::spawn(connection));
        assert_eq!(value(&client, "SHOW work_mem").await, "64MB");
        assert_eq!(value(&client, "SHOW jit").await, "off");
        assert_eq!(value(&client, "SHOW random_page_cost").await, "1.1");
        client.batch_execute("SET work_mem = '1MB'").await.unwrap();
        assert_eq!(value(&client, SHOWN).await, "1024");
        client.batch_execute("RESET ALL").await.unwrap();
        assert_eq!(value(&client, SHOWN).await, "65536");
        client.batch_execute("SET work_mem = '1MB'").await.unwrap();
        client.batch_execute("DISCARD ALL").await.unwrap();
        assert_eq!(value(&client, "SHOW work_mem").await, "64MB");

        let mut bad = options(addr, "support");
        bad.options("-c work_mem=lots");
        let error = bad.connect(NoTls).await.err().unwrap();
        assert_eq!(code(&error), "22023");
        let said = error.as_db_error().unwrap().message();
        assert_eq!(said, "invalid value for parameter \"work_mem\": \"lots\"");
    }
}

#[tokio::test]
async fn what_is_kept_goes_with_its_session() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let other = started(&proxy, "support", "-c work_mem=2MB").await;
    let default = value(&b, "SHOW work_mem").await;
    a.batch_execute("SET work_mem = '64MB'").await.unwrap();
    for _ in 0..3 {
        assert_eq!(value(&a, "SHOW work_mem").await, "64MB");
        assert_eq!(value(&b, "SHOW work_mem").await, default);
        assert_eq!(value(&other, "SHOW work_mem").await, "2MB");
    }
    b.batch_execute("BEGIN; SET LOCAL work_mem = '8MB'")
        .await
        .unwrap();
    assert_eq!(value(&b, "SHOW work_mem").await, "8MB");
    b.batch_execute("COMMIT").await.unwrap();
    let set = "SELECT set_config('work_mem', '16MB', false)";
    assert_eq!(value(&other, set).await, "16MB");
    assert_eq!(value(&a, "SHOW work_mem").await, "64MB");
    assert_eq!(value(&b, "SHOW work_mem").await, default);
    assert_eq!(value(&other, "SHOW work_mem").await, "16MB");
    a.batch_execute("RESET work_mem").await.unwrap();
    other.batch_execute("DISCARD ALL").await.unwrap();
    assert_eq!(value(&a, "SHOW work_mem").await, default);
    assert_eq!(value(&other, "SHOW work_mem").await, "2MB");
    // An error in a transaction undoes it.
    b.batch_execute("BEGIN; SET work_mem = '8MB'")
        .await
        .unwrap();
    assert!(b.batch_execute("SELECT 1/0").await.is_err());
    b.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(value(&b, "SHOW work_mem").await, default);
}

/// By the protocol's parameters, and prepared again where a lent connection lacks them.
#[tokio::test]
async fn what_is_kept_may_be_a_parameter() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let sql = "SELECT set_config('work_mem', $1, false), current_setting($2)";
    let (of_a, of_b) = (a.prepare(sql).await.unwrap(), b.prepare(sql).await.unwrap());
    for (client, statement, given, shown) in [
        (&a, &of_a, "65536", "64MB"),
        (&b, &of_b, " 1 MB", "1MB"),
        (&a, &of_a, "0x10000", "64MB"),
    ] {
        let row = client.query_one(statement, &[&given, &"work_mem"]).await;
        let row = row.unwrap();
        assert_eq!(row.get::<_, &str>(0), shown);
        assert_eq!(row.get::<_, &str>(1), shown);
    }
    let error = a.query_one(&of_a, &[&"63", &"jit"]).await.unwrap_err();
    assert_eq!(code(&error), "22023");
    assert_eq!(value(&a, "SHOW work_mem").await, "64MB");
    assert_eq!(value(&b, "SHOW work_mem").await, "1MB");
    for sql in [
        "SELECT set_config('work_mem', $1, false), $1::text",
        "SELECT set_config('work_mem', $1, false) FROM people WHERE email = $1",
    ] {
        let error = a.prepare(sql).await.unwrap_err();
        assert_eq!(code(&error), "0A000", "{sql}");
    }
    a.batch_execute("PREPARE s AS SELECT set_config('work_mem', $1, false)")
        .await
        .unwrap();
    assert_eq!(value(&a, "EXECUTE s('2048')").await, "2MB");
    for (sql, state) in [
        ("EXECUTE s('2 MiB')", "22023"),
        ("EXECUTE s(lower('2MB'))", "0A000"),
    ] {
        assert_eq!(
            code(&a.batch_execute(sql).await.unwrap_err()),
            state,
            "{sql}"
        );
    }
    assert_eq!(value(&a, "SHOW work_mem").await, "2MB");
}
