//! Reversible tokens in every use that is answered: the analyst's masked copy is made of the tokens the
//! proxy shows at the output, and what PostgreSQL computes on that copy is what the proxy must answer.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use crate::in_any_order;
use crate::support::client::Answer;
use crate::support::stage::{Role, Stage};

/// Columns the analyst sees as tokens.
const TOKENS: [(&str, &str); 7] = [
    ("patients", "name"),
    ("patients", "email"),
    ("patients", "id_number"),
    ("staff", "name"),
    ("staff", "email"),
    ("referrals", "recipient"),
    ("keys", "code"),
];

/// The rest of what the analyst sees, in SQL.
const MASKS: &str = "
    UPDATE patients SET mobile = NULL, notes = NULL, weight = floor(weight / 10) * 10,
      born = make_date(extract(year FROM born)::int, 1, 1);
    UPDATE staff SET salary = NULL;
    ALTER TABLE staff DROP COLUMN pin;
    ALTER TABLE patients ALTER id_number TYPE varchar;
    ALTER TABLE keys ALTER code TYPE varchar;
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

/// What may be a token, for all that can be known before it is read.
const REFUSED: &[&str] = &[
    "SELECT p.id FROM patients p JOIN visits v ON v.diagnosis = p.email",
    "SELECT p.id FROM patients p JOIN referrals r ON p.email = coalesce(r.sender, p.city)",
    "SELECT p.id FROM patients p JOIN referrals r ON p.email = lower(r.sender)",
    "SELECT id FROM referrals WHERE recipient > sender",
    "SELECT id FROM referrals WHERE recipient LIKE sender",
    "SELECT id FROM referrals WHERE recipient = sender COLLATE \"C\"",
    "SELECT recipient FROM referrals UNION SELECT sender FROM referrals",
];

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens");
        let stage = Stage::build(Some(&wing));
        copy(&stage, &wing);
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
            assert!(token.starts_with("tok_"), "{table}.{column}: {token}");
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
    for sql in ANSWERED {
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
