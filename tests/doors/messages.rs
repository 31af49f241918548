//! Every message, whole, short, long and random: an error, never a panic, never a byte too much.

use bytes::BytesMut;
use pgveil::pg::types::Format;
use pgveil::wire::backend::TransactionStatus;
use pgveil::wire::frame::{self, FrameBuffer, Limits};
use pgveil::wire::frontend::{self, SaslInitialResponse, Target};
use pgveil::wire::startup::{self, StartupPacket};
use pgveil::wire::write::{backend as to_client, frontend as to_server};
use pgveil::wire::{BackendMessage, Field, FrontendMessage, Report, WriteError};
use proptest::prelude::*;

const FRONTEND: &[u8] = b"BCDEFHPQSXcdf";
const BACKEND: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

/// One of every message our writers make for PostgreSQL.
fn frontend_messages() -> BytesMut {
    let mut out = BytesMut::new();
    let o = &mut out;
    to_server::query(o, "select 'é'").unwrap();
    to_server::parse(o, b"s1", "select $1, $2", &[23, 0]).unwrap();
    let values = [Some(&b"1"[..]), None];
    to_server::bind(
        o,
        b"p",
        b"s1",
        &[Format::Text],
        values.into_iter(),
        &[Format::Binary],
    )
    .unwrap();
    to_server::describe(o, Target::Portal, b"p").unwrap();
    to_server::describe(o, Target::Statement, b"s1").unwrap();
    to_server::execute(o, b"p", 10).unwrap();
    to_server::close(o, Target::Statement, b"s1").unwrap();
    to_server::flush(o);
    to_server::sync(o);
    to_server::copy_done(o);
    to_server::copy_fail(o, "no more").unwrap();
    to_server::terminate(o);
    out
}

/// One of every message our writers make for a client.
fn backend_messages() -> BytesMut {
    let mut out = BytesMut::new();
    let o = &mut out;
    let mut report = Report::error("42501", "permission denied");
    report.detail = Some("Because.");
    report.hint = Some("Ask.");
    report.position = Some(8);
    to_client::error(o, &report);
    to_client::notice(o, &report);
    to_client::ready(o, TransactionStatus::Failed);
    to_client::command_complete(o, "SELECT 1").unwrap();
    to_client::parse_complete(o);
    to_client::bind_complete(o);
    to_client::close_complete(o);
    to_client::no_data(o);
    to_client::empty_query(o);
    to_client::portal_suspended(o);
    let field = Field {
        name: b"email",
        table_oid: 16384,
        attnum: 2,
        type_oid: 1043,
        typlen: -1,
        typmod: 164,
        format: Format::Text,
    };
    to_client::row_description(o, &[field, field]).unwrap();
    to_client::data_row(o, [Some(&b"a@b"[..]), None, Some(b"")].into_iter()).unwrap();
    to_client::parameter_description(o, &[25]).unwrap();
    to_client::parameter_status(o, "TimeZone", "UTC").unwrap();
    to_client::negotiate_protocol_version(o, startup::protocol(2), &["_pq_.x".into()]).unwrap();
    out
}

/// Whole messages are read; cut anywhere, or with a byte more, they are errors.
fn exact(stream: &[u8], limits: Limits, read: impl Fn(u8, &[u8]) -> bool) {
    let mut end = 0;
    for frame in frame::frames(stream, &limits) {
        let frame = frame.unwrap();
        let (tag, body) = (frame.tag, frame.body());
        assert!(read(tag, body), "{}", char::from(tag));
        for cut in 0..body.len() {
            assert!(!read(tag, &body[..cut]), "{} cut at {cut}", char::from(tag));
        }
        let longer = [body, b"\0"].concat();
        assert!(!read(tag, &longer), "{} with a byte more", char::from(tag));
        end = frame.end();
    }
    assert_eq!(end, stream.len());
}

#[test]
fn messages_are_read_exactly() {
    exact(&frontend_messages(), Limits::FRONTEND, |tag, body| {
        FrontendMessage::read(tag, body).is_ok()
    });
    exact(&backend_messages(), Limits::BACKEND, |tag, body| {
        BackendMessage::read(tag, body).is_ok()
    });
}

#[test]
fn what_is_written_is_what_is_read() {
    let stream = frontend_messages();
    let messages: Vec<_> = frame::frames(&stream, &Limits::FRONTEND)
        .map(Result::unwrap)
        .collect();
    let Ok(FrontendMessage::Bind(bind)) = FrontendMessage::read(b'B', messages[2].body()) else {
        panic!("not a Bind");
    };
    assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s1"[..]));
    assert_eq!(
        bind.values.iter().collect::<Vec<_>>(),
        [Some(&b"1"[..]), None]
    );
    assert_eq!(
        (bind.formats.format(1), bind.result_formats.format(7)),
        (Format::Text, Format::Binary)
    );
    let mut renamed = BytesMut::new();
    to_server::bind_raw(&mut renamed, b"portal", b"other", bind.raw).unwrap();
    let Ok(FrontendMessage::Bind(again)) = FrontendMessage::read(b'B', frame::body(&renamed))
    else {
        panic!("not a Bind");
    };
    assert_eq!((again.portal, again.raw), (&b"portal"[..], bind.raw));
    // The bytes of the protocol chapter, by hand.
    assert_eq!(messages[5].bytes, b"E\0\0\0\x0ap\0\0\0\0\x0a");
    assert_eq!(
        messages[1].bytes,
        b"P\0\0\0\x1fs1\0select $1, $2\0\0\x02\0\0\0\x17\0\0\0\0"
    );
}

#[test]
fn counts_and_codes_have_to_agree() {
    // A format that does not exist; a negative length.
    for body in [
        &b"\0\0\0\x01\0\x02\0\x01\0\0\0\x01x\0\0"[..],
        b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
    ] {
        assert!(frontend::Bind::read(body).is_err());
    }
    assert!(frontend::Bind::read(b"\0\0\0\x01\0\x01\0\x01\0\0\0\x01x\0\0").is_ok());
    // Two formats for one value can be read: there are errors that come before that one.
    let two = b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\x01x\0\0";
    let two = frontend::Bind::read(two).unwrap();
    assert!(!two.formats.fits(two.values.len()));
}

#[test]
fn texts_that_cannot_be_written_leave_nothing_behind() {
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(
        to_server::query(&mut out, "select 1\0; drop"),
        Err(WriteError::Nul)
    );
    let many = vec![0; 65_536];
    assert_eq!(
        to_server::parse(&mut out, b"", "x", &many),
        Err(WriteError::TooLong)
    );
    assert_eq!(&out[..], b"before");
}

proptest! {
    #[test]
    fn random_bodies_are_no_danger(
        tag in any::<u8>(),
        known in any::<prop::sample::Index>(),
        body in prop::collection::vec(prop_oneof![Just(0u8), 0u8..4, any::<u8>()], 0..80),
    ) {
        for tag in [tag, *known.get(FRONTEND)] {
            if let Ok(FrontendMessage::Bind(bind)) = FrontendMessage::read(tag, &body) {
                prop_assert_eq!(bind.values.iter().count(), bind.values.len());
            }
        }
        for tag in [tag, *known.get(BACKEND)] {
            match BackendMessage::read(tag, &body) {
                Ok(BackendMessage::DataRow(row)) => {
                    prop_assert_eq!(row.values.iter().count(), row.values.len());
                }
                Ok(BackendMessage::RowDescription(fields)) => {
                    prop_assert_eq!(fields.iter().count(), fields.len());
                }
                Ok(BackendMessage::Error(error)) => {
                    let length: usize = error.iter().map(|(_, text)| text.len() + 2).sum();
                    prop_assert_eq!(length + 1, body.len());
                }
                _ => {}
            }
        }
        if let Ok(SaslInitialResponse { mechanism, data }) = SaslInitialResponse::read(&body) {
            let data = data.unwrap_or_default();
            prop_assert_eq!(mechanism.len() + 1 + 4 + data.len(), body.len());
        }
        if let Ok(StartupPacket::Cancel { key, .. }) = StartupPacket::read(&body) {
            prop_assert_eq!(key.len() + 8, body.len());
        }
    }

    #[test]
    fn random_streams_are_no_danger(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(1usize..20, 1..40),
    ) {
        for limits in [Limits::FRONTEND, Limits::BACKEND, Limits::BACKEND_STARTUP] {
            let mut buffer = FrameBuffer::new();
            let mut rest = &bytes[..];
            for cut in &cuts {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                buffer.buffer_mut().extend_from_slice(now);
                rest = later;
                while let Ok(Some((tag, frame))) = buffer.next_frame(&limits) {
                    prop_assert_eq!(tag, frame[0]);
                    prop_assert!(frame.len() >= 5);
                }
            }
        }
    }

    #[test]
    fn chunking_changes_nothing(cuts in prop::collection::vec(1usize..9, 1..200)) {
        let stream = backend_messages();
        let whole: Vec<_> = frame::frames(&stream, &Limits::BACKEND)
            .map(|f| f.unwrap().bytes.to_vec())
            .collect();
        let mut buffer = FrameBuffer::new();
        let mut seen = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().chain(std::iter::repeat(&stream.len())) {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buffer.buffer_mut().extend_from_slice(now);
            rest = later;
            while let Some((_, frame)) = buffer.next_frame(&Limits::BACKEND).unwrap() {
                seen.push(frame.to_vec());
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, whole);
    }
}
