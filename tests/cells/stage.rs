//! One cluster for all tests of this binary, and for each a database, a ring and a configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use pgveil::cli::cluster::{Cluster, ClusterOptions};
use pgveil::cli::keys;
use serde_json::Value;

use super::client::Client;
use super::listening::listening;

/// Everyone's password.
pub(crate) const PASSWORD: &str = "stage";

const VARIABLE: &str = "PGVEIL_TEST_PASSWORD";

/// A database with a policy.
pub(crate) struct Stage {
    pub(crate) database: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cluster: &'static Cluster,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) worked: bool,
    pub(crate) out: String,
    pub(crate) said: String,
}

/// `pgveil serve` with a stage's configuration, until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    process: Child,
}

impl Proxy {
    /// A connection of role `app`.
    pub(crate) fn connect(&self, stage: &Stage) -> Client {
        Client::connect(self.address, "app", PASSWORD, &stage.database).unwrap()
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// The cluster. What it writes to its log is everything it can, so that a value in it is found.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let settings = [
            ("full_page_writes", "on"),
            ("wal_level", "logical"),
            ("wal_keep_size", "2GB"),
            ("autovacuum", "off"),
            ("log_min_duration_statement", "0"),
            ("log_parameter_max_length", "-1"),
        ];
        let options = ClusterOptions {
            settings: settings.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        let login = format!(
            "CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'; GRANT pg_read_all_stats TO keeper"
        );
        cluster.run("postgres", &login).unwrap();
        cluster
    })
}

impl Stage {
    /// A database of `keeper`'s, in which `schema` is run, and a policy with these lines in `encrypt`.
    pub(crate) fn new(database: &str, schema: &str, encrypt: &str) -> Self {
        let cluster = cluster();
        let create = format!("CREATE DATABASE {database} OWNER keeper");
        cluster.run("postgres", &create).unwrap();
        let schema = format!("SET ROLE keeper; CREATE SCHEMA s; {schema}");
        cluster.run(database, &schema).unwrap();
        // With the cluster's own, which goes when this process does: nobody drops a static.
        let folder = tempfile::tempdir_in(cluster.socket_folder()).unwrap();
        let ring = folder.path().join("ring");
        keys::new_key(&ring, "k", PASSWORD.as_bytes(), "2030-01-01").unwrap();
        let stage = Self {
            database: database.to_owned(),
            folder,
            cluster,
        };
        let password = format!("password: {{env: {VARIABLE}}}");
        let login = format!("{{user: keeper, {password}}}");
        let configuration = format!(
            "listen: 127.0.0.1:0
upstream:
  address: {}
  tls: {{mode: disable}}
  logins: {{\"*\": {login}}}
  catalog: {login}
users: {{app: {{{password}}}}}
policies: policy.yaml
keys: {{ring: ring, passphrase: {{env: {VARIABLE}}}}}
audit: audit.jsonl
",
            cluster.address()
        );
        fs::write(stage.path("pgveil.yaml"), configuration).unwrap();
        stage.say(encrypt);
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the policy anew.
    pub(crate) fn say(&self, encrypt: &str) {
        let policy = format!(
            "version: 1
mode: enforce
databases: [{}]
defaults: {{unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}}
roles: {{app: {{match: {{login: app}}, kind: service}}}}
encrypt: {{{encrypt}}}
",
            self.database
        );
        fs::write(self.path("policy.yaml"), policy).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgveil"));
        command
            .args(args)
            .env(VARIABLE, PASSWORD)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn serve(&self) -> Proxy {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.command(&["serve", "-c", "pgveil.yaml"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        let log = || fs::read_to_string(self.path("log")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        let address = loop {
            if let Some(address) = listening(&log()) {
                break address;
            }
            assert!(Instant::now() < deadline, "{}", log());
            thread::sleep(Duration::from_millis(20));
        };
        let proxy = Proxy { address, process };
        // It has read the catalog when it lets somebody in.
        while let Err(error) = Client::connect(address, "app", PASSWORD, &self.database) {
            assert!(Instant::now() < deadline, "{error}: {}", log());
        }
        proxy
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done {
            worked: output.status.success(),
            out: text(output.stdout),
            said: text(output.stderr),
        }
    }

    /// Runs what has to work, and gives what it printed.
    #[track_caller]
    pub(crate) fn works(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert!(done.worked, "{args:?}: {done:?}");
        done.out
    }

    /// Runs what must not work, and say this.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], why: &str) {
        let done = self.run(args);
        assert!(
            !done.worked && done.said.contains(why),
            "{args:?}: {done:?}"
        );
    }

    /// SQL as the superuser.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        let rows = self.cluster.run(&self.database, sql).unwrap();
        rows.trim_end().to_owned()
    }

    /// A connection of the tables' owner.
    pub(crate) fn connect(&self) -> Client {
        let address = self.cluster.address();
        Client::connect(address, "keeper", PASSWORD, &self.database).unwrap()
    }

    /// Plain, current, older and broken values of the only encrypted column, and its coverage.
    #[track_caller]
    pub(crate) fn status(&self) -> (u64, u64, u64, u64, f64) {
        let done = self.run(&["encrypt", "--status", "--json"]);
        let json: Value = serde_json::from_str(&done.out).unwrap();
        let column = &json[0];
        let older = column["older"].as_object().unwrap().values();
        let number = |name: &str| column[name].as_u64().unwrap();
        let percent = column["percent"].as_f64().unwrap();
        let counts = (
            number("plain"),
            number("current"),
            older.map(|n| n.as_u64().unwrap()).sum(),
            number("broken"),
            percent,
        );
        assert_eq!(number("rows"), counts.0 + counts.1 + counts.2 + counts.3);
        // It says so with its exit code, too.
        assert_eq!(done.worked, number("current") == number("rows"));
        assert_eq!(done.worked, (percent - 100.0).abs() < f64::EPSILON);
        counts
    }

    pub(crate) fn rotate(&self) -> String {
        keys::rotate(&self.path("ring"), "k", PASSWORD.as_bytes(), "2030-02-01").unwrap()
    }

    pub(crate) fn retire(&self, id: &str) {
        keys::retire(&self.path("ring"), id, PASSWORD.as_bytes(), "2030-03-01").unwrap();
    }
}
