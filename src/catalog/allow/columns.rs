//! Columns of the system catalogs: `columns.txt`.

use std::collections::HashMap;
use std::sync::OnceLock;

/// What a restricted role sees of a catalog column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CatalogColumn {
    /// As stored.
    Clear,
    /// Text of definitions: the caller replaces the literals in it.
    Scrub,
    /// A `pg_node_tree`: NULL, except as the first argument of `pg_get_expr`, whose result is
    /// scrubbed.
    NodeTree,
    /// How many rows or pages a relation has: of a partition or an index that tells of values, nothing.
    Size,
    /// NULL.
    Null,
}

/// May the relation of `pg_catalog` or `information_schema` be read at all? Views of extensions that
/// show other sessions (`pg_stat_statements`) are known by name in any schema.
pub fn catalog_relation(schema: &str, relation: &str) -> bool {
    matches!(find(schema, relation), Some(Listed::Columns { .. }))
}

/// A column of the relation, and the values of it, between blanks, in rows that are not shown.
pub fn hidden_rows(schema: &str, relation: &str) -> Option<(&'static str, &'static str)> {
    match find(schema, relation) {
        Some(Listed::Columns { hidden, .. }) => *hidden,
        Some(Listed::Refused) | None => None,
    }
}

/// What of a column: NULL when it, or its relation, is not listed. System columns are clear.
pub fn catalog_column(schema: &str, relation: &str, column: &str) -> CatalogColumn {
    match find(schema, relation) {
        Some(Listed::Columns { columns, .. }) => match columns.get(column) {
            Some(known) => *known,
            None if SYSTEM_COLUMNS.contains(&column) => CatalogColumn::Clear,
            None => CatalogColumn::Null,
        },
        Some(Listed::Refused) | None => CatalogColumn::Null,
    }
}

/// Is a relation listed at all, be it as refused?
pub fn considered_relation(schema: &str, relation: &str) -> bool {
    find(schema, relation).is_some()
}

/// Is a column listed, be it as NULL? Those of refused relations are.
pub fn considered_column(schema: &str, relation: &str, column: &str) -> bool {
    match find(schema, relation) {
        Some(Listed::Columns { columns, .. }) => columns.contains_key(column),
        Some(Listed::Refused) => true,
        None => false,
    }
}

/// They number rows of the catalog, which has no rows worth hiding.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

enum Listed {
    Columns {
        columns: HashMap<&'static str, CatalogColumn>,
        hidden: Option<(&'static str, &'static str)>,
    },
    Refused,
}

/// Schema → relation → its columns.
type Lists = HashMap<&'static str, HashMap<&'static str, Listed>>;

fn find(schema: &str, relation: &str) -> Option<&'static Listed> {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    let lists = LISTS.get_or_init(|| parse(include_str!("columns.txt")));
    let of = |schema: &str| {
        lists
            .get(schema)
            .and_then(|relations| relations.get(relation))
    };
    of(schema).or_else(|| of("*"))
}

/// Blocks of `relation S.R`, then `clear|scrub|node|size|null columns`, where an indented line continues
/// the one before, and `hide column values`; and `refuse S.R`.
fn parse(text: &'static str) -> Lists {
    let mut lists = Lists::new();
    let mut relation = None;
    let mut kind = None;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        kind = match word {
            "" => kind,
            "clear" => Some(CatalogColumn::Clear),
            "scrub" => Some(CatalogColumn::Scrub),
            "node" => Some(CatalogColumn::NodeTree),
            "size" => Some(CatalogColumn::Size),
            "null" => Some(CatalogColumn::Null),
            _ => None,
        };
        match word {
            "relation" => {
                relation = rest.split_once('.');
                if let Some((schema, name)) = relation {
                    let of_schema = lists.entry(schema).or_default();
                    let (columns, hidden) = (HashMap::new(), None);
                    of_schema.insert(name, Listed::Columns { columns, hidden });
                }
            }
            "refuse" => {
                if let Some((schema, name)) = rest.split_once('.') {
                    lists
                        .entry(schema)
                        .or_default()
                        .insert(name, Listed::Refused);
                }
            }
            _ => {
                let listed = relation.and_then(|(s, r)| lists.get_mut(s)?.get_mut(r));
                let Some(Listed::Columns { columns, hidden }) = listed else {
                    continue;
                };
                if word == "hide" {
                    *hidden = rest.split_once(' ');
                } else if let Some(kind) = kind {
                    columns.extend(rest.split_whitespace().map(|column| (column, kind)));
                }
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_understood() {
        let mut relations = 0;
        for line in include_str!("columns.txt").lines() {
            let word = line.split(' ').next().unwrap();
            assert!(
                matches!(
                    word,
                    "" | "#"
                        | "relation"
                        | "clear"
                        | "scrub"
                        | "node"
                        | "size"
                        | "null"
                        | "hide"
                        | "refuse"
                ),
                "{line}"
            );
            if word == "relation" || word == "refuse" {
                let (schema, name) = line.split_once(' ').unwrap().1.split_once('.').unwrap();
                assert!(considered_relation(schema, name), "{line}");
                relations += 1;
            }
        }
        assert!(relations > 150);
        let locks = hidden_rows("pg_catalog", "pg_locks");
        assert!(
            locks.is_some_and(|(column, kinds)| column == "locktype" && kinds.contains("relation"))
        );
        assert_eq!(hidden_rows("pg_catalog", "pg_class"), None);
    }

    #[test]
    fn raw_data_is_null_and_definitions_are_scrubbed() {
        let of = |relation, column| catalog_column("pg_catalog", relation, column);
        assert_eq!(of("pg_stats", "attname"), CatalogColumn::Clear);
        for column in [
            "most_common_vals",
            "histogram_bounds",
            "most_common_elems",
            "correlation",
            "n_distinct",
        ] {
            assert_eq!(of("pg_stats", column), CatalogColumn::Null, "{column}");
        }
        assert_eq!(of("pg_stat_activity", "query"), CatalogColumn::Null);
        assert_eq!(of("pg_attribute", "attmissingval"), CatalogColumn::Null);
        assert_eq!(of("pg_class", "relpartbound"), CatalogColumn::NodeTree);
        assert_eq!(of("pg_class", "tableoid"), CatalogColumn::Clear);
        assert_eq!(of("pg_class", "no_such_column"), CatalogColumn::Null);
        assert_eq!(of("pg_proc", "prosrc"), CatalogColumn::Null);
        assert_eq!(
            catalog_column("information_schema", "columns", "column_default"),
            CatalogColumn::Scrub
        );
        assert_eq!(
            catalog_column("public", "pg_stat_statements", "query"),
            CatalogColumn::Null
        );
        for relation in [
            "pg_statistic",
            "pg_largeobject",
            "pg_hba_file_rules",
            "no_such_relation",
        ] {
            assert!(!catalog_relation("pg_catalog", relation), "{relation}");
        }
    }
}
