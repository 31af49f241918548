//! Which functions leave something behind: facts of the server and of one database.
//!
//! Deliberately absent: how they are found (`server::routines`), and in which texts they are called
//! (`residue`).

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use super::residue::Residue;
use crate::ident;

/// Functions that may leave something behind, the server's and one database's own, by name, schema
/// aside: an overload or a namesake elsewhere counts as well.
pub struct Routines {
    stateful: HashMap<Box<[u8]>, Residue>,
    /// By a name's first byte, in lower case, the lengths there are: most names are none of them, and
    /// need not be looked up.
    lengths: Box<[u64; 256]>,
    /// What every statement may leave behind.
    pub(super) implicit: Residue,
    /// No two have the same.
    version: u64,
}

impl Default for Routines {
    fn default() -> Self {
        Self::new([], false)
    }
}

/// Functions of the server that change their session, or run a text that could; and those of its own
/// extensions that do.
const SERVER: [(&str, Residue); 35] = [
    ("connectby", Residue::UNSEEN),
    ("crosstab", Residue::UNSEEN),
    ("crosstab2", Residue::UNSEEN),
    ("crosstab3", Residue::UNSEEN),
    ("crosstab4", Residue::UNSEEN),
    ("cursor_to_xml", Residue::UNSEEN),
    ("cursor_to_xmlschema", Residue::UNSEEN),
    ("pg_advisory_lock", Residue::STATE),
    ("pg_advisory_lock_shared", Residue::STATE),
    ("pg_advisory_unlock", Residue::STATE),
    ("pg_advisory_unlock_all", Residue::STATE),
    ("pg_advisory_unlock_shared", Residue::STATE),
    ("pg_backup_start", Residue::UNSEEN),
    ("pg_backup_stop", Residue::UNSEEN),
    ("pg_copy_logical_replication_slot", Residue::UNSEEN),
    ("pg_copy_physical_replication_slot", Residue::UNSEEN),
    ("pg_create_logical_replication_slot", Residue::UNSEEN),
    ("pg_create_physical_replication_slot", Residue::UNSEEN),
    ("pg_replication_origin_session_reset", Residue::UNSEEN),
    ("pg_replication_origin_session_setup", Residue::UNSEEN),
    ("pg_start_backup", Residue::UNSEEN),
    ("pg_stop_backup", Residue::UNSEEN),
    ("pg_try_advisory_lock", Residue::STATE),
    ("pg_try_advisory_lock_shared", Residue::STATE),
    ("query_to_xml", Residue::UNSEEN),
    ("query_to_xml_and_xmlschema", Residue::UNSEEN),
    ("query_to_xmlschema", Residue::UNSEEN),
    ("set_config", Residue::UNSEEN),
    ("ts_rewrite", Residue::UNSEEN),
    ("ts_stat", Residue::UNSEEN),
    ("xpath_table", Residue::UNSEEN),
    ("dblink_connect", Residue::UNSEEN),
    ("dblink_connect_u", Residue::UNSEEN),
    ("dblink_open", Residue::UNSEEN),
    ("set_limit", Residue::UNSEEN),
];

impl Routines {
    /// Functions of the server that leave something behind.
    pub fn of_the_server() -> impl Iterator<Item = &'static str> {
        SERVER.iter().map(|(name, _)| *name)
    }

    /// Functions of the database itself that may leave something behind, and whether statements can
    /// call one without naming it: by triggers, defaults, views, rules, policies, casts, operators.
    pub fn new(stateful: impl IntoIterator<Item = String>, implicit: bool) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let mut routines = Self {
            stateful: HashMap::new(),
            lengths: Box::new([0; 256]),
            implicit: if implicit {
                Residue::UNSEEN
            } else {
                Residue::NONE
            },
            version: VERSIONS.fetch_add(1, Ordering::Relaxed),
        };
        for (name, residue) in SERVER {
            routines.add(name.as_bytes(), residue);
        }
        for name in stateful {
            routines.add(name.as_bytes(), Residue::UNSEEN);
        }
        routines
    }

    fn add(&mut self, name: &[u8], residue: Residue) {
        if let Some(lengths) = name.first().and_then(|first| self.lengths_of(*first)) {
            *lengths |= length_bit(name);
        }
        *self.stateful.entry(name.into()).or_default() |= residue;
    }

    fn lengths_of(&mut self, first: u8) -> Option<&mut u64> {
        self.lengths
            .get_mut(usize::from(first.to_ascii_lowercase()))
    }

    /// Which one this is.
    pub(super) fn version(&self) -> [u8; 7] {
        let [bytes @ .., _] = self.version.to_le_bytes();
        bytes
    }

    /// What a call of this name may leave behind.
    pub(super) fn call(&self, name: Name<'_>) -> Residue {
        let (Name::Plain(written) | Name::Quoted(written, _)) = name;
        let first = written.first().copied().unwrap_or_default();
        let lengths = self.lengths.get(usize::from(first.to_ascii_lowercase()));
        let known = lengths.is_some_and(|lengths| lengths & length_bit(written) != 0);
        match name {
            // PostgreSQL cuts it, and it may be any of those then; and what is in quotes may be shorter
            // than it is written.
            _ if written.len() > ident::MAX_BYTES => Residue::UNSEEN,
            Name::Quoted(_, false) => Residue::UNSEEN,
            _ if !known => Residue::NONE,
            Name::Plain(word) => self.get(&Lower::of(word)),
            Name::Quoted(name, true) => self.get(name),
        }
    }

    /// The same of a name behind a dot, which calls a function of the row before it (`o.attr` is
    /// `attr(o)`); none of the server's takes one.
    pub(super) fn attribute(&self, name: Name<'_>) -> Residue {
        let (Name::Plain(written) | Name::Quoted(written, _)) = name;
        let found = self.call(name);
        let is = |name: &str| written.eq_ignore_ascii_case(name.as_bytes());
        if found.is_none() || Self::of_the_server().any(is) {
            return Residue::NONE;
        }
        found
    }

    fn get(&self, name: &[u8]) -> Residue {
        self.stateful.get(name).copied().unwrap_or_default()
    }
}

/// One bit for each length of a name.
fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(ident::MAX_BYTES)
}

/// A name or keyword in lower case; `?`, which is none, for what is longer than any.
pub(super) struct Lower {
    bytes: [u8; ident::MAX_BYTES],
    len: usize,
}

impl Lower {
    pub(super) fn of(word: &[u8]) -> Self {
        let mut bytes = [0; ident::MAX_BYTES];
        if let Some(lower) = bytes.get_mut(..word.len()) {
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            let len = word.len();
            return Self { bytes, len };
        }
        bytes[0] = b'?';
        Self { bytes, len: 1 }
    }
}

impl Deref for Lower {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A name as written.
#[derive(Clone, Copy)]
pub(super) enum Name<'t> {
    /// Or a keyword.
    Plain(&'t [u8]),
    /// As [`Item::Quoted`](super::words::Item::Quoted).
    Quoted(&'t [u8], bool),
}

impl Name<'_> {
    /// Is it this one, which is of lower case?
    pub(super) fn is(self, name: &str) -> bool {
        match self {
            Self::Plain(word) => word.eq_ignore_ascii_case(name.as_bytes()),
            Self::Quoted(quoted, _) => quoted == name.as_bytes(),
        }
    }
}
