//! Hostile texts on a worker's stack: answered or refused, never a crash.

use crate::limits;
use crate::sql::parse::parse;

/// Parses, and drops what came of it, on a thread with a worker's stack. The SQLSTATE, if refused.
fn on_worker(text: String) -> Option<&'static str> {
    std::thread::Builder::new()
        .stack_size(limits::STACK_BYTES)
        .spawn(move || parse(&text).map(drop).err().map(|refused| refused.sqlstate))
        .unwrap()
        .join()
        .unwrap()
}

fn nested(open: &str, core: &str, close: &str, levels: usize) -> String {
    format!(
        "SELECT {}{core}{}",
        open.repeat(levels),
        close.repeat(levels)
    )
}

#[test]
fn long_chains() {
    assert_eq!(
        on_worker(format!("SELECT 1{}", "+1".repeat(4_600))),
        Some("54001")
    );
    assert_eq!(
        on_worker(format!("SELECT 1{}", "+1".repeat(limits::SQL_CHAIN))),
        None
    );
    assert_eq!(
        on_worker(format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(600))),
        None
    );
    assert_eq!(
        on_worker(format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2_000))),
        Some("54001")
    );
    assert_eq!(
        on_worker(format!("SELECT true{}", " AND a".repeat(900))),
        None
    );
    assert_eq!(on_worker(format!("SELECT a{}", "::int".repeat(900))), None);
    assert_eq!(on_worker(format!("SELECT a{}", "[1]".repeat(900))), None);
    assert_eq!(
        on_worker(format!("SELECT a::int{}", "[]".repeat(900))),
        Some("42601")
    );
    assert_eq!(
        on_worker(format!("SELECT a{}", " IS NULL".repeat(900))),
        None
    );
    assert_eq!(
        on_worker(format!("SELECT 1 FROM t{}", " JOIN t ON true".repeat(900))),
        None
    );
    assert_eq!(
        on_worker(format!("SELECT 1 FROM t{}", " CROSS JOIN t".repeat(2_000))),
        Some("54001")
    );
}

#[test]
fn deep_nesting() {
    for (open, core, close) in [
        ("(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("f(1 + ", "1", ")"),
        ("ARRAY[", "1", "]"),
        ("(1 * (SELECT 1 FROM (SELECT ", "1", ") x))"),
        ("EXISTS (SELECT ", "1", ")"),
        ("CASE WHEN ", "true", " THEN 1 END"),
        ("- ", "1", ""),
        ("NOT ", "true", ""),
        ("@ ", "1", ""),
        ("a OR b AND c = d || e + f * g ^ (", "1", ")"),
    ] {
        assert_eq!(on_worker(nested(open, core, close, 15)), None, "{open}");
        assert_eq!(
            on_worker(nested(open, core, close, 3_000)),
            Some("54001"),
            "{open}"
        );
        // At the limit itself: whichever answer, no crash.
        for levels in [30, 48, 90, 99] {
            on_worker(nested(open, core, close, levels));
        }
    }
    let joins = format!(
        "SELECT 1 FROM {}t{}",
        "(".repeat(90),
        " JOIN t ON true)".repeat(90)
    );
    assert_eq!(on_worker(joins), None);
}

#[test]
fn long_lists_pass() {
    let rows = vec!["(1, 'x', -2.5, now(), DEFAULT)"; 1_000].join(", ");
    assert_eq!(on_worker(format!("INSERT INTO t VALUES {rows}")), None);
    let list = vec!["12345"; 20_000].join(",");
    assert_eq!(on_worker(format!("SELECT 1 WHERE a IN ({list})")), None);
    let columns = vec!["a + 1"; 1_600].join(", ");
    assert_eq!(on_worker(format!("SELECT {columns}")), None);
}

#[test]
fn size_caps() {
    assert_eq!(
        on_worker(format!("SELECT '{}'", "x".repeat(limits::SQL_TEXT_BYTES))),
        Some("54000")
    );
    assert_eq!(
        on_worker(format!(
            "SELECT {}",
            vec!["1"; limits::SQL_TOKENS / 2].join(",")
        )),
        None
    );
    assert_eq!(
        on_worker(format!(
            "SELECT {}",
            vec!["1"; limits::SQL_TOKENS / 2 + 1].join(",")
        )),
        Some("54000")
    );
    assert_eq!(on_worker("SELECT 1;".repeat(1_001)), Some("54000"));
}
