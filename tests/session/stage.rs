//! One cluster and one proxy for all tests of this binary.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pgveil::cli::cluster::{Cluster, ClusterOptions};
use pgveil::cli::serve;
use pgveil::server::config::{
    Config, Login, MaxConnections, Pool, Secret, TargetSession, Tcp, Upstream, UpstreamTlsMode,
    UserAuth,
};
use pgveil::server::{Running, start};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

/// Everyone's password.
pub(crate) const PASSWORD: &str = "stage";

/// How long a test waits for what must come. Only a failure takes so long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const POLICY: &str = "
version: 1
mode: enforce
databases: [stage]
defaults: {unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}
classes: {email: {level: C2}}
columns:
  public.people: {email: email}
  public.wide: {email: email}
  public.vip: {note: email}
  public.letters: {email: email}
  public.posts: {email: email}
  public.leases: {email: email}
  public.parents: {email: email}
masks: {email: {keep_first: 1, stop_at: '@'}}
roles:
  app: {match: {login: app}, kind: service}
  support: {match: {login: support}, kind: human, settings: [app.tenant, 'Request.*']}
  watched: {match: {login: watched}, kind: service, mode: observe}
treat:
  class: {email: {app: clear, support: mask(email), watched: mask(email)}}
write: {support: {public.sink: all, public.stopped: all, public.leases: all, public.parents: all, public.children: all, public.inbox: all, public.posts: all, public.halls: all}}
";

const SCHEMA: &str = "
CREATE ROLE stage_login LOGIN PASSWORD 'stage';
CREATE DATABASE stage OWNER stage_login;
\\c stage
SET ROLE stage_login;
GRANT ALL ON SCHEMA public TO stage_login;
CREATE TABLE people (id int PRIMARY KEY, email text, city text);
INSERT INTO people VALUES
  (1, 'ada@example.com', 'Lund'), (2, 'grace@example.com', 'Paris'), (3, NULL, 'Lund');
CREATE TABLE sink (id int, note text);
CREATE TABLE stopped (id int, note text);
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER stop BEFORE INSERT ON stopped EXECUTE FUNCTION stop();
CREATE TABLE wide (x text, email text, city text);
INSERT INTO wide SELECT 'x', email, city FROM people;
CREATE TABLE towns (id int, email text, city text);
INSERT INTO towns VALUES (1, 'town hall', 'Lund');
CREATE TABLE events (id int, note text) PARTITION BY LIST (id);
CREATE TABLE event_1 PARTITION OF events FOR VALUES IN (1);
INSERT INTO events VALUES (1, 'public');
CREATE TABLE vip (id int, note text);
INSERT INTO vip SELECT 2, email FROM people WHERE id = 1;
CREATE TABLE still (id int);
CREATE TABLE posts (id int, email text, note text NOT NULL) PARTITION BY LIST (email);
CREATE TABLE posts_ada PARTITION OF posts FOR VALUES IN ('ada@example.com');
CREATE TABLE posts_of_others PARTITION OF posts DEFAULT;
INSERT INTO posts VALUES (1, 'ada@example.com', 'x');
CREATE TABLE halls (id int, note text NOT NULL);
CREATE TABLE inbox (id int, note text);
CREATE TABLE letters (id int, email text);
INSERT INTO letters VALUES (1, 'éàü@example.com');
CREATE FUNCTION is_known(text) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT $1 IN (SELECT email FROM public.people)';
CREATE DOMAIN known AS text CHECK (is_known(VALUE));
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE leases (id int, tenant text, email text);
INSERT INTO leases VALUES (1, 'acme', 'ada@example.com'), (2, 'zeta', 'grace@example.com');
ALTER TABLE leases ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON leases USING (tenant = current_setting('app.tenant', true)
  OR tenant = nullif(current_setting('request.jwt.claims', true), '')::json ->> 'tenant');
CREATE TABLE parents (id int PRIMARY KEY, email text);
CREATE TABLE children (id int, parent int REFERENCES parents DEFERRABLE);
CREATE VIEW places AS SELECT id, city FROM people;
CREATE VIEW more_places AS SELECT * FROM places;
";

/// The stage.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) audit: PathBuf,
    folder: tempfile::TempDir,
    runtime: Runtime,
    running: Running,
}

impl Stage {
    /// Built on first use.
    pub(crate) fn shared() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        // On a thread of its own: a runtime must not be made inside another.
        STAGE.get_or_init(|| std::thread::spawn(Self::build).join().unwrap())
    }

    fn build() -> Self {
        let cluster = Self::cluster();
        // With the cluster's own, which goes when this process does: nobody drops a static.
        let folder = tempfile::tempdir_in(cluster.socket_folder()).unwrap();
        fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
        let runtime = serve::runtime().unwrap();
        let config = config(&cluster, folder.path().join("policy.yaml"), &folder);
        let audit = config.audit.clone().unwrap();
        let running = runtime.block_on(start(config)).unwrap();
        until_ready(&running);
        Self {
            addr: running.addr,
            admin: running.admin_addr.unwrap(),
            audit,
            cluster,
            folder,
            runtime,
            running,
        }
    }

    /// A cluster of one's own, as the shared one is at first: for tests that stop it.
    pub(crate) fn cluster() -> Cluster {
        // As many tests run at once as the machine has cores, each with proxies of its own.
        let options = ClusterOptions {
            settings: vec![("max_connections".to_owned(), "400".to_owned())],
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.run("postgres", SCHEMA).unwrap();
        cluster
    }

    /// Another proxy in front of the same cluster, ended with the test: one that lives on reads the
    /// catalog again with every table that another test makes.
    pub(crate) fn another(&self, change: impl FnOnce(&mut Config)) -> Another {
        let running = self.unready(change);
        until_ready(&running);
        running
    }

    /// One that may not have read the catalog yet, or never will: a login waits a while for that.
    pub(crate) fn unready(&self, change: impl FnOnce(&mut Config)) -> Another {
        let policy = self.folder.path().join("policy.yaml");
        let mut config = config(&self.cluster, policy, &self.folder);
        config.audit = Some(
            tempfile::NamedTempFile::new_in(&self.folder)
                .unwrap()
                .into_temp_path()
                .keep()
                .unwrap(),
        );
        change(&mut config);
        let handle = self.runtime.handle().clone();
        let started = std::thread::spawn(move || handle.block_on(start(config)).unwrap());
        Another(Some(started.join().unwrap()))
    }

    /// Waits until the shared proxy has read the catalog as it is now.
    pub(crate) async fn reread() {
        let reread = tokio::task::spawn_blocking(|| {
            let stage = Self::shared();
            stage.block_on(stage.running.reloaded());
        });
        reread.await.unwrap();
    }

    /// The policy file of the shared proxy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.folder.path().join("policy.yaml")
    }

    /// Runs something on the proxies' own runtime.
    pub(crate) fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let handle = self.runtime.handle().clone();
        std::thread::spawn(move || handle.block_on(future))
            .join()
            .unwrap()
    }

    /// psql through the proxy.
    pub(crate) fn psql(&self, user: &str) -> Command {
        let mut psql = self.cluster.psql("stage");
        psql.args([
            "-U",
            user,
            "-h",
            "127.0.0.1",
            "-p",
            &self.addr.port().to_string(),
        ]);
        psql.env("PGPASSWORD", PASSWORD);
        psql
    }
}

/// A proxy of one test's own.
pub(crate) struct Another(Option<Running>);

impl Another {
    /// To be ended otherwise.
    pub(crate) fn into_running(mut self) -> Running {
        self.0.take().unwrap()
    }
}

impl Deref for Another {
    type Target = Running;

    fn deref(&self) -> &Running {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.kill_sessions();
            // Nobody waits for it: it may take its time.
            drop(Stage::shared().runtime.spawn(running.shutdown()));
        }
    }
}

fn config(cluster: &Cluster, policies: PathBuf, folder: &tempfile::TempDir) -> Config {
    let login = Login {
        user: "stage_login".to_owned(),
        password: Some(Secret::new(PASSWORD.to_owned())),
    };
    let user = || UserAuth::Password(Secret::new(PASSWORD.to_owned()));
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        upstream: Upstream {
            addresses: vec![cluster.address().to_string()],
            target: TargetSession::Any,
            connect_timeout: Upstream::CONNECT_TIMEOUT,
            check_interval: Upstream::CHECK_INTERVAL,
            tls: UpstreamTlsMode::Disable,
            ca: None,
            logins: BTreeMap::from([("*".to_owned(), login.clone())]),
            catalog: login,
        },
        users: ["app", "support", "watched", "nobody"]
            .map(|u| (u.to_owned(), user()))
            .into(),
        users_query: None,
        admin_users: vec!["app".to_owned()],
        stats_users: vec!["support".to_owned()],
        max_connections: MaxConnections::default(),
        pool: Pool {
            size: 50,
            ..Pool::default()
        },
        tcp: Tcp::default(),
        reuse_port: false,
        policies,
        key_ring: None,
        key_passphrase: None,
        admin: Some("127.0.0.1:0".parse().unwrap()),
        audit: Some(folder.path().join("audit.jsonl")),
    }
}

fn until_ready(running: &Running) {
    soon("the catalog is not read", || running.readiness().is_ok());
}

/// Waits for what must come.
#[track_caller]
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The same, while this test's own tasks go on.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether PostgreSQL is at work on `n` statements with these words in them. Other tests use the same
/// server: the words are to be one test's own.
pub(crate) fn runs(cluster: &Cluster, words: &str, n: usize) -> bool {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%{words}%'"
    );
    cluster.run("postgres", &sql).unwrap().trim() == n.to_string()
}

/// Waits until the shared server is at work on a statement with these words in it.
pub(crate) async fn until_it_runs(words: &str) {
    let cluster = &Stage::shared().cluster;
    eventually("it does not begin", async || runs(cluster, words, 1)).await;
}

/// What an audit log says so far. Its last line may not be whole yet.
pub(crate) fn records(audit: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(audit).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let record = |line| serde_json::from_str(line).unwrap();
    whole.lines().map(record).collect()
}

/// How to connect to a proxy.
pub(crate) fn options(addr: SocketAddr, user: &str) -> tokio_postgres::Config {
    let mut options = tokio_postgres::Config::new();
    options
        .host(addr.ip().to_string())
        .port(addr.port())
        .user(user)
        .password(PASSWORD)
        .dbname("stage");
    options
}

/// A client through the shared proxy; its connection task ends with it.
pub(crate) async fn connect(user: &str) -> (tokio_postgres::Client, JoinHandle<()>) {
    let (client, connection) = options(Stage::shared().addr, user)
        .connect(NoTls)
        .await
        .unwrap();
    let task = tokio::spawn(async move {
        // Tests look at the client's errors.
        drop(connection.await);
    });
    (client, task)
}

/// The SQLSTATE of an error of PostgreSQL or the proxy.
pub(crate) fn code(error: &tokio_postgres::Error) -> String {
    error
        .code()
        .map_or_else(|| format!("{error:?}"), |c| c.code().to_owned())
}
