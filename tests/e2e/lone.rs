//! One row by its key: a condition that leaves more than one has no say in which row comes first. Played on the stage
//! of `heirs`.

use crate::heirs::draws;
use crate::support::client::{Answer, Client};
use crate::support::stage::Stage;

/// A key says that no two values of it are equal, compared as it compares them.
pub(crate) fn several_rows_equal_one_value(stage: &Stage, client: &mut Client) {
    let middle = "1152921504606846980";
    client
        .simple("PREPARE flake (float8) AS SELECT id FROM flakes WHERE id = $1 AND n = 1 LIMIT 1");
    client.simple("CREATE TEMP TABLE taken (id int, what text)");
    client.simple("INSERT INTO taken VALUES (1, NULL)");
    for sql in [
        format!("SELECT id FROM flakes WHERE id = {middle}::float8 AND n = 1 LIMIT 1"),
        format!("SELECT id FROM flakes WHERE {middle}::real = id AND n = 1 LIMIT 1"),
        format!(
            "SELECT array_agg(id ORDER BY n) FROM flakes WHERE id = {middle}::float8 AND n = 1"
        ),
        format!("EXECUTE flake ({middle})"),
        "SELECT id FROM flakes WHERE code = 'k'::bpchar AND n = 1 LIMIT 1".to_owned(),
        format!(
            "SELECT f.id FROM (VALUES ({middle}::float8)) v (x) JOIN flakes f ON f.id = v.x WHERE f.n = 1 ORDER BY v.x \
             LIMIT 1"
        ),
        "SELECT n FROM steps WHERE id = 1 AND r = 'a' LIMIT 1".to_owned(),
        "SELECT array_agg(n ORDER BY id, r) FROM steps".to_owned(),
    ] {
        draws(client, &sql);
    }
    let collated = stage
        .cluster
        .run("clinic", "SELECT 'a'::text COLLATE any_case");
    if collated.is_ok() {
        draws(
            client,
            "SELECT k FROM labelled WHERE k = 'abc' COLLATE any_case AND n = 1 LIMIT 1",
        );
    }
    let values = "UPDATE taken SET what = f.id::text FROM";
    for sql in [
        format!("{values} flakes f WHERE f.id = {middle}::float8 AND f.n = 1 RETURNING what"),
        format!(
            "{values} flakes f WHERE f.id = {middle} + floor(random() * 2)::int AND f.n = 1 RETURNING what"
        ),
        format!("{values} marks f WHERE f.lv = 1 AND f.n = 1 RETURNING what"),
    ] {
        let answer = client.simple(&sql);
        assert!(
            matches!(&answer, Answer::Error(state, _) if state == "0A000"),
            "{sql}: {answer:?}"
        );
    }
    for (sql, found) in [
        (
            format!("{values} flakes f WHERE f.id = {middle} AND f.n = 1"),
            "UPDATE 1",
        ),
        (
            format!("{values} flakes f WHERE f.id = {middle}::numeric AND f.n = 1"),
            "UPDATE 1",
        ),
        (
            format!("{values} flakes f WHERE f.code = 'k ' AND f.n = 1"),
            "UPDATE 1",
        ),
    ] {
        let answer = client.simple(&sql);
        assert!(
            matches!(&answer, Answer::Rows(_, tags) if tags[0] == found),
            "{sql}: {answer:?}"
        );
    }
}
