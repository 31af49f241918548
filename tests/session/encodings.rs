//! Client encodings of a restricted role: every character as PostgreSQL has it, and every place of the
//! protocol where text stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pgveil::pg::encoding::Encoding;

use super::client::{Answer, Client};
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
    let mut owner = Stage::shared().owner();
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
        back(&mut owner, encoding);
    }
}

/// Every character of the basic plane, and some beyond.
fn back(owner: &mut Client, encoding: Encoding) {
    let name = encoding.name();
    let sql = format!(
        "SELECT c, pg_temp.encoded(c, '{name}') FROM (SELECT generate_series(128, 65535) AS c \
         UNION ALL SELECT generate_series(128512, 128600)) s \
         WHERE NOT c BETWEEN 55296 AND 57343 AND pg_temp.encoded(c, '{name}') IS NOT NULL"
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
