//! `{json: {PATH: …}, other: …}` as it is written.

use super::error::{Faults, PolicyError};
use super::masks::MaskSyntax;
use super::read::{Fields, entries, scalar, word};
use super::source::shown;
use super::treat::{Word, parse_word};
use super::yaml::{Node, Value};

/// What stands at a path of a JSON mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonAction {
    /// `mask(NAME)`
    Mask(String),
    /// `nullify`
    Nullify,
    /// `clear`
    Clear,
    /// `{constant: V}`; a bare number or boolean stays one.
    Constant {
        /// The value.
        text: String,
        /// Written in quotes: a JSON string.
        string: bool,
    },
}

/// Reads the mask whose leading key is `json`.
pub(super) fn read_json(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    const OTHER: &[(&str, bool)] = &[("clear", false), ("nullify", true)];
    let node = fields.take("json")?;
    let other = fields
        .require("other", faults)
        .and_then(|n| word(n, "other", OTHER, faults));
    let mut paths = Vec::new();
    for (path, action) in entries(node, "json", faults)? {
        if !path.text.starts_with("$.") && !path.text.starts_with("$[") {
            faults.push(
                PolicyError::at(&path.span, format!("`{}` is not a path", shown(&path.text))).help(
                    "paths begin with `$.`, such as \"$.contact.phone\" or \"$.items[*].price\"",
                ),
            );
        }
        if let Some(action) = read_json_action(action, faults) {
            paths.push((path.text.clone(), action));
        }
    }
    Some(MaskSyntax::Json {
        paths,
        nullify_other: other?,
    })
}

fn read_json_action(node: &Node, faults: &mut Faults) -> Option<JsonAction> {
    if let Value::Map(_) = &node.value {
        let mut fields = Fields::open(node, "a JSON constant", faults)?;
        let value = fields.require("constant", faults);
        let value = value.and_then(|n| scalar(n, "constant", faults));
        fields.finish(faults);
        let value = value?;
        let bare = value.plain
            && (matches!(&*value.text, "true" | "false")
                || serde_json::from_str::<serde_json::Number>(&value.text).is_ok());
        return Some(JsonAction::Constant {
            text: value.text.clone(),
            string: !bare,
        });
    }
    match parse_word(node, faults)? {
        Word::Mask(name) => Some(JsonAction::Mask(name.to_string())),
        Word::Nullify => Some(JsonAction::Nullify),
        Word::Clear => Some(JsonAction::Clear),
        Word::Token(_) | Word::Deny => {
            faults.at(
                &node.span,
                "inside json only mask(NAME), nullify, clear and constants fit",
            );
            None
        }
    }
}
