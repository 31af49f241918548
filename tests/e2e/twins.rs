//! Equal values that were stored otherwise, in columns everybody sees, where a join with a table whose order of
//! rows is protected picks among them: what is shown tells nothing of that order, and is described as ever.

use std::path::Path;

use crate::in_any_order;
use crate::support::client::Answer;
use crate::support::stage::{Role, Stage};

/// Each with what is shown whichever of rows 2 and 6 comes first.
const SHOWN: &[(&str, &str)] = &[
    ("SELECT r.x FROM {FROM} GROUP BY r.x", "1.00"),
    ("SELECT r.f FROM {FROM} GROUP BY 1", "0"),
    ("SELECT r.span FROM {FROM} GROUP BY r.span", "30 days"),
    (
        "SELECT r.doc, count(*) FROM {FROM} GROUP BY r.doc",
        "1.00 | 2",
    ),
    ("SELECT max(r.f), min(r.f) FROM {FROM}", "0 | 0"),
    (
        "SELECT q.x FROM (SELECT r.x FROM {FROM} GROUP BY r.x) q",
        "1.00",
    ),
    (
        "SELECT r.x AS a, r.x AS b FROM {FROM} GROUP BY 1, 2",
        "1.00 | 1.00",
    ),
    (
        "SELECT r.x FROM (SELECT id AS i, max(x) AS x FROM rates GROUP BY id) r JOIN {PAID} ON {ON} GROUP BY r.x",
        "1.00",
    ),
    (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.x), mode() WITHIN GROUP (ORDER BY r.f) FROM {FROM}",
        "1 | 0",
    ),
    (
        "SELECT array_replace('{1.00}'::numeric[], CASE WHEN p.id = {A} THEN 1 ELSE 2 END, 1) AS a FROM {PAID} GROUP BY 1",
        "{1}",
    ),
];

#[test]
fn which_of_equal_values_is_shown_tells_of_no_order() {
    let wing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twins");
    let stage = Stage::build(Some(&wing));
    let mut client = stage.connect(Role::Support);
    for (a, b) in [(2, 6), (6, 2)] {
        for (sql, shown) in SHOWN {
            let sql = sql
                .replace("{FROM}", "rates r JOIN {PAID} ON {ON}")
                .replace(
                    "{PAID}",
                    "(SELECT id FROM payroll WHERE team = 'team 2' AND id IN (2, 6)) p",
                )
                .replace("{ON}", "r.{ID} = CASE WHEN p.id = {A} THEN 1 ELSE 2 END")
                .replace("r.{ID}", if sql.contains("AS i,") { "r.i" } else { "r.id" })
                .replace("{A}", &a.to_string());
            let expected = Answer::Rows(vec![(*shown).to_owned()], vec!["SELECT 1".to_owned()]);
            assert_eq!(
                client.simple(&sql),
                expected,
                "row {a} first, or {b}: {sql}"
            );
            assert_eq!(
                client.extended(&sql),
                expected,
                "row {a} first, or {b}, extended: {sql}"
            );
        }
    }
    let sql = "SELECT rank(CASE WHEN r.x::text = '1.0' THEN 1 ELSE 2 END) WITHIN GROUP (ORDER BY p.id) \
               FROM rates r JOIN payroll p ON r.id = p.id GROUP BY r.x";
    assert!(matches!(client.simple(sql), Answer::Error(state, _) if state == "0A000"));
    // As PostgreSQL answers, the session goes on, whatever is grouped by.
    let mut direct = stage.direct("clinic");
    for sql in [
        "SELECT r.lone, count(*) FROM rates r JOIN payroll p ON p.id = r.id GROUP BY r.lone",
        "SELECT r.lone, r.id FROM rates r JOIN payroll p ON p.id = r.id GROUP BY r.id, r.lone",
        "SELECT r.lone, grouping(r.lone), count(*) FROM rates r JOIN payroll p ON p.id = r.id GROUP BY ROLLUP (r.lone)",
        "SELECT r.lone FROM rates r JOIN payroll p ON p.id = r.id UNION SELECT NULL",
        "SELECT r.lone, NULL AS n FROM rates r JOIN payroll p ON p.id = r.id UNION SELECT 1, 5",
        "SELECT r.lone, (SELECT max(lone) FROM rates z) FROM rates r JOIN payroll p ON p.id = r.id GROUP BY 1",
        "SELECT made, x FROM spelled WHERE id = 7 GROUP BY 1, 2",
    ] {
        let expected = in_any_order(direct.simple(sql), sql);
        assert!(matches!(expected, Answer::Rows(..)), "{sql}: {expected:?}");
        assert_eq!(in_any_order(client.simple(sql), sql), expected, "{sql}");
        assert_eq!(
            in_any_order(client.extended(sql), sql),
            expected,
            "extended: {sql}"
        );
    }
    // What a view computes may fail, and may be spelled otherwise.
    for (a, b) in [(2, 6), (6, 2)] {
        let sql = format!(
            "SELECT EXISTS (SELECT r FROM divided WHERE team = 'team 2' AND id IN ({a}, {b}) AND r IS NOT NULL)"
        );
        let failed = client.simple(&sql);
        assert!(
            matches!(&failed, Answer::Error(state, _) if state == "22012" || state == "0A000"),
            "{sql}: {failed:?}"
        );
    }
    let sql = "SELECT made FROM spelled WHERE team = 'team 2' AND id IN (2, 6) GROUP BY made";
    let expected = Answer::Rows(vec!["1.00".to_owned()], vec!["SELECT 1".to_owned()]);
    assert_eq!(client.simple(sql), expected);
}
