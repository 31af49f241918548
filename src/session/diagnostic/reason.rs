//! Why a statement was refused, for a record that must hold no word of the client's: the refusal's own
//! first words, as long as they are words of ours.

use super::texts;
use crate::plan::Refusal;

/// Words the proxy's messages begin with. A name or a literal that happens to be one of them tells
/// nothing.
const WORDS: [&str; 74] = [
    "COPY",
    "EXPLAIN",
    "LISTEN",
    "MERGE",
    "NOTIFY",
    "a",
    "allowed",
    "and",
    "any",
    "as",
    "at",
    "available",
    "be",
    "call",
    "cannot",
    "cast",
    "catalog",
    "column",
    "columns",
    "compare",
    "cursor",
    "data",
    "definition",
    "denied",
    "does",
    "domain",
    "exist",
    "for",
    "form",
    "from",
    "function",
    "generated",
    "in",
    "into",
    "involved",
    "is",
    "literal",
    "long",
    "materialized",
    "may",
    "must",
    "not",
    "of",
    "operator",
    "option",
    "or",
    "owner",
    "parameter",
    "parameters",
    "permission",
    "prepared",
    "protected",
    "protocol",
    "read",
    "refused",
    "relation",
    "restricted",
    "return",
    "role",
    "roles",
    "rows",
    "schema",
    "set",
    "setting",
    "show",
    "statement",
    "supported",
    "syntax",
    "system",
    "table",
    "the",
    "to",
    "too",
    "view",
];

/// The reason, in at least two words.
pub(crate) fn reason(refusal: &Refusal) -> String {
    let ours = |word: &&str| WORDS.binary_search(word).is_ok();
    let words: Vec<&str> = refusal.message.split(' ').take_while(ours).collect();
    if words.len() < 2 {
        return texts::fixed(refusal.sqlstate).to_owned();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{WORDS, reason};
    use crate::plan::Refusal;

    #[test]
    fn words_are_sorted_and_unique() {
        assert!(WORDS.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_reason_ends_where_the_clients_words_begin() {
        for (message, want) in [
            (
                "permission denied for function app.secret(text)",
                "permission denied for function",
            ),
            (
                "permission denied for column Ada of people",
                "permission denied for column",
            ),
            (
                "relation \"table of values\" does not exist",
                "relation does not exist",
            ),
            ("CANARY is not supported", "permission denied"),
            ("the CANARY", "permission denied"),
        ] {
            let refusal = if message.starts_with("relation") {
                Refusal::error("42P01", message)
            } else {
                Refusal::denied(message)
            };
            assert_eq!(reason(&refusal), want);
        }
    }
}
