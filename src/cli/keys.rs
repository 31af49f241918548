//! `pgveil keys`: the key ring's file, randomness and date for `mask::token::keyring`.
//!
//! The ring is changed as a whole and by one at a time. Deliberately absent: printing a key.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tempfile::NamedTempFile;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::mask::token::{KeyRingError, KeyRingFile, NewKey};
use crate::policy::Errors;
use crate::server::config::{Config, Secret};
use crate::server::today;

/// What to do with the key ring.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make a key under a new name. The first one makes the ring.
    New {
        /// The key's name in policies: person-2026
        name: String,
        /// The ring.
        #[command(flatten)]
        ring: RingArgs,
    },
    /// Names, ids and dates of the keys.
    List {
        /// The key ring's file
        #[arg(long, value_name = "FILE", required_unless_present = "config")]
        ring: Option<PathBuf>,
        /// Take the ring from this configuration
        #[arg(short, long, value_name = "FILE", conflicts_with = "ring")]
        config: Option<PathBuf>,
    },
    /// Make a newer key for a name. Tokens of the older ones stay good until those are retired.
    Rotate {
        /// The key's name in policies
        name: String,
        /// The ring.
        #[command(flatten)]
        ring: RingArgs,
    },
    /// Remove a key. Nobody can turn its tokens back any more: keep a copy of the ring if somebody may
    /// have to.
    Retire {
        /// The key's id, as `list` and its tokens show it
        id: String,
        /// The ring.
        #[command(flatten)]
        ring: RingArgs,
    },
}

/// A ring, and what opens it.
#[derive(Args, Debug)]
pub struct RingArgs {
    /// The key ring's file
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    ring: Option<PathBuf>,
    /// The environment variable with the passphrase
    #[arg(long, value_name = "NAME", default_value = "PGVEIL_KEY_PASSPHRASE")]
    passphrase_env: String,
    /// Take the ring, and what its passphrase comes from, from this configuration
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["ring", "passphrase_env"])]
    config: Option<PathBuf>,
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
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[source] Errors),
    /// The configuration names no ring.
    #[error("the configuration names no key ring: `keys: {{ring: keyring.json, …}}`")]
    NoRing,
    /// The passphrase did not come.
    #[error("{0}")]
    Source(String),
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
    let said = match command {
        KeysCommand::New { name, ring } => {
            let (ring, passphrase) = ring.open()?;
            let id = new_key(
                &ring,
                &name,
                passphrase.expose().as_bytes(),
                &today().to_string(),
            )?;
            format!("made key {name} ({id})")
        }
        KeysCommand::List { ring, config } => {
            return list(place(ring, config.as_deref())?.0, out);
        }
        KeysCommand::Rotate { name, ring } => {
            let (ring, passphrase) = ring.open()?;
            let id = rotate(
                &ring,
                &name,
                passphrase.expose().as_bytes(),
                &today().to_string(),
            )?;
            format!(
                "made key {name} ({id})\n\
                 pgveil takes it at its next RELOAD or SIGHUP. The older keys stay good until they are \
                 retired; tokens of kinds ff1 and hmac go on with the oldest."
            )
        }
        KeysCommand::Retire { id, ring } => {
            let (ring, passphrase) = ring.open()?;
            let name = retire(
                &ring,
                &id,
                passphrase.expose().as_bytes(),
                &today().to_string(),
            )?;
            format!(
                "retired key {name} ({id})\n\
                 After pgveil's next RELOAD or SIGHUP its tokens equal nothing, and nobody can turn them \
                 back; tokens of kinds ff1 and hmac that were made with it are others."
            )
        }
    };
    writeln!(out, "{said}").map_err(KeysError::Output)
}

impl RingArgs {
    fn open(self) -> Result<(PathBuf, Secret), KeysError> {
        let (ring, config) = place(self.ring, self.config.as_deref())?;
        let passphrase = match config {
            Some(Config {
                key_passphrase: Some(source),
                ..
            }) => source.passphrase().map_err(KeysError::Source)?,
            Some(_) => Secret::new(String::new()),
            None => std::env::var(&self.passphrase_env)
                .ok()
                .filter(|passphrase| !passphrase.is_empty())
                .map(Secret::new)
                .ok_or(KeysError::Passphrase(self.passphrase_env))?,
        };
        Ok((ring, passphrase))
    }
}

/// Where the ring is, and the configuration that says so.
fn place(
    ring: Option<PathBuf>,
    config: Option<&Path>,
) -> Result<(PathBuf, Option<Config>), KeysError> {
    let config = config
        .map(Config::load)
        .transpose()
        .map_err(KeysError::Config)?;
    let ring = ring.or_else(|| config.as_ref().and_then(|config| config.key_ring.clone()));
    ring.map(|ring| (ring, config)).ok_or(KeysError::NoRing)
}

fn list(ring: PathBuf, out: &mut dyn Write) -> Result<(), KeysError> {
    let file =
        read(&ring)?.ok_or_else(|| KeysError::File(ring, io::Error::from(ErrorKind::NotFound)))?;
    for key in file.entries() {
        let retired = match &key.retired {
            Some(day) => format!("  retired {day}"),
            None => String::new(),
        };
        let line = writeln!(out, "{}  {}  {}{retired}", key.id, key.created, key.name);
        line.map_err(KeysError::Output)?;
    }
    Ok(())
}

/// Adds a key to the ring, which is made if there is none, and gives the key's id.
pub fn new_key(
    ring: &Path,
    name: &str,
    passphrase: &[u8],
    today: &str,
) -> Result<String, KeysError> {
    change(ring, true, |file| {
        let key = random_key(today)?;
        Ok(file.add(passphrase, name, key).map(str::to_owned))
    })
}

/// Adds a newer key to those of a name, and gives its id.
pub fn rotate(
    ring: &Path,
    name: &str,
    passphrase: &[u8],
    today: &str,
) -> Result<String, KeysError> {
    change(ring, false, |file| {
        let key = random_key(today)?;
        Ok(file.rotate(passphrase, name, key).map(str::to_owned))
    })
}

/// Removes a key, and gives its name.
pub fn retire(ring: &Path, id: &str, passphrase: &[u8], today: &str) -> Result<String, KeysError> {
    change(ring, false, |file| {
        Ok(file.retire(passphrase, id, today).map(str::to_owned))
    })
}

fn random_key(today: &str) -> Result<NewKey, KeysError> {
    Ok(NewKey {
        bytes: random()?,
        id: *random()?,
        nonce: *random()?,
        created: today.to_owned(),
    })
}

/// Reads the ring, changes it, and writes it, while nobody else does.
fn change<T>(
    ring: &Path,
    may_make: bool,
    change: impl FnOnce(&mut KeyRingFile) -> Result<Result<T, KeyRingError>, KeysError>,
) -> Result<T, KeysError> {
    let failed = |e| KeysError::File(ring.to_owned(), e);
    // The file itself, if this is a link to it.
    let place = fs::canonicalize(ring).unwrap_or_else(|_| ring.to_owned());
    let folder = match place.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = File::open(folder)
        .map(|lock| (folder, lock))
        .map_err(failed)?;
    lock(&folder.1).map_err(failed)?;
    let (mut file, is_new) = match read(&place)? {
        Some(file) => (file, false),
        None if may_make => (KeyRingFile::empty(*random()?), true),
        None => return Err(failed(io::Error::from(ErrorKind::NotFound))),
    };
    let refused = |e| KeysError::Ring(ring.to_owned(), e);
    let changed = change(&mut file)?.map_err(refused)?;
    let text = file.to_text().map_err(refused)?;
    write(&place, folder.0, &text, is_new).map_err(failed)?;
    folder.1.sync_all().map_err(failed)?;
    Ok(changed)
}

/// Held until the folder is closed. Where a folder cannot be locked, two changes at one moment are the
/// operator's to avoid.
fn lock(folder: &File) -> io::Result<()> {
    match folder.lock() {
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(()),
        done => done,
    }
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

/// All or nothing: the text goes to a file beside the ring (mode 0600, of the ring's owner), is flushed
/// to the disk, and takes the ring's name. A new ring never takes the place of one that appeared
/// meanwhile.
fn write(ring: &Path, folder: &Path, text: &str, is_new: bool) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    let private = Permissions::from_mode(0o600);
    file.as_file().set_permissions(private)?;
    if !is_new {
        // Or the proxy, which runs as somebody else than root, could not read it any more.
        let (old, own) = (fs::metadata(ring)?, file.as_file().metadata()?);
        if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.as_file().sync_all()?;
    if is_new {
        file.persist_noclobber(ring)?;
    } else {
        file.persist(ring)?;
    }
    Ok(())
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeysError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(&mut *bytes).map_err(|_| KeysError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{KeysCommand, KeysError, new_key, retire, rotate, run};
    use crate::mask::token::{KeyRingError, KeyRingFile};

    fn list_of(ring: std::path::PathBuf) -> KeysCommand {
        KeysCommand::List {
            ring: Some(ring),
            config: None,
        }
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
        assert_eq!(opened.get("person").expect("kept")[0].id(), id);

        let mut listed = Vec::new();
        run(list_of(ring), &mut listed).expect("listed");
        let listed = String::from_utf8(listed).expect("text");
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines[0], format!("{id}  2026-01-31  person"));
        assert!(lines.len() == 2 && lines[1].ends_with("  2026-02-01  acme"));
    }

    #[test]
    fn a_rotated_ring_stays_private_and_what_is_retired_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ring, link) = (folder.path().join("ring"), folder.path().join("link"));
        let first = new_key(&ring, "person", b"secret", "2026-01-31").expect("made");
        std::os::unix::fs::symlink(&ring, &link).expect("a link");
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&ring, mode).expect("a mode");
        let second = rotate(&link, "person", b"secret", "2026-02-28").expect("rotated");
        let metadata = std::fs::metadata(&ring).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).expect("kept").is_symlink());
        let keys = || {
            let text = std::fs::read_to_string(&ring).expect("readable");
            let opened = KeyRingFile::parse(&text).expect("a ring").open(b"secret");
            let opened = opened.expect("opens");
            let ids = opened.get("person").expect("kept").iter();
            ids.map(|key| key.id().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys(), [second.as_str(), &first]);
        let before = std::fs::read(&ring).expect("readable");
        for refused in [
            rotate(&ring, "person", b"wrong", "2026-03-01"),
            rotate(&ring, "acme", b"secret", "2026-03-01"),
            rotate(&folder.path().join("none"), "acme", b"secret", "2026-03-01"),
            retire(&ring, &second, b"secret", "2026-03-01"),
            retire(&ring, &first, b"wrong", "2026-03-01"),
        ] {
            assert!(refused.is_err());
        }
        assert_eq!(std::fs::read(&ring).expect("readable"), before);
        assert!(!folder.path().join("none").exists());
        let name = retire(&ring, &first, b"secret", "2026-03-01").expect("retired");
        assert_eq!((name.as_str(), keys()), ("person", vec![second.clone()]));
        let mut listed = Vec::new();
        run(list_of(ring), &mut listed).expect("listed");
        assert_eq!(
            String::from_utf8(listed).expect("text"),
            format!(
                "{first}  2026-01-31  person  retired 2026-03-01\n{second}  2026-02-28  person\n"
            )
        );
    }

    #[test]
    fn changes_at_one_moment_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let ring = folder.path().join("ring");
        new_key(&ring, "person", b"secret", "2026-01-31").expect("made");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| rotate(&ring, "person", b"secret", "2026-02-28").expect("rotated"));
            }
        });
        let text = std::fs::read_to_string(&ring).expect("readable");
        let file = KeyRingFile::parse(&text).expect("a ring");
        assert_eq!(file.entries().len(), 5);
    }
}
