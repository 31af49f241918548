//! Integers that stay integers as tokens: what the analyst asks is what PostgreSQL answers on the tokens.

use std::thread;
use std::time::Duration;

use crate::in_any_order;
use crate::siv::stage;
use crate::support::client::{Answer, Client};
use crate::support::stage::Role;

/// `$1` and `$2` stand for tokens of numbers, `$3` for one of a holder.
const ANSWERED: &[&str] = &[
    "SELECT id, number, holder FROM accounts",
    "SELECT id FROM accounts WHERE number = $1",
    "SELECT id FROM accounts WHERE $1 = number",
    "SELECT id FROM accounts WHERE number = '$1'",
    "SELECT id FROM accounts WHERE number = ' $1 '",
    "SELECT id FROM accounts WHERE number = '$1'::int",
    "SELECT id FROM accounts WHERE number = $1::bigint",
    "SELECT id FROM accounts WHERE number = ($1)",
    "SELECT count(*) FROM accounts WHERE number <> $1",
    "SELECT count(*) FROM accounts WHERE NOT number = $1",
    "SELECT count(*) FROM accounts WHERE number IS DISTINCT FROM $1",
    "SELECT id FROM accounts WHERE number IN ($1, $2, 5, -5, NULL)",
    "SELECT count(*) FROM accounts WHERE number NOT IN ($1, '$2')",
    "SELECT count(*) FROM accounts WHERE number NOT IN ($1, NULL)",
    "SELECT id FROM accounts WHERE number = ANY (ARRAY[$1, $2])",
    "SELECT id FROM accounts WHERE number = ANY (ARRAY[$1, NULL]::int[])",
    "SELECT id FROM accounts WHERE number = ANY ('{$1, $2, NULL}')",
    "SELECT id FROM accounts WHERE number = ANY ('{$1, $2}'::bigint[])",
    "SELECT count(*) FROM accounts WHERE number <> ALL ('{$1, $2}')",
    "SELECT id FROM accounts WHERE holder = $3 OR number = $1",
    "SELECT id FROM accounts WHERE holder IN ($3, 5, -70000000003)",
    // What no int4 is equals none; 2147483648 is one sign away from one that is.
    "SELECT id FROM accounts WHERE number = 70000000003",
    "SELECT id FROM accounts WHERE number = -2147483648 OR number = 2147483648",
    "SELECT count(*) FROM accounts WHERE number <> 70000000003",
    "SELECT count(*), count(number), count(DISTINCT number), count(DISTINCT holder) FROM accounts",
    "SELECT number, count(*) FROM accounts GROUP BY number",
    "SELECT number FROM accounts WHERE id < 20 UNION SELECT source FROM transfers WHERE id < 20",
    "SELECT DISTINCT number FROM accounts",
    "SELECT a.id, t.id FROM accounts a JOIN transfers t ON a.number = t.source",
    "SELECT a.id, t.id FROM accounts a LEFT JOIN transfers t ON a.number = t.source",
    "SELECT a.id, b.id FROM accounts a JOIN accounts b USING (number) WHERE a.id < b.id",
    "SELECT id FROM accounts WHERE number IN (SELECT source FROM transfers)",
    "SELECT a.id FROM accounts a JOIN (VALUES ($1), ($2)) v (n) ON v.n = a.number",
    "SELECT a.id FROM accounts a JOIN unnest('{$1,$2}'::int[]) v (n) ON v.n = a.number",
    "SELECT a.id FROM accounts a WHERE a.number IN (VALUES ($1), ($2))",
    "SELECT id, coalesce(number, 0), nullif(number, $1), CASE WHEN number = $1 THEN 1 END FROM accounts",
    "SELECT id, coalesce(holder, 0), coalesce(holder, 5::bigint), coalesce(number, '7') FROM accounts",
    "SELECT id, CASE number WHEN $1 THEN 'a' WHEN $2 THEN 'b' END FROM accounts",
    "SELECT id FROM accounts WHERE (number, id) = ($1, 3)",
    "SELECT id FROM accounts WHERE (id, number) IN ((3, $1), (4, $2))",
    "SELECT id FROM accounts WHERE number = $1 AND id = 3 AND holder <> 5",
    "SELECT count(*) FILTER (WHERE number = $1) FROM accounts",
];

/// What the order of the tokens, or what they are, has to be known for: PostgreSQL looks them up.
const LOOKED_UP: &[&str] = &[
    "SELECT id FROM accounts ORDER BY number, id",
    "SELECT number, holder FROM accounts ORDER BY holder DESC NULLS LAST, number",
    "SELECT id FROM accounts WHERE number > 5",
    "SELECT id FROM accounts WHERE number BETWEEN 5 AND 7",
    "SELECT min(number) FROM accounts",
    "SELECT sum(number) FROM accounts",
    "SELECT number + 1 FROM accounts",
    "SELECT -number FROM accounts",
    "SELECT abs(number) FROM accounts",
    "SELECT number::text FROM accounts",
    "SELECT number::bigint FROM accounts",
    "SELECT number::numeric FROM accounts",
    "SELECT format('%s', number) FROM accounts",
    "SELECT id FROM accounts WHERE number = id",
    "SELECT id FROM accounts WHERE number = 5 + 5",
    "SELECT id FROM accounts WHERE number = -(5)::int",
    "SELECT a.id FROM accounts a JOIN transfers t ON a.number = t.amount",
    "SELECT a.id FROM accounts a JOIN generate_series(1, 100) g (n) ON g.n = a.number",
    "SELECT a.id FROM accounts a WHERE number IN (SELECT amount FROM transfers)",
    "SELECT to_json(accounts) FROM accounts",
    "SELECT array_agg(number ORDER BY id) FROM accounts",
];

/// What is written would have to be computed.
const REFUSED: &[&str] = &[
    "UPDATE keys SET number = 5 WHERE id = 1",
    "UPDATE keys SET code = -5 WHERE id = 1",
    "UPDATE accounts SET number = number + 1 WHERE id = 1",
    "UPDATE accounts SET number = id WHERE id = 1",
];

/// Of another type than the tokens, or none that PostgreSQL reads as an integer.
const MISTAKEN: &[&str] = &[
    "SELECT id FROM accounts WHERE number = 'x'",
    "SELECT id FROM accounts WHERE number = '5.0'",
    "SELECT id FROM accounts WHERE number = 5::text",
    "SELECT id FROM accounts WHERE number = '5'::text",
    "SELECT id FROM accounts WHERE number = ANY ('{5,x}')",
    "SELECT id FROM accounts WHERE number = true",
    "SELECT id FROM patients WHERE email = 5",
    "SELECT id FROM patients WHERE email IN ('x', 5)",
    "SELECT coalesce(email, 5) FROM patients",
    "INSERT INTO accounts (id, number) VALUES (9900, 70000000003)",
];

/// Tokens of accounts 3 and 4, and of the holder of 5.
fn tokens(client: &mut Client) -> [String; 3] {
    [
        "number FROM accounts WHERE id = 3",
        "number FROM accounts WHERE id = 3004",
        "holder FROM accounts WHERE id = 5",
    ]
    .map(|column| match client.simple(&format!("SELECT {column}")) {
        Answer::Rows(rows, _) => rows.concat(),
        error @ Answer::Error(..) => panic!("{error:?}"),
    })
}

#[test]
fn integers_mean_what_they_mean_on_the_masked_copy() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let [first, second, holder] = tokens(&mut client);
    for sql in ANSWERED.iter().chain(LOOKED_UP) {
        let sql = sql
            .replace("$1", &first)
            .replace("$2", &second)
            .replace("$3", &holder);
        let expected = in_any_order(direct.simple(&sql), &sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        for answer in [client.simple(&sql), client.extended(&sql)] {
            let answer = in_any_order(answer, &sql);
            assert_eq!(answer, expected, "differs from the masked copy: {sql}");
        }
    }
    for sql in REFUSED {
        let answer = client.simple(sql);
        let refused = matches!(&answer, Answer::Error(state, _) if state == "42501");
        assert!(refused, "{sql}: {answer:?}");
    }
    for sql in MISTAKEN {
        for session in [&mut client, &mut direct] {
            let answer = session.simple(sql);
            assert!(matches!(&answer, Answer::Error(..)), "{sql}: {answer:?}");
        }
    }
}

#[test]
fn who_tries_values_out_learns_of_tokens_only() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    // Every number that is stored, by each of the ways in; and every id, which is seen.
    let numbers: Vec<String> = (1..=3_000)
        .map(|n| if n % 7 == 0 { -n } else { n / 2 * 7_919 })
        .map(|n| n.to_string())
        .collect();
    let list = numbers.join(",");
    let rows = format!("({})", numbers.join("),("));
    for sql in [
        format!("SELECT count(*) FROM accounts WHERE number IN ({list})"),
        format!("SELECT count(*) FROM accounts WHERE number = ANY ('{{{list}}}')"),
        format!("SELECT count(*) FROM accounts WHERE number <> ALL (ARRAY[{list}])"),
        format!("SELECT count(*) FROM accounts a JOIN (VALUES {rows}) v (n) ON v.n = a.number"),
        format!(
            "SELECT u.n, a.id FROM unnest('{{{list}}}'::int[]) u (n) \
             LEFT JOIN accounts a ON a.number = u.n"
        ),
        "SELECT id FROM accounts WHERE number IN (7919, 15838, -7, 2147483647, 0, -1)".to_owned(),
        "SELECT id FROM accounts WHERE holder IN (7919, 70000000003, 9223372036854775807)"
            .to_owned(),
    ] {
        let answer = in_any_order(client.simple(&sql), &sql);
        assert!(matches!(answer, Answer::Rows(..)), "{answer:?}");
        assert_eq!(answer, in_any_order(direct.simple(&sql), &sql), "{sql}");
    }
    // And by what is computed; a token may be any number.
    for sql in [
        "SELECT g.n FROM generate_series(1, 100) g (n) JOIN accounts a ON a.number = g.n",
        "SELECT a.id FROM accounts a, accounts b WHERE a.number = b.id",
        "SELECT (SELECT number FROM accounts WHERE id = 3) = 7919 + 0",
        "SELECT id FROM accounts ORDER BY number, id LIMIT 1",
        "CREATE TEMP TABLE mine AS SELECT id, number FROM accounts",
        "SELECT id, number FROM mine",
        "SELECT m.id FROM mine m JOIN accounts a ON a.number = m.number AND a.id <> m.id",
    ] {
        let answer = in_any_order(client.simple(sql), sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        assert_eq!(answer, in_any_order(direct.simple(sql), sql), "{sql}");
    }
}

/// A statement, the types of its parameters, their values, and in which format those are.
type Case<'a> = (&'a str, &'a [u32], &'a [Option<&'a [u8]>], u8);

/// Everything that is sent for a statement with parameters, but for where columns come from: the types
/// of parameters and columns, and rows in binary.
fn sent(
    client: &mut Client,
    sql: &str,
    types: &[u32],
    values: &[Option<&[u8]>],
    format: u8,
) -> Vec<(u8, Vec<u8>)> {
    let count = |n: usize| i16::try_from(n).unwrap().to_be_bytes();
    let mut parse = format!("\0{sql}\0").into_bytes();
    parse.extend_from_slice(&count(types.len()));
    parse.extend(types.iter().flat_map(|ty| ty.to_be_bytes()));
    let mut bind = vec![0, 0, 0, 1, 0, format];
    bind.extend_from_slice(&count(values.len()));
    for value in values {
        let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
        bind.extend_from_slice(&length.to_be_bytes());
        bind.extend_from_slice(value.unwrap_or_default());
    }
    bind.extend_from_slice(&[0, 1, 0, 1]);
    client.send_at_once(&[
        (b'P', &parse),
        (b'D', b"S\0"),
        (b'B', &bind),
        (b'D', b"P\0"),
        (b'E', &[0, 0, 0, 0, 0]),
        (b'S', &[]),
    ]);
    let mut messages: Vec<_> = client
        .until_ready()
        .into_iter()
        .filter(|m| b"tTDCE".contains(&m.kind))
        .map(|m| match m.kind {
            b'E' => (m.kind, m.error()[0].clone().into_bytes()),
            b'T' => (m.kind, without_origins(m.body)),
            kind => (kind, m.body),
        })
        .collect();
    messages.sort();
    messages
}

/// Table and column numbers differ from database to database.
fn without_origins(mut description: Vec<u8>) -> Vec<u8> {
    let mut at = 2;
    while at < description.len() {
        let name = description[at..].iter().position(|b| *b == 0).unwrap();
        at += name + 1;
        description[at..at + 6].fill(0);
        at += 18;
    }
    description
}

#[test]
fn integers_are_bound_and_described_as_integers() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let [first, _, holder] = tokens(&mut client);
    let token: i32 = first.parse().unwrap();
    let (narrow, wide) = (token.to_be_bytes(), i64::from(token).to_be_bytes());
    let holder_wide = holder.parse::<i64>().unwrap().to_be_bytes();
    let outside = 70_000_000_003_i64.to_be_bytes();
    let list = |element: u32, members: &[&[u8]]| {
        let mut out = Vec::new();
        for n in [1, 0, element, u32::try_from(members.len()).unwrap(), 1] {
            out.extend_from_slice(&n.to_be_bytes());
        }
        for member in members {
            out.extend_from_slice(&u32::try_from(member.len()).unwrap().to_be_bytes());
            out.extend_from_slice(member);
        }
        out
    };
    let (few, many) = (
        list(23, &[&narrow, &5_i32.to_be_bytes()]),
        list(20, &[&wide, &outside]),
    );
    let written = format!("{{{first},NULL,5}}");
    let one = "SELECT id, number FROM accounts WHERE number = $1";
    let both = "SELECT id, number, holder FROM accounts WHERE number = $1 OR holder = $2";
    let any = "SELECT id, number FROM accounts WHERE number = ANY ($1)";
    let joined = "SELECT a.id, u.n FROM accounts a JOIN unnest($1::int[]) u (n) ON u.n = a.number";
    let cases: &[Case<'_>] = &[
        (one, &[], &[Some(first.as_bytes())], 0),
        (one, &[], &[Some(&narrow)], 1),
        (one, &[23], &[Some(&narrow)], 1),
        (one, &[20], &[Some(&wide)], 1),
        (one, &[20], &[Some(&outside)], 1),
        (one, &[], &[None], 1),
        (one, &[21], &[Some(&[0, 5])], 1),
        (both, &[], &[Some(&narrow), Some(&holder_wide)], 1),
        (
            both,
            &[],
            &[Some(first.as_bytes()), Some(holder.as_bytes())],
            0,
        ),
        (both, &[20, 20], &[Some(&wide), Some(&holder_wide)], 1),
        (any, &[], &[Some(&few)], 1),
        (any, &[1007], &[Some(&few)], 1),
        (any, &[1016], &[Some(&many)], 1),
        (any, &[], &[Some(written.as_bytes())], 0),
        (any, &[], &[None], 1),
        (joined, &[], &[Some(&few)], 1),
        (
            "SELECT number, holder FROM accounts WHERE $1 IS NULL OR number = $1",
            &[23],
            &[Some(&narrow)],
            1,
        ),
        (
            "INSERT INTO accounts VALUES (9050, $1, $2) RETURNING number, holder",
            &[],
            &[Some(&narrow), Some(&holder_wide)],
            1,
        ),
        (
            "DELETE FROM accounts WHERE id = 9050 AND number = $1 RETURNING id",
            &[],
            &[Some(&narrow)],
            1,
        ),
    ];
    for session in [&mut client, &mut direct] {
        session.simple("BEGIN");
    }
    for (sql, types, values, format) in cases {
        let answer = sent(&mut client, sql, types, values, *format);
        let expected = sent(&mut direct, sql, types, values, *format);
        assert!(
            answer.iter().all(|(kind, _)| *kind != b'E'),
            "{sql}: {answer:?}"
        );
        assert_eq!(answer, expected, "differs from the masked copy: {sql}");
    }
    for session in [&mut client, &mut direct] {
        session.simple("ROLLBACK");
    }
    // Neither is an integer.
    for (value, format) in [(b"x".as_slice(), 0), (b"xxx", 1)] {
        for session in [&mut client, &mut direct] {
            let answer = sent(session, one, &[], &[Some(value)], format);
            assert!(answer.iter().any(|(kind, _)| *kind == b'E'), "{answer:?}");
        }
    }
}

#[test]
fn what_is_written_is_what_a_token_stands_for() {
    let stage = stage();
    let (mut client, mut direct) = (stage.connect(Role::Analyst), stage.direct("clinic_tokens"));
    let [first, second, holder] = tokens(&mut client);
    for sql in [
        "BEGIN",
        "PREPARE n (int, bigint) AS SELECT id FROM accounts WHERE number = $1 OR holder = $2",
        "PREPARE a (int[]) AS SELECT count(*) FROM accounts WHERE number = ANY ($1)",
        "INSERT INTO accounts (id, number, holder) VALUES (9001, %1, %3), (9002, -5, NULL), (9003, '%2', DEFAULT)",
        "SELECT id, number, holder FROM accounts WHERE id > 9000",
        "UPDATE accounts SET number = %2, holder = -7 WHERE number = %1 AND id > 9000",
        "SELECT id, number, holder FROM accounts WHERE id > 9000",
        "EXECUTE n (%2, NULL)",
        "EXECUTE n (-5, %3)",
        "EXECUTE n ('%1', '%3')",
        "EXECUTE a ('{%1,%2,-5}')",
        "DELETE FROM accounts WHERE number = -5 AND id > 9000 RETURNING id, number",
        "DELETE FROM accounts WHERE number IN (-5, %2) AND id > 9000",
        "SELECT id, number, holder FROM accounts WHERE id > 9000",
        "ROLLBACK",
    ] {
        let sql = sql
            .replace("%1", &first)
            .replace("%2", &second)
            .replace("%3", &holder);
        let answer = in_any_order(client.simple(&sql), &sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        assert_eq!(answer, in_any_order(direct.simple(&sql), &sql), "{sql}");
    }
    // By COPY, in both directions.
    let copy = |client: &mut Client, sql: &str, data: &str| {
        client.send(b'Q', format!("{sql}\0").as_bytes());
        client.send(b'd', data.as_bytes());
        client.send(b'c', b"");
        client.answer()
    };
    for sql in [
        "BEGIN",
        "COPY accounts FROM STDIN",
        "SELECT id, number, holder FROM accounts WHERE id > 9000",
        "ROLLBACK",
    ] {
        let data = format!("9011\t{first}\t{holder}\n9012\t\\N\t{second}\n");
        let [answer, expected] = [&mut client, &mut direct].map(|session| {
            let answer = if sql.starts_with("COPY") {
                copy(session, sql, &data)
            } else {
                session.simple(sql)
            };
            in_any_order(answer, sql)
        });
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        assert_eq!(answer, expected, "{sql}");
    }
}

#[test]
fn the_index_of_the_stored_integers_serves() {
    let stage = stage();
    let mut client = stage.connect(Role::Analyst);
    let [first, second, holder] = tokens(&mut client);
    let counted = |client: &mut Client| {
        // A session says what it has counted at the end of a statement, once in a second.
        thread::sleep(Duration::from_millis(1_100));
        client.simple("SELECT 1");
        let sql =
            "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'accounts_by%'";
        let rows = stage.cluster.run("clinic", sql).unwrap();
        rows.trim().parse::<u64>().unwrap()
    };
    let mut before = counted(&mut client);
    for (prepare, sql) in [
        (
            "SELECT 1",
            format!("SELECT id FROM accounts WHERE number = {first}"),
        ),
        (
            "SELECT 1",
            format!("SELECT id FROM accounts WHERE number IN ({first}, {second}, 70000000003)"),
        ),
        (
            "SELECT 1",
            format!("SELECT id FROM accounts WHERE holder = {holder}"),
        ),
        (
            "PREPARE i (int) AS SELECT id FROM accounts WHERE number = $1",
            format!("EXECUTE i ({first})"),
        ),
        (
            "PREPARE b (bigint) AS SELECT id FROM accounts WHERE holder = $1",
            format!("EXECUTE b ({holder})"),
        ),
        (
            "PREPARE l (bigint[]) AS SELECT id FROM accounts WHERE holder = ANY ($1)",
            format!("EXECUTE l ('{{{holder}}}')"),
        ),
    ] {
        for sql in [prepare, &sql] {
            let answer = client.simple(sql);
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
        let now = counted(&mut client);
        assert!(now > before, "no index serves {sql}");
        before = now;
    }
}
