//! What PostgreSQL tells beside the rows: who waits for whom, which test failed first, how often a table was cleaned.
//! Played on the stage of `heirs`.

use crate::heirs::draws;
use crate::support::client::{Answer, Client};

/// Nothing of it tells of values.
pub(crate) fn nothing_is_told(client: &mut Client) {
    refusals(client);
    nothing_is_counted(client);
    what_is_tested_later_fails_in_one_way(client);
    own_rows_come_anywhere(client);
    views_tell_no_more(client);
    client.simple("SET timezone = 'Pacific/Apia'");
    draws(
        client,
        "SELECT day FROM days WHERE day = '2011-12-31'::timestamptz AND n = 1 LIMIT 1",
    );
    client.simple("RESET timezone");
}

/// What a query of the role's own would not be told, no view of the owner's tells it.
fn views_tell_no_more(client: &mut Client) {
    for sql in [
        "SELECT ids FROM gathered",
        "SELECT r FROM numbered WHERE id = 36",
        "SELECT id FROM firsts",
        "SELECT id FROM one_of",
        "SELECT count(*) FROM one_of o JOIN owed w ON w.id = o.id AND w.id % 2 = 0",
    ] {
        draws(client, sql);
    }
    client.simple("BEGIN");
    client.simple("SELECT count(*) FROM owed");
    for (sql, shown) in [
        (
            "SELECT d LIKE '%owed%', d LIKE '%sesame%', size FROM defined",
            "t | f | (null)",
        ),
        (
            "SELECT count(*) FROM locked WHERE locktype = 'relation'",
            "0",
        ),
        (
            "SELECT value IS NULL FROM kept WHERE v = 'clinic.word'",
            "t",
        ),
        ("SELECT value IS NULL FROM kept WHERE v = 'TimeZone'", "f"),
        ("SELECT sum(cardinality(ids)) FROM gathered", "60"),
    ] {
        let Answer::Rows(rows, _) = client.simple(sql) else {
            panic!("{sql}");
        };
        assert_eq!(rows, [shown], "{sql}");
    }
    client.simple("ROLLBACK");
}

/// Where a row comes, whose value the role chose, would tell which of the others are less.
fn own_rows_come_anywhere(client: &mut Client) {
    client.simple("BEGIN");
    client.simple("INSERT INTO ranks VALUES (9000, 3, 35000)");
    draws(client, "SELECT id FROM ranks WHERE n = 3");
    draws(client, "SELECT id FROM ranked WHERE n = 3");
    draws(client, "COPY (SELECT id FROM ranks WHERE n = 3) TO STDOUT");
    draws(
        client,
        "WITH c AS (UPDATE ranks SET n = 3 WHERE n = 3 RETURNING id) SELECT id FROM c",
    );
    let one = "UPDATE ranks SET n = 3 WHERE id = 9000 RETURNING id";
    assert_eq!(outcome(client.simple(one)), "UPDATE 1");
    for sql in [
        "UPDATE ranks SET n = 3 WHERE n = 3 RETURNING id",
        "WITH s AS (UPDATE ranks SET n = 2 WHERE id = 9000) UPDATE ranks SET n = 3 WHERE n = 3 RETURNING id",
        "UPDATE ranks r SET n = 3 FROM (VALUES (3)) v (n) WHERE r.n = v.n RETURNING r.id, v.n, r.id",
    ] {
        client.simple("SAVEPOINT s");
        draws(client, sql);
        client.simple("ROLLBACK TO s");
    }
    client.simple("PREPARE several AS UPDATE ranks SET n = 3 WHERE n = $1 RETURNING id");
    draws(client, "EXECUTE several (3)");
    for (sql, tag) in [
        (
            "UPDATE ranks SET n = 3 WHERE n = 3 RETURNING id",
            "UPDATE 287",
        ),
        ("EXECUTE several (3)", "UPDATE 287"),
        ("DELETE FROM ranks WHERE n = 3 RETURNING *", "DELETE 287"),
    ] {
        assert_eq!(outcome(client.simple(sql)), tag, "{sql}");
    }
    client.simple("ROLLBACK");
    client.simple("DEALLOCATE several");
    // Nobody but who writes there pays for it.
    let same = (0..20).map(|_| client.simple("SELECT id FROM owed WHERE n = 1"));
    let same: Vec<_> = same.collect();
    assert!(same.windows(2).all(|two| two[0] == two[1]));
}

/// What is sent, and the SQLSTATE of the answer or its tag.
fn refusals(client: &mut Client) {
    for (sql, expected) in [
        // Who holds a row's lock, for the key that refers to it.
        ("UPDATE levels SET code = 50 WHERE id = 5", "42501"),
        ("UPDATE levels SET n = 50 WHERE id = 5", "UPDATE 1"),
        (
            "INSERT INTO levels VALUES (5, 50, 1) ON CONFLICT (id) DO UPDATE SET code = 50",
            "42501",
        ),
        ("UPDATE levels_known SET code = 50 WHERE id = 5", "UPDATE 1"),
        ("UPDATE levels_made SET m = 50 WHERE id = 5", "42501"),
        (
            "INSERT INTO levels_made (id, m) VALUES (5, 1) ON CONFLICT (id) DO UPDATE SET n = 3",
            "42501",
        ),
        ("SELECT mxid_age('1'::xid)", "42501"),
        // Whatever is tested behind a foreign table; the last has no handler.
        ("INSERT INTO far VALUES (1, 1, 1)", "42501"),
        ("INSERT INTO far (id) VALUES (1)", "42501"),
        ("UPDATE far SET n = 1", "42501"),
        ("DELETE FROM far WHERE id = 1", "42501"),
        ("UPDATE apart.split SET n = 1 WHERE id = 1", "42501"),
        ("INSERT INTO near VALUES (1, 1)", "55000"),
        // One row asks this, and one divides.
        (
            "SELECT CASE WHEN id > 2 THEN currval('drawn') ELSE 1 / (n - 1) END FROM owed WHERE n = 1",
            "0A000",
        ),
        (
            "BEGIN READ ONLY; SELECT CASE WHEN id > 2 THEN nextval('drawn') ELSE 1 / (n - 1) END FROM owed WHERE n = 1",
            "0A000",
        ),
        ("ROLLBACK", "ROLLBACK"),
    ] {
        assert_eq!(outcome(client.simple(sql)), expected, "{sql}");
    }
}

/// The SQLSTATE of an error, or the last tag.
fn outcome(answer: Answer) -> String {
    match answer {
        Answer::Rows(_, tags) => tags.last().cloned().unwrap_or_default(),
        Answer::Error(state, _) => state,
    }
}

fn nothing_is_counted(client: &mut Client) {
    for (sql, shown) in [
        (
            "SELECT count(autovacuum_count), count(last_autovacuum), count(autoanalyze_count), \
             count(last_autoanalyze) FROM pg_stat_user_tables",
            "0 | 0 | 0 | 0",
        ),
        (
            "SELECT count(null_frac), count(n_distinct), count(avg_width) FROM pg_stats",
            "0 | 0 | 0",
        ),
        (
            "SELECT count(relfrozenxid), count(relminmxid) FROM pg_class",
            "0 | 0",
        ),
        (
            "SELECT reltuples FROM pg_class WHERE relname = 'well_paid'",
            "-1",
        ),
        (
            "SELECT reltuples FROM pg_class WHERE relname = 'owed'",
            "60",
        ),
    ] {
        let Answer::Rows(rows, _) = client.simple(sql) else {
            panic!("{sql}");
        };
        assert_eq!(rows, [shown], "{sql}");
    }
    client.simple("BEGIN");
    client.simple("SELECT count(*) FROM owed");
    let locks = client.simple("SELECT count(*) FROM pg_locks WHERE locktype = 'relation'");
    assert!(
        matches!(&locks, Answer::Rows(rows, _) if rows == &["0"]),
        "{locks:?}"
    );
    client.simple("ROLLBACK");
}

/// Two rows fail, each by a test of its own: which of them is told is which of them was changed first.
fn what_is_tested_later_fails_in_one_way(client: &mut Client) {
    let both = "UPDATE owed SET tab = CASE id WHEN 36 THEN 99 ELSE 1 END, seat = CASE id WHEN 50 THEN 1 ELSE seat END \
                WHERE n = 1";
    for last in ["COMMIT", "SET CONSTRAINTS ALL IMMEDIATE"] {
        client.simple("BEGIN");
        assert_eq!(outcome(client.simple(both)), "UPDATE 60");
        assert_eq!(outcome(client.simple(last)), "0A000", "{last}");
        client.simple("ROLLBACK");
    }
    assert_eq!(outcome(client.simple(both)), "0A000");
    assert_eq!(
        outcome(client.simple(&format!("{both}; SELECT 1"))),
        "0A000"
    );
    assert_eq!(outcome(client.extended(both)), "0A000");
    // One row tells nothing, and nothing is left of the transaction before.
    let one = "UPDATE owed SET tab = 99 WHERE id = 1";
    assert_eq!(outcome(client.simple(one)), "23503");
    client.simple("BEGIN");
    client.simple(one);
    assert_eq!(outcome(client.simple("COMMIT")), "23503");
}
