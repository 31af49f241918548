//! Asking PostgreSQL what a session holds, and making another session hold the same settings.
//!
//! Deliberately absent: sending it (`server::pool`).

use std::sync::Arc;

/// Settings of a session that differ from those it started with, by name. Equal lists are the same
/// state: the server's own order, and its own words.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settings(Arc<[(String, String)]>);

impl Settings {
    /// Those of a session that has just started, or been reset.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// Equal for equal settings; none for the default.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in self.0.iter() {
            for text in [name, value] {
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
        }
        out
    }
}

/// What a session was found to hold.
#[derive(PartialEq, Eq, Default, Debug)]
pub struct Holding {
    /// Settings: they can be taken along.
    pub settings: Settings,
    /// What cannot: the session stays with its client.
    pub state: bool,
}

/// A query for what the session holds, [`read`] by its rows. `hidden` are names of settings that
/// `pg_settings` does not list.
pub fn question(hidden: &[String]) -> String {
    let mut sql = String::from(
        "SELECT 's', name, setting FROM pg_catalog.pg_settings \
         WHERE source OPERATOR(pg_catalog.=) 'session' \
         AND name OPERATOR(pg_catalog.<>) ALL (\
         '{transaction_isolation,transaction_read_only,transaction_deferrable}'::pg_catalog.text[]) \
         UNION ALL SELECT 'x', 'listen', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) \
         UNION ALL SELECT 'x', 'cursor', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) \
         UNION ALL SELECT 'x', 'prepared', '' WHERE EXISTS \
         (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql) \
         UNION ALL SELECT 'x', 'lock', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks \
         WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
         AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) \
         UNION ALL SELECT 'x', 'temp', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_class \
         WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
         OR EXISTS (SELECT FROM pg_catalog.pg_depend \
         WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
         AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
    );
    for name in hidden {
        let name = literal(name);
        sql.push_str(" UNION ALL SELECT 'h', ");
        sql.push_str(&name);
        sql.push_str(", pg_catalog.current_setting(");
        sql.push_str(&name);
        sql.push_str(", true)");
    }
    sql
}

/// Reads the answer: rows of three texts.
pub fn read(rows: Vec<Vec<Option<Vec<u8>>>>) -> Option<Holding> {
    let mut settings = Vec::new();
    let mut state = false;
    for row in rows {
        let [kind, name, value]: [Option<Vec<u8>>; 3] = row.try_into().ok()?;
        let name = String::from_utf8(name?).ok()?;
        match kind?.as_slice() {
            b"x" => state = true,
            b"s" => settings.push((name, String::from_utf8(value?).ok()?)),
            // What was never set, or was reset to nothing, is NULL or empty.
            _ => {
                let value = String::from_utf8(value.unwrap_or_default()).ok()?;
                if !is_initial(&name, &value) {
                    settings.push((name, value));
                }
            }
        }
    }
    settings.sort();
    settings.dedup();
    Some(Holding {
        settings: Settings(settings.into()),
        state,
    })
}

fn is_initial(name: &str, value: &str) -> bool {
    value.is_empty() || (name == "role" && value == "none")
}

/// The statements that take a session from one list of settings to another; none if they are equal.
pub fn change(from: &Settings, to: &Settings) -> Option<String> {
    if from == to {
        return None;
    }
    let mut sql = String::new();
    if !from.is_default() {
        // RESET ALL leaves the identity, and what `pg_settings` does not list it empties.
        sql.push_str("SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; ");
    }
    let identity = |name: &str| matches!(name, "session_authorization" | "role");
    let first = to.0.iter().filter(|(name, _)| !identity(name));
    // The identity last: it may be one that is not allowed the rest. The session's before the role.
    // Before them what could end this statement.
    let is_timeout = |name: &str| matches!(name, "statement_timeout" | "transaction_timeout");
    let (timeouts, first): (Vec<_>, Vec<_>) = first.partition(|(name, _)| is_timeout(name));
    let one = |which: &'static str| to.0.iter().filter(move |(name, _)| name == which);
    let last = one("session_authorization").chain(one("role"));
    for (name, value) in first.into_iter().chain(timeouts).chain(last) {
        sql.push_str("SELECT pg_catalog.set_config(");
        sql.push_str(&literal(name));
        sql.push_str(", ");
        sql.push_str(&literal(value));
        sql.push_str(", false); ");
    }
    Some(sql)
}

/// A string constant that means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(3));
    let escaped = text.contains('\\');
    out.push_str(if escaped { "E'" } else { "'" });
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::{Settings, change, question, read};

    fn row(kind: &str, name: &str, value: Option<&str>) -> Vec<Option<Vec<u8>>> {
        [Some(kind), Some(name), value]
            .map(|v| v.map(|v| v.as_bytes().to_vec()))
            .to_vec()
    }

    #[test]
    fn settings_and_state_are_told_apart() {
        let rows = vec![
            row("s", "work_mem", Some("1024")),
            row("h", "app.x", Some("5")),
            row("h", "app.y", None),
            row("h", "role", Some("none")),
        ];
        let holding = read(rows).unwrap();
        assert!(!holding.state);
        let sql = change(&Settings::default(), &holding.settings).unwrap();
        assert_eq!(
            sql,
            "SELECT pg_catalog.set_config('app.x', '5', false); \
             SELECT pg_catalog.set_config('work_mem', '1024', false); "
        );
        assert!(change(&holding.settings, &holding.settings).is_none());
        assert!(
            change(&holding.settings, &Settings::default())
                .unwrap()
                .ends_with("RESET ALL; ")
        );
        assert!(read(vec![row("x", "temp", Some(""))]).unwrap().state);
        assert!(read(vec![vec![None]]).is_none());
    }

    #[test]
    fn what_could_end_the_change_is_set_at_its_end() {
        let rows = vec![
            row("s", "statement_timeout", Some("1")),
            row("s", "work_mem", Some("1024")),
            row("h", "role", Some("ada")),
        ];
        let settings = read(rows).unwrap().settings;
        let sql = change(&Settings::default(), &settings).unwrap();
        let places =
            ["work_mem", "statement_timeout", "'role'"].map(|name| sql.find(name).unwrap());
        assert!(places.is_sorted(), "{sql}");
    }

    #[test]
    fn names_are_quoted() {
        assert!(question(&["a'.\\b".to_owned()]).contains("E'a''.\\\\b'"));
    }
}
