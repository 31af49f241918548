//! Message by message: the same conversation with PostgreSQL itself, through the proxy as an
//! unrestricted role and as a restricted one, over connections of their own and over lent ones, must
//! have the same answers in the same order.

use std::sync::OnceLock;

use pgveil::server::config::PoolMode;

use super::client::{Client, Message};
use super::stage::{Another, PASSWORD, PATIENCE, Stage};

/// One client message: type and body.
pub(super) type Sent<'a> = (u8, &'a [u8]);

pub(super) const SYNC: Sent<'_> = (b'S', b"");
const FLUSH: Sent<'_> = (b'H', b"");

/// What was received, without what may differ: the type; of some, what they say.
pub(super) fn told(message: &Message) -> String {
    let text = |body: &[u8]| {
        String::from_utf8_lossy(body)
            .trim_end_matches('\0')
            .to_owned()
    };
    match message.kind {
        b'E' => format!("E {}", message.error()[0]),
        b'C' | b'Z' => format!("{} {}", char::from(message.kind), text(&message.body)),
        b'D' => format!("D {:?}", message.values()),
        b't' => format!("t {:?}", message.body),
        kind => char::from(kind).to_string(),
    }
}

/// How a client's messages reach the proxy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writes {
    Each,
    Together,
}

/// Sends everything, then reads up to as many ReadyForQuery as there are Syncs and Queries.
pub(super) fn converse(client: &mut Client, writes: Writes, sent: &[Sent<'_>]) -> Vec<String> {
    match writes {
        Writes::Together => client.send_at_once(sent),
        Writes::Each => {
            for (kind, body) in sent {
                client.send(*kind, body);
            }
        }
    }
    let ready = sent
        .iter()
        .filter(|(kind, _)| matches!(kind, b'S' | b'Q' | b'F'))
        .count();
    hear(client, ready)
}

/// Reads up to so many ReadyForQuery, or the end.
pub(super) fn hear(client: &mut Client, ready: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..ready {
        heard.extend(client.until_ready().iter().map(told));
        if heard.last().is_some_and(|last| last == "E CLOSED") {
            break;
        }
    }
    heard
}

/// A proxy that lends connections. It lives as long as the tests do.
pub(super) fn lending() -> &'static Another {
    static LENDING: OnceLock<Another> = OnceLock::new();
    LENDING.get_or_init(|| {
        Stage::shared().another(|config| {
            config.pool.mode = PoolMode::Transaction;
            config.pool.queue_timeout = PATIENCE;
        })
    })
}

/// The road of PostgreSQL itself is the first.
pub(super) fn clients() -> [(&'static str, Client); 5] {
    clients_of(lending())
}

/// The same with a proxy that lends.
fn clients_of(lending: &Another) -> [(&'static str, Client); 5] {
    let stage = Stage::shared();
    let open = |addr, user| Client::connect(addr, user, PASSWORD, "stage").unwrap();
    [
        ("PostgreSQL", open(stage.cluster.address(), "stage_login")),
        ("app", open(stage.addr, "app")),
        ("support", open(stage.addr, "support")),
        ("app, lent", open(lending.addr, "app")),
        ("support, lent", open(lending.addr, "support")),
    ]
}

#[track_caller]
pub(super) fn agree(conversations: &[&[Sent<'_>]]) {
    agree_over(lending(), conversations);
}

/// The same, for what depends on which connection is lent: where a statement has to be prepared again in an
/// aborted transaction, that is the error.
#[track_caller]
pub(super) fn agree_over(lending: &Another, conversations: &[&[Sent<'_>]]) {
    for writes in [Writes::Each, Writes::Together] {
        let mut heard = clients_of(lending).map(|(name, mut client)| {
            let all = conversations.iter();
            let heard: Vec<_> = all.map(|c| converse(&mut client, writes, c)).collect();
            (name, heard)
        });
        let [(_, expected), rest @ ..] = &mut heard;
        for (name, heard) in rest {
            for ((heard, expected), sent) in heard.iter().zip(&*expected).zip(conversations) {
                let show = |(kind, body): &Sent<'_>| {
                    format!("{} {}", char::from(*kind), body.escape_ascii())
                };
                let sent: Vec<_> = sent.iter().map(show).collect();
                assert_eq!(heard, expected, "{name}, {writes:?}, {sent:#?}");
            }
        }
    }
}

#[test]
fn simple_queries() {
    agree(&[
        &[(b'Q', b"SELECT 1\0")],
        &[(b'Q', b"\0")],
        &[(b'Q', b"  -- nothing\n ; \0")],
        &[(b'Q', b"SELECT 1; SELECT 2, NULL; SELECT 3 WHERE false\0")],
        &[(b'Q', b"SELECT 1; SELECT 1/0; SELECT 3\0")],
        &[
            (b'Q', b"BEGIN; SELECT 1\0"),
            (b'Q', b"SELECT 1/0\0"),
            (b'Q', b"SELECT 1\0"),
        ],
        &[(b'Q', b"COMMIT\0"), (b'Q', b"SELECT 4\0")],
        &[(b'Q', b"SELEC 1\0")],
        &[(b'Q', b"SELECT nothing FROM people\0")],
        &[(b'Q', b"SELECT 1 FROM nowhere\0")],
    ]);
}

#[test]
fn the_extended_protocol() {
    let bind: Sent<'_> = (b'B', b"\0s\0\0\0\0\x01\0\0\0\x012\0\0");
    agree(&[
        &[
            (
                b'P',
                b"s\0SELECT $1::int + 40, city FROM people WHERE id = $1::int\0\0\0",
            ),
            (b'D', b"Ss\0"),
            bind,
            (b'D', b"P\0"),
            (b'E', b"\0\0\0\0\0"),
            SYNC,
        ],
        // The same name again, with the rest of the pipeline skipped.
        &[
            (b'P', b"s\0SELECT 1\0\0\0"),
            bind,
            (b'E', b"\0\0\0\0\0"),
            SYNC,
        ],
        &[bind, (b'E', b"\0\0\0\0\0"), SYNC],
        &[
            (b'C', b"Ss\0"),
            (b'C', b"Snothing\0"),
            (b'C', b"Pnothing\0"),
            SYNC,
        ],
        &[bind, SYNC],
        &[(b'D', b"Snothing\0"), SYNC],
        &[(b'D', b"Pnothing\0"), SYNC],
        &[(b'E', b"nothing\0\0\0\0\0"), SYNC],
        &[(b'P', b"\0SELECT 1; SELECT 2\0\0\0"), SYNC],
        &[
            (b'P', b"\0\0\0\0"),
            (b'B', b"\0\0\0\0\0\0\0\0"),
            (b'E', b"\0\0\0\0\0"),
            SYNC,
        ],
    ]);
}

/// The statement is made once; what it names is made again.
#[test]
fn what_is_prepared_means_the_name_when_it_is_executed() {
    let bind: Sent<'_> = (b'B', b"\0gone\0\0\0\0\0\0");
    let execute: Sent<'_> = (b'E', b"\0\0\0\0\0");
    let make: Sent<'_> = (b'Q', b"PREPARE zz (int) AS SELECT $1 + 1\0");
    let ask: Sent<'_> = (b'Q', b"EXECUTE zz (1)\0");
    agree(&[
        &[make],
        &[(b'P', b"gone\0DEALLOCATE zz\0\0\0"), bind, execute, SYNC],
        &[ask],
        &[make, ask],
        &[bind, execute, SYNC],
        &[bind, execute, SYNC],
        &[make, ask],
        &[bind, execute, SYNC],
        &[ask],
    ]);
    let bind: Sent<'_> = (b'B', b"\0shut\0\0\0\0\0\0");
    let open: Sent<'_> = (b'Q', b"DECLARE c CURSOR FOR SELECT 7\0");
    let fetch: Sent<'_> = (b'Q', b"FETCH c\0");
    agree(&[
        &[(b'Q', b"BEGIN\0"), open],
        &[(b'P', b"shut\0CLOSE c\0\0\0"), bind, execute, SYNC],
        &[open, fetch],
        &[bind, execute, SYNC],
        &[(b'Q', b"ROLLBACK; BEGIN\0"), open],
        &[bind, execute, SYNC],
        &[bind, execute, SYNC],
        &[(b'Q', b"ROLLBACK\0")],
    ]);
}

#[test]
fn what_depends_on_an_answer_may_come_before_it() {
    let parse: Sent<'_> = (b'P', b"s\0SELECT 1\0\0\0");
    let bind: Sent<'_> = (b'B', b"\0s\0\0\0\0\0\0");
    let run: Sent<'_> = (b'E', b"\0\0\0\0\0");
    let (describe, close): (Sent<'_>, Sent<'_>) = ((b'D', b"Ss\0"), (b'C', b"Ss\0"));
    let unnamed: Sent<'_> = (b'P', b"\0SELECT 1\0\0\0");
    agree(&[
        &[parse, SYNC, bind, run, SYNC, describe, SYNC, close, SYNC],
        &[
            parse, SYNC, close, SYNC, parse, SYNC, parse, SYNC, describe, SYNC,
        ],
        &[unnamed, SYNC, (b'B', b"\0\0\0\0\0\0\0\0"), run, SYNC],
        &[(b'Q', b"DISCARD ALL\0"), parse, SYNC, bind, run, SYNC],
        &[(b'Q', b"PREPARE t AS SELECT 2\0"), (b'Q', b"EXECUTE t\0")],
        &[
            (b'Q', b"SET search_path = c\0"),
            (b'Q', b"SHOW search_path\0"),
        ],
    ]);
}

/// A statement that a connection has already is not made again, and yet fails where it could not be made.
#[test]
fn what_is_there_already_cannot_be_prepared_in_an_aborted_transaction() {
    let parse: Sent<'_> = (b'P', b"s\0SELECT 1\0\0\0");
    let close: Sent<'_> = (b'C', b"Ss\0");
    let (begin, fails): (Sent<'_>, Sent<'_>) = ((b'Q', b"BEGIN\0"), (b'Q', b"SELECT 1/0\0"));
    let back: Sent<'_> = (b'P', b"s\0ROLLBACK\0\0\0");
    let (bind, run): (Sent<'_>, Sent<'_>) = ((b'B', b"\0s\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\0"));
    agree(&[
        &[parse, SYNC, close, SYNC, back, SYNC, close, SYNC],
        &[begin, parse, SYNC, close, SYNC, fails, parse, SYNC],
        &[parse, SYNC],
        &[back, bind, run, SYNC, close, SYNC],
        &[parse, close, parse, bind, run, SYNC],
    ]);
}

#[test]
fn a_portals_name_is_free_when_its_transaction_is_over() {
    let parse: Sent<'_> = (b'P', b"s\0SELECT id FROM people ORDER BY id\0\0\0");
    let bind: Sent<'_> = (b'B', b"p\0s\0\0\0\0\0\0\0");
    let one: Sent<'_> = (b'E', b"p\0\0\0\0\x01");
    agree(&[
        &[parse, bind, one, SYNC, bind, one, one, SYNC, one, SYNC],
        &[(b'Q', b"BEGIN\0"), bind, one, SYNC, bind, SYNC],
        &[(b'Q', b"ROLLBACK\0"), bind, bind, SYNC, bind, one, SYNC],
        // In a block it is there as long as that is, whatever else has been asked for meanwhile.
        &[(b'Q', b"BEGIN\0"), bind, SYNC],
        &[(b'D', b"Ss\0"), bind, SYNC, (b'Q', b"COMMIT\0")],
    ]);
}

#[test]
fn a_portal_that_could_not_be_bound_is_described_as_postgresql_does() {
    let bad: Sent<'_> = (b'B', b"\0\0\0\0\0\x01\0\0\0\x01x\0\0");
    agree(&[
        &[(b'Q', b"BEGIN\0")],
        &[
            (b'P', b"\0SELECT id FROM people WHERE id = $1\0\0\0"),
            bad,
            SYNC,
            (b'D', b"P\0"),
            SYNC,
        ],
        &[(b'Q', b"ROLLBACK\0"), (b'Q', b"SELECT 1\0")],
    ]);
}

#[test]
fn portals_with_row_limits_live_as_long_as_their_transaction() {
    let bind: Sent<'_> = (b'B', b"p\0s\0\0\0\0\0\0\0");
    let two: Sent<'_> = (b'E', b"p\0\0\0\0\x02");
    agree(&[
        &[
            (b'P', b"s\0SELECT id FROM people ORDER BY id\0\0\0"),
            bind,
            two,
            two,
            two,
            SYNC,
        ],
        &[two, SYNC],
        &[(b'Q', b"BEGIN\0"), bind, two, SYNC, two, SYNC, bind, SYNC],
        &[
            (b'Q', b"ROLLBACK\0"),
            bind,
            two,
            (b'C', b"Pp\0"),
            bind,
            two,
            SYNC,
        ],
    ]);
}

#[test]
fn an_error_discards_until_sync_and_not_further() {
    let bind: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
    let run: Sent<'_> = (b'E', b"\0\0\0\0\0");
    agree(&[
        &[
            (b'P', b"\0SELECT 1/0\0\0\0"),
            bind,
            run,
            (b'P', b"\0SELECT 7\0\0\0"),
            bind,
            run,
            (b'C', b"Sx\0"),
            SYNC,
            (b'P', b"\0SELECT 8\0\0\0"),
            bind,
            run,
            SYNC,
        ],
        &[
            (b'P', b"a\0SELECT 1\0\0\0"),
            (b'P', b"b\0SELECT nothing FROM people\0\0\0"),
            (b'P', b"c\0SELECT 1\0\0\0"),
            SYNC,
        ],
        // `a` was made before the error and outlives it; `c` was skipped.
        &[(b'D', b"Sa\0"), SYNC, (b'D', b"Sc\0"), SYNC],
    ]);
}

#[test]
fn flush_brings_what_is_due_without_ending_anything() {
    for (name, mut client) in clients() {
        client.send(b'P', b"\0SELECT 1\0\0\0");
        client.send(b'D', b"S\0");
        client.send(FLUSH.0, FLUSH.1);
        let kinds: Vec<u8> = (0..3).map(|_| client.receive().unwrap().kind).collect();
        assert_eq!(kinds, b"1tT", "{name}");
        client.send(b'P', b"\0SELECT nothing FROM people\0\0\0");
        client.send(FLUSH.0, FLUSH.1);
        assert_eq!(told(&client.receive().unwrap()), "E 42703", "{name}");
        // Discarded: after an error only Sync counts.
        client.send(b'Q', b"SELECT 1\0");
        assert_eq!(
            converse(&mut client, Writes::Each, &[SYNC]),
            ["Z I"],
            "{name}"
        );
    }
}

#[test]
fn a_refusal_is_an_error_like_any_other() {
    let mut client = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    client.send(b'P', b"\0DO $$ BEGIN END $$\0\0\0");
    client.send(FLUSH.0, FLUSH.1);
    assert_eq!(client.receive().unwrap().kind, b'E');
    client.send(b'B', b"\0\0\0\0\0\0\0\0");
    assert_eq!(converse(&mut client, Writes::Each, &[SYNC]), ["Z I"]);
    // The fast path is refused, and answered as PostgreSQL answers its errors.
    let call = b"\0\0\0\x01\0\0\0\0\0\0";
    assert_eq!(
        converse(&mut client, Writes::Each, &[(b'F', call)]),
        ["E 42501", "Z I"]
    );
    assert_eq!(
        converse(
            &mut client,
            Writes::Each,
            &[(b'Q', b"BEGIN\0"), (b'F', call)]
        )[2..],
        ["E 42501", "Z E"]
    );
    assert_eq!(
        converse(&mut client, Writes::Each, &[(b'Q', b"ROLLBACK\0")]),
        ["C ROLLBACK", "Z I"]
    );
}

#[test]
fn a_malformed_message_is_an_error_like_any_other() {
    let parse = (b'P', &b"\0SELECT 1\0\0\0"[..]);
    let query = (b'Q', &b"SELECT 2\0"[..]);
    agree(&[
        &[(b'Q', b"no end"), query],
        &[(b'Q', b"SELECT 1\0more\0"), query],
        // Cut off in the middle.
        &[parse, (b'B', b"\0\0\0\x05"), SYNC],
        // Two formats for no parameter.
        &[parse, (b'B', b"\0\0\0\x02\0\0\0\0\0\0\0\0"), SYNC],
        &[(b'D', b"x\0"), SYNC],
        &[(b'E', b"\0\0\0\0\0\0"), SYNC],
        &[(b'C', b"x\0"), SYNC],
        // What comes behind an error is not looked at.
        &[(b'P', b"\0SELEC\0\0\0"), (b'B', b"\0\0\0\x05"), SYNC],
        &[query],
    ]);
}

/// Whoever cancels takes the end of that connection for the sign that it is done.
#[test]
fn a_cancel_request_that_is_over_cancels_nothing_more() {
    for (name, mut client) in clients() {
        for _ in 0..30 {
            client.cancel();
            let sent = [(
                b'Q',
                &b"SELECT count(*) FROM generate_series(1, 20000)\0"[..],
            )];
            assert_eq!(
                converse(&mut client, Writes::Each, &sent).last().unwrap(),
                "Z I",
                "{name}"
            );
            let again = converse(&mut client, Writes::Each, &sent);
            assert!(!again.contains(&"E 57014".to_owned()), "{name}: {again:?}");
        }
    }
}

#[test]
fn a_message_of_no_known_type_ends_the_session() {
    let stage = Stage::shared();
    let mut client = Client::connect(stage.addr, "support", PASSWORD, "stage").unwrap();
    client.send(b'z', b"");
    assert_eq!(told(&client.receive().unwrap()), "E 08P01");
    assert!(client.receive().is_err());
}

#[test]
fn an_unnamed_statement_that_cannot_be_made_drops_the_one_before() {
    let bind = (b'B', &b"\0\0\0\0\0\0\0\0"[..]);
    let execute = (b'E', &b"\0\0\0\0\0"[..]);
    agree(&[
        &[(b'P', b"\0SELECT 7\0\0\0"), SYNC],
        &[bind, execute, SYNC],
        &[(b'P', b"\0SELEC\0\0\0"), SYNC],
        &[bind, execute, SYNC],
        &[(b'P', b"\0SELECT 8\0\0\0"), bind, execute, SYNC],
    ]);
}

#[test]
fn a_query_drops_what_has_no_name() {
    let bind: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
    let execute: Sent<'_> = (b'E', b"\0\0\0\0\0");
    let (statement, portal): (Sent<'_>, Sent<'_>) = ((b'D', b"S\0"), (b'D', b"P\0"));
    let parse: Sent<'_> = (b'P', b"\0SELECT 7\0\0\0");
    let (begin, back): (Sent<'_>, Sent<'_>) = ((b'Q', b"BEGIN\0"), (b'Q', b"ROLLBACK\0"));
    for query in [
        &b"SELECT 1\0"[..],
        b"\0",
        b"SELEC\0",
        b"SELECT 1/0\0",
        b"SELECT nothing FROM people\0",
        b"PREPARE other AS SELECT 2; DEALLOCATE other\0",
    ] {
        let query: Sent<'_> = (b'Q', query);
        agree(&[
            &[parse, SYNC, query, bind, execute, SYNC],
            &[parse, query, statement, SYNC],
            &[
                parse, SYNC, query, parse, bind, execute, SYNC, statement, SYNC,
            ],
            &[
                begin, parse, bind, SYNC, query, portal, SYNC, statement, SYNC, back,
            ],
            &[begin, parse, bind, query, execute, SYNC, back],
        ]);
    }
}

/// PostgreSQL crashes when it is to execute what is left of a string that failed: it is not asked to.
#[test]
fn nothing_is_executed_of_a_string_that_failed() {
    let (parse, bind): (Sent<'_>, Sent<'_>) = (
        (b'P', b"\0SELECT city FROM people\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
    );
    let run: Sent<'_> = (b'E', b"\0\0\0\0\0");
    let fails: Sent<'_> = (b'Q', b"SELECT 1 / (id - 2) FROM people ORDER BY id\0");
    let sent = [
        (b'Q', &b"BEGIN\0"[..]),
        parse,
        bind,
        SYNC,
        fails,
        run,
        SYNC,
        (b'Q', b"ROLLBACK\0"),
    ];
    for addr in [Stage::shared().addr, lending().addr] {
        for writes in [Writes::Each, Writes::Together] {
            let mut client = Client::connect(addr, "support", PASSWORD, "stage").unwrap();
            let heard = converse(&mut client, writes, &sent);
            let (before, last) = heard.split_at(heard.len() - 4);
            assert_eq!(last, ["E 25P02", "Z E", "C ROLLBACK", "Z I"], "{writes:?}");
            assert_eq!(before.last().unwrap(), "Z E", "{writes:?}");
        }
    }
}

#[test]
fn a_cursor_of_sql_is_described_as_a_portal() {
    agree(&[
        &[(
            b'Q',
            b"BEGIN; DECLARE c CURSOR FOR SELECT city, id FROM people ORDER BY id\0",
        )],
        &[(b'D', b"Pc\0"), SYNC],
        &[(b'Q', b"FETCH 2 FROM c\0"), (b'Q', b"COMMIT\0")],
        &[(b'D', b"Pc\0"), SYNC],
    ]);
}

#[test]
fn a_cursor_of_sql_does_not_take_the_place_of_another() {
    let declare: Sent<'_> = (b'Q', b"DECLARE c CURSOR FOR SELECT 7\0");
    let hold: Sent<'_> = (b'Q', b"DECLARE h CURSOR WITH HOLD FOR SELECT 8\0");
    let fetch: Sent<'_> = (b'Q', b"FETCH h\0");
    agree(&[
        &[(b'Q', b"BEGIN; DECLARE c CURSOR FOR SELECT 6\0"), declare],
        &[(b'Q', b"ROLLBACK; BEGIN\0"), declare, (b'Q', b"COMMIT\0")],
        &[hold, hold, fetch, (b'Q', b"CLOSE h\0"), hold, fetch],
        &[
            (
                b'Q',
                b"DECLARE h CURSOR WITH HOLD FOR SELECT nothing FROM people\0",
            ),
            fetch,
        ],
    ]);
}

#[test]
fn what_connection_pools_send_to_reset_a_session() {
    agree(&[
        &[(b'Q', b"UNLISTEN *\0"), (b'Q', b"RESET ALL\0")],
        &[(b'Q', b"CLOSE ALL; UNLISTEN *; RESET ALL;\0")],
        &[(b'Q', b"DISCARD ALL\0"), (b'Q', b"DEALLOCATE ALL\0")],
    ]);
}

#[test]
fn what_a_failed_string_did_is_undone_before_the_next_is_planned() {
    // Enough rows for the first statement's end to come long before the error.
    let text = b"SET search_path = c; SELECT repeat('x', 100) FROM generate_series(1, 20000); \
                 SELECT 1/0\0";
    for (name, mut client) in clients() {
        client.send(b'Q', text);
        client.send(b'Q', b"SHOW search_path\0");
        client.until_ready();
        let answer = client.until_ready();
        let row = answer.iter().find(|message| message.kind == b'D').unwrap();
        let told: Vec<_> = answer.iter().map(told).collect();
        assert!(told.contains(&"C SHOW".to_owned()), "{name}: {told:?}");
        let shown = String::from_utf8_lossy(&row.body).into_owned();
        assert!(shown.ends_with("\"$user\", public"), "{name}: {shown}");
    }
}

const DONE: Sent<'_> = (b'c', b"");

/// Everything in one write, data ahead of CopyInResponse; then as many ReadyForQuery as are due.
#[track_caller]
fn pipelined_agree(due: usize, sent: &[Sent<'_>]) {
    let mut heard = Vec::new();
    for (name, mut client) in clients() {
        client.send_at_once(sent);
        let answers = hear(&mut client, due);
        // Nothing is left over, and the session goes on.
        let after = converse(&mut client, Writes::Each, &[(b'Q', b"SELECT 5\0")]);
        heard.push((name, answers, after));
    }
    let ((_, direct, after), rest) = heard.split_first().unwrap();
    for (name, answers, rest) in rest {
        assert_eq!((answers, rest), (direct, after), "{name}");
    }
}

#[test]
fn copy_data_ahead_of_the_answer_is_data() {
    let copy: Sent<'_> = (b'Q', b"COPY sink FROM STDIN\0");
    pipelined_agree(1, &[copy, (b'd', b"1\tone\n2\t"), (b'd', b"two\n"), DONE]);
    pipelined_agree(2, &[copy, (b'd', b"1\tone\n"), DONE, (b'Q', b"SELECT 2\0")]);
    pipelined_agree(1, &[copy, (b'd', b"1\tone\n"), (b'f', b"no\0")]);
    // Several in one string, each with its own data, statements between and behind.
    let several: Sent<'_> = (
        b'Q',
        b"COPY sink FROM STDIN; SELECT 1; COPY sink FROM STDIN; SELECT 2\0",
    );
    let (one, two): (Sent<'_>, Sent<'_>) = ((b'd', b"1\tone\n"), (b'd', b"2\ttwo\n3\tx\n"));
    pipelined_agree(2, &[several, one, DONE, two, DONE, (b'Q', b"SELECT 6\0")]);
    pipelined_agree(
        2,
        &[several, one, DONE, (b'f', b"no\0"), (b'Q', b"SELECT 6\0")],
    );
}

#[test]
fn copy_data_behind_a_failed_copy_is_ignored() {
    let (data, bad): (Sent<'_>, Sent<'_>) = ((b'd', b"1\tone\n"), (b'd', b"x\tone\n"));
    let next: Sent<'_> = (b'Q', b"SELECT 6\0");
    for text in [
        &b"COPY nowhere FROM STDIN\0"[..],
        b"SELECT 1/0; COPY sink FROM STDIN\0",
    ] {
        for end in [DONE, (b'f', b"no\0")] {
            pipelined_agree(2, &[(b'Q', text), data, data, end, next]);
        }
    }
    let copy: Sent<'_> = (b'Q', b"COPY sink FROM STDIN; COPY sink FROM STDIN\0");
    pipelined_agree(2, &[copy, bad, data, DONE, data, DONE, next]);
    let failed: Sent<'_> = (b'Q', b"COPY sink FROM STDIN\0");
    pipelined_agree(
        4,
        &[
            (b'Q', b"BEGIN; SELECT 1/0\0"),
            failed,
            data,
            DONE,
            next,
            (b'Q', b"ROLLBACK\0"),
        ],
    );
}

#[test]
fn copy_data_ahead_of_the_answer_in_the_extended_protocol() {
    let parse: Sent<'_> = (b'P', b"\0COPY sink FROM STDIN\0\0\0");
    let (begin, back): (Sent<'_>, Sent<'_>) = ((b'Q', b"BEGIN READ ONLY\0"), (b'Q', b"ROLLBACK\0"));
    let bind: Sent<'_> = (b'B', b"\0\0\0\0\0\0\0\0");
    let run: Sent<'_> = (b'E', b"\0\0\0\0\0");
    let (data, bad): (Sent<'_>, Sent<'_>) = ((b'd', b"1\tone\n"), (b'd', b"x\tone\n"));
    pipelined_agree(1, &[parse, bind, run, data, data, DONE, SYNC]);
    pipelined_agree(1, &[parse, bind, run, FLUSH, data, DONE, SYNC]);
    pipelined_agree(1, &[parse, bind, run, data, (b'f', b"no\0"), SYNC]);
    // libpq's way: PostgreSQL ignores the Sync it reads while it copies.
    pipelined_agree(1, &[parse, bind, run, SYNC, data, DONE, SYNC]);
    pipelined_agree(1, &[parse, bind, run, bad, data, DONE, SYNC]);
    // It fails at once: what follows is not data.
    pipelined_agree(3, &[begin, parse, bind, run, data, DONE, SYNC, back]);
    pipelined_agree(4, &[begin, parse, bind, run, SYNC, data, DONE, SYNC, back]);
    pipelined_agree(
        2,
        &[
            parse,
            bind,
            run,
            data,
            DONE,
            parse,
            bind,
            run,
            data,
            DONE,
            SYNC,
            (b'Q', b"SELECT 6\0"),
        ],
    );
}

/// How many of the Syncs stood behind the data that failed is known to PostgreSQL alone.
#[test]
fn a_sync_behind_data_that_fails_is_answered() {
    let copy: Sent<'_> = (b'Q', b"COPY sink FROM STDIN\0");
    let parse: Sent<'_> = (b'P', b"\0COPY sink FROM STDIN\0\0\0");
    let (bind, run): (Sent<'_>, Sent<'_>) = ((b'B', b"\0\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\0"));
    let (data, bad): (Sent<'_>, Sent<'_>) = ((b'd', b"1\tone\n"), (b'd', b"x\tone\n"));
    let conversations: [(usize, &[Sent<'_>]); 6] = [
        (1, &[parse, bind, run, bad, SYNC]),
        (1, &[parse, bind, run, SYNC, bad, SYNC]),
        (1, &[parse, bind, run, SYNC, bad, DONE, SYNC]),
        (2, &[parse, bind, run, SYNC, data, SYNC, bad, SYNC, SYNC]),
        (3, &[copy, bad, SYNC, SYNC]),
        (
            2,
            &[copy, SYNC, data, SYNC, bad, DONE, (b'Q', b"SELECT 1\0")],
        ),
    ];
    for (due, sent) in conversations {
        let heard = clients().map(|(name, mut client)| {
            client.send_at_once(sent);
            let answers = hear(&mut client, due);
            let after = converse(&mut client, Writes::Each, &[(b'Q', b"SELECT 5\0")]);
            (name, answers, after)
        });
        let (_, direct, next) = heard[0].clone();
        for (name, answers, after) in &heard[1..] {
            assert_eq!((answers, after), (&direct, &next), "{name}: {due}");
        }
    }
}

#[test]
fn a_refused_copy_takes_its_data_with_it() {
    let mut client = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    let data: Sent<'_> = (b'd', b"4\tCANARY\tx\n");
    let expected = ["E 42501", "Z I", "T", "D [Some([54])]", "C SELECT 1", "Z I"];
    client.send_at_once(&[
        (b'Q', b"COPY people FROM STDIN\0"),
        data,
        DONE,
        (b'Q', b"SELECT 6\0"),
    ]);
    let heard = hear(&mut client, 2);
    assert_eq!(heard, expected);
    client.send_at_once(&[
        (b'P', b"\0COPY people FROM STDIN\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'E', b"\0\0\0\0\0"),
        data,
        DONE,
        SYNC,
        (b'Q', b"SELECT 6\0"),
    ]);
    let heard = hear(&mut client, 2);
    assert_eq!(heard, expected);
}
