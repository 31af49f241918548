//! A restart under load: the successor listens on the same port while its predecessor hands over.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio_postgres::NoTls;

use super::client::{Answer, Client};
use super::stage::{Another, PASSWORD, Stage, code, eventually, options, runs, soon};

/// Another proxy on a port that is or will be shared.
fn sharing(addr: Option<SocketAddr>) -> Another {
    Stage::shared().unready(move |config| {
        config.reuse_port = true;
        if let Some(addr) = addr {
            config.listen = addr;
        }
    })
}

/// As `SHUTDOWN WAIT_FOR_CLIENTS` does it.
fn leave(running: Another) {
    Stage::shared().block_on(async move {
        let running = running.into_running();
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
                    // The other tests want to get on, too.
                    tokio::time::sleep(Duration::from_millis(10)).await;
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
    eventually("nobody serves", async || {
        served.load(Ordering::Relaxed) > before
    })
    .await;
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
    let restarts = std::env::var("PGVEIL_RESTARTS").map_or(2, |n| n.parse().unwrap());
    // At full speed only for whoever asks for more: the other tests want to get on, too.
    let pause = Duration::from_micros(if restarts > 2 { 0 } else { 500 });
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
                    thread::sleep(pause);
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

#[test]
fn a_log_that_goes_to_a_file_is_plain_text() {
    let mut served = Served::start();
    drop(served.client("stage"));
    served.signal("-TERM");
    served.ends();
    let log = fs::read_to_string(served.folder.path().join("log")).unwrap();
    assert!(
        log.contains("listening") && !log.contains('\u{1b}'),
        "{log}"
    );
}

/// `pgveil serve`, as users run it; killed if a test leaves it behind.
pub(crate) struct Served {
    child: Child,
    pub(crate) addr: SocketAddr,
    folder: tempfile::TempDir,
}

/// Where a proxy listens whose configuration leaves the port to the system: it says so in its log. A
/// port that was found free would be somebody else's by the time the proxy takes it, now and then.
pub(crate) fn listening(log: &Path, child: &mut Child) -> SocketAddr {
    let mut said = String::new();
    soon("it does not start", || {
        said = fs::read_to_string(log).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "{said}");
        // The last line may still be on its way.
        said.truncate(said.rfind('\n').map_or(0, |end| end + 1));
        said.lines().any(|line| line.contains("listening"))
    });
    let line = said.lines().find(|line| line.contains("listening"));
    let (_, addr) = line.unwrap().split_once("addr=").unwrap();
    addr.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until a proxy lets in `app`, or `support` where there is none: the catalog is read.
pub(crate) fn until_read(addr: SocketAddr) {
    soon("the catalog is not read", || {
        let came = ["app", "support"].map(|user| Client::connect(addr, user, PASSWORD, "stage"));
        came.iter().any(Result::is_ok)
    });
}

impl Served {
    pub(crate) fn start() -> Self {
        let stage = Stage::shared();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "listen: 127.0.0.1:0
upstream:
  address: {}
  tls: {{mode: disable}}
  connect_timeout: 5s
  logins: {{\"*\": {{user: stage_login, password: {{env: PGVEIL_STAGE}}}}}}
  catalog: {{user: stage_login, password: {{env: PGVEIL_STAGE}}}}
users:
  app: {{password: {{env: PGVEIL_STAGE}}}}
  support: {{password: {{env: PGVEIL_STAGE}}}}
admin_users: app
reuse_port: true
policies: {}
audit: {}
",
            stage.cluster.address(),
            stage.policy().display(),
            folder.path().join("audit.jsonl").display(),
        );
        let file = folder.path().join("pgveil.yaml");
        fs::write(&file, config).unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgveil"))
            .args(["serve", "-c"])
            .arg(&file)
            .env("PGVEIL_STAGE", PASSWORD)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let addr = listening(&log, &mut child);
        until_read(addr);
        Self {
            child,
            addr,
            folder,
        }
    }

    /// Its resident memory, in kB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().split_whitespace().next();
        number.unwrap().parse().unwrap()
    }

    fn client(&self, database: &str) -> Client {
        Client::connect(self.addr, "app", PASSWORD, database).unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// It ends, and without an error.
    fn ends(&mut self) {
        let mut status = None;
        soon("it does not end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

#[test]
fn the_console_ends_the_process_in_each_of_its_ways() {
    let one = || Answer::Rows(vec!["1".to_owned()], vec!["SELECT 1".to_owned()]);
    // At once, whatever runs.
    let mut now = Served::start();
    let (mut console, mut client) = (now.client("pgveil"), now.client("stage"));
    client.send(b'Q', b"SELECT pg_sleep(601)\0");
    soon("it does not begin", || {
        runs(&Stage::shared().cluster, "pg_sleep(601)", 1)
    });
    console.simple("SHUTDOWN");
    now.ends();
    let Answer::Error(state, _) = client.answer() else {
        unreachable!("a killed query has no rows");
    };
    assert_eq!(state, "57P01");

    // When nothing runs: a transaction goes on to its end.
    let mut idle = Served::start();
    let (mut console, mut client) = (idle.client("pgveil"), idle.client("stage"));
    client.simple("BEGIN");
    console.simple("SHUTDOWN WAIT_FOR_SERVERS");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(client.simple("SELECT 1"), one());
    client.simple("COMMIT");
    idle.ends();

    // When the last client has left, idle or not; nobody new is let in.
    let mut clients = Served::start();
    let (mut console, mut client) = (clients.client("pgveil"), clients.client("stage"));
    console.simple("SHUTDOWN WAIT_FOR_CLIENTS");
    soon("others are let in", || {
        TcpStream::connect(clients.addr).is_err()
    });
    assert_eq!(client.simple("SELECT 1"), one());
    drop(client);
    clients.ends();
}

#[test]
fn signals_pause_resume_and_hand_over() {
    let mut served = Served::start();
    let mut console = served.client("pgveil");
    let mut paused = |state: &str| {
        let said = format!("paused | {state}");
        let holds = |answer| matches!(answer, Answer::Rows(rows, _) if rows.contains(&said));
        soon(&said, || holds(console.simple("SHOW STATE")));
    };
    paused("no");
    served.signal("-USR1");
    paused("yes");
    served.signal("-USR2");
    paused("no");
    let mut client = served.client("stage");
    served.signal("-TERM");
    let log = served.folder.path().join("log");
    soon("it does not stop", || {
        fs::read_to_string(&log).unwrap().contains("stopping")
    });
    thread::sleep(Duration::from_millis(500));
    // With a shared port SIGTERM leaves clients some time to go by themselves.
    assert!(matches!(client.simple("SELECT 1"), Answer::Rows(..)));
    drop(client);
    served.ends();
}
