//! PostgreSQL 15's keywords, where the grammar treats them specially (`kwlist.h`).
//!
//! Deliberately absent: unreserved keywords, which are names like any other.

/// `RESERVED_KEYWORD`: never a name unless quoted or after `AS` or a dot.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// `TYPE_FUNC_NAME_KEYWORD`: a function or type, not a column or table.
const TYPE_OR_FUNCTION: &[&str] = &[
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

/// `COL_NAME_KEYWORD`: a column or table, not a function or type.
const COLUMN: &[&str] = &[
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "least",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// `AS_LABEL`: not a column label unless `AS` is written.
const NEEDS_AS: &[&str] = &[
    "array",
    "as",
    "char",
    "character",
    "create",
    "day",
    "except",
    "fetch",
    "filter",
    "for",
    "from",
    "grant",
    "group",
    "having",
    "hour",
    "intersect",
    "into",
    "isnull",
    "limit",
    "minute",
    "month",
    "notnull",
    "offset",
    "on",
    "order",
    "over",
    "overlaps",
    "precision",
    "returning",
    "second",
    "to",
    "union",
    "varying",
    "where",
    "window",
    "with",
    "within",
    "without",
    "year",
];

fn listed(list: &[&str], word: &str) -> bool {
    list.binary_search(&word).is_ok()
}

/// May it name a column, table or alias without quotes (`ColId`)?
pub(in crate::sql) fn is_column_name(word: &str) -> bool {
    !listed(RESERVED, word) && !listed(TYPE_OR_FUNCTION, word)
}

/// May it name a function or type without quotes (`type_function_name`)?
pub(in crate::sql) fn is_function_name(word: &str) -> bool {
    !listed(RESERVED, word) && !listed(COLUMN, word)
}

/// May it follow an expression as its label without `AS` (`BareColLabel`)?
pub(in crate::sql) fn is_bare_label(word: &str) -> bool {
    !listed(NEEDS_AS, word)
}

#[cfg(test)]
mod tests {
    use super::{COLUMN, NEEDS_AS, RESERVED, TYPE_OR_FUNCTION};

    #[test]
    fn lists_are_sorted_and_disjoint() {
        for list in [RESERVED, TYPE_OR_FUNCTION, COLUMN, NEEDS_AS] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
        }
        for word in COLUMN {
            assert!(!RESERVED.contains(word) && !TYPE_OR_FUNCTION.contains(word));
        }
        // Counts of pg_get_keywords() in PostgreSQL 15.
        assert_eq!(RESERVED.len(), 77);
        assert_eq!(TYPE_OR_FUNCTION.len(), 23);
        assert_eq!(COLUMN.len(), 51);
        assert_eq!(NEEDS_AS.len(), 39);
    }
}
