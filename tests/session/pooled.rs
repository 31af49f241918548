//! Transaction pooling: clients that share connections do not notice. (All of the e2e corpus is run over
//! lent connections, too.)

use std::future::poll_fn;
use std::time::Duration;

use pgveil::server::config::{Config, PoolMode};
use tokio::sync::RwLock;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use super::stage::{Another, PATIENCE, Stage, code, eventually, options, until_it_runs};

/// A trigger that may leave something behind concerns every session of the database: the test that
/// makes one has it for itself.
pub(crate) static DATABASE: RwLock<()> = RwLock::const_new(());

/// A proxy that lends `size` connections.
pub(crate) fn lending(size: u32) -> Another {
    with(size, |_| {})
}

fn with(size: u32, change: impl FnOnce(&mut Config)) -> Another {
    Stage::shared().another(|config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.size = size;
        config.pool.queue_timeout = PATIENCE;
        change(config);
    })
}

pub(crate) async fn client(running: &Another) -> Client {
    started(running, "app", "").await
}

/// A client whose role is restricted.
pub(crate) async fn restricted(running: &Another) -> Client {
    started(running, "support", "").await
}

/// With `options` in the startup packet.
pub(crate) async fn started(running: &Another, user: &str, with: &str) -> Client {
    let mut options = options(running.addr, user);
    options.options(with);
    let (client, connection) = options.connect(NoTls).await.unwrap();
    drop(tokio::spawn(connection));
    client
}

/// The one value a simple query answers.
pub(crate) async fn value(client: &Client, sql: &str) -> String {
    let rows = client.simple_query(sql).await.unwrap();
    rows.into_iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        })
        .unwrap()
}

async fn pid(client: &Client) -> String {
    value(client, "SELECT pg_backend_pid()").await
}

async fn console(running: &Another) -> Client {
    let mut options = options(running.addr, "app");
    let (client, connection) = options.dbname("pgveil").connect(NoTls).await.unwrap();
    drop(tokio::spawn(connection));
    client
}

/// Waits until a connection has been given back: its client has its answer a moment before that.
async fn until_free(running: &Another, pid: &str) {
    let console = console(running).await;
    eventually("it is not given back", async || {
        let rows = console.simple_query("SHOW SERVERS").await.unwrap();
        rows.iter().any(|row| match row {
            SimpleQueryMessage::Row(row) => {
                row.get("remote_pid") == Some(pid) && row.get("state") == Some("idle")
            }
            _ => false,
        })
    })
    .await;
}

#[tokio::test]
async fn clients_share_a_connection_and_their_prepared_statements() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    assert_eq!(pid(&a).await, pid(&b).await);
    let of_a = a.prepare("SELECT $1::int + 1").await.unwrap();
    // The same text, the same names on both sides; and another text under the same name.
    let of_b = b.prepare("SELECT $1::int + 1").await.unwrap();
    let other = b.prepare("SELECT $1::int * 10").await.unwrap();
    for n in 0..5_i32 {
        let answer = |row: tokio_postgres::Row| row.get::<_, i32>(0);
        assert_eq!(answer(a.query_one(&of_a, &[&n]).await.unwrap()), n + 1);
        assert_eq!(answer(b.query_one(&of_b, &[&n]).await.unwrap()), n + 1);
        assert_eq!(answer(b.query_one(&other, &[&n]).await.unwrap()), n * 10);
    }
    // What is made there is made once, unless the catalog changed between: other tests do that.
    let mut n = 1;
    eventually("each makes its own", async || {
        n += 1;
        let text = format!("SELECT $1::int + {n}");
        let (of_a, of_b) = (
            a.prepare(&text).await.unwrap(),
            b.prepare(&text).await.unwrap(),
        );
        for (client, statement) in [(&a, &of_a), (&b, &of_b)] {
            let row = client.query_one(statement, &[&1]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), n + 1);
        }
        let held =
            format!("SELECT count(*) FROM pg_prepared_statements WHERE statement = '{text}'");
        n < 10 && value(&a, &held).await == "1"
    })
    .await;
    // Gone for one is not gone for the other.
    drop(of_b);
    b.simple_query("SELECT 1").await.unwrap();
    assert_eq!(a.query_one(&of_a, &[&1]).await.unwrap().get::<_, i32>(0), 2);
}

#[tokio::test]
async fn a_statement_is_made_again_on_another_connection() {
    let _database = DATABASE.read().await;
    let proxy = lending(2);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let statement = a
        .prepare("SELECT $1::int + 1, pg_backend_pid()")
        .await
        .unwrap();
    let here: i32 = a.query_one(&statement, &[&1]).await.unwrap().get(1);
    until_free(&proxy, &here.to_string()).await;
    // Somebody else has that connection now.
    b.simple_query("BEGIN").await.unwrap();
    let there: i32 = a.query_one(&statement, &[&1]).await.unwrap().get(1);
    assert_eq!(pid(&b).await, here.to_string());
    assert_ne!(here, there);
    // In a pipeline with an error in front of it nothing is mixed up.
    let (bad, good) = tokio::join!(
        a.query("SELECT 1 / $1::int", &[&0]),
        a.query_one(&statement, &[&41])
    );
    assert_eq!(code(&bad.unwrap_err()), "22012");
    assert_eq!(good.unwrap().get::<_, i32>(0), 42);
    b.simple_query("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn what_is_prepared_after_a_table_changed_is_prepared_anew() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let text = "SELECT * FROM reshaped";
    a.simple_query("CREATE TABLE reshaped AS SELECT 1 AS n")
        .await
        .unwrap();
    let first = a.prepare(text).await.unwrap();
    assert_eq!(a.query_one(&first, &[]).await.unwrap().get::<_, i32>(0), 1);
    let reshape =
        |value: &str| format!("DROP TABLE reshaped; CREATE TABLE reshaped AS SELECT {value} AS n");
    b.simple_query(&reshape("'x'::text")).await.unwrap();
    // The connection still knows the old one.
    let second = b.prepare(text).await.unwrap();
    assert_eq!(
        b.query_one(&second, &[]).await.unwrap().get::<_, &str>(0),
        "x"
    );
    // And in the transaction that makes the change.
    b.simple_query("BEGIN").await.unwrap();
    b.simple_query(&reshape("true")).await.unwrap();
    let third = b.prepare(text).await.unwrap();
    assert!(b.query_one(&third, &[]).await.unwrap().get::<_, bool>(0));
    b.simple_query("COMMIT").await.unwrap();
    // Who has the old one is told, as without a proxy.
    assert_eq!(code(&a.query_one(&first, &[]).await.unwrap_err()), "0A000");
    a.simple_query("DROP TABLE reshaped").await.unwrap();
}

#[tokio::test]
async fn settings_go_with_their_client_and_return_to_what_it_started_with() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let c = started(&proxy, "app", "-c work_mem=7MB").await;
    a.simple_query("SET work_mem = '5MB'; SET app.tenant = 'x''y\\z'")
        .await
        .unwrap();
    b.simple_query("SET search_path = pg_catalog; SET SESSION app.other = 2")
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(value(&a, "SHOW work_mem").await, "5MB");
        assert_eq!(
            value(&a, "SELECT current_setting('app.tenant', true)").await,
            "x'y\\z"
        );
        assert_eq!(value(&b, "SHOW work_mem").await, "4MB");
        assert_eq!(value(&b, "SHOW search_path").await, "pg_catalog");
        assert_ne!(
            value(&b, "SELECT current_setting('app.tenant', true)").await,
            "x'y\\z"
        );
        assert_eq!(value(&b, "SHOW app.other").await, "2");
        assert_eq!(value(&c, "SHOW work_mem").await, "7MB");
    }
    // What is rolled back is not taken along.
    a.simple_query("BEGIN; SET work_mem = '6MB'; ROLLBACK")
        .await
        .unwrap();
    a.simple_query("BEGIN; SET LOCAL work_mem = '6MB'; COMMIT")
        .await
        .unwrap();
    assert_eq!(value(&b, "SELECT 1").await, "1");
    assert_eq!(value(&a, "SHOW work_mem").await, "5MB");
    a.simple_query("RESET work_mem").await.unwrap();
    c.simple_query("SET work_mem = '9MB'; RESET work_mem")
        .await
        .unwrap();
    assert_eq!(value(&a, "SHOW work_mem").await, "4MB");
    assert_eq!(value(&c, "SHOW work_mem").await, "7MB");
    assert_eq!(
        value(&a, "SELECT current_setting('app.tenant', true)").await,
        "x'y\\z"
    );
    a.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(value(&b, "SHOW search_path").await, "pg_catalog");
    assert_ne!(
        value(&a, "SELECT current_setting('app.tenant', true)").await,
        "x'y\\z"
    );
}

#[tokio::test]
async fn a_constant_is_read_by_the_settings_of_who_prepared_it() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    a.simple_query("SET datestyle = 'ISO, MDY'").await.unwrap();
    b.simple_query("SET datestyle = 'ISO, DMY'").await.unwrap();
    let text = "SELECT to_char(date '01/02/2026', 'Mon DD') || $1::text";
    for (client, expected) in [(&a, "Jan 02!"), (&b, "Feb 01!")] {
        let statement = client.prepare(text).await.unwrap();
        let row = client.query_one(&statement, &[&"!"]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), expected);
    }
}

#[tokio::test]
async fn what_cannot_be_taken_along_keeps_the_connection_until_it_is_gone() {
    let _database = DATABASE.read().await;
    let cases = [
        (
            "CREATE TEMP TABLE mine AS SELECT 1 AS a",
            "SELECT a FROM mine",
            "DROP TABLE mine",
        ),
        (
            "CREATE TYPE pg_temp.mood AS ENUM ('1')",
            "SELECT '1'::mood",
            "DROP TYPE pg_temp.mood",
        ),
        (
            "CREATE DOMAIN pg_temp.text AS int",
            "SELECT 1::text",
            "DROP DOMAIN pg_temp.text",
        ),
        (
            "SELECT pg_advisory_lock(42)",
            "SELECT 1",
            "SELECT pg_advisory_unlock(42)",
        ),
        (
            "BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1; COMMIT",
            "MOVE ABSOLUTE 0 FROM c; FETCH NEXT FROM c",
            "CLOSE c",
        ),
        (
            "PREPARE mine AS SELECT 1",
            "EXECUTE mine",
            "DEALLOCATE mine",
        ),
        (
            "LISTEN news",
            "SELECT count(*) FROM pg_listening_channels()",
            "UNLISTEN *",
        ),
    ];
    let proxy = lending(2);
    for (hold, used, release) in cases {
        let (a, b) = (client(&proxy).await, client(&proxy).await);
        a.simple_query(hold).await.unwrap();
        let own = pid(&a).await;
        for _ in 0..3 {
            assert_ne!(pid(&b).await, own, "{hold}");
            assert_eq!(value(&a, used).await, "1", "{hold}");
        }
        a.simple_query(release).await.unwrap();
        // Both are free now.
        let c = client(&proxy).await;
        b.simple_query("BEGIN").await.unwrap();
        c.simple_query("BEGIN").await.unwrap();
        b.simple_query("COMMIT").await.unwrap();
        c.simple_query("COMMIT").await.unwrap();
    }
}

#[tokio::test]
async fn a_notification_that_comes_while_the_session_is_looked_at_is_not_lost() {
    let _database = DATABASE.read().await;
    let proxy = lending(2);
    let talker = client(&proxy).await;
    for round in 0..30 {
        let mut options = options(proxy.addr, "app");
        let (listener, mut connection) = options.dbname("stage").connect(NoTls).await.unwrap();
        let (sender, mut heard) = tokio::sync::mpsc::channel(1);
        drop(tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let Ok(AsyncMessage::Notification(note)) = message {
                    sender.send(note.payload().to_owned()).await.unwrap();
                }
            }
        }));
        listener.simple_query("LISTEN round").await.unwrap();
        let notify = format!("NOTIFY round, '{round}'");
        talker.simple_query(&notify).await.unwrap();
        let note = timeout(PATIENCE, heard.recv()).await.unwrap();
        assert_eq!(note.unwrap(), round.to_string());
    }
}

#[tokio::test]
async fn a_function_that_may_leave_something_keeps_the_connection() {
    let _database = DATABASE.read().await;
    let stage = Stage::shared();
    let setup = "SET ROLE stage_login; \
        CREATE FUNCTION enter(who text) RETURNS text LANGUAGE sql AS \
            $$ SELECT set_config('app.who', who, false) $$; \
        CREATE FUNCTION enter_too(who text) RETURNS text LANGUAGE plpgsql AS \
            $$ BEGIN RETURN enter(who); END $$; \
        CREATE FUNCTION harmless(who text) RETURNS text LANGUAGE sql AS $$ SELECT who $$;";
    stage.cluster.run("stage", setup).unwrap();
    let proxy = lending(2);
    let (a, b, c) = (
        client(&proxy).await,
        client(&proxy).await,
        client(&proxy).await,
    );
    a.simple_query("SELECT harmless('ada')").await.unwrap();
    let own = pid(&a).await;
    until_free(&proxy, &own).await;
    assert_eq!(pid(&b).await, own);
    until_free(&proxy, &own).await;
    a.simple_query("SELECT enter_too('ada')").await.unwrap();
    for _ in 0..3 {
        assert_ne!(pid(&b).await, own);
        assert_ne!(
            value(&c, "SELECT current_setting('app.who', true)").await,
            "ada"
        );
        assert_eq!(
            value(&a, "SELECT current_setting('app.who', true)").await,
            "ada"
        );
    }
    drop(a);
    let cleanup = "DROP FUNCTION enter_too; DROP FUNCTION enter; DROP FUNCTION harmless";
    stage.cluster.run("stage", cleanup).unwrap();
}

/// Whatever words a function's source uses, and however late it is made.
#[tokio::test]
async fn what_hides_in_comments_or_was_made_just_now_keeps_the_connection() {
    let _database = DATABASE.read().await;
    let stage = Stage::shared();
    let setup = "SET ROLE stage_login; CREATE FUNCTION quietly() RETURNS void LANGUAGE plpgsql AS \
        $$ BEGIN -- not so loud\n SET app.quiet = 'ada'; END $$;";
    stage.cluster.run("stage", setup).unwrap();
    let proxy = lending(2);
    let hasty = "BEGIN; CREATE FUNCTION hasty() RETURNS text LANGUAGE sql AS \
        $$ SELECT set_config('app.quiet', 'ada', false) $$; SELECT hasty(); DROP FUNCTION hasty(); COMMIT";
    for leaves in [
        "SELECT quietly()",
        hasty,
        "SELECT set_config(('app.quiet'), 'ada', false)",
        "SELECT set_config('app.'||'quiet', 'ada', false)",
    ] {
        let (a, b) = (client(&proxy).await, client(&proxy).await);
        let own = pid(&a).await;
        a.simple_query(leaves).await.unwrap();
        let asked = "SELECT current_setting('app.quiet', true)";
        assert_eq!(value(&a, asked).await, "ada", "{leaves}");
        assert_ne!(pid(&b).await, own, "{leaves}");
        assert_ne!(value(&b, asked).await, "ada", "{leaves}");
    }
    stage.cluster.run("stage", "DROP FUNCTION quietly").unwrap();
}

#[tokio::test]
async fn a_view_that_leaves_something_keeps_every_connection() {
    let _database = DATABASE.write().await;
    let stage = Stage::shared();
    let setup = "SET ROLE stage_login; \
        CREATE VIEW noting AS SELECT set_config('app.seen', 'ada', false) AS seen;";
    stage.cluster.run("stage", setup).unwrap();
    let proxy = lending(2);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    a.simple_query("SELECT * FROM noting").await.unwrap();
    let asked = "SELECT current_setting('app.seen', true)";
    assert_ne!(value(&b, asked).await, "ada");
    assert_eq!(value(&a, asked).await, "ada");
    drop((a, b));
    stage.cluster.run("stage", "DROP VIEW noting").unwrap();
}

/// Asking a session what it holds takes time, and the client's own limit ends it.
#[tokio::test]
async fn a_session_with_no_time_at_all_lives_on() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let client = client(&proxy).await;
    client
        .simple_query("SET statement_timeout = 1")
        .await
        .unwrap();
    for _ in 0..20 {
        // It may well take longer, and be cancelled; nothing else may happen.
        if let Err(error) = client.simple_query("SELECT 1").await {
            assert_eq!(code(&error), "57014");
        }
    }
    let off = async || client.simple_query("SET statement_timeout = 0").await;
    eventually("no statement is short enough", async || off().await.is_ok()).await;
    client.simple_query("SELECT 1").await.unwrap();
}

/// What a transaction is like is no setting of the session.
#[tokio::test]
async fn how_a_transaction_is_isolated_is_not_taken_along() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let set = "SET transaction_isolation = 'repeatable read'; \
        SET default_transaction_isolation = 'repeatable read'";
    a.simple_query(set).await.unwrap();
    for _ in 0..2 {
        let asked = "SELECT current_setting('transaction_isolation')";
        assert_eq!(value(&b, asked).await, "read committed");
        assert_eq!(value(&a, asked).await, "repeatable read");
    }
}

#[tokio::test]
async fn a_trigger_that_may_leave_something_keeps_every_connection() {
    let _database = DATABASE.write().await;
    let stage = Stage::shared();
    let setup = "SET ROLE stage_login; CREATE TABLE logged (a int); \
        CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS \
            $$ BEGIN PERFORM set_config('app.last', NEW.a::text, false); RETURN NEW; END $$; \
        CREATE TRIGGER note_it BEFORE INSERT ON logged FOR EACH ROW EXECUTE FUNCTION note_it();";
    stage.cluster.run("stage", setup).unwrap();
    let proxy = lending(2);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    a.simple_query("INSERT INTO logged VALUES (7)")
        .await
        .unwrap();
    assert_ne!(
        value(&b, "SELECT current_setting('app.last', true)").await,
        "7"
    );
    assert_eq!(
        value(&a, "SELECT current_setting('app.last', true)").await,
        "7"
    );
    drop((a, b));
    stage
        .cluster
        .run("stage", "DROP TABLE logged; DROP FUNCTION note_it")
        .unwrap();
}

#[tokio::test]
async fn who_waits_is_served_in_turn_and_told_when_it_takes_too_long() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    a.simple_query("BEGIN").await.unwrap();
    let mut waiting = std::pin::pin!(b.simple_query("SELECT 1"));
    assert!(
        timeout(Duration::from_millis(200), waiting.as_mut())
            .await
            .is_err()
    );
    a.simple_query("COMMIT").await.unwrap();
    waiting.await.unwrap();

    let hasty = with(1, |config| {
        config.pool.queue_timeout = Duration::from_secs(1);
    });
    let (a, b) = (client(&hasty).await, client(&hasty).await);
    a.simple_query("BEGIN").await.unwrap();
    let error = b.simple_query("SELECT 1").await.unwrap_err();
    assert_eq!(code(&error), "53300");
    a.simple_query("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_cancel_request_reaches_what_its_client_runs_and_nothing_else() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let cancel = a.cancel_token();
    let sleeping = a.simple_query("SELECT pg_sleep(602)");
    let later = async {
        until_it_runs("pg_sleep(602)").await;
        cancel.cancel_query(NoTls).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleeping, later);
    assert_eq!(code(&slept.unwrap_err()), "57014");
    // At rest it has nothing to cancel; the other is not touched.
    let other = b.simple_query("SELECT pg_sleep(0.5)");
    let mean = async {
        for _ in 0..5 {
            cancel.cancel_query(NoTls).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (other, ()) = tokio::join!(other, mean);
    other.unwrap();
}

#[tokio::test]
async fn who_leaves_in_a_transaction_leaves_nothing() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    a.simple_query("CREATE TABLE IF NOT EXISTS left_behind (a int)")
        .await
        .unwrap();
    a.simple_query("BEGIN; INSERT INTO left_behind VALUES (1)")
        .await
        .unwrap();
    drop(a);
    assert_eq!(value(&b, "SELECT count(*) FROM left_behind").await, "0");
    b.simple_query("DROP TABLE left_behind").await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (client(&proxy).await, client(&proxy).await);
    let first = pid(&a).await;
    let kill = format!("SELECT pg_terminate_backend({first}, 5000)");
    Stage::shared().cluster.run("stage", &kill).unwrap();
    // What has come since has been heard, and so has the end, which came before it.
    drop(console(&proxy).await);
    // Idle in the pool it is noticed before it is lent again.
    assert_ne!(pid(&b).await, first);
    a.simple_query("BEGIN").await.unwrap();
    let second = pid(&a).await;
    let kill = format!("SELECT pg_terminate_backend({second}, 5000)");
    Stage::shared().cluster.run("stage", &kill).unwrap();
    let error = a.simple_query("SELECT 1").await.unwrap_err();
    assert!(error.is_closed() || code(&error) == "57P01", "{error}");
    assert_ne!(pid(&b).await, second);
}

#[tokio::test]
async fn many_clients_see_only_their_own_rows() {
    let _database = DATABASE.read().await;
    let proxy = lending(3);
    let clients: Vec<_> = {
        let mut clients = Vec::new();
        for _ in 0..24 {
            clients.push(client(&proxy).await);
        }
        clients
    };
    let work = clients.iter().enumerate().map(|(n, client)| async move {
        let n = i32::try_from(n).unwrap();
        let own = format!("SELECT {n} + $1::int");
        let own = client.prepare(&own).await.unwrap();
        for step in 0..40_i32 {
            let row = client.query_one(&own, &[&step]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), n + step);
            if step % 7 == 0 {
                let sum = format!("BEGIN; SELECT {n} * 1000 + {step}; COMMIT");
                assert_eq!(value(client, &sum).await, (n * 1000 + step).to_string());
            }
            if step % 13 == 0 {
                assert_eq!(
                    code(&client.simple_query("SELECT 1/0").await.unwrap_err()),
                    "22012"
                );
            }
        }
    });
    futures::future::join_all(work).await;
}

const EMAIL: &str = "SELECT email FROM people WHERE id = 1";

#[tokio::test]
async fn roles_share_the_places_and_see_each_their_own() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let app = client(&proxy).await;
    let (of_a, of_b) = (a.prepare(EMAIL).await.unwrap(), b.prepare(EMAIL).await);
    let (of_b, of_app) = (of_b.unwrap(), app.prepare(EMAIL).await.unwrap());
    for _ in 0..3 {
        for (client, statement, email) in [
            (&a, &of_a, "a**@example.com"),
            (&app, &of_app, "ada@example.com"),
            (&b, &of_b, "a**@example.com"),
        ] {
            let row = client.query_one(statement, &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), email);
            assert_eq!(value(client, EMAIL).await, email);
        }
    }
    // What is refused is, and the session goes on.
    let refused = a.simple_query("SELECT pg_read_file('x')").await;
    assert_eq!(code(&refused.unwrap_err()), "42501");
    assert_eq!(value(&b, EMAIL).await, "a**@example.com");
    assert_eq!(value(&a, EMAIL).await, "a**@example.com");
}

#[tokio::test]
async fn settings_of_a_restricted_session_go_with_it() {
    let _database = DATABASE.read().await;
    let proxy = lending(1);
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let german = started(&proxy, "support", "-c DateStyle=German").await;
    a.simple_query("SET DateStyle = 'SQL, DMY'").await.unwrap();
    a.simple_query("SET search_path = pg_catalog")
        .await
        .unwrap();
    let day = "SELECT DATE '2026-02-01'";
    for _ in 0..3 {
        assert_eq!(value(&a, day).await, "01/02/2026");
        assert_eq!(value(&b, day).await, "2026-02-01");
        assert_eq!(value(&german, day).await, "01.02.2026");
        assert_eq!(value(&a, "SHOW search_path").await, "pg_catalog");
        assert!(a.simple_query("SELECT count(*) FROM people").await.is_err());
        assert_eq!(value(&b, "SELECT count(*) FROM people").await, "3");
    }
    german.simple_query("SET DateStyle = ISO").await.unwrap();
    a.simple_query("RESET DateStyle").await.unwrap();
    german.simple_query("RESET DateStyle").await.unwrap();
    assert_eq!(value(&a, day).await, "2026-02-01");
    assert_eq!(value(&german, day).await, "01.02.2026");
}

#[tokio::test]
async fn what_a_restricted_session_cannot_take_along_keeps_its_connection() {
    let _database = DATABASE.read().await;
    let cases = [
        (
            "CREATE TEMP TABLE mine AS SELECT 1 AS a",
            "SELECT a FROM mine",
            "DROP TABLE mine",
        ),
        (
            "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1 FROM people; COMMIT",
            "FETCH NEXT FROM c",
            "CLOSE c",
        ),
        (
            "PREPARE mine AS SELECT 1",
            "EXECUTE mine",
            "DEALLOCATE mine",
        ),
    ];
    let proxy = lending(2);
    for (hold, used, release) in cases {
        let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
        a.simple_query(hold).await.unwrap();
        for _ in 0..3 {
            // On the other one.
            assert_eq!(value(&b, EMAIL).await, "a**@example.com", "{hold}");
            assert_eq!(value(&a, used).await, "1", "{hold}");
        }
        let c = restricted(&proxy).await;
        b.simple_query("BEGIN").await.unwrap();
        assert_eq!(value(&b, EMAIL).await, "a**@example.com");
        let waits = timeout(Duration::from_millis(300), c.simple_query(EMAIL)).await;
        assert!(waits.is_err(), "{hold}: both are taken");
        a.simple_query(release).await.unwrap();
        let d = restricted(&proxy).await;
        assert_eq!(value(&d, EMAIL).await, "a**@example.com", "{hold}");
        b.simple_query("COMMIT").await.unwrap();
    }
}

#[tokio::test]
async fn a_restricted_client_that_leaves_leaves_nothing() {
    let _database = DATABASE.read().await;
    let proxy = with(1, |config| config.pool.queue_timeout = PATIENCE * 10);
    let a = restricted(&proxy).await;
    a.simple_query("BEGIN; INSERT INTO sink VALUES (4711, 'x')")
        .await
        .unwrap();
    drop(a);
    let b = restricted(&proxy).await;
    let found = value(&b, "SELECT count(*) FROM sink WHERE id = 4711").await;
    assert_eq!(found, "0");
    // Who says nothing needs no connection to say good-bye.
    b.simple_query("BEGIN").await.unwrap();
    assert_eq!(value(&b, EMAIL).await, "a**@example.com");
    let (c, connection) = options(proxy.addr, "support").connect(NoTls).await.unwrap();
    let c_ends = tokio::spawn(connection);
    drop(c);
    let ended = timeout(PATIENCE, c_ends).await.unwrap();
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn a_restricted_client_that_waits_too_long_is_told_and_a_cancel_request_finds_it() {
    let _database = DATABASE.read().await;
    let proxy = with(1, |config| {
        config.pool.queue_timeout = Duration::from_secs(1);
    });
    let (a, b) = (restricted(&proxy).await, restricted(&proxy).await);
    let cancel = a.cancel_token();
    let long = tokio::spawn(async move {
        let found = a.simple_query("SELECT count(*) FROM generate_series(1, 10000000002)");
        let state = code(&found.await.unwrap_err());
        (state, value(&a, EMAIL).await)
    });
    until_it_runs("10000000002").await;
    let told = b.simple_query(EMAIL).await.unwrap_err();
    assert_eq!(code(&told), "53300");
    cancel.cancel_query(NoTls).await.unwrap();
    let (state, email) = long.await.unwrap();
    assert_eq!(
        (state.as_str(), email.as_str()),
        ("57014", "a**@example.com")
    );
}
