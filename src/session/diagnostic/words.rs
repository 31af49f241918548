//! PostgreSQL's own words, as it would say them to the client: it is asked with every name qualified, so
//! that it repeats schemas the client has not written, and the operators that stand for keywords.

use crate::ident::Ident;

/// Hints of PostgreSQL's parser that quote nothing.
const HINTS: [&str; 7] = [
    "Could not choose a best candidate function. You might need to add explicit type casts.",
    "Could not choose a best candidate operator. You might need to add explicit type casts.",
    "No aggregate function matches the given name and argument types. Perhaps you misplaced ORDER BY; \
     ORDER BY must appear after all regular arguments of the aggregate.",
    "No function matches the given name and argument types. You might need to add explicit type casts.",
    "No operator matches the given name and argument type. You might need to add an explicit type cast.",
    "No operator matches the given name and argument types. You might need to add explicit type casts.",
    "You will need to rewrite or cast the expression.",
];

/// A hint, if it is one of those.
pub(super) fn hint(text: &str) -> Option<&'static str> {
    HINTS.iter().copied().find(|known| *known == text)
}

/// A message without the schemas that the client's search path finds. Names between quotes stay as they
/// are: the client has written them.
pub(super) fn bare(message: &str, schemas: &[Ident]) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    let mut quoted = false;
    let mut begins = true;
    while let Some(first) = rest.chars().next() {
        if begins && !quoted {
            let after = schemas
                .iter()
                .find_map(|s| rest.strip_prefix(s.as_str())?.strip_prefix('.'));
            // The end of a sentence is no qualified name.
            if let Some(after) = after.filter(|after| !after.is_empty() && !after.starts_with(' '))
            {
                rest = after;
                begins = false;
                continue;
            }
        }
        quoted ^= first == '"';
        begins = matches!(first, ' ' | '(');
        out.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::bare;
    use crate::ident::Ident;

    #[test]
    fn a_schema_of_the_path_is_not_told() {
        let schemas = ["pg_catalog", "app"].map(Ident::exact);
        for (said, told) in [
            (
                "operator does not exist: text pg_catalog.= integer",
                "operator does not exist: text = integer",
            ),
            (
                "operator does not exist: pg_catalog.- text",
                "operator does not exist: - text",
            ),
            (
                "function pg_catalog.upper(app.citext, other.mood) does not exist",
                "function upper(citext, other.mood) does not exist",
            ),
            (
                "column \"x pg_catalog.y\" is of type app.citext",
                "column \"x pg_catalog.y\" is of type citext",
            ),
            ("schema app. It is", "schema app. It is"),
            (
                "function myapp.f() does not exist",
                "function myapp.f() does not exist",
            ),
        ] {
            assert_eq!(bare(said, &schemas), told);
        }
    }
}
