//! Names of tables, columns and functions as a policy writes them.
//!
//! `schema.table` is split at the first dot, `schema.table.column` at the first two; a part in
//! double quotes may hold dots (`crm."Contact.Log"`, `""` inside for a quote). Names are exact:
//! nothing is folded, because a policy is compared with `pg_class`, not with SQL text.

use std::fmt;

use crate::ident::Ident;

/// A table, view or function: schema and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QualifiedName {
    /// Schema.
    pub schema: Ident,
    /// Name.
    pub name: Ident,
}

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ColumnName {
    /// The table.
    pub table: QualifiedName,
    /// The column.
    pub column: Ident,
}

/// A table, or all tables of a schema, in `write`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum TablePattern {
    /// `crm.tickets`
    One(QualifiedName),
    /// `crm.*`
    Schema(Ident),
}

impl QualifiedName {
    /// `schema.name`
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let [schema, name] = parts(text)?;
        Some(Self { schema, name })
    }
}

impl ColumnName {
    /// A column by its parts, as the catalog has them.
    pub(crate) fn of(schema: &str, table: &str, column: &str) -> Self {
        Self {
            table: QualifiedName {
                schema: Ident::exact(schema),
                name: Ident::exact(table),
            },
            column: Ident::exact(column),
        }
    }

    /// `schema.table.column`
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let [schema, name, column] = parts(text)?;
        Some(Self {
            table: QualifiedName { schema, name },
            column,
        })
    }
}

impl TablePattern {
    /// `schema.table` or `schema.*`
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let QualifiedName { schema, name } = QualifiedName::parse(text)?;
        let all = name == "*" && text.ends_with(".*");
        Some(if all {
            Self::Schema(schema)
        } else {
            Self::One(QualifiedName { schema, name })
        })
    }
}

/// Exactly `N` parts; the last one takes what is left, dots included.
fn parts<const N: usize>(text: &str) -> Option<[Ident; N]> {
    let mut rest = text;
    let mut found = Vec::with_capacity(N);
    for index in 1..=N {
        let last = index == N;
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None if last => (rest.to_owned(), ""),
            None => {
                let (part, _) = rest.split_once('.')?;
                (part.to_owned(), rest.strip_prefix(part)?)
            }
        };
        rest = if last {
            after
        } else {
            after.strip_prefix('.')?
        };
        if part.is_empty() || (last && !rest.is_empty()) {
            return None;
        }
        found.push(Ident::exact(&part));
    }
    found.try_into().ok()
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        out.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return Some((out, after)),
        }
    }
}

/// A part as it may be written back: quoted when it would not be read as itself.
fn written(part: &Ident) -> String {
    let text = part.as_str();
    if text.contains(['.', '"']) {
        part.quoted()
    } else {
        text.to_owned()
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", written(&self.schema), written(&self.name))
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, written(&self.column))
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(table) => fmt::Display::fmt(table, f),
            Self::Schema(schema) => write!(f, "{}.*", written(schema)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ColumnName, QualifiedName, TablePattern};

    fn table(text: &str) -> Option<(String, String)> {
        let name = QualifiedName::parse(text)?;
        Some((
            name.schema.as_str().to_owned(),
            name.name.as_str().to_owned(),
        ))
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn tables_split_at_the_first_dot() {
        assert_eq!(table("crm.customers"), Some(pair("crm", "customers")));
        assert_eq!(table("crm.Contact Log"), Some(pair("crm", "Contact Log")));
        assert_eq!(table("crm.a.b"), Some(pair("crm", "a.b")));
        assert_eq!(
            table(r#"crm."Contact Log""#),
            Some(pair("crm", "Contact Log"))
        );
        assert_eq!(table(r#""a.b"."c""d""#), Some(pair("a.b", "c\"d")));
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in [
            "crm",
            "",
            ".",
            "crm.",
            ".x",
            r#"crm."x"#,
            r#"crm."x"y"#,
            r#"crm."""#,
        ] {
            assert_eq!(table(text), None, "{text}");
        }
    }

    #[test]
    fn columns_split_at_two_dots() {
        let name = ColumnName::parse(r#"crm."a.b".c d"#).unwrap();
        assert_eq!(name.table.name, "a.b");
        assert_eq!(name.column, "c d");
        assert_eq!(name.to_string(), r#"crm."a.b".c d"#);
        assert!(ColumnName::parse("crm.customers").is_none());
    }

    #[test]
    fn a_quoted_star_is_a_table() {
        assert!(matches!(
            TablePattern::parse("crm.*"),
            Some(TablePattern::Schema(_))
        ));
        assert!(matches!(
            TablePattern::parse(r#"crm."*""#),
            Some(TablePattern::One(_))
        ));
    }
}
