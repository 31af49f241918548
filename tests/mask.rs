//! Masks against PostgreSQL: the SQL form and the Rust form agree byte for byte, no mask raises for
//! any value of a type, and what masks mean is what PostgreSQL's own functions say.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

#[path = "mask/corpus.rs"]
mod corpus;
#[path = "mask/questions.rs"]
mod questions;

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use pgveil::cli::cluster::{Cluster, ClusterOptions};
use pgveil::ident::Ident;
use pgveil::mask::token::{Shape, TokenKey, TokenKind};
use pgveil::mask::{
    ColumnType, CompiledMask, JsonAction, JsonMask, JsonOther, Mask, Partial, TokenColumn, Unit,
    null_sql,
};
use pgveil::pg::types::{Format, oid};
use proptest::prelude::*;

fn database() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&ClusterOptions::default()).expect("a cluster"))
}

fn run(sql: &str) -> Vec<String> {
    let out = database().run("postgres", sql);
    let out = out.unwrap_or_else(|e| panic!("{e}"));
    out.lines().map(str::to_owned).collect()
}

/// Was the server built with ICU? The wheel's was not, and then there is no such collation to try.
fn has_icu() -> bool {
    let found = run("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'");
    found == ["1"]
}

/// A type by its name in `pg_catalog`, with OID and typmod as the catalog would give them.
fn ty(name: &str) -> ColumnType {
    let scalar = name.trim_end_matches("[]");
    let (base, arguments) = scalar.split_once('(').unwrap_or((scalar, ""));
    let arguments: Vec<i32> = (arguments.trim_end_matches(')').split(','))
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let length = |n: &[i32]| n.first().map_or(-1, |n| n + 4);
    let (type_oid, typmod) = match (base, arguments.as_slice()) {
        ("text", _) => (oid::TEXT, -1),
        ("varchar", n) => (oid::VARCHAR, length(n)),
        ("bpchar", n) => (oid::BPCHAR, length(n)),
        ("int2", _) => (oid::INT2, -1),
        ("int4", _) => (oid::INT4, -1),
        ("int8", _) => (oid::INT8, -1),
        ("numeric", [p, s]) => (oid::NUMERIC, ((p << 16) | (s & 0x7ff)) + 4),
        ("numeric", _) => (oid::NUMERIC, -1),
        ("float4", _) => (oid::FLOAT4, -1),
        ("float8", _) => (oid::FLOAT8, -1),
        ("date", _) => (oid::DATE, -1),
        ("timestamp", p) => (oid::TIMESTAMP, p.first().copied().unwrap_or(-1)),
        ("timestamptz", p) => (oid::TIMESTAMPTZ, p.first().copied().unwrap_or(-1)),
        ("inet", _) => (oid::INET, -1),
        ("cidr", _) => (oid::CIDR, -1),
        ("json", _) => (oid::JSON, -1),
        ("jsonb", _) => (oid::JSONB, -1),
        ("bytea", _) => (oid::BYTEA, -1),
        ("bool", _) => (oid::BOOL, -1),
        ("uuid", _) => (oid::UUID, -1),
        ("interval", _) => (oid::INTERVAL, -1),
        ("time", _) => (oid::TIME, -1),
        ("oid", _) => (oid::OID, -1),
        ("name", _) => (oid::NAME, -1),
        ("money", _) => (oid::MONEY, -1),
        // Of the rest, masks know nothing.
        ("point", _) => (600, -1),
        other => panic!("{other:?}"),
    };
    let is_array = scalar != name;
    ColumnType {
        // Array types have OIDs of their own; masks look at the element only.
        oid: if is_array { 1 } else { type_oid },
        typmod,
        sql: format!("pg_catalog.{name}").into(),
        collation: None,
        element: is_array.then(|| Box::new(ty(scalar))),
        domain: false,
    }
}

fn compile(mask: &Mask, ty: &ColumnType) -> CompiledMask {
    match CompiledMask::compile(mask, ty) {
        Ok(compiled) => compiled,
        Err(e) => panic!("{mask:?} on {}: {e}", ty.sql),
    }
}

fn partial(keep_first: u32, keep_last: u32) -> Partial {
    Partial {
        keep_first,
        keep_last,
        ..Partial::default()
    }
}

/// An e-mail address with all but its first character hidden, and how many.
fn email() -> Partial {
    Partial {
        hide_length: Some(3),
        stop_at: Some("@".to_owned()),
        min_hidden: 0,
        ..partial(1, 0)
    }
}

fn constant(value: &str) -> Mask {
    Mask::Constant(value.to_owned())
}

fn truncate(unit: Unit, timezone: Option<&str>) -> Mask {
    Mask::Truncate {
        unit,
        timezone: timezone.map(str::to_owned),
    }
}

fn clamp(bottom: Option<&str>, top: Option<&str>) -> Mask {
    Mask::Clamp {
        top: top.map(str::to_owned),
        bottom: bottom.map(str::to_owned),
    }
}

fn round_to(step: &str) -> Mask {
    Mask::RoundTo(step.to_owned())
}

fn json(paths: &[(&str, JsonAction)], other: JsonOther) -> Mask {
    Mask::Json(JsonMask {
        paths: paths
            .iter()
            .map(|(path, action)| ((*path).to_owned(), action.clone()))
            .collect(),
        other,
    })
}

fn json_text(text: &str) -> JsonAction {
    JsonAction::Constant(text.to_owned())
}

fn json_masked(mask: Mask) -> JsonAction {
    JsonAction::Mask(Box::new(mask))
}

const UNITS: [Unit; 6] = [
    Unit::Year,
    Unit::Quarter,
    Unit::Month,
    Unit::Week,
    Unit::Day,
    Unit::Hour,
];

// ---- The two forms agree ----

const TEXT_TYPES: [&str; 7] = [
    "text",
    "varchar",
    "varchar(1)",
    "varchar(12)",
    "bpchar",
    "bpchar(1)",
    "bpchar(9)",
];

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(text.as_bytes())
        .expect("hex")
}

/// What PostgreSQL sends for each value, and for its mask, next to what the Rust form makes of the
/// former.
fn assert_forms_agree(mask: &Mask, values: &[String]) {
    let mut sql = String::new();
    let mut compiled = Vec::new();
    let hexes: Vec<String> = values
        .iter()
        .map(|v| format!("\"{}\"", hex(v.as_bytes())))
        .collect();
    for name in TEXT_TYPES {
        let bound = compile(mask, &ty(name));
        assert!(bound.at_output(), "{mask:?} on {name}");
        let send = if name.starts_with("bpchar") {
            "bpcharsend"
        } else {
            "textsend"
        };
        writeln!(
            sql,
            "SELECT encode({send}(c), 'hex'), encode({send}({}), 'hex') FROM \
             (SELECT i, convert_from(decode(h, 'hex'), 'UTF8')::{name} AS c \
              FROM unnest('{{{}}}'::text[]) WITH ORDINALITY AS u(h, i)) AS v ORDER BY i;",
            bound.sql("v.c"),
            hexes.join(","),
        )
        .expect("a string");
        compiled.push((name, bound));
    }
    let rows = run(&sql);
    assert_eq!(rows.len(), values.len() * TEXT_TYPES.len());
    for (rows, (name, bound)) in rows.chunks(values.len()).zip(&compiled) {
        for row in rows {
            let (stored, masked) = row.split_once('|').expect("two columns");
            let mut out = b"before".to_vec();
            bound.apply(&unhex(stored), &mut out);
            let ours = out.strip_prefix(b"before").expect("appended");
            assert_eq!(
                String::from_utf8_lossy(ours),
                String::from_utf8_lossy(&unhex(masked)),
                "{mask:?} on {name} of {:?}",
                String::from_utf8_lossy(&unhex(stored)),
            );
            assert_eq!(ours, unhex(masked));
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9]",
        1 => Just("@".to_owned()),
        1 => Just(" ".to_owned()),
        1 => Just("-".to_owned()),
        1 => Just("张".to_owned()),
        1 => Just("😀".to_owned()),
        1 => Just("e\u{301}".to_owned()),
        1 => Just("👨\u{200d}👩\u{200d}👧".to_owned()),
        1 => Just("::".to_owned()),
        1 => Just("'\\\n\t\"%".to_owned()),
        1 => Just("\u{1}\u{7f}\u{80}\u{7ff}\u{ffff}\u{10ffff}".to_owned()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn any_partial() -> impl Strategy<Value = Partial> {
    (
        0..6_u32,
        0..6_u32,
        prop::sample::select(vec!['*', '#', ' ', '\'', '●', '𝄞']),
        0..5_u32,
        prop::option::weighted(0.4, 0..6_u32),
        prop::option::weighted(0.5, prop::sample::select(vec!["@", "::", "张", " ", "@@"])),
        prop::option::weighted(0.3, 1..6_u32),
    )
        .prop_map(
            |(keep_first, keep_last, char, min_hidden, hide_length, stop, group)| Partial {
                keep_first,
                keep_last,
                char,
                min_hidden,
                hide_length,
                stop_at: stop.filter(|_| group.is_none()).map(str::to_owned),
                group,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn partial_masks_agree_with_postgresql(
        mask in any_partial(),
        values in prop::collection::vec(any_text(), 12..24),
    ) {
        assert_forms_agree(&Mask::Partial(mask), &values);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_come_out_as_text(
        mask in any_partial(),
        name in prop::sample::select(TEXT_TYPES.to_vec()),
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut out = Vec::new();
        compile(&Mask::Partial(mask), &ty(name)).apply(&value, &mut out);
        prop_assert!(String::from_utf8(out).is_ok());
    }
}

#[test]
fn partial_masks_agree_on_edges() {
    let mut values: Vec<String> = [
        "",
        " ",
        "a",
        "ab",
        "@",
        "a@",
        "@b",
        "a@b",
        "a@b@c",
        "ab@c  ",
        "  ",
        "é",
        "é@é",
        "张三",
        "4111 1111-1111 1111",
        "1234567890123456",
        "\u{feff}x",
    ]
    .map(str::to_owned)
    .into();
    values.extend(["7".repeat(64), "7".repeat(65), "x".repeat(3000)]);
    for mask in [
        partial(3, 4),
        email(),
        Partial {
            stop_at: Some("@".to_owned()),
            ..partial(1, 1)
        },
        Partial {
            min_hidden: 0,
            ..partial(0, 0)
        },
        Partial {
            group: Some(4),
            min_hidden: 8,
            ..partial(4, 4)
        },
        Partial {
            group: Some(70),
            ..partial(4, 4)
        },
        Partial {
            hide_length: Some(0),
            ..partial(2, 2)
        },
        Partial {
            char: '𝄞',
            ..partial(10_000, 10_000)
        },
    ] {
        assert_forms_agree(&Mask::Partial(mask), &values);
    }
    assert_forms_agree(&constant("[已隐藏] it's"), &values);
    assert_forms_agree(&constant(""), &values);
}

#[test]
fn what_is_not_utf8_is_hidden_whole() {
    for name in TEXT_TYPES {
        let bound = compile(&Mask::Partial(partial(2, 2)), &ty(name));
        for value in [
            &b"secret\xff"[..],
            b"\xc3",
            b"ab\xed\xa0\x80cd",
            b"\xf5aaaaaaa@b",
        ] {
            let mut out = Vec::new();
            bound.apply(value, &mut out);
            let text = String::from_utf8(out).expect("UTF-8");
            let stars = text.trim_end_matches(' ');
            assert!(
                !stars.is_empty() && stars.bytes().all(|byte| byte == b'*'),
                "{name} {text}"
            );
        }
    }
}

// ---- Nothing raises ----

/// Values at a type's edges.
fn extremes(name: &str) -> Vec<&'static str> {
    match name {
        "int2" => vec![
            "-32768", "-32767", "-1", "0", "1", "49", "50", "32766", "32767",
        ],
        "int4" => vec![
            "-2147483648",
            "-2147483647",
            "-1",
            "0",
            "49",
            "-50",
            "2147483647",
        ],
        "int8" => vec![
            "-9223372036854775808",
            "-9223372036854775807",
            "-1",
            "0",
            "51",
            "9223372036854775806",
            "9223372036854775807",
            "4611686018427387904",
        ],
        "numeric(5,2)" => vec![
            "999.99", "-999.99", "NaN", "0", "0.01", "-0.01", "-0.00", "499.99", "500", "950",
            "-950", "-950.01", "1.005",
        ],
        "numeric(3,-2)" => vec!["99900", "-99900", "0", "100", "NaN", "50000", "-200"],
        "numeric(2,4)" => vec!["0.0099", "-0.0099", "0.0001", "0", "NaN", "0.0055"],
        "numeric(1000,500)" => {
            vec!["1e499", "-1e499", "9.99e499", "-9.999e499", "1e-500", "NaN"]
        }
        "numeric" => vec![
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "1e131071",
            "-1e131071",
            "9.99e131071",
            "-9.99e131071",
            "1e-16383",
            "-1e-16383",
            "123456789012345678901234567890.5",
            "-0.5",
            "9e131071",
            "-9e131071",
        ],
        "float4" => vec![
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "-0",
            "3.4028235e38",
            "-3.4028235e38",
            "1e-45",
            "-1e-45",
            "1.17549435e-38",
            "49.5",
            "-49.5",
            "1e20",
            "-1e18",
        ],
        "float8" => vec![
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "-0",
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "5e-324",
            "-5e-324",
            "2.2250738585072014e-308",
            "49.5",
            "-49.5",
            "1e300",
            "-1e18",
            "1e15",
            "9007199254740993",
        ],
        "date" => vec![
            "infinity",
            "-infinity",
            "4714-11-24 BC",
            "4714-11-25 BC",
            "4714-11-30 BC",
            "4714-12-01 BC",
            "4714-12-31 BC",
            "4713-01-01 BC",
            "4713-01-02 BC",
            "0001-12-31 BC",
            "0001-01-01",
            "1900-02-28",
            "2000-02-29",
            "2024-12-30",
            "294276-12-31",
            "294277-01-01",
            "294277-05-06",
            "5874897-12-31",
            "5874897-01-01",
            "1000000-08-15",
        ],
        "timestamp" | "timestamp(0)" => vec![
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "4714-11-24 00:00:00.6 BC",
            "4714-11-30 23:59:59.999999 BC",
            "4714-12-31 23:59:59 BC",
            "4713-01-01 00:00:00 BC",
            "0001-01-01",
            "1969-12-31 23:59:59.999999",
            "2024-02-29 12:34:56.789",
            "294276-12-31 23:59:59.4",
            "294276-12-31 00:00:00",
            "294276-12-30 12:00:00",
        ],
        "timestamptz" | "timestamptz(0)" => vec![
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "4714-11-24 15:59:59+00 BC",
            "4714-11-30 23:59:59+00 BC",
            "4714-12-31 23:59:59+00 BC",
            "4713-01-01 00:00:00+00 BC",
            "4713-01-02 03:04:05+00 BC",
            "4713-01-08 00:00:00+00 BC",
            "2024-02-29 23:34:56.789+00",
            "294276-12-31 23:59:59.4+00",
            "294276-12-31 00:00:00+00",
            "294276-12-30 00:00:01+00",
            "294276-12-29 20:00:00+00",
        ],
        "inet" => vec![
            "0.0.0.0",
            "255.255.255.255",
            "10.1.2.3/8",
            "1.2.3.4/0",
            "::",
            "::1/0",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::1/10",
            "::ffff:1.2.3.4",
        ],
        "cidr" => vec![
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::1/128",
        ],
        "jsonb" => vec![
            "null",
            "1",
            "\"x\"",
            "[]",
            "{}",
            "[1]",
            "{\"a\": null}",
            "{\"a\": 1}",
            "{\"a\": {\"b\": 1}}",
            "{\"a\": [1, {\"b\": 2}]}",
            "{\"0\": {\"b\": [[]]}}",
            "{\"a\": {\"b\": \"13800138000\"}, \"c\": [1, \"x\", {\"d\": 5.5}], \"e\": {\"f\": {}}}",
            "{\"c\": {\"d\": 1}, \"n\": 12345678901234567890123.456}",
        ],
        "json" => vec![
            "null",
            " [1 , 2 ]",
            "{\"a\": \"\\u0000\"}",
            "{\"a\": \"\\ud800\"}",
            "1e999999",
            "{\"a\": {\"b\": 1, \"b\": 2}}",
            "{\"c\": [{\"d\": 1e400}]}",
            "\"\\ude00\"",
            "{\"c\": [{\"d\": 5}], \"a\": {\"b\": \"\\\\u0000\"}}",
            "-1E+0999999",
            "1e-999999",
        ],
        "bytea" => vec!["", "\\x00ff", "\\x"],
        "bool" => vec!["true", "false"],
        "uuid" => vec![
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
        "interval" => vec!["178000000 years", "-178000000 years", "0"],
        "time" => vec!["00:00:00", "23:59:59.999999", "24:00:00"],
        "oid" => vec!["0", "4294967295"],
        _ => vec![
            "", " ", "a", "@", "a@", "😀@b", "e\u{301}", "it's", "\\", "10.5",
        ],
    }
}

fn all_masks() -> Vec<Mask> {
    let mut masks = vec![
        Mask::Partial(partial(1, 0)),
        Mask::Partial(email()),
        Mask::Partial(Partial {
            group: Some(4),
            ..partial(4, 4)
        }),
        Mask::Partial(Partial {
            char: '●',
            ..partial(0, 2)
        }),
        Mask::Network { v4: 24, v6: 48 },
        Mask::Network { v4: 0, v6: 0 },
        Mask::Network { v4: 31, v6: 127 },
        json(&[("$.a.b", json_text("\"***\""))], JsonOther::Clear),
        json(
            &[
                ("$.a.b", json_masked(Mask::Partial(partial(3, 4)))),
                ("$.c[*].d", json_masked(round_to("5"))),
                ("$.e", JsonAction::Clear),
                ("$.n", json_masked(Mask::Round(-3))),
            ],
            JsonOther::Nullify,
        ),
        json(&[("$[*]", JsonAction::Nullify)], JsonOther::Clear),
    ];
    let constants = [
        "x",
        "0",
        "-99999999999999999999999",
        "1e-60",
        "2024-02-29",
        "\\x00",
        "true",
        "1.5",
        "{\"a\": 1}",
        "10.0.0.0/8",
        "0d2f4a1c-0000-4000-8000-000000000000",
        // What looks like one of the above and PostgreSQL cannot read, or not everywhere.
        "2147483648",
        "-32769",
        "4294967296",
        "+5",
        "NaN",
        "1e400",
        "1e131072",
        "{\"a\": 1e400}",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "{\"a\": 1, \"a\": 2}",
        " [1] ",
        "2024-02-29 23:59:59",
        "2024-02-29T23:59:59",
        "9999-12-31 23:59:59",
        "0001-01-01",
        "23:59:59",
        "23:59:60",
        "24:00:00",
        "90 days",
        "999999 years",
        "1 fortnight",
        "yes",
        "on",
        "t",
        "10.0.0.1/8",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/33",
        "010.0.0.1",
        "::ffff:1.2.3.4/128",
        "fe80::1%eth0",
        "::/0",
        "\\x0",
        "{0d2f4a1c-0000-4000-8000-000000000000}",
    ];
    masks.extend(constants.map(constant));
    for unit in UNITS {
        for zone in [
            None,
            Some("UTC"),
            Some("Asia/Shanghai"),
            Some("America/Los_Angeles"),
            Some("Pacific/Kiritimati"),
        ] {
            masks.push(truncate(unit, zone));
        }
    }
    let steps = [
        "50",
        "3",
        "1000000",
        "1000000000000000000",
        "2.5",
        "0.5",
        "0.003",
        "1e20",
        "7e-6",
    ];
    masks.extend(steps.map(round_to));
    masks.extend([-1000, -400, -5, -3, -2, -1, 0, 1, 3, 499].map(Mask::Round));
    for (bottom, top) in [
        (Some("-10"), Some("10")),
        (None, Some("1e30")),
        (Some("1e30"), None),
        (None, Some("-1e400")),
        (Some("0.005"), Some("99.999")),
        (Some("1950-01-01"), Some("2005-12-31")),
        (None, Some("2005-12-31 23:59:59")),
        (Some("1e-60"), Some("1e-50")),
        (Some("998.995"), None),
    ] {
        masks.push(clamp(bottom, top));
    }
    masks
}

const TYPES: [&str; 39] = [
    "text",
    "varchar(3)",
    "varchar",
    "bpchar(4)",
    "bpchar",
    "int2",
    "int4",
    "int8",
    "numeric",
    "numeric(5,2)",
    "numeric(3,-2)",
    "numeric(2,4)",
    "numeric(1000,500)",
    "float4",
    "float8",
    "date",
    "timestamp",
    "timestamp(0)",
    "timestamptz",
    "timestamptz(0)",
    "inet",
    "cidr",
    "json",
    "jsonb",
    "bytea",
    "bool",
    "uuid",
    "interval",
    "time",
    "oid",
    "name",
    "text[]",
    "varchar(3)[]",
    "int4[]",
    "numeric(5,2)[]",
    "date[]",
    "inet[]",
    "jsonb[]",
    "timestamptz[]",
];

/// Every mask that fits the type.
fn masks_for(ty: &ColumnType) -> Vec<(Mask, CompiledMask)> {
    (all_masks().into_iter())
        .filter_map(|mask| Some((mask.clone(), CompiledMask::compile(&mask, ty).ok()?)))
        .collect()
}

/// Each value alone; for arrays, in arrays of none, one and two dimensions.
fn values_of(name: &str) -> Vec<String> {
    let base = name.trim_end_matches("[]");
    let mut scalars: Vec<String> = (extremes(base).iter())
        .map(|value| format!("'{}'::{base}", value.replace('\'', "''")))
        .collect();
    scalars.push(format!("NULL::{base}"));
    if base == name {
        return scalars;
    }
    let mut arrays: Vec<String> = scalars
        .iter()
        .map(|value| format!("ARRAY[{value}]::{name}"))
        .collect();
    arrays.push(format!("ARRAY[{}]::{name}", scalars.join(",")));
    arrays.push(format!("ARRAY[[{0},{0}],[{0},NULL]]::{name}", scalars[0]));
    arrays.push(format!("'{{}}'::{name}"));
    arrays.push(format!("NULL::{name}"));
    arrays
}

#[test]
fn no_mask_raises_and_only_null_becomes_null() {
    let mut tried = 0;
    let mut sql = String::new();
    for name in TYPES {
        let values: Vec<String> = values_of(name)
            .iter()
            .map(|value| format!("({value})"))
            .collect();
        for (_, bound) in masks_for(&ty(name)) {
            tried += 1;
            // Every value is computed and written as text.
            writeln!(
                sql,
                "SELECT count(*) FILTER (WHERE (m IS NULL) <> (c IS NULL)), \
                 min(length(m::text)) > -1, $m${name} {}$m$ \
                 FROM (SELECT c, {} AS m FROM (VALUES {}) AS v(c) OFFSET 0) AS s;",
                bound.describe(),
                bound.sql("v.c"),
                values.join(","),
            )
            .expect("a string");
        }
    }
    let rows = run(&sql);
    assert_eq!(rows.len(), tried);
    assert!(tried > 400, "{tried}");
    for row in rows {
        assert!(row.starts_with("0|t|"), "{row}");
    }
}

// ---- They mean what PostgreSQL's functions say ----

/// A mask, a type, PostgreSQL's own expression over `c`, and values for which that does not raise.
type Reference = (Mask, &'static str, String, Vec<&'static str>);

fn text_references(all: &mut Vec<Reference>) {
    let keep = |first: u32, last: u32| {
        let kept = first + last;
        format!(
            "CASE WHEN length(c::text) <= {kept} THEN repeat('*', length(c::text)) ELSE \
             left(c::text, {first}) || repeat('*', length(c::text) - {kept}) || \
             right(c::text, {last}) END"
        )
    };
    let email_sql = "CASE WHEN position('@' in c::text) > 1 THEN left(c::text, 1) || '***' || \
                     substr(c::text, position('@' in c::text)) WHEN c IS NULL THEN NULL \
                     ELSE '***' END";
    let names = vec![
        "",
        "a",
        "ab",
        "张三丰",
        "13800138000",
        "1234567",
        "abc     ",
        "x@y.z",
        "@y",
    ];
    for name in [
        "text",
        "varchar(24)",
        "varchar(2)",
        "bpchar(15)",
        "bpchar(3)",
    ] {
        for (first, last) in [(1, 0), (3, 4), (6, 4), (0, 2)] {
            let mask = Mask::Partial(partial(first, last));
            all.push((mask, name, keep(first, last), names.clone()));
        }
        all.push((
            Mask::Partial(email()),
            name,
            email_sql.to_owned(),
            names.clone(),
        ));
    }
}

fn date_references(all: &mut Vec<Reference>) {
    let days = vec![
        "1999-12-31",
        "2000-02-29",
        "2024-01-01",
        "0044-03-15 BC",
        "infinity",
        "-infinity",
    ];
    for unit in [Unit::Year, Unit::Quarter, Unit::Month, Unit::Week] {
        let name = unit.name();
        let utc = format!("date_trunc('{name}', c AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'");
        let zoned = format!("date_trunc('{name}', c, 'Asia/Shanghai')");
        // Where no timestamp can be: the same weekday, month and day, a multiple of 400 years
        // (146,097 days, 20,871 weeks) earlier.
        let late_sql =
            format!("date_trunc('{name}', (c - 146097 * 14000)::timestamp)::date + 146097 * 14000");
        let late = vec![
            "5874897-12-31",
            "5874896-02-29",
            "5700000-05-06",
            "5650001-01-01",
        ];
        let zone = Some("Asia/Shanghai");
        let plain = truncate(unit, None);
        let sql = format!("date_trunc('{name}', c::timestamp)");
        all.push((plain.clone(), "date", sql, days.clone()));
        all.push((plain.clone(), "date", late_sql, late));
        let sql = format!("date_trunc('{name}', c)");
        all.push((plain.clone(), "timestamp", sql, days.clone()));
        all.push((plain, "timestamptz", utc, days.clone()));
        all.push((truncate(unit, zone), "timestamptz", zoned, days.clone()));
    }
}

fn number_references(all: &mut Vec<Reference>) {
    let numbers = vec![
        "0",
        "49",
        "-1",
        "1234.56",
        "-1234.56",
        "99999999.99",
        "12.50",
    ];
    for step in ["50", "5000", "2.5", "0.5"] {
        let sql = format!("floor(c::numeric / {step}) * {step}");
        for name in ["numeric(12,2)", "numeric", "float8"] {
            all.push((round_to(step), name, sql.clone(), numbers.clone()));
        }
    }
    for digits in [-5, -3, 0, 1] {
        let sql = format!("round(c, {digits})");
        all.push((Mask::Round(digits), "numeric(12,2)", sql, numbers.clone()));
    }
    let whole = vec!["0", "49", "50", "-1", "-50", "-51", "32767", "12345"];
    for name in ["int2", "int4", "int8"] {
        let sql = "floor(c::numeric / 50) * 50".to_owned();
        all.push((round_to("50"), name, sql, whole.clone()));
        let sql = "round(c::numeric, -2)".to_owned();
        all.push((
            Mask::Round(-2),
            name,
            sql,
            vec!["0", "50", "-50", "12345", "-149"],
        ));
        let sql = "CASE WHEN c IS NOT NULL THEN greatest(10, least(100, c)) END".to_owned();
        all.push((clamp(Some("10"), Some("100")), name, sql, whole.clone()));
    }
}

fn other_references(all: &mut Vec<Reference>) {
    let sql = "CASE family(c) WHEN 4 THEN set_masklen(network(set_masklen(c, 24))::inet, 32) \
               ELSE set_masklen(network(set_masklen(c, 48))::inet, 128) END";
    let addresses = vec!["10.1.2.3", "10.1.2.3/8", "2001:db8:1:2:3::9", "::1/64"];
    all.push((
        Mask::Network { v4: 24, v6: 48 },
        "inet",
        sql.to_owned(),
        addresses,
    ));
    let documents = vec![
        r#"{"contact": {"wechat": "abc", "x": [1]}, "income": null}"#,
        r#"{"contact": {}, "income": 5}"#,
        r#"{"other": 1}"#,
    ];
    let paths = [
        ("$.contact.wechat", json_text("\"***\"")),
        ("$.income", json_text("0")),
    ];
    let sql =
        "jsonb_set(jsonb_set(c, '{contact,wechat}', '\"***\"', false), '{income}', '0', false)";
    all.push((
        json(&paths, JsonOther::Clear),
        "jsonb",
        sql.to_owned(),
        documents,
    ));
}

#[test]
fn masks_mean_what_postgresql_says() {
    let mut all = Vec::new();
    text_references(&mut all);
    date_references(&mut all);
    number_references(&mut all);
    other_references(&mut all);
    let mut sql = String::new();
    for (mask, name, reference, values) in &all {
        let bound = compile(mask, &ty(name));
        let rows: Vec<String> = values
            .iter()
            .map(|value| format!("('{value}'::{name})"))
            .collect();
        writeln!(
            sql,
            "SELECT coalesce(string_agg(concat_ws(' ', c, m, r), '; ') FILTER \
             (WHERE m::text IS DISTINCT FROM r::text), 'same') FROM \
             (SELECT c, {} AS m, ({reference})::{name} AS r FROM (VALUES {}, (NULL)) AS v(c)) AS s;",
            bound.sql("v.c"),
            rows.join(","),
        )
        .expect("a string");
    }
    let rows = run(&sql);
    assert_eq!(rows.len(), all.len());
    for (row, (mask, name, ..)) in rows.iter().zip(&all) {
        assert_eq!(row, "same", "{mask:?} on {name}");
    }
}

/// Cases with no PostgreSQL function to compare with: clamped, hidden, per element.
#[test]
fn what_only_masks_do() {
    let group = Mask::Partial(Partial {
        group: Some(4),
        min_hidden: 8,
        ..partial(4, 4)
    });
    let first = Mask::Partial(partial(1, 0));
    let network = Mask::Network { v4: 24, v6: 48 };
    let phones = json(
        &[
            (
                "$.phones[*].number",
                json_masked(Mask::Partial(partial(3, 2))),
            ),
            ("$.age", json_masked(round_to("10"))),
        ],
        JsonOther::Nullify,
    );
    let nested = json(&[("$.a.b", JsonAction::Nullify)], JsonOther::Clear);
    let day = truncate(Unit::Day, Some("Asia/Shanghai"));
    // Sixteen digits of a quotient would round this one up.
    let big = "99999999999999999999999999999.99";
    let cases: Vec<(Mask, &str, &str, &str)> = vec![
        (Mask::Round(-3), "numeric(5,2)", "999.99", "999.99"),
        (Mask::Round(-3), "numeric(5,2)", "-500", "-999.99"),
        (Mask::Round(-3), "numeric(5,2)", "499.99", "0.00"),
        (Mask::Round(-3), "numeric(5,2)", "NaN", "NaN"),
        (Mask::Round(-2), "int2", "32767", "32767"),
        (Mask::Round(-2), "int2", "-32768", "-32768"),
        (round_to("50"), "int2", "-32768", "-32768"),
        (round_to("50"), "int2", "-32750", "-32750"),
        (
            round_to("50"),
            "int8",
            "-9223372036854775808",
            "-9223372036854775808",
        ),
        (round_to("50"), "numeric(5,2)", "-999.99", "-999.99"),
        (round_to("50"), "numeric(5,2)", "NaN", "NaN"),
        (round_to("50"), "numeric", "-Infinity", "-Infinity"),
        (
            round_to("50"),
            "numeric",
            big,
            "99999999999999999999999999950",
        ),
        (round_to("50"), "float8", "NaN", "NaN"),
        (round_to("50"), "float8", "-5e-324", "-50"),
        (round_to("50"), "float4", "99", "50"),
        (
            clamp(Some("0"), Some("100")),
            "numeric(5,2)",
            "NaN",
            "100.00",
        ),
        (clamp(Some("5000"), None), "numeric(5,2)", "1", "999.99"),
        (
            clamp(None, Some("2005-12-31")),
            "date",
            "infinity",
            "2005-12-31",
        ),
        (
            truncate(Unit::Year, None),
            "date",
            "4714-12-31 BC",
            "4714-11-24 BC",
        ),
        (
            truncate(Unit::Week, None),
            "date",
            "4714-11-24 BC",
            "4714-11-24 BC",
        ),
        (
            day.clone(),
            "timestamptz",
            "2024-03-01 17:00+00",
            "2024-03-01 16:00:00+00",
        ),
        (
            group.clone(),
            "text",
            "4111-1111 1111-1234",
            "4111 **** **** 1234",
        ),
        (group.clone(), "text", "4111111", "**** ***"),
        (Mask::Partial(partial(2, 0)), "bpchar(6)", "10115", "10***"),
        (
            first.clone(),
            "text[]",
            "{张三,NULL,\"\",abc}",
            "{张*,NULL,\"\",a**}",
        ),
        (first.clone(), "text[]", "{{a,b},{c,d}}", "{}"),
        (constant("[REDACTED]"), "varchar(4)", "x", "[RED"),
        (constant("x"), "text[]", "{a,b}", "{x,x}"),
        (constant("1e9"), "numeric(5,2)", "1", "999.99"),
        (constant("\\x00"), "bytea", "secret", "\\x00"),
        (network.clone(), "cidr", "10.1.2.3/32", "10.1.2.0/24"),
        (network.clone(), "cidr", "10.0.0.0/8", "10.0.0.0/8"),
        (
            phones.clone(),
            "jsonb",
            r#"{"phones": [{"number": "13800138000", "x": 1}, {"number": 5}, 7], "age": 47, "z": 1}"#,
            r#"{"z": null, "age": 40, "phones": [{"x": null, "number": "138******00"}, {"number": null}, null]}"#,
        ),
        (
            nested.clone(),
            "jsonb",
            r#"{"a": "secret"}"#,
            r#"{"a": null}"#,
        ),
        (nested.clone(), "jsonb", r#"["secret"]"#, "null"),
        (
            nested.clone(),
            "json",
            r#"{"a": {"b": "secret"}, "c": "\u0000"}"#,
            "null",
        ),
        (
            nested.clone(),
            "json",
            r#"{"a": {"b": "secret"}, "c": 1}"#,
            r#"{"a": {"b": null}, "c": 1}"#,
        ),
    ];
    let mut sql = "SET timezone = 'UTC';\n".to_owned();
    for (mask, name, value, _) in &cases {
        let masked = compile(mask, &ty(name)).sql("v.c");
        writeln!(
            sql,
            "SELECT {masked} FROM (VALUES ('{value}'::{name})) AS v(c);"
        )
        .expect("a string");
    }
    let rows = run(&sql);
    assert_eq!(rows.len(), cases.len());
    for (row, (mask, name, value, expected)) in rows.iter().zip(&cases) {
        assert_eq!(
            row.trim_end_matches(' '),
            *expected,
            "{mask:?} on {name} of {value}"
        );
    }
}

#[test]
fn masks_that_do_not_fit_say_so() {
    let overlapping = [("$.a", JsonAction::Nullify), ("$.a.b", JsonAction::Nullify)];
    for (mask, name, words) in [
        (Mask::Partial(partial(1, 0)), "int4", "text types"),
        (truncate(Unit::Day, None), "date", "hides nothing"),
        (truncate(Unit::Year, None), "text", "date, timestamp"),
        (
            truncate(Unit::Year, Some("Mars'; --")),
            "timestamptz",
            "timezone",
        ),
        (round_to("0"), "int4", "greater than zero"),
        (round_to("2.5"), "int4", "whole"),
        (round_to("1"), "int4", "from 2"),
        (round_to("0.01"), "numeric(9,2)", "keeps every digit"),
        (round_to("fifty"), "numeric", "decimal number"),
        (Mask::Round(2), "numeric(9,2)", "keeps every digit"),
        (Mask::Round(0), "int4", "keeps every digit"),
        (Mask::Round(1), "float8", "round_to"),
        (clamp(None, None), "int4", "top or bottom"),
        (clamp(Some("2"), Some("1")), "int4", "below"),
        (clamp(Some("31.12.1999"), None), "date", "YYYY-MM-DD"),
        (Mask::Network { v4: 32, v6: 48 }, "inet", "at most 31"),
        (Mask::Network { v4: 24, v6: 48 }, "text", "inet"),
        (constant("abc"), "int4", "decimal number"),
        (constant("2147483648"), "int4", "out of range for int4"),
        (constant("1.5"), "int4", "whole"),
        (constant("1"), "money", "nullify or deny"),
        (constant("(0,0)"), "point", "nullify or deny"),
        (
            constant("2 weeks ago"),
            "interval",
            "cannot be read as interval",
        ),
        (constant("24:00:00"), "time", "cannot be read as time"),
        (constant("10.0.0.1/8"), "cidr", "cannot be read as cidr"),
        (constant("10.0.0.0/08"), "inet", "cannot be read as inet"),
        (constant("2024-02-30"), "date", "cannot be read"),
        (constant("a\0b"), "text", "NUL"),
        (
            json(&[("a.b", JsonAction::Nullify)], JsonOther::Clear),
            "jsonb",
            "not a path",
        ),
        (json(&overlapping, JsonOther::Clear), "jsonb", "overlaps"),
        (
            Mask::Partial(Partial {
                group: Some(0),
                ..partial(0, 0)
            }),
            "text",
            "group",
        ),
        (
            Mask::Partial(Partial {
                stop_at: Some(String::new()),
                ..partial(0, 0)
            }),
            "text",
            "stop_at",
        ),
    ] {
        match CompiledMask::compile(&mask, &ty(name)) {
            Ok(_) => panic!("{mask:?} fits {name}"),
            Err(e) => assert!(e.message.contains(words), "{mask:?} on {name}: {e}"),
        }
    }
}

// ---- The SQL form keeps to itself ----

#[test]
fn type_typmod_and_collation_are_the_columns() {
    let collated = if has_icu() { "und-x-icu" } else { "C" };
    let clause = format!(" COLLATE \"{collated}\"");
    let mut out = Vec::new();
    for name in TYPES {
        let plain = ty(name);
        let mut types = vec![(plain.clone(), "")];
        if plain
            .element
            .as_deref()
            .unwrap_or(&plain)
            .sql
            .contains("char")
            || name == "text"
        {
            let collation = Some((Ident::exact("pg_catalog"), Ident::exact(collated)));
            types.push((ColumnType { collation, ..plain }, clause.as_str()));
        }
        for (ty, collate) in types {
            let mut masked: Vec<String> = (masks_for(&ty).iter())
                .map(|(_, bound)| bound.sql("t.c"))
                .collect();
            masked.push(null_sql(&ty));
            let columns: Vec<String> = masked
                .iter()
                .enumerate()
                .map(|(at, sql)| format!("{sql} AS m{at}"))
                .collect();
            out.extend(run(&format!(
                "CREATE TEMP TABLE t (c {name}{collate}); \
                 CREATE TEMP VIEW m AS SELECT {} FROM t; \
                 SELECT '{name}', a.attname, a.atttypid::regtype, a.atttypmod, a.attcollation \
                 FROM pg_attribute a, pg_attribute b WHERE a.attrelid = 'm'::regclass \
                 AND b.attrelid = 't'::regclass AND b.attnum = 1 AND \
                 (a.atttypid, a.atttypmod, a.attcollation) <> (b.atttypid, b.atttypmod, b.attcollation)",
                columns.join(", ")
            )));
        }
    }
    assert!(out.is_empty(), "{out:#?}");
}

#[test]
fn nondeterministic_collations_do_not_raise() {
    if !has_icu() {
        return;
    }
    let mut sql =
        "CREATE COLLATION nodet (provider = icu, locale = 'und', deterministic = false);\n"
            .to_owned();
    let collation = Some((Ident::exact("public"), Ident::exact("nodet")));
    let ty = ColumnType {
        collation,
        ..ty("text")
    };
    let mut tried = 0;
    for (_, bound) in masks_for(&ty) {
        tried += 1;
        writeln!(
            sql,
            "SELECT count({}) FROM (VALUES ('a@b' COLLATE nodet), ('4111 1111')) AS v(c);",
            bound.sql("v.c")
        )
        .expect("a string");
    }
    assert_eq!(run(&sql), vec!["2"; tried]);
}

/// The owner's functions, operators and types of the same names, found first, are never met.
#[test]
fn no_name_depends_on_search_path() {
    let mut masked = String::new();
    let mut columns = String::new();
    for (name, value) in [
        ("text", "a@b"),
        ("varchar(9)", "ab"),
        ("bpchar(9)", "ab"),
        ("text[]", "{a,b}"),
        ("int4", "123"),
        ("numeric(9,2)", "123"),
        ("numeric", "123"),
        ("float8", "123"),
        ("jsonb", "{\"a\": {\"b\": \"x\"}}"),
        ("json", "{}"),
        ("inet", "10.1.2.3"),
        ("cidr", "10.1.2.3/32"),
        ("date", "2024-02-29"),
        ("date", "5874897-12-31"),
        ("timestamp", "2024-02-29"),
        ("timestamptz", "2024-02-29"),
    ] {
        for (_, bound) in masks_for(&ty(name)) {
            let at = columns.len();
            write!(masked, ", {} AS m{at}", bound.sql(&format!("t.c{at}"))).expect("a string");
            write!(columns, ", '{value}'::pg_catalog.{name} AS c{at}").expect("a string");
        }
    }
    // Functions and operators a mask may call, captured by ones that raise. VARIADIC and polymorphic
    // ones cannot be copied this way and are left out.
    let out = run(&format!(
        "CREATE SCHEMA trap; \
         DO $do$ DECLARE f record; BEGIN \
           FOR f IN SELECT proname, pg_get_function_identity_arguments(oid) AS args, \
               prorettype::regtype AS result FROM pg_proc \
             WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ('left', 'right', \
               'repeat', 'length', 'substr', 'strpos', 'translate', 'octet_length', \
               'regexp_replace', 'date_trunc', 'timezone', 'extract', 'make_date', 'isfinite', \
               'mod', 'round', 'floor', 'abs', 'family', 'set_masklen', 'network', 'masklen', \
               'jsonb_typeof') \
           LOOP EXECUTE pg_catalog.format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql \
             AS $f$BEGIN RAISE ''trapped''; END$f$', f.proname, f.args, f.result); END LOOP; \
           FOR f IN SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r FROM pg_operator \
             WHERE oprname IN ('||', '+', '-', '*', '/', '%', '<', '>', '<=', '>=', '=', '<>', '#>>') \
               AND oprleft <> 0 AND oprleft::regtype::text IN ('text', 'integer', 'bigint', 'numeric', \
               'double precision', 'date', 'timestamp without time zone', \
               'timestamp with time zone', 'jsonb') AND oprleft = oprright \
           LOOP EXECUTE pg_catalog.format('CREATE FUNCTION trap.op(%1$s, %2$s) RETURNS boolean \
             LANGUAGE plpgsql AS $f$BEGIN RAISE ''trapped''; END$f$', f.l, f.r); \
             EXECUTE pg_catalog.format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, \
             FUNCTION = trap.op)', f.oprname, f.l, f.r); \
             EXECUTE pg_catalog.format('ALTER FUNCTION trap.op(%s, %s) RENAME TO op%s', f.l, f.r, \
             (random() * 1e9)::int); END LOOP; END $do$; \
         SELECT count(*) > 60 FROM pg_proc WHERE pronamespace = 'trap'::regnamespace; \
         CREATE DOMAIN trap.text AS pg_catalog.int4; CREATE DOMAIN trap.numeric AS pg_catalog.int4; \
         CREATE DOMAIN trap.date AS pg_catalog.int4; CREATE DOMAIN trap.jsonb AS pg_catalog.int4; \
         SET search_path = trap, pg_catalog; \
         SELECT pg_catalog.count(s.*) FROM (SELECT 0 AS z{masked} FROM \
           (SELECT 0 AS z{columns} OFFSET 0) AS t OFFSET 0) AS s;"
    ));
    assert_eq!(out, ["t", "1"]);
}

/// Reading through the derived table costs no more than the scan: PostgreSQL pulls it up.
#[test]
fn masked_derived_tables_are_pulled_up() {
    let mut sql = String::new();
    let mut tried = 0;
    for name in [
        "text",
        "varchar(9)",
        "text[]",
        "numeric(9,2)",
        "date",
        "timestamptz",
        "inet",
        "jsonb",
    ] {
        let table = format!("p{tried}");
        writeln!(
            sql,
            "CREATE TEMP TABLE {table} (id int PRIMARY KEY, c {name}); \
             INSERT INTO {table} SELECT i FROM generate_series(1, 10000) i; ANALYZE {table};"
        )
        .expect("a string");
        for (_, bound) in masks_for(&ty(name)) {
            tried += 1;
            writeln!(
                sql,
                "EXPLAIN (COSTS OFF) SELECT s.c FROM (SELECT id, {} AS c FROM {table}) AS s \
                 WHERE s.id = 5;",
                bound.sql(&format!("{table}.c"))
            )
            .expect("a string");
        }
    }
    let plans = run(&sql);
    let scans = plans
        .iter()
        .filter(|line| line.starts_with("Index Scan"))
        .count();
    assert_eq!(scans, tried);
    assert!(
        !plans
            .iter()
            .any(|line| line.contains("Subquery Scan") || line.contains("Seq Scan"))
    );
}

// ---- Tokens ----

fn key(byte: u8) -> Arc<TokenKey> {
    let id = if byte == 1 { "aaaa" } else { "bbbb" };
    Arc::new(TokenKey::new(id, zeroize::Zeroizing::new([byte; 64])).expect("an id"))
}

fn bind(domain: &str, kind: TokenKind, key_byte: u8, name: &str) -> TokenColumn {
    match TokenColumn::bind(domain, kind, &[key(key_byte)], &ty(name)) {
        Ok(column) => column,
        Err(e) => panic!("{e}"),
    }
}

fn token(column: &TokenColumn, value: &[u8], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    column
        .encode_wire(value, format, &mut out)
        .expect("a value of the type");
    out
}

#[test]
fn hmac_tokens_agree_with_postgresql() {
    for (name, send, values) in [
        (
            "text",
            "textsend",
            vec!["", "ada", "张三", "it''s", "blank  "],
        ),
        ("varchar(9)", "varcharsend", vec!["ada", "x"]),
        ("bpchar(9)", "bpcharsend", vec!["ada", "", "x y"]),
        (
            "uuid",
            "uuid_send",
            vec!["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
        ),
    ] {
        let column = bind("person", TokenKind::Hmac, 1, name);
        let (ipad, opad) = column.hmac_pads().expect("hmac");
        let pad = |pad: &[u8; 64]| format!("'\\x{}'::bytea", hex(pad));
        let sql = column
            .hmac_sql("v.c", &pad(ipad), &pad(opad))
            .expect("hmac");
        for value in values {
            let rows = run(&format!(
                "SELECT encode({send}(c), 'hex'), {sql}, pg_typeof({sql}), \
                 (SELECT {sql} IS NULL FROM (VALUES (NULL::{name})) AS v(c)) \
                 FROM (VALUES ('{value}'::{name})) AS v(c)"
            ));
            let fields: Vec<&str> = rows[0].split('|').collect();
            let wire = unhex(fields[0]);
            if name == "uuid" {
                let ours = token(&column, &wire, Format::Binary);
                assert_eq!(hex(&ours), fields[1].replace('-', ""));
                let text = token(&column, value.as_bytes(), Format::Text);
                assert_eq!(String::from_utf8_lossy(&text), fields[1]);
            } else {
                let ours = token(&column, &wire, Format::Text);
                assert_eq!(String::from_utf8_lossy(&ours), fields[1], "{name} {value}");
            }
            let described = if name == "uuid" {
                "uuid"
            } else {
                "character varying"
            };
            assert_eq!(fields[2..], [described, "t"]);
        }
    }
}

const SHAPES: [Shape; 5] = [
    Shape::Digits,
    Shape::Phone,
    Shape::BankCard { keep_bin: false },
    Shape::BankCard { keep_bin: true },
    Shape::CnId,
];

/// Texts in and around the shapes: good ones with a character changed, added or left out.
fn around_the_shapes() -> Vec<String> {
    let good = [
        "13812345678",
        "+86 138-1234-5678",
        "(0571) 8888.8888",
        "4111111111111111",
        "6222020200000000006",
        "4222222222222",
        "11010519491231002X",
        "123456",
        "12345678901234567890123456789012345678",
    ];
    let mut texts: Vec<String> = good.map(str::to_owned).to_vec();
    texts.extend(
        [
            "",
            " ",
            "abc",
            "tok_aaaa",
            "１２３４５６７",
            "123456\n",
            "\n1234567",
        ]
        .map(str::to_owned),
    );
    for text in good {
        for at in 0..text.len() {
            for new in ["", "0", "7", "X", "x", "-", "é"] {
                let (before, rest) = text.split_at(at);
                let after = rest.split_at(1).1;
                texts.push(format!("{before}{new}{after}"));
                texts.push(format!("{before}{new}{rest}"));
            }
        }
        texts.extend([format!(" {text}"), format!("{text} ")]);
    }
    // Days that there are and are not, with the right check character.
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    for year in [1899, 1900, 1904, 1999, 2000, 2001, 2024, 2099, 2100] {
        for day in [
            "0001", "0100", "0101", "0131", "0132", "0228", "0229", "0230", "0430", "0431", "0930",
            "0931", "1031", "1130", "1131", "1231", "1301",
        ] {
            let body = format!("110105{year}{day}002");
            let terms = body
                .bytes()
                .zip(weights)
                .map(|(d, w)| usize::from(d - b'0') * w);
            let check = "10X98765432"
                .chars()
                .nth(terms.sum::<usize>() % 11)
                .expect("eleven of them");
            texts.push(format!("{body}{check}"));
        }
    }
    texts
}

#[test]
fn postgresql_knows_what_has_a_shape() {
    let texts = around_the_shapes();
    for shape in SHAPES {
        for name in ["text", "varchar(40)", "bpchar(40)"] {
            let column = bind("person", TokenKind::Ff1(shape), 1, name);
            let guarded = column.guarded_sql("v.c").expect("a shape");
            let values: Vec<String> = texts
                .iter()
                .map(|text| format!("(E'{}'::{name})", text.replace('\n', "\\n")))
                .collect();
            let rows = run(&format!(
                "SELECT ({guarded}) IS NOT NULL, \
                 ({guarded}) IS NULL OR ({guarded}) = v.c, pg_typeof({guarded}) \
                 FROM (VALUES {}) AS v(c)",
                values.join(", ")
            ));
            assert_eq!(rows.len(), texts.len());
            let mut inside = 0;
            for (text, row) in texts.iter().zip(rows) {
                let mut out = Vec::new();
                let ours = column.encode_wire(text.as_bytes(), Format::Text, &mut out);
                let theirs = row.split('|').next() == Some("t");
                assert_eq!(ours.is_ok(), theirs, "{shape:?} {name} {text:?}");
                assert!(row.contains("|t|"), "{row}");
                inside += usize::from(theirs);
                if theirs {
                    let back = column.decode(&out).expect("a token");
                    let blanks = if name == "bpchar(40)" {
                        text.trim_end_matches(' ')
                    } else {
                        text
                    };
                    assert_eq!(back.as_slice(), blanks.as_bytes());
                }
            }
            assert!(inside > 5 && inside < texts.len(), "{shape:?}: {inside}");
        }
    }
}

#[test]
fn a_shape_needs_room() {
    for (shape, name, why) in [
        (
            Shape::Digits,
            "varchar(5)",
            "format: digits begins with 6 characters",
        ),
        (
            Shape::CnId,
            "bpchar(17)",
            "format: cn_id begins with 18 characters",
        ),
        (
            Shape::Phone,
            "int8",
            "kind: ff1 with format: phone fits text, varchar and char",
        ),
        (
            Shape::Digits,
            "text[]",
            "token fits text, varchar, char, integers and uuid",
        ),
    ] {
        let bound = TokenColumn::bind("d", TokenKind::Ff1(shape), &[key(1)], &ty(name));
        let error = bound.err().expect("refused").to_string();
        assert!(error.starts_with(why), "{error}");
    }
    bind("d", TokenKind::Ff1(Shape::Digits), 1, "varchar(6)");
}

#[test]
fn siv_tokens_come_back_and_only_in_their_domain() {
    let text = bind("person", TokenKind::Siv, 1, "text");
    let long = "x".repeat(1000);
    for value in ["", "a", "ada@example.com", "张三", &long] {
        let made = token(&text, value.as_bytes(), Format::Text);
        assert!(made.starts_with(b"tok_aaaa") && made.is_ascii());
        assert_eq!(
            text.decode(&made).expect("decodes").as_slice(),
            value.as_bytes()
        );
        assert_eq!(made, token(&text, value.as_bytes(), Format::Binary));
        for other in [
            bind("acme", TokenKind::Siv, 1, "text"),
            bind("person", TokenKind::Siv, 2, "text"),
            bind("person", TokenKind::Siv, 1, "int4"),
        ] {
            assert!(other.decode(&made).is_none() && !other.joins_with(&text));
        }
        for at in [8, made.len() - 2] {
            let mut changed = made.clone();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            assert!(text.decode(&changed).is_none());
        }
    }
}

/// The key is set up once for all sessions; what one made of it before is nothing to the next.
#[test]
fn threads_that_share_a_key_make_the_same_tokens() {
    let column = bind("person", TokenKind::Siv, 1, "text");
    let values: Vec<String> = (0..64).map(|n| "x".repeat(n * 5)).collect();
    let alone: Vec<Vec<u8>> = values
        .iter()
        .map(|v| {
            // A key of its own for each.
            let fresh = bind("person", TokenKind::Siv, 1, "text");
            token(&fresh, v.as_bytes(), Format::Text)
        })
        .collect();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (column, values, alone) = (&column, &values, &alone);
            scope.spawn(move || {
                for n in (0..2_000).map(|n| (n + first * 17) % values.len()) {
                    let made = token(column, values[n].as_bytes(), Format::Text);
                    assert_eq!(made, alone[n]);
                    let opened = column.decode(&made).expect("decodes");
                    assert_eq!(opened.as_slice(), values[n].as_bytes());
                    let mut forged = made;
                    forged[9] ^= 1;
                    assert!(column.decode(&forged).is_none());
                }
            });
        }
    });
}

#[test]
fn one_family_has_one_token() {
    // char(n) without its blanks; integers of any width and format.
    let text = bind("person", TokenKind::Siv, 1, "text");
    let padded = bind("person", TokenKind::Siv, 1, "bpchar(9)");
    assert!(padded.joins_with(&text));
    assert_eq!(
        token(&padded, b"ada      ", Format::Text),
        token(&text, b"ada", Format::Text)
    );
    let small = bind("n", TokenKind::Siv, 1, "int2");
    let big = bind("n", TokenKind::Siv, 1, "int8");
    let seven = token(&big, b"-7", Format::Text);
    assert_eq!(
        token(&small, &(-7_i16).to_be_bytes(), Format::Binary),
        seven
    );
    assert_eq!(token(&big, &(-7_i64).to_be_bytes(), Format::Binary), seven);
    assert_eq!(small.decode(&seven).expect("decodes").as_slice(), b"-7");
    // A plaintext the column cannot hold would make PostgreSQL raise.
    assert!(small.decode(&token(&big, b"40000", Format::Text)).is_none());
    assert!(small.encode(b"seven", &mut Vec::new()).is_err());
    let irreversible = bind("person", TokenKind::Hmac, 1, "text");
    assert!(
        irreversible
            .decode(&token(&irreversible, b"ada", Format::Text))
            .is_none()
    );
}

#[test]
fn uuid_tokens_come_back_in_both_formats() {
    let plain = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let binary = unhex(&plain.replace('-', ""));
    let siv = bind("id", TokenKind::Siv, 1, "uuid");
    let made = token(&siv, plain.as_bytes(), Format::Text);
    assert_eq!(token(&siv, &binary, Format::Binary), made);
    assert_eq!(
        siv.decode(&made).expect("decodes").as_slice(),
        plain.as_bytes()
    );

    let ff1 = bind("id", TokenKind::Ff1Uuid, 1, "uuid");
    let made = token(&ff1, plain.as_bytes(), Format::Text);
    assert_ne!(made, plain.as_bytes());
    assert_eq!(
        ff1.decode(&made).expect("decodes").as_slice(),
        plain.as_bytes()
    );
    let from_binary = token(&ff1, &binary, Format::Binary);
    assert_eq!(
        hex(&from_binary),
        String::from_utf8_lossy(&made).replace('-', "")
    );
    let back = ff1
        .decode_wire(&from_binary, Format::Binary)
        .expect("decodes");
    assert_eq!(back.as_slice(), binary);
    let other = bind("other", TokenKind::Ff1Uuid, 1, "uuid");
    assert_ne!(token(&other, &binary, Format::Binary), from_binary);
}

/// RFC 5297, A.1: what the tokens are made with is AES-SIV.
#[test]
fn aes_siv_is_the_rfcs() {
    use aes_siv::{KeyInit, siv::Aes128Siv};
    let key = unhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let key: [u8; 32] = key.try_into().expect("32 bytes");
    let header = unhex("101112131415161718191a1b1c1d1e1f2021222324252627");
    let sealed = Aes128Siv::new(&key.into())
        .encrypt([&header], &unhex("112233445566778899aabbccddee"))
        .expect("sealed");
    assert_eq!(
        hex(&sealed),
        "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    );
}
