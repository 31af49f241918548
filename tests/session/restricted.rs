//! A restricted role: the protocol's side of refusals and errors.

use std::time::{Duration, Instant};

use pgveil::limits;
use tokio_postgres::NoTls;
use tokio_postgres::types::{Kind, Type};

use super::client::{Answer, Client};
use super::pooled::DATABASE;
use super::stage::{PASSWORD, Stage, code, connect, eventually, options, records, until_it_runs};

/// A statement no policy lets a restricted role send.
const REFUSED: &str = "DO $$ BEGIN END $$";

#[tokio::test]
async fn a_refusal_leaves_the_session_usable_in_both_protocols() {
    let (client, _task) = connect("support").await;
    for _ in 0..2 {
        let simple = client.batch_execute(REFUSED).await.unwrap_err();
        let extended = client.query(REFUSED, &[]).await.unwrap_err();
        for error in [simple, extended] {
            assert!(
                ["0A000", "42501", "42601"].contains(&code(&error).as_str()),
                "{error:?}"
            );
            let detail = error.as_db_error().unwrap().detail().unwrap().to_owned();
            assert!(detail.contains("Decision "), "{detail}");
        }
    }
}

/// The name of a partition tells the key.
#[tokio::test]
async fn an_error_names_no_partition_by_what_the_role_does_not_see() {
    let (client, _task) = connect("support").await;
    let posts = "UPDATE posts SET note = NULL WHERE id = 1";
    for sql in [posts.to_owned(), format!("BEGIN; {posts}")] {
        let error = client.batch_execute(&sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "23502");
        assert_eq!(error.table(), None);
        let all = format!("{error:?}");
        assert!(!all.contains("posts"), "{all}");
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    let error = client.query(posts, &[]).await.unwrap_err();
    assert!(!format!("{error:?}").contains("posts_ada"), "{error:?}");
    // Other tables are named as ever.
    let halls = "INSERT INTO halls (id) VALUES (1)";
    let error = client.batch_execute(halls).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().table(), Some("halls"));
}

/// PostgreSQL makes a bound value one of the type the client declares, and tests it as it does.
#[tokio::test]
async fn a_parameter_is_not_declared_to_be_what_an_owners_function_tests() {
    let (client, _task) = connect("support").await;
    let declared = async |domain: &str| {
        let oid: u32 = client
            .query_one("SELECT oid FROM pg_type WHERE typname = $1", &[&domain])
            .await
            .unwrap()
            .get(0);
        let ty = Type::new(domain.to_owned(), oid, Kind::Simple, "public".to_owned());
        client.prepare_typed("SELECT $1", &[ty]).await
    };
    let refused = declared("known").await.err().unwrap();
    assert_eq!(code(&refused), "42501");
    let message = refused.as_db_error().unwrap().message();
    assert!(message.contains("function public.is_known"), "{message}");
    let array = declared("_known").await.err().unwrap();
    assert_eq!(code(&array), "42501");
    // PostgreSQL's own functions tell nothing that the value does not.
    assert!(declared("short").await.is_ok());
    let nobodys = Type::new(
        "x".to_owned(),
        4_000_000_000,
        Kind::Simple,
        "public".to_owned(),
    );
    let unknown = client.prepare_typed("SELECT $1", &[nobodys]).await;
    assert_eq!(code(&unknown.err().unwrap()), "42704");
}

/// PostgreSQL has no statistics of computed keys, such as masks are; left alone it sorts them.
#[tokio::test]
async fn computed_keys_are_joined_by_hashing() {
    const JOIN: &str = "EXPLAIN (COSTS OFF) SELECT 1 FROM generate_series(1, 20000) AS a (i) \
        JOIN generate_series(1, 20000) AS b (j) ON md5(a.i::text) = md5(b.j::text)";
    for (user, node) in [("app", "Merge Join"), ("support", "Hash Join")] {
        let (client, _task) = connect(user).await;
        let plan = client.query(JOIN, &[]).await.unwrap();
        let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(lines.iter().any(|l| l.contains(node)), "{user}: {lines:?}");
    }
}

#[tokio::test]
async fn startup_settings_are_limited() {
    let addr = Stage::shared().addr;
    let mut bad = options(addr, "support");
    bad.options("-c log_statement=all");
    let error = bad.connect(NoTls).await.err().unwrap();
    assert_eq!(code(&error), "42501");
    assert!(
        error
            .as_db_error()
            .unwrap()
            .message()
            .contains("log_statement")
    );
    let mut good = options(addr, "support");
    good.options("-c statement_timeout=5s -c search_path=public");
    assert!(good.connect(NoTls).await.is_ok());
}

#[tokio::test]
async fn every_refusal_is_recorded_without_its_text() {
    let stage = Stage::shared();
    let mut named = options(stage.addr, "support");
    named.application_name("refused");
    let (client, connection) = named.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("DO 'CANARY7351'").await.unwrap_err();
    eventually("no record of the refusal", async || {
        let text = std::fs::read_to_string(&stage.audit).unwrap();
        assert!(!text.contains("CANARY7351"));
        let mut records = records(&stage.audit).into_iter();
        let found =
            records.find(|r| r["application_name"] == "refused" && r["decision"] == "refuse");
        if let Some(record) = &found {
            assert_eq!(record["role"], "support");
            assert_eq!(record["login"], "support");
            assert_eq!(record["database"], "stage");
            assert!(record["sqlstate"].is_string());
        }
        found.is_some()
    })
    .await;
}

#[tokio::test]
async fn statements_run_in_both_protocols_and_are_pipelined() {
    let (client, _task) = connect("support").await;
    let answers = futures::future::join_all((0..100).map(|n: i32| {
        let client = &client;
        async move {
            client
                .query_one("SELECT $1::int + 1", &[&n])
                .await
                .unwrap()
                .get::<_, i32>(0)
        }
    }))
    .await;
    assert_eq!(answers, (1..=100).collect::<Vec<i32>>());
    let rows = client
        .simple_query("SELECT 1; SELECT 2; SELECT 3")
        .await
        .unwrap();
    let values: Vec<_> = rows
        .iter()
        .filter_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["1", "2", "3"]);
    assert!(client.simple_query("").await.is_ok());
    assert!(client.simple_query(" -- nothing\n;").await.is_ok());
}

#[tokio::test]
async fn a_refusal_aborts_the_transaction_as_an_error_would() {
    let (mut client, _task) = connect("support").await;
    for extended in [false, true] {
        let transaction = client.transaction().await.unwrap();
        transaction.query("SELECT 1", &[]).await.unwrap();
        let refused = if extended {
            transaction.query(REFUSED, &[]).await.map(|_| ())
        } else {
            transaction.batch_execute(REFUSED).await
        };
        assert!(refused.is_err());
        assert_eq!(
            code(&transaction.query("SELECT 1", &[]).await.unwrap_err()),
            "25P02"
        );
        assert_eq!(
            code(&transaction.batch_execute("SELECT 1").await.unwrap_err()),
            "25P02"
        );
        assert_eq!(
            code(&transaction.batch_execute(REFUSED).await.unwrap_err()),
            "25P02"
        );
        transaction.rollback().await.unwrap();
        assert_eq!(client.query("SELECT 1", &[]).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn nothing_of_a_refused_string_runs() {
    let (client, _task) = connect("support").await;
    let text = format!("SET search_path = a; {REFUSED}");
    client.batch_execute(&text).await.unwrap_err();
    assert_eq!(shown(&client).await, "\"$user\", public");
}

async fn shown(client: &tokio_postgres::Client) -> String {
    let messages = client.simple_query("SHOW search_path").await.unwrap();
    messages
        .iter()
        .find_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap()
}

#[tokio::test]
async fn the_search_path_follows_the_transaction() {
    let (client, _task) = connect("support").await;
    client
        .batch_execute("BEGIN; SET search_path = a; SAVEPOINT s; SET search_path = b")
        .await
        .unwrap();
    assert_eq!(shown(&client).await, "b");
    client.batch_execute("ROLLBACK TO s").await.unwrap();
    assert_eq!(shown(&client).await, "a");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(shown(&client).await, "\"$user\", public");
    client
        .batch_execute("SET search_path = c; SELECT 1/0")
        .await
        .unwrap_err();
    assert_eq!(shown(&client).await, "\"$user\", public");
    client.batch_execute("SET search_path = c").await.unwrap();
    client
        .batch_execute("BEGIN; SET LOCAL search_path = d")
        .await
        .unwrap();
    assert_eq!(shown(&client).await, "d");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(shown(&client).await, "c");
}

#[tokio::test]
async fn errors_do_not_quote_values_and_positions_are_the_clients() {
    let (client, _task) = connect("support").await;
    let error = client
        .batch_execute("SELECT 'CANARY'::text::int")
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap().clone();
    assert_eq!(error.code().code(), "22P02");
    assert!(!error.message().contains("CANARY"));
    assert!(error.where_().is_none() && error.file().is_none());
    let division = client.query("SELECT 1/0", &[]).await.unwrap_err();
    assert_eq!(code(&division), "22012");
    assert_eq!(client.query("SELECT 1", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_error_in_a_pipeline_skips_to_its_own_sync() {
    let (client, _task) = connect("support").await;
    let (a, b, c) = futures::join!(
        client.query_one("SELECT 1", &[]),
        client.query("SELECT 1/0", &[]),
        client.query_one("SELECT 3", &[]),
    );
    assert_eq!(a.unwrap().get::<_, i32>(0), 1);
    assert_eq!(code(&b.unwrap_err()), "22012");
    assert_eq!(c.unwrap().get::<_, i32>(0), 3);
    let (a, b, c) = futures::join!(
        client.query_one("SELECT 1", &[]),
        client.query(REFUSED, &[]),
        client.query_one("SELECT 3", &[]),
    );
    assert!(a.is_ok() && b.is_err());
    assert_eq!(c.unwrap().get::<_, i32>(0), 3);
}

#[tokio::test]
async fn portals_cursors_and_prepared_statements() {
    let (mut client, _task) = connect("support").await;
    client
        .batch_execute("PREPARE p AS SELECT 1, 2")
        .await
        .unwrap();
    client.batch_execute("EXECUTE p").await.unwrap();
    assert_eq!(client.query("EXECUTE p", &[]).await.unwrap().len(), 1);
    assert_eq!(
        code(&client.batch_execute("EXECUTE q").await.unwrap_err()),
        "26000"
    );
    client.batch_execute("DEALLOCATE p").await.unwrap();
    assert_eq!(
        code(&client.batch_execute("EXECUTE p").await.unwrap_err()),
        "26000"
    );
    let transaction = client.transaction().await.unwrap();
    let portal = transaction
        .bind("SELECT id, city FROM people", &[])
        .await
        .unwrap();
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 1);
    transaction
        .batch_execute("DECLARE c CURSOR FOR SELECT id, city FROM people")
        .await
        .unwrap();
    assert_eq!(
        transaction
            .query("FETCH 2 FROM c", &[])
            .await
            .unwrap()
            .len(),
        2
    );
    transaction.commit().await.unwrap();
    assert_eq!(
        code(&client.batch_execute("FETCH 2 FROM c").await.unwrap_err()),
        "34000"
    );
}

#[tokio::test]
async fn a_table_made_a_moment_ago_is_found() {
    let (app, _app) = connect("app").await;
    let (client, _task) = connect("support").await;
    app.batch_execute("CREATE TABLE made_just_now (a int)")
        .await
        .unwrap();
    until_found(&client, "SELECT a FROM made_just_now").await;
}

/// The catalog is read again for a name that nobody knows, and the statement waits for that: it works,
/// unless reading took longer than a statement waits.
pub(crate) async fn until_found(client: &tokio_postgres::Client, sql: &str) {
    eventually("the table is not found", async || {
        let begun = Instant::now();
        let asked = client.query(sql, &[]).await;
        if let Err(error) = &asked {
            assert_eq!(code(error), "42P01");
            assert!(begun.elapsed() >= limits::REFRESH_WAIT, "it did not wait");
        }
        asked.is_ok()
    })
    .await;
}

#[tokio::test]
async fn notices_and_notifications_do_not_reach_a_restricted_role() {
    let (client, mut connection) = options(Stage::shared().addr, "support")
        .connect(NoTls)
        .await
        .unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let mut messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = futures::StreamExt::next(&mut messages).await {
            drop(sender.send(message).await);
        }
    });
    client.batch_execute("COMMIT").await.unwrap();
    let Some(tokio_postgres::AsyncMessage::Notice(notice)) = receiver.recv().await else {
        panic!("no notice");
    };
    assert_eq!(notice.code().code(), "25P01");
}

#[tokio::test]
async fn a_restricted_statement_is_cancelled() {
    let (client, _task) = connect("support").await;
    let token = client.cancel_token();
    let cancel = async {
        until_it_runs("10000000001").await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let slow = "SELECT count(*) FROM generate_series(1, 10000000001)";
    let (ran, ()) = futures::future::join(client.batch_execute(slow), cancel).await;
    assert_eq!(code(&ran.unwrap_err()), "57014");
    assert!(client.query("SELECT 1", &[]).await.is_ok());
}

#[tokio::test]
async fn rows_are_masked_in_both_protocols_and_formats() {
    let (client, _task) = connect("support").await;
    let expected = [Some("a**@example.com"), Some("g****@example.com"), None];
    let sql = "SELECT email FROM people ORDER BY id";
    let rows = client.query(sql, &[]).await.unwrap();
    let binary: Vec<Option<&str>> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(binary, expected);
    let messages = client.simple_query(sql).await.unwrap();
    let text: Vec<Option<&str>> = messages
        .iter()
        .filter_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0)),
            _ => None,
        })
        .collect();
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_copy_out_is_masked() {
    let (client, _task) = connect("support").await;
    let stream = client
        .copy_out("COPY (SELECT email FROM people WHERE id = 1) TO STDOUT")
        .await
        .unwrap();
    let chunks: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(stream).await.unwrap();
    assert_eq!(chunks.concat(), b"a**@example.com\n");
}

#[tokio::test]
async fn statements_survive_ddl_that_does_not_concern_them() {
    let (app, _app) = connect("app").await;
    let (mut client, _task) = connect("support").await;
    let prepared = client
        .prepare("SELECT email FROM people WHERE id = $1")
        .await
        .unwrap();
    app.batch_execute("CREATE TABLE of_no_concern (a int)")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let row = client.query_one(&prepared, &[&1]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "a**@example.com");
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind(&prepared, &[&2]).await.unwrap();
    app.batch_execute("DROP TABLE of_no_concern").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let rows = transaction.query_portal(&portal, 1).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "g****@example.com");
}

#[tokio::test]
async fn a_copy_in_works_and_fails_cleanly() {
    let (client, _task) = connect("support").await;
    let copy = "COPY sink (id, note) FROM STDIN";
    for (data, expected) in [("1\tone\n2\ttwo\n", None), ("x\tCANARY\n", Some("22P02"))] {
        let mut sink = std::pin::pin!(client.copy_in::<_, bytes::Bytes>(copy).await.unwrap());
        futures::SinkExt::send(&mut sink, bytes::Bytes::from(data))
            .await
            .unwrap();
        match (sink.finish().await, expected) {
            (Ok(rows), None) => assert_eq!(rows, 2),
            (Err(error), Some(state)) => {
                assert_eq!(code(&error), state);
                assert!(!format!("{error:?}").contains("CANARY"));
            }
            (got, _) => panic!("{got:?}"),
        }
        assert_eq!(client.query("SELECT 1", &[]).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_a_trigger_makes_of_a_row_is_not_told() {
    // Whoever lends connections would have to keep them.
    let _database = DATABASE.write().await;
    let (app, _app) = connect("app").await;
    app.batch_execute(
        "CREATE FUNCTION routes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF NEW.id = 42421 THEN EXECUTE format('INSERT INTO %I VALUES (1)', 'CANARY ' || NEW.note); \
           ELSIF NEW.id = 42422 THEN EXECUTE format('SELECT %I()', 'CANARY ' || NEW.note); \
           ELSIF NEW.id = 42423 THEN PERFORM NEW.note::regclass; \
           ELSIF NEW.id = 42424 THEN PERFORM NEW.note::int; \
           ELSIF NEW.id = 42425 THEN PERFORM NEW.note::jsonb; \
           ELSIF NEW.id = 42426 THEN RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = NEW.note, \
             TABLE = NEW.note, HINT = NEW.note, DETAIL = NEW.note; \
           ELSIF NEW.id = 42427 THEN RAISE WARNING '%', NEW.note; PERFORM pg_notify('c', NEW.note); \
           END IF; RETURN NEW; END $$; \
         CREATE TRIGGER routes BEFORE INSERT ON sink FOR EACH ROW \
           WHEN (NEW.id BETWEEN 42421 AND 42429) EXECUTE FUNCTION routes()",
    )
    .await
    .unwrap();
    let stage = Stage::shared();
    let mut client = Client::connect(stage.addr, "support", PASSWORD, "stage").unwrap();
    client.take_received();
    let insert = "INSERT INTO sink SELECT $, lower('CANARY OF A ROW')";
    for (id, state) in [
        (42_421, "42P01"),
        (42_422, "42883"),
        (42_423, "42602"),
        (42_424, "22P02"),
        (42_425, "22P02"),
        (42_426, "42P01"),
        (42_427, ""),
    ] {
        let sql = insert.replace('$', &id.to_string());
        for answer in [client.simple(&sql), client.extended(&sql)] {
            let got = match answer {
                Answer::Error(state, _) => state,
                Answer::Rows(..) => String::new(),
            };
            assert_eq!(got, state, "{id}");
        }
    }
    let received = client.take_received().to_ascii_lowercase();
    let found = received.windows(6).any(|bytes| bytes == b"canary");
    assert!(!found, "{}", String::from_utf8_lossy(&received));
    app.batch_execute("DROP TRIGGER routes ON sink")
        .await
        .unwrap();
}

#[test]
fn show_all_shows_the_settings_of_the_client() {
    let settings = |client: &mut Client| {
        client.simple("SET search_path = \"Odd\", public");
        let Answer::Rows(rows, tag) = client.simple("SHOW ALL") else {
            unreachable!("SHOW ALL is refused")
        };
        (rows, tag)
    };
    let mut direct = super::reload::as_owner();
    let mut client = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    let ((theirs, tag), (ours, our_tag)) = (settings(&mut direct), settings(&mut client));
    assert_eq!(tag, our_tag);
    assert_eq!(theirs.len(), ours.len());
    assert!(
        ours.iter()
            .any(|row| row.starts_with("search_path | \"Odd\", public | "))
    );
    // That restricted sessions are started with enable_mergejoin off changes no answer, and is not shown.
    assert_eq!(theirs, ours);
}

/// A table that is made anew has another OID, and a statement that was decided on the old one fails.
#[test]
fn what_was_done_before_a_login_is_known_to_its_first_statement() {
    let stage = Stage::shared();
    let mut owner = super::reload::as_owner();
    for _ in 0..6 {
        let made = owner.simple("DROP TABLE IF EXISTS reborn; CREATE TABLE reborn (id int)");
        assert!(matches!(made, Answer::Rows(..)), "{made:?}");
        let mut client = Client::connect(stage.addr, "support", PASSWORD, "stage").unwrap();
        let counted = client.simple("SELECT count(*) FROM reborn");
        assert!(
            matches!(&counted, Answer::Rows(rows, _) if *rows == ["0"]),
            "{counted:?}"
        );
        // Longer than a login takes for recent what another has read.
        std::thread::sleep(limits::CATALOG_RECENT * 2);
    }
}
