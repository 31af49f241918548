//! An observed role: as without a proxy, and what enforcing would have done is recorded.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use pgveil::limits;
use pgveil::server::config::PoolMode;
use serde_json::Value;
use tokio_postgres::NoTls;

use super::client::Client;
use super::stage::{PASSWORD, PATIENCE, Stage, code, eventually, options, soon};

/// The records of one application, once there are `n` of them.
fn records(application: &str, n: usize) -> Vec<Value> {
    records_in(&Stage::shared().audit, application, n)
}

fn records_in(audit: &Path, application: &str, n: usize) -> Vec<Value> {
    let mut found = Vec::new();
    soon("records are missing", || {
        let text = std::fs::read_to_string(audit).unwrap();
        assert!(!text.contains("CANARY"), "{text}");
        found = super::stage::records(audit);
        found.retain(|r| r["application_name"] == application && r["event"] == "statement");
        found.len() >= n
    });
    found
}

async fn connect(application: &str) -> tokio_postgres::Client {
    connect_to(Stage::shared().addr, application).await
}

async fn connect_to(addr: SocketAddr, application: &str) -> tokio_postgres::Client {
    let mut options = options(addr, "watched");
    options.application_name(application);
    let (client, connection) = options.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn data_is_as_stored_and_what_a_mask_would_have_done_is_recorded() {
    let client = connect("observed masks").await;
    let row = client
        .query_one("SELECT email FROM people WHERE id = $1", &[&1])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "ada@example.com");
    client
        .batch_execute(
            "SELECT lower(email) FROM people WHERE city <> 'CANARY'; SELECT id FROM people",
        )
        .await
        .unwrap();
    let found = records("observed masks", 2);
    for (record, treatment) in found
        .iter()
        .zip(["mask at the output", "mask at the source"])
    {
        assert_eq!(record["decision"], "observe");
        assert_eq!(record["would"], "mask");
        assert_eq!(record["kind"], "SELECT");
        assert_eq!(record["relations"][0], "public.people");
        assert_eq!(record["columns"][0]["column"], "public.people.email");
        assert_eq!(record["columns"][0]["treatment"], treatment);
        assert!(record.get("reason").is_none());
    }
    // What nothing would have been done to is not recorded.
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn what_would_have_been_refused_runs_and_is_recorded_without_its_text() {
    let client = connect("observed refusals").await;
    client
        .batch_execute("DO $$ BEGIN PERFORM 'CANARY'; END $$")
        .await
        .unwrap();
    client
        .batch_execute("CREATE FUNCTION canary_of(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
        .await
        .unwrap();
    Stage::reread().await;
    let shown = client
        .query_one("SELECT canary_of(email) FROM people WHERE id = 1", &[])
        .await
        .unwrap();
    assert_eq!(shown.get::<_, &str>(0), "ada@example.com");
    client
        .batch_execute("UPDATE people SET email = email WHERE id = 1 AND email <> 'CANARY'")
        .await
        .unwrap();
    // What PostgreSQL itself refuses is refused by it, in its own words.
    let error = client
        .batch_execute("SELECT \"CANARY\" FROM people")
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "column \"CANARY\" does not exist");
    assert!(error.file().is_some());
    let found = records("observed refusals", 5);
    for record in &found {
        assert_eq!(record["decision"], "observe");
        assert_eq!(record["would"], "refuse");
        assert!(record["reason"].as_str().is_some_and(|r| r.contains(' ')));
        assert!(record["sqlstate"].is_string());
    }
    let of = |kind: &str| found.iter().find(|r| r["kind"] == kind).unwrap();
    assert_eq!(of("UPDATE")["relations"][0], "public.people");
    assert_eq!(of("UPDATE")["reason"], "permission denied for table");
    let of = found
        .iter()
        .find(|r| r["kind"] == "SELECT" && r["reason"] == "permission denied for function")
        .unwrap();
    assert_eq!(of["columns"][0]["column"], "public.people.email");
    assert_eq!(of["columns"][0]["treatment"], "mask");
}

#[tokio::test]
async fn the_session_is_followed() {
    let stage = Stage::shared();
    follow(stage.addr, &stage.audit, "observed state", "other").await;
}

#[tokio::test]
async fn the_session_is_followed_over_lent_connections() {
    let audit = tempfile::NamedTempFile::new().unwrap();
    let proxy = Stage::shared().another(|config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.size = 1;
        config.audit = Some(audit.path().to_owned());
    });
    let other = connect_to(proxy.addr, "observed other").await;
    let secret = "SELECT email FROM people WHERE id = 1";
    other.batch_execute(secret).await.unwrap();
    follow(proxy.addr, audit.path(), "observed state, lent", "another").await;
    other.batch_execute(secret).await.unwrap();
    assert_eq!(records_in(audit.path(), "observed other", 2).len(), 2);
}

/// In a schema of its own: PostgreSQL does not make one twice at a time, `IF NOT EXISTS` or not.
async fn follow(addr: SocketAddr, audit: &Path, application: &str, schema: &str) {
    let client = connect_to(addr, application).await;
    client
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .unwrap();
    let secret = "SELECT email FROM people WHERE id = 1";
    // In a schema of that name there is no such table: PostgreSQL says so, and enforcing would.
    client
        .batch_execute(&format!("BEGIN; SET search_path = {schema}"))
        .await
        .unwrap();
    client.batch_execute(secret).await.unwrap_err();
    client.batch_execute("ROLLBACK").await.unwrap();
    client.batch_execute(secret).await.unwrap();
    client
        .batch_execute("PREPARE p AS SELECT email FROM people; EXECUTE p")
        .await
        .unwrap();
    let told: Vec<String> = records_in(audit, application, 5)
        .iter()
        .map(|r| format!("{} {}", r["would"], r["kind"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "refuse null",
            "refuse SELECT",
            "mask SELECT",
            "mask PREPARE",
            "mask EXECUTE"
        ]
    );
}

/// The e-mail of one person, as an application sees it now.
async fn email(client: &tokio_postgres::Client) -> Result<String, String> {
    let row = client.query_one("SELECT email FROM people WHERE id = 2", &[]);
    match row.await {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(code(&error)),
    }
}

async fn settles(client: &tokio_postgres::Client, want: &str) {
    eventually("it does not settle", async || {
        email(client).await.as_deref() == Ok(want)
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_masked_stays_masked_when_its_role_becomes_observed() {
    let stage = Stage::shared();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    let observing = std::fs::read_to_string(stage.policy()).unwrap();
    let enforcing = observing.replace("kind: service, mode: observe", "kind: service");
    std::fs::write(&path, &enforcing).unwrap();
    let policies = path.clone();
    let running = stage.another(move |config| config.policies = policies);
    let connect = || async {
        let options = options(running.addr, "watched");
        let (client, connection) = options.connect(NoTls).await.unwrap();
        (client, tokio::spawn(connection))
    };
    let (masked, _task) = connect().await;
    assert_eq!(email(&masked).await.as_deref(), Ok("g****@example.com"));
    std::fs::write(&path, &observing).unwrap();
    running.reload().unwrap();
    let (shown, task) = loop {
        let (client, task) = connect().await;
        if email(&client).await.as_deref() == Ok("grace@example.com") {
            break (client, task);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(email(&masked).await.as_deref(), Ok("g****@example.com"));
    // And one that was observed does not go on when the masks come into force. (An error that came before
    // the answer to the closing of its statement would be taken for that.)
    shown.simple_query("SELECT 1").await.unwrap();
    std::fs::write(&path, &enforcing).unwrap();
    running.reload().unwrap();
    let ended = tokio::time::timeout(PATIENCE, task).await;
    assert_eq!(code(&ended.unwrap().unwrap().unwrap_err()), "57P01");
    assert!(email(&shown).await.is_err());
    let (again, _task) = connect().await;
    settles(&again, "g****@example.com").await;
}

#[test]
fn a_flood_of_texts_is_dropped_and_counted_and_the_client_waits_for_none_of_it() {
    let running = Stage::shared().another(|_| {});
    let mut client = Client::connect(running.addr, "watched", PASSWORD, "stage").unwrap();
    // Longer to plan than to run: what is sent in one go is more than the queue holds.
    let list = vec!["1"; 5_000].join(",");
    let text = format!("SELECT 1 FROM people WHERE false AND id IN ({list})\0");
    let sent: Vec<(u8, &[u8])> = vec![(b'Q', text.as_bytes()); limits::OBSERVED_MESSAGES * 2];
    client.send_at_once(&sent);
    for _ in &sent {
        let answer = client.until_ready();
        assert_eq!(answer.last().unwrap().kind, b'Z');
    }
    let metrics = metrics(running.admin_addr.unwrap());
    let of = |name: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(of("pgveil_observed_sessions_total "), 1);
    assert!(of("pgveil_observed_statements_total ") > 0);
    assert!(of("pgveil_observations_dropped_total ") > 0);
}

pub(crate) fn metrics(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
