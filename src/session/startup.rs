//! What a client asks for in its startup message: which settings become startup parameters of the
//! upstream connection, which are the proxy's own, and which are refused.
//!
//! An unrestricted role's settings all go upstream, as session defaults, so RESET returns to them.
//! A restricted role's are pinned where they could change what a statement means, and limited to an
//! allow-list elsewhere. Deliberately absent: the user and password (`client`), and sockets.

use crate::analyze::kept_name;
use crate::catalog::allow::unheeded;
use crate::catalog::split_search_path;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::plan::{Refusal, SETTABLE, encoding};
use crate::policy::{SettingPattern, is_setting_name, may_set};

/// Settings of a restricted session that PostgreSQL must not take from the client: every name is
/// printed qualified, every text is UTF-8, every backslash is itself, `= NULL` is `= NULL`.
///
/// And of no masked value has PostgreSQL statistics: it takes a tenth of all keys to be alike, and would
/// rather sort them than hash them, which takes twice as long.
const PINS: [(&str, &str); 5] = [
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("search_path", "pg_catalog, pg_temp"),
    ("transform_null_equals", "off"),
    ("enable_mergejoin", "off"),
];

/// May a restricted client give this setting at startup? What SET may change it may start with, the
/// characteristics of one transaction apart: there is none yet.
fn allowed(name: &str) -> bool {
    SETTABLE.contains(&name)
        && !matches!(
            name,
            "transaction_deferrable" | "transaction_isolation" | "transaction_read_only"
        )
}

/// Settings PostgreSQL reports and a restricted client may know. `client_encoding` and `search_path` (reported
/// since 18) are pins, not the client's.
const REPORTED: [&str; 12] = [
    "application_name",
    "datestyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "intervalstyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "timezone",
];

/// How the upstream connection of one session starts.
pub struct UpstreamStartup {
    /// Startup parameters besides user and database, in order.
    pub parameters: Vec<(String, String)>,
    /// The client's own search path, as it wrote it, when it named one: for restricted sessions only.
    pub search_path: Option<String>,
    /// The client's encoding: for restricted sessions only.
    pub client_encoding: Encoding,
}

/// May a restricted client see this setting in ParameterStatus?
pub fn is_reported(name: &str) -> bool {
    REPORTED.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// An unrestricted session: everything goes upstream as it came, `options` and `replication`
/// included.
pub fn unrestricted(parameters: &[(String, String)]) -> UpstreamStartup {
    let parameters = parameters
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "user" | "database"))
        .cloned()
        .collect();
    UpstreamStartup {
        parameters,
        search_path: None,
        client_encoding: Encoding::utf8(),
    }
}

/// A restricted session: pins, allow-list, search path kept by the proxy, and the custom settings its
/// policy names.
pub fn restricted(
    parameters: &[(String, String)],
    custom: &[SettingPattern],
) -> Result<UpstreamStartup, Refusal> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut own = Own {
        search_path: None,
        encoding: Encoding::utf8(),
        custom,
    };
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" => {}
            "options" => {
                for (name, value) in split_options(value)? {
                    setting(&name, value, &mut out, &mut own)?;
                }
            }
            "replication" if is_false(value) => {}
            "replication" => return Err(refused("replication")),
            // Protocol extensions are negotiated by the listener.
            name if name.starts_with("_pq_.") => {}
            name => setting(name, value.clone(), &mut out, &mut own)?,
        }
    }
    out.extend(PINS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(UpstreamStartup {
        parameters: out,
        search_path: own.search_path,
        client_encoding: own.encoding,
    })
}

/// Settings the proxy keeps itself.
struct Own<'a> {
    search_path: Option<String>,
    encoding: Encoding,
    custom: &'a [SettingPattern],
}

fn setting(
    name: &str,
    value: String,
    out: &mut Vec<(String, String)>,
    own: &mut Own<'_>,
) -> Result<(), Refusal> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "search_path" => {
            split_search_path(&value).ok_or_else(|| invalid(&lower))?;
            own.search_path = Some(value);
        }
        // Some clients say the empty name for the default.
        "client_encoding" if value.is_empty() => {}
        "client_encoding" => own.encoding = encoding(&value)?,
        "standard_conforming_strings" if is_true(&value) => {}
        "transform_null_equals" if is_false(&value) => {}
        _ if allowed(lower.as_str()) => out.push((lower, value)),
        name if may_set(own.custom, name) && is_setting_name(name) => {
            out.push((lower, value));
        }
        _ => match unheeded(&lower) {
            Some(setting) => out.push((kept_name(setting), setting.shown(&value)?)),
            None => return Err(refused(&lower)),
        },
    }
    Ok(())
}

fn refused(name: &str) -> Refusal {
    // The name is the client's own text: shown only when it can be a setting's name.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let shown = if name.len() <= crate::ident::MAX_BYTES && name.chars().all(plain) {
        name
    } else {
        "?"
    };
    Refusal::denied(format!(
        "permission denied to set parameter \"{shown}\" at startup"
    ))
    .hint("Remove it from the connection's options.")
}

fn invalid(name: &str) -> Refusal {
    Refusal::error(
        sqlstate::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\""),
    )
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "on" | "true" | "yes" | "1" | "t" | "y"
    )
}

fn is_false(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "off" | "false" | "no" | "0" | "f" | "n"
    )
}

/// `options` as the backend's command line reads it: words split at white space, a backslash keeps
/// the next character; `-c name=value` and `--name=value` only.
fn split_options(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let words = split_words(text);
    let mut words = words.iter();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().map(String::as_str)
        } else {
            word.strip_prefix("--").or_else(|| word.strip_prefix("-c"))
        };
        let Some((name, value)) = assignment.and_then(|a| a.split_once('=')) else {
            return Err(Refusal::denied(
                "permission denied to use this command-line option at startup",
            )
            .hint("In options, only -c name=value is allowed for restricted roles."));
        };
        out.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(out)
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let kept = word.get_or_insert_with(String::new);
                if let Some(next) = chars.next() {
                    kept.push(next);
                }
            }
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::{Refusal, UpstreamStartup, is_reported, restricted, unrestricted};

    fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    fn restricted_by_none(parameters: &[(String, String)]) -> Result<UpstreamStartup, Refusal> {
        restricted(parameters, &[])
    }

    #[test]
    fn pins_come_last_so_nothing_overrides_them() {
        let s = restricted_by_none(&params(&[("user", "u"), ("application_name", "x")])).unwrap();
        assert_eq!(s.parameters[0], ("application_name".into(), "x".into()));
        assert!(
            s.parameters
                .contains(&("client_encoding".into(), "UTF8".into()))
        );
        assert!(
            s.parameters
                .contains(&("search_path".into(), "pg_catalog, pg_temp".into()))
        );
        assert_eq!(
            s.parameters
                .iter()
                .filter(|(n, _)| n == "search_path")
                .count(),
            1
        );
    }

    #[test]
    fn options_are_read_as_the_backend_reads_them() {
        let s = restricted_by_none(&params(&[(
            "options",
            r"-c search_path=crm,\ public  --statement-timeout=5s -cDateStyle=ISO",
        )]))
        .unwrap();
        assert_eq!(s.search_path.unwrap(), "crm, public");
        assert!(
            s.parameters
                .contains(&("statement_timeout".into(), "5s".into()))
        );
        assert!(s.parameters.contains(&("datestyle".into(), "ISO".into())));
    }

    #[test]
    fn what_is_not_listed_is_refused_by_name() {
        for (name, value) in [
            ("debug_print_parse", "on"),
            ("options", "-c log_statement=all"),
            ("role", "postgres"),
            ("standard_conforming_strings", "off"),
            ("replication", "database"),
        ] {
            let refusal = restricted_by_none(&params(&[(name, value)])).err().unwrap();
            assert_eq!(refusal.sqlstate, "42501", "{name}");
        }
        let refusal = restricted_by_none(&params(&[("options", "-c log_statement=all")]))
            .err()
            .unwrap();
        assert!(refusal.message.contains("log_statement"));
        assert_eq!(
            restricted_by_none(&params(&[("options", "-B 1")]))
                .err()
                .unwrap()
                .sqlstate,
            "42501"
        );
    }

    #[test]
    fn an_encoding_is_the_proxys_own_and_one_it_cannot_convert_is_refused() {
        let refusal = restricted_by_none(&params(&[("client_encoding", "BIG5")]))
            .err()
            .unwrap();
        assert_eq!(refusal.sqlstate, "0A000");
        assert!(refusal.hint.unwrap().contains("UTF8"));
        for (name, want) in [
            ("UTF8", "UTF8"),
            ("'utf-8'", "UTF8"),
            ("UNICODE", "UNICODE"),
            ("unicode", "UTF8"),
            ("SQL_ASCII", "SQL_ASCII"),
            ("", "UTF8"),
            ("latin1", "LATIN1"),
        ] {
            let started = restricted_by_none(&params(&[("client_encoding", name)])).unwrap();
            assert_eq!(started.client_encoding.name(), want);
            let pinned = ("client_encoding".to_owned(), "UTF8".to_owned());
            assert!(started.parameters.contains(&pinned), "{name}");
        }
    }

    #[test]
    fn an_unrestricted_session_keeps_everything() {
        let s = unrestricted(&params(&[
            ("user", "u"),
            ("options", "-c x=1"),
            ("replication", "1"),
        ]));
        assert_eq!(
            s.parameters,
            params(&[("options", "-c x=1"), ("replication", "1")])
        );
    }

    #[test]
    fn pins_are_not_reported() {
        assert!(is_reported("TimeZone"));
        assert!(!is_reported("search_path") && !is_reported("client_encoding"));
    }
}
