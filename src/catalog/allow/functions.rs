//! Functions: `functions.txt` (of the server) and `extensions.txt`.

use std::collections::HashMap;
use std::sync::OnceLock;

/// What a call of a function is to a restricted role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FunctionUse {
    /// Pure or harmless: the result depends on the arguments, or on nothing worth hiding.
    Allow,
    /// The result quotes definitions: allowed, and the caller replaces the literals in it.
    Scrub,
    /// Refused.
    Refuse,
}

/// A function of `pg_catalog`, all overloads. Unlisted is refused.
pub fn builtin_function(name: &str) -> FunctionUse {
    system_function("pg_catalog", name)
}

/// A function of `pg_catalog` or `information_schema`, all overloads. Unlisted is refused.
pub fn system_function(schema: &str, name: &str) -> FunctionUse {
    let owner = if schema == "pg_catalog" { "" } else { schema };
    lookup(server(), owner, name).unwrap_or(FunctionUse::Refuse)
}

/// A function of an extension (`pg_extension.extname`), all overloads. Unlisted is refused.
pub fn extension_function(extension: &str, name: &str) -> FunctionUse {
    lookup(extensions(), extension, name).unwrap_or(FunctionUse::Refuse)
}

/// Is a function of `pg_catalog` or `information_schema` listed at all, be it as refused?
pub fn considered_function(schema: &str, name: &str) -> bool {
    let owner = if schema == "pg_catalog" { "" } else { schema };
    lookup(server(), owner, name).is_some()
}

/// Owner → name → use. The owner of a function of `pg_catalog` is empty.
type Lists = HashMap<&'static str, HashMap<&'static str, FunctionUse>>;

fn lookup(lists: &Lists, owner: &str, name: &str) -> Option<FunctionUse> {
    lists.get(owner)?.get(name).copied()
}

fn server() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| parse(include_str!("functions.txt")))
}

fn extensions() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| parse(include_str!("extensions.txt")))
}

/// `[use owner] reason`, then names. A line that is none of that lists nothing, and so allows
/// nothing; a test sees to it that there is none.
fn parse(text: &'static str) -> Lists {
    let mut lists = Lists::new();
    let mut section = None;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if line.starts_with('[') {
            section = header(line);
        } else if let Some((kind, owner)) = section {
            let names: &mut HashMap<_, _> = lists.entry(owner).or_default();
            for name in line.split_whitespace() {
                // A name in two sections is as little allowed as the stricter one says.
                let strictest = names.get(name).map_or(kind, |known| stricter(*known, kind));
                names.insert(name, strictest);
            }
        }
    }
    lists
}

fn header(line: &'static str) -> Option<(FunctionUse, &'static str)> {
    let (inside, _reason) = line.strip_prefix('[')?.split_once(']')?;
    let (word, owner) = inside.split_once(' ').unwrap_or((inside, ""));
    let kind = match word {
        "allow" => FunctionUse::Allow,
        "scrub" => FunctionUse::Scrub,
        "refuse" => FunctionUse::Refuse,
        _ => return None,
    };
    Some((kind, owner))
}

fn stricter(a: FunctionUse, b: FunctionUse) -> FunctionUse {
    match (a, b) {
        (FunctionUse::Refuse, _) | (_, FunctionUse::Refuse) => FunctionUse::Refuse,
        (FunctionUse::Scrub, _) | (_, FunctionUse::Scrub) => FunctionUse::Scrub,
        (FunctionUse::Allow, FunctionUse::Allow) => FunctionUse::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_reads_and_no_name_is_listed_twice() {
        for text in [
            include_str!("functions.txt"),
            include_str!("extensions.txt"),
        ] {
            let mut seen = std::collections::HashSet::new();
            let mut owner = None;
            for line in text
                .lines()
                .filter(|l| !l.starts_with('#') && !l.is_empty())
            {
                if line.starts_with('[') {
                    owner = Some(header(line).unwrap_or_else(|| panic!("{line}")).1);
                    let reason = line.split_once(']').unwrap().1;
                    assert!(!reason.trim().is_empty(), "no reason: {line}");
                } else {
                    for name in line.split_whitespace() {
                        assert!(seen.insert((owner.unwrap(), name)), "twice: {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn roads_to_raw_data_are_closed() {
        for name in [
            "query_to_xml",
            "table_to_xml_and_xmlschema",
            "cursor_to_xml",
            "ts_stat",
            "ts_rewrite",
            "pg_read_file",
            "pg_ls_dir",
            "lo_get",
            "loread",
            "current_query",
            "pg_cursor",
            "pg_prepared_statement",
            "pg_stat_get_activity",
            "set_config",
            "setval",
            "pg_notify",
            "pg_sleep",
            "pg_advisory_lock",
            "pg_terminate_backend",
            "pg_switch_wal",
            "pg_logical_slot_peek_changes",
            "pg_mcv_list_items",
            "pg_sequence_last_value",
            "currtid2",
            "pg_export_snapshot",
            "no_such_function",
        ] {
            assert_eq!(builtin_function(name), FunctionUse::Refuse, "{name}");
        }
        for (extension, name) in [
            ("dblink", "dblink"),
            ("tablefunc", "crosstab"),
            ("xml2", "xpath_table"),
            ("pageinspect", "get_raw_page"),
            ("pg_trgm", "set_limit"),
            ("nobody", "lower"),
        ] {
            assert_eq!(
                extension_function(extension, name),
                FunctionUse::Refuse,
                "{name}"
            );
        }
    }

    #[test]
    fn what_applications_call_is_open() {
        for name in [
            "lower",
            "count",
            "now",
            "to_char",
            "date_trunc",
            "nextval",
            "json_agg",
        ] {
            assert_eq!(builtin_function(name), FunctionUse::Allow, "{name}");
        }
        assert_eq!(builtin_function("pg_get_indexdef"), FunctionUse::Scrub);
        assert_eq!(
            system_function("information_schema", "_pg_expandarray"),
            FunctionUse::Allow
        );
        assert_eq!(
            system_function("information_schema", "lower"),
            FunctionUse::Refuse
        );
        assert_eq!(
            extension_function("pg_trgm", "similarity"),
            FunctionUse::Allow
        );
        assert_eq!(
            extension_function("uuid-ossp", "uuid_generate_v4"),
            FunctionUse::Allow
        );
    }
}
