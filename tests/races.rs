//! The window between the catalog's snapshot and a statement's execution: DDL by somebody else, at the
//! worst moment, and the same statement again before the proxy can have read the catalog.
//!
//! What is asked each time: no stored value shows, the session lives, and soon everything works. Whether
//! the statement fails, or answers as before the DDL, is PostgreSQL's to say.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "session/stage.rs"]
#[expect(dead_code, reason = "its conveniences are for other tests")]
mod stage;

use std::time::Duration;

use stage::{Stage, connect, eventually, options};
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage};

/// One race: statements, DDL against them, and its undoing.
struct Race {
    statements: &'static [&'static str],
    ddl: &'static str,
    undo: &'static str,
}

/// Each statement shows no e-mail address when it is planned, and would after the DDL.
const RACES: &[Race] = &[
    // Two columns swap their names.
    Race {
        statements: &[
            "SELECT city FROM people ORDER BY id",
            "SELECT upper(city), id FROM people",
            "SELECT string_agg(city, ',') FROM people",
            "SELECT count(*) FROM people WHERE city LIKE 'ada@%' HAVING count(*) = 1",
            "SELECT (SELECT max(city) FROM people)",
            "WITH c AS MATERIALIZED (SELECT city FROM people) SELECT city FROM c",
            "SELECT 'x' UNION ALL SELECT city FROM people",
            "SELECT t.id, p.city FROM towns t LEFT JOIN people p ON p.id = t.id",
            "INSERT INTO sink SELECT id, city FROM people RETURNING note",
            "UPDATE sink SET note = city FROM people RETURNING city",
            "DELETE FROM sink USING people RETURNING people.city",
            "SELECT city FROM places",
        ],
        ddl: "ALTER TABLE people RENAME email TO swap; ALTER TABLE people RENAME city TO email;
              ALTER TABLE people RENAME swap TO city",
        undo: "ALTER TABLE people RENAME email TO swap; ALTER TABLE people RENAME city TO email;
               ALTER TABLE people RENAME swap TO city",
    },
    // A protected table takes an open one's name.
    Race {
        statements: &[
            "SELECT email FROM towns",
            "SELECT lower(email) FROM towns",
            "SELECT max(email) FROM towns GROUP BY id",
            // PostgreSQL locks these tables after it has read what stands before them.
            "SELECT v.e FROM (VALUES ('ada@example.com'), ('x')) v(e) WHERE v.e IN (SELECT email FROM towns)",
            "SELECT 'ada@example.com' HAVING EXISTS (SELECT FROM towns WHERE email = 'ada@example.com')",
            "SELECT 'ada@example.com' FROM places LIMIT (SELECT count(*) FROM towns WHERE email LIKE 'ada@%')",
            "SELECT p.id, (SELECT max(email) FROM towns) FROM places p",
            "SELECT id FROM places UNION ALL SELECT length(email) FROM towns WHERE email = 'ada@example.com'",
            "UPDATE sink SET note = (SELECT max(email) FROM towns) RETURNING note",
            "UPDATE sink SET note = note RETURNING (SELECT min(email) FROM towns)",
            "DELETE FROM sink WHERE note IN (SELECT email FROM towns) RETURNING 'ada@example.com'",
            "INSERT INTO sink VALUES (1, (SELECT max(email) FROM towns)) RETURNING note",
        ],
        ddl: "ALTER TABLE towns RENAME TO old_towns; ALTER TABLE people RENAME TO towns",
        undo: "ALTER TABLE towns RENAME TO people; ALTER TABLE old_towns RENAME TO towns",
    },
    // The same, for the target of a write.
    Race {
        statements: &[
            "UPDATE sink SET id = id RETURNING note",
            "DELETE FROM sink WHERE note LIKE 'ada%' RETURNING 'ada@' AS found",
        ],
        ddl: "ALTER TABLE sink RENAME TO old_sink; ALTER TABLE people RENAME email TO note;
              ALTER TABLE people RENAME TO sink",
        undo: "ALTER TABLE sink RENAME TO people; ALTER TABLE people RENAME note TO email;
               ALTER TABLE old_sink RENAME TO sink",
    },
    // Positions move: one column goes, another comes.
    Race {
        statements: &[
            "SELECT x FROM wide",
            "SELECT x || '' FROM wide",
            "SELECT w.x FROM wide w, people p WHERE p.id = 1",
        ],
        ddl: "ALTER TABLE wide DROP x; ALTER TABLE wide ADD x text",
        undo: "SELECT 1",
    },
    // A column goes, and nothing comes.
    Race {
        statements: &[
            "SELECT x FROM wide",
            "SELECT lower(x) FROM wide WHERE city = 'Lund'",
        ],
        ddl: "ALTER TABLE wide DROP x",
        undo: "ALTER TABLE wide ADD x text",
    },
    // A view is replaced, by itself and inside another.
    Race {
        statements: &[
            "SELECT city FROM places",
            "SELECT lower(city) FROM places",
            "SELECT city FROM more_places",
            "SELECT upper(m.city) FROM more_places m JOIN people p USING (id)",
        ],
        ddl: "CREATE OR REPLACE VIEW places AS SELECT id, email AS city FROM people",
        undo: "CREATE OR REPLACE VIEW places AS SELECT id, city FROM people",
    },
    // The same, after somebody wanted to and did not: that leaves its mark on the row of the rule.
    Race {
        statements: &["SELECT city FROM places", "SELECT city FROM more_places"],
        ddl: "CREATE OR REPLACE VIEW places AS SELECT id, email AS city FROM people",
        undo: "CREATE OR REPLACE VIEW places AS SELECT id, city FROM people; BEGIN;
               CREATE OR REPLACE VIEW places AS SELECT id, email AS city FROM people; ROLLBACK",
    },
    // A partition comes whose columns are protected.
    Race {
        statements: &["SELECT note FROM events", "SELECT upper(note) FROM events"],
        ddl: "ALTER TABLE events ATTACH PARTITION vip FOR VALUES IN (2)",
        undo: "ALTER TABLE events DETACH PARTITION vip",
    },
];

/// How a statement travels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Simple,
    /// Run before the DDL; after it parsed and described first, bound then.
    Parsed,
    /// The same, all of it at once.
    Unnamed,
    /// Parsed and run before the DDL, bound and run again after it.
    Prepared,
    /// As `Prepared`, by PREPARE and EXECUTE.
    Sql,
    /// In a REPEATABLE READ transaction whose snapshot is older than the DDL.
    Repeatable,
    /// Declared in a transaction after it, so the catalog's own caches are warm.
    Cursor,
    /// COPY … TO STDOUT
    Copy,
    /// CREATE TEMP TABLE … AS
    Temporary,
}

const WAYS: [Way; 9] = [
    Way::Simple,
    Way::Parsed,
    Way::Unnamed,
    Way::Prepared,
    Way::Sql,
    Way::Repeatable,
    Way::Cursor,
    Way::Copy,
    Way::Temporary,
];

/// When the statement is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// The DDL is committed.
    After,
    /// It is done but not committed: the statement waits for the lock of one of its tables.
    Meanwhile,
}

/// All the text a statement gives, or its error.
async fn shown(client: &Client, sql: &str) -> Result<String, tokio_postgres::Error> {
    let mut out = String::new();
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            for column in 0..row.len() {
                out.push_str(row.get(column).unwrap_or("NULL"));
                out.push('|');
            }
        }
    }
    Ok(out)
}

/// The texts among their values.
fn texts(rows: Vec<Row>) -> String {
    let text = |row: &Row, at| row.try_get::<_, Option<String>>(at).ok().flatten();
    (rows.iter())
        .flat_map(|row| (0..row.len()).filter_map(move |at| text(row, at)))
        .collect()
}

async fn copied(client: &Client, sql: &str) -> Result<String, tokio_postgres::Error> {
    use futures::TryStreamExt;
    let rows = client.copy_out(&format!("COPY ({sql}) TO STDOUT")).await?;
    let data: Vec<_> = rows.try_collect().await?;
    Ok(String::from_utf8(data.concat()).unwrap())
}

/// PostgreSQL itself, as who may change the tables.
async fn direct() -> (Client, tokio::task::JoinHandle<()>) {
    let address = Stage::shared().cluster.address();
    let (client, connection) = options(address, "stage_login")
        .connect(NoTls)
        .await
        .unwrap();
    (client, tokio::spawn(async { drop(connection.await) }))
}

fn leaks(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("ada@") || text.contains("grace@")
}

/// What the client sees of the statement after the DDL.
async fn raced(race: &Race, sql: &str, way: Way, when: When) -> String {
    let (client, _task) = connect("support").await;
    let mut prepared = None;
    match way {
        Way::Simple | Way::Parsed | Way::Unnamed | Way::Cursor | Way::Temporary => {
            client.simple_query(sql).await.unwrap();
        }
        Way::Prepared => {
            let statement = client.prepare(sql).await.unwrap();
            client.query(&statement, &[]).await.unwrap();
            prepared = Some(statement);
        }
        Way::Sql => {
            client
                .simple_query(&format!("PREPARE s AS {sql}"))
                .await
                .unwrap();
            let before = shown(&client, "EXECUTE s").await.unwrap();
            assert!(!leaks(&before), "{sql}: {before}");
        }
        Way::Repeatable => {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT id FROM still";
            client.simple_query(begin).await.unwrap();
        }
        Way::Copy => {
            let before = copied(&client, sql).await.unwrap();
            assert!(!leaks(&before), "{sql}: {before}");
        }
    }
    let cluster = &Stage::shared().cluster;
    let asked = async {
        match way {
            Way::Simple | Way::Repeatable => shown(&client, sql).await,
            Way::Prepared => {
                let statement = prepared.unwrap();
                client.query(&statement, &[]).await.map(texts)
            }
            Way::Parsed => client.query(sql, &[]).await.map(texts),
            Way::Unnamed => client.query_typed(sql, &[]).await.map(texts),
            Way::Sql => shown(&client, "EXECUTE s").await,
            Way::Cursor => match client
                .simple_query(&format!("BEGIN; DECLARE c CURSOR FOR {sql}"))
                .await
            {
                Ok(_) => shown(&client, "FETCH ALL FROM c").await,
                Err(e) => Err(e),
            },
            Way::Copy => copied(&client, sql).await,
            Way::Temporary => match client
                .simple_query(&format!("BEGIN; CREATE TEMP TABLE kept AS {sql}"))
                .await
            {
                Ok(_) => shown(&client, "SELECT * FROM kept").await,
                Err(e) => Err(e),
            },
        }
    };
    let after = match when {
        When::After => {
            cluster.run("stage", race.ddl).unwrap();
            asked.await
        }
        When::Meanwhile => {
            let (owner, _owner) = direct().await;
            let begin = format!("BEGIN; {}", race.ddl);
            owner.simple_query(&begin).await.unwrap();
            let (seen, ()) = futures::join!(asked, async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                owner.simple_query("COMMIT").await.unwrap();
            });
            seen
        }
    };
    let seen = match after {
        Ok(text) => text,
        Err(error) => {
            let error = error.as_db_error().unwrap();
            assert!(
                ["40001", "0A000", "42703", "42P01"].contains(&error.code().code()),
                "{sql}, {way:?}, {when:?}: {error:?}"
            );
            format!("{error:?}")
        }
    };
    client.simple_query("ROLLBACK").await.unwrap();
    cluster.run("stage", race.undo).unwrap();
    // The next session plans on the catalog as it is now.
    let what = format!("{sql} does not work again after {way:?}, {when:?}");
    eventually(&what, async || {
        shown(&client, sql).await.is_ok_and(|text| !leaks(&text))
    })
    .await;
    seen
}

#[tokio::test]
async fn no_ddl_between_planning_and_execution_shows_a_stored_value() {
    for race in RACES {
        for sql in race.statements {
            let reads = sql.starts_with("SELECT") || sql.starts_with("WITH");
            for way in WAYS {
                if !reads && matches!(way, Way::Cursor | Way::Copy | Way::Temporary) {
                    continue;
                }
                for when in [When::After, When::Meanwhile] {
                    let seen = raced(race, sql, way, when).await;
                    assert!(
                        !leaks(&seen),
                        "{sql}, {way:?}, {when:?}, {}: shows {seen}",
                        race.ddl
                    );
                }
            }
        }
    }
}
