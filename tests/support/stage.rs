//! The stage: one PostgreSQL with the clinic and its masked copies, one `pgveil serve` in front.
//!
//! The masked copy of role R is D_R of the masking contract, written by hand in plain SQL. What the
//! proxy answers to R must be what PostgreSQL answers on that copy.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use pgveil::cli::cluster::{Cluster, ClusterOptions};

use super::client::{Answer, Client};
use super::listening::listening;
use super::tap::Tap;

/// How long the proxy may take to start: only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everyone's password; the cluster lives for seconds, on the loopback interface.
const PASSWORD: &str = "clinic";

/// Kills its child when its standard input closes, so that the proxy ends with the tests however
/// they end.
const LEASH: &str = r#""$@" </dev/null & read -r _; kill $! 2>/dev/null; wait"#;

/// The columns that are stored encrypted on the sealed stage: (table, column). Their types have no length
/// there.
pub(crate) const ENCRYPTED: [(&str, &str); 7] = [
    ("patients", "name"),
    ("patients", "email"),
    ("patients", "mobile"),
    ("patients", "id_number"),
    ("patients", "notes"),
    ("staff", "name"),
    ("staff", "email"),
];

/// The columns the partner sees as tokens.
const TOKENS: [(&str, &str); 5] = [
    ("patients", "name"),
    ("patients", "email"),
    ("patients", "id_number"),
    ("staff", "name"),
    ("staff", "email"),
];

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Role {
    /// Sees everything; statements go through verbatim.
    Owner,
    /// Sees masks.
    Support,
    /// Sees reversible tokens.
    Analyst,
    /// Sees irreversible tokens.
    Partner,
}

impl Role {
    fn login(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Support => "support",
            Self::Analyst => "analyst",
            Self::Partner => "partner",
        }
    }

    /// The database that holds this role's masked copy, where SQL can express one.
    pub(crate) fn masked_copy(self) -> Option<&'static str> {
        match self {
            Self::Owner => Some("clinic"),
            Self::Support => Some("clinic_support"),
            Self::Partner => Some("clinic_partner"),
            Self::Analyst => None,
        }
    }
}

/// PostgreSQL, the clinic, the proxy.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    proxy: SocketAddr,
    taps: HashMap<Role, Tap>,
    sealed: bool,
    /// The database that is the analyst's masked copy, once there is one.
    pub(crate) analysts: OnceLock<&'static str>,
    folder: tempfile::TempDir,
    _leash: Child,
}

impl Stage {
    /// The clinic, and what a folder adds to it: `wing.sql` and a policy file, `write.yaml`.
    pub(crate) fn build(more: Option<&Path>) -> Self {
        Self::with(more, "session")
    }

    /// `pool` is the mode of the configuration, and what follows it.
    pub(crate) fn with(more: Option<&Path>, pool: &str) -> Self {
        Self::set(more, pool, false)
    }

    /// The clinic whose texts are stored encrypted. What is stored has been written through the proxy; the
    /// masked copies are of the values, and the owner's is the clinic as it was.
    pub(crate) fn sealed() -> Self {
        let stage = Self::set(None, "session", true);
        stage.seal(|_| true);
        stage.copy_for_partner();
        stage
    }

    /// The same while the texts are being encrypted, after a rotation that is not through either: of three
    /// rows one has cells of the older key, one of the newer, and one values.
    pub(crate) fn half() -> Self {
        let pool = "transaction, size: 4";
        let before = Self::set(None, pool, true);
        before.seal(|id| id % 3 == 0);
        let folder = before.folder.path();
        write_encrypt(folder, |key| format!("{{key: {key}, backfill: true}}"));
        let (leash, proxy) = serve(folder, before.cluster.address(), pool, "rotated.json");
        let stage = Self {
            proxy,
            _leash: leash,
            ..before
        };
        stage.until_read();
        stage.seal(|id| id % 3 == 1);
        stage.copy_for_partner();
        stage
    }

    /// Writes the owner's values of some rows through the proxy.
    fn seal(&self, which: fn(u32) -> bool) {
        let mut owner = self.connect(Role::Owner);
        let mut plain = self.direct("clinic_plain");
        for (table, column) in ENCRYPTED {
            let sql = format!("SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL");
            let Answer::Rows(rows, _) = plain.simple(&sql) else {
                panic!("no {column}");
            };
            for row in rows {
                let (id, value) = row.split_once(" | ").unwrap();
                if !which(id.parse().unwrap()) {
                    continue;
                }
                let value = value.replace('\'', "''");
                let sql = format!("UPDATE {table} SET {column} = '{value}' WHERE id = {id}");
                let done = owner.simple(&sql);
                assert!(matches!(done, Answer::Rows(..)), "{sql}: {done:?}");
            }
        }
    }

    fn set(more: Option<&Path>, pool: &str, sealed: bool) -> Self {
        let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
        load(&cluster, sealed);
        if let Some(more) = more {
            let wing = fs::read_to_string(more.join("wing.sql")).unwrap();
            cluster.run("clinic", &wing).unwrap();
        }
        let stored = dump(&cluster, "clinic");
        let masked = dump(&cluster, "clinic_support");
        // An analyst's tokens and dates are no part of any stored value; cities and such are.
        let tokens = dump(&cluster, "clinic_analyst");
        let taps = HashMap::from([
            (Role::Support, Tap::new(&stored, &masked)),
            (Role::Analyst, Tap::new(&stored, &tokens)),
            (Role::Partner, Tap::new(&stored, &tokens)),
        ]);
        // With the cluster's own, which goes when this process does: nobody drops a static.
        let folder = tempfile::tempdir_in(cluster.socket_folder()).unwrap();
        let policies = folder.path().join("policies");
        fs::create_dir(&policies).unwrap();
        let clinic = corpus("policies/clinic.yaml");
        let more = more.map(|m| m.join("write.yaml"));
        for file in [Some(clinic), more.filter(|file| file.exists())]
            .iter()
            .flatten()
        {
            fs::copy(file, policies.join(file.file_name().unwrap())).unwrap();
        }
        if sealed {
            write_encrypt(folder.path(), str::to_owned);
        }
        let (leash, proxy) = serve(folder.path(), cluster.address(), pool, "keyring.json");
        let stage = Self {
            cluster,
            proxy,
            taps,
            sealed,
            analysts: OnceLock::new(),
            folder,
            _leash: leash,
        };
        stage.until_read();
        if !sealed {
            stage.copy_for_partner();
        }
        stage
    }

    /// The database that holds a role's masked copy, where SQL can express one.
    pub(crate) fn masked_copy(&self, role: Role) -> Option<&'static str> {
        match role {
            Role::Owner if self.sealed => Some("clinic_plain"),
            Role::Analyst => self.analysts.get().copied(),
            role => role.masked_copy(),
        }
    }

    /// Waits until the proxy has read the catalog: a login waits a while for that, and not for ever.
    fn until_read(&self) {
        let started = Instant::now();
        let login = Role::Owner.login();
        while let Err(error) = Client::connect(self.proxy, login, PASSWORD, "clinic") {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(started.elapsed() < PATIENCE, "{error}: {}", log());
        }
    }

    /// The partner's masked copy: what SQL can say of it, and each token as the proxy shows it where
    /// its column is selected. Whatever else is asked must be what PostgreSQL computes on these.
    fn copy_for_partner(&self) {
        let mut change = fs::read_to_string(corpus("partner.sql")).unwrap();
        let mut client = self.connect(Role::Partner);
        for (table, column) in TOKENS {
            let sql = format!("SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL");
            let Answer::Rows(rows, _) = client.simple(&sql) else {
                panic!("no tokens of {column}");
            };
            for row in rows {
                let (id, token) = row.split_once(" | ").unwrap();
                assert!(token.starts_with("tok_"), "{table}.{column}: {token}");
                writeln!(
                    change,
                    "UPDATE {table} SET {column} = '{token}' WHERE id = {id};"
                )
                .unwrap();
            }
        }
        let create = "CREATE DATABASE clinic_partner";
        self.cluster.run("postgres", create).unwrap();
        let clinic = clinic(self.sealed);
        self.cluster.run("clinic_partner", &clinic).unwrap();
        self.cluster.run("clinic_partner", &change).unwrap();
    }

    /// A connection through the proxy.
    pub(crate) fn connect(&self, role: Role) -> Client {
        Client::connect(self.proxy, role.login(), PASSWORD, "clinic").unwrap()
    }

    /// A connection straight to PostgreSQL.
    pub(crate) fn direct(&self, database: &str) -> Client {
        Client::connect(self.cluster.address(), "clinic_proxy", PASSWORD, database).unwrap()
    }

    /// Fails if the client received a piece of a value its role must not see.
    #[track_caller]
    pub(crate) fn assert_silent(&self, role: Role, client: &mut Client, sql: &str) {
        let received = without_numbers(&client.take_received());
        let leak = self.taps.get(&role).and_then(|tap| tap.find(&received));
        if let Some(leak) = leak {
            panic!("LEAK to {role:?}: {leak:?} after: {sql}");
        }
    }
}

/// What was received but for the numbers of decisions, which may look like a value's digits.
fn without_numbers(received: &[u8]) -> Vec<u8> {
    const WORD: &[u8] = b"Decision ";
    let mut kept = Vec::with_capacity(received.len());
    let mut rest = received;
    while let Some((byte, after)) = rest.split_first() {
        if let Some(number) = rest.strip_prefix(WORD) {
            kept.extend_from_slice(WORD);
            let digits = number
                .iter()
                .take_while(|b| b.is_ascii_digit() || **b == b'-');
            rest = number.get(digits.count()..).unwrap_or_default();
        } else {
            kept.push(*byte);
            rest = after;
        }
    }
    kept
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/clinic")
        .join(name)
}

/// The clinic's SQL.
fn clinic(sealed: bool) -> String {
    let text = fs::read_to_string(corpus("clinic.sql")).unwrap();
    if !sealed {
        return text;
    }
    let with_length = [
        "email varchar(80)",
        "mobile varchar(20)",
        "id_number varchar(18)",
    ];
    with_length.iter().fold(text, |text, column| {
        let (bare, _) = column.split_once('(').unwrap();
        text.replace(column, bare)
    })
}

fn load(cluster: &Cluster, sealed: bool) {
    let text = |name: &str| fs::read_to_string(corpus(name)).unwrap();
    let login = format!("CREATE ROLE clinic_proxy LOGIN PASSWORD '{PASSWORD}'");
    cluster.run("postgres", &login).unwrap();
    cluster.run("postgres", "CREATE DATABASE clinic").unwrap();
    cluster.run("clinic", &clinic(sealed)).unwrap();
    if sealed {
        let copy = "CREATE DATABASE clinic_plain TEMPLATE clinic";
        cluster.run("postgres", copy).unwrap();
    }
    for role in ["support", "analyst"] {
        let copy = format!("clinic_{role}");
        cluster
            .run(
                "postgres",
                &format!("CREATE DATABASE {copy} TEMPLATE clinic"),
            )
            .unwrap();
        cluster.run(&copy, &text(&format!("{role}.sql"))).unwrap();
    }
}

/// Every value of every table.
fn dump(cluster: &Cluster, database: &str) -> String {
    let tables = "SELECT format('SELECT * FROM %I', tablename) FROM pg_tables WHERE schemaname = 'public' \\gexec";
    cluster.run(database, tables).unwrap()
}

/// Writes the policy's `encrypt`, in which a column's key is said so.
fn write_encrypt(folder: &Path, say: impl Fn(&str) -> String) {
    let columns = ENCRYPTED.map(|(t, c)| format!("  public.{t}.{c}: {}\n", say("person-1")));
    let text = format!("encrypt:\n{}", columns.concat());
    fs::write(folder.join("policies").join("encrypt.yaml"), text).unwrap();
}

/// Starts the proxy as users do: configuration file, key ring, `pgveil serve`.
fn serve(folder: &Path, upstream: SocketAddr, pool: &str, ring: &str) -> (Child, SocketAddr) {
    let program = env!("CARGO_BIN_EXE_pgveil");
    // Always the same: in tokens of a key drawn anew the tap would find, once in fifty runs, six digits
    // of a stored value.
    let ring = corpus(ring);
    let config = folder.join("pgveil.yaml");
    let text = configuration(upstream, &ring, folder, pool);
    fs::write(&config, text).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let leash = Command::new("sh")
        .args(["-c", LEASH, "leash", program, "serve", "-c"])
        .arg(&config)
        .env("PGVEIL_UPSTREAM_PASSWORD", PASSWORD)
        .env("PGVEIL_KEY_PASSPHRASE", PASSWORD)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    let mut proxy = None;
    while proxy.is_none() {
        assert!(started.elapsed() < PATIENCE, "pgveil serve: {}", log());
        thread::sleep(Duration::from_millis(20));
        proxy = listening(&log());
    }
    (leash, proxy.unwrap())
}

fn configuration(upstream: SocketAddr, ring: &Path, folder: &Path, pool: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstream:
  address: {upstream}
  tls: {{mode: disable}}
  logins:
    \"*\": {{user: clinic_proxy, password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
  catalog: {{user: clinic_proxy, password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
users:
  owner: {{password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
  support: {{password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
  analyst: {{password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
  partner: {{password: {{env: PGVEIL_UPSTREAM_PASSWORD}}}}
pool: {{mode: {pool}}}
policies: {}
keys: {{ring: {}, passphrase: {{env: PGVEIL_KEY_PASSPHRASE}}}}
audit: {}
",
        folder.join("policies").display(),
        ring.display(),
        folder.join("audit.jsonl").display(),
    )
}
