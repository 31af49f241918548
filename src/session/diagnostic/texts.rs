//! One fixed message per SQLSTATE, close to PostgreSQL's wording but without the value it would
//! quote. What has no entry is told by its class.

/// The message for an SQLSTATE.
pub(super) fn fixed(sqlstate: &str) -> &'static str {
    EXACT
        .iter()
        .find(|(state, _)| *state == sqlstate)
        .map_or_else(|| class(sqlstate), |(_, text)| *text)
}

const EXACT: [(&str, &str); 73] = [
    ("0A000", "feature is not supported"),
    (
        "21000",
        "more than one row returned by a subquery used as an expression",
    ),
    ("22001", "value too long for type"),
    ("22003", "value out of range"),
    ("22004", "null value not allowed"),
    ("22007", "invalid input syntax for type date or time"),
    ("22008", "date/time field value out of range"),
    ("22009", "time zone displacement out of range"),
    ("2200H", "nextval: reached limit of sequence"),
    ("22011", "negative substring length not allowed"),
    ("22012", "division by zero"),
    (
        "22013",
        "invalid preceding or following size in window function",
    ),
    ("22015", "interval field value out of range"),
    ("22019", "invalid escape string"),
    ("2201B", "invalid regular expression"),
    ("2201E", "cannot take logarithm of this number"),
    ("2201F", "invalid argument for power function"),
    ("2201W", "LIMIT must not be negative"),
    ("2201X", "OFFSET must not be negative"),
    ("22021", "invalid byte sequence for encoding"),
    ("22023", "invalid parameter value"),
    ("22025", "invalid escape sequence"),
    ("22026", "string length does not match type"),
    ("22027", "invalid trim argument"),
    ("2202E", "wrong number of array subscripts"),
    ("2202H", "invalid TABLESAMPLE argument"),
    ("22P01", "floating-point exception"),
    ("22P02", "invalid input syntax for type"),
    ("22P03", "incorrect binary data format"),
    ("22P04", "bad COPY file format"),
    ("22P05", "character has no equivalent in encoding"),
    ("23000", "integrity constraint violation"),
    ("23001", "restrict violation"),
    ("23502", "null value violates not-null constraint"),
    ("23503", "operation violates foreign key constraint"),
    ("23505", "duplicate key value violates unique constraint"),
    ("23514", "value violates check constraint"),
    (
        "23P01",
        "conflicting key value violates exclusion constraint",
    ),
    ("24000", "invalid cursor state"),
    ("25001", "command cannot run inside a transaction block"),
    (
        "25006",
        "cannot execute this command in a read-only transaction",
    ),
    ("25P01", "command can only be used in transaction blocks"),
    (
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    ),
    (
        "25P03",
        "terminating connection due to idle-in-transaction timeout",
    ),
    ("26000", "prepared statement does not exist"),
    ("34000", "cursor does not exist"),
    ("3B001", "savepoint does not exist"),
    ("3D000", "database does not exist"),
    ("3F000", "schema does not exist"),
    (
        "40001",
        "could not serialize access due to concurrent activity",
    ),
    ("40P01", "deadlock detected"),
    ("42501", "permission denied"),
    ("42601", "syntax error"),
    ("42703", "column does not exist"),
    ("42804", "datatype mismatch"),
    ("42883", "function or operator does not exist"),
    ("42P01", "relation does not exist"),
    ("42P07", "relation already exists"),
    ("42P18", "could not determine data type"),
    ("44000", "new row violates check option of a view"),
    ("53100", "disk full"),
    ("53200", "out of memory"),
    ("53300", "too many connections"),
    ("54001", "stack depth limit exceeded"),
    ("55000", "object is not in prerequisite state"),
    ("55006", "object is in use"),
    ("55P03", "could not obtain lock"),
    (
        "57014",
        "canceling statement due to user request or timeout",
    ),
    (
        "57P01",
        "terminating connection due to administrator command",
    ),
    (
        "57P02",
        "terminating connection because of crash of another server process",
    ),
    ("57P03", "the database system is not accepting connections"),
    (
        "57P05",
        "terminating connection due to idle-session timeout",
    ),
    ("P0001", "a function or trigger raised an error"),
];

fn class(sqlstate: &str) -> &'static str {
    match sqlstate.get(..2) {
        Some("08") => "connection exception",
        Some("22") => "invalid data",
        Some("23") => "integrity constraint violation",
        Some("25") => "invalid transaction state",
        Some("40") => "transaction rollback",
        Some("42") => "syntax error or access rule violation",
        Some("53") => "insufficient resources",
        Some("54") => "program limit exceeded",
        Some("55") => "object is not in prerequisite state",
        Some("57") => "operator intervention",
        Some("58") => "system error",
        Some("P0") => "a function or trigger raised an error",
        Some("XX") => "internal error",
        _ => "statement failed",
    }
}

#[cfg(test)]
mod tests {
    use super::{EXACT, fixed};

    #[test]
    fn entries_are_sorted_and_unique() {
        assert!(EXACT.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn what_has_no_entry_is_told_by_its_class() {
        assert_eq!(fixed("22ZZZ"), "invalid data");
        assert_eq!(fixed("ZZ999"), "statement failed");
    }
}
