//! Any text: parsed or refused, in bounded time and stack; a statement's place lies in its text, and
//! its shape holds none of its constants' quotes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgveil::sql::fingerprint::fingerprint;
use pgveil::sql::parse::parse;

fuzz_target!(|text: &str| {
    let Ok(statements) = parse(text) else { return };
    let mut after = 0;
    for parsed in &statements {
        assert!(parsed.start >= after && parsed.end > parsed.start);
        assert!(text.get(parsed.start..parsed.end).is_some());
        after = parsed.end;
        if let Ok(print) = fingerprint(&parsed.statement) {
            let again = parse(text.get(parsed.start..parsed.end).unwrap());
            let again = again
                .ok()
                .and_then(|found| fingerprint(&found.first()?.statement).ok());
            assert!(
                again.is_some_and(|again| again == print),
                "the same text has another shape"
            );
        }
    }
});
