//! Any bytes as a policy: a policy, or messages that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgveil::policy::{Format, parse_policy_bytes, render};

fuzz_target!(|data: &[u8]| {
    if let Err(errors) = parse_policy_bytes("fuzz.yaml", data) {
        let messages = errors.into_vec();
        assert!(!messages.is_empty());
        for format in [Format::Human, Format::Json, Format::Sarif] {
            drop(render(&messages, format));
        }
    }
});
