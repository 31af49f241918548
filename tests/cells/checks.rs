//! What stands in the way of a column, and what somebody should know.

use super::stage::Stage;

const PREPARE: &str = "
CREATE TABLE s.people (id int PRIMARY KEY, email text);
INSERT INTO s.people VALUES (1, 'ada');";

/// Refusals: what makes it, and what is said; each in a table of its own.
const REFUSED: [(&str, &str); 16] = [
    (
        "CREATE TABLE s.TABLE (email varchar(40))",
        "encrypt fits text, and varchar without a length, and this column is character varying(40)",
    ),
    (
        "CREATE TABLE s.TABLE (email int)",
        "and this column is integer",
    ),
    (
        "CREATE TABLE s.TABLE (id int, email text DEFAULT 'nobody')",
        "s.TABLE has a default for it, which is no cell",
    ),
    (
        "CREATE TABLE s.TABLE (id int, email text GENERATED ALWAYS AS ('p' || id) STORED)",
        "it is a generated column in s.TABLE",
    ),
    (
        "CREATE TABLE s.TABLE (email text, size int GENERATED ALWAYS AS (length(email)) STORED)",
        "column size of s.TABLE is generated from it",
    ),
    (
        "CREATE TABLE s.TABLE (email text CONSTRAINT has_at CHECK (email ~ '@'))",
        "constraint has_at of s.TABLE checks it",
    ),
    (
        "CREATE TABLE s.TABLE (a text, email text); \
         CREATE INDEX folded ON s.TABLE (a, lower(email))",
        "index folded of s.TABLE computes with it",
    ),
    (
        "CREATE TABLE s.TABLE (a text, email text); \
         CREATE INDEX few ON s.TABLE (a) WHERE email <> ''",
        "index few of s.TABLE computes with it",
    ),
    (
        "CREATE TABLE s.TABLE (email text) PARTITION BY HASH (email)",
        "s.TABLE is partitioned by it",
    ),
    (
        "CREATE TABLE s.TABLE (email text) PARTITION BY LIST (lower(email))",
        "s.TABLE is partitioned by it",
    ),
    (
        "CREATE COLLATION s.any_case (provider = icu, locale = 'und', deterministic = false); \
         CREATE TABLE s.TABLE (email text COLLATE s.any_case)",
        "its collation any_case in s.TABLE is nondeterministic",
    ),
    (
        "CREATE TABLE s.TABLE (email text, CONSTRAINT once EXCLUDE USING hash (email WITH =))",
        "constraint once of s.TABLE excludes rows by it",
    ),
    (
        "CREATE DOMAIN s.address AS text CONSTRAINT short CHECK (length(VALUE) < 20); \
         CREATE TABLE s.TABLE (email s.address)",
        "constraint short of domain address checks it",
    ),
    (
        "CREATE TABLE s.TABLE (email text); \
         CREATE RULE never AS ON UPDATE TO s.TABLE DO INSTEAD NOTHING",
        "rule never rewrites UPDATE of s.TABLE",
    ),
    (
        "CREATE TABLE s.TABLE (email text UNIQUE); \
         CREATE TABLE s.TABLE_other (mail text CONSTRAINT refers REFERENCES s.TABLE (email))",
        "foreign key refers comes from s.TABLE_other.mail, which is not encrypted under key `k`",
    ),
    (
        "CREATE VIEW s.TABLE AS SELECT email FROM s.people",
        "s.TABLE is not a table",
    ),
];

#[test]
fn what_cannot_hold_cells_is_refused_before_anything_is_written() {
    let stage = Stage::new("refused", PREPARE, "");
    let mut wrong = Vec::new();
    // A server built without ICU has no nondeterministic collations.
    let icu = stage.sql("SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i'") == "t";
    let cases = REFUSED.iter().enumerate();
    for (at, (make, why)) in cases.filter(|(_, (make, _))| icu || !make.contains("icu")) {
        let table = format!("t{at}");
        let named = |text: &str| text.replace("TABLE_other", &format!("{table}_other"));
        let make = named(&make.replace("s.TABLE", &format!("s.{table}")));
        let why = named(&why.replace("s.TABLE", &format!("s.{table}")));
        stage.sql(&make);
        stage.say(&format!("s.{table}.email: {{key: k, backfill: true}}"));
        // `policy check` says so before anybody tries.
        let checked = stage.run(&["policy", "check", "-c", "pgveil.yaml"]);
        if checked.worked
            || !checked
                .out
                .contains(&format!("s.{table}.email cannot be encrypted"))
        {
            wrong.push(format!(
                "policy check: {make}: {}{}",
                checked.out, checked.said
            ));
        }
        let done = stage.run(&["encrypt", &format!("s.{table}.email")]);
        if done.worked || !done.said.contains(&why) {
            wrong.push(format!("{make}: {}{}", done.out, done.said));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Only asking whether it is NULL computes nothing.
    stage.sql(
        "SET ROLE keeper; CREATE TABLE s.fine (id int, email text DEFAULT NULL CHECK (email IS NOT NULL OR id > 0));
        CREATE UNIQUE INDEX ON s.fine (email) WHERE email IS NOT NULL;
        CREATE INDEX ON s.fine (abs(id)) INCLUDE (email);
        INSERT INTO s.fine VALUES (1, 'ada')",
    );
    stage.say("s.fine.email: {key: k, backfill: true}");
    let done = stage.run(&["encrypt", "s.fine.email"]);
    assert!(done.worked, "{done:?}");
}

#[test]
fn tables_that_share_rows_are_encrypted_together() {
    let schema = "
        CREATE TABLE s.people (id int, email text);
        CREATE TABLE s.other (email text);
        CREATE TABLE s.staff () INHERITS (s.people, s.other);
        INSERT INTO s.people VALUES (1, 'ada');
        INSERT INTO s.staff VALUES (2, 'grace');
        INSERT INTO s.other VALUES ('joan');";
    let stage = Stage::new(
        "children",
        schema,
        "s.staff.email: {key: k, backfill: true}",
    );
    assert_eq!(stage.status(), (3, 0, 0, 0, 0.0));
    stage.works(&["encrypt", "s.staff.email"]);
    let left = "SELECT count(*) FROM (TABLE s.other UNION ALL SELECT email FROM s.people) AS a
        WHERE email !~ '^enc_'";
    assert_eq!(stage.sql(left), "0");
    assert_eq!(stage.status(), (0, 3, 0, 0, 100.0));
    stage.sql(
        "RESET ROLE; CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE s.far (id int, email text) SERVER files OPTIONS (program 'true');
        ALTER TABLE s.far INHERIT s.people",
    );
    stage.say("s.people.email: {key: k, backfill: true}");
    stage.fails(&["encrypt", "s.people.email"], "s.far is a foreign table");
}

#[test]
fn foreign_keys_are_followed_by_on_update_cascade_only() {
    let schema = "
        CREATE TABLE s.people (email text PRIMARY KEY);
        CREATE TABLE s.mails (id int, sender text CONSTRAINT by REFERENCES s.people);
        INSERT INTO s.people VALUES ('ada'), ('grace');
        INSERT INTO s.mails VALUES (1, 'ada'), (2, 'ada'), (3, NULL);";
    let stage = Stage::new("keyed", schema, "");
    let both = "s.people.email: {key: k, backfill: true}, s.mails.sender: {key: k, backfill: true}";
    stage.say(&both.replace("sender: {key: k,", "sender: {key: other,"));
    stage.fails(
        &["encrypt", "s.people.email"],
        "foreign key by comes from s.mails.sender, which is not encrypted under key `k`",
    );
    stage.say(both);
    let why =
        "cells of one are not yet cells of the other: drop it, encrypt both columns, add it again";
    stage.fails(&["encrypt", "s.people.email"], why);
    stage.fails(&["encrypt", "s.mails.sender"], why);
    let by = |rest: &str| {
        format!(
            "ALTER TABLE s.mails DROP CONSTRAINT by; ALTER TABLE s.mails ADD CONSTRAINT by \
             FOREIGN KEY (sender) REFERENCES s.people {rest}"
        )
    };
    stage.sql(&by("ON UPDATE CASCADE"));
    let done = stage.run(&["encrypt", "s.mails.sender"]);
    let why = "s.mails, row at ctid (0,1): by does not allow it (23503)";
    assert!(!done.worked && done.said.contains(why), "{done:?}");
    assert!(done.said.contains("encrypt that one first"), "{done:?}");
    stage.works(&["encrypt", "s.people.email"]);
    let said = stage.works(&["encrypt", "s.mails.sender"]);
    assert!(said.contains("encrypted 0 values"), "{said}");
    let joined =
        "SELECT count(*) FROM s.mails JOIN s.people ON sender = email WHERE email ~ '^enc_'";
    assert_eq!(stage.sql(joined), "2");
    // Where nothing is to be turned, none of it is in the way.
    stage.sql(&by(""));
    stage.works(&["encrypt", "s.people.email", "--vacuum", "full"]);
}

#[test]
fn what_somebody_should_know_is_said() {
    let schema = "
        CREATE TABLE s.people (id int, email text);
        INSERT INTO s.people VALUES (1, 'ada'), (2, 'grace');
        ALTER TABLE s.people REPLICA IDENTITY FULL;
        CREATE FUNCTION s.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER looks BEFORE UPDATE ON s.people FOR EACH ROW EXECUTE FUNCTION s.same();
        CREATE TRIGGER inserts BEFORE INSERT ON s.people FOR EACH ROW EXECUTE FUNCTION s.same();
        CREATE POLICY own ON s.people USING (email = current_user);
        CREATE MATERIALIZED VIEW s.kept AS SELECT upper(email) FROM s.people;
        CREATE INDEX words ON s.people USING brin (email);
        RESET ROLE; CREATE PUBLICATION feed FOR TABLE s.people;";
    let stage = Stage::new("warned", schema, "s.people.email: {key: k, backfill: true}");
    let checked = stage.works(&["policy", "check", "-c", "pgveil.yaml"]);
    let why = "warning: s.people.email is encrypted: triggers of s.people run for every row";
    assert!(checked.contains(why), "{checked}");
    let done = stage.run(&["encrypt", "s.people.email", "--vacuum", "none"]);
    assert!(done.worked, "{done:?}");
    for warning in [
        "it is part of the replica identity of s.people: old values go into the WAL",
        "triggers of s.people run for every row that is turned, and see cells: looks\n",
        "row security policy own of s.people reads it, and will see cells",
        "materialized view s.kept holds values of it until it is refreshed",
        "index words of s.people is of kind brin: it finds nothing in cells",
        "publication feed sends s.people to subscribers: they get cells",
        "old versions of rows, index entries and statistics still hold values: pgveil encrypt",
    ] {
        let warning = format!("pgveil: warning: {warning}");
        assert!(done.said.contains(&warning), "{warning}: {done:?}");
    }
    assert_eq!(stage.status(), (0, 2, 0, 0, 100.0));
}
