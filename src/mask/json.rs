//! Documents, by path: as SQL only, because jsonb's two wire formats differ.
//!
//! A value that is not of the shape a path expects (`$.a.b` where a is a text) becomes JSON null
//! where it stands. Deliberately absent: filters, slices, wildcards over keys.

use super::column_type::{ColumnType, Kind};
use super::mask::{Mask, MaskError, scalar};
use super::sql_text::{call, case, cast, literal, op, quote};
use crate::pg::types::oid;

/// A document's mask as a policy defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonMask {
    /// `$.a.b[*].c` → what is done with the value there.
    pub paths: Vec<(String, JsonAction)>,
    /// What is done with values on no path.
    pub other: JsonOther,
}

/// What is done with the value at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonAction {
    /// It stays: for allow-lists.
    Clear,
    /// It becomes JSON null.
    Nullify,
    /// It becomes this JSON text.
    Constant(String),
    /// A text or a number is masked; anything else there becomes JSON null.
    Mask(Box<Mask>),
}

/// What is done with values on no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonOther {
    /// They stay.
    Clear,
    /// They become JSON null.
    Nullify,
}

/// Steps of one path and nodes of one document are few; SQL text grows with both.
const MAX_STEPS: usize = 16;
const MAX_PATHS: usize = 100;

/// What a mask does at a place of a document.
pub(super) enum Node<'a> {
    Object(Vec<(String, Node<'a>)>),
    Array(Box<Node<'a>>),
    Leaf(&'a JsonAction),
}

enum Step {
    Key(String),
    Elements,
}

impl JsonMask {
    pub(super) fn describe(&self) -> String {
        let paths: Vec<&str> = self.paths.iter().map(|(path, _)| path.as_str()).collect();
        format!("json: {}", paths.join(", "))
    }
}

/// As SQL; the result is jsonb.
pub(super) fn sql(mask: &JsonMask, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    if mask.paths.is_empty() || mask.paths.len() > MAX_PATHS {
        return Err(MaskError::new(format!("json needs 1 to {MAX_PATHS} paths")));
    }
    let root = tree(mask)?;
    let masked = node(&root, mask.other, &ty.as_type(x, "jsonb"), 1)?;
    let mut arms = vec![(format!("{x} IS NULL"), "NULL".to_owned())];
    if ty.kind() == Kind::Json {
        // What json stores and jsonb cannot: NUL and unpaired surrogates in escapes, and numbers
        // beyond numeric. Such a document is hidden whole, also where the text is harmless.
        let text = format!("({} COLLATE pg_catalog.\"C\")", cast(x, "text"));
        let pattern = r"\\u(0000|[dD][89a-fA-F])|[eE][+-]?[0-9]{3,}|[0-9]{250}";
        arms.push((op(&text, "~", &literal(pattern, "text")), json_null()));
    }
    Ok(case(&arms, &masked))
}

/// The paths as one tree.
pub(super) fn tree(mask: &JsonMask) -> Result<Node<'_>, MaskError> {
    let mut root: Option<Node<'_>> = None;
    for (path, action) in &mask.paths {
        let steps = parse(path).ok_or_else(|| {
            MaskError::new(format!("{path} is not a path such as $.contact.phones[*]"))
        })?;
        insert(&mut root, &steps, action)
            .ok_or_else(|| MaskError::new(format!("{path} overlaps another path")))?;
    }
    root.ok_or_else(|| MaskError::new("json needs a path"))
}

/// JSON that jsonb can hold too: serde_json knows neither unpaired surrogates nor numbers beyond
/// float8.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok() && !text.contains("\\u0000")
}

fn json_null() -> String {
    literal("null", "jsonb")
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            steps.push(Step::Elements);
            rest = after;
            continue;
        }
        let after = rest.strip_prefix('.')?;
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let (key, after) = after.split_at_checked(end)?;
        if key.is_empty() || key.contains(['\0', ']', '*', '"']) {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        rest = after;
    }
    (1..=MAX_STEPS).contains(&steps.len()).then_some(steps)
}

/// `None` when one path ends where another goes on, or they disagree on object and array.
fn insert<'a>(at: &mut Option<Node<'a>>, steps: &[Step], action: &'a JsonAction) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        if at.is_some() {
            return None;
        }
        *at = Some(Node::Leaf(action));
        return Some(());
    };
    match step {
        Step::Key(key) => {
            let node = at.get_or_insert_with(|| Node::Object(Vec::new()));
            let Node::Object(children) = node else {
                return None;
            };
            let place = children.iter().position(|(name, _)| name == key);
            let mut child = place.map(|place| children.swap_remove(place).1);
            insert(&mut child, rest, action)?;
            children.push((key.clone(), child?));
        }
        Step::Elements => {
            let mut child = match at.take() {
                None => None,
                Some(Node::Array(child)) => Some(*child),
                Some(_) => return None,
            };
            insert(&mut child, rest, action)?;
            *at = Some(Node::Array(Box::new(child?)));
        }
    }
    Some(())
}

/// The mask of the value `j`, which is not SQL's NULL.
pub(super) fn node(
    node_: &Node<'_>,
    other: JsonOther,
    j: &str,
    depth: usize,
) -> Result<String, MaskError> {
    let alias = format!("pgveil_j{depth}");
    let value = format!("{alias}.v");
    let below = depth.saturating_add(1);
    let is = |shape: &str| op(&call("jsonb_typeof", &[j]), "=", &quote(shape));
    match node_ {
        Node::Leaf(action) => leaf(action, j),
        Node::Array(child) => {
            let child = node(child, other, &value, below)?;
            let elements = format!(
                "(SELECT COALESCE(pg_catalog.jsonb_agg({child} ORDER BY {alias}.o), \
                 '[]'::pg_catalog.jsonb) FROM pg_catalog.jsonb_array_elements({j}) \
                 WITH ORDINALITY AS {alias}(v, o))"
            );
            Ok(case(&[(is("array"), elements)], &json_null()))
        }
        // Where the rest stays, only the members named are set: a third of the time that taking the
        // object apart and building it again needs. None of these values is ever SQL's NULL, which
        // would make the whole document NULL, and a member that is not there is not made.
        Node::Object(children) if other == JsonOther::Clear => {
            let mut members = j.to_owned();
            for (name, child) in children {
                if matches!(child, Node::Leaf(JsonAction::Clear)) {
                    continue;
                }
                let name = literal(name, "text");
                let set = node(child, other, &op(j, "->", &name), depth)?;
                let path = format!("ARRAY[{name}]");
                members = call("jsonb_set", &[&members, &path, &set, "false"]);
            }
            Ok(case(&[(is("object"), members)], &json_null()))
        }
        Node::Object(children) => {
            let key = format!("({alias}.k COLLATE pg_catalog.\"C\")");
            let mut arms = Vec::new();
            for (name, child) in children {
                let named = op(&key, "=", &literal(name, "text"));
                arms.push((named, node(child, other, &value, below)?));
            }
            let rest = match other {
                JsonOther::Clear => value,
                JsonOther::Nullify => json_null(),
            };
            let members = format!(
                "(SELECT COALESCE(pg_catalog.jsonb_object_agg({alias}.k, {}), \
                 '{{}}'::pg_catalog.jsonb) FROM pg_catalog.jsonb_each({j}) AS {alias}(k, v))",
                case(&arms, &rest)
            );
            Ok(case(&[(is("object"), members)], &json_null()))
        }
    }
}

fn leaf(action: &JsonAction, j: &str) -> Result<String, MaskError> {
    match action {
        JsonAction::Clear => Ok(j.to_owned()),
        JsonAction::Nullify => Ok(json_null()),
        JsonAction::Constant(text) => {
            if !is_json(text) {
                return Err(MaskError::new("a constant in json must be JSON"));
            }
            Ok(literal(text, "jsonb"))
        }
        JsonAction::Mask(mask) => {
            // The scalar out of its JSON text: quotes and escapes gone.
            let text = format!("({j} OPERATOR(pg_catalog.#>>) '{{}}'::pg_catalog.text[])");
            let (shape, name, oid) = match **mask {
                Mask::Partial(_) => ("string", "text", oid::TEXT),
                Mask::RoundTo(_) | Mask::Round(_) | Mask::Clamp { .. } => {
                    ("number", "numeric", oid::NUMERIC)
                }
                _ => {
                    return Err(MaskError::new(
                        "a mask inside json must be one for texts or numbers",
                    ));
                }
            };
            let ty = ColumnType {
                oid,
                typmod: -1,
                sql: format!("pg_catalog.{name}").into(),
                collation: None,
                element: None,
                domain: false,
            };
            let masked = scalar(mask, &ty, &cast(&text, name))?;
            let masked = call("to_jsonb", &[&cast(&masked, name)]);
            let is = op(&call("jsonb_typeof", &[j]), "=", &literal(shape, "text"));
            Ok(case(&[(is, masked)], &json_null()))
        }
    }
}
