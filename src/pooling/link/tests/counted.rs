//! Syncs among the data of a COPY that fails.

use super::{EXECUTE, READY, SELECT, SYNC, Stage, frames};
use crate::pooling::Residue;
use crate::pooling::link::Rest;

const COPY: (u8, &[u8]) = (b'Q', b"COPY t FROM STDIN\0");
const ASKS: (u8, &[u8]) = (b'G', b"\0\0\0");
const DATA: (u8, &[u8]) = (b'd', b"1\n");
const DONE: (u8, &[u8]) = (b'c', b"");
const ERROR: (u8, &[u8]) = (b'E', b"SERROR\0C22P02\0\0");
const CLOSE: (u8, &[u8]) = (b'C', b"Spgveil_s0\0");
const CLOSED: (u8, &[u8]) = (b'3', b"");
const FLUSH: (u8, &[u8]) = (b'H', b"");
const SKIPS: (u8, &[u8]) = (b'D', b"Spgveil_s0\0");
const PARSE: (u8, &[u8]) = (b'P', b"\0SELECT 1\0\0\0");
const BIND: (u8, &[u8]) = (b'B', b"\0\0\0\0\0\0\0\0");

/// A server that waits for data: in the extended protocol, or not.
fn copying(extended: bool) -> Stage {
    let mut stage = Stage::new();
    if extended {
        stage.up(&[(b'P', b"\0COPY t FROM STDIN\0\0\0"), BIND, EXECUTE, SYNC]);
        stage.down(&[(b'1', b""), (b'2', b""), ASKS]);
    } else {
        stage.up(&[COPY]);
        stage.down(&[ASKS]);
    }
    stage
}

#[test]
fn of_a_simple_copy_they_are_those_before_the_answer() {
    for answered in 0..3 {
        let mut stage = copying(false);
        stage.up(&[DATA, SYNC, DATA, SYNC]);
        stage.down(&[ERROR, READY]);
        assert_eq!(stage.link.rest(), Rest::Busy);
        let sent = stage.up(&[DATA, DONE, PARSE, BIND, EXECUTE, SYNC]);
        let all = [DATA, DONE, CLOSE, PARSE, BIND, EXECUTE, SYNC];
        assert_eq!(sent, frames(&all));
        let readies = vec![READY; answered];
        let rest = [(b'1', &b""[..]), (b'2', b""), SELECT, READY];
        let shown = stage.down(&[&readies[..], &[CLOSED], &rest].concat());
        assert_eq!(shown, frames(&[&readies[..], &rest].concat()));
        assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    }
}

#[test]
fn of_an_executed_copy_one_more_is_sent() {
    for answered in 0..3 {
        let mut stage = copying(true);
        stage.up(&[DATA, SYNC, DATA, SYNC]);
        stage.down(&[ERROR]);
        let sent = stage.up(&[SYNC]);
        assert_eq!(sent, frames(&[SYNC, CLOSE, SYNC]));
        let readies = vec![READY; answered];
        let shown = stage.down(&[&readies[..], &[READY, CLOSED, READY]].concat());
        assert_eq!(shown, frames(&[&readies[..], &[READY]].concat()));
        assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    }
}

#[test]
fn what_comes_next_is_skipped_if_none_is_answered() {
    for answered in 0..3 {
        let mut stage = copying(true);
        stage.up(&[DATA, SYNC, DATA, SYNC]);
        stage.down(&[ERROR]);
        let all = frames(&[PARSE]);
        let (mut out, mut reply) = (Vec::new(), Vec::new());
        let mut at = super::Upward {
            known: &mut stage.known,
            statements: &stage.statements,
            routines: &stage.routines,
        };
        let taken = (stage.link)
            .take_client(&all, &mut at, &mut out, &mut reply)
            .unwrap();
        assert_eq!((taken.used, taken.same), (0, false));
        assert_eq!(out, frames(&[SYNC, CLOSE, FLUSH]));
        assert!(stage.link.waits());
        let readies = vec![READY; answered];
        let shown = stage.down(&[&readies[..], &[READY, CLOSED]].concat());
        assert_eq!(shown, frames(&readies));
        assert!(stage.link.resumes());
        let sent = stage.up(&[PARSE, BIND, EXECUTE, SYNC]);
        let theirs = [PARSE, BIND, EXECUTE, SYNC];
        if answered == 0 {
            assert_eq!(sent, frames(&[&[SKIPS], &theirs[..]].concat()));
            assert_eq!(stage.down(&[ERROR, READY]), frames(&[READY]));
        } else {
            assert_eq!(sent, frames(&theirs));
            stage.down(&[(b'1', b""), (b'2', b""), SELECT, READY]);
        }
        assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    }
}

/// What was asked is answered with what comes next, and not before.
#[test]
fn nothing_waits_for_what_is_not_flushed() {
    let mut stage = Stage::new();
    stage.up(&[(b'Q', b"DISCARD ALL\0")]);
    stage.down(&[(b'C', b"DISCARD ALL\0"), READY]);
    stage.up(&[COPY]);
    stage.down(&[ASKS]);
    stage.up(&[DATA, SYNC]);
    stage.down(&[ERROR, READY]);
    let parse = (b'P', &b"s\0SELECT 1\0\0\0"[..]);
    let made = (b'P', &b"pgveil_s1\0SELECT 1\0\0\0"[..]);
    assert_eq!(stage.up(&[parse, SYNC]), frames(&[CLOSE, made, SYNC]));
    stage.down(&[READY, CLOSED, (b'1', b""), READY]);
    assert_eq!(
        stage.link.rest(),
        Rest::Resting(Residue::SETTINGS | Residue::STATE)
    );
}

/// libpq sends a Sync behind Execute, and another behind the data.
#[test]
fn a_sync_that_is_ignored_closes_nothing() {
    let mut stage = copying(true);
    let sent = stage.up(&[DATA, DONE]);
    assert_eq!(sent, frames(&[DATA, DONE, FLUSH]));
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[(b'C', b"COPY 1\0")]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.up(&[SYNC]);
    stage.down(&[READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
}
