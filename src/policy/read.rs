//! Nodes → Rust values, reporting what does not fit and going on.
//!
//! Every reader returns `None` after reporting; callers carry on with the rest, so that one run
//! shows all errors.

use super::error::{Faults, PolicyError};
use super::source::{Span, shown};
use super::suggest::nearest;
use super::yaml::{Key, Node, Scalar, Value};

/// A map with a fixed set of keys. [`Fields::finish`] reports those nobody asked for.
pub(crate) struct Fields<'a> {
    pub(crate) span: &'a Span,
    what: String,
    entries: Vec<(&'a Key, &'a Node, bool)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Opens a map; `what` names it in messages (``role `analyst` ``).
    pub(crate) fn open(node: &'a Node, what: &str, faults: &mut Faults) -> Option<Self> {
        let entries = entries(node, what, faults)?;
        Some(Self {
            span: &node.span,
            what: what.to_owned(),
            entries: entries.iter().map(|(k, v)| (k, v, false)).collect(),
            known: Vec::new(),
        })
    }

    /// The value under a key, if the map has it.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let entry = self.entries.iter_mut().find(|(k, _, _)| k.text == key)?;
        entry.2 = true;
        Some(entry.1)
    }

    /// Like [`Fields::take`], with the key's own place.
    pub(crate) fn take_keyed(&mut self, key: &'static str) -> Option<(&'a Key, &'a Node)> {
        let node = self.take(key)?;
        let (key, _, _) = self.entries.iter().find(|(k, _, _)| k.text == key)?;
        Some((key, node))
    }

    /// The value under a key that must be there.
    pub(crate) fn require(&mut self, key: &'static str, faults: &mut Faults) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            faults.at(self.span, format!("{} needs `{key}`", self.what));
        }
        node
    }

    /// Reports the keys that were not taken.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for (key, _, taken) in &self.entries {
            if !taken {
                let message = format!("unknown key `{}` in {}", shown(&key.text), self.what);
                let error = PolicyError::at(&key.span, message);
                let near = nearest(&key.text, self.known.iter().copied());
                faults.push(match near {
                    Some(_) => error.suggest(near),
                    None => error.help(format!("known keys: {}", self.known.join(", "))),
                });
            }
        }
    }
}

/// A map with free keys.
pub(crate) fn entries<'a>(
    node: &'a Node,
    what: &str,
    faults: &mut Faults,
) -> Option<&'a [(Key, Node)]> {
    if let Value::Map(entries) = &node.value {
        return Some(entries);
    }
    mismatch(node, &format!("{what} is a map"), faults);
    None
}

/// A list.
pub(crate) fn list<'a>(node: &'a Node, what: &str, faults: &mut Faults) -> Option<&'a [Node]> {
    if let Value::List(items) = &node.value {
        return Some(items);
    }
    mismatch(node, &format!("{what} is a list"), faults);
    None
}

/// A list, or one value standing for a list of one.
pub(crate) fn one_or_list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Invalid => &[],
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    }
}

/// Any scalar but nothing, quoted or not: the values of tests and constants.
pub(crate) fn scalar<'a>(node: &'a Node, what: &str, faults: &mut Faults) -> Option<&'a Scalar> {
    match &node.value {
        Value::Scalar(scalar) if !is_null(scalar) => Some(scalar),
        _ => {
            mismatch(node, &format!("{what} is a single value"), faults);
            None
        }
    }
}

/// A string. Plain numbers and booleans are not strings: quote them.
pub(crate) fn text<'a>(node: &'a Node, what: &str, faults: &mut Faults) -> Option<&'a str> {
    match &node.value {
        Value::Scalar(s) if !s.plain || (!is_null(s) && !is_number(s) && !is_boolean(s)) => {
            Some(&s.text)
        }
        Value::Scalar(s) if !is_null(s) => {
            let message = format!("{what} is a string, not {}", kind(node));
            let help = format!("write \"{}\" for the word", shown(&s.text));
            faults.push(PolicyError::at(&node.span, message).help(help));
            None
        }
        _ => {
            mismatch(node, &format!("{what} is a string"), faults);
            None
        }
    }
}

/// Strings: a list of them, or one.
pub(crate) fn texts(node: &Node, what: &str, faults: &mut Faults) -> Vec<(String, Span)> {
    let items = one_or_list(node).iter();
    items
        .filter_map(|n| text(n, what, faults).map(|t| (t.to_owned(), n.span.clone())))
        .collect()
}

/// An integer between two bounds, both included.
pub(crate) fn integer(
    node: &Node,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
    faults: &mut Faults,
) -> Option<i64> {
    let number = match &node.value {
        Value::Scalar(s) if s.plain => s.text.parse::<i64>().ok(),
        _ => None,
    };
    match number {
        Some(n) if bounds.contains(&n) => number,
        Some(_) => {
            let message = format!("{what} is between {} and {}", bounds.start(), bounds.end());
            faults.at(&node.span, message);
            None
        }
        None => {
            mismatch(node, &format!("{what} is a whole number"), faults);
            None
        }
    }
}

/// `true` or `false`.
pub(crate) fn boolean(node: &Node, what: &str, faults: &mut Faults) -> Option<bool> {
    match &node.value {
        Value::Scalar(s) if s.plain && s.text == "true" => Some(true),
        Value::Scalar(s) if s.plain && s.text == "false" => Some(false),
        _ => {
            mismatch(node, &format!("{what} is true or false"), faults);
            None
        }
    }
}

/// One of a fixed set of words.
pub(crate) fn word<T: Copy>(
    node: &Node,
    what: &str,
    words: &[(&'static str, T)],
    faults: &mut Faults,
) -> Option<T> {
    let found = text(node, what, faults)?;
    if let Some((_, value)) = words.iter().find(|(w, _)| *w == found) {
        return Some(*value);
    }
    let known: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
    let expected = match known.as_slice() {
        [only] => format!("is `{only}`"),
        many => format!("is one of {}", many.join(", ")),
    };
    let message = format!("{what} {expected}, not `{}`", shown(found));
    faults.push(PolicyError::at(&node.span, message).suggest(nearest(found, known)));
    None
}

/// Reports a value of the wrong kind, unless something was reported for it already.
fn mismatch(node: &Node, expected: &str, faults: &mut Faults) {
    if !matches!(node.value, Value::Invalid) {
        faults.at(&node.span, format!("{expected}, not {}", kind(node)));
    }
}

fn kind(node: &Node) -> String {
    match &node.value {
        Value::Map(_) => "a map".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Invalid => "this".to_owned(),
        Value::Scalar(s) if is_null(s) => "nothing".to_owned(),
        Value::Scalar(s) if is_number(s) => format!("the number {}", shown(&s.text)),
        Value::Scalar(s) if is_boolean(s) => format!("the boolean {}", shown(&s.text)),
        Value::Scalar(s) => format!("`{}`", shown(&s.text)),
    }
}

pub(crate) fn is_null(scalar: &Scalar) -> bool {
    scalar.plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_boolean(scalar: &Scalar) -> bool {
    scalar.plain
        && (scalar.text.eq_ignore_ascii_case("true") || scalar.text.eq_ignore_ascii_case("false"))
}

/// A number by YAML's core schema. `1e5` and `.5` are numbers there too.
pub(crate) fn is_number(scalar: &Scalar) -> bool {
    scalar.plain
        && scalar
            .text
            .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && scalar.text.parse::<f64>().is_ok()
}
