//! Whose account the throwaway server runs under. PostgreSQL refuses to run as root, so root drops
//! to `postgres` or `nobody`.
//!
//! Deliberately absent: NSS. `/etc/passwd` is enough for these two system accounts, and reading it
//! needs no unsafe code.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// An account to run a server under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account to drop to, given the effective user id: `None` when it is not root's.
    pub(super) fn for_server(euid: u32) -> Result<Option<Self>, &'static str> {
        if euid != 0 {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Self::find(&passwd, name))
            .map(Some)
            .ok_or(
                "PostgreSQL does not run as root, and /etc/passwd has neither postgres nor nobody",
            )
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))?;
        let (uid, gid) = (entry.get(2)?.parse().ok()?, entry.get(3)?.parse().ok()?);
        (uid != 0).then_some(Self { uid, gid })
    }

    /// Runs `command` under this account; std clears the supplementary groups as well.
    pub(super) fn apply(account: Option<Self>, command: &mut Command) {
        if let Some(Self { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
    }

    /// Whether a path can be reached by anybody, as far as mode bits say: every folder above it can
    /// be passed, and it can itself be read.
    pub(super) fn anyone_reaches(path: &Path) -> bool {
        let open = |p: &Path, bits: u32| fs::metadata(p).is_ok_and(|m| m.mode() & bits == bits);
        open(path, 0o005)
            && path
                .ancestors()
                .skip(1)
                .all(|p| p.as_os_str().is_empty() || open(p, 0o001))
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nodd:x\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let nobody = Account {
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(Account::find(PASSWD, "nobody"), Some(nobody));
        assert_eq!(Account::find(PASSWD, "body"), None);
        assert_eq!(Account::find(PASSWD, "odd"), None);
    }

    #[test]
    fn root_is_never_the_account() {
        assert_eq!(Account::find(PASSWD, "root"), None);
        assert_eq!(Account::for_server(1000), Ok(None));
    }
}
