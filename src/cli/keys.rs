//! `pgveil keys new` and `pgveil keys list`: the keys tokens are made with.
//!
//! Deliberately absent: showing a key, or a passphrase on the command line, where everyone on the
//! machine can read it.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::bank;
use crate::mask::token::{KeyRingFile, NewKey};

/// The variable with the ring's passphrase.
const PASSPHRASE: &str = "PGVEIL_KEY_PASSPHRASE";

/// `pgveil keys`
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make a key, and the ring if there is none; the passphrase comes from PGVEIL_KEY_PASSPHRASE
    New(NewArgs),
    /// List names, ids and dates of the keys in a ring
    List(ListArgs),
}

/// `pgveil keys new`
#[derive(Args, Debug)]
pub struct NewArgs {
    /// The key's name, as `tokens` in the policy spells it.
    pub name: String,
    /// The ring's file.
    #[arg(long, value_name = "FILE", default_value = "keyring.json")]
    pub ring: PathBuf,
}

/// `pgveil keys list`
#[derive(Args, Debug)]
pub struct ListArgs {
    /// The ring's file.
    #[arg(long, value_name = "FILE", default_value = "keyring.json")]
    pub ring: PathBuf,
}

/// Runs a `keys` command.
///
/// # Errors
/// The ring cannot be read, opened or written, or already has a key of this name.
pub fn run(command: &KeysCommand, out: &mut dyn Write) -> io::Result<ExitCode> {
    match command {
        KeysCommand::New(args) => {
            let passphrase = env::var(PASSPHRASE).map(Zeroizing::new).ok();
            let passphrase = passphrase.filter(|text| !text.is_empty());
            let passphrase = passphrase.ok_or_else(|| {
                io::Error::other(format!(
                    "set {PASSPHRASE} to the passphrase of the key ring"
                ))
            })?;
            let id = create(&args.ring, &args.name, passphrase.as_bytes())?;
            writeln!(
                out,
                "{} has the new key {} (id {id})",
                args.ring.display(),
                args.name
            )?;
        }
        KeysCommand::List(args) => {
            for key in read(&args.ring)?.entries() {
                writeln!(out, "{}  {}  {}", key.created, key.id, key.name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds a key to the ring of this file, which is made when it is not there; gives the key's id.
///
/// # Errors
/// As [`run`].
pub fn create(file: &Path, name: &str, passphrase: &[u8]) -> io::Result<String> {
    let mut ring = match read(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => KeyRingFile::empty(random()?),
        other => other?,
    };
    let new = NewKey {
        bytes: Zeroizing::new(random()?),
        id: random()?,
        nonce: random()?,
        created: today(),
    };
    let id = ring
        .add(passphrase, name, new)
        .map_err(io::Error::other)?
        .to_owned();
    write(file, &ring.to_text().map_err(io::Error::other)?)?;
    Ok(id)
}

fn read(file: &Path) -> io::Result<KeyRingFile> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
    let text = fs::read_to_string(file).map_err(named)?;
    KeyRingFile::parse(&text).map_err(|e| io::Error::other(format!("{}: {e}", file.display())))
}

/// Whole or not at all, and for its owner only: a half-written ring would lose every token's key.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let mut new = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    new.write_all(text.as_bytes())
        .and_then(|()| new.sync_all())?;
    fs::rename(&beside, file)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn today() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    bank::day(since.map_or(0, |since: Duration| since.as_secs()) / 86_400)
}

#[cfg(test)]
mod tests {
    use super::{create, read};

    #[test]
    fn a_ring_grows_and_opens_with_its_passphrase_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyring.json");
        create(&file, "person", b"right").unwrap();
        create(&file, "card", b"right").unwrap();
        assert!(create(&file, "card", b"right").is_err());
        assert!(create(&file, "other", b"wrong").is_err());
        let ring = read(&file).unwrap();
        assert_eq!(ring.entries().len(), 2);
        assert!(ring.open(b"right").unwrap().get("person").is_some());
        assert!(ring.open(b"wrong").is_err());
    }
}
