//! How sessions, and databases, end: a client that leaves is still answered, a database nobody uses
//! is let go, and what changed a moment ago counts.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, io, thread};

use pgveil::server::config::{Config, Login, Secret};
use socket2::{Domain, Socket, Type};
use tokio_postgres::NoTls;

use super::client::Client;
use super::stage::{PASSWORD, PATIENCE, Stage, code, eventually, options, soon};

const ANYWHERE: &str = "
version: 1
mode: enforce
defaults: {unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}
roles:
  app: {match: {login: app}, kind: service}
";

/// No database is listed: every database is served.
fn anywhere(config: &mut Config, folder: &tempfile::TempDir) {
    let policy = folder.path().join("policy.yaml");
    fs::write(&policy, ANYWHERE).unwrap();
    config.policies = policy;
}

/// What came until the proxy closed, as message types.
fn rest(client: &mut Client) -> String {
    let mut kinds = String::new();
    while let Ok(message) = client.receive() {
        kinds.push(char::from(message.kind));
    }
    kinds
}

#[test]
fn what_was_asked_before_terminate_is_answered() {
    let stage = Stage::shared();
    let direct = ("stage_login", stage.cluster.address());
    for (user, addr) in [direct, ("app", stage.addr), ("support", stage.addr)] {
        let mut client = Client::connect(addr, user, PASSWORD, "stage").unwrap();
        client.send(b'Q', b"SELECT city FROM people\0");
        client.send(b'X', b"");
        assert_eq!(rest(&mut client), "TDDDCZ", "{user}");
    }
}

/// Bytes that came to a forwarder, and those that have gone on.
#[derive(Default)]
struct Passed {
    came: AtomicUsize,
    gone: AtomicUsize,
}

/// A way to `to` whose client side can be closed in one direction only. It counts what goes there.
fn forwarder(to: SocketAddr) -> (SocketAddr, TcpStream, Arc<Passed>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let far = TcpStream::connect(to).unwrap();
    let (mut up, mut down) = (far.try_clone().unwrap(), far.try_clone().unwrap());
    let passed = Arc::new(Passed::default());
    let counts = Arc::clone(&passed);
    thread::spawn(move || {
        let near = listener.accept().unwrap().0;
        let mut reader = near.try_clone().unwrap();
        let mut writer = near.try_clone().unwrap();
        // Either direction ends when the test is over.
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                counts.came.fetch_add(n, Ordering::Release);
                if up.write_all(&buffer[..n]).is_err() {
                    break;
                }
                counts.gone.fetch_add(n, Ordering::Release);
            }
        });
        io::copy(&mut down, &mut writer).unwrap_or_default();
        near.shutdown(Shutdown::Both).unwrap_or_default();
    });
    (addr, far, passed)
}

#[test]
fn a_half_closed_client_hears_the_answer() {
    let stage = Stage::shared();
    let direct = ("stage_login", stage.cluster.address());
    for (user, addr) in [direct, ("app", stage.addr), ("support", stage.addr)] {
        let (way, far, passed) = forwarder(addr);
        let mut client = Client::connect(way, user, PASSWORD, "stage").unwrap();
        // Answered when it is sent, so that it is on its way before the end is.
        client.send(b'P', b"\0SELECT city FROM people\0\0\0");
        client.send(b'H', b"");
        assert_eq!(client.receive().unwrap().kind, b'1');
        let before = passed.came.load(Ordering::Acquire);
        client.send(b'B', &[0; 8]);
        client.send(b'E', &[0; 5]);
        client.send(b'S', b"");
        // Three messages: a type and a length, and what is in them.
        let there = before + 3 * 5 + 8 + 5;
        soon("it does not go on", || {
            passed.gone.load(Ordering::Acquire) == there
        });
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), "2DDDCZ", "{user}");
    }
}

#[tokio::test]
async fn a_database_made_a_moment_ago_is_served_and_can_be_dropped_again() {
    let stage = Stage::shared();
    let folder = tempfile::tempdir().unwrap();
    let running = stage.another(|config| anywhere(config, &folder));
    let mut later = options(running.addr, "app");
    later.dbname("later");
    for _ in 0..2 {
        assert_eq!(code(&later.connect(NoTls).await.err().unwrap()), "3D000");
        let run = |sql| stage.cluster.run("postgres", sql).unwrap();
        run("CREATE DATABASE later");
        let (client, connection) = later.connect(NoTls).await.unwrap();
        let task = tokio::spawn(connection);
        client.batch_execute("SELECT 1").await.unwrap();
        drop(client);
        task.await.unwrap().unwrap();
        // PostgreSQL gives others five seconds to leave, which may be too little where much goes on.
        eventually("somebody stays", async || {
            let dropped = stage.cluster.run("postgres", "DROP DATABASE later");
            let stays = |e: &dyn std::error::Error| e.to_string().contains("is being accessed");
            assert!(
                dropped.as_ref().err().is_none_or(|e| stays(e)),
                "{dropped:?}"
            );
            dropped.is_ok()
        })
        .await;
    }
}

/// The superuser over TCP: the users query reads `pg_authid`.
fn root(stage: &Stage) -> Login {
    let sql = format!("CREATE ROLE root SUPERUSER REPLICATION LOGIN PASSWORD '{PASSWORD}'");
    // Made by whichever test comes first.
    stage.cluster.run("postgres", &sql).unwrap_or_default();
    Login {
        user: "root".to_owned(),
        password: Some(Secret::new(PASSWORD.to_owned())),
    }
}

const USERS: &str = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1;";

#[tokio::test]
async fn the_users_query_sees_new_roles_and_new_passwords() {
    let stage = Stage::shared();
    let login = root(stage);
    let running = stage.another(|config| {
        config.users.remove("app");
        config.users_query = Some(USERS.to_owned());
        config.upstream.catalog = login;
    });
    let app = options(running.addr, "app");
    let run = |sql: &str| stage.cluster.run("postgres", sql).unwrap();
    assert_eq!(code(&app.connect(NoTls).await.err().unwrap()), "28P01");
    run(&format!("CREATE ROLE app PASSWORD '{PASSWORD}'"));
    assert!(app.connect(NoTls).await.is_ok());
    // The connection it is asked on goes, and the next login does not notice.
    run(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
         WHERE application_name = 'pgveil users'",
    );
    assert!(app.connect(NoTls).await.is_ok());
    // The verifier alone is enough.
    let login = root(stage);
    let alone = stage.another(|config| {
        config.users.remove("app");
        config.users_query =
            Some("SELECT rolpassword FROM pg_authid WHERE rolname = $1".to_owned());
        config.upstream.catalog = login;
    });
    assert!(options(alone.addr, "app").connect(NoTls).await.is_ok());
    run("ALTER ROLE app PASSWORD 'another'");
    assert_eq!(code(&app.connect(NoTls).await.err().unwrap()), "28P01");
    run("DROP ROLE app");
}

#[tokio::test]
async fn a_server_that_is_down_is_not_a_wrong_password() {
    // Bound, so that nobody else gets the port, and not listened on.
    let unused = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    unused.bind(&any.into()).unwrap();
    let address = unused.local_addr().unwrap().as_socket().unwrap();
    let running = Stage::shared().unready(|config| {
        config.users.remove("app");
        config.users_query = Some(USERS.to_owned());
        config.upstream.addresses = vec![address.to_string()];
    });
    for user in ["app", "support"] {
        let error = options(running.addr, user)
            .connect(NoTls)
            .await
            .err()
            .unwrap();
        assert_eq!(code(&error), "08001", "{user}");
    }
}

fn replicate(stage: &Stage, addr: SocketAddr, user: &str, kind: &str) -> Output {
    let mut psql = Command::new(stage.cluster.psql("stage").get_program());
    let port = addr.port();
    psql.arg(format!(
        "host=127.0.0.1 port={port} user={user} dbname=stage replication={kind}"
    ));
    psql.args(["-XAt", "-c", "IDENTIFY_SYSTEM"]);
    psql.env("PGPASSWORD", PASSWORD).output().unwrap()
}

#[test]
fn replication_is_for_roles_that_see_everything() {
    let stage = Stage::shared();
    let login = root(stage);
    let running = stage.another(|config| {
        config.upstream.logins.insert("*".to_owned(), login);
    });
    let said = |kind, user| {
        let output = replicate(stage, running.addr, user, kind);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    // System identifier, timeline, position, database.
    let line = said("database", "app");
    assert!(line.trim_end().ends_with("|stage"), "{line}");
    // PostgreSQL was asked; a throwaway cluster's pg_hba.conf has no line for this.
    let line = said("true", "app");
    assert!(
        line.contains("no pg_hba.conf entry for replication"),
        "{line}"
    );
    for kind in ["database", "true"] {
        let line = said(kind, "support");
        assert!(line.contains("permission denied"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_policy_is_not_loaded_and_a_right_one_ends_what_it_forbids() {
    let stage = Stage::shared();
    let folder = tempfile::tempdir().unwrap();
    let running = stage.another(|config| anywhere(config, &folder));
    let path = folder.path().join("policy.yaml");
    let app = options(running.addr, "app");
    let (client, connection) = app.connect(NoTls).await.unwrap();
    let end = tokio::spawn(connection);
    fs::write(&path, ANYWHERE.replace("kind: service", "kind: nonsense")).unwrap();
    assert!(running.reload().is_err());
    client.batch_execute("SELECT 1").await.unwrap();
    assert!(app.connect(NoTls).await.is_ok());
    // Now nobody's columns are clear: the session may not go on as it is.
    fs::write(&path, ANYWHERE.replace("column: clear", "column: deny")).unwrap();
    running.reload().unwrap();
    let ended = tokio::time::timeout(PATIENCE, end).await;
    assert_eq!(code(&ended.unwrap().unwrap().unwrap_err()), "57P01");
    assert!(client.is_closed());
}
