//! Keeping passwords out of messages: what somebody wrote into the file against the rules is not
//! repeated in a terminal or a CI log.

use super::load::line;
use crate::policy::yaml::{Node, Value};
use crate::policy::{Excerpt, PolicyError, Span, nearest};

/// Says of every message how much of its source line may be shown. Lines on which the YAML reader
/// `dropped` something are not shown: what it dropped is in no tree.
pub(super) fn hide(messages: &mut [PolicyError], root: Option<&Node>, dropped: &[u32]) {
    let mut secrets = Vec::new();
    if let Some(root) = root {
        collect(root, "", &mut secrets);
    }
    for message in messages {
        message.excerpt = match line(message) {
            Some(at) if !dropped.contains(&at) => {
                let here = secrets.iter().filter(|s| s.line() == at);
                Excerpt::Hiding(here.map(|s| (s.column(), s.length())).collect())
            }
            _ => Excerpt::None,
        };
    }
}

/// Values that are secrets, or were meant to be: under a key that is right or nearly right.
fn collect(node: &Node, key: &str, out: &mut Vec<Span>) {
    match &node.value {
        Value::Scalar(_) => {
            if nearest(key, ["password", "passphrase", "scram", "secret"]).is_some() {
                out.push(node.span.clone());
            }
        }
        Value::Map(entries) => {
            for (name, value) in entries {
                // `users: {app: hunter2}`
                let user = key == "users" && name.text != "query";
                let scalar = matches!(value.value, Value::Scalar(_));
                let inner = if user && scalar {
                    "password"
                } else {
                    &name.text
                };
                collect(value, inner, out);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, key, out)),
        Value::Invalid => {}
    }
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, as `parse_scram_secret` in
/// PostgreSQL's auth-scram.c reads it.
pub(super) fn is_verifier(text: &str) -> bool {
    let base64 = |part: &str| {
        data_encoding::BASE64
            .decode(part.as_bytes())
            .ok()
            .filter(|bytes| !bytes.is_empty())
    };
    let parse = || {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (iterations, rest) = rest.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        iterations.parse::<u32>().ok().filter(|n| *n > 0)?;
        base64(salt)?;
        Some(base64(stored)?.len() == 32 && base64(server)?.len() == 32)
    };
    parse().unwrap_or(false)
}
