//! PostgreSQL's own parser as the oracle: what pgveil reads, it reads as PostgreSQL does.
//!
//! `parser_oracle/statements.sql` holds statements of PostgreSQL's regression tests, each with a hash of the
//! text pgveil printed for it, names unresolved, when `parser_oracle/record.py` last asked PostgreSQL's parser
//! and got the same tree for both texts. Parser and printer are checked together: had the parser lost
//! or moved anything, the printed text would have had another tree.
//!
//! Deliberately absent: PostgreSQL's parser itself, which is a C library this crate need not build.
//! When the printer changes on purpose, this test fails until `record.py` has asked again.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

use pgveil::sql::print::as_written;

const RECORDED: &str = include_str!("parser_oracle/statements.sql");

/// The share of statements PostgreSQL accepts that pgveil must read, in percent.
const COVERAGE: usize = 97;

/// (statement, recorded answer)
fn recorded() -> Vec<(&'static str, &'static str)> {
    let mut records = Vec::new();
    let mut rest = RECORDED;
    while let Some((text, after)) = rest.split_once("\n;;;; ") {
        let (answer, next) = after.split_once('\n').unwrap();
        records.push((text, answer));
        rest = next;
    }
    records
}

/// What pgveil prints for a text, or why it does not.
fn printed(text: &str) -> Result<String, String> {
    let parsed = pgveil::sql::parse(text).map_err(|refused| format!("{refused:?}"))?;
    let [only] = parsed.as_slice() else {
        return Err(format!("{} statements", parsed.len()));
    };
    as_written(&only.statement).map_err(|refused| format!("printer: {refused:?}"))
}

/// FNV-1a, 64 bits, as `record.py` computes it.
fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[test]
fn statements_are_read_as_postgresql_reads_them() {
    let records = recorded();
    assert!(records.len() > 3000, "{} statements", records.len());
    let mut wrong = Vec::new();
    let mut read = 0_usize;
    for (text, answer) in &records {
        let now = printed(text);
        read += usize::from(now.is_ok());
        let same = match &now {
            Ok(sql) => hash(sql) == *answer,
            Err(_) => *answer == "refused",
        };
        if !same {
            wrong.push(format!("{text}\n    {}", now.unwrap_or_else(|e| e)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} statements are read or printed in another way than PostgreSQL's parser confirmed; if \
         that is on purpose, ask it again: tests/parser_oracle/record.py. The first:\n{}",
        wrong.len(),
        wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(
        read * 100 >= records.len() * COVERAGE,
        "only {read} of {} statements are read",
        records.len()
    );
}

/// Not a test: how `record.py` asks what is printed.
#[test]
#[ignore = "called by tests/parser_oracle/record.py"]
fn print_for_recording() {
    let file = |name| std::env::var(name).unwrap();
    let texts: Vec<String> =
        serde_json::from_str(&std::fs::read_to_string(file("ORACLE_IN")).unwrap()).unwrap();
    let answers: Vec<(bool, String)> = texts
        .iter()
        .map(|text| match printed(text) {
            Ok(sql) => (true, sql),
            Err(why) => (false, why),
        })
        .collect();
    std::fs::write(file("ORACLE_OUT"), serde_json::to_string(&answers).unwrap()).unwrap();
}
