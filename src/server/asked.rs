//! What a client asked for in its startup packet.

use crate::client::StartupParameters;

/// The startup packet's settings in the order PostgreSQL applies them: `options` first.
pub(super) fn parameters(startup: &StartupParameters) -> Vec<(String, String)> {
    let named = [
        ("options", &startup.options),
        ("replication", &startup.replication),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .chain(startup.params.iter().cloned())
        .collect()
}

/// The last `application_name` among them.
pub(super) fn application_name(parameters: &[(String, String)]) -> String {
    let found = parameters
        .iter()
        .rev()
        .find(|(n, _)| n == "application_name");
    found.map_or_else(String::new, |(_, value)| value.clone())
}
