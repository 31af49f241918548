//! The translation of both directions, against servers played by hand.

use super::{Link, Rest, Taken, Upward};
use crate::pooling::{Known, Residue, Routines, Statements};

mod counted;
mod pipelines;

/// Frames: a type byte and a body each.
fn frames(parts: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, body) in parts {
        crate::pooling::statements::head(*tag, body.len(), &mut out);
        out.extend_from_slice(body);
    }
    out
}

struct Stage {
    link: Link,
    known: Known,
    statements: Statements,
    routines: Routines,
}

impl Stage {
    fn new() -> Self {
        Self {
            link: Link::new(),
            known: Known::new(2),
            statements: Statements::default(),
            routines: Routines::default(),
        }
    }

    /// What goes to the server, and what the client hears at once. Fed in pieces of `chunk` bytes.
    fn up_in(&mut self, parts: &[(u8, &[u8])], chunk: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut sent, mut reply, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for piece in frames(parts).chunks(chunk) {
            waiting.extend_from_slice(piece);
            let mut out = Vec::new();
            let mut at = Upward {
                known: &mut self.known,
                statements: &self.statements,
                routines: &self.routines,
            };
            let Taken { used, same, .. } = self
                .link
                .take_client(&waiting, &mut at, &mut out, &mut reply)
                .unwrap();
            if same {
                assert!(out.is_empty());
                sent.extend_from_slice(&waiting[..used]);
            } else {
                sent.extend_from_slice(&out);
            }
            waiting.drain(..used);
        }
        assert!(waiting.is_empty());
        (sent, reply)
    }

    /// What goes to the server before the link has to wait for it; the last of the messages is held back.
    fn up_but_last(&mut self, parts: &[(u8, &[u8])]) -> Vec<u8> {
        let all = frames(parts);
        let (mut out, mut reply) = (Vec::new(), Vec::new());
        let mut at = Upward {
            known: &mut self.known,
            statements: &self.statements,
            routines: &self.routines,
        };
        let taken = self.link.take_client(&all, &mut at, &mut out, &mut reply);
        let Taken { used, same, .. } = taken.unwrap();
        assert!(self.link.waits());
        let last = parts.last().unwrap();
        assert_eq!(used, all.len() - frames(&[*last]).len());
        if same { all[..used].to_vec() } else { out }
    }

    fn up(&mut self, parts: &[(u8, &[u8])]) -> Vec<u8> {
        let (sent, reply) = self.up_in(parts, usize::MAX);
        assert!(reply.is_empty());
        sent
    }

    fn down(&mut self, parts: &[(u8, &[u8])]) -> Vec<u8> {
        let bytes = frames(parts);
        let mut out = Vec::new();
        let taken = self
            .link
            .take_server(
                &bytes,
                &mut self.known,
                &self.statements,
                &mut out,
                |_, _| {},
            )
            .unwrap();
        assert_eq!(taken.used, bytes.len());
        if taken.same { bytes } else { out }
    }

    /// Another connection.
    fn elsewhere(&mut self) {
        assert_eq!(self.link.rest(), Rest::Resting(Residue::NONE));
        self.known = Known::new(2);
        self.link.attached();
    }
}

const PARSE_S: (u8, &[u8]) = (b'P', b"s\0SELECT 1\0\0\0");
const BIND_S: (u8, &[u8]) = (b'B', b"\0s\0\0\0\0\0\0\0");
const EXECUTE: (u8, &[u8]) = (b'E', b"\0\0\0\0\0");
const SYNC: (u8, &[u8]) = (b'S', b"");
const READY: (u8, &[u8]) = (b'Z', b"I");
const SELECT: (u8, &[u8]) = (b'C', b"SELECT 1\0");

#[test]
fn a_statement_is_made_again_where_it_is_missed() {
    for chunk in [1, 3, 7, usize::MAX] {
        let mut stage = Stage::new();
        let (sent, _) = stage.up_in(&[PARSE_S, SYNC], chunk);
        assert_eq!(sent, frames(&[(b'P', b"pgveil_s1\0SELECT 1\0\0\0"), SYNC]));
        assert_eq!(stage.link.rest(), Rest::Busy);
        let shown = stage.down(&[(b'1', b""), READY]);
        assert_eq!(shown, frames(&[(b'1', b""), READY]));
        let used = frames(&[(b'B', b"\0pgveil_s1\0\0\0\0\0\0\0"), EXECUTE, SYNC]);
        let (sent, _) = stage.up_in(&[BIND_S, EXECUTE, SYNC], chunk);
        assert_eq!(sent, used);
        stage.down(&[(b'2', b""), SELECT, READY]);
        stage.elsewhere();
        let (sent, _) = stage.up_in(&[BIND_S, EXECUTE, SYNC], chunk);
        let made = frames(&[(b'P', b"pgveil_s1\0SELECT 1\0\0\0")]);
        assert_eq!(sent, [made, used].concat());
        let shown = stage.down(&[(b'1', b""), (b'2', b""), SELECT, READY]);
        assert_eq!(shown, frames(&[(b'2', b""), SELECT, READY]));
        assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    }
}

#[test]
fn a_statement_that_is_there_is_not_made_twice() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    stage.link = Link::new();
    stage.link.attached();
    let sent = stage.up(&[(b'P', b"mine\0SELECT 1\0\0\0"), SYNC]);
    assert_eq!(sent, frames(&[(b'C', b"Spgveil_s0\0"), SYNC]));
    let shown = stage.down(&[(b'3', b""), READY]);
    assert_eq!(shown, frames(&[(b'1', b""), READY]));
}

#[test]
fn the_oldest_statement_gives_way() {
    let mut stage = Stage::new();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let body = format!("{name}\0SELECT {name}\0\0\0");
        let sent = stage.up(&[(b'P', body.as_bytes()), SYNC]);
        if n == 2 {
            let made = (b'P', &b"pgveil_s3\0SELECT c\0\0\0"[..]);
            assert_eq!(sent, frames(&[(b'C', b"Spgveil_s1\0"), made, SYNC]));
            let shown = stage.down(&[(b'3', b""), (b'1', b""), READY]);
            assert_eq!(shown, frames(&[(b'1', b""), READY]));
        } else {
            stage.down(&[(b'1', b""), READY]);
        }
    }
}

#[test]
fn what_an_error_skipped_did_not_happen() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, BIND_S, EXECUTE, SYNC]);
    stage.down(&[(b'E', b"SERROR\0C42601\0Mno\0\0"), READY]);
    // The name is free again, and the connection does not know the statement.
    let sent = stage.up(&[PARSE_S, SYNC]);
    assert_eq!(sent, frames(&[(b'P', b"pgveil_s1\0SELECT 1\0\0\0"), SYNC]));
    stage.down(&[(b'1', b""), READY]);
    // A Close that was skipped leaves the name.
    stage.up(&[(b'P', b"\0bad\0\0\0"), (b'C', b"Ss\0"), SYNC]);
    stage.down(&[(b'E', b"SERROR\0C42601\0Mno\0\0"), READY]);
    let sent = stage.up(&[BIND_S, SYNC]);
    assert_eq!(sent, frames(&[(b'B', b"\0pgveil_s1\0\0\0\0\0\0\0"), SYNC]));
}

#[test]
fn a_statement_whose_plan_is_out_of_date_is_made_anew() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    stage.up(&[BIND_S, SYNC]);
    stage.down(&[(b'E', b"SERROR\0C0A000\0RRevalidateCachedQuery\0\0"), READY]);
    stage.up(&[(b'C', b"Ss\0"), SYNC]);
    stage.down(&[(b'3', b""), READY]);
    let sent = stage.up(&[PARSE_S, SYNC]);
    assert_eq!(sent, frames(&[(b'P', b"pgveil_s2\0SELECT 1\0\0\0"), SYNC]));
}

#[test]
fn what_is_prepared_under_other_settings_is_another_statement() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    // In a transaction that changes settings for itself: nobody else's.
    let local = (b'Q', &b"BEGIN; SET LOCAL datestyle = 'dmy'\0"[..]);
    stage.up(&[local]);
    stage.down(&[(b'C', b"SET\0"), (b'Z', b"T")]);
    let sent = stage.up(&[(b'P', b"t\0SELECT 1\0\0\0"), SYNC]);
    assert_eq!(sent, frames(&[(b'P', b"pgveil_s2\0SELECT 1\0\0\0"), SYNC]));
    stage.down(&[(b'1', b""), (b'Z', b"T")]);
    stage.up(&[(b'Q', b"COMMIT\0")]);
    stage.down(&[(b'C', b"COMMIT\0"), READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    let sent = stage.up(&[(b'P', b"u\0SELECT 1\0\0\0"), SYNC]);
    assert_eq!(sent, frames(&[(b'C', b"Spgveil_s0\0"), SYNC]));
    stage.down(&[(b'3', b""), READY]);
}

#[test]
fn a_shared_statement_is_not_made_under_other_settings() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    stage.elsewhere();
    let local = (b'Q', &b"BEGIN; SET LOCAL datestyle = 'dmy'\0"[..]);
    stage.up(&[local]);
    stage.down(&[(b'C', b"SET\0"), (b'Z', b"T")]);
    let sent = stage.up(&[BIND_S, SYNC]);
    let made = (b'P', &b"pgveil_s2\0SELECT 1\0\0\0"[..]);
    let bind = (b'B', &b"\0pgveil_s2\0\0\0\0\0\0\0"[..]);
    assert_eq!(sent, frames(&[made, bind, SYNC]));
}

#[test]
fn a_name_that_is_taken_fails_in_the_servers_words() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    let sent = stage.up(&[(b'P', b"s\0SELECT 2\0\0\0"), SYNC]);
    assert_eq!(sent, frames(&[(b'P', b"pgveil_s1\0SELECT 2\0\0\0"), SYNC]));
    let error = b"SERROR\0Mprepared statement \"pgveil_s1\" already exists\0\0";
    let shown = stage.down(&[(b'E', error), READY]);
    let theirs = b"SERROR\0Mprepared statement \"s\" already exists\0\0";
    assert_eq!(shown, frames(&[(b'E', theirs), READY]));
}

#[test]
fn an_unnamed_statement_is_taken_along() {
    let mut stage = Stage::new();
    let parse = (b'P', &b"\0SELECT 2\0\0\0"[..]);
    let bind = (b'B', &b"\0\0\0\0\0\0\0\0"[..]);
    assert_eq!(stage.up(&[parse, SYNC]), frames(&[parse, SYNC]));
    stage.down(&[(b'1', b""), READY]);
    stage.elsewhere();
    let sent = stage.up(&[bind, EXECUTE, SYNC]);
    assert_eq!(sent, frames(&[parse, bind, EXECUTE, SYNC]));
    let shown = stage.down(&[(b'1', b""), (b'2', b""), SELECT, READY]);
    assert_eq!(shown, frames(&[(b'2', b""), SELECT, READY]));
    // A Query drops it.
    stage.up(&[(b'Q', b"SELECT 1\0")]);
    stage.down(&[SELECT, READY]);
    stage.elsewhere();
    // Somebody else's may be there: then it is none.
    let close = (b'C', &b"S\0"[..]);
    assert_eq!(stage.up(&[bind, SYNC]), frames(&[close, bind, SYNC]));
    let none = (b'E', &b"SERROR\0C26000\0Mno\0\0"[..]);
    let shown = stage.down(&[(b'3', b""), none, READY]);
    assert_eq!(shown, frames(&[none, READY]));
    assert_eq!(stage.up(&[bind, SYNC]), frames(&[bind, SYNC]));
    stage.down(&[none, READY]);
    // What an error skipped did not happen: it is asked for again.
    stage.elsewhere();
    let bad = (b'P', &b"s\0bad\0\0\0"[..]);
    stage.up(&[bad, (b'D', b"S\0"), SYNC]);
    stage.down(&[none, READY]);
    assert_eq!(
        stage.up(&[(b'D', b"S\0"), SYNC]),
        frames(&[close, (b'D', b"S\0"), SYNC])
    );
}

#[test]
fn constants_that_stand_for_a_time_are_read_for_their_client_alone() {
    let mut stage = Stage::new();
    let parse = (b'P', &b"s\0SELECT 'Now'::timestamp\0\0\0"[..]);
    stage.up(&[parse, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    stage.link = Link::new();
    let sent = stage.up(&[parse, SYNC]);
    let own = b"pgveil_s2\0SELECT 'Now'::timestamp\0\0\0";
    assert_eq!(sent, frames(&[(b'P', own), SYNC]));
}

#[test]
fn nobody_reaches_anothers_statement_by_its_name_upstream() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    stage.link = Link::new();
    for (mine, sent) in [
        (
            (b'B', &b"\0pgveil_s1\0\0\0\0\0\0\0"[..]),
            &b"\0pgveil_s0\0\0\0\0\0\0\0"[..],
        ),
        ((b'D', b"Spgveil_s1\0"), b"Spgveil_s0\0"),
        ((b'C', b"Spgveil_s1\0"), b"Spgveil_s0\0"),
    ] {
        assert_eq!(stage.up(&[mine]), frames(&[(mine.0, sent)]));
    }
}

#[test]
fn deallocate_by_sql_is_answered_here() {
    let mut stage = Stage::new();
    stage.up(&[PARSE_S, SYNC]);
    stage.down(&[(b'1', b""), READY]);
    let (sent, reply) = stage.up_in(&[(b'Q', b"DEALLOCATE \"s\"\0")], 5);
    assert!(sent.is_empty());
    assert_eq!(reply, frames(&[(b'C', b"DEALLOCATE\0"), READY]));
    // What is not the protocol's is PostgreSQL's business.
    let query = (b'Q', &b"DEALLOCATE s\0"[..]);
    assert_eq!(stage.up(&[query]), frames(&[query]));
}

#[test]
fn syncs_inside_a_copy_are_not_answered() {
    let copy = (b'Q', &b"COPY t FROM STDIN\0"[..]);
    let (data, done) = ((b'd', &b"1\n"[..]), (b'c', &b""[..]));
    let asks = (b'G', &b"\0\0\0"[..]);
    // Simple, in order.
    let mut stage = Stage::new();
    stage.up(&[copy]);
    stage.down(&[asks]);
    stage.up(&[data, done]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[(b'C', b"COPY 1\0"), READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    // Extended: the first Sync is eaten by the copy.
    let parse = (b'P', &b"\0COPY t FROM STDIN\0\0\0"[..]);
    let bind = (b'B', &b"\0\0\0\0\0\0\0\0"[..]);
    stage.up(&[parse, bind, EXECUTE, SYNC]);
    stage.down(&[(b'1', b""), (b'2', b""), asks]);
    stage.up(&[data, SYNC, done, SYNC]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[(b'C', b"COPY 1\0"), READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    // Everything ahead of the server's asking.
    stage.up(&[parse, bind, EXECUTE, data, done, SYNC]);
    stage.down(&[(b'1', b""), (b'2', b""), asks, (b'C', b"COPY 1\0")]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    // Behind a Query or a Sync data wait for it.
    stage.up_but_last(&[copy, data]);
    stage.down(&[asks]);
    assert!(stage.link.resumes());
    stage.up(&[data, SYNC, done]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[(b'C', b"COPY 1\0"), READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    // A copy that fails is answered once, whatever of its data comes after that.
    let error = (b'E', &b"SERROR\0\0"[..]);
    stage.up(&[copy]);
    stage.down(&[asks]);
    stage.up(&[data]);
    stage.down(&[error, READY]);
    stage.up(&[data, done]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    stage.up(&[parse, bind, EXECUTE, (b'H', b"")]);
    stage.down(&[(b'1', b""), (b'2', b""), asks]);
    stage.up(&[data]);
    stage.down(&[error]);
    stage.up(&[data, done, SYNC]);
    stage.down(&[READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
}

#[test]
fn a_transaction_and_what_is_owed_keep_it_busy() {
    let mut stage = Stage::new();
    let query = (b'Q', &b"SELECT 1\0"[..]);
    stage.up(&[query, query]);
    stage.down(&[SELECT, READY]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.down(&[SELECT, (b'Z', b"T")]);
    assert_eq!(stage.link.rest(), Rest::Busy);
    stage.up(&[(b'H', b"")]);
    stage.up(&[query]);
    stage.down(&[(b'3', b""), SELECT, READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::NONE));
    stage.up(&[(b'P', b"\0SELECT 1\0\0\0"), (b'H', b"")]);
    assert_eq!(stage.link.rest(), Rest::Busy);
}

#[test]
fn settings_that_hide_words_keep_the_session() {
    let mut stage = Stage::new();
    stage.up(&[(b'Q', b"SET standard_conforming_strings = off\0")]);
    stage.down(&[
        (b'S', b"standard_conforming_strings\0off\0"),
        (b'C', b"SET\0"),
        READY,
    ]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::SETTINGS));
    stage.link.settled();
    stage.up(&[(b'Q', b"SELECT '\\' + set_config('\0")]);
    stage.down(&[SELECT, READY]);
    assert_eq!(stage.link.rest(), Rest::Resting(Residue::UNSEEN));
}

#[test]
fn an_answer_nobody_waits_for_ends_it() {
    for stray in [(b'1', &b""[..]), (b'3', b""), (b'Z', b"I")] {
        let mut stage = Stage::new();
        let bytes = frames(&[stray]);
        assert!(
            stage
                .link
                .take_server(
                    &bytes,
                    &mut stage.known,
                    &stage.statements,
                    &mut Vec::new(),
                    |_, _| {}
                )
                .is_err()
        );
    }
}
