//! A cancel request of a session that waits for a connection: what it asked for ends as it would in PostgreSQL
//! while it waits for a lock.

use std::time::{Duration, Instant};

use super::client::Client;
use super::pooled::lending;
use super::stage::{PASSWORD, PATIENCE, Stage, runs};
use super::wire::{SYNC, Sent, Writes, converse, hear, told};

const TABLE: &str = "waited_for";

/// What is sent before the cancel request and after it, and how many ReadyForQuery answer it.
struct Case<'a> {
    before: &'a [Sent<'a>],
    after: &'a [Sent<'a>],
    ready: usize,
}

#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the client hears: up to its error while something is in its way, the rest when nothing is.
fn play(
    client: &mut Client,
    case: &Case<'_>,
    waits: impl Fn() -> bool,
    go: impl FnOnce(),
) -> Vec<String> {
    client.send_at_once(case.before);
    soon("it does not wait", &waits);
    client.cancel();
    let mut heard = Vec::new();
    while !heard
        .last()
        .is_some_and(|last: &String| last.starts_with('E'))
    {
        heard.push(told(&client.receive().unwrap()));
    }
    if !case.after.is_empty() {
        client.send_at_once(case.after);
    }
    go();
    heard.extend(hear(client, case.ready));
    heard
}

#[test]
fn a_wait_for_a_connection_is_cancelled_as_a_wait_for_a_lock_is() {
    let stage = Stage::shared();
    let direct = |user| Client::connect(stage.cluster.address(), user, PASSWORD, "stage").unwrap();
    let mut holder = direct("stage_login");
    drop(holder.simple(&format!("CREATE TABLE {TABLE} (id int)")));
    let text = format!("SELECT id FROM {TABLE}\0");
    let query: Sent<'_> = (b'Q', text.as_bytes());
    let named = format!("\0{text}\0\0");
    let parse: Sent<'_> = (b'P', named.as_bytes());
    let (bind, run): (Sent<'_>, Sent<'_>) = ((b'B', b"\0\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\0"));
    let (kept, close): (Sent<'_>, Sent<'_>) = ((b'P', b"kept\0SELECT 7\0\0\0"), (b'C', b"Skept\0"));
    let bind_kept: Sent<'_> = (b'B', b"\0kept\0\0\0\0\0\0\0");
    let (flush, next): (Sent<'_>, Sent<'_>) = ((b'H', b""), (b'Q', b"SELECT 1\0"));
    let cases = [
        Case {
            before: &[query],
            after: &[],
            ready: 1,
        },
        Case {
            before: &[query, next],
            after: &[],
            ready: 2,
        },
        Case {
            before: &[query],
            after: &[next, next],
            ready: 3,
        },
        Case {
            before: &[parse, bind, run, SYNC],
            after: &[],
            ready: 1,
        },
        Case {
            before: &[parse, bind, run, SYNC, next],
            after: &[],
            ready: 2,
        },
        Case {
            before: &[parse, flush],
            after: &[bind, next, run, SYNC, next],
            ready: 2,
        },
        Case {
            before: &[parse, bind, run, SYNC],
            after: &[bind_kept, run, SYNC],
            ready: 2,
        },
        Case {
            before: &[close, query],
            after: &[bind_kept, run, SYNC, kept, SYNC],
            ready: 3,
        },
        Case {
            before: &[close, parse, bind, run, SYNC],
            after: &[bind_kept, run, SYNC, kept, SYNC],
            ready: 3,
        },
    ];
    for (number, case) in cases.iter().enumerate() {
        let mut heard = Vec::new();
        let mut client = direct("stage_login");
        let first = converse(&mut client, Writes::Each, &[kept, SYNC]);
        holder.simple(&format!("BEGIN; LOCK TABLE {TABLE}"));
        let waits = || runs(&stage.cluster, &format!("FROM {TABLE}"), 1);
        let rest = play(&mut client, case, waits, || drop(holder.simple("COMMIT")));
        heard.push(("PostgreSQL", first, rest));
        for user in ["app", "support"] {
            let proxy = lending(1);
            let mut console = Client::connect(proxy.addr, "app", PASSWORD, "pgveil").unwrap();
            let mut client = Client::connect(proxy.addr, user, PASSWORD, "stage").unwrap();
            let mut other = Client::connect(proxy.addr, user, PASSWORD, "stage").unwrap();
            let first = converse(&mut client, Writes::Each, &[kept, SYNC]);
            other.simple("BEGIN");
            let console = std::cell::RefCell::new(&mut console);
            let waits = || {
                let mut console = console.borrow_mut();
                console.send(b'Q', b"SHOW CLIENTS\0");
                let answers = console.until_ready();
                let waiting = |value: &Option<Vec<u8>>| value.as_deref() == Some(b"waiting");
                answers
                    .iter()
                    .any(|m| m.kind == b'D' && m.values().iter().any(waiting))
            };
            let rest = play(&mut client, case, waits, || drop(other.simple("COMMIT")));
            heard.push((user, first, rest));
        }
        let (_, first, rest) = &heard[0];
        assert!(rest.contains(&"E 57014".to_owned()), "{number}: {rest:?}");
        for (user, other_first, other_rest) in &heard[1..] {
            assert_eq!((other_first, other_rest), (first, rest), "{user}: {number}");
        }
    }
}
