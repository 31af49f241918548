//! Where unqualified names are looked for, in order (PostgreSQL's manual, 5.9.3).
//!
//! The client's search path is the proxy's own state: PostgreSQL's stays `pg_catalog, pg_temp`,
//! because the printer qualifies every name.

use std::sync::Arc;

use crate::ident::Ident;

/// A client's search path, `"$user"` already resolved. Cheap to clone, and to compare with a clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SearchPath {
    schemas: Arc<[Ident]>,
}

impl SearchPath {
    /// From the setting's elements. `pg_catalog` is searched first unless it is listed.
    pub fn new(listed: &[Ident]) -> Self {
        let mut schemas = Vec::with_capacity(listed.len().saturating_add(1));
        if !listed.iter().any(|s| *s == "pg_catalog") {
            schemas.push(Ident::exact("pg_catalog"));
        }
        schemas.extend(listed.iter().cloned());
        let schemas = schemas.into();
        Self { schemas }
    }

    /// Those searched before the session's temporary tables: none unless `pg_temp` is listed.
    pub fn before_temp(&self) -> &[Ident] {
        let at = self.schemas.iter().position(|s| *s == super::temp::SCHEMA);
        at.and_then(|at| self.schemas.get(..at)).unwrap_or_default()
    }

    /// The schemas, in lookup order, `pg_catalog` included.
    pub fn schemas(&self) -> &[Ident] {
        &self.schemas
    }
}

/// Splits a `search_path` as it stands in a startup message or in `pg_settings`, like PostgreSQL's
/// `SplitIdentifierString`. `None` for a list PostgreSQL would call invalid.
pub fn split_search_path(text: &str) -> Option<Vec<Ident>> {
    let mut rest = text.trim_start();
    let mut out = Vec::new();
    if rest.is_empty() {
        return Some(out);
    }
    loop {
        let (ident, after) = if let Some(quoted) = rest.strip_prefix('"') {
            split_quoted(quoted)?
        } else {
            let end = rest
                .find(|c: char| c == ',' || c.is_ascii_whitespace())
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end)?;
            if word.is_empty() {
                return None;
            }
            (Ident::folded(word), after)
        };
        if ident.as_str().len() > crate::ident::MAX_BYTES {
            return None;
        }
        // The empty name is how `search_path = ''` says "nothing".
        if !ident.as_str().is_empty() {
            out.push(ident);
        }
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() => return Some(out),
            None => return None,
        }
    }
}

fn split_quoted(text: &str) -> Option<(Ident, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((Ident::exact(&name), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split_search_path;
    use crate::ident::Ident;

    fn path(names: &[&str]) -> Vec<Ident> {
        names.iter().map(|n| Ident::exact(n)).collect()
    }

    #[test]
    fn splitting_follows_postgresql() {
        assert_eq!(
            split_search_path("\"$user\", public"),
            Some(path(&["$user", "public"]))
        );
        assert_eq!(
            split_search_path(" Crm ,\"Crm\""),
            Some(path(&["crm", "Crm"]))
        );
        assert_eq!(split_search_path("\"a\"\"b\""), Some(path(&["a\"b"])));
        assert_eq!(split_search_path(""), Some(path(&[])));
        assert_eq!(split_search_path("\"\""), Some(path(&[])));
        for bad in ["a b", "a,", ",a", "\"a", "a,,b"] {
            assert_eq!(split_search_path(bad), None, "{bad}");
        }
    }
}
