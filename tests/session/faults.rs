//! What goes wrong between machines: servers that die, clients that vanish, peers that dawdle, and
//! connections that are cut anywhere. Nothing hangs, nothing grows, and nobody is shown another's rows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pgveil::cli::cluster::Cluster;
use socket2::SockRef;

use super::client::{Answer, Client};
use super::restart::Served;
use super::stage::{PASSWORD, PATIENCE, Stage, soon};

/// Both kinds of relay.
const USERS: [&str; 2] = ["app", "support"];

fn connect(addr: SocketAddr, user: &str) -> Result<Client, String> {
    Client::connect(addr, user, PASSWORD, "stage")
}

/// One number that PostgreSQL answers, as soon as it has recovered if it has to.
fn ask(cluster: &Cluster, sql: &str) -> i64 {
    let started = Instant::now();
    let answer = loop {
        match cluster.run("stage", sql) {
            Err(error) if started.elapsed() < PATIENCE && error.to_string().contains("FATAL") => {
                thread::sleep(Duration::from_millis(50));
            }
            answer => break answer.unwrap(),
        }
    };
    answer.trim().parse().unwrap()
}

/// xorshift64*: enough to cut connections with, and the same for the same seed.
fn random(state: &AtomicU64) -> u64 {
    let mut x = state.load(Ordering::Relaxed);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    state.store(x, Ordering::Relaxed);
    x.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

/// What a network does to the bytes of a connection.
#[derive(Clone)]
enum Weather {
    /// Each byte comes alone.
    Trickle,
    /// Resets both sides somewhere within so many bytes; 0 for calm.
    Cuts(Arc<AtomicU64>, Arc<AtomicU64>),
}

/// A network between two peers. It ends with the process.
fn network(to: SocketAddr, weather: &Weather) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let weather = weather.clone();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(to) else {
                continue;
            };
            for tcp in [&near, &far] {
                tcp.set_nodelay(true).unwrap();
            }
            let ends = [(&near, &far), (&far, &near)].map(|(from, to)| {
                let pair = from.try_clone().and_then(|f| Ok((f, to.try_clone()?)));
                (pair.unwrap(), weather.clone())
            });
            for ((from, to), weather) in ends {
                thread::spawn(move || carry(from, to, &weather));
            }
        }
    });
    addr
}

fn carry(mut from: TcpStream, mut to: TcpStream, weather: &Weather) {
    let mut buffer = [0; 4096];
    let mut left = match weather {
        Weather::Trickle => usize::MAX,
        Weather::Cuts(within, seed) => match within.load(Ordering::Relaxed) {
            0 => usize::MAX,
            within => usize::try_from(random(seed) % within).unwrap(),
        },
    };
    while let Ok(n) = from.read(&mut buffer) {
        let most = n.min(left);
        let sent = match weather {
            Weather::Trickle => buffer[..most].iter().all(|b| to.write_all(&[*b]).is_ok()),
            Weather::Cuts(..) => to.write_all(&buffer[..most]).is_ok(),
        };
        left -= most;
        if n == 0 || !sent {
            break;
        }
        if left == 0 {
            for tcp in [&from, &to] {
                SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
                drop(tcp.shutdown(Shutdown::Both));
            }
            return;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_row_ends_its_sessions_and_no_others() {
    let stage = Stage::shared();
    let cluster = Stage::cluster();
    let upstream = cluster.address().to_string();
    let running = stage.another(|config| config.upstream.addresses = vec![upstream]);
    for user in USERS {
        let mut victim = connect(running.addr, user).unwrap();
        // A row of eight megabytes is under way for a while to a client that reads bit by bit.
        let long = format!(
            "SELECT i, '{}' FROM generate_series(1, 1000) g(i)",
            "x".repeat(400_000)
        );
        victim.send(b'Q', format!("{long}\0").as_bytes());
        for _ in 0..3 {
            victim.receive().unwrap();
        }
        let busy = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%xxxx%' AND state = 'active' \
                    AND pid <> pg_backend_pid()";
        let pid = ask(&cluster, busy).to_string();
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success());
        let messages = victim.until_ready();
        let last = messages.last().unwrap();
        // In the middle of a row nothing can be said any more; between two it is.
        assert_eq!(last.kind, b'E', "{user}");
        assert!(
            ["08006", ""].contains(&last.error()[0].as_str()),
            "{:?}",
            last.error()
        );
        for row in messages.iter().filter(|m| m.kind == b'D') {
            let values = row.values();
            assert_eq!(values[1].as_ref().map(Vec::len), Some(400_000));
        }
        // PostgreSQL restarts itself, and the proxy finds it again.
        soon("no session after the crash", || {
            connect(running.addr, user).is_ok_and(|mut client| {
                client.simple("SELECT 1") == Answer::Rows(vec!["1".into()], vec!["SELECT 1".into()])
            })
        });
    }
}

/// Whoever reads the catalog waits for a view that is being changed, and holds the catalogs meanwhile:
/// others who want one of them for themselves must not wait for as long.
#[test]
fn who_waits_for_a_view_does_not_hold_the_catalogs_for_long() {
    let stage = Stage::shared();
    let cluster = Stage::cluster();
    let upstream = cluster.address().to_string();
    let running = stage.another(|config| config.upstream.addresses = vec![upstream]);
    let mut changes = Client::connect(cluster.address(), "stage_login", PASSWORD, "stage").unwrap();
    changes.simple("BEGIN; LOCK TABLE places");
    let make = "SET ROLE stage_login; CREATE TABLE other (id int)";
    cluster.run("stage", make).unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND application_name = 'pgveil catalog'";
    soon("the catalog is not read", || ask(&cluster, waits) == 1);
    let vacuum = "SET statement_timeout = '40s';\nVACUUM FULL pg_class";
    cluster.run("stage", vacuum).unwrap();
    // And it is read when the view is free again.
    changes.simple("COMMIT");
    let mut client = connect(running.addr, "support").unwrap();
    soon("the table is not found", || {
        matches!(client.simple("TABLE other"), Answer::Rows(..))
    });
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_copy_leaves_nothing() {
    let stage = Stage::shared();
    for user in USERS {
        let mut client = connect(stage.addr, user).unwrap();
        client.simple(&format!("SET application_name = 'copies {user}'"));
        client.send(b'Q', b"COPY sink (id, note) FROM STDIN\0");
        assert_eq!(client.receive().unwrap().kind, b'G');
        client.send(b'd', b"4711\tbegun\n");
        // Most often it is on its way by then.
        thread::sleep(Duration::from_millis(100));
        drop(client);
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %sink%' \
                       AND state = 'active' AND pid <> pg_backend_pid()";
        soon("the copy goes on", || ask(&stage.cluster, running) == 0);
        let rows = "SELECT count(*) FROM sink WHERE id = 4711";
        assert_eq!(ask(&stage.cluster, rows), 0, "{user}");
    }
}

#[test]
fn connections_are_kept_alive_on_both_sides() {
    let stage = Stage::shared();
    let running = stage.another(|config| {
        config.tcp.idle = Duration::from_secs(7);
        config.tcp.interval = Duration::from_secs(3);
    });
    for user in USERS {
        let _client = connect(running.addr, user).unwrap();
        let pid = shown(running.addr, "SHOW SERVERS", 16);
        let port = format!("SELECT client_port FROM pg_stat_activity WHERE pid = {pid}");
        let upstream = u16::try_from(ask(&stage.cluster, &port)).unwrap();
        let upstream = (upstream, stage.cluster.address().port());
        let downstream = shown(running.addr, "SHOW CLIENTS", 6).parse().unwrap();
        let downstream = (running.addr.port(), downstream);
        for (side, (local, remote)) in [("client", downstream), ("server", upstream)] {
            // Another timer runs while something is under way.
            let mut due = None;
            soon(&format!("{user}, {side}: it is never asked"), || {
                due = keepalive(local, remote);
                due.is_some()
            });
            assert!(due.is_some_and(|due| due <= 7.5), "{user}, {side}: {due:?}");
        }
    }
}

/// One column of the only session on a proxy, as its console shows it.
fn shown(addr: SocketAddr, command: &str, column: usize) -> String {
    let mut console = Client::connect(addr, "app", PASSWORD, "pgveil").unwrap();
    let started = Instant::now();
    loop {
        let rows = match console.simple(command) {
            Answer::Rows(rows, _) => rows,
            Answer::Error(..) => Vec::new(),
        };
        let mut stage = rows.iter().filter(|row| row.contains(" | stage | "));
        if let (Some(row), None) = (stage.next(), stage.next()) {
            return row.split(" | ").nth(column).unwrap().to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "{rows:?}");
    }
}

/// In how many seconds the kernel asks whether the peer of a socket still lives; nothing if it never
/// does. `/proc/net/tcp` has `tr:tm->when`: 02 is the keepalive timer, then its jiffies.
fn keepalive(local: u16, remote: u16) -> Option<f64> {
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let text = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = text.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        let mut ends_with = |port: &str| words.next().is_some_and(|w| w.ends_with(port));
        ends_with(&local) && ends_with(&remote)
    });
    let timer = line.unwrap().split_whitespace().nth(5).unwrap();
    let (kind, jiffies) = timer.split_once(':').unwrap();
    let hundredths = u32::from_str_radix(jiffies, 16).unwrap();
    (kind == "02").then(|| f64::from(hundredths) / 100.0)
}

#[test]
fn a_reader_that_stops_costs_no_memory() {
    const ROW: usize = 2_000;
    let stage = Stage::shared();
    let served = Served::start();
    for user in USERS {
        let mut client = connect(served.addr, user).unwrap();
        // A gigabyte, were somebody to take it.
        let text = format!(
            "SELECT i, '{}' FROM generate_series(1, 500000) g(i)",
            format!("{user:.<8}").repeat(ROW / 8)
        );
        let before = served.resident();
        client.send(b'Q', format!("{text}\0").as_bytes());
        assert_eq!(client.receive().unwrap().kind, b'T');
        // PostgreSQL is stopped by whoever does not read: it waits to write, and goes on waiting.
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' \
             AND query LIKE '%.{user}.%' AND pid <> pg_backend_pid()"
        );
        soon("the server is not stopped", || {
            ask(&stage.cluster, &waits) == 1
        });
        thread::sleep(Duration::from_secs(1));
        assert_eq!(ask(&stage.cluster, &waits), 1, "{user}");
        let grown = served.resident().saturating_sub(before);
        assert!(grown < 100_000, "{user}: {grown} kB more");
        // What it does read is what was sent.
        for i in 1..=1000 {
            let message = client.receive().unwrap();
            assert_eq!(
                message.values()[0],
                Some(i.to_string().into_bytes()),
                "{user}"
            );
        }
    }
}

#[test]
fn one_byte_at_a_time_in_all_directions_changes_nothing() {
    let stage = Stage::shared();
    let upstream = network(stage.cluster.address(), &Weather::Trickle);
    let running = stage.another(|config| config.upstream.addresses = vec![upstream.to_string()]);
    let slow = network(running.addr, &Weather::Trickle);
    for user in USERS {
        let mut there = connect(stage.addr, user).unwrap();
        let mut here = connect(slow, user).unwrap();
        for sql in [
            "SELECT id, email, city FROM people ORDER BY id",
            "SELECT upper(email) FROM people WHERE id = 2",
            "SELECT i FROM generate_series(1, 300) g(i)",
            "SELECT nothing FROM people",
            "BEGIN",
            "SELECT 1 / (id - 1) FROM people",
            "ROLLBACK",
            "COPY (SELECT id, city FROM people ORDER BY id) TO STDOUT",
        ] {
            assert_eq!(here.simple(sql), there.simple(sql), "{user}: {sql}");
            if !sql.starts_with("COPY") {
                assert_eq!(here.extended(sql), there.extended(sql), "{user}: {sql}");
            }
        }
    }
}

/// Connections are cut at random on both sides of the proxy. Whatever arrives is the client's own.
/// `PGVEIL_FAULT_SECONDS=600` goes on for longer, `PGVEIL_FAULT_SEED=7` cuts elsewhere.
#[test]
fn whoever_is_cut_off_nobody_is_shown_anothers_rows() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let seed = Arc::new(AtomicU64::new(setting("PGVEIL_FAULT_SEED", 20_261_122)));
    let length = Duration::from_secs(setting("PGVEIL_FAULT_SECONDS", 3));
    let stage = Stage::shared();
    let storm = Arc::new(AtomicU64::new(0));
    let weather = Weather::Cuts(Arc::clone(&storm), Arc::clone(&seed));
    let upstream = network(stage.cluster.address(), &weather);
    let running = stage.another(|config| config.upstream.addresses = vec![upstream.to_string()]);
    // The catalog is read in calm: half a megabyte would never come through.
    drop(connect(running.addr, "support").unwrap());
    storm.store(120_000, Ordering::Relaxed);
    let within = Arc::new(AtomicU64::new(60_000));
    let cut = network(running.addr, &Weather::Cuts(within, seed));
    let (begun, whole, lost) = (Instant::now(), &AtomicU64::new(0), &AtomicU64::new(0));
    // On a busy machine it takes longer until anything can be said.
    let enough = &|| {
        let said = whole.load(Ordering::Relaxed) > 20 && lost.load(Ordering::Relaxed) > 5;
        begun.elapsed() > length + PATIENCE || (begun.elapsed() > length && said)
    };
    thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || ask_through(cut, n, enough, whole, lost));
        }
    });
    let [whole, lost] = [whole, lost].map(|n| n.load(Ordering::Relaxed));
    println!("{whole} answers whole, {lost} cut");
    assert!(whole > 20 && lost > 5, "{whole} answers whole, {lost} cut");
    // The proxy is as it was: nobody is left, and who comes is served.
    storm.store(0, Ordering::Relaxed);
    let mut after = connect(running.addr, "app").unwrap();
    assert!(matches!(after.simple("SELECT 1"), Answer::Rows(..)));
    drop(after);
    let mut console = Client::connect(running.addr, "app", PASSWORD, "pgveil").unwrap();
    soon(
        "servers are left over",
        || matches!(console.simple("SHOW SERVERS"), Answer::Rows(rows, _) if rows.is_empty()),
    );
}

/// One of the clients, while it is not enough: counts the answers that are whole, and what is cut.
fn ask_through(
    cut: SocketAddr,
    n: usize,
    enough: &dyn Fn() -> bool,
    whole: &AtomicU64,
    lost: &AtomicU64,
) {
    let user = USERS[n % 2];
    let email = if user == "app" {
        "ada@example.com"
    } else {
        "a**@example.com"
    };
    let mut round = 0;
    while !enough() {
        let Ok(mut client) = connect(cut, user) else {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        while !enough() {
            round += 1;
            let own = format!("{n} {round}");
            let sql = format!(
                "SELECT '{own}', i, p.email FROM generate_series(1, 60) g(i) \
                 JOIN people p ON p.id = 1 ORDER BY i"
            );
            let answer = match round % 2 {
                0 => client.simple(&sql),
                _ => client.extended(&sql),
            };
            let Answer::Rows(rows, _) = answer else {
                lost.fetch_add(1, Ordering::Relaxed);
                break;
            };
            let expected: Vec<String> =
                (1..=60).map(|i| format!("{own} | {i} | {email}")).collect();
            assert_eq!(rows, expected, "{user}");
            whole.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    }
}
