//! Client encodings: what a client sends becomes UTF-8 before anything is read in it, what it gets
//! becomes its own encoding when everything is decided. Masks see UTF-8, and PostgreSQL nothing else.
//!
//! Deliberately absent: the characters (`pg::encoding`), values in binary format (`binary`), and the
//! setting itself, which is the session's state (`settings`).

use std::borrow::Cow;

use bytes::BytesMut;

use super::binary::{self, Trouble};
use super::{Fatal, Io, Session, to_client};
use crate::ident::Ident;
use crate::pg::Oid;
use crate::pg::encoding::{Encoding, Unconvertible};
use crate::pg::sqlstate;
use crate::pg::types::Format;
use crate::plan::Refusal;
use crate::wire::frontend::{self, Bind, FrontendMessage};
use crate::wire::{Diagnostic, RowDescription, backend, frame};

/// A message in UTF-8: its type and body.
type Recoded = (u8, Vec<u8>);

impl Session {
    /// The client's message in UTF-8; `None` if it is that already.
    pub(super) fn in_utf8(
        &self,
        message: &FrontendMessage<'_>,
        encoding: Encoding,
    ) -> Result<Option<Recoded>, Refusal> {
        let mut body = Vec::new();
        let mut put = |text: &[u8]| {
            let text = encoding
                .decode(text)
                .map_err(|why| unreadable(encoding, why))?;
            body.extend_from_slice(text.as_bytes());
            body.push(0);
            Ok::<(), Refusal>(())
        };
        let tag = match message {
            FrontendMessage::Query(query) => {
                put(query.text)?;
                frontend::QUERY
            }
            FrontendMessage::Parse(parse) => {
                put(parse.name)?;
                put(parse.query)?;
                let types: Vec<Oid> = parse.types.iter().collect();
                body.extend_from_slice(&count(types.len())?);
                body.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
                frontend::PARSE
            }
            FrontendMessage::Bind(bind) => {
                put(bind.portal)?;
                put(bind.statement)?;
                self.parameters_in_utf8(bind, encoding, &mut body)?;
                frontend::BIND
            }
            FrontendMessage::Describe(named) | FrontendMessage::Close(named) => {
                put(named.name)?;
                body.insert(0, named.kind.byte());
                if matches!(message, FrontendMessage::Close(_)) {
                    frontend::CLOSE
                } else {
                    frontend::DESCRIBE
                }
            }
            FrontendMessage::Execute(execute) => {
                put(execute.portal)?;
                body.extend_from_slice(&execute.max_rows.to_be_bytes());
                frontend::EXECUTE
            }
            // A call is refused, whatever it says; the data of a COPY is converted as it comes.
            FrontendMessage::FunctionCall(_)
            | FrontendMessage::CopyData(_)
            | FrontendMessage::CopyDone
            | FrontendMessage::CopyFail(_)
            | FrontendMessage::Flush
            | FrontendMessage::Sync
            | FrontendMessage::Terminate => return Ok(None),
        };
        Ok(Some((tag, body)))
    }

    /// The rest of a Bind, its values converted.
    fn parameters_in_utf8(
        &self,
        bind: &Bind<'_>,
        encoding: Encoding,
        body: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let formats: Vec<Format> = bind.formats.iter().collect();
        let formats_of = |at: usize| match formats.as_slice() {
            [] => Format::Text,
            [one] => *one,
            many => many.get(at).copied().unwrap_or(Format::Text),
        };
        put_formats(&formats, body)?;
        body.extend_from_slice(&count(bind.values.len())?);
        for (at, value) in bind.values.iter().enumerate() {
            let Some(value) = value else {
                body.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            };
            let decode = |bytes: &[u8]| encoding.decode(bytes).map(|t| t.into_owned().into_bytes());
            let value = match formats_of(at) {
                Format::Text => decode(value).map(Cow::Owned).map_err(Trouble::Characters),
                Format::Binary => {
                    binary::convert(self.parameter_type(bind, at, encoding), value, &decode)
                }
            };
            let value = value.map_err(|trouble| match trouble {
                Trouble::Characters(why) => unreadable(encoding, why),
                Trouble::Type => unknown_binary(encoding),
            })?;
            let length = i32::try_from(value.len()).map_err(|_| too_long())?;
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(&value);
        }
        put_formats(&bind.result_formats.iter().collect::<Vec<_>>(), body)
    }

    /// The type of a parameter, as the client named it or PostgreSQL described it; 0 if neither has.
    fn parameter_type(&self, bind: &Bind<'_>, at: usize, encoding: Encoding) -> Oid {
        let name = encoding.decode(bind.statement).unwrap_or_default();
        let entry = self.speculative.prepared.get(&Ident::exact(&name));
        let Some(known) = entry.and_then(|entry| self.details.get(&entry.upstream)) else {
            return 0;
        };
        let of = |types: &[Oid]| types.get(at).copied().filter(|oid| *oid != 0);
        let named = known.types.as_deref().and_then(of);
        let described = || known.parameters.get().map(Vec::as_slice).and_then(of);
        named.or_else(described).unwrap_or(0)
    }

    /// Converts everything that was written for the client from `start` on; rows are converted where
    /// their columns are known (`rows`).
    pub(super) fn in_clients(&mut self, start: usize, io: &mut Io<'_>) -> Result<(), Fatal> {
        let encoding = self.confirmed.settings.encoding();
        if encoding.is_same() || io.client.len() <= start {
            return Ok(());
        }
        let frames = io.client.split_off(start);
        let mut rest: &[u8] = &frames;
        while let Some((tag, total)) = frame::header(rest, &frame::Limits::BACKEND)
            .map_err(|_| Fatal::unexpected("malformed message of the proxy"))?
        {
            let (whole, after) = rest
                .split_at_checked(total)
                .ok_or_else(|| Fatal::unexpected("malformed message of the proxy"))?;
            self.one_in_clients(tag, whole, encoding, io.client)?;
            rest = after;
        }
        Ok(())
    }

    fn one_in_clients(
        &mut self,
        tag: u8,
        whole: &[u8],
        encoding: Encoding,
        out: &mut BytesMut,
    ) -> Result<(), Fatal> {
        let body = frame::body(whole);
        let malformed = |_| Fatal::unexpected("malformed message of the proxy");
        match tag {
            _ if body.is_ascii() => out.extend_from_slice(whole),
            backend::ERROR | backend::NOTICE => {
                let fields = Diagnostic::read(body).map_err(malformed)?;
                let fields: Vec<(u8, Vec<u8>)> = fields
                    .iter()
                    .map(|(code, text)| (code, lossy(text, encoding)))
                    .collect();
                let fields = fields.iter().map(|(code, text)| (*code, text.as_slice()));
                to_client::diagnostic_fields(out, tag, fields)?;
            }
            backend::PARAMETER_STATUS => {
                let status = backend::ParameterStatus::read(body).map_err(malformed)?;
                let value = lossy(status.value, encoding);
                to_client::raw_parameter_status(out, status.name, &value)?;
            }
            backend::ROW_DESCRIPTION => {
                let described = RowDescription::read(body).map_err(malformed)?;
                let fields: Vec<_> = described.iter().collect();
                let names = fields.iter().map(|field| writable(field.name, encoding));
                let names: Vec<Vec<u8>> = names.collect::<Result<_, _>>()?;
                let named = fields.iter().zip(&names);
                let fields: Vec<_> = named
                    .map(|(field, name)| crate::wire::Field { name, ..*field })
                    .collect();
                to_client::row_description(out, &fields)?;
            }
            backend::COPY_DATA if !self.copies_utf8() => {
                to_client::copy_data(out, &writable(body, encoding)?)?;
            }
            _ => out.extend_from_slice(whole),
        }
        Ok(())
    }

    /// The running COPY's data has an encoding of its own.
    fn copies_utf8(&mut self) -> bool {
        self.running_head()
            .is_ok_and(|running| running.plan.copies_utf8())
    }
}

fn count(n: usize) -> Result<[u8; 2], Refusal> {
    Ok(u16::try_from(n).map_err(|_| too_long())?.to_be_bytes())
}

fn put_formats(formats: &[Format], body: &mut Vec<u8>) -> Result<(), Refusal> {
    body.extend_from_slice(&count(formats.len())?);
    for format in formats {
        body.extend_from_slice(match format {
            Format::Text => &[0, 0],
            Format::Binary => &[0, 1],
        });
    }
    Ok(())
}

/// What a client sent cannot be read.
pub(super) fn unreadable(encoding: Encoding, why: Unconvertible) -> Refusal {
    let name = encoding.canonical().name();
    match why {
        Unconvertible::Invalid => Refusal::error(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"{name}\""),
        ),
        Unconvertible::Untranslatable => Refusal::error(
            sqlstate::UNTRANSLATABLE_CHARACTER,
            format!("character in encoding \"{name}\" has no equivalent in encoding \"UTF8\""),
        ),
    }
}

fn unknown_binary(encoding: Encoding) -> Refusal {
    let name = encoding.name();
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("a parameter of this type in binary format is not converted from \"{name}\""),
    )
    .hint("Send it in text format, or SET client_encoding = 'UTF8'.")
}

fn too_long() -> Refusal {
    Refusal::error(
        sqlstate::PROGRAM_LIMIT_EXCEEDED,
        "a message is too long to be converted",
    )
}

/// Text for people, as far as the client has the characters.
fn lossy(text: &[u8], encoding: Encoding) -> Vec<u8> {
    encoding.encode_lossy(&String::from_utf8_lossy(text))
}

/// Text that is data.
pub(super) fn writable(text: &[u8], encoding: Encoding) -> Result<Vec<u8>, Fatal> {
    let mut out = Vec::with_capacity(text.len());
    let text = std::str::from_utf8(text)
        .map_err(|_| Fatal::unexpected("text from the server is not UTF-8"))?;
    encoding.encode(text, &mut out).map_err(|_| unwritable())?;
    Ok(out)
}

/// What PostgreSQL sent cannot be said to the client (`untold`).
pub(super) fn unwritable() -> Fatal {
    Fatal {
        sqlstate: sqlstate::UNTRANSLATABLE_CHARACTER,
        message: "a character of the result has no equivalent in the client encoding",
    }
}
