//! COPY TO of columns masked on their way: byte for byte what PostgreSQL copies of the masked copy, in whatever
//! form the client asked for, and what it copies of columns masked by itself, which is done for a client
//! whose encoding the data is converted to.

use std::path::Path;
use std::sync::OnceLock;

use crate::support::client::{Client, Message};
use crate::support::stage::{Role, Stage};

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/copied");
    STAGE.get_or_init(|| Stage::build(Some(&wing)))
}

const OPTIONS: [&str; 20] = [
    "",
    "(DELIMITER '|')",
    "(DELIMITER ',', NULL '')",
    "(NULL 'x')",
    "(NULL '\\\\')",
    "(HEADER)",
    "(HEADER, DELIMITER ';', NULL '(null)')",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER)",
    "(FORMAT csv, FORCE_QUOTE *)",
    "(FORMAT csv, FORCE_QUOTE *, HEADER)",
    "(FORMAT csv, NULL 'NULL')",
    "(FORMAT csv, NULL '(null)', DELIMITER '|')",
    "(FORMAT csv, DELIMITER E'\\t', QUOTE '''', ESCAPE '\\')",
    "(FORMAT csv, QUOTE ',', DELIMITER ';')",
    "(FORMAT csv, ESCAPE '\\')",
    "(FORMAT csv, ESCAPE ',', QUOTE '\"', DELIMITER ';')",
    "CSV",
    "DELIMITER ';' NULL 'n'",
    "WITH CSV HEADER",
];

/// The data, each message for itself, and the tag.
fn copied(client: &mut Client, sql: &str) -> Vec<(char, String)> {
    client.send(b'Q', format!("{sql}\0").as_bytes());
    let shown = |message: &Message| {
        let body = String::from_utf8_lossy(&message.body).into_owned();
        match message.kind {
            b'E' => ('E', message.error().join(": ")),
            kind => (char::from(kind), body),
        }
    };
    client.until_ready().iter().map(shown).collect()
}

#[test]
fn what_is_copied_is_what_postgresql_copies_of_the_masked_copy() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut copy = stage.direct(stage.masked_copy(Role::Support).unwrap());
    for source in [
        "patients",
        "staff (email, name)",
        "(SELECT name, email, id FROM patients WHERE city LIKE 'L%' ORDER BY id)",
        "(SELECT s.name, p.email FROM staff s JOIN patients p USING (id))",
        "(SELECT name FROM patients UNION ALL SELECT city FROM patients)",
        "(SELECT upper(name), email, count(*) FROM patients GROUP BY 1, 2 ORDER BY 3, 2)",
    ] {
        for options in OPTIONS.into_iter().chain(["(FORMAT binary)"]) {
            let sql = format!("COPY {source} TO STDOUT {options}");
            let there = copied(&mut copy, &sql);
            assert!(
                there.iter().any(|(kind, _)| *kind == 'd'),
                "{sql}: {there:?}"
            );
            assert_eq!(copied(&mut client, &sql), there, "{sql}");
            stage.assert_silent(Role::Support, &mut client, &sql);
        }
    }
}

#[test]
fn odd_values_are_written_as_postgresql_writes_them() {
    let stage = stage();
    let mut here = stage.connect(Role::Support);
    let mut there = stage.connect(Role::Support);
    there.simple("SET client_encoding = 'LATIN1'");
    for source in [
        "odd",
        "(SELECT slash FROM odd)",
        "(SELECT quote FROM odd)",
        "(SELECT clear, comma FROM odd WHERE id > 2)",
        "(SELECT slash, id, quote FROM odd WHERE false)",
    ] {
        for options in OPTIONS {
            let sql = format!("COPY {source} TO STDOUT {options}");
            let by_postgresql = copied(&mut there, &sql);
            assert!(
                by_postgresql.iter().any(|(kind, _)| *kind == 'C'),
                "{sql}: {by_postgresql:?}"
            );
            assert_eq!(copied(&mut here, &sql), by_postgresql, "{sql}");
        }
    }
    // What is not converted comes as it is, whatever the client's encoding.
    let sql = "COPY (SELECT chr(233), slash FROM odd) TO STDOUT (ENCODING 'UTF8')";
    let utf8 = copied(&mut there, sql);
    assert!(
        utf8.iter()
            .any(|(kind, data)| *kind == 'd' && data.starts_with("é\t")),
        "{utf8:?}"
    );
    assert_eq!(copied(&mut here, sql), utf8);
}
