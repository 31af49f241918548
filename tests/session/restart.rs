//! A restart under load: the successor listens on the same port while its predecessor hands over.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pgveil::server::Running;
use tokio_postgres::NoTls;

use super::stage::{Stage, code, options};

/// Another proxy on a port that is or will be shared.
fn sharing(addr: Option<SocketAddr>) -> Running {
    Stage::shared().another(move |config| {
        config.reuse_port = true;
        if let Some(addr) = addr {
            config.listen = addr;
        }
    })
}

/// As `SHUTDOWN WAIT_FOR_CLIENTS` does it.
fn leave(running: Running) {
    Stage::shared().block_on(async move {
        running.wait_for_clients().await;
        running.shutdown().await;
    });
}

#[tokio::test]
async fn no_session_fails_when_a_successor_takes_over() {
    let (first, addr) = tokio::task::spawn_blocking(|| {
        let first = sharing(None);
        let addr = first.addr;
        (first, addr)
    })
    .await
    .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            let user = if n % 2 == 0 { "app" } else { "support" };
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let (client, connection) = options(addr, user).connect(NoTls).await?;
                    let task = tokio::spawn(connection);
                    client.simple_query("SELECT city FROM people").await?;
                    drop(client);
                    task.await.unwrap()?;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, tokio_postgres::Error>(())
            })
        })
        .collect();
    let mut running = first;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        running = tokio::task::spawn_blocking(move || {
            let successor = sharing(Some(addr));
            leave(running);
            successor
        })
        .await
        .unwrap();
    }
    let before = served.load(Ordering::Relaxed);
    let started = Instant::now();
    while served.load(Ordering::Relaxed) == before {
        assert!(started.elapsed() < Duration::from_secs(10), "nobody serves");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let ended = worker.await.unwrap();
        assert!(ended.is_ok(), "{}", code(&ended.unwrap_err()));
    }
    drop(running);
}

/// Connections that say one word and hear one, as fast as they come: what the kernel does with those
/// that arrive just when a queue goes away. `PGVEIL_RESTARTS=50` looks for longer.
#[test]
fn no_connection_is_lost_in_a_queue() {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let restarts = std::env::var("PGVEIL_RESTARTS").map_or(3, |n| n.parse().unwrap());
    let first = sharing(None);
    let addr = first.addr;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let (mut answered, mut lost) = (0_u64, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let asked = || {
                        let mut tcp = TcpStream::connect(addr)?;
                        tcp.write_all(&SSL_REQUEST)?;
                        tcp.read_exact(&mut [0])
                    };
                    match asked() {
                        Ok(()) => answered += 1,
                        Err(error) => lost.push(error.to_string()),
                    }
                }
                (answered, lost)
            })
        })
        .collect();
    let mut running = first;
    for _ in 0..restarts {
        thread::sleep(Duration::from_millis(100));
        let successor = sharing(Some(addr));
        leave(running);
        running = successor;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut answered, mut lost) = (0, Vec::new());
    for worker in workers {
        let (a, mut l) = worker.join().unwrap();
        answered += a;
        lost.append(&mut l);
    }
    println!(
        "{restarts} restarts: {answered} answered, {} lost",
        lost.len()
    );
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {:?}",
        lost.len(),
        lost.first()
    );
}
