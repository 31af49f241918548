//! What a session has open while policy or catalog change: it goes on where nothing changed for it, and
//! is closed or refused where it would show something else.

use std::fs;
use std::path::PathBuf;

use super::client::{Answer, Client};
use super::stage::{Another, PASSWORD, Stage, soon};

/// PostgreSQL itself, as the owner of everything.
pub(crate) fn as_owner() -> Client {
    let address = Stage::shared().cluster.address();
    Client::connect(address, "stage_login", PASSWORD, "stage").unwrap()
}

/// A proxy with a policy of its own.
struct Proxy {
    running: Another,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        fs::write(&path, policy()).unwrap();
        let policies = path.clone();
        let running = Stage::shared().another(move |config| config.policies = policies);
        Self {
            running,
            path,
            _folder: folder,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.running.addr, "support", PASSWORD, "stage").unwrap()
    }

    /// Puts a policy into force, which the answer to `probe` shows.
    fn put(&self, policy: &str, probe: &str, want: &str) {
        fs::write(&self.path, policy).unwrap();
        self.running.reload().unwrap();
        self.until(probe, want);
    }

    /// Waits until a new session's answer is this.
    fn until(&self, probe: &str, want: &str) {
        let what = format!("{probe} does not become {want}");
        soon(&what, || shown(&self.connect().simple(probe)) == want);
    }
}

fn policy() -> String {
    fs::read_to_string(Stage::shared().policy()).unwrap()
}

const PROBE: &str = "SELECT email FROM people WHERE id = 2";

/// The same treatments under a name more: a new epoch, and nothing else.
fn alike() -> String {
    policy().replace(
        "masks: {email: {keep_first: 1, stop_at: '@'}}",
        "masks: {email: {keep_first: 1, stop_at: '@'}, other: {keep_first: 2}}",
    )
}

fn tighter() -> String {
    policy().replace(
        "keep_first: 1, stop_at: '@'",
        "keep_first: 2, hide_length: 3",
    )
}

fn denied() -> String {
    policy().replace("support: mask(email)", "support: deny")
}

/// Rows, or the SQLSTATE.
fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Rows(rows, _) => rows.join(", "),
        Answer::Error(state, _) => state.clone(),
    }
}

/// Everything a session can have open over one query.
struct Open {
    client: Client,
}

impl Open {
    fn over(proxy: &Proxy, query: &str) -> Self {
        let mut client = proxy.connect();
        let sql =
            format!("PREPARE p AS {query}; BEGIN; DECLARE c CURSOR FOR {query}; FETCH 1 FROM c");
        assert!(matches!(client.simple(&sql), Answer::Rows(..)));
        client.send(b'P', format!("s\0{query}\0\0\0").as_bytes());
        client.send(b'D', b"Ss\0");
        client.send(b'B', b"q\0s\0\0\0\0\0\0\0");
        client.send(b'E', b"q\0\0\0\0\x01");
        client.send(b'S', b"");
        client.until_ready();
        Self { client }
    }

    /// Runs one message pair in a savepoint of its own, so that an error undoes no more than itself.
    fn try_one(&mut self, run: impl FnOnce(&mut Client) -> Answer) -> String {
        self.client.simple("SAVEPOINT one");
        let answer = run(&mut self.client);
        self.client.simple("ROLLBACK TO one");
        shown(&answer)
    }

    fn execute(&mut self) -> String {
        self.try_one(|client| client.simple("EXECUTE p"))
    }

    fn fetch(&mut self) -> String {
        self.try_one(|client| client.simple("FETCH 1 FROM c"))
    }

    fn bind(&mut self) -> String {
        self.try_one(|client| {
            client.send(b'B', b"\0s\0\0\0\0\0\0\0");
            client.send(b'E', b"\0\0\0\0\0");
            client.send(b'S', b"");
            client.answer()
        })
    }

    fn portal(&mut self) -> String {
        self.try_one(|client| {
            client.send(b'E', b"q\0\0\0\0\x01");
            client.send(b'S', b"");
            client.answer()
        })
    }
}

const OUTPUT: &str = "SELECT email FROM people WHERE email IS NOT NULL ORDER BY id";
const SOURCE: &str = "SELECT upper(email) FROM people WHERE email IS NOT NULL ORDER BY id";

#[test]
fn what_nothing_changed_for_goes_on() {
    let proxy = Proxy::start();
    for (query, second) in [(OUTPUT, "g****@example.com"), (SOURCE, "G****@EXAMPLE.COM")] {
        let all = format!(
            "{}, {second}",
            second.replace("g****", "a**").replace("G****", "A**")
        );
        for text in [alike(), policy()] {
            let mut open = Open::over(&proxy, query);
            let before = proxy.snapshots();
            fs::write(&proxy.path, text).unwrap();
            proxy.running.reload().unwrap();
            soon("it is not reloaded", || proxy.snapshots() != before);
            assert_eq!(open.portal(), second);
            assert_eq!(open.fetch(), second);
            assert_eq!(open.execute(), all);
            assert_eq!(open.bind(), all);
        }
    }
}

impl Proxy {
    fn snapshots(&self) -> String {
        let metrics = super::observed::metrics(self.running.admin_addr.unwrap());
        let line = metrics
            .lines()
            .find(|l| l.starts_with("pgveil_snapshots_total "));
        line.unwrap().to_owned()
    }
}

#[test]
fn tighter_masks_reach_what_is_prepared_and_close_what_is_half_read() {
    for (query, new) in [(OUTPUT, "ad***, gr***"), (SOURCE, "AD***, GR***")] {
        let proxy = Proxy::start();
        let mut open = Open::over(&proxy, query);
        proxy.put(&tighter(), PROBE, "gr***");
        assert_eq!(open.portal(), "24000", "{query}");
        assert_eq!(open.portal(), "34000", "{query}");
        assert_eq!(open.fetch(), "24000", "{query}");
        assert_eq!(open.fetch(), "34000", "{query}");
        assert_eq!(open.bind(), new, "{query}");
        assert_eq!(open.execute(), new, "{query}");
        assert_eq!(open.execute(), new, "{query}");
        open.client.simple("COMMIT");
        assert_eq!(shown(&open.client.simple("EXECUTE p")), new, "{query}");
        assert_eq!(shown(&open.client.simple("DEALLOCATE p")), "");
        assert_eq!(shown(&open.client.simple("EXECUTE p")), "26000");
    }
}

#[test]
fn what_is_denied_now_is_refused() {
    for query in [OUTPUT, SOURCE] {
        let proxy = Proxy::start();
        let mut open = Open::over(&proxy, query);
        proxy.put(&denied(), PROBE, "42501");
        assert_eq!(open.portal(), "24000", "{query}");
        assert_eq!(open.fetch(), "24000", "{query}");
        assert_eq!(open.bind(), "42501", "{query}");
        assert_eq!(open.execute(), "42501", "{query}");
    }
}

#[test]
fn a_held_cursor_is_closed_outside_a_transaction_too() {
    let proxy = Proxy::start();
    let mut client = proxy.connect();
    client.simple(&format!("DECLARE h CURSOR WITH HOLD FOR {SOURCE}"));
    assert_eq!(shown(&client.simple("FETCH 1 FROM h")), "A**@EXAMPLE.COM");
    proxy.put(&tighter(), PROBE, "gr***");
    assert_eq!(shown(&client.extended("FETCH 1 FROM h")), "24000");
    assert_eq!(shown(&client.simple("FETCH 1 FROM h")), "34000");
    assert_eq!(shown(&client.simple("SELECT name FROM pg_cursors")), "");
    client.simple(&format!("DECLARE h CURSOR WITH HOLD FOR {SOURCE}"));
    assert_eq!(shown(&client.simple("FETCH 1 FROM h")), "AD***");
}

#[test]
fn columns_added_elsewhere_are_no_concern_and_another_result_is_refused_as_postgresql_does() {
    let proxy = Proxy::start();
    let mut owner = as_owner();
    owner.simple("CREATE TABLE grows (a int, b text); INSERT INTO grows VALUES (1, 'x')");
    proxy.until("SELECT a, b FROM grows", "1 | x");
    let statements = [
        "SELECT a FROM grows",
        "SELECT * FROM grows",
        "SELECT b || '' FROM grows",
    ];
    let prepare = |client: &mut Client| {
        for (i, sql) in statements.iter().enumerate() {
            client.simple(&format!("PREPARE p{i} AS {sql}"));
            client.send(b'P', format!("s{i}\0{sql}\0\0\0").as_bytes());
            client.send(b'D', format!("Ss{i}\0").as_bytes());
            client.send(b'S', b"");
            client.until_ready();
        }
    };
    let run = |client: &mut Client| -> Vec<String> {
        let mut told = Vec::new();
        for i in 0..statements.len() {
            client.send(b'B', format!("\0s{i}\0\0\0\0\0\0\0").as_bytes());
            client.send(b'E', b"\0\0\0\0\0");
            client.send(b'S', b"");
            told.push(shown(&client.answer()));
            told.push(shown(&client.simple(&format!("EXECUTE p{i}"))));
        }
        told
    };
    let (mut client, mut direct) = (proxy.connect(), as_owner());
    for client in [&mut client, &mut direct] {
        prepare(client);
    }
    owner.simple("ALTER TABLE grows ADD COLUMN c int");
    proxy.until("SELECT c FROM grows", "(null)");
    let expected = run(&mut direct);
    assert_eq!(expected, ["1", "1", "0A000", "0A000", "x", "x"]);
    assert_eq!(run(&mut client), expected);
    // A type that changes under a name.
    let (mut client, mut direct) = (proxy.connect(), as_owner());
    for client in [&mut client, &mut direct] {
        client.simple("PREPARE p AS SELECT a + 1 FROM grows");
        client.send(b'P', b"s\0SELECT a + 1 FROM grows\0\0\0");
        client.send(b'D', b"Ss\0");
        client.send(b'S', b"");
        client.until_ready();
    }
    owner.simple("ALTER TABLE grows ALTER a TYPE bigint");
    proxy.until("SELECT pg_typeof(a) FROM grows", "bigint");
    for (name, client) in [("PostgreSQL", &mut direct), ("support", &mut client)] {
        client.send(b'B', b"\0s\0\0\0\0\0\0\0");
        client.send(b'E', b"\0\0\0\0\0");
        client.send(b'S', b"");
        assert_eq!(shown(&client.answer()), "0A000", "{name}");
        assert_eq!(shown(&client.simple("SELECT 1")), "1", "{name}");
    }
    owner.simple("DROP TABLE grows");
}

#[test]
fn a_prepared_statement_follows_the_search_path() {
    let stage = Stage::shared();
    let mut owner = as_owner();
    owner.simple(
        "CREATE SCHEMA one; CREATE TABLE one.t AS SELECT 1 AS n; \
         CREATE SCHEMA two; CREATE TABLE two.t AS SELECT 2 AS n",
    );
    let mut support = Client::connect(stage.addr, "support", PASSWORD, "stage").unwrap();
    soon("the table is not found", || {
        shown(&support.simple("SELECT n FROM two.t")) == "2"
    });
    for (name, client) in [("PostgreSQL", &mut owner), ("support", &mut support)] {
        client.simple("SET search_path = one");
        client.simple("PREPARE p AS SELECT n FROM t");
        client.send(b'P', b"s\0SELECT n FROM t\0\0\0");
        client.send(b'S', b"");
        client.until_ready();
        for (path, want) in [("one", "1"), ("two", "2"), ("one", "1")] {
            client.simple(&format!("SET search_path = {path}"));
            assert_eq!(shown(&client.simple("EXECUTE p")), want, "{name}");
            client.send(b'B', b"\0s\0\0\0\0\0\0\0");
            client.send(b'E', b"\0\0\0\0\0");
            client.send(b'S', b"");
            assert_eq!(shown(&client.answer()), want, "{name}");
        }
    }
    owner.simple("DROP SCHEMA one CASCADE; DROP SCHEMA two CASCADE");
}

/// A default of each kind, of columns under a rule and others.
const KIOSK: &str = "CREATE TABLE kiosk (id serial, email text DEFAULT 'nobody@kiosk', \
     city text DEFAULT 'Lund', note text DEFAULT 'it''s ''public.x'', (''public.y'', ' || current_user, \
     day date DEFAULT '2026-01-05', n int DEFAULT '-7', pair text[] DEFAULT ARRAY['a', 'b''c'], \
     at text DEFAULT 'at ' || nextval('public.still_seq'), \
     where_ text GENERATED ALWAYS AS ('in ' || city) STORED, \
     whom text GENERATED ALWAYS AS ('to ' || email) STORED)";

const DEFAULTS: &str = "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d \
     JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
     WHERE d.adrelid = 'kiosk'::regclass ORDER BY a.attnum";

fn rows(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Rows(rows, _) => rows.clone(),
        Answer::Error(state, text) => vec![format!("{state} {text}")],
    }
}

#[test]
fn defaults_of_columns_the_role_sees_are_shown_until_it_sees_them_no_more() {
    let mut owner = as_owner();
    owner.simple("CREATE SEQUENCE still_seq");
    assert_eq!(shown(&owner.simple(KIOSK)), "");
    let proxy = Proxy::start();
    let of = |columns: &str| {
        policy().replace(
            "columns:\n",
            &format!("columns:\n  public.kiosk: {columns}\n"),
        )
    };
    let column = |name: &str| {
        format!(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef d WHERE adrelid = 'kiosk'::regclass \
                 AND adnum = (SELECT attnum FROM pg_attribute WHERE attrelid = adrelid AND attname = '{name}')"
        )
    };
    proxy.put(&of("{email: email}"), &column("email"), "'…'::text");

    // As PostgreSQL has it, but for the column under a rule and what is computed from it.
    let direct = rows(&owner.simple(DEFAULTS));
    assert_eq!(direct.len(), 10);
    let hidden = |row: &String| match row.as_str() {
        "email | 'nobody@kiosk'::text" => "email | '…'::text".to_owned(),
        "whom | ('to '::text || email)" => "whom | ('…'::text || email)".to_owned(),
        // Its first constant is a text, which may look like a name.
        row if row.starts_with("at |") => row.replace("still_seq", "public.still_seq"),
        row => row.to_owned(),
    };
    let mut client = proxy.connect();
    let expected: Vec<String> = direct.iter().map(hidden).collect();
    assert_eq!(rows(&client.simple(DEFAULTS)), expected);
    assert_eq!(rows(&client.extended(DEFAULTS)), expected);

    // Prepared while the role saw the city, and run when it does not.
    let mut open = Open::over(&proxy, &column("city"));
    assert_eq!(open.bind(), "'Lund'::text");
    proxy.put(
        &of("{email: email, city: email}"),
        &column("city"),
        "'…'::text",
    );
    assert_eq!(open.portal(), "24000");
    assert_eq!(open.fetch(), "24000");
    assert_eq!(open.bind(), "'…'::text");
    assert_eq!(open.execute(), "'…'::text");
    let where_ = shown(&open.client.simple(&column("where_")));
    assert_eq!(where_, "('…'::text || city)");
    drop(open);

    // A column that takes the name of one under a rule, and a new default, in one moment: no statement
    // shows that default, however old the catalog is that it was planned on.
    proxy.put(&of("{email: email}"), &column("city"), "'Lund'::text");
    let mut open = Open::over(&proxy, &column("email"));
    owner.simple(
        "BEGIN; ALTER TABLE kiosk RENAME email TO was; ALTER TABLE kiosk RENAME city TO email; \
         ALTER TABLE kiosk ALTER email SET DEFAULT 'zqx@kiosk'; COMMIT",
    );
    soon("the new name is not seen", || {
        for sql in [&column("email"), DEFAULTS] {
            let told = shown(&client.simple(sql));
            assert!(!told.contains("zqx"), "{told}");
        }
        let told = open.bind();
        assert!(!told.contains("zqx"), "{told}");
        shown(&client.simple(&column("was"))) == "'nobody@kiosk'::text"
    });
    // One that is set again is shown when it is known.
    owner.simple("ALTER TABLE kiosk ALTER was SET DEFAULT 'somebody'");
    proxy.until(&column("was"), "'somebody'::text");
    drop(proxy);
    owner.simple("DROP TABLE kiosk; DROP SEQUENCE still_seq");
}
