//! A restricted role: the protocol's side of refusals and errors.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::stage::{Stage, code, connect, options};

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
    for _ in 0..100 {
        let text = std::fs::read_to_string(&stage.audit).unwrap();
        assert!(!text.contains("CANARY7351"));
        let found = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|r| r["application_name"] == "refused" && r["decision"] == "refuse");
        if let Some(record) = found {
            assert_eq!(record["role"], "support");
            assert_eq!(record["login"], "support");
            assert_eq!(record["database"], "stage");
            assert!(record["sqlstate"].is_string());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no record of the refusal");
}
