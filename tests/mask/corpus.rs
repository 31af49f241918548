//! Runs `tests/corpus/mask`: a mask in the policy's words, a type, values → what is seen of them.
//!
//! Every value is masked by PostgreSQL and, where the mask has a Rust form, by the proxy; the two
//! must agree before either is compared with what the case expects.

use std::fmt::Write as _;

use datadriven::{TestCase, walk};
use pgveil::mask::{CompiledMask, Mask};
use pgveil::policy::{Policy, SourceFile};

#[test]
fn corpus() {
    walk("tests/corpus/mask", |file| file.run(run));
}

fn run(case: &mut TestCase) -> String {
    assert_eq!(case.directive, "mask");
    let mut lines = case.input.lines();
    let (Some(mask), Some(type_name)) = (lines.next(), lines.next()) else {
        panic!("a mask, a type and values are wanted");
    };
    let mask = match mask_of(mask) {
        Ok(mask) => mask,
        Err(errors) => return errors,
    };
    let compiled = match CompiledMask::compile(&mask, &super::ty(type_name)) {
        Ok(compiled) => compiled,
        Err(e) => return format!("error: {e}\n"),
    };
    let mut out = String::new();
    for literal in lines {
        let seen = by_postgresql(&compiled, literal, type_name);
        if let Some(wire) = by_the_proxy(&compiled, literal, type_name) {
            assert_eq!(wire, seen, "the two forms differ for {literal}");
        }
        writeln!(out, "{literal} -> {seen}").expect("a String grows");
    }
    out
}

fn mask_of(words: &str) -> Result<Mask, String> {
    let text = format!(
        "version: 1\nmode: enforce\ndefaults: {{unclassified_column: clear}}\nmasks:\n  m: {words}\n  \
         tail: {{keep_last: 4}}\n"
    );
    let source = SourceFile::new("mask.yaml", text.as_bytes()).map_err(|e| e.to_string())?;
    let policy = Policy::parse(&[source]).map_err(|e| e.to_string())?;
    policy
        .mask("m")
        .ok_or_else(|| "error: not built".to_owned())
}

/// A value as a literal, or NULL.
fn by_postgresql(mask: &CompiledMask, literal: &str, type_name: &str) -> String {
    let masked = mask.sql("x.v");
    let rows = super::run(&format!(
        "SELECT CASE WHEN ({masked}) IS NULL THEN 'NULL' \
         ELSE pg_catalog.quote_literal(pg_catalog.format('%s', {masked})) END FROM (SELECT ({literal})::pg_catalog.{type_name} AS v) AS x"
    ));
    rows.join("\n")
}

/// The same, from the bytes PostgreSQL would send.
fn by_the_proxy(mask: &CompiledMask, literal: &str, type_name: &str) -> Option<String> {
    if !mask.at_output() || literal == "NULL" {
        return None;
    }
    // As sent: blanks at the end of a bpchar included.
    let sent = super::run(&format!(
        "SELECT pg_catalog.encode(pg_catalog.textsend(pg_catalog.format('%s', ({literal})::pg_catalog.{type_name})), 'hex')"
    ));
    let hex = sent.concat();
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).expect("hexadecimal");
            u8::from_str_radix(digits, 16).expect("hexadecimal")
        })
        .collect();
    let mut masked = Vec::new();
    mask.apply(&bytes, &mut masked);
    let text = String::from_utf8(masked).expect("text");
    Some(format!("'{}'", text.replace('\'', "''")))
}
