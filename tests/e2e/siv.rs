//! Reversible tokens in every use that is answered: the analyst's masked copy is made of the tokens the
//! proxy shows at the output, and what PostgreSQL computes on that copy is what the proxy must answer.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crate::in_any_order;
use crate::support::client::Answer;
use crate::support::stage::{Role, Stage};

/// Columns the analyst sees as tokens.
const TOKENS: [(&str, &str); 17] = [
    ("patients", "name"),
    ("patients", "email"),
    ("patients", "id_number"),
    ("staff", "name"),
    ("staff", "email"),
    ("referrals", "recipient"),
    ("keys", "small"),
    ("keys", "number"),
    ("keys", "big"),
    ("keys", "code"),
    ("keys", "ref"),
    ("keys", "ext"),
    ("serials", "serial"),
    ("guests", "name"),
    ("accounts", "number"),
    ("accounts", "holder"),
    ("transfers", "source"),
];

/// The rest of what the analyst sees, in SQL.
const MASKS: &str = "
    UPDATE patients SET mobile = NULL, notes = NULL, weight = floor(weight / 10) * 10,
      born = make_date(extract(year FROM born)::int, 1, 1);
    UPDATE staff SET salary = NULL;
    UPDATE serials SET serial = NULL WHERE serial LIKE 'none%';
    ALTER TABLE staff DROP COLUMN pin;
    ALTER TABLE patients ALTER id_number TYPE varchar;
    ALTER TABLE keys ALTER small TYPE varchar, ALTER number TYPE varchar, ALTER big TYPE varchar,
      ALTER code TYPE varchar, ALTER ref TYPE varchar;
    ALTER TABLE staff ALTER email TYPE varchar;
    UPDATE referrals SET note = NULL, reason = '[none]' WHERE reason IS NOT NULL;
    UPDATE referrals SET note = NULL, sender = left(sender, 1) || '***';";

const ANSWERED: &[&str] = &[
    "SELECT id, sender, recipient, ward, note FROM referrals",
    // With a mask, a constant, NULL and a text that is too short. Stored values are equal in some of
    // these, and so are stored and masked ones.
    "SELECT p.id, r.id FROM patients p JOIN referrals r ON p.email = r.sender",
    "SELECT p.id, r.id FROM patients p LEFT JOIN referrals r ON r.sender = p.email",
    "SELECT p.id, r.id FROM patients p FULL JOIN referrals r ON r.sender = p.email",
    "SELECT a.id, b.id FROM referrals a JOIN referrals b ON a.recipient = b.sender",
    "SELECT a.id, b.id FROM referrals a FULL JOIN referrals b ON a.recipient = b.sender AND a.id = b.id",
    "SELECT id, recipient = sender, recipient <> sender, sender = recipient FROM referrals",
    "SELECT id, recipient IS DISTINCT FROM sender, recipient IS NOT DISTINCT FROM sender FROM referrals",
    "SELECT id, recipient = reason, recipient <> reason, recipient = note, recipient <> note FROM referrals",
    "SELECT id, recipient = ward, ward <> recipient, recipient IS DISTINCT FROM ward FROM referrals",
    "SELECT id FROM referrals WHERE NOT recipient = sender",
    "SELECT id FROM referrals WHERE (recipient = sender) IS NULL",
    "SELECT count(*) FILTER (WHERE recipient <> reason), bool_or(recipient = sender) FROM referrals",
    "SELECT id FROM patients p WHERE EXISTS (SELECT 1 FROM referrals r WHERE r.sender = p.email)",
    "SELECT id FROM patients p WHERE NOT EXISTS (SELECT 1 FROM referrals r WHERE r.sender = p.email)",
    "WITH x AS (SELECT id, email AS e FROM patients), y AS (SELECT id, sender AS e FROM referrals) \
     SELECT x.id, y.id FROM x JOIN y USING (e)",
    "SELECT x.id, y.id FROM (SELECT id, email AS e FROM patients) x \
     LEFT JOIN (SELECT id, sender AS e FROM referrals) y USING (e)",
    "SELECT x.id, y.n FROM (SELECT id, email AS e FROM patients) x \
     NATURAL JOIN (SELECT id AS n, sender AS e FROM referrals) y",
    "SELECT p.id, r.id FROM patients p CROSS JOIN LATERAL \
     (SELECT id FROM referrals WHERE sender = p.email) r",
    "SELECT id, CASE WHEN recipient = sender THEN 'same' WHEN recipient <> sender THEN 'other' END FROM referrals",
    "SELECT p.id, r.id FROM patients p JOIN referrals r ON coalesce(p.email, p.name) = r.sender",
    "SELECT p.id, r.id FROM patients p JOIN referrals r ON p.email = coalesce(r.sender, r.ward)",
    "SELECT p.id, r.id FROM patients p JOIN referrals r ON p.email = r.recipient AND p.name <> r.sender",
    "SELECT recipient, count(*) FROM referrals WHERE recipient <> sender GROUP BY recipient",
];

/// Functions that leave each token as it is.
const FOLDED: &[&str] = &[
    "SELECT id, lower(email), lower(trim(name)), ltrim(rtrim(email::varchar)) FROM patients",
    "SELECT lower(email), count(*) FROM patients GROUP BY lower(email)",
    "SELECT DISTINCT lower(name) FROM patients",
    "SELECT p.id, s.id FROM patients p JOIN staff s ON lower(p.name) = lower(s.name)",
    "SELECT p.id, s.id FROM patients p LEFT JOIN staff s ON lower(p.email) = s.email",
    "SELECT id, lower(email) = email, lower(email) IS NULL FROM patients",
    "SELECT lower(x.e) FROM (SELECT email AS e FROM patients UNION SELECT email FROM staff) x",
    "SELECT lower(e) FROM (SELECT email AS e FROM patients p FULL JOIN staff s USING (email)) x",
    "SELECT id, name FROM guest_list",
    "SELECT g.id, l.id FROM guest_list l JOIN guests g ON g.name = l.name",
    "SELECT name, count(*) FROM guest_list GROUP BY name",
    "SELECT id FROM guest_book",
];

/// Those that do not, and what is no token alone.
const NOT_FOLDED: &[&str] = &[
    "SELECT upper(email) FROM patients",
    "SELECT trim('k' FROM email) FROM patients",
    "SELECT initcap(email) FROM patients",
    "SELECT lower(email COLLATE \"C\") FROM patients",
    "SELECT lower(email::varchar(10)) FROM patients",
    "SELECT lower(coalesce(email, city)) FROM patients",
    "SELECT lower(max(email)) FROM patients",
    "SELECT lower(p) FROM (SELECT min(email) AS p FROM patients) x",
    "SELECT lower(email || '') FROM patients",
    "SELECT p.id FROM patients p JOIN visits v ON lower(p.name) = v.diagnosis",
];

/// What PostgreSQL has computed of the stored values already, or would.
const REFUSED: &[&str] = &[
    "SELECT name FROM guest_names",
    "SELECT name FROM guest_book",
    "SELECT size FROM guests",
];

/// What may be a token, for all that can be known before it is read: PostgreSQL looks the tokens up.
const COMPARED: &[&str] = &[
    "SELECT p.id FROM patients p JOIN visits v ON v.diagnosis = p.email",
    "SELECT p.id FROM patients p JOIN referrals r ON p.email = coalesce(r.sender, p.city)",
    "SELECT p.id FROM patients p JOIN referrals r ON p.email = lower(r.sender)",
    "SELECT id FROM referrals WHERE recipient > sender",
    "SELECT id FROM referrals WHERE recipient LIKE sender",
    "SELECT id FROM referrals WHERE recipient = sender COLLATE \"C\"",
    "SELECT recipient FROM referrals UNION SELECT sender FROM referrals",
];

/// `$1` and `$2` stand for tokens.
const SERVED: &[&str] = &[
    "SELECT id FROM serials WHERE serial = '$1'",
    "SELECT s.id FROM serials s WHERE '$1' = s.serial AND s.id < 1000",
    "SELECT id FROM serials WHERE serial IN ('$1', '$2', '7000000000', 'none 50')",
    "SELECT id FROM serials WHERE serial = ANY ('{$1,$2,none 50}')",
    "SELECT id FROM serials WHERE serial = ANY (ARRAY['$2', 'none 50'])",
    "SELECT id FROM serials WHERE serial = '$1' OR serial = '$2'",
    "SELECT a.id, b.id FROM serials a JOIN serials b ON b.serial = a.serial WHERE a.serial = '$1'",
    "SELECT p.id, s.id FROM patients p JOIN serials s ON s.serial = '$1' AND s.id > p.id",
    "EXECUTE one ('$1')",
    "EXECUTE several ('{$1,$2,none 50}')",
    "EXECUTE listed ('$2')",
];

/// Answers that say NULL where a value has no token.
const UNSERVED: &[&str] = &[
    "SELECT count(*) FROM serials WHERE serial = 'none 50'",
    "SELECT count(*) FROM serials WHERE NOT serial = '$1'",
    "SELECT count(*) FROM serials WHERE serial <> '$1'",
    "SELECT count(*) FROM serials WHERE (serial = '$1') IS NULL",
    "SELECT count(*) FROM serials WHERE (serial = '$1') IS NOT TRUE AND id % 50 < 2",
    "SELECT count(*) FROM serials WHERE serial NOT IN ('$1', '$2')",
    "SELECT count(*), count(serial = '$1'), count(serial IN ('$1', NULL)) FROM serials",
    "SELECT count(*) FROM serials WHERE CASE WHEN serial = '$1' THEN false ELSE serial IS NULL END",
    "SELECT p.id, count(s.id) FROM patients p LEFT JOIN serials s ON s.serial = '$1' GROUP BY p.id",
    "SELECT count(*) FROM serials WHERE (serial = '$1' OR id = 50) AND (id = 50 OR serial = '$1')",
];

/// The clinic and its wing, with the analyst's masked copy of them, `clinic_tokens`.
pub(crate) fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens");
        let stage = Stage::build(Some(&wing));
        copy(&stage, &wing);
        stage.analysts.set("clinic_tokens").unwrap();
        stage
    })
}

/// The analyst's masked copy: each token as the proxy shows it where its column is selected.
fn copy(stage: &Stage, wing: &Path) {
    let mut change = String::new();
    let mut client = stage.connect(Role::Analyst);
    for (table, column) in TOKENS {
        let sql = format!("SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL");
        let answer = client.simple(&sql);
        let Answer::Rows(rows, _) = answer else {
            panic!("no tokens of {column}: {answer:?}");
        };
        for row in rows {
            let (id, token) = row.split_once(" | ").unwrap();
            let shaped = table == "serials" && token.len() == 10;
            let integer = token.parse::<i64>().is_ok();
            let uuid = column == "ext" && token.len() == 36;
            assert!(
                shaped || integer || uuid || token.starts_with("tok_"),
                "{table}.{column}: {token}"
            );
            let set = format!("UPDATE {table} SET {column} = '{token}' WHERE id = {id};");
            writeln!(change, "{set}").unwrap();
        }
    }
    let clinic = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/clinic/clinic.sql");
    let create = "CREATE DATABASE clinic_tokens";
    stage.cluster.run("postgres", create).unwrap();
    for text in [
        fs::read_to_string(clinic).unwrap(),
        fs::read_to_string(wing.join("wing.sql")).unwrap(),
        MASKS.to_owned() + &change,
    ] {
        stage.cluster.run("clinic_tokens", &text).unwrap();
    }
}

#[test]
fn reversible_tokens_mean_what_they_mean_on_the_masked_copy() {
    let stage = stage();
    let mut client = stage.connect(Role::Analyst);
    let mut direct = stage.direct("clinic_tokens");
    for sql in [ANSWERED, FOLDED, NOT_FOLDED, COMPARED].concat() {
        let simple = in_any_order(client.simple(sql), sql);
        let extended = in_any_order(client.extended(sql), sql);
        let expected = in_any_order(direct.simple(sql), sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(simple, expected, "differs from the masked copy: {sql}");
        assert_eq!(
            extended, expected,
            "differs from the masked copy, extended: {sql}"
        );
    }
    for sql in REFUSED {
        let answer = client.simple(sql);
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "42501"),
            "{sql}: {answer:?}"
        );
    }
}

/// Scans of the index that PostgreSQL has counted.
fn scans(stage: &Stage) -> u64 {
    let sql = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'serials_by_serial'";
    let counted = stage.cluster.run("clinic", sql).unwrap();
    let mut numbers = counted
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    numbers.next().unwrap()
}

#[test]
fn an_index_serves_tokens_that_keep_their_shape() {
    let stage = stage();
    let mut client = stage.connect(Role::Analyst);
    let mut direct = stage.direct("clinic_tokens");
    let tokens = [7, 1234].map(|id| {
        let shown = client.simple(&format!("SELECT serial FROM serials WHERE id = {id}"));
        let Answer::Rows(rows, _) = shown else {
            panic!("no token of {id}: {shown:?}");
        };
        rows.concat()
    });
    let [first, second] = &tokens;
    for (name, condition) in [
        ("one", "= $1"),
        ("several", "= ANY ($1)"),
        ("listed", "IN ('x', $1)"),
    ] {
        let sql = format!("PREPARE {name} AS SELECT id FROM serials WHERE serial {condition}");
        for session in [&mut client, &mut direct] {
            let answer = session.simple(&sql);
            assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
        }
    }
    let mut check = |sql: &str| {
        let sql = sql.replace("$1", first).replace("$2", second);
        let expected = in_any_order(direct.simple(&sql), &sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        for answer in [client.simple(&sql), client.extended(&sql)] {
            let answer = in_any_order(answer, &sql);
            assert_eq!(answer, expected, "differs from the masked copy: {sql}");
        }
    };
    for sql in UNSERVED {
        check(sql);
    }
    let mut counted = 0;
    for (number, sql) in std::iter::once(&"SELECT 1").chain(SERVED).enumerate() {
        check(sql);
        // A session says what it has counted at the end of a statement, once in a second.
        thread::sleep(Duration::from_millis(1_100));
        check("SELECT 1");
        let now = scans(stage);
        assert!(number == 0 || now > counted, "no index serves {sql}");
        counted = now;
    }
}
