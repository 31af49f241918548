//! Statements that are too long to be analyzed: an error of theirs, and of nothing else.

use pgveil::limits;

use super::client::Client;
use super::stage::{PASSWORD, Stage};
use super::wire::{SYNC, Sent, Writes, clients, converse, hear};

/// No statement, of so many bytes.
fn text(bytes: usize) -> Vec<u8> {
    let mut text = b"SELEC".to_vec();
    text.resize(bytes, b' ');
    text
}

fn parse(name: &[u8], text: &[u8]) -> Vec<u8> {
    [name, b"\0", text, b"\0\0\0"].concat()
}

/// The statements are wrong ones to PostgreSQL, so that it answers each with an error too.
#[test]
fn a_text_that_is_too_long_is_an_error_as_a_wrong_one_is() {
    let long = [text(limits::STATEMENT_FRAME_BYTES), vec![0]].concat();
    let shorter = [text(limits::SQL_TEXT_BYTES + 1), vec![0]].concat();
    let unnamed = parse(b"", &text(limits::STATEMENT_FRAME_BYTES));
    let named = parse(b"s", &text(limits::STATEMENT_FRAME_BYTES));
    let (long, shorter): (Sent<'_>, Sent<'_>) = ((b'Q', &long), (b'Q', &shorter));
    let (unnamed, named): (Sent<'_>, Sent<'_>) = ((b'P', &unnamed), (b'P', &named));
    let (bind, run): (Sent<'_>, Sent<'_>) = ((b'B', b"\0\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\0"));
    let good: Sent<'_> = (b'P', b"\0SELECT 7\0\0\0");
    let wrong: Sent<'_> = (b'P', b"\0SELEC\0\0\0");
    let insert: Sent<'_> = (b'P', b"\0INSERT INTO sink VALUES (9, 'long')\0\0\0");
    let begin: Sent<'_> = (b'Q', b"BEGIN; INSERT INTO sink VALUES (8, 'long')\0");
    let (next, back): (Sent<'_>, Sent<'_>) = ((b'Q', b"SELECT 5\0"), (b'Q', b"ROLLBACK\0"));
    let count: Sent<'_> = (b'Q', b"SELECT count(*) FROM sink WHERE note = 'long'\0");
    let conversations: [(usize, &[Sent<'_>]); 9] = [
        (2, &[long, next]),
        (2, &[shorter, next]),
        (5, &[begin, long, next, back, next]),
        // The one before is gone, as it is with any other that cannot be made.
        (
            3,
            &[good, bind, run, SYNC, unnamed, bind, run, SYNC, bind, SYNC],
        ),
        (2, &[good, named, bind, run, SYNC, bind, run, SYNC]),
        (4, &[begin, unnamed, next, SYNC, next, back]),
        // Behind an error it is not looked at.
        (2, &[wrong, unnamed, long, SYNC, next]),
        // What a pipeline did before it ends with it.
        (2, &[insert, bind, run, long, next]),
        (1, &[count]),
    ];
    let [postgresql, _, support, _, lent] = clients();
    let heard = [postgresql, support, lent].map(|(name, mut client)| {
        let heard = conversations.map(|(due, sent)| {
            client.send_at_once(sent);
            hear(&mut client, due)
        });
        (name, heard)
    });
    let [(_, direct), rest @ ..] = heard;
    assert_eq!(
        direct.concat().iter().filter(|m| *m == "E 42601").count(),
        8
    );
    for (name, heard) in rest {
        let there = wrong_for(&direct, "E 54000");
        assert_eq!(heard.concat(), there, "{name}");
    }
}

/// What PostgreSQL says of a text, but of the one that is short, said of one that is too long.
fn wrong_for(direct: &[Vec<String>], long: &str) -> Vec<String> {
    let told = direct.iter().enumerate().flat_map(|(at, heard)| {
        heard.iter().map(move |message| match &**message {
            "E 42601" if at != 6 => long.to_owned(),
            _ => message.clone(),
        })
    });
    told.collect()
}

/// PostgreSQL's own limit of a message, of which nothing is kept.
#[test]
fn the_longest_message_is_let_by() {
    const PIECE: usize = 1 << 20;
    let mut client = Client::connect(Stage::shared().addr, "support", PASSWORD, "stage").unwrap();
    let before = resident();
    let mut left = limits::FRAME_BYTES - 5;
    let length = u32::try_from(limits::FRAME_BYTES - 1).unwrap();
    client.send_bytes(&[b"Q".as_slice(), &length.to_be_bytes()].concat());
    let (piece, mut most) = (vec![b' '; PIECE], before);
    while left > 0 {
        let now = left.min(PIECE);
        client.send_bytes(&piece[..now]);
        left -= now;
        most = most.max(resident());
    }
    assert_eq!(hear(&mut client, 1), ["E 54000", "Z I"]);
    let next = converse(&mut client, Writes::Each, &[(b'Q', b"SELECT 1\0")]);
    assert_eq!(next.last().unwrap(), "Z I");
    // Other tests take some too.
    let grown = most.saturating_sub(before);
    assert!(grown < limits::FRAME_BYTES / 2, "{grown} bytes");
}

/// Bytes of memory this process has, where there is a way to know.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0_usize) * 4096
}
