//! Sequences of frontend messages by chance, good ones and bad ones: PostgreSQL itself and every road through the
//! proxy have to answer them alike, message for message.
//!
//! `PGVEIL_SEQUENCES` says how many are tried (100), and `PGVEIL_SEQUENCES_SEED` by which chance (1). What differs
//! is made as short as it can be before it is shown.
//!
//! Deliberately absent: Parse of an EXECUTE, FETCH or COPY of what is not there, which the proxy refuses at once and
//! PostgreSQL when it is run; an unnamed portal that nobody bound: one of a failed Query may be left, which crashes PostgreSQL 15;
//! Execute of a cursor of SQL, which a restricted role has to FETCH from; search paths that change, for what is
//! prepared again with another is prepared before its Bind is checked; malformed messages (`wire`); what ends a
//! session; and notices, of which a restricted role gets a few.

use std::fmt;
use std::time::Duration;

use super::client::Client;
use super::wire::{clients, told};

/// A message of the client: its type and body.
type Message = (u8, Vec<u8>);

/// What is sent in one write, and whether the client waits a little behind it.
#[derive(Clone)]
struct Unit {
    messages: Vec<Message>,
    pause: bool,
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, body) in &self.messages {
            write!(f, "{} {} | ", char::from(*kind), body.escape_ascii())?;
        }
        f.write_str(if self.pause { "…" } else { "" })
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// Texts for Query alone.
const STRINGS: [&str; 24] = [
    "",
    "; -- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; SELECT 1/0; SELECT 2",
    "SELECT 1; SELEC",
    "SELECT 1; SELECT nothing FROM people",
    "BEGIN; SELECT 1",
    "BEGIN; SELECT 1/0",
    "BEGIN; INSERT INTO sink VALUES (77777, 'x'); COMMIT; SELECT 1/0",
    "COMMIT; SELECT 1",
    "ROLLBACK; BEGIN; SAVEPOINT a",
    "SAVEPOINT a; SELECT 1/0",
    "ROLLBACK TO a; SELECT 1",
    "PREPARE q AS SELECT id FROM people ORDER BY id",
    "EXECUTE q",
    "DEALLOCATE q",
    "DEALLOCATE ALL",
    "DECLARE k CURSOR FOR SELECT city FROM people ORDER BY id",
    "DECLARE h CURSOR WITH HOLD FOR SELECT city FROM people ORDER BY id",
    "FETCH 2 FROM k",
    "CLOSE k",
    "CLOSE ALL",
    "COPY (SELECT 1) TO STDOUT; SELECT 2",
    "SHOW search_path; SELECT city FROM people WHERE id = 1",
];

/// Texts for Query and Parse.
const STATEMENTS: [&str; 19] = [
    "SELECT 1",
    "SELECT id, city FROM people ORDER BY id",
    "SELECT generate_series(1, 4)",
    "SELECT 1 / (3 - g) FROM generate_series(1, 4) g",
    "SELECT 1/0",
    "SELECT nothing FROM people",
    "SELEC",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE a",
    "INSERT INTO sink VALUES (77777, 'x')",
    "INSERT INTO sink SELECT 77777, g::text FROM generate_series(1, 3) g RETURNING note",
    "UPDATE sink SET note = 'y' WHERE id = -1",
    "DELETE FROM sink WHERE id = -1",
    "COPY (SELECT city FROM public.people ORDER BY id) TO STDOUT",
    "SHOW search_path",
];

/// Texts with parameters, for Parse alone.
const ASKING: [&str; 3] = [
    "SELECT city FROM people WHERE id = $1",
    "SELECT $1::int / 0",
    "INSERT INTO sink VALUES (77777, $1) RETURNING note",
];

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn query(sql: &str) -> Message {
    (b'Q', text(sql))
}

fn parse(name: &str, sql: &str) -> Message {
    (b'P', [&text(name)[..], &text(sql), &[0, 0]].concat())
}

fn bind(portal: &str, statement: &str, values: &[u8]) -> Message {
    (b'B', [&text(portal)[..], &text(statement), values].concat())
}

fn execute(portal: &str, rows: u8) -> Message {
    (b'E', [&text(portal)[..], &[0, 0, 0, rows]].concat())
}

fn named(kind: u8, of: u8, name: &str) -> Message {
    (kind, [&[of], &text(name)[..]].concat())
}

const SYNC: (u8, Vec<u8>) = (b'S', Vec::new());
const FLUSH: (u8, Vec<u8>) = (b'H', Vec::new());
const DONE: (u8, Vec<u8>) = (b'c', Vec::new());

const NONE: &[u8] = &[0, 0, 0, 0, 0, 0];
const ONE: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1, b'2', 0, 0];
const BAD: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1, b'x', 0, 0];
const BINARY: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1];

const NAMES: [&str; 3] = ["", "a", "b"];
const PORTALS: [&str; 4] = ["", "", "p", "r"];

/// Everything of one statement.
fn whole(chance: &mut Chance) -> Vec<Message> {
    let (name, portal) = (chance.one(&NAMES), chance.one(&PORTALS));
    let mut all = Vec::new();
    if !name.is_empty() {
        all.push(named(b'C', b'S', name));
    }
    let sql = chance.one(&STATEMENTS);
    all.push(parse(name, sql));
    all.push(bind(portal, name, NONE));
    if chance.below(2) == 0 {
        all.push(named(b'D', b'P', portal));
    }
    all.push(execute(portal, u8::try_from(chance.below(3)).unwrap()));
    if chance.below(3) == 0 {
        all.push(execute(portal, 0));
    }
    all
}

/// A COPY with its data, and the end of it.
fn copy(chance: &mut Chance) -> Vec<Message> {
    let mut all = Vec::new();
    let mut parts = 1;
    match chance.below(4) {
        0 => all.push(query("COPY sink FROM STDIN")),
        1 => {
            all.push(query(
                "SELECT 1; COPY sink FROM STDIN; COPY sink FROM STDIN",
            ));
            parts = 2;
        }
        2 => all.push(query("COPY nowhere FROM STDIN")),
        _ => {
            all.push(parse("", "COPY public.sink FROM STDIN"));
            all.push(bind("", "", NONE));
            all.push(execute("", 0));
            if chance.below(2) == 0 {
                all.push(chance.one(&[&SYNC, &FLUSH]).clone());
            }
        }
    }
    for _ in 0..parts {
        for _ in 0..chance.below(4) {
            all.push(match chance.below(8) {
                0..4 => (b'd', b"77777\tx\n".to_vec()),
                4 => (b'd', b"bad\tx\n".to_vec()),
                5 => (b'd', b"77777\t".to_vec()),
                6 => FLUSH,
                _ => SYNC,
            });
        }
        all.push(if chance.below(4) == 0 {
            (b'f', text("no"))
        } else {
            DONE
        });
    }
    all
}

fn single(chance: &mut Chance) -> Message {
    let (name, portal) = (chance.one(&NAMES), chance.one(&PORTALS));
    match chance.below(16) {
        0 | 1 => parse(name, chance.one(&STATEMENTS)),
        2 => parse(name, chance.one(&ASKING)),
        3 | 4 => bind(portal, name, chance.one(&[NONE, ONE, BAD, BINARY])),
        5 => named(b'D', b'S', name),
        6 => named(b'D', b'P', chance.one(&["p", "r", "k"])),
        7 | 8 => {
            let portal = chance.one(&["p", "r"]);
            execute(portal, u8::try_from(chance.below(3)).unwrap())
        }
        9 => named(b'C', b'S', name),
        10 => named(b'C', b'P', portal),
        11 => FLUSH,
        12 => chance
            .one(&[&(b'd', b"1\tx\n".to_vec()), &DONE, &(b'f', text("no"))])
            .clone(),
        13 => query(chance.one(&STATEMENTS)),
        14 => query(chance.one(&STRINGS)),
        _ => SYNC,
    }
}

fn sequence(chance: &mut Chance) -> Vec<Unit> {
    let count = 2 + chance.below(9);
    let unit = |chance: &mut Chance| {
        let mut messages = match chance.below(8) {
            0 | 1 => whole(chance),
            2 => copy(chance),
            3 => vec![query(chance.one(&STATEMENTS))],
            4 => vec![query(chance.one(&STRINGS))],
            _ => (0..=chance.below(4)).map(|_| single(chance)).collect(),
        };
        if chance.below(2) == 0 {
            messages.push(SYNC);
        }
        Unit {
            messages,
            pause: chance.below(3) == 0,
        }
    };
    (0..count).map(|_| unit(chance)).collect()
}

/// What is heard of it, up to an answer that nothing else has. Then all is as at first.
fn heard(client: &mut Client, units: &[Unit]) -> Vec<String> {
    for unit in units {
        let messages: Vec<_> = unit.messages.iter().map(|(k, b)| (*k, &b[..])).collect();
        client.send_at_once(&messages);
        if unit.pause {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    client.send_at_once(&[(b'f', b"end\0"), (b'S', b""), (b'Q', b"ROLLBACK\0")]);
    client.send_at_once(&[(b'Q', b"DISCARD ALL\0"), (b'Q', b"SELECT 4242\0")]);
    let last = "D [Some([52, 50, 52, 50])]";
    let mut heard: Vec<String> = Vec::new();
    while heard.iter().rev().nth(2).is_none_or(|text| text != last) {
        match client.receive() {
            Ok(message) if message.kind == b'N' => {}
            Ok(message) => heard.push(told(&message)),
            Err(error) => {
                heard.push(format!("CLOSED {error}"));
                break;
            }
        }
    }
    heard
}

/// Where a road answers otherwise than PostgreSQL itself.
struct Difference {
    road: usize,
    name: &'static str,
    heard: Vec<String>,
    expected: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            heard,
            expected,
            ..
        } = self;
        let (heard, expected) = (heard.join(", "), expected.join(", "));
        write!(f, "{name} answers {heard}\n  and not {expected}")
    }
}

/// The first road that differs.
fn differs(roads: &mut [(&'static str, Client)], units: &[Unit]) -> Option<Difference> {
    let mut roads = roads.iter_mut().enumerate();
    let (_, (_, direct)) = roads.next().unwrap();
    let expected = heard(direct, units);
    roads.find_map(|(road, (name, client))| {
        let heard = heard(client, units);
        (heard != expected).then(|| Difference {
            road,
            name,
            heard,
            expected: expected.clone(),
        })
    })
}

/// The same without whatever it differs without, too.
fn shortened(mut units: Vec<Unit>, mut found: Difference) -> (Vec<Unit>, Difference) {
    let road = found.road;
    let mut shorter = |units: &mut Vec<Unit>, fewer: Vec<Unit>| {
        let [direct, rest @ ..] = clients();
        let mut both = [direct, rest.into_iter().nth(road - 1).unwrap()];
        let Some(differs) = differs(&mut both, &fewer) else {
            return false;
        };
        found = differs;
        *units = fewer;
        true
    };
    let mut at = 0;
    // Whole units first, then each message of those that are left.
    while at < units.len() {
        let mut fewer = units.clone();
        fewer.remove(at);
        at += usize::from(!shorter(&mut units, fewer));
    }
    for at in 0..units.len() {
        let mut message = 0;
        while message < units[at].messages.len() {
            let mut fewer = units.clone();
            fewer[at].messages.remove(message);
            message += usize::from(!shorter(&mut units, fewer));
        }
    }
    (units, found)
}

#[test]
fn every_road_answers_alike() {
    let given = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let count = given("PGVEIL_SEQUENCES", 100);
    let mut chance = Chance(given("PGVEIL_SEQUENCES_SEED", 1));
    let mut roads = clients();
    for n in 0..count {
        let units = sequence(&mut chance);
        if let Some(found) = differs(&mut roads, &units) {
            eprintln!("{n}: {units:#?}\n{found}");
            let (short, found) = shortened(units, found);
            panic!("{n}: {short:#?}\n{found}");
        }
    }
    let [(_, mut direct), ..] = clients();
    direct.simple("DELETE FROM sink WHERE id = 77777");
}
