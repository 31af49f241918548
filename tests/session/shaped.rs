//! Tokens that keep their shape (`kind: ff1`). The masked copy is a table of the tokens the proxy shows,
//! with NULL where a value has none: whatever else is asked must be what PostgreSQL answers on it.

use std::fs;
use std::sync::Arc;

use pgveil::cli::keys;
use pgveil::server::config::Secret;

use super::client::{Answer, Client};
use super::reload::as_owner;
use super::rotation::bound;
use super::stage::{Another, PASSWORD, Stage};

const POLICY: &str = "
version: 1
mode: enforce
databases: [stage]
defaults: {unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}
classes: {phone: {level: C2}, card: {level: C2}, number: {level: C2}, account: {level: C2}}
columns:
  public.shaped: {phone: phone, second: phone, card: card, number: number, account: account}
tokens:
  phones: {kind: ff1, key: k, format: phone}
  cards: {kind: ff1, key: k, format: bank_card, keep_bin: true}
  numbers: {kind: ff1, key: k, format: cn_id}
  accounts: {kind: ff1, key: k, format: digits}
roles:
  support: {match: {login: support}, kind: human}
treat:
  class:
    phone: {support: token(phones)}
    card: {support: token(cards)}
    number: {support: token(numbers)}
    account: {support: token(accounts)}
write:
  support: {public.shaped: all}
";

const TABLE: &str = "
CREATE TABLE shaped (id int PRIMARY KEY, phone varchar(20), second text, card varchar(19),
  number char(18), account text);
INSERT INTO shaped VALUES
  (1, '13812345678', '+86 139-8765-4321', '4111111111111111', '11010519491231002X', '000123'),
  (2, '13912345678', '13812345678', '6222020200000000006', '110105200002290021', '123456789012'),
  (3, '13812345678', 'unknown', '4111111111111112', '11010519490231002X', '12345'),
  (4, 'unknown', '13912345678', NULL, NULL, 'no account'),
  (5, NULL, 'unknown', '4111 1111 1111 1111', 'unknown', NULL),
  (6, 'unknown', NULL, '4222222222222', '1', '123456789012');
CREATE VIEW shaped_seen AS SELECT id, phone, account FROM shaped WHERE id > 1;
CREATE TABLE shaped_copy (id int PRIMARY KEY, phone varchar, second varchar, card varchar,
  number varchar, account varchar);
CREATE VIEW shaped_copy_seen AS SELECT id, phone, account FROM shaped_copy WHERE id > 1;
";

const STATEMENTS: &[&str] = &[
    "COPY (SELECT id, phone, card FROM shaped ORDER BY id) TO STDOUT (FORMAT csv, HEADER)",
    "SELECT * FROM shaped",
    "SELECT id, phone AS p, card FROM shaped s WHERE id < 4",
    "SELECT id, phone IS NULL, card IS NOT NULL, number IS NULL, account IS NULL FROM shaped",
    "SELECT count(phone), count(second), count(card), count(number), count(account) FROM shaped",
    "SELECT id FROM shaped WHERE phone IS NOT NULL AND second IS NULL",
    "SELECT phone, count(*) FROM shaped GROUP BY phone",
    "SELECT DISTINCT account FROM shaped",
    "SELECT count(DISTINCT phone), count(DISTINCT card) FROM shaped",
    "SELECT a.id, b.id FROM shaped a JOIN shaped b ON a.account = b.account",
    "SELECT a.id, b.id FROM shaped a LEFT JOIN shaped b ON a.phone = b.second",
    "SELECT a.id, b.id FROM shaped a JOIN shaped b ON a.phone IS NOT DISTINCT FROM b.second",
    "SELECT a.id, b.id FROM shaped a JOIN shaped b ON a.phone <> b.second",
    "SELECT id FROM shaped WHERE phone IN (SELECT second FROM shaped)",
    "SELECT id FROM shaped WHERE phone NOT IN (SELECT second FROM shaped WHERE second IS NOT NULL)",
    "SELECT phone FROM shaped UNION SELECT phone FROM shaped WHERE id > 3",
    "SELECT phone FROM shaped EXCEPT SELECT phone FROM shaped WHERE id = 1",
    "SELECT id, count(*) OVER (PARTITION BY account) FROM shaped",
    "SELECT id FROM shaped WHERE phone = 'PHONE'",
    "SELECT id FROM shaped WHERE phone <> 'PHONE'",
    "SELECT id FROM shaped WHERE NOT (phone = 'PHONE')",
    "SELECT id FROM shaped WHERE phone IS DISTINCT FROM 'PHONE'",
    "SELECT id FROM shaped WHERE phone IN ('PHONE', 'unknown', NULL)",
    "SELECT id FROM shaped WHERE phone NOT IN ('PHONE', 'unknown')",
    "SELECT id FROM shaped WHERE phone = ANY ('{PHONE,unknown}')",
    "SELECT id FROM shaped WHERE phone = 'unknown'",
    "SELECT id FROM shaped WHERE phone <> 'unknown'",
    "SELECT id FROM shaped WHERE phone IS DISTINCT FROM 'unknown'",
    "SELECT id, phone = 'unknown', phone <> '13812345678' FROM shaped",
    "SELECT id FROM shaped WHERE number = 'NUMBER' OR card = 'CARD' OR account = 'ACCOUNT'",
    "SELECT s.id FROM shaped s JOIN (VALUES ('PHONE'), ('unknown')) v(t) ON v.t = s.phone",
    "SELECT s.id, t FROM shaped s, unnest('{ACCOUNT}'::text[]) t WHERE t = s.account",
    "WITH p AS (SELECT phone FROM shaped) SELECT phone, count(*) FROM p GROUP BY phone HAVING count(*) > 1",
    "SELECT phone FROM shaped ORDER BY id LIMIT 3",
    "SELECT id, phone, count(*) FROM shaped GROUP BY id",
    "SELECT * FROM shaped_seen WHERE phone IS NOT NULL",
    "SELECT v.id FROM shaped_seen v JOIN shaped s ON s.account = v.account",
    "SELECT s.id, l.phone FROM shaped s, LATERAL (SELECT phone FROM shaped t WHERE t.account = s.account) l",
    "SELECT id FROM shaped WHERE phone = 'PHONE' FOR UPDATE",
    "SELECT id, CASE WHEN id < 5 THEN phone END FROM shaped",
    "SELECT coalesce(a.phone, b.phone) FROM shaped a JOIN shaped b ON b.id = a.id - 3",
    // What PostgreSQL looks up: NULL where there is no token, as on the copy.
    "SELECT phone, second FROM shaped ORDER BY phone, id",
    "SELECT id, upper(phone), coalesce(second, 'none'), length(card) FROM shaped",
    "SELECT id FROM shaped WHERE phone > '1' OR second IS NULL",
    "SELECT id FROM shaped WHERE NOT phone LIKE '138%'",
    "SELECT id FROM shaped WHERE phone = account OR length(card) = 16",
    "SELECT id FROM shaped WHERE phone = 'PHONE' AND left(second, 3) = '+86'",
    "SELECT min(phone), max(number), count(account || '') FROM shaped",
    "INSERT INTO shaped (id, phone) VALUES (1, 'PHONE') ON CONFLICT (id) DO UPDATE SET account = 'ACCOUNT' WHERE shaped.phone = 'PHONE' RETURNING id, account, phone",
    "INSERT INTO shaped (id, phone) VALUES (5, 'PHONE') ON CONFLICT (id) DO UPDATE SET phone = excluded.phone RETURNING id, phone",
    "UPDATE shaped SET account = 'ACCOUNT' WHERE phone = 'PHONE' RETURNING id, phone, account",
    "UPDATE shaped SET phone = NULL WHERE card = 'CARD' RETURNING *",
    "DELETE FROM shaped WHERE second <> 'PHONE' RETURNING id, second",
    "DELETE FROM shaped WHERE phone IS NULL RETURNING id",
    "INSERT INTO shaped (id, phone, number) VALUES (9, 'PHONE', 'NUMBER') RETURNING id, phone, number, card",
];

const REFUSED: &[(&str, &str)] = &[
    ("SELECT s FROM shaped s", "42501"),
    ("COPY (SELECT upper(phone) FROM shaped) TO STDOUT", "42501"),
    (
        "INSERT INTO shaped (id, phone) VALUES (9, 'unknown')",
        "42501",
    ),
    (
        "INSERT INTO shaped (id, card) VALUES (9, '4111111111111112')",
        "42501",
    ),
    ("UPDATE shaped SET number = '11010519490231002X'", "42501"),
];

fn start() -> (Another, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (ring, policy) = (
        folder.path().join("ring"),
        folder.path().join("policy.yaml"),
    );
    keys::new_key(&ring, "k", b"secret", "2026-01-01").unwrap();
    fs::write(&policy, POLICY).unwrap();
    let running = Stage::shared().another(move |config| {
        config.policies = policy;
        config.key_ring = Some(ring);
        config.key_passphrase = Some(Arc::new(Secret::new("secret".to_owned())));
    });
    (running, folder)
}

fn rows(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Rows(rows, _) => {
            let mut rows = rows.clone();
            rows.sort();
            rows
        }
        // No row, and a comparison with any shows what it was.
        Answer::Error(state, message) => vec![format!("error {state} {message}")],
    }
}

/// In a transaction that is rolled back.
fn tried(client: &mut Client, sql: &str, extended: bool) -> Answer {
    client.simple("BEGIN");
    let answer = if extended {
        client.extended(sql)
    } else {
        client.simple(sql)
    };
    client.simple("ROLLBACK");
    answer
}

#[test]
fn shaped_tokens_are_a_copy_with_nulls() {
    let mut owner = as_owner();
    owner.simple(TABLE);
    let (running, _folder) = start();
    let mut client = Client::connect(running.addr, "support", PASSWORD, "stage").unwrap();
    let shown = rows(&client.simple("SELECT * FROM shaped"));
    for row in &shown {
        let values: Vec<String> = (row.split(" | "))
            .map(|v| {
                if v == "(null)" {
                    "NULL".to_owned()
                } else {
                    format!("'{v}'")
                }
            })
            .collect();
        owner.simple(&format!(
            "INSERT INTO shaped_copy VALUES ({})",
            values.join(", ")
        ));
    }
    let nulls = shown.iter().map(|row| row.matches("(null)").count());
    assert_eq!(nulls.collect::<Vec<_>>(), [0, 0, 4, 4, 5, 3], "{shown:#?}");
    let first: Vec<&str> = shown[0].split(" | ").collect();
    let stored = [
        "13812345678",
        "+86 139-8765-4321",
        "4111111111111111",
        "11010519491231002X",
    ];
    for (token, stored) in first[1..].iter().zip(stored) {
        assert!(*token != stored && token.len() == stored.len(), "{token}");
    }
    assert!(
        first[1].starts_with('1') && first[2].starts_with("+86 1"),
        "{first:?}"
    );
    assert!(first[3].starts_with("411111"), "{first:?}");
    let meant = |sql: &str| {
        let words = [("PHONE", 1), ("CARD", 3), ("NUMBER", 4), ("ACCOUNT", 5)];
        let put = |sql: String, (word, at): (&str, usize)| sql.replace(word, first[at]);
        words.into_iter().fold(sql.to_owned(), put)
    };
    for sql in STATEMENTS {
        let sql = meant(sql);
        let copy = sql.replace("shaped", "shaped_copy");
        let expected = rows(&tried(&mut owner, &copy, false));
        for extended in [false, true] {
            let answer = tried(&mut client, &sql, extended);
            assert_eq!(rows(&answer), expected, "{sql}");
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
    }
    for (sql, state) in REFUSED {
        let answer = tried(&mut client, sql, false);
        assert!(
            matches!(&answer, Answer::Error(s, _) if s == state),
            "{sql}: {answer:?}"
        );
    }
    // A cursor, a binary result and a parameter.
    client.simple("BEGIN; DECLARE c CURSOR FOR SELECT phone FROM shaped ORDER BY id");
    let fetched = rows(&client.simple("FETCH ALL FROM c"));
    assert_eq!(
        fetched,
        rows(&owner.simple("SELECT phone FROM shaped_copy"))
    );
    client.simple("COMMIT");
    for (token, ids) in [
        (first[1], vec!["1", "3"]),
        ("unknown", vec![]),
        ("13812345678", vec![]),
    ] {
        let answer = bound(&mut client, "SELECT id FROM shaped WHERE phone = $1", token);
        assert_eq!(rows(&answer), ids, "{token}");
    }
    // What is written is what the tokens stand for.
    let write = meant("INSERT INTO shaped (id, phone, card) VALUES (7, 'PHONE', 'CARD')");
    assert!(rows(&client.simple(&write)).is_empty());
    client.send(b'Q', b"COPY shaped (id, number) FROM STDIN\0");
    client.send(b'd', meant("8\tNUMBER\n").as_bytes());
    client.send(b'c', b"");
    assert!(rows(&client.answer()).is_empty());
    let kept = rows(&owner.simple("SELECT phone, card, number FROM shaped WHERE id > 6"));
    let expected = [
        "(null) | (null) | 11010519491231002X",
        "13812345678 | 4111111111111111 | (null)",
    ];
    assert_eq!(kept, expected);
    owner.simple("DROP TABLE shaped, shaped_copy CASCADE");
}
