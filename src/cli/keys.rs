//! `pgveil keys`: the key ring's file, randomness and date for `mask::token::keyring`.
//!
//! Deliberately absent: printing a key, and changing or removing one.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use tempfile::NamedTempFile;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::mask::token::{KeyRingError, KeyRingFile, NewKey};

/// What to do with the key ring.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make a key. The first one makes the ring.
    New {
        /// The key's name in policies: person-2026
        name: String,
        /// The key ring's file
        #[arg(long, value_name = "FILE")]
        ring: PathBuf,
        /// The environment variable with the passphrase
        #[arg(long, value_name = "NAME", default_value = "PGVEIL_KEY_PASSPHRASE")]
        passphrase_env: String,
    },
    /// Names, ids and dates of the keys.
    List {
        /// The key ring's file
        #[arg(long, value_name = "FILE")]
        ring: PathBuf,
    },
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The file could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    /// The ring refused.
    #[error("{}: {}", .0.display(), .1)]
    Ring(PathBuf, #[source] KeyRingError),
    /// No passphrase, or an empty one.
    #[error("the environment variable {0} must hold the key ring's passphrase")]
    Passphrase(String),
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system")]
    Randomness,
    /// The output is closed.
    #[error("cannot write: {0}")]
    Output(#[source] io::Error),
}

/// Runs one of the commands.
pub fn run(command: KeysCommand, out: &mut dyn Write) -> Result<(), KeysError> {
    match command {
        KeysCommand::New {
            name,
            ring,
            passphrase_env,
        } => {
            let passphrase = (std::env::var(&passphrase_env).ok())
                .filter(|passphrase| !passphrase.is_empty())
                .map(|passphrase| Zeroizing::new(passphrase.into_bytes()))
                .ok_or(KeysError::Passphrase(passphrase_env))?;
            let id = new_key(&ring, &name, &passphrase, &today())?;
            writeln!(out, "made key {name} ({id})").map_err(KeysError::Output)
        }
        KeysCommand::List { ring } => {
            let file = read(&ring)?
                .ok_or_else(|| KeysError::File(ring, io::Error::from(ErrorKind::NotFound)))?;
            for key in file.entries() {
                writeln!(out, "{}  {}  {}", key.id, key.created, key.name)
                    .map_err(KeysError::Output)?;
            }
            Ok(())
        }
    }
}

/// Adds a key to the ring, which is made if there is none, and gives the key's id.
pub fn new_key(
    ring: &Path,
    name: &str,
    passphrase: &[u8],
    today: &str,
) -> Result<String, KeysError> {
    let existing = read(ring)?;
    let is_new = existing.is_none();
    let mut file = match existing {
        Some(file) => file,
        None => KeyRingFile::empty(*random()?),
    };
    let key = NewKey {
        bytes: random()?,
        id: *random()?,
        nonce: *random()?,
        created: today.to_owned(),
    };
    let refused = |e| KeysError::Ring(ring.to_owned(), e);
    let id = file.add(passphrase, name, key).map_err(refused)?.to_owned();
    let text = file.to_text().map_err(refused)?;
    write(ring, &text, is_new).map_err(|e| KeysError::File(ring.to_owned(), e))?;
    Ok(id)
}

fn read(ring: &Path) -> Result<Option<KeyRingFile>, KeysError> {
    match fs::read_to_string(ring) {
        Ok(text) => {
            (KeyRingFile::parse(&text).map(Some)).map_err(|e| KeysError::Ring(ring.to_owned(), e))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(KeysError::File(ring.to_owned(), e)),
    }
}

/// All or nothing: the text goes to a file beside the ring (mode 0600), is flushed to the disk, and
/// takes the ring's name. A new ring never takes the place of one that appeared meanwhile.
fn write(ring: &Path, text: &str, is_new: bool) -> io::Result<()> {
    let folder = match ring.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if is_new {
        file.persist_noclobber(ring)?;
    } else {
        file.persist(ring)?;
    }
    fs::File::open(folder)?.sync_all()
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeysError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(&mut *bytes).map_err(|_| KeysError::Randomness)?;
    Ok(bytes)
}

/// UTC's date, `YYYY-MM-DD`.
fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The Gregorian date of a day since 1970, by counting in eras of 400 years that begin in March
/// (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{KeysCommand, KeysError, civil, new_key, run};
    use crate::mask::token::{KeyRingError, KeyRingFile};

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(59), (1970, 3, 1));
        // 10957 days: 30 years with 7 leap days.
        assert_eq!(civil(10_957), (2000, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }

    #[test]
    fn a_ring_is_private_and_keys_are_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let ring = folder.path().join("keyring.json");
        let id = new_key(&ring, "person", b"secret", "2026-01-31").expect("made");
        let mode = std::fs::metadata(&ring)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read(&ring).expect("readable");
        for (name, passphrase, error) in [
            ("person", &b"secret"[..], KeyRingError::Exists),
            ("acme", b"wrong", KeyRingError::Locked),
        ] {
            match new_key(&ring, name, passphrase, "2026-01-31") {
                Err(KeysError::Ring(_, e)) => assert_eq!(e, error),
                other => panic!("{:?}", other.is_ok()),
            }
        }
        assert_eq!(std::fs::read(&ring).expect("readable"), before);
        new_key(&ring, "acme", b"secret", "2026-02-01").expect("made");
        let text = std::fs::read_to_string(&ring).expect("readable");
        let opened = KeyRingFile::parse(&text)
            .expect("a ring")
            .open(b"secret")
            .expect("opens");
        assert_eq!(opened.get("person").expect("kept").id(), id);

        let mut listed = Vec::new();
        run(KeysCommand::List { ring }, &mut listed).expect("listed");
        let listed = String::from_utf8(listed).expect("text");
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines[0], format!("{id}  2026-01-31  person"));
        assert!(lines.len() == 2 && lines[1].ends_with("  2026-02-01  acme"));
    }
}
