//! Client encodings of a restricted role: every character as PostgreSQL has it, and every place of the
//! protocol where text stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pgveil::pg::encoding::Encoding;

use super::client::{Answer, Client};
use super::reload::as_owner;
use super::stage::{PASSWORD, Stage};

/// Converts there and back in PostgreSQL; nothing for what it refuses.
const FUNCTIONS: &str = "
CREATE FUNCTION pg_temp.decoded(b bytea, e name) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN RETURN convert_from(b, e); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
CREATE FUNCTION pg_temp.encoded(c int, e name) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN RETURN encode(convert_to(chr(c), e), 'hex'); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
";

/// Sequences of two bytes and, where there are such, of three; all of them of one character at most.
const SEQUENCES: &str = "
SELECT encode(b, 'hex'), ascii(pg_temp.decoded(b, 'NAME')) FROM (
  SELECT set_byte('\\x00'::bytea, 0, x) AS b FROM generate_series(128, 255) x
  UNION ALL
  SELECT set_byte(set_byte('\\x0000'::bytea, 0, x), 1, y)
  FROM generate_series(128, 255) x, generate_series(1, 255) y WHERE LONG
  UNION ALL
  SELECT '\\x8f'::bytea || set_byte(set_byte('\\x0000'::bytea, 0, x), 1, y)
  FROM generate_series(160, 255) x, generate_series(160, 255) y WHERE 'NAME' = 'EUC_JP'
) s WHERE length(pg_temp.decoded(b, 'NAME')) = 1";

fn rows(client: &mut Client, sql: &str) -> Vec<(String, String)> {
    let Answer::Rows(rows, _) = client.simple(sql) else {
        return Vec::new();
    };
    let pair = |row: &String| {
        let (a, b) = row.split_once(" | ").unwrap();
        (a.to_owned(), b.to_owned())
    };
    rows.iter().map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

fn decoded(encoding: Encoding, bytes: &[u8]) -> Option<char> {
    let text = encoding.decode(bytes).ok()?;
    let mut chars = text.chars();
    let (first, second) = (chars.next()?, chars.next());
    second.is_none().then_some(first)
}

#[test]
fn every_character_is_the_one_postgresql_has() {
    let mut owner = as_owner();
    owner.simple(FUNCTIONS);
    for encoding in Encoding::all().filter(|encoding| !encoding.is_same()) {
        let name = encoding.name();
        let long = ["EUC_CN", "EUC_JP", "EUC_KR", "GBK", "SJIS", "UHC"].contains(&name);
        let sql = SEQUENCES
            .replace("NAME", name)
            .replace("LONG", if long { "true" } else { "false" });
        let theirs: BTreeMap<String, String> = rows(&mut owner, &sql).into_iter().collect();
        assert!(theirs.len() > 80, "{name}");
        let mut ours = BTreeMap::new();
        let sequences = (0x80..=0xFF_u8).map(|first| vec![first]).chain(
            (0x80..=0xFF_u8)
                .filter(|_| long)
                .flat_map(|first| (1..=0xFF_u8).map(move |second| vec![first, second])),
        );
        let three = (0xA0..=0xFF_u8)
            .filter(|_| name == "EUC_JP")
            .flat_map(|second| (0xA0..=0xFF_u8).map(move |third| vec![0x8F, second, third]));
        for bytes in sequences.chain(three) {
            if let Some(c) = decoded(encoding, &bytes) {
                ours.insert(hex(&bytes), u32::from(c).to_string());
            }
        }
        let differing: Vec<_> = theirs
            .iter()
            .filter(|(bytes, c)| ours.get(*bytes) != Some(c))
            .chain(
                ours.iter()
                    .filter(|(bytes, _)| !theirs.contains_key(*bytes)),
            )
            .take(8)
            .collect();
        assert!(differing.is_empty(), "{name}: {differing:?}");
        back(&mut owner, encoding, long);
    }
}

/// Every character of the basic plane, and some beyond.
fn back(owner: &mut Client, encoding: Encoding, long: bool) {
    let name = encoding.name();
    // Those of one byte a character know none above the box drawings.
    let last = if long { 65_535 } else { 9_999 };
    let sql = format!(
        "SELECT c, e FROM (SELECT c, pg_temp.encoded(c, '{name}') AS e FROM \
         (SELECT generate_series(128, {last}) AS c UNION ALL SELECT generate_series(128512, 128600)) s \
         WHERE NOT c BETWEEN 55296 AND 57343 OFFSET 0) t WHERE e IS NOT NULL"
    );
    let theirs: BTreeMap<String, String> = rows(owner, &sql).into_iter().collect();
    for c in (128..=0xFFFF)
        .chain(128_512..=128_600)
        .filter_map(char::from_u32)
    {
        let mut out = Vec::new();
        let ours = encoding
            .encode(&c.to_string(), &mut out)
            .ok()
            .map(|()| hex(&out));
        let theirs = theirs.get(&u32::from(c).to_string());
        assert_eq!(ours.as_ref(), theirs, "{name}: {c:?}");
    }
}

/// A text in an encoding, with a NUL behind it.
fn said(encoding: Encoding, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encoding.encode(text, &mut out).unwrap();
    out.push(0);
    out
}

/// What was received, texts included, in the client's own bytes.
pub(super) fn told(client: &mut Client) -> Vec<String> {
    client
        .until_ready()
        .iter()
        .map(|message| match message.kind {
            // Names, not where they come from: tables differ between a query and its rewriting.
            b'T' => {
                let names = message.body[2..].split(|b| *b == 0).next().unwrap();
                format!("T {}", hex(names))
            }
            b'E' => format!("E {}", message.error()[0]),
            kind => format!("{} {}", char::from(kind), hex(&message.body)),
        })
        .collect()
}

#[track_caller]
fn alike(start: &[(&str, &str)], conversation: impl Fn(&mut Client) -> Vec<String>) {
    let stage = Stage::shared();
    let connect = |addr, user| Client::connect_with(addr, user, PASSWORD, "stage", start).unwrap();
    let mut direct = connect(stage.cluster.address(), "stage_login");
    let expected = conversation(&mut direct);
    for user in ["app", "support"] {
        let mut client = connect(stage.addr, user);
        assert_eq!(conversation(&mut client), expected, "{user} {start:?}");
    }
}

/// Encodings, with a text that is no ASCII in any of them.
const SPOKEN: [(&str, &str); 12] = [
    ("UTF8", "é€ソ"),
    ("SQL_ASCII", "é€ソ"),
    ("LATIN1", "é§\u{80}"),
    ("LATIN9", "é€"),
    ("WIN1252", "é€"),
    ("WIN1251", "Привет"),
    ("KOI8R", "Привет"),
    ("SJIS", "ソ表ｱ"),
    ("EUC_JP", "日本ｱ丂"),
    ("GBK", "中国"),
    ("EUC_KR", "한국"),
    ("UHC", "한국똠"),
];

#[test]
fn texts_are_the_clients_everywhere() {
    for (name, text) in SPOKEN {
        let encoding = Encoding::by_name(name).unwrap();
        let say = |sql: &str| said(encoding, &sql.replace('%', text));
        let run: (u8, &[u8]) = (b'E', b"\0\0\0\0\0");
        alike(&[("client_encoding", name)], |client| {
            let mut heard = Vec::new();
            for sql in [
                "SELECT '%' AS \"%\", length('%'), upper('%'), NULL, 7",
                "SELECT 1 AS \"%\"; SELECT '%%'; SELECT 2",
                "SELECT U&'\\0041', 'it''s %\\'",
                "SHOW client_encoding",
                "SELECT \"%\" FROM people",
                "SELECT '{\"%\": 1}'::jsonb, ARRAY['%'], ROW('%', 1)",
                "COPY (SELECT '%', 1) TO STDOUT",
            ] {
                client.send(b'Q', &say(sql));
                heard.push(told(client));
            }
            // Names of statements and portals, parameters in both formats, results in both.
            let value = said(encoding, text);
            let value = &value[..value.len() - 1];
            let name = say("%");
            for (parameter, result) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                client.send(
                    b'P',
                    &[
                        &name[..],
                        &say("SELECT $1::text || '%', ARRAY[$1::text]"),
                        b"\0\0",
                    ]
                    .concat(),
                );
                client.send(b'D', &[b"S", &name[..]].concat());
                client.send(b'H', b"");
                let length = u32::try_from(value.len()).unwrap().to_be_bytes();
                let bind = [
                    &name[..],
                    &name[..],
                    &[0, 1, 0, parameter, 0, 1],
                    &length[..],
                    value,
                    &[0, 1, 0, result],
                ];
                // The types are known when the client knows them.
                for kind in b"1tT" {
                    let message = client.receive().unwrap();
                    assert_eq!(
                        message.kind,
                        *kind,
                        "{heard:?} {parameter} {:?}",
                        message.error()
                    );
                }
                client.send(b'B', &bind.concat());
                client.send(b'D', &[b"P", &name[..]].concat());
                client.send(b'E', &[&name[..], &[0; 4]].concat());
                client.send(b'C', &[b"S", &name[..]].concat());
                client.send(b'S', b"");
                heard.push(told(client));
            }
            client.send(run.0, run.1);
            client.send(b'S', b"");
            heard.push(told(client));
            heard.concat()
        });
    }
}

#[test]
fn copies_are_converted_both_ways_wherever_they_are_cut() {
    for (name, text) in SPOKEN {
        let encoding = Encoding::by_name(name).unwrap();
        let mut data = said(encoding, &format!("1\t{text}\n2\tx{text}\n"));
        data.pop();
        for size in 1..=data.len().min(12) {
            alike(&[("client_encoding", name)], |client| {
                client.send(b'Q', b"BEGIN; DELETE FROM inbox; COPY inbox FROM STDIN\0");
                for piece in data.chunks(size) {
                    client.send(b'd', piece);
                }
                client.send(b'c', b"");
                let mut heard = told(client);
                for sql in [
                    &b"SELECT id, note, length(note) FROM inbox ORDER BY id\0"[..],
                    b"COPY (SELECT note FROM inbox ORDER BY id) TO STDOUT\0",
                    b"COPY (SELECT note FROM inbox ORDER BY id) TO STDOUT (ENCODING 'UTF8')\0",
                    b"ROLLBACK\0",
                ] {
                    client.send(b'Q', sql);
                    heard.extend(told(client));
                }
                heard
            });
        }
    }
}

#[test]
fn what_is_not_of_the_encoding_is_refused_as_postgresql_does() {
    for (name, wrong) in [
        ("WIN1252", &b"\x81"[..]),
        ("SJIS", b"\x83'"),
        ("SJIS", b"\xf0\x40"),
        ("EUC_JP", b"\xa4A"),
        ("EUC_KR", b"\xc7"),
        ("GBK", b"\x80A"),
        ("UTF8", b"\xff"),
        ("SQL_ASCII", b"\xff"),
    ] {
        alike(&[("client_encoding", name)], |client| {
            let mut heard = Vec::new();
            client.send(b'Q', &[b"SELECT '", wrong, b"'\0"].concat());
            heard.extend(told(client));
            client.send(b'P', &[b"\0SELECT '", wrong, b"'\0\0\0"].concat());
            client.send(b'B', b"\0\0\0\0\0\0\0\0");
            client.send(b'S', b"");
            heard.extend(told(client));
            if name == "SQL_ASCII" {
                // COPY takes it unread there, and stores what is no text in the database's encoding.
                return heard;
            }
            client.send(b'Q', b"BEGIN\0");
            heard.extend(told(client));
            client.send(b'Q', b"COPY inbox FROM STDIN\0");
            client.send(b'd', &[b"1\tx", wrong].concat());
            client.send(b'd', b"\n");
            client.send(b'c', b"");
            heard.extend(told(client));
            client.send(b'Q', b"SELECT 1\0");
            heard.extend(told(client));
            client.send(b'Q', b"ROLLBACK\0");
            heard.extend(told(client));
            heard
        });
    }
}

#[test]
fn the_encoding_follows_the_transaction() {
    let show: &[u8] = b"SHOW client_encoding\0";
    alike(&[], |client| {
        let mut heard = Vec::new();
        for sql in [
            &b"SET client_encoding = latin1\0"[..],
            show,
            b"SELECT '\xe9'\0",
            b"BEGIN; SET client_encoding TO 'win1251'; SAVEPOINT s\0",
            b"SELECT '\xef'\0",
            b"SET LOCAL client_encoding = sjis\0",
            show,
            b"SELECT '\x83\x5c'\0",
            b"ROLLBACK TO s\0",
            show,
            b"SELECT '\xef'\0",
            b"COMMIT\0",
            show,
            b"BEGIN; SET client_encoding TO latin9\0",
            b"SELECT 1/0\0",
            b"ROLLBACK\0",
            show,
            b"SET NAMES 'latin1'; SELECT 'x'; SELECT 1/0\0",
            show,
            b"RESET client_encoding\0",
            show,
            b"SET client_encoding TO koi8r\0",
            b"RESET ALL\0",
            show,
            b"SET client_encoding TO koi8r\0",
            b"DISCARD ALL\0",
            show,
        ] {
            client.send(b'Q', sql);
            heard.extend(told(client));
        }
        // In one pipeline of the extended protocol.
        client.send(b'P', b"\0SET client_encoding TO latin1\0\0\0");
        client.send(b'B', b"\0\0\0\0\0\0\0\0");
        client.send(b'E', b"\0\0\0\0\0");
        client.send(b'P', b"\0SELECT '\xe9'\0\0\0");
        client.send(b'B', b"\0\0\0\0\0\0\0\0");
        client.send(b'E', b"\0\0\0\0\0");
        client.send(b'S', b"");
        heard.extend(told(client));
        heard
    });
    alike(&[("options", "-c client_encoding=latin1")], |client| {
        client.send(b'Q', b"SELECT '\xe9'\0");
        told(client)
    });
}

#[test]
fn every_way_to_ask_for_the_encoding_tells_the_clients() {
    for name in ["UTF8", "UNICODE", "unicode", "latin-1", "SQL_ASCII"] {
        alike(&[("client_encoding", name)], |client| {
            let mut heard = Vec::new();
            for sql in [
                "SHOW client_encoding",
                "SELECT current_setting('client_encoding'), pg_client_encoding()",
                "SELECT current_setting(n) FROM (VALUES ('client_encoding'), ('Client_Encoding')) v (n)",
                "SELECT * FROM pg_client_encoding()",
                "SELECT setting FROM pg_settings WHERE name = 'client_encoding'",
                // The same text again, whose plan is there.
                "SET client_encoding = 'WIN1252'",
                "SELECT current_setting('client_encoding'), pg_client_encoding()",
                "SET client_encoding = 'UNICODE'",
                "SELECT current_setting('client_encoding'), pg_client_encoding()",
                "SHOW client_encoding",
                "SET client_encoding = 'nonsense'",
                "SET client_encoding = utf8, latin1",
                "SHOW client_encoding",
                "RESET client_encoding",
                "SHOW client_encoding",
            ] {
                client.send(b'Q', format!("{sql}\0").as_bytes());
                heard.extend(told(client));
            }
            heard
        });
    }
    let stage = Stage::shared();
    let start = [("client_encoding", "nonsense")];
    for (addr, user) in [
        (stage.cluster.address(), "stage_login"),
        (stage.addr, "app"),
        (stage.addr, "support"),
    ] {
        let refused = Client::connect_with(addr, user, PASSWORD, "stage", &start);
        assert!(refused.err().unwrap().starts_with("22023 "), "{user}");
    }
}

#[test]
fn masks_count_characters_whatever_the_client_speaks() {
    let stage = Stage::shared();
    for (name, want) in [
        ("UTF8", "é**@example.com".as_bytes()),
        ("LATIN1", b"\xe9**@example.com"),
        ("EUC_JP", b"\x8f\xab\xb1**@example.com"),
    ] {
        let start = [("client_encoding", name)];
        let mut client =
            Client::connect_with(stage.addr, "support", PASSWORD, "stage", &start).unwrap();
        for sql in [
            "SELECT email FROM letters WHERE id = 1",
            "SELECT email || '' FROM letters WHERE id = 1",
        ] {
            client.send(b'Q', format!("{sql}\0").as_bytes());
            let row = client
                .until_ready()
                .into_iter()
                .find(|m| m.kind == b'D')
                .unwrap();
            assert_eq!(row.values(), [Some(want.to_vec())], "{name}");
        }
    }
}
