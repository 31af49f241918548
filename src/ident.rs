//! An identifier after PostgreSQL's folding: what is compared, never the text a client typed.
//!
//! Deliberately absent: quoting rules that depend on keywords. We always quote, so no keyword list
//! of any PostgreSQL version can change the meaning of a name.

use std::fmt;
use std::sync::Arc;

/// The longest name PostgreSQL keeps, in bytes (`NAMEDATALEN - 1`). Longer ones are refused, because
/// PostgreSQL would truncate them and two different names could become one.
pub const MAX_BYTES: usize = 63;

/// An identifier as PostgreSQL stores it in `pg_class.relname` and friends.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(Arc<str>);

impl Ident {
    /// A name that is already exact: from the catalog, or from a quoted identifier with its quotes
    /// removed and `""` undoubled.
    pub fn exact(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// An unquoted identifier. PostgreSQL folds ASCII letters only in a UTF-8 database
    /// (`downcase_identifier` in scansup.c).
    pub fn folded(name: &str) -> Self {
        Self(Arc::from(name.to_ascii_lowercase()))
    }

    /// The name itself, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends the name, always quoted, to SQL text.
    pub fn quote_into(&self, out: &mut String) {
        out.push('"');
        for c in self.0.chars() {
            if c == '"' {
                out.push('"');
            }
            out.push(c);
        }
        out.push('"');
    }

    /// The name, always quoted.
    pub fn quoted(&self) -> String {
        let mut out = String::with_capacity(self.0.len().saturating_add(2));
        self.quote_into(&mut out);
        out
    }
}

impl PartialEq<str> for Ident {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Ident {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl std::borrow::Borrow<str> for Ident {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Ident;

    #[test]
    fn folding_touches_ascii_only() {
        assert_eq!(Ident::folded("ÀBC").as_str(), "Àbc");
    }

    #[test]
    fn quoting_doubles_quotes() {
        assert_eq!(Ident::exact("a\"b").quoted(), "\"a\"\"b\"");
    }
}
