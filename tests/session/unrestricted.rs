//! An unrestricted role: as without a proxy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, TryStreamExt, future};
use pgveil::server::config::PoolMode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::{AsyncMessage, NoTls};

use super::stage::{Stage, code, connect, options, until_it_runs};

#[test]
fn psql_reads_writes_and_copies_both_ways() {
    let stage = Stage::shared();
    let script = "\
CREATE TEMP TABLE t (a int, b text);
COPY t FROM STDIN;
1\tone
2\ttwo
\\.
COPY (SELECT * FROM t ORDER BY a DESC) TO STDOUT;
BEGIN;
INSERT INTO t VALUES (3, 'three');
ROLLBACK;
SELECT count(*) FROM t;
\\bind 5 \\g
";
    let script = script.replace("\\bind 5 \\g\n", "");
    let mut psql = stage
        .psql("app")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "2\ttwo\n1\tone\n2\n"
    );
}

#[tokio::test]
async fn statements_are_pipelined_and_errors_stay_where_they_belong() {
    let (client, _task) = connect("app").await;
    let fine = (0..200).map(|n: i32| {
        let client = &client;
        async move {
            client
                .query_one("SELECT $1::int * 2", &[&n])
                .await
                .unwrap()
                .get::<_, i32>(0)
        }
    });
    let broken = client.query("SELECT 1 / ($1::int - 7)", &[&7]);
    let (answers, error) = future::join(future::join_all(fine), broken).await;
    assert_eq!(answers, (0..200).map(|n| n * 2).collect::<Vec<i32>>());
    assert_eq!(code(&error.unwrap_err()), "22012");
    assert_eq!(
        client
            .query_one("SELECT 5", &[])
            .await
            .unwrap()
            .get::<_, i32>(0),
        5
    );
}

#[tokio::test]
async fn an_error_keeps_every_field_and_aborts_the_transaction() {
    let (mut client, _task) = connect("app").await;
    let transaction = client.transaction().await.unwrap();
    let insert = "INSERT INTO people VALUES (1, 'x', 'y')";
    let error = transaction.execute(insert, &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap().clone();
    assert_eq!(error.code().code(), "23505");
    assert_eq!(error.detail(), Some("Key (id)=(1) already exists."));
    assert_eq!(error.constraint(), Some("people_pkey"));
    let after = transaction.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(code(&after), "25P02");
    transaction.rollback().await.unwrap();
    assert_eq!(client.query("SELECT 1", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn copy_goes_both_ways_in_the_extended_protocol() {
    let (client, _task) = connect("app").await;
    client
        .batch_execute("CREATE TEMP TABLE c (a int, b text)")
        .await
        .unwrap();
    let mut sink = pin!(
        client
            .copy_in::<_, Bytes>("COPY c FROM STDIN")
            .await
            .unwrap()
    );
    for chunk in 0..50 {
        let mut rows = String::new();
        for row in 0..1000 {
            writeln!(rows, "{}\t{}", chunk * 1000 + row, "x".repeat(50)).unwrap();
        }
        sink.send(Bytes::from(rows)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 50_000);
    let stream = client.copy_out("COPY c TO STDOUT").await.unwrap();
    let bytes: usize = stream
        .try_fold(0, |n, chunk| future::ready(Ok(n + chunk.len())))
        .await
        .unwrap();
    // 50,000 rows of 50 x, a tab, a newline, and the digits of 0..49999.
    assert_eq!(
        bytes,
        50_000 * 52 + 10 + 90 * 2 + 900 * 3 + 9_000 * 4 + 40_000 * 5
    );
    assert_eq!(
        code(
            &client
                .copy_out("COPY nowhere TO STDOUT")
                .await
                .err()
                .unwrap()
        ),
        "42P01"
    );
    assert!(client.query("SELECT 1", &[]).await.is_ok());
}

#[tokio::test]
async fn a_portal_is_read_in_pieces() {
    let (mut client, _task) = connect("app").await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction
        .bind("SELECT * FROM generate_series(1, 10)", &[])
        .await
        .unwrap();
    let mut pieces = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 4).await.unwrap();
        if rows.is_empty() {
            break;
        }
        pieces.push(rows.len());
    }
    assert_eq!(pieces, [4, 4, 2]);
}

#[tokio::test]
async fn a_running_statement_is_cancelled() {
    let (client, _task) = connect("app").await;
    let token = client.cancel_token();
    let cancel = async {
        until_it_runs("pg_sleep(61)").await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (slept, ()) = future::join(client.batch_execute("SELECT pg_sleep(61)"), cancel).await;
    assert_eq!(code(&slept.unwrap_err()), "57014");
    assert!(client.query("SELECT 1", &[]).await.is_ok());
}

/// PostgreSQL warns whoever connects to a database whose collations are of another version.
#[tokio::test]
async fn what_postgresql_says_at_the_start_arrives() {
    let cluster = Stage::cluster();
    let warns = "UPDATE pg_database SET datcollversion = 'old' WHERE datname = 'stage'";
    cluster.run("postgres", warns).unwrap();
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let running = Stage::shared().another(|config| {
            config.upstream.addresses = vec![cluster.address().to_string()];
            config.pool.mode = mode;
        });
        // The second finds a connection there, if they are lent.
        for (user, warned) in [("app", true), ("app", true), ("support", false)] {
            let (_client, mut connection) =
                options(running.addr, user).connect(NoTls).await.unwrap();
            let mut first = std::pin::pin!(future::poll_fn(|cx| connection.poll_message(cx)));
            let first = first.as_mut().now_or_never().flatten();
            match first {
                Some(Ok(AsyncMessage::Notice(notice))) if warned => {
                    assert!(notice.message().starts_with("database \"stage\" has"));
                }
                None if !warned => {}
                other => panic!("{user}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn notifications_and_notices_arrive() {
    let options = options(Stage::shared().addr, "app");
    let (client, mut connection) = options.connect(NoTls).await.unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let mut messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            sender.send(message).await.unwrap();
        }
    });
    client
        .batch_execute("LISTEN news; DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        .await
        .unwrap();
    let (other, _task) = connect("app").await;
    other.batch_execute("NOTIFY news, 'payload'").await.unwrap();
    let Some(AsyncMessage::Notice(notice)) = receiver.recv().await else {
        panic!("no notice");
    };
    assert_eq!(notice.message(), "hello");
    let Some(AsyncMessage::Notification(news)) = receiver.recv().await else {
        panic!("no notification");
    };
    assert_eq!((news.channel(), news.payload()), ("news", "payload"));
    let pid = other
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get::<_, i32>(0);
    assert_eq!(news.process_id(), pid);
}

#[tokio::test]
async fn startup_settings_are_session_defaults() {
    let mut options = options(Stage::shared().addr, "app");
    options
        .application_name("named")
        .options("-c statement_timeout=123s -c search_path=pg_temp");
    let (client, connection) = options.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("SET statement_timeout = 1000; RESET ALL")
        .await
        .unwrap();
    client.batch_execute("DISCARD ALL").await.unwrap();
    let row = client
        .query_one(
            "SELECT current_setting('statement_timeout'), current_setting('search_path'),
                    current_setting('application_name')",
            &[],
        )
        .await
        .unwrap();
    let values: [String; 3] = [row.get(0), row.get(1), row.get(2)];
    assert_eq!(values, ["123s", "pg_temp", "named"]);
}

/// Reads and writes one byte at a time.
struct OneByte(TcpStream);

impl AsyncRead for OneByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = buf.take(1);
        let poll = Pin::new(&mut self.0).poll_read(cx, &mut byte);
        let n = byte.filled().len();
        if n > 0 {
            let byte = byte.filled()[0];
            buf.put_slice(&[byte]);
        }
        poll
    }
}

impl AsyncWrite for OneByte {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let one = bytes.get(..1).unwrap_or_default();
        Pin::new(&mut self.0).poll_write(cx, one)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_client_that_sends_one_byte_at_a_time_is_served() {
    let addr = Stage::shared().addr;
    let tcp = TcpStream::connect(addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let (client, connection) = options(addr, "app")
        .connect_raw(OneByte(tcp), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one("SELECT $1::text || '!'", &[&"slow"])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "slow!");
}

#[tokio::test]
async fn large_values_pass_both_ways() {
    let (client, _task) = connect("app").await;
    let value = "ü".repeat(4 * 1024 * 1024);
    let row = client
        .query_one("SELECT $1::text, length($1)", &[&value])
        .await
        .unwrap();
    assert!(row.get::<_, String>(0) == value);
    assert_eq!(row.get::<_, i32>(1), 4 * 1024 * 1024);
}
