//! `masks` as they are written. What they do is `crate::mask`.

use std::sync::Arc;

use super::error::{Faults, PolicyError};
use super::json_mask::{JsonAction, read_json};
use super::read::{Fields, entries, integer, is_null, scalar, text, word};
use super::source::{Span, shown};
use super::time::Date;
use super::yaml::{Key, Node, Value};
use crate::mask::{Partial, Unit};

/// One entry of `masks`.
#[derive(Clone, Debug)]
pub struct MaskDef {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is defined.
    pub span: Span,
    /// What it does.
    pub syntax: MaskSyntax,
}

/// A mask as written, its parameters in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSyntax {
    /// `{constant: V}`
    Constant(String),
    /// `{keep_first: n, …}`
    Keep(Partial),
    /// `{keep_admin_levels: n}`
    AdminLevels(u32),
    /// `{truncate: unit}`
    Truncate {
        /// The unit.
        unit: Unit,
        /// `timezone`, for timestamptz.
        timezone: Option<String>,
    },
    /// `{round_to: n}`: a positive number, as written.
    RoundTo(String),
    /// `{round: d}`
    Round(i32),
    /// `{top: t, bottom: b}`, as written.
    Clamp {
        /// Values above become this.
        top: Option<String>,
        /// Values below become this.
        bottom: Option<String>,
    },
    /// `{network: {v4: 24, v6: 48}}`
    Network {
        /// Bits kept of an IPv4 address.
        v4: u8,
        /// Bits kept of an IPv6 address.
        v6: u8,
    },
    /// `{json: {…}, other: …}`
    Json {
        /// Path → what stands there.
        paths: Vec<(String, JsonAction)>,
        /// `other: nullify`; else clear.
        nullify_other: bool,
    },
    /// `{fake: …}`
    Fake(String),
}

/// Longest part a mask may keep or write, in characters.
const LONGEST: i64 = 10_000;

/// Reads one entry of `masks`.
pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<MaskDef> {
    let what = format!("mask `{}`", shown(&key.text));
    let syntax = read_syntax(node, &what, faults)?;
    Some(MaskDef {
        name: Arc::from(key.text.as_str()),
        span: key.span.clone(),
        syntax,
    })
}

fn read_syntax(node: &Node, what: &str, faults: &mut Faults) -> Option<MaskSyntax> {
    let written = entries(node, what, faults)?;
    let lead = written
        .iter()
        .find_map(|(key, _)| READERS.iter().find(|(n, _)| *n == key.text));
    let mut fields = Fields::open(node, what, faults)?;
    let Some((_, reader)) = lead else {
        for (name, _) in READERS {
            fields.take(name);
        }
        let help = READERS
            .iter()
            .map(|(n, _)| *n)
            .collect::<Vec<_>>()
            .join(", ");
        if written.is_empty() {
            let message = format!("{what} does not say what it does");
            faults.push(PolicyError::at(&node.span, message).help(format!("one of {help}")));
        }
        fields.finish(faults);
        return None;
    };
    let syntax = reader(&mut fields, faults);
    fields.finish(faults);
    syntax
}

type Reader = fn(&mut Fields<'_>, &mut Faults) -> Option<MaskSyntax>;

/// The key that says which mask it is.
const READERS: &[(&str, Reader)] = &[
    ("constant", read_constant),
    ("keep_admin_levels", read_admin_levels),
    ("truncate", read_truncate),
    ("round_to", read_round_to),
    ("round", read_round),
    ("top", read_clamp),
    ("bottom", read_clamp),
    ("network", read_network),
    ("json", read_json),
    ("fake", read_fake),
    ("keep_first", read_keep),
    ("keep_last", read_keep),
    ("hide_length", read_keep),
    ("min_hidden", read_keep),
];

fn read_constant(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let node = fields.take("constant")?;
    if matches!(&node.value, Value::Scalar(s) if is_null(s)) {
        faults.push(PolicyError::at(&node.span, "a constant is not NULL").help("use `nullify`"));
        return None;
    }
    Some(MaskSyntax::Constant(
        scalar(node, "constant", faults)?.text.clone(),
    ))
}

fn number(
    fields: &mut Fields<'_>,
    key: &'static str,
    bounds: std::ops::RangeInclusive<i64>,
    faults: &mut Faults,
) -> Option<u32> {
    let node = fields.take(key)?;
    integer(node, key, bounds, faults).and_then(|n| u32::try_from(n).ok())
}

fn character(fields: &mut Fields<'_>, key: &'static str, faults: &mut Faults) -> Option<char> {
    let node = fields.take(key)?;
    let found = &scalar(node, key, faults)?.text;
    let mut chars = found.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Some(c),
        _ => {
            faults.at(&node.span, format!("{key} is one character"));
            None
        }
    }
}

fn read_keep(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let before = faults.list.len();
    let keep = Partial {
        keep_first: number(fields, "keep_first", 0..=LONGEST, faults).unwrap_or(0),
        keep_last: number(fields, "keep_last", 0..=LONGEST, faults).unwrap_or(0),
        char: character(fields, "char", faults).unwrap_or('*'),
        min_hidden: number(fields, "min_hidden", 0..=LONGEST, faults).unwrap_or(1),
        hide_length: number(fields, "hide_length", 0..=LONGEST, faults),
        stop_at: character(fields, "stop_at", faults).map(String::from),
        group: number(fields, "group", 1..=LONGEST, faults),
    };
    // A parameter that could not be read must not turn into its default.
    (faults.list.len() == before).then_some(MaskSyntax::Keep(keep))
}

fn read_admin_levels(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    number(fields, "keep_admin_levels", 1..=4, faults).map(MaskSyntax::AdminLevels)
}

fn read_truncate(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    const UNITS: &[(&str, Unit)] = &[
        ("year", Unit::Year),
        ("quarter", Unit::Quarter),
        ("month", Unit::Month),
        ("week", Unit::Week),
        ("day", Unit::Day),
        ("hour", Unit::Hour),
    ];
    let unit = fields
        .take("truncate")
        .and_then(|n| word(n, "truncate", UNITS, faults));
    let timezone = fields.take("timezone").map(|n| text(n, "timezone", faults));
    match timezone {
        Some(zone) => Some(MaskSyntax::Truncate {
            unit: unit?,
            timezone: Some(zone?.to_owned()),
        }),
        None => Some(MaskSyntax::Truncate {
            unit: unit?,
            timezone: None,
        }),
    }
}

/// A number as written: masks bind it to integer, numeric or float columns without losing digits.
fn decimal(node: &Node, what: &str, faults: &mut Faults) -> Option<String> {
    let found = &scalar(node, what, faults)?.text;
    let digits = found.strip_prefix('-').unwrap_or(found);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |s: &str| !s.is_empty() && s.len() <= 100 && s.bytes().all(|b| b.is_ascii_digit());
    if plain(whole) && plain(fraction) {
        return Some(found.clone());
    }
    faults.at(
        &node.span,
        format!("{what} is a decimal number, not `{}`", shown(found)),
    );
    None
}

fn read_round_to(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let node = fields.take("round_to")?;
    let step = decimal(node, "round_to", faults)?;
    if step.starts_with('-') || step.bytes().all(|b| matches!(b, b'0' | b'.')) {
        faults.at(&node.span, "round_to is larger than 0");
        return None;
    }
    Some(MaskSyntax::RoundTo(step))
}

fn read_round(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let node = fields.take("round")?;
    let digits = integer(node, "round", -100..=100, faults)?;
    i32::try_from(digits).ok().map(MaskSyntax::Round)
}

/// A bound of `top` or `bottom`: a number or a date.
fn bound(fields: &mut Fields<'_>, key: &'static str, faults: &mut Faults) -> Option<String> {
    let node = fields.take(key)?;
    let found = &scalar(node, key, faults)?.text;
    if Date::parse(found).is_some() {
        Some(found.clone())
    } else {
        decimal(node, key, faults)
    }
}

fn read_clamp(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let before = faults.list.len();
    let top = bound(fields, "top", faults);
    let bottom = bound(fields, "bottom", faults);
    (faults.list.len() == before).then_some(MaskSyntax::Clamp { top, bottom })
}

fn read_network(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let node = fields.take("network")?;
    let mut lengths = Fields::open(node, "network", faults)?;
    let v4 = lengths
        .require("v4", faults)
        .and_then(|n| integer(n, "v4", 0..=32, faults));
    let v6 = lengths
        .require("v6", faults)
        .and_then(|n| integer(n, "v6", 0..=128, faults));
    lengths.finish(faults);
    Some(MaskSyntax::Network {
        v4: u8::try_from(v4?).ok()?,
        v6: u8::try_from(v6?).ok()?,
    })
}

fn read_fake(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<MaskSyntax> {
    let kind = fields.take("fake").and_then(|n| text(n, "fake", faults));
    for key in ["locale", "key"] {
        if let Some(node) = fields.take(key) {
            text(node, key, faults);
        }
    }
    Some(MaskSyntax::Fake(kind?.to_owned()))
}
