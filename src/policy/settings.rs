//! `settings` of a role: custom settings it may set and read.
//!
//! What an application says there of itself (`app.tenant`, `request.jwt.claims`) is what the owner's row
//! security reads: a role that sets it chooses its rows. So it sets those only that its policy names.
//! Deliberately absent: settings of PostgreSQL's own, which `catalog::allow` lists for all roles.

use super::error::{Faults, PolicyError};
use super::read::texts;
use super::source::{Span, shown};
use super::yaml::Node;
use crate::catalog::allow::{SETTABLE, SETTABLE_OF_EXTENSIONS, unheeded};

/// Prefixes of settings that extensions, modules and hooks of the server obey, and the proxy's own.
const RESERVED: &[&str] = &[
    "age",
    "anon",
    "auth_delay",
    "auto_explain",
    "basic_archive",
    "bdr",
    "citus",
    "columnar",
    "cron",
    "duckdb",
    "hnsw",
    "ivfflat",
    "orafce",
    "passwordcheck",
    "pg_cron",
    "pg_duckdb",
    "pg_hint_plan",
    "pg_logicalinspect",
    "pg_net",
    "pg_overexplain",
    "pg_partman_bgw",
    "pg_plan_advice",
    "pg_prewarm",
    "pg_qualstats",
    "pg_repack",
    "pg_show_plans",
    "pg_squeeze",
    "pg_stat_kcache",
    "pg_stat_monitor",
    "pg_stat_statements",
    "pg_strom",
    "pg_trgm",
    "pg_wait_sampling",
    "pgactive",
    "pgaudit",
    "pglogical",
    "pgml",
    "pgroonga",
    "pgsodium",
    "pgtle",
    "pgveil",
    "pljava",
    "pllua",
    "plperl",
    "plpgsql",
    "plpgsql_check",
    "plprofiler",
    "plpython",
    "plpython3",
    "plr",
    "plrust",
    "pltcl",
    "pltclu",
    "plv8",
    "postgis",
    "postgres_fdw",
    "rum",
    "sepgsql",
    "set_user",
    "spock",
    "supautils",
    "timescaledb",
    "vectors",
    "vchord",
    "zson",
];

/// `app.tenant`, or `request.*`: all names behind that prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingPattern {
    /// Lower case, without the star.
    name: Box<str>,
    all: bool,
}

impl SettingPattern {
    /// Does it mean this setting (lower case)?
    pub fn means(&self, name: &str) -> bool {
        if self.all {
            let rest = name.strip_prefix(&*self.name);
            return rest.and_then(|rest| rest.strip_prefix('.')).is_some();
        }
        *self.name == *name
    }

    /// A regular expression of the names it means.
    pub fn expression(&self) -> String {
        let name = self.name.replace('.', "\\.").replace('$', "\\$");
        format!("{name}{}", if self.all { "\\..*" } else { "" })
    }

    fn parse(text: &str) -> Result<Self, (String, String)> {
        const FORM: &str = "write prefix.name, or prefix.* for all of a prefix";
        let lower = text.to_ascii_lowercase();
        let (name, all) = match lower.strip_suffix(".*") {
            Some(prefix) => (prefix, true),
            None => (lower.as_str(), false),
        };
        let quoted = format!("`{}`", shown(text));
        let of_all = SETTABLE.iter().chain(SETTABLE_OF_EXTENSIONS);
        if !all && (unheeded(name).is_some() || of_all.into_iter().any(|n| *n == name)) {
            let message = format!("every role may set {quoted}");
            return Err((
                message,
                "leave it out: only custom settings are listed".into(),
            ));
        }
        if !is_name(name) || !(all || name.contains('.')) {
            let message = format!("{quoted} is not the name of a custom setting");
            return Err((message, FORM.into()));
        }
        let prefix = name.split('.').next().unwrap_or(name);
        if prefix == "pgveil" {
            let why = "keys of tokens and pinned settings are kept there";
            return Err((format!("{quoted} is the proxy's own"), why.into()));
        }
        if RESERVED.contains(&prefix) {
            let why = "an extension obeys it: what it does then is not known to the proxy";
            return Err((format!("{quoted} belongs to an extension"), why.into()));
        }
        let name = name.into();
        Ok(Self { name, all })
    }
}

/// May a role for which these are listed set this setting with a dot in its name (lower case)?
pub fn may_set(listed: &[SettingPattern], name: &str) -> bool {
    SETTABLE_OF_EXTENSIONS.contains(&name) || listed.iter().any(|pattern| pattern.means(name))
}

/// Simple identifiers with dots between them, as PostgreSQL wants custom settings to be named.
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        part.starts_with(begins)
            && part
                .chars()
                .all(|c| begins(c) || c.is_ascii_digit() || c == '$')
    };
    name.split('.')
        .all(|p| part(p) && p.len() <= crate::ident::MAX_BYTES)
}

/// Reads `settings` of a role.
pub(super) fn read(node: &Node, faults: &mut Faults) -> Vec<SettingPattern> {
    let mut patterns = Vec::new();
    let fault = |at: &Span, (message, help): (String, String), faults: &mut Faults| {
        faults.push(PolicyError::at(at, message).help(help));
    };
    for (text, span) in texts(node, "a setting", faults) {
        match SettingPattern::parse(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => fault(&span, why, faults),
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::SettingPattern;

    #[test]
    fn a_star_stands_for_names_and_not_for_beginnings_of_them() {
        let all = SettingPattern::parse("Request.*").unwrap();
        let one = SettingPattern::parse("app.Tenant").unwrap();
        assert!(all.means("request.jwt.claims") && all.means("request.method"));
        assert!(!all.means("requests.method") && !all.means("request"));
        assert!(one.means("app.tenant"));
        assert!(!one.means("app.tenant_id") && !one.means("app.tenant.x"));
        for bad in [
            "*",
            "app",
            "app.",
            ".*",
            "a b.c",
            "1.x",
            "pgveil.*",
            "PLPGSQL.x",
            "work_mem",
            "hnsw.ef_search",
            "a.*.b",
        ] {
            assert!(SettingPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
