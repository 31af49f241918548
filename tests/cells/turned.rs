//! What is encrypted and decrypted: every kind of table, every kind of value.

use super::stage::Stage;

const COLUMN: &str = "s.people.email";
const FILLING: &str = "s.people.email: {key: k, backfill: true}";

/// Values of all sorts, some of them too long for a page, in a partitioned table with a table below a
/// partition, and names that have to be quoted.
const PARTITIONED: &str = r#"
CREATE TABLE s.people (id int, email text) PARTITION BY LIST (id);
CREATE TABLE s."odd ""name" PARTITION OF s.people FOR VALUES IN (1, 2, 3, 4, 5, 6);
CREATE TABLE s.more PARTITION OF s.people DEFAULT PARTITION BY HASH (id);
CREATE TABLE s.more_0 PARTITION OF s.more FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE s.more_1 PARTITION OF s.more FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON s.people USING hash (email);
INSERT INTO s.people VALUES (1, 'ada@example.com'), (2, NULL), (3, ''), (4, 'enC_'), (5, E'名\n"\\{,'),
  (6, 'ada@example.com');
INSERT INTO s.people SELECT n, CASE WHEN n % 7 <> 0 THEN 'p' || n || '@example.com' END
  FROM generate_series(7, 4000) n;
INSERT INTO s.people SELECT n, string_agg(md5(n::text || m), '')
  FROM generate_series(4001, 4005) n, generate_series(1, 2000) m GROUP BY n;
"#;

fn content(stage: &Stage) -> String {
    stage.sql("SELECT count(*), count(email), md5(string_agg(concat(id, '=', email, '.'), ',' ORDER BY id)) FROM s.people")
}

#[test]
fn what_is_encrypted_is_all_of_it_and_comes_back() {
    let stage = Stage::new("turned", PARTITIONED, FILLING);
    let before = content(&stage);
    let (plain, ..) = stage.status();
    assert_eq!(stage.status(), (plain, 0, 0, 0, 0.0));
    let said = stage.works(&["encrypt", COLUMN]);
    let why = format!("{COLUMN}: encrypted {plain} values in ");
    assert!(said.starts_with(&why), "{said}");
    let next = "next: take `backfill: true` away from s.people.email, and RELOAD\n";
    assert!(said.ends_with(next), "{said}");
    assert_eq!(stage.status(), (0, plain, 0, 0, 100.0));
    // Equal values are equal cells, NULL is NULL, and the empty text is a cell too.
    let facts = "SELECT count(DISTINCT email), (SELECT email IS NULL FROM s.people WHERE id = 2),
        (SELECT a.email = b.email FROM s.people a, s.people b WHERE a.id = 1 AND b.id = 6),
        (SELECT email ~ '^enc_' FROM s.people WHERE id = 3) FROM s.people";
    assert_eq!(stage.sql(facts), format!("{}|t|t|t", plain - 1));
    // A second time there is nothing to do.
    let cells = content(&stage);
    assert!(
        stage
            .works(&["encrypt", COLUMN])
            .contains("encrypted 0 values")
    );
    assert_eq!(content(&stage), cells);

    let table = stage.works(&["encrypt", "--status"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("column          key  "), "{table}");
    assert!(lines[1].starts_with("s.people.email  k ("), "{table}");
    assert!(
        lines[1].ends_with("  0      0       0     100 %"),
        "{table}"
    );

    let said = stage.works(&["decrypt", COLUMN]);
    assert!(
        said.contains(&format!("decrypted {plain} cells in ")),
        "{said}"
    );
    assert_eq!(content(&stage), before);
    assert_eq!(stage.status(), (plain, 0, 0, 0, 0.0));
}

#[test]
fn a_parent_with_rows_and_a_unique_column_are_encrypted() {
    let schema = "
        CREATE TABLE s.people (id int, email varchar UNIQUE);
        CREATE TABLE s.staff (badge int) INHERITS (s.people);
        INSERT INTO s.people SELECT n, 'p' || n FROM generate_series(1, 30) n;
        INSERT INTO s.staff SELECT n, 'q' || n, n FROM generate_series(31, 40) n;";
    let stage = Stage::new("parents", schema, FILLING);
    let before = content(&stage);
    stage.works(&["encrypt", COLUMN]);
    assert_eq!(stage.status(), (0, 40, 0, 0, 100.0));
    let twice = "INSERT INTO s.people SELECT 99, email FROM s.people WHERE id = 1";
    assert!(stage.cluster.run("parents", twice).is_err());
    stage.works(&["decrypt", COLUMN]);
    assert_eq!(content(&stage), before);
}

#[test]
fn values_that_cannot_be_turned_are_named_by_where_they_are() {
    let schema = "
        CREATE TABLE s.people (id int, email text UNIQUE);
        INSERT INTO s.people SELECT n, 'p' || n FROM generate_series(1, 3000) n;";
    let stage = Stage::new("misfits", schema, FILLING);
    // Too long for the index once it is a cell, though not before; and too long for a row of any.
    let digests = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 75) n)";
    stage.sql(&format!(
        "UPDATE s.people SET email = {digests} WHERE id = 2500"
    ));
    stage.sql("UPDATE s.people SET email = repeat('secret', 2000) WHERE id = 3000");
    let done = stage.run(&["encrypt", COLUMN]);
    for (id, why) in [
        (2500, "its cell is too long for index people_email_key"),
        (3000, "its cell is too long for an index"),
    ] {
        let tid = stage.sql(&format!("SELECT ctid FROM s.people WHERE id = {id}"));
        let why = format!("s.people, row at ctid {tid}: {why}");
        assert!(!done.worked && done.said.contains(&why), "{done:?}");
    }
    assert!(done.said.contains("2 of 3000 values are left"), "{done:?}");
    assert!(!done.said.contains("secret"), "{done:?}");
    assert_eq!(stage.status(), (2, 2998, 0, 0, 99.9));

    // A value beside its own cell: one of the two has to go.
    stage.sql("DELETE FROM s.people WHERE id IN (2500, 3000)");
    stage.works(&["encrypt", COLUMN]);
    stage.sql("INSERT INTO s.people VALUES (3001, 'p7')");
    let done = stage.run(&["encrypt", COLUMN]);
    let why = "its value is there twice, says people_email_key";
    assert!(!done.worked && done.said.contains(why), "{done:?}");
    stage.sql("DELETE FROM s.people WHERE id = 3001");

    // What looks like a cell stops the run, whichever key it names.
    let key = stage.sql("SELECT substr(email, 5, 4) FROM s.people WHERE id = 1");
    for value in ["enc_1234", &format!("enc_{key}secret")] {
        stage.sql(&format!("INSERT INTO s.people VALUES (3001, '{value}')"));
        let tid = stage.sql("SELECT ctid FROM s.people WHERE id = 3001");
        let why = format!(
            "s.people, row at ctid {tid}: what is stored begins with enc_ and does not open"
        );
        for command in ["encrypt", "decrypt"] {
            let done = stage.run(&[command, COLUMN]);
            assert!(
                !done.worked && done.said.contains(&why),
                "{command}: {done:?}"
            );
            assert!(!done.said.contains(value), "{done:?}");
        }
        assert_eq!(stage.status().3, 1);
        stage.sql("DELETE FROM s.people WHERE id = 3001");
    }
}

#[test]
fn a_value_that_would_pass_for_a_cell_is_not_decrypted() {
    let schema = "CREATE TABLE s.people (id int, email text);
        INSERT INTO s.people VALUES (1, 'ada'), (2, 'grace');";
    let stage = Stage::new("nested", schema, FILLING);
    stage.works(&["encrypt", COLUMN]);
    // Encrypted twice, as somebody would who writes a cell through the proxy.
    let cell = stage.sql("SELECT email FROM s.people WHERE id = 1");
    stage.sql("UPDATE s.people SET email = 'x' || email WHERE id = 1");
    stage.works(&["encrypt", COLUMN]);
    stage.sql(&format!(
        "UPDATE s.people SET email = '{cell}' WHERE id = 2"
    ));
    stage.works(&["decrypt", COLUMN]);
    assert_eq!(
        stage.sql("SELECT email FROM s.people ORDER BY id"),
        format!("x{cell}\nada")
    );
}

#[test]
fn a_trigger_that_changes_what_is_written_loses_nothing() {
    let schema = "
        CREATE TABLE s.people (id int, email text);
        INSERT INTO s.people VALUES (1, 'ada'), (2, 'grace'), (3, 'Joan');
        CREATE FUNCTION s.fold() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN NEW.email := CASE NEW.id WHEN 1 THEN lower(NEW.email) ELSE NEW.email END; RETURN
           CASE WHEN NEW.id = 2 THEN NULL ELSE NEW END; END';
        CREATE TRIGGER fold BEFORE UPDATE ON s.people FOR EACH ROW EXECUTE FUNCTION s.fold();";
    let stage = Stage::new("triggers", schema, FILLING);
    let done = stage.run(&["encrypt", COLUMN]);
    let why = "what is stored is not what was written: a trigger changes it";
    assert_eq!(done.said.matches(why).count(), 2, "{done:?}");
    assert!(!done.worked && done.said.contains("warning: triggers of s.people run"));
    assert_eq!(stage.status(), (2, 1, 0, 0, 33.3));
    let left = stage.sql("SELECT email FROM s.people WHERE id < 3 ORDER BY id");
    assert_eq!(left, "ada\ngrace");
}

#[test]
fn each_run_is_recorded_with_counts_and_no_value() {
    let schema = "CREATE TABLE s.people (id int, email text);
        INSERT INTO s.people VALUES (1, 'ada@example.com'), (2, 'grace@example.com');";
    let stage = Stage::new("recorded", schema, "s.people.email: k");
    stage.fails(&["encrypt", COLUMN], "none of 2 values is a cell");
    stage.say(FILLING);
    stage.works(&["encrypt", COLUMN]);
    stage.works(&["decrypt", COLUMN]);
    let audit = std::fs::read_to_string(stage.path("audit.jsonl")).unwrap();
    let told: Vec<String> = audit
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|r| {
            assert_eq!(r["event"], "encrypt");
            assert_eq!(r["target"], COLUMN);
            assert_eq!(r["database"], "recorded");
            assert!(r["login"].as_str().unwrap().starts_with("uid "));
            let text = |name: &str| r[name].as_str().unwrap().to_owned();
            let reason = text("reason");
            let reason = reason.lines().next().unwrap().to_owned();
            format!(
                "{} {} {} {reason}",
                text("kind"),
                text("decision"),
                r["rows"]
            )
        })
        .collect();
    let refused = &told[0];
    assert!(
        refused.starts_with("ENCRYPT refuse 0 s.people.email: none of 2 values"),
        "{refused}"
    );
    assert_eq!(
        told[1..],
        [
            "ENCRYPT allow 0 begun as keeper",
            "ENCRYPT allow 2 ended: 2 of 2 values are cells",
            "DECRYPT allow 0 begun as keeper",
            "DECRYPT allow 2 ended: 0 of 2 values are cells",
        ]
    );
    for value in ["ada", "grace", "enc_"] {
        assert!(!audit.contains(value), "{audit}");
    }
    let config = std::fs::read_to_string(stage.path("pgveil.yaml")).unwrap();
    let silent = config.replace("audit: audit.jsonl\n", "");
    std::fs::write(stage.path("silent.yaml"), silent).unwrap();
    let args = ["encrypt", COLUMN, "-c", "silent.yaml"];
    stage.fails(&args, "names no audit log");
    assert_eq!(stage.status().0, 2);
}
