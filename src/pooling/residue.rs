//! What a text may leave behind in the session that runs it.
//!
//! Read from words alone, without a grammar, for texts of unrestricted clients that may be anything:
//! a word too many costs a question to the server, a word too few would hand one client's state to the
//! next, so every doubt is answered with [`Residue::UNSEEN`]. Which functions leave something behind
//! is a fact of the database ([`Routines`]).

use std::ops::{BitOr, BitOrAssign};

use super::recent;
use super::routines::{Lower, Name, Routines};
use super::statements::PREFIX;
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

/// What running `text` may leave behind. `hidden` is told the names of settings that `pg_settings`
/// does not list.
pub fn residue(text: &[u8], routines: &Routines, hidden: &mut dyn FnMut(&str)) -> Residue {
    if recent::leaves_nothing(text, routines.version()) {
        return Residue::NONE;
    }
    let found = read(text, routines, hidden);
    if found.is_none() {
        recent::learn(text, routines.version());
    }
    found
}

fn read(text: &[u8], routines: &Routines, hidden: &mut dyn FnMut(&str)) -> Residue {
    let mut reading = Reading {
        routines,
        hidden,
        found: Residue::NONE,
        previous: Previous::Start,
        call: None,
        setting: Vec::new(),
        updates: false,
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
    /// A dot behind another name
    Dot,
    /// CREATE, INTO, LOCAL, GLOBAL, REPLACE
    Maker,
    /// INSERT, MERGE
    Inserter,
    /// `set_config(`
    SetConfig,
    /// Its first argument, if that is all of it
    SetConfigNamed,
    Other,
}

struct Reading<'a, 't> {
    routines: &'a Routines,
    hidden: &'a mut dyn FnMut(&str),
    found: Residue,
    previous: Previous,
    /// The name just read; a call if `(` follows.
    call: Option<Name<'t>>,
    /// The first part of a setting's name.
    setting: Vec<u8>,
    /// The word UPDATE was read.
    updates: bool,
}

impl<'t> Reading<'_, 't> {
    fn take(&mut self, item: &Item<'t>) {
        let clear = match self.previous {
            Previous::SetConfig => matches!(item, Item::String(_)),
            Previous::SetConfigNamed => *item == Item::Comma,
            _ => true,
        };
        if !clear {
            self.found |= Residue::UNSEEN;
        }
        match *item {
            Item::Word(word) => self.name(Name::Plain(word)),
            Item::Quoted(name, plain) => self.name(Name::Quoted(name, plain)),
            Item::String(value) => {
                self.call = None;
                self.previous = if self.previous == Previous::SetConfig {
                    // It says which setting: the server tells the rest.
                    self.setting(value);
                    Previous::SetConfigNamed
                } else {
                    Previous::Other
                };
            }
            Item::Semicolon => {
                self.call = None;
                self.previous = Previous::Start;
            }
            Item::Open => {
                self.previous = self.open();
                self.call = None;
            }
            Item::Dot => {
                self.previous = match self.previous {
                    Previous::Setting => Previous::SettingDot,
                    _ => Previous::Dot,
                };
            }
            Item::Number(_) | Item::Comma | Item::Other => {
                self.call = None;
                self.previous = Previous::Other;
            }
            Item::Unreadable => self.found |= Residue::UNSEEN,
        }
    }

    /// `(`, after what may be a name.
    fn open(&mut self) -> Previous {
        match (self.call, self.previous) {
            (None, Previous::Start) => Previous::Start,
            (None, _) => Previous::Other,
            (Some(name), _) if name.is("set_config") => Previous::SetConfig,
            (Some(name), _) => {
                self.found |= self.routines.call(name);
                Previous::Other
            }
        }
    }

    fn name(&mut self, name: Name<'t>) {
        if self.previous == Previous::Dot {
            self.found |= self.routines.attribute(name);
        }
        // The view has a rule that calls set_config.
        self.updates |= name.is("update");
        if self.updates && name.is("pg_settings") {
            self.found |= Residue::UNSEEN;
        }
        self.call = Some(name);
        self.previous = match (self.previous, name) {
            (Previous::Start, Name::Plain(word)) => self.begin(&Lower::of(word)),
            (Previous::Set, Name::Plain(word)) => self.set(&Lower::of(word)),
            (Previous::SetSession, Name::Plain(word)) => match &*Lower::of(word) {
                b"characteristics" => self.changed(),
                b"authorization" | b"role" => self.identity(),
                name => self.named(name),
            },
            (Previous::Set | Previous::SetSession, Name::Quoted(name, _)) => self.named(name),
            (Previous::SettingDot, Name::Plain(word)) => self.named_within(&Lower::of(word)),
            (Previous::SettingDot, Name::Quoted(name, _)) => self.named_within(name),
            (_, Name::Quoted(..)) => Previous::Other,
            (before, Name::Plain(word)) => self.within(before, word),
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
            b"create" | b"alter" => (Residue::STATE | self.routines.implicit, Previous::Maker),
            b"drop" | b"import" | b"reassign" | b"execute" => {
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
        self.setting = name.to_vec();
        Previous::Setting
    }

    /// The same behind a dot.
    fn named_within(&mut self, name: &[u8]) -> Previous {
        let name = [&self.setting, name].join(&b'.');
        self.named(&name)
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
        let (residue, next) = match Telling::of(word) {
            None => return Previous::Other,
            Some(Telling::Insert) => (Residue::NONE, Previous::Inserter),
            Some(Telling::Make) => (Residue::NONE, Previous::Maker),
            // SELECT INTO makes a table, and the search path may begin with pg_temp.
            Some(Telling::Into) if before == Previous::Inserter => (Residue::NONE, Previous::Maker),
            Some(Telling::Create | Telling::Into) => (Residue::STATE, Previous::Maker),
            Some(Telling::Temporary) if before != Previous::Maker => {
                (Residue::NONE, Previous::Other)
            }
            Some(Telling::Temporary | Telling::Keep) => (Residue::STATE, Previous::Other),
            // It may be called before anyone has looked what it does.
            Some(Telling::Routine) if before == Previous::Maker => {
                (Residue::UNSEEN, Previous::Other)
            }
            Some(Telling::Routine) => (Residue::NONE, Previous::Other),
            Some(Telling::Own) => (Residue::UNSEEN, Previous::Other),
        };
        self.found |= residue;
        next
    }
}

/// Words that tell something wherever they stand.
enum Telling {
    /// INSERT, MERGE
    Insert,
    Create,
    /// LOCAL, GLOBAL, REPLACE
    Make,
    Into,
    /// TEMP, TEMPORARY
    Temporary,
    /// HOLD, PREPARE, EXECUTE, `pg_temp…`
    Keep,
    /// AGGREGATE, FUNCTION, PROCEDURE, ROUTINE
    Routine,
    /// The name of a statement of the proxy's own
    Own,
}

impl Telling {
    /// Length and first letter decide for nearly every word.
    fn of(word: &[u8]) -> Option<Self> {
        let is = |keyword: &[u8]| word.eq_ignore_ascii_case(keyword);
        let begins = |keyword: &[u8]| {
            let start = word.get(..keyword.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(keyword))
        };
        match (word.len(), word.first()?.to_ascii_lowercase()) {
            (6, b'i') if is(b"insert") => Some(Self::Insert),
            (5, b'm') if is(b"merge") => Some(Self::Insert),
            (6, b'c') if is(b"create") => Some(Self::Create),
            (5, b'l') if is(b"local") => Some(Self::Make),
            (6, b'g') if is(b"global") => Some(Self::Make),
            (7, b'r') if is(b"replace") => Some(Self::Make),
            (4, b'i') if is(b"into") => Some(Self::Into),
            (4, b't') if is(b"temp") => Some(Self::Temporary),
            (9, b't') if is(b"temporary") => Some(Self::Temporary),
            (4, b'h') if is(b"hold") => Some(Self::Keep),
            (7, b'e') if is(b"execute") => Some(Self::Keep),
            (7, b'r') if is(b"routine") => Some(Self::Routine),
            (8, b'f') if is(b"function") => Some(Self::Routine),
            (9, b'a') if is(b"aggregate") => Some(Self::Routine),
            (9, b'p') if is(b"procedure") => Some(Self::Routine),
            (9.., b'p') if begins(PREFIX) => Some(Self::Own),
            (7.., b'p') if is(b"prepare") || begins(b"pg_temp") => Some(Self::Keep),
            _ => None,
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
            "SELECT LOG_IN, \"LOG_IN\"(1), odd(1), log(1), log_on(1) FROM t",
            "SELECT \"set_config\".a FROM t WHERE \"into\" IN (1)",
            "SELECT function, routine FROM procedure",
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
            "SELECT PG_Advisory_Lock(1)",
            "SELECT \"pg_advisory_lock\"(1)",
            "Select 1 Into x",
            "SELECT * FROM PG_TEMP_3.x",
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
            ("SELECT Set_Config('app.x', $1, false)", &["app.x"]),
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
            "SELECT set_config(('role'), 'x', false)",
            "SELECT set_config('ro'||'le', 'x', false)",
            "SELECT set_config('app.'\n'x', 'x', false)",
            "SELECT set_config('ro' 'le', 'x', false)",
            "SELECT set_config(E'r\\157le', 'x', false)",
            "SELECT set_config(setting_name => 'role', new_value => 'x', is_local => false)",
            "SELECT set_config('role'::text, 'x', false)",
            "BEGIN; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; SELECT f(); COMMIT",
            "create or replace procedure p() language sql as ''",
            "ALTER FUNCTION f() RENAME TO g",
            "DEALLOCATE pgveil_s1",
            "EXECUTE PGVEIL_S12",
            "SELECT log_in(1)",
            "SELECT app.log_in (1)",
            "SELECT \"Odd\"(1)",
            "SELECT o.log_in FROM open o",
            "SELECT (o).log_in FROM open o",
            "SELECT o.\"Odd\" FROM open o",
            "SELECT LOG_IN(1)",
            "SELECT \"a\"\"b\"(1)",
            // Cut by PostgreSQL to 63 bytes, which may be the name of one.
            "SELECT a234567890123456789012345678901234567890123456789012345678901234(1)",
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
