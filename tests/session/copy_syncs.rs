//! Syncs among the data of a COPY: PostgreSQL ignores those that it reads while it copies, and answers those
//! that come behind what failed. How many these are is seen by what comes up to an answer that is known from
//! theirs.

use super::client::Client;
use super::wire::{SYNC, Sent, clients, told};

/// What a client does.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// Sends these in one write.
    Say(&'a [Sent<'a>]),
    /// Reads up to the next message of this type.
    Hear(u8),
}

use Step::{Hear, Say};

const COPY: Sent<'_> = (b'Q', b"COPY sink FROM STDIN\0");
const PARSE: Sent<'_> = (b'P', b"\0COPY sink FROM STDIN\0\0\0");
const BIND: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
const RUN: Sent<'_> = (b'E', b"\0\0\0\0\0");
const FLUSH: Sent<'_> = (b'H', b"");
const DATA: Sent<'_> = (b'd', b"1\tone\n");
const BAD: Sent<'_> = (b'd', b"x\tone\n");
const DONE: Sent<'_> = (b'c', b"");
const FAIL: Sent<'_> = (b'f', b"no\0");
const SELECT: Sent<'_> = (b'Q', b"SELECT 6\0");
const PARSE_SELECT: Sent<'_> = (b'P', b"\0SELECT 7\0\0\0");
const NAMED: Sent<'_> = (b'P', b"s\0SELECT 8\0\0\0");
const BIND_NAMED: Sent<'_> = (b'B', b"\0s\0\0\0\0\0\0\0");
/// Its row is the last thing that a conversation asks for.
const LAST: Sent<'_> = (b'Q', b"SELECT 4242\0");

fn heard(client: &mut Client, steps: &[Step<'_>]) -> Vec<String> {
    let mut heard = Vec::new();
    for step in steps {
        match step {
            Say(messages) => client.send_at_once(messages),
            Hear(kind) => loop {
                let message = client.receive().unwrap();
                heard.push(told(&message));
                if message.kind == *kind {
                    break;
                }
            },
        }
    }
    client.send(LAST.0, LAST.1);
    let last = "D [Some([52, 50, 52, 50])]";
    while heard.last().is_none_or(|text| text != last) {
        match client.receive() {
            Ok(message) => heard.push(told(&message)),
            Err(error) => {
                heard.push(format!("CLOSED {error}"));
                return heard;
            }
        }
    }
    heard.extend(client.until_ready().iter().map(told));
    heard
}

/// One client on each road; the first is PostgreSQL's own.
struct Clients([(&'static str, Client); 5]);

impl Clients {
    #[track_caller]
    fn agree(&mut self, steps: &[Step<'_>]) {
        let [(_, direct), rest @ ..] = &mut self.0;
        let expected = heard(direct, steps);
        for (name, client) in rest {
            assert_eq!(heard(client, steps), expected, "{name}");
        }
    }

    /// What follows on each beginning, with all ended behind it.
    #[track_caller]
    fn agree_after(&mut self, steps: &[Step<'_>]) {
        for beginning in BEGINNINGS {
            let all: Vec<_> = beginning.iter().chain(steps).chain(END).copied().collect();
            self.agree(&all);
        }
    }
}

/// Behind each of these PostgreSQL waits for data.
const BEGINNINGS: [&[Step<'_>]; 4] = [
    &[Say(&[COPY]), Hear(b'G')],
    &[
        Say(&[(b'Q', b"BEGIN\0")]),
        Hear(b'Z'),
        Say(&[COPY]),
        Hear(b'G'),
    ],
    &[Say(&[PARSE, BIND, RUN, FLUSH]), Hear(b'G')],
    &[Say(&[PARSE, BIND, RUN, SYNC]), Hear(b'G')],
];

const END: &[Step<'_>] = &[Say(&[SYNC, (b'Q', b"ROLLBACK\0"), (b'C', b"Ss\0"), SYNC])];

#[test]
fn each_is_answered_that_stands_behind_what_fails() {
    let mut clients = Clients(clients());
    let conversations: [&[Sent<'_>]; 10] = [
        &[BAD, SYNC],
        &[BAD, DATA, SYNC, SYNC],
        &[BAD, SYNC, DATA, SYNC, DATA],
        &[SYNC, BAD, SYNC, DONE],
        &[SYNC, DATA, SYNC, BAD, SYNC, DONE, SYNC],
        &[SYNC, SYNC, BAD, DATA, DONE],
        &[BAD, SYNC, DONE, SYNC],
        &[DATA, SYNC, DATA, SYNC, DONE],
        &[DATA, SYNC, FAIL, SYNC],
        &[BAD, SYNC, FAIL, SYNC],
    ];
    for sent in conversations {
        clients.agree_after(&[Say(sent)]);
        let each: Vec<_> = sent.iter().map(std::slice::from_ref).map(Say).collect();
        clients.agree_after(&each);
    }
}

#[test]
fn a_sync_may_come_before_or_after_the_error_is_told() {
    let mut clients = Clients(clients());
    clients.agree_after(&[Say(&[BAD]), Hear(b'E'), Say(&[SYNC, DATA])]);
    clients.agree_after(&[
        Say(&[SYNC, BAD, DATA]),
        Hear(b'E'),
        Say(&[DATA, SYNC, DONE, SYNC]),
    ]);
    clients.agree_after(&[
        Say(&[DATA, SYNC, BAD, SYNC]),
        Hear(b'E'),
        Hear(b'Z'),
        Say(&[DONE, SYNC]),
    ]);
}

#[test]
fn what_comes_behind_is_run_or_skipped() {
    let mut clients = Clients(clients());
    let behind: [&[Sent<'_>]; 5] = [
        &[PARSE_SELECT, BIND, RUN, SYNC],
        &[NAMED, SYNC, BIND_NAMED, RUN, SYNC],
        &[SELECT, SYNC, SELECT],
        &[SYNC, NAMED, BIND_NAMED, RUN, SYNC, SELECT],
        &[DATA, SYNC, NAMED, SYNC, BIND_NAMED, RUN, SYNC],
    ];
    for behind in behind {
        for first in [&[BAD, SYNC][..], &[SYNC, BAD], &[SYNC, BAD, DONE]] {
            let sent = [first, behind].concat();
            clients.agree_after(&[Say(&sent)]);
            clients.agree_after(&[Say(first), Hear(b'E'), Say(behind)]);
        }
        clients.agree_after(&[Say(&[SYNC, DATA, DONE]), Say(behind)]);
    }
}

/// No data is read: the Syncs before it are answered.
#[test]
fn a_copy_that_fails_before_its_data_answers_all() {
    let mut clients = Clients(clients());
    let simple: Sent<'_> = (b'Q', b"COPY stopped FROM STDIN\0");
    let parse: Sent<'_> = (b'P', b"\0COPY stopped FROM STDIN\0\0\0");
    clients.agree(&[Say(&[simple, SYNC, DATA, SYNC, DONE])]);
    clients.agree(&[Say(&[simple, SYNC, SYNC, SELECT])]);
    clients.agree(&[Say(&[parse, BIND, RUN, SYNC, DATA, SYNC, DONE, SYNC])]);
    clients.agree(&[Say(&[parse, BIND, RUN, SYNC, SYNC, SELECT])]);
}

#[test]
fn all_of_it_may_come_at_once() {
    let mut clients = Clients(clients());
    for start in [&[COPY][..], &[PARSE, BIND, RUN], &[PARSE, BIND, RUN, SYNC]] {
        for data in [
            &[BAD, SYNC, DATA, SYNC][..],
            &[DATA, SYNC, BAD, SYNC, DONE, SYNC, SELECT],
            &[BAD, DATA, DONE, SYNC, SELECT],
            &[BAD, SYNC, NAMED, BIND_NAMED, RUN, SYNC, SELECT],
            &[BAD, SYNC, SELECT, SYNC],
            &[SYNC, DATA, SYNC, DONE, SYNC, SELECT],
        ] {
            clients.agree(&[Say(&[start, data].concat())]);
        }
    }
}
