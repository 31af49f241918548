//! Pipelines: what is sent before it is known what became of the messages ahead.

use super::{BIND_S, EXECUTE, PARSE_S, READY, SELECT, SYNC, Stage, frames};
use crate::pooling::Residue;
use crate::pooling::link::Rest;

#[test]
fn an_unnamed_statement_made_after_a_failed_one_is_not_forgotten() {
    let mut stage = Stage::new();
    let bad = (b'P', &b"\0bad\0\0\0"[..]);
    let good = (b'P', &b"\0SELECT 555\0\0\0"[..]);
    let bind = (b'B', &b"\0\0\0\0\0\0\0\0"[..]);
    stage.up(&[bad, SYNC, good, SYNC]);
    let error = (b'E', &b"SERROR\0C42601\0Mno\0\0"[..]);
    stage.down(&[error, READY]);
    stage.down(&[(b'1', b""), READY]);
    stage.elsewhere();
    assert_eq!(
        stage.up(&[bind, EXECUTE, SYNC]),
        frames(&[good, bind, EXECUTE, SYNC])
    );
}

#[test]
fn who_depends_on_an_answer_that_is_due_waits_for_it() {
    let error = (b'E', &b"SERROR\0C42601\0Mno\0\0"[..]);
    let bad = (b'P', &b"\0bad\0\0\0"[..]);
    let first = (b'P', &b"a\0SELECT 111\0\0\0"[..]);
    let second = (b'P', &b"a\0SELECT 222\0\0\0"[..]);
    let mut stage = Stage::new();
    stage.up_but_last(&[bad, first, SYNC, second]);
    stage.down(&[error, READY]);
    assert!(!stage.link.waits() && stage.link.resumes());
    // The first was skipped: the name is free, and so is the text.
    assert_eq!(
        stage.up(&[second, SYNC]),
        frames(&[(b'P', b"pgveil_s2\0SELECT 222\0\0\0"), SYNC])
    );
    stage.down(&[(b'1', b""), READY]);
    assert_eq!(
        stage.up(&[(b'P', b"b\0SELECT 111\0\0\0"), SYNC]),
        frames(&[(b'P', b"pgveil_s1\0SELECT 111\0\0\0"), SYNC])
    );
    stage.down(&[(b'1', b""), READY]);
    // Of the unnamed statement too, unless it is made in the same segment.
    let bind = (b'B', &b"\0\0\0\0\0\0\0\0"[..]);
    let one = (b'P', &b"\0SELECT 1\0\0\0"[..]);
    stage.up(&[one, SYNC, one, bind, SYNC]);
    stage.up_but_last(&[bind]);
    stage.down(&[(b'1', b""), READY, (b'1', b""), (b'2', b""), READY]);
    assert!(stage.link.resumes());
    assert_eq!(stage.up(&[bind, SYNC]), frames(&[bind, SYNC]));
    stage.down(&[(b'2', b""), READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
}

#[test]
fn what_is_made_behind_discard_all_stays() {
    let mut stage = Stage::new();
    stage.up_but_last(&[(b'Q', b"DISCARD ALL\0"), PARSE_S]);
    stage.down(&[(b'C', b"DISCARD ALL\0"), READY]);
    assert!(stage.link.resumes());
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    let sent = stage.up(&[BIND_S, SYNC]);
    assert_eq!(sent, frames(&[(b'B', b"\0pgveil_s1\0\0\0\0\0\0\0"), SYNC]));
}

#[test]
fn a_query_that_an_error_before_it_skipped_is_not_waited_for() {
    let query = (b'Q', &b"SELECT 1\0"[..]);
    let mark = (b'C', &b"Spgveil_s0\0"[..]);
    let error = (b'E', &b"SERROR\0C42601\0Mno\0\0"[..]);
    let parse = (b'P', &b"\0SELECT 2\0\0\0"[..]);
    let mut stage = Stage::new();
    let sent = stage.up(&[parse, query, SYNC]);
    assert_eq!(sent, frames(&[parse, mark, query, SYNC]));
    stage.down(&[error, READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    // It is run if nothing failed, and may fail itself: both segments are answered.
    for answer in [SELECT, error] {
        stage.up(&[parse, query, SYNC]);
        let shown = stage.down(&[(b'1', b""), (b'3', b""), answer, READY]);
        assert_eq!(shown, frames(&[(b'1', b""), answer, READY]));
        assert_eq!(stage.link.rest(), Rest::Busy);
        stage.down(&[READY]);
        assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    }
}
