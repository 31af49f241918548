//! Keys that are rotated and retired while clients work with their tokens, and tokens of several
//! recipients.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pgveil::cli::keys;
use pgveil::server::config::{PoolMode, Secret};

use super::client::{Answer, Client};
use super::reload::as_owner;
use super::stage::{Another, PASSWORD, Stage, soon};

const POLICY: &str = "
version: 1
mode: enforce
databases: [stage]
defaults: {unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}
classes: {email: {level: C2}}
columns:
  public.people: {email: email}
  public.ROTATED: {email: email}
tokens:
  analysts: {kind: siv, key: k}
  partner: {kind: hmac, key: k}
  acme: {kind: siv, key: k}
roles:
  support: {match: {login: support}, kind: human}
  watched: {match: {login: watched}, kind: service}
  nobody: {match: {login: nobody}, kind: third_party, expires: 2999-01-01}
treat:
  class: {email: {support: token(analysts), watched: token(partner), nobody: token(acme)}}
write:
  support: {public.ROTATED: all}
";

/// A proxy whose keys a test changes, over a table of its own.
struct Proxy {
    running: Another,
    ring: PathBuf,
    table: String,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(table: &str) -> Self {
        Self::start_in(table, PoolMode::Session)
    }

    fn start_in(table: &str, mode: PoolMode) -> Self {
        as_owner().simple(&format!("CREATE TABLE {table} (id int, email text)"));
        let folder = tempfile::tempdir().unwrap();
        let ring = folder.path().join("keyring.json");
        keys::new_key(&ring, "k", b"secret", "2026-01-01").unwrap();
        let policy = folder.path().join("policy.yaml");
        fs::write(&policy, POLICY.replace("ROTATED", table)).unwrap();
        let place = ring.clone();
        let running = Stage::shared().another(move |config| {
            config.policies = policy;
            config.pool.mode = mode;
            config.key_ring = Some(place);
            config.key_passphrase = Some(Arc::new(Secret::new("secret".to_owned())));
        });
        Self {
            running,
            ring,
            table: table.to_owned(),
            _folder: folder,
        }
    }

    fn connect(&self, user: &str) -> Client {
        Client::connect(self.running.addr, user, PASSWORD, "stage").unwrap()
    }

    /// Makes a newer key and puts it into force; says its id.
    fn rotate(&self) -> String {
        let id = keys::rotate(&self.ring, "k", b"secret", "2026-02-01").unwrap();
        self.reload();
        id
    }

    fn retire(&self, id: &str) {
        keys::retire(&self.ring, id, b"secret", "2026-02-02").unwrap();
        self.reload();
    }

    fn reload(&self) {
        self.running.reload().unwrap();
        Stage::shared().block_on(self.running.reloaded());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        as_owner().simple(&format!("DROP TABLE {}", self.table));
    }
}

/// The id of the key that made a token.
pub(crate) fn key_of(token: &str) -> &str {
    token.get(4..8).unwrap()
}

/// Rows, or the SQLSTATE and the message.
fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Rows(rows, _) => rows.join(", "),
        Answer::Error(state, message) => format!("{state} {message}"),
    }
}

fn ask(client: &mut Client, sql: &str) -> String {
    shown(&client.simple(sql))
}

const ONE: &str = "SELECT email FROM people WHERE id = 1";

/// One statement with a parameter in text.
pub(crate) fn bound(client: &mut Client, sql: &str, value: &str) -> Answer {
    client.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
    let mut bind = b"\0\0\0\0\0\x01".to_vec();
    bind.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
    bind.extend_from_slice(value.as_bytes());
    bind.extend_from_slice(b"\0\0");
    client.send(b'B', &bind);
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    client.answer()
}

/// What a token finds wherever one may stand where it is compared.
fn found(client: &mut Client, token: &str) -> Vec<String> {
    let mut found = Vec::new();
    for sql in [
        "SELECT id FROM people WHERE email = 'TOKEN'",
        "SELECT id FROM people WHERE email IN ('TOKEN', 'x')",
        "SELECT id FROM people WHERE email = ANY ('{x,TOKEN}')",
        "SELECT id FROM people WHERE email = ANY (ARRAY['TOKEN'])",
        "SELECT id FROM people WHERE (email, city) = ('TOKEN', 'Lund')",
        "SELECT id FROM people WHERE email IS NOT DISTINCT FROM 'TOKEN'",
        "SELECT 1 FROM people WHERE email <> 'TOKEN' HAVING count(*) = 1",
        "SELECT p.id FROM people p JOIN (VALUES ('TOKEN'), ('x')) v(t) ON v.t = p.email",
        "SELECT p.id FROM people p, unnest('{TOKEN}'::text[]) t WHERE t = p.email",
        "PREPARE l AS SELECT id FROM people WHERE email = $1; EXECUTE l ('TOKEN')",
    ] {
        found.push(ask(client, &sql.replace("TOKEN", token)));
    }
    client.simple("DEALLOCATE ALL");
    for (sql, value) in [
        ("SELECT id FROM people WHERE email = $1", "TOKEN"),
        (
            "SELECT id FROM people WHERE email = ANY ($1::text[])",
            "{x,TOKEN}",
        ),
        (
            "SELECT p.id FROM people p JOIN unnest($1::text[]) t ON t = p.email",
            "{TOKEN}",
        ),
    ] {
        found.push(shown(&bound(client, sql, &value.replace("TOKEN", token))));
    }
    found
}

/// What comes of a token where one is stored.
fn stored(client: &mut Client, table: &str, token: &str) -> Vec<String> {
    client.simple(&format!("DELETE FROM {table}"));
    let mut said = vec![
        ask(
            client,
            &format!("INSERT INTO {table} VALUES (1, '{token}')"),
        ),
        shown(&bound(
            client,
            &format!("INSERT INTO {table} VALUES (1, $1)"),
            token,
        )),
    ];
    client.send(b'Q', format!("COPY {table} FROM STDIN\0").as_bytes());
    client.send(b'd', format!("1\t{token}\n").as_bytes());
    client.send(b'c', b"");
    said.push(shown(&client.answer()));
    said.push(ask(client, &format!("SELECT email FROM {table}")));
    said
}

#[test]
fn tokens_of_older_keys_mean_the_same_cell_until_their_key_is_retired() {
    let proxy = Proxy::start("kept");
    let mut client = proxy.connect("support");
    let first = ask(&mut client, ONE);
    client.simple("PREPARE p AS SELECT email FROM people WHERE email = $1");
    let second_key = proxy.rotate();
    let second = ask(&mut client, ONE);
    assert_eq!(key_of(&second), second_key);
    let third_key = proxy.rotate();
    let third = ask(&mut proxy.connect("support"), ONE);
    assert_eq!(key_of(&third), third_key);
    for token in [&first, &second, &third] {
        assert_eq!(found(&mut client, token), ["1"; 13], "{token}");
        let kept = [third.as_str(); 3].join(", ");
        assert_eq!(stored(&mut client, "kept", token), ["", "", "", &kept]);
    }
    // What is in the database is what the tokens stand for.
    let stored_now = ask(&mut as_owner(), "SELECT DISTINCT email FROM kept");
    assert_eq!(stored_now, "ada@example.com");
    client.simple("PREPARE p AS SELECT email FROM people WHERE email = $1");
    let mixed = format!("SELECT count(*) FROM people WHERE email IN ('{first}', '{third}')");
    assert_eq!(ask(&mut client, &mixed), "1");
    // PostgreSQL may be given tokens to compute with; of which key, it could not tell from a text.
    let loud = "SELECT count(upper(email)) FROM people WHERE email = ";
    let refused = ask(&mut client, &format!("{loud}'{first}'"));
    assert!(refused.starts_with("42501 "), "{refused}");
    assert_eq!(ask(&mut client, &format!("{loud}email || ''")), {
        ask(&mut client, "SELECT count(email) FROM people")
    });

    proxy.retire(key_of(&second));
    assert_eq!(found(&mut client, &first), ["1"; 13]);
    let forged = format!("{}{}", third.get(..8).unwrap(), "a".repeat(third.len() - 8));
    // No key has this id, whatever they are.
    let ids = [&first, &second, &third].map(|token| key_of(token));
    let mut unknown = ["aaaa", "bbbb", "cccc", "dddd"].into_iter();
    let unknown = unknown.find(|id| !ids.contains(id)).unwrap();
    let of_another = format!("tok_{unknown}{}", second.get(8..).unwrap());
    let foreign = ask(&mut proxy.connect("nobody"), ONE);
    let (mut compared, mut kept) = (HashSet::new(), HashSet::new());
    for token in [
        &second,
        &forged,
        &of_another,
        &foreign,
        &third.get(..20).unwrap().to_owned(),
    ] {
        compared.insert(found(&mut client, token));
        kept.insert(stored(&mut client, "kept", token));
    }
    // They equal nothing, and say nothing of which they are.
    assert_eq!(compared, HashSet::from([vec![String::new(); 13]]));
    assert_eq!(kept.len(), 1, "{kept:?}");
    let said = kept.into_iter().next().unwrap();
    for refused in &said[..3] {
        let words = "42501 value is not a token of domain \"analysts\"";
        assert_eq!(refused, words);
    }
    assert_eq!(said[3], "");
}

#[test]
fn what_is_half_read_goes_on_with_its_key_and_ends_with_it() {
    let proxy = Proxy::start("half_read");
    let mut client = proxy.connect("support");
    let all = "SELECT email FROM people WHERE email IS NOT NULL ORDER BY id";
    let before = ask(&mut client, all);
    let (one, two) = before.split_once(", ").unwrap();
    let open = |client: &mut Client| {
        client.simple(&format!(
            "BEGIN; DECLARE c CURSOR FOR {all}; FETCH 1 FROM c"
        ));
        client.send(b'P', format!("s\0{all}\0\0\0").as_bytes());
        client.send(b'B', b"q\0s\0\0\0\0\0\0\0");
        client.send(b'E', b"q\0\0\0\0\x01");
        client.send(b'H', b"");
        client.send(b'S', b"");
        assert_eq!(shown(&client.answer()), one);
    };
    let portal = |client: &mut Client| {
        client.send(b'E', b"q\0\0\0\0\x01");
        client.send(b'S', b"");
        shown(&client.answer())
    };
    open(&mut client);
    let mut other = proxy.connect("support");
    open(&mut other);
    proxy.rotate();
    // Half a result is not of one key and half of another.
    assert_eq!(ask(&mut client, "FETCH 1 FROM c"), two);
    assert_eq!(portal(&mut client), two);
    let after = ask(&mut client, all);
    assert_ne!(after, before);
    client.send(b'B', b"\0s\0\0\0\0\0\0\0");
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    assert_eq!(shown(&client.answer()), after);
    proxy.retire(key_of(one));
    let closed = portal(&mut other);
    assert!(closed.starts_with("24000 portal was closed"), "{closed}");
    other.simple("ROLLBACK; BEGIN");
    other.simple(&format!("DECLARE c CURSOR FOR {all}; FETCH 1 FROM c"));
    assert_eq!(
        ask(&mut other, "FETCH 1 FROM c"),
        after.split_once(", ").unwrap().1
    );
}

/// One client at work: reads a cell's token, and finds the cell by it, in every way a driver has.
fn work(client: &mut Client, known: &mut Vec<String>) {
    let token = ask(client, ONE);
    assert!(token.starts_with("tok_"), "{token}");
    known.push(token.clone());
    known.dedup();
    let oldest = known.first().unwrap();
    for token in [&token, oldest] {
        let one = shown(&bound(
            client,
            "SELECT id FROM people WHERE email = $1",
            token,
        ));
        assert_eq!(one, "1", "{token}");
        let sql = format!("BEGIN; SELECT id FROM people WHERE email = '{token}'");
        assert_eq!(ask(client, &sql), "1", "{token}");
        let listed = format!("EXECUTE l ('{token}'); COMMIT");
        assert_eq!(ask(client, &listed), "1", "{token}");
        client.send(b'B', b"\0s\0\0\0\0\0\0\0");
        client.send(b'H', b"");
        client.send(b'E', b"\0\0\0\0\0");
        client.send(b'S', b"");
        let prepared = shown(&client.answer());
        assert!(prepared.starts_with("tok_"), "{prepared}");
    }
    let cursor = "BEGIN; DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id; FETCH 1 FROM c";
    let first = ask(client, cursor);
    let second = ask(client, "FETCH 1 FROM c");
    assert_eq!(
        first.get(..8).unwrap(),
        second.get(..8).unwrap(),
        "one key in one result"
    );
    assert_eq!(ask(client, "COMMIT"), "");
}

#[test]
fn rotation_under_load_loses_no_query() {
    rotate_under_load("loaded", PoolMode::Session);
}

#[test]
fn nor_does_it_where_connections_are_lent() {
    rotate_under_load("lent_and_loaded", PoolMode::Transaction);
}

fn rotate_under_load(table: &str, mode: PoolMode) {
    let proxy = Proxy::start_in(table, mode);
    let stop = AtomicBool::new(false);
    let done = [const { AtomicUsize::new(0) }; 4];
    let tokens = thread::scope(|scope| {
        let clients: Vec<_> = (done.iter())
            .map(|rounds| {
                let (proxy, stop) = (&proxy, &stop);
                scope.spawn(move || {
                    let mut client = proxy.connect("support");
                    client.simple("PREPARE l AS SELECT id FROM people WHERE email = $1");
                    client.send(b'P', format!("s\0{ONE}\0\0\0").as_bytes());
                    client.send(b'S', b"");
                    client.until_ready();
                    let mut known = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        work(&mut client, &mut known);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                    known.into_iter().collect::<HashSet<_>>().len()
                })
            })
            .collect();
        // Each key is met by every client: one round may have begun before it, the next has not.
        let met = || {
            let before = done.each_ref().map(|n| n.load(Ordering::Relaxed));
            soon("a client stands still", || {
                let now = done.iter().zip(before);
                clients.iter().any(thread::ScopedJoinHandle::is_finished)
                    || now
                        .clone()
                        .all(|(n, was)| n.load(Ordering::Relaxed) > was + 1)
            });
        };
        for _ in 0..8 {
            met();
            thread::sleep(Duration::from_millis(100));
            proxy.rotate();
        }
        met();
        stop.store(true, Ordering::Relaxed);
        let done = clients.into_iter().map(|client| client.join().unwrap());
        done.collect::<Vec<_>>()
    });
    // The first key and eight that came after it.
    assert_eq!(tokens, [9; 4]);
}

#[test]
fn irreversible_tokens_change_when_their_key_is_retired_and_not_before() {
    for (table, mode) in [
        ("computed", PoolMode::Session),
        ("computed_lent", PoolMode::Transaction),
    ] {
        irreversible_tokens_change(&Proxy::start_in(table, mode));
    }
}

fn irreversible_tokens_change(proxy: &Proxy) {
    // At the output, and in PostgreSQL.
    let computed = "SELECT email || '' FROM people WHERE id = 1";
    let mut old = proxy.connect("watched");
    let before = ask(&mut old, ONE);
    assert_eq!(ask(&mut old, computed), before);
    let second = proxy.rotate();
    let mut new = proxy.connect("watched");
    for client in [&mut old, &mut new] {
        assert_eq!(ask(client, ONE), before);
        assert_eq!(ask(client, computed), before);
        let sql = format!("SELECT id FROM people WHERE email = '{before}'");
        assert_eq!(ask(client, &sql), "1");
    }
    proxy.retire(key_of(&before));
    let after = ask(&mut new, ONE);
    assert_eq!(
        (key_of(&after), ask(&mut new, computed)),
        (&*second, after.clone())
    );
    let sql = format!("SELECT id FROM people WHERE email = '{before}'");
    assert_eq!(ask(&mut new, &sql), "");
    // PostgreSQL was not given the second key when this session began.
    let ended = "57P01 terminating connection because its tokens have another key now";
    assert_eq!(ask(&mut old, ONE), ended);
}

#[test]
fn tokens_of_two_recipients_cannot_be_joined() {
    let proxy = Proxy::start("recipients");
    let (mut analyst, mut acme) = (proxy.connect("support"), proxy.connect("nobody"));
    let all = "SELECT email FROM people WHERE email IS NOT NULL";
    let set = |client: &mut Client| -> HashSet<String> {
        ask(client, all).split(", ").map(str::to_owned).collect()
    };
    let (theirs, ours) = (set(&mut acme), set(&mut analyst));
    assert_eq!((theirs.len(), ours.len()), (2, 2));
    assert!(theirs.is_disjoint(&ours));
    for (client, tokens) in [(&mut acme, &ours), (&mut analyst, &theirs)] {
        for token in tokens {
            assert_eq!(found(client, token), [""; 13]);
        }
    }
}
