//! One member of a masked document, without masking the rest of it: most of a mask's time goes into
//! writing the document anew.
//!
//! Only masks whose rest stays (`other: clear`), and only keys that cannot number an element of an
//! array: then a path leads to the same place in the stored document, and to nothing in one that is
//! not of the shape the mask expects.
//!
//! Deliberately absent: json, where a document may be hidden whole.

use serde_json::Value;

use super::column_type::{ColumnType, Kind};
use super::json::{JsonAction, JsonMask, JsonOther, Node, node, tree};
use super::sql_text::{case, literal, op};

/// What is asked of a masked document.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// A member, as text or as jsonb.
    Member(&'a str, bool),
    /// What is at a path, as text or as jsonb.
    At(&'a str, bool),
    /// Is there such a key?
    HasKey(&'a str),
    /// Does it contain this document?
    Contains(&'a str),
}

/// Longer paths are taken through the mask.
const MAX_KEYS: usize = 16;

/// SQL over the stored document that answers; `None` if only the masked one can.
pub(super) fn answer(
    mask: &JsonMask,
    ty: &ColumnType,
    asked: Asked<'_>,
    x: &str,
) -> Option<String> {
    if ty.kind() != Kind::Jsonb || mask.other != JsonOther::Clear {
        return None;
    }
    let root = tree(mask).ok()?;
    let Node::Object(_) = root else { return None };
    match asked {
        Asked::Member(key, text) => {
            let key_sql = literal(key, "text");
            at(&root, &[key], text, |text| {
                op(x, if text { "->>" } else { "->" }, &key_sql)
            })
        }
        Asked::At(path, text) => {
            let keys = keys(path)?;
            let path = format!("{}::pg_catalog.text[]", super::sql_text::quote(path));
            at(&root, &keys, text, |text| {
                op(x, if text { "#>>" } else { "#>" }, &path)
            })
        }
        // Members are never made and never taken away, but what is no object becomes JSON null.
        Asked::HasKey(key) => {
            let kind = super::sql_text::call("jsonb_typeof", &[x]);
            let object = op(&kind, "=", &literal("object", "text"));
            let has = op(x, "?", &literal(key, "text"));
            // One condition: what else has the key is not for anyone to see.
            Some(case(&[(object, has)], &super::question::never(x)))
        }
        Asked::Contains(document) => {
            let wanted: Value = serde_json::from_str(document).ok()?;
            untouched(&root, &wanted)
                .then(|| op(x, "@>", &literal(document, "jsonb")))
                .or_else(|| hidden(&root, &wanted, x))
        }
    }
}

/// The value at a path, where `get` reads it from the stored document.
fn at(root: &Node<'_>, keys: &[&str], text: bool, get: impl Fn(bool) -> String) -> Option<String> {
    let mut here = root;
    for key in keys {
        here = match here {
            Node::Object(children) => match children.iter().find(|(name, _)| name == key) {
                Some((_, child)) => child,
                None => return Some(get(text)),
            },
            Node::Leaf(JsonAction::Clear) => return Some(get(text)),
            Node::Leaf(_) | Node::Array(_) => return None,
        };
    }
    if matches!(here, Node::Leaf(JsonAction::Clear)) {
        return Some(get(text));
    }
    let stored = get(false);
    let masked = node(here, JsonOther::Clear, &stored, 1).ok()?;
    let masked = case(&[(format!("{stored} IS NULL"), "NULL".to_owned())], &masked);
    Some(if text {
        op(&format!("({masked})"), "#>>", "'{}'::pg_catalog.text[]")
    } else {
        format!("({masked})")
    })
}

/// `{a,b}` of names only: a number could mean an element.
fn keys(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix('{')?.strip_suffix('}')?;
    let keys: Vec<&str> = inner.split(',').collect();
    let name = |key: &&str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            // Unquoted, it would be no text.
            && !key.eq_ignore_ascii_case("null")
    };
    (keys.len() <= MAX_KEYS && keys.iter().all(name)).then_some(keys)
}

/// Does a document ask only for what the mask leaves alone?
fn untouched(here: &Node<'_>, wanted: &Value) -> bool {
    match (here, wanted) {
        (Node::Leaf(JsonAction::Clear), _) => true,
        (Node::Object(children), Value::Object(members)) => members.iter().all(|(key, value)| {
            let child = children.iter().find(|(name, _)| name == key);
            child.is_none_or(|(_, child)| untouched(child, value))
        }),
        _ => false,
    }
}

/// A document that asks for one member only, which the mask sets to a constant: contained where there
/// is that member, if the constant is what it asks for.
fn hidden(root: &Node<'_>, wanted: &Value, x: &str) -> Option<String> {
    let (mut here, mut wanted, mut stored) = (root, wanted, x.to_owned());
    while let (Node::Object(children), Value::Object(members)) = (here, wanted) {
        let mut members = members.iter();
        let (Some((key, value)), None) = (members.next(), members.next()) else {
            return None;
        };
        here = (children.iter()).find_map(|(name, child)| (name == key).then_some(child))?;
        wanted = value;
        stored = op(&stored, "->", &literal(key, "text"));
    }
    let Node::Leaf(JsonAction::Constant(constant)) = here else {
        return None;
    };
    let scalar = |value: &Value| match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        // Others lose digits on their way through here.
        Value::Number(n) => n.is_i64() || n.is_u64(),
        Value::Array(_) | Value::Object(_) => false,
    };
    let is_scalar = serde_json::from_str(constant).is_ok_and(|c: Value| scalar(&c));
    if !is_scalar || !scalar(wanted) {
        return None;
    }
    let same = op(
        &literal(constant, "jsonb"),
        "=",
        &literal(&wanted.to_string(), "jsonb"),
    );
    Some(case(
        &[(format!("{x} IS NULL"), "NULL".to_owned())],
        &format!("({stored} IS NOT NULL AND {same})"),
    ))
}
