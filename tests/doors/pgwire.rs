//! Our readers and writers against pgwire's: two implementations of one protocol, written apart.
//!
//! Of every message with fields, random ones are encoded by both: the bytes are the same, pgwire
//! reads ours as what was meant, and we read pgwire's. Deliberately absent: messages without fields
//! beyond one look each, and what pgwire does not have (FunctionCall, `NotificationResponse` of ours).

use std::fmt::Debug;

use bytes::{BufMut, Bytes, BytesMut};
use pgveil::pg::types::Format;
use pgveil::wire::backend::{Authentication, TransactionStatus};
use pgveil::wire::frontend::{Password, SaslInitialResponse, Target};
use pgveil::wire::startup::{self, StartupPacket};
use pgveil::wire::write::{backend as to_client, frontend as to_server};
use pgveil::wire::{BackendMessage, Field, FrontendMessage, Report, field, frame};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::copy::{
    CopyBothResponse, CopyData, CopyDone, CopyFail, CopyInResponse, CopyOutResponse,
};
use pgwire::messages::data::{
    DataRow, FieldDescription, NoData, ParameterDescription, RowDescription,
};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Flush, Parse, ParseComplete,
    PortalSuspended, Sync,
};
use pgwire::messages::response::{
    self, CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, NotificationResponse,
    ReadyForQuery, SslResponse,
};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::{
    self as theirs, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SASLInitialResponse,
    SASLResponse, SecretKey, SslRequest, Startup,
};
use pgwire::messages::terminate::Terminate;
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn encoded(message: &impl Message) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(&mut out).unwrap();
    out
}

/// Both make the same bytes, and pgwire reads them as the same message.
fn agree<M: Message + PartialEq + Debug>(ours: &BytesMut, theirs: &M) {
    assert_eq!(*ours, encoded(theirs));
    let mut rest = ours.clone();
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    let read = M::decode(&mut rest, &context).unwrap();
    assert_eq!(read.as_ref(), Some(theirs));
    assert!(rest.is_empty());
}

fn from_client(bytes: &[u8]) -> FrontendMessage<'_> {
    FrontendMessage::read(bytes[0], frame::body(bytes)).unwrap()
}

fn from_server(bytes: &[u8]) -> BackendMessage<'_> {
    BackendMessage::read(bytes[0], frame::body(bytes)).unwrap()
}

/// Texts have no NUL; pgwire reads an empty name as none.
fn text() -> impl Strategy<Value = String> {
    "[^\0]{1,20}"
}

fn name() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn formats() -> impl Strategy<Value = Vec<Format>> {
    vec(prop_oneof![Just(Format::Text), Just(Format::Binary)], 0..5)
}

fn codes(formats: &[Format]) -> Vec<i16> {
    let code = |f: &Format| i16::from(*f == Format::Binary);
    formats.iter().map(code).collect()
}

fn bytes_of(name: Option<&String>) -> &[u8] {
    name.map_or(b"", |n| n.as_bytes())
}

fn target(kind: Target) -> u8 {
    match kind {
        Target::Statement => b'S',
        Target::Portal => b'P',
    }
}

proptest! {
    #[test]
    fn queries(query in text(), statement in name(), types in vec(any::<u32>(), 0..5)) {
        let mut ours = BytesMut::new();
        to_server::query(&mut ours, &query).unwrap();
        agree(&ours, &Query::new(query.clone()));
        let FrontendMessage::Query(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!(read.text, query.as_bytes());

        let mut ours = BytesMut::new();
        to_server::parse(&mut ours, bytes_of(statement.as_ref()), &query, &types).unwrap();
        agree(&ours, &Parse::new(statement.clone(), query.clone(), types.clone()));
        let FrontendMessage::Parse(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!(read.name, bytes_of(statement.as_ref()));
        prop_assert_eq!(read.query, query.as_bytes());
        prop_assert_eq!(read.types.iter().collect::<Vec<_>>(), types);
    }

    #[test]
    fn binds(
        portal in name(),
        statement in name(),
        values in vec(option::of(blob()), 0..5),
        format in prop_oneof![Just(Format::Text), Just(Format::Binary)],
        each in any::<bool>(),
        results in formats(),
    ) {
        let formats = vec![format; if each { values.len() } else { 1 }];
        let mut ours = BytesMut::new();
        let (p, s) = (bytes_of(portal.as_ref()), bytes_of(statement.as_ref()));
        to_server::bind(&mut ours, p, s, &formats, values.iter().map(Option::as_deref), &results)
            .unwrap();
        let parameters = values.iter().map(|v| v.clone().map(Bytes::from)).collect();
        let bind = Bind::new(
            portal.clone(),
            statement.clone(),
            codes(&formats),
            parameters,
            codes(&results),
        );
        agree(&ours, &bind);
        let FrontendMessage::Bind(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!((read.portal, read.statement), (p, s));
        prop_assert_eq!(read.formats.iter().collect::<Vec<_>>(), formats);
        let seen: Vec<_> = read.values.iter().map(|v| v.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(seen, values);
        prop_assert_eq!(read.result_formats.iter().collect::<Vec<_>>(), results);
    }

    #[test]
    fn portals_and_statements(
        named in name(),
        kind in prop_oneof![Just(Target::Statement), Just(Target::Portal)],
        rows in any::<i32>(),
    ) {
        let bytes = bytes_of(named.as_ref());
        let mut ours = BytesMut::new();
        to_server::describe(&mut ours, kind, bytes).unwrap();
        agree(&ours, &Describe::new(target(kind), named.clone()));
        let FrontendMessage::Describe(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!((read.kind, read.name), (kind, bytes));

        let mut ours = BytesMut::new();
        to_server::close(&mut ours, kind, bytes).unwrap();
        agree(&ours, &Close::new(target(kind), named.clone()));
        let FrontendMessage::Close(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!((read.kind, read.name), (kind, bytes));

        let mut ours = BytesMut::new();
        to_server::execute(&mut ours, bytes, rows).unwrap();
        agree(&ours, &Execute::new(named.clone(), rows));
        let FrontendMessage::Execute(read) = from_client(&ours) else { panic!() };
        prop_assert_eq!((read.portal, read.max_rows), (bytes, rows));
    }

    #[test]
    fn copies(data in blob(), reason in text(), whole in 0i8..2, columns in formats()) {
        let mut ours = BytesMut::new();
        to_server::copy_data(&mut ours, &data).unwrap();
        agree(&ours, &CopyData::new(Bytes::from(data.clone())));
        prop_assert!(matches!(from_client(&ours), FrontendMessage::CopyData(d) if d == data));
        prop_assert!(matches!(from_server(&ours), BackendMessage::CopyData(d) if d == data));

        let mut ours = BytesMut::new();
        to_server::copy_fail(&mut ours, &reason).unwrap();
        agree(&ours, &CopyFail::new(reason.clone()));
        let read = from_client(&ours);
        prop_assert!(matches!(read, FrontendMessage::CopyFail(r) if r == reason.as_bytes()));

        let (count, each) = (i16::try_from(columns.len()).unwrap(), codes(&columns));
        let answers = [
            encoded(&CopyInResponse::new(whole, count, each.clone())),
            encoded(&CopyOutResponse::new(whole, count, each.clone())),
            encoded(&CopyBothResponse::new(whole, count, each)),
        ];
        for (n, bytes) in answers.iter().enumerate() {
            let ((0, BackendMessage::CopyIn(read))
            | (1, BackendMessage::CopyOut(read))
            | (2, BackendMessage::CopyBoth(read))) = (n, from_server(bytes))
            else {
                panic!("answer {n} is taken for another message");
            };
            prop_assert_eq!(read.format == Format::Binary, whole == 1);
            prop_assert_eq!(read.columns.iter().collect::<Vec<_>>(), columns.clone());
        }
    }

    #[test]
    fn rows(
        columns in vec((text(), any::<(u32, i16, u32, i16, i32)>(), any::<bool>()), 0..5),
        values in vec(option::of(blob()), 0..5),
        types in vec(any::<u32>(), 0..5),
    ) {
        let format = |binary| if binary { Format::Binary } else { Format::Text };
        let fields: Vec<Field<'_>> = columns
            .iter()
            .map(|(name, (table_oid, attnum, type_oid, typlen, typmod), binary)| Field {
                name: name.as_bytes(),
                table_oid: *table_oid,
                attnum: *attnum,
                type_oid: *type_oid,
                typlen: *typlen,
                typmod: *typmod,
                format: format(*binary),
            })
            .collect();
        let described = columns
            .iter()
            .map(|(name, (table, column, ty, length, modifier), binary)| {
                let (table, code) = (table.cast_signed(), i16::from(*binary));
                FieldDescription::new(name.clone(), table, *column, *ty, *length, *modifier, code)
            })
            .collect();
        let mut ours = BytesMut::new();
        to_client::row_description(&mut ours, &fields).unwrap();
        agree(&ours, &RowDescription::new(described));
        let BackendMessage::RowDescription(read) = from_server(&ours) else { panic!() };
        let key = |f: &Field<'_>| {
            let (binary, name) = (f.format == Format::Binary, f.name.to_vec());
            (name, (f.table_oid, f.attnum, f.type_oid, f.typlen, f.typmod), binary)
        };
        let seen: Vec<_> = read.iter().map(|f| key(&f)).collect();
        prop_assert_eq!(seen, fields.iter().map(key).collect::<Vec<_>>());

        let mut ours = BytesMut::new();
        to_client::data_row(&mut ours, values.iter().map(Option::as_deref)).unwrap();
        let mut data = BytesMut::new();
        for value in &values {
            match value {
                Some(value) => {
                    data.put_i32(i32::try_from(value.len()).unwrap());
                    data.put_slice(value);
                }
                None => data.put_i32(-1),
            }
        }
        agree(&ours, &DataRow::new(data, i16::try_from(values.len()).unwrap()));
        let BackendMessage::DataRow(read) = from_server(&ours) else { panic!() };
        let seen: Vec<_> = read.values.iter().map(|v| v.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(seen, values);

        let mut ours = BytesMut::new();
        to_client::parameter_description(&mut ours, &types).unwrap();
        agree(&ours, &ParameterDescription::new(types.clone()));
        let BackendMessage::ParameterDescription(read) = from_server(&ours) else { panic!() };
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), types);
    }

    #[test]
    fn reports(
        message in text(),
        detail in name(),
        hint in name(),
        position in option::of(1u32..100),
        tag in text(),
        pid in any::<i32>(),
    ) {
        let mut report = Report::error("42501", &message);
        report.detail = detail.as_deref();
        report.hint = hint.as_deref();
        report.position = position.map(|p| p.try_into().unwrap());
        let mut fields = vec![
            (b'S', "ERROR".to_owned()),
            (b'V', "ERROR".to_owned()),
            (b'C', "42501".to_owned()),
            (b'M', message.clone()),
        ];
        fields.extend(detail.clone().map(|d| (b'D', d)));
        fields.extend(hint.clone().map(|h| (b'H', h)));
        fields.extend(position.map(|p| (b'P', p.to_string())));
        let mut ours = BytesMut::new();
        to_client::error(&mut ours, &report);
        agree(&ours, &ErrorResponse::new(fields.clone()));
        let BackendMessage::Error(read) = from_server(&ours) else { panic!() };
        prop_assert_eq!(read.get(field::MESSAGE), Some(message.as_bytes()));
        let seen: Vec<_> = read.iter().map(|(code, text)| (code, text.to_vec())).collect();
        let meant: Vec<_> = fields.iter().map(|(c, t)| (*c, t.clone().into_bytes())).collect();
        prop_assert_eq!(seen, meant);
        let mut ours = BytesMut::new();
        to_client::notice(&mut ours, &report);
        agree(&ours, &NoticeResponse::new(fields));

        let mut ours = BytesMut::new();
        to_client::command_complete(&mut ours, &tag).unwrap();
        agree(&ours, &CommandComplete::new(tag.clone()));
        let read = from_server(&ours);
        prop_assert!(matches!(read, BackendMessage::CommandComplete(t) if t == tag.as_bytes()));

        let bytes = encoded(&NotificationResponse::new(pid, tag.clone(), message.clone()));
        let BackendMessage::Notification(read) = from_server(&bytes) else { panic!() };
        prop_assert_eq!((read.pid, read.channel), (pid, tag.as_bytes()));
        prop_assert_eq!(read.payload, message.as_bytes());
    }

    #[test]
    fn logins(
        mechanisms in vec(text(), 1..3),
        data in blob(),
        password in text(),
        pid in any::<i32>(),
        key in vec(any::<u8>(), 4..=256),
        options in vec(text(), 0..3),
    ) {
        let mut ours = BytesMut::new();
        let offered: Vec<&str> = mechanisms.iter().map(String::as_str).collect();
        to_client::authentication_sasl(&mut ours, &offered).unwrap();
        agree(&ours, &theirs::Authentication::SASL(mechanisms.clone()));
        let BackendMessage::Authentication(Authentication::Sasl(read)) = from_server(&ours) else {
            panic!()
        };
        prop_assert_eq!(read, [offered.join("\0").as_bytes(), b"\0\0"].concat());

        let mut ours = BytesMut::new();
        to_client::authentication_sasl_continue(&mut ours, &data).unwrap();
        agree(&ours, &theirs::Authentication::SASLContinue(Bytes::from(data.clone())));
        let mut ours = BytesMut::new();
        to_client::authentication_sasl_final(&mut ours, &data).unwrap();
        agree(&ours, &theirs::Authentication::SASLFinal(Bytes::from(data.clone())));
        let BackendMessage::Authentication(Authentication::SaslFinal(read)) = from_server(&ours)
        else {
            panic!()
        };
        prop_assert_eq!(read, data.as_slice());

        let mut ours = BytesMut::new();
        to_server::sasl_initial(&mut ours, offered[0], &data).unwrap();
        let initial = SASLInitialResponse::new(
            offered[0].to_owned(),
            Some(Bytes::from(data.clone())),
        );
        prop_assert_eq!(&ours, &encoded(&initial));
        let read = SaslInitialResponse::read(frame::body(&ours)).unwrap();
        prop_assert_eq!((read.mechanism, read.data), (offered[0].as_bytes(), Some(&data[..])));
        let mut ours = BytesMut::new();
        to_server::sasl_response(&mut ours, &data).unwrap();
        prop_assert_eq!(&ours, &encoded(&SASLResponse::new(Bytes::from(data))));
        let mut ours = BytesMut::new();
        to_server::password(&mut ours, password.as_bytes()).unwrap();
        prop_assert_eq!(&ours, &encoded(&theirs::Password::new(password.clone())));
        let read = Password::read(frame::body(&ours)).unwrap();
        prop_assert_eq!(read.text, password.as_bytes());

        let mut ours = BytesMut::new();
        to_client::backend_key_data(&mut ours, pid, &key).unwrap();
        let secret = SecretKey::Bytes(Bytes::from(key.clone()));
        agree(&ours, &BackendKeyData::new(pid, secret.clone()));
        let BackendMessage::BackendKeyData(read) = from_server(&ours) else { panic!() };
        prop_assert_eq!((read.pid, read.key), (pid, key.as_slice()));

        let mut ours = BytesMut::new();
        startup::write_cancel(&mut ours, pid, &key).unwrap();
        prop_assert_eq!(&ours, &encoded(&CancelRequest::new(pid, secret)));
        let Ok(StartupPacket::Cancel { pid: read, key: shown }) = StartupPacket::read(&ours[4..])
        else {
            panic!()
        };
        prop_assert_eq!((read, &shown[..]), (pid, key.as_slice()));

        let mut ours = BytesMut::new();
        to_client::negotiate_protocol_version(&mut ours, startup::protocol(2), &options).unwrap();
        agree(&ours, &NegotiateProtocolVersion::new(startup::protocol(2), options.clone()));
        let mut ours = BytesMut::new();
        to_client::parameter_status(&mut ours, offered[0], &password).unwrap();
        agree(&ours, &ParameterStatus::new(offered[0].to_owned(), password.clone()));
        let BackendMessage::ParameterStatus(read) = from_server(&ours) else { panic!() };
        prop_assert_eq!((read.name, read.value), (offered[0].as_bytes(), password.as_bytes()));
    }

    /// What pgwire's client would open a connection with.
    #[test]
    fn startups(user in text(), database in text(), minor in prop_oneof![Just(0u16), Just(2)]) {
        let mut packet = Startup::new();
        packet.protocol_number_minor = minor;
        packet.parameters.insert("user".to_owned(), user.clone());
        packet.parameters.insert("database".to_owned(), database.clone());
        let bytes = encoded(&packet);
        let Ok(StartupPacket::Startup(read)) = StartupPacket::read(&bytes[4..]) else { panic!() };
        prop_assert_eq!(read.minor, minor);
        prop_assert_eq!(read.get("user"), Some(user.as_str()));
        prop_assert_eq!(read.get("database"), Some(database.as_str()));
    }
}

#[test]
fn messages_without_fields() {
    let made = |write: fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        out
    };
    agree(&made(to_server::sync), &Sync::new());
    agree(&made(to_server::flush), &Flush::new());
    agree(&made(to_server::terminate), &Terminate::new());
    agree(&made(to_server::copy_done), &CopyDone::new());
    agree(&made(to_client::parse_complete), &ParseComplete::new());
    agree(&made(to_client::bind_complete), &BindComplete::new());
    agree(&made(to_client::close_complete), &CloseComplete::new());
    agree(&made(to_client::no_data), &NoData::new());
    agree(&made(to_client::empty_query), &EmptyQueryResponse::new());
    agree(&made(to_client::portal_suspended), &PortalSuspended::new());
    agree(
        &made(to_client::authentication_ok),
        &theirs::Authentication::Ok,
    );
    assert_eq!(
        made(startup::write_ssl_request),
        encoded(&SslRequest::new())
    );
    for (ours, status) in [
        (TransactionStatus::Idle, response::TransactionStatus::Idle),
        (
            TransactionStatus::InTransaction,
            response::TransactionStatus::Transaction,
        ),
        (
            TransactionStatus::Failed,
            response::TransactionStatus::Error,
        ),
    ] {
        let mut out = BytesMut::new();
        to_client::ready(&mut out, ours);
        agree(&out, &ReadyForQuery::new(status));
        assert!(matches!(from_server(&out), BackendMessage::Ready(read) if read == ours));
    }
    // The one byte in answer to SSLRequest.
    assert_eq!(encoded(&SslResponse::Refuse)[..], b"N"[..]);
}
