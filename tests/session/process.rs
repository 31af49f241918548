//! The process around the sessions: logins, limits, readiness, shutdown, reload.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

use super::stage::{Stage, code, connect, eventually, options, records, until_it_runs};

#[tokio::test]
async fn logins_fail_with_postgresqls_sqlstates() {
    let addr = Stage::shared().addr;
    let mut wrong = options(addr, "app");
    wrong.password("wrong");
    assert_eq!(code(&wrong.connect(NoTls).await.err().unwrap()), "28P01");
    let unknown = options(addr, "stranger");
    assert_eq!(code(&unknown.connect(NoTls).await.err().unwrap()), "28P01");
    let roleless = options(addr, "nobody");
    assert_eq!(code(&roleless.connect(NoTls).await.err().unwrap()), "28000");
    let mut elsewhere = options(addr, "app");
    elsewhere.dbname("nowhere");
    assert_eq!(
        code(&elsewhere.connect(NoTls).await.err().unwrap()),
        "3D000"
    );
}

async fn get(addr: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let stage = Stage::shared();
    let (_client, _task) = connect("app").await;
    assert!(
        get(stage.admin, "/healthz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        get(stage.admin, "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = get(stage.admin, "/metrics").await;
    assert!(metrics.contains("# TYPE pgveil_sessions gauge"));
    assert!(get(stage.admin, "/else").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn shutdown_ends_idle_sessions_at_once_and_busy_ones_when_they_are_done() {
    let stage = Stage::shared();
    let running = stage.another(|_| {});
    let idle = options(running.addr, "app");
    let (client, connection) = idle.connect(NoTls).await.unwrap();
    let idle_end = tokio::spawn(connection);
    let (busy, connection) = options(running.addr, "app").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let query =
        tokio::spawn(async move { busy.simple_query("SELECT pg_sleep(1.07)").await.map(|_| ()) });
    until_it_runs("pg_sleep(1.07)").await;
    let down =
        tokio::task::spawn_blocking(|| Stage::shared().block_on(running.into_running().shutdown()));
    assert_eq!(code(&idle_end.await.unwrap().unwrap_err()), "57P01");
    assert!(query.await.unwrap().is_ok());
    down.await.unwrap();
    assert!(client.is_closed());
}

#[tokio::test]
async fn one_client_more_than_the_pool_waits_its_turn() {
    let stage = Stage::shared();
    let running = stage.another(|config| config.pool.size = 1);
    let addr = running.addr;
    let (first, connection) = options(addr, "app").connect(NoTls).await.unwrap();
    let first_task = tokio::spawn(connection);
    let second = tokio::spawn(async move { options(addr, "app").connect(NoTls).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished());
    drop(first);
    drop(first_task.await);
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test]
async fn sessions_of_unrestricted_roles_are_recorded_at_login_and_logout() {
    let stage = Stage::shared();
    let mut named = options(stage.addr, "app");
    named.application_name("recorded");
    let (client, connection) = named.connect(NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    drop(client);
    drop(task.await);
    eventually("no records of the session", async || {
        let events: Vec<String> = records(&stage.audit)
            .into_iter()
            .filter(|record| record["application_name"] == "recorded")
            .map(|record| record["event"].as_str().unwrap().to_owned())
            .collect();
        events == ["login", "logout"]
    })
    .await;
}

#[tokio::test]
async fn a_reload_revokes_and_a_bad_policy_changes_nothing() {
    let stage = Stage::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let policy = std::fs::read_to_string(stage.policy()).unwrap();
    std::fs::write(&file, &policy).unwrap();
    let at = file.clone();
    let running = stage.another(move |config| config.policies = at);
    let (client, connection) = options(running.addr, "app").connect(NoTls).await.unwrap();
    let end = tokio::spawn(connection);

    std::fs::write(&file, "version: 1\nroles: nonsense\n").unwrap();
    assert!(running.reload().is_err());
    assert!(client.query("SELECT email FROM people", &[]).await.is_ok());
    // Its statement is closed behind its back: an error that came before the answer to that would be
    // taken for the answer.
    client.simple_query("SELECT 1").await.unwrap();

    std::fs::write(&file, policy.replace("app: clear", "app: mask(email)")).unwrap();
    assert!(running.reload().is_ok());
    assert_eq!(code(&end.await.unwrap().unwrap_err()), "57P01");
    let (client, connection) = options(running.addr, "app").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one("SELECT email FROM people WHERE id = 1", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "a**@example.com");
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_ends_alone() {
    let stage = Stage::shared();
    let (other, _other) = connect("support").await;
    for user in ["app", "support"] {
        let mut tcp = TcpStream::connect(stage.addr).await.unwrap();
        tcp.write_all(b"\0\0\0\x08\0\0\0\0").await.unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.first(), Some(&b'E'), "{user}");
    }
    // What has no length is no packet: PostgreSQL closes without a word. Drivers whose user changes his
    // mind say good-bye before anything else.
    for addr in [stage.cluster.address(), stage.addr] {
        for first in [
            &b"X\0\0\0\x04"[..],
            b"\0\0\0\x04",
            b"\0\0\0\x0a\x04\xd2\x16\x2e\0\0",
        ] {
            let mut tcp = TcpStream::connect(addr).await.unwrap();
            tcp.write_all(first).await.unwrap();
            let mut answer = Vec::new();
            // A reset is an end as well: PostgreSQL does not read the rest.
            drop(tcp.read_to_end(&mut answer).await);
            assert_eq!(answer, b"", "{addr} {first:?}");
        }
    }
    assert!(other.query("SELECT 1", &[]).await.is_ok());
}
