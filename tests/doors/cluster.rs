//! A throwaway PostgreSQL that authenticates in every way, with and without TLS.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::certificates::Authority;

/// `nobody` on Debian; PostgreSQL does not run as root.
const NOBODY: (u32, u32) = (65534, 65534);

const HBA: &str = "\
host all postgres  127.0.0.1/32 trust
host all scram     127.0.0.1/32 scram-sha-256
host all md5       127.0.0.1/32 md5
host all clear     127.0.0.1/32 password
host all rejected  127.0.0.1/32 reject
";

/// A running server; stopped and removed when dropped.
pub(super) struct Cluster {
    pub(super) port: u16,
    bin: PathBuf,
    dir: tempfile::TempDir,
}

/// Where PostgreSQL's programs are; the newest of Debian's, or `$PGBIN`.
pub(super) fn bin() -> PathBuf {
    if let Some(dir) = std::env::var_os("PGBIN") {
        return dir.into();
    }
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed, or PGBIN is set")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("a PostgreSQL server is installed")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Cluster {
    /// Makes and starts one that shows a certificate for `localhost`.
    pub(super) fn start(authority: &Authority, tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = bin();
        let mut cluster = Self { port: 0, bin, dir };
        let (certificate, key) = authority.issue("localhost", "server");
        fs::write(cluster.path("server.crt"), certificate).unwrap();
        fs::write(cluster.path("server.key"), key).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(cluster.path("server.key"), private).unwrap();
        if is_root() {
            for path in [".", "server.crt", "server.key"] {
                chown(cluster.path(path), Some(NOBODY.0), Some(NOBODY.1)).unwrap();
            }
        }
        let data = cluster.path("data");
        cluster.run(
            "initdb",
            &[
                "-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N",
            ],
        );
        fs::write(format!("{data}/pg_hba.conf"), HBA).unwrap();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
             -c ssl={} -c ssl_cert_file={} -c ssl_key_file={}",
            if tls { "on" } else { "off" },
            cluster.path("server.crt"),
            cluster.path("server.key"),
        );
        let log = cluster.path("log");
        for attempt in 1.. {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            cluster.port = free.local_addr().unwrap().port();
            drop(free);
            let options = format!("-p {} {options}", cluster.port);
            let started = cluster.try_run(
                "pg_ctl",
                &["-D", &data, "-l", &log, "-w", "-o", &options, "start"],
            );
            let Err(said) = started else {
                break;
            };
            // Somebody else was quicker to take it.
            let taken = said.contains("could not bind") && attempt < 5;
            assert!(taken, "{said}");
            fs::remove_file(&log).unwrap();
        }
        cluster
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        if let Err(said) = self.try_run(program, arguments) {
            panic!("{said}");
        }
    }

    /// What it and the server said, if it failed.
    fn try_run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.bin.join(program));
        command.args(arguments).current_dir(self.dir.path());
        // Into a file: a server that inherits a pipe would keep it open.
        let said = fs::File::create(self.path("said")).unwrap();
        let also = said.try_clone().unwrap();
        command.stdin(Stdio::null()).stdout(said).stderr(also);
        if is_root() {
            command.uid(NOBODY.0).gid(NOBODY.1);
        }
        command.env("LC_ALL", "C");
        if command.status().unwrap().success() {
            return Ok(());
        }
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        Err(format!("{program} failed: {}{}", read("said"), read("log")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if Path::new(&self.path("data/postmaster.pid")).exists() {
            self.run(
                "pg_ctl",
                &["-D", &self.path("data"), "-m", "immediate", "-w", "stop"],
            );
        }
    }
}

/// libpq's own client against a port of ours: exit status and what it said.
pub(super) async fn psql(conninfo: &str, password: &str, command: &str) -> (bool, String) {
    let run = tokio::process::Command::new(bin().join("psql"))
        .args([conninfo, "-XAtc", command])
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "60")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), run).await;
    let output = output.expect("psql ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
