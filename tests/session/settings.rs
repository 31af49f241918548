//! Settings of a restricted session: those that are kept for it and not obeyed, and custom ones, over
//! connections of its own and over lent ones. `corpus/tools/settings.test` holds them against PostgreSQL's.

use std::net::SocketAddr;
use std::time::Duration;

use pgveil::limits;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::client::Client as Wire;
use super::pooled::{DATABASE, client, lending, restricted, started, value};
use super::stage::{PASSWORD, Stage, code, options};

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
        "SELECT set_config('work_mem', 'lots'::varchar(3), false)",
        "SELECT set_config('work_mem', $1::name::text, false)",
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

/// Lines of one session, with parameters behind `|`.
const CUSTOM: &[&str] = &[
    "SELECT count(*) FROM leases",
    "SET app.tenant = 'acme'",
    "SHOW app.tenant",
    "SELECT id, tenant FROM leases",
    "SELECT current_setting('app.tenant'), current_setting('APP.Tenant', true)",
    "BEGIN",
    "SET LOCAL app.tenant TO zeta",
    "SELECT id FROM leases",
    "SAVEPOINT a",
    "SET app.tenant = 'none'",
    "SELECT count(*) FROM leases",
    "ROLLBACK TO a",
    "SELECT id FROM leases",
    "COMMIT",
    "SELECT id FROM leases",
    "BEGIN",
    "SET app.tenant = 'zeta'",
    "SELECT 1/0",
    "ROLLBACK",
    "SHOW app.tenant",
    "RESET app.tenant",
    "SELECT count(*) FROM leases",
    "SELECT set_config('app.tenant', $1, false), set_config('request.method', $2, false)|zeta|GET",
    "SELECT current_setting('request.method'), id FROM leases",
    "SELECT current_setting($1, true)|request.method",
    "SELECT name, current_setting(name, true) FROM (VALUES ('app.tenant'), ('Request.Method')) v (name)",
    "SET app.tenant TO DEFAULT",
    // What PostgREST says before a request, and the request.
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "select set_config('search_path', $1, true), set_config('request.jwt.claims', $2, true), \
     set_config('request.method', $3, true), set_config('request.headers', '{}', true)\
     |\"public\", \"extensions\"|{\"tenant\": \"acme\"}|GET",
    "SHOW search_path",
    "SELECT id, current_setting('request.jwt.claims', true)::json ->> 'tenant' FROM leases",
    "SELECT current_setting('request.headers', true), current_schema()",
    "COMMIT",
    "SHOW search_path",
    "SELECT set_config('search_path', $1, false)|pg_catalog",
    "SELECT count(*) FROM leases",
    "SELECT set_config('search_path', 'public', false), set_config('app.tenant', 'acme', false)",
    "SELECT id FROM leases",
    "SELECT set_config('search_path', $1, false)|a,",
    "BEGIN",
    "SELECT set_config('search_path', $1, true), set_config('app.tenant', $2, true)|pg_catalog|zeta",
    "SELECT 1/0",
    "ROLLBACK",
    "SELECT id FROM leases",
    "SELECT set_config('request.a b', 'x', false)",
    "SELECT set_config('request.', 'x', false)",
    "SHOW request.never",
    "SELECT current_setting('request.never')",
    "DISCARD ALL",
    "SELECT count(*) FROM leases",
];

/// What a line is answered: rows, or an SQLSTATE.
async fn answer(client: &Client, line: &str) -> String {
    let mut parts = line.split('|');
    let sql = parts.next().unwrap();
    let given: Vec<&str> = parts.collect();
    let shown = |values: Vec<Option<&str>>| {
        let values: Vec<_> = values.into_iter().map(|v| v.unwrap_or("NULL")).collect();
        values.join(", ")
    };
    if given.is_empty() {
        return match client.simple_query(sql).await {
            Err(error) => code(&error),
            Ok(messages) => (messages.iter())
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => {
                        Some(shown((0..row.len()).map(|n| row.get(n)).collect()) + "; ")
                    }
                    _ => None,
                })
                .collect(),
        };
    }
    let values: Vec<_> = given.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
    match client.query(sql, &values).await {
        Err(error) => code(&error),
        Ok(rows) => (rows.iter())
            .map(|row| shown((0..row.len()).map(|n| row.get(n)).collect()) + "; ")
            .collect(),
    }
}

async fn session(addr: SocketAddr, user: &str) -> Client {
    let (client, connection) = options(addr, user).connect(NoTls).await.unwrap();
    drop(tokio::spawn(connection));
    client
}

/// Custom settings that the policy names reach row security, and are what they are without a proxy.
#[tokio::test]
async fn custom_settings_of_the_policy_are_the_sessions() {
    let _database = DATABASE.read().await;
    let stage = Stage::shared();
    let lent = lending(1);
    let direct = session(stage.cluster.address(), "stage_login").await;
    let own = session(stage.addr, "support").await;
    let (a, b) = (restricted(&lent).await, restricted(&lent).await);
    let app = client(&lent).await;
    let mut inside = false;
    for line in CUSTOM {
        let said = answer(&direct, line).await;
        assert_eq!(answer(&own, line).await, said, "{line}");
        let lent = answer(&a, line).await;
        // README: '' where another client of the connection has set it.
        if lent != said {
            let undefined = said == "42704" && lent == "; ";
            assert!(
                undefined || said.contains("NULL"),
                "{line}: {lent}, not {said}"
            );
        }
        inside = match line.split(' ').next() {
            Some("BEGIN") => true,
            Some("COMMIT" | "ROLLBACK") if !line.contains(" TO ") => false,
            _ => inside,
        };
        if !inside {
            for other in [&b, &app] {
                let seen = value(other, "SELECT current_setting('app.tenant', true)").await;
                assert!(seen.is_empty() || seen == "NULL", "{line}: {seen}");
                let tenants = value(other, "SELECT count(*) FROM leases").await;
                assert_eq!(tenants, "0", "{line}");
            }
        }
    }
    // Nor does one that leaves in the middle leave anything.
    a.batch_execute("SET app.tenant = 'acme'").await.unwrap();
    drop(a);
    assert_eq!(value(&b, "SELECT count(*) FROM leases").await, "0");
}

/// At startup they are the session's defaults.
#[tokio::test]
async fn custom_settings_may_be_given_at_startup() {
    let lent = lending(1);
    for addr in [Stage::shared().addr, lent.addr] {
        let mut with = options(addr, "support");
        with.options("-c app.tenant=acme -c Request.Method=GET");
        let (client, connection) = with.connect(NoTls).await.unwrap();
        drop(tokio::spawn(connection));
        let ids = "SELECT id FROM leases";
        assert_eq!(value(&client, ids).await, "1");
        client
            .batch_execute("SET app.tenant = 'zeta'")
            .await
            .unwrap();
        assert_eq!(value(&client, ids).await, "2");
        client.batch_execute("RESET app.tenant").await.unwrap();
        assert_eq!(value(&client, ids).await, "1");
        assert_eq!(value(&client, "SHOW request.method").await, "GET");
        let mut bad = options(addr, "support");
        bad.options("-c app.tenants=acme");
        assert_eq!(code(&bad.connect(NoTls).await.err().unwrap()), "42501");
    }
}

/// Without the policy's word nothing is set or shown, and the hint says which word.
#[tokio::test]
async fn custom_settings_need_the_policys_word() {
    let client = session(Stage::shared().addr, "support").await;
    for sql in [
        "SET app.tenants = 'x'",
        "SET LOCAL \"app.tenant.x\" = 'x'",
        "RESET plpgsql.variable_conflict",
        "SHOW app.tenants",
        "SELECT current_setting('app.tenants', true)",
        "SELECT set_config('app.tenants', 'x', false)",
        "SELECT set_config('search_path', 'public', false), set_config('app.tenants', 'x', false)",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(code(&error), "42501", "{sql}");
        let hint = error.as_db_error().unwrap().hint().unwrap().to_owned();
        assert!(hint.contains("roles.support.settings: ["), "{sql}: {hint}");
    }
    for sql in [
        "SET pgveil.work_mem = 'x'",
        "SHOW pgveil.work_mem",
        "SELECT set_config('app.tenant', email, false) FROM people",
        "SELECT set_config('app.tenant', (SELECT email FROM people LIMIT 1), false)",
        "SELECT set_config('app.' || 'tenant', 'x', false)",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(code(&error), "42501", "{sql}");
    }
    let hidden =
        "SELECT current_setting(x, true) FROM (VALUES ('pgveil.work_mem'), ('app.tenants')) v (x)";
    client.batch_execute("SET work_mem = '1MB'").await.unwrap();
    assert_eq!(answer(&client, hidden).await, "NULL; NULL; ");
}

const CONSTRAINTS: &[&str] = &[
    "SET CONSTRAINTS ALL DEFERRED",
    "INSERT INTO children VALUES (1, 7)",
    "BEGIN",
    "SET CONSTRAINTS children_parent_fkey DEFERRED",
    "INSERT INTO children VALUES (1, 7)",
    "INSERT INTO parents VALUES (7)",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SELECT count(*) FROM children",
    "ROLLBACK",
    "BEGIN; SET CONSTRAINTS public.children_parent_fkey DEFERRED; INSERT INTO children VALUES (2, 8)",
    "COMMIT",
    "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO children VALUES (2, 8)",
    "SET CONSTRAINTS public.children_parent_fkey, public.children_parent_fkey IMMEDIATE",
    "SELECT 1",
    "ROLLBACK",
    "SET CONSTRAINTS nothing DEFERRED",
    "SET CONSTRAINTS parents_pkey DEFERRED",
    "SET CONSTRAINTS nowhere.nothing IMMEDIATE",
    "SELECT count(*) FROM children",
];

#[tokio::test]
async fn constraints_are_deferred_as_without_a_proxy() {
    let stage = Stage::shared();
    let lent = lending(1);
    let direct = session(stage.cluster.address(), "stage_login").await;
    let own = session(stage.addr, "support").await;
    let a = restricted(&lent).await;
    // One after the other: they would wait for each other's keys.
    let mut all = Vec::new();
    for client in [&direct, &own, &a] {
        let mut said = Vec::new();
        for line in CONSTRAINTS {
            said.push(format!("{line}: {}", answer(client, line).await));
        }
        all.push(said);
    }
    assert!(all[0].contains(&"COMMIT: 23503".to_owned()), "{:?}", all[0]);
    assert_eq!(all[1], all[0]);
    assert_eq!(all[2], all[0]);
    // Where the name may be of several schemas, the client says of which.
    own.batch_execute("SET search_path = public, information_schema")
        .await
        .unwrap();
    let error = own
        .batch_execute("SET CONSTRAINTS children_parent_fkey DEFERRED")
        .await
        .unwrap_err();
    assert_eq!(code(&error), "0A000");
}

/// Each has to be asked for when a connection comes back; who sets too many keeps it.
#[tokio::test]
async fn too_many_custom_settings_keep_their_connection() {
    let _database = DATABASE.read().await;
    let proxy = lending(2);
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let set = |n: usize| format!("SET request.n{n} = '{n}'");
    let pid = "SELECT pg_backend_pid()";
    let some: Vec<String> = (0..limits::HIDDEN_SETTINGS).map(set).collect();
    for some in some.chunks(64) {
        a.batch_execute(&some.join(";")).await.unwrap();
    }
    // It goes with the session still, to whichever connection.
    a.batch_execute("BEGIN").await.unwrap();
    let (of_a, of_b) = (value(&a, pid).await, value(&b, pid).await);
    assert_ne!(of_a, of_b);
    a.batch_execute("COMMIT").await.unwrap();
    b.batch_execute("BEGIN").await.unwrap();
    assert_eq!(value(&a, "SHOW request.n255").await, "255");
    b.batch_execute("COMMIT").await.unwrap();
    // One more, and both are taken.
    a.batch_execute(&set(limits::HIDDEN_SETTINGS))
        .await
        .unwrap();
    b.batch_execute("BEGIN").await.unwrap();
    value(&b, pid).await;
    let c = restricted(&proxy).await;
    let waits = timeout(Duration::from_millis(300), c.simple_query(pid)).await;
    assert!(waits.is_err());
    assert_eq!(value(&a, "SHOW request.n256").await, "256");
    drop(a);
    b.batch_execute("COMMIT").await.unwrap();
    let left = "SELECT current_setting('request.n256', true)";
    assert_eq!(value(&b, left).await, "NULL");
}

/// What a client was told of a setting since it was last asked.
fn reported(client: &mut Wire, setting: &str) -> Vec<String> {
    let received = client.take_received();
    let mut rest: &[u8] = &received;
    let mut values = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let length = i32::from_be_bytes(*after.first_chunk().unwrap());
        let (frame, next) = after.split_at(usize::try_from(length).unwrap());
        let body = String::from_utf8_lossy(&frame[4..]);
        let mut fields = body.split('\0');
        if *kind == b'S' && fields.next() == Some(setting) {
            values.push(fields.next().unwrap().to_owned());
        }
        rest = next;
    }
    values
}

/// Since version 18; before it nobody is told.
#[test]
fn the_path_is_reported_as_postgresql_reports_it() {
    let stage = Stage::shared();
    let lent = lending(2);
    for start in [
        &[][..],
        &[("options", "-c search_path=c,public")],
        &[("options", "-c client_encoding=latin1 -c search_path=C")],
    ] {
        let heard = |addr, user| {
            let mut client = Wire::connect_with(addr, user, PASSWORD, "stage", start).unwrap();
            let mut heard = vec![reported(&mut client, "search_path")];
            for sql in [
                "SELECT 1",
                "SET search_path = public, a",
                "SET search_path = public, a",
                "BEGIN; SET LOCAL search_path = x; SELECT 1",
                "SAVEPOINT s; SET search_path TO y",
                "ROLLBACK TO s",
                "SELECT 1/0",
                "ROLLBACK",
                "SELECT set_config('search_path', 'a,b', false)",
                "SET search_path = '\u{e9}'",
                "SET search_path = z; SELECT 1/0",
                "RESET search_path",
                "SET search_path = ''",
                "DISCARD ALL",
            ] {
                let latin1 = start.iter().any(|(_, v)| v.contains("latin1"));
                let byte = |c| u8::try_from(c).unwrap();
                let sql: Vec<u8> = if latin1 {
                    sql.chars().map(byte).collect()
                } else {
                    sql.into()
                };
                client.send(b'Q', &[&sql[..], b"\0"].concat());
                client.until_ready();
                heard.push(reported(&mut client, "search_path"));
            }
            heard
        };
        let direct = heard(stage.cluster.address(), "stage_login");
        assert_eq!(heard(stage.addr, "support"), direct, "{start:?}");
        assert_eq!(heard(lent.addr, "support"), direct, "{start:?}, lent");
    }
}
