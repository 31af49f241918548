//! Several upstream servers: a primary, its standby, and what happens when the first is gone.

use std::io;
use std::time::Duration;

use pgveil::cli::cluster::Cluster;
use pgveil::server::config::{Config, TargetSession};
use tokio_postgres::{Client, NoTls};

use super::restricted::until_found;
use super::stage::{Another, Stage, code, eventually, options, runs};

/// A primary, its standby, and a proxy that knows both, the standby first.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    running: Another,
}

impl Pair {
    async fn start(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        tokio::task::spawn_blocking(|| {
            let primary = Stage::cluster();
            let standby = primary.standby().unwrap();
            let addresses = [&standby, &primary].map(|c| c.address().to_string());
            let running = Stage::shared().another(|config| {
                config.upstream.addresses = addresses.to_vec();
                config.upstream.target = TargetSession::Primary;
                config.upstream.check_interval = Duration::from_millis(200);
                config.upstream.connect_timeout = Duration::from_secs(20);
                change(config);
            });
            Self {
                primary,
                standby,
                running,
            }
        })
        .await
        .unwrap()
    }

    async fn client(&self, user: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = options(self.running.addr, user).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The port of the server behind a session.
    async fn behind(client: &Client) -> u16 {
        let row = client.query_one("SELECT inet_server_port()", &[]).await;
        u16::try_from(row.unwrap().get::<_, i32>(0)).unwrap()
    }
}

#[tokio::test]
async fn sessions_go_to_the_primary_and_to_the_new_one_after_a_failover() {
    let mut pair = Pair::start(|_| {}).await;
    let (before, restricted) = (
        pair.client("app").await.unwrap(),
        pair.client("support").await.unwrap(),
    );
    assert_eq!(Pair::behind(&before).await, pair.primary.address().port());
    before
        .simple_query("CREATE TABLE written (id int)")
        .await
        .unwrap();
    let standby = pair.standby.address().port();
    caught_up(&pair).await;

    // The primary falls over in the middle of a query of each.
    let running = [before, restricted].map(|client| {
        tokio::spawn(async move { code(&client.simple_query(SLOW).await.unwrap_err()) })
    });
    eventually("the queries do not begin", async || {
        runs(&pair.primary, "generate_series%90000", 2)
    })
    .await;
    let crash = tokio::task::spawn_blocking(move || {
        pair.primary.crash().unwrap();
        pair
    });
    let pair = crash.await.unwrap();
    for ended in running {
        // Immediate shutdown: PostgreSQL says so in a warning, and then nothing more.
        assert_eq!(ended.await.unwrap(), "08006");
    }

    // Nobody takes writes now, and a standby is not a server to log in to.
    let refused = code(&pair.client("app").await.err().unwrap());
    assert!(["57P03", "08001"].contains(&refused.as_str()), "{refused}");

    pair.standby.run("postgres", "SELECT pg_promote()").unwrap();
    let mut after = None;
    eventually("nobody is found to be the primary", async || {
        after = pair.client("app").await.ok();
        after.is_some()
    })
    .await;
    let after = after.unwrap();
    assert_eq!(Pair::behind(&after).await, standby);
    after
        .simple_query("INSERT INTO written VALUES (1)")
        .await
        .unwrap();

    // The catalog is the new primary's too: what is made there is known to a restricted role.
    after
        .simple_query("CREATE TABLE made_after (id int); INSERT INTO made_after VALUES (7)")
        .await
        .unwrap();
    let restricted = pair.client("support").await.unwrap();
    until_found(&restricted, "SELECT id FROM made_after").await;
    let rows = restricted.query("SELECT id FROM made_after", &[]).await;
    assert_eq!(rows.unwrap().len(), 1);
    let masked = "SELECT email FROM people WHERE id = 1";
    let row = restricted.query_one(masked, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "a**@example.com");
}

/// Longer than the test, and allowed to both roles.
const SLOW: &str =
    "SELECT count(*) FROM generate_series(1, 90000) a(i), generate_series(1, 90000) b(j)";

async fn caught_up(pair: &Pair) {
    // What was inserted, not what was written: the cluster commits before it writes.
    let behind = "SELECT count(*) FROM pg_stat_replication
        WHERE replay_lsn >= pg_current_wal_insert_lsn()";
    eventually("it does not follow", async || {
        pair.primary.run("postgres", behind).unwrap().trim() == "1"
    })
    .await;
}

/// An address that swallows packets must cost the first session its timeout, and no other.
#[tokio::test]
async fn an_address_that_does_not_answer_is_not_tried_again_for_a_while() {
    let stage = Stage::shared();
    // It listens and does not accept: connections come about, and nothing is said on them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let primary = stage.cluster.address().to_string();
    let running = stage.another(|config| {
        config.upstream.addresses = vec![address, primary];
        config.upstream.target = TargetSession::Primary;
        config.upstream.connect_timeout = Duration::from_secs(4);
        // Longer than the test.
        config.upstream.check_interval = Duration::from_secs(3600);
    });
    // The first needs the snapshot, which needed the timeout.
    let (_client, connection) = options(running.addr, "app").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let tried = || {
        let accepted = std::iter::from_fn(|| match silent.accept() {
            Ok(connection) => Some(connection),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        });
        accepted.count()
    };
    assert!(tried() > 0);
    for _ in 0..3 {
        let (_client, connection) = options(running.addr, "app").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(tried(), 0);
    }
}
