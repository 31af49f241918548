//! YAML → a small tree that knows where everything stands.
//!
//! Built from parser events, because the deserializer silently keeps the last of two equal keys and
//! gives no positions. Deliberately absent: anchors, aliases, merge keys, tags, several documents,
//! and words that are a boolean to some YAML readers and a string to others. A policy is read by
//! people, who must not need to know YAML's corners.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::error::{Faults, PolicyError};
use super::source::{SourceFile, Span, shown};
use crate::limits::POLICY_DEPTH;

/// A value and where it stands.
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What kind of value it is.
pub(crate) enum Value {
    Scalar(Scalar),
    Map(Vec<(Key, Node)>),
    List(Vec<Node>),
    /// Already reported: readers stay silent about it.
    Invalid,
}

/// A single value.
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes.
    pub(crate) plain: bool,
}

/// A map's key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Reads one file. `None` for an empty one, and for one that is not YAML (then `faults.broken`).
pub(crate) fn parse(file: &Arc<SourceFile>, faults: &mut Faults) -> Option<Node> {
    let mut builder = Builder {
        file,
        faults,
        stack: Vec::new(),
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str(file.text()) {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    builder.faults.broken = true;
                    return None;
                }
            }
            Err(error) => {
                let at = builder.span(saphyr_parser::Span::empty(*error.marker()));
                builder.faults.at(
                    &at,
                    format!("cannot be read as YAML: {}", shown(error.info())),
                );
                builder.faults.broken = true;
                return None;
            }
        }
    }
    builder.root
}

/// A map or list that is still open.
struct Frame {
    span: Span,
    content: Content,
}

enum Content {
    Map {
        entries: Vec<(Key, Node)>,
        seen: HashMap<String, Span>,
        key: Option<Pending>,
    },
    List(Vec<Node>),
}

/// The key whose value comes next.
enum Pending {
    Good(Key),
    /// Reported; its value is read and dropped.
    Bad,
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    faults: &'a mut Faults,
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: u32,
}

impl Builder<'_> {
    /// Takes one event; false stops the reading of this file.
    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> bool {
        let at = self.span(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.faults.at(&at, "a file holds one YAML document");
                    return false;
                }
            }
            Event::Alias(_) => {
                self.faults.push(
                    PolicyError::at(&at, "aliases are not allowed")
                        .help("write the value where it is used"),
                );
                self.complete(Node {
                    span: at,
                    value: Value::Invalid,
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decorations(&at, anchor, tag.is_some());
                self.scalar(at, text, style);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_decorations(&at, anchor, tag.is_some());
                return self.open(at, Content::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_decorations(&at, anchor, tag.is_some());
                let (entries, seen) = (Vec::new(), HashMap::new());
                return self.open(
                    at,
                    Content::Map {
                        entries,
                        seen,
                        key: None,
                    },
                );
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Frame { span, content }) = self.stack.pop() {
                    let value = match content {
                        Content::Map { entries, .. } => Value::Map(entries),
                        Content::List(items) => Value::List(items),
                    };
                    self.complete(Node { span, value });
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    fn open(&mut self, span: Span, content: Content) -> bool {
        if self.stack.len() >= POLICY_DEPTH {
            self.faults
                .at(&span, format!("nested deeper than {POLICY_DEPTH} levels"));
            return false;
        }
        self.stack.push(Frame { span, content });
        true
    }

    fn scalar(&mut self, span: Span, text: Cow<'_, str>, style: ScalarStyle) {
        let plain = style == ScalarStyle::Plain;
        let ambiguous = ["yes", "no", "on", "off"]
            .iter()
            .any(|w| text.eq_ignore_ascii_case(w));
        let value = if plain && ambiguous {
            let message = format!("bare `{text}` is a boolean to some YAML readers");
            let help = format!("write \"{text}\" for the word, or true or false");
            self.faults.push(PolicyError::at(&span, message).help(help));
            Value::Invalid
        } else {
            Value::Scalar(Scalar {
                text: text.into_owned(),
                plain,
            })
        };
        self.complete(Node { span, value });
    }

    fn refuse_decorations(&mut self, at: &Span, anchor: usize, tag: bool) {
        if anchor > 0 {
            self.faults.push(
                PolicyError::at(at, "anchors are not allowed")
                    .help("write the value where it is used"),
            );
        }
        if tag {
            self.faults.push(
                PolicyError::at(at, "tags are not allowed").help(
                    "the language has no typed values; quote the value if it begins with `!`",
                ),
            );
        }
    }

    /// Hands a finished node to the map or list it stands in.
    fn complete(&mut self, node: Node) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, seen, key } => match key.take() {
                None => *key = Some(pending(node, seen, self.faults)),
                Some(Pending::Good(name)) => entries.push((name, node)),
                Some(Pending::Bad) => {}
            },
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let length = if span.start.line() == span.end.line() {
            small(span.end.col().saturating_sub(span.start.col()))
        } else {
            u32::MAX
        };
        Span {
            file: Arc::clone(self.file),
            line: small(span.start.line()).max(1),
            column: small(span.start.col()).saturating_add(1),
            length: length.max(1),
        }
    }
}

/// A node in key position → the key, unless it cannot be one.
fn pending(node: Node, seen: &mut HashMap<String, Span>, faults: &mut Faults) -> Pending {
    let Value::Scalar(scalar) = node.value else {
        if !matches!(node.value, Value::Invalid) {
            faults.at(&node.span, "a key is a single word");
        }
        return Pending::Bad;
    };
    if scalar.plain && scalar.text == "<<" {
        faults.push(
            PolicyError::at(&node.span, "merge keys are not allowed")
                .help("write the entries where they are used"),
        );
        return Pending::Bad;
    }
    if scalar.text.is_empty() {
        faults.at(&node.span, "a key is missing");
        return Pending::Bad;
    }
    if let Some(first) = seen.get(&scalar.text) {
        let message = format!("key `{}` stands here twice", shown(&scalar.text));
        faults.push(PolicyError::at(&node.span, message).related(first, "first"));
        return Pending::Bad;
    }
    seen.insert(scalar.text.clone(), node.span.clone());
    Pending::Good(Key {
        text: scalar.text,
        span: node.span,
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Faults, Node, Scalar, SourceFile, Value, parse};
    use crate::policy::read::{is_null, is_number};

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                found.push(path);
            }
        }
    }

    /// serde_yaml, built on another parser, sees the same tree: the same keys in the same order, the
    /// same texts, and a text where we see a text.
    fn same(ours: &Node, theirs: &serde_yaml::Value, place: &str) {
        match (&ours.value, theirs) {
            (Value::Map(entries), serde_yaml::Value::Mapping(map)) => {
                assert_eq!(entries.len(), map.len(), "{place}");
                for ((key, value), (name, other)) in entries.iter().zip(map) {
                    assert_eq!(name.as_str(), Some(key.text.as_str()), "{place}");
                    same(value, other, &format!("{place}.{}", key.text));
                }
            }
            (Value::List(items), serde_yaml::Value::Sequence(list)) => {
                assert_eq!(items.len(), list.len(), "{place}");
                for (n, (item, other)) in items.iter().zip(list).enumerate() {
                    same(item, other, &format!("{place}[{n}]"));
                }
            }
            (Value::Scalar(scalar), theirs) => same_scalar(scalar, theirs, place),
            _ => panic!("{place}: another kind of value"),
        }
    }

    fn same_scalar(ours: &Scalar, theirs: &serde_yaml::Value, place: &str) {
        match theirs {
            serde_yaml::Value::String(text) => {
                assert_eq!(ours.text, *text, "{place}");
                assert!(!is_null(ours) && !is_number(ours), "{place}");
            }
            serde_yaml::Value::Null => assert!(is_null(ours), "{place}"),
            serde_yaml::Value::Bool(b) => assert_eq!(ours.text, b.to_string(), "{place}"),
            serde_yaml::Value::Number(number) => {
                assert!(is_number(ours), "{place}");
                assert_eq!(ours.text.parse().ok(), number.as_f64(), "{place}");
            }
            _ => panic!("{place}: not a single value"),
        }
    }

    #[test]
    fn every_policy_is_the_tree_another_parser_sees() {
        let mut found = Vec::new();
        for folder in ["policies", "tests/corpus"] {
            files(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
                &mut found,
            );
        }
        assert!(found.len() > 20, "{}", found.len());
        for path in found {
            let text = std::fs::read_to_string(&path).expect("a file");
            let name = path.display().to_string();
            let file = SourceFile::new(&name, text.as_bytes()).expect("UTF-8");
            let mut faults = Faults::default();
            let ours = parse(&file, &mut faults).expect("YAML");
            assert!(faults.list.is_empty(), "{name}");
            same(&ours, &serde_yaml::from_str(&text).expect("YAML"), &name);
        }
    }

    /// What the files have little of: quotes, escapes, blocks, flow in block, comments, odd numbers.
    #[test]
    fn every_style_is_the_text_another_parser_sees() {
        let text = "a: 'it''s: # x'\nb: \"tab\\t \\u5f20 \\\"q\\\"\"\nc: |\n  two\n  lines\nd: >-\n  \
                    folded\n  text\ne: {x: [1, -2.5, 1e3, '1'], \"y z\": ~, w: } # end\nf:\n- a: b\n  \
                    c: d\n- - x\n  - 张三\ng: plain text, with commas\nh: true\n\"1\": 2026-11-21\n";
        let file = SourceFile::new("styles", text.as_bytes()).expect("UTF-8");
        let mut faults = Faults::default();
        let ours = parse(&file, &mut faults).expect("YAML");
        assert!(faults.list.is_empty());
        same(&ours, &serde_yaml::from_str(text).expect("YAML"), "styles");
    }
}
