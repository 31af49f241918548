//! Generated SQL against the clinic: whatever a restricted role asks, no piece of a stored value
//! comes back, and what is answered is what PostgreSQL answers on the role's masked copy.
//!
//! Deliberately absent: randomness from outside. A failure names its statement; the seed is fixed,
//! and `PGVEIL_CANARY_STATEMENTS` asks for more of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its stage has failed"
)]

mod support;

#[path = "canary/generate.rs"]
mod generate;

use std::sync::OnceLock;

use generate::Generator;
use support::client::Answer;
use support::stage::{Role, Stage};

/// The clinic, built on first use.
fn clinic() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage::build(None))
}

/// The same, with its texts stored encrypted.
fn sealed() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(Stage::sealed)
}

/// The same, half encrypted, with a rotated key.
fn half_sealed() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(Stage::half)
}

fn statements() -> u64 {
    let wanted = std::env::var("PGVEIL_CANARY_STATEMENTS").ok();
    wanted.and_then(|count| count.parse().ok()).unwrap_or(400)
}

/// Rows without their order.
fn sorted(answer: Answer) -> Answer {
    match answer {
        Answer::Rows(mut rows, tags) => {
            rows.sort();
            Answer::Rows(rows, tags)
        }
        error @ Answer::Error(..) => error,
    }
}

/// Runs generated statements; gives how many were answered.
fn run(stage: &Stage, role: Role, seed: u64) -> u64 {
    let mut generator = Generator::new(seed);
    let mut answered = 0;
    let mut copy = (stage.masked_copy(role)).map(|database| stage.direct(database));
    let mut client = stage.connect(role);
    for number in 0..statements() {
        if number % 50 == 49 {
            client = stage.connect(role);
        }
        let sql = generator.statement();
        let extended = generator.flip();
        let answer = if extended {
            client.extended(&sql)
        } else {
            client.simple(&sql)
        };
        stage.assert_silent(role, &mut client, &sql);
        if let Answer::Error(state, message) = &answer {
            assert_ne!(state, "CLOSED", "the session ended: {message} after {sql}");
            continue;
        }
        answered += 1;
        if let Some(copy) = &mut copy {
            assert_eq!(
                sorted(answer),
                sorted(copy.simple(&sql)),
                "differs from the masked copy: {sql}"
            );
        }
    }
    answered
}

#[test]
fn support_gets_its_masked_copy_or_a_refusal() {
    let answered = run(clinic(), Role::Support, 20_260_101);
    assert!(answered > 0, "every statement was refused");
}

#[test]
fn analyst_gets_tokens_or_a_refusal() {
    let answered = run(clinic(), Role::Analyst, 20_260_102);
    assert!(answered > 0, "every statement was refused");
}

#[test]
fn partner_gets_a_copy_made_of_its_tokens_or_a_refusal() {
    let answered = run(clinic(), Role::Partner, 20_260_104);
    assert!(answered > 0, "every statement was refused");
}

#[test]
fn nobody_can_tell_that_what_is_stored_is_encrypted() {
    for (role, seed) in [
        (Role::Owner, 20_260_105),
        (Role::Support, 20_260_106),
        (Role::Analyst, 20_260_107),
        (Role::Partner, 20_260_108),
    ] {
        let answered = run(sealed(), role, seed);
        assert!(answered > 0, "{role:?}: every statement was refused");
    }
}

#[test]
fn nobody_can_tell_what_is_encrypted_by_now() {
    for (role, seed) in [
        (Role::Owner, 20_260_109),
        (Role::Support, 20_260_110),
        (Role::Analyst, 20_260_111),
        (Role::Partner, 20_260_112),
    ] {
        let answered = run(half_sealed(), role, seed);
        assert!(answered > 0, "{role:?}: every statement was refused");
    }
}

#[test]
fn generated_statements_are_valid_sql() {
    // Otherwise the two tests above would pass on syntax errors alone.
    let mut owner = clinic().connect(Role::Owner);
    let mut generator = Generator::new(20_260_103);
    let valid =
        (0..100).filter(|_| matches!(owner.simple(&generator.statement()), Answer::Rows(..)));
    assert!(valid.count() > 80);
}
