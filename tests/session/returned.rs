//! Transaction pooling, message by message: what a client that leaves at a bad moment, or sends what no
//! driver does, leaves to the next one. (What must be as without a pool is `wire`'s.)

use std::time::Duration;

use pgveil::server::config::PoolMode;

use super::client::{Answer, Client};
use super::stage::{Another, PASSWORD, PATIENCE, Stage};

/// A proxy that lends one connection.
fn lending() -> Another {
    Stage::shared().another(|config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.size = 1;
        config.pool.queue_timeout = PATIENCE;
    })
}

fn client(running: &Another) -> Client {
    Client::connect(running.addr, "app", PASSWORD, "stage").unwrap()
}

#[track_caller]
fn is_served(running: &Another, sql: &str, value: &str) {
    let answer = client(running).simple(sql);
    assert!(
        matches!(&answer, Answer::Rows(rows, _) if *rows == [value]),
        "{answer:?}"
    );
}

#[test]
fn who_leaves_within_a_message_or_after_an_error_gives_its_connection_back() {
    let running = lending();
    // A write to a large object, and a text too long to be looked at as a whole.
    let mut call = b"F\0\0\x03\xe8\0\0\x03\xbb".to_vec();
    call.resize(29, 0);
    let mut text = b"Q\0\x30\0\0SELECT '".to_vec();
    text.resize(900_000, b'x');
    for cut in [call, text] {
        let mut leaves = client(&running);
        leaves.send_bytes(&cut);
        std::thread::sleep(Duration::from_millis(50));
        drop(leaves);
        is_served(&running, "SELECT 1", "1");
    }
    // PostgreSQL skips the Query, and would wait for a Sync for ever.
    let mut leaves = client(&running);
    leaves.send_at_once(&[
        (b'P', b"s\0SELECT 1/0\0\0\0"),
        (b'B', b"\0s\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'Q', b"SELECT 1\0"),
    ]);
    let kinds: Vec<u8> = (0..2).map(|_| leaves.receive().unwrap().kind).collect();
    assert_eq!(kinds, b"1E");
    drop(leaves);
    is_served(&running, "SELECT 2", "2");
}

#[test]
fn the_end_of_a_copy_that_never_was_means_nothing() {
    let running = lending();
    let mut client = client(&running);
    for end in [b'c', b'f'] {
        let parse = (b'P', &b"\0SELECT 1\0\0\0"[..]);
        client.send_at_once(&[(b'H', b""), (end, b"\0"), parse, (b'S', b"")]);
        let kinds: Vec<u8> = client.until_ready().iter().map(|m| m.kind).collect();
        assert_eq!(kinds, b"1Z", "{end}");
    }
}

#[test]
fn a_setting_changed_through_its_view_stays_with_its_client() {
    let running = lending();
    let mut changes = client(&running);
    let update = "UPDATE pg_settings SET setting = '9876kB' WHERE name = 'work_mem'";
    assert!(matches!(changes.simple(update), Answer::Rows(..)));
    assert!(matches!(changes.simple("SHOW work_mem"), Answer::Rows(rows, _) if rows == ["9876kB"]));
    drop(changes);
    is_served(&running, "SHOW work_mem", "4MB");
}

/// As soon as its transaction is over, and not after its next query.
#[test]
fn a_session_that_is_busy_when_the_proxy_stops_ends_with_its_transaction() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let running = Stage::shared().another(|config| config.pool.mode = mode);
        let mut busy: Vec<Client> = ["app", "support"]
            .map(|user| Client::connect(running.addr, user, PASSWORD, "stage").unwrap())
            .into();
        for client in &mut busy {
            client.simple("BEGIN; SELECT 1");
        }
        let stopping = running.into_running();
        let stopped = std::thread::spawn(|| Stage::shared().block_on(stopping.shutdown()));
        std::thread::sleep(Duration::from_millis(200));
        for client in &mut busy {
            client.send(b'Q', b"COMMIT\0");
            let kinds: Vec<u8> = client.until_ready().iter().map(|m| m.kind).collect();
            assert_eq!(kinds, b"CZ", "{mode:?}");
            let farewell = client.receive().unwrap();
            assert_eq!(farewell.error()[0], "57P01", "{mode:?}");
        }
        stopped.join().unwrap();
    }
}
