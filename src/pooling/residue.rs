//! What a text may leave behind in the session that runs it.
//!
//! Read from words alone, without a grammar, for texts of unrestricted clients that may be anything:
//! a word too many costs a question to the server, a word too few would hand one client's state to the
//! next, so every doubt is answered with [`Residue::UNSEEN`]. Which functions leave something behind
//! is a fact of the database ([`Routines`]).

use std::collections::HashMap;
use std::ops::{BitOr, BitOrAssign};
use std::sync::atomic::{AtomicU64, Ordering};

use super::words::{Item, Words};

/// What is left when a transaction is over.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Residue(u8);

impl Residue {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Session settings, as `pg_settings` shows them.
    pub const SETTINGS: Self = Self(1);
    /// What the catalogs show: temporary tables, held cursors, prepared statements of SQL, advisory
    /// locks, LISTEN.
    pub const STATE: Self = Self(2);
    /// What nothing shows: settings of unknown names, loaded libraries, connections of extensions.
    pub const UNSEEN: Self = Self(4);

    /// Settings of the transaction only: nothing is left of them.
    pub const LOCAL: Self = Self(8);

    /// Is there nothing?
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// What is left when the transaction is over.
    #[must_use]
    pub fn beyond(self) -> Self {
        Self(self.0 & !Self::LOCAL.0)
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// All of `other` is in here.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Residue {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Residue {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// Functions of one database that may leave something behind, by name, schema aside: an overload or a
/// namesake elsewhere counts as well.
pub struct Routines {
    stateful: HashMap<Box<[u8]>, Residue>,
    implicit: Residue,
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
const SERVER: [(&str, Residue); 29] = [
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
    ("dblink_connect", Residue::UNSEEN),
    ("dblink_connect_u", Residue::UNSEEN),
    ("dblink_open", Residue::UNSEEN),
    ("set_limit", Residue::UNSEEN),
];

impl Routines {
    /// Functions of the database itself that may leave something behind, and whether statements can
    /// call one without naming it: by triggers, defaults, views, rules, policies, casts, operators.
    pub fn new(stateful: impl IntoIterator<Item = String>, implicit: bool) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let own = stateful
            .into_iter()
            .map(|name| (name.into_bytes().into_boxed_slice(), Residue::UNSEEN));
        Self {
            stateful: own.collect(),
            implicit: if implicit {
                Residue::UNSEEN
            } else {
                Residue::NONE
            },
            version: VERSIONS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Which one this is.
    pub(super) fn version(&self) -> [u8; 7] {
        let [bytes @ .., _] = self.version.to_le_bytes();
        bytes
    }

    fn call(&self, name: &[u8]) -> Residue {
        let server = SERVER.iter().find(|(n, _)| n.as_bytes() == name);
        let own = self.stateful.get(name).copied().unwrap_or_default();
        server.map_or(own, |(_, residue)| own | *residue)
    }
}

/// What running `text` may leave behind. `hidden` is told the names of settings that `pg_settings`
/// does not list.
pub fn residue(text: &[u8], routines: &Routines, hidden: &mut dyn FnMut(&str)) -> Residue {
    let mut reading = Reading {
        routines,
        hidden,
        found: Residue::NONE,
        previous: Previous::Start,
        call: Name::default(),
        setting: Name::default(),
    };
    for item in Words::new(text) {
        reading.take(&item);
    }
    reading.found
}

/// What stood before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// A statement begins.
    Start,
    /// SET or RESET, its first words.
    Set,
    /// `SET SESSION`
    SetSession,
    /// The name of a setting was just read.
    Setting,
    /// A setting's name, and a dot.
    SettingDot,
    /// CREATE, INTO, LOCAL, GLOBAL, REPLACE
    Maker,
    /// INSERT, MERGE
    Inserter,
    /// `set_config(`
    SetConfig,
    Other,
}

struct Reading<'a> {
    routines: &'a Routines,
    hidden: &'a mut dyn FnMut(&str),
    found: Residue,
    previous: Previous,
    /// The last name, lower case unless it was quoted; a call if `(` follows.
    call: Name,
    /// The first part of a setting's name.
    setting: Name,
}

/// A name, as far as PostgreSQL would look at it, without a place on the heap.
struct Name {
    bytes: [u8; crate::ident::MAX_BYTES],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self {
            bytes: [0; crate::ident::MAX_BYTES],
            len: 0,
        }
    }
}

impl Name {
    fn set(&mut self, name: &[u8]) {
        self.len = name.len().min(self.bytes.len());
        let (to, from) = (self.bytes.get_mut(..self.len), name.get(..self.len));
        if let (Some(to), Some(from)) = (to, from) {
            to.copy_from_slice(from);
        }
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Reading<'_> {
    fn take(&mut self, item: &Item<'_>) {
        match item {
            Item::Word(word) => {
                let mut short = [0; 64];
                match short.get_mut(..word.len()) {
                    Some(lower) => {
                        lower.copy_from_slice(word);
                        lower.make_ascii_lowercase();
                        self.word(lower, false);
                    }
                    // Longer than any keyword or name.
                    None => self.word(b"?", false),
                }
            }
            Item::Quoted(name) => self.word(name, true),
            Item::String(value) => {
                if self.previous == Previous::SetConfig {
                    // The first argument, and it says which setting: the server tells the rest.
                    self.setting(value);
                }
                self.call.clear();
                self.previous = Previous::Other;
            }
            Item::Semicolon => {
                self.call.clear();
                self.previous = Previous::Start;
            }
            Item::Open => {
                self.previous = self.open();
                self.call.clear();
            }
            Item::Dot => {
                self.previous = match self.previous {
                    Previous::Setting => Previous::SettingDot,
                    _ => Previous::Other,
                };
            }
            Item::Other => {
                if self.previous == Previous::SetConfig {
                    self.found |= Residue::UNSEEN;
                }
                self.call.clear();
                self.previous = Previous::Other;
            }
            Item::Unreadable => self.found |= Residue::UNSEEN,
        }
    }

    /// `(`, after what may be a name.
    fn open(&mut self) -> Previous {
        if self.call.len == 0 {
            return match self.previous {
                Previous::Start => Previous::Start,
                _ => Previous::Other,
            };
        }
        if self.call.get() == b"set_config" {
            return Previous::SetConfig;
        }
        self.found |= self.routines.call(self.call.get());
        Previous::Other
    }

    fn word(&mut self, word: &[u8], quoted: bool) {
        if self.previous == Previous::SetConfig {
            self.found |= Residue::UNSEEN;
        }
        self.call.set(word);
        self.previous = match (self.previous, quoted) {
            (Previous::Start, false) => self.begin(word),
            (Previous::Set, false) => self.set(word),
            (Previous::SetSession, false) => match word {
                b"characteristics" => self.changed(),
                b"authorization" | b"role" => self.identity(),
                name => self.named(name),
            },
            (Previous::Set | Previous::SetSession, true) => self.named(word),
            (Previous::SettingDot, _) => {
                let name = [self.setting.get(), word].join(&b'.');
                self.named(&name)
            }
            (_, true) => Previous::Other,
            (before, false) => self.within(before, word),
        };
    }

    /// The first word of a statement.
    fn begin(&mut self, word: &[u8]) -> Previous {
        let (residue, next) = match word {
            b"select" | b"insert" | b"update" | b"delete" | b"merge" | b"with" | b"values"
            | b"table" | b"copy" | b"call" | b"explain" | b"fetch" | b"move" | b"refresh"
            | b"lock" | b"truncate" | b"analyze" | b"analyse" | b"vacuum" | b"reindex"
            | b"cluster" | b"commit" | b"end" => (self.routines.implicit, Previous::Other),
            b"begin" | b"start" | b"rollback" | b"abort" | b"savepoint" | b"release" | b"show"
            | b"checkpoint" | b"notify" | b"comment" | b"grant" | b"revoke" | b"security" => {
                (Residue::NONE, Previous::Other)
            }
            b"set" | b"reset" => (Residue::NONE, Previous::Set),
            b"create" => (Residue::STATE | self.routines.implicit, Previous::Maker),
            b"alter" | b"drop" | b"import" | b"reassign" | b"execute" => {
                (Residue::STATE | self.routines.implicit, Previous::Other)
            }
            b"declare" | b"close" | b"prepare" | b"deallocate" | b"listen" | b"unlisten" => {
                (Residue::STATE, Previous::Other)
            }
            b"discard" => (Residue::STATE | Residue::SETTINGS, Previous::Other),
            // DO runs anything, LOAD cannot be undone, and what is not listed is not known.
            _ => (Residue::UNSEEN, Previous::Other),
        };
        self.found |= residue;
        match word {
            b"insert" | b"merge" => Previous::Inserter,
            _ => next,
        }
    }

    /// After SET or RESET.
    fn set(&mut self, word: &[u8]) -> Previous {
        match word {
            b"session" => Previous::SetSession,
            // Over with the transaction. (SET LOCAL x; the name does not matter.)
            b"local" | b"transaction" | b"constraints" => {
                self.found |= Residue::LOCAL;
                Previous::Other
            }
            b"role" => self.identity(),
            b"time" | b"names" | b"schema" | b"catalog" | b"xml" | b"all" => self.changed(),
            name => self.named(name),
        }
    }

    fn changed(&mut self) -> Previous {
        self.found |= Residue::SETTINGS;
        Previous::Other
    }

    fn identity(&mut self) -> Previous {
        (self.hidden)("session_authorization");
        (self.hidden)("role");
        self.changed()
    }

    /// `SET name`; more of it may follow behind a dot.
    fn named(&mut self, name: &[u8]) -> Previous {
        self.setting(name);
        self.setting.set(name);
        Previous::Setting
    }

    fn setting(&mut self, name: &[u8]) {
        self.found |= Residue::SETTINGS;
        let Ok(name) = std::str::from_utf8(name) else {
            self.found |= Residue::UNSEEN;
            return;
        };
        match name.to_ascii_lowercase().as_str() {
            "role" | "session_authorization" => {
                self.identity();
            }
            lower if lower.contains('.') => (self.hidden)(lower),
            _ => {}
        }
    }

    /// A word in the middle.
    fn within(&mut self, before: Previous, word: &[u8]) -> Previous {
        match word {
            b"insert" | b"merge" => Previous::Inserter,
            b"create" => {
                self.found |= Residue::STATE;
                Previous::Maker
            }
            b"local" | b"global" | b"replace" => Previous::Maker,
            b"into" => {
                // SELECT INTO makes a table, and the search path may begin with pg_temp.
                if before != Previous::Inserter {
                    self.found |= Residue::STATE;
                }
                Previous::Maker
            }
            b"temp" | b"temporary" if before == Previous::Maker => {
                self.found |= Residue::STATE;
                Previous::Other
            }
            b"hold" | b"prepare" | b"execute" => {
                self.found |= Residue::STATE;
                Previous::Other
            }
            _ if word.starts_with(b"pg_temp") => {
                self.found |= Residue::STATE;
                Previous::Other
            }
            _ => Previous::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Residue, Routines, residue};

    fn of(text: &str) -> (Residue, Vec<String>) {
        let routines = Routines::new(["log_in".to_owned(), "Odd".to_owned()], false);
        let mut hidden = Vec::new();
        let found = residue(text.as_bytes(), &routines, &mut |n| {
            hidden.push(n.to_owned());
        });
        (found, hidden)
    }

    #[test]
    fn plain_statements_leave_nothing() {
        for text in [
            "",
            "SELECT abalance FROM pgbench_accounts WHERE aid = 1;",
            "insert into t (a, b) values (1, 'SET x = 1; LISTEN a')",
            "WITH x(a) AS (INSERT INTO t SELECT 1 RETURNING *) SELECT count(*) FROM x",
            "UPDATE t SET a = 1, temp = 2 WHERE b = $1",
            "BEGIN; SELECT 1; COMMIT",
            "/* set x */ -- listen\n SELECT $$create temp table$$, $a$ $$ ; load $a$",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
            "SELECT temp, \"log_in\" FROM readings WHERE pg_sleep(0) IS NULL",
            "SELECT E'\\' set_config(' FROM t",
            "(SELECT 1) UNION (SELECT 2)",
            "COPY t FROM STDIN",
            "select pg_advisory_xact_lock(1)",
        ] {
            assert_eq!(of(text), (Residue::NONE, vec![]), "{text}");
        }
    }

    #[test]
    fn settings_of_a_transaction_end_with_it() {
        let text = "BEGIN;SET LOCAL work_mem='1GB';SET TRANSACTION READ ONLY;END";
        assert_eq!(of(text), (Residue::LOCAL, vec![]));
        assert!(of(text).0.beyond().is_none());
    }

    #[test]
    fn what_the_server_can_list_is_asked_for() {
        for text in [
            "CREATE TEMP TABLE x AS SELECT 1",
            "create local temporary table x (a int)",
            "SELECT 1 INTO TEMP x",
            "select 1 into x",
            "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
            "INSERT INTO pg_temp.x VALUES (1)",
            "LISTEN a",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_catalog . pg_try_advisory_lock /* a */ (1)",
            "BEGIN; LISTEN a; COMMIT",
        ] {
            assert!(of(text).0.has(Residue::STATE), "{text}");
        }
    }

    #[test]
    fn settings_are_asked_for_and_hidden_ones_by_name() {
        let none: [&str; 0] = [];
        let both = ["session_authorization", "role"];
        let cases: [(&str, &[&str]); 10] = [
            ("SET work_mem = '1GB'", &none),
            ("set session datestyle to iso", &none),
            ("RESET ALL", &none),
            ("SET TIME ZONE 'UTC'", &none),
            ("SET app.tenant = '5'", &["app.tenant"]),
            ("SET SESSION \"app\".\"tenant\" TO 5", &["app.tenant"]),
            ("SET ROLE x", &both),
            ("SET SESSION AUTHORIZATION x", &both),
            ("SELECT set_config('app.x', $1, false)", &["app.x"]),
            (
                "SELECT pg_catalog.set_config('search_path', '', false)",
                &none,
            ),
        ];
        for (text, names) in cases {
            let (found, hidden) = of(text);
            assert_eq!(found, Residue::SETTINGS, "{text}");
            assert_eq!(hidden, names, "{text}");
        }
    }

    #[test]
    fn what_nothing_lists_stays_with_its_client() {
        for text in [
            "DO $$ begin end $$",
            "LOAD 'auto_explain'",
            "SELECT set_config($1, 'x', false)",
            "SELECT set_config(name, 'x', false) FROM t",
            "SELECT log_in(1)",
            "SELECT app.log_in (1)",
            "SELECT \"Odd\"(1)",
            "CALL log_in()",
            "SELECT 1; frobnicate",
            "SELECT 'unterminated",
            "SELECT query_to_xml('select 1', true, true, '')",
        ] {
            assert!(of(text).0.has(Residue::UNSEEN), "{text}");
        }
    }

    #[test]
    fn a_trigger_that_may_leave_something_makes_every_statement_suspect() {
        let routines = Routines::new(["t".to_owned()], true);
        let of = |text: &str| residue(text.as_bytes(), &routines, &mut |_| {});
        assert_eq!(of("INSERT INTO x VALUES (1)"), Residue::UNSEEN);
        assert_eq!(of("SELECT 1"), Residue::UNSEEN);
        assert_eq!(of("COMMIT"), Residue::UNSEEN);
        assert_eq!(of("BEGIN"), Residue::NONE);
    }
}
